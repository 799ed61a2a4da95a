"""trim --attach: a thread of a running program trims, and is then as it was."""

import contextlib
import ctypes
import errno
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import tempfile

import harness
import preloading
import test_preload_allocators as others
from harness import Oracle, Tap, Target
from test_servers import children


def trim(pid, *words):
    return harness.fragscope("trim", "--attach", "--watch", "0", *words, pid)


def refused(pid):
    """A trim that finds no safe point. A machine that stands still at the last stop is why no
    thread stopped then: that says nothing of the others."""
    for _ in range(10):
        done = trim(pid, "--for", "0.2")
        if "cannot be stopped" not in done.stderr:
            break
    return done


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


def check_libcs(tap):
    """On every glibc: where its functions and errno lie is found by its code."""
    for version in harness.OTHER_LIBCS:
        with tap.section(version):
            libc = harness.Libc(version)
            with Oracle("--threads 2 --chunks 5000 --max 3000 --free-pattern keep:50",
                        libc=libc) as target:
                before = target.info()["uordblks"]
                told = result(target.pid, "--watch", "0")
                tap.ok(told["given_back_bytes"] > 1 << 20, "a trim", told)
                tap.equal(target.info()["uordblks"], before, "what is live stays so")
                attach(target.pid)
                done = harness.fragscope("detach", target.pid)
                tap.equal(done.returncode, 0, "attach, and detach", done.stderr)
                tap.ok(target.info()["uordblks"] >= before, "it runs on")


def check_kept(tap):
    """In the middle of a loop of two instructions with every register in use."""
    for width in ("", "16"):
        with Target([harness.program("keeper"), *width.split()]) as target:
            ready = target.line()
            for _ in range(3):
                result(target.pid, "--watch", "0")
            target.process.send_signal(signal.SIGUSR1)
            tap.equal(target.line(), "kept", f"{ready}: every register, errno, mask, stack")


def check_hurry(tap):
    """All threads are seized, which disturbs none, before the first is to stop; and from before
    that until all have been let go the helper runs before all others."""
    strace = harness.need("strace")
    with Oracle("--threads 3 --chunks 10") as target, tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory, "log")
        done = subprocess.run(
            [strace, "-f", "-qq", "-o", log, "-e", "trace=ptrace,sched_setscheduler",
             harness.FRAGSCOPE, "trim", "--attach", "--watch", "0", str(target.pid)],
            capture_output=True, text=True, check=False)
        tap.equal(done.returncode, 0, "a trim", done.stderr)
        words = [re.search(r"SCHED_FIFO|SCHED_OTHER|PTRACE_(?:SEIZE|INTERRUPT|DETACH)\b|$",
                           line).group().removeprefix("PTRACE_")
                 for line in log.read_text(encoding="ascii").splitlines()]
        words = [word for word in words if word][-14:]
        tap.equal(words, ["SCHED_FIFO", *["SEIZE"] * 4, *["INTERRUPT"] * 4, *["DETACH"] * 4,
                          "SCHED_OTHER"], "the order of the last stop")


def check_stopped(tap):
    with Target([harness.program("keeper")]) as target:
        target.line()
        target.process.send_signal(signal.SIGSTOP)
        harness.until(lambda: target.status("State").startswith("T"), "stopped")
        done = trim(target.pid)
        tap.equal(done.returncode, 1, "a stopped process is refused", done.stderr)
        tap.ok("is stopped by a signal" in done.stderr, "with the reason", done.stderr)
        # Let go of, it is on its way back to the stop for a moment.
        harness.until(lambda: target.status("State").startswith("T"), "stopped again")
        target.process.send_signal(signal.SIGCONT)
        target.process.send_signal(signal.SIGUSR1)
        tap.equal(target.line(), "kept", "and as it was")


