"""Metrics for Prometheus: of real processes, as promtool and Prometheus itself take them,
whatever the processes are called and do."""

import contextlib
import gzip
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import harness
import test_hang
import test_trace_kill
import tracing
from harness import Oracle, Target
from test_hang import Trap
from tracing import Grower

OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\["\\n])*)"')
UNESCAPED = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


def unescape(text):
    return re.sub(r'\\["\\n]', lambda found: UNESCAPED[found[0]], text)


class Metrics:
    """A scrape, parsed by the letter of the format: anything else is an error."""

    def __init__(self, text):
        self.text = text
        self.samples = {}
        for line in text.splitlines():
            if line.startswith("# "):
                continue
            found = SAMPLE.fullmatch(line)
            if not found:
                raise RuntimeError(f"no sample: {line!r}")
            labels = {key: unescape(value) for key, value in LABEL.findall(found[2] or "")}
            self.samples.setdefault(f"{found[1].removeprefix('fragscope_')}", []).append(
                (labels, float(found[3])))

    def total(self, name, **wanted):
        """The sum of the samples with these labels."""
        return sum(value for labels, value in self.samples.get(name, [])
                   if wanted.items() <= labels.items())

    def one(self, name, **wanted):
        found = [value for labels, value in self.samples.get(name, [])
                 if wanted.items() <= labels.items()]
        return found[0] if len(found) == 1 else None

    def groups(self):
        return {labels["group"] for labels, _ in self.samples.get("resident_bytes", [])}


class Exporter(Target):
    """fragscope export, which listens at a port of its own."""

    def __init__(self, *args, listen="127.0.0.1:0", **options):
        command = [harness.FRAGSCOPE, "export", *args]
        command += ["--listen", listen] if listen else []
        super().__init__(command, stderr=subprocess.PIPE, **options)
        self.url = self.says("metrics at (.*)")[1] if listen else None

    def says(self, pattern):
        """The next message that PATTERN matches."""
        while True:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"export ended: {self.process.wait()}")
            found = re.search(pattern, line)
            if found:
                return found

    def get(self, path="/metrics", accept=PLAIN, method="GET", **headers):
        request = urllib.request.Request(
            self.url.replace("/metrics", path), method=method,
            headers={"Accept": accept, **headers})
        with urllib.request.urlopen(request, timeout=harness.PATIENCE_S) as answer:
            return answer.headers, answer.read()

    def scrape(self, accept=PLAIN):
        return Metrics(self.get(accept=accept)[1].decode("utf-8"))

    def until(self, wanted, what):
        """The first scrape that WANTED takes."""

        def look():
            time.sleep(0.05)
            metrics = self.scrape()
            return metrics if wanted(metrics) else None

        return harness.until(look, what)

    def until_read(self, group, state="complete"):
        return self.until(
            lambda metrics: metrics.one("processes", group=group, reading=state), state)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=harness.PATIENCE_S)


QUIET = "--chunks 3000 --min 100 --max 900 --free-pattern random:50"
NAME = "oracle-dynamic"
# Heaps are read whole, without waiting for a share of a loaded machine.
AT_ONCE = ("--max-cost", "100", "1")
LIVES_AT_ONCE, LIVES_ROUNDS = 400, 6


# Metrics of figures, by what stat calls them.
FIGURES = {
    "live_bytes": "heap_live_bytes", "free_bytes": "heap_free_bytes",
    "pinned_bytes": "heap_pinned_bytes", "trimmable_bytes": "heap_trimmable_bytes",
    "largest_free_bytes": "heap_largest_free_bytes", "free_chunks": "heap_free_chunks",
    "frag": "heap_fragmentation_ratio", "arenas": "heap_arenas",
}


