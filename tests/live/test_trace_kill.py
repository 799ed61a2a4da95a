"""What the kernel kills for memory is told, with the limit that was met and what the victim
held: in memory cgroups of the test's own, never for want of the host's memory."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

import harness
import tracing
from harness import FRAGSCOPE, Skip, Tap
from tracing import ALL, Grower, Trace

LIMIT = 24 << 20
CHUNK = 1 << 20
OOM_SCORE_ADJ = 123


def hierarchy():
    """Where memory cgroups are made: the directory, the file of the limit, and of the one
    for memory and swap."""
    v1, v2 = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
    if (v1 / "memory.limit_in_bytes").exists():
        return v1, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    controllers = v2 / "cgroup.controllers"
    if not controllers.exists():
        raise Skip("no cgroup hierarchy at /sys/fs/cgroup")
    if "memory" not in controllers.read_text().split():
        raise Skip("the memory controller is not in /sys/fs/cgroup/cgroup.controllers")
    if "memory" not in (v2 / "cgroup.subtree_control").read_text().split():
        raise Skip("the memory controller is not enabled below /sys/fs/cgroup")
    return v2, "memory.max", "memory.swap.max"


@contextlib.contextmanager
def memory_cgroup(limit):
    """A cgroup that may use LIMIT bytes and no swap."""
    root, limit_file, swap_file = hierarchy()
    path = root / f"fragscope-test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        path.mkdir()
    except OSError as error:
        raise Skip(f"cannot make the memory cgroup {path}: {error.strerror}") from error
    try:
        try:
            (path / limit_file).write_text(str(limit))
        except OSError as error:
            raise Skip(f"cannot write {path / limit_file}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            (path / swap_file).write_text(str(limit) if "memsw" in swap_file else "0")
        yield path
    finally:
        harness.until(lambda: not (path / "cgroup.procs").read_text(), "an empty cgroup")
        path.rmdir()


BEFORE = 1 << 20  # what a program holds at most before it enters a cgroup


def enter(path, target):
    try:
        (path / "cgroup.procs").write_text(str(target.pid))
    except OSError as error:
        raise Skip(f"cannot move a process to {path}: {error.strerror}") from error


def eat(target, size):
    """Has TARGET touch SIZE bytes, which is more than it may."""
    target.say(f"touch {size // CHUNK} {CHUNK}")
    target.process.stdout.readline()
    return target.process.wait(timeout=harness.PATIENCE_S)


def check_kill(tap, event, victim, limit=LIMIT):
    tap.equal(event["kind"], "kill", "kind")
    told = event["victim"]
    tap.equal((told["pid"], told["comm"]), (victim.pid, "grower-dynamic"), "the victim")
    tap.equal(event["pid"], victim.pid, "the event's process")
    # What is not the program's own is charged, too: page tables, the kernel's stacks. What it
    # held before it entered is not.
    tap.within(told["anon_bytes"], limit * 0.7, limit + BEFORE, "what it held")
    tap.within(told["total_vm_bytes"], told["anon_bytes"], 1 << 40, "its address space")
    tap.within(told["file_bytes"], 0, 64 << 20, "file pages")
    tap.equal(told["shmem_bytes"], 0, "shared memory")
    cause = event["cause"]
    tap.equal((cause["kind"], cause.get("limit")), ("cgroup", limit), "the cgroup's limit")
    tap.within(cause.get("used"), limit * 0.9, limit, "what the cgroup used")


def kills_of(trace, victim):
    """Others may be killed on this host meanwhile."""
    return [event for event in trace.events if event["victim"]["pid"] == victim.pid]


def run_oom(tap):
    """Of any process on the host; --oom needs no target."""
    with memory_cgroup(LIMIT) as path, Grower() as victim:
        pathlib.Path(f"/proc/{victim.pid}/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
        enter(path, victim)
        with Trace([], "--oom", at=("mark_victim",)) as trace:
            tap.equal(eat(victim, 2 * LIMIT), -signal.SIGKILL, "it is killed")
            harness.until(lambda: kills_of(trace, victim), "the kill is told")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            mine = kills_of(trace, victim)
        tap.equal(len(mine), 1, "told once", trace_kinds(mine))
        check_kill(tap, mine[0], victim)
        tap.equal(mine[0]["victim"]["oom_score_adj"], OOM_SCORE_ADJ, "oom_score_adj")
        tap.ok("stack" not in mine[0] and "request" not in mine[0], "and nothing else")


def trace_kinds(events):
    return [event["kind"] for event in events]


def run_target(tap):
    """The process that is traced is the victim: its last reading is told."""
    with memory_cgroup(LIMIT) as path, Grower() as victim:
        victim.orders(["malloc 50 1000", "malloc 1 90000", "malloc 1 100", "rotate 2", "free"])
        want = harness.stat(victim.pid).row
        enter(path, victim)
        with Trace(victim, *ALL, at=("mark_victim",)) as trace:
            tap.equal(eat(victim, 2 * LIMIT), -signal.SIGKILL, "it is killed")
            tap.equal(trace.wait(), 0, "the run ends with it", trace.said)
            tap.ok("has ended" in trace.said, "and says so", trace.said)
            kills = tracing.of_kind(trace.events, "kill")
            growths = tracing.of_kind(trace.events, "mmap")
            totals = trace.totals(victim.pid)
        tap.equal(len(kills), 1, "told once")
        check_kill(tap, kills[0], victim)
        got = {name: kills[0]["last_reading"][name] for name in ("free_bytes", "free_chunks")}
        tap.equal(got, {name: want[name] for name in got}, "what its last reading said")
        tap.within(len(growths), LIMIT // CHUNK * 0.7, LIMIT // CHUNK, "growth until then")
        tap.equal(totals.told, len(trace_kinds(growths)), "the kill is not of the totals")


def run_neighbour(tap):
    """A victim in the cgroup of the traced process is its affair; one elsewhere is not."""
    with memory_cgroup(LIMIT) as path, memory_cgroup(LIMIT) as elsewhere, \
            Grower() as target, Grower() as victim, Grower() as stranger:
        enter(path, target)
        enter(path, victim)
        enter(elsewhere, stranger)
        with Trace(target, *ALL, at=("mark_victim",)) as trace:
            tap.equal(eat(stranger, 2 * LIMIT), -signal.SIGKILL, "a stranger is killed")
            tap.equal(eat(victim, 2 * LIMIT), -signal.SIGKILL, "a neighbour is killed")
            harness.until(lambda: trace.events, "the kill is told")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            tap.equal(len(trace.events), 1, "one of them is told", trace_kinds(trace.events))
            check_kill(tap, trace.events[0], victim)
            tap.ok("last_reading" not in trace.events[0], "it was not read")
        target.process.kill()


def run_parent(tap):
    """The limit is that of the cgroup above."""
    with memory_cgroup(LIMIT) as path, Grower() as victim:
        inner = path / "inner"
        if hierarchy()[1] == "memory.max":
            (path / "cgroup.subtree_control").write_text("+memory")
        inner.mkdir()
        try:
            if (path / "memory.use_hierarchy").exists():
                hierarchical = (path / "memory.use_hierarchy").read_text().strip()
                if hierarchical == "0":
                    raise Skip("memory cgroups are not hierarchical here")
            enter(inner, victim)
            with Trace([], "--oom", at=("mark_victim",)) as trace:
                tap.equal(eat(victim, 2 * LIMIT), -signal.SIGKILL, "it is killed")
                harness.until(lambda: kills_of(trace, victim), "the kill is told")
                trace.stop()
                mine = kills_of(trace, victim)
            tap.equal(len(mine), 1, "told once")
            check_kill(tap, mine[0], victim)
        finally:
            harness.until(lambda: not (inner / "cgroup.procs").read_text(), "an empty cgroup")
            inner.rmdir()


def run_text(tap):
    with memory_cgroup(LIMIT) as path, Grower() as victim:
        enter(path, victim)
        with Trace([], "--oom", form=(), at=("mark_victim",)) as trace:
            eat(victim, 2 * LIMIT)
            harness.until(lambda: str(victim.pid) in trace.text, "the kill is told")
            trace.stop()
            text = trace.text
        tap.ok(re.search(r"^# kills for memory", text, re.M), "header", text)
        line = next((row for row in text.splitlines() if str(victim.pid) in row), "")
        tap.ok("grower-dynamic" in line, "the victim's name", text)
        tap.ok("24.0M" in text and "cgroup" in text, "the limit", text)


def run_not_told(tap):
    """A kill by a signal is none for memory."""
    with Grower() as target, Grower() as other, Trace(target, *ALL) as trace:
        other.process.kill()
        target.order("malloc 5 300000")
        target.process.kill()
        tap.equal(trace.wait(), 0, "exit status", trace.said)
        tap.equal(tracing.of_kind(trace.events, "kill"), [], "no kill")


def need_kills():
    """Skips with the program's own reason where it cannot watch for kills."""
    done = subprocess.run([FRAGSCOPE, "trace", "--oom", "--for", "10ms"], capture_output=True,
                          text=True, check=False, timeout=harness.PATIENCE_S)
    if done.returncode in (tracing.NO_SOURCE, tracing.NOT_PERMITTED):
        raise Skip(done.stderr.strip())


CASES = [
    ("--oom", run_oom),
    ("the target", run_target),
    ("a neighbour", run_neighbour),
    ("a limit above", run_parent),
    ("text", run_text),
    ("killed otherwise", run_not_told),
]


def main():
    tap = Tap()
    with tap.section("probes"):
        tracing.need_probes()
        need_kills()
        for name, run in CASES:
            with tap.section(name):
                run(tap)
    tap.done()


if __name__ == "__main__":
    main()
