"""A reading that fails is not the end: a process that gets more arenas than there was room
for, or executes another program, is told in partial rows, and read whole from then on."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading

import harness
import tracing
from harness import FRAGSCOPE, Skip, Tap, Target
from terminal import Terminal

NOT_PERMITTED = 77
# Takes the names that it is told.
NAMES = """
import ctypes, sys
print("ready", flush=True)
for line in sys.stdin:
    ctypes.CDLL(None).prctl(15, line.strip().encode())
"""
THREADS = 200  # with an arena each: far more than there is room for at first
ARENAS = THREADS + 1


class Spread(Target):
    """tests/programs/spread.c."""

    def __init__(self):
        super().__init__([harness.program("spread")])
        if self.line() != f"ready {self.pid}":
            self.end()
            raise RuntimeError("the program is not ready")

    def order(self, text):
        self.say(text)
        if self.line() != "done":
            raise RuntimeError(f"{text}: not done")


class Running:
    """A verb at work. Its lines are gathered as they come, of both outputs."""

    def __init__(self, *args, command=(FRAGSCOPE,)):
        self.process = subprocess.Popen(
            [*command, *(str(arg) for arg in args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        self.out, self.err = [], []
        self.threads = [
            threading.Thread(target=self._gather, args=pair)
            for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _gather(pipe, lines):
        for line in pipe:
            lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()

    def rows(self):
        return [json.loads(line) for line in list(self.out)]

    def wait(self, test, what):
        """The first row for which TEST is true."""
        return harness.until(lambda: next((row for row in self.rows() if test(row)), None), what)

    def said(self, words):
        return any(words in line for line in list(self.err))

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self):
        """The exit status, once all that it said is gathered."""
        status = self.process.wait(harness.PATIENCE_S)
        for thread in self.threads:
            thread.join()
        return status


def is_whole(row):
    return row["status"] == "complete" and row.get("arenas") == ARENAS


def is_short(row):
    return row["status"] == "partial" and "more arenas" in row["missing"]


def run_stat(tap):
    for args in ((), ("--arenas",), ("--bins",)):
        with tap.section(" ".join(("stat", *args))), Spread() as target:
            with Running("stat", "-p", target.pid, "--json", *args, "0.05") as stat:
                stat.wait(lambda row: row["status"] == "complete", "a first row")
                # Between two readings: each has room for what the last one has seen.
                with harness.held(stat.process.pid):
                    target.order(f"threads {THREADS}")
                short = stat.wait(is_short, "a row says that there are more arenas")
                tap.ok(short["rss_bytes"] > 0, "it has the kernel's figures", short)
                tap.ok("free_bytes" not in short, "and none of the heap", short)
                whole = stat.wait(is_whole, "a row has all arenas")
                tap.reached("all arenas are read then")
                if args:
                    harness.until(
                        lambda: any(row.get("arena") == THREADS for row in stat.rows()),
                        "the last arena's row",
                    )
                    tap.reached("each has its row")
                once = harness.stat(target.pid).row
                for name in ("system_bytes", "live_bytes", "free_bytes"):
                    tap.equal(whole[name], once[name], f"{name}, as whoever attaches now has it")
                tap.equal(sum(is_short(row) for row in stat.rows()), 1, "one row was short")
                tap.equal(stat.stop(), 0, "exit status", stat.err)
                tap.equal(stat.err, [], "and nothing else was said")


def run_damage(tap):
    """Records that are damaged for a while, and are right again."""
    if not (2, 27) <= harness.Libc("host").number <= (2, 42):
        raise Skip("the program knows the arenas of glibc 2.27 to 2.42")
    with Spread() as target:
        target.order("threads 2")
        with Running("stat", "-p", target.pid, "--json", "0.05") as stat:
            stat.wait(lambda row: row["status"] == "complete", "a first row")
            target.order("bend")
            bent = stat.wait(lambda row: row["status"] == "partial", "a row says so")
            tap.ok("damaged" in bent["missing"], "why it is partial", bent)
            tap.ok("system_bytes" not in bent and bent["rss_bytes"] > 0, "what it has", bent)
            target.order("mend")
            harness.until(lambda: stat.rows()[-1]["status"] == "complete", "it is whole again")
            tap.equal(stat.rows()[-1]["arenas"], 3, "arenas")
            tap.equal(stat.stop(), 0, "exit status", stat.err)


def run_alert(tap):
    with Spread() as target:
        rules = ("-r", "begun: arenas > 0", "-r", f"many: arenas > {THREADS}")
        with Running("alert", "-p", target.pid, "--json", *rules, "0.05") as alert:
            alert.wait(lambda row: row.get("rule") == "begun", "it has begun")
            target.order(f"threads {THREADS}")
            harness.until(lambda: alert.said("cannot be read now"), "it says what it misses")
            harness.until(lambda: alert.said("can be read again"), "and when that is over")
            alert.wait(lambda row: row.get("rule") == "many", "the rule's alert")
            tap.reached("rules about the heap are at work again")
            tap.equal(alert.stop(), 0, "exit status", alert.err)


# ---- another program ---------------------------------------------------------------------


class Changing(Target):
    """A shell that executes another program when it is told to."""

    def __init__(self, *command, prefix=()):
        script = 'echo "ready $$"; read go; exec "$@"'
        super().__init__([*prefix, "sh", "-c", script, "sh", *command])
        if self.line() != f"ready {self.pid}":
            self.end()
            raise RuntimeError("the shell is not ready")

    def change(self):
        self.say("go")
        if self.line() != f"ready {self.pid}":
            raise RuntimeError("it is no other program")


def has_changed(row):
    return row["status"] == "partial" and "executed another program" in row["missing"]


def run_exec(tap):
    plain = harness.program("plain")
    for args in ((), ("--bins",), ("--pause=20s",), ("--events",)):
        if "--events" in args:
            try:
                tracing.need_probes()
            except Skip as reason:
                tap.skip("--events", str(reason))
                continue
        with tap.section(" ".join(("stat", *args))), Changing(plain) as target:
            with Running("stat", "-p", target.pid, "--json", *args, "0.05") as stat:
                stat.wait(lambda row: row["status"] == "complete", "a first row")
                target.change()
                changed = stat.wait(has_changed, "a row says so")
                tap.ok("(sh)" in changed["missing"], "what it was", changed["missing"])
                tap.ok(changed["rss_bytes"] > 0, "it has the kernel's figures", changed)
                tap.ok("free_bytes" not in changed, "and none of a heap", changed)
                want = harness.stat(target.pid).row
                row = stat.wait(
                    lambda row: "mallinfo2" in row and row["comm"].startswith("plain")
                    and row["status"] == "complete",
                    "the new program is read",
                )
                for name in ("system_bytes", "live_bytes", "free_bytes", "mallinfo2"):
                    tap.equal(row[name], want[name], f"{name}, as whoever attaches now has it")
                if args == ("--events",):
                    tap.ok("growth_events" in row, "the probes are on it", row)
                tap.equal(stat.stop(), 0, "exit status", stat.err)


def run_exec_unreadable(tap):
    """One without a heap that can be read: its rows say why, and one that can is read again."""
    compiler = harness.need("musl-gcc")
    source = harness.SOURCE / "tests/programs/plain.c"
    path = harness.compile_program("plain-musl", [compiler], source, [])
    with Changing(path) as target:
        with Running("stat", "-p", target.pid, "--json", "0.05") as stat:
            stat.wait(lambda row: row["status"] == "complete", "a first row")
            target.change()
            row = stat.wait(lambda row: "musl" in row.get("missing", ""), "a row says why")
            tap.ok(row["status"] == "partial" and row["rss_bytes"] > 0, "and what is known", row)
            tap.equal(stat.stop(), 0, "exit status", stat.err)


def run_exec_forbidden(tap):
    """One that may no longer be read ends the run, with the reason."""
    harness.need_root("to become another user")
    prefix = (harness.need("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    with harness.scratch() as directory:
        copy = shutil.copy(harness.program("plain"), directory / "plain")
        copy.chmod(0o4755)
        reader = shutil.copy(FRAGSCOPE, directory / "fragscope")
        with Changing(copy, prefix=prefix) as target:
            with Running("stat", "-p", target.pid, "--json", "0.05",
                         command=(*prefix, reader)) as stat:
                stat.wait(lambda row: row["status"] == "complete", "a first row")
                target.change()
                tap.equal(stat.end(), NOT_PERMITTED, "exit status", stat.err)
                tap.ok(stat.said("executed another program"), "it says what happened", stat.err)


def run_exec_alert(tap):
    with Changing(harness.program("plain")) as target:
        rules = ("-r", "here: rss > 0", "-r", "grown: live > 200K")
        with Running("alert", "-p", target.pid, "--json", *rules, "0.05") as alert:
            alert.wait(lambda row: row.get("rule") == "here", "it has begun")
            target.change()
            harness.until(lambda: alert.said("executed another program"), "it says so")
            harness.until(lambda: alert.said("can be read again"), "and when that is over")
            tap.ok(True, "the new program is watched")
            tap.equal(alert.stop(), 0, "exit status", alert.err)


def run_exec_top(tap):
    with Changing(harness.program("plain")) as target:
        with Terminal([FRAGSCOPE, "top", "-p", target.pid, "0.1"], columns=120) as terminal:
            terminal.wait(rf"sh.*\[{target.pid}\].*complete")
            target.change()
            terminal.wait(rf"plain.*\[{target.pid}\].*complete")
            tap.ok(True, "the new program is shown")
            terminal.press("q")
            tap.equal(terminal.status(), 0, "exit status", terminal.stderr())


def run_names(tap):
    """A program that takes another name: rows, recordings and the screen have that of then."""
    command = [sys.executable, "-c", NAMES]
    with Target(command) as target:
        target.line()
        with Running("stat", "-p", target.pid, "--json", "0.05") as stat:
            names = [stat.wait(lambda row: True, "a first row")["comm"], "second", "third"]
            for name in names[1:]:
                target.say(name)
                stat.wait(lambda row, name=name: row["comm"] == name, f"a row of {name}")
            met = list(dict.fromkeys(row["comm"] for row in stat.rows()))
            tap.equal(met, names, "rows have the name that the program has by then")
        with Terminal([FRAGSCOPE, "top", "-p", target.pid, "0.1"], columns=120) as terminal:
            terminal.wait(rf"third.*\[{target.pid}\]")
            target.say("fourth")
            terminal.wait(rf"fourth.*\[{target.pid}\]")
            tap.ok(True, "the screen has the new one")
            terminal.press("q")
            terminal.status()
        with harness.scratch() as directory:
            path = directory / "names"
            with Running("record", "-p", target.pid, "-o", path, "0.05") as record:
                harness.until(lambda: recorded(path), "a row is recorded")
                target.say("fifth")
                harness.until(lambda: recorded(path)[-1:] == ["fifth"], "its row is")
                tap.equal(record.stop(), 0, "record: exit status", record.err)
            tap.equal(recorded(path), ["fourth", "fifth"], "a recording has both")


def recorded(path):
    """The names that a recording has, in order."""
    done = harness.fragscope("stat", "--replay", path, "--json", "--no-header")
    return list(dict.fromkeys(json.loads(line)["comm"] for line in done.stdout.splitlines()))


def run_top(tap):
    with Spread() as target:
        with Terminal([FRAGSCOPE, "top", "-p", target.pid, "0.1"], columns=120) as terminal:
            terminal.wait(rf"spread.*\[{target.pid}\].*complete")
            target.order(f"threads {THREADS}")
            terminal.press("2")
            terminal.wait(rf"^.*{ARENAS} arenas, sorted")
            tap.reached("the pane of arenas has them all")
            terminal.press("End")
            terminal.wait(r"^ *>? *#\d+ ")
            terminal.press("q")
            tap.equal(terminal.status(), 0, "exit status", terminal.stderr())
            tap.equal(terminal.restored(), [], "the terminal is as it was")


def run_trace(tap):
    tracing.need_probes()
    with Spread() as target:
        with Running("trace", "-p", target.pid, "--json", "--reading", "0.1s") as trace:

            def reading_since(time):
                """Grows the heap; whether an event has a reading that was made after TIME."""
                target.order("grow 300000")
                return any(row.get("last_reading", {}).get("time", "") > time
                           for row in trace.rows())

            harness.until(lambda: reading_since(""), "an event with a reading")
            target.order(f"threads {THREADS}")
            # Of all arenas: whoever attaches now has room for them.
            now = harness.stat(target.pid).row["time"]
            harness.until(lambda: reading_since(now), "events have readings again")
            tap.reached("events have readings again")
            tap.equal(trace.stop(), 0, "exit status", trace.err)


def main():
    tap = Tap()
    run_stat(tap)
    for name, run in (
        ("damage", run_damage), ("alert", run_alert), ("top", run_top), ("trace", run_trace),
        ("exec", run_exec), ("exec without a heap", run_exec_unreadable),
        ("exec not permitted", run_exec_forbidden), ("exec, alert", run_exec_alert),
        ("exec, top", run_exec_top), ("names", run_names),
    ):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
