#!/usr/bin/env python3
"""Makes the pictures of this directory anew: `top` on running examples, drawn by its own
code (the key `w`). As root, for the probes; takes a minute and a half.

    make && FRAGSCOPE_SRCDIR=$PWD FRAGSCOPE=$PWD/fragscope docs/screens/make_screens.py
"""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "live"))

from terminal import Terminal  # noqa: E402  (found by the path above)

EXAMPLES = ROOT / "examples"
SHOWN_S = 62  # a minute of readings fills the graphs


@contextlib.contextmanager
def example(name, *options):
    """A running example; its PID."""
    with subprocess.Popen(
        [EXAMPLES / name, *options], stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def picture(terminal, name, wanted, *keys):
    """Presses KEYS, waits for WANTED and writes docs/screens/NAME.svg."""
    terminal.press(*keys)
    terminal.wait(wanted, settled=False)
    terminal.press("w")
    terminal.wait("written: ", settled=False)
    (path,) = terminal.scratch.glob("fragscope-*.screen.svg")
    shutil.copy(path, HERE / f"{name}.svg")
    for old in terminal.scratch.glob("fragscope-*"):
        old.unlink()


def main():
    with contextlib.ExitStack() as stack:
        breaks_up = stack.enter_context(example("fragmenter", "--seconds", "90", "--threads", "3"))
        others = [stack.enter_context(example(name)) for name in ("leak", "tail", "steady")]
        pids = ",".join(str(pid) for pid in (breaks_up, *others))
        terminal = stack.enter_context(
            Terminal(
                [ROOT / "fragscope", "top", "--max-cost", "20", "-p", pids, "1"],
                columns=110,
                rows=32,
            )
        )
        terminal.wait("resident memory", settled=False)
        terminal.press("+")
        time.sleep(SHOWN_S)
        picture(terminal, "overview", "resident memory")
        picture(terminal, "map", r"arena #\d+: .* in \d+ cells", "3")
        picture(terminal, "sizes", "chunk size", "4")
        picture(terminal, "arenas", "arenas?, sorted by", "2", "s")
        terminal.press("Tab")
        picture(terminal, "events", "what is known of it", "5")
        terminal.press("Tab")
        picture(terminal, "advice", "warning|CRITICAL", "6")
        picture(terminal, "processes", "4 processes", "7")
        terminal.press("q")


if __name__ == "__main__":
    main()
