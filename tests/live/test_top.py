"""`top` from a recording, on real terminals of several sizes and kinds: every pane, time,
keys and mouse, what is written to files, and the ways out."""

import csv
import lzma
import os
import re
import signal
import sys
import xml.etree.ElementTree

import harness
from terminal import Terminal

PANES = (
    ("1", "resident memory", "Overview"),
    ("2", r"arenas?, sorted by", "Arenas"),
    ("3", "a recording has no map", "Map"),
    ("4", "chunk size", "Sizes"),
    ("5", r"A alert +largest-free-falls begins", "Events"),
    ("6", r"^(note|warning|CRITICAL) |No known problem", "Advice"),
    ("7", "1 process, sorted by", "Procs"),
)
LAST = r"12:02:44$"  # the time in the header, when all is played
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|4[0-7]|9[0-7]|38;|48;)")


def recording(directory):
    """The recording that the drawings are tested with: 30 readings of two arenas."""
    packed = harness.SOURCE / "tests/recordings/fragmenter.json.xz"
    path = directory / "fragmenter.json"
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path


class Replay(Terminal):
    def __init__(self, path, *options, speed=1000000, **terminal):
        super().__init__(
            [harness.FRAGSCOPE, "top", "--replay", path, "--speed", speed, *options],
            **terminal,
        )

    def leave(self, tap, name):
        self.press("q")
        tap.equal(self.status(), 0, f"{name}: status", self.stderr())
        tap.equal(self.restored(), [], f"{name}: the terminal is as it was")


def visit(tap, terminal, name):
    """Every pane shows what it is for, and `w` writes exactly what is on the screen: the
    drawing itself is compared to the letter elsewhere."""
    for key, wanted, pane in PANES:
        terminal.press(key)
        terminal.wait(wanted)
        for old in terminal.scratch.glob("fragscope-*"):
            old.unlink()
        terminal.press("w")
        # The last line but one: what is above it is drawn before it.
        shown = terminal.wait("written: ")
        (path,) = terminal.scratch.glob("fragscope-*.txt")
        lines = path.read_text(encoding="utf-8").splitlines()
        differ = [
            pair
            for pair in zip(shown.splitlines(), lines, strict=False)
            if pair[0] != pair[1] and not pair[0].startswith("written: ")
        ]
        tap.equal(differ, [], f"{name}: {pane} is on the terminal as it was drawn")


def check_sizes(tap, path):
    for columns, rows in ((80, 24), (120, 40), (200, 60), (40, 10)):
        name = f"{columns}x{rows}"
        with Replay(path, columns=columns, rows=rows) as terminal:
            # The smallest one has no room for all figures, but for the time.
            terminal.wait(r"12:02:44")
            if columns >= 80:
                visit(tap, terminal, name)
            terminal.leave(tap, name)
    with Replay(path, columns=20, rows=5) as terminal:
        terminal.wait("needs")
        tap.reached("20x5: one line says that it is too small")
        terminal.resize(80, 24)
        terminal.wait(LAST)
        terminal.resize(30, 6)
        terminal.wait("needs")
        terminal.leave(tap, "20x5")


GOLDEN = harness.SOURCE / "tests" / "golden"


def check_golden(tap, path):
    """The first screen to the letter, as a terminal shows it; UPDATE_GOLDEN=1 makes the
    files anew."""
    for columns, rows, env in (
        (80, 24, {}),
        (80, 24, {"LC_ALL": "C"}),
        (120, 40, {"NO_COLOR": "1"}),
        (40, 10, {}),
        (20, 5, {}),
    ):
        name = f"top-{columns}x{rows}{'-ascii' if 'LC_ALL' in env else ''}.txt"
        with Replay(path, columns=columns, rows=rows, **env) as terminal:
            shown = terminal.wait("needs" if rows < 8 else r"12:02:44")
            if rows >= 8:
                # Nothing moves any more: the whole of the last reading is there.
                terminal.press("p", "l")
                shown = terminal.wait(
                    lambda text: "PAUSED" not in text and "12:02:44" in text
                    and "ends here" not in text
                )
            terminal.press("q")
            terminal.status()
        if os.environ.get("UPDATE_GOLDEN"):
            (GOLDEN / name).write_text(shown, encoding="utf-8")
        want = (GOLDEN / name).read_text(encoding="utf-8")
        tap.equal(shown.splitlines(), want.splitlines(), name)


