"""`record` keeps what `stat` would have printed, in a file that survives kill -9, a full
disk and rotation; and `diff` tells a change from none."""

import contextlib
import datetime
import json
import lzma
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import time

import harness
from harness import FRAGSCOPE, Oracle, Skip, Tap


def start(path, *args, **options):
    return subprocess.Popen(
        [FRAGSCOPE, "record", "-o", str(path), *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )


def ask(path, query):
    """The rows of QUERY; none while the file is being made."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def count_of(path, query):
    found = ask(path, f"SELECT count(*) FROM {query}")
    return found[0][0] if found else 0


def rows_of(path):
    return count_of(path, "sample")


def replayed(path, *args):
    done = harness.fragscope("stat", "--replay", path, "--json", *args)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return rows_in(done.stdout)


def rows_in(text):
    return [json.loads(line) for line in text.splitlines()]


def check_same(tap, directory, target):
    """A still process: what comes back is what stat says, figure by figure."""
    path = directory / "same.db"
    done = harness.fragscope("record", "-p", target.pid, "-o", path, 0, 3)
    tap.equal((done.returncode, done.stderr), (0, ""), "three readings")
    live = rows_in(
        harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "--once").stdout)
    rows = replayed(path, "--arenas")
    tap.equal(len(rows), 3 * len(live), "all rows are there")
    ignore = {"time", "read_ns", "pss_bytes"}
    for want, got in zip(live, rows[-len(live):]):
        tap.equal({k: v for k, v in got.items() if k not in ignore},
                  {k: v for k, v in want.items() if k not in ignore},
                  f"as stat says, arena {want.get('arena', 'all')}")
    facts = dict(ask(path, "SELECT name, value FROM fact"))
    lives = ask(path, "SELECT service, pid, end FROM life")
    tap.equal(facts["host"], os.uname().nodename, "the host is in it")
    tap.equal(facts["kernel"], f"Linux {os.uname().release}", "the kernel is in it")
    lacking = {"build_id", "command_line", "program", "user", "limit_as", "limit_data",
               "limit_stack", "overcommit_memory", "ram_bytes"} - facts.keys()
    tap.equal(lacking, set(), "and what it may be compared by")
    tap.ok(facts["allocator"].startswith("glibc-"), "the allocator is in it", facts)
    tap.equal(lives, [(live[0]["comm"], target.pid, "the recording ended")], "one life")


def check_span(tap, directory, target):
    """The rows of a span are those of the whole that lie in it, whatever the format."""
    path, text = directory / "span.db", directory / "span.json"
    clock = harness.clock_offset()
    seconds = "SELECT DISTINCT time_ns / 1000000000 FROM sample"
    with start(path, "-p", target.pid, "0.2") as recorder:
        harness.until(lambda: len(ask(path, seconds)) > 1, "readings in two seconds")
        recorder.send_signal(signal.SIGTERM)
    rows = replayed(path)
    harness.need_clock(clock)
    text.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    after = local(rows[-1]["time"]).replace(" ", "T")
    before = [row for row in rows if row["time"] < utc(after)]
    for name in (path, text):
        tap.equal(replayed(f"{name}@1000-01-01..9999-12-31"), rows, f"{name.suffix} of all times")
        for span, want in ((f"..{after}", before),
                           (f"{after}..", [row for row in rows if row["time"] >= utc(after)])):
            tap.equal(replayed(f"{name}@{span}"), want, f"{name.suffix} {span[:2]}")
    done = harness.fragscope("report", "--replay", path, "--at", after, "--json")
    report = json.loads(done.stdout)
    tap.equal(report["sample"]["time"], before[-1]["time"],
              "a report at a time is of what was before")
    begins = local(rows[0]["time"])
    tap.ok(report["described"].endswith(f"from recording '{path}', {begins} to "
                                        f"{after.replace('T', ' ')}"),
           "and says from when to when", report["described"])
    done = harness.fragscope("report", "-p", target.pid, "--at", after)
    tap.equal(done.returncode, 64, "and only of a recording")
    done = harness.fragscope("stat", "--replay", f"{path}@2001-01-01..2001-01-02")
    tap.equal(done.returncode, 1, "a span without readings")
    tap.ok("no readings in that span" in done.stderr, "says so", done.stderr)


def local(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone() \
        .strftime("%Y-%m-%d %H:%M:%S")


def utc(stamp):
    return datetime.datetime.fromisoformat(stamp).astimezone(datetime.timezone.utc) \
        .strftime("%Y-%m-%dT%H:%M:%S.000Z")


def check_maps(tap, directory, target):
    """Maps and free sizes of a still process are those that a look at it finds."""
    path, survey = directory / "maps.db", str(harness.BUILD / "tests/live/survey")
    done = harness.fragscope("record", "-p", target.pid, "-o", path, "--maps", "1ms", 0, 3)
    tap.equal((done.returncode, done.stderr), (0, ""), "three readings with maps")
    live = rows_in(harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "--bins",
                                     "--once").stdout)
    for row in (row for row in live if "arena" in row):
        arena = str(row["arena"])
        found, sizes = rows_in(subprocess.check_output(
            [survey, str(target.pid), "recorded", str(path), arena], text=True))
        seen = rows_in(subprocess.check_output(
            [survey, str(target.pid), "map", arena, str(len(found["cells"]))], text=True))[0]
        tap.ok(len(found["cells"]) > 10 and found["status"] == "complete",
               f"a map of arena {arena}", found["status"])
        tap.equal((found["cells"], found["total"]), (seen["cells"], seen["total"]),
                  "says what a look at it says")
        tap.equal(sizes["top"], row["top_bytes"], "the top is beside the free sizes")
        tap.equal(sizes["bytes"] + sizes["top"], row["free_bytes"],
                  "which have all that is free")
    tap.ok(0 < count_of(path, "look WHERE data IS NULL") < count_of(path, "look"),
           "what is the same again takes no room")
    for options in (["--quick"], ["--source", "proc"]):
        done = harness.fragscope("record", "-p", target.pid, "-o", path, "--maps", "5m",
                                 *options)
        tap.equal(done.returncode, 64, f"not with {options[0]}")


def check_owners(tap, directory, target):
    """Owners of a still process are those that are found now."""
    path = directory / "owners.db"
    done = harness.fragscope("record", "-p", target.pid, "-o", path, "--owners", "1h", 0, 2)
    tap.equal((done.returncode, done.stderr), (0, ""), "a recording with owners")
    live = json.loads(harness.fragscope("owners", "-p", target.pid, "--json").stdout)
    done = harness.fragscope("owners", "--replay", path, "--json")
    tap.equal((done.returncode, done.stderr), (0, ""), "is read back")
    found = json.loads(done.stdout)
    same = ("pid", "comm", "owners", "asked_chunks", "asked_bytes", "pinned_bytes", "live_bytes")
    tap.equal({key: found[key] for key in same}, {key: live[key] for key in same},
              "as they are found now")
    tap.ok(found["owners"] and "time" in found, "with when that was", found.get("time"))
    tap.equal(count_of(path, "owner WHERE rank=1 AND path <> ''"), 1, "the file can be asked, too")
    tap.equal(count_of(path, "look WHERE kind='owners'"), 1, "at their own pace")
    done = harness.fragscope("owners", "--replay", path)
    tap.ok("looked at 20" in done.stdout, "for people", done.stdout)
    done = harness.fragscope("owners", "--replay", directory / "maps.db")
    tap.ok(done.returncode and "record --owners" in done.stderr,
           "where there are none it says so", done.stderr)
    done = harness.fragscope("owners", "--replay", path, "--live")
    tap.equal(done.returncode, 64, "the look has been made")


def check_budget(tap, directory):
    """Estimates come back with their intervals, as they were."""
    path = directory / "budget.db"
    with Oracle("--chunks 150000 --free-pattern random:50") as target:
        done = harness.fragscope("record", "-p", target.pid, "-o", path, "--budget", "1ms", 0, 2)
    tap.equal((done.returncode, done.stderr), (0, ""), "a recording within a budget")
    rows = replayed(path)
    tap.equal({row["status"] for row in rows}, {"estimated"}, "is of estimates")
    ranges = [row.get("estimate", {}) for row in rows]
    tap.ok(all("live_bytes" in each for each in ranges), "which have intervals", rows[0])
    low, high = (float(value) for value in ranges[0]["live_bytes"])
    tap.ok(low < rows[0]["live_bytes"] < high, "around them", ranges[0])
    text = path.with_suffix(".json")
    text.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tap.equal(replayed(text), rows, "as in any other format")


def check_refused(tap, directory, target):
    path = directory / "same.db"
    done = harness.fragscope("record", "-p", target.pid, "-o", path, 0, 1)
    tap.equal(done.returncode, 1, "a file that exists is left alone")
    tap.ok("--append" in done.stderr, "and it says what to do", done.stderr)
    done = harness.fragscope("record", "-p", target.pid, "-o", path, "--append", 0, 2)
    tap.equal((done.returncode, rows_of(path)), (0, 5), "--append goes on")
    done = harness.fragscope("record", "-p", target.pid, "-o", directory / "none/x.db", 0, 1)
    tap.equal(done.returncode, 1, "a directory that is not there")
    tap.ok("No such file" in done.stderr, "is named", done.stderr)


def check_environment(tap, directory):
    """Only what allocators read of the environment."""
    path = directory / "env.db"
    env = {**harness.CLEAN_ENV, "MALLOC_ARENA_MAX": "3", "SECRET": "hidden"}
    with Oracle("--chunks 100", env=env) as target:
        harness.fragscope("record", "-p", target.pid, "-o", path, 0, 1)
    tap.equal(rows_of(path), 1, "it was recorded")
    facts = dict(ask(path, "SELECT name, value FROM fact"))
    tap.equal(facts.get("env:MALLOC_ARENA_MAX"), "3", "what malloc reads is in it")
    tap.ok("hidden" not in str(facts), "what it does not read is not", facts)


def check_killed(tap, directory, target):
    """Cut off at any instant the file is whole, and lacks the last reading at most."""
    path = directory / "killed.db"
    lost = damaged = 0
    rounds = int(os.environ.get("FRAGSCOPE_KILLS", "25"))
    for _ in range(rounds):
        before = rows_of(path)
        with start(path, "-p", target.pid, "--append", "0.01") as recorder:
            harness.until(lambda: rows_of(path) > before + 2, "readings")
            time.sleep(random.random() / 50)
            seen = rows_of(path)
            recorder.send_signal(signal.SIGKILL)
            recorder.wait()
        lost += rows_of(path) < seen
        damaged += ask(path, "PRAGMA integrity_check") != [("ok",)]
    tap.equal((lost, damaged), (0, 0), f"killed {rounds} times: nothing committed is lost")
    tap.equal(len(replayed(path)), rows_of(path), "and all of it is read")


def check_rotation(tap, directory, target):
    for name, reads in (("turn", False), ("read", True)):
        rotate(tap, directory / f"{name}.db", target, reads)


def rotate(tap, path, target, reads):
    """With READS, a program reads the file all the while: neither file may lose by it."""
    old, clock = path.with_suffix(".db.1"), harness.clock_offset()
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(start(path, "-p", target.pid, "0.02"))
        harness.until(lambda: rows_of(path) > 3, "readings")
        if reads:
            db = stack.enter_context(contextlib.closing(
                sqlite3.connect(f"file:{path}?mode=ro", uri=True)))
            cursor = db.execute("SELECT * FROM sample")
            cursor.fetchone()
            held = rows_of(path)
            harness.until(lambda: rows_of(path) > held + 3, "readings that are in the log only")
        committed = rows_of(path)
        os.rename(path, old)
        recorder.send_signal(signal.SIGHUP)
        harness.until(lambda: (os.path.exists(path) and rows_of(path) > 3)
                      or recorder.poll() is not None, "a new file")
        recorder.send_signal(signal.SIGTERM)
        _, said = recorder.communicate(timeout=harness.PATIENCE_S)
        if reads:
            tap.ok(len(cursor.fetchall()) > 2, "who reads the old file reads on")
    tap.equal((recorder.returncode, said), (0, ""), "SIGHUP opens the name anew")
    first, second = replayed(old), replayed(path)
    tap.ok(len(first) >= committed, "the old file has all that was in it", len(first), committed)
    tap.equal(second[0]["host"], os.uname().nodename, "the new one says where it was made")
    harness.need_clock(clock)
    tap.ok(first[-1]["time"] <= second[0]["time"], "where the old file ends the new begins")


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def check_append(tap, directory, target):
    """stat -o --append goes on with a file: one header, no half rows, no other columns."""
    path = directory / "rows.csv"

    def stat(*options):
        return harness.fragscope("stat", "-p", target.pid, "-o", path, "--append", *options)

    for _ in range(2):
        tap.equal(stat("--csv", 0, 2).returncode, 0, "--append makes a file, or goes on")
    lines = lines_of(path)
    tap.equal([line.startswith("time,") for line in lines], [True] + [False] * 4,
              "with one header")
    path.write_text("\n".join(lines)[:-20])
    done = stat("--csv", 0, 1)
    tap.ok("ended within a row" in done.stderr, "a row that was cut is removed", done.stderr)
    tap.equal(lines_of(path)[:4], lines[:4], "and nothing else")
    tap.equal(len(replayed(path)), 4, "all rows are read")
    done = stat("--csv", "--intervals", 0, 1)
    tap.equal(done.returncode, 1, "other columns are not appended")
    tap.ok("other columns" in done.stderr, "and it says so", done.stderr)
    rows = path.with_suffix(".json")
    for _ in range(2):
        harness.fragscope("stat", "-p", target.pid, "-o", rows, "--append", "--json", 0, 2)
    tap.equal(len(replayed(rows)), 4, "JSON, too")
    done = harness.fragscope("stat", "-p", target.pid, "--append", 0, 1)
    tap.equal(done.returncode, 64, "--append without a file")


def check_tail(tap, directory, target):
    """The rest of a CSV file, as a rotation by size leaves it, has no header."""
    path, tail = directory / "head.csv", directory / "tail.csv"
    harness.fragscope("stat", "-p", target.pid, "-o", path, "--csv", "--arenas", 0, 4)
    lines = lines_of(path)
    tail.write_text("\n".join(lines[3:]) + "\n")
    done = harness.fragscope("stat", "--replay", tail, "--json", "--arenas")
    tap.equal(done.returncode, 0, "it is read", done.stderr)
    tap.equal(rows_in(done.stdout), replayed(path, "--arenas")[-len(rows_in(done.stdout)):],
              "as what it was")
    tap.ok("has no header" in done.stderr, "which is said", done.stderr)
    tail.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines[3:]) + "\n")
    done = harness.fragscope("stat", "--replay", tail, "--json")
    tap.ok(done.returncode != 0, "with other columns it is not")
    tap.ok("put the header" in done.stderr, "and it says what to do", done.stderr)


def check_logrotate(tap, directory, target):
    """Debian's logrotate with the example, on both kinds of files; and a copied one."""
    if not shutil.which("logrotate"):
        raise Skip("logrotate is not installed")
    logs, clock = directory / "log", harness.clock_offset()
    logs.mkdir()
    database, rows = logs / "turn.db", logs / "turn.csv"
    config = directory / "logrotate.conf"
    example = (harness.SOURCE / "examples/logrotate.conf").read_text()
    config.write_text(example.replace("/var/log/fragscope", str(logs)))
    config.chmod(0o600)
    command = [FRAGSCOPE, "stat", "-p", str(target.pid), "--csv", "-o", str(rows), "0.02"]
    with start(database, "-p", target.pid, "0.02") as recorder, \
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as stat:
        harness.until(lambda: rows_of(database) > 3 and len(lines_of(rows)) > 3, "rows")
        done = subprocess.run(["logrotate", "-f", "-s", directory / "state", config],
                              capture_output=True, text=True, check=False)
        tap.equal((done.returncode, done.stderr), (0, ""), "logrotate is content")
        harness.until(lambda: rows_of(database) > 3 and len(lines_of(rows)) > 3, "new rows")
        rows.write_text("")
        harness.until(lambda: len(lines_of(rows)) > 3, "rows in the emptied file")
        for process in (recorder, stat):
            process.send_signal(signal.SIGTERM)
            tap.equal(process.communicate(timeout=harness.PATIENCE_S)[1], "", "nothing is said")
            tap.equal(process.returncode, 0, "and it ends well")
    databases = replayed(logs / "turn.db.1"), replayed(database)
    old, new = replayed(logs / "turn.csv.1"), replayed(rows)
    harness.need_clock(clock)
    tap.ok(databases[0][-1]["time"] <= databases[1][0]["time"],
           "the recording goes on in a new file")
    tap.ok(old and new and old[-1]["time"] <= new[0]["time"], "and so do rows")


def check_full(tap, directory, target):
    """On a full disk nothing is harmed, and it goes on when there is room."""
    mount = directory / "small"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"no tmpfs can be mounted: {done.stderr.strip()}")
    path, ballast = mount / "full.db", mount / "ballast"
    try:
        with start(path, "-p", target.pid, "0.02") as recorder:
            harness.until(lambda: rows_of(path) > 3, "readings")
            subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"],
                           stderr=subprocess.DEVNULL, check=False)
            said = recorder.stderr.readline()
            tap.ok("nothing is recorded until" in said, "a full disk is told", said)
            tap.ok(recorder.poll() is None, "and is no end")
            tap.ok(rows_of(path) > 3, "what was recorded is there")
            ballast.unlink()
            said = recorder.stderr.readline()
            tap.ok("goes on" in said, "it goes on when there is room", said)
            held = rows_of(path)
            harness.until(lambda: rows_of(path) > held, "more readings")
            recorder.send_signal(signal.SIGTERM)
            recorder.communicate(timeout=harness.PATIENCE_S)
        tap.equal(len(replayed(path)), rows_of(path), "all of it is read")
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def check_follow(tap, directory):
    path = directory / "follow.db"
    service = directory / "phoenix"
    shutil.copy(harness.program("oracle"), service)
    with start(path, "-n", "phoenix", "--follow", "0.02") as recorder:
        for life in range(2):
            with subprocess.Popen([service, "--chunks", "200"], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL) as process:
                harness.until(lambda life=life: count_of(path, "life") > life, "a life")
                process.kill()
            harness.until(
                lambda life=life: count_of(path, "life WHERE end NOTNULL") > life, "its end")
        recorder.send_signal(signal.SIGTERM)
        recorder.communicate(timeout=harness.PATIENCE_S)
    found = ask(path, "SELECT service, end FROM life")
    tap.equal([name for name, _ in found], ["phoenix"] * 2, "two lives of one service")


