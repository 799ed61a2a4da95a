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


def threads(target):
    """State, blocked and pending signals, tracer and switches of every thread: a thread
    that was stopped or interrupted has run since, which counts as a switch."""
    wanted = ("State", "TracerPid", "SigPnd", "voluntary_ctxt_switches",
              "nonvoluntary_ctxt_switches")
    found = {}
    for task in target.tasks():
        rows = (row.split(":", 1) for row in (task / "status").read_text().splitlines())
        found[task.name] = {key: value.strip() for key, value in rows if key in wanted}
    return found


def everything(target):
    return {
        "memory": memory(target),
        "page tables": exact_memory(target),
        "faults": faults(target),
        "threads": threads(target),
    }


def at_rest(target):
    """Once every thread sleeps, nothing but a reader can change it. They are looked at one
    after the other, and the first may have been woken by the last: hence two looks."""

    def is_at_rest():
        found = threads(target)
        asleep = all(thread["State"].startswith("S") for thread in found.values())
        return asleep and threads(target) == found

    harness.until(is_at_rest, "threads at rest")


def read_often(target):
    """What the target is before and after, and what the readings said."""
    before = everything(target)
    done = harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "0.01", READINGS)
    return before, everything(target), done


def check(tap, target):
    at_rest(target)
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
