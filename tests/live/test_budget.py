"""A reading at a bounded cost: the figures of a large heap lie in their intervals, in every
format, at a cost that does not grow with the heap; a small heap is read whole."""

import csv
import io
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import harness
from harness import Tap, Target

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "schema"))
import schema  # noqa: E402  pylint: disable=wrong-import-position

# Blocks of random sizes, a part of them freed; then it says so and waits.
PROGRAM = r"""
import ctypes, random, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallopt(-3, 1 << 30)
random.seed(1)
blocks = [libc.malloc(random.choice((40, 100, 600, 3000))) for _ in range(int(sys.argv[1]))]
for block in blocks:
    if random.random() < 0.4:
        libc.free(block)
libc.free(libc.malloc(5000))
print("ready", flush=True)
sys.stdin.read()
"""
# Of 100 GB little is resident: of each block the page of its header and another one.
HUGE = r"""
import ctypes, random, sys
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallopt(-3, 1 << 30)
random.seed(1)
blocks = [libc.malloc(4000000) for _ in range(25600)]
if None in blocks:
    print("refused", flush=True)
    sys.exit()
for block in blocks:
    ctypes.memset(block + 5000, 1, 1)
    if random.random() < 0.25:
        libc.free(block)
print("ready", flush=True)
sys.stdin.read()
"""
# Much memory of its own, and large blocks: 20 that stay and, once it is told to go on, one that
# comes and goes for ever.
CHURN = r"""
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.mallopt(-3, 1 << 17)
own = mmap.mmap(-1, 300 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(own)), 1, 300 << 20)
for _ in range(20):
    ctypes.memset(libc.malloc(200000), 1, 200000)
print("ready", flush=True)
sys.stdin.readline()
print("goes on", flush=True)
while True:
    for pages in range(50):
        block = libc.malloc(150000 + 4096 * pages)
        ctypes.memset(block, 1, 150000 + 4096 * pages)
        time.sleep(0.001)
        libc.free(block)
"""
# Threads with something in their caches; the last one's stack ends where another mapping begins.
STACKS = PROGRAM.split("libc.mallopt")[0] + r"""
import mmap, threading
libc.mallopt(-3, 1 << 30)
blocks = [libc.malloc(1000) for _ in range(50000)]
for block in blocks[::3]:
    libc.free(block)
def run(filled):
    for block in [libc.malloc(24 + 16 * (i % 20)) for i in range(100)]:
        libc.free(block)
    filled.set()
    threading.Event().wait()
maps = []
for number in range(9):
    if number == 8:
        maps.append(mmap.mmap(-1, 1 << 16, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        maps[0][0] = 1
    filled = threading.Event()
    threading.Thread(target=run, args=(filled,), daemon=True).start()
    filled.wait()
print("ready", flush=True)
sys.stdin.read()
"""
ONE = 360 << 10  # of those that come and go
FIGURES = ("live_bytes", "free_bytes", "free_chunks", "free_resident_bytes", "pinned_bytes",
           "live_resident_bytes", "trimmable_bytes", "slack", "unusable")
READINGS = 40
MISSES = harness.most_misses(READINGS)


def rows(pid, *options):
    done = harness.fragscope("stat", "-p", pid, "--json", "--no-header", *options)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def check_intervals(tap, pid, truth):
    done, got = rows(pid, "--budget", "10ms", "0", READINGS)
    tap.equal(done.returncode, 0, "--budget: status", done.stderr)
    tap.equal({row["status"] for row in got}, {"estimated"}, "a large heap is estimated")
    tap.equal([fault for line in done.stdout.splitlines() for fault in schema.check_json(line)],
              [], "--budget: the schema")
    for name in FIGURES:
        ends = [row["estimate"].get(name, [row[name]] * 2) for row in got if name in row]
        missed = [end for end in ends if not end[0] <= truth[name] <= end[1]]
        tap.ok(ends and len(missed) <= MISSES, f"{name}: the truth lies in the intervals",
               f"{truth[name]}: {missed}")
    for name in ("system_bytes", "top_bytes", "mmapped_chunks", "trim_threshold_bytes",
                 "tcache_bytes", "tcache_chunks", "arenas"):
        tap.equal({row[name] for row in got}, {truth[name]}, f"{name} is exact")


def check_caches(tap):
    """Of one arena what threads keep is counted, and no list of it followed."""
    scenario = "--chunks 20000 --max 3000 --threads 6 --tcache --free-pattern random:50"
    with harness.Oracle(scenario, env={"MALLOC_ARENA_MAX": "1"}) as target:
        truth = rows(target.pid, "--once")[1][0]
        got = rows(target.pid, "--budget", "5ms", "0", READINGS)[1]
    tap.equal((truth["arenas"], {row["status"] for row in got}), (1, {"estimated"}), "one arena")
    tap.ok(truth["tcache_chunks"] > 3000, "much is kept", truth)
    for name in ("tcache_bytes", "tcache_chunks", "live_bytes"):
        ends = [row["estimate"].get(name, [row[name]] * 2) for row in got]
        missed = [end for end in ends if not end[0] <= truth[name] <= end[1]]
        tap.ok(len(missed) <= MISSES, f"{name}: the truth lies in the intervals",
               f"{truth[name]}: {missed}")


