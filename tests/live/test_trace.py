"""What grows a heap is told, each time and once, with its bytes, its request and its stack:
programs that count what malloc took agree with the events to the byte."""

import harness
import tracing
from harness import Libc, Tap
from tracing import ALL, Grower, Tally, Trace

FREED = 3600000


def traced(tap, target, orders, *args):
    """The events of ORDERS, and what the program counted."""
    with Trace(target, *ALL, *args) as trace:
        want = target.orders(orders)
        tap.equal(trace.stop(), 0, "exit status", trace.said)
        tracing.check_growth(tap, trace, target, want)
        return trace.events, want


def run_brk(tap):
    with Grower() as target:
        start = target.order("malloc 1 100").brk_at
        events, want = traced(tap, target, ["malloc 100 50000"])
        tap.within(len(events), 30, 100, "growths")
        grown = sum(event["bytes"] for event in events)
        tap.equal(grown, want.brk_at - start, "the bytes are the program break's way")
        tracing.check_stacks(tap, events, "main", "serve", "grow", "by_malloc", "malloc", "brk")
        told = tracing.check_requests(tap, events, 50000)
        tap.equal(len(told), len(events), "every growth has its request")
        if tracing.has_debug_info():
            how = {event["request"]["how"] for event in told}
            tap.equal(how, {"exact"}, "libc's debug information is installed")
        tops = [event["arena"]["top_bytes"] for event in events]
        tap.ok(all(0 < top < 50032 for top in tops), "no top had room", tops)
        system = [event["arena"]["system_bytes"] for event in events]
        steps = [event["bytes"] for event in events]
        tap.equal([b - a for a, b in zip(system, system[1:])], steps[:-1],
                  "the arena's size before each growth")
        ids = {(event["pid"], event["tid"], event["comm"]) for event in events}
        tap.equal(ids, {(target.pid, target.pid, "grower-dynamic")}, "process, thread and name")
        times = [event["time"] for event in events]
        tap.equal(times, sorted(times), "in the order of time")


def run_late(tap):
    """A program that has not called malloc yet: its heap is waited for."""
    with harness.Target([harness.program("late")]) as target:
        target.line()
        with Trace(target, *ALL, "--reading", "50ms") as trace:
            tap.ok("waiting for its heap" in trace.said, "so it says", trace.said)
            tap.equal(trace.events, [], "nothing yet")
            target.say("m")
            target.line()
            harness.until(lambda: trace.events, "growth")
            tracing.check_stacks(tap, trace.events, "main", "fill_heap", "malloc")

            def has_reading():
                target.say("m")
                target.line()
                return any("last_reading" in event for event in trace.events)

            harness.until(has_reading, "an event with a reading")
            tap.equal(trace.stop(), 0, "exit status", trace.said)


def run_ways(tap):
    """Through calloc, memalign and realloc."""
    for how in ("calloc", "memalign", "realloc"):
        with tap.section(how), Grower() as target:
            target.order("stock 40")
            events, _ = traced(tap, target, [f"{how} 40 30000"])
            tap.ok(events, "growths")
            tracing.check_stacks(tap, events, "main", f"by_{how}")


def run_largest(tap):
    """The largest chunk in the bins, as the program left it."""
    with Grower() as target:
        # Kept chunks of 100 bytes part the freed ones, which are too large for tcache.
        target.orders(["malloc 1 90000", "malloc 1 100", "rotate 2", "free"])
        target.order("malloc 1 95000")
        events, _ = traced(tap, target, ["malloc 4 100000"])
        largest = {event["arena"].get("largest_binned_bytes") for event in events}
        tap.equal(largest, {tracing.chunk_bytes(90000)}, "the largest chunk in the bins")


def run_arenas(tap):
    """Secondary arenas: each thread in turn, so that each growth is somebody's."""
    with Grower() as target:
        target.order("threads 8")
        events, want = traced(tap, target, ["turns malloc 30 5000"])
        tap.equal(want.of("new_heap")[0], 8, "an arena a thread")
        tap.within(want.of("mprotect")[0], 8, 300, "heaps that grew")
        tracing.check_stacks(tap, events, "worker_main", "malloc", outermost=("worker_main",))
        tracing.check_requests(tap, events, 5000, ("mprotect",))
        tasks = {int(task.name) for task in target.tasks()} - {target.pid}
        tap.equal({event["tid"] for event in events}, tasks, "every thread is told")


def run_heaps(tap):
    """Heaps that fill up: 64 MB each, so an arena gets another."""
    with Grower() as target:
        target.orders(["threads 2", "turns malloc 1 100"])
        # Above the threshold, but no more mappings may be made.
        target.order("mapped 0")
        events, want = traced(tap, target, ["turns malloc 20 9000000"])
        tap.within(want.of("new_heap")[0], 2, 20, "new heaps")
        tracing.check_stacks(tap, events, "worker_main", "malloc", outermost=("worker_main",))
        tracing.check_requests(tap, events, 9000000, ("mprotect",))


