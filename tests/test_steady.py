"""A run takes all its memory before the second row: nothing is allocated from there to row
1000, whatever the format; to row 200 where a row takes its time."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "live"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

COUNTER = harness.BUILD / "tests" / "count_alloc.so"


FORMS = (
    (1000, "--json"),
    (1000, "--json --source proc"),
    (1000, "--json --quick"),
    (1000, "--json --quick --events"),
    (200, "--json --bins"),
    (200, "--csv --arenas"),
    (200, "--no-header"),
    (200, "--json --threads 2"),
    (200, "--json --pause=20s"),
)


def counts(pid, rows, *args):
    done = harness.fragscope(
        "stat", "-p", pid, "0", rows, *args,
        env={**harness.CLEAN_ENV, "LD_PRELOAD": str(COUNTER), "COUNT_ROWS": str(rows)},
    )
    if "--events" in args and done.returncode in (69, 77):
        raise harness.Skip(done.stderr.strip())
    found = re.search(r"rows (\d+) before-2 (\d+) before-last (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return [int(number) for number in found.groups()]


def main():
    tap = harness.Tap()
    scenario = "--chunks 3000 --free-pattern random:50 --threads 1"
    with tap.section("a target at work"), harness.Oracle(scenario) as target:
        if not COUNTER.exists():
            raise harness.Skip(f"{COUNTER} was not built")
        target.ask("churn on")
        for wanted, name in FORMS:
            with tap.section(name):
                rows, first, last = counts(target.pid, wanted, *name.split())
                tap.ok(rows >= wanted, "rows", rows)
                tap.ok(first > 0, "the counter works", first)
                tap.equal(last, first, f"allocations from row 2 to row {wanted}")
        target.ask("churn off")
    tap.done()


if __name__ == "__main__":
    main()