def check_values(tap):
    """A group of one is what stat says of it; of two, their sum."""
    promtool = harness.need("promtool")
    with Oracle(QUIET) as one, Oracle(QUIET) as two, \
            Exporter("-p", one.pid, *AT_ONCE) as exporter:
        metrics = exporter.until_read(NAME)
        row = harness.stat(one.pid).row
        for figure, name in FIGURES.items():
            # A ratio has four decimals there.
            tap.within(metrics.one(name, group=NAME), row[figure] - 1e-4,
                       row[figure] + 1e-4, f"{name} is stat's {figure}")
        tap.within(metrics.one("resident_bytes"), 1, row["rss_bytes"] * 2,
                   "resident_bytes is there")
        tap.ok(metrics.one("reading_age_seconds") >= 0, "the reading has an age")
        tap.equal(metrics.samples["heap_live_bytes"][0][0], {"kind": "name", "group": NAME},
                  "no PID is a label")
        tap.ok("heap_active_bytes" not in metrics.samples,
               "a figure that glibc does not have is absent")
        done = subprocess.run([promtool, "check", "metrics"], input=metrics.text, text=True,
                              capture_output=True, check=False)
        tap.equal((done.returncode, done.stdout + done.stderr), (0, ""),
                  "promtool has nothing to say")
        with Exporter("-p", f"{one.pid},{two.pid}", *AT_ONCE) as both:
            metrics = both.until(
                lambda metrics: metrics.one("processes", reading="complete") == 2, "both")
            rows = [harness.stat(target.pid).row for target in (one, two)]
            for figure in ("live_bytes", "free_bytes", "largest_free_bytes"):
                tap.equal(metrics.one(FIGURES[figure]), sum(row[figure] for row in rows),
                          f"{figure}: the sum of both")
            largest, free = (metrics.one(FIGURES[name])
                             for name in ("largest_free_bytes", "free_bytes"))
            tap.within(metrics.one("heap_fragmentation_ratio"), 1 - largest / free - 1e-6,
                       1 - largest / free + 1e-6, "a ratio of the sums")
            tap.equal(both.stop(), 0, "SIGTERM ends it")
        with Exporter("-p", f"{one.pid},{two.pid}", "--label-pid", "1") as by_pid:
            metrics = by_pid.scrape()
            tap.equal({labels.get("pid") for labels, _ in metrics.samples["resident_bytes"]},
                      {str(one.pid), str(two.pid)}, "with --label-pid a series a process")


def check_http(tap):
    with Oracle(QUIET) as target, Exporter("-p", target.pid) as exporter:
        headers, body = exporter.get(accept=OPEN)
        tap.equal(headers["Content-Type"], OPEN, "OpenMetrics is asked for")
        tap.ok(body.endswith(b"\n# EOF\n"), "and ends as it must", body[-80:])
        tap.ok(b"# UNIT fragscope_resident_bytes bytes\n" in body, "with units")
        headers, body = exporter.get()
        tap.equal(headers["Content-Type"], PLAIN, "the text format is asked for")
        tap.ok(b"# EOF" not in body, "and has no end")
        tap.equal(headers["Content-Encoding"], None, "nothing is compressed unasked")
        headers, body = exporter.get(**{"Accept-Encoding": "gzip"})
        tap.equal(headers["Content-Encoding"], "gzip", "gzip is asked for")
        tap.equal(Metrics(gzip.decompress(body).decode()).groups(), {NAME}, "and it is that")
        headers, body = exporter.get("/-/healthy")
        tap.ok(b"healthy" in body, "/-/healthy", body)
        headers, body = exporter.get("/")
        tap.ok(b'href="metrics"' in body and "html" in headers["Content-Type"],
               "a landing page", body)
        headers, body = exporter.get(method="HEAD")
        tap.equal((headers["Content-Type"], body), (PLAIN, b""), "HEAD has no body")
        for path, method, status in (("/nothing", "GET", 404), ("/metrics", "POST", 405),
                                     ("/metrics/", "GET", 404)):
            try:
                exporter.get(path, method=method)
                tap.ok(False, f"{method} {path} is refused")
            except urllib.error.HTTPError as error:
                tap.equal(error.code, status, f"{method} {path} is refused")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=harness.PATIENCE_S)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def metrics(self):
        self.request("GET", "/metrics", headers={"Accept": PLAIN})
        return Metrics(self.getresponse().read().decode())


