"""Programs that malloc and free at full speed, read a hundred times a second: a row that
is called complete crosses no bound that cannot be crossed. The programs keep a log of what
they held at each instant (tests/programs/churner.c).

FRAGSCOPE_BOUNDS_S sets for how many seconds each of them is read, 4 if it is not set;
FRAGSCOPE_BOUNDS_KINDS names those that are to be read."""

import datetime
import os
import struct

import harness
from harness import Tap, Target

SECONDS = float(os.environ.get("FRAGSCOPE_BOUNDS_S", "4"))
KINDS = os.environ.get("FRAGSCOPE_BOUNDS_KINDS", "map pair churn shrink cache all").split()
# Ways to read: a name, and arguments of stat.
WAYS = (("plain", ()), ("arenas", ("--arenas", "--bins")))
# Kinds that leave a reader the time that it takes.
STILL = ("pair", "cache")
SHOWN = 3

# As fragscope(1) has it: what of a row that is complete may be of another instant.
SKEW_SHARE, SKEW_PAGES = 0.01, 8
# The largest chunk that a worker's call may be about while it is not in the log.
CALL_BYTES = {"heap": 128 << 10, "mapped": 2 << 20}
# What a program of these has beside its workers' chunks: threads' own, its log's stream.
OWN_BYTES = 256 << 10


class Book:
    """The log of a churner."""

    CELL = struct.Struct("<2Q6q")  # part, moved, and min, max, last of both kinds of chunks

    def __init__(self, path):
        self.data = path.read_bytes()
        head = struct.unpack_from("<4Q", self.data)
        self.parts, self.workers, self.part_ns, self.cached_bytes = head

    def cell(self, worker, part):
        place = 32 + (worker * self.parts + part % self.parts) * self.CELL.size
        number, moved, *held = self.CELL.unpack_from(self.data, place)
        return (moved, held) if number == part else None

    def before(self, worker, part):
        """What the worker held when it last did anything before PART."""
        for back in range(1, self.parts):
            cell = self.cell(worker, part - back)
            if cell:
                return cell[1][2], cell[1][5]
        return 0, 0

    def bounds(self, begin_ns, end_ns):
        """What was held at the least and the most from BEGIN_NS to END_NS, in the heap and
        in mappings, and how much was allocated and freed meanwhile."""
        first, last = begin_ns // self.part_ns, end_ns // self.part_ns
        sums = {"heap": [0, 0], "mapped": [0, 0]}
        volume = 0
        for worker in range(self.workers):
            heap, mapped = self.before(worker, first)
            low_high = [heap, heap, mapped, mapped]
            for part in range(first, last + 1):
                cell = self.cell(worker, part)
                if not cell:
                    continue
                moved, held = cell
                volume += moved
                low_high = [min(low_high[0], held[0]), max(low_high[1], held[1]),
                            min(low_high[2], held[3]), max(low_high[3], held[4])]
            sums["heap"][0] += low_high[0]
            sums["heap"][1] += low_high[1]
            sums["mapped"][0] += low_high[2]
            sums["mapped"][1] += low_high[3]
        return sums, volume


def share(whole):
    return max(SKEW_SHARE * whole, SKEW_PAGES * harness.PAGE)


# What must be no more than what, within one row: of the process and of an arena.
WITHIN = [
    ("free_bytes", ("system_bytes",)),
    ("live_bytes", ("system_bytes",)),
    ("tcache_bytes", ("system_bytes",)),
    ("largest_free_bytes", ("system_bytes",)),
    ("largest_free_bytes", ("free_bytes",)),
    ("largest_hole_bytes", ("largest_free_bytes",)),
    ("top_bytes", ("system_bytes",)),
    ("top_bytes", ("free_bytes",)),
    ("fast_bytes", ("free_bytes",)),
    ("foreign_bytes", ("system_bytes",)),
    ("free_resident_bytes", ("free_bytes",)),
    ("live_resident_bytes", ("live_bytes", "tcache_bytes")),
    ("mallinfo2.uordblks", ("system_bytes",)),
    ("mallinfo2.fordblks", ("system_bytes",)),
    ("mallinfo2.keepcost", ("system_bytes",)),
    ("mmapped_resident_bytes", ("rss_bytes",)),
    ("other_resident_bytes", ("rss_bytes",)),
    ("frag", (1,)),
    ("unusable", (1,)),
]

# What must be the sum of what, to the byte.
SUMS = {
    "system_bytes": ("live_bytes", "free_bytes", "tcache_bytes"),
    "free_resident_bytes": ("trimmable_bytes", "pinned_bytes", "retained_bytes"),
    "mallinfo2.arena": ("mallinfo2.uordblks", "mallinfo2.fordblks"),
}


def flat(row):
    return {**row, **{f"mallinfo2.{k}": v for k, v in row.get("mallinfo2", {}).items()}}