def check_charsets(tap, path):
    for name, options, env, plain in (
        ("UTF-8", (), {}, False),
        ("LC_ALL=C", (), {"LC_ALL": "C"}, True),
        ("--ascii", ("--ascii",), {}, True),
        ("a locale that is not installed", (), {"LC_ALL": "xx_XX.UTF-8"}, False),
    ):
        with Replay(path, *options, **env) as terminal:
            text = terminal.wait(LAST)
            tap.equal(text.isascii(), plain, f"{name}: ASCII alone")
            tap.ok("resident memory" in text, f"{name}: the overview")
            terminal.leave(tap, name)


def check_colours(tap, path):
    for name, term, options, env, wanted in (
        ("8 colours", "screen", (), {}, r"\x1b\[[0-9;]*3[0-7]"),
        ("256 colours", "screen-256color", (), {}, r"\x1b\[[0-9;]*38[;:]5"),
        ("NO_COLOR", "screen-256color", (), {"NO_COLOR": "1"}, None),
        ("an empty NO_COLOR", "screen-256color", (), {"NO_COLOR": ""}, r"38[;:]5"),
        ("--no-color", "screen", ("--no-color",), {}, None),
        ("a terminal without", "vt100", (), {}, None),
    ):
        with Replay(path, *options, term=term, **env) as terminal:
            terminal.wait(LAST)
            styled = terminal.styled()
            if wanted:
                tap.ok(re.search(wanted, styled), f"{name}: they are used", repr(styled))
            else:
                tap.ok(not COLOUR.search(styled), f"{name}: none is used", repr(styled))
            terminal.leave(tap, name)


def check_time(tap, path):
    with Replay(path) as terminal:
        terminal.wait(LAST)
        terminal.press("p")
        terminal.wait("PAUSED 12:02:44")
        terminal.press("Left")
        terminal.wait("PAUSED 12:02:43")
        terminal.press("<")
        terminal.wait("PAUSED 12:02:33")
        shown = terminal.text()
        terminal.press("2")
        terminal.wait("sorted by")
        tap.ok("PAUSED 12:02:33" in terminal.text(), "all panes show that instant")
        terminal.press("1")
        terminal.wait("resident memory")
        tap.equal(terminal.text(), shown, "and it looks the same afterwards")
        terminal.press("+")
        terminal.wait(" 60 s ")
        terminal.press("-", "-")
        terminal.wait("5 min")
        terminal.press(">")
        terminal.wait("PAUSED 12:02:43")
        terminal.press("Right", "Right")
        terminal.wait("the latest reading")
        terminal.press("l")
        terminal.wait(lambda text: "PAUSED" not in text)
        tap.reached("back and on through the readings, and live again")
        terminal.leave(tap, "time")


def check_steps(tap, path):
    """A recording that is held goes on by steps, whatever its speed."""
    with Replay(path, speed=1) as terminal:
        terminal.wait(r"replay at 1x")
        terminal.press("p")
        before = terminal.wait(r"PAUSED 12:02:\d\d")
        second = int(re.search(r"PAUSED 12:02:(\d\d)", before).group(1))
        terminal.press(".")
        terminal.wait(f"PAUSED 12:02:{second + 1}")
        terminal.press("Right", "Right")
        terminal.wait(f"PAUSED 12:02:{second + 3}")
        tap.reached("a held recording goes on reading by reading")
        terminal.leave(tap, "steps")


