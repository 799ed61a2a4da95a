"""fragscope alert: rules over running programs: what begins and ends, what is run for it,
restarts, signals, and that a recording gives the same alerts to the letter."""

import csv
import json
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

import harness

FRAGMENTER = harness.BUILD / "examples" / "fragmenter"
LIMITED = harness.BUILD / "examples" / "limited"


class Alert:
    """A run of the verb in the background, whose lines are waited for."""

    def __init__(self, folder, *args):
        self.folder = pathlib.Path(folder)
        stem = str(time.monotonic_ns())
        self.out = self.folder / f"{stem}.out"
        self.err = self.folder / f"{stem}.err"
        command = [harness.FRAGSCOPE, "alert", *[str(arg) for arg in args]]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=harness.CLEAN_ENV,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def lines(self):
        return self.out.read_text(encoding="utf-8").splitlines()

    def says(self, what, where="out", times=1):
        """Waits until it said WHAT so often; the text."""
        path = self.out if where == "out" else self.err

        def said():
            text = path.read_text(encoding="utf-8")
            if text.count(what) >= times:
                return text
            if self.process.poll() is not None:
                text = path.read_text(encoding="utf-8")
                if text.count(what) >= times:
                    return text
                raise RuntimeError(
                    f"ended with {self.process.returncode} before it said {what!r}: "
                    f"{self.out.read_text()}{self.err.read_text()}"
                )
            return None

        return harness.until(said, f"'{what}'")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=harness.PATIENCE_S)

    def wait(self):
        return self.process.wait(timeout=harness.PATIENCE_S)


def as_replayed(text):
    """What a replay says of it: it does not know why readings end."""
    for why in ("process ended", "watch ended"):
        text = text.replace(why, "no more readings")
    return text


def replayed(file, *args):
    done = harness.fragscope("alert", "--replay", file, *args)
    return done.returncode, done.stdout


def as_csv(recording, oracle):
    """The same samples in the other format, in the columns of `stat --csv`."""
    done = harness.fragscope("stat", "-p", oracle.pid, "--csv", "--once")
    columns = done.stdout.splitlines()[0].split(",")
    path = recording.with_suffix(".csv")
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, columns, lineterminator="\n", extrasaction="ignore")
        rows.writeheader()
        for line in recording.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for key, value in row.pop("mallinfo2", {}).items():
                row[f"mallinfo2.{key}"] = value
            rows.writerow(row)
    return path


def sleeper(folder, name):
    """A program that does nothing, under a name of its own."""
    path = pathlib.Path(folder) / name
    shutil.copy(harness.need("sleep"), path)
    return path


def the_default_rules(tap, folder):
    """Starts what takes longest; returns what judges it at the end."""
    if not FRAGMENTER.exists():
        raise harness.Skip(f"{FRAGMENTER} was not built")
    target = harness.Target([FRAGMENTER, "--seconds", "60"])
    record = pathlib.Path(folder) / "decay.jsonl"
    run = Alert(folder, "-p", target.pid, "--once", "--json", "--record", record)

    def judge():
        with tap.section("a decay by the default rules"), target, run:
            tap.equal(run.wait(), 2, "exit status", run.err.read_text())
            lines = run.lines()
            tap.equal(len(lines), 1, "one line", lines)
            alert = json.loads(lines[0])
            tap.equal(alert["rule"], "largest-free-falls", "the rule")
            tap.equal(alert["pid"], target.pid, "the process")
            rows = [json.loads(row) for row in record.read_text().splitlines()]
            tap.equal(rows[-1]["time"], alert["time"], "the last row decided it")
            tap.within(len(rows), 8, 62, "rows, one a second, until then")
            status, text = replayed(record, "--once", "--json")
            tap.equal(text, run.out.read_text(), "the recording gives the same")
            tap.equal(status, 2, "and the same status")

    return judge


