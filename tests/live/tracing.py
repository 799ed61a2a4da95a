"""tracing.py: what the tests of `fragscope trace` share: programs that count how their own
heaps grow, and the run that is to agree with them."""

import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile

import harness
from harness import CLEAN_ENV, FRAGSCOPE, Libc, Skip, Target

NO_SOURCE, NOT_PERMITTED = 69, 77
GROWTHS = ("brk", "fallback", "new_heap", "mprotect", "mmap", "mremap")
MAIN_KINDS = (*GROWTHS, "failure", "threshold", "kill")
# Enough for every event of a test to be told.
ALL = ("--rate", 400)
HEADER, ALIGNMENT, LEAST = 8, 16, 32


def chunk_bytes(request):
    """What malloc makes of a request: the chunk with its header."""
    return max(LEAST, (request + HEADER + ALIGNMENT - 1) & ~(ALIGNMENT - 1))


# ---- programs that count ---------------------------------------------------------------


class Grower(Target):
    """tests/programs/grower.c, on some libc."""

    def __init__(self, libc=None, variant=None, env=None, command=None):
        libc = libc or Libc("host")
        variant = variant or ("dynamic" if libc.name == "host" else "portable")
        command = command or libc.command(harness.program("grower", variant))
        super().__init__(command, env={**CLEAN_ENV, **(env or {})})
        try:
            line = self.line()
            if not line.startswith("ready "):
                raise RuntimeError(f"the grower is not ready: {line}")
        except BaseException:
            self.end()
            raise

    def order(self, text):
        self.say(text)
        return Tally(self.line())

    def orders(self, texts):
        total = Tally()
        for text in texts:
            total += self.order(text)
        return total

    def limit(self, which, room):
        """Lowers a limit of the running program to what it uses and ROOM; None: no limit."""
        used = {resource.RLIMIT_AS: "VmSize", resource.RLIMIT_DATA: "VmData"}[which]
        hard = resource.prlimit(self.pid, which)[1]
        soft = hard if room is None else self.status(used) + room
        resource.prlimit(self.pid, which, (soft, hard))
        return soft


class Tally:
    """What orders did: events and bytes a kind, refusals, calls."""

    def __init__(self, line=""):
        self.line = line
        pairs = dict(pair.split("=") for pair in line.split())
        self.kinds = {
            kind: tuple(map(int, value.split("/")))
            for kind, value in pairs.items()
            if "/" in value
        }
        self.nulls = int(pairs.get("nulls", 0))
        self.calls = int(pairs.get("calls", 0))
        self.brk_at = int(pairs.get("brk_at", 0))
        self.arena = int(pairs.get("arena", 0))

    def __add__(self, other):
        both = Tally()
        for kind in {*self.kinds, *other.kinds}:
            mine, its = self.kinds.get(kind, (0, 0)), other.kinds.get(kind, (0, 0))
            both.kinds[kind] = (mine[0] + its[0], mine[1] + its[1])
        both.nulls = self.nulls + other.nulls
        both.calls = self.calls + other.calls
        both.brk_at, both.arena = other.brk_at, other.arena
        return both

    def of(self, kind):
        return self.kinds.get(kind, (0, 0))

    def growths(self):
        return {kind: self.of(kind) for kind in GROWTHS}


# ---- the run ---------------------------------------------------------------------------


def need_probes(_state={}):  # pylint: disable=dangerous-default-value
    """Skips with the program's own reason where no probes are to be had."""
    if "reason" not in _state:
        with Target([harness.program("plain")]) as target:
            target.line()
            done = harness.fragscope("trace", "-p", target.pid, "--for", "10ms")
        refused = done.returncode in (NO_SOURCE, NOT_PERMITTED)
        _state["reason"] = done.stderr.strip() if refused else ""
    if _state["reason"]:
        raise Skip(_state["reason"])