def check_keys(tap, path):
    rows = harness.read_json(path.read_text(encoding="ascii"))
    second = rows[-1].arenas[1]["arena_addr"][-6:]
    with Replay(path) as terminal:
        terminal.wait(LAST)
        terminal.press("?")
        terminal.wait("this help|Keys")
        terminal.press("Escape")
        terminal.wait(r"^resident memory")
        terminal.press("t")
        terminal.wait("would be returned")
        terminal.press("Escape")
        terminal.wait(lambda text: "would be returned" not in text)
        terminal.press("F2")
        text = terminal.wait(r"2 arenas, sorted by arena")
        tap.ok(re.search(r"^ +#0 ", text, re.M), "arenas have rows", text)
        terminal.press("s")
        terminal.wait("sorted by (?!arena)")
        terminal.press("/")
        terminal.wait("filter: ")
        terminal.press(*second)
        text = terminal.wait(lambda text: not re.search(r"^ +#0 ", text, re.M))
        tap.ok(re.search(r"^ +#1 ", text, re.M), "the filter leaves what it matches", text)
        terminal.press("Escape")
        terminal.wait(r"^ +#0 ")
        terminal.press("4")
        terminal.wait("chunk size")
        terminal.press("a")
        terminal.wait(r"arena #1|all arenas")
        tap.reached("keys do what the footer says")
        terminal.leave(tap, "keys")


def check_mouse(tap, path):
    with Replay(path) as terminal:
        text = terminal.wait(LAST)
        row, line = next(
            (row, line) for row, line in enumerate(text.splitlines()) if "2 Arenas" in line
        )
        terminal.click(row, line.index("2 Arenas") + 3)
        text = terminal.wait("pinned chunks largest")
        row, line = next(
            (row, line)
            for row, line in enumerate(text.splitlines())
            if "pinned chunks largest" in line
        )
        terminal.click(row, line.index("chunks") + 2)
        terminal.wait("sorted by (free )?chunks")
        row, line = next(
            (row, line) for row, line in enumerate(text.splitlines()) if " help " in line
        )
        terminal.click(row, line.index("help"))
        terminal.wait("Keys")
        tap.reached("tabs, headings and keys can be clicked on")
        terminal.press("Escape")
        terminal.leave(tap, "mouse")


def check_written(tap, path):
    with Replay(path) as terminal:
        terminal.wait(LAST)
        terminal.press("w")
        name = re.search(r"written: (\S+)\.txt", terminal.wait("written: ")).group(1)
        rows = list(csv.DictReader((terminal.scratch / f"{name}.csv").open(newline="")))
        want = harness.read_json(path.read_text(encoding="ascii"))
        tap.equal(
            [(row["time"], row["free_chunks"]) for row in rows if not row["arena"]],
            [(row.row["time"], str(row.row["free_chunks"])) for row in want],
            "the CSV has every reading",
        )
        tap.equal(
            len([row for row in rows if row["arena"]]),
            sum(len(row.arenas) for row in want),
            "and every arena",
        )
        for picture in (f"{name}.svg", f"{name}.screen.svg"):
            root = xml.etree.ElementTree.parse(terminal.scratch / picture).getroot()
            tap.ok(root.tag.endswith("svg"), "the SVG is one", root.tag)
        terminal.leave(tap, "written")


def check_processes(tap, path):
    """A recording of two processes: side by side, and one of them alone."""
    two = path.with_name("two.json")
    lines = path.read_text(encoding="ascii").splitlines()
    second = [line.replace('"pid":12457', '"pid":12458') for line in lines]
    two.write_text("\n".join(lines + second) + "\n", encoding="ascii")
    with Replay(two) as terminal:
        terminal.wait(r"process 1/2")
        terminal.press("7")
        text = terminal.wait(r"2 processes, sorted by")
        tap.ok(all(re.search(rf"^ +{pid} fragmenter +\S+M", text, re.M)
                   for pid in (12457, 12458)), "two processes stand side by side", text)
        terminal.press("Down")
        terminal.wait(r"fragmenter\[12458\]")
        terminal.press("Enter")
        terminal.wait("resident memory")
        terminal.leave(tap, "two processes")
    with Replay(two, "-p", "12458") as terminal:
        text = terminal.wait(r"fragmenter\[12458\].*12:02:44")
        tap.ok("process 1/" not in text, "-p chooses one of them", text)
        terminal.leave(tap, "one process")
    with Replay(two, "-n", "sessiond") as terminal:
        tap.equal(terminal.status(), 1, "a name that it has not: status")
        tap.ok("12457 fragmenter (30" in terminal.stderr(), "and it says what it has",
               terminal.stderr())