GROWTHS = """event WHERE kind='brk' AND time_ns >= (SELECT min(time_ns) FROM sample)
AND time_ns <= (SELECT max(time_ns) FROM sample)"""


def check_events(tap, directory):
    """A process that grows: each growth with its stack, and the alert that it makes."""
    harness.need_root("probes")
    path = directory / "events.db"
    leak = harness.BUILD / "examples/leak"
    with subprocess.Popen([leak], stdout=subprocess.DEVNULL,
                          env=harness.CLEAN_ENV) as process:
        with start(path, "-p", process.pid, "--events", "-r", "big: rss > 1", "0.1") as recorder:
            harness.until(lambda: count_of(path, GROWTHS) > 2
                          or recorder.poll() is not None, "growths between readings")
            process.kill()
            _, said = recorder.communicate(timeout=harness.PATIENCE_S)
    if "bpf" in said.lower() and not count_of(path, "event WHERE kind='brk'"):
        raise Skip(said)
    growth = json.loads(ask(path, "SELECT json FROM event WHERE kind='brk' LIMIT 1")[0][0])
    tap.ok(growth["bytes"] > 0 and growth["stack"], "a growth with its stack", growth)
    alerts = ask(path, "SELECT kind FROM event WHERE kind LIKE 'alert%' ORDER BY event")
    tap.equal(alerts, [("alert",), ("alert_end",)], "the alert begins and ends")
    end = json.loads(ask(path, "SELECT json FROM event WHERE kind='alert_end'")[0][0])
    tap.equal(end["reason"], "process ended", "for the reason that it has", end)
    tap.equal(sum("growth_events" in row for row in replayed(path)) > 0, True,
              "readings count growths")
    done = harness.fragscope("diff", "--json", path, path)
    tap.equal(done.returncode, 0, "diff ends well", done.stderr)
    stacks = json.loads(done.stdout)["stacks"]
    tap.ok(any(";" in row["stack"] and row["count_before"] == row["count_after"] > 1
               for row in stacks), "and has what each stack grew by", stacks)