def check_stacks(tap):
    """Caches are found by the ends of stacks, also of one that another mapping follows."""
    env = {**harness.CLEAN_ENV, "MALLOC_ARENA_MAX": "1"}
    with Target([sys.executable, "-c", STACKS], env=env) as target:
        target.line()
        truth = rows(target.pid, "--once")[1][0]
        # A reading that has to wait often looks at few mappings.
        got = rows(target.pid, "--budget", "5ms", "0", 10 * READINGS)[1]
    tap.equal((truth["arenas"], got[-1]["status"]), (1, "estimated"), "one arena")
    tap.equal([got[-1]["tcache_bytes"], got[-1]["estimate"].get("tcache_bytes")],
              [truth["tcache_bytes"], None], "all caches are found")


def check_threads(tap, pid, truth):
    """However many threads read, the figures are the same."""
    def figures(row):
        return {name: row[name] for name in (*FIGURES, "rss_bytes", "tcache_bytes", "frag")}

    for threads in ("auto", "4"):
        done, got = rows(pid, "--once", "--threads", threads)
        tap.equal([figures(row) for row in got], [figures(truth)], f"--threads {threads}",
                  done.stderr)
    done = harness.fragscope("stat", "-p", pid, "--once", "--threads", "auto")
    readers = int(re.search(r"(\d+) readers?$", done.stdout.splitlines()[0]).group(1))
    tap.within(readers, 1, min(4, len(os.sched_getaffinity(0))), "--threads auto: as may run")
    done = harness.fragscope("stat", "-p", pid, "--once", "--threads", "auto", "--budget", "10ms")
    tap.ok("1 reader\n" in done.stdout, "--threads auto with a budget: one", done.stdout)


def check_formats(tap, pid):
    text = harness.fragscope("stat", "-p", pid, "--once", "--budget", "10ms")
    tap.ok("~" in text.stdout and "estimated" in text.stdout, "text: a ~ before estimates",
           text.stdout)
    plain = harness.fragscope("stat", "-p", pid, "--once", "--budget", "10ms", "--csv")
    tap.equal(schema.check_csv(plain.stdout), [], "CSV: the columns stay what they are")
    done = harness.fragscope("stat", "-p", pid, "--once", "--budget", "10ms", "--csv",
                             "--intervals", "--arenas")
    row = next(csv.DictReader(io.StringIO(done.stdout)))
    tap.ok(int(row["free_bytes_low"]) < int(row["free_bytes"]) < int(row["free_bytes_high"]),
           "CSV: --intervals adds the ends", row)
    tap.ok("system_bytes_low" not in row, "CSV: what is exact has no interval")
    return done.stdout


def check_recording(tap, text, directory):
    """Through CSV and JSON and back a row is what it was."""
    first, second = directory / "rows.csv", directory / "rows.json"
    first.write_text(text)
    done = harness.fragscope("stat", "--replay", first, "--json", "--arenas")
    second.write_text(done.stdout)
    done = harness.fragscope("stat", "--replay", second, "--csv", "--intervals", "--arenas")
    tap.equal(done.stdout, text, "a recording keeps the intervals")


def start(blocks):
    target = Target([sys.executable, "-c", PROGRAM, blocks])
    target.line()
    # It allocates once more before it waits.
    target.rest()
    return target


def check_small(tap):
    with start(2000) as target:
        done, got = rows(target.pid, "--budget", "1s", "--once")
        tap.equal([row["status"] for row in got], ["complete"],
                  "a heap that fits the budget is read whole", done.stdout)
        tap.equal(["pss_bytes" in row for row in got], [True], "with the kernel's figures")


