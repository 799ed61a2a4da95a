"""A target that holds still: every figure that the program can say of itself is the same
from outside, on every glibc, for every shape of heap."""

import harness
from harness import Libc, Oracle, Tap

HUGETLB = "glibc.malloc.hugetlb"

# name, arguments, tunables, oldest glibc it makes sense on
THREADED = [
    ("mixed sizes", "--chunks 12000 --max 3000 --free-pattern random:50 --aligned 300 --sort"),
    ("small, every other", "--chunks 20000 --max 200 --free-pattern alternate"),
    ("runs of frees", "--chunks 10000 --max 2000 --free-pattern runs:9 --hostile"),
    ("few survivors", "--chunks 10000 --max 2000 --free-pattern keep:40"),
    ("fastbins", "--chunks 3000 --free-pattern random:30 --fast 3000"),
    ("tcache", "--tcache --chunks 500"),
    ("mmapped chunks", "--chunks 500 --mmapped 25 --free-pattern alternate"),
    ("untouched chunks", "--chunks 500 --untouched 200"),
    ("long unsorted list", "--chunks 2000 --unsorted 5000"),
]

SINGLE = [
    ("next to nothing", "--chunks 1", "", (2, 26)),
    ("several heaps an arena", "--threads 1 --chunks 60000 --min 500 --max 4000 "
     "--free-pattern keep:10", "", (2, 26)),
    ("threads gone", "--threads 4 --exit-threads --chunks 5000 --free-pattern random:60 --tcache",
     "", (2, 26)),
    ("foreign sbrk", "--chunks 3000 --foreign-sbrk 60 --free-pattern runs:3", "", (2, 26)),
    ("foreign sbrk, hostile", "--hostile --chunks 3000 --foreign-sbrk 60 --fast 400 --tcache "
     "--free-pattern alternate --threads 2", "", (2, 26)),
    ("foreign sbrk among free chunks", "--seed 746942 --hostile --chunks 12000 --min 1 --max 1200 "
     "--foreign-sbrk 40 --mmapped 40 --unsorted 600 --free-pattern all", "", (2, 26)),
    ("no sbrk", "--no-sbrk --chunks 20000 --free-pattern random:40", "", (2, 26)),
    ("no sbrk, large", "--no-sbrk --chunks 9000 --max 100000 --free-pattern alternate", "",
     (2, 26)),
    ("THP by madvise", "--thp --chunks 10000 --max 3000 --free-pattern keep:50", "", (2, 26)),
    ("THP by tunable", "--chunks 10000 --max 3000 --threads 2 --free-pattern keep:50",
     f"{HUGETLB}=1", (2, 35)),
    ("huge pages by tunable", "--chunks 10000 --max 3000 --threads 2 --mmapped 10 "
     "--free-pattern keep:50", f"{HUGETLB}=2", (2, 35)),
    ("two arenas for six threads", "--threads 6 --chunks 3000 --free-pattern alternate "
     "--mallopt M_ARENA_MAX=2 --tcache", "", (2, 26)),
    ("low mmap threshold", "--chunks 2000 --min 1000 --max 40000 --free-pattern alternate "
     "--mallopt M_MMAP_THRESHOLD=8192", "", (2, 26)),
    ("no mmap", "--mmapped 20 --chunks 2000 --free-pattern alternate --mallopt M_MMAP_MAX=0",
     "", (2, 26)),
    ("no top pad", "--chunks 5000 --free-pattern alternate --mallopt M_TOP_PAD=0", "", (2, 26)),
    ("no fastbins", "--fast 2000 --chunks 1000 --mallopt M_MXFAST=0", "", (2, 26)),
    ("large fastbins", "--fast 2000 --chunks 3000 --max 170 --free-pattern all "
     "--mallopt M_MXFAST=160", "", (2, 26)),
    ("perturbed", "--chunks 5000 --free-pattern random:50 --fast 500 --mallopt M_PERTURB=165",
     "", (2, 26)),
    ("no tcache", "--chunks 5000 --free-pattern random:50 --tcache --threads 1",
     "glibc.malloc.tcache_count=0", (2, 26)),
    ("deep tcache", "--chunks 3000 --free-pattern all --tcache --threads 1",
     "glibc.malloc.tcache_count=100", (2, 26)),
    ("large tcache", "--large-tcache --tcache --chunks 1000 --free-pattern alternate --threads 1",
     "glibc.malloc.tcache_max=4194304", (2, 42)),
]


