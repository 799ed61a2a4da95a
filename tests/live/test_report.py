"""Report on real programs: each example's illness is the first thing told, the healthy
ones have none; limits that are set are found to the byte; what cannot be had is told."""

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import pty
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree

import harness
import preloading
from terminal import Terminal

EXAMPLES = harness.BUILD / "examples"
# Of the machine, not of the program: on a host or in a cgroup that is short of memory this
# is rightly told of any program.
SURROUNDINGS = ("host", "cgroup_max", "cgroup_high", "commit_limit")
SECTIONS = (
    "Where the resident memory is",
    "What to do",
    "Where it is heading",
    "How fragmented the free memory is",
    "What is about to happen",
)


# All reports that were made here.
SEEN = []


class Ready(harness.Target):
    """A program that says READY when it has come to show what it is about."""

    def __init__(self, command, **options):
        super().__init__(command, **options)
        try:
            while not self.line().startswith("READY"):
                pass
        except BaseException:
            self.end()
            raise


class Example(Ready):
    """Such a program of examples/."""

    def __init__(self, name, *args, **options):
        super().__init__([EXAMPLES / name, *args], **options)


def report(pid, *args):
    done = harness.fragscope("report", "-p", pid, "--json", *args)
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    SEEN.append(json.loads(done.stdout))
    return SEEN[-1]


def untorn(pid, *args):
    """A report of a program that works on, by a reading that it did not disturb."""
    def settled():
        found = report(pid, *args)
        return found if found["sample"]["status"] != "torn" else None

    return harness.until(settled, "a reading that is not torn")


def verdicts(found):
    """The names of the verdicts, but for a limit of the surroundings."""
    return [
        verdict["verdict"]
        for verdict in found["verdicts"]
        if verdict["verdict"] != "near_limit"
        or found["nearest_limit"] not in SURROUNDINGS
    ]


def find(found, name):
    return next(v for v in found["verdicts"] if v["verdict"] == name)


def limit(found, name):
    return next((one for one in found["limits"] if one["limit"] == name), None)


def check_healthy(tap):
    for name in ("pool", "steady"):
        with tap.section(f"healthy: {name}"), Example(name) as target:
            found = report(target.pid, "--for", "1s", "--no-events")
            tap.equal(verdicts(found), [], "nothing is wrong", found["answer"])
            if not found["verdicts"]:
                tap.ok(
                    found["answer"].startswith("No known problem: of "),
                    "the answer says so",
                    found["answer"],
                )


def is_certain(found):
    """Whether the arenas are told for sure."""
    return "arenas" in verdicts(found) and find(found, "arenas")["certain"]


def check_arenas(tap):
    """Threads that have large requests in turn: told as such while they are watched, as
    possible from one reading; and fewer arenas keep as much less as was promised."""
    with tap.section("arenas"), Example("arenas") as target:
        for seconds in (5, 10, 20, 40):
            found = report(target.pid, "--for", f"{seconds}s", "--no-events")
            if is_certain(found):
                break
        tap.ok(is_certain(found), "told for sure", found["answer"])
        told = find(found, "arenas")
        facts = told["facts"]
        tap.equal(facts["arenas"], found["sample"]["arenas"], "as many as there are")
        free = sum(row["free_resident_bytes"] for row in found["arenas"][1:])
        tap.equal(facts["secondary_free_resident_bytes"], free, "what they keep")
        tap.ok(facts["arena_peaks_bytes"] > facts["peak_of_arenas_bytes"], "in turn", facts)
        before = target.rollup("Rss")
        once = report(target.pid, "--for", "0")
        names = verdicts(once)
        last = [name for name in names if name in ("cache", "arenas")]
        tap.equal(last, ["cache", "arenas"], "of one reading", names)
        perhaps = find(once, "arenas")
        tap.equal(perhaps["certain"], False, "it is possible")
        tap.equal(perhaps["severity"], "note", "and no more")
        with harness.scratch() as scratch:
            rows = scratch / "rows.jsonl"
            args = ("-p", target.pid, "--json", "--arenas", "-o", rows, "0.2", "40")
            done = harness.fragscope("stat", *args)
            tap.equal(done.returncode, 0, "a recording is made", done.stderr)
            done = harness.fragscope("report", "--replay", rows, "--json")
            again = json.loads(done.stdout)
            tap.ok(is_certain(again), "so says a recording", again["answer"])
    with tap.section("arenas, two"):
        env = {**harness.CLEAN_ENV, "MALLOC_ARENA_MAX": "2"}
        with Example("arenas", env=env) as target:
            found = report(target.pid, "--for", "0")
            tap.ok("arenas" not in verdicts(found), "the remedy cures it", found["answer"])
            after = target.rollup("Rss")
        stake = told["stake_bytes"]
        tap.within(stake, 16 << 20, before, "what was promised")
        tap.within(before - after, stake * 0.9, before, "it falls by as much", before)


def freed(command, seconds):
    """A report on COMMAND whose last reading is of a time when most of it is free. COMMAND may
    have a rhythm of its own: so no two attempts take the same time."""
    with Ready(command) as target:
        for attempt in range(12):
            rest = 0.4 * attempt if seconds else 0
            found = report(target.pid, "--for", f"{seconds + rest:.1f}s",
                           "--no-events")
            row = found["sample"]
            if row["free_resident_bytes"] > row["rss_bytes"] / 2:
                break
    return found


def check_crowd(tap):
    """Threads that all need memory at the same time: fewer arenas are no cure."""
    crowd = harness.compile_program(
        "crowd", harness.CC, harness.SOURCE / "tests/programs/crowd.c", []
    )
    with tap.section("a crowd that leaves most at random"):
        found = freed([crowd, 85], 0)
        tap.equal(verdicts(found), ["fragmentation"], "no word of arenas", found["answer"])
        tap.ok(found["sample"]["arenas"] >= 8, "although there are many", found["sample"])
        usual = resident([crowd, 85])
        for most in "12":
            few = resident([crowd, 85], MALLOC_ARENA_MAX=most)
            tap.within(few, usual * 0.9, usual * 1.2, f"no less with {most}")
    with tap.section("a crowd that leaves all"):
        found = freed([crowd, 100], 0)
        # Where the last chunks lie in a heap is the threads' race: a tail may be pinned.
        names = [name for name in verdicts(found) if name != "pinned_tail"]
        tap.equal(names, ["cache", "arenas"], "perhaps", found["answer"])
        tap.ok(not is_certain(found), "not for sure", found["answer"])
        usual = resident([crowd, 100])
        few = resident([crowd, 100], MALLOC_ARENA_MAX="2")
        tap.within(few, usual * 0.9, usual * 1.2, "no less with 2")
        # On a busy machine readings may all be torn: then it is not known.
        for seconds in (6, 12, 24, 48):
            found = freed([crowd, 100, "again"], seconds)
            if "cache" in verdicts(found) and (
                    "arenas" not in verdicts(found) or is_certain(found)):
                break
        tap.ok("cache" in verdicts(found), "most is free", found["answer"])
        tap.ok("arenas" not in verdicts(found), "seen at work", found["answer"])
    with tap.section("a crowd that takes turns later"):
        turns = [crowd, 100, "turns"]
        for seconds in ("5s", "10s", "20s", "40s"):
            with Ready(turns) as target:
                found = report(target.pid, "--for", seconds, "--no-events")
            if is_certain(found):
                break
        tap.ok(is_certain(found), "arenas are told", found["answer"])
        remedy = find(found, "arenas")["remedy"]
        tap.ok("in turn from the start" in remedy, "with what was not seen", remedy)
        usual, few = resident(turns), resident(turns, MALLOC_ARENA_MAX="2")
        tap.within(few, usual * 0.9, usual * 1.2, "which 2 arenas keep as well")


HOLDS = """
import ctypes, sys
kept = [b"x" * 60000 for _ in range(5000)]
gone = [b"x" * 60000 for _ in range(1150)]
kept.append(b"x" * 60000)
del gone
print("READY", flush=True)
sys.stdin.readline()
ctypes.CDLL(None).malloc_trim(0)
print("TRIMMED", flush=True)
sys.stdin.readline()
"""