def links(pid):
    """The tracepoints that the process has programs at."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fdinfo").glob("*"):
        with contextlib.suppress(OSError):
            found += re.findall(r"^(?:raw_)?tp_name:\s*(\S+)", path.read_text(), re.M)
    return found


def is_waiting(pid):
    """Between two polls, for which everything must have been opened."""
    ppoll = "271"
    try:
        return pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[:1] == [ppoll]
    except OSError:
        return False


class Trace:
    """`fragscope trace`, its probes in place and the heap read once when the constructor
    returns."""

    def __init__(self, targets, *args, form=("--json",), at=("mmap_lock_released",), **options):
        need_probes()
        targets = targets if isinstance(targets, list) else [targets]
        pids = [target if isinstance(target, int) else target.pid for target in targets]
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        options.setdefault("stdout", self.out)
        options.setdefault("stderr", self.err)
        command = [FRAGSCOPE, "trace", *form, *args]
        if pids:
            command += ["-p", ",".join(map(str, pids))]
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command, text=True, stdin=subprocess.DEVNULL, env=CLEAN_ENV, **options
        )
        self.pid = self.process.pid
        try:
            harness.until(lambda: self._is_attached(at, max(1, len(pids))), "the probes")
        except BaseException:
            self.close()
            raise

    def _is_attached(self, names, each):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.command} ended: {self.process.returncode}: {self.said}")
        found = links(self.pid)
        return all(found.count(name) >= each for name in names) and is_waiting(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()

    def stop(self, number=signal.SIGINT):
        """Ends the run; its exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        return self.process.wait(timeout=harness.PATIENCE_S)

    @staticmethod
    def _text(file):
        """Without moving the place that the run writes at: the file is one for both."""
        number = file.fileno()
        return os.pread(number, os.fstat(number).st_size, 0).decode(errors="replace")

    @property
    def text(self):
        return self._text(self.out)

    @property
    def said(self):
        return self._text(self.err)

    @property
    def events(self):
        """Those of whole lines."""
        whole = self.text.rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def totals(self, pid):
        return Totals(self.said, pid)


class Totals:
    """The line at the end: what was seen of one process."""

    PATTERN = (
        r"process {pid}: growths seen: (\d+) of (\S+), failures: (\d+), moved thresholds: (\d+)"
        r"; printed (\d+), counted only: (\d+) over the rate, (\d+) lost"
    )

    def __init__(self, said, pid):
        found = re.findall(self.PATTERN.format(pid=pid), said)
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} lines of totals for {pid} in: {said}")
        self.grown = found[0][1]
        (self.growths, self.failures, self.thresholds, self.told, self.limited, self.lost) = (
            int(number) for i, number in enumerate(found[0]) if i != 1
        )

    @property
    def seen(self):
        return self.growths + self.failures + self.thresholds

    def is_grown(self, total):
        """Whether the scaled size stands for TOTAL bytes."""
        number, unit = re.fullmatch(r"([\d.]+)([KMGT]?)", self.grown).groups()
        scale = 1024 ** " KMGT".index(unit or " ")
        return abs(float(number) * scale - total) <= max(0.01 * total, 0)


# ---- events ----------------------------------------------------------------------------


def of_kind(events, *kinds):
    return [event for event in events if event["kind"] in kinds]


def functions(event):
    """Outermost first; what has no name is its module's."""
    return [
        frame.get("function", f"[{frame.get('module', '?')}]") for frame in event["stack"]
    ]


def innermost(event, module):
    """How many frames are of MODULE."""
    return sum(frame.get("module") == module for frame in event["stack"])


def counted(events):
    """(events, bytes) a kind."""
    return {
        kind: (
            len(of_kind(events, kind)),
            sum(event["bytes"] for event in of_kind(events, kind)),
        )
        for kind in GROWTHS
    }