def check_scale(tap, path):
    """Linear scales that fit, and L for logarithmic ones."""
    with Replay(path) as terminal:
        text = terminal.wait(LAST)
        tap.ok("(log)" not in text and re.search(r"^26\.\dM|  26\.\dM", text),
               "scales fit what they show", text)
        terminal.press("L")
        terminal.wait(r"free chunks \(log\)")
        terminal.press("L")
        terminal.wait(lambda text: "(log)" not in text)
        terminal.press("h")
        terminal.wait("Keys: any key closes this")
        terminal.press("Z")
        terminal.wait(lambda text: "Keys:" not in text)
        terminal.press("Z")
        terminal.wait(r"\? for help")
        tap.reached("L switches them, h is help, and another key says so")
        terminal.leave(tap, "scale")


def check_refusals(tap, path):
    done = harness.fragscope("top", "--replay", path)
    tap.equal(done.returncode, 1, "without a terminal: status")
    tap.equal(
        done.stderr,
        "fragscope: standard output is no terminal; 'fragscope stat' prints rows to "
        "anywhere\n",
        "without a terminal: message",
    )
    for name, term, said in (
        ("dumb", "dumb", "the terminal 'dumb' cannot place text"),
        ("unknown", "no-such-terminal", "the terminal 'no-such-terminal' is not known"),
    ):
        command = ["env", f"TERM={term}", harness.FRAGSCOPE, "top", "--replay", path]
        with Terminal(command) as terminal:
            tap.equal(terminal.status(), 1, f"{name}: status")
            tap.ok(said in terminal.stderr(), f"{name}: message", terminal.stderr())
            tap.equal(terminal.restored(), [], f"{name}: the terminal is as it was")
    cut = path.with_name("cut.json")
    cut.write_bytes(path.read_bytes()[:-200])
    with Replay(cut) as terminal:
        terminal.wait("line 90")
        tap.reached("a recording that is cut short is played up to there, and says so")
        terminal.leave(tap, "cut")
    for name, text, said in (
        ("empty", "", "empty"),
        ("no recording", "hello\n", "recording"),
    ):
        bad = path.with_name("bad")
        bad.write_text(text, encoding="ascii")
        with Replay(bad) as terminal:
            tap.equal(terminal.status(), 69, f"{name}: status")
            tap.ok(said in terminal.stderr(), f"{name}: message", terminal.stderr())


def check_ways_out(tap, path):
    """However it ends, and when it stops and goes on, the terminal is given back."""
    for name, status in (
        ("SIGTERM", 0),
        ("SIGHUP", 0),
        ("SIGINT", 0),
        ("SIGSEGV", 128 + signal.SIGSEGV),
        ("SIGABRT", 128 + signal.SIGABRT),
    ):
        with Replay(path) as terminal:
            terminal.wait(LAST)
            os.kill(terminal.pid(), getattr(signal, name))
            tap.equal(terminal.status(), status, f"{name}: status")
            tap.equal(terminal.restored(), [], f"{name}: the terminal is as it was")


def main():
    tap = harness.Tap()
    checks = (
        ("golden", check_golden),
        ("sizes", check_sizes),
        ("characters", check_charsets),
        ("colours", check_colours),
        ("time", check_time),
        ("steps", check_steps),
        ("keys", check_keys),
        ("mouse", check_mouse),
        ("files", check_written),
        ("processes", check_processes),
        ("scale", check_scale),
        ("refusals", check_refusals),
        ("ways out", check_ways_out),
    )
    with harness.scratch() as directory:
        path = recording(directory)
        for name, check in checks:
            if len(sys.argv) < 2 or name in sys.argv[1:]:
                with tap.section(name):
                    check(tap, path)
    tap.done()


if __name__ == "__main__":
    main()
