"""What cannot be read is refused with a status of its own and a sentence that names it;
what goes wrong on the way ends cleanly."""

import glob
import pathlib
import shutil
import subprocess

import harness
from harness import CLEAN_ENV, FRAGSCOPE, Oracle, Skip, Tap, Target

FAILED, NO_SOURCE, NOT_PERMITTED = 1, 69, 77

GO_PROGRAM = """package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	fmt.Println("ready", os.Getpid())
	bufio.NewReader(os.Stdin).ReadString(0)
}
"""


def refused(tap, pid, status, *words):
    """stat on PID ends with STATUS, prints no row, and says each of WORDS in one line."""
    done = harness.fragscope("stat", "-p", pid, "--once", "--json")
    tap.equal(done.returncode, status, "exit status", done.stderr)
    tap.equal(done.stdout, "", "no row")
    lines = done.stderr.splitlines()
    tap.equal(len(lines), 1, "one line on standard error", done.stderr)
    tap.ok(done.stderr.startswith("fragscope: "), "the line is fragscope's", done.stderr)
    for word in (str(pid), *words):
        tap.ok(word.lower() in done.stderr.lower(), f"the message says '{word}'", done.stderr)


class Plain(Target):
    """tests/programs/plain.c, or a program that says as it does that it is ready."""

    def __init__(self, command, env=None):
        super().__init__(command, env={**CLEAN_ENV, **(env or {})})
        if self.line() != f"ready {self.pid}":
            self.end()
            raise RuntimeError("the program is not ready")


def dead_pid():
    with Target(["true"]) as target:
        target.process.wait()
        return target.pid


def run_gone(tap):
    refused(tap, dead_pid(), FAILED, "no such process")