def check_many_bytes(tap):
    """Bytes count where the share is small: a fifth of it goes when it is trimmed."""
    with tap.section("bytes"):
        env = {**harness.CLEAN_ENV, "PYTHONMALLOC": "malloc"}
        with Ready([harness.need("python3"), "-c", HOLDS], env=env) as target:
            found = report(target.pid, "--for", "0")
            before = target.rollup("Rss")
            tap.ok("cache" in verdicts(found), "a trim is advised", found["answer"])
            if platform.machine() == "x86_64":
                remedy = find(found, "cache")["remedy"]
                command = re.search(r"'fragscope (trim --attach \d+)' gives back", remedy)[1]
                done = harness.fragscope(*command.split(), "--watch", "0")
                tap.equal(done.returncode, 0, "the remedy is applied", done.stderr)
            else:
                target.say("")
                target.line()
            after = target.rollup("Rss")
        told = find(found, "cache")["facts"]
        tap.within(told["trimmable_bytes"], 64 << 20, before / 5, "by less than a fifth")
        gone = told["trimmable_bytes"]
        tap.within(before - after, gone - (1 << 18), gone + (1 << 18), "so much goes")


def check_few_readings(tap):
    """A report whose ten seconds pass with too few readings for a trend takes some more."""
    with tap.section("few readings"), Example("steady") as target:
        command = [harness.FRAGSCOPE, "report", "-p", str(target.pid), "--no-events", "--json"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            tasks = pathlib.Path(f"/proc/{child.pid}/task")
            harness.until(lambda: len(list(tasks.iterdir())) > 1, "its readings")
            time.sleep(1)  # some of them; it would end with these
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(10)
            os.kill(child.pid, signal.SIGCONT)
            found = json.loads(child.communicate(timeout=harness.PATIENCE_S)[0])
        finally:
            child.kill()
            child.wait()
        tap.ok(found["cost"]["readings"] >= 8, "there are enough", found["cost"])


def check_static(tap):
    """No function of a static program can be called from outside: its own code has to."""
    with tap.section("static"):
        args = "--chunks 40000 --max 3000 --free-pattern keep:50"
        with harness.Oracle(args, variant="static") as target:
            found = report(target.pid, "--for", "0")
            told = find(found, "cache")
            tap.ok("linked statically" in told["remedy"], "is told", told["remedy"])
            tap.ok("fragscope trim" not in told["remedy"], "no trim from outside", told["remedy"])
            before = target.rollup("Rss")
            target.ask("trim")
            gone = before - target.rollup("Rss")
        promised = told["facts"]["trimmable_bytes"]
        tap.within(gone, promised * 0.9, promised * 1.1, "a trim of its own returns it")


FORKS = """
import ctypes, os, sys
kept = []
gone = []
for i in range(1500):
    gone.append(b"x" * 60000)
    kept.append(b"x" * 600)
del gone
if len(sys.argv) > 1:
    ctypes.CDLL(None).malloc_trim(0)
waits, ends = os.pipe()
children = []
for i in range(3):
    children.append(os.fork())
    if not children[-1]:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
print("READY", flush=True)
print(*children, flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def forked(*words):
    """A program that frees 90 MB and forks; it, and its three children."""
    env = {**harness.CLEAN_ENV, "PYTHONMALLOC": "malloc"}
    with Ready([harness.need("python3"), "-c", FORKS, *words], env=env) as target:
        yield target, [int(word) for word in target.line().split()]


def of_all(pids):
    """What the host has of them, each page once."""
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii") for pid in pids]
    return sum(harness.kilobytes(text, "Pss") for text in texts)


def check_forked(tap):
    """What a trim of one process returns the host has when all have returned it."""
    with tap.section("forked"), forked() as (target, children):
        pids = [target.pid, *children]
        found = report(children[0], "--for", "0")
        trimmable = found["sample"]["trimmable_bytes"]
        told = find(found, "cache")
        tap.within(told["facts"].get("forked_least_bytes", 0), trimmable / 2, trimmable, "of it")
        tap.ok("since a fork" in told["headline"], "is told", told["headline"])
        tap.within(found["forked_bytes"], trimmable, found["sample"]["rss_bytes"], "of all")
        text = harness.fragscope("report", "-p", children[0], "--for", "0").stdout
        tap.ok("of all that, shared since a fork" in text, "as text", text)
        before = of_all(pids)
        with forked("trim") as (other, others):
            after = of_all([other.pid, *others])
            names = verdicts(report(others[0], "--for", "0"))
        tap.ok(before - after > trimmable / 2, "a trim before the fork", before, after, trimmable)
        tap.ok("cache" not in names, "leaves nothing to trim", names)
        if platform.machine() != "x86_64":
            raise harness.Skip("trim --attach is for x86-64 here")
        command = re.search(r"'fragscope (trim --attach \d+)' gives back", told["remedy"])[1]
        done = harness.fragscope(*command.split(), "--watch", "0", "--json")
        tap.equal(done.returncode, 0, "the remedy is applied", done.stderr)
        shared = json.loads(done.stdout).get("forked_least_bytes", 0)
        tap.within(shared, trimmable / 2, trimmable, "trim tells it, too")
        one = of_all(pids)
        tap.ok(one > before - trimmable / 4, "the host has little of one", before, one)
        for pid in (target.pid, *children[1:]):
            harness.fragscope("trim", "--attach", "--watch", "0", pid)
        left = of_all(pids)
        tap.ok(before - left > trimmable / 2, "and much of all", before, left, trimmable)


def check_tail(tap):
    with tap.section("tail"), Example("tail") as target:
        found = report(target.pid, "--for", "0")
        names = verdicts(found)
        tap.equal(names, ["pinned_tail", "cache"], "comes first", found["answer"])
        facts = find(found, "pinned_tail")["facts"]
        tap.equal(facts["tail_chunks"], 1, "one chunk holds it")
        tap.ok(facts["hole_resident_bytes"] > 60 << 20, "all of it", facts)
        guesses = [pin.get("guess", "") for pin in found["pins"]["best"]]
        tap.ok("a document of 16384" in str(guesses), "what it is", guesses)
        trimmable = find(found, "cache")["facts"]["trimmable_bytes"]
        tap.ok(trimmable > 60 << 20, "by the whole document", trimmable)
        tap.equal(trimmable, found["sample"]["trimmable_bytes"], "the sample's figure")
        before = target.rollup("Rss")
    for cure in ("--before", "--after", "--trim"):
        with tap.section(f"tail {cure}"):
            after = resident([EXAMPLES / "tail", cure])
            held = facts["hole_resident_bytes"]
            tap.within(before - after, held * 0.95, before, "the remedy cures it")


def check_fast_tail(tap):
    """Fastbins hold the end of a heap: no chunk in use does, a trim does not help, and
    without fastbins it is gone."""
    program = harness.program("fast_end")
    with tap.section("fastbins hold the end"):
        with Ready([program]) as target:
            found = report(target.pid, "--for", "0")
            before = target.rollup("Rss")
        if found["sample"]["fast_chunks"] == 0:
            raise harness.Skip("this glibc has no fastbins")
        tap.equal(verdicts(found), ["fastbin_tail"], "is told", found["answer"])
        held = find(found, "fastbin_tail")["stake_bytes"]
        tap.ok(held > 38 << 20, "all of it", found["verdicts"])
        with Ready([program, "trim"]) as target:
            after = target.rollup("Rss")
            tap.within(after, before - (1 << 20), before + (1 << 20), "a trim does not cure it")
            trimmed = report(target.pid, "--for", "0")
            tap.equal(verdicts(trimmed), ["fastbin_tail"], "and is told", trimmed["answer"])
            tap.ok(trimmed["answer"].startswith("Perhaps "), "as possible", trimmed["answer"])
            tap.equal(trimmed["sample"]["fast_chunks"], 0, "of chunks that were in fastbins")
            target.say("")
            tap.equal(target.line(), "freed", "a larger block is freed")
            tap.within(after - target.rollup("Rss"), held * 0.95, after, "then it goes back")
        after = resident([program], GLIBC_TUNABLES="glibc.malloc.mxfast=0")
        tap.within(before - after, held * 0.95, before, "the remedy cures it")


def check_threshold(tap):
    with tap.section("threshold"), Example("threshold") as target:
        found = report(target.pid, "--for", "0")
        tap.equal(verdicts(found)[:1], ["mmap_threshold"], "first", found["answer"])
        facts = find(found, "mmap_threshold")["facts"]
        tap.ok(facts["mmap_threshold_bytes"] > 24 << 20, "the threshold in force", facts)
        tap.ok("trim_threshold" in verdicts(found), "the other one, too", found["answer"])
        before = target.rollup("Rss")
    for name in ("mmap_threshold", "trim_threshold"):
        with tap.section(f"{name}, held"):
            stake = find(found, name)["stake_bytes"]
            env = {**harness.CLEAN_ENV, f"MALLOC_{name.upper()}_": "131072"}
            with Example("threshold", env=env) as target:
                cured = report(target.pid, "--for", "0")
                after = target.rollup("Rss")
            tap.equal(verdicts(cured), [], "the remedy cures it", cured["answer"])
            tap.within(before - after, stake * 0.95, before, "by as much as was told")


def check_drift(tap):
    """What large blocks left counts while it is on the unsorted list, too, with small ones
    among them; the remedy saves what was promised."""
    drift = harness.BUILD / "tests" / "live" / "drift"
    with tap.section("drifted threshold, nothing sorted yet"):
        with Example(drift) as target:
            found = report(target.pid, "--for", "0")
            text = harness.fragscope("report", "-p", target.pid, "--for", "0").stdout
            before = target.status("VmRSS")
        tap.ok("mmap_threshold" in verdicts(found), "it is told", found["answer"])
        facts = find(found, "mmap_threshold")["facts"]
        large = sum((130 + i * 97 % 260) << 10 for i in range(400))
        off = abs(facts["large_free_bytes"] - large)
        tap.ok(off < 2 << 20, "all that they left", (facts, large))
        words = " ".join(text.split())
        said = re.search(r"For a request of .*?%\.", words[words.index("How fragmented"):])
        tap.ok(said and "% to " not in said.group(), "useless for a request: one share", said)
        env = {**harness.CLEAN_ENV, "MALLOC_MMAP_THRESHOLD_": "131072"}
        with Example(drift, env=env) as target:
            after = target.status("VmRSS")
            cured = report(target.pid, "--for", "0")
        tap.equal(verdicts(cured), [], "the remedy cures it", cured["answer"])
        saved, promised = before - after, find(found, "mmap_threshold")["stake_bytes"]
        tap.ok(saved > 0.95 * promised, "by as much as it promised", (saved, promised))


# Waves: of 60 MB a part is left that chance chooses, and 1 MB more stays each time, above them.
WAVES = """
import random, sys
chance, waste, kept = random.Random(7), [], []
for line in sys.stdin:
    while len(waste) < 15000:
        waste.append(bytes([120]) * 4000)
    kept.append([bytes([121]) * 4000 for _ in range(250)])
    chance.shuffle(waste)
    del waste[chance.randrange(15000):]
    print("READY", flush=True)
"""


def check_waves(tap):
    """A process that grows, while what it holds swings by more: that is said; and watched for
    longer it is a leak."""
    with tap.section("waves"), harness.scratch() as scratch:
        rows = scratch / "rows.jsonl"

        def watched(readings):
            with rows.open("a", encoding="ascii") as out:
                for _ in range(readings):
                    target.say("")
                    target.line()
                    done = harness.fragscope("stat", "-p", target.pid, "--once", "--json")
                    out.write(done.stdout)
            done = harness.fragscope("report", "--replay", rows, "--json")
            tap.equal(done.returncode, 0, "a report", done.stderr)
            return json.loads(done.stdout)

        env = {**harness.CLEAN_ENV, "PYTHONMALLOC": "malloc"}
        with harness.Target([harness.need("python3"), "-c", WAVES], env=env) as target:
            found = watched(24)
            tap.equal(found["trends"]["rss_bytes"]["direction"], "rising", "it grows")
            tap.equal(found["trends"]["live_bytes"]["direction"], "none", "what it holds swings")
            tap.equal(verdicts(found)[:1], ["growth"], "which is said", found["answer"])
            found = watched(136)
            tap.equal(verdicts(found)[:1], ["leak"], "for longer it is a leak", found["answer"])
            tap.ok("growth" not in verdicts(found), "and no longer unknown", found["answer"])


def check_merged(tap):
    """Small blocks that were freed side by side look like large ones: the threshold is said to
    be perhaps the cause, after what is certain; and it is none."""
    drift = harness.BUILD / "tests" / "live" / "drift"
    with tap.section("drifted threshold, small blocks"):
        with Example(drift, "merged") as target:
            found = report(target.pid, "--for", "0")
            before = target.status("VmRSS")
        told = find(found, "mmap_threshold")
        tap.equal(verdicts(found)[:1], ["cache"], "what is certain comes first", found["answer"])
        tap.equal((told["certain"], told["severity"]), (False, "note"), "this is not", told)
        env = {**harness.CLEAN_ENV, "MALLOC_MMAP_THRESHOLD_": "131072"}
        with Example(drift, "merged", env=env) as target:
            saved = before - target.status("VmRSS")
        tap.ok(saved < told["stake_bytes"] / 10, "nothing would be saved", (saved, told))


def asked_for(remedy):
    """The classes of sizes, by their least, that the program asks for as the command of REMEDY
    shows them to people; once bursts have met calls of more than one."""
    verb = re.search(r"'fragscope (trace --bursts -p \d+)' shows", remedy)[1].split()

    def shown():
        done = harness.fragscope(*verb, "--for", "1s")
        if done.returncode in (69, 77) or "machine is too busy" in done.stderr:
            raise harness.Skip(done.stderr.strip())
        if done.returncode != 0:
            raise RuntimeError(f"status {done.returncode}: {done.stderr}")
        rows = re.findall(r"^ *(\d+) - +\d+ +(\S+) +\S+%", done.stdout, re.M)
        sizes = {int(least) for least, calls in rows if calls != "0"}
        return sizes if len(sizes) > 1 else None

    return harness.until(shown, "calls of malloc in a burst")


def check_bursts(tap):
    """What is only perhaps the threshold's: whether it is shows in the sizes of bursts, as the
    remedy says."""
    drift = harness.BUILD / "tests" / "live" / "drift"
    for kind in ("large", "merged"):
        with tap.section(f"drifted threshold, {kind} blocks in bursts"):
            harness.need_root("a probe")
            with Example(drift, kind, "busy") as target:
                told = find(untorn(target.pid, "--for", "0"), "mmap_threshold")
                tap.equal(told["certain"], False, "it is possible", told)
                sizes = asked_for(told["remedy"])
            tap.ok(min(sizes) < 131072, "the small ones are seen", sizes)
            tap.equal(max(sizes) >= 131072, kind == "large", "128K and more are seen", sizes)


def reads(*args):
    """Calls of process_vm_readv by a run of fragscope."""
    counted = subprocess.run(
        [harness.need("strace"), "-f", "-c", "-e", "trace=process_vm_readv",
         harness.FRAGSCOPE, *(str(arg) for arg in args)],
        capture_output=True, text=True, check=False, env=harness.CLEAN_ENV,
    )
    lines = [line.split() for line in counted.stderr.splitlines()]
    return next((int(words[3]) for words in lines if words[-1:] == ["process_vm_readv"]), None)


def check_passes(tap):
    """Closer looks take one pass more than the readings; and no list is read chunk by chunk."""
    with tap.section("passes"), harness.Oracle(
        "--chunks 60000 --max 2000 --free-pattern random:50 --fast 20000 --unsorted 20000"
    ) as target:
        one = reads("stat", "-p", target.pid, "--once", "--json")
        if one is None:
            raise harness.Skip("processes may not be traced here")
        bins = reads("stat", "-p", target.pid, "--once", "--json", "--bins")
        told = reads("report", "-p", target.pid, "--for", "0", "--no-events")
        size = harness.stat(target.pid).row["system_bytes"]
        tap.ok(one < size / 32768 + 1000, "a reading", (one, size))
        tap.ok(bins < one + 1000, "the bins", (bins, one))
        # Whose the pinning chunks are takes looks of its own.
        tap.ok(told < 6 * one, "a report of one reading", (told, one))


def shown(pid, seconds):
    """What a report of SECONDS shows on a terminal, and what it says in the end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [harness.FRAGSCOPE, "report", "-p", str(pid), "--for", str(seconds), "--no-events"],
        stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL, env=harness.CLEAN_ENV,
    ) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):
            while more := os.read(ours, 4096):
                seen += more
        told = process.stdout.read().decode()
    os.close(ours)
    return seen.decode(), told