# What a wait without end gets, and one with a time that is over, as "RESULT ERRNO".
WAITS = {
    "read": ("1 0", None), "nanosleep": (None, "0 0"), "remaining": (None, "0 0"),
    "until": (None, "0 0"), "condition": ("0 0", f"{errno.ETIMEDOUT} 0"),
    "futex": ("0 0", None), "epoll": ("1 0", "0 0"), "poll": ("1 0", "0 0"),
    "select": ("1 0", "0 0"), "accept": ("1 0", f"-1 {errno.EAGAIN}"),
    "recvmsg": ("1 0", f"-1 {errno.EAGAIN}"),
}


# The system calls that they are, by number.
CALLS = {"read": (0,), "condition": (202,), "futex": (202,), "epoll": (232, 281), "poll": (7, 271),
         "select": (23, 270), "accept": (43,), "recvmsg": (47,)}


def waits_in(target, kind):
    """Whether the main thread sleeps in the system call of KIND."""
    number = target.proc("syscall").split()[0]
    return number in map(str, CALLS[kind])


def check_endless_waits(tap):
    """The thread that waits makes the call, twice, and goes on to get what it waited for. Where
    it happens to run just then another does."""
    by_it = 0
    for kind, (got, _) in WAITS.items():
        if not got:
            continue
        with Target([harness.program("waits"), kind, 0, 1]) as target:
            target.line()
            for _ in range(2):
                target.rest()
                harness.until(lambda t=target, k=kind: waits_in(t, k), "the wait")
                done = trim(target.pid, "--json")
                by_it += f"thread {target.pid} (waits-dynamic) made the call" in done.stderr
                tap.ok("made the call" in done.stderr, f"{kind}: a call", done.stderr)
            target.say("x")
            tap.equal(target.line().rsplit(" ", 1)[0], got, f"{kind}: and gets what it waited for")
    tap.ok(by_it > len(CALLS), "most calls were made by the thread that waits", by_it)


def check_timed_waits(tap):
    """Waits of 100 ms, one after the other: each gets what it would have got, and not before
    its time, whether its thread makes the call or another does."""
    made = 0
    for kind, (_, got) in WAITS.items():
        if not got:
            continue
        for beside in ((), ("beside",)):
            name = " ".join((kind, *beside))
            with Target([harness.program("waits"), kind, 100, 4, *beside]) as target:
                target.line()
                for _ in range(2):
                    made += trim(target.pid, "--json", "--for", "1").returncode == 0
                lines = [target.line().rsplit(" ", 1) for _ in range(4)]
            tap.equal({result for result, _ in lines}, {got}, f"{name}: results")
            least = min(float(ms) for _, ms in lines)
            tap.ok(least >= 99.9, f"{name}: no wait is short", lines)
    tap.reached(f"{made} trims were made meanwhile: on a busy machine few beginnings are seen")


def check_vfork(tap):
    """While a child has the memory of the process nothing is called, or stopped."""
    with Target([harness.program("waits"), "vfork", 100000, 1, "beside"]) as target:
        target.line()
        harness.until(lambda: target.status("State").startswith("D"), "the wait for its child")
        harness.until(lambda: "R" not in {state["State"][0] for state in
                                          target.threads().values()}, "its other thread asleep")
        before = target.threads()
        done = trim(target.pid, "--for", "0.3")
        tap.equal(done.returncode, 1, "no safe point", done.stderr)
        tap.ok(f"thread {target.pid} (waits-dynamic) was waiting for a child that uses its "
               "memory (vfork)" in done.stderr, "and why", done.stderr)
        tap.equal(target.threads(), before, "no thread was stopped")
        for child in children(target.pid):
            os.kill(child, signal.SIGKILL)
        tap.ok(target.line().startswith("0 0 "), "it runs on")


def check_libc_thread(tap):
    """Of a thread that is libc's alone nobody knows which of its locks it has; the other one is
    in a wait whose beginning was not seen."""
    with Target([harness.program("waits"), "poll", 1000000, 1, "timer"]) as target:
        target.line()
        target.rest()
        tap.equal(len(target.tasks()), 2, "a thread of libc's own")
        done = refused(target.pid)
        tap.equal(done.returncode, 1, "no thread for a call", done.stderr)
        tap.ok("cannot be used for a call" in done.stderr, "and why", done.stderr)


