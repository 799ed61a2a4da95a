"""An allocation that fails is told once, with the limit that it met: the failures seen are
the NULLs that the program got, however many come at once."""

import pathlib
import resource

import harness
import tracing
from harness import Libc, Skip, Tap
from tracing import ALL, Grower, Trace

AS, DATA = resource.RLIMIT_AS, resource.RLIMIT_DATA
NONE = resource.RLIM_INFINITY


def ended(tap, trace, target):
    tap.equal(trace.stop(), 0, "exit status", trace.said)
    return trace.events, trace.totals(target.pid)


def check_causes(tap, failures, kind, limit=None, used=None):
    """Each failure's cause, with figures that show it."""
    causes = [event["cause"] for event in failures]
    tap.equal({cause["kind"] for cause in causes}, {kind}, "cause", causes[:1])
    hollow = [c for c in causes if not c["used"] + c["asked"] > c["limit"]]
    tap.equal(hollow, [], "used and asked are above the limit")
    if limit is not None:
        tap.equal({cause["limit"] for cause in causes}, {limit}, "the limit")
    if used is not None:
        tap.equal({cause["used"] for cause in causes}, {used}, "what was used")


def check_failures(tap, events, totals, want):
    failures = tracing.of_kind(events, "failure")
    tap.equal(totals.failures, want.nulls, "failures are the NULLs that the program got")
    tap.equal(totals.told + totals.limited + totals.lost, totals.seen, "none is forgotten")
    tap.equal(totals.told, len(events), "told")
    return failures


def run_hundreds(tap):
    """More than may be told: told are as many as the rate allows, all are counted."""
    with Grower() as target, Trace(target) as trace:
        limit = target.limit(AS, 1 << 20)
        want = target.orders(["malloc 300 50000", "rush malloc 300 60000", "malloc 50 300000"])
        used = target.status("VmSize")
        events, totals = ended(tap, trace, target)
        tap.within(want.nulls, 600, 650, "NULLs")
        failures = check_failures(tap, events, totals, want)
        tap.equal(totals.growths, sum(pair[0] for pair in want.growths().values()), "growths")
        tap.within(len(failures), 20, 200, "failures told")
        tap.ok(totals.limited > 400, "the others are over the rate", totals.limited)
        check_causes(tap, failures, "rlimit_as", limit, used)
        tracing.check_stacks(tap, failures, "main", "by_malloc", "malloc", "mmap")


def run_ways(tap, libc):
    """One failure a NULL, whatever was called, below and above the mmap threshold."""
    host = libc.name == "host"
    with Grower(libc) as target:
        target.order("stock 60")
        target.limit(AS, 300000)
        target.order("rush malloc 100 30000")
        for how in ("malloc", "calloc", "memalign", "realloc") if host else ("malloc",):
            for size in (50000, 500000, 50000000):
                with tap.section(f"{tap.group}, {how} {size}"), Trace(target, *ALL) as trace:
                    want = target.order(f"rush {how} 20 {size}")
                    events, totals = ended(tap, trace, target)
                    tap.equal(want.nulls, 20, "all fail")
                    failures = check_failures(tap, events, totals, want)
                    tracing.check_stacks(tap, failures, "main", f"by_{how}")
                    if how in ("malloc", "calloc"):
                        tracing.check_requests(tap, failures, size, ("failure",))


def run_limits(tap):
    for name, which, field in (("rlimit_as", AS, "VmSize"), ("rlimit_data", DATA, "VmData")):
        with tap.section(name), Grower() as target, Trace(target, *ALL) as trace:
            limit = target.limit(which, 500000)
            want = target.orders(["malloc 40 50000", "malloc 10 900000"])
            used = target.status(field)
            target.limit(which, None)
            want += target.order("malloc 10 50000")
            events, totals = ended(tap, trace, target)
            tap.within(want.nulls, 10, 50, "NULLs while the limit was low")
            failures = check_failures(tap, events, totals, want)
            tap.equal(len(failures), want.nulls, "all are told")
            check_causes(tap, failures, name, limit, used)
            tracing.check_stacks(tap, failures, "main", "by_malloc", "malloc")
            tap.equal(tracing.counted(events), want.growths(), "growths beside them")


def run_huge(tap):
    """No limit of the process, but more than the machine has, or than there are addresses."""
    mode = pathlib.Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip()
    for name, size in (("overcommit", 1 << 44), ("absurd", 1 << 47), ("absurd", 1 << 60)):
        with tap.section(f"{name}, 2^{size.bit_length() - 1} bytes"):
            if name == "overcommit" and mode != "0":
                raise Skip(f"vm.overcommit_memory is {mode}")
            with Grower() as target, Trace(target, *ALL) as trace:
                want = target.order(f"malloc 5 {size}")
                events, totals = ended(tap, trace, target)
                tap.equal(want.nulls, 5, "NULLs")
                failures = check_failures(tap, events, totals, want)
                tap.equal(len(failures), 5, "all are told")
                check_causes(tap, failures, name)
                tracing.check_stacks(tap, failures, "main", "by_malloc", "malloc", "mmap")


