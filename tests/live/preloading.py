"""preloading.py: what the tests of the sampler share: programs with the sampler in them, and
what stat reads of them."""

import contextlib
import pathlib
import re
import shutil
import struct
import time

import harness

SAMPLER = harness.BUILD / "libfragscope-preload.so"

# What both sources tell of a heap, and must tell alike while it is still.
ALIKE = ("system_bytes", "free_bytes", "free_chunks", "largest_free_bytes",
         "largest_hole_bytes", "top_bytes", "fast_chunks", "fast_bytes", "mmapped_chunks",
         "mmapped_bytes", "arenas", "frag", "mallinfo2")
ALIKE_OF_ARENAS = ("system_bytes", "free_bytes", "free_chunks", "largest_free_bytes",
                   "largest_hole_bytes", "top_bytes", "fast_chunks", "fast_bytes", "frag")


def environment(settings="interval=20ms,max_cost=100%", **others):
    """That of a program with the sampler."""
    if not SAMPLER.exists():
        raise harness.Skip(f"{SAMPLER} is not built")
    return {**harness.CLEAN_ENV, "LD_PRELOAD": str(SAMPLER), "FRAGSCOPE": settings, **others}


@contextlib.contextmanager
def for_others():
    """A directory with the sampler and the program in it that every user may read: a build
    tree may be the user's own."""
    environment()
    with harness.scratch() as directory:
        for path in (SAMPLER, harness.FRAGSCOPE):
            shutil.copy(path, directory / pathlib.Path(path).name)
        yield directory


def rows(pid, *args):
    """One reading by way of the sampler, and what was said of it."""
    done = harness.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json", *args)
    if done.returncode:
        raise RuntimeError(f"stat: status {done.returncode}: {done.stderr}")
    return harness.read_json(done.stdout)[0]


def thread(pid):
    """The directory in /proc of the sampler's thread in PID, or None."""
    with contextlib.suppress(OSError):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text() == "fragscope\n":
                return task
    return None


# SIGKILL and SIGSTOP cannot be blocked; 32 and 33 are the C library's own.
NEVER_BLOCKED = 1 << 8 | 1 << 18 | 1 << 31 | 1 << 32


def open_signals(pid):
    """Those that the sampler's thread in PID lets in, as bits."""
    text = (thread(pid) / "status").read_text()
    blocked = int(re.search(r"^SigBlk:\t(\w+)$", text, re.M).group(1), 16)
    return ~blocked & (1 << 64) - 1 & ~NEVER_BLOCKED


# Where the ring's header has the count of samples.
PUBLISHED_AT = 24


def published(pid):
    """How many samples the sampler in PID has taken so far."""
    text = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="ascii")
    start = re.search(r"^(\w+)-.*memfd:fragscope-ring", text, re.M).group(1)
    with open(f"/proc/{pid}/mem", "rb") as memory:
        memory.seek(int(start, 16) + PUBLISHED_AT)
        return struct.unpack("<Q", memory.read(8))[0]


def wait_samples(pid, count):
    """Until COUNT more have been taken."""
    begin = published(pid)
    harness.until(lambda: published(pid) >= begin + count, f"{count} samples of {pid}")


def next_sample(pid, *args):
    """A reading of a sample that began after this call."""
    begin = time.monotonic_ns()

    def fresh():
        # The age is of a later instant than this one: the sample is no older than it seems,
        # however long it takes until the reading is here.
        asked = time.monotonic_ns()
        text = harness.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json",
                                 *args)
        if text.returncode or not text.stdout:
            return None
        reading = harness.read_json(text.stdout)[0]
        age = reading.row.get("sample_age_ns")
        return reading if age is not None and asked - age > begin else None

    return harness.until(fresh, f"a sample of {pid}")


def next_whole_sample(pid, *args):
    """The same with all that glibc tells: where walks are dear, some samples do without the
    arenas, and say so."""

    def whole():
        reading = next_sample(pid, *args)
        row = reading.row
        return reading if "glibc" not in row["allocator"] or row["status"] == "complete" else None

    return harness.until(whole, f"a whole sample of {pid}")
