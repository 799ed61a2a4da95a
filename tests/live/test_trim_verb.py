"""trim has the allocator give back what it can, as it predicted, and says what came of it;
--dry-run touches nothing; what cannot be trimmed is refused with the reason."""

import json
import os
import signal
import subprocess
import sys

import harness
import preloading
from harness import FRAGSCOPE, Oracle, Target, Tap
from test_preload_allocators import ALLOCATORS, library

# Samples are an hour apart: a request is served when it comes, not at the next sample.
SLOW = "interval=1h"
CRUMBLED = "--threads 2 --chunks 40000 --max 3000 --free-pattern keep:50"


def trim(pid, *words):
    return harness.fragscope("trim", "-p", pid, *words)


def result(pid, *words):
    done = trim(pid, "--json", *words)
    if done.returncode:
        raise RuntimeError(f"trim: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def first_sample(target):
    harness.until(lambda: preloading.rows(target.pid).row.get("sample_age_ns"), "a sample")


def check_glibc(tap):
    with Oracle(CRUMBLED, env=preloading.environment(SLOW)) as target:
        first_sample(target)
        before = target.info()
        expected = harness.stat(target.pid).row["trimmable_bytes"]
        told = result(target.pid, "--dry-run")
        tap.equal(told["predicted_bytes"], expected, "predicted is trimmable_bytes")
        tap.equal(told["predicted_faults"], expected // harness.PAGE, "faults")
        tap.ok("given_back_bytes" not in told, "nothing is said to be given back", told)
        tap.equal(harness.stat(target.pid).row["trimmable_bytes"], expected, "nothing was")
        tap.ok(expected > 10 << 20, "there is something to trim", expected)
        told = result(target.pid, "--watch", "0")
        tap.within(told["given_back_bytes"], expected * 0.98 - 65536, expected * 1.02 + 65536,
                   "given back as predicted")
        tap.within(told["rss_before_bytes"] - told["rss_after_bytes"],
                   told["given_back_bytes"], told["given_back_bytes"], "the difference")
        tap.ok(told["trim_ns"] > 0, "it took some time")
        tap.ok("faults" not in told, "no faults are counted")
        tap.equal(harness.stat(target.pid).row["trimmable_bytes"], 0, "nothing is left")
        tap.equal(target.info()["uordblks"], before["uordblks"], "what is live stays so")


TOUCHER = """
import mmap, sys
m = mmap.mmap(-1, 4096 * 2000)
try:
    m.madvise(mmap.MADV_NOHUGEPAGE)
except OSError:
    pass
print("ready", flush=True)
sys.stdin.readline()
for i in range(2000):
    m[i * 4096] = 1
print("done", flush=True)
sys.stdin.read()
"""


def check_watch(tap):
    with Target([harness.need("python3"), "-c", TOUCHER],
                env=preloading.environment(SLOW)) as target:
        target.line()
        first_sample(target)
        with subprocess.Popen([FRAGSCOPE, "trim", str(target.pid), "--watch", "1h"],
                              stdout=subprocess.PIPE, text=True) as watcher:
            # Faults count from when it is told what the trim took.
            for line in watcher.stdout:
                if line.startswith("took"):
                    break
            target.say("")
            target.line()
            watcher.send_signal(signal.SIGINT)
            rest = watcher.communicate(timeout=harness.PATIENCE_S)[0].split()
        tap.equal(watcher.returncode, 0, "SIGINT ends the count")
        tap.equal(rest[:1] + rest[3:4], ["watched", "faults"], "what is told then", rest)
        tap.within(int(rest[4]), 2000, 4000, "faults of the time after")
        told = result(target.pid, "--watch", "0.1")
        tap.ok(told["watched_ns"] >= 100_000_000 and "faults" in told, "in JSON", told)


def check_closed(tap):
    """Without the descriptor the request waits for the next sample."""
    script = "import os, time; os.closerange(3, 2000); print('x', flush=True); time.sleep(600)"
    with Target([harness.need("python3"), "-c", script],
                env=preloading.environment("interval=200ms")) as target:
        target.line()
        first_sample(target)
        tap.ok("trim_ns" in result(target.pid, "--watch", "0"), "a host without descriptors")


def check_others(tap):
    for name, allocator, _, _ in ALLOCATORS:
        with tap.section(allocator.rstrip("-")):
            env = preloading.environment(LD_PRELOAD=f"{preloading.SAMPLER}:{library(name)}",
                                         MALLOC_CONF="dirty_decay_ms:-1,muzzy_decay_ms:-1")
            with Target([harness.program("foreign")], env=env) as target:
                target.line()
                preloading.next_sample(target.pid)
                if allocator == "mimalloc-":
                    done = trim(target.pid)
                    tap.equal(done.returncode, 69, "is refused")
                    tap.ok("returns nothing when another thread asks" in done.stderr,
                           "with the reason", done.stderr)
                    continue
                told = result(target.pid, "--watch", "0")
                tap.within(told["given_back_bytes"], 1 << 20, told["predicted_bytes"] + 65536,
                           "given back, no more than predicted")
                preloading.next_sample(target.pid)
                after = result(target.pid, "--dry-run")
                tap.within(after["predicted_bytes"], 0, 1 << 20, "nothing is left")


def check_refusals(tap):
    with Target(["cat"]) as target:
        harness.until(lambda: "cat" in target.proc("comm"), "cat")
        done = trim(target.pid)
        tap.equal((done.returncode, done.stderr),
                  (69, f"fragscope: there is no sampler in process {target.pid} (cat): it was "
                   "not started by 'fragscope run'\n"), "no sampler")
    see = "; see 'fragscope trim --help'\n"
    for words, want in (
        ((), f"fragscope trim: no process given: use -p PID{see}"),
        (("-p", "1,2"), f"fragscope trim: 2 processes: trim acts on one{see}"),
        (("-n", "1"), f"fragscope trim: -n is no longer short for --dry-run: write --dry-run{see}"),
        (("x",), f"fragscope trim: 'x' is not a PID{see}"),
        (("0",), f"fragscope trim: '0' is not a PID{see}"),
        (("1", "2"), f"fragscope trim: unexpected argument '2'{see}"),
        (("1", "--dry-run", "--watch", "3"),
         f"fragscope trim: --watch and --dry-run exclude each other{see}"),
    ):
        done = harness.fragscope("trim", *words)
        tap.equal((done.returncode, done.stderr), (64, want), " ".join(("trim", *words)))
    if os.path.exists("/dev/full"):
        with Oracle("--chunks 10") as target, open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([FRAGSCOPE, "trim", "--dry-run", str(target.pid)], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
            tap.equal(done.returncode, 1, "a full disk is an error", done.stderr)


def main():
    tap = Tap()
    for name, check in (("glibc", check_glibc), ("watch", check_watch),
                        ("closed", check_closed), ("others", check_others),
                        ("refusals", check_refusals)):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