def check_mallinfo(tap, reading, info):
    got = reading.row.get("mallinfo2", {})
    for field, want in info.items():
        tap.equal(got.get(field), want, f"mallinfo2.{field}")


def bins_of(arena):
    """An arena's bins in the form of MallocInfo."""
    bins = arena.get("bins") or {}
    keys = ("from", "to", "total", "count")

    def plain(size):
        return {key: size[key] for key in keys}

    unsorted = bins.get("unsorted")
    return {
        "fastbins": [plain(size) for size in bins.get("fast", [])],
        "sorted": [plain(size) for size in bins.get("sorted", [])],
        "unsorted": plain(unsorted) if unsorted else None,
    }


def wanted_bins(heap):
    def plain(size):
        return {key: value for key, value in size.items() if key != "fast"}

    return {
        "fastbins": [plain(size) for size in heap["fastbins"]],
        "sorted": [plain(size) for size in heap["sorted"]],
        "unsorted": plain(heap["unsorted"]) if heap["unsorted"] else None,
    }


def check_malloc_info(tap, reading, said):
    arenas = reading.arenas
    if not tap.equal(len(arenas), len(said.heaps), "number of arenas"):
        return

    def column(name, *figures):
        got = [tuple(arena.get(figure) for figure in figures) for arena in arenas]
        tap.equal(got, [heap[name] for heap in said.heaps], f"malloc_info: {name}")

    column("fast", "fast_chunks", "fast_bytes")
    tap.equal(
        [arena["system_bytes"] for arena in arenas],
        [heap["system"] for heap in said.heaps],
        "malloc_info: system",
    )
    # 'rest' counts the top as one chunk, and no fastbin chunk.
    tap.equal(
        [
            (a["free_chunks"] - a["fast_chunks"] + 1, a["free_bytes"] - a["fast_bytes"])
            for a in arenas
        ],
        [heap["rest"] for heap in said.heaps],
        "malloc_info: rest",
    )
    tap.equal(
        [arena["top_bytes"] for arena in arenas],
        [heap["top"] for heap in said.heaps],
        "malloc_info: top",
    )
    wrong = [(index, bins_of(arena), wanted_bins(heap))
             for index, (arena, heap) in enumerate(zip(arenas, said.heaps))
             if bins_of(arena) != wanted_bins(heap)]
    tap.equal(wrong[:1], [], "malloc_info: bins of every arena")
    row = reading.row
    tap.equal((row["mmapped_chunks"], row["mmapped_bytes"]), said.mmap, "malloc_info: mmap")


SUMS = (
    "system_bytes", "live_bytes", "free_bytes", "free_chunks", "top_bytes", "fast_chunks",
    "fast_bytes", "tcache_chunks", "tcache_bytes", "free_resident_bytes", "trimmable_bytes",
    "pinned_bytes", "retained_bytes", "attached_threads",
)


def check_identities(tap, reading, said):
    row, arenas = reading.row, reading.arenas
    harness.check_parts(tap, row)
    wrong = []
    for figure in SUMS:
        parts = [arena.get(figure) for arena in arenas]
        if None in parts or sum(parts) != row.get(figure):
            wrong.append((figure, parts, row.get(figure)))
    tap.equal(wrong[:1], [], "sums over the arenas")
    info = row["mallinfo2"]
    tap.equal(
        (row["system_bytes"], row["free_bytes"], row["live_bytes"] + row["tcache_bytes"]),
        (info["arena"], info["fordblks"], info["uordblks"]),
        "bytes agree with mallinfo2",
    )
    holes = [0]
    for heap in said.heaps:
        holes += [size["to"] for size in heap["sorted"] + heap["fastbins"]]
        holes += [heap["unsorted"]["to"]] if heap["unsorted"] else []
    largest = max(holes + [heap["top"] for heap in said.heaps])
    tap.equal(
        (row["largest_hole_bytes"], row["largest_free_bytes"]),
        (max(holes), largest),
        "largest hole and largest free chunk",
    )
    frag = 1 - largest / row["free_bytes"] if row["free_bytes"] else 0
    tap.within(row["frag"], frag - 0.0001, frag + 0.0001, "frag")