def check_sockets(tap):
    with harness.scratch() as folder, Oracle(QUIET) as target:
        path = folder / "metrics.sock"
        with Exporter("-p", target.pid, listen=f"unix:{path}") as exporter:
            tap.equal(exporter.url, f"unix:{path}", "it says where it listens")
            tap.equal(UnixConnection(path).metrics().groups(), {NAME}, "a unix socket")
            tap.equal(path.stat().st_mode & 0o777, 0o660, "for the user and the group")
            done = harness.fragscope("export", "--listen", f"unix:{path}")
            tap.equal(done.returncode, 1, "a socket in use is not taken", done.stderr)
            exporter.process.kill()
            exporter.process.wait()

        def is_left_over():
            with contextlib.suppress(OSError), contextlib.closing(UnixConnection(path)) as peer:
                peer.connect()
                return False
            return True

        # A child that it had open files has the socket, too, and ends a moment later.
        harness.until(is_left_over, "nobody listens at the socket")
        with Exporter("-p", target.pid, listen=f"unix:{path}"):
            tap.equal(UnixConnection(path).metrics().groups(), {NAME},
                      "one that is left over is replaced")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            done = harness.fragscope("export", "--listen", f"127.0.0.1:{port}")
            tap.ok(done.returncode == 1 and "something else listens" in done.stderr,
                   "a port in use is told", done.stderr)

            # As systemd does it: the socket is descriptor 3 of a process that knows its PID.
            def become():
                os.dup2(server.fileno(), 3)
                os.set_inheritable(3, True)
                os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))

            words = [harness.FRAGSCOPE, "export", "-p", str(target.pid)]
            child = os.fork()
            if not child:
                become()
                os.execv(words[0], words)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics",
                                            timeout=harness.PATIENCE_S) as answer:
                    tap.equal(Metrics(answer.read().decode()).groups(), {NAME},
                              "a socket from systemd")
            finally:
                os.kill(child, signal.SIGTERM)
                tap.equal(os.waitpid(child, 0)[1], 0, "which it ends with")


def check_textfile(tap):
    with harness.scratch() as folder, Oracle(QUIET) as target:
        file = folder / "f.prom"
        with Exporter("-p", target.pid, "--textfile", file, "1", listen=None) as exporter:
            harness.until(file.exists, "a file")
            harness.until(lambda: "heap_live_bytes" in file.read_text(), "a reading in it")
            tap.equal(Metrics(file.read_text()).groups(), {NAME}, "a file for node_exporter")
            harness.until(lambda: os.listdir(folder) == ["f.prom"], "nothing beside it")
            inode = file.stat().st_ino
            harness.until(lambda: file.stat().st_ino != inode, "another file")
            links = [os.readlink(f"/proc/{exporter.pid}/fd/{fd}")
                     for fd in os.listdir(f"/proc/{exporter.pid}/fd")]
            tap.ok(not any(link.startswith("socket:") for link in links),
                   "nothing is listened at, then", links)
            tap.equal(exporter.stop(), 0, "status")
        done = harness.fragscope("export", "--textfile", folder / "no" / "f.prom")
        tap.ok(done.returncode == 1 and "create the directory" in done.stderr,
               "a directory that is not there is told", done.stderr)


def cgroups():
    """A directory in which cgroups can be made, of either version."""
    harness.need_root("to make a cgroup")
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith(("cgroup2 ", "cgroup cgroup rw,name=")) or "systemd" in kind:
            point = pathlib.Path(fields.split()[4])
            if os.access(point / "cgroup.procs", os.W_OK):
                yield point


@contextlib.contextmanager
def cgroup(name):
    """A cgroup called NAME, into which a process can be put."""
    for point in cgroups():
        try:
            (point / name).mkdir()
        except OSError:
            continue
        try:
            yield point / name
        finally:
            harness.until(lambda: remove(point / name), "the cgroup is empty")
        return
    raise harness.Skip("no cgroup can be made here")


def remove(folder):
    with contextlib.suppress(OSError):
        folder.rmdir()
        return True
    return False


def check_container(tap):
    """A container appears and disappears, and so do its series."""
    ident = "f" * 60 + f"{os.getpid() % 65536:04x}"
    with cgroup(f"docker-{ident}.scope") as folder, \
            Exporter("--container", ident[:61], "1") as exporter:
        tap.equal(exporter.scrape().groups(), set(), "before it there is nothing")
        with Oracle(QUIET) as target:
            (folder / "cgroup.procs").write_text(str(target.pid), encoding="ascii")
            metrics = exporter.until(lambda metrics: metrics.groups(), "the container")
            tap.equal(metrics.samples["resident_bytes"][0][0],
                      {"kind": "container", "group": ident}, "a container is a group")
        exporter.until(lambda metrics: not metrics.groups(), "its end")
        tap.equal(exporter.scrape().one("export_groups"), 0, "its series end with it")


