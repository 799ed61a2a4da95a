"""harness.py: what the live tests share. They start real programs, wait until these are
ready, run the built fragscope on them, and compare. TAP on standard output; whatever the
machine lacks is a Skip with its reason."""

import contextlib
import csv
import fcntl
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("FRAGSCOPE_SRCDIR", HERE.parents[1])).resolve()
BUILD = pathlib.Path(os.environ.get("FRAGSCOPE_BUILDDIR", SOURCE)).resolve()
FRAGSCOPE = os.environ.get("FRAGSCOPE", str(BUILD / "fragscope"))
BIN = BUILD / "tests" / "bin"
CC = shlex.split(os.environ.get("CC", "gcc"))
PAGE = os.sysconf("SC_PAGE_SIZE")
OTHER_LIBCS = ("2.31", "2.36", "2.41", "2.43", "2.44")
# For what takes a moment: only a hang takes longer, on however busy a machine. Less than
# the limit of .ci/run for a whole file, so that a hang fails at a point with a name.
PATIENCE_S = 240

# Nothing of the caller's environment may shape the heaps of the targets.
CLEAN_ENV = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("MALLOC_", "LD_", "GLIBC_TUNABLES"))
}
CLEAN_ENV["LC_ALL"] = "C"


# The virtual machine that targets and fragscope run in, where that is not this one.
elsewhere = None


class Skip(Exception):
    """The machine lacks something; the text says what."""


class Tap:
    """Numbers the points; every point stands for one assertion."""

    def __init__(self):
        self.points = 0
        self.made = 0  # assertions, also such as are summed up in one point
        self.failed = 0
        self.group = ""

    def _say(self, verdict, name, tail=""):
        self.points += 1
        name = f"{self.group}: {name}" if self.group else name
        name = name.replace("#", "no. ")
        print(f"{verdict} {self.points} - {name}{tail}", flush=True)

    def ok(self, good, name, *notes):
        self.made += 1
        self._say("ok" if good else "not ok", name)
        if not good:
            self.failed += 1
            for note in notes:
                for line in str(note).splitlines():
                    print(f"#   {line}", flush=True)
        return bool(good)

    def equal(self, got, want, name, *notes):
        return self.ok(got == want, name, f"got  {got}", f"want {want}", *notes)

    def within(self, got, low, high, name, *notes):
        good = got is not None and low <= got <= high
        return self.ok(good, name, f"got {got}, want {low} to {high}", *notes)

    def reached(self, what):
        """Says how far the test has come; no point. Where a wait has just been over, there
        is nothing left that could fail."""
        print(f"# {what}", flush=True)

    def skip(self, name, reason):
        self.made += 1
        self._say("ok", name, f" # SKIP {' '.join(str(reason).split())}")

    @contextlib.contextmanager
    def section(self, group):
        """Names the points inside; a Skip or an error ends the section, not the test. A
        section without points, all of whose waits came to their ends, is one itself."""
        outer, self.group = self.group, group
        before = self.made
        try:
            yield
            if self.made == before:
                self.ok(True, "ran to its end")
        except Skip as reason:
            self.skip("not run", reason)
        except Exception:  # pylint: disable=broad-except
            self.ok(False, "ran to its end", traceback.format_exc())
        finally:
            self.group = outer

    def done(self):
        print(f"1..{self.points}", flush=True)
        sys.exit(1 if self.failed else 0)