IDLE = """
import select, sys
poll = select.poll()
poll.register(0)
print("ready", flush=True)
while poll.poll(3600000):
    sys.stdin.readline()
"""


def check_idle(tap):
    """A wait for an hour, of which nobody knows since when: what helps is said, and helps."""
    with Target([harness.need("python3"), "-c", IDLE]) as target:
        target.line()
        target.rest()
        done = refused(target.pid)
        tap.equal(done.returncode, 1, "no safe point", done.stderr)
        tap.ok("send it a request meanwhile" in done.stderr, "what helps",
               done.stderr)
        with Target([harness.FRAGSCOPE, "trim", "--attach", "--watch", "0", "--for", "240",
                     target.pid], stderr=subprocess.PIPE) as trimming:
            harness.until(lambda: helper_of(trimming.pid), "the helper")
            # Of a busy machine's looks some see no beginning.
            while trimming.process.poll() is None:
                target.say("")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    trimming.process.wait(0.3)
            tap.equal(trimming.process.wait(), 0, "it is called")


def check_circle(tap):
    """A stack that leads in a circle is one that cannot be followed."""
    with Target([harness.program("waits"), "circle", 1000000, 1]) as target:
        target.line()
        harness.until(lambda: target.proc("syscall").split()[0] == "34", "pause")
        done = refused(target.pid)
        tap.equal(done.returncode, 1, "no safe point", done.stderr)
        tap.ok("cannot be followed to its beginning" in done.stderr, "and why", done.stderr)


def check_worker(tap):
    """A thread that the kernel has made to work for the process (io_uring) runs none of its
    code. It is not stopped, which would end what it does, and is in no wait that a stop would
    lengthen."""
    if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (5, 12):
        raise harness.Skip("the kernel's workers are no threads of the process here")
    with Target([harness.program("waits"), "worker", 0, 1]) as target:
        target.line()

        def worker():
            """It waits, or the program ends because there is none."""
            with contextlib.suppress(OSError):
                if any((task / "comm").read_text().startswith("iou-")
                       for task in target.tasks()):
                    return "a worker"
            return target.process.poll() is not None and "no worker"

        if harness.until(worker, "a worker of the kernel's") == "no worker":
            raise harness.Skip("io_uring is not to be had here")
        for verb in (("trim", "--attach", "--watch", "0"), ("attach",)):
            done = harness.fragscope(*verb, target.pid)
            tap.equal(done.returncode, 0, f"{verb[0]}: a call", done.stderr)
        harness.fragscope("detach", target.pid)
        target.say("x")
        tap.equal(target.line().rsplit(" ", 1)[0], "1 0", "what it works at comes to its end")


def check_late_stop(tap):
    """A thread that stops only after it was given up goes on at once, though no other stop is
    made: its other thread is in a wait that it would lengthen."""
    with Target([harness.program("waits"), "hidden", 1000000, 2, "beside"]) as target:
        target.line()
        harness.until(lambda: target.status("State").startswith("D"), "the wait for its child")
        with Target([harness.FRAGSCOPE, "trim", "--attach", "--watch", "0", "--for", "20",
                     target.pid], stderr=subprocess.PIPE) as trimming:
            harness.until(lambda: target.status("TracerPid") != "0", "it is to stop")
            target.say("x")
            tap.ok(target.line().startswith("0 0 "), "it goes on")
            with contextlib.suppress(subprocess.TimeoutExpired):
                trimming.process.wait(timeout=2)
            tap.ok(trimming.process.poll() != 1, "before the search is over")
        for child in children(target.pid):
            os.kill(child, signal.SIGKILL)


def check_late_wait(tap):
    """A wait that the stop has ended is made again where its thread was seen to stop only when
    it was let go, or between two stops."""
    strace = harness.need("strace")
    for last in (1, 2):
        with Target([harness.program("waits"), "epoll", 0, 1]) as target:
            target.line()
            harness.until(lambda t=target: waits_in(t, "epoll"), "the wait")
            done = subprocess.run(
                [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=wait4", "-e",
                 f"inject=wait4:retval=0:delay_enter=60000:when=1..{last}", harness.FRAGSCOPE,
                 "trim", "--attach", "--watch", "0", str(target.pid)],
                capture_output=True, text=True, check=False)
            tap.equal(done.returncode, 0, "a trim", done.stderr)
            target.say("x")
            tap.ok(target.line().startswith("1 0 "), f"{last} late: it gets what it waits for")