def run_race(tap):
    """All at once: the sums are those of malloc's own figures."""
    with Grower() as target:
        target.orders(["threads 8", "turns malloc 1 100"])
        before = target.order("figures")
        with Trace(target, "--rate", 1000) as trace:
            target.orders(["race malloc 30 20000", "rush malloc 30 20000"])
            after = target.order("figures")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            events, totals = trace.events, trace.totals(target.pid)
        tracing.check_totals(tap, totals, events)
        of = tracing.counted(events)
        tap.equal(of["brk"][1], after.brk_at - before.brk_at, "brk's bytes")
        secondary = of["new_heap"][1] + of["mprotect"][1]
        tap.equal(of["brk"][1] + secondary, after.arena - before.arena, "all arenas' bytes")
        tap.ok(of["mprotect"][0] > 100, "growth in many threads at once", of)
        tracing.check_stacks(tap, events, "malloc", outermost=("main", "worker_main"))


def run_mapped(tap):
    with Grower() as target:
        events, want = traced(tap, target, ["malloc 5 300000", "resize 900000", "resize 2000000"])
        tap.equal(want.of("mmap")[0], 5, "mapped chunks")
        tap.equal(want.of("mremap")[0], 2, "chunks that grew in place")
        maps = tracing.of_kind(events, "mmap")
        tracing.check_stacks(tap, maps, "main", "by_malloc", "malloc", "mmap")
        tracing.check_requests(tap, maps, 300000)
        moved = tracing.of_kind(events, "mremap")
        tracing.check_stacks(tap, moved, "main", "by_resize", "realloc", "mremap")
        for event, size in zip(moved, (900000, 2000000)):
            tracing.check_requests(tap, [event], size, ("mremap",))


def run_own(tap):
    """What the program does by itself is not malloc's, and does not pass for it."""
    with Grower() as target:
        orders = ["own mmap 5 300000", "own mremap 5 8192", "own mprotect 5 4096"]
        events, _ = traced(tap, target, orders)
        tap.equal(events, [], "no event")
        events, want = traced(tap, target, ["own sbrk 3 8192"])
        tap.equal(want.of("foreign"), (3, 3 * 8192), "its own sbrk is told")
        tracing.check_stacks(tap, events, "main", "own_sbrk")
        tap.ok(not any("request" in event for event in events), "and has no request", events)


def run_foreign_brk(tap):
    """After a foreign sbrk malloc asks twice: once for the request, once to align."""
    with Grower() as target:
        target.order("own sbrk 1 1000")
        start = target.order("figures").brk_at
        with Trace(target, *ALL) as trace:
            end = target.order("malloc 5 50000").brk_at
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            events, totals = trace.events, trace.totals(target.pid)
        tracing.check_totals(tap, totals, events)
        tap.equal(sum(event["bytes"] for event in events), end - start, "bytes")
        tap.ok(not any(event["not_malloc"] for event in events), "malloc asked", events)
        tracing.check_stacks(tap, events, "main", "by_malloc", "malloc")
        derived = [e for e in events if e.get("request", {}).get("how") == "derived"]
        tracing.check_requests(tap, derived, 50000)


def run_fallback(tap):
    """Something is in the break's way: the main arena goes on with mappings."""
    with Grower() as target:
        target.order("block")
        events, want = traced(tap, target, ["malloc 60 50000"])
        tap.within(want.of("fallback")[0], 2, 60, "growths by mapping")
        tap.equal(want.of("brk")[0], 0, "none by brk")
        tracing.check_stacks(tap, events, "main", "by_malloc", "malloc", "mmap")
        tracing.check_requests(tap, events, 50000, ("fallback",))


def run_threshold(tap):
    with Grower() as target:
        target.order(f"malloc 1 {FREED}")
        with Trace(target, *ALL) as trace:
            target.orders(["free", f"malloc 1 {FREED}"])
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            events, totals = trace.events, trace.totals(target.pid)
        tracing.check_totals(tap, totals, events)
        moved = tracing.of_kind(events, "threshold")
        tap.equal(len(moved), 1, "one free moved the thresholds")
        # A mapped chunk is its mapping, but for the word before it.
        chunk = (FREED + 8 + 4095 + 8) & ~4095
        want = {
            "old_mmap_bytes": 128 << 10, "new_mmap_bytes": chunk,
            "old_trim_bytes": 128 << 10, "new_trim_bytes": 2 * chunk,
        }
        tap.equal(moved[0]["thresholds"], want, "old and new")
        tracing.check_stacks(tap, moved, "main", "by_free", "free", "munmap")
        tap.equal(events[-1]["kind"], "brk", "the next such chunk comes from the heap")
        with Trace(target, *ALL) as trace:
            target.orders(["malloc 1 100000", "free"])
            trace.stop()
            tap.equal(trace.totals(target.pid).thresholds, 0, "no threshold moved since")


