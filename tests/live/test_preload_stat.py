"""stat by way of the sampler: on a program that holds still it says what the outside reader
says, field by field; it is chosen by the rule of the manual; asking changes nothing; and
whatever stands in a ring, the reader comes to no harm."""

import ctypes
import errno
import pathlib
import platform
import struct
import subprocess
import sys

import harness
import preloading
from harness import Oracle, Skip, Tap, Target

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "schema"))

import schema  # noqa: E402  pylint: disable=wrong-import-position

SCENARIOS = (
    ("mixed sizes", "--threads 4 --chunks 8000 --max 3000 --free-pattern random:50"),
    ("fastbins", "--threads 2 --chunks 3000 --free-pattern random:30 --fast 3000"),
    ("tcache", "--threads 2 --tcache --chunks 500"),
    ("mmapped chunks", "--chunks 500 --mmapped 25 --free-pattern alternate"),
    ("long unsorted list", "--chunks 2000 --unsorted 5000"),
    ("next to nothing", "--chunks 1"),
    ("crumbs", "--chunks 60000 --max 100 --free-pattern alternate"),
    ("threads gone", "--threads 4 --exit-threads --chunks 5000 --free-pattern random:60"),
    ("no sbrk", "--no-sbrk --chunks 20000 --free-pattern random:40"),
    ("many arenas", "--threads 40 --chunks 100 --free-pattern alternate"),
)


def check_alike(tap, target):
    inner = preloading.next_whole_sample(target.pid, "--arenas")
    outer = harness.stat(target.pid)
    tap.equal(inner.row["status"], "complete", "status", inner.row.get("missing"))
    tap.equal(inner.row["allocator"], outer.row["allocator"], "allocator")
    tap.equal(inner.row["mallinfo2"], target.info(), "what the program says itself")
    for name in preloading.ALIKE:
        tap.equal(inner.row.get(name), outer.row[name], name)
    tap.equal(len(inner.arenas), len(outer.arenas), "arenas")
    for name in preloading.ALIKE_OF_ARENAS:
        tap.equal([arena.get(name) for arena in inner.arenas],
                  [arena[name] for arena in outer.arenas], f"{name} of each arena")
    tap.ok(inner.row["sample_cost_ns"] > 0, "its cost is told")


def check_rss(tap, target):
    """Told by the kernel, to each source for itself."""

    def measure():
        own = preloading.rows(target.pid).row["rss_bytes"]
        return own, harness.stat(target.pid).row["rss_bytes"]

    def alike(rss):
        return rss[0] == rss[1]

    with tap.section("rss_bytes"):
        inner, outer = harness.undisturbed(measure, alike)
        tap.within(inner, outer * 0.98, outer * 1.02, "alike")


def check_scenarios(tap):
    for name, scenario in SCENARIOS:
        with tap.section(name):
            with Oracle(scenario, env=preloading.environment()) as target:
                check_alike(tap, target)
                check_rss(tap, target)


def check_many(tap):
    """More arenas than are told one by one: their sums have all of them."""
    with Oracle("--threads 139 --chunks 30 --free-pattern alternate --mallopt M_ARENA_MAX=200",
                env=preloading.environment()) as target:
        inner = preloading.next_whole_sample(target.pid, "--arenas")
        outer = harness.stat(target.pid)
        tap.equal(inner.row["arenas"], 140, "arenas")
        for name in preloading.ALIKE:
            tap.equal(inner.row.get(name), outer.row[name], name)
        tap.equal(len(inner.arenas), 128, "arenas that are told")
        for name in preloading.ALIKE_OF_ARENAS:
            tap.equal([arena.get(name) for arena in inner.arenas],
                      [arena[name] for arena in outer.arenas[:128]], f"{name} of each arena")


def check_unchanged(tap):
    """Of a thousand samples the program's own mallinfo2 tells nothing."""
    with Oracle("--threads 3 --chunks 2000 --free-pattern random:50 --tcache",
                env=preloading.environment("interval=1ms,max_cost=100%")) as target:
        preloading.next_sample(target.pid)
        before, maps = target.info(), target.proc("maps").count("\n")
        preloading.wait_samples(target.pid, 1000)
        tap.equal(target.info(), before, "mallinfo2 after a thousand samples")
        tap.equal(target.proc("maps").count("\n"), maps, "mappings")