def check_signal_meanwhile(tap):
    """A signal that comes while it stands ends the wait that lets it in, not the time before."""
    strace = harness.need("strace")
    with Target([harness.program("waits"), "sigsuspend", 1, 2]) as target:
        target.line()
        target.rest()
        with Target([strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=ptrace", "-e",
                     "inject=ptrace:delay_enter=100000:when=3+", harness.FRAGSCOPE, "trim",
                     "--attach", "--watch", "0", target.pid]) as trimming:
            harness.until(lambda: target.status("State").startswith("t"), "it stands")
            target.process.send_signal(signal.SIGUSR1)
            tap.equal(trimming.process.wait(), 0, "a trim")
        tap.ok(target.line().startswith("1 "), "it has seen the signal")


# Where the helper is killed: at each of its calls that touch the process.
KILLED_AT = ("ptrace", "process_vm_writev")


def check_killed(tap):
    strace = harness.need("strace")
    for call in KILLED_AT:
        for number in range(1, 40):
            with Target([harness.program("keeper")]) as target:
                target.line()
                before = target.rollup("Rss")
                done = subprocess.run(
                    [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                     f"inject={call}:signal=SIGKILL:when={number}", harness.FRAGSCOPE, "trim",
                     "--attach", "--watch", "0", str(target.pid)],
                    capture_output=True, text=True, check=False)
                harness.until(lambda t=target: t.status("TracerPid") == "0", "no tracer")
                if done.returncode and "ends by itself" in done.stderr:
                    harness.until(lambda t=target, b=before: t.rollup("Rss") < b, "the trim")
                target.process.send_signal(signal.SIGUSR1)
                tap.equal(target.line(), "kept", f"killed at {call} {number}: as it was")
            if done.returncode == 0:
                break
        tap.ok(done.returncode == 0 and number > 1, f"{call}: all {number - 1} were tried",
               done.stderr)


def attach(pid, *words):
    done = harness.fragscope("attach", *words, pid)
    if done.returncode:
        raise RuntimeError(f"attach: status {done.returncode}: {done.stderr}")
    return done


def check_attach(tap):
    """As if it had been started under run: samples, settings, trims; and its end."""
    with Oracle("--threads 2 --chunks 20000 --max 3000 --free-pattern keep:50") as target:
        attach(target.pid)
        harness.until(lambda: preloading.rows(target.pid).row.get("sample_age_ns"), "a sample")
        told = preloading.rows(target.pid).row
        want = harness.stat(target.pid).row
        for name in ("system_bytes", "free_bytes", "mmapped_chunks", "arenas", "mallinfo2"):
            tap.equal(told[name], want[name], f"{name} as from outside")
        done = harness.fragscope("attach", target.pid)
        tap.equal(done.returncode, 1, "a second sampler is refused", done.stderr)
        attach(target.pid, "-i", "20ms", "--sampler-cost", "100")
        harness.until(lambda: preloading.rows(target.pid).row["sample_interval_ns"] < 10 ** 9,
                      "the new interval")
        done = harness.fragscope("trim", "--json", "--watch", "0", target.pid)
        tap.equal(done.returncode, 0, "it trims when asked", done.stderr)
        tap.equal(harness.stat(target.pid).row["trimmable_bytes"], 0, "nothing is left to trim")
        for _ in range(2):
            done = harness.fragscope("detach", target.pid)
            tap.equal(done.returncode, 0, "detach", done.stderr)
            harness.until(lambda: not preloading.thread(target.pid), "the thread's end")
            tap.ok(not has_ring(target), "its memory is unmapped and closed")
            attach(target.pid)
            harness.until(lambda: preloading.rows(target.pid).row.get("sample_age_ns"), "again")
        tap.ok(target.info()["uordblks"] > 0, "the program runs on")