def until(condition, what, seconds=PATIENCE_S):
    """Waits for CONDITION to become true; what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise TimeoutError(f"{what}: not within {seconds} s")


def read_file(path):
    """Of the machine that the targets run in."""
    return elsewhere.read(path) if elsewhere else pathlib.Path(path).read_text(encoding="utf-8")


# What the kernel does to the pages of a process that is at rest: to save memory, or to
# make huge pages of small ones.
STIRS = ("pgsteal", "pgdemote", "pswp", "thp_collapse_alloc", "thp_split", "ksm", "balloon")


def stirs():
    """How often the kernel has done so, anywhere. Where a swap file is given up, all that is
    in it comes back."""
    text = read_file("/proc/vmstat")
    swaps = read_file("/proc/swaps").splitlines()
    return [
        *(line for line in text.splitlines() if line.startswith(STIRS)),
        *(line.split()[0] for line in swaps),
    ]


def undisturbed(measure, holds):
    """What MEASURE found: as HOLDS wants it, or else at a time when the kernel moved no page
    of its own accord. A Skip where there is no such time."""
    for _ in range(10):
        before = stirs()
        found = measure()
        if holds(found) or stirs() == before:
            return found
    raise Skip("the kernel moves pages all the time")


def clock_offset():
    """What CLOCK_REALTIME is ahead of a clock that nobody sets, in seconds."""
    return time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)


def need_clock(since):
    """Skips where CLOCK_REALTIME was set since clock_offset() was SINCE: what rows say of
    time goes by it."""
    if abs(clock_offset() - since) > 0.05:
        raise Skip("the clock was set meanwhile")


@contextlib.contextmanager
def by_the_clock():
    """For programs that go by the clock: what has not come about is a Skip where that was set.
    Yields clock_offset()."""
    since = clock_offset()
    try:
        yield since
    except TimeoutError:
        need_clock(since)
        raise


@contextlib.contextmanager
def held(pid):
    """Stops the process meanwhile: what happens in the block is at one instant for it."""
    os.kill(pid, signal.SIGSTOP)
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        until(lambda task=task: "State:\tT" in (task / "status").read_text(), "it is stopped")
    yield
    os.kill(pid, signal.SIGCONT)


def most_misses(count):
    """Of COUNT intervals of 95% so many may miss the truth: more do once in a million runs."""
    def chance(misses):
        return math.comb(count, misses) * 0.05 ** misses * 0.95 ** (count - misses)

    beyond, most = chance(count), count - 1
    while beyond + chance(most) < 1e-6:
        beyond += chance(most)
        most -= 1
    return most


def need(*tools):
    """Skips unless every tool is installed; the paths."""
    paths = []
    for tool in tools:
        path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not path:
            raise Skip(f"{tool} is not installed")
        paths.append(path)
    return paths[0] if len(paths) == 1 else paths


def need_root(why):
    if os.geteuid() != 0:
        raise Skip(f"{why} needs root")


@contextlib.contextmanager
def scratch():
    """A directory for one test, readable by every user."""
    with tempfile.TemporaryDirectory(prefix="fragscope-test-") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


# ---- other libcs ----------------------------------------------------------------------


class Libc:
    """One glibc that targets can run on: the machine's own, or one that was fetched."""

    _fetched = {}

    def __init__(self, name):
        self.name = name
        self.root = None
        if name == "host":
            self.version = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
            return
        self.version = name
        self.root = self._fetch(name)
        loaders = [
            path
            for pattern in ("lib/*/ld-linux*.so.*", "usr/lib/*/ld-linux*.so.*")
            for path in sorted(self.root.glob(pattern))
        ]
        if not loaders:
            raise Skip(f"no loader in {self.root}")
        self.loader = loaders[0]

    @classmethod
    def _fetch(cls, version):
        # One mirror for all: when it is out of reach once, nobody waits for it again.
        gone = [said for said in cls._fetched.values() if "cannot reach" in said[2]]
        if version not in cls._fetched and gone:
            cls._fetched[version] = gone[0]
        if version not in cls._fetched:
            done = subprocess.run(
                ["sh", str(SOURCE / "tests/libc/fetch"), version],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            said = done.stderr.strip().splitlines() or ["said nothing"]
            cls._fetched[version] = (done.returncode, done.stdout.strip(), said[-1])
        status, path, reason = cls._fetched[version]
        if status == 77:
            raise Skip(reason)
        if status != 0:
            raise RuntimeError(f"tests/libc/fetch {version}: {reason}")
        return pathlib.Path(path)

    @property
    def number(self):
        return tuple(int(part) for part in self.version.split("."))

    def command(self, program):
        if not self.root:
            return [str(program)]
        path = str(self.loader.parent)
        return [str(self.loader), "--library-path", path, str(program)]


# ---- target programs ------------------------------------------------------------------


def _sysroot_flags():
    root = Libc("2.31").root
    return [f"--sysroot={root}", f"-B{next(root.glob('usr/lib/*/crt1.o')).parent}/"]


# How each variant of a program is linked; "portable" is linked against the oldest glibc,
# so that one file runs on all of them.
VARIANTS = {
    "dynamic": lambda: [],
    "portable": _sysroot_flags,
    "static": lambda: ["-static", "-DORACLE_STATIC"],
    "static-pie": lambda: ["-static-pie", "-fPIE", "-DORACLE_STATIC"],
    "stripped": lambda: ["-s"],
    "static-stripped": lambda: ["-static", "-s", "-DORACLE_STATIC"],
}


def compile_program(name, compiler, source, flags, libraries=()):
    """Builds BIN/NAME from SOURCE unless it is newer; the path."""
    path = BIN / name
    BIN.mkdir(parents=True, exist_ok=True)
    with open(BIN / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_mtime > source.stat().st_mtime:
            return path
        partial = path.with_suffix(".new")
        command = [*compiler, "-std=gnu11", "-O2", "-g", *flags, str(source)]
        done = subprocess.run(
            [*command, "-o", str(partial), "-pthread", *libraries],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)}:\n{done.stderr}")
        partial.rename(path)
    return path


def program(name, variant="dynamic"):
    """A program of tests/programs, built in VARIANT."""
    source = SOURCE / "tests/programs" / f"{name}.c"
    need(CC[0])
    libraries = [] if "static" in variant else ["-ldl"]
    return compile_program(
        f"{name}-{variant}", CC, source, VARIANTS[variant](), libraries
    )


def kilobytes(text, field):
    """The value of "FIELD: N kB" in TEXT, in bytes."""
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1)) * 1024


