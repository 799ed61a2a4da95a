"""A program with the sampler lives as it would without: forks, executes, becomes a daemon,
closes what it finds open, ends; and the sampler is where it is meant to be."""

import os
import subprocess
import sys
import time

import harness
import preloading
from harness import Tap, Target

PYTHON = sys.executable


def own(pid):
    """Whether PID has a ring of its own that tells something."""
    done = harness.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json")
    return done.returncode == 0 and '"sample_age_ns"' in done.stdout


def check_thread(tap):
    with Target(["sleep", "600"], env=preloading.environment()) as target:
        preloading.next_sample(target.pid)
        threads = target.tasks()
        tap.equal(sorted((task / "comm").read_text() for task in threads),
                  ["fragscope\n", "sleep\n"], "one thread, and its name")
        tap.equal(preloading.open_signals(target.pid), 0, "every signal is blocked in it")
        stacks = target.proc("maps").count("[stack")
        tap.equal(stacks, 1, "no second stack of the kernel's")


FORKS = """
import os, sys
def sums(rounds):
    for _ in range(rounds):
        pid = os.fork()
        if not pid:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
print("ready", flush=True)
sums(int(sys.argv[1]))
print("done", flush=True)
pid = os.fork()
if not pid:
    sys.stdin.read()
    os._exit(0)
print(pid, flush=True)
sys.stdin.read()
"""


def check_fork(tap):
    for settings, want in (("interval=1ms,max_cost=100%", True),
                           ("interval=1ms,max_cost=100%,children=no", False)):
        with Target([PYTHON, "-c", FORKS, 1000], env=preloading.environment(settings)) as target:
            target.line()
            preloading.next_sample(target.pid)
            before = target.proc("maps").count("memfd:fragscope-ring")
            tap.equal(target.line(), "done", "a thousand forks")
            child = int(target.line())
            tap.equal(target.proc("maps").count("memfd:fragscope-ring"), before, "no ring leaks")
            tap.equal(before, 1, "there is one")
            preloading.next_sample(target.pid)
            name = f"a forked child, {settings.split(',')[-1]}"
            if want:
                harness.until(lambda child=child: own(child), "a ring of the child's")
                tap.equal(preloading.rows(child).row["pid"], child, name)
            else:
                time.sleep(0.3)
                tap.equal(own(child), False, name)
            descriptors = [os.readlink(f"/proc/{child}/fd/{fd}")
                           for fd in os.listdir(f"/proc/{child}/fd")]
            rings = sum("fragscope-ring" in link for link in descriptors)
            tap.within(rings, 0, int(want), f"{name}: descriptors of its parent's ring are gone",
                       descriptors)


DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
read = int(sys.argv[1])
os.write(read, b"%d\\n" % os.getpid())
os.closerange(0, 1 << 16)
os.chdir("/")
for _ in range(3):
    os.open("/dev/null", os.O_RDWR)
time.sleep(600)
"""


def check_daemon(tap):
    read, write = os.pipe()
    subprocess.run([PYTHON, "-c", DAEMON, str(write)], env=preloading.environment(), check=True,
                   pass_fds=[write], timeout=harness.PATIENCE_S)
    os.close(write)
    with os.fdopen(read) as pipe:
        daemon = int(pipe.readline())
    try:
        reading = preloading.next_whole_sample(daemon)
        tap.equal(reading.row["status"], "complete", "a daemon without descriptors is told",
                  reading.row.get("missing"))
        tap.equal(sorted(os.listdir(f"/proc/{daemon}/fd")), ["0", "1", "2"],
                  "and has only its own")
    finally:
        os.kill(daemon, 15)


def check_closed(tap):
    """Descriptors that the program opens after closing all are its own for good."""
    script = ("import os, time\n"
              "os.closerange(3, 1 << 20)\n"
              "fds = [os.open('/dev/zero', os.O_RDONLY) for _ in range(200)]\n"
              "for _ in range(20):\n"
              "    time.sleep(0.02)\n"
              "    assert all(os.read(fd, 8) == bytes(8) for fd in fds)\n"
              "print('good', flush=True)\n"
              "time.sleep(600)\n")
    env = preloading.environment("interval=1ms,max_cost=100%")
    with Target([PYTHON, "-c", script], env=env) as target:
        tap.equal(target.line(), "good", "the program's descriptors stay its own")
        reading = preloading.next_whole_sample(target.pid)
        tap.equal(reading.row["status"], "complete", "and it is told")


def check_exec(tap):
    env = preloading.environment()
    with Target(["sh", "-c", "sleep 0.3; exec sleep 600"], env=env) as target:
        harness.until(lambda: "sleep" in target.proc("comm"), "the exec")
        tap.equal(preloading.next_sample(target.pid).row["comm"], "sleep", "after an exec")
        rings = [line for line in target.proc("maps").splitlines() if "fragscope-ring" in line]
        links = [os.readlink(f"/proc/{target.pid}/fd/{fd}")
                 for fd in os.listdir(f"/proc/{target.pid}/fd")]
        tap.equal(len(rings), 1, "one ring")
        tap.within(sum("fragscope-ring" in link for link in links), 0, 1, "of one program", links)


# Every way of starting a child that a program has; each tells its PID once it runs.
STARTS = """
import os, shlex, subprocess, sys
out = int(sys.argv[1])
words = [sys.executable, "-c",
         f"import os, sys; os.write({out}, b'%d\\\\n' % os.getpid()); sys.stdin.read()"]
