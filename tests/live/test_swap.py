"""A target that is partly swapped out: what is in swap stays there, and the rows say that it
was not read. Takes a swap file of its own for the time of the test."""

import contextlib
import ctypes
import os
import pathlib
import subprocess
import tempfile

import harness
from harness import Oracle, Skip, Tap

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


def heap_range(pid):
    for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
        if line.endswith("[heap]"):
            return tuple(int(end, 16) for end in line.split()[0].split("-"))
    raise RuntimeError("the target has no heap")


def page_out(pid, start, end):
    """Asks the kernel to swap the range out, as memory pressure would."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
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


def check_part(tap, target, start, end):
    """Swaps [START, END) out and reads the target 20 times."""
    page_out(target.pid, start, end)
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


def main():
    tap = Tap()
    with tap.section("swapped out"), swap_file():
        with Oracle("--chunks 20000 --max 3000 --free-pattern random:30") as target:
            start, end = heap_range(target.pid)
            with tap.section("in part"):
                middle = (start + end) // 2 // harness.PAGE * harness.PAGE
                check_part(tap, target, start + 64 * harness.PAGE, middle)
            with tap.section("wholly"):
                check_part(tap, target, start, end)
    tap.done()


if __name__ == "__main__":
    main()