class Seen:
    """A process as /proc shows it: proc(NAME) reads a file of it."""

    def rollup(self, field):
        """Bytes of one field of smaps_rollup: exact, where status may lag."""
        return kilobytes(self.proc("smaps_rollup"), field)

    def mapped(self, name, field="Rss"):
        """The sum of FIELD over the mappings called NAME."""
        blocks = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", self.proc("smaps"), flags=re.M)
        return sum(
            kilobytes(block, field)
            for block in blocks
            if block.splitlines()[:1] and block.splitlines()[0].endswith(" " + name)
        )

    def status(self, field):
        """One field of /proc/PID/status, bytes where the kernel says kB."""
        value = re.search(rf"^{field}:\s+(.*)$", self.proc("status"), re.M).group(1)
        return int(value.split()[0]) * 1024 if value.endswith("kB") else value


class Target(Seen):
    """A program that was started here and ends with the block."""

    def __init__(self, command, **options):
        options.setdefault("env", CLEAN_ENV)
        options.setdefault("stdin", subprocess.PIPE)
        options.setdefault("stdout", subprocess.PIPE)
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(self.command, text=True, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"{shlex.join(self.command)} ended: {self.process.wait()}")
        return text.rstrip("\n")

    def say(self, text):
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            status = self.process.wait()
            raise RuntimeError(f"{shlex.join(self.command)} ended: {status}") from error

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.pid}/{name}").read_text(encoding="ascii")

    def tasks(self):
        return sorted(pathlib.Path(f"/proc/{self.pid}/task").iterdir())

    def threads(self):
        """State, pending signals, tracer and switches of every thread: a thread that was
        stopped or interrupted has run since, which counts as a switch."""
        wanted = ("State", "TracerPid", "SigPnd", "voluntary_ctxt_switches",
                  "nonvoluntary_ctxt_switches")
        found = {}
        for task in self.tasks():
            rows = (row.split(":", 1) for row in (task / "status").read_text().splitlines())
            found[task.name] = {key: value.strip() for key, value in rows if key in wanted}
        return found

    def rest(self):
        """Waits until every thread sleeps: then nothing but a reader can change it. Its last
        line may be here before it waits for the next. Threads are looked at one after the
        other, and the first may have been woken by the last: hence two looks."""

        def is_at_rest():
            found = self.threads()
            asleep = all(thread["State"].startswith("S") for thread in found.values())
            return asleep and self.threads() == found

        until(is_at_rest, "threads at rest")


class Questions:
    """What tests/programs/oracle.c is asked: ask(TEXT) is one line, line() the next."""

    def numbers(self, question):
        return {
            name: int(value)
            for name, value in (pair.split("=") for pair in self.ask(question).split())
        }

    def info(self, question="info"):
        fields = self.numbers(question)
        fields.pop("narrow")
        return fields

    def xml(self, question="xml"):
        text = self.ask(question)
        while not text.endswith("\n."):
            text += "\n" + self.line()
        return MallocInfo(text[:-2])


class Oracle(Questions, Target):
    """tests/programs/oracle.c with a scenario, on some libc."""

    def __init__(self, args="", libc=None, variant=None, env=None):
        libc = libc or Libc("host")
        variant = variant or ("dynamic" if libc.name == "host" else "portable")
        path = program("oracle", variant)
        super().__init__(
            [*libc.command(path), *shlex.split(args)], env={**CLEAN_ENV, **(env or {})}
        )
        try:
            if self.line() != f"ready {self.pid}":
                raise RuntimeError("the oracle is not ready")
        except BaseException:
            self.end()
            raise

    def ask(self, question):
        self.say(question)
        return self.line()


