"""Targets that malloc and free at full speed: nearly every walk is complete, and none says
what cannot be."""

import threading

import harness
from harness import Libc, Oracle, Tap

WALKS = 400

# name, arguments, libcs
SCENARIOS = [
    ("1 thread", "--threads 1 --chunks 3000 --free-pattern alternate", ("host", "2.43")),
    ("4 threads", "--threads 4 --chunks 3000 --free-pattern alternate", ("host",)),
    ("4 threads in the main arena",
     "--threads 4 --chunks 3000 --free-pattern alternate --mallopt M_ARENA_MAX=1", ("host",)),
]


class Watch(threading.Thread):
    """Asks the target for its own system_bytes as long as it is read from outside."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target = target
        self.stop = threading.Event()
        self.seen = []

    def run(self):
        while not self.stop.is_set():
            self.seen.append(self.target.info())
            self.stop.wait(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()

    def bounds(self, field, share):
        """The least and the most that was seen, and SHARE of that beyond."""
        values = [info[field] for info in self.seen]
        margin = (max(values) - min(values)) * 0.5 + max(values) * share
        return min(values) - margin, max(values) + margin


def warm_up(target):
    """The slots of every worker are filled several times over."""
    harness.until(lambda: target.numbers("ops")["ops"] > 300000, "operations")


def outside(readings, value, bounds):
    """Values that are out of BOUNDS by more than their row itself holds in doubt."""
    low, high = bounds
    found = ((value(r.row), r.row.get("in_doubt_bytes", 0)) for r in readings)
    return [(v, doubt) for v, doubt in found if not low - doubt <= v <= high + doubt][:5]


def check_rows(tap, readings, watch):
    # Torn by the skew of totals that move is no fault of the reader.
    torn = [i for i, r in enumerate(readings) if r.row["status"] != "complete"
            and (r.row.get("in_doubt_bytes") or not r.row.get("skew_bytes"))]
    doubts = [(i, readings[i].row.get("in_doubt_bytes")) for i in torn]
    tap.within(len(torn), 0, 1, f"rows of {len(readings)} that are not complete",
               f"row and bytes in doubt {doubts}", [readings[i].row for i in torn[:1]])
    wrong = outside(readings, lambda row: row["system_bytes"], watch.bounds("arena", 0.02))
    tap.equal(wrong, [], "system_bytes within what the target saw")
    wrong = outside(readings, lambda row: row["live_bytes"] + row["tcache_bytes"],
                    watch.bounds("uordblks", 0.03))
    tap.equal(wrong, [], "bytes in use within what the target saw")
    wrong = [
        r.row
        for r in readings
        if not r.row["largest_hole_bytes"] <= r.row["largest_free_bytes"] <= r.row["free_bytes"]
        or not 0 <= r.row["frag"] <= 1
        or r.row["free_bytes"] > r.row["system_bytes"]
    ]
    tap.equal(wrong[:2], [], "free chunks fit into the heap")


def check(tap, target):
    target.ask("churn on")
    warm_up(target)
    with Watch(target) as watch:
        done = harness.fragscope("stat", "-p", target.pid, "--json", "0", WALKS)
    ops = target.numbers("ops")["ops"]
    tap.equal(done.returncode, 0, "exit status", done.stderr)
    readings = harness.read_json(done.stdout)
    tap.equal(len(readings), WALKS, "rows")
    check_rows(tap, readings, watch)
    harness.until(lambda: target.numbers("ops")["ops"] > ops, "the target running on")
    target.ask("churn off")
    info = target.info()
    row = harness.stat(target.pid).row
    tap.equal(row["mallinfo2"], info, "exact once it is still again")


def main():
    tap = Tap()
    for title, args, libcs in SCENARIOS:
        for name in libcs:
            with tap.section(f"{name}, {title}"), Oracle(args, Libc(name)) as target:
                check(tap, target)
    tap.done()


if __name__ == "__main__":
    main()
