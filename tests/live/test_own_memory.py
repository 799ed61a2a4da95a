"""What fragscope takes of memory itself: as much as its manual says, however large the
heaps of its targets and the files of their programs are."""

import contextlib
import json
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

# At first a heap that is small; then 300,000 of its smallest chunks in fastbins.
GROWING = r"""
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
enum { CHUNKS = 300000 };
static void *chunk[CHUNKS];
int main(void)
{
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	free(malloc(100));
	puts("ready");
	fflush(stdout);
	getchar();
	for (int i = 0; i < CHUNKS; i++)
		chunk[i] = malloc(16);
	if (!malloc(16))
		return 1;
	for (int i = 0; i < CHUNKS; i++)
		free(chunk[i]);
	puts("grown");
	fflush(stdout);
	getchar();
	return getchar();
}
"""

# At first some mappings; then 20,000, every other page of one without access.
MAPPING = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
enum { MAPPINGS = 20000, PAGE = 4096 };
int main(void)
{
	char *all;

	free(malloc(100));
	puts("ready");
	fflush(stdout);
	getchar();
	all = mmap(NULL, (size_t)MAPPINGS * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return 1;
	for (int i = 0; i < MAPPINGS; i += 2)
		if (mprotect(all + (size_t)i * PAGE, PAGE, PROT_NONE))
			return 1;
	puts("grown");
	fflush(stdout);
	getchar();
	return getchar();
}
"""

# What the manual says, of one and of two processes, in MB, and a tenth; and what a
# processor more takes for each process, which may have eight arenas more by it. SMALL is of
# two processes with less than a megabyte each.
STATED = {"stat": (20, 26), "alert": (20, 26), "report": (50, None), "top": (66, 80)}
SMALL = {"stat": 16, "alert": 18, "top": 64}
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
    told = SMALL[verb] if name == "two small heaps" else STATED[verb][count - 1]
    stated = told + OF_PROCESSOR * count * os.cpu_count()
    tap.ok(bytes_taken / MB <= stated, f"{verb}, {name}: {told} MB at most",
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
                                ("6", "o known problem|be attributed|be read|warning"
                                      "|note|CRITICAL"),
                                ("1", r"own CPU [0-9.]+%")):
                terminal.press(key)
                terminal.wait(wanted, settled=False)
            check(tap, "top", len(pids), peak(terminal.pid()), name)


def grown_row(tap, program, small, is_grown, waited):
    """PROGRAM outgrows the room that was taken at first: the first row after that for which
    IS_GROWN holds."""
    with Target([program]) as target, Target(
        [harness.FRAGSCOPE, "stat", "-p", target.pid, "--json", "0.1"]
    ) as stat:
        target.process.stdout.readline()

        def row():
            return json.loads(stat.process.stdout.readline())

        tap.equal(row()["status"], "complete", small)
        with harness.held(stat.pid):  # no reading is of half of it
            target.process.stdin.write("\n")
            target.process.stdin.flush()
            target.process.stdout.readline()
        last = {}

        def grown():
            nonlocal last
            last = row()
            return is_grown(last)

        harness.until(grown, waited)
        return last


def check_growth(tap, program):
    """More fastbin chunks than there was room for: a row or two say so, and then there is
    more."""
    grown_row(tap, program, "a small heap",
              lambda row: row["status"] == "complete" and row.get("fast_chunks", 0) > 290000,
              "a complete row of all fastbins")
    tap.reached("all its fastbins are read in the end")


def check_mappings(tap, program):
    """More mappings than there was room for: there is more before a row is read by them."""
    row = grown_row(tap, program, "a few mappings", lambda row: row["mappings"] > 10000,
                    "a row with all mappings")
    tap.equal(row["status"], "complete", "the first row with all mappings")


def is_sanitized():
    linked = subprocess.run(["ldd", harness.FRAGSCOPE], capture_output=True, text=True,
                            check=True).stdout
    return re.search(r"lib([alt]|ub)san", linked)


def build(directory, name, text):
    source = directory / f"{name}.c"
    source.write_text(text, encoding="ascii")
    subprocess.run([*harness.CC, "-o", directory / name, source], check=True)
    return directory / name


def main():
    tap = harness.Tap()
    with tap.section("growth"), harness.scratch() as directory:
        check_growth(tap, build(directory, "growing", GROWING))
        check_mappings(tap, build(directory, "mapping", MAPPING))
    with tap.section("own memory"), harness.scratch() as directory:
        if is_sanitized():
            raise harness.Skip("a sanitizer takes memory of its own")
        program = build(directory, "large", LARGE_FILE)
        with contextlib.ExitStack() as stack:
            large = stack.enter_context(Target([program]))
            large.process.stdout.readline()
            heap = stack.enter_context(
                Target([FRAGMENTER, "--seconds", "86400", "--mb", "256", "--stay"])
            )
            other = stack.enter_context(Target([program]))
            other.process.stdout.readline()
            targets = (("a large file", [large.pid]), ("a large heap", [heap.pid]),
                       ("two", [large.pid, heap.pid]),
                       ("two small heaps", [large.pid, other.pid]))
            with tap.section("runs"):
                check_runs(tap, targets)
            with tap.section("top"):
                check_top(tap, targets)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