def check_rows(tap):
    with Oracle("--threads 2 --chunks 1000", env=preloading.environment()) as target:
        preloading.next_sample(target.pid)
        for words in (("--json",), ("--json", "--arenas"), ("--csv",), ("--csv", "--arenas")):
            done = harness.fragscope("stat", "-p", target.pid, "--source", "preload", *words,
                                     "0.05", "3")
            tap.equal((done.returncode, done.stderr), (0, ""), f"{' '.join(words)}: status")
            if "--csv" in words:
                faults = schema.check_csv(done.stdout)
            else:
                faults = [fault for line in done.stdout.splitlines()
                          for fault in schema.check_json(line)]
            tap.equal(faults, [], f"{' '.join(words)}: rows")
        done = harness.fragscope("stat", "-p", target.pid, "--source", "preload", "--once")
        note = done.stdout.splitlines()[0]
        tap.ok(", source preload, a sample every 20.0ms" in note, "text: the note", note)
        for option in ("--quick", "--pause", "--threads 2", "--unusable 1K"):
            done = harness.fragscope("stat", "-p", target.pid, "--source", "preload",
                                     *option.split())
            tap.equal(done.returncode, 64, f"{option} is the heap's alone")
        done = harness.fragscope("stat", "-p", target.pid, "--source", "preload", "--bins",
                                 "--json")
        tap.equal((done.returncode, done.stderr),
                  (69, f"fragscope: the sampler in process {target.pid} (oracle-dynamic) has no "
                   f"bins of glibc-{harness.Libc('host').version}\n"), "--bins of glibc")


def jemalloc():
    for path in pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"):
        return str(path)
    raise Skip("libjemalloc2 is not installed")


def check_rule(tap):
    """Heap where it can be, the sampler where it is and the heap cannot be."""
    with Oracle("--chunks 100", env=preloading.environment()) as target:
        preloading.next_sample(target.pid)
        row = harness.stat(target.pid).row
        tap.equal(row["source"], "heap", "a glibc heap is read from outside")
    with Target(["cat"]) as target:
        done = harness.fragscope("stat", "-p", target.pid, "--once", "--source", "preload")
        tap.equal((done.returncode, done.stderr),
                  (69, f"fragscope: there is no sampler in process {target.pid} (cat): it was "
                   "not started by 'fragscope run'\n"), "no sampler")
    with tap.section("jemalloc"):
        library = jemalloc()
        both = f"{preloading.SAMPLER}:{library}"
        with Target(["cat"], env=preloading.environment(LD_PRELOAD=both)) as target:
            harness.until(lambda: preloading.thread(target.pid), "the sampler")
            done = harness.fragscope("stat", "-p", target.pid, "--once")
            tap.equal(done.returncode, 0, "is told by the sampler", done.stderr)
            note = done.stdout.splitlines()[:1]
            tap.ok("source preload" in note[0] and
                   note[0].endswith("; it has no heap that can be read from outside"),
                   "and the note says why", note)
            done = harness.fragscope("stat", "-p", target.pid, "--once", "--source", "heap")
            tap.equal(done.returncode, 69, "not where the heap was asked for")
            done = harness.fragscope("stat", "-p", target.pid, "--once", "--quick")
            tap.equal(done.returncode, 69, "nor where an option needs the heap")


# ---- memory that may not be read ------------------------------------------------------

# What Yama and many containers do: process_vm_readv is refused, the files of /proc are not.
PROCESS_VM_READV = {"x86_64": 310, "aarch64": 270}
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2


def forbid_memory():
    """Run in a child: takes process_vm_readv from it."""
    load, jump_equal, end = 0x20, 0x15, 0x06
    refuse, allow = 0x50000 | errno.EPERM, 0x7FFF0000
    call = PROCESS_VM_READV[platform.machine()]
    code = b"".join(struct.pack("HBBI", *one) for one in (
        (load, 0, 0, 0), (jump_equal, 0, 1, call), (end, 0, 0, refuse), (end, 0, 0, allow)))
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", 4, ctypes.addressof(held))
    libc = ctypes.CDLL(None)
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, program, 0, 0):
        raise OSError("no seccomp")


