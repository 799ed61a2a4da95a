"""What `top` takes of a processor: no more than --max-cost in any pane, told as it is, and
told when it is what makes readings rare."""

import contextlib
import os
import re
import sys
import time

import harness
from harness import Target
from terminal import Terminal

FRAGMENTER = harness.BUILD / "examples" / "fragmenter"
TICKS = os.sysconf("SC_CLK_TCK")
UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1}

# In each: what shows that it is there.
PANES = (
    ("1", r"^resident memory"),
    ("2", r"sorted by"),
    ("3", r"arena #0: .* in \d+ cells?"),
    ("4", r"chunk size"),
    ("5", r"no event yet|no events can be read|malloc|brk|mmap"),
    ("6", r"no verdict|warning|note|CRITICAL"),
)
COUNTED_S = 20
# The footer's figure is of the last ten seconds.
FOOTER_S = 10
# What was not used counts for two seconds more, and a reading with its looks is paid for
# after it was made.
KEPT_S = 2
AT_ONCE = 4


def used_s(pid):
    """Processor time, of all threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watched:
    """One `top` on a pane, and what it has used when."""

    def __init__(self, stack, target, key, wanted, *options):
        self.key, self.marks = key, []
        self.terminal = stack.enter_context(
            Terminal([harness.FRAGSCOPE, "top", "-p", target.pid, *options])
        )
        self.terminal.wait("complete", settled=False)
        self.terminal.press(key)
        self.terminal.wait(wanted, settled=False)
        self.pid = self.terminal.pid()

    def begin(self):
        """What attaching takes is over once there is a figure."""
        self.terminal.wait("own CPU", settled=False)
        self.mark()

    def mark(self):
        self.marks.append((time.monotonic(), used_s(self.pid)))

    def reading_s(self):
        number, unit = re.search(r"read in ([0-9.]+)([mu]?s)", self.terminal.text()).groups()
        return float(number) * UNITS_S[unit]

    def over(self, seconds):
        """What was used in the last SECONDS, in percent."""
        now_s, used = self.marks[-1]
        before = min(self.marks, key=lambda mark: abs(now_s - seconds - mark[0]))
        return 100 * (used - before[1]) / (now_s - before[0])

    def check(self, tap, percent):
        (begin_s, begin_used), (end_s, end_used) = self.marks[0], self.marks[-1]
        reading_s, elapsed_s = self.reading_s(), end_s - begin_s
        used = end_used - begin_used
        allowed = percent / 100 * (elapsed_s + KEPT_S) + AT_ONCE * reading_s
        tap.ok(used <= allowed, f"pane {self.key}: at most --max-cost {percent}",
               f"{used:.2f} s of {elapsed_s:.1f} s, and {allowed:.2f} s are allowed")
        told = float(re.search(r"own CPU ([0-9.]+)%", self.terminal.text()).group(1))
        counted = self.over(FOOTER_S)
        tap.within(told, counted - 0.5 - 10 * AT_ONCE * reading_s,
                   counted + 0.5 + 10 * AT_ONCE * reading_s,
                   f"pane {self.key}: the footer says what /proc does")
        # Two readings may follow each other at once when the machine stood still before.
        self.terminal.wait(rf"slowed by --max-cost {percent}\b", settled=False)
        tap.reached(f"pane {self.key}: the footer says what makes readings rare")


def check_panes(tap, target, percent, *options):
    """All panes at once, each by a `top` of its own."""
    with contextlib.ExitStack() as stack:
        watched = [Watched(stack, target, *pane, "0.05", *options) for pane in PANES]
        for top in watched:
            top.begin()
        end_s = time.monotonic() + COUNTED_S
        while time.monotonic() < end_s:
            time.sleep(0.2)
            for top in watched:
                top.mark()
        for top in watched:
            top.check(tap, percent)


def check_kept(tap, target):
    """An interval that can be kept is kept, and nothing is said."""
    with Terminal([harness.FRAGSCOPE, "top", "-p", target.pid, "--max-cost", "100",
                   "--no-events", "1"]) as terminal:
        text = terminal.wait(r"read in .* every .*own CPU", settled=False)
        tap.ok("slowed by" not in text, "an interval that is kept is not slowed", text)


def main():
    tap = harness.Tap()
    with tap.section("cost"), Target([FRAGMENTER, "--seconds", "86400", "--stay"]) as target:
        check_panes(tap, target, 1)
        check_kept(tap, target)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