def check_detach_interrupted(tap):
    """A stopped process does not end its sampler: the user need not wait for that."""
    with Target([harness.program("keeper")]) as target:
        target.line()
        attach(target.pid)
        target.process.send_signal(signal.SIGSTOP)
        harness.until(lambda: target.status("State").startswith("T"), "stopped")
        with Target([harness.FRAGSCOPE, "detach", target.pid],
                    stderr=subprocess.PIPE) as detaching:
            harness.until(lambda: int(detaching.status("SigCgt"), 16) & 1 << signal.SIGINT - 1,
                          "it catches the signal")
            detaching.process.send_signal(signal.SIGINT)
            tap.equal(detaching.process.wait(), 1, "interrupted")
            tap.ok("interrupted: " in detaching.process.stderr.read(), "says so")
        target.process.send_signal(signal.SIGCONT)
        harness.until(lambda: not has_ring(target), "the sampler's end")


def check_attach_others(tap):
    """Figures of other allocators, as run gives them."""
    for name, allocator, totals, _ in others.ALLOCATORS:
        with tap.section(allocator.rstrip("-")):
            env = {**harness.CLEAN_ENV, "LD_PRELOAD": others.library(name),
                   "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1,narenas:4"}
            with Target([harness.program("foreign")], env=env) as target:
                target.line()
                others.ask(target)
                target.rest()
                attach(target.pid, "-i", "1ms", "--sampler-cost", "100")
                preloading.next_sample(target.pid)
                told = others.ask(target)
                bins = [] if allocator.startswith("mimalloc") else ["--bins"]
                reading = others.whole_sample(target.pid, "--arenas", *bins)
                tap.ok(reading.row["allocator"].startswith(allocator), "allocator", reading.row)
                totals(tap, reading.row, told)


# The program is moved into a root file system in memory that holds it and its libraries, and
# nothing else; without "proc" not even /proc.
ELSEWHERE = """
import ctypes, os, shutil, subprocess, sys
root, proc, program, *words = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
def do(name, *args):
    if getattr(libc, name)(*args):
        sys.exit(f'{name}: {os.strerror(ctypes.get_errno())}')
files = [word for word in subprocess.run(['ldd', program], capture_output=True, text=True,
         check=True).stdout.split() if word.startswith('/')]
do('unshare', 0x20000)
do('mount', b'none', b'/', None, 0x44000, None)
do('mount', b'tmpfs', root.encode(), b'tmpfs', 0, None)
for name in [program, *files]:
    os.makedirs(root + os.path.dirname(name), exist_ok=True)
    shutil.copy(name, root + name)
os.mkdir(root + '/proc')
if proc:
    do('mount', b'proc', (root + '/proc').encode(), b'proc', 0, None)
os.chdir(root)
do('syscall', 155, b'.', b'.')
do('umount2', b'.', 2)
os.chdir('/')
os.execv(program, [program, *words])
"""


def elsewhere(root, program, *words, proc="proc"):
    """That program; it says ready."""
    harness.need_root("a mount namespace")
    harness.need("ldd")
    target = Target([harness.need("python3"), "-c", ELSEWHERE, root, proc, program, *words],
                    stderr=subprocess.PIPE)
    if not target.process.stdout.readline():
        reason = target.process.stderr.read()
        target.end()
        raise harness.Skip(f"no mount namespace: {reason}")
    return target


def memories(target):
    """The descriptors of what was lent to the program."""
    return [fd for fd in pathlib.Path(f"/proc/{target.pid}/fd").iterdir()
            if os.readlink(fd) == "/memfd:libfragscope-preload.so (deleted)"]


