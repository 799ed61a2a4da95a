"""Bursts of a probe on malloc: every size that a program asks for is counted, in its share,
and no other; the program goes on unharmed, wherever its libc is; nothing stays attached,
whatever ends the probing process. Nothing here looks at the time."""

import contextlib
import json
import pathlib
import re
import shutil
import signal
import subprocess

import harness
from harness import BUILD, CLEAN_ENV, Libc, Skip, Tap, Target

WATCH = str(BUILD / "tests/live/watch_bursts")
NO_SOURCE, NOT_PERMITTED = 69, 77
TOO_BUSY = "the machine is too busy for a child of this program to run"
BURSTS = 10

# Classes of sizes by their least member: of the thread with small blocks (24, 24, 24, 100)
# and of the other (1000, 5000).
SMALL, SMALLER, LARGE, LARGER = 64, 16, 512, 4096

# What one burst may see of a round of sizes beyond whole rounds.
PARTIAL = 4


class Sizes(Target):
    """tests/programs/sizes.c."""

    def __init__(self, command, env=None):
        super().__init__(command, env={**CLEAN_ENV, **(env or {})})
        word, self.inner_pid, addr = self.line().split()
        self.malloc = int(addr, 16)
        if word != "ready":
            self.end()
            raise RuntimeError("the program is not ready")

    def code(self):
        """The first bytes of its malloc, as they are now."""
        with open(f"/proc/{self.pid}/mem", "rb") as memory:
            memory.seek(self.malloc)
            return memory.read(16)

    def verdict(self):
        self.process.stdin.close()
        return self.line()


def watch(pid, *args, count=BURSTS):
    return subprocess.run(
        [WATCH, str(pid), str(count), *args],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=harness.PATIENCE_S,
    )


def need_bursts():
    harness.need_root("a probe")
    with Sizes([harness.program("sizes")]) as target:
        done = watch(target.pid, count=0)
    if done.returncode == NO_SOURCE or TOO_BUSY in done.stderr:
        raise Skip(done.stderr.strip())
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")


def check_sizes(tap, done):
    """What sizes.c does is what was seen."""
    if not tap.equal(done.returncode, 0, "exit status", done.stderr):
        return None
    seen = json.loads(done.stdout)
    counts = {row["from"]: row["count"] for row in seen["sizes"]}
    tap.equal(sorted(counts), [SMALLER, SMALL, LARGE, LARGER], "classes of sizes")
    tap.equal(seen["calls"], sum(counts.values()), "calls are the sum")
    count = [counts.get(size, 0) for size in (SMALLER, SMALL, LARGE, LARGER)]
    room = PARTIAL * seen["bursts"]
    tap.within(count[0] - 3 * count[1], -room, room, "three of 24 to one of 100", count)
    tap.within(count[2] - count[3], -room, room, "as many of 1000 as of 5000", count)
    return seen


def check_target(tap, target, code):
    tap.equal(target.code(), code, "malloc's code is as it was")
    tap.equal(target.verdict(), "intact", "the program's memory")


def run_sizes(tap):
    need_bursts()
    with Sizes([harness.program("sizes")]) as target:
        code = target.code()
        done = watch(target.pid)
        seen = check_sizes(tap, done)
        if seen:
            tap.equal(seen["kind"], "bursts", "kind")
            tap.equal(seen["pid"], target.pid, "pid")
            tap.equal(seen["bursts"], BURSTS, "bursts")
            tap.ok("latency_ns" not in seen, "no latency unasked")
        tap.ok(
            re.match(r"bursts: \d+\.\d\d us a malloc while a burst lasts .* a program of "
                     r"1,000,000 mallocs a second is slowed by \d+\.\d\d% on average",
                     done.stderr),
            "the price is told", done.stderr)
        check_target(tap, target, code)


def run_latency(tap):
    need_bursts()
    with Sizes([harness.program("sizes")]) as target:
        code = target.code()
        done = watch(target.pid, "latency")
        seen = check_sizes(tap, done)
        if seen:
            timed = sum(row["count"] for row in seen["latency_ns"])
            # A call that is under way when the probe goes has no end.
            tap.within(timed, seen["calls"] - 2 * BURSTS, seen["calls"], "calls timed")
            own = seen["latency_own_ns"]
            tap.ok(0 < own["from"] < own["to"], "the probe's own time", own)
        check_target(tap, target, code)