@contextlib.contextmanager
def named(folder, *names):
    """An oracle a name, of different sizes: the first is the largest."""
    with contextlib.ExitStack() as stack:
        targets = []
        for i, name in enumerate(names):
            path = os.fsencode(folder) + b"/" + name
            shutil.copy(harness.program("oracle"), path)
            target = Target([os.fsdecode(path), "--chunks", str(30000 // (i + 1))])
            stack.enter_context(target)
            target.line()
            targets.append(target)
        yield targets


def check_other(tap):
    with harness.scratch() as folder, \
            named(folder, b"gr-a", b"gr-b", b"gr-c", b"gr-d") as targets:
        pids = ",".join(str(target.pid) for target in targets)
        with Exporter("-p", pids, "--top", "2", *AT_ONCE) as exporter:
            metrics = exporter.until(
                lambda metrics: metrics.total("processes", reading="complete") == 4,
                "all are read")
            tap.equal(metrics.groups(), {"gr-a", "gr-b", "other"}, "the largest and the rest")
            rows = [harness.stat(target.pid).row for target in targets[2:]]
            tap.equal(metrics.one("heap_live_bytes", kind="other"),
                      sum(row["live_bytes"] for row in rows), "the rest is summed up")
            tap.equal(metrics.one("export_groups_in_other"), 2, "and counted")


def check_names(tap):
    """Names that would break a scrape if they could."""
    promtool = harness.need("promtool")
    names = (b'a"} 1\n# EOF\n', b"b\\\"\\", b"c\xff\xfe\xed\xa0\x80", "d\u00e9\u4e2d".encode(),
             b"e\x1b[31m\t\r", b"f{x=\"y\"} NaN")
    wanted = {'a"} 1\n# EOF\n', 'b\\"\\', "c" + "\ufffd" * 5, "d\u00e9\u4e2d",
              "e\ufffd[31m\ufffd\ufffd", 'f{x="y"} NaN'}
    with harness.scratch() as folder, named(folder, *names) as targets:
        pids = ",".join(str(target.pid) for target in targets)
        with Exporter("-p", pids, "--label-pid", *AT_ONCE) as exporter:
            metrics = exporter.scrape()
            tap.equal({labels["name"] for labels, _ in metrics.samples["resident_bytes"]},
                      wanted, "hostile names are labels like others")
            done = subprocess.run([promtool, "check", "metrics"], input=metrics.text,
                                  text=True, capture_output=True, check=False)
            tap.equal((done.returncode, done.stdout + done.stderr), (0, ""),
                      "and promtool takes them")
    with harness.scratch() as folder, named(folder, b"g\x01", b"g\x02") as targets:
        with Exporter("-p", f"{targets[0].pid},{targets[1].pid}", "1") as exporter:
            metrics = exporter.scrape()
            tap.equal(metrics.samples["resident_bytes"][0][0],
                      {"kind": "name", "group": "g\ufffd"}, "names that look the same")
            tap.equal((len(metrics.samples["resident_bytes"]), metrics.total("processes")),
                      (1, 2), "are one series")


def is_trap_read(metrics, group=test_hang.NAME):
    return any(metrics.one("processes", group=group, reading=state)
               for state in ("complete", "estimated"))


def check_hang(tap):
    """A program that holds its reader: scrapes and the others go on, and it is read again
    once it lets go."""
    with Trap() as trap, Oracle(QUIET) as good:
        with Exporter("-p", f"{trap.pid},{good.pid}", *AT_ONCE) as exporter:
            exporter.until(is_trap_read, "a reading")
            trap.lurk()
            trap.wait_caught()
            metrics = exporter.until_read(test_hang.NAME, "held")
            tap.equal(metrics.one("export_held_readers"), 1, "it is said to hold us")
            before = metrics.one("export_readings_total", reading="complete")
            metrics = exporter.until(
                lambda metrics: metrics.one("export_readings_total", reading="complete")
                > before + 1, "readings of the other")
            tap.ok(metrics.one("processes", group=NAME, reading="complete"),
                   "the other is read on")
            tap.ok(metrics.one("reading_age_seconds", group=test_hang.NAME)
                   > metrics.one("reading_age_seconds", group=NAME),
                   "the age tells what is old")
            threads = len(exporter.tasks())
            trap.let_go()
            metrics = exporter.until(is_trap_read, "another reading")
            tap.equal(metrics.one("export_held_readers"), 0, "it is read again")
            harness.until(lambda: len(exporter.tasks()) <= threads, "no thread is left over")
            trap.lurk()
            trap.wait_caught()
            tap.equal(exporter.stop(), 0, "a signal ends it though it is held")


def check_held_alone(tap):
    """Nothing else is due: it is looked at all the same, whether it lets go."""
    with Trap() as trap, Exporter("-p", trap.pid, *AT_ONCE) as exporter:
        exporter.until(is_trap_read, "a reading")
        trap.lurk()
        trap.wait_caught()
        exporter.until_read(test_hang.NAME, "held")
        trap.let_go()
        metrics = exporter.until(is_trap_read, "another reading")
        tap.equal(metrics.one("export_held_readers"), 0, "it is read again")


def check_held_away(tap):
    """A program that leaves the population while it holds a thread, and comes back: it gets no
    other one."""
    ident = "e" * 60 + f"{os.getpid() % 65536:04x}"
    with cgroup(f"docker-{ident}.scope") as folder, Trap() as trap, Oracle(QUIET) as good:

        def move(path):
            (path / "cgroup.procs").write_text(str(trap.pid), encoding="ascii")

        def read_twice():
            before = exporter.scrape().one("export_readings_total", reading="complete")
            return exporter.until(
                lambda metrics: metrics.one("export_readings_total", reading="complete")
                > before + 1, "readings of the other")

        move(folder)
        # No process has that name: the trap looks for its PID in what reads it.
        with Exporter("-p", good.pid, "--container", ident, "-n", trap.pid,
                      *AT_ONCE) as exporter:
            exporter.until(lambda metrics: is_trap_read(metrics, ident), "a reading")
            trap.lurk()
            trap.wait_caught()
            exporter.until_read(ident, "held")
            threads = len(exporter.tasks())
            move(folder.parent)
            exporter.until(lambda metrics: metrics.groups() == {NAME}, "it has left")
            tap.equal(read_twice().one("export_held_readers"), 1, "it holds its thread still")
            move(folder)
            exporter.until_read(ident, "held")
            tap.equal(read_twice().one("export_held_readers"), 1, "also when it is back")
            harness.until(lambda: len(exporter.tasks()) <= threads, "no thread more is taken")
            trap.let_go()
            metrics = exporter.until(lambda metrics: is_trap_read(metrics, ident), "a reading")
            tap.equal(metrics.one("export_held_readers"), 0, "until it lets go")


def check_ended(tap):
    """A process that has ended is left alone until the next look at /proc."""
    target = Oracle(QUIET)
    with Exporter("-p", target.pid, *AT_ONCE) as exporter:
        exporter.until_read(NAME)
        target.end()
        # No scrape, and so no look, until another reading is long due.
        time.sleep(2)
        metrics = exporter.scrape()
        tap.within(metrics.one("export_readings_total", reading="refused"), 0, 10,
                   "nobody is read again and again")


def take_pid(pid, chunks):
    """An oracle with this PID: the kernel gives it out next if nobody else forks now."""
    for _ in range(200):
        try:
            pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1),
                                                                    encoding="ascii")
        except OSError as error:
            raise harness.Skip(f"PIDs cannot be chosen: {error}") from error
        target = Oracle(f"--chunks {chunks} --free-pattern none")
        if target.pid == pid:
            return target
        target.end()
    raise harness.Skip("others take all PIDs")


def check_reuse(tap):
    """Another process with the number and the name of one that ended: not one figure of the
    first is told of the second."""
    harness.need_root("to choose a PID")
    first = Oracle("--chunks 9000 --free-pattern none")
    with Exporter("-p", first.pid, *AT_ONCE) as exporter:
        old = exporter.until_read(NAME).one("heap_live_bytes")
        first.end()
        with take_pid(first.pid, 2000) as second:
            new = harness.stat(second.pid).row["live_bytes"]
            seen = []

            def look(metrics):
                seen.append(metrics.one("heap_live_bytes"))
                return seen[-1] == new

            # The first scrape may be of a second before.
            exporter.until(look, "the second")
            tap.ok(new != old and set(seen) <= {None, new, old}, "each figure is of one", seen)
            tap.ok(old not in seen[seen.index(None) if None in seen else 0:]
                   or seen[0] == old, "none comes back", seen)
            tap.equal(exporter.scrape().one("processes", reading="complete"), 1,
                      "there is one process")


def storm(port, count):
    """COUNT scrapes that are all asked for before the first is read; their bodies."""
    sockets = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), harness.PATIENCE_S)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sockets.append(connection)
    bodies = []
    for connection in sockets:
        with connection, connection.makefile("rb") as file:
            bodies.append(file.read())
    return bodies