def check_elsewhere(tap):
    """A program that sees no file of ours gets a copy in memory."""
    with harness.scratch() as root, elsewhere(root, harness.program("oracle")) as target:
        before = sorted(os.listdir(f"/proc/{target.pid}/fd"))
        done = attach(target.pid, "-i", "20ms", "--sampler-cost", "100")
        tap.ok("it gets a copy as memory" in done.stderr, "says so", done.stderr)
        reading = preloading.next_sample(target.pid)
        tap.equal(reading.row["system_bytes"], harness.stat(target.pid).row["system_bytes"],
                  "samples are read")
        tap.equal(memories(target), [], "nothing of the copy stays open")
        for verb in (("trim", "--json", "--watch", "0"), ("trim", "--attach", "--watch", "0"),
                     ("attach", "-i", "1s"), ("detach",), ("attach",), ("detach",)):
            done = harness.fragscope(*verb, target.pid)
            tap.equal(done.returncode, 0, " ".join(verb), done.stderr)
        tap.equal(sorted(os.listdir(f"/proc/{target.pid}/fd")), before, "its descriptors")


def without_rights():
    """For a child that is root with no CAP_SYS_ADMIN and no CAP_CHECKPOINT_RESTORE."""
    libc = ctypes.CDLL(None)
    for capability in (21, 40):
        libc.prctl(24, capability, 0, 0, 0)


def check_elsewhere_refused(tap):
    """Where nothing could be loaded so, or be looked at later, nothing is made."""
    for proc, options, reason in (("", {}, "no /proc is there"),
                                  ("proc", {"preexec_fn": without_rights}, "CAP_SYS_ADMIN")):
        with harness.scratch() as root:
            with elsewhere(root, harness.program("keeper"), proc=proc) as target:
                done = harness.fragscope("attach", target.pid, **options)
                tap.equal(done.returncode, 69, reason, done.stderr)
                tap.ok(reason in done.stderr, "with the reason", done.stderr)
                tap.equal(memories(target), [], "nothing was made")


# What shows that each of the three calls has come to its end.
LENDING = [lambda target: len(memories(target)) == 1, lambda target: has_ring(target),
           lambda target: not memories(target)]


def killed_attach(target, call, number):
    """Runs attach, which is killed at a system call, or its helper is."""
    subprocess.run(
        [harness.need("strace"), "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
         f"inject={call}:signal=SIGKILL:when={number}", harness.FRAGSCOPE, "attach",
         str(target.pid)], capture_output=True, check=False)
    harness.until(lambda: target.status("TracerPid") == "0", "no tracer")


def check_lent(tap, target, name):
    """One copy is left at most; the next attach uses it, and nothing is left then."""
    left = memories(target)
    tap.ok(len(left) <= 1, f"{name}: one copy at most", left)
    done = harness.fragscope("attach", target.pid)
    tap.ok(done.returncode == 0 or "has a sampler already" in done.stderr,
           f"{name}: attached by the next", done.stderr)
    tap.equal(memories(target), [], f"{name}: nothing is left then")
    tap.equal(harness.fragscope("detach", target.pid).returncode, 0, f"{name}: detached")
    target.process.send_signal(signal.SIGUSR1)
    tap.equal(target.line(), "kept", f"{name}: as it was")


def check_elsewhere_killed(tap):
    """The verb is killed before each of its three calls and while it fills the memory, its
    helper before each call begins and as soon as it has."""
    with harness.scratch() as root:
        for call, number in (("ftruncate", 1), ("pwrite64", 1), ("pwrite64", 3)):
            with elsewhere(root, harness.program("keeper")) as target:
                killed_attach(target, call, number)
                check_lent(tap, target, f"the verb, at {call} {number}")
        for made, comes_to_its_end in enumerate(LENDING):
            for call in ("process_vm_writev", "sendto"):
                with elsewhere(root, harness.program("keeper")) as target:
                    if made:
                        killed_attach(target, "socketpair", made + 1)
                        tap.ok(LENDING[made - 1](target), f"{made} calls were made")
                    killed_attach(target, call, 1)
                    if call == "sendto":
                        harness.until(lambda t=target, e=comes_to_its_end: e(t), "the call")
                    check_lent(tap, target, f"the helper, call {made + 1}, at {call}")


