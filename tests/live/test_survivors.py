"""Who allocates what stays: a leak of small blocks beside a large one that comes and goes,
and a C++ server of 16 threads with a leak, strings of a moment and a bounded cache. The
right function has the bytes that the program itself counts, as the report's remedy for a leak
(test_trace_programs.py) promises; nothing stays attached."""

import json
import shutil
import subprocess
import time

import harness
from harness import FRAGSCOPE, Skip, Tap, Target
from test_bursts import NOT_PERMITTED, TOO_BUSY, Sizes, need_bursts

CXX = "g++"
SLACK = 1.5  # beside the interval: what slows the program in bursts is an estimate
SECOND = 10**9
# From so many chunks seen freed the figure itself, not only its interval, knows a cache. Those
# that one burst saw handed out, a dozen, go together: this is three times or more. On a machine
# whose processors are all busy there are few bursts, and short ones: then it is not asked for.
ENOUGH = 36
# Of so many samples none is missing by chance; a run that has fewer is repeated. The share of
# 1% is little time where many others want the processors, too: of FEW calls, or fewer, that were
# followed in all, no stack need be among them.
SAMPLES, FEW, RUNS = 10, 500, 3


def survivors(target, seconds, *args):
    done = harness.fragscope(
        "trace", "-p", target.pid, "--survivors", "--for", f"{seconds}s", *args
    )
    if TOO_BUSY in done.stderr:
        raise Skip(done.stderr.strip())
    return done


def samples(found, name):
    """Of the first stack of that name, at the greatest age."""
    return next((ages[max(ages)]["samples"] for stack, ages in found if name in stack), 0)


def survivors_of(name, target, seconds, before=lambda: None):
    """A run with samples enough of NAME, or the last of some; what BEFORE said before."""
    for _ in range(RUNS):
        begin = before()
        done = survivors(target, seconds, "--json")
        if done.returncode or samples(stacks(done), name) >= SAMPLES:
            return done, begin
    if not samples(stacks(done), name) and json.loads(done.stdout)["followed"] <= FEW:
        raise Skip("the machine is too busy for bursts that see enough")
    return done, begin


def printed(name, target, seconds, *args):
    """A run that names NAME, or the last of some."""
    for _ in range(RUNS):
        done = survivors(target, seconds, *args)
        if done.returncode or name in done.stdout:
            return done
    raise Skip("the machine is too busy for bursts that see enough")