def check_progress(tap):
    """On a terminal the time is shown, on one line that is gone in the end; else nothing."""
    with tap.section("progress"), Example("steady") as target:
        for seconds in (3, 12, 48):  # a machine that stops may let go by most of it
            text, told = shown(target.pid, seconds)
            line = re.search(rf"\rwatching: [1-9]\d* of {seconds} s, \d+ reading", text)
            if line:
                break
        tap.ok(line, "it is shown", text)
        tap.ok("\n" not in text and re.search(r"\r +\r$", text), "and cleared", text[-200:])
        tap.ok("watching" not in told and "\r" not in told, "the report is as ever")
        done = harness.fragscope("report", "-p", target.pid, "--for", "2s", "--no-events")
        tap.equal(done.stderr, "", "nothing elsewhere")


def check_leak(tap):
    """On a busy machine it may take longer to be sure."""
    with tap.section("leak"):
        for seconds in (5, 10, 20, 40):
            with Example("leak") as target:
                found = report(target.pid, "--for", f"{seconds}s")
            if verdicts(found)[:1] == ["leak"]:
                break
        tap.equal(verdicts(found)[:1], ["leak"], "comes first", found["answer"])
        facts = find(found, "leak")["facts"]
        tap.ok(facts["live_last_bytes"] > facts["live_first_bytes"], "it grew", facts)
        growth = found["growth"]
        if "missing" in growth:
            tap.skip("who made it grow", growth["missing"])
            return
        tap.ok(growth["growths"] > 0, "the heap's growth was seen", growth)
        stacks = [row["stack"] for row in growth["stacks"]]
        tap.ok(any("main;answer;malloc" in stack for stack in stacks), "who", stacks)