# Filters one system call by its number and allows all others: in its first thread, or in one
# that waits, while the first one, without a filter, runs.
FILTERED = """
import ctypes, os, struct, sys, threading
number, action, where = int(sys.argv[1]), int(sys.argv[2], 16), sys.argv[3]
code = struct.pack('HBBI', 0x20, 0, 0, 0) + struct.pack('HBBI', 0x15, 0, 1, number) + (
    struct.pack('HBBI', 6, 0, 0, action) + struct.pack('HBBI', 6, 0, 0, 0x7fff0000))
code = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack('H6xP', 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
ended = False
def filtered():
    global ended
    libc.prctl(38, 1, 0, 0, 0)
    if libc.prctl(22, 2, program):
        os._exit(3)
    print('ready', threading.get_native_id(), flush=True)
    sys.stdin.readline()
    print('done', flush=True)
    ended = True
if where == 'first':
    filtered()
else:
    threading.Thread(target=filtered).start()
    while not ended:
        pass
"""
KILL, REFUSE = "80000000", "00050001"


def filtered(number, action, where="first"):
    return Target([harness.need("python3"), "-c", FILTERED, number, action, where])


def wait_for_filtered(target):
    tid = target.line().split()[1]
    harness.until(lambda: target.proc(f"task/{tid}/syscall").split()[0] == "0", "its wait")


def check_filtered(tap):
    """Filters of system calls are asked before a call is made, those of the very thread."""
    harness.need_root("reading a filter")
    for number, name in ((9999, "none"), (15, "rt_sigreturn"), (28, "madvise")):
        with filtered(number, KILL) as target:
            wait_for_filtered(target)
            done = trim(target.pid)
            tap.equal(done.returncode, 0 if name == "none" else 69,
                      f"a filter that ends it for {name}", done.stderr)
            tap.ok(name == "none" or "(seccomp)" in done.stderr, "with the reason", done.stderr)
            target.say("")
            tap.equal(target.line(), "done", "it runs on")
    with filtered(28, KILL, "second") as target:
        wait_for_filtered(target)
        done = trim(target.pid)
        tap.equal(done.returncode, 0, "a thread without a filter makes the call", done.stderr)
        tap.ok(f"thread {target.pid} " in done.stderr, "not the one that waits", done.stderr)
        target.say("")
        tap.equal(target.line(), "done", "it runs on")


def has_ring(target):
    """Whether anything of the sampler's memory is left, mapped or open."""
    return "fragscope-ring" in target.proc("maps") or any(
        "fragscope-ring" in os.readlink(fd)
        for fd in pathlib.Path(f"/proc/{target.pid}/fd").iterdir())


def check_no_thread(tap):
    """A process that can start no thread gets no sampler, and keeps nothing of it."""
    harness.need_root("reading a filter")
    if platform.libc_ver()[1].split(".") < ["2", "34"]:
        raise harness.Skip("threads are not started by clone3 here")
    with filtered(435, REFUSE) as target:
        wait_for_filtered(target)
        for words in ((), ("-i", "2s")):
            done = harness.fragscope("attach", *words, target.pid)
            tap.equal(done.returncode, 69, "no sampler", done.stderr)
            tap.ok("did not start" in done.stderr, "with the reason", done.stderr)
            tap.ok(not has_ring(target), "nothing of its memory stays")
        target.say("")
        tap.equal(target.line(), "done", "it runs on")


def check_refused(tap):
    """What cannot be attached to, with the reason."""
    with Target([harness.program("keeper", "static")]) as target:
        target.line()
        for verb in (("trim", "--attach"), ("attach",)):
            done = harness.fragscope(*verb, target.pid)
            tap.equal(done.returncode, 69, f"{verb[0]}: a static program", done.stderr)
            tap.ok("linked statically" in done.stderr, "with the reason", done.stderr)
    check_filtered(tap)
    with Target([harness.program("keeper")]) as target:
        target.line()
        strace = harness.need("strace")
        with Target([strace, "-f", "-o", "/dev/null", "-p", target.pid]) as tracer:
            harness.until(lambda: target.status("TracerPid") == str(tracer.pid), "strace")
            done = trim(target.pid)
            tap.equal(done.returncode, 77, "a traced program", done.stderr)
            tap.ok(f"process {tracer.pid} (strace) traces it" in done.stderr, "by whom",
                   done.stderr)
        done = harness.fragscope("detach", target.pid)
        tap.equal(done.returncode, 69, "detach without a sampler", done.stderr)


