"""soak_attach.py: attach, trim --attach, trim and detach in rounds, on programs at work that
check all that they do. Not part of check: `soak_attach.py --minutes 60 storm mariadb redis`.

What comes of each verb is a line of JSON in --log; the sums are printed at the end, and on
SIGINT. Status 0: no verb failed, and no program has found anything wrong. A refusal (no moment
was safe within --for) is no failure, and makes no round."""

import argparse
import collections
import json
import math
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zlib

import harness
from harness import Target
from test_servers import as_user, connect

UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}
STOOD = re.compile(r"stood for ([\d.]+)(ns|us|ms|s);")
REFUSED = re.compile(r"at no safe point at any of \d+ looks in [^,]*, and nothing was called; "
                     r"at the last, (.*); --for")
TRIM = ("trim", "--attach", "--json", "--watch", "0")
STORM_ROUNDS = 250  # until it ends, says what it has found, and another begins

ends = threading.Event()


class Failed(Exception):
    """What a program or a verb has done wrong."""


# ---- programs at work -----------------------------------------------------------------


class Storm:
    """tests/programs/storm.cc: threads that allocate, throw, fork and load."""

    second = TRIM

    def __init__(self):
        source = harness.SOURCE / "tests/programs"
        self.command = [
            harness.compile_program("storm", [harness.need("g++")], source / "storm.cc",
                                    ["-std=gnu++17"], ["-ldl"]),
            harness.compile_program("storm-plugin.so", harness.CC, source / "plugin.c",
                                    ["-shared", "-fPIC", "-DNAME=work"])]
        self.target = None
        self.said = collections.Counter()

    def begin(self):
        self.target = Target(self.command)
        self.target.line()

    def end(self):
        """Ends it, which says what it has done and found."""
        try:
            self.target.say("")
            text = self.target.line()
            if not text.startswith("ok: "):
                raise Failed(f"storm: {text}")
            for count, what in re.findall(r"(\d+) (\w+)", text):
                self.said[what] += int(count)
        finally:
            self.target.end()

    def work(self):
        return ", ".join(f"{count} {what}" for what, count in self.said.items())


