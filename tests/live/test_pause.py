"""--pause: rows of a running target are exact because it stands still for them, it runs on
whatever happens to the reader, and what cannot be had at rest is not read otherwise."""

import json
import signal
import subprocess

import harness
from harness import FRAGSCOPE, Oracle, Tap

CHURN = "--threads 3 --chunks 3000 --free-pattern alternate"


def runs_on(tap, target, name):
    """Every thread is nobody's tracee, and work goes on."""
    def untraced():
        return all(
            "TracerPid:\t0" in (task / "status").read_text(encoding="ascii")
            for task in target.tasks()
        )

    harness.until(untraced, "no tracer")
    ops = target.numbers("ops")["ops"]
    harness.until(lambda: target.numbers("ops")["ops"] > ops, f"{name}: work goes on")
    tap.reached(f"{name}: the target runs on")


def check_rows(tap):
    with Oracle(CHURN) as target:
        target.ask("churn on")
        done = harness.fragscope("stat", "-p", target.pid, "--json", "--pause=20s", "0", 100)
        tap.equal(done.returncode, 0, "exit status", done.stderr)
        rows = [reading.row for reading in harness.read_json(done.stdout)]
        tap.equal({row["status"] for row in rows}, {"complete"}, "status of every row")
        tap.ok(all(row.get("pause_ns", 0) > 0 for row in rows), "the price is in every row")
        tap.ok("longest" in done.stderr, "the price is summed up", done.stderr)
        for row in rows[:1]:
            harness.check_parts(tap, row)
        runs_on(tap, target, "after 100 readings")


def check_killed(tap):
    with Oracle(CHURN) as target:
        target.ask("churn on")
        for _ in range(15):
            reader = subprocess.Popen(
                [FRAGSCOPE, "stat", "-p", str(target.pid), "--json", "--pause=20s", "0"],
                stdout=subprocess.PIPE, text=True,
            )
            for _ in range(3):
                reader.stdout.readline()
            reader.kill()
            reader.communicate(timeout=harness.PATIENCE_S)
        runs_on(tap, target, "the reader killed 15 times")


def check_stopped(tap):
    with Oracle(CHURN) as target:
        target.process.send_signal(signal.SIGSTOP)
        harness.until(lambda: target.status("State").startswith("T"), "stopped")
        for args in ((), ("--pause=20s",)):
            row = harness.stat(target.pid, *args).row
            name = " ".join(("a stopped target", *args))
            tap.equal(row["status"], "complete", f"{name}: status", row)
            tap.equal(target.status("State")[0], "T", f"{name}: still stopped")
        target.process.send_signal(signal.SIGCONT)
        target.ask("churn on")
        runs_on(tap, target, "continued")


def check_already_traced(tap):
    """Two at once: the second is told why it cannot stop the target, or waits its turn."""
    with Oracle(CHURN) as target:
        strace = harness.need("strace")
        with harness.Target([strace, "-f", "-o", "/dev/null", "-p", target.pid]) as tracer:
            harness.until(
                lambda: target.status("TracerPid") == str(tracer.pid), "strace attached"
            )
            plain = harness.stat(target.pid).row
            tap.equal(plain["status"], "complete", "traced by another: read all the same")
            done = harness.fragscope("stat", "-p", target.pid, "--pause", "--once", "--json")
            said = done.stderr + done.stdout
            tap.ok("trace" in said, "with --pause: it says who is in the way", said)


def rows_until(reader, status):
    """The next rows of READER, to the first one of that STATUS."""
    rows = []
    while not rows or rows[-1]["status"] != status:
        line = reader.stdout.readline()
        if not line:
            raise RuntimeError(f"no {status} row: {rows[-1:]} {reader.stderr.read()}")
        rows.append(json.loads(line))
    return rows


def at_rest(command):
    """A reader that has read the target at rest. Where the machine stops meanwhile it gives up
    before its first row, and another is started."""
    def started():
        reader = harness.Target([FRAGSCOPE, *command], stderr=subprocess.PIPE)
        if reader.process.stdout.readline():
            return reader
        reader.end()
        return None

    return harness.until(started, "a first row")


def hang(target):
    target.say("hang")
    harness.until(lambda: target.status("State").startswith("D"), "hanging")


# What keeps the target from rest: a name, the limit, how it begins and ends, words for it.
RESTLESS = (
    ("hang", "500ms", hang, lambda target: target.ask("let go"),
     "not every thread stopped within 500 ms"),
    ("lock", "20s", lambda target: target.ask("lock"), lambda target: target.ask("unlock"),
     "a thread was inside malloc at each of"),
)


def check_restless(tap):
    """At first that is an error; in mid-run a row without the heap, and the run goes on."""
    for name, limit, begin, end, words in RESTLESS:
        with tap.section(name), Oracle("--threads 1 --chunks 500") as target:
            command = ["stat", "-p", str(target.pid), "--json", f"--pause={limit}"]
            with at_rest([*command, "0.01"]) as reader:
                rows_until(reader.process, "complete")
                begin(target)
                row = rows_until(reader.process, "partial")[-1]
                end(target)
                after = rows_until(reader.process, "complete")[-1]
            tap.ok(words in row["missing"], "the row says why", row)
            tap.ok(row["rss_bytes"] > 0 and row["pause_ns"] > 0, "the kernel's figures", row)
            tap.ok("system_bytes" not in row and "mallinfo2" not in row, "no heap", row)
            tap.equal(after["mallinfo2"], target.info(), "exact again afterwards")
            begin(target)
            done = harness.fragscope(*command, "--once")
            end(target)
            tap.equal((done.returncode, done.stdout), (1, ""), "the first row: an error")
            tap.ok(words in done.stderr, "and why", done.stderr)


def main():
    tap = Tap()
    for name, run in (
        ("rows", check_rows),
        ("killed", check_killed),
        ("stopped", check_stopped),
        ("traced", check_already_traced),
        ("restless", check_restless),
    ):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
