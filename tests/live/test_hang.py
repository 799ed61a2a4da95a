"""A program that keeps whoever reads its memory waiting for ever: its rows say so, other
programs are read all the same, signals end the run, and the program is read again once it
lets go."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import harness
from harness import Oracle, Target
from terminal import Terminal
from test_alert import Alert

UNREADABLE = r"unreadable: a read within [0-9a-f]+-[0-9a-f]+ has not returned " \
             r"\(userfaultfd or FUSE\)"


NAME = "hang-dynamic"


class Trap(Target):
    """tests/programs/hang.c: `lurk` sets the trap, `wait_caught` waits for its reader."""

    def __init__(self):
        super().__init__([harness.program("hang")], stderr=subprocess.PIPE)
        try:
            self.line()
            if self.line() != "ready":
                raise RuntimeError("the trap is not ready")
        except RuntimeError as error:
            said = self.process.stderr.read().strip()
            self.end()
            if self.process.returncode == 77:
                raise harness.Skip(said) from error
            raise

    def expect(self, words):
        line = self.line()
        if line != words:
            raise RuntimeError(f"the trap says {line!r} and not {words!r}")

    def lurk(self):
        self.say("")
        self.expect("lurks")

    def wait_caught(self):
        """Until the reader that was told of this process is caught. Others may be before:
        those that look at all processes."""
        while True:
            thread = re.fullmatch(r"caught (\d+)", self.line())[1]
            command = ""
            with contextlib.suppress(OSError):
                command = pathlib.Path(f"/proc/{thread}/cmdline").read_text(encoding="utf-8")
            if re.search(rf"\b{self.pid}\b", command):
                return
            self.let_go()
            self.lurk()

    def let_go(self):
        self.say("")
        self.expect("let go")


class Reader(Target):
    """fragscope in the background."""

    def __init__(self, *args):
        super().__init__([harness.FRAGSCOPE, *args], stderr=subprocess.PIPE)

    def row(self, wanted):
        """The next row that WANTED takes."""
        while True:
            row = json.loads(self.line())
            if wanted(row):
                return row

    def stop(self, number):
        """The exit status; what was still printed is read, so that nothing waits for us."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=harness.PATIENCE_S)
        return self.process.returncode, said


def is_unreadable(row):
    return row["status"] == "partial" and row["missing"].startswith("unreadable")


def check_rows(tap, *options):
    with Trap() as trap, Reader("stat", "-p", trap.pid, "--json", "0.1", *options) as reader:
        row = reader.row(lambda row: True)
        tap.equal(row["status"], "complete", "before: a complete row")
        trap.lurk()
        trap.wait_caught()
        row = reader.row(is_unreadable)
        tap.ok(re.fullmatch(UNREADABLE, row["missing"]), "the row says where",
               row["missing"])
        tap.equal(sorted(row), ["allocator", "comm", "host", "missing", "pid", "source",
                                "started", "status", "time"], "and has no figure")
        heap = re.findall(r"^(\w+)-(\w+) .*\[heap\]$", trap.proc("maps"), re.M)
        low, high = re.search(r"(\w+)-(\w+) has", row["missing"]).groups()
        tap.ok(int(heap[0][0], 16) <= int(low, 16) < int(high, 16) <= int(heap[-1][1], 16),
               "it is of the heap", row["missing"], heap)
        reader.row(is_unreadable)
        trap.let_go()
        row = reader.row(lambda row: not is_unreadable(row) and row["status"] != "torn")
        tap.ok(row["status"] == "complete" and row["live_bytes"] > 30 << 20,
               "it is read again once it lets go", row)
        status, said = reader.stop(signal.SIGINT)
        tap.equal((status, said), (0, ""), "the run ends as ever")


def check_signals(tap):
    for number in (signal.SIGINT, signal.SIGTERM):
        with Trap() as trap, Reader("stat", "-p", trap.pid, "0.1") as reader:
            trap.lurk()
            trap.wait_caught()
            status, _ = reader.stop(number)
            tap.equal(status, 0, f"{number.name} ends the run while it is held")
            tap.equal(trap.process.poll(), None, f"{number.name}: the program goes on")


def check_end(tap):
    with Trap() as trap, Reader("stat", "-p", trap.pid, "0.1") as reader:
        trap.lurk()
        trap.wait_caught()
        trap.process.kill()
        _, said = reader.process.communicate(timeout=harness.PATIENCE_S)
        tap.equal(reader.process.returncode, 0, "the program's end ends the run")
        tap.ok(f"process {trap.pid} ({NAME}) has ended" in said, "and is told", said)