def check_storm(tap):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        raise harness.Skip(f"no more than {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    # One reading, and none while memory is looked at.
    with Oracle(QUIET) as target, \
            Exporter("-p", target.pid, "--max-cost", "100", "3600") as exporter:
        exporter.until_read(NAME)
        port = int(re.search(r":(\d+)/", exporter.url)[1])
        storm(port, 100)
        before = exporter.status("VmRSS")
        bodies = storm(port, 1000)
        tap.equal({body.split(b"\r\n")[0] for body in bodies}, {b"HTTP/1.1 200 OK"},
                  "1,000 scrapes at a time are answered")
        tap.equal({frozenset(Metrics(body.split(b"\r\n\r\n", 1)[1].decode()).groups())
                   for body in bodies}, {frozenset({NAME})}, "each whole")
        tap.within(exporter.status("VmRSS") - before, -1 << 40, 2 << 20,
                   "no memory is taken for them")
        # One that asks for nothing, and one that reads nothing.
        with socket.create_connection(("127.0.0.1", port)), \
                socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            tap.equal(exporter.scrape().groups(), {NAME}, "silent clients are in nobody's way")


@contextlib.contextmanager
def small_disk():
    """A file system of 256 KB."""
    harness.need_root("to mount a file system")
    mount, umount = harness.need("mount", "umount")
    with harness.scratch() as folder:
        done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", folder],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise harness.Skip(done.stderr.strip())
        try:
            yield folder
        finally:
            subprocess.run([umount, "-l", folder], check=False)


@contextlib.contextmanager
def filling(path):
    """Takes what room there is, and what is given back, until the block ends."""
    done = threading.Event()

    def fill():
        with open(path, "wb", buffering=0) as file:
            while not done.wait(0.01):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * 4096):
                        pass

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def check_full(tap):
    with small_disk() as folder, Oracle(QUIET) as target:
        file = folder / "f.prom"
        with Exporter("-p", target.pid, "--textfile", file, "1", listen=None) as exporter:
            harness.until(file.exists, "a file")
            filler = folder / "filler"
            with filling(filler):
                said = exporter.says("cannot write.*")[0]
            tap.ok("No space left" in said and "it stays as it was" in said, "it says so", said)
            tap.equal(Metrics(file.read_text()).groups(), {NAME}, "the old file is whole")
            harness.until(lambda: sorted(os.listdir(folder)) == ["f.prom", "filler"],
                          "nothing is left beside")
            filler.unlink()
            tap.ok(exporter.says("is written again"), "it goes on")
            tap.equal(Metrics(file.read_text()).groups(), {NAME}, "with a whole file")


