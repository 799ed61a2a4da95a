"""An allocation that fails is told once, with the limit that it met: the failures seen are
the NULLs that the program got, however many come at once."""

import pathlib
import resource

import tracing
from harness import Skip, Tap
from tracing import ALL, Grower, Trace

AS, DATA = resource.RLIMIT_AS, resource.RLIMIT_DATA


def run_hundreds(tap):
    """More than may be told: told are as many as the rate allows, all are counted."""
    with Grower() as target, Trace(target) as trace:
        limit = target.limit(AS, 1 << 20)
        want = target.orders(["malloc 300 50000", "rush malloc 300 60000", "malloc 50 300000"])
        used = target.status("VmSize")
        events, totals = tracing.ended(tap, trace, target)
        tap.within(want.nulls, 600, 650, "NULLs")
        failures = tracing.check_failures(tap, events, totals, want)
        tap.equal(totals.growths, sum(pair[0] for pair in want.growths().values()), "growths")
        tap.within(len(failures), 20, 200, "failures told")
        tap.ok(totals.limited > 400, "the others are over the rate", totals.limited)
        tracing.check_causes(tap, failures, "rlimit_as", limit, used)
        tracing.check_stacks(tap, failures, "main", "by_malloc", "malloc", "mmap")


def run_limits(tap):
    for name, which, field in (("rlimit_as", AS, "VmSize"), ("rlimit_data", DATA, "VmData")):
        with tap.section(name), Grower() as target, Trace(target, *ALL) as trace:
            limit = target.limit(which, 500000)
            want = target.orders(["malloc 40 50000", "malloc 10 900000"])
            used = target.status(field)
            target.limit(which, None)
            want += target.order("malloc 10 50000")
            events, totals = tracing.ended(tap, trace, target)
            tap.within(want.nulls, 10, 50, "NULLs while the limit was low")
            failures = tracing.check_failures(tap, events, totals, want)
            tap.equal(len(failures), want.nulls, "all are told")
            tracing.check_causes(tap, failures, name, limit, used)
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
                events, totals = tracing.ended(tap, trace, target)
                tap.equal(want.nulls, 5, "NULLs")
                failures = tracing.check_failures(tap, events, totals, want)
                tap.equal(len(failures), 5, "all are told")
                tracing.check_causes(tap, failures, name)
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
            events, totals = tracing.ended(tap, trace, target)
            tap.within(want.nulls, 20, 40, "NULLs")
            failures = tracing.check_failures(tap, events, totals, want)
            tracing.check_causes(tap, failures, "max_map_count", most)


def run_only(tap):
    """--failures tells nothing else, and counts everything."""
    with Grower() as target, Trace(target, "--failures") as trace:
        want = target.order("malloc 20 50000")
        target.limit(AS, 100000)
        want += target.order("malloc 15 300000")
        events, totals = tracing.ended(tap, trace, target)
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
        events, totals = tracing.ended(tap, trace, target)
        tap.equal((own.nulls, want.nulls, failed.nulls), (12, 0, 3), "NULLs")
        tap.equal(totals.failures, 3, "failures are malloc's", events)
        tap.equal(tracing.counted(events), want.growths(), "growths")


CASES = [
    ("hundreds", run_hundreds),
    ("limits", run_limits),
    ("huge", run_huge),
    ("number of mappings", run_map_count),
    ("--failures", run_only),
    ("no failure", run_no_failure),
]


def main():
    tap = Tap()
    with tap.section("probes"):
        tracing.need_probes()
        for name, run in CASES:
            with tap.section(name):
                run(tap)
    tap.done()


if __name__ == "__main__":
    main()