def stacks(done):
    """Each stack's figures by age in seconds."""
    return [
        (row["stack"], {age["age_ns"] // SECOND: age for age in row["ages"]})
        for row in json.loads(done.stdout)["stacks"]
    ]


def check_rate(tap, ages, true_per_s):
    oldest = ages[max(ages)]
    tap.ok(
        oldest["low_bytes_per_s"] / SLACK <= true_per_s
        <= oldest["high_bytes_per_s"] * SLACK,
        "bytes a second", (oldest, true_per_s))
    tap.ok(
        oldest["low_bytes_per_s"] <= oldest["bytes_per_s"] <= oldest["high_bytes_per_s"],
        "the figure lies in its interval", oldest)


def run_blame(tap):
    need_bursts()
    with Target([harness.program("blame")]) as target:
        target.line()
        done, (before, begin) = survivors_of(
            "leak_small", target, 24, lambda: (target.status("VmData"), time.monotonic()))
        grown = (target.status("VmData") - before) / (time.monotonic() - begin)
        if not tap.equal(done.returncode, 0, "exit status", done.stderr):
            return
        found = stacks(done)
        tap.ok(found and found[0][0].endswith("main;leak_small"), "who keeps", found[:3])
        tap.ok(not any("transient_big" in stack for stack, _ in found), "and no other", found)
        tap.ok(max(found[0][1]) >= 10, "chunks of 10 s", found[:1])
        check_rate(tap, found[0][1], grown)
        tap.ok("the process is slowed by 1.0% at most" in done.stderr, "the price",
               done.stderr)
        with harness.scratch() as directory:
            file = directory / "folded"
            done = printed("leak_small", target, 6, "--fold", "--folded", file)
            lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
            tap.ok(lines and lines[0][0].endswith("main;leak_small"), "folded", done.stdout)
            tap.ok(lines and int(lines[0][2]) > 0, "with bytes", done.stdout)
            tap.equal(file.read_text(encoding="utf-8"), done.stdout, "the same in the file")
        done = printed("leak_small", target, 6)
        table = done.stdout.splitlines()
        tap.ok(table[1:2] and table[1].startswith("# bytes a second"), "what it is",
               done.stdout)
        tap.ok(table and table[-1].endswith("main;leak_small"), "the table", done.stdout)


def run_plugin(tap):
    """The same leak in a library that was loaded late, of blocks that are aligned."""
    need_bursts()
    source = harness.SOURCE / "tests/programs/plugin.c"
    plugin = harness.compile_program("forgets.so", harness.CC, source,
                                     ["-DNAME=forget_small", "-DALIGNED=64", "-shared", "-fPIC"])
    with Target([harness.program("blame"), "0", plugin]) as target:
        target.line()
        done, _ = survivors_of("forget_small", target, 8)
        if not tap.equal(done.returncode, 0, "exit status", done.stderr):
            return
        found = stacks(done)
        tap.ok("posix_memalign" in done.stderr, "what is probed", done.stderr)
        tap.ok(found and "forget_small" in found[0][0].rpartition(";")[2], "who keeps",
               found[:3])
        tap.ok(not any("transient_big" in stack for stack, _ in found), "and no other", found)


def run_server(tap):
    """By the time that its chunks have had their turn the cache keeps next to nothing,
    though each is replaced at once, at the same address."""
    need_bursts()
    source = harness.SOURCE / "tests/programs/stays.cc"
    path = harness.compile_program("stays", [harness.need(CXX)], source, ["-std=gnu++17"])

    def forgotten(target):
        target.say("")
        return int(target.line())

    with Target([path]) as target:
        target.line()
        done, (before, begin) = survivors_of(
            "::leak_session()", target, 60, lambda: (forgotten(target), time.monotonic()))
        true_per_s = (forgotten(target) - before) / (time.monotonic() - begin)
        if not tap.equal(done.returncode, 0, "exit status", done.stderr):
            return
        found = stacks(done)
        tap.ok(json.loads(done.stdout)["free_watched"], "free is watched", done.stderr)
        cache = [ages for stack, ages in found if "::remember" in stack]
        seen = sum(ages[max(ages)]["freed"] for ages in cache) >= ENOUGH
        leak = [ages for stack, ages in found if "::leak_session()" in stack]
        if not tap.ok(leak, "who keeps", found[:3]):
            return
        if seen:
            tap.ok("::leak_session()" in found[0][0], "before all others", found[:3])
        check_rate(tap, leak[0], true_per_s)
        tap.ok(not any("::answer()" in stack for stack, _ in found), "not the strings", found)
        for ages in cache:
            if 10 not in ages:
                continue
            tap.ok(ages[10]["low_bytes_per_s"] < ages[0]["bytes_per_s"] / 2,
                   "the cache need be no survivor", ages)
            if seen:
                tap.ok(ages[10]["freed"] >= ages[10]["handed_out_again"] > 0,
                       "seen freed, and handed out again", ages)
                tap.ok(ages[10]["bytes_per_s"] < ages[0]["bytes_per_s"] / 2,
                       "and is none", ages)


def run_harmless(tap):
    need_bursts()
    with Sizes([harness.program("sizes")]) as target:
        code = target.code()
        done = survivors(target, 6, "--json")
        tap.equal(done.returncode, 0, "exit status", done.stderr)
        tap.equal(target.code(), code, "malloc's code is as it was")
        tap.equal(target.verdict(), "intact", "the program's memory")


def run_end(tap):
    """The program ends meanwhile: what was seen until then is told."""
    need_bursts()
    with Target([harness.program("blame"), "1000000"]) as target:
        target.line()
        with subprocess.Popen(
            [FRAGSCOPE, "trace", "-p", str(target.pid), "--survivors"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:
            harness.until(lambda: "survivors:" in process.stderr.readline(), "the price")
            time.sleep(5)
            target.process.kill()
            out, err = process.communicate(timeout=harness.PATIENCE_S)
        tap.equal(process.returncode, 0, "exit status", err)
        tap.ok("has ended" in err, "it is said", err)
        tap.ok(out.startswith("# process"), "and what was seen", out)


def run_refused(tap):
    setpriv = harness.need("setpriv")
    user = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all"]
    need_bursts()
    with harness.scratch() as directory:
        program = shutil.copy(harness.program("plain"), directory / "plain")
        copy = shutil.copy(FRAGSCOPE, directory / "fragscope")
        with Target([*user, program]) as target:
            target.line()
            done = subprocess.run(
                [*user, copy, "trace", "-p", str(target.pid), "--survivors"],
                capture_output=True, text=True, check=False)
        tap.ok("CAP_BPF" in done.stderr, "the message names CAP_BPF", done.stderr)
        tap.equal(done.returncode, NOT_PERMITTED, "exit status", done.stderr)
        tap.equal(done.stdout, "", "no figures")
    with Target([harness.program("plain")]) as target:
        target.line()
        for words, what in ((("--survivors", "--bursts"), "--survivors excludes"),
                            (("--survivors=1ms",), "1s or more")):
            done = harness.fragscope("trace", "-p", target.pid, *words)
            tap.equal(done.returncode, 64, f"{words}: exit status", done.stderr)
            tap.ok(what in done.stderr, f"{words}: the message", done.stderr)


def main():
    tap = Tap()
    for run in (run_blame, run_plugin, run_server, run_harmless, run_end, run_refused):
        with tap.section(run.__name__.removeprefix("run_").replace("_", " ")):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