os.posix_spawn(words[0], words, os.environ)
subprocess.Popen(words, pass_fds=[out])
subprocess.Popen(shlex.join(words) + "; true", shell=True, pass_fds=[out])
if not os.fork():
    os.execv(words[0], words)
sys.stdin.read()
"""


def starts(settings):
    """Whether such children have samplers."""
    read, write = os.pipe()
    # The program that starts them has executed another before.
    words = [PYTHON, "-c", "import os, sys; os.execv(sys.executable, [sys.executable, '-c', "
             "*sys.argv[1:]])", STARTS, str(write)]
    with Target(words, env=preloading.environment(settings), pass_fds=[write]) as target:
        os.close(write)
        with os.fdopen(read) as pipe:
            pids = [int(pipe.readline()) for _ in range(4)]
        preloading.next_sample(target.pid)
        return [preloading.thread(pid) is not None for pid in pids]


def check_children(tap):
    settings = "interval=20ms,max_cost=100%"
    tap.equal(starts(settings), [True] * 4, "children have samplers, however they start")
    tap.equal(starts(f"{settings},children=no"), [False] * 4,
              "with children=no none has, and the program that executed another keeps its own")


SPAWNS = """
import os, subprocess, sys
for i in range(int(sys.argv[1])):
    assert subprocess.run(["true"]).returncode == 0              # vfork
    pid = os.posix_spawn("/bin/false", ["false"], os.environ)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
print("done")
"""

THREADS = """
import threading, time
def work():
    for i in range(50):
        x = [bytes(n) for n in range(100)]
end = time.monotonic() + 3
count = 0
while time.monotonic() < end:
    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    count += 8
