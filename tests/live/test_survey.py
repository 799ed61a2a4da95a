"""Maps and pins of live programs: what a map says of each arena adds up to the figures, on
every glibc; and what is foretold of a chunk comes true when the program frees it."""

import json
import re
import subprocess

import harness
from harness import BUILD, Libc, Oracle, Tap

SURVEY = str(BUILD / "tests/live/survey")
NO_TCACHE = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
# Nothing is given back but by malloc_trim.
KEEP = "--mallopt M_TRIM_THRESHOLD=2000000000"
HEADER = 16
PINS = 5

SCENARIOS = [
    "--chunks 8000 --max 3000 --free-pattern random:60 --aligned 300 --fast 500 --tcache "
    "--mmapped 20 --threads 3",
    "--threads 1 --chunks 40000 --min 500 --max 4000 --free-pattern keep:10",
    "--hostile --chunks 3000 --foreign-sbrk 60 --fast 400 --tcache --free-pattern alternate "
    "--untouched 50",
    "--no-sbrk --chunks 9000 --max 100000 --free-pattern alternate",
]


def survey(pid, *words):
    done = subprocess.run(
        [SURVEY, str(pid), *(str(word) for word in words)],
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"survey {words}: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


# A figure of an arena's row, and the kinds of a map that make it up.
SAME = {
    "live_bytes": ("live", "allocator", "foreign"),
    "tcache_bytes": ("tcache",),
    "free_bytes": ("pinned", "trimmable", "retained", "returned"),
    "pinned_bytes": ("pinned",),
    "trimmable_bytes": ("trimmable",),
    "retained_bytes": ("retained",),
    "foreign_bytes": ("foreign",),
    "top_bytes": ("top",),
    "free_chunks": ("free_chunks",),
    "tcache_chunks": ("cached_chunks",),
    "largest_free_bytes": ("largest",),
}


def cell_differences(found):
    """The cells of a map whose bytes are not all of one kind each."""
    told = [(cell, sum(cell[kind] for kind in KINDS)) for cell in found["cells"]]
    return [
        f"a cell of {total} bytes: {cell}"
        for cell, total in told
        if total != cell["to"] - cell["from"]
    ]


def map_differences(target):
    """Where the maps of TARGET's arenas differ from one reading of it."""
    wrong = []
    reading = harness.stat(target.pid)
    for arena in reading.arenas:
        found = survey(target.pid, "map", arena["arena"], 3000)
        total = found["total"]
        if found["status"] != "complete":
            wrong.append(f"arena {arena['arena']}: {found['status']} {found['missing']}")
        for figure, kinds in SAME.items():
            got = sum(total[kind] for kind in kinds)
            if got != arena[figure]:
                wrong.append(f"arena {arena['arena']}: {figure}: {got}, not {arena[figure]}")
        wrong += cell_differences(found)
    pins = survey(target.pid, "pins", -1)
    if pins["pinned_bytes"] != reading.row["pinned_bytes"]:
        wrong.append(f"pins: {pins['pinned_bytes']}, not {reading.row['pinned_bytes']}")
    return wrong


KINDS = (
    "live", "tcache", "pinned", "trimmable", "retained", "returned", "allocator",
    "foreign", "in doubt", "swapped out",
)


def check_maps(tap, libc):
    for args in SCENARIOS:
        with tap.section(f"{libc.name}, {args}"), Oracle(args, libc) as target:
            wrong = harness.undisturbed(
                lambda: map_differences(target), lambda found: not found
            )
            tap.ok(not wrong, "the maps add up to the figures", *wrong[:10])


def chunks_of(target, arena, start, end):
    """The chunks in use from START to END."""
    found = survey(target.pid, "map", arena, 1, f"{start:x}", f"{end:x}")
    return [addr for addr, _, kind in found["chunks"] if kind == "live" and addr < end]


def free_chunks(target, chunks):
    """Whether all of CHUNKS were the program's own; it has freed them."""
    return all(target.ask(f"free {chunk + HEADER:x}") == "ok" for chunk in chunks)


def trimmable(target):
    return harness.stat(target.pid).row["trimmable_bytes"]


def check_pins(tap, target):
    """The best one goes, again and again; then a trim takes back all that was unlocked."""
    wrong, foretold, before = [], [], trimmable(target)
    for _ in range(PINS):
        pin = survey(target.pid, "pins", -1)["best"][0]
        chunks = chunks_of(target, pin["arena"], pin["addr"], pin["addr"] + pin["bytes"])
        if len(chunks) != pin["chunks"] or not free_chunks(target, chunks):
            wrong.append(f"{len(chunks)} chunks, or not all the program's own: {pin}")
            break
        foretold.append(pin["unlocked_bytes"])
        after = trimmable(target)
        if after - before != pin["unlocked_bytes"]:
            wrong.append(f"{after - before} unlocked by {pin}")
        before = after
    tap.ok(not wrong, "each pin unlocks what was foretold", *wrong)
    tap.ok(min(foretold) >= harness.PAGE, "which is not nothing", foretold)
    slack = harness.PAGE * len(harness.stat(target.pid).arenas)
    trim = target.numbers("trim")
    tap.within(
        trim["before"] - trim["after"], before - slack, before + slack, "and a trim takes it"
    )


def check_tail(tap, target):
    """With the chunks of a step gone, the top begins where it was foretold."""
    found = survey(target.pid, "pins", 0)
    if not tap.ok(found["steps"], "there is something to free below the top", found):
        return
    step, row = found["steps"][0], harness.stat(target.pid).arenas[0]
    end = step["from"] + step["bytes"] + step["hole_bytes"]
    chunks = chunks_of(target, 0, step["from"], end)
    tap.equal(len(chunks), step["chunks"], "the chunks of the first step")
    if not tap.ok(free_chunks(target, chunks), "they are all the program's own"):
        return
    top = row["top_bytes"] + step["bytes"] + step["hole_bytes"]
    tap.equal(harness.stat(target.pid).arenas[0]["top_bytes"], top, "the top grew by them")


def check_running(tap):
    """A program at full speed: what cannot be told is in doubt, and little is."""
    with tap.section("running"), Oracle(
        "--threads 3 --chunks 20000 --max 2000 --free-pattern random:50 --tcache"
    ) as target:
        target.ask("churn on")
        for arena in range(4):
            found = survey(target.pid, "map", arena, 500)
            total = found["total"]
            told = sum(total[kind] for kind in KINDS)
            tap.within(
                total["in doubt"], 0, told // 10, f"in doubt of arena {arena}, {found['status']}"
            )
            tap.ok(total["live_chunks"] > 1000, "its chunks are told", total)
            tap.ok(not cell_differences(found), "each byte of it is told once")
        pins = survey(target.pid, "pins", -1)
        tap.ok(pins["pinning_chunks"] > 1000, "pins are told", pins)
        target.ask("churn off")


def check_steady(tap):
    """Looks take no memory after the first."""
    counter = BUILD / "tests" / "count_alloc.so"
    with tap.section("steady"), Oracle("--chunks 3000 --free-pattern random:50") as target:
        if not counter.exists():
            raise harness.Skip(f"{counter} was not built")
        done = subprocess.run(
            [SURVEY, str(target.pid), "steady", "100"],
            capture_output=True,
            text=True,
            check=False,
            env={**harness.CLEAN_ENV, "LD_PRELOAD": str(counter), "COUNT_ROWS": "100"},
        )
        found = re.search(r"rows (\d+) before-first (\d+) before-last (\d+)", done.stderr)
        if not tap.ok(found, "the counter works", done.stderr):
            return
        rows, first, last = (int(number) for number in found.groups())
        tap.equal((rows, last), (100, first), "no allocation from look 2 to look 100")


def check_refusals(tap):
    with tap.section("refusals"), Oracle("--chunks 10") as target:
        for words, reason in (
            (("map", 77, 10), "there is no arena 77"),
            (("pins", 77), "there is no arena 77"),
        ):
            done = subprocess.run(
                [SURVEY, str(target.pid), *(str(word) for word in words)],
                capture_output=True, text=True, check=False,
            )
            tap.equal((done.returncode, done.stderr.strip()), (1, reason), words[0])


# What each chunk of guess.cc looks like.
CLASS = "C++ object of class shop::Basket<int>"
OPERATIONS = "begins with a pointer to tcp_operations"
GUESSES = {
    "object": CLASS,
    "request": 'text "GET /index.html HTTP/1.1"',
    "word": 'text "pomelo"',
    "connection": OPERATIONS,
    "loop": "",
    "zeroes": "",
    "letters": "",
}


def check_guesses(tap):
    """By RTTI, which every program has that was not built without; by symbols otherwise."""
    for name, flags, lost in (
        ("plain", [], ()),
        ("stripped", ["-s"], ("connection",)),
        ("without RTTI", ["-fno-rtti"], ()),
        ("static", ["-static"], ()),
        ("static, stripped", ["-static", "-s"], ("connection",)),
        ("stripped, without RTTI", ["-s", "-fno-rtti"], ("object", "connection")),
    ):
        with tap.section(f"guesses, {name}"):
            path = harness.compile_program(
                f"guess-{name.replace(' ', '-').replace(',', '')}",
                [harness.need("g++")],
                harness.SOURCE / "tests/programs/guess.cc",
                ["-std=gnu++17", *flags],
            )
            with harness.Target([path]) as target:
                target.line()
                chunks = dict(target.line().split() for _ in GUESSES)
                got = {chunk: guess(target.pid, addr) for chunk, addr in chunks.items()}
            want = {chunk: "" if chunk in lost else text for chunk, text in GUESSES.items()}
            tap.equal(got, want, "what the chunks look like")


def guess(pid, addr):
    done = subprocess.run(
        [SURVEY, str(pid), "guess", addr], capture_output=True, text=True, check=False
    )
    return done.stdout.rstrip("\n") if done.returncode == 0 else done.stderr


def check_libc(tap, name):
    with tap.section(f"libc {name}"):
        libc = Libc(name)
        check_maps(tap, libc)
        with tap.section(f"{name}, pins"), Oracle(
            f"--chunks 20000 --max 600 --free-pattern random:95 --threads 1 {KEEP}",
            libc, env=NO_TCACHE,
        ) as target:
            check_pins(tap, target)
        with tap.section(f"{name}, tail"), Oracle(
            f"--chunks 20000 --min 200 --max 600 --free-pattern random:99 {KEEP}",
            libc, env=NO_TCACHE,
        ) as target:
            check_tail(tap, target)


def main():
    tap = Tap()
    for name in ("host", *harness.OTHER_LIBCS):
        check_libc(tap, name)
    check_running(tap)
    check_steady(tap)
    check_refusals(tap)
    check_guesses(tap)
    tap.done()


if __name__ == "__main__":
    main()