def check_many(tap):
    """200 processes: what they cost."""
    with contextlib.ExitStack() as stack:
        targets = [stack.enter_context(Target([harness.program("oracle"), "--chunks", "3000"]))
                   for _ in range(200)]
        for target in targets:
            target.line()
        pids = ",".join(str(target.pid) for target in targets)
        with Exporter("-p", pids, "--max-cost", "100", "3600") as exporter:
            metrics = exporter.until(
                lambda metrics: metrics.one("processes", reading="unread") == 0
                and metrics.one("processes", reading="complete"), "all are read")
            read = sum(metrics.one("processes", reading=state) or 0
                       for state in ("complete", "estimated", "torn"))
            tap.equal(read, 200, "200 processes are read, and summed up")
            cpu_ms = metrics.one("export_reading_cpu_seconds_total") / read * 1000
            look_ms = metrics.one("export_look_cpu_seconds") * 1000
            tap.reached(f"200 processes: {cpu_ms:.1f} ms of a processor a heap, {look_ms:.1f} ms "
                        f"a look at /proc: within 1%, each heap every {cpu_ms * 200 / 10:.0f} s; "
                        f"{exporter.status('VmRSS') >> 20} MB resident")

            def taken():
                """Its own processor time and that of its children, in seconds."""
                fields = exporter.proc("stat").rpartition(")")[2].split()
                return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

            before = taken()
            said = exporter.scrape().one("export_cpu_seconds_total")
            tap.within(said, before - 0.05, taken() + 0.05, "its processor time, children's too")


def live(name):
    """A process called NAME that does nothing."""
    child = os.fork()
    if not child:
        pathlib.Path("/proc/self/comm").write_text(name, encoding="ascii")
        signal.pause()
        os._exit(0)
    return child


def die(children):
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def check_lives(tap):
    """Processes that come and go: memory stays what it was."""
    name = f"lives{os.getpid()}"
    with Exporter("-n", name, "--max-cost", "50", "1") as exporter:
        early, old, read = [], [], 0
        for number in range(LIVES_ROUNDS):
            new = [live(name) for _ in range(LIVES_AT_ONCE)]

            def are_there(metrics, wanted=len(old + new), before=read, number=number):
                if metrics.total("processes") != wanted:
                    return False
                if number < LIVES_ROUNDS // 2:
                    early.append(exporter.status("VmRSS"))
                return metrics.total("export_readings_total") > before

            metrics = exporter.until(are_there, "all are there, and some are read")
            read = metrics.total("export_readings_total")
            die(old)
            old = new
        # Between readings: the heap that is read takes memory for that long.
        most = min(early) + (1 << 20)
        size = harness.until(
            lambda: (now := exporter.status("VmRSS")) <= most and now,
            f"memory is what it was, {most} at most; it is {exporter.status('VmRSS')}")
        tap.within(size, 0, most, f"memory is flat over {LIVES_AT_ONCE * LIVES_ROUNDS} lives")
        die(old)
        exporter.until(lambda metrics: not metrics.groups(), "all are gone")
        tap.equal(exporter.stop(), 0, "status")