# Sleeps in code of its own making, as a JIT compiler's: "1: mov $34,%eax; syscall; jmp 1b".
STRANGE = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex('b8220000000f05ebf7'))
print('ready', flush=True)
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


def helper_of(pid):
    """The child that stops the target: it has a session of its own."""
    for child in children(pid):
        if os.getsid(child) == child:
            return child
    return None


def has_ended(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


def check_interrupted(tap):
    """Where no moment is safe; and when the user has enough of it."""
    with Target([harness.need("python3"), "-c", STRANGE]) as target:
        target.line()
        target.rest()
        done = refused(target.pid)
        tap.equal(done.returncode, 1, "no safe point", done.stderr)
        tap.ok("in code of no file" in done.stderr, "and why", done.stderr)
        with Target([harness.FRAGSCOPE, "trim", "--attach", "--for", "1h", target.pid],
                    stderr=subprocess.PIPE) as trimming:
            helper = harness.until(lambda: helper_of(trimming.pid), "the helper")
            trimming.process.send_signal(signal.SIGINT)
            tap.equal(trimming.process.wait(), 1, "interrupted")
            tap.ok("the process goes on" in trimming.process.stderr.read(), "says so")
            harness.until(lambda: has_ended(helper), "the helper's end")


def check_storm(tap):
    """16 threads that allocate, throw, fork and load, at 1000 signals a second."""
    rounds = int(os.environ.get("FRAGSCOPE_STORM", "8"))
    compiler = [harness.need("g++")]
    source = harness.SOURCE / "tests/programs"
    storm = harness.compile_program("storm", compiler, source / "storm.cc", ["-std=gnu++17"],
                                    ["-ldl"])
    plugin = harness.compile_program("storm-plugin.so", harness.CC, source / "plugin.c",
                                     ["-shared", "-fPIC", "-DNAME=work"])
    stood = []
    with Target([storm, plugin]) as target:
        target.line()
        for number in range(rounds):
            told = result(target.pid, "--watch", "0", "--for", "60s")
            stood.append(told["stood_ns"] / 1e6)
            if number % 4 == 0:
                attach(target.pid, "-i", "10ms", "--for", "60s")
            elif number % 4 == 2:
                harness.fragscope("detach", target.pid)
        target.say("")
        tap.ok(target.line().startswith("ok: "), f"{rounds} rounds: nothing is wrong")
    tap.reached(f"the process stood for {statistics.median(stood):.2f} ms in the median, "
                f"{max(stood):.2f} ms at most")


def main():
    tap = Tap()
    if platform.machine() != "x86_64":
        tap.skip("not run", "the system calls here are x86-64's; tests/vm/calls.py has arm64")
        tap.done()
    for name, check in (("dry run", check_dry_run), ("libcs", check_libcs), ("kept", check_kept),
                        ("hurry", check_hurry), ("stopped", check_stopped),
                        ("endless waits", check_endless_waits),
                        ("timed waits", check_timed_waits), ("vfork", check_vfork),
                        ("libc's thread", check_libc_thread),
                        ("idle", check_idle), ("circle", check_circle), ("worker", check_worker),
                        ("late stop", check_late_stop),
                        ("late wait", check_late_wait),
                        ("signal", check_signal_meanwhile),
                        ("killed", check_killed),
                        ("attach", check_attach),
                        ("detach interrupted", check_detach_interrupted),
                        ("elsewhere", check_elsewhere),
                        ("elsewhere, refused", check_elsewhere_refused),
                        ("elsewhere, killed", check_elsewhere_killed),
                        ("others", check_attach_others),
                        ("no thread", check_no_thread), ("refused", check_refused),
                        ("interrupted", check_interrupted), ("storm", check_storm)):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    main()
