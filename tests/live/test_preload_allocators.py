"""The sampler on other allocators: on a program that holds still it tells what the allocator
tells of itself, and which allocator that is; and a thousand samples change nothing."""

import pathlib
import sys

import harness
import preloading
from harness import Skip, Tap, Target

SETTINGS = "interval=1ms,max_cost=100%"


def library(name):
    for path in pathlib.Path("/usr/lib").glob(f"*/{name}"):
        return str(path)
    raise Skip(f"{name} is not installed")


def ask(target):
    target.process.stdin.write("\n")
    target.process.stdin.flush()
    told = {}
    while line := target.process.stdout.readline().strip():
        name, value = line.split()
        told[name] = int(value)
    return told


def jemalloc(tap, row, told):
    caches = (told["stats.arenas.4096.tcache_bytes"] +
              told.get("stats.arenas.4096.tcache_stashed_bytes", 0))
    page = told["arenas.page"]
    tap.equal(row["live_bytes"] + row["tcache_bytes"], told["stats.allocated"], "allocated")
    tap.equal(row["tcache_bytes"], caches, "thread caches")
    for name, of_itself in (("active", "active"), ("heap_resident", "resident"),
                            ("mapped", "mapped"), ("unmapped", "retained")):
        tap.equal(row[f"{name}_bytes"], told[f"stats.{of_itself}"], of_itself)
    tap.equal(row["dirty_bytes"], told["stats.arenas.4096.pdirty"] * page, "dirty")
    tap.equal(row["muzzy_bytes"], told["stats.arenas.4096.pmuzzy"] * page, "muzzy")


def jemalloc_arenas(tap, reading):
    tap.equal(len(reading.arenas), reading.row["arenas"], "arenas")
    tap.ok(len(reading.arenas) > 1, "there are several")
    for name in ("live_bytes", "dirty_bytes", "muzzy_bytes"):
        tap.equal(sum(arena[name] for arena in reading.arenas), reading.row[name],
                  f"{name} of the arenas in all")


def tcmalloc(tap, row, told):
    inside = (told["tcmalloc.pageheap_free_bytes"] + told["tcmalloc.central_cache_free_bytes"] +
              told["tcmalloc.transfer_cache_free_bytes"])
    tap.equal(row["live_bytes"], told["generic.current_allocated_bytes"], "allocated")
    tap.equal(row["mapped_bytes"], told["generic.heap_size"], "heap size")
    tap.equal(row["unmapped_bytes"], told["tcmalloc.pageheap_unmapped_bytes"], "unmapped")
    tap.equal(row["dirty_bytes"], told["tcmalloc.pageheap_free_bytes"], "free pages")
    tap.equal(row["tcache_bytes"], told["tcmalloc.current_total_thread_cache_bytes"],
              "thread caches")
    tap.equal(row["free_bytes"], inside, "free")
    tap.equal(row["live_bytes"] + row["free_bytes"] + row["tcache_bytes"], row["mapped_bytes"],
              "live, free and cached are all")


def mimalloc(tap, row, told):
    tap.equal(row["mapped_bytes"], told["current_commit"], "committed")


def no_arenas(tap, reading):
    tap.equal(len(reading.arenas), 0, "no arena is made up")


ALLOCATORS = (
    ("libjemalloc.so.2", "jemalloc-", jemalloc, jemalloc_arenas),
    ("libtcmalloc_minimal.so.4", "tcmalloc-", tcmalloc, no_arenas),
    ("libmimalloc.so.2.0", "mimalloc-", mimalloc, no_arenas),
)


def check_allocator(tap, path, name, totals, arenas):
    both = f"{preloading.SAMPLER}:{path}"
    program = harness.program("foreign")
    # What decays by time would not hold still; one arena would do on one core.
    still = "dirty_decay_ms:-1,muzzy_decay_ms:-1,narenas:4"
    env = preloading.environment(SETTINGS, LD_PRELOAD=both, MALLOC_CONF=still)
    with Target([program], env=env) as target:
        tap.equal(target.line(), "ready", "the program is ready")
        ask(target)
        preloading.next_sample(target.pid)
        before = ask(target)
        reading = preloading.next_whole_sample(target.pid, "--arenas")
        tap.ok(reading.row["allocator"].startswith(name), "allocator", reading.row["allocator"])
        tap.equal(reading.row["status"], "complete", "status", reading.row.get("missing"))
        totals(tap, reading.row, before)
        arenas(tap, reading)
        preloading.wait_samples(target.pid, 1000)
        tap.equal(ask(target), before, "what it tells of itself after a thousand samples")


def check_unknown(tap):
    """An allocator that nobody knows is called by the name of its file."""
    source = pathlib.Path(harness.BIN / "stranger.c")
    harness.BIN.mkdir(parents=True, exist_ok=True)
    source.write_text("#include <stddef.h>\n"
                      "void *__libc_malloc(size_t);\n"
                      "void *malloc(size_t bytes) { return __libc_malloc(bytes); }\n")
    stranger = harness.compile_program("libstranger.so", harness.CC, source, ["-fPIC", "-shared"])
    env = preloading.environment(SETTINGS, LD_PRELOAD=f"{preloading.SAMPLER}:{stranger}")
    with Target(["sleep", "60"], env=env) as target:
        row = preloading.next_sample(target.pid).row
        tap.equal(row["allocator"], "libstranger.so", "allocator")
        tap.equal([name for name in ("live_bytes", "free_bytes", "system_bytes") if name in row],
                  [], "figures that nobody told")
        tap.ok(row["rss_bytes"] > 0, "rss_bytes")


def main():
    tap = Tap()
    for name, *rest in ALLOCATORS:
        with tap.section(name):
            check_allocator(tap, library(name), *rest)
    with tap.section("unknown"):
        check_unknown(tap)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
