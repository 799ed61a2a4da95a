"""Real programs, started here on sockets and directories of their own: the row is
complete, agrees with the kernel, and its parts add up. Also programs whose libc is not the
file that its path names."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import harness
from harness import CLEAN_ENV, Libc, Oracle, Skip, Tap, Target

PYTHON = """
import random, sys
random.seed(1)
held = [bytes(random.randrange(10, 5000)) for _ in range(60000)]
held = [item for item in held if random.random() < 0.3]
print("ready", flush=True)
sys.stdin.read()
"""

PERL = """
srand(1); $| = 1;
my %held = map { $_ => "x" x int(rand(3000)) } 1 .. 40000;
delete $held{$_} for grep { $_ % 3 } 1 .. 40000;
print "ready\\n";
my $end = <STDIN>;
"""


def rollup_rss(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return harness.kilobytes(text, "Rss")


def wait_idle(pid):
    """Until the program has done what it was asked for: each thread sleeps, and none has
    used the processor since a moment ago."""

    def threads():
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        fields = [(task / "stat").read_text().rpartition(")")[2].split() for task in tasks]
        return [(field[0], field[11], field[12]) for field in fields]

    def is_idle():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread ended
            before = threads()
            time.sleep(0.1)
            return all(thread[0] == "S" for thread in before) and threads() == before
        return False

    harness.until(is_idle, f"process {pid} idle")


def read_idle(pid):
    """A reading in which no thread has run: a server's timers may wake one at any time."""

    def switches():
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return {task.name: re.findall(r"ctxt_switches:\s*(\d+)", (task / "status").read_text())
                for task in tasks}

    def attempt():
        wait_idle(pid)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread ended
            before = switches()
            reading = harness.stat(pid)
            return reading if switches() == before else None
        return None

    return harness.until(attempt, f"a reading of process {pid} idle")


def check(tap, pid, allocator=None):
    reading = read_idle(pid)
    row = reading.row
    tap.equal(row["status"], "complete", "status", row.get("missing"), row.get("in_doubt_bytes"))
    tap.equal(row["allocator"], allocator or f"glibc-{Libc('host').version}", "allocator")
    rss = rollup_rss(pid)
    tap.within(row["rss_bytes"], rss * 0.98, rss * 1.02, "rss_bytes against the kernel")
    harness.check_parts(tap, row)
    tap.within(row["live_bytes"], 1, row["system_bytes"], "live_bytes")
    tap.equal(sum(a["system_bytes"] for a in reading.arenas), row["system_bytes"],
              "system_bytes is the sum of its arenas")


# Of the machine, not of the program.
SURROUNDINGS = ("host", "cgroup_max", "cgroup_high", "commit_limit")


def check_healthy(tap, pid):
    """A server at rest has no illness; its program file may be the most of it."""
    done = harness.fragscope("report", "-p", pid, "--for", "1s", "--no-events", "--json")
    tap.equal(done.returncode, 0, "a report", done.stderr)
    found = json.loads(done.stdout)
    ill = [
        verdict["headline"]
        for verdict in found["verdicts"]
        if verdict["severity"] != "note"
        and verdict["verdict"] != "not_malloc"
        and (verdict["verdict"] != "near_limit" or found["nearest_limit"] not in SURROUNDINGS)
    ]
    tap.equal(ill, [], "no verdict", found["answer"])


def connect(target, path):
    """A connection to a server's socket, once it listens."""

    def attempt():
        if target.process.poll() is not None:
            raise RuntimeError(f"{target.command[0]} ended: {target.process.returncode}")
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(str(path))
        except OSError:
            peer.close()
            return None
        return peer

    return harness.until(attempt, f"{target.command[0]} listening")