GROWS = """
import ctypes, mmap, time
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
print("READY", flush=True)
kept = []
for _ in range(1500):
    ctypes.memset(malloc(8000), 1, 8000)
    kept.append(mmap.mmap(-1, 12288))
    kept[-1].write(b"x" * 12288)
    time.sleep(0.02)
"""


def check_two_contributors(tap):
    """A program that grows by malloc and by mappings of its own: both are named."""
    with tap.section("growth of two"):
        for seconds in (5, 10, 20, 40):
            with harness.Target([harness.need("python3"), "-c", GROWS]) as target:
                target.line()
                found = report(target.pid, "--for", f"{seconds}s", "--no-events")
            if "leak" in verdicts(found):
                break
        said = re.search(
            r"the resident memory rises (\S+) a second, (\S+) of it malloc's, (\S+) not",
            found["answer"],
        )
        tap.ok(said, "the first sentence names both", found["answer"])
        names = verdicts(found)
        tap.ok("leak" in names, "what malloc's part is", names)
        remedies = [verdict["remedy"] for verdict in found["verdicts"]]
        tap.ok("tracemalloc" in str(remedies), "what CPython has for it", remedies)
        facts = find(found, "leak")["facts"]
        tap.equal(facts["held_first_bytes"], facts["live_first_bytes"], "one by two names")
        tap.within(
            facts["other_bytes_per_s"],
            facts["held_bytes_per_s"],
            facts["held_bytes_per_s"] * 2,
            "12K for each 8K",
            facts,
        )


def check_limited(tap):
    with tap.section("limited"), Example("limited") as target:
        found = report(target.pid, "--for", "1s")
        names = verdicts(found)
        seen = found["growth"].get("failures")
        first = "failed_allocations" if seen else "near_limit"
        tap.equal(names[:1], [first], "comes first", found["answer"])
        tap.ok("near_limit" in names, "a limit is near", found["answer"])
        tap.equal(found["nearest_limit"], "rlimit_as", "which")
        one = limit(found, "rlimit_as")
        tap.equal(one["max"], 256 << 20, "the limit")
        tap.equal(one["used"], target.status("VmSize"), "what is used of it")
        tap.equal(one["left"], one["max"] - one["used"], "what is left of it")
        tap.ok(one.get("when") != "in", "it is not reached any more", one)


def check_fragmenter(tap):
    with tap.section("fragmenter"):
        with Example("fragmenter", "--seconds", "1", "--stay") as target:
            found = report(target.pid, "--for", "0")
            text = harness.fragscope("report", "-p", target.pid, "--for", "0").stdout
        tap.equal(verdicts(found)[:1], ["fragmentation"], "comes first", found["answer"])
        facts = find(found, "fragmentation")["facts"]
        tap.equal(facts["pinned_bytes"], found["sample"]["pinned_bytes"], "its bytes")
        trimmable = found["sample"]["trimmable_bytes"]
        tap.ok(facts["pinned_bytes"] > trimmable, "more than a trim has", trimmable)
        check_requests(tap, text)


def resident(command, **env):
    """What is resident of COMMAND when it says that it is READY."""
    with Ready(command, env={**harness.CLEAN_ENV, **env}) as target:
        return target.rollup("Rss")