def run_gone_in_mid_run(tap):
    with Oracle("--chunks 1000") as target:
        reader = subprocess.Popen(
            [FRAGSCOPE, "stat", "-p", str(target.pid), "--json", "0.02"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        first = [reader.stdout.readline() for _ in range(3)]
        target.end()
        out, err = reader.communicate(timeout=harness.PATIENCE_S)
        rows = harness.read_json("".join(first) + out)
        tap.ok(len(rows) >= 3, "rows are kept", len(rows))
        tap.equal(reader.returncode, 0, "exit status", err)
        tap.ok(str(target.pid) in err, "the message names the process", err)


def run_not_permitted(tap):
    harness.need_root("to become another user")
    setpriv = harness.need("setpriv")
    with harness.scratch() as directory, Oracle("--chunks 100") as target:
        copy = shutil.copy(FRAGSCOPE, directory / "fragscope")
        done = subprocess.run(
            [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups", copy, "stat",
             "-p", str(target.pid), "--once"],
            capture_output=True, text=True, check=False, env=CLEAN_ENV, cwd="/",
        )
        tap.equal(done.returncode, NOT_PERMITTED, "exit status", done.stderr)
        tap.equal(done.stdout, "", "no row")
        for word in (str(target.pid), "oracle", "root", "CAP_SYS_PTRACE", "run as"):
            tap.ok(word in done.stderr, f"the message says '{word}'", done.stderr)


def run_musl(tap):
    compiler = harness.need("musl-gcc")
    source = harness.SOURCE / "tests/programs/plain.c"
    for name, flags in (("musl", []), ("musl-static", ["-static"])):
        with tap.section(name):
            path = harness.compile_program(f"plain-{name}", [compiler], source, flags)
            with Plain([path]) as target:
                refused(tap, target.pid, NO_SOURCE, "musl's malloc" if name == "musl" else "glibc")


def run_redis(tap):
    path = harness.need("redis-server")
    with harness.scratch() as directory:
        options = ["--port", 0, "--unixsocket", directory / "socket", "--dir", directory,
                   "--save", "", "--daemonize", "no"]
        with Target([path, *options], stdout=subprocess.DEVNULL) as target:
            harness.until((directory / "socket").exists, "redis-server listening")
            refused(tap, target.pid, NO_SOURCE, "jemalloc", "redis")


def preloaded(pattern):
    found = sorted(glob.glob(f"/usr/lib/*/{pattern}"))
    if not found:
        raise Skip(f"{pattern} is not installed")
    return found[0]


def run_preloaded(tap, pattern, name):
    library = preloaded(pattern)
    with Plain([harness.program("plain")], {"LD_PRELOAD": library}) as target:
        refused(tap, target.pid, NO_SOURCE, name, "plain")


def run_go(tap):
    go = harness.need("go")
    with harness.scratch() as directory:
        source = directory / "waits.go"
        source.write_text(GO_PROGRAM)
        env = {**CLEAN_ENV, "CGO_ENABLED": "0", "GOCACHE": str(directory / "cache"),
               "GOFLAGS": "", "HOME": str(directory), "GOTOOLCHAIN": "local"}
        built = subprocess.run(
            [go, "build", "-o", directory / "waits", source], capture_output=True, text=True,
            check=False, env=env, cwd=directory, stdin=subprocess.DEVNULL,
        )
        if built.returncode != 0:
            raise Skip(f"go build failed: {built.stderr}")
        with Plain([directory / "waits"]) as target:
            refused(tap, target.pid, NO_SOURCE, "waits", "glibc")


def run_unused(tap):
    """A glibc whose malloc was never called: nothing to report, and said so."""
    with Oracle("") as target:
        refused(tap, target.pid, NO_SOURCE, "unused", "--source proc")


def run_kernel_thread(tap):
    fields = pathlib.Path("/proc/2/stat")
    kernel_thread = 0x00200000
    if not fields.exists():
        raise Skip("there is no process 2")
    if not int(fields.read_text().rpartition(")")[2].split()[6]) & kernel_thread:
        raise Skip("process 2 is no kernel thread here")
    refused(tap, 2, NO_SOURCE, "kernel thread")


def run_zombie(tap):
    with Target(["sleep", "1000"]) as target:
        target.process.kill()
        harness.until(lambda: target.proc("stat").rpartition(")")[2].split()[0] == "Z", "zombie")
        refused(tap, target.pid, NO_SOURCE, "zombie")


def run_corrupt(tap):
    for args in ("--chunks 5000", "--chunks 5000 --hostile --threads 2 --free-pattern keep:3"):
        with tap.section(f"corrupt heap, {args}"), Oracle(args) as target:
            tap.equal(target.ask("corrupt"), "ok", "a chunk's size is overwritten")
            done = harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "0", 20)
            tap.equal(done.returncode, 0, "exit status", done.stderr)
            rows = harness.read_json(done.stdout)
            tap.equal(len(rows), 20, "rows")
            states = {reading.row["status"] for reading in rows}
            tap.ok("complete" not in states, "no row is complete", states)


def run_crooked(tap):
    """Lists that lead in a circle."""
    version = harness.Libc("host").number
    if not (2, 32) <= version <= (2, 42):
        raise Skip("the program knows the lists of glibc 2.32 to 2.42")
    crooked = harness.program("crooked")
    with Plain([crooked, "cache"]) as target:
        for args in ((), ("--arenas",)):
            done = harness.fragscope("stat", "-p", target.pid, "--json", *args, "0", 3)
            tap.equal(done.returncode, 0, "exit status", done.stderr)
            rows = [reading.row for reading in harness.read_json(done.stdout)]
            tap.equal({row["status"] for row in rows}, {"torn"}, "a bent cache is in doubt")
            # 7 chunks of each size from 32 bytes on.
            least = 7 * sum(32 + 16 * i for i in range(60))
            doubt = min(row["in_doubt_bytes"] for row in rows)
            tap.ok(doubt >= least, "all of it is", doubt, least)
    with Plain([crooked, "ring"]) as target:
        refused(tap, target.pid, NO_SOURCE, "damaged")


def run_look_alikes(tap):
    """Memory that looks like mmapped chunks, where they are looked for first."""
    with Plain([harness.program("crooked"), "mapped"]) as target:
        row = harness.stat(target.pid).row
        tap.equal(row["status"], "complete", "status", row.get("missing"))
        tap.equal(row["mmapped_chunks"], 3, "chunks")
        # The first and the last page of a chunk were written, and all between.
        tap.equal(row["mmapped_resident_bytes"], row["mmapped_bytes"], "all are resident")
        tap.ok(row["other_resident_bytes"] > 16 << 20, "the rest is not malloc's", row)


def run_exec(tap):
    """The process becomes another program while it is watched."""
    plain = harness.program("plain")
    with Target(["sh", "-c", 'echo "ready $$"; read go; exec "$0"', plain]) as target:
        tap.equal(target.line(), f"ready {target.pid}", "the program runs")
        reader = subprocess.Popen(
            [FRAGSCOPE, "stat", "-p", str(target.pid), "--json", "0.02"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        first = [reader.stdout.readline() for _ in range(3)]
        target.say("go")
        tap.equal(target.line(), f"ready {target.pid}", "it is another program now")
        want = harness.stat(target.pid).row["mallinfo2"]
        # Rows of the new program's heap, or an end that says why.
        before = []
        while (line := reader.stdout.readline()) and "executed another" not in line:
            before.append(line)
        last = [line]
        while len(last) < 100 and (line := reader.stdout.readline()):
            last.append(line)
        target.end()
        err = reader.communicate(timeout=harness.PATIENCE_S)[1]
        tap.equal(reader.returncode, 0, "exit status", err)
        rows = [reading.row for reading in harness.read_json("".join(first + before + last))]
        tap.ok(len(rows) >= 3, "rows are kept", len(rows))
        tap.ok(str(target.pid) in err, "the message names the process", err)
        stale = [
            row for row in rows[-5:]
            if len(last) == 100 and row["status"] == "complete" and row["mallinfo2"] != want
        ]
        tap.equal(stale, [], "no row of the new program shows the old one's heap")


CASES = [
    ("no such process", run_gone),
    ("process gone in mid-run", run_gone_in_mid_run),
    ("not permitted", run_not_permitted),
    ("musl", run_musl),
    ("redis with jemalloc", run_redis),
    ("jemalloc preloaded", lambda tap: run_preloaded(tap, "libjemalloc.so.2", "jemalloc")),
    ("tcmalloc preloaded", lambda tap: run_preloaded(tap, "libtcmalloc*.so.4", "tcmalloc")),
    ("Go program", run_go),
    ("malloc unused", run_unused),
    ("kernel thread", run_kernel_thread),
    ("zombie", run_zombie),
    ("corrupt heap", run_corrupt),
    ("crooked lists", run_crooked),
    ("look-alikes", run_look_alikes),
    ("exec", run_exec),
]


def main():
    tap = Tap()
    for name, run in CASES:
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
