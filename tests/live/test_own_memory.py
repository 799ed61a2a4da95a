"""What fragscope takes of memory itself: as much as its manual says, however large the
heaps of its targets and the files of their programs are."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

import harness
from harness import Target
from terminal import Terminal

FRAGMENTER = harness.BUILD / "examples" / "fragmenter"
MB = 1 << 20

# A program of 80 MB that maps no page of them, as interpreters and servers with a lot of
# constants are.
LARGE_FILE = r"""
#include <stdio.h>
#include <stdlib.h>
__asm__(".section .rodata\n.globl many\nmany: .fill 83886080, 1, 7\n.previous");
int main(void)
{
	for (int i = 0; i < 1000; i++)
		if (i % 2)
			free(malloc(100 + i));
		else if (!malloc(100 + i))
			return 1;
	puts("ready");
	fflush(stdout);
	return getchar();
}
"""

# What the manual says, of one and of two processes, in MB, and a tenth; and what a
# processor more takes for each process, which may have eight arenas more by it.
STATED = {"stat": (22, 38), "alert": (22, 38), "report": (50, None), "top": (72, 100)}
OF_PROCESSOR = 0.15


def peak(pid):
    """The most that was resident at once, in bytes; null: it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    return int(found.group(1)) * 1024 if found else None


def check(tap, verb, count, bytes_taken, name):
    stated = STATED[verb][count - 1] + OF_PROCESSOR * count * os.cpu_count()
    tap.ok(bytes_taken / MB <= stated, f"{verb}, {name}: {STATED[verb][count - 1]} MB at most",
           f"{bytes_taken / MB:.1f} MB, and {stated:.1f} are allowed")


def peak_of_run(verb, *args):
    """Of a run that ends by itself."""
    with subprocess.Popen(
        [harness.FRAGSCOPE, verb, *(str(arg) for arg in args)],
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=harness.CLEAN_ENV,
    ) as process:
        most = 0

        def ended():
            nonlocal most
            most = max(most, peak(process.pid) or 0)
            return process.poll() is not None

        harness.until(ended, f"{verb} ends")
    if process.returncode or not most:
        raise RuntimeError(f"{verb}: status {process.returncode}")
    return most


def check_runs(tap, targets):
    for name, pids in targets:
        listed = ",".join(str(pid) for pid in pids)
        for verb in ("stat", "alert"):
            check(tap, verb, len(pids), peak_of_run(verb, "-p", listed, "0.1", 5), name)
        if len(pids) == 1:
            check(tap, "report", 1, peak_of_run("report", "-p", listed, "--for", "1s"), name)


def check_top(tap, targets):
    """Once all panes were shown and the probes are in place."""
    for name, pids in targets:
        listed = ",".join(str(pid) for pid in pids)
        command = [harness.FRAGSCOPE, "top", "-p", listed, "0.5"]
        with Terminal(command, columns=200, rows=60) as terminal:
            terminal.wait("complete", settled=False)
            for key, wanted in (("3", r"arena #0: .* in \d+ cells?"),
                                ("6", "nothing ails|warning|note|CRITICAL"),
                                ("1", r"own CPU [0-9.]+%")):
                terminal.press(key)
                terminal.wait(wanted, settled=False)
            check(tap, "top", len(pids), peak(terminal.pid()), name)


def is_sanitized():
    linked = subprocess.run(["ldd", harness.FRAGSCOPE], capture_output=True, text=True,
                            check=True).stdout
    return re.search(r"lib([alt]|ub)san", linked)


def main():
    tap = harness.Tap()
    with tap.section("own memory"), harness.scratch() as directory:
        if is_sanitized():
            raise harness.Skip("a sanitizer takes memory of its own")
        source = directory / "large.c"
        source.write_text(LARGE_FILE, encoding="ascii")
        subprocess.run([*harness.CC, "-o", directory / "large", source], check=True)
        with contextlib.ExitStack() as stack:
            large = stack.enter_context(Target([directory / "large"]))
            large.process.stdout.readline()
            heap = stack.enter_context(
                Target([FRAGMENTER, "--seconds", "86400", "--mb", "256", "--stay"])
            )
            targets = (("a large file", [large.pid]), ("a large heap", [heap.pid]),
                       ("two", [large.pid, heap.pid]))
            with tap.section("runs"):
                check_runs(tap, targets)
            with tap.section("top"):
                check_top(tap, targets)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
