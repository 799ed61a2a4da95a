"""trim --attach: a thread of a running program trims, and is then as it was."""

import json
import platform
import signal

import harness
from harness import Oracle, Tap, Target


def trim(pid, *words):
    return harness.fragscope("trim", "--attach", "--watch", "0", *words, pid)


def result(pid, *words):
    done = harness.fragscope("trim", "--attach", "--json", *words, pid)
    if done.returncode:
        raise RuntimeError(f"trim: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def check_dry_run(tap):
    with Oracle("--threads 2 --chunks 20000 --max 3000 --free-pattern keep:50") as target:
        expected = harness.stat(target.pid).row["trimmable_bytes"]
        told = result(target.pid, "--dry-run")
        tap.equal(told["predicted_bytes"], expected, "what a trim would return")
        tap.equal(told["threads"], len(target.tasks()), "all threads were stopped")
        tap.ok(told["looks"] >= 1 and told["stood_ns"] > 0, "how often, and how long", told)
        tap.ok("trim_ns" not in told and "given_back_bytes" not in told, "no call", told)
        tap.equal(harness.stat(target.pid).row["trimmable_bytes"], expected, "nothing was done")
        before = target.info()
        told = result(target.pid, "--watch", "0")
        tap.ok(told["given_back_bytes"] > expected * 0.9, "given back", told)
        tap.equal(harness.stat(target.pid).row["trimmable_bytes"], 0, "nothing is left")
        tap.equal(target.info()["uordblks"], before["uordblks"], "what is live stays so")


def check_kept(tap):
    """In the middle of a loop of two instructions with every register in use."""
    for width in ("", "16"):
        with Target([harness.program("keeper"), *width.split()]) as target:
            ready = target.line()
            for _ in range(3):
                result(target.pid, "--watch", "0")
            target.process.send_signal(signal.SIGUSR1)
            tap.equal(target.line(), "kept", f"{ready}: every register, errno, mask, stack")


def check_stopped(tap):
    with Target([harness.program("keeper")]) as target:
        target.line()
        target.process.send_signal(signal.SIGSTOP)
        harness.until(lambda: target.status("State").startswith("T"), "stopped")
        done = trim(target.pid)
        tap.equal(done.returncode, 1, "a stopped process is refused", done.stderr)
        tap.ok("is stopped by a signal" in done.stderr, "with the reason", done.stderr)
        tap.equal(target.status("State")[0], "T", "it stays stopped")
        target.process.send_signal(signal.SIGCONT)
        target.process.send_signal(signal.SIGUSR1)
        tap.equal(target.line(), "kept", "and as it was")


def main():
    tap = Tap()
    if platform.machine() != "x86_64":
        tap.skip("not run", "calls in running processes are for x86-64")
        tap.done()
    for name, check in (("dry run", check_dry_run), ("kept", check_kept),
                        ("stopped", check_stopped)):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    main()
