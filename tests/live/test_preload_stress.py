"""The sampler under stress: processes and threads that begin and end ten thousand times
while samples are taken every millisecond; and beside every libc that it may meet."""

import shutil
import subprocess
import sys

import harness
import preloading
from harness import Libc, Oracle, Skip, Tap

ROUNDS = 10000
FEW_ROUNDS = 400
SETTINGS = "interval=1ms,max_cost=100%"


def run_lives(tap, command, rounds, settings=SETTINGS, *words):
    done = subprocess.run([*command, str(rounds), *words], env=preloading.environment(settings),
                          capture_output=True, text=True, check=False,
                          timeout=harness.PATIENCE_S * 3)
    tap.equal((done.returncode, done.stderr), (0, ""), f"{rounds} lives end as they should")
    lines = [line.split() for line in done.stdout.splitlines()]
    if [line[0] for line in lines] == ["before", "after"]:
        tap.equal(lines[1][1:], lines[0][1:], "descriptors, rings and mappings left over")
        return int(lines[0][2])
    tap.ok(False, "lives tell what is left over", done.stdout)
    return None


def check_lives(tap):
    program = [str(harness.program("lives"))]
    tap.equal(run_lives(tap, program, ROUNDS), 1, "there is a ring")
    tap.equal(run_lives(tap, program, FEW_ROUNDS, f"{SETTINGS},children=no"), 1,
              "there is a ring, of the parent alone")


def check_leaving(tap):
    """The sampler is not what keeps a program alive whose main thread has left."""
    for _ in range(5):
        done = subprocess.run([str(harness.program("lives")), "leave"], check=False, text=True,
                              env=preloading.environment("interval=1h"), capture_output=True,
                              timeout=harness.PATIENCE_S)
        tap.equal((done.returncode, done.stdout, done.stderr), (0, "left\n", ""),
                  "ends when its last thread does, long before the next sample")


def check_libc(tap, version):
    libc = Libc(version)
    program = libc.command(harness.program("lives", "portable"))
    # To end a thread glibc loaded a library of gcc's then, which is not fetched with it.
    last = ["keep-main"] if libc.number < (2, 34) else []
    tap.equal(run_lives(tap, program, FEW_ROUNDS, SETTINGS, *last), 1, "there is a ring")
    with Oracle("--threads 2 --chunks 3000 --free-pattern random:50", libc=libc,
                env=preloading.environment()) as target:
        inner = preloading.next_sample(target.pid, "--arenas").row
        tap.equal(inner["allocator"], f"glibc-{version}", "allocator")
        outer = harness.stat(target.pid).row
        for name in preloading.ALIKE:
            tap.equal(inner.get(name), outer[name], name)


def check_musl(tap):
    compiler = shutil.which("musl-gcc")
    if not compiler:
        raise Skip("musl-gcc is not installed")
    source = harness.SOURCE / "tests/programs/plain.c"
    program = harness.compile_program("plain-musl", [compiler], source, [])
    env = preloading.environment()
    bare = {name: value for name, value in env.items() if name != "LD_PRELOAD"}
    runs = [subprocess.run([str(program)], env=one, capture_output=True, text=True, check=False,
                           stdin=subprocess.DEVNULL, timeout=harness.PATIENCE_S)
            for one in (bare, env)]
    said = [(run.returncode, run.stdout.split()[:1], run.stderr) for run in runs]
    tap.equal(said[1], said[0], "runs as it would")


def check_imports(tap):
    """Nothing binds the library to a libc or to a version of one."""
    readelf = harness.need("readelf")
    said = subprocess.run([readelf, "-dW", "--dyn-syms", str(preloading.SAMPLER)],
                          capture_output=True, text=True, check=True).stdout
    tap.ok("NEEDED" not in said, "it needs no library", said)
    tap.ok("@" not in said, "it names no version", said)
    names = {line.split()[-1] for line in said.splitlines() if " UND " in line}
    forbidden = names & {"calloc", "realloc", "free", "printf", "fprintf", "fopen", "abort",
                         "signal", "sigaction", "memalign", "dlsym", "exit"}
    tap.equal(forbidden, set(), "it takes no memory, writes nothing and ends nothing")


def main():
    tap = Tap()
    with tap.section("imports"):
        check_imports(tap)
    with tap.section("lives"):
        check_lives(tap)
    with tap.section("a main thread that leaves"):
        check_leaving(tap)
    for version in harness.OTHER_LIBCS:
        with tap.section(f"glibc {version}"):
            check_libc(tap, version)
    with tap.section("musl"):
        check_musl(tap)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