class Prometheus(Target):
    """Debian's, with one target and the rules in RULES."""

    def __init__(self, folder, address, rules):
        prometheus = harness.need("prometheus")
        (folder / "rules.yml").write_text(rules, encoding="ascii")
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{folder}/rules.yml]\n"
            "scrape_configs:\n- job_name: fragscope\n"
            f"  static_configs: [{{targets: ['{address}']}}]\n", encoding="ascii")
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.log = folder / "log"
        with open(self.log, "w", encoding="utf-8") as log:
            super().__init__(
                [prometheus, f"--config.file={folder}/prometheus.yml",
                 f"--storage.tsdb.path={folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdout=log, stderr=subprocess.STDOUT)

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}",
                                        timeout=harness.PATIENCE_S) as answer:
                return json.load(answer)["data"]
        except (OSError, http.client.HTTPException):
            if self.process.poll() is not None:
                raise harness.Skip(f"prometheus ended: {self.log.read_text()}") from None
            return {}

    def value(self, query):
        found = self.ask("query?query=" + urllib.parse.quote(query)).get("result")
        return float(found[0]["value"][1]) if found else None


RULES = """groups:
- name: fragscope
  rules:
  - {alert: HeapTrimmed, expr: "fragscope_alert{rule='little'} > 0"}
"""


def run_prometheus(tap, clock):
    """Debian's Prometheus scrapes and stores, has nothing to complain of, and an alert by our
    rules fires there."""
    harness.need("prometheus")
    rows = "--chunks 3000 --min 100 --max 900 --free-pattern all"
    with harness.scratch() as folder, Oracle(rows) as target, \
            Exporter("-p", target.pid, "-r", "little: trimmable < 1K", *AT_ONCE) as exporter:
        exporter.until_read(NAME)
        address = re.search(r"http://(.*)/", exporter.url)[1]
        with Prometheus(folder, address, RULES) as prometheus:
            harness.until(lambda: prometheus.value("up") == 1, "a scrape")
            tap.reached("Prometheus scrapes")
            live = f"fragscope_heap_live_bytes{{group='{NAME}'}}"
            tap.equal(harness.until(lambda: prometheus.value(live), live),
                      harness.stat(target.pid).row["live_bytes"], "it stores what stat says")
            kinds = prometheus.ask("metadata?metric=fragscope_heap_live_bytes")
            harness.until(lambda: prometheus.value("sum_over_time(up[1h])") >= 8, "scrapes")
            tap.equal(prometheus.ask("alerts").get("alerts"), [], "no alert fires yet", kinds)
            target.ask("trim")
            harness.until(lambda: any(alert["state"] == "firing" for alert in
                                      prometheus.ask("alerts").get("alerts", [])), "firing")
            alert = prometheus.ask("alerts")["alerts"][0]["labels"]
            tap.equal((alert["alertname"], alert["group"], alert["severity"]),
                      ("HeapTrimmed", NAME, "warning"), "the alert fires through its API")
            log = prometheus.log.read_text(encoding="utf-8")
            harness.need_clock(clock)
            tap.equal([line for line in log.splitlines()
                       if ("level=warn" in line or "level=error" in line)
                       and "out-of-order" not in line and "too old" not in line], [],
                      "and its log has no warning")


def check_prometheus(tap):
    """Where the clock was set, times out of order are no fault of ours."""
    with harness.by_the_clock() as clock:
        run_prometheus(tap, clock)


# Processes that come when the exporter runs.
LATE = 10
# In which a quarter of 1% of a processor does not suffice for them: 7.5 ms for each.
LATE_S = 30


