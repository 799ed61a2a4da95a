"""Metrics for Prometheus: of real processes, as promtool and Prometheus itself take them,
whatever the processes are called and do."""

import gzip
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import harness
from harness import Oracle, Target

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

    def all(self, name, **wanted):
        """{group: value} of the samples with these labels."""
        return {labels.get("group"): value for labels, value in self.samples.get(name, [])
                if wanted.items() <= labels.items()}

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
            tap.equal(os.listdir(folder), ["f.prom"], "and nothing beside it")
            inode = file.stat().st_ino
            harness.until(lambda: file.stat().st_ino != inode, "another file")
            listens = [line for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()
                       if line.split()[3] == "0A"]
            tap.ok(not any(":2695 " in line for line in listens),
                   "nothing is listened at, then")
            tap.equal(exporter.stop(), 0, "status")
        done = harness.fragscope("export", "--textfile", folder / "no" / "f.prom")
        tap.ok(done.returncode == 1 and "create the directory" in done.stderr,
               "a directory that is not there is told", done.stderr)


def main():
    tap = harness.Tap()
    for name, run in (
        ("values", check_values),
        ("http", check_http),
        ("sockets", check_sockets),
        ("text file", check_textfile),
    ):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