def check_growth(tap, trace, target, want):
    """Every event is told, and they are what the program counted."""
    events, totals = trace.events, trace.totals(target.pid)
    mine = [event for event in events if not event.get("not_malloc")]
    foreign = [event for event in events if event.get("not_malloc")]
    for kind, pair in want.growths().items():
        tap.equal(counted(mine)[kind], pair, f"{kind}: events and bytes")
    tap.equal(counted(foreign)["brk"], want.of("foreign"), "the program's own sbrk")
    tap.equal(len(foreign), want.of("foreign")[0], "nothing else is not malloc's")
    check_totals(tap, totals, events)


def check_totals(tap, totals, events):
    growths = of_kind(events, *GROWTHS)
    grown = sum(event["bytes"] for event in growths)
    tap.equal(totals.lost, 0, "none lost")
    tap.equal(totals.limited, 0, "none over the rate")
    tap.equal(totals.told, totals.seen, "all are told")
    tap.equal(totals.growths, len(growths), "growths in the totals")
    tap.equal(totals.failures, len(of_kind(events, "failure")), "failures in the totals")
    tap.equal(totals.thresholds, len(of_kind(events, "threshold")), "thresholds in the totals")
    tap.ok(totals.is_grown(grown), f"the totals' bytes, {totals.grown}, are {grown}")


def check_stacks(tap, events, *names, outermost=("main",)):
    """Every stack is whole, begins at one of OUTERMOST, and leads through NAMES in order."""
    bad = [event for event in events if not event["stack_whole"]]
    tap.equal(bad, [], "every stack is whole")
    wrong = []
    for event in events:
        found = functions(event)
        rest = iter(found)
        if not set(outermost) & set(found) or not all(name in rest for name in names):
            wrong.append(found)
    path = " ".join(("/".join(outermost), *names))
    tap.equal(wrong[:3], [], f"{len(events)} stack(s): {path}")


def check_requests(tap, events, size, kinds=("brk", "mprotect", "mmap")):
    """What was asked for is in each event's range; an exact figure is the figure."""
    want = chunk_bytes(size)
    told = [event for event in of_kind(events, *kinds) if "request" in event]
    off = []
    for event in told:
        high = event["request"]["bytes"]
        low = high - event["request"]["tolerance_bytes"]
        exact = event["request"]["how"] == "exact"
        if not low <= want <= high or (exact and (low, high) != (want, want)):
            off.append((event["kind"], event["request"]))
    tap.equal(off[:5], [], f"{len(told)} request(s) of {want}")
    return told


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
    failures = of_kind(events, "failure")
    tap.equal(totals.failures, want.nulls, "failures are the NULLs that the program got")
    tap.equal(totals.told + totals.limited + totals.lost, totals.seen, "none is forgotten")
    tap.equal(totals.told, len(events), "told")
    return failures


def has_debug_info():
    """Whether libc's own debug information is installed."""
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="ascii")
    libc = re.search(r"\S+/libc\.so\.6$", maps, re.M)
    if not libc:
        return False
    done = subprocess.run(
        [harness.need("readelf"), "-n", libc.group(0)], capture_output=True, text=True,
        check=False,
    )
    build = re.search(r"Build ID: ([0-9a-f]+)", done.stdout)
    if not build:
        return False
    number = build.group(1)
    return os.path.exists(f"/usr/lib/debug/.build-id/{number[:2]}/{number[2:]}.debug")


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def libc_tree(libc, root, program):
    """What PROGRAM needs of LIBC, in a root file system of its own."""
    library = root / "lib" / libc.loader.parent.name
    library.mkdir(parents=True)
    for name in ("lib64", "old", "proc"):
        (root / name).mkdir()
    for name in ("libc.so.6", "libpthread.so.0", "libdl.so.2"):
        shutil.copy(libc.loader.parent / name, library / name)
    for place in (root / "lib64", library):
        shutil.copy(libc.loader, place / libc.loader.name)
    shutil.copy(program, root / "grower")
    return library