def begins_and_ends(tap, folder, oracle):
    record = pathlib.Path(folder) / "rows.jsonl"
    said = pathlib.Path(folder) / "said"
    rules = (
        "-r", "has-heap: live > 1 for 0.3s",
        "-r", "churns: free_chunks > 100000000 or (rss > 1 and not frag > 0.9999) severity note",
        "-r", "until: rss > 1 until rss > 2",
        "-r", "ratio: live / system < 2 and free - largest_free >= 0 severity critical",
    )
    command = f'echo "$FRAGSCOPE_EVENT $FRAGSCOPE_RULE $FRAGSCOPE_PID" >>{said}; cat >>{said}'
    with Alert(folder, "-p", oracle.pid, *rules, "--exec", command, "--record", record,
               "0.1", 20) as run:
        tap.equal(run.wait(), 0, "exit status", run.err.read_text())
        text = run.out.read_text()
    for rule in ("has-heap", "churns", "ratio"):
        tap.equal(text.count(f"] {rule}: "), 2, f"{rule} begins and ends", text)
    tap.ok(" BEGIN critical " in text and " END   note " in text, "the severities", text)
    tap.ok("until:" not in text, "what would end at once does not begin", text)
    status, again = replayed(record, *rules)
    text = as_replayed(text)
    tap.equal(again, text, "the recording gives the same, to the letter")
    tap.equal(status, 0, "and status 0")
    tally = harness.fragscope("alert", "--replay", record, *rules, "-r", "never: rss < 1").stderr
    for line in ("rule ratio: 1 alert, ", "rule never: no alert"):
        tap.ok(line in tally, f"how often each rule fired: {line}", tally)
    tap.equal(replayed(as_csv(record, oracle), *rules), (0, text), "as CSV, too")
    lines = record.read_text().splitlines(keepends=True)
    record.write_text("".join(lines[:-1]) + lines[-1][:40])
    status, cut = replayed(record, *rules)
    tap.equal(status, 1, "a recording that is cut short: status")
    tap.equal(cut.count("BEGIN"), text.count("BEGIN"), "its alerts are told")
    words = said.read_text().splitlines()
    tap.ok(f"begin ratio {oracle.pid}" in words, "the command has the facts", words)
    objects = [json.loads(line) for line in words if line.startswith("{")]
    tap.equal(
        sorted((item["event"], item["rule"]) for item in objects),
        sorted((event, rule) for event in ("begin", "end")
               for rule in ("has-heap", "churns", "ratio")),
        "and the object as its input, for each begin and end",
    )


def one_command_of_a_rule(tap, folder, oracle):
    said = pathlib.Path(folder) / "order"
    command = f"echo start >>{said}; sleep 0.3; echo stop >>{said}"
    with Alert(folder, "-p", oracle.pid, "-r", "rss > 1", "--exec", command, "0.05", 3) as run:
        tap.equal(run.wait(), 0, "exit status", run.err.read_text())
    tap.equal(said.read_text().split(), ["start", "stop"] * 2, "one after the other")


def a_second_signal(tap, folder, oracle):
    """A command that hangs, and what it has started, end with the program."""
    said = pathlib.Path(folder) / "pids"
    command = f"trap '' TERM; sleep 1000 & echo $$ $! >>{said}; wait; wait; sleep 1000"
    with Alert(folder, "-p", oracle.pid, "-r", "rss > 1", "--exec", command, "0.05") as run:
        harness.until(lambda: said.exists() and said.read_text().endswith("\n"), "the command")
        run.process.send_signal(signal.SIGTERM)
        run.says(" END ")
        pids = [int(word) for word in said.read_text().split()]
        tap.equal(run.process.poll(), None, "after one signal they have a minute")
        run.process.send_signal(signal.SIGTERM)
        tap.equal(run.wait(), -signal.SIGTERM, "a second one ends it")

        def gone(pid):
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            except OSError:
                return True
            return stat.rpartition(")")[2].split()[0] in "ZX"

        harness.until(lambda: all(gone(pid) for pid in pids), "the command's end")
        tap.ok(pids, "and all that it runs", pids)


