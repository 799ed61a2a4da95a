"""A run ends cleanly and says why: when the program does, or becomes another, or grows so
fast that the probes would cost too much; when it is told to, or killed, or its output goes.
What may not be is refused by name."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import harness
import tracing
from harness import CLEAN_ENV, FRAGSCOPE, Skip, Tap, Target
from tracing import ALL, NOT_PERMITTED, Grower, Tally, Trace

FAILED, USAGE = 1, 64
RATE = 20  # of events a second, unless another is given


def ended(tap, trace, target, *words, status=0):
    """The run ends by itself with STATUS, and says each of WORDS."""
    tap.equal(trace.wait(), status, "exit status", trace.said)
    for word in (str(target.pid), *words):
        tap.ok(word in trace.said, f"the message says '{word}'", trace.said)
    return trace.totals(target.pid)


# ---- the program's end -----------------------------------------------------------------


def run_exit(tap):
    with Grower() as target, Trace(target, *ALL) as trace:
        want = target.order("malloc 20 50000")
        target.process.stdin.close()
        totals = ended(tap, trace, target, "grower")
        tracing.check_totals(tap, totals, trace.events)
        tap.equal(totals.growths, want.of("brk")[0], "what came before the end is told")


def run_kill(tap):
    with Grower() as target, Trace(target, *ALL) as trace:
        want = target.order("malloc 20 50000")
        target.process.kill()
        totals = ended(tap, trace, target)
        tracing.check_totals(tap, totals, trace.events)
        tap.equal(totals.growths, want.of("brk")[0], "what came before the end is told")


def run_exec(tap):
    with Grower() as target, Trace(target, *ALL) as trace:
        want = target.order("malloc 20 50000")
        target.say(f"exec {harness.program('plain')}")
        tap.equal(target.line(), f"ready {target.pid}", "it is another program now")
        totals = ended(tap, trace, target, "executed another program, plain")
        tracing.check_totals(tap, totals, trace.events)
        tap.equal(totals.growths, want.of("brk")[0], "the new program's heap is not counted")


def run_flood(tap):
    """The probes take themselves off; the program goes on."""
    with Grower() as target, Trace(target) as trace:
        before, flood, begin_s = target.order("malloc 10 50000"), Tally(), time.monotonic()

        def is_over():
            """Floods for a second, which on a busy machine may be too little."""
            nonlocal flood
            flood += target.order("flood 1")
            return trace.process.poll() is not None

        harness.until(is_over, "the probes take themselves off")
        seconds = time.monotonic() - begin_s
        totals = ended(tap, trace, target, "5000 events in a second", "detached", status=FAILED)
        tap.equal(totals.told, len(trace.events), "what was told stays")
        tap.within(len(trace.events), 20, 200 + RATE * seconds, "events told")
        tap.equal(totals.told + totals.limited + totals.lost, totals.seen, "none is forgotten")
        tap.ok(totals.seen >= 5000, "seen until then", totals.seen)
        flood += target.order("flood 1")
        tap.ok(flood.calls > totals.growths - before.of("brk")[0],
               "the program went on without them", flood.calls, totals.growths)


def run_two_ends(tap):
    """One of two processes ends: the other is traced on."""
    with Grower() as one, Grower() as other, Trace([one, other], *ALL) as trace:
        want = other.order("malloc 10 50000")
        one.process.kill()
        harness.until(lambda: f"process {one.pid}" in trace.said, "the first one's end")
        want += other.order("malloc 10 50000")
        tap.equal(trace.stop(), 0, "exit status", trace.said)
        events = [event for event in trace.events if event["pid"] == other.pid]
        tap.equal(len(events), want.of("brk")[0], "the other's events")
        tap.equal(trace.totals(one.pid).seen, 0, "the first one's totals")


# ---- the run's end ---------------------------------------------------------------------


def run_signals(tap):
    for number in (signal.SIGINT, signal.SIGTERM):
        with tap.section(number.name), Grower() as target, Trace(target, *ALL) as trace:
            want = target.order("malloc 20 50000")
            tap.equal(trace.stop(number), 0, "exit status", trace.said)
            tracing.check_growth(tap, trace, target, want)


def run_amid(tap):
    """Stopped while events come: what is counted as told is told."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with tap.section(number.name), Grower() as target, Trace(target, "--rate", 300) as trace:
            target.say("pace 3000 300000")
            harness.until(lambda: len(trace.events) > 50, "events")
            status = trace.stop(number)
            target.process.kill()
            if number == signal.SIGKILL:
                tap.equal(status, -number, "what it wrote are whole lines", trace.said)
                continue
            tap.equal(status, 0, "exit status", trace.said)
            totals = trace.totals(target.pid)
            tap.equal(totals.told, len(trace.events), "told")
            tap.equal(totals.told + totals.limited + totals.lost, totals.seen,
                      "none is forgotten")


def run_for(tap):
    for seconds in (3, 20, 120):
        begin_s = time.monotonic()
        with Grower() as target, Trace(target, *ALL, "--for", seconds) as trace:
            want = target.order("malloc 20 50000")
            # On a machine that stops the time may be over before the program has grown.
            if time.monotonic() - begin_s > seconds:
                continue
            tap.equal(trace.wait(), 0, "exit status", trace.said)
            tracing.check_growth(tap, trace, target, want)
            return
    tap.ok(False, "the program grows while it is traced")