def run_libcs(tap):
    """Prologues differ: push first, a load before it, a test and a jump, endbr64."""
    need_bursts()
    for name in harness.OTHER_LIBCS:
        with tap.section(name):
            libc = Libc(name)
            command = libc.command(harness.program("sizes", "portable"))
            with Sizes(command) as target:
                code = target.code()
                done = watch(target.pid)
                check_sizes(tap, done)
                tap.ok("does not emulate" not in done.stderr, "the cheap way", done.stderr)
                check_target(tap, target, code)


def run_static(tap):
    need_bursts()
    with Sizes([harness.program("sizes", "static")]) as target:
        code = target.code()
        check_sizes(tap, watch(target.pid))
        check_target(tap, target, code)
    with Sizes([harness.program("sizes", "static-stripped")]) as target:
        done = watch(target.pid)
        tap.equal(done.returncode, NO_SOURCE, "stripped: exit status", done.stderr)
        tap.ok("stripped" in done.stderr, "stripped: the message says so", done.stderr)


def own_libc(directory):
    """A copy of the machine's libc with its loader in DIRECTORY; the command's start."""
    program = harness.program("sizes")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    libc = re.search(r"=> (/\S*/libc\.so\.6)", listed.stdout).group(1)
    loader = re.search(r"^\s*(/\S*/ld-linux\S*)", listed.stdout, re.M).group(1)
    shutil.copy(libc, directory / "libc.so.6")
    shutil.copy(loader, directory / "loader")
    return [directory / "loader", "--library-path", directory, program]


def run_replaced(tap):
    need_bursts()
    with harness.scratch() as directory, Sizes(own_libc(directory)) as target:
        code = target.code()
        (directory / "libc.so.6").unlink()
        check_sizes(tap, watch(target.pid))
        # Another file of that name is none of the program's.
        (directory / "libc.so.6").write_bytes(b"not a library")
        check_sizes(tap, watch(target.pid))
        check_target(tap, target, code)


def run_mount_namespace(tap):
    need_bursts()
    unshare = harness.need("unshare")
    with harness.scratch() as directory:
        inside = directory / "inside"
        outside = directory / "outside"
        inside.mkdir()
        outside.mkdir()
        command = own_libc(outside)
        script = 'mount -t tmpfs none "$1" && cp "$2"/* "$1" && shift 2 && exec "$@"'
        words = [str(word).replace(str(outside), str(inside)) for word in command]
        with Sizes([unshare, "--mount", "sh", "-c", script, "sh", inside, outside, *words]
                   ) as target:
            tap.equal(list(inside.iterdir()), [], "its libc is not to be seen from here")
            code = target.code()
            check_sizes(tap, watch(target.pid))
            check_target(tap, target, code)


def run_unprivileged(tap):
    need_bursts()
    setpriv = harness.need("setpriv")
    with harness.scratch() as directory:
        program = shutil.copy(harness.program("sizes"), directory / "sizes")
        copy = shutil.copy(WATCH, directory / "watch")
        user = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups",
                "--inh-caps=-all", "--bounding-set=-all"]
        with Sizes([*user, program]) as target:
            done = subprocess.run(
                [*user, copy, str(target.pid), "1"],
                capture_output=True, text=True, check=False)
            tap.equal(done.returncode, NOT_PERMITTED, "exit status", done.stderr)
            tap.ok("CAP_BPF" in done.stderr, "the message names CAP_BPF", done.stderr)
            tap.equal(done.stdout, "", "no figures")


def run_capabilities(tap):
    """For one's own program, what the message tells to give is enough."""
    need_bursts()
    setpriv = harness.need("setpriv")
    caps = "-all,+bpf,+perfmon,+sys_ptrace"
    user = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]
    with harness.scratch() as directory:
        program = shutil.copy(harness.program("sizes"), directory / "sizes")
        copy = shutil.copy(WATCH, directory / "watch")
        with Sizes([*user, program]) as target:
            code = target.code()
            done = subprocess.run(
                [*user, f"--inh-caps={caps}", f"--ambient-caps={caps}",
                 copy, str(target.pid), str(BURSTS)],
                capture_output=True, text=True, check=False, timeout=harness.PATIENCE_S)
            check_sizes(tap, done)
            check_target(tap, target, code)


