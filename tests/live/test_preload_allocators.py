"""The sampler on other allocators: on a program that holds still it tells what the allocator
tells of itself, and which allocator that is; and a thousand samples change nothing."""

import pathlib
import re
import subprocess
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
    told = {"report": []}
    while line := target.process.stdout.readline().strip():
        name, value = line.split(maxsplit=1)
        if name == "|":
            told["report"].append(value)
        else:
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
    jemalloc_slabs(tap, row, told)
    jemalloc_extents(tap, row, told)


def numbered(told, name):
    """The figure NAME of every class, in order."""
    values = []
    while (key := name.format(len(values))) in told:
        values.append(told[key])
    return values


def jemalloc_slabs(tap, row, told):
    sizes = numbered(told, "arenas.bin.{}.size")
    slabs = numbered(told, "stats.arenas.4096.bins.{}.curslabs")
    used = numbered(told, "stats.arenas.4096.bins.{}.curregs")
    slab_bytes = numbered(told, "arenas.bin.{}.slab_size")
    classes = row["classes"]
    tap.ok(len(sizes) > 30 and sum(used), f"{len(sizes)} classes of small sizes")
    tap.equal([one["region"] for one in classes], sizes, "classes: region")
    tap.equal([one["slabs"] for one in classes], slabs, "classes: slabs")
    tap.equal([one["used"] for one in classes], used, "classes: used")
    tap.equal([one["free"] for one in classes],
              [count * (bytes_ // size) - held
               for size, bytes_, count, held in zip(sizes, slab_bytes, slabs, used)],
              "classes: free")
    tap.equal(row["slab_bytes"], sum(count * one for count, one in zip(slabs, slab_bytes)),
              "slabs")
    tap.equal(row["slab_free_bytes"], sum(one["free"] * one["region"] for one in classes),
              "free in slabs")
    tap.equal(row["free_bytes"], row["slab_free_bytes"] + row["dirty_bytes"] + row["muzzy_bytes"],
              "free")


def jemalloc_extents(tap, row, told):
    """The mean of those of the largest class is told, of each kind."""
    largest = 0
    for kind in ("dirty", "muzzy", "retained"):
        counts = numbered(told, f"stats.arenas.4096.extents.{{}}.n{kind}")
        sizes = numbered(told, f"stats.arenas.4096.extents.{{}}.{kind}_bytes")
        largest = max([largest, *(size // count for count, size in zip(counts, sizes) if count)])
    tap.ok(largest, "there is a free extent")
    tap.within(row["largest_extent_bytes"], largest, largest * 1.25, "largest free extent")


def jemalloc_arenas(tap, reading):
    tap.equal(len(reading.arenas), reading.row["arenas"], "arenas")
    tap.ok(len(reading.arenas) > 1, "there are several")
    for name in ("live_bytes", "dirty_bytes", "muzzy_bytes", "slab_bytes", "slab_free_bytes"):
        tap.equal(sum(arena[name] for arena in reading.arenas), reading.row[name],
                  f"{name} of the arenas in all")
    largest = max(arena["largest_extent_bytes"] for arena in reading.arenas)
    tap.within(reading.row["largest_extent_bytes"], largest, largest * 1.25,
               "the largest extent of an arena is that of the program")


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
    report = "\n".join(told["report"])
    page = int(re.search(r"(\d+) +Tcmalloc page size", report)[1])
    classes = re.findall(r"^class +\d+ \[ +(\d+) bytes \] : +(\d+) objs;", report, re.M)
    tap.ok(len(classes) > 10, f"{len(classes)} classes have free objects")
    tap.equal([(one["region"], one["free"]) for one in row["classes"]],
              [(int(size), int(count)) for size, count in classes], "classes")
    spans = [int(pages) for pages in re.findall(r"^ *(\d+) pages \* ", report, re.M)]
    large = re.search(r"^>(\d+) +large \* +(\d+) spans ~ +([\d.]+) MiB", report, re.M)
    tap.ok(spans, f"{len(spans)} sizes of free spans", report)
    if not large or not int(large[2]):
        tap.equal(row["largest_extent_bytes"], max(spans) * page, "largest span")
    else:
        mean = float(large[3]) * 2**20 / int(large[2])
        tap.within(row["largest_extent_bytes"], max((int(large[1]) + 1) * page, mean - 2**16),
                   mean + (int(large[1]) + 1) * page, "largest span")


UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def printed(report, name):
    """The columns of the line NAME in mimalloc's report; None: less than nothing."""
    line = re.search(rf"^ *{name}:(.*)$", report, re.M)[1]
    return [None if minus else int(whole) * UNITS[unit] + int(tenth or 0) * UNITS[unit] // 10
            for minus, whole, tenth, unit in re.findall(r"(-?)(\d+)(?:\.(\d))? *([KMG]?)", line)]


def mimalloc(tap, row, told):
    report = "\n".join(told["report"])
    # What it has for the sampler's thread is there since its first sample.
    tap.equal(row["mapped_bytes"], told["current_commit"], "committed")
    tap.equal(row["peak_mapped_bytes"], told["peak_commit"], "committed at most")
    if "mimalloc-2" not in row["allocator"]:
        tap.skip("report", f"that of {row['allocator']} is not asked for")
        return
    columns = re.search(r"heap stats:(.*)", report)[1].split()
    current = columns.index("current")
    tap.equal(row["reserved_bytes"], printed(report, "reserved")[current], "reserved")
    tap.ok(row["reserved_bytes"] >= 32 << 20, "a segment at least", report)
    tap.equal(row["heap_threads"], printed(report, "threads")[current], "threads")
    tap.equal(row["heap_threads"], 4, "three threads of the program and the sampler's")


def no_arenas(tap, reading):
    tap.equal(len(reading.arenas), 0, "no arena is made up")


ALLOCATORS = (
    ("libjemalloc.so.2", "jemalloc-", jemalloc, jemalloc_arenas),
    ("libtcmalloc_minimal.so.4", "tcmalloc-", tcmalloc, no_arenas),
    ("libmimalloc.so.[23]*", "mimalloc-", mimalloc, no_arenas),
)


def whole_sample(pid, *args):
    """One with arenas, where the allocator has them: not every sample does."""

    def whole():
        reading = preloading.next_sample(pid, *args)
        told = ("largest_extent_bytes" in reading.row or "reserved_bytes" in reading.row or
                "mimalloc-3" in reading.row["allocator"])
        return reading if told else None

    return harness.until(whole, f"a whole sample of {pid}")


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
        bins = [] if name.startswith("mimalloc") else ["--bins"]
        reading = whole_sample(target.pid, "--arenas", *bins)
        tap.ok(reading.row["allocator"].startswith(name), "allocator", reading.row["allocator"])
        tap.equal(reading.row["status"], "complete", "status", reading.row.get("missing"))
        totals(tap, reading.row, before)
        arenas(tap, reading)
        preloading.wait_samples(target.pid, 1000)
        tap.equal(ask(target), before, "what it tells of itself after a thousand samples")


LINKED = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	void *volatile held = malloc(5 << 20);

	memset(held, 1, 5 << 20);
	return getchar() == EOF && held ? 0 : 1;
}
"""


def check_linked(tap, archive, name, figure):
    """The allocator in the program itself, which shows its functions to nobody."""
    archive = library(archive)
    source = harness.BIN / "linked.c"
    harness.BIN.mkdir(parents=True, exist_ok=True)
    source.write_text(LINKED)
    libraries = [archive, "-lm", "-lstdc++", "-lpthread", "-ldl"]
    whole = harness.compile_program(f"linked-{name}", harness.CC, source, [], libraries)
    stripped = harness.compile_program(f"stripped-{name}", harness.CC, source, ["-s"], libraries)
    # Its constructors and the first samples meet in one order or the other.
    for _ in range(7):
        with Target([whole], env=preloading.environment(SETTINGS)) as target:
            whole_sample(target.pid)
    with Target([whole], env=preloading.environment(SETTINGS)) as target:
        row = whole_sample(target.pid).row
        tap.ok(re.match(rf"{name}-\d", row["allocator"]), "allocator", row["allocator"])
        tap.within(row["live_bytes"], 5 << 20, 50 << 20, "live_bytes")
        tap.ok(row[figure] > 0, figure, row)
    with Target([stripped], env=preloading.environment(SETTINGS)) as target:
        row = preloading.next_sample(target.pid).row
        tap.equal((row["allocator"], row["status"]), ("the program's own", "partial"),
                  "not where the table of symbols is gone")


# A mimalloc with a report of another form, and figures that are easily mistaken.
REPORTER = """#include <stddef.h>
#include <stdio.h>
void *__libc_malloc(size_t);
void *malloc(size_t bytes) { return __libc_malloc(bytes); }
int mi_version(void) { return %d; }
void mi_process_info(size_t *a, size_t *b, size_t *c, size_t *d, size_t *e, size_t *commit,
		     size_t *peak, size_t *f)
{
	*a = *b = *c = *d = *e = *f = 1;
	*commit = 1000;
	*peak = 2000;
}
void mi_stats_print_out(void (*output)(const char *, void *), void *context)
{
	static const char *const lines[] = {%s, NULL};

	for (unsigned i = 0; lines[i]; i++)
		output(lines[i], context);
}
int main(void) { return malloc(1) && getchar() == EOF ? 0 : 1; }
"""

HEADING = "heap stats:     peak       total     current       block      total#   "
REPORTS = (
    ("with three columns", 227,
     (HEADING, "  reserved:    1.5 GiB    2.0 GiB  512.1 KiB          ",
      "  threads:      2.0 Ki      1          7          ok"), (512 * 1024 + 102, 7)),
    ("of bytes and thousands", 212,
     ("heap stats:  peak   total   freed   current   unit   count",
      "  reserved:      512 B        0          1 B      511 B  ",
      "   threads:      4          4          0          1.5 Ki                  ok"),
     (511, 1536)),
    ("of less than nothing", 209,
     (HEADING, "  reserved:    1.5 GiB    2.0 GiB   -0.5 MiB", " threads:  1  1  -1 "),
     (None, None)),
    ("cut off", 209, (HEADING, "  reserved:    1.5 GiB", " threads:", "threads: 1 2"),
     (None, None)),
    ("without its heading", 209, ("  reserved:    1.5 GiB    2.0 GiB   1.5 GiB",), (None, None)),
    ("of a version that is not known", 301,
     (HEADING, "  reserved:    1.5 GiB    2.0 GiB   1.5 GiB"), (None, None)),
)


def check_reports(tap):
    """What stands in a report in another form than that of the installed mimalloc."""
    source = harness.BIN / "reporter.c"
    harness.BIN.mkdir(parents=True, exist_ok=True)
    for number, (form, version, lines, want) in enumerate(REPORTS):
        texts = ", ".join('"' + line + '\\n"' for line in lines)
        source.write_text(REPORTER % (version, texts))
        program = harness.compile_program(f"reporter-{number}", harness.CC, source, [], [])
        with Target([program], env=preloading.environment(SETTINGS)) as target:
            row = preloading.next_sample(target.pid).row
            tap.equal((row["allocator"], row["mapped_bytes"], row["peak_mapped_bytes"]),
                      (f"mimalloc-{'.'.join(str(version))}", 1000, 2000), f"{form}: numbers")
            tap.equal((row.get("reserved_bytes"), row.get("heap_threads")), want, form)


OWN_NAMES = ("malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc", "memalign",
             "valloc", "malloc_usable_size", "malloc_stats_print", "mallctl", "mallctlnametomib",
             "mallctlbymib", "mallocx", "rallocx", "xallocx", "sallocx", "dallocx", "sdallocx",
             "nallocx", "malloc_conf", "malloc_message")


def check_prefixed(tap):
    """jemalloc under names of its own, as redis-server builds it into itself."""
    objcopy, archive = harness.need("objcopy"), library("libjemalloc.a")
    source = harness.BIN / "prefixed.c"
    harness.BIN.mkdir(parents=True, exist_ok=True)
    with harness.scratch() as directory:
        own = directory / "libje.a"
        renames = [f"--redefine-sym={name}=je_{name}" for name in OWN_NAMES]
        subprocess.run([objcopy, *renames, archive, own], check=True)
        source.write_text(LINKED.replace("malloc(", "je_malloc(").replace(
            "int main", "void *je_malloc(size_t bytes);\n\nint main"))
        program = harness.compile_program("prefixed", harness.CC, source, ["-rdynamic"],
                                          [str(own), "-lm", "-lstdc++", "-ldl"])
    with Target([program], env=preloading.environment(SETTINGS)) as target:
        row = whole_sample(target.pid).row
        tap.ok(row["allocator"].startswith("jemalloc-5"), "allocator", row["allocator"])
        tap.within(row["live_bytes"], 5 << 20, 50 << 20, "live_bytes")


def check_unknown(tap):
    """An allocator that nobody knows is called by the name of its file."""
    source = pathlib.Path(harness.BIN / "stranger.c")
    harness.BIN.mkdir(parents=True, exist_ok=True)
    source.write_text("#include <stddef.h>\n"
                      "void *__libc_malloc(size_t);\n"
                      "void *malloc(size_t bytes) { return __libc_malloc(bytes); }\n")
    stranger = harness.compile_program("libstranger.so", harness.CC, source, ["-fPIC", "-shared"])
    env = preloading.environment(SETTINGS, LD_PRELOAD=f"{preloading.SAMPLER}:{stranger}")
    with Target(["sleep", "600"], env=env) as target:
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
    for linked in (("libjemalloc.a", "jemalloc", "slab_bytes"),
                   ("libtcmalloc_minimal.a", "tcmalloc", "largest_extent_bytes")):
        with tap.section(f"{linked[1]} linked into the program"):
            check_linked(tap, *linked)
    with tap.section("mimalloc linked into the program"):
        check_reports(tap)
    with tap.section("names of its own"):
        check_prefixed(tap)
    with tap.section("unknown"):
        check_unknown(tap)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