def rules_are_read_again(tap, folder, oracle):
    file = pathlib.Path(folder) / "rules.ini"
    file.write_text("[one]\nwhen = rss > 1\n")
    with Alert(folder, "-p", oracle.pid, "-f", file, "0.1") as run:
        run.says("BEGIN warning", times=1)
        file.write_text("[one]\nwhen = rss > 1\n[two]\nwhen = rss >> 1\n")
        run.process.send_signal(signal.SIGHUP)
        text = run.says("stay as they were", "err")
        tap.ok(f"{file}:4:13: " in text, "what is wrong is told, and where", text)
        file.write_text("[two]\nwhen = rss > 2\n[three]\nwhen = live > 1\n")
        run.process.send_signal(signal.SIGHUP)
        run.says("the rules were read again: 2", "err")
        run.says(" three: ")
        text = run.says("the rules changed")
        tap.ok("] one: after" in text, "the alert of the rule that is gone ends", text)
        tap.equal(run.stop(), 0, "exit status after SIGTERM")
        tap.equal(run.out.read_text().count("END "), 3, "every alert ends", run.lines())


def restarts(tap, folder):
    program = sleeper(folder, "fragsleep")
    record = pathlib.Path(folder) / "restart.jsonl"
    with Alert(folder, "-n", "fragsleep", "--follow", "--source", "proc", "-r",
               "rss > 1", "--record", record, "0.1") as run:
        run.says("waiting for one", "err")
        with harness.Target([program, "600"]) as first:
            run.says(f"fragsleep[{first.pid}] rule-1", times=1)
        text = run.says("process ended; rss_bytes is ")
        tap.ok("END " in text, "the alert ends with the process", text)
        with harness.Target([program, "600"]) as second:
            run.says(f"{second.pid} (fragsleep) takes the place of {first.pid}", "err")
            run.says(f"fragsleep[{second.pid}] rule-1")
            tap.equal(run.stop(signal.SIGINT), 0, "exit status after SIGINT")
    tap.equal(
        [re.search(" (BEGIN|END) ", line)[1] for line in run.lines()],
        ["BEGIN", "END", "BEGIN", "END"],
        "begin and end of both",
    )
    text = run.out.read_text()
    tap.ok("watch ended; rss_bytes is " in text, "a signal ends the watch", text)
    tap.equal(replayed(record, "-r", "rss > 1")[1], as_replayed(text),
              "the recording gives the same but for why readings end")


