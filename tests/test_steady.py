"""A run takes all its memory before the second row: nothing is allocated from there to row
1000, whatever the format."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "live"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

COUNTER = harness.BUILD / "tests" / "count_alloc.so"


def counts(pid, *args):
    done = harness.fragscope(
        "stat", "-p", pid, "0", 1000, *args,
        env={**harness.CLEAN_ENV, "LD_PRELOAD": str(COUNTER)},
    )
    found = re.search(r"rows (\d+) before-2 (\d+) before-1000 (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return [int(number) for number in found.groups()]


def main():
    tap = harness.Tap()
    with tap.section("a target at work"):
        if not COUNTER.exists():
            raise harness.Skip(f"{COUNTER} was not built")
        scenario = "--chunks 3000 --free-pattern random:50 --threads 2"
        with harness.Oracle(scenario) as target:
            target.ask("churn on")
            for args in (("--json", "--bins"), ("--json",), ("--csv", "--arenas"),
                         ("--no-header",), ("--json", "--source", "proc"),
                         ("--json", "--quick"), ("--json", "--threads", "2"),
                         ("--json", "--pause")):
                name = " ".join(args)
                rows, first, last = counts(target.pid, *args)
                tap.ok(rows >= 1000, f"{name}: rows", rows)
                tap.ok(first > 0, f"{name}: the counter works", first)
                tap.equal(last, first, f"{name}: allocations from row 2 to row 1000")
            target.ask("churn off")
    tap.done()


if __name__ == "__main__":
    main()