def check_kernel(tap, target):
    """Residency against the kernel's exact sums over the page tables."""
    reading, rss, heap = harness.undisturbed(
        lambda: (harness.stat(target.pid), target.rollup("Rss"), target.mapped("[heap]")),
        lambda found: found[0].row["rss_bytes"] == found[1],
    )
    row = reading.row
    tap.equal(row["rss_bytes"], rss, "rss_bytes is the kernel's Rss")
    tap.ok(
        row["live_resident_bytes"] <= row["live_bytes"] + row["tcache_bytes"]
        and row["free_resident_bytes"] <= row["free_bytes"]
        and row["mmapped_resident_bytes"] <= row["mmapped_bytes"] + harness.PAGE,
        "no part has more resident bytes than bytes",
        row,
    )
    # Where malloc alone has used brk, the kernel's row of the heap is the residency.
    if row["system_bytes"] == target.mapped("[heap]", "Size") and not row["foreign_bytes"]:
        parts = ("live_resident_bytes", "free_resident_bytes", "allocator_resident_bytes")
        tap.equal(
            sum(row[part] for part in parts),
            heap,
            "resident parts of the heap add up to the kernel's row",
        )


def check_scenario(tap, target, libc):
    info = target.info()
    said = target.xml()
    reading = harness.stat(target.pid)
    row = reading.row
    if not tap.equal(row["status"], "complete", "status", row.get("missing")):
        return
    if libc:
        tap.equal(row["allocator"], f"glibc-{libc.version}", "allocator")
    check_mallinfo(tap, reading, info)
    check_malloc_info(tap, reading, said)
    check_identities(tap, reading, said)
    check_kernel(tap, target)
    tap.equal(target.info(), info, "the target says the same afterwards")


def run_scenario(tap, name, args, libc, tunables="", variant=None):
    with tap.section(name):
        env = {"GLIBC_TUNABLES": tunables} if tunables else {}
        with Oracle(args, libc, variant, env) as target:
            check_scenario(tap, target, libc if not (variant or "").startswith("static") else None)


def run_libc(tap, name):
    with tap.section(f"libc {name}"):
        libc = Libc(name)
        for title, args in THREADED:
            for workers, threads in ((0, "1 thread"), (7, "8 threads")):
                run_scenario(
                    tap, f"{name}, {title}, {threads}", f"{args} --threads {workers}", libc
                )
        for title, args, tunables, oldest in SINGLE:
            if libc.number >= oldest:
                run_scenario(tap, f"{name}, {title}", args, libc, tunables)


def check_tcache(tap, name):
    """The tcache is in no report of the libc: its entries are counted by what was freed."""
    with tap.section(f"{name}, tcache counted"):
        libc = Libc(name)
        deep = 16 if libc.number >= (2, 43) else 7
        entries = [(c * 16 + 16, min(deep, c % 16 + 1)) for c in range(1, 64)]
        chunks = sum(count for _, count in entries)
        total = sum(size * count for size, count in entries)
        with Oracle("--tcache", libc) as target:
            row = harness.stat(target.pid).row
        tap.equal((row["tcache_chunks"], row["tcache_bytes"]), (chunks, total), "1 thread")
        # Making a thread takes chunks from the main thread's: it is left out.
        with Oracle("--threads 3 --tcache", libc) as target:
            arenas = harness.stat(target.pid).arenas[1:]
        got = [(arena["tcache_chunks"], arena["tcache_bytes"]) for arena in arenas]
        tap.equal(got, [(chunks, total)] * 3, "3 more threads")


