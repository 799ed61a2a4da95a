"""Servers and interpreters with the sampler in them: they serve, they are told, and they end
when they are asked to."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import harness
import preloading
import test_servers
from harness import CLEAN_ENV, Tap, Target
from test_servers import as_user, children, connect

NGINX = """
daemon off; worker_processes 2; master_process on; pid {dir}/pid; {user}
error_log {dir}/error; events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b;
  fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{ listen unix:{dir}/socket; root {dir}; }}
}}
"""


@contextlib.contextmanager
def server(command, env):
    """A server in a directory of its own, {dir} in its words; its output goes to a log."""
    with harness.scratch() as directory:
        with open(directory / "log", "wb") as log:
            words = [str(word).replace("{dir}", str(directory)) for word in command]
            target = Target(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env)
        target.directory = directory
        with target:
            yield target


def check(tap, pid):
    reading = preloading.next_whole_sample(pid, "--arenas")
    row = reading.row
    # A thread that let one in would take it from the thread that waits for it.
    tap.equal(preloading.open_signals(pid), 0, "the sampler's thread lets no signal in")
    tap.equal(row["source"], "preload", "source")
    if "glibc" in row["allocator"]:
        tap.equal(row["status"], "complete", "status", row.get("missing"))
        tap.within(row["free_bytes"], 1, row["system_bytes"], "free_bytes")
        tap.equal(sum(arena["system_bytes"] for arena in reading.arenas), row["system_bytes"],
                  "system_bytes is the sum of its arenas")
    return row


def check_ending(tap, target):
    os.kill(target.pid, signal.SIGTERM)
    tap.equal(target.process.wait(timeout=harness.PATIENCE_S), 0, "ends well at SIGTERM")


def run_memcached(tap):
    path = harness.need("memcached")
    command = [path, "-s", "{dir}/socket", "-m", 64, "-t", 4, *as_user("-u", "root")]
    with server(command, preloading.environment()) as target:
        with connect(target, str(target.directory / "socket")) as peer:
            for key in range(5000):
                value = b"v" * (key * 37 % 3000)
                peer.sendall(b"set k%d 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value))
            peer.sendall(b"version\r\n")
            tap.ok(peer.recv(100).startswith(b"VERSION"), "serves")
            check(tap, target.pid)
        check_ending(tap, target)


def run_redis(tap):
    path = harness.need("redis-server")
    command = [path, "--port", "0", "--unixsocket", "{dir}/socket", "--dir", "{dir}",
               "--save", ""]
    with server(command, preloading.environment()) as target:
        with connect(target, str(target.directory / "socket")) as peer:
            for key in range(5000):
                peer.sendall(b"SET k%d %s\r\n" % (key, b"v" * (key % 1000)))
            peer.sendall(b"PING\r\n")
            said = b""
            while b"PONG" not in said:
                said = said[-10:] + peer.recv(65536)
            # A copy in a child, as Redis makes for its snapshots.
            peer.sendall(b"BGSAVE\r\n")
            tap.ok(b"started" in peer.recv(100), "serves, and forks")
            row = check(tap, target.pid)
            tap.ok("jemalloc" in row["allocator"] or "glibc" in row["allocator"],
                   f"its allocator is told: {row['allocator']}")
        check_ending(tap, target)


def run_nginx(tap):
    path = harness.need("nginx")
    with harness.scratch() as directory:
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "conf").write_text(
            NGINX.format(dir=directory, user=user))
        (directory / "page").write_text("x" * 20000)
        words = [path, "-c", directory / "conf", "-e", directory / "error"]
        with server(words, preloading.environment()) as target:
            for _ in range(100):
                with connect(target, str(directory / "socket")) as peer:
                    peer.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                    while peer.recv(65536):
                        pass
            for pid in [target.pid, *children(target.pid)]:
                with tap.section("master" if pid == target.pid else "worker"):
                    check(tap, pid)
            check_ending(tap, target)


def run_mariadbd(tap):
    path, client, install = harness.need("mariadbd", "mariadb", "mariadb-install-db")
    with harness.scratch() as directory:
        subprocess.run(
            [install, "--no-defaults", f"--datadir={directory}/data", *as_user("--user=root"),
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=CLEAN_ENV)
        listening = str(directory / "socket")
        command = [path, "--no-defaults", f"--datadir={directory}/data", *as_user("--user=root"),
                   f"--socket={listening}", "--skip-networking", f"--pid-file={directory}/pid",
                   "--innodb-buffer-pool-size=16M"]
        with server(command, preloading.environment()) as target:
            connect(target, listening).close()
            done = subprocess.run(
                [client, "--no-defaults", f"--socket={listening}", "-uroot", "-N"],
                input=test_servers.SQL, capture_output=True, text=True, env=CLEAN_ENV, check=False,
                timeout=harness.PATIENCE_S)
            tap.ok(done.stdout.endswith("done\n"), "serves", done.stderr)
            check(tap, target.pid)
            check_ending(tap, target)


def run_python(tap):
    env = preloading.environment(PYTHONMALLOC="malloc")
    with Target([sys.executable, "-c", test_servers.PYTHON], env=env) as target:
        tap.equal(target.line(), "ready", "runs")
        check(tap, target.pid)
        target.process.stdin.close()
        tap.equal(target.process.wait(timeout=harness.PATIENCE_S), 0, "and ends")


def run_unit(tap):
    """Under `run`, as from a unit file: a server is stopped by its supervisor's signal."""
    path = harness.need("memcached")
    command = [harness.FRAGSCOPE, "run", "-i", "50ms", "--", path, "-s", "{dir}/socket",
               *as_user("-u", "root")]
    with server(command, CLEAN_ENV) as target:
        connect(target, str(target.directory / "socket")).close()
        check(tap, children(target.pid)[0])
        check_ending(tap, target)
        log = pathlib.Path(target.directory / "log").read_text(encoding="utf-8")
        tap.ok("fragscope" not in log, "nothing is said on its streams", log)


def main():
    tap = Tap()
    for name, run in (("memcached", run_memcached), ("redis-server", run_redis),
                      ("nginx", run_nginx), ("mariadbd", run_mariadbd), ("python3", run_python),
                      ("under run", run_unit)):
        with tap.section(name):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
