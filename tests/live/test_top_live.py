"""`top` on running programs, on a real terminal: attach to a server, visit every pane,
resize, hold, go back, quit; the list of processes; stop and go on; the target's end."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys

import harness
from harness import Oracle, Target
from terminal import Terminal

SCENARIO = "--chunks 4000 --free-pattern random:50 --threads 1"


class Top(Terminal):
    def __init__(self, *options, **terminal):
        super().__init__([harness.FRAGSCOPE, "top", *options], **terminal)

    def leave(self, tap, name):
        self.press("q")
        tap.equal(self.status(), 0, f"{name}: status", self.stderr())
        tap.equal(self.restored(), [], f"{name}: the terminal is as it was")
        tap.equal(self.stderr(), "", f"{name}: nothing else was said")


@contextlib.contextmanager
def memcached(directory):
    """A server that has served: its heap is no longer what it began with."""
    path = directory / "memcached.socket"
    command = [harness.need("memcached"), "-s", path, "-m", "64", "-t", "4"]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    with Target(command) as target:

        def connect():
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.connect(str(path))
                return peer
            except OSError:
                peer.close()
                return None

        with harness.until(connect, "memcached listens") as peer:
            peer.settimeout(harness.PATIENCE_S)
            for i in range(2000):
                peer.sendall(b"set key%d 0 0 %d\r\n%b\r\n" % (i, i % 900, b"x" * (i % 900)))
                peer.recv(100)
        yield target


def check_server(tap):
    """The whole tour, on a real server."""
    with harness.scratch() as directory, memcached(directory) as target:
        with Top("-p", target.pid, "0.2", columns=100, rows=30) as terminal:
            terminal.wait(rf"memcached\[{target.pid}\].*complete")
            terminal.wait(r"^resident memory +[0-9.]+M")
            for key, wanted in (
                ("2", r"^ +#0 .*[0-9.]+[KM]"),
                ("3", r"arena #0: .* in \d+ cells?"),
                ("4", r"chunk size"),
                ("5", r"no event yet|no events can be read|malloc|brk|mmap"),
                ("6", r"no verdict|warning|note|CRITICAL"),
                ("1", r"^resident memory"),
            ):
                terminal.press(key)
                terminal.wait(wanted)
                tap.reached(f"pane {key}")
            terminal.resize(80, 24)
            terminal.wait(lambda text: len(text.splitlines()) == 24 and "quit" in text)
            terminal.resize(140, 45)
            terminal.wait(lambda text: "quit" in text.splitlines()[-1])
            tap.reached("it follows the terminal's size")
            terminal.press("p")
            first = re.search(r"PAUSED (\d+:\d+:\d+)", terminal.wait("PAUSED")).group(1)
            terminal.press("Left", "Left", "Left", "Left", "Left", "Left")
            # Where readings are far apart, fewer than that have been made.
            terminal.wait(rf"PAUSED (?!{first})|earliest reading")
            tap.reached("it goes back")
            terminal.press("l")
            terminal.wait(lambda text: "PAUSED" not in text)
            terminal.leave(tap, "server")


def check_map(tap):
    """The map, its cursor and its zoom, on a heap that is known."""
    with Oracle(SCENARIO) as target, Top("-p", target.pid, "0.2") as terminal:
        terminal.wait("resident memory")
        terminal.press("3")
        text = terminal.wait(r"arena #0: .* in \d+ cells")
        whole = re.search(r"arena #0: (\S+) in", text).group(1)
        terminal.press("Right")
        terminal.wait("under the cursor")
        terminal.press("+", "+")
        terminal.wait(rf"part of {whole}")
        terminal.press("Enter")
        text = terminal.wait(r"in \d+ cells of \d+\D")
        terminal.press("c")
        terminal.wait("changed since|changes show")
        terminal.press("-", "-", "-", "-", "-", "-")
        terminal.wait(lambda text: "part of" not in text and f": {whole} in" in text)
        tap.reached("the map zooms in and out again")
        terminal.press("a")
        terminal.wait(r"arena #1: ")
        tap.reached("and goes to the next arena")
        terminal.leave(tap, "map")


def check_sizes(tap):
    """Free chunks are told by their sizes, on whatever list they are."""
    scenario = "--chunks 1000 --unsorted 5000"
    with Oracle(scenario) as target, Top("-p", target.pid, "0.2", rows=30) as terminal:
        terminal.wait("resident memory")
        terminal.press("4")
        text = terminal.wait(r" free in 5\d\d\d chunks")
        tap.ok(re.search(r"^ *1K to 2K +\d{4} ", text, re.M), "a row of their size", text)
        tap.ok("unsorted" not in text, "and none of what is not sorted", text)
        terminal.leave(tap, "sizes")


def check_several(tap):
    with Oracle(SCENARIO) as one, Oracle(SCENARIO) as other:
        with Top("-p", f"{one.pid},{other.pid}", "0.2") as terminal:
            terminal.wait(rf"\[{one.pid}\]")
            terminal.press("Tab")
            terminal.wait(rf"\[{other.pid}\].*complete")
            terminal.press("BTab")
            terminal.wait(rf"\[{one.pid}\].*complete")
            tap.reached("Tab goes to the next process, and back")
            terminal.leave(tap, "several")


def check_picker(tap):
    with Oracle(SCENARIO) as target, Top() as terminal:
        terminal.wait("processes with a heap")
        terminal.press(*str(target.pid))
        # Other processes' numbers may begin with the same digits.
        text = terminal.wait(rf"filter: {target.pid}")
        tap.ok(re.search(rf"(?m)^ +{target.pid} +oracle", text), "what is typed is found", text)
        terminal.wait(rf"^ +{target.pid} +oracle\S* +glibc-2\.\d+ +\S+[KM] +\S+[KM] +0\.\d+")
        tap.reached("a quick reading tells the allocator, what is free, and frag")
        terminal.press("Tab")
        terminal.wait("sorted by pid, ascending")
        terminal.press("BTab")
        terminal.wait("sorted by rss, descending")
        tap.reached("Tab sorts it")
        for _ in range(rows_above(terminal.text(), target.pid)):
            terminal.press("Down")
        terminal.press("Enter")
        terminal.wait(rf"oracle\S*\[{target.pid}\]")
        terminal.press("P")
        terminal.wait("processes with a heap")
        terminal.press("Escape")
        terminal.wait("resident memory")
        tap.reached("Enter attaches, P comes back to the list")
        terminal.leave(tap, "picker")


def rows_above(text, pid):
    """How many processes of the list stand above PID: larger ones whose numbers begin
    with it."""
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if re.match(r" +pid +name", line))
    row = next(i for i, line in enumerate(lines) if re.match(rf" +{pid} ", line))
    return row - head - 1


@contextlib.contextmanager
def named(directory, name):
    """A program of that name which does nothing."""
    program = directory / name
    if not program.exists():
        shutil.copy(harness.need("sleep"), program)
    with subprocess.Popen([program, "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def check_follow(tap):
    """Processes of a name that start later are watched; when there is no place, in that of
    one that has ended."""
    name = f"late{os.getpid()}"
    with harness.scratch() as directory, contextlib.ExitStack() as stack:
        terminal = stack.enter_context(
            Top("-n", name, "--follow", "--source", "proc", "--max-cost", "100", "0.2")
        )
        terminal.wait("no process yet")
        first = stack.enter_context(named(directory, name))
        terminal.wait(rf"{name}\[{first.pid}\]")
        tap.reached("the first process of the name is shown")
        terminal.press("7")
        others = [stack.enter_context(named(directory, name)) for _ in range(15)]
        terminal.wait("16 processes")
        others[3].kill()
        terminal.wait(rf"^ +{others[3].pid} .* ended")
        last = stack.enter_context(named(directory, name))
        text = terminal.wait(rf"^ +{last.pid} +{name} +\S+[KM]")
        tap.ok("16 processes" in text and not re.search(rf"^ +{others[3].pid} ", text, re.M),
               "the seventeenth takes the place of one that has ended", text)
        terminal.leave(tap, "follow")


def check_given_back(tap):
    """Of processes that have ended what was read stays, and not what their readings needed."""

    def taken():
        status = harness.read_file(f"/proc/{terminal.pid()}/status")
        return int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.M).group(1))

    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Oracle(SCENARIO))
        terminal = stack.enter_context(Top("-n", first.status("Name"), "--follow", "0.2"))
        terminal.wait("complete")
        terminal.press("7")
        before = taken()
        others = [stack.enter_context(Oracle(SCENARIO)) for _ in range(3)]
        for other in others:
            terminal.wait(rf"^ +{other.pid} +\S+ +\S+[KM] ")
        most = taken()
        for other in others:
            other.process.kill()
        for other in others:
            terminal.wait(rf"^ +{other.pid} .* ended")
        harness.until(lambda: taken() < most - (most - before) / 2,
                      f"less than half of the {most - before} kB for three more")
        tap.reached("memory of processes that have ended is given back")
        terminal.leave(tap, "given back")


def check_end(tap):
    """What was seen stays on the screen when the target ends, until q."""
    with Oracle(SCENARIO) as target, Top("-p", target.pid, "0.2") as terminal:
        terminal.wait("complete")
        target.process.kill()
        target.process.wait()
        terminal.wait(r"ENDED")
        terminal.wait(rf"process {target.pid} \(\S+\) has ended")
        terminal.press("2")
        terminal.wait(r"^ +#0 ")
        terminal.press("p")
        terminal.wait("PAUSED")
        tap.reached("the end is told, and the history is kept")
        terminal.leave(tap, "end")


def check_stop(tap):
    """Ctrl-Z under a shell, and fg."""
    harness.need("bash")
    with Oracle(SCENARIO) as target:
        # Its prompt goes to standard error, which is otherwise kept for the test.
        shell = "exec env PS1='ready>' HISTFILE= bash --noprofile --norc -i 2>/dev/tty"
        with Terminal(["sh", "-c", shell]) as terminal:
            terminal.wait(r"^ready>")
            terminal.press(f"{harness.FRAGSCOPE} top -p {target.pid} 0.2", "Enter")
            terminal.wait("resident memory")
            terminal.press("C-z")
            terminal.wait(r"Stopped")
            tap.equal(terminal.value("alternate_on"), "0", "the shell's screen is back")
            terminal.press("stty -a >new; mv new stopped", "Enter")
            path = terminal.scratch / "stopped"
            harness.until(path.exists, "stty answers")
            modes = path.read_text(encoding="ascii")
            tap.ok(re.search(r"(?<!-)\bicanon\b", modes) and
                   re.search(r"(?<!-)\becho\b", modes), "and the shell's modes", modes)
            terminal.press("fg", "Enter")
            terminal.wait("resident memory")
            terminal.press("2")
            terminal.wait("sorted by")
            terminal.press("q")
            terminal.wait(r"^ready>$")
            tap.equal(terminal.value("alternate_on"), "0", "it goes on, and ends")
            terminal.press("exit", "Enter")
            terminal.status()


def check_holders(tap):
    """On demand, who holds what pins: the price first, then the answer; or why there is none."""
    source = harness.SOURCE / "tests/programs/holder.cc"
    path = harness.compile_program("holder", [harness.need("g++")], source, ["-std=gnu++17"])
    with Target([path]) as target, Top("-p", target.pid, "0.5", columns=100, rows=30) as terminal:
        target.line()
        terminal.wait("resident memory")
        terminal.press("o")
        terminal.wait("looking through process|Who holds what pins")
        text = terminal.wait(rf"Who holds what pins memory of {target.pid}")
        tap.ok(re.search(r"[\d.]+M +sessions > 3000 chunks of \d+ bytes", text),
               "the first owner, and what would come back", text)
        terminal.press("Escape")
        terminal.wait(lambda text: "Who holds" not in text)
        terminal.leave(tap, "holders")


def main():
    tap = harness.Tap()
    for name, check in (
        ("server", check_server),
        ("map", check_map),
        ("sizes", check_sizes),
        ("several", check_several),
        ("holders", check_holders),
        ("picker", check_picker),
        ("follow", check_follow),
        ("given back", check_given_back),
        ("end", check_end),
        ("stop", check_stop),
    ):
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            with tap.section(name):
                check(tap)
    tap.done()


if __name__ == "__main__":
    main()