def server(command, directory):
    """A server whose output goes to a log that is printed if it fails."""
    log = open(pathlib.Path(directory) / "log", "wb")  # closed with the child's copy
    with contextlib.closing(log):
        return Target(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def as_user(option, *value):
    """Many servers refuse to run as root unless they are told whom to become."""
    return [option, *value] if os.geteuid() == 0 else []


def check_owners(tap, pid):
    """Nearly all of what pins, and of all that is in use, has an owner."""
    for words, what in (((), "what pins"), (("--live",), "all chunks")):
        done = harness.fragscope("owners", "-p", pid, "--json", *words)
        found = json.loads(done.stdout)
        tap.ok(found["rooted_bytes"] >= 0.95 * found["asked_bytes"],
               f"owners: {what} from a root", found["rooted_bytes"], found["asked_bytes"])


def run_memcached(tap):
    path = harness.need("memcached")
    with harness.scratch() as directory:
        listening = directory / "socket"
        command = [path, "-s", listening, "-m", 64, "-t", 4]
        with server(command + as_user("-u", "root"), directory) as target:
            with connect(target, listening) as peer:
                for key in range(20000):
                    value = b"v" * (key * 37 % 3000)
                    peer.sendall(b"set k%d 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value))
                for key in range(0, 20000, 2):
                    peer.sendall(b"delete k%d noreply\r\n" % key)
                peer.sendall(b"version\r\n")
                tap.ok(peer.recv(100).startswith(b"VERSION"), "memcached serves")
                check(tap, target.pid)
                check_healthy(tap, target.pid)
                check_owners(tap, target.pid)


NGINX = """
daemon off; worker_processes 1; master_process on; pid {dir}/pid; {user}
error_log {dir}/error; events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;
  fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{ listen unix:{dir}/socket; root {dir}; }}
}}
"""


def children(pid):
    return [
        int(child)
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ]


def run_nginx(tap):
    path = harness.need("nginx")
    with harness.scratch() as directory:
        user = "user root;" if os.geteuid() == 0 else ""
        conf = directory / "conf"
        conf.write_text(NGINX.format(dir=directory, user=user))
        (directory / "page").write_text("x" * 20000)
        with server([path, "-c", conf, "-e", directory / "error"], directory) as target:
            for _ in range(300):
                with connect(target, directory / "socket") as peer:
                    peer.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                    while peer.recv(65536):
                        pass
            for pid in [target.pid, *children(target.pid)]:
                name = "master" if pid == target.pid else "worker"
                with tap.section(f"nginx {name}"):
                    check(tap, pid)
                    check_healthy(tap, pid)
                    check_owners(tap, pid)


SQL = """
CREATE DATABASE t; USE t; CREATE TABLE r (id INT PRIMARY KEY AUTO_INCREMENT, v TEXT);
INSERT INTO r (v) SELECT REPEAT('x', 50 + seq % 900) FROM seq_1_to_30000;
SELECT COUNT(*), MAX(LENGTH(v)) FROM r ORDER BY v DESC; DELETE FROM r WHERE id % 3 = 0;
SELECT GROUP_CONCAT(v) FROM r WHERE id < 500; SELECT 'done';
"""


def run_mariadbd(tap):
    path, install, client = harness.need("mariadbd", "mariadb-install-db", "mariadb")
    with harness.scratch() as directory:
        data, listening = directory / "data", directory / "socket"
        options = ["--no-defaults", f"--datadir={data}", *as_user("--user=root")]
        subprocess.run(
            [install, *options, "--auth-root-authentication-method=normal", "--skip-test-db",
             "--force"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=CLEAN_ENV,
        )
        command = [path, *options, f"--socket={listening}", "--skip-networking",
                   f"--pid-file={directory}/pid", "--innodb-buffer-pool-size=16M"]
        with server(command, directory) as target:
            connect(target, listening).close()
            done = subprocess.run(
                [client, "--no-defaults", f"--socket={listening}", "-uroot", "-N"],
                input=SQL, capture_output=True, text=True, env=CLEAN_ENV, check=False,
                timeout=harness.PATIENCE_S,
            )
            tap.ok(done.stdout.endswith("done\n"), "mariadbd serves", done.stderr)
            check(tap, target.pid)
            check_healthy(tap, target.pid)
            check_owners(tap, target.pid)


def run_interpreter(tap, command, environment=None):
    env = {**CLEAN_ENV, **(environment or {})}
    with Target(command, env=env) as target:
        tap.equal(target.line(), "ready", "the program runs")
        check(tap, target.pid)


# ---- libcs that are not where their path says -----------------------------------------


def libc_tree(libc, root):
    """What the oracle needs of a libc, in a root file system of its own."""
    library = root / "lib" / libc.loader.parent.name
    library.mkdir(parents=True)
    (root / "lib64").mkdir()
    for name in ("libc.so.6", "libpthread.so.0", "libdl.so.2"):
        shutil.copy(libc.loader.parent / name, library / name)
    loaders = [root / "lib64" / libc.loader.name, library / libc.loader.name]
    for loader in loaders:
        shutil.copy(libc.loader, loader)
    (root / "old").mkdir()
    (root / "proc").mkdir()
    shutil.copy(harness.program("oracle", "portable"), root / "oracle")
    return library


def check_oracle(tap, target, libc):
    reading = harness.stat(target.pid)
    tap.equal(reading.row["status"], "complete", "status", reading.row.get("missing"))
    tap.equal(reading.row["mallinfo2"], target.info(), "mallinfo2")
    tap.equal(reading.row["allocator"], f"glibc-{libc.version}", "allocator")
    harness.check_parts(tap, reading.row)


class Told(Oracle):
    """An oracle that was started by a command of the test's own."""

    def __init__(self, command):  # pylint: disable=super-init-not-called
        Target.__init__(self, command)
        line = self.line()
        if not line.startswith("ready "):
            self.end()
            raise RuntimeError(f"the oracle is not ready: {line}")


SCENARIO = "--threads 3 --chunks 4000 --free-pattern random:50 --tcache --fast 200".split()

# The root of a mount namespace of its own: maps then names a libc that for us, under the
# same path, is another file.
PIVOT = """
mount --make-rprivate / && mount --bind "$0" "$0" && mount --rbind /proc "$0/proc" &&
cd "$0" && pivot_root . old && exec /oracle "$@"
"""


def run_other_mounts(tap, version):
    harness.need_root("a mount namespace")
    unshare = harness.need("unshare")
    harness.need("pivot_root", "mount")
    libc = Libc(version)
    env = {**CLEAN_ENV, "PATH": CLEAN_ENV["PATH"] + ":/usr/sbin:/sbin"}
    with harness.scratch() as root:
        libc_tree(libc, root)
        command = [unshare, "-m", "sh", "-c", PIVOT, root, *SCENARIO]
        probe = subprocess.run([unshare, "-m", "true"], capture_output=True, text=True,
                               env=env, check=False)
        if probe.returncode != 0:
            raise Skip(f"no mount namespace: {probe.stderr}")
        with Told(command) as target:
            named = re.search(r"\S*/libc\S*\.so\S*$", target.proc("maps"), re.M).group(0)
            tap.ok(not named.startswith(str(root)), f"maps names {named}")
            check_oracle(tap, target, libc)


def run_other_pids(tap):
    """In a PID namespace the target knows itself by another number."""
    harness.need_root("a PID namespace")
    unshare = harness.need("unshare")
    oracle = harness.program("oracle")
    with Told([unshare, "--pid", "--fork", "--mount-proc", oracle, *SCENARIO]) as target:
        row = harness.stat(children(target.pid)[0]).row
        tap.equal(row["status"], "complete", "status", row.get("missing"))
        tap.equal(row["mallinfo2"], target.info(), "mallinfo2")
        target.process.stdin.close()  # the end of its input ends it


def run_replaced(tap, version, other):
    libc = Libc(version)
    with harness.scratch() as root:
        library = libc_tree(libc, root)
        loader = library / libc.loader.name
        with Told([loader, "--library-path", library, root / "oracle", *SCENARIO]) as target:
            with tap.section(f"{version} replaced by {other}"):
                shutil.copy(Libc(other).loader.parent / "libc.so.6", library / "new")
                (library / "new").rename(library / "libc.so.6")
                check_oracle(tap, target, libc)
            with tap.section(f"{version} deleted"):
                shutil.rmtree(root)
                root.mkdir()
                check_oracle(tap, target, libc)


def main():
    tap = Tap()
    for name, run in (("memcached", run_memcached), ("nginx", run_nginx),
                      ("mariadbd", run_mariadbd)):
        with tap.section(name):
            run(tap)
    with tap.section("python3"):
        run_interpreter(tap, [harness.need("python3"), "-c", PYTHON], {"PYTHONMALLOC": "malloc"})
    with tap.section("perl"):
        run_interpreter(tap, [harness.need("perl"), "-e", PERL])
    for version in harness.OTHER_LIBCS:
        with tap.section(f"another mount namespace, libc {version}"):
            run_other_mounts(tap, version)
    with tap.section("another PID namespace"):
        run_other_pids(tap)
    with tap.section("libc no longer on disk"):
        run_replaced(tap, "2.31", "2.43")
        run_replaced(tap, "2.43", "2.36")
    tap.done()


if __name__ == "__main__":
    main()