def run_pid_namespace(tap):
    """Both within a PID namespace, and only the program in one."""
    need_bursts()
    unshare = harness.need("unshare")
    with Sizes([unshare, "--pid", "--fork", "--kill-child", harness.program("sizes")]
               ) as parent:
        tap.equal(parent.inner_pid, "1", "the program is the first of its namespace")
        target = children(parent.pid)[0]
        check_sizes(tap, watch(target))
        tap.equal(parent.verdict(), "intact", "the program's memory")
    script = ('sleep 600 | "$1" >"$3/ready" & '
              'until grep -q ready "$3/ready"; do sleep 0.05; done; "$2" $! 10')
    with harness.scratch() as directory:
        done = subprocess.run(
            [unshare, "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script,
             "sh", harness.program("sizes"), WATCH, directory],
            stdin=subprocess.PIPE, capture_output=True, text=True, check=False,
            timeout=harness.PATIENCE_S)
        check_sizes(tap, done)


def run_end(tap):
    """The program ends, or becomes another, between two bursts."""
    need_bursts()
    sleep = harness.need("sleep")
    for what, args in (("has ended", []), ("executed another program", [sleep, "60"])):
        with Sizes([harness.program("sizes"), *args]) as target, subprocess.Popen(
            [WATCH, str(target.pid), "1000000"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as watcher:
            watcher.stderr.readline()
            target.process.stdin.close()
            out, err = watcher.communicate(timeout=harness.PATIENCE_S)
            tap.equal(watcher.returncode, 0, f"{what}: exit status", err)
            tap.ok(what in err, f"{what}: the message", err)
            tap.equal(out, "", f"{what}: no figures")


def stopped_in_burst(target, watcher, code):
    """Stops WATCHER; whether its probe is in the target's code."""
    watcher.send_signal(signal.SIGSTOP)
    harness.until(
        lambda: re.search(r"\) T ", pathlib.Path(f"/proc/{watcher.pid}/stat").read_text(
            encoding="ascii")), "the watcher stops")
    if target.code() != code:
        return True
    watcher.send_signal(signal.SIGCONT)
    return False


def run_killed(tap):
    need_bursts()
    program = harness.program("sizes")
    with Sizes([program]) as target, Sizes([program]) as bystander:
        code = target.code()
        tap.equal(bystander.code(), code, "another process has the same malloc")
        with subprocess.Popen([WATCH, str(target.pid), "1000000"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as watcher:
            watcher.stderr.readline()
            harness.until(lambda: target.code() != code and
                          stopped_in_burst(target, watcher, code), "a burst")
            changed = [i for i, byte in enumerate(target.code()) if byte != code[i]]
            tap.equal(len(changed), 1, "one byte of malloc is changed in a burst")
            tap.equal(bystander.code(), code, "and none of the other process's")
            watcher.kill()
            watcher.wait()
        # The kernel closes what a killed process held when it gets to it.
        harness.until(lambda: target.code() == code, "the probe goes")
        tap.reached("the probe is gone with the process")
        check_target(tap, target, code)


def children(pid):
    with contextlib.suppress(FileNotFoundError):
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(
            encoding="ascii").split()
    return []


def has_ended(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return re.search(r"\) [ZX] ", text) is not None


def run_killed_in_calibration(tap):
    need_bursts()
    with Sizes([harness.program("sizes")]) as target:
        code = target.code()
        with subprocess.Popen([WATCH, str(target.pid), "0"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as watcher:
            child = harness.until(lambda: children(watcher.pid), "a child")[0]
            tap.equal(target.code(), code, "the program is not touched meanwhile")
            watcher.kill()
            watcher.wait()
        harness.until(lambda: has_ended(child), "the child ends")
        tap.reached("the child ends with its parent")
        check_target(tap, target, code)


def main():
    tap = Tap()
    for run in (run_sizes, run_latency, run_libcs, run_static, run_replaced,
                run_mount_namespace, run_pid_namespace, run_unprivileged,
                run_capabilities, run_end, run_killed,
                run_killed_in_calibration):
        with tap.section(run.__name__.removeprefix("run_").replace("_", " ")):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