class Server:
    """A server in a directory of its own, and clients of it, each a thread that knows what
    every answer must be."""

    clients = 4
    second = TRIM

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="fragscope-soak-")
        self.path = pathlib.Path(self.directory.name)
        self.target = None
        self.wrong = []
        self.asked = [0] * self.clients
        self.is_over = threading.Event()
        self.threads = []

    def start(self, command):
        with open(self.path / "log", "wb") as log:
            self.target = Target(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        connect(self.target, self.path / "socket").close()

    def drive(self, number):
        try:
            self.client(number)
        except Exception as error:  # pylint: disable=broad-except
            self.wrong.append(f"client {number}: {error!r}")
            traceback.print_exc()

    def load(self):
        self.threads = [threading.Thread(target=self.drive, args=(number,))
                        for number in range(self.clients)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()
        self.target.process.send_signal(signal.SIGTERM)
        status = self.target.process.wait()
        self.target.end()
        last = (self.path / "log").read_text(errors="replace")[-4000:]
        self.directory.cleanup()
        if self.wrong or status:
            raise Failed(f"status {status}; {'; '.join(self.wrong)}; its log ends: {last}")

    def work(self):
        return f"{sum(self.asked)} requests of {self.clients} clients, each answer as it must be"


class Redis(Server):
    """Sets, reads, appends and counts, 50 requests at once; snapshots fork. Its allocator is
    not libc's: its settings are changed by a second call in place of trim --attach."""

    second = ("attach", "-i", "20ms")

    def begin(self):
        self.start([harness.need("redis-server"), "--port", "0", "--unixsocket",
                    self.path / "socket", "--dir", self.path, "--save", ""])
        self.load()

    @staticmethod
    def draw(draw, model, number):
        """A request, and its answer."""
        key = f"{number}:{draw.randrange(2000)}"
        kind = draw.randrange(5)
        if kind == 0:
            model[key] = draw.randbytes(draw.randrange(1, 2000)).hex()
            return ("SET", key, model[key]), "OK"
        if kind == 1:
            return ("DEL", key), int(model.pop(key, None) is not None)
        if kind == 2:
            model[key] = model.get(key, "") + "appended"
            return ("APPEND", key, "appended"), len(model[key])
        if kind == 3:
            model[number] += 7
            return ("INCRBY", f"count-{number}", "7"), model[number]
        return ("GET", key), model.get(key)

    @staticmethod
    def answer(stream):
        line = stream.readline().decode().rstrip("\r\n")
        if line[:1] == ":":
            return int(line[1:])
        if line[:1] == "$":
            size = int(line[1:])
            return None if size < 0 else stream.read(size + 2).decode()[:-2]
        if line[:1] != "+":
            raise Failed(f"redis answered {line!r}")
        return line[1:]

    def client(self, number):
        draw, model = random.Random(number), {number: 0}
        with connect(self.target, self.path / "socket") as peer, peer.makefile("rb") as stream:
            while not self.is_over.is_set():
                asked = [self.draw(draw, model, number) for _ in range(50)]
                peer.sendall(b"".join(
                    b"*%d\r\n" % len(words) + b"".join(
                        b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
                    for words, _ in asked))
                for words, want in asked:
                    got = self.answer(stream)
                    if got != want:
                        raise Failed(f"{words[:2]}: got {got!r}, want {want!r}")
                self.asked[number] += len(asked)
                time.sleep(draw.random() * 0.01)
                if number == 0 and draw.random() < 0.005:
                    peer.sendall(b"*1\r\n$6\r\nBGSAVE\r\n")
                    stream.readline()


class MariaDB(Server):
    """Transactions on a table a client, and sums over it that are known."""

    def begin(self):
        path, install, self.program = harness.need("mariadbd", "mariadb-install-db", "mariadb")
        options = ["--no-defaults", f"--datadir={self.path}/data", *as_user("--user=root")]
        subprocess.run([install, *options, "--auth-root-authentication-method=normal",
                        "--skip-test-db", "--force"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=harness.CLEAN_ENV)
        self.start([path, *options, f"--socket={self.path}/socket", "--skip-networking",
                    f"--pid-file={self.path}/pid", "--innodb-buffer-pool-size=16M",
                    # Another server that starts removes the temporary tables of a shared one.
                    f"--tmpdir={self.path}",
                    "--innodb-flush-log-at-trx-commit=0"])
        self.load()

    @staticmethod
    def draw(draw, model):
        """A transaction."""
        text = "BEGIN;"
        for _ in range(10):
            key = draw.randrange(500)
            if draw.random() < 0.3:
                model.pop(key, None)
                text += f"DELETE FROM r WHERE id = {key};"
            else:
                model[key] = draw.randbytes(draw.randrange(1, 1500)).hex()
                text += f"REPLACE INTO r VALUES ({key}, '{model[key]}');"
        return text + "COMMIT;"

    def client(self, number):
        draw, model = random.Random(number), {}
        with Target([self.program, "--no-defaults", f"--socket={self.path}/socket", "-uroot",
                     "-N", "-B", "-n"], env=harness.CLEAN_ENV) as peer:
            peer.say(f"CREATE DATABASE d{number}; USE d{number};"
                     "CREATE TABLE r (id INT PRIMARY KEY, v TEXT);")
            while not self.is_over.is_set():
                peer.say(self.draw(draw, model) +
                         "SELECT COUNT(*), IFNULL(SUM(CRC32(v)), 0) FROM r;"
                         "SELECT LENGTH(GROUP_CONCAT(v ORDER BY id)) FROM r WHERE id < 1;")
                sums = sum(zlib.crc32(text.encode()) for text in model.values())
                want = [f"{len(model)}\t{sums}",
                        str(min(len(model[0]), 1 << 20)) if 0 in model else "NULL"]
                got = [peer.line(), peer.line()]
                if got != want:
                    raise Failed(f"got {got}, want {want}")
                self.asked[number] += 14
                time.sleep(draw.random() * 0.01)


PROGRAMS = {"storm": Storm, "redis": Redis, "mariadb": MariaDB}


# ---- rounds ---------------------------------------------------------------------------


class Soak:
    """One program, and what came of its rounds."""

    def __init__(self, name, options, log):
        self.name = name
        self.options = options
        self.log = log
        self.program = None
        self.rounds = 0
        self.refused = collections.Counter()
        self.stood_ms = collections.defaultdict(list)
        self.failures = []

    def note(self, **what):
        self.log.write(json.dumps({"program": self.name, "time": time.time(), **what}) + "\n")
        self.log.flush()

    def verb(self, *words):
        """Whether it was done; what it said, and how long the program stood by that."""
        begin = time.monotonic()
        done = harness.fragscope(*words, self.program.target.pid)
        took_ms = (time.monotonic() - begin) * 1e3
        name = " ".join(words[:2]) if words[1:2] == ("--attach",) else words[0]
        stood = {}
        found = STOOD.search(done.stderr)
        if found:
            stood["last_ms"] = float(found.group(1)) * UNITS[found.group(2)]
        if done.returncode == 0 and words[0] == "trim":
            told = json.loads(done.stdout)
            if "stood_ns" in told:
                stood = {"last_ms": told["stood_ns"] / 1e6, "looks": told["looks"],
                         "longest_ms": told.get("stood_longest_ns", told["stood_ns"]) / 1e6}
        self.note(verb=name, status=done.returncode, took_ms=took_ms, **stood,
                  **({"said": done.stderr} if done.returncode else {}))
        if "last_ms" in stood:
            self.stood_ms[name].append(stood["last_ms"])
        if "longest_ms" in stood:
            self.stood_ms[name + ", longest"].append(stood["longest_ms"])
        if done.returncode == 0:
            return True
        refusal = REFUSED.search(done.stderr)
        if not refusal:
            raise Failed(f"{name}: status {done.returncode}: {done.stderr}")
        self.refused[re.sub(r"^thread \d+ \(.*?\) was |\+0x\w+|\(.*\)|0x\w+", "",
                            refusal.group(1)).strip()] += 1
        return False

    def round(self):
        """All verbs once; a sampler that is there is ended, too, where the next is refused."""
        limit = ("--for", self.options.look)
        if not self.verb("attach", "-i", "10ms", *limit):
            return
        whole = self.verb(*self.program.second, *limit)
        if whole:
            self.verb("trim", "--json", "--watch", "0")
        self.verb("detach")
        self.rounds += whole

    def run(self):
        try:
            self.program = PROGRAMS[self.name]()
            while not ends.is_set() and self.rounds < self.options.rounds:
                self.program.begin()
                try:
                    self.run_rounds()
                finally:
                    self.program.end()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(repr(error))
            self.note(failed=traceback.format_exc())

    def run_rounds(self):
        most = STORM_ROUNDS if self.name == "storm" else math.inf
        begun = self.rounds
        while not ends.is_set() and self.rounds < min(self.options.rounds, begun + most):
            self.round()

    def tell(self):
        print(f"{self.name}: {self.rounds} rounds, {sum(self.refused.values())} refusals, "
              f"{len(self.failures)} failures")
        for what, times in sorted(self.stood_ms.items()):
            times = sorted(times)
            print(f"  {what}: median {statistics.median(times):.2f} ms, "
                  f"p90 {times[len(times) * 9 // 10]:.2f}, p99 {times[len(times) * 99 // 100]:.2f},"
                  f" most {times[-1]:.2f}, of {len(times)}")
        for why, count in self.refused.most_common():
            print(f"  refused {count}: {why}")
        for failure in self.failures:
            print(f"  FAILED: {failure}")
        if self.program:
            print(f"  {self.program.work()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=10 ** 9, help="a program, at most")
    parser.add_argument("--minutes", type=float, default=60, help="for all, at most")
    parser.add_argument("--for", dest="look", default="60s", help="as the verbs have it")
    parser.add_argument("--log", default="/dev/null")
    parser.add_argument("programs", nargs="+", choices=PROGRAMS)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, lambda *_: ends.set())
    signal.signal(signal.SIGTERM, lambda *_: ends.set())
    with open(options.log, "a", encoding="utf-8") as log:
        soaks = [Soak(name, options, log) for name in options.programs]
        threads = [threading.Thread(target=soak.run) for soak in soaks]
        for thread in threads:
            thread.start()
        end = time.monotonic() + options.minutes * 60
        while any(thread.is_alive() for thread in threads) and time.monotonic() < end:
            ends.wait(1)
            if ends.is_set():
                break
        ends.set()
        for thread in threads:
            thread.join()
    for soak in soaks:
        soak.tell()
    sys.exit(any(soak.failures for soak in soaks))


if __name__ == "__main__":
    main()