def check_others(tap):
    """The one that holds us first on the list: the other's alert begins all the same."""
    rows = "--chunks 3000 --min 100 --max 900 --free-pattern all"
    with harness.scratch() as folder, Trap() as trap, Oracle(rows) as good:
        record = pathlib.Path(folder) / "rows.json"
        with Alert(folder, "-p", f"{trap.pid},{good.pid}", "-r", "trimmable < 1K", "0.1",
                   "--record", record) as run:

            def rows_of(pid):
                lines = record.read_text(encoding="utf-8").splitlines()
                return sum(f'"pid":{pid},' in line for line in lines)

            harness.until(lambda: record.exists() and rows_of(good.pid) > 1, "rows")
            trap.lurk()
            trap.wait_caught()
            said = run.says(f"process {trap.pid} ({NAME}) is unreadable: ", where="err")
            before = rows_of(good.pid)
            harness.until(lambda: rows_of(good.pid) > before + 5, "more rows")
            tap.reached("the other program is read on")
            good.ask("trim")
            run.says(f"[{good.pid}]")
            tap.reached("and its alert begins")
            trap.let_go()
            said = run.says(f"process {trap.pid} ({NAME}) is readable again", where="err")
            tap.equal(said.count("is unreadable"), 1, "that it could not be is told once",
                      said)
            tap.equal(run.stop(), 0, "status")


def check_top(tap):
    with Trap() as trap:
        command = [harness.FRAGSCOPE, "top", "-p", trap.pid, "0.1", "--no-events",
                   "--max-cost", "100"]
        with Terminal(command) as terminal:
            terminal.wait("complete", settled=False)
            trap.lurk()
            trap.wait_caught()
            terminal.wait("unreadable", settled=False)
            tap.reached("top says so")
            trap.let_go()
            terminal.wait("complete", settled=False)
            trap.lurk()
            trap.wait_caught()
            terminal.press("q")
            tap.equal(terminal.status(), 0, "q ends it", terminal.stderr())


def check_report(tap):
    """Without a single reading there is no report; a stop signal ends it too."""
    with Trap() as trap:
        trap.lurk()
        with Reader("report", "-p", trap.pid, "--for", "20s", "--no-events") as reader:
            trap.wait_caught()
            _, said = reader.stop(signal.SIGINT)
            tap.ok(reader.process.returncode in (0, 1), "a report ends", said)


@contextlib.contextmanager
def on_fuse(file):
    """FILE on a file system whose server is the yielded target; the path."""
    harness.need_root("to mount a file system")
    if not os.path.exists("/dev/fuse"):
        raise harness.Skip("there is no /dev/fuse")
    umount = harness.need("umount")
    with harness.scratch() as folder:
        command = [sys.executable, harness.HERE / "fuse_file.py", folder, file]
        server = Target(command, stderr=subprocess.PIPE)
        try:
            if server.process.stdout.readline() != "ready\n":
                raise harness.Skip(server.process.stderr.read().strip())
            yield server, folder / "program"
        finally:
            # What waits for it is let go by its end.
            server.end()
            subprocess.run([umount, "-l", folder], check=False, capture_output=True)


def check_files(tap):
    """A program whose file cannot be opened: who waits for FUSE cannot even be killed."""
    with on_fuse(harness.program("oracle", "static")) as (server, program):
        with Target([program, "--chunks", "500"]) as target:
            target.line()
            done = harness.fragscope("stat", "-p", target.pid, "--once", "--json")
            tap.ok('"status":"complete"' in done.stdout, "before: it is read", done.stdout,
                   done.stderr)
            # As on a disk that others write to.
            server.say("slow")
            server.line()
            done = harness.fragscope("stat", "-p", target.pid, "--once", "--json")
            tap.ok('"status":"complete"' in done.stdout, "a slow disk is waited for", done.stdout,
                   done.stderr)
            server.say("hold")
            server.line()
            for verb, *args in (("stat", "--once"), ("alert",), ("trace", "--for", "1s")):
                with Reader(verb, "-p", target.pid, *args) as reader:
                    tap.equal(server.line(), "held", f"{verb} is caught")
                    _, said = reader.process.communicate(timeout=harness.PATIENCE_S)
                    tap.equal(reader.process.returncode, 1, f"{verb} gives up", said)
                    tap.ok(re.search(rf"cannot attach to process {target.pid} \(program\): "
                                     ".* has not returned", said), f"{verb} says why", said)
            with Reader("stat", "-p", target.pid, "--once") as reader:
                server.line()
                reader.process.send_signal(signal.SIGKILL)
                reader.process.communicate(timeout=harness.PATIENCE_S)
                tap.equal(reader.process.returncode, -signal.SIGKILL, "it can be killed")


def check_owners(tap):
    """A file of the data that is looked through, opened for the names in it."""
    with on_fuse(harness.program("oracle", "static")) as (server, program):
        with Target([harness.program("elves"), "file", program]) as target:
            target.line()
            done = harness.fragscope("owners", "-p", target.pid, "--json")
            tap.equal(done.returncode, 0, "before: it is looked through", done.stderr)
            server.say("hold")
            server.line()
            with Reader("owners", "-p", target.pid) as reader:
                tap.equal(server.line(), "held", "owners is caught")
                _, said = reader.process.communicate(timeout=harness.PATIENCE_S)
                tap.equal(reader.process.returncode, 1, "owners gives up", said)
                tap.ok(f"process {target.pid} (elves-dynamic) is unreadable" in said,
                       "owners says why", said)


def main():
    tap = harness.Tap()
    for name, run in (
        ("rows", check_rows),
        ("two readers", lambda tap: check_rows(tap, "--threads", "2")),
        ("signals", check_signals),
        ("end", check_end),
        ("others", check_others),
        ("top", check_top),
        ("report", check_report),
        ("files", check_files),
        ("owners", check_owners),
    ):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