class MallocInfo:
    """malloc_info's text. Its sizes carry the flag bits of the chunks: taken off here."""

    def __init__(self, text):
        root = xml.etree.ElementTree.fromstring(text)
        self.heaps = [self._heap(heap) for heap in root.findall("heap")]
        mapped = root.find("total[@type='mmap']")
        self.mmap = (int(mapped.get("count")), int(mapped.get("size")))

    @staticmethod
    def _bin(element):
        low, high, total, count = (
            int(element.get(name)) for name in ("from", "to", "total", "count")
        )
        fast = low % 16 == 1 and high % 16 == 0
        return {
            # All chunks of a fastbin are of one size; malloc_info tells the bin's range.
            "from": high if fast else low & ~7,
            "to": high & ~7,
            "total": total if fast else total - count,
            "count": count,
            "fast": fast,
        }

    @classmethod
    def _heap(cls, heap):
        bins = [cls._bin(size) for size in heap.findall("sizes/size")]
        unsorted = heap.find("sizes/unsorted")
        unsorted = cls._bin(unsorted) if unsorted is not None else None
        fast = heap.find("total[@type='fast']")
        rest = heap.find("total[@type='rest']")
        binned = [size for size in [*bins, unsorted] if size and not size["fast"]]
        flags = sum(size["count"] for size in binned)
        rest_bytes = int(rest.get("size")) - flags
        return {
            "system": int(heap.find("system[@type='current']").get("size")),
            # From 2.43 there are no fastbins, and no word of them.
            "fast": (
                (int(fast.get("count")), int(fast.get("size")))
                if fast is not None
                else (0, 0)
            ),
            "rest": (int(rest.get("count")), rest_bytes),
            "top": rest_bytes - sum(size["total"] for size in binned),
            "fastbins": [size for size in bins if size["fast"]],
            "sorted": [size for size in bins if not size["fast"]],
            "unsorted": unsorted,
        }


# ---- fragscope ------------------------------------------------------------------------


def fragscope(*args, **options):
    """Runs the built fragscope to its end."""
    if elsewhere:
        return elsewhere.fragscope(*args)
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", PATIENCE_S)
    options.setdefault("capture_output", True)
    return subprocess.run(
        [FRAGSCOPE, *(str(arg) for arg in args)], text=True, check=False, **options
    )


MEASURE = """<script>document.title =
[...document.querySelectorAll('body > *')].filter(one =>
one.getBoundingClientRect().right > innerWidth).map(one => one.tagName).join() + '|' +
document.documentElement.scrollWidth + '|' + innerWidth</script></body>"""


def check_page(tap, page, name):
    """A validator and a browser look at the page, where they are installed."""
    with tap.section(f"page, {name}, validated"):
        tidy = need("tidy")
        done = subprocess.run(
            [tidy, "-quiet", "-errors", str(page)],
            capture_output=True,
            text=True,
            check=False,
        )
        tap.equal((done.returncode, done.stderr), (0, ""), "tidy finds nothing")
    for width in (500, 1200):
        with tap.section(f"page, {name}, {width} pixels wide"):
            check_width(tap, page, width)


def check_width(tap, page, width):
    browser = need("chromium")
    measured = page.with_name("measured.html")
    measured.write_text(page.read_text("utf-8").replace("</body>", MEASURE), "utf-8")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom")
    where = (f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900")
    try:
        done = subprocess.run(
            [browser, *options, *where, measured.as_uri()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except subprocess.TimeoutExpired as error:
        raise Skip("chromium does not answer within 60 s") from error
    title = re.search(r"<title>([^<]*)\|(\d+)\|(\d+)</title>", done.stdout)
    if not title:
        raise Skip(f"chromium does not run here: {done.stderr[-200:]}")
    tap.equal(title.group(1), "", "nothing sticks out")
    wide, seen = int(title.group(2)), int(title.group(3))
    tap.ok(wide <= seen, "it need not be scrolled sideways", wide, seen)


class Reading:
    """The rows of one instant: the process and its arenas."""

    def __init__(self, rows):
        self.row = rows[0]
        self.arenas = rows[1:]


def read_json(text):
    rows = []
    for line in text.splitlines():
        row = json.loads(line)
        if "arena" in row:
            rows[-1].append(row)
        else:
            rows.append([row])
    return [Reading(group) for group in rows]


def read_csv(text):
    return list(csv.reader(text.splitlines()))


def stat(pid, *args):
    """One reading of PID, with every arena and its bins."""
    done = fragscope("stat", "-p", pid, "--once", "--json", "--arenas", "--bins", *args)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"fragscope stat: status {done.returncode}: {done.stderr}")
    return read_json(done.stdout)[0]


# The parts that a whole is made of,.
PARTS = {
    "system_bytes": ("live_bytes", "free_bytes", "tcache_bytes"),
    "free_resident_bytes": ("trimmable_bytes", "pinned_bytes", "retained_bytes"),
    "rss_bytes": (
        "live_resident_bytes",
        "trimmable_bytes",
        "pinned_bytes",
        "retained_bytes",
        "mmapped_resident_bytes",
        "allocator_resident_bytes",
        "other_resident_bytes",
    ),
}


def check_parts(tap, row):
    """The parts of every whole add up."""
    for whole, parts in PARTS.items():
        values = {part: row.get(part) for part in parts}
        if row.get(whole) is None or None in values.values():
            tap.ok(False, f"parts of {whole}", f"{whole} {row.get(whole)}", values)
            continue
        tap.equal(sum(values.values()), row[whole], f"parts of {whole}", values)