def run_map_count(tap):
    """The program itself has made as many mappings as it may."""
    most = int(pathlib.Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    if most > 1 << 17:
        raise Skip(f"vm.max_map_count is {most}: it takes too many mappings to reach")
    with Grower() as target:
        target.order(f"maps {most + 100}")
        with Trace(target, *ALL, "--reading", 0) as trace:
            want = target.orders(["malloc 20 300000", "malloc 20 50000"])
            target.order("maps 0")
            want += target.order("malloc 5 300000")
            events, totals = ended(tap, trace, target)
            tap.within(want.nulls, 20, 40, "NULLs")
            failures = check_failures(tap, events, totals, want)
            check_causes(tap, failures, "max_map_count", most)


def run_only(tap):
    """--failures tells nothing else, and counts everything."""
    with Grower() as target, Trace(target, "--failures") as trace:
        want = target.order("malloc 20 50000")
        target.limit(AS, 100000)
        want += target.order("malloc 15 300000")
        events, totals = ended(tap, trace, target)
        tap.equal({event["kind"] for event in events}, {"failure"}, "kinds")
        tap.equal(len(events), want.nulls, "failures told")
        tap.equal(totals.failures, want.nulls, "failures")
        tap.equal(totals.growths, want.of("brk")[0], "growths are counted")


def run_no_failure(tap):
    """What the program itself is refused, or malloc gets another way, is no failure."""
    with Grower() as target, Trace(target, *ALL) as trace:
        target.order("block")
        target.limit(AS, 30 << 20)
        own = target.order("own mmap 5 90000000")
        own += target.order("own sbrk 5 90000000")
        want = target.order("malloc 2 300000")
        own += target.order("own sbrk 1 90000000")
        want += target.order("malloc 20 50000")
        own += target.order("own sbrk 1 4096")
        failed = target.order("malloc 3 90000000")
        events, totals = ended(tap, trace, target)
        tap.equal((own.nulls, want.nulls, failed.nulls), (12, 0, 3), "NULLs")
        tap.equal(totals.failures, 3, "failures are malloc's", events)
        tap.equal(tracing.counted(events), want.growths(), "growths")


# ---- with threads ----------------------------------------------------------------------


def run_threads(tap, which, libc):
    """Threads that have arenas: malloc tries theirs, then the main one, and fails once."""
    with Grower(libc) as target:
        target.orders(["threads 4", "turns malloc 2 1000"])
        with Trace(target, "--rate", 1000) as trace:
            target.limit(which, 400000)
            # Larger than what is left of any heap.
            want = target.orders(["race malloc 60 67108000", "race calloc 20 67108000",
                                  "race memalign 20 67108000"])
            events, totals = ended(tap, trace, target)
            tap.equal(want.nulls, 400, "all fail")
            failures = check_failures(tap, events, totals, want)
            tracing.check_stacks(tap, failures, outermost=("worker_main",))
            tap.equal(len({event["tid"] for event in failures}), 4, "in every thread")


def run_small(tap, libc):
    """With RLIMIT_DATA heaps cannot grow, so small requests fail in threads, too."""
    with Grower(libc) as target:
        target.orders(["threads 4", "turns malloc 2 1000"])
        target.limit(DATA, 0)
        target.orders(["race malloc 40 20000", "race malloc 10 2000"])
        with Trace(target, "--rate", 1000) as trace:
            want = target.orders(["race malloc 60 60000", "race calloc 20 50000"])
            events, totals = ended(tap, trace, target)
            tap.equal(want.nulls, 320, "all fail")
            check_failures(tap, events, totals, want)


def run_no_arena(tap, libc):
    """Threads that come too late for an arena, and for malloc's cache."""
    for name, which in (("rlimit_as", AS), ("rlimit_data", DATA)):
        for size in (500, 50000, 500000, 70000000) if libc.name == "host" else (5000,):
            with tap.section(f"{tap.group}, {name}, {size}"), Grower(libc) as target:
                target.order("threads 4")
                target.limit(which, 0)
                with Trace(target, "--rate", 1000) as trace:
                    want = target.order(f"race malloc 40 {size}")
                    events, totals = ended(tap, trace, target)
                    tap.equal(want.nulls, 160, "all fail")
                    failures = check_failures(tap, events, totals, want)
                    check_causes(tap, failures, name)
                    tracing.check_stacks(tap, failures, outermost=("worker_main",))


def run_main_thread(tap, arenas, libc):
    """The main thread beside others: malloc goes on to a second arena when the main one has
    nothing, or to the main one once more."""
    env = {"MALLOC_ARENA_MAX": str(arenas)} if arenas else None
    for how in ("malloc", "calloc", "memalign") if libc.name == "host" else ("malloc",):
        for size in (60000, 67000000):
            with tap.section(f"{tap.group}, {how} {size}"), Grower(libc, env=env) as target:
                target.orders(["threads 4", "turns malloc 2 1000"])
                target.limit(DATA, 0)
                target.orders(["rush malloc 40 20000", "race malloc 40 20000"])
                with Trace(target, "--rate", 1000) as trace:
                    want = target.order(f"rush {how} 100 {size}")
                    events, totals = ended(tap, trace, target)
                    tap.equal(want.nulls, 100, "all fail")
                    check_failures(tap, events, totals, want)


CASES = [
    ("hundreds", run_hundreds),
    ("limits", run_limits),
    ("huge", run_huge),
    ("number of mappings", run_map_count),
    ("--failures", run_only),
    ("no failure", run_no_failure),
]

# Of each libc.
THREADED = [
    ("ways to ask", run_ways),
    ("threads, RLIMIT_AS", lambda tap, libc: run_threads(tap, AS, libc)),
    ("threads, RLIMIT_DATA", lambda tap, libc: run_threads(tap, DATA, libc)),
    ("threads, small requests", run_small),
    ("threads without arenas", run_no_arena),
    ("main thread beside others", lambda tap, libc: run_main_thread(tap, 0, libc)),
    ("one arena for all", lambda tap, libc: run_main_thread(tap, 1, libc)),
]


def main():
    tap = Tap()
    with tap.section("probes"):
        tracing.need_probes()
        for name, run in CASES:
            with tap.section(name):
                run(tap)
        for version in ("host", *harness.OTHER_LIBCS):
            for name, run in THREADED:
                with tap.section(f"libc {version}, {name}"):
                    run(tap, Libc(version))
    tap.done()


if __name__ == "__main__":
    main()
