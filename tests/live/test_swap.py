"""A target that is partly swapped out: what is in swap stays there, and the rows say that it
was not read. Takes a swap file of its own for the time of the test."""

import contextlib
import ctypes
import json
import os
import pathlib
import subprocess
import tempfile

import harness
import tracing
from harness import Oracle, Skip, Tap
from terminal import Terminal

SWAP_BYTES = 128 << 20
MADV_PAGEOUT = 21
SYS_PIDFD_OPEN, SYS_PROCESS_MADVISE = 434, 440


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


@contextlib.contextmanager
def swap_file():
    """A swap file; a Skip where the kernel or the file system has none to give."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "swap")
        with path.open("wb") as file:
            for _ in range(SWAP_BYTES >> 20):
                file.write(bytes(1 << 20))
        path.chmod(0o600)
        for command in ("mkswap", "swapon"):
            done = subprocess.run([command, str(path)], capture_output=True, text=True)
            if done.returncode:
                raise Skip(f"{command} fails here: {done.stderr.strip()}")
        try:
            yield
        finally:
            subprocess.run(["swapoff", str(path)], check=True)


def records(pid):
    """Where malloc has its records: the writable part of the libc."""
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        words = line.split()
        if words[1].startswith("rw") and "libc" in words[-1].rsplit("/", 1)[-1]:
            return tuple(int(end, 16) for end in words[0].split("-"))
    raise RuntimeError("the target has no libc")


def heap_range(pid):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            return tuple(int(end, 16) for end in line.split()[0].split("-"))
    raise RuntimeError("the target has no heap")


def page_out(target, start, end):
    """Asks the kernel to swap the range out of a program at rest, as memory pressure would."""
    target.rest()
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(SYS_PIDFD_OPEN, target.pid, 0)
    piece = Iovec(start, end - start)
    done = libc.syscall(SYS_PROCESS_MADVISE, pidfd, ctypes.byref(piece), 1, MADV_PAGEOUT, 0)
    os.close(pidfd)
    if done < 0:
        raise Skip(f"process_madvise fails here: {os.strerror(ctypes.get_errno())}")


def status(pid):
    fields = dict(
        line.split(":", 1)
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return {
        **{name: fields[name].strip() for name in ("VmSwap", "VmRSS", "RssAnon", "VmPTE")},
        "minflt": stat[7],
        "majflt": stat[9],
    }


# What the kernel tells, what a reading takes, and what lies on pages: the rest stays as it
# was while the program does nothing.
OF_SWAP = {"time", "status", "missing", "rss_bytes", "pss_bytes", "swap_bytes", "read_ns",
           "other_resident_bytes", "mmapped_resident_bytes", "in_doubt_bytes", "anon_huge_bytes"}


def check_figures(tap, whole, row):
    """No figure of ROW, some of whose chunks are in swap, is other than it was; what an
    unread chunk may change is absent."""
    was, now = ({**found, **found.get("mallinfo2", {})} for found in (whole, row))
    wrong = {
        name: (value, was.get(name)) for name, value in now.items()
        if name not in OF_SWAP and name != "mallinfo2" and value != was.get(name)
    }
    tap.equal(wrong, {}, "no figure is wrong")
    for name in ("live_bytes", "free_bytes", "uordblks", "fordblks", "pinned_bytes",
                 "trimmable_bytes", "largest_free_bytes"):
        tap.ok(name not in now, f"{name} is absent", now.get(name))
    for name in ("system_bytes", "arenas", "mmapped_bytes", "arena"):
        tap.ok(name in now, f"{name} is told")


def check_part(tap, target, start, end):
    """Swaps [START, END) out and reads the target 20 times."""
    whole = harness.stat(target.pid).row
    page_out(target, start, end)
    if status(target.pid)["VmSwap"] == "0 kB":
        raise Skip("the kernel swapped nothing out")

    def read_often():
        before = status(target.pid)
        done = harness.fragscope("stat", "-p", target.pid, "--json", "0", 20)
        return before, status(target.pid), done

    # Where memory is short the kernel swaps out more while we look.
    before, after, done = harness.undisturbed(read_often, lambda found: found[0] == found[1])
    rows = [reading.row for reading in harness.read_json(done.stdout)]
    tap.equal(done.returncode, 0, "exit status", done.stderr)
    tap.equal(len(rows), 20, "rows")
    tap.equal({row["status"] for row in rows}, {"partial"}, "status")
    tap.ok(all("swapped out" in row["missing"] for row in rows), "and why", rows[0])
    tap.equal(
        {row["swap_bytes"] for row in rows},
        {int(before["VmSwap"].split()[0]) << 10},
        "swap_bytes",
    )
    tap.equal(after, before, "nothing was swapped in")
    check_figures(tap, whole, rows[-1])
    return whole


def only_kernel(tap, row, name):
    """The row of a heap that cannot be read."""
    tap.equal(row["status"], "partial", f"{name}: status")
    tap.ok("records are swapped out" in row["missing"], f"{name}: and why", row)
    tap.ok(row["rss_bytes"] > 0 and row["swap_bytes"] > 0, f"{name}: the kernel's figures", row)
    for figure in ("system_bytes", "free_bytes", "live_bytes", "arenas"):
        tap.ok(figure not in row, f"{name}: no {figure}")


def check_verbs(tap, target):
    """Every verb goes on without the records, and none swaps them in."""

    def run_all():
        before = status(target.pid)
        done = {
            "stat": harness.fragscope("stat", "-p", target.pid, "--json", "0", 5),
            "report": harness.fragscope("report", "-p", target.pid, "--json", "--for", "0"),
            "text": harness.fragscope("report", "-p", target.pid, "--for", "0"),
            "alert": harness.fragscope(
                "alert", "-p", target.pid, "-r", "free_bytes > 1", "0", 3
            ),
        }
        return before, status(target.pid), done

    before, after, done = harness.undisturbed(run_all, lambda found: found[0] == found[1])
    for verb, result in done.items():
        tap.equal(result.returncode, 0, f"{verb}: exit status", result.stderr)
    tap.equal(after, before, "nothing was swapped in")
    rows = [reading.row for reading in harness.read_json(done["stat"].stdout)]
    tap.equal(len(rows), 5, "stat: rows")
    only_kernel(tap, rows[-1], "stat")
    report = json.loads(done["report"].stdout)
    only_kernel(tap, report["sample"], "report")
    tap.ok("--swap-in" in report["answer"], "report: the answer names the way", report["answer"])
    tap.ok(report["limits"], "report: the limits")
    tap.ok("--swap-in" in done["text"].stdout, "report: the text, too", done["text"].stdout)
    tap.ok("rules about it are silent" in " ".join(done["alert"].stderr.split()),
           "alert: says what it cannot watch", done["alert"].stderr)


def check_allowed(tap, target):
    """What is allowed by name is done, told, and no more than that."""
    done = harness.fragscope("report", "-p", target.pid, "--json", "--for", "0", "--swap-in")
    tap.equal(done.returncode, 0, "report --swap-in: exit status", done.stderr)
    row = json.loads(done.stdout)["sample"]
    tap.ok(0 < row["swapped_in_bytes"] <= 64 << 10, "a few pages were swapped in", row)
    tap.ok("were swapped in" in done.stderr, "which is told", done.stderr)
    tap.ok(row["system_bytes"] > 0, "the heap is read", row)


def check_recovery(tap, target):
    """Rows go on and have the heap again once its own program has touched the records."""
    before = harness.stat(target.pid).row
    page_out(target, *records(target.pid))
    with subprocess.Popen(
        [harness.FRAGSCOPE, "stat", "-p", str(target.pid), "--json", "0.05"],
        stdout=subprocess.PIPE, text=True,
    ) as stat:
        try:
            only_kernel(tap, json.loads(stat.stdout.readline()), "before")
            target.info()  # by malloc's own functions
            rows = (json.loads(line) for line in stat.stdout)
            row = next(row for row in rows if row["status"] == "complete")
        finally:
            stat.kill()
    tap.equal(row["system_bytes"], before["system_bytes"], "the heap is read again")


def check_top(tap, target):
    page_out(target, *records(target.pid))
    with Terminal([harness.FRAGSCOPE, "top", "-p", target.pid, "0.1"], columns=120) as terminal:
        terminal.wait("records are swapped out", settled=False)
        tap.reached("the screen says so")
        target.info()
        terminal.wait(rf"\[{target.pid}\].*complete")
        tap.reached("the screen has the heap again")
        terminal.press("q")
        tap.equal(terminal.status(), 0, "exit status", terminal.stderr())


def check_trace(tap, target):
    tracing.need_probes()
    page_out(target, *records(target.pid))
    done = harness.fragscope("trace", "-p", target.pid, "--json", "--for", "0.5s")
    tap.equal(done.returncode, 0, "it watches all the same", done.stderr)


def check_records(tap):
    with Oracle("--chunks 5000 --free-pattern random:30 --threads 2") as target:
        page_out(target, *records(target.pid))
        if status(target.pid)["VmSwap"] == "0 kB":
            raise Skip("the kernel swapped nothing out")
        check_verbs(tap, target)
        check_allowed(tap, target)
        check_recovery(tap, target)
        for name, check in (("top", check_top), ("trace", check_trace)):
            with tap.section(name):
                check(tap, target)


def main():
    tap = Tap()
    with tap.section("swapped out"), swap_file():
        with Oracle("--chunks 20000 --max 3000 --free-pattern random:30") as target:
            start, end = heap_range(target.pid)
            middle = (start + end) // 2 // harness.PAGE * harness.PAGE
            with tap.section("in part"):
                whole = check_part(tap, target, start + 64 * harness.PAGE, middle)
                done = harness.fragscope("trim", target.pid, "--dry-run")
                tap.ok("swapped out" in done.stderr, "a trim is not predicted", done.stderr)
                # The program's own word: it swaps in all that it goes over.
                tap.equal(whole["mallinfo2"], target.info(), "what it was is the truth")
            with tap.section("wholly"):
                check_part(tap, target, start, end)
        with tap.section("malloc's records"):
            check_records(tap)
    tap.done()


if __name__ == "__main__":
    main()