def check_forbidden(tap):
    if platform.machine() not in PROCESS_VM_READV:
        raise Skip("the number of process_vm_readv is not known")
    with Target(["cat"], env=preloading.environment()) as target:
        preloading.next_sample(target.pid)
        command = ("stat", "-p", target.pid, "--once")
        try:
            done = harness.fragscope(*command, "--source", "heap", preexec_fn=forbid_memory)
        except subprocess.SubprocessError as error:
            raise Skip("seccomp is not to be had") from error
        tap.equal(done.returncode, 77, "the heap may not be read", done.stderr)
        tap.ok(done.stderr.startswith(f"fragscope: cannot read process {target.pid} (cat): "
                                      "Operation not permitted: "), "and why", done.stderr)
        done = harness.fragscope(*command, preexec_fn=forbid_memory)
        tap.equal((done.returncode, done.stderr), (0, ""), "the sampler is there instead")
        note = done.stdout.splitlines()[0]
        tap.ok("source preload" in note and
               note.endswith("; its heap may not be read from outside"), "as the note says", note)

        def whole():
            done = harness.fragscope(*command, "--source", "preload", "--arenas", "--json",
                                     preexec_fn=forbid_memory)
            return done.stdout.count("\n") == 2

        # Not every sample has them.
        harness.until(whole, "a sample with arenas")
        tap.reached("with its arenas")


def check_others(tap):
    """What the kernel lets nobody trace nobody reads."""
    harness.need_root("another user")
    with preloading.for_others() as directory, Target(
            ["cat"], env=preloading.environment()) as target:
        preloading.next_sample(target.pid)
        command = [directory / "fragscope", "stat", "-p", str(target.pid), "--once", "--source",
                   "preload"]
        done = subprocess.run(command, user=65534, check=False, capture_output=True, text=True,
                              timeout=harness.PATIENCE_S)
        tap.equal((done.returncode, done.stdout), (77, ""), "another user", done.stderr)
        tap.ok(f"cannot read process {target.pid} (cat): " in done.stderr, "why", done.stderr)


# ---- rings that are none --------------------------------------------------------------

HOSTILE = r"""
import mmap, os, random, struct, sys
kind, seed = sys.argv[1], int(sys.argv[2])
rand = random.Random(seed)
size = 4096 + 32 * 24576
fd = os.memfd_create("fragscope-ring")
os.ftruncate(fd, size if kind != "short" else 4096)
memory = mmap.mmap(fd, size if kind != "short" else 4096, mmap.MAP_SHARED)
def header(version=3, published=5, slots=32):
    return struct.pack("<QIIIIQiIq24s64s", 0x474e495250435346, version, 4096, 24576, slots,
                       published, 1, rand.randrange(9), rand.randrange(-2**63, 2**63),
                       rand.randbytes(24),
                       bytes(rand.randrange(1, 256) for _ in range(63)))
if kind == "random":
    memory[:] = rand.randbytes(size)
elif kind == "version":
    memory[:136] = header(version=1)
elif kind == "slots":
    memory[:136] = header(slots=2**31)
elif kind == "body":
    memory[:] = rand.randbytes(size)
    memory[:136] = header(published=rand.choice((1, 40, 2**63, 2**64 - 1)))
elif kind == "gone":
    memory[:136] = header()
elif kind == "short":
    memory[:136] = header()
if kind == "gone":
    os.ftruncate(fd, 100)
os.close(fd)
print("ready", flush=True)
sys.stdin.read()
"""


def check_hostile(tap):
    for kind, count in (("zero", 1), ("random", 5), ("version", 1), ("slots", 1), ("short", 1),
                        ("gone", 1), ("body", 20)):
        statuses, said = set(), []
        for seed in range(count):
            with Target([sys.executable, "-c", HOSTILE, kind, seed]) as target:
                target.line()
                done = harness.fragscope("stat", "-p", target.pid, "--source", "preload",
                                         "--json", "--arenas", "--once")
                statuses.add(done.returncode)
                said.append(done.stderr)
        good = {69} if kind != "body" else {1}
        if kind == "gone":
            good = {1, 69}
        tap.ok(statuses <= good, f"{kind}: refused", statuses, *said)
        tap.ok(all(text.count("\n") == 1 for text in said), f"{kind}: in one line", *said)
        tap.ok(not any("Protocol error" in text for text in said), f"{kind}: with a reason", *said)
        if kind == "body":
            tap.ok(all("are damaged" in text and "--source heap" in text for text in said),
                   f"{kind}: and what can be done", *said)


def main():
    tap = Tap()
    for name, check in (("alike", check_scenarios), ("many arenas", check_many),
                        ("unchanged", check_unchanged),
                        ("rows", check_rows), ("rule", check_rule),
                        ("forbidden", check_forbidden),
                        ("others", check_others), ("hostile", check_hostile)):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    main()