def attached_by(pid):
    """What the process holds of the kernel's BPF: ids of programs and links."""
    ids = []
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as info:
            ids += [line.split()[1] for line in info if line.startswith(("prog_id", "link_id"))]
    return ids


def listed(what):
    """The ids that the kernel has of WHAT: prog or link."""
    done = subprocess.run([harness.need("bpftool"), "-j", what, "list"], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"bpftool {what} list: {done.stderr}")
    return {str(entry["id"]) for entry in json.loads(done.stdout or "[]")}


def run_nothing_stays(tap):
    """However it ends, the kernel takes its programs away."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with tap.section(number.name), Grower() as target, Trace(target, *ALL) as trace:
            mine = set(attached_by(trace.pid))
            tap.ok(mine & listed("prog"), "its programs are listed", mine)
            tap.ok(mine & listed("link"), "its links are listed", mine)
            target.order("malloc 20 50000")
            trace.stop(number)
            # Ids are not used again, and the kernel frees what they were of a moment later.
            harness.until(lambda ids=mine: not ids & (listed("prog") | listed("link")),
                          "nothing is left attached")
            tap.reached("nothing is left attached")
            tap.equal(target.order("malloc 5 300000").of("mmap")[0], 5, "the program goes on")


# ---- output ----------------------------------------------------------------------------


def run_output(tap):
    with harness.scratch() as directory, Grower() as target:
        path = directory / "events"
        path.write_text("old\n" * 10000)
        with Trace(target, *ALL, "-o", path) as trace:
            want = target.order("malloc 20 50000")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            tap.equal(trace.text, "", "nothing on standard output")
            lines = path.read_text().splitlines()
            tap.equal(len(lines), want.of("brk")[0], "events in the file, and nothing else")
            kinds = {json.loads(line)["kind"] for line in lines}
            tap.equal(kinds, {"brk"}, "kinds")


def run_full(tap):
    with open("/dev/full", "w", encoding="ascii") as full, Grower() as target:
        with Trace(target, *ALL, stdout=full) as trace:
            target.order("malloc 20 50000")
            ended(tap, trace, target, "standard output", "No space left", status=FAILED)


def run_closed_pipe(tap):
    readable, writable = os.pipe()
    with Grower() as target:
        with Trace(target, *ALL, stdout=writable) as trace:
            os.close(writable)
            os.close(readable)
            target.order("malloc 20 50000")
            ended(tap, trace, target, "standard output", "Broken pipe", status=FAILED)


def run_text(tap):
    """For people: a header, and blocks whose first line is the event."""
    with Grower() as target, Trace(target, *ALL, form=()) as trace:
        want = target.order("malloc 20 50000")
        tap.equal(trace.stop(), 0, "exit status", trace.said)
        lines = trace.text.splitlines()
        tap.ok(lines[0].startswith(f"# process {target.pid} (grower"), "header", lines[:1])
        heads = [line for line in lines[1:] if not line.startswith(" ")]
        tap.equal(len(heads), want.of("brk")[0], "a block an event", *heads[:3])
        tap.ok(all(" brk +" in line and " for a request of " in line for line in heads),
               "what it was", *heads[:3])
        tap.equal(sum(" main+0x" in line for line in lines), len(heads), "each with its stack")
    with Grower() as target, Trace(target, *ALL, "--no-header", form=()) as trace:
        target.order("malloc 20 50000")
        trace.stop()
        tap.ok("#" not in {line[:1] for line in trace.text.splitlines()}, "--no-header",
               trace.text[:200])


def table(text):
    """--fold's rows: stack to (bytes, growths, failures)."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("#") or line.split()[:1] == ["bytes"]:
            continue
        size, growths, failures, stack = line.split(None, 3)
        rows[stack] = (size, int(growths), int(failures))
    return rows


def run_fold(tap):
    with harness.scratch() as directory, Grower() as target:
        folded = directory / "folded"
        with Trace(target, "--folded", folded, form=()) as trace:  # implies --fold
            want = target.orders(["calloc 40 50000", "malloc 300 50000", "malloc 60 300000"])
            target.limit(resource.RLIMIT_AS, 0)
            want += target.order("rush malloc 200 400000")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            rows, totals = table(trace.text), trace.totals(target.pid)
        growths = sum(pair[0] for pair in want.growths().values())
        grown = sum(pair[1] for pair in want.growths().values())
        tap.equal((totals.growths, totals.failures), (growths, want.nulls), "totals")
        total = rows.pop("[total]")
        tap.equal(total[1:], (growths, want.nulls), "the last row", rows)
        tap.equal(total[0], totals.grown, "its bytes")
        tap.equal(sum(row[1] for row in rows.values()), growths, "rows add up: growths")
        tap.equal(sum(row[2] for row in rows.values()), want.nulls, "rows add up: failures")
        stacks = " ".join(rows)
        for way in ("by_malloc;malloc;", "by_calloc;calloc;"):
            tap.ok(f"main;serve;obey_malloc;grow;{way}" in stacks, way, stacks)
        lines = [line.rpartition(" ") for line in folded.read_text().splitlines()]
        tap.equal(sum(int(line[2]) for line in lines), grown, "--folded adds up: bytes")
        told = {stack for stack, row in rows.items() if row[1]}
        tap.equal({line[0] for line in lines}, told, "and has the same stacks")


