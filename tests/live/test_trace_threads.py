"""One failure a call that returns NULL, of every libc, whatever was called and however often
malloc tried: in its own arena, in another, or without one."""

import resource

import harness
import tracing
from harness import Libc, Tap
from tracing import ALL, Grower, Trace

AS, DATA = resource.RLIMIT_AS, resource.RLIMIT_DATA


def run_ways(tap, libc):
    """One failure a NULL, whatever was called, below and above the mmap threshold."""
    hows = ("malloc", "calloc", "memalign", "realloc")
    with Grower(libc) as target:
        target.order("stock 60")
        target.limit(AS, 300000)
        target.order("rush malloc 100 30000")
        for how in hows if libc.name == "host" else ("malloc",):
            for size in (50000, 500000, 50000000):
                with tap.section(f"{tap.group}, {how} {size}"), Trace(target, *ALL) as trace:
                    want = target.order(f"rush {how} 20 {size}")
                    events, totals = tracing.ended(tap, trace, target)
                    tap.equal(want.nulls, 20, "all fail")
                    failures = tracing.check_failures(tap, events, totals, want)
                    tracing.check_stacks(tap, failures, "main", f"by_{how}")
                    if how in ("malloc", "calloc"):
                        tracing.check_requests(tap, failures, size, ("failure",))


def run_threads(tap, which, libc):
    """Threads that have arenas: malloc tries theirs, then the main one, and fails once."""
    with Grower(libc) as target:
        target.orders(["threads 4", "turns malloc 2 1000"])
        with Trace(target, *ALL) as trace:
            target.limit(which, 400000)
            # Larger than what is left of any heap.
            want = target.orders(["race malloc 60 67108000", "race calloc 20 67108000",
                                  "race memalign 20 67108000"])
            events, totals = tracing.ended(tap, trace, target)
            tap.equal(want.nulls, 400, "all fail")
            failures = tracing.check_failures(tap, events, totals, want)
            tracing.check_stacks(tap, failures, outermost=("worker_main",))
            tap.equal(len({event["tid"] for event in failures}), 4, "in every thread")


def run_small(tap, libc):
    """With RLIMIT_DATA heaps cannot grow, so small requests fail in threads, too."""
    with Grower(libc) as target:
        target.orders(["threads 4", "turns malloc 2 1000"])
        target.limit(DATA, 0)
        target.orders(["race malloc 40 20000", "race malloc 10 2000"])
        with Trace(target, *ALL) as trace:
            want = target.orders(["race malloc 60 60000", "race calloc 20 50000"])
            events, totals = tracing.ended(tap, trace, target)
            tap.equal(want.nulls, 320, "all fail")
            tracing.check_failures(tap, events, totals, want)


def run_no_arena(tap, libc):
    """Threads that come too late for an arena, and for malloc's cache."""
    for name, which in (("rlimit_as", AS), ("rlimit_data", DATA)):
        for size in (500, 50000, 500000, 70000000) if libc.name == "host" else (5000,):
            with tap.section(f"{tap.group}, {name}, {size}"), Grower(libc) as target:
                target.order("threads 4")
                target.limit(which, 0)
                with Trace(target, *ALL) as trace:
                    want = target.order(f"race malloc 40 {size}")
                    events, totals = tracing.ended(tap, trace, target)
                    tap.equal(want.nulls, 160, "all fail")
                    failures = tracing.check_failures(tap, events, totals, want)
                    tracing.check_causes(tap, failures, name)
                    tracing.check_stacks(tap, failures, outermost=("worker_main",))


def run_main_thread(tap, arenas, libc):
    """The main thread beside others: malloc goes on to a second arena when the main one has
    nothing, or to the main one once more."""
    env = {"MALLOC_ARENA_MAX": str(arenas)} if arenas else None
    hows = ["malloc", "realloc"]
    if libc.name == "host":
        hows += ["calloc", "memalign"]
    # There realloc's own attempt and malloc's two are at one depth of the stack.
    if arenas == 1 and libc.number >= (2, 42):
        hows.remove("realloc")
    for how in hows:
        for size in (60000, 67000000):
            with tap.section(f"{tap.group}, {how} {size}"), Grower(libc, env=env) as target:
                target.orders(["threads 4", "turns malloc 2 1000", "stock 100"])
                target.limit(DATA, 0)
                target.orders(["rush malloc 40 20000", "race malloc 40 20000"])
                with Trace(target, *ALL) as trace:
                    want = target.order(f"rush {how} 100 {size}")
                    events, totals = tracing.ended(tap, trace, target)
                    tap.equal(want.nulls, 100, "all fail")
                    tracing.check_failures(tap, events, totals, want)


CASES = [
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
        for version in ("host", *harness.OTHER_LIBCS):
            for name, run in CASES:
                with tap.section(f"libc {version}, {name}"):
                    run(tap, Libc(version))
    tap.done()


if __name__ == "__main__":
    main()