def crossed_within(row):
    """The bounds that ROW itself shows to be crossed."""
    for small, large in WITHIN:
        limits = [row.get(name) if isinstance(name, str) else name for name in large]
        if small in row and None not in limits and row[small] > sum(limits):
            yield f"{small} {row[small]} > {large} {sum(limits)}"
    for whole, parts in SUMS.items():
        values = [row.get(part) for part in parts]
        if whole in row and None not in values and sum(values) != row[whole]:
            yield f"{whole} {row[whole]} is not {parts} {values}"
    for name, value in row.items():
        if isinstance(value, (int, float)) and not 0 <= value < 1 << 47:
            if name not in ("arena_addr", "time") and not name.endswith("_ns"):
                yield f"{name} {value}"


def crossed_parts(row):
    """The parts of RSS, within the stated share."""
    values = [row.get(part) for part in harness.PARTS["rss_bytes"]]
    if None in values:
        return
    if abs(sum(values) - row["rss_bytes"]) > share(row["rss_bytes"]):
        yield f"parts {sum(values)} of rss {row['rss_bytes']}"


def span_ns(row):
    begin = datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00"))
    begin_ns = round(begin.timestamp() * 1000) * 1000000
    return begin_ns, begin_ns + row["read_ns"] + 1000000


def crossed_book(row, book):
    """What the program says it held while ROW was read."""
    sums, volume = book.bounds(*span_ns(row))
    if "live_bytes" in row:
        low, high = sums["heap"]
        margin = volume + share(row["system_bytes"]) + 4 * CALL_BYTES["heap"]
        if not low - margin <= row["live_bytes"] <= high + margin + OWN_BYTES:
            yield f"live_bytes {row['live_bytes']}, held {low} to {high}, moved {volume}"
    low, high = sums["mapped"]
    margin = 4 * CALL_BYTES["mapped"]
    if not low - margin <= row["mmapped_bytes"] <= high + margin:
        yield f"mmapped_bytes {row['mmapped_bytes']}, held {low} to {high}"
    cached = row.get("tcache_bytes")
    if cached is not None and cached < book.cached_bytes:
        yield f"tcache_bytes {cached}, kept {book.cached_bytes}"


def crossed(reading, book, complete_only=True):
    """All bounds that READING crosses, as far as its rows are complete."""
    row = flat(reading.row)
    if row["status"] == "complete" or not complete_only:
        yield from crossed_within(row)
        yield from crossed_parts(row)
        yield from crossed_book(row, book)
    for arena in reading.arenas:
        if arena["status"] == "complete":
            for text in crossed_within(flat(arena)):
                yield f"arena {arena['arena']}: {text}"


def never(row):
    """What no row may say, whatever its status: differences that went below nothing."""
    for name, value in flat(row).items():
        if isinstance(value, (int, float)) and (value < 0 or value >= 1 << 63):
            yield f"{name} {value}"


def read_rows(target, args):
    """Rows and the log go by CLOCK_REALTIME: rows between which it was set are read anew."""
    for _ in range(5):
        before = harness.clock_offset()
        done = harness.fragscope("stat", "-p", target.pid, "--json", *args, "0.01",
                                 max(1, int(SECONDS * 100 / 3)))
        if abs(harness.clock_offset() - before) < 0.005:
            return done
    raise RuntimeError("CLOCK_REALTIME was set in each of five runs")


def check_way(tap, target, path, args):
    done = read_rows(target, args)
    tap.equal(done.returncode, 0, "exit status", done.stderr)
    readings = harness.read_json(done.stdout)
    book = Book(path)
    rows = [reading.row for reading in readings]
    status = [row["status"] for row in rows]
    count = {name: status.count(name) for name in ("complete", "torn", "partial")}
    whys = sorted({row["missing"] for row in rows if "missing" in row})
    print(f"# {len(rows)} rows: {count} {whys[:3]}", flush=True)
    wrong = [text for row in rows for text in never(row)]
    tap.equal(wrong[:SHOWN], [], "no row has a figure below nothing")
    wrong = [(i, text) for i, r in enumerate(readings) for text in crossed(r, book)]
    tap.equal(wrong[:SHOWN], [], "no complete row crosses a bound",
              f"{len({i for i, _ in wrong})} of {count['complete']} rows do")
    return count


def check_quick(tap, target, path):
    """Without a walk, rows have what they are to have: these heaps are small."""
    count = check_way(tap, target, path, ("--quick",))
    tap.ok(count["complete"] > count["partial"], "most rows are complete", count)


def check(tap, kind, walked):
    binary = harness.program("churner")
    with harness.scratch() as directory:
        path = directory / "book"
        with Target([binary, kind, path]) as target:
            tap.equal(target.line(), f"ready {target.pid}", "the program runs")
            for name, args in WAYS:
                with tap.section(name):
                    walked.append(check_way(tap, target, path, args))
            with tap.section("quick"):
                check_quick(tap, target, path)


def main():
    tap = Tap()
    walked = []
    for kind in KINDS:
        with tap.section(kind):
            check(tap, kind, walked)
    if set(STILL) & set(KINDS):
        complete = sum(count["complete"] for count in walked)
        tap.ok(complete > 0, "there are walked rows that are complete", walked)
    tap.done()


if __name__ == "__main__":
    main()