# ---- what may not be -------------------------------------------------------------------


def as_nobody(directory, *words):
    """fragscope as another user than root, of a copy that this user may run."""
    become = []
    if os.geteuid() == 0:
        become = [harness.need("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    copy = shutil.copy(FRAGSCOPE, directory / "fragscope")
    return subprocess.run(
        [*become, copy, "trace", *words],
        capture_output=True, text=True, check=False, env=CLEAN_ENV, cwd="/",
        timeout=harness.PATIENCE_S,
    )


def run_unprivileged(tap):
    with harness.scratch() as directory, Grower() as target:
        for words, said in ((["--oom"], ("CAP_BPF", "CAP_PERFMON")),
                            (["-p", str(target.pid)], ("CAP_",))):
            done = as_nobody(directory, *words)
            tap.equal(done.returncode, NOT_PERMITTED, "exit status", done.stderr)
            tap.equal(done.stdout, "", "no output")
            tap.equal(len(done.stderr.splitlines()), 1, "one line", done.stderr)
            for word in (*said, "root"):
                tap.ok(word in done.stderr, f"{words}: the message says '{word}'", done.stderr)
            tap.ok("libbpf" not in done.stderr, "not libbpf's own words", done.stderr)


def run_one_missing(tap):
    """Each capability that is missing is named, and no other."""
    harness.need_root("to drop capabilities")
    setpriv = harness.need("setpriv")
    names = ("bpf", "perfmon")
    with Grower() as target:
        for missing in names:
            other = names[names.index(missing) - 1]
            drop = f"-sys_admin,-{missing}"
            done = subprocess.run(
                [setpriv, f"--bounding-set={drop}", f"--inh-caps={drop}", FRAGSCOPE, "trace",
                 "-p", str(target.pid), "--for", "10ms"],
                capture_output=True, text=True, check=False, env=CLEAN_ENV,
                timeout=harness.PATIENCE_S,
            )
            tap.equal(done.returncode, NOT_PERMITTED, "exit status", done.stderr)
            said = done.stderr.split(";")[0]
            tap.ok(f"CAP_{missing.upper()} is missing" in said, f"names CAP_{missing.upper()}",
                   done.stderr)
            tap.ok(f"CAP_{other.upper()}" not in said, f"and not CAP_{other.upper()}",
                   done.stderr)


def run_just_enough(tap):
    """These capabilities, and no root's."""
    harness.need_root("to drop capabilities")
    setpriv = harness.need("setpriv")
    keep = "-all,+bpf,+perfmon,+sys_ptrace"
    with Grower() as target:
        done = subprocess.run(
            [setpriv, f"--bounding-set={keep}", f"--inh-caps={keep}", FRAGSCOPE, "trace", "-p",
             str(target.pid), "--for", "10ms"],
            capture_output=True, text=True, check=False, env=CLEAN_ENV,
            timeout=harness.PATIENCE_S,
        )
        tap.equal(done.returncode, 0, "exit status", done.stderr)


def run_usage(tap):
    with Grower() as target:
        pid = str(target.pid)
        for words in ([], ["-p", pid, "--json", "--fold"],
                      ["-p", pid, "--stack-bytes", "5000"], ["--oom", "--fold"],
                      ["-p", pid, "--for", "soon"], ["-p", pid, "--rate", "100000"]):
            done = harness.fragscope("trace", *words)
            tap.equal(done.returncode, USAGE, f"exit status of {words}", done.stderr)
            tap.ok(done.stderr.startswith("fragscope"), "a message", done.stderr)
    with Target(["true"]) as gone:
        gone.process.wait()
        done = harness.fragscope("trace", "-p", gone.pid)
        tap.equal(done.returncode, FAILED, "exit status of no process", done.stderr)
        tap.ok("no such process" in done.stderr.lower(), "a message", done.stderr)


CASES = [
    ("exit", run_exit),
    ("killed", run_kill),
    ("exec", run_exec),
    ("flood", run_flood),
    ("one of two ends", run_two_ends),
    ("signals", run_signals),
    ("amid events", run_amid),
    ("--for", run_for),
    ("nothing stays", run_nothing_stays),
    ("output file", run_output),
    ("full disk", run_full),
    ("closed pipe", run_closed_pipe),
    ("text", run_text),
    ("--fold", run_fold),
    ("one capability missing", run_one_missing),
    ("just the capabilities", run_just_enough),
    ("usage", run_usage),
]


def main():
    tap = Tap()
    with tap.section("unprivileged"):
        run_unprivileged(tap)
    with tap.section("probes"):
        tracing.need_probes()
        for name, run in CASES:
            with tap.section(name):
                run(tap)
    tap.done()


if __name__ == "__main__":
    main()
