"""What `stat` and `run` record of real programs is replayed to the letter, whatever was
asked for; and a recording that was cut says where."""

import datetime
import re
import socket
import subprocess
import time

import harness
from harness import BUILD, FRAGSCOPE, Oracle, Skip, Tap

REPLAY = BUILD / "tests/live/replay_rows"

# Several arenas, bins of every kind, chunks with mappings of their own.
SCENARIO = "--threads 3 --chunks 3000 --free-pattern random:50 --fast 20 --unsorted 50 --mmapped 3"


def replay(form, path, *words, **options):
    return subprocess.run(
        [REPLAY, form, str(path), *words], capture_output=True, text=True, check=False,
        timeout=harness.PATIENCE_S, **{"stdin": subprocess.DEVNULL, **options},
    )


def record(path, *args):
    done = harness.fragscope("stat", "-o", path, *args)
    if done.returncode != 0:
        raise RuntimeError(f"stat {args}: {done.stderr}")
    return path.read_text(encoding="utf-8")


def check_same(tap, path, pids, *args):
    form = "csv" if "--csv" in args else "json"
    text = record(path, "-p", pids, *args, "0", 3)
    words = ["arenas"] if {"--arenas", "--bins"} & set(args) else []
    done = replay(form, path, *words)
    tap.ok(done.stdout == text, "as it was written", done.stderr, done.stdout[:300], text[:300])
    rows = len(text.splitlines()) - (form == "csv")
    tap.equal((done.returncode, done.stderr.splitlines()[-1]),
              (0, f"recording '{path}' ends after {rows} rows"), "to its end")
    return text


def check_formats(tap, path, target, other):
    for args in (
        ("--csv",), ("--json",), ("--csv", "--arenas"), ("--json", "--arenas"),
        ("--json", "--bins"), ("--json", "--quick", "--arenas"), ("--csv", "--quick"),
        ("--json", "--source", "proc"), ("--csv", "--unusable", "4K", "--arenas"),
    ):
        with tap.section(" ".join(args)):
            check_same(tap, path, target.pid, *args)
    with tap.section("two processes"):
        check_same(tap, path, f"{target.pid},{other.pid}", "--json", "--arenas")


def check_converted(tap, directory, target):
    """CSV says all that JSON says, bins aside: there and back again."""
    clock = harness.clock_offset()
    text = check_same(tap, directory / "one", target.pid, "--csv", "--arenas")
    there = replay("json", directory / "one", "arenas")
    (directory / "two").write_text(there.stdout, encoding="utf-8")
    back = replay("csv", directory / "two", "arenas")
    tap.ok(back.stdout == text, "CSV, JSON, CSV", back.stderr)
    rows = [reading.row for reading in harness.read_json(there.stdout)]
    tap.equal(len(rows), 3, "rows")
    check_origin(tap, directory, text, rows[0], target, clock)


def check_origin(tap, directory, text, row, target, clock):
    """Where a process ran and since when is in recordings; older ones lack it. CLOCK is of when
    the recording was begun."""
    tap.equal(row["host"], socket.gethostname(), "the host is in the recording")
    ticks = int(target.proc("stat").rsplit(")", 1)[1].split()[19])
    started = clock + ticks / 100
    seen = datetime.datetime.fromisoformat(row["started"].replace("Z", "+00:00")).timestamp()
    harness.need_clock(clock)
    tap.ok(abs(seen - started) < 1, "and when the process started", seen, started)
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seen))
    line = f"# {row['comm']}[{row['pid']}] on {row['host']}, "
    done = harness.fragscope("report", "--replay", directory / "one")
    said = " ".join(done.stdout.split())
    tap.ok(said.startswith(line) and f", started {local} " in said, "a report has both", said)
    old = "".join(re.sub(r"(,host,started|,[^,\n]*,[^,\n]*)$", "", line, flags=re.M) for line in
                  text.splitlines(keepends=True))
    (directory / "old").write_text(old, encoding="utf-8")
    done = harness.fragscope("report", "--replay", directory / "old")
    tap.equal((done.returncode, ", started 2" in done.stdout), (0, False), "an older recording")


def check_cut(tap, path, target):
    text = record(path, "-p", target.pid, "--json", "--arenas", "0", 3)
    lines = text.splitlines(keepends=True)
    whole = next(i for i, line in enumerate(lines) if i and '"arena_addr":' not in line)
    for kept, name in ((1, "one byte"), (len(lines[whole]) // 2, "half a line"),
                       (len(lines[whole]) - 1, "all but the newline")):
        path.write_text("".join(lines[:whole]) + lines[whole][:kept], encoding="utf-8")
        done = replay("json", path, "arenas")
        tap.equal((done.stdout, done.returncode), ("".join(lines[:whole]), 1),
                  f"{name}: the sample before is there")
        tap.ok(f"line {whole + 1}: it is cut short" in done.stderr, f"{name}: and why",
               done.stderr)


def check_pipe(tap, target):
    with subprocess.Popen(
        [FRAGSCOPE, "stat", "-p", str(target.pid), "--csv", "0", "5"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as stat:
        done = replay("csv", "-", stdin=stat.stdout)
    tap.equal(len(done.stdout.splitlines()), 6, "rows from a pipe", done.stderr)
    tap.ok("ends after 5 rows" in done.stderr, "to its end", done.stderr)


def check_sampler(tap, path):
    script = 'until grep -q ,preload, "$0"; do sleep 0.05; done'
    done = harness.fragscope("run", "-i", "20ms", "-o", path, "--csv", "--",
                             "sh", "-c", script, path)
    if done.returncode == 69:
        raise Skip(done.stderr)
    text = path.read_text(encoding="utf-8")
    again = replay("csv", path)
    tap.ok(again.stdout == text, "as it was written", again.stderr)
    tap.ok(",preload," in text, "by the sampler", text[:300])


def check_header(tap, path, target):
    """A recording without rows, and one whose clock was set while an alert was on."""
    text = record(path, "-p", target.pid, "--csv", "0", 3)
    lines = text.splitlines(keepends=True)
    path.write_text(lines[0], encoding="utf-8")
    for verb in ("report", "alert"):
        done = harness.fragscope(verb, "--replay", path)
        tap.equal((done.returncode, done.stderr),
                  (1, f"fragscope: {path} has no rows: its header is all there is\n"),
                  f"{verb}: a header alone")
    rows = [f"{time}.000Z,{lines[1].split(',', 1)[1]}" for time in
            ("2014-01-01T00:00:00", "2014-01-01T00:00:01", "2014-01-01T00:00:02",
             "2026-01-01T00:00:00", "2026-01-01T00:00:01")]
    path.write_text(lines[0] + "".join(rows), encoding="utf-8")
    done = harness.fragscope("alert", "--replay", path, "-r", "rss > 1")
    tap.ok("after 3.00s and 12 years without readings, no more readings" in done.stdout,
           "a clock that jumps", done.stdout, done.stderr)


def main():
    tap = Tap()
    with harness.scratch() as directory, Oracle(SCENARIO) as target, Oracle("--chunks 9") as other:
        path = directory / "recording"
        with tap.section("formats"):
            check_formats(tap, path, target, other)
        with tap.section("converted"):
            check_converted(tap, directory, target)
        with tap.section("cut"):
            check_cut(tap, path, target)
        with tap.section("header"):
            check_header(tap, path, target)
        with tap.section("pipe"):
            check_pipe(tap, target)
        with tap.section("sampler"):
            check_sampler(tap, path)
        done = replay("csv", directory)
        tap.equal(done.returncode, 69, "a directory", done.stderr)
    tap.done()


main()