print("done")
"""


def check_ends(tap):
    """Programs end as they would, while they are being sampled every millisecond."""
    env = preloading.environment("interval=1ms,max_cost=100%")
    for name, command, want in (
        ("1000 programs that end at once", ["sh", "-c", "i=0; while [ $i -lt 1000 ]; do "
         "/bin/true || exit 1; i=$((i + 1)); done; exit 3"], 3),
        ("100 that end after a sample", ["sh", "-c", "i=0; while [ $i -lt 100 ]; do "
         "/bin/sleep 0.01 || exit 1; i=$((i + 1)); done; exit 4"], 4),
        ("100 that are killed", ["sh", "-c", "i=0; while [ $i -lt 100 ]; do "
         "sleep 9 & kill -9 $!; wait; i=$((i + 1)); done; exit 5"], 5),
        ("vfork and posix_spawn", [PYTHON, "-c", SPAWNS, "200"], 0),
        ("threads that come and go", [PYTHON, "-c", THREADS], 0),
        ("abort", [PYTHON, "-c", "import os, time; time.sleep(0.05); os.abort()"], -6),
        ("exit from a thread", [PYTHON, "-c", "import os, threading\n"
         "threading.Thread(target=lambda: os._exit(6)).start()\nimport time; time.sleep(9)"], 6),
    ):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE_S)
        tap.equal((done.returncode, done.stderr), (want, ""), name)


def outcome(command, env, **options):
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False,
                          timeout=harness.PATIENCE_S, **options)
    return done.returncode, done.stdout, done.stderr


def check_asan(tap):
    """Where its runtime is not looked for in the first place, the sampler still stays out."""
    harness.need(harness.CC[0])
    with harness.scratch() as directory:
        source = directory / "asan.c"
        source.write_text("#include <stdio.h>\nint main(void) { return !puts(\"runs\") || "
                          "fflush(stdout) || getchar() != EOF; }\n")
        program = directory / "asan"
        done = subprocess.run([*harness.CC, "-fsanitize=address", "-o", program, source],
                              capture_output=True, check=False)
        if done.returncode:
            raise harness.Skip("AddressSanitizer is not installed")
        env = preloading.environment(ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
        with Target([program], env=env) as target:
            tap.equal(target.line(), "runs", "runs")
            tap.equal(len(target.tasks()), 1, "without a sampler")
            target.process.stdin.close()
            tap.equal(target.process.wait(timeout=harness.PATIENCE_S), 0, "and ends")


def check_other_users(tap):
    harness.need_root("another user")
    with preloading.for_others() as directory:
        env = preloading.environment(LD_PRELOAD=str(directory / preloading.SAMPLER.name))
        tap.equal(outcome([harness.need("su"), "-s", "/bin/true", "nobody"], env), (0, "", ""),
                  "a set-user-ID program runs as it would")
        tap.equal(outcome([harness.need("bash"), "-c", "ulimit -u 1; exec cat /dev/null"], env,
                          user=65534), (0, "", ""), "no thread to be had")


def check_stays_out(tap):
    env = preloading.environment()
    bare = harness.CLEAN_ENV
    with tap.section("valgrind"):
        command = [harness.need("valgrind"), "-q", "--error-exitcode=9", "/bin/true"]
        tap.equal(outcome(command, env), (0, "", ""), "runs as it would")
    with tap.section("AddressSanitizer"):
        check_asan(tap)
    with tap.section("other users"):
        check_other_users(tap)
    for limit in ("-n 4", "-v 6000", "-v 20000"):
        command = ["sh", "-c", f"ulimit {limit}; exec sh -c 'exit 3'"]
        tap.equal(outcome(command, env), outcome(command, bare), f"ulimit {limit}: as it would")


READ_ONLY = """
mount --make-rprivate / || exit 77
for at in $(cut -d' ' -f5 /proc/self/mountinfo | sort -r); do
    case $at in /proc*|/sys*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null ;; esac
done
for at in / /tmp /dev/shm /var/tmp; do
    if touch "$at/fragscope-test" 2>/dev/null; then rm "$at/fragscope-test"; exit 77; fi
done
echo ready
exec env LD_PRELOAD="$1" FRAGSCOPE=interval=20ms cat
"""


def check_read_only(tap):
    """No file is needed anywhere."""
    harness.need_root("a mount namespace")
    unshare = harness.need("unshare")
    preloading.environment()
    with Target([unshare, "-m", "sh", "-c", READ_ONLY, "sh", preloading.SAMPLER],
                stderr=subprocess.DEVNULL) as target:
        if target.process.stdout.readline() != "ready\n":
            raise harness.Skip("the file systems cannot be made read-only")
        harness.until(lambda: preloading.thread(target.pid), "the sampler")
        row = preloading.next_whole_sample(target.pid).row
        tap.equal((row["comm"], row["status"]), ("cat", "complete"),
                  "a program that can write nowhere is told")


UNLOAD = """
import ctypes, _ctypes, sys
_ctypes.dlclose(ctypes.CDLL(sys.argv[1])._handle)
print("ready", flush=True)
sys.stdin.read()
"""


def check_unload(tap):
    """Loaded late, it stays for good: its thread runs in it."""
    preloading.environment()
    with Target([PYTHON, "-c", UNLOAD, preloading.SAMPLER]) as target:
        tap.equal(target.line(), "ready", "dlopen and dlclose")
        tap.ok(preloading.next_whole_sample(target.pid).row["system_bytes"] > 0, "it is told")
        target.process.stdin.close()
        tap.equal(target.process.wait(timeout=harness.PATIENCE_S), 0, "and ends")


def main():
    tap = Tap()
    for name, check in (("thread", check_thread), ("fork", check_fork), ("daemon", check_daemon),
                        ("closed", check_closed), ("exec", check_exec),
                        ("children", check_children), ("ends", check_ends),
                        ("stays out", check_stays_out), ("read-only", check_read_only),
                        ("unload", check_unload)):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
