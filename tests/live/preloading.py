"""preloading.py: what the tests of the sampler share: programs with the sampler in them, and
what stat reads of them."""

import json
import pathlib

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


def rows(pid, *args):
    """One reading by way of the sampler, and what was said of it."""
    done = harness.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json", *args)
    if done.returncode:
        raise RuntimeError(f"stat: status {done.returncode}: {done.stderr}")
    return harness.read_json(done.stdout)[0]


def has_sampler(pid):
    """Whether PID runs and has the sampler's thread."""
    try:
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
        return any((task / "comm").read_text() == "fragscope\n" for task in tasks)
    except OSError:
        return False


def next_sample(pid, *args):
    """A reading of a sample that began after this call."""
    begin = None

    def fresh():
        nonlocal begin
        text = harness.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json",
                                 *args)
        if text.returncode or not text.stdout:
            return None
        reading = harness.read_json(text.stdout)[0]
        row = json.loads(text.stdout.splitlines()[0])
        if "sample_age_ns" not in row:
            return None
        begin = begin or harness.time.monotonic_ns()
        taken = harness.time.monotonic_ns() - row["sample_age_ns"]
        return reading if taken > begin + 5_000_000 else None

    return harness.until(fresh, f"a sample of {pid}")


def next_whole_sample(pid, *args):
    """The same with all that glibc tells: where walks are dear, some samples do without the
    arenas, and say so."""

    def whole():
        reading = next_sample(pid, *args)
        row = reading.row
        return reading if "glibc" not in row["allocator"] or row["status"] == "complete" else None

    return harness.until(whole, f"a whole sample of {pid}")
