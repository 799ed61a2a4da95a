"""Reading changes nothing in the target: not its page tables, its resident or swapped
memory, its faults, nor what its threads wait in."""

import harness
from harness import Libc, Oracle, Tap

READINGS = 100

SCENARIOS = [
    ("a busy heap at rest", "--threads 4 --chunks 5000 --free-pattern random:50 --fast 500"),
    ("never touched", "--untouched 2000 --chunks 100"),
    ("never touched, arenas", "--untouched 500 --threads 4 --chunks 100"),
    ("large tops", "--chunks 100 --mallopt M_TOP_PAD=300000000"),
    ("mappings", "--mmapped 60 --chunks 100"),
    ("huge pages", "--thp --chunks 20000 --max 3000 --free-pattern keep:50"),
    ("foreign sbrk", "--foreign-sbrk 40 --chunks 1000 --hostile"),
]


def memory(target):
    fields = ("VmPTE", "VmSwap", "VmRSS", "RssAnon", "VmSize", "VmData")
    return {field: target.status(field) for field in fields}


def exact_memory(target):
    """From the page tables: the counters behind status may lag. Not Private_Dirty: it falls
    by itself when the kernel writes the pages of a file back that was just built."""
    wanted = ("Rss", "Anonymous", "Swap")
    rows = (line.split() for line in target.proc("smaps_rollup").splitlines()[1:])
    return {row[0][:-1]: int(row[1]) for row in rows if row[0][:-1] in wanted}


def faults(target):
    """minflt and majflt of every thread."""
    after_name = target.proc("stat").rpartition(")")[2].split()
    return {"minflt": int(after_name[7]), "majflt": int(after_name[9])}


def everything(target):
    return {
        "memory": memory(target),
        "page tables": exact_memory(target),
        "faults": faults(target),
        "threads": target.threads(),
    }


def read_often(target):
    """What the target is before and after, and what the readings said."""
    before = everything(target)
    done = harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "0.01", READINGS)
    return before, everything(target), done


def check(tap, target):
    target.rest()
    before, after, done = harness.undisturbed(
        lambda: read_often(target), lambda found: found[0] == found[1]
    )
    readings = harness.read_json(done.stdout) if done.returncode == 0 else []
    tap.equal(len(readings), READINGS, "readings", done.stderr)
    states = {reading.row["status"] for reading in readings}
    tap.equal(states, {"complete"}, "status")
    for what, value in before.items():
        tap.equal(after[what], value, f"{what} unchanged")
    figures = {
        tuple(reading.row[f] for f in ("rss_bytes", "free_bytes", "free_resident_bytes"))
        for reading in readings
    }
    tap.equal(len(figures), 1, "every reading says the same", sorted(figures)[:5])


def main():
    tap = Tap()
    for title, args in SCENARIOS:
        with tap.section(title), Oracle(args) as target:
            check(tap, target)
    with tap.section("trimmed"):
        with Oracle("--chunks 20000 --min 2000 --max 9000 --free-pattern runs:20") as target:
            target.ask("trim")
            check(tap, target)
    for name in harness.OTHER_LIBCS:
        with tap.section(f"libc {name}"), Oracle(
            "--threads 2 --untouched 200 --chunks 2000 --free-pattern alternate", Libc(name)
        ) as target:
            check(tap, target)
    tap.done()


if __name__ == "__main__":
    main()