def check_events(tap):
    """Growths, failures and kills of a group, by probes that nobody's rights suffice for."""
    tracing.need_probes()
    test_trace_kill.need_kills()
    limit = test_trace_kill.LIMIT
    with test_trace_kill.memory_cgroup(limit) as path, Grower() as one, Grower() as two:
        test_trace_kill.enter(path, one)
        with Exporter("-p", f"{one.pid},{two.pid}", "--events") as exporter:
            exporter.until(lambda metrics: metrics.one("export_probed_processes") == 2,
                           "both are under probes")
            tally = one.order("malloc 5 300000")
            tally += two.order("malloc 3 400000")
            growths, grown = map(sum, zip(*tally.growths().values()))
            metrics = exporter.until(
                lambda metrics: metrics.one("heap_growths_total") >= growths, "growths")
            tap.equal((metrics.one("heap_growths_total"),
                       metrics.one("heap_growth_bytes_total")), (growths, grown),
                      "growths of both")
            tap.equal(metrics.one("heap_failed_allocations_total"), 0, "none has failed")
            two.limit(resource.RLIMIT_AS, 0)
            two.order("malloc 1 50000000")
            metrics = exporter.until(
                lambda metrics: metrics.one("heap_failed_allocations_total"), "a failure")
            tap.equal(metrics.one("oom_kills_total"), 0, "nobody is killed yet")
            test_trace_kill.eat(one, 2 * limit)
            exporter.until(lambda metrics: metrics.one("oom_kills_total") == 1, "the kill")
            tap.equal(exporter.scrape().samples["oom_kills_total"][0][0],
                      {"kind": "name", "group": "grower-dynamic"}, "of the group")
            tap.equal(exporter.stop(), 0, "status")


def check_latecomers(tap):
    """To put those under probes that were there at the start is free. Others pay for it, out of a
    quarter of 1%: that of one takes what is gained in seconds."""
    tracing.need_probes()
    test_trace_kill.need_kills()
    begin = time.monotonic()
    with Grower() as grower, Exporter("-n", f"grower-dynamic,{NAME}", "--events") as exporter:
        exporter.until(lambda metrics: metrics.one("export_probed_processes") == 1,
                       "the first is under probes")
        with contextlib.ExitStack() as stack:
            late = [stack.enter_context(Target([harness.program("oracle"), "--chunks", "100"]))
                    for _ in range(LATE)]
            for target in late:
                target.line()
            exporter.until(lambda metrics: sum(value for _, value in metrics.samples["processes"])
                           == 1 + LATE, "the others are found")
            # Each of them is counted by another step, of which each could take two more.
            growths = 0
            for _ in range(LATE // 2 + 1):
                growths += sum(count for count, _ in
                               grower.order("malloc 3 400000").growths().values())
                exporter.until(lambda metrics, least=growths: metrics.one(
                    "heap_growths_total", group="grower-dynamic") >= least, "growths")
            probed = exporter.scrape().one("export_probed_processes")
            # A machine that took so long may have gained what all of them take.
            taken_s = time.monotonic() - begin
            if probed > LATE and taken_s > LATE_S:
                tap.skip("not all are under probes yet", f"all of it took {taken_s:.0f} s")
            else:
                tap.within(probed, 1, LATE, "not all are under probes yet")


def check_rights(tap):
    """What is kept of root's rights, and what that suffices for."""
    harness.need_root("to give up root")
    with Oracle(QUIET) as target, Exporter("-p", target.pid, *AT_ONCE) as exporter:
        exporter.until_read(NAME)
        tap.reached("the heap is read")
        for name, want in (("Uid", "65534"), ("Gid", "65534"), ("Groups", "")):
            value = re.search(rf"^{name}:[ \t]*(.*)$", exporter.proc("status"), re.M)[1]
            tap.ok(set(value.split()) <= {want} - {""}, f"{name} is nobody's", value)
        kept = int(re.search(r"^CapPrm:\s*(\w+)", exporter.proc("status"), re.M)[1], 16)
        tap.equal(kept & ~(1 << 2 | 1 << 19 | 1 << 40), 0, "three capabilities at most",
                  f"{kept:x}")
        tap.equal(re.search(r"^NoNewPrivs:\s*(\d)", exporter.proc("status"), re.M)[1], "1",
                  "and none come back")


def main():
    tap = harness.Tap()
    for name, run in (
        ("values", check_values),
        ("http", check_http),
        ("sockets", check_sockets),
        ("text file", check_textfile),
        ("rights", check_rights),
        ("container", check_container),
        ("other", check_other),
        ("names", check_names),
        ("hang", check_hang),
        ("held alone", check_held_alone),
        ("held away", check_held_away),
        ("ended", check_ended),
        ("reuse", check_reuse),
        ("storm", check_storm),
        ("full disk", check_full),
        ("many", check_many),
        ("lives", check_lives),
        ("events", check_events),
        ("latecomers", check_latecomers),
        ("prometheus", check_prometheus),
    ):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
