"""terminal.py: a real terminal for tests of `top`: a tmux of their own, its keys, its size
and what stands on it. Nothing sleeps: everything waits for what is to be seen."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import harness

PATIENCE_S = 60

# What the screen looks like depends on these; the rest is the machine's.
SHAPING = ("NO_COLOR", "COLORTERM", "LC_", "LANG", "TERM", "TMUX", "COLUMNS", "LINES", "TZ")


def environment(**changes):
    """The environment of a program on a terminal with UTF-8, without the caller's taste."""
    env = {
        name: value
        for name, value in harness.CLEAN_ENV.items()
        if not name.startswith(SHAPING)
    }
    env.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"})
    env.update(changes)
    return env


class Terminal:
    """A command on a terminal of its own, in a directory of its own. The shell around it
    notes how the terminal was set before and after, and the exit status."""

    def __init__(self, command, columns=80, rows=24, term="screen", **env):
        harness.need("tmux", "stty")
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="fragscope-terminal-"))
        self.command = [str(word) for word in command]
        script = self.scratch / "run.sh"
        script.write_text(
            "trap : INT TSTP\n"
            "modes() { stty -a | sed 's/ rows [0-9]*; columns [0-9]*;//'; }\n"
            "modes >before\n"
            f"{shlex.join(self.command)} 2>stderr\n"
            "echo $? >status.new\n"
            "modes >after\n"
            "mv status.new status\n"
            # What is on the screen now is looked at by the test.
            "exec cat\n",
            encoding="utf-8",
        )
        settings = ["set", "-g", "status", "off", ";", "set", "-g", "default-terminal", term]
        self._tmux(
            *settings, ";",
            "new-session", "-d", "-x", str(columns), "-y", str(rows),
            f"exec sh {shlex.quote(str(script))}",
            env={**environment(), **env, "PWD": str(self.scratch)},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(
            self._words("kill-server"), check=False, capture_output=True, timeout=PATIENCE_S
        )
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _words(self, *words):
        socket = str(self.scratch / "tmux")
        return ["tmux", "-u", "-S", socket, "-f", os.devnull, *words]

    def _tmux(self, *words, env=None):
        done = subprocess.run(
            self._words(*words),
            env=env or environment(),
            cwd=self.scratch,
            check=False,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RuntimeError(f"tmux {shlex.join(words)}: {done.stderr}")
        return done.stdout

    # ---- what can be seen ----

    def text(self):
        """All rows of the screen, without the spaces at their ends."""
        return self._tmux("capture-pane", "-p")

    def styled(self):
        """The same with the escape sequences of colours and attributes."""
        return self._tmux("capture-pane", "-p", "-e")

    def value(self, name):
        """A variable of tmux, such as alternate_on."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait(self, wanted, settled=True):
        """Until the screen matches WANTED, a pattern or a function of its text; that
        text. It may be caught in the middle of a change: where that matters, and it does
        not change all the time, it counts only when it stays so (SETTLED)."""
        test = wanted if callable(wanted) else re.compile(wanted, re.M).search
        last = ""

        def seen():
            nonlocal last
            before, last = last, self.text()
            return test(last) and (last == before or not settled)

        try:
            harness.until(seen, str(wanted), PATIENCE_S)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; the screen:\n{last}\n{self.stderr()}") from error
        return last

    # ---- what can be done ----

    def press(self, *keys):
        """Keys by tmux's names: "q", "Escape", "Left", "F3"."""
        self._tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def click(self, row, column):
        """The left button down and up, as terminals report it; they count from 1."""
        for button in (32, 35):
            report = b"\033[M" + bytes([button, 33 + column, 33 + row])
            self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in report))

    def pid(self):
        """The process of the command: the only child of the shell."""
        shell = self.value("pane_pid")
        children = pathlib.Path(f"/proc/{shell}/task/{shell}/children")

        def only():
            words = children.read_text(encoding="ascii").split()
            return int(words[-1]) if words else None

        return harness.until(only, "the command runs", PATIENCE_S)

    # ---- how it ended ----

    def stderr(self):
        path = self.scratch / "stderr"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def status(self):
        """The exit status, once there is one."""
        path = self.scratch / "status"
        harness.until(path.exists, "the command ends", PATIENCE_S)
        return int(path.read_text(encoding="ascii"))

    def restored(self):
        """What is not as it was before the command; empty: all is."""
        before, after = (
            (self.scratch / name).read_text(encoding="utf-8") for name in ("before", "after")
        )
        wrong = []
        if before != after:
            wrong.append(f"the modes: before\n{before}after\n{after}")
        # tmux takes its time to read what was written to it.
        for name, what in (
            ("alternate_on", "the alternate screen"),
            ("mouse_any_flag", "the mouse"),
            ("keypad_flag", "the keypad's mode"),
        ):
            try:
                harness.until(lambda name=name: self.value(name) != "1", what, PATIENCE_S)
            except TimeoutError:
                wrong.append(f"{what} is left on")
        if self.value("cursor_flag") == "0":
            wrong.append("the cursor is hidden")
        return wrong
