"""A run takes all its memory before the second row: nothing is allocated from there to row
1000, whatever the format; to row 200 where a row takes its time."""

import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "live"))

import harness  # noqa: E402  pylint: disable=wrong-import-position
from terminal import Terminal  # noqa: E402  pylint: disable=wrong-import-position
from test_export import OPEN, PLAIN, Exporter  # noqa: E402  pylint: disable=wrong-import-position

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


# Windows of all lengths, and alerts that begin and end all the time.
ALERTS = (
    "-r", "live rising 24h or rss drops 50% in 24h",
    "-r", "free falling 1s and free_chunks flat or largest_free rises 1B in 1s",
    "-r", "limit < 100% for 1ms until limit <= 0%", "-r", "free - top != 0 for 1ms",
)


def counts(pid, rows, *args):
    return counted(rows, args, "stat", "-p", pid, "0", rows, *args)


def counted(rows, args, *command, **environment):
    done = harness.fragscope(
        *command,
        env={**harness.CLEAN_ENV, "LD_PRELOAD": str(COUNTER), "COUNT_ROWS": str(rows),
             **environment},
    )
    if "--events" in args and done.returncode in (69, 77):
        raise harness.Skip(done.stderr.strip())
    found = re.search(r"rows (\d+) before-first (\d+) before-last (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return [int(number) for number in found.groups()]


# Frames of `top`: from the first one on every pane has been shown, and what comes is more of
# the same.
FRAMES_FROM, FRAMES = 40, 200
PANES = (("1", "resident memory"), ("2", "sorted by"), ("3", r"in \d+ cells?"),
         ("4", "chunk size"), ("5", "no-events"),
         ("6", "no verdict|warning|note|CRITICAL"), ("7", "1 process, sorted"))


def check_top(tap, pid):
    """The screen, while panes are visited and the time is held: nothing is allocated after
    the start, by the terminal's library neither as long as the size stays."""
    command = ["env", f"LD_PRELOAD={COUNTER}", f"COUNT_FROM={FRAMES_FROM}",
               f"COUNT_ROWS={FRAMES}", "COUNT_NOW=1", harness.FRAGSCOPE, "top", "-p", pid,
               "0.01", "--max-cost", "100", "--no-events"]
    with Terminal(command) as terminal:
        terminal.wait("complete", settled=False)

        def tour():
            for key, wanted in PANES:
                terminal.press(key)
                terminal.wait(lambda text, wanted=wanted: re.search(wanted, text)
                              or "rows " in terminal.stderr(), settled=False)
            terminal.press("p", "Left", "Left", "l")
            return re.search(r"rows (\d+) before-first (\d+) before-last (\d+)",
                             terminal.stderr())

        found = harness.until(tour, f"{FRAMES} frames")
        rows, first, last = (int(number) for number in found.groups())
        tap.equal(rows, FRAMES, "frames")
        tap.ok(first > 0, "the counter works", first)
        tap.equal(last, first, f"allocations from frame {FRAMES_FROM} to frame {rows}")
        terminal.press("q")
        tap.equal(terminal.status(), 0, "status", terminal.stderr())


def check_alert(tap, pid, rules):
    rows, first, last = counted(
        300, rules, "alert", "-p", pid, "--json", "--record", "/dev/null", *rules, "0", 300,
        COUNT_FILES="1",
    )
    tap.ok(rows >= 300, "samples", rows)
    tap.equal(last, first, "allocations from the second to the last")


def check_record(tap, pid):
    """The alert comes after the 50th write, so its local time is written then."""
    with harness.scratch() as directory:
        rows, first, last = counted(
            300, (), "record", "-p", pid, "-o", directory / "steady.db", "-r",
            "live != 0 for 300ms", "--maps", "0.1", "0", 400, COUNT_PWRITES="1",
            COUNT_FROM="50",
        )
    tap.ok(rows >= 300, "writes to the file", rows)
    tap.equal(last, first, "allocations from the 50th write to the last")


# Scrapes: so many at most until the heap is read, once, and so many that are counted.
SCRAPES_FROM, SCRAPES = 400, 200
CONNECTION_BYTES = 20000
GZIP = ("gzip", "identity")


def check_export(tap, pid):
    """Answers to scrapes: nothing is allocated but by libmicrohttpd, for each connection, and
    that is bounded."""
    environment = {
        **harness.CLEAN_ENV, "LD_PRELOAD": str(COUNTER), "COUNT_ACCEPTS": "1", "COUNT_NOW": "1",
        "COUNT_APART": "libmicrohttpd", "COUNT_FROM": str(SCRAPES_FROM),
        "COUNT_ROWS": str(SCRAPES_FROM + SCRAPES)}
    with Exporter("-p", pid, "--max-cost", "100", "3600", env=environment) as exporter:
        scrapes = 0
        while not exporter.scrape().total("export_readings_total"):
            scrapes += 1
            if scrapes == SCRAPES_FROM - 2:
                raise TimeoutError("no reading")
            time.sleep(harness.PATIENCE_S / SCRAPES_FROM)
        # Pages of both formats, plain and compressed, are written anew once a second.
        for i in range(scrapes + 1, SCRAPES_FROM + SCRAPES):
            exporter.get(accept=(OPEN, PLAIN)[i % 2], **{"Accept-Encoding": GZIP[i // 2 % 2]})
            time.sleep(0.02 if i > SCRAPES_FROM else 0)
        first, last, calls, size = map(int, exporter.says(
            r"before-first (\d+) before-last (\d+) apart (\d+) calls (\d+) bytes").groups())
    tap.ok(first > 0, "the counter works", first)
    tap.equal(last, first, f"allocations during {SCRAPES} scrapes")
    tap.ok(calls > 0, "libmicrohttpd makes some", calls)
    tap.within(size, 1, SCRAPES * CONNECTION_BYTES, "which are bounded")
    tap.reached(f"libmicrohttpd: {calls / SCRAPES:.1f} allocations a connection, of "
                f"{size / SCRAPES:.0f} bytes")


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
        with tap.section("top"):
            check_top(tap, target.pid)
        for rules in ([], ALERTS):
            with tap.section("alert" + " by rules" * bool(rules)):
                check_alert(tap, target.pid, rules)
        with tap.section("record"):
            check_record(tap, target.pid)
        with tap.section("export"):
            check_export(tap, target.pid)
        target.ask("churn off")
    tap.done()


if __name__ == "__main__":
    main()