def run_reading(tap):
    """The last full reading goes with each event."""
    with Grower() as target:
        target.orders(["malloc 50 1000", "malloc 1 90000", "malloc 1 100", "rotate 2", "free"])
        want, clock = harness.stat(target.pid).row, harness.clock_offset()
        with Trace(target, *ALL, "--reading", "1h") as trace:
            target.order("malloc 8 50000")
            trace.stop()
            events = trace.events
        names = ("free_bytes", "free_chunks", "largest_free_bytes")
        tap.ok(events, "events")
        got = {tuple(event["last_reading"][name] for name in names) for event in events}
        tap.equal(got, {tuple(want[name] for name in names)}, "the reading is stat's")
        late = [e for e in events if e["last_reading"]["time"] > e["time"]]
        harness.need_clock(clock)
        tap.equal(late, [], "the reading was before the event")
        with Trace(target, *ALL, "--reading", 0) as trace:
            target.order("malloc 8 50000")
            trace.stop()
            tap.ok(not any("last_reading" in event for event in trace.events), "--reading 0")


def run_limited(tap):
    """Above the rate events are counted, exactly, and told no more."""
    with Grower() as target:
        with Trace(target) as trace:
            want = target.orders(["malloc 300 50000", "malloc 50 300000"])
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            events, totals = trace.events, trace.totals(target.pid)
        growths = want.growths().values()
        tap.equal(totals.growths, sum(pair[0] for pair in growths), "growths")
        tap.ok(totals.is_grown(sum(pair[1] for pair in growths)), f"bytes: {totals.grown}")
        tap.ok(totals.limited > 0, "some are over the rate")
        tap.equal(totals.told, len(events), "told")
        tap.equal(totals.told + totals.limited + totals.lost, totals.seen, "none is forgotten")


def run_two_processes(tap):
    with Grower() as one, Grower() as other, Trace([one, other], *ALL) as trace:
        want = {one: Tally(), other: Tally()}
        for i in range(6):
            for target in (one, other):
                want[target] += target.order(f"malloc {3 + i} 60000")
        want[one] += one.order("malloc 7 300000")
        tap.equal(trace.stop(), 0, "exit status", trace.said)
        for target, name in ((one, "first"), (other, "second")):
            events = [event for event in trace.events if event["pid"] == target.pid]
            with tap.section(name):
                tap.equal(tracing.counted(events), want[target].growths(), "its events")
                tracing.check_totals(tap, trace.totals(target.pid), events)


def run_two_fragscopes(tap):
    with Grower() as target, Trace(target, *ALL) as one:
        first = target.order("malloc 20 50000")
        with Trace(target, *ALL) as other:
            both = target.orders(["malloc 20 50000", "malloc 5 300000"])
            tap.equal(other.stop(), 0, "exit status", other.said)
            with tap.section("the second"):
                tracing.check_growth(tap, other, target, both)
        last = target.order("malloc 20 50000")
        tap.equal(one.stop(), 0, "exit status", one.said)
        with tap.section("the first"):
            tracing.check_growth(tap, one, target, first + both + last)


def run_libc(tap, libc):
    """No debug information: requests are derived, and functions have their public names."""
    with Grower(libc) as target:
        target.order("threads 2")
        start = target.order("malloc 1 100")
        orders = ["malloc 40 40000", "turns malloc 60 7000", "malloc 3 300000",
                  "resize 700000", "own mmap 2 300000", "own mremap 1 4096",
                  "own mprotect 2 4096"]
        events, want = traced(tap, target, orders)
        tap.ok(start and want.of("mprotect")[0] > 0, "heaps grew", want.kinds)
        tracing.check_stacks(tap, events, outermost=("main", "worker_main"))
        main = tracing.of_kind(events, "brk")
        # From 2.42 on malloc ends in a jump to a function that has no public name.
        public = ["malloc"] if libc.number < (2, 42) else []
        tracing.check_stacks(tap, main, "by_malloc", *public)
        tap.equal(len(tracing.check_requests(tap, main, 40000)), len(main), "each has a request")
        tracing.check_requests(tap, events, 7000, ("mprotect",))
        tracing.check_requests(tap, events, 300000, ("mmap",))


CASES = [
    ("brk", run_brk),
    ("no heap yet", run_late),
    ("other ways to ask", run_ways),
    ("largest chunk", run_largest),
    ("secondary arenas", run_arenas),
    ("new heaps", run_heaps),
    ("threads at once", run_race),
    ("mapped chunks", run_mapped),
    ("the program's own", run_own),
    ("after a foreign sbrk", run_foreign_brk),
    ("no brk", run_fallback),
    ("thresholds", run_threshold),
    ("last reading", run_reading),
    ("over the rate", run_limited),
    ("two processes", run_two_processes),
    ("two fragscopes", run_two_fragscopes),
]


def main():
    tap = Tap()
    with tap.section("probes"):
        tracing.need_probes()
        for name, run in CASES:
            with tap.section(name):
                run(tap)
        for name in harness.OTHER_LIBCS:
            with tap.section(f"libc {name}"):
                run_libc(tap, Libc(name))
    tap.done()


if __name__ == "__main__":
    main()