def check_exec(tap, directory):
    """A process that executes another program is recorded on, with what is true of that."""
    path, clock = directory / "exec.db", harness.clock_offset()
    script = "read line; MALLOC_ARENA_MAX=7 exec sleep 600"
    with subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, env=harness.CLEAN_ENV,
                          text=True) as process:
        with start(path, "-p", process.pid, "0.05") as recorder:
            harness.until(lambda: rows_of(path) > 2, "readings of the shell")
            process.stdin.write("go\n")
            process.stdin.flush()
            harness.until(lambda: count_of(path, "fact WHERE value='7'"), "the new setting")
            recorder.send_signal(signal.SIGTERM)
            recorder.communicate(timeout=harness.PATIENCE_S)
        process.kill()
    programs = ask(path, "SELECT value FROM fact WHERE name='program' ORDER BY time_ns")
    harness.need_clock(clock)
    tap.equal([os.path.basename(name) for name, in programs], ["bash", "sleep"],
              "both programs are in it, one after the other")
    tap.equal(count_of(path, "life"), 1, "of one life")


def check_diff(tap, directory):
    """Another number of chunks is a change; the same program twice is none."""
    paths = [directory / f"{name}.db" for name in ("few", "again", "many")]
    settings = [{}, {}, {"MALLOC_ARENA_MAX": "1"}]
    for path, chunks, more in zip(paths, (3000, 3000, 9000), settings):
        env = {**harness.CLEAN_ENV, **more}
        with Oracle(f"--chunks {chunks} --free-pattern random:50", env=env) as target:
            # Where the machine is slower for one of them, both need more of its readings.
            harness.fragscope("record", "-p", target.pid, "-o", path, "0.005", 400)

    def compared(one, other):
        done = harness.fragscope("diff", "--json", one, other)
        tap.equal((done.returncode, done.stderr), (0, ""), "diff ends well")
        found = json.loads(done.stdout)
        return found, {row["figure"]: row for row in found["figures"] if row["of"] == "median"}

    found, rows = compared(paths[0], paths[2])
    tap.equal(rows["live_bytes"]["outcome"], "changed", "three times as many chunks")
    tap.ok(rows["live_bytes"]["change_low"] > 0, "are more live bytes", rows["live_bytes"])
    tap.equal([fact["name"] for fact in found["surroundings"]], ["env:MALLOC_ARENA_MAX"],
              "the setting that differs is named, and nothing else")
    found, rows = compared(paths[0], paths[1])
    tap.equal(rows["live_bytes"]["outcome"], "same", "the same program is no change")
    tap.equal(found["surroundings"], [], "in the same surroundings")
    facts = dict(ask(paths[0], "SELECT name, value FROM fact"))
    for name, kind in (("limit_as", resource.RLIMIT_AS), ("limit_stack", resource.RLIMIT_STACK)):
        soft = resource.getrlimit(kind)[0]
        tap.equal(facts.get(name), "unlimited" if soft == resource.RLIM_INFINITY else str(soft),
                  f"{name} is recorded")
    done = harness.fragscope("diff", paths[0], paths[2])
    tap.ok("env:MALLOC_ARENA_MAX" in done.stdout and "(not set) -> 1" in done.stdout,
           "as text, too", done.stdout)
    check_html(tap, directory, paths[0], paths[2])
    done = harness.fragscope("diff", f"{paths[0]}@03:00-03:00", paths[2])
    tap.ok("no readings in that span" in done.stderr, "an empty span is an error", done.stderr)
    both = directory / "both.db"
    with Oracle("--chunks 90") as one, subprocess.Popen(["sleep", "600"]) as other:
        harness.fragscope("record", "-p", f"{one.pid},{other.pid}", "-o", both, 0, 2)
        other.kill()
    done = harness.fragscope("diff", both, both)
    tap.ok(done.returncode and "choose one with -p or -n" in done.stderr,
           "two programs are no course", done.stderr)
    twins = directory / "twins.db"
    with Oracle("--chunks 90") as one, Oracle("--chunks 900") as other:
        harness.fragscope("record", "-p", f"{one.pid},{other.pid}", "-o", twins, 0, 3)
    done = harness.fragscope("diff", twins, twins)
    tap.ok(done.returncode and "at the same time" in done.stderr,
           "two at the same time are none either", done.stderr)
    done = harness.fragscope("diff", both, both, "-n", "sleep")
    tap.ok("sleep" in done.stdout, "one of them is", done.stdout, done.stderr)
    done = harness.fragscope("diff", f"{paths[0]}@nonsense", paths[2])
    tap.equal(done.returncode, 64, "what is no span, too")