def check_coverage(tap, pid):
    """The intervals of what `make coverage` reads: heaps made by chance, any program, any
    process. Of 100 that are right in 95 cases, more than 20 miss once in a billion runs."""
    program = [sys.executable, "-c", PROGRAM + "import time\ntime.sleep(1e6)", 200000]
    for what in (["-k", "full"], ["-p", pid], program):
        done = subprocess.run([str(word) for word in (
            harness.BUILD / "tests/rates/coverage", *"-s 1 -n 100 -b 3000 -m 40".split(), *what
        )], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        row = done.stdout.splitlines()[-1] if done.stdout else ""
        held = [float(share) for share in re.findall(r"([0-9.]+) ±[0-9.]+ \|", row)]
        tap.ok(done.returncode == 0 and len(held) > 4 and min(held) >= 80 and "wrong" not in row,
               f"coverage {what[0]}: the intervals hold the truth", done.stdout + done.stderr)
    tap.equal(harness.fragscope("stat", "-p", pid, "--once").returncode, 0,
              "coverage -p: the process goes on")


def check_huge(tap):
    with Target([sys.executable, "-c", HUGE]) as target:
        if target.line() != "ready":
            tap.skip("a heap of 100 GB", "this machine gives no program so much address space")
            return
        truth = rows(target.pid, "--once")[1][0]
        got = rows(target.pid, "--budget", "20ms", "0", READINGS)[1]
    tap.ok(truth["system_bytes"] > 100e9, "100 GB of heap", truth["system_bytes"])
    tap.equal({row["status"] for row in got}, {"estimated"}, "100 GB are estimated")
    for name in ("live_bytes", "free_bytes", "pinned_bytes", "trimmable_bytes",
                 "live_resident_bytes"):
        ends = [row["estimate"].get(name, [row[name]] * 2) for row in got]
        missed = [end for end in ends if not end[0] <= truth[name] <= end[1]]
        tap.ok(ends and len(missed) <= MISSES,
               f"100 GB: {name}: the truth lies in the intervals", f"{truth[name]}: {ends}")
        # As floating-point numbers of 24 bits have it.
        tap.ok(max(end[1] for end in ends) <= truth["system_bytes"] * 1.000001,
               f"100 GB: {name}: no more than the heap", ends)


def calls(pid, name, *args):
    """Of a run of stat, calls of NAME."""
    done = subprocess.run(
        [harness.need("strace"), "-f", "-c", "-e", f"trace={name}", harness.FRAGSCOPE, "stat",
         "-p", str(pid), *args],
        capture_output=True, text=True, check=False, env=harness.CLEAN_ENV)
    lines = [line.split() for line in done.stderr.splitlines()]
    return next((int(words[3]) for words in lines if words[-1:] == [name]), None)


def check_churn(tap):
    """Between any two readings a large block comes or goes: the search for all of them, through
    all that the program has mapped, is bounded, and what it did not find is an interval."""
    with Target([sys.executable, "-c", CHURN]) as target:
        target.line()
        target.rest()
        truth = rows(target.pid, "--once")[1][0]["mmapped_resident_bytes"]
        last = rows(target.pid, "--budget", "100ms", "0", "60")[1][-1]
        tap.equal((last["mmapped_resident_bytes"],
                   last.get("estimate", {}).get("mmapped_resident_bytes")), (truth, None),
                  "those that stay are all found in the end")
        target.say("go on")
        target.line()
        done, got = rows(target.pid, "--budget", "10ms", "0.02", READINGS)
        reads = calls(target.pid, "process_vm_readv", "--budget", "10ms", "0", "10")
    tap.equal(done.returncode, 0, "status", done.stderr)
    tap.equal([fault for line in done.stdout.splitlines() for fault in schema.check_json(line)],
              [], "the schema")
    tap.equal([row["missing"] for row in got if "missing" in row], [], "nothing is missing")
    tap.equal([row for row in got if "pss_bytes" in row], [],
              "page tables that would take more than half of the budget are not walked over")
    ends = [row.get("estimate", {}).get("mmapped_resident_bytes",
                                        [row["mmapped_resident_bytes"]] * 2) for row in got]
    wrong = [end for end in ends if end[0] > truth + 2 * ONE or end[1] < truth - ONE]
    tap.equal(wrong, [], "the truth lies in the intervals", truth)
    if reads is None:
        tap.skip("the search is bounded", "strace cannot count here")
    else:
        tap.within(reads, 1, 4000, "the search is bounded")


def check_turnover(tap):
    """Cells that are read while the program changes them are no reason to be off: the mean
    of many readings is that of readings of the paused program before and after each."""
    truths, got = [], []
    with Target([harness.program("turnover"), 150000]) as target:
        target.line()
        for _ in range(8):
            truths += rows(target.pid, "--pause=20s", "--once")[1]
            got += rows(target.pid, "--budget", "10ms", "0", 12)[1]
        truths += rows(target.pid, "--pause=20s", "--once")[1]
    got = [row for row in got if row["status"] == "estimated"]
    tap.ok(len(got) > 80, "estimates of a heap that changes", len(got))
    for name in ("live_bytes", "free_bytes", "free_chunks", "pinned_bytes"):
        truth = statistics.mean(row[name] for row in truths)
        values = [row[name] for row in got]
        noise = statistics.stdev(values) / len(values) ** 0.5
        wander = statistics.stdev(row[name] for row in truths)
        tap.within(statistics.mean(values), truth - 0.02 * truth - 4 * noise - wander,
                   truth + 0.02 * truth + 4 * noise + wander, f"{name}: no bias")


def main():
    tap = Tap()
    with harness.scratch() as directory, start(400000) as target:
        truth = rows(target.pid, "--once")[1][0]
        tap.equal(truth["status"], "complete", "the truth is whole")
        with tap.section("intervals"):
            check_intervals(tap, target.pid, truth)
        with tap.section("threads"):
            check_threads(tap, target.pid, truth)
        with tap.section("coverage"):
            check_coverage(tap, target.pid)
        with tap.section("formats"):
            check_recording(tap, check_formats(tap, target.pid), directory)
    with tap.section("caches of one arena"):
        check_caches(tap)
    with tap.section("stacks"):
        check_stacks(tap)
    with tap.section("small"):
        check_small(tap)
    with tap.section("huge"):
        check_huge(tap)
    with tap.section("churn"):
        check_churn(tap)
    with tap.section("turnover"):
        check_turnover(tap)
    tap.done()


if __name__ == "__main__":
    main()