# Memory of every kind that is not malloc's: part of it only read, part of it written.
KINDS = """
import mmap, os, sys, tempfile
M = 1 << 20
private, shared = mmap.MAP_PRIVATE, mmap.MAP_SHARED
anonymous = mmap.MAP_ANONYMOUS
def use(area, written, read):
    for at in range(0, written, 4096):
        area[at] = 1
    return sum(area[at] for at in range(written, written + read, 4096))
held = [mmap.mmap(-1, 8 * M, flags=private | anonymous),
        mmap.mmap(-1, 8 * M, flags=shared | anonymous)]
for area in held:
    use(area, 2 * M, 3 * M)
huge = mmap.mmap(-1, 16 * M, flags=private | anonymous)
huge.madvise(mmap.MADV_HUGEPAGE)
use(huge, 4 * M, 8 * M)
with tempfile.TemporaryFile() as file:
    file.truncate(4 * M)
    for flags in (private, shared):
        held.append(mmap.mmap(file.fileno(), 4 * M, flags=flags))
        use(held[-1], M, M)
memory = os.memfd_create("truth")
os.ftruncate(memory, 4 * M)
held.append(mmap.mmap(memory, 4 * M, flags=shared))
use(held[-1], M, M)
zero = os.open("/dev/zero", os.O_RDWR)
for flags in (private, shared):
    held.append(mmap.mmap(zero, 4 * M, flags=flags))
    use(held[-1], M, M)
print("ready", flush=True)
sys.stdin.read()
"""


def check_others(tap):
    """What is not malloc's is measured by itself, and with malloc's parts makes up RSS."""
    command = [harness.need("python3"), "-c", KINDS]
    with harness.Target(command) as target:
        tap.equal(target.line(), "ready", "the program runs")
        row, rss = harness.undisturbed(
            lambda: (harness.stat(target.pid).row, target.rollup("Rss")),
            lambda found: found[0].get("skew_bytes") == 0,
        )
        tap.equal(row["status"], "complete", "status", row)
        tap.equal(row["rss_bytes"], rss, "rss_bytes is the kernel's Rss")
        tap.equal(row["skew_bytes"], 0, "no skew", row)
        harness.check_parts(tap, row)
        tap.ok(row["other_resident_bytes"] > 12 << 20, "most of it is not malloc's", row)


def check_two_libcs(tap, name):
    """A second libc in the same process, loaded by dlmopen: both heaps are counted."""
    with tap.section(f"{name}, two libcs"), Oracle(
        "--chunks 3000 --threads 1 --free-pattern alternate --dlmopen", Libc(name)
    ) as target:
        one, two = target.info(), target.info("info2")
        heaps = target.xml().heaps + target.xml("xml2").heaps
        reading = harness.stat(target.pid)
        row = reading.row
        tap.equal(row["status"], "complete", "status", row.get("missing"))
        check_mallinfo(tap, reading, {field: one[field] + two[field] for field in one})
        tap.equal(
            sorted(arena["system_bytes"] for arena in reading.arenas),
            sorted(heap["system"] for heap in heaps),
            "the arenas of both",
        )
        harness.check_parts(tap, row)


def main():
    tap = Tap()
    with tap.section("what is not malloc's"):
        check_others(tap)
    for name in ("host", *harness.OTHER_LIBCS):
        run_libc(tap, name)
        check_tcache(tap, name)
        check_two_libcs(tap, name)
    for variant in ("static", "static-pie", "stripped", "static-stripped"):
        for title, args in THREADED[:1] + THREADED[4:7]:
            for workers in (0, 7):
                run_scenario(
                    tap,
                    f"{variant}, {title}, {workers + 1} threads",
                    f"{args} --threads {workers}",
                    Libc("host"),
                    variant=variant,
                )
    tap.done()


if __name__ == "__main__":
    main()