def check_restart(tap):
    """What a restart would leave is what a fresh start takes, and jemalloc cures what it is
    said to cure and nothing else."""
    sparse = [harness.program("sparse"), 400000, 15]
    with tap.section("restart"):
        with Ready(sparse) as target:
            found = report(target.pid, "--for", "0")
            before = target.rollup("Rss")
        tap.equal(verdicts(found)[:1], ["fragmentation"], "comes first", found["answer"])
        told = find(found, "fragmentation")
        left = told["facts"]["after_restart_bytes"]
        tap.within(left, 0, before / 3, "much would come free", before)
        afresh = resident([*sparse, "afresh"])
        tap.within(afresh, left * 0.9 - (1 << 20), left * 1.1 + (1 << 20), "so it is")
        tap.ok("Another allocator does not help" in told["remedy"], "nothing else", told)
    with tap.section("restart, another allocator"):
        libraries = sorted(pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"))
        if not libraries:
            raise harness.Skip("libjemalloc2 is not installed")
        at_once = {
            "LD_PRELOAD": str(libraries[0]),
            "MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",
        }
        kept = resident(sparse, **at_once)
        tap.within(kept, before * 0.75, before * 2, "it is no cure", before)
        small = [EXAMPLES / "fragmenter", "--seconds", "1", "--stay"]
        ill, cured = resident(small), resident(small, **at_once)
        tap.within(cured, 0, ill / 3, "it is one for small blocks among large ones", ill)


def own_figures(name, command, **env):
    """A report on COMMAND by what the allocator of library NAME says of itself to the
    sampler, and what is resident."""
    libraries = sorted(pathlib.Path("/usr/lib").glob(f"*/{name}"))
    if not libraries:
        raise harness.Skip(f"{name} is not installed")
    env = preloading.environment(LD_PRELOAD=f"{preloading.SAMPLER}:{libraries[0]}", **env)
    with Ready(command, env=env) as target:
        preloading.next_sample(target.pid)
        return report(target.pid, "--for", "0"), target.rollup("Rss")


def check_loaded(tap):
    """What grows and fails in glibc's heap says nothing of another allocator's."""
    with tap.section("jemalloc, and probes"):
        libraries = sorted(pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"))
        if not libraries:
            raise harness.Skip("libjemalloc2 is not installed")
        env = {**harness.CLEAN_ENV, "LD_PRELOAD": str(libraries[0])}
        with Ready([harness.program("sparse"), 400000, 15], env=env) as target:
            text = harness.fragscope("report", "-p", target.pid, "--for", "1s").stdout
        tap.ok("libjemalloc.so.2" in text, "is told", text)
        tap.ok("The heap" not in text, "nothing of a heap that was not watched", text)
        env = preloading.environment(LD_PRELOAD=f"{preloading.SAMPLER}:{libraries[0]}")
        with Ready([harness.program("sparse"), 400000, 15], env=env) as target:
            preloading.next_sample(target.pid)
            text = harness.fragscope("report", "-p", target.pid, "--for", "1s").stdout
        tap.ok("jemalloc-" in text, "with a sampler", text)
        tap.ok("The heap" not in text, "nor by a sampler's figures", text)


def sparse_pages(*args):
    at_once = {"MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}
    command = [harness.program("sparse"), 400000, 15, *args]
    return own_figures("libjemalloc.so.2", command, **at_once)


def check_sparse_pages(tap):
    """Pages of jemalloc that few objects keep: a pool for them prevents it, and a restart
    leaves as much as was told."""
    with tap.section("jemalloc, sparse pages"):
        found, before = sparse_pages()
        tap.equal(verdicts(found), ["fragmentation"], "is told", found["answer"])
        told = find(found, "fragmentation")
        facts = told["facts"]
        tap.equal(
            told["stake_bytes"], facts["active_bytes"] - facts["live_bytes"], "what is at stake"
        )
        tap.ok("in a pool of their own" in told["remedy"], "the remedy", told["remedy"])
        cured, after = sparse_pages("apart")
        tap.equal(verdicts(cured), [], "the remedy cures it", cured["answer"])
        tap.ok(
            "by the allocator's own figures (jemalloc-" in cured["answer"],
            "who holds what is told all the same",
            cured["answer"],
        )
        tap.within(before - after, told["stake_bytes"] * 0.9, before, "by as much as was told")
        left = facts["after_restart_bytes"]
        _, afresh = sparse_pages("afresh")
        tap.within(afresh, left * 0.85 - (1 << 20), left * 1.1 + (1 << 20), "a restart leaves")


# For the library: how its setting is called, and what has it keep free pages, or not.
SETTINGS = (
    (
        "libjemalloc.so.2",
        "dirty_decay_ms",
        {"MALLOC_CONF": "dirty_decay_ms:600000,muzzy_decay_ms:0"},
        {"MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"},
    ),
    (
        "libtcmalloc.so.4",
        "TCMALLOC_RELEASE_RATE",
        {"TCMALLOC_RELEASE_RATE": "0"},
        {"TCMALLOC_RELEASE_RATE": "1"},
    ),
)


def check_free_pages(tap):
    """Free pages that another allocator keeps: its setting has it return them."""
    emptied = [harness.program("emptied")]
    for name, setting, keeps, returns in SETTINGS:
        with tap.section(f"{name}, free pages"):
            found, before = own_figures(name, emptied, **keeps)
            tap.equal(verdicts(found), ["cache"], "are told", found["answer"])
            told = find(found, "cache")
            tap.ok(setting in told["remedy"], "the setting is named", told["remedy"])
            cured, after = own_figures(name, emptied, **returns)
            tap.equal(verdicts(cured), [], "it cures it", cured["answer"])
            stake = told["stake_bytes"]
            tap.within(before - after, stake * 0.9, before, "by as much as was told")


class Running(harness.Target):
    """An example that says at once who it is and is watched at its work."""

    def __init__(self, name, *args):
        super().__init__([EXAMPLES / name, *args])
        self.line()


def breaking():
    """A report on a heap that breaks up while it is watched. On a busy machine it may take
    longer to be sure."""
    for seconds in (5, 10, 20, 30):
        with Running("fragmenter", "--seconds", "40") as target:
            harness.until(
                lambda: harness.stat(target.pid).row["largest_free_bytes"] > 40 << 20,
                "the hole is there",
            )
            found = report(target.pid, "--for", f"{seconds}s", "--no-events")
        if found["trends"]["pinned_bytes"]["direction"] == "rising":
            break
    return found


def check_breaking(tap):
    with tap.section("breaking up"):
        found = breaking()
        tap.equal(verdicts(found)[:1], ["breaking_up"], "comes first", found["answer"])
        tap.ok(
            found["answer"].startswith("The heap is breaking up: pinned memory rises "),
            "by its trend",
            found["answer"],
        )
        facts = find(found, "breaking_up")["facts"]
        tap.ok(facts["pinned_last_bytes"] > facts["pinned_first_bytes"], "it rose", facts)
    with tap.section("breaking up, in the end"):
        pinned = {}
        for cure in ((), ("--apart",)):
            with Example("fragmenter", "--seconds", "1", "--stay", *cure) as target:
                pinned[cure] = harness.stat(target.pid).row["pinned_bytes"]
        ill, cured = pinned.values()
        tap.within(cured, 0, ill / 10, "the remedy keeps pages whole")


def check_requests(tap, text):
    """What is useless for which request: in order, and no bound that says nothing."""
    words = " ".join(text.split())
    words = words[words.index("How fragmented"):]
    said = re.search(r"For a request of .*?%\.", words)
    tap.ok(said, "what is useless for which request", words[:1500])
    units = {"K": 1 << 10, "M": 1 << 20}
    sizes = [
        float(number) * units[unit]
        for number, unit in re.findall(r" of ([0-9.]+)([KM]),", said.group())
    ]
    tap.ok(len(sizes) >= 2 and sizes == sorted(sizes), "by size", said.group())
    tap.ok(" 0% to 100%" not in said.group(), "with bounds that say something")


def check_set_limits(tap):
    with tap.section("limits of a process"), Example("steady") as target:
        size, data = target.status("VmSize"), target.status("VmData")
        for kind, bytes_ in (
            (resource.RLIMIT_AS, size + (4 << 20)),
            (resource.RLIMIT_DATA, data + (6 << 20)),
        ):
            hard = resource.prlimit(target.pid, kind)[1]
            resource.prlimit(target.pid, kind, (bytes_, hard))
        found = report(target.pid, "--for", "0")
        tap.equal(limit(found, "rlimit_as")["left"], 4 << 20, "left of RLIMIT_AS")
        tap.equal(limit(found, "rlimit_data")["left"], 6 << 20, "left of RLIMIT_DATA")
        stack = limit(found, "rlimit_stack")
        if stack:
            tap.equal(stack["used"], target.status("VmStk"), "the stack")
        maps = limit(found, "max_map_count")
        tap.equal(maps["used"], found["sample"]["mappings"], "mappings")
        tap.equal(
            maps["max"],
            int(pathlib.Path("/proc/sys/vm/max_map_count").read_text("ascii")),
            "how many there may be",
        )
        oom = found["oom"]
        tap.within(oom["place"], 1, oom["candidates"], "the place in the kernel's order")


def check_stack(tap):
    """A stack that was only reserved, as Ruby does, is not near its limit."""

    def set_limit():
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (7500 << 10, hard))

    for how in ("touched", "used", "running"):
        with tap.section(f"stack {how}"), \
                harness.Target([harness.program("deep"), how], preexec_fn=set_limit) as target:
            tap.equal(target.line(), "READY", "it is so")
            harness.until(lambda: how == "running" or target.status("State")[0] == "S", "waits")
            found = report(target.pid, "--for", "0")
            stack, near = limit(found, "rlimit_stack"), "near_limit" in verdicts(found)
            tap.ok(target.status("VmStk") > 7 << 20, "all of it is mapped")
            if how == "touched":
                tap.ok(stack["used"] < 64 << 10, "hardly any is used", stack)
                tap.ok(not near, "no limit is near", found["answer"])
            elif how == "used":
                tap.within(stack["used"], 7 << 20, target.status("VmStk"), "7 MB are")
                tap.equal((near, found["nearest_limit"]), (True, "rlimit_stack"), "and it is near")
            else:
                tap.equal(stack, None, "how much is used is not known")


# Takes memory until there is none, and goes on asking; every other block has gone at first.
TAKES = """
import ctypes, time
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(200000) for _ in range(600)]
for block in blocks[::2]:
    libc.free(block)
print("READY", flush=True)
while True:
    libc.malloc(1 << 20) or time.sleep(0.02)
    time.sleep(0.001)
"""


def check_raised(tap):
    """What is advised near a limit keeps the process from it."""
    takes = [harness.need("python3"), "-c", TAKES]
    for name, kind, used in (
        ("rlimit_as", resource.RLIMIT_AS, "VmSize"),
        ("rlimit_data", resource.RLIMIT_DATA, "VmData"),
    ):
        with tap.section(f"{name}, raised"), Ready(takes) as target:
            most = target.status(used) + (64 << 20)
            hard = resource.prlimit(target.pid, kind)[1]
            resource.prlimit(target.pid, kind, (most, hard))
            harness.until(lambda: target.status(used) > most - (2 << 20), "it is reached")
            found = report(target.pid, "--for", "0")
            tap.ok("near_limit" in verdicts(found), "is told", found["answer"])
            told = find(found, "near_limit")
            tap.equal(found["nearest_limit"], name, "which")
            tap.ok(told["remedy"].startswith("Raise it ("), "the remedy", told["remedy"])
            tap.equal(target.status(used) <= most, True, "nothing above it")
            resource.prlimit(target.pid, kind, (most + (1 << 30), hard))
            harness.until(lambda: target.status(used) > most + (8 << 20), "it goes on")
            tap.reached("raised, it is no limit")
    with tap.section("fewer arenas, less address space"):
        sizes, counts = [], []
        for env in ({}, {"MALLOC_ARENA_MAX": "2"}):
            with Example("arenas", env={**harness.CLEAN_ENV, **env}) as target:
                sizes.append(target.status("VmSize"))
                counts.append(harness.stat(target.pid).row["arenas"])
        saved = (counts[0] - counts[1]) * (64 << 20)
        tap.equal(counts[1], 2, "arenas", counts)
        tap.within(sizes[0] - sizes[1], saved * 0.9, saved * 1.1, "64M each", sizes)
    with tap.section("a higher mmap threshold, fewer mappings"):
        mappings = []
        for env in ({}, {"MALLOC_MMAP_THRESHOLD_": "1048576"}):
            with Ready(takes, env={**harness.CLEAN_ENV, **env}) as target:
                mappings.append(report(target.pid, "--for", "0")["sample"]["mappings"])
        tap.ok(mappings[1] < mappings[0] - 250, "one for each block less", mappings)


@contextlib.contextmanager
def memory_cgroup():
    """A memory cgroup of our own below our own: its directory and the file of its limit."""
    harness.need_root("making a cgroup")
    own = pathlib.Path("/proc/self/cgroup").read_text("ascii").splitlines()
    first = [line for line in own if "memory" in line.split(":")[1].split(",")]
    if first:
        root, name = pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        inside = first[0].split(":", 2)[2]
    else:
        root, name, inside = pathlib.Path("/sys/fs/cgroup"), "memory.max", "/"
    path = root / inside.lstrip("/") / f"fragscope-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError as error:
        raise harness.Skip(f"no memory cgroup can be made: {error}") from error
    try:
        if not (path / name).exists():
            raise harness.Skip(f"{path} has no {name}: no memory controller there")
        yield path, path / name
    finally:
        harness.until(lambda: gone(path), "the cgroup is empty", 60)


def gone(path):
    try:
        path.rmdir()
    except OSError:
        return False
    return True


def check_cgroup(tap):
    with tap.section("limit of a cgroup"), memory_cgroup() as (path, file):
        with Example("steady") as target:
            try:
                (path / "cgroup.procs").write_text(str(target.pid), "ascii")
                file.write_text(str(300 << 20), "ascii")
            except OSError as error:
                raise harness.Skip(f"the cgroup cannot be used: {error}") from error
            found = report(target.pid, "--for", "0")
            one = limit(found, "cgroup_max")
            tap.ok(one, "there is one", found["limits"])
            if one["max"] != 300 << 20:
                raise harness.Skip("a cgroup around it leaves less")
            tap.equal(one["max"], 300 << 20, "the limit")
            tap.within(one["used"], 0, 300 << 20, "what is used of it")
            tap.ok(found["cgroup"]["max_path"].endswith(path.name), "where it is set")
    with tap.section("limit of a cgroup, raised"), memory_cgroup() as (path, file):
        check_raised_cgroup(tap, path, file)


# Takes 60 MB, and 60 more when it is told to.
TAKES_MORE = """
held = [bytearray(60 << 20)]
print("READY", flush=True)
input()
held.append(bytearray(60 << 20))
print("more", flush=True)
input()
"""


def check_raised_cgroup(tap, path, file):
    """Near the limit a report says to raise it; raised, the program goes on. The program
    begins in the cgroup: one that is moved there does not bring its memory along."""
    def enter():
        (path / "cgroup.procs").write_text(str(os.getpid()), "ascii")

    command = [harness.need("python3"), "-c", TAKES_MORE]
    try:
        file.write_text(str(300 << 20), "ascii")
        target = Ready(command, preexec_fn=enter)
    except (OSError, subprocess.SubprocessError) as error:
        raise harness.Skip(f"the cgroup cannot be used: {error}") from error
    with target:
        used = limit(report(target.pid, "--for", "0"), "cgroup_max")["used"]
        file.write_text(str(used + (2 << 20)), "ascii")
        told = find(report(target.pid, "--for", "0"), "near_limit")
        tap.ok(told["remedy"].startswith("Raise memory.max"), "it is told", told)
        file.write_text(str(300 << 20), "ascii")
        target.say("")
        tap.equal(target.line(), "more", "raised, it is no limit")
        found = report(target.pid, "--for", "0")
        tap.ok("near_limit" not in verdicts(found), "and none is near", found["limits"])


def check_text(tap):
    with tap.section("text"), Example("arenas") as target:
        # What moves just now has lines of its own, and so has a limit of the host that is near.
        for _ in range(20):
            done = harness.fragscope("report", "-p", target.pid, "--for", "1s")
            if len(done.stdout.splitlines()) <= 60:
                break
        tap.equal(done.returncode, 0, "exit status", done.stderr)
        lines = done.stdout.splitlines()
        tap.ok(lines[0].startswith(f"# arenas[{target.pid}] on "), "whose it is")
        told = tuple(line for line in lines if line in SECTIONS)
        tap.equal(told, SECTIONS, "the sections, what to do being the second")
        tap.ok(len(lines) <= 60, "60 lines are enough", *lines)
        wide = [
            line for line in lines if len(line) > 80 and not line.startswith("         ")
        ]
        tap.equal(wide, [], "80 columns are enough")
        after = " ".join(lines[1:6])
        tap.ok("would return: malloc_trim" in after, "the answer comes first", after)
        last = " ".join(done.stdout.split("\n\n")[-1].split())
        tap.ok(last.startswith("What this cost: "), "the cost comes last", last)
        tap.ok("It was never stopped." in last, "no pause", last)
    check_stacks(tap)


def check_stacks(tap):
    """Who made it grow: the program's own functions, the innermost first."""
    with tap.section("text of a leak"), Example("leak") as target:
        for _ in range(10):
            done = harness.fragscope("report", "-p", target.pid, "--for", "3s")
            if "Who made it grow\n  Not known" in done.stdout:
                raise harness.Skip("no probes")
            if len(done.stdout.splitlines()) <= 60:
                break
        grown = done.stdout.split("\nWho made it grow\n")[1].split("\n\n")[0]
        tap.ok(re.search(r"The heap grew \d+ times, by .*; 0 allocations failed\.", grown),
               "in numbers", grown)
        tap.ok(re.search(r": answer <- main$", grown, re.M), "innermost first", grown)
        tap.ok(not re.search("malloc|brk", grown), "without malloc's own functions", grown)
        tap.ok(grown.count(" in ") <= 3 + 1, "three at most", grown)
        lines = done.stdout.splitlines()
        tap.ok(len(lines) <= 60, "60 lines are enough", len(lines))


def check_page(tap):
    """One page that stands alone, and is well-formed."""
    with tap.section("page"), harness.scratch() as scratch:
        page = scratch / "page.html"
        # Processes may have any name.
        odd = shutil.copy(EXAMPLES / "arenas", scratch / '<b>&"')
        with Example(odd) as target:
            found = report(target.pid, "--for", "2s", "--html", page)
        text = page.read_text(encoding="utf-8")
        root = xml.etree.ElementTree.fromstring(text)
        tags = [element.tag.split("}")[1] for element in root.iter()]
        tap.ok(text.startswith("<!DOCTYPE html>"), "it is HTML")
        tap.ok("script" not in tags, "without scripts")
        tap.equal(re.findall(r'(?:src|href)="', text), [], "nothing is fetched")
        title = root.find(".//{*}title").text
        tap.equal(title, f'fragscope: process {target.pid} (<b>&")', "whose it is")
        answer = root.find(".//{*}p[@class='answer']").text
        tap.equal(answer, found["answer"], "the answer")
        said = [p.text for p in root.findall(".//{*}p") if "OOM killer" in (p.text or "")]
        among = f"of {found['oom']['candidates']} candidate"
        tap.ok(len(said) == 1 and among in said[0], "its place for the OOM killer", said)
        labels = [svg.get("aria-label") for svg in root.iter() if svg.get("aria-label")]
        for drawing in (
            "resident memory by parts",
            "rss_bytes over time",
            "free chunks by size",
            "heap map",
        ):
            tap.ok(drawing in labels, f"it draws: {drawing}", labels)
        tap.ok(tags.count("path") >= 2, "graphs have lines")
        done = harness.fragscope(
            "report", "-p", os.getpid(), "--for", "0", "--html", scratch / "no" / "page"
        )
        tap.equal(done.returncode, 1, "where no page can be written", done.stderr)


KHUGEPAGED = pathlib.Path("/sys/kernel/mm/transparent_hugepage/khugepaged")
WITHOUT_HUGE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) and os._exit(9); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@contextlib.contextmanager
def khugepaged(**settings):
    """The host's settings, as they are not to stay; one at a time."""
    harness.need_root("setting khugepaged")
    lock = pathlib.Path(tempfile.gettempdir()) / "fragscope-test-khugepaged"
    with open(lock, "w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with set_khugepaged(settings):
            yield


@contextlib.contextmanager
def set_khugepaged(settings):
    files = {KHUGEPAGED / name: str(value) for name, value in settings.items()}
    try:
        before = {file: file.read_text("ascii") for file in files}
        mode = (KHUGEPAGED.parent / "enabled").read_text("ascii")
    except OSError as error:
        raise harness.Skip(f"there are no huge pages here: {error}") from error
    if "[madvise]" not in mode:
        raise harness.Skip(f"huge pages are not only for who asks for them: {mode}")
    try:
        for file, value in files.items():
            file.write_text(value, "ascii")
        yield
    except OSError as error:
        raise harness.Skip(f"khugepaged cannot be set: {error}") from error
    finally:
        for file, value in before.items():
            file.write_text(value, "ascii")


class Sparse(harness.Oracle):
    """250 MB of free memory with 2.5 MB held in it, here and there."""

    def __init__(self, hugetlb, disabled=False):
        command = [harness.program("oracle"), "--chunks", "260000", "--min", "1000",
                   "--max", "1000", "--free-pattern", "keep:100"]
        if disabled:
            command = ["/usr/bin/python3", "-c", WITHOUT_HUGE, *command]
        env = {**harness.CLEAN_ENV, "GLIBC_TUNABLES": f"glibc.malloc.hugetlb={hugetlb}"}
        harness.Target.__init__(self, command, env=env)
        self.line()

    def trimmed(self):
        """Resident after a trim."""
        self.ask("trim")
        return self.rollup("Rss")

    def after_scans(self, scans=3):
        """Resident after khugepaged has gone over all processes some times more, or has
        none to go over."""
        file = KHUGEPAGED / "full_scans"
        end = int(file.read_text("ascii")) + scans
        with contextlib.suppress(TimeoutError):
            harness.until(lambda: int(file.read_text("ascii")) >= end, "scans", 8)
        return self.rollup("Rss")


def check_huge(tap):
    """Holes that are filled with huge pages again, and what prevents that: each remedy is
    tried on the same program."""
    fast = {"scan_sleep_millisecs": 50, "pages_to_scan": 65536}
    if harness.Libc("host").number < (2, 35):
        tap.skip("huge pages", "this libc does not ask for any")
        return
    with tap.section("huge pages"), khugepaged(max_ptes_none=0, **fast), Sparse(1) as target:
        after = target.trimmed()
        tap.ok(after < 60 << 20, "a trim gives it back", after)
        (KHUGEPAGED / "max_ptes_none").write_text("511", "ascii")
        harness.until(lambda: target.rollup("AnonHugePages") > 210 << 20,
                      "huge pages fill it again")

        def at_its_end():
            """A report while the kernel filled nothing, and how much it has filled."""
            filled = target.rollup("AnonHugePages")
            found = report(target.pid, "--for", "0")
            return (found, filled) if target.rollup("AnonHugePages") == filled else None

        found, filled = harness.until(at_its_end, "a report when all is filled")
        tap.equal(verdicts(found)[:1], ["huge_pages"], "comes first", found["answer"],
                  found["sample"])
        told = find(found, "huge_pages")
        tap.equal(told["facts"]["anon_huge_bytes"], filled, "bytes")
        tap.equal(found["sample"]["anon_huge_bytes"], filled, "figure")
        tap.equal(found["sample"]["huge_page_bytes"], 2 << 20, "malloc asks for them")
        tap.ok("glibc.malloc.hugetlb=1" in told["evidence"], "the setting", told["evidence"])
        for words in ("glibc.malloc.hugetlb=0", "PR_SET_THP_DISABLE", "max_ptes_none"):
            tap.ok(words in told["remedy"], f"it names {words}", told["remedy"])
        cache = find(found, "cache")
        tap.ok("It does not last" in cache["evidence"], "nor does a trim", cache["evidence"])
        text = harness.fragscope("report", "-p", target.pid, "--for", "0").stdout
        tap.ok(re.search(r"^  of all that, in huge pages +2\d\dM", text, re.M), "in the picture")
        done = harness.fragscope("trim", "--dry-run", "--json", target.pid)
        said = json.loads(done.stdout)
        want = said["predicted_bytes"] / (65536 * harness.PAGE / 0.05) * 1e9
        lasts = said.get("lasts_ns")
        tap.within(lasts, 0.99 * want, 1.01 * want, "how long a trim lasts", done.stdout)
        quick = harness.stat(target.pid)
        tap.ok("anon_huge_bytes" in quick.row, "a figure of stat")
        done = harness.fragscope("stat", "-p", target.pid, "--once", "--json", "--quick")
        tap.ok("anon_huge_bytes" not in done.stdout, "but not with --quick", done.stdout)
        with Terminal([harness.FRAGSCOPE, "top", "-p", target.pid, "--no-events"]) as top:
            top.press("6")
            top.wait(r"free memory in huge pages, and becomes\s+resident again")
            tap.reached("and advice of top")
            top.wait(r"It does not last:\s+the kernel fills")
            tap.reached("where a trim does not last, either")
            top.press("q")
    for name, options, none in (
        ("hugetlb=0", {"hugetlb": 0}, 511),
        ("PR_SET_THP_DISABLE", {"hugetlb": 1, "disabled": True}, 511),
        ("max_ptes_none=0", {"hugetlb": 1}, 0),
    ):
        with tap.section(f"huge pages, {name}"), khugepaged(max_ptes_none=none, **fast):
            with Sparse(**options) as target:
                after = target.trimmed()
                tap.ok(after < 60 << 20, "a trim gives it back", after)
                later = target.after_scans()
                tap.ok(later < after + (8 << 20), "and that lasts", after, later)
                found = report(target.pid, "--for", "0")
                tap.ok("huge_pages" not in verdicts(found), "nothing is told", found["answer"])
                done = harness.fragscope("trim", "--dry-run", "--json", target.pid)
                tap.ok("lasts_ns" not in done.stdout, "nor forecast", done.stdout)


def check_cached(tap):
    """Chunks in thread caches are free, and no part of what the program holds."""
    with tap.section("thread caches"), harness.Oracle("--threads 8 --tcache") as target:
        row = report(target.pid, "--for", "0")["sample"]
        if row["swap_bytes"]:
            raise harness.Skip("something of the program is in swap")
        text = harness.fragscope("report", "-p", target.pid, "--for", "0").stdout
        tap.ok(row["tcache_bytes"] > 0, "there is something in them", row)
        found = re.search(r"^  tcache: free, in thread caches +(\S+)", text, re.M)
        tap.ok(found, "a part of its own", text[:1500])
        tap.within(
            scaled(found.group(1)) / row["tcache_bytes"], 0.99, 1.01, "their bytes"
        )
        held = re.search(r"(?:  live: held by the program +|[:,] live )([\d.KMG]+)", text)
        want = row["live_resident_bytes"] - row["tcache_bytes"]
        tap.within(scaled(held.group(1)) / want, 0.99, 1.01, "held without them", text)


def scaled(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return float(text.rstrip("KMG")) * units.get(text[-1], 1)


def check_short(tap):
    """A short time has the readings that a trend needs, or else it is told how long does."""
    with tap.section("a short time"), Example("steady") as target:
        for _ in range(20):  # on a busy machine readings may be late
            found = report(target.pid, "--for", "3s", "--no-events")
            if found["cost"]["readings"] >= 8:
                break
        tap.ok(found["cost"]["readings"] >= 8, "readings in 3 s", found["cost"])
        tap.ok("rss_bytes" in found["trends"], "trends are told", found["trends"])
        for tenths in range(1, 40):  # on a busy machine one reading may take longer
            done = harness.fragscope(
                "report", "-p", target.pid, "--for", tenths / 10, "--no-events"
            )
            words = " ".join(done.stdout.split())
            if "this is of 1." not in words:
                break
        tap.ok("that takes 8 readings, and this is of " in words, "too short", words[:1500])
        tap.ok(
            re.search(r"One takes \S+ at the longest: --for \d+s has room", words),
            "how long it takes is told",
            words[:1500],
        )


def check_layout(tap):
    with harness.scratch() as scratch, Example("arenas") as target:
        page = scratch / "page.html"
        found = report(target.pid, "--for", "1s", "--html", page)
        harness.check_page(tap, page, found["sample"]["comm"])


def check_replay(tap):
    with tap.section("replay"), harness.scratch() as scratch:
        rows = scratch / "rows.jsonl"
        with Example("threshold") as target:
            args = ("-p", target.pid, "--json", "--bins", "-o", rows, "0.05", "9")
            done = harness.fragscope("stat", *args)
            tap.equal(done.returncode, 0, "a recording is made", done.stderr)
            live = report(target.pid, "--for", "0")
        done = harness.fragscope("report", "--replay", rows, "--json")
        tap.equal(done.returncode, 0, "exit status", done.stderr)
        found = json.loads(done.stdout)
        tap.equal(found["recorded"], True, "it says what it is from")
        tap.equal(found["cost"]["readings"], 9, "every row counts")
        tap.equal(verdicts(found)[:1], ["mmap_threshold"], "the same verdict as live")
        tap.equal(verdicts(live)[:1], ["mmap_threshold"], "which is this")
        tap.equal(found["trends"]["rss_bytes"]["direction"], "none", "nothing moves")
        tap.ok("limits" not in found and found["no_limits"], "it has no limits")
        text = rows.read_text("utf-8")
        pid = f'"pid":{target.pid},'
        both = text + text.replace(pid, '"pid":77,')
        done = harness.fragscope("report", "--replay", "-", stdin=None, input=both)
        tap.equal(done.returncode, 64, "two processes", done.stdout)
        tap.ok("choose one with -p" in done.stderr, "so it says", done.stderr)
        done = harness.fragscope("report", "--replay", "-", "-p", 77, stdin=None, input=both)
        tap.equal(done.returncode, 0, "one of two", done.stderr)
        tap.ok(done.stdout.startswith("# threshold[77] "), "the one that was chosen")
        cut = text[: text.index("\n", len(text) // 2) - 9]
        done = harness.fragscope("report", "--replay", "-", stdin=None, input=cut)
        tap.equal(done.returncode, 0, "a recording that is cut short", done.stderr)
        tap.ok("the report is of the rows that were read" in done.stderr, "so it says")
        done = harness.fragscope("report", "--replay", rows, "-p", 78)
        tap.equal(done.returncode, 1, "a process that is not in it", done.stderr)
        for option in ("--no-events", "--for=1s", "--source=proc"):
            words = option.split("=")
            done = harness.fragscope("report", "--replay", rows, *words)
            tap.equal(done.returncode, 64, f"{words[0]} is of live processes")


def check_ends(tap):
    """A process that ends while it is watched is reported on as it was."""
    with tap.section("an end"), Example("steady") as target:
        child = subprocess.Popen(
            [harness.FRAGSCOPE, "report", "-p", str(target.pid), "--for", "240s", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        fds = pathlib.Path(f"/proc/{child.pid}/fd")

        def is_attached():
            with contextlib.suppress(OSError):
                return any(
                    os.readlink(fd) == f"/proc/{target.pid}/smaps_rollup"
                    for fd in fds.iterdir()
                )
            return False

        harness.until(is_attached, "the report is attached")
        target.end()
        out, said = child.communicate(timeout=harness.PATIENCE_S)
        # It may have ended before the first reading: then there is nothing to report.
        if child.returncode == 1:
            tap.ok(said, "why is told", said)
            return
        tap.equal(child.returncode, 0, "exit status", said)
        tap.ok("has ended" in said, "its end is told", said)
        tap.ok(json.loads(out)["cost"]["readings"] >= 1, "what was seen is told")


def check_other_allocator(tap):
    with tap.section("another allocator"):
        libraries = sorted(pathlib.Path("/usr/lib").glob("*/libjemalloc.so.2"))
        if not libraries:
            raise harness.Skip("libjemalloc2 is not installed")
        env = {**harness.CLEAN_ENV, "LD_PRELOAD": str(libraries[0])}
        with Example("steady", env=env) as target:
            done = harness.fragscope("report", "-p", target.pid, "--for", "0", "--json")
            tap.equal(done.returncode, 0, "exit status", done.stderr)
            tap.ok("libjemalloc" in done.stderr, "what it is, is told", done.stderr)
            found = json.loads(done.stdout)
            tap.equal(found["sample"]["source"], "proc", "from the kernel's figures")
            tap.ok(found["limits"], "its limits are told")
            tap.equal(verdicts(found)[:1], ["other_allocator"], "the verdict")


# What a remedy may ask for, and words in one by which it is said to be of no use.
REMEDIES = {
    "a trim": (r"malloc_trim|fragscope trim", r"\btrims?\b"),
    "fewer arenas": (r"MALLOC_ARENA_MAX=|arena_max=", r"MALLOC_ARENA_MAX|fewer arenas"),
    "another setting": (r"MALLOC_[A-Z_]+=|GLIBC_TUNABLES", r"[Ss]ettings?\b"),
    "a restart": (r"\bAfter a restart\b", r"\brestarts?\b"),
    "another allocator": (r"[Uu]se another allocator", r"[Aa]nother allocator"),
}
DENIES = r"\bnothing\b|\bno cure\b|\bno use\b|[Nn]o (?:setting|trim)|does not help"


def quarrels(found):
    """The remedies that one item of a page asks for and another says to be of no use."""
    texts = [verdict["remedy"] for verdict in found["verdicts"]]
    for name, (asks, names) in REMEDIES.items():
        advised = any(re.search(asks, text) for text in texts)
        denied = [
            sentence
            for text in texts
            for sentence in re.split(r"(?<=[.:;]) ", text)
            if re.search(DENIES, sentence) and re.search(names, sentence)
        ]
        if advised and denied:
            yield name, denied


def check_agreement(tap):
    """No two items of any page that was made here contradict each other."""
    with tap.section("agreement"):
        tap.ok(len(SEEN) > 12, "pages were made", len(SEEN))
        for found in SEEN:
            bad = list(quarrels(found))
            if bad:
                tap.equal(bad, [], f"a page on {found['sample']['comm']}", found["answer"])
        several = [found for found in SEEN if len(found["verdicts"]) > 1]
        tap.ok(len(several) > 4, "several of them with several items", len(several))


def check_errors(tap):
    with tap.section("errors"):
        done = harness.fragscope("report")
        tap.equal(done.returncode, 64, "no process given")
        done = harness.fragscope("report", "-p", "1,2")
        tap.equal(done.returncode, 64, "two processes")
        tap.ok("a report is on one process" in done.stderr, "so it says", done.stderr)
        done = harness.fragscope("report", "-p", 2**22 - 7, "--for", "0")
        tap.equal(done.returncode, 1, "no such process", done.stderr)
        with Example("steady") as target:
            done = harness.fragscope(
                "report", "-p", target.pid, "--for", "0", "--source", "preload"
            )
            tap.equal(done.returncode, 69, "no sampler in it", done.stderr)
            with open("/dev/full", "w", encoding="ascii") as full:
                done = harness.fragscope(
                    "report",
                    *("-p", target.pid, "--for", "0"),
                    stdout=full,
                    stderr=-1,
                    capture_output=False,
                )
            tap.equal(done.returncode, 1, "a full disk", done.stderr)
            tap.ok(re.search("cannot write the report", done.stderr), "so it says")


def main():
    tap = harness.Tap()
    check_healthy(tap)
    check_arenas(tap)
    check_crowd(tap)
    check_many_bytes(tap)
    check_few_readings(tap)
    check_static(tap)
    check_forked(tap)
    check_tail(tap)
    check_fast_tail(tap)
    check_threshold(tap)
    check_drift(tap)
    check_merged(tap)
    check_bursts(tap)
    check_waves(tap)
    check_passes(tap)
    check_progress(tap)
    check_leak(tap)
    check_limited(tap)
    check_two_contributors(tap)
    check_fragmenter(tap)
    check_restart(tap)
    check_loaded(tap)
    check_sparse_pages(tap)
    check_free_pages(tap)
    check_breaking(tap)
    check_set_limits(tap)
    check_stack(tap)
    check_raised(tap)
    check_cgroup(tap)
    check_text(tap)
    check_huge(tap)
    check_cached(tap)
    check_short(tap)
    check_page(tap)
    check_layout(tap)
    check_replay(tap)
    check_ends(tap)
    check_other_allocator(tap)
    check_errors(tap)
    check_agreement(tap)
    tap.done()


if __name__ == "__main__":
    main()