def limits(tap, folder):
    program = sleeper(folder, "limited")
    room = 64 << 20

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (room, room))

    with harness.Target([program, "600"], preexec_fn=limit) as target:
        harness.until(
            lambda: target.proc("comm").strip() == "limited", "the program runs"
        )
        used = harness.kilobytes(target.proc("status"), "VmSize")
        near = min(100 * (room - used) // room + 2, 99)
        with Alert(folder, "-p", target.pid, "--source", "proc", "--once", "-r",
                   f"limit < {near}%", "0.1") as run:
            tap.equal(run.wait(), 2, "the nearest limit is seen", run.err.read_text())


def probes(tap, folder, oracle):
    with Alert(folder, "-p", oracle.pid, "-r", "growth_events < 1000000", "--once", "0.1") as run:
        status = run.wait()
        if status in (69, 77):
            raise harness.Skip(run.err.read_text().strip())
        tap.equal(status, 2, "a rule about events has them counted", run.err.read_text())


def failures(tap, folder):
    """A program whose allocations fail is told, by what the probes count."""
    target = harness.Target([LIMITED])
    with target:
        target.line()
        with Alert(folder, "-p", target.pid, "--json", "--once", "-r", "failed_allocs > 0",
                   "0.1") as run:
            status = run.wait()
            said = run.err.read_text()
            if status in (69, 77):
                raise harness.Skip(said.strip())
            tap.equal(status, 2, "exit status", said)
            alert = json.loads(run.lines()[0])
    tap.equal((alert["event"], alert["pid"]), ("begin", target.pid), "it is told")
    evidence = alert["evidence"][0]
    tap.ok(evidence["now"] > 0, "with how many failed", alert)


# A device directory of its own hides the system's log from the rest of the command.
OWN_LOG = """
mount -t tmpfs none /dev && touch /dev/log && mount --bind "$0" /dev/log || exit 99
exec "$@"
"""


def system_log(tap, folder, oracle):
    """--syslog, to a log of our own: one message a line, by its severity."""
    harness.need_root("a mount of its own over /dev")
    path = pathlib.Path(folder) / "log"
    command = [harness.need("unshare"), "--mount", "--propagation", "private", "sh", "-c",
               OWN_LOG, path, harness.FRAGSCOPE, "alert", "-p", oracle.pid, "--syslog",
               "-r", "heavy: rss > 1 severity critical", "-r", "light: rss > 2", "0.1", 2]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(harness.PATIENCE_S)
        done = subprocess.run(
            [str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
            capture_output=True, env=harness.CLEAN_ENV, check=False,
            timeout=harness.PATIENCE_S,
        )
        if done.returncode == 99 or done.stderr.startswith("unshare:"):
            raise harness.Skip(f"no mounts can be made: {done.stderr.strip()}")
        tap.equal(done.returncode, 0, "exit status", done.stderr)
        got = [log.recv(4096).decode() for _ in range(4)]
    for priority, kind, rule in ((26, "begin", "heavy"), (28, "begin", "light"),
                                 (26, "end", "heavy"), (28, "end", "light")):
        words = f"alert {kind}: {oracle.proc('comm').strip()}[{oracle.pid}] {rule}: "
        tap.equal(
            len([one for one in got if one.startswith(f"<{priority}>") and words in one
                 and " fragscope[" in one]),
            1, f"{kind} of {rule} by its severity", got,
        )
    tap.equal(len(done.stdout.splitlines()), 4, "and the lines as ever", done.stdout)


def what_is_wrong(tap, folder, oracle):
    file = pathlib.Path(folder) / "wrong.ini"
    file.write_text("[a]\nwhen = rss > 1M\nfor = 5\nuntil = rs < 1\n")
    done = harness.fragscope("alert", "--check", file)
    tap.equal(done.returncode, 64, "a wrong file's status")
    tap.ok(f"{file}:4:9: there is no figure 'rs'" in done.stderr, "its place", done.stderr)
    file.write_bytes(b"[a]\nwhen = rss > 1M\n\0\n[b]\nwhen = rss > 2M\n")
    done = harness.fragscope("alert", "--check", file)
    tap.equal((done.returncode, done.stderr),
              (64, f"fragscope alert: {file}:3:1: a NUL byte: this is no text file\n"),
              "a NUL in a file")
    file.write_text("[a]\nwhen = rss > 1M for 1m\n")
    done = harness.fragscope("alert", "--check", file)
    tap.equal((done.returncode, done.stdout),
              (0, f"{file}: 1 rule\n  a: rss > 1M for 1m\n"), "a right file")
    for name, args, want in (
        ("no process", [], "no process given"),
        ("--follow alone", ["-p", oracle.pid, "--follow"], "--follow needs --name"),
        ("a wrong rule", ["-p", oracle.pid, "-r", "rss"], "column 4"),
        ("a rule that always holds", ["-p", oracle.pid, "-r", "limit < 10"], "Is it 10%?"),
        ("a size without a unit", ["-p", oracle.pid, "-r", "largest_free drops 30 in 5m"],
         "column 20: '30': 30% or 30M?"),
        ("too short a window", ["-p", oracle.pid, "-r", "rss rising 5s"], "fewer than 9"),
        ("--replay of -", ["--replay", "-"], "reads its file twice"),
        ("--quick elsewhere", ["-p", oracle.pid, "--quick", "--source", "proc"], "needs the"),
    ):
        done = harness.fragscope("alert", *args)
        tap.equal(done.returncode, 64, f"{name}: status", done.stderr)
        tap.ok(want in done.stderr, f"{name}: told", done.stderr)
    done = harness.fragscope("alert", "-p", oracle.pid, "--source", "proc", "-r",
                             "free > 0", "0.05", 4)
    tap.ok("have no free_bytes" in done.stderr, "a figure that is absent is told",
           done.stderr)


def main():
    tap = harness.Tap()
    with harness.scratch() as folder:
        judge = None
        with tap.section("the default rules"):
            judge = the_default_rules(tap, folder)
        scenario = "--chunks 3000 --free-pattern random:50 --threads 1"
        with tap.section("a target"), harness.Oracle(scenario) as oracle:
            for test in (begins_and_ends, one_command_of_a_rule, a_second_signal,
                         rules_are_read_again,
                         probes, system_log, what_is_wrong):
                with tap.section(test.__name__):
                    test(tap, folder, oracle)
        for test in (restarts, limits, failures):
            with tap.section(test.__name__):
                test(tap, folder)
        if judge:
            judge()
    tap.done()


if __name__ == "__main__":
    main()
