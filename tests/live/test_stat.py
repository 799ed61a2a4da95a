"""`fragscope stat` as it is used: several processes, names, files, formats, signals, and
outputs that fail."""

import csv
import json
import os
import shutil
import signal
import subprocess

import harness
from harness import FRAGSCOPE, Oracle, Skip, Tap


def stat(*args, **options):
    return harness.fragscope("stat", *args, **options)


def start(*args, **options):
    return subprocess.Popen(
        [FRAGSCOPE, "stat", *(str(arg) for arg in args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )


def check_several(tap, one, two):
    done = stat("-p", f"{one.pid},{two.pid}", "--json", "0", 3)
    rows = [reading.row for reading in harness.read_json(done.stdout)]
    tap.equal(done.returncode, 0, "exit status", done.stderr)
    tap.equal([row["pid"] for row in rows], [one.pid, two.pid] * 3, "rows in turn")
    for target in (one, two):
        got = [row["mallinfo2"] for row in rows if row["pid"] == target.pid]
        tap.equal(got, [target.info()] * 3, "each row is its own process's")
    again = stat("-p", one.pid, "-p", two.pid, "--json", "--once")
    pids = [reading.row["pid"] for reading in harness.read_json(again.stdout)]
    tap.equal(pids, [one.pid, two.pid], "-p may be given twice")


def check_one_ends(tap, one):
    with Oracle("--chunks 100") as other:
        reader = start("-p", f"{other.pid},{one.pid}", "--json", "0.02")
        head = [reader.stdout.readline() for _ in range(4)]
        other.end()
        tail = [reader.stdout.readline() for _ in range(20)]
        reader.send_signal(signal.SIGINT)
        out, err = reader.communicate(timeout=harness.PATIENCE_S)
        rows = [r.row for r in harness.read_json("".join(head + tail) + out)]
        tap.equal(rows[-1]["pid"], one.pid, "the other one goes on")
        tap.equal(reader.returncode, 0, "exit status", err)
        tap.ok(str(other.pid) in err, "its end is said", err)


def check_name(tap, one, two):
    # The names of both are the name of their program.
    name = harness.program("oracle").name[:15]
    done = stat("-n", name, "--json", "--once")
    pids = {reading.row["pid"] for reading in harness.read_json(done.stdout)}
    tap.ok({one.pid, two.pid} <= pids, "-n finds every match", pids, done.stderr)
    none = stat("-n", "no-such-program", "--once")
    tap.equal(none.returncode, 1, "no match: exit status", none.stderr)
    tap.ok("no-such-program" in none.stderr, "no match: the message says so", none.stderr)


def check_follow(tap, _one):
    """A process that is not there yet is waited for, and another takes its place."""
    with harness.scratch() as directory:
        path = directory / f"follow-{os.getpid()}"
        shutil.copy(harness.need("sleep"), path)
        with start("-n", path.name, "--follow", "--source", "proc", "--json", "0.05") as run:
            line = run.stderr.readline()
            tap.ok("waiting for one" in line, "a process that is not there yet", line)
            for _ in range(2):
                target = subprocess.Popen([path, "600"])
                while json.loads(run.stdout.readline())["pid"] != target.pid:
                    pass
                target.kill()
                target.wait()
            run.send_signal(signal.SIGTERM)
            _, err = run.communicate(timeout=harness.PATIENCE_S)
        tap.equal(run.returncode, 0, "exit status", err)
        tap.ok(f"{target.pid} ({path.name}) takes the place of" in err, "so it says", err)


def check_output(tap, one):
    with harness.scratch() as directory:
        path = directory / "rows"
        done = stat("-p", one.pid, "--json", "-o", path, "0", 5)
        tap.equal((done.returncode, done.stdout), (0, ""), "-o FILE", done.stderr)
        tap.equal(len(harness.read_json(path.read_text())), 5, "rows in the file")
        bad = stat("-p", one.pid, "-o", directory / "none" / "rows", "--once")
        tap.equal(bad.returncode, 1, "a file that cannot be made: exit status", bad.stderr)
        tap.ok(str(directory / "none" / "rows") in bad.stderr, "it is named", bad.stderr)


def check_once(tap, one):
    for form in ((), ("--json",), ("--csv", "--no-header")):
        done = stat("-p", one.pid, "--once", *form)
        rows = [line for line in done.stdout.splitlines() if line and line[0] in "{0123456789"]
        tap.equal((done.returncode, len(rows)), (0, 1), f"--once {' '.join(form)}", done.stdout)


def check_text(tap, one):
    done = stat("-p", one.pid, "0", 3, env={**harness.CLEAN_ENV, "COLUMNS": "80"})
    lines = done.stdout.splitlines()
    tap.equal(done.returncode, 0, "text: exit status", done.stderr)
    tap.ok(all(len(line) <= 80 for line in lines if not line.startswith("#")),
           "text: within 80 columns", done.stdout)
    bare = stat("-p", one.pid, "--no-header", "0", 3)
    tap.equal(len(bare.stdout.splitlines()), 3, "text: --no-header", bare.stdout)


def check_csv(tap, one):
    done = stat("-p", one.pid, "--csv", "--arenas", "0", 4)
    tap.equal(done.returncode, 0, "CSV: exit status", done.stderr)
    rows = list(csv.reader(done.stdout.splitlines(), strict=True))
    tap.equal(len({len(row) for row in rows}), 1, "CSV: the same number of columns")
    header, rows = rows[0], rows[1:]
    tap.equal(len(set(header)), len(header), "CSV: no column twice")
    tap.equal([row[0] for row in rows].count("time"), 0, "CSV: one header")
    arena = header.index("arena")
    process = [dict(zip(header, row)) for row in rows if row[arena] == ""]
    tap.equal(len(process), 4, "CSV: rows of the process")
    tap.equal({row["pid"] for row in process}, {str(one.pid)}, "CSV: pid")
    info = {name: str(value) for name, value in one.info().items()}
    got = {name: process[0].get(f"mallinfo2.{name}") for name in info}
    tap.equal(got, info, "CSV: mallinfo2")
    bare = stat("-p", one.pid, "--csv", "--no-header", "--once")
    tap.equal(len(bare.stdout.splitlines()), 1, "CSV: --no-header")


def check_signals(tap, one):
    for number in (signal.SIGINT, signal.SIGTERM):
        # Into a pipe: a row that is not flushed would be seen to be missing.
        reader = start("-p", one.pid, "--json", "0.02")
        first = [reader.stdout.readline() for _ in range(3)]
        reader.send_signal(number)
        out, err = reader.communicate(timeout=harness.PATIENCE_S)
        tap.equal(reader.returncode, 0, f"{number.name}: exit status", err)
        text = "".join(first) + out
        tap.ok(text.endswith("}\n"), f"{number.name}: the last row is whole", text[-200:])
        tap.ok(len(harness.read_json(text)) >= 3, f"{number.name}: every row is there")
    reader = start("-p", one.pid, "--json", "1000")
    reader.stdout.readline()
    reader.send_signal(signal.SIGINT)
    reader.communicate(timeout=harness.PATIENCE_S)
    tap.equal(reader.returncode, 0, "SIGINT while it waits for the next reading")


def check_closed_pipe(tap, one):
    for form in ("--json", "--csv"):
        reader = start("-p", one.pid, form, "0.01")
        reader.stdout.readline()
        reader.stdout.close()
        err = reader.stderr.read()
        tap.equal(reader.wait(harness.PATIENCE_S), 1, f"closed pipe, {form}: exit status", err)
        tap.ok("cannot write" in err, f"closed pipe, {form}: it is said", err)
        reader.stderr.close()


def check_full_disk(tap, one):
    if not os.path.exists("/dev/full"):
        raise Skip("there is no /dev/full")
    for args in (("--json",), ("--csv",), ()):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = stat("-p", one.pid, *args, "--once", capture_output=False, stdout=full,
                        stderr=subprocess.PIPE)
        name = f"full disk {' '.join(args)}"
        tap.equal(done.returncode, 1, f"{name}: exit status", done.stderr)
        tap.ok("No space left" in done.stderr, f"{name}: it is said", done.stderr)
    done = stat("-p", one.pid, "--json", "-o", "/dev/full", "--once")
    tap.equal(done.returncode, 1, "full disk -o: exit status", done.stderr)
    tap.ok("/dev/full" in done.stderr, "full disk -o: the file is named", done.stderr)


def check_forms(tap, one):
    """The other ways to read agree with the plain one on a target that holds still."""
    info = one.info()
    plain = harness.stat(one.pid).row
    for args in (("--residency", "pagemap"), ("--threads", 2), ("--pause=20s",)):
        row = harness.stat(one.pid, *args).row
        name = " ".join(str(arg) for arg in args)
        tap.equal((row["status"], row["mallinfo2"]), ("complete", info), name)
        # PSS changes with whoever else has the same libraries mapped.
        same = [f for f in plain if f.endswith("_bytes") and f != "pss_bytes"]
        tap.equal({f: row.get(f) for f in same}, {f: plain[f] for f in same}, f"{name}: bytes")
    proc = stat("-p", one.pid, "--source", "proc", "--json", "--once")
    row = harness.read_json(proc.stdout)[0].row
    tap.equal((row["source"], row["rss_bytes"]), ("proc", plain["rss_bytes"]), "--source proc")
    tap.ok("system_bytes" not in row, "--source proc: no figure of the heap")


def quick_rows(target):
    done = stat("-p", target.pid, "--quick", "--json", "0", 50)
    return [reading.row for reading in harness.read_json(done.stdout)]


def check_quick(tap, _one):
    """Without a walk: the largest, or a word on why it could not be had in a millisecond."""
    largest = ("largest_free_bytes", "largest_hole_bytes", "top_bytes", "system_bytes")
    with Oracle("--chunks 3000 --free-pattern random:50 --threads 2 --sort") as target:
        rows, plain = quick_rows(target), harness.stat(target.pid).row
        # On a busy machine the millisecond may be over before it was had.
        late = [row for row in rows if row["status"] != "complete"]
        quick = [row for row in rows if row not in late]
        tap.ok(quick, "sorted bins: some rows in time", late[:1])
        wrong = [row for row in quick if any(row.get(f) != plain[f] for f in largest)]
        tap.equal(wrong[:1], [], "sorted bins", plain)
        tap.ok(not any("free_bytes" in row for row in rows), "what takes a walk is absent")
    with Oracle("--chunks 1000 --unsorted 40000") as target:
        rows = quick_rows(target)
        tap.equal({row["status"] for row in rows}, {"partial"}, "a long unsorted list: status")
        tap.ok(all("too long" in row["missing"] for row in rows), "and why", rows[0])
        tap.ok(not any("largest_free_bytes" in row for row in rows), "and no largest")


def main():
    tap = Tap()
    heap = "--chunks 3000 --free-pattern random:50 --threads 2"
    with Oracle(heap) as one, Oracle("--chunks 500 --free-pattern all") as two:
        for name, run, targets in (
            ("several processes", check_several, (one, two)),
            ("one of several ends", check_one_ends, (one,)),
            ("by name", check_name, (one, two)),
            ("processes to come", check_follow, (one,)),
            ("output file", check_output, (one,)),
            ("once", check_once, (one,)),
            ("text", check_text, (one,)),
            ("CSV", check_csv, (one,)),
            ("signals", check_signals, (one,)),
            ("closed pipe", check_closed_pipe, (one,)),
            ("full disk", check_full_disk, (one,)),
            ("ways to read", check_forms, (one,)),
            ("quick", check_quick, (one,)),
        ):
            with tap.section(name):
                run(tap, *targets)
    tap.done()


if __name__ == "__main__":
    main()