def check_html(tap, directory, before, after):
    """The page has what the text has, and both courses; names in it are no markup."""
    page, odd = directory / "page.html", directory / "a<b>&c.db"
    shutil.copy(before, odd)
    done = harness.fragscope("diff", odd, after, "--html", page)
    tap.equal((done.returncode, done.stderr), (0, ""), "a page is written")
    tap.ok("env:MALLOC_ARENA_MAX" in done.stdout, "besides the text")
    text = page.read_text("utf-8")
    tap.ok("<b>" not in text and "a&lt;b&gt;&amp;c.db" in text, "names are escaped")
    tap.ok(text.find("env:MALLOC_ARENA_MAX") < text.find("<td>rss_bytes</td>"),
           "what else was different comes first")
    graphs = [len(re.findall(f'class="{side}" d="M[0-9][^"]* L', text))
              for side in ("before", "after")]
    tap.ok(graphs[0] == graphs[1] >= 8, "both courses are drawn, figure by figure", graphs)
    harness.check_page(tap, page, "diff")
    done = harness.fragscope("diff", before, after, "--html", directory / "no/page")
    tap.equal(done.returncode, 1, "a page that cannot be written is an error")


def check_damaged(tap, directory):
    path = directory / "same.db"
    cut = directory / "cut.db"
    data = path.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    done = harness.fragscope("stat", "--replay", cut, "--json")
    tap.ok(done.returncode in (1, 69), "a file that was cut is an error", done.stderr)
    tap.ok("damaged" in done.stderr, "that says so", done.stderr)
    hour = directory / "hour.db"
    subprocess.run([harness.BUILD / "tests/unit/test_recording_day", hour, "3600", "0"],
                   check=True)
    data, rows, page = hour.read_bytes(), 3600, 4096
    middle = len(data) // 2 // page * page
    broken = data[:middle] + b"\xa5" * page + data[middle + page:]
    for name, content, words in (("cut", data[: len(data) * 3 // 4], "cut off"),
                                 ("broken", broken, "lost")):
        path = directory / f"{name}.db"
        path.write_bytes(content)
        done = harness.fragscope("stat", "--replay", path, "--json")
        left = len(done.stdout.splitlines())
        tap.equal(done.returncode, 1, f"a file that is {name} ends in an error")
        tap.ok(words in done.stderr and "everything else was read" in done.stderr,
               "that says what is lost", done.stderr)
        tap.ok(rows / 2 < left < rows, "what is left is shown", left, rows)
        done = harness.fragscope("report", "--replay", path)
        tap.equal(done.returncode, 0, "and can be judged")
        tap.ok(words in done.stderr, "with a warning", done.stderr)


def unpacked(directory, name):
    """A file of tests/recordings, in DIRECTORY."""
    path = directory / name
    packed = harness.SOURCE / f"tests/recordings/{name}.xz"
    with lzma.open(packed) as source:
        path.write_bytes(source.read())
    return path


def says(got, want):
    """Whether each row of GOT says what the one of WANT does: of a later version, more."""
    return len(got) == len(want) and all(
        new.get(key) == value for new, old in zip(got, want) for key, value in old.items())


def check_versions(tap, directory, target):
    """Files of all earlier versions are read, and appended to when made one of this."""
    for name, options in (("v1", ["--arenas"]), ("v1-tiers", [])):
        path = unpacked(directory, f"{name}.db")
        want = rows_in(unpacked(directory, f"{name}.json").read_text())
        before = path.read_bytes()
        tap.ok(says(replayed(path, *options), want), f"{name} says what it said when new")
        tap.equal(path.read_bytes(), before, "and is left as it is")
        done = harness.fragscope("record", "-p", target.pid, "-o", path, "--append",
                                 0, 2)
        tap.equal((done.returncode, done.stderr), (0, ""), f"{name} can be appended to")
        rows = replayed(path, *options)
        tap.ok(says(rows[:len(want)], want), "what it said is there")
        tap.ok(len(rows) > len(want) and rows[-1]["pid"] == target.pid, "and what is new")
        tap.ok(ask(path, "PRAGMA user_version")[0][0] > 1, "it is of a later version now")


def main():
    tap = Tap()
    with harness.scratch() as directory, Oracle("--threads 2 --chunks 2000") as target:
        for name, check in (
            ("same", lambda: check_same(tap, directory, target)),
            ("span", lambda: check_span(tap, directory, target)),
            ("maps", lambda: check_maps(tap, directory, target)),
            ("owners", lambda: check_owners(tap, directory, target)),
            ("budget", lambda: check_budget(tap, directory)),
            ("refused", lambda: check_refused(tap, directory, target)),
            ("environment", lambda: check_environment(tap, directory)),
            ("killed", lambda: check_killed(tap, directory, target)),
            ("rotation", lambda: check_rotation(tap, directory, target)),
            ("append", lambda: check_append(tap, directory, target)),
            ("tail", lambda: check_tail(tap, directory, target)),
            ("logrotate", lambda: check_logrotate(tap, directory, target)),
            ("full", lambda: check_full(tap, directory, target)),
            ("follow", lambda: check_follow(tap, directory)),
            ("events", lambda: check_events(tap, directory)),
            ("exec", lambda: check_exec(tap, directory)),
            ("diff", lambda: check_diff(tap, directory)),
            ("damaged", lambda: check_damaged(tap, directory)),
            ("versions", lambda: check_versions(tap, directory, target)),
        ):
            with tap.section(name):
                check()
    tap.done()


main()
