"""trimmable_bytes against malloc_trim(0) itself: what is foretold from outside is what the
kernel then takes back, to one page an arena."""

import harness
from harness import Libc, Oracle, Tap

# name, arguments, tunables, oldest glibc it makes sense on
SCENARIOS = [
    ("holes", "--chunks 8000 --min 2000 --max 30000 --free-pattern alternate", "", (2, 26)),
    ("small holes", "--chunks 60000 --max 500 --free-pattern random:90", "", (2, 26)),
    ("runs", "--chunks 30000 --max 800 --free-pattern runs:50 --aligned 300", "", (2, 26)),
    ("all freed", "--chunks 20000 --max 3000 --free-pattern all", "", (2, 26)),
    ("top pad", "--chunks 3000 --free-pattern keep:9 --mallopt M_TOP_PAD=10000000", "", (2, 26)),
    ("fastbins in runs", "--chunks 100 --fast 60000", "", (2, 26)),
    ("fastbins beside holes", "--chunks 30000 --max 170 --free-pattern all --fast 20000 "
     "--mallopt M_MXFAST=160", "", (2, 26)),
    ("secondary arenas", "--threads 7 --chunks 4000 --max 9000 --free-pattern random:60 "
     "--fast 300", "", (2, 26)),
    ("threads gone", "--threads 4 --exit-threads --chunks 4000 --max 9000 "
     "--free-pattern random:60 --tcache", "", (2, 26)),
    ("several heaps an arena", "--threads 1 --chunks 60000 --min 500 --max 4000 "
     "--free-pattern keep:100", "", (2, 26)),
    ("untouched chunks", "--untouched 300 --chunks 2000 --free-pattern alternate", "", (2, 26)),
    ("unsorted", "--unsorted 8000", "", (2, 26)),
    ("foreign sbrk", "--foreign-sbrk 60 --chunks 3000 --free-pattern runs:20", "", (2, 26)),
    ("no sbrk", "--no-sbrk --chunks 5000 --max 20000 --free-pattern runs:3", "", (2, 26)),
    ("THP by madvise", "--thp --chunks 20000 --max 3000 --free-pattern keep:50", "", (2, 26)),
    ("THP by tunable", "--chunks 20000 --max 3000 --threads 2 --free-pattern keep:50",
     "glibc.malloc.hugetlb=1", (2, 35)),
    ("THP by tunable, holes", "--chunks 20000 --max 3000 --free-pattern runs:2000",
     "glibc.malloc.hugetlb=1", (2, 35)),
]


def check(tap, target):
    reading = harness.stat(target.pid)
    if not tap.equal(reading.row["status"], "complete", "status", reading.row.get("missing")):
        return
    foretold = reading.row["trimmable_bytes"]
    arenas = len(reading.arenas)
    trim = target.numbers("trim")
    fell = trim["before"] - trim["after"]
    slack = arenas * harness.PAGE
    tap.within(foretold, fell - slack, fell + slack, f"trimmable_bytes, {arenas} arenas",
               f"the target said {trim}")
    # The kernel may make huge pages of what is left around the holes, and fill them.
    left = harness.undisturbed(lambda: left_by_trim(target), lambda left: left <= slack)
    tap.within(left, 0, slack, "nothing is left to trim")


def left_by_trim(target):
    target.ask("trim")
    return harness.stat(target.pid).row["trimmable_bytes"]


def main():
    tap = Tap()
    for name in ("host", *harness.OTHER_LIBCS):
        with tap.section(f"libc {name}"):
            libc = Libc(name)
            for title, args, tunables, oldest in SCENARIOS:
                if libc.number < oldest:
                    continue
                env = {"GLIBC_TUNABLES": tunables} if tunables else {}
                with tap.section(f"{name}, {title}"), Oracle(args, libc, env=env) as target:
                    check(tap, target)
    tap.done()


if __name__ == "__main__":
    main()
