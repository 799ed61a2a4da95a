"""Programs whose memory is not glibc malloc's: the report says so first, how much and whose,
and names what goes on from there; each setting and tool that it names is tried here."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import harness
import test_servers
from harness import CLEAN_ENV, Skip, Tap, Target

MIB = 1 << 20
NONE = "not glibc malloc's"


class Program(Target):
    """One that says "ready" when it has its memory."""

    def __init__(self, command, **options):
        super().__init__(command, **options)
        try:
            while not self.line().startswith("ready"):
                pass
        except BaseException:
            self.end()
            raise


def report(pid):
    done = harness.fragscope("report", "-p", pid, "--for", "0", "--json")
    if done.returncode != 0:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def settled(pid):
    """The report of a reading that the program did not disturb: what is in doubt of one is
    not said to be anybody's."""
    def untorn():
        found = report(pid)
        return found if found["sample"]["status"] != "torn" else None

    return harness.until(untorn, "a reading that is not torn")


def check(tap, pid, runtime, memory, remedies, whose="not malloc's"):
    """The first sentence, and what the verdict names."""
    found = settled(pid)
    answer = found["answer"]
    tap.ok(answer.startswith("Not malloc's memory: "), "comes first", answer)
    tap.ok(whose in answer and memory in answer, "whose it is", answer)
    tap.ok(re.search(r", \d\S* of it " + re.escape(memory), answer), "how much", answer)
    tap.equal(found["not_malloc"].get("runtime"), runtime, "the runtime's name")
    remedy = found["verdicts"][0]["remedy"]
    for word in remedies:
        tap.ok(word in remedy, f"it names {word}", remedy)
    tap.ok("PID" not in remedy, "and the process", remedy)
    return found


def run(tool, *args, **options):
    done = subprocess.run(
        [tool, *map(str, args)], capture_output=True, text=True, check=False,
        **{"env": CLEAN_ENV, "timeout": harness.PATIENCE_S, **options},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{tool}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def find(found, kind):
    """The verdict of that kind, or none."""
    return next((one for one in found["verdicts"] if one["verdict"] == kind), None)


@contextlib.contextmanager
def strace(pid, calls):
    """Who makes CALLS, as the report says it: what it told is in the list."""
    tool = harness.need("strace")
    with harness.scratch() as directory:
        log = directory / "log"
        command = [tool, "-f", "-k", "-e", f"trace={calls}", "-o", log, "-p", pid]
        child = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        said = []
        try:
            status = pathlib.Path(f"/proc/{pid}/status")
            try:
                harness.until(
                    lambda: f"TracerPid:\t{child.pid}" in status.read_text("ascii")
                    or child.poll() is not None,
                    "strace",
                )
            except TimeoutError as error:
                raise Skip("strace does not attach here") from error
            if child.poll() is not None:
                raise Skip(f"strace: {child.stderr.read().decode()}")
            yield said
        finally:
            child.send_signal(signal.SIGINT)
            child.wait()
            child.stderr.close()
            if log.exists():
                said.append(log.read_text(errors="replace"))


# ---- the program's own mappings ---------------------------------------------------------


def run_own(tap):
    with Program([harness.program("late"), "300"]) as target:
        memory = "anonymous memory that the program maps itself"
        check(tap, target.pid, None, memory, ["smaps", "strace -f -k -e trace=mmap"], NONE)
        with strace(target.pid, "mmap") as said:
            target.say("o")
            target.line()
        tap.ok("map_own" in said[0], "strace tells who", said[0][-2000:])
    with Program([harness.program("late"), "20"]) as target:
        answer = report(target.pid)["answer"]
        tap.ok(answer.startswith("No known problem: "), "little of it", answer)
        tap.ok("none of it glibc malloc's, 20.0M of it anonymous" in answer, "is told", answer)


def run_files(tap):
    """Pages of a file are the kernel's to take back: a note. Of one in memory they are not."""
    with harness.scratch() as directory:
        path = directory / "data.mdb"
        with open(path, "wb") as file:
            file.truncate(200 * MIB)
        with Program([harness.program("late"), "20", path]) as target:
            kept = harness.kilobytes(target.proc("status"), "RssFile")
            if kept < 200 * MIB:
                raise Skip("the directory for tests is in memory")
            found = report(target.pid)
            tap.ok(found["answer"].startswith("No known problem: "), "no problem", found["answer"])
            notes = [(one["verdict"], one["severity"]) for one in found["verdicts"]]
            tap.equal(notes, [("not_malloc", "note")], "but a note")
            note = found["verdicts"][0]
            tap.ok(" of it mapped files" in note["headline"], "of files", note["headline"])
            tap.ok(str(path) in note["evidence"], "which file", note["evidence"])
            tap.ok("takes them back" in note["remedy"], "nothing is to be done", note["remedy"])
            told = found["not_malloc"]["page_cache_bytes"]
            tap.within(told, kept - 16 * MIB, kept + 16 * MIB, "how much")
            target.say("r")
            if target.line() != "reclaimed":
                raise Skip("this kernel reclaims no memory by madvise")
            left = harness.kilobytes(target.proc("status"), "RssFile")
            tap.within(left, 0, kept // 2, "the kernel takes it back")
    room = os.statvfs("/dev/shm")
    if room.f_bavail * room.f_frsize < 400 * MIB:
        raise Skip("/dev/shm is too small")
    with open("/dev/shm/" + directory.name, "wb") as file:
        try:
            file.truncate(200 * MIB)
            with Program([harness.program("late"), "20", file.name]) as target:
                check(tap, target.pid, None, "shared memory", ["strace"], NONE)
        finally:
            os.unlink(file.name)


# The ring of a packet socket that receives nothing: 64 MB of the kernel's pages.
RING = """
import mmap, socket, struct, sys
try:
    own = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    own.setsockopt(263, 5, struct.pack("4I", 1 << 16, 1 << 10, 1 << 16, 1 << 10))
    ring = mmap.mmap(own.fileno(), 1 << 26)
    print("ready", flush=True)
except OSError as error:
    print(error, flush=True)
sys.stdin.read()
"""


def run_ring(tap):
    """The kernel counts it as a file's, and cannot take it back."""
    harness.need_root("a packet socket")
    with Target([harness.need("python3"), "-c", RING]) as target:
        said = target.line()
        if said != "ready":
            raise Skip(f"no ring of a packet socket: {said}")
        kept = harness.kilobytes(target.proc("status"), "RssFile")
        if kept < 64 * MIB:
            raise Skip("this kernel does not count the ring as resident")
        told = report(target.pid)["not_malloc"].get("page_cache_bytes", 0)
        tap.within(told, 0, kept - 60 * MIB, "it is no page cache", kept)


def run_musl(tap):
    compiler = harness.need("musl-gcc")
    source = harness.SOURCE / "tests/programs/late.c"
    path = harness.compile_program("late-musl", [compiler], source, [])
    with Program([path, "300"]) as target:
        memory = "anonymous memory, where musl's malloc has its own"
        check(tap, target.pid, "musl", memory,
              ["built for glibc", "strace -f -e trace=brk,mmap,munmap"], NONE)
        with strace(target.pid, "brk,mmap,munmap") as said:
            target.say("m")
            target.line()
        tap.ok(re.search(r"\b(brk|mmap)\(", said[0]), "strace tells calls", said[0][-2000:])
    with Program([harness.program("late"), "300"]) as target:
        target.say("m")
        target.line()
        held = report(target.pid)["sample"].get("live_bytes", 0)
        tap.within(held, 2000000, 2200000, "built for glibc its heap is told")


# ---- Go ---------------------------------------------------------------------------------

GO = """package main
import ("bufio"; "fmt"; "os"; "runtime/pprof")
var held [][]byte
var last []byte
//go:noinline
func block() []byte {
	b := make([]byte, 64<<10)
	for at := range b { b[at] = 1 }
	return b
}
//go:noinline
func hold(megabytes int) {
	for i := 0; i < megabytes*16; i++ { held = append(held, block()) }
}
func main() {
	hold(80)
	for i := 0; i < 16000; i++ { last = block() }
	profile, err := os.Create(os.Args[1])
	if err != nil { panic(err) }
	pprof.WriteHeapProfile(profile)
	profile.Close()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\\n')
	fmt.Println(len(held), len(last))
}
"""


def run_go(tap):
    tool = harness.need("go")
    with harness.scratch() as directory:
        (directory / "main.go").write_text(GO, "ascii")
        env = {**CLEAN_ENV, "HOME": str(directory), "GO111MODULE": "off", "CGO_ENABLED": "0",
               "GOCACHE": str(directory / "cache"), "GOTELEMETRY": "off"}
        program, profile = directory / "holder", directory / "profile"
        run(tool, "build", "-o", program, directory / "main.go", env=env)
        memory = "the Go runtime's anonymous memory"
        with Program([program, profile]) as target:
            check(tap, target.pid, "go", memory, ["GOMEMLIMIT=SIZE", "go tool pprof -top"], NONE)
            without = target.rollup("Rss")
        top = run(tool, "tool", "pprof", "-top", program, profile, env=env)
        tap.ok("main.block" in top, "the profile tells who", top)
        with Program([program, profile], env={**CLEAN_ENV, "GOMEMLIMIT": "100MiB"}) as target:
            limited = target.rollup("Rss")
        tap.ok(limited < 110 * MIB, "GOMEMLIMIT bounds it", limited)
        tap.ok(without > limited + 20 * MIB, "and it was more before", without, limited)


# ---- CPython ----------------------------------------------------------------------------

PYTHON = """
import sys, tracemalloc
held = [(i, i + 1) for i in range(1500000)]
if tracemalloc.is_tracing():
    print(tracemalloc.take_snapshot().statistics("lineno")[0], flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


def run_python(tap):
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        raise Skip(f"{python} is not installed")
    with harness.scratch() as directory:
        script = directory / "holder.py"
        script.write_text(PYTHON, "ascii")
        with Program([python, script]) as target:
            memory = "anonymous memory, where CPython has its object arenas"
            found = check(tap, target.pid, "cpython", memory,
                          ["PYTHONMALLOC=malloc", "python3 -X tracemalloc"])
            before = found
        env = {**CLEAN_ENV, "PYTHONMALLOC": "malloc"}
        with Program([python, script], env=env) as target:
            after = report(target.pid)
        live = [found["sample"]["live_bytes"] for found in (before, after)]
        tap.ok(live[1] > live[0] + 80 * MIB, "PYTHONMALLOC=malloc: objects are malloc's", live)
        other = [found["not_malloc"]["anonymous_bytes"] for found in (before, after)]
        tap.ok(other[1] < other[0] / 2, "and nobody else's", other)
        said = run(python, "-X", "tracemalloc", script, stdin=subprocess.DEVNULL)
        tap.ok("holder.py:3" in said, "tracemalloc tells the line", said)


# ---- PHP --------------------------------------------------------------------------------

PHP = """<?php
$held = [];
for ($i = 0; $i < 300000; $i++) $held[] = str_repeat("x", 200) . $i;
echo "ready ", memory_get_usage(), "\n";
fgets(STDIN);
$held = null;
echo "dropped\n";
fgets(STDIN);
gc_mem_caches();
echo "given back\n";
fgets(STDIN);
"""


def run_php(tap):
    php = harness.need("php")
    with harness.scratch() as directory:
        script = directory / "holder.php"
        script.write_text(PHP, "ascii")
        with Target([php, "-d", "memory_limit=-1", script]) as target:
            held = int(target.line().split()[1])
            memory = "anonymous memory, where PHP has what scripts hold"
            before = check(tap, target.pid, "php", memory,
                           ["memory_limit", "memory_get_usage()", "gc_mem_caches()",
                            "USE_ZEND_ALLOC=0"])
            anonymous = before["not_malloc"]["anonymous_bytes"]
            tap.within(held, anonymous * 0.7, anonymous * 1.1, "memory_get_usage() has it")
            target.say("")
            target.line()
            kept = target.rollup("Rss")
            target.say("")
            target.line()
            tap.ok(target.rollup("Rss") < kept - 40 * MIB, "gc_mem_caches() gives back", kept)
        with Target([php, "-d", "memory_limit=-1", script],
                    env={**CLEAN_ENV, "USE_ZEND_ALLOC": "0"}) as target:
            target.line()
            after = report(target.pid)
        live = [found["sample"]["live_bytes"] for found in (before, after)]
        tap.ok(live[1] > live[0] + 60 * MIB, "USE_ZEND_ALLOC=0: it is malloc's", live)
        done = subprocess.run([php, "-d", "memory_limit=32M", script], capture_output=True,
                              text=True, check=False, stdin=subprocess.DEVNULL)
        tap.ok("33554432 bytes exhausted" in done.stdout + done.stderr, "memory_limit bounds it",
               done.stdout, done.stderr)


# ---- Erlang -----------------------------------------------------------------------------

# The memory of binaries, or none where Erlang does not know it.
ERLANG = ("Held = [<<I:4000>> || I <- lists:seq(1, 100000)], "
          "Known = try erlang:memory(binary) catch error:notsup -> 0 end, "
          'io:format("ready ~p~n", [Known]), io:get_line(""), '
          'io:format("~p~n", [length(Held)]), halt().')


def run_erlang(tap):
    erl = harness.need("erl")
    found = {}
    for name, options in (("own", ()), ("malloc", ("+Mea", "min"))):
        with Target([erl, *options, "-noshell", "-eval", ERLANG]) as target:
            known = int(target.line().split()[1])
            if name == "own":
                memory = "anonymous memory, where Erlang has its processes, binaries and tables"
                found[name] = check(tap, target.pid, "erlang", memory,
                                    ["erlang:memory()", "'erl +Mea min'"])
                tap.within(known, 50000000, 80000000, "erlang:memory() has the binaries")
            else:
                found[name] = report(target.pid)
                tap.equal(known, 0, "+Mea min: without erlang:memory()")
    live = {name: one["sample"]["live_bytes"] for name, one in found.items()}
    tap.ok(live["malloc"] > live["own"] + 50 * MIB, "+Mea min: it is malloc's", live)


# ---- MariaDB ----------------------------------------------------------------------------

ROWS = """
CREATE DATABASE t; USE t;
CREATE TABLE r (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(250));
INSERT INTO r (v) SELECT REPEAT('x', 240) FROM seq_1_to_400000;
SHOW ENGINE INNODB STATUS;
"""


def run_mariadb(tap):
    path, install, client = harness.need("mariadbd", "mariadb-install-db", "mariadb")
    with harness.scratch() as directory:
        listening = directory / "socket"
        options = ["--no-defaults", f"--datadir={directory}/data",
                   *test_servers.as_user("--user=root")]
        run(install, *options, "--auth-root-authentication-method=normal", "--skip-test-db",
            "--force")

        def ask(said):
            return run(client, "--no-defaults", f"--socket={listening}", "-uroot", "-N", input=said)

        command = [path, *options, f"--socket={listening}", "--skip-networking",
                   f"--pid-file={directory}/pid", "--innodb-buffer-pool-size=256M",
                   "--innodb-flush-log-at-trx-commit=0"]
        with test_servers.server(command, directory) as target:
            test_servers.connect(target, listening).close()
            status = ask(ROWS)
            memory = "anonymous memory, where MariaDB's InnoDB has its buffer pool"
            check(tap, target.pid, "mariadb", memory,
                  ["innodb_buffer_pool_size", "SET GLOBAL", "SHOW ENGINE INNODB STATUS"])
            large = re.search(r"Total large memory allocated (\d+)", status)
            tap.ok(large and int(large[1]) > 250 * MIB, "the status says how much", status[-500:])
            before = target.rollup("Rss")
            ask("SET GLOBAL innodb_buffer_pool_size=16777216;")
            harness.until(lambda: target.rollup("Rss") < before - 50 * MIB, "a smaller pool")
            tap.reached("a smaller pool is smaller")


# ---- memcached --------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def connect(port):
    with contextlib.suppress(OSError):
        return socket.create_connection(("127.0.0.1", port), timeout=60)
    return None


@contextlib.contextmanager
def memcached(limit):
    """One that was told to keep 100 MB, and may keep LIMIT MB."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [harness.need("memcached"), *user, "-l", "127.0.0.1", "-p", port, "-m", limit]
    with Target(command, stderr=subprocess.DEVNULL) as target:
        with harness.until(lambda: connect(port), "memcached") as link:
            value = b"x" * 1000
            for i in range(100000):
                link.sendall(b"set k%d 0 0 1000 noreply\r\n%s\r\n" % (i, value))
            link.sendall(b"stats slabs\r\n")
            said = b""
            while b"END\r\n" not in said:
                said += link.recv(65536)
            yield target, said.decode()


def run_memcached(tap):
    with memcached(512) as (target, slabs):
        answer = report(target.pid)["answer"]
        tap.ok("It is memcached: '-m MB' limits its slabs, and 'stats slabs'" in answer,
               "whose it is", answer)
        held = re.search(r"total_malloced (\d+)", slabs)
        tap.ok(held and int(held.group(1)) > 90 * MIB, "stats slabs tells of them", slabs[-500:])
        before = target.rollup("Rss")
    with memcached(32) as (target, slabs):
        after = target.rollup("Rss")
    tap.ok(after < before - 50 * MIB, "-m bounds it", before, after)


# ---- V8 and the JVM ---------------------------------------------------------------------

NODE = """
let held = [];
for (let i = 0; i < 300000; i++) held.push({a: i, b: [i, i]});
let sum = 0;
for (let r = 0; r < 60; r++) {
    let passing = [];
    for (let i = 0; i < 200000; i++) passing.push({a: i, b: [i, i]});
    sum += passing.length;
}
console.log("ready", sum);
process.stdin.on("data", () => process.exit(held.length > 0 ? 0 : 1));
"""


def run_node(tap):
    node = harness.need("node")
    with harness.scratch() as directory:
        (directory / "holder.js").write_text(NODE, "ascii")
        where = {"cwd": directory}
        with Program([node, "--heapsnapshot-signal=SIGUSR2", "holder.js"], **where) as target:
            memory = "V8's anonymous memory: heaps and code"
            check(tap, target.pid, "v8", memory,
                  ["--max-old-space-size=MB", "--heapsnapshot-signal=SIGUSR2"])
            os.kill(target.pid, signal.SIGUSR2)
            harness.until(lambda: list(directory.glob("*.heapsnapshot")), "a snapshot")
            tap.reached("a signal writes a snapshot")
        peaks = {}
        for size in (64, 2000):
            command = [node, f"--max-old-space-size={size}", "holder.js"]
            with Program(command, **where) as target:
                peaks[size] = target.status("VmHWM")
        tap.ok(peaks[64] < peaks[2000] - 16 * MIB, "--max-old-space-size bounds it", peaks)


JAVA = """
import java.util.*;
public class Holder {
    static List<byte[]> held = new ArrayList<>();
    static byte[] last;
    public static void main(String[] words) throws Exception {
        for (int i = 0; i < 300; i++) held.add(new byte[100000]);
        for (int i = 0; i < 20000; i++) { last = new byte[100000]; last[i % 100] = 1; }
        System.out.println("ready");
        System.in.read();
    }
}
"""


def run_java(tap):
    java, compiler, jcmd = harness.need("java", "javac", "jcmd")
    with harness.scratch() as directory:
        (directory / "Holder.java").write_text(JAVA, "ascii")
        run(compiler, "-d", directory, directory / "Holder.java")
        command = [java, "-XX:NativeMemoryTracking=summary", "-cp", directory]
        with Program([*command, "-Xmx1g", "Holder"]) as target:
            memory = "the JVM's anonymous memory: heap, classes, code"
            check(tap, target.pid, "jvm", memory,
                  ["-Xmx", f"jcmd {target.pid} GC.heap_info",
                   f"jcmd {target.pid} VM.native_memory", "-XX:NativeMemoryTracking=summary"])
            said = run(jcmd, target.pid, "VM.native_memory")
            tap.ok(re.search(r"Java Heap .*reserved=", said), "jcmd tells the parts", said[:500])
            said = run(jcmd, target.pid, "GC.heap_info")
            tap.ok(re.search(r"total \d+K, used \d+K", said), "and the heap", said)
            without = target.rollup("Rss")
        with Program([*command, "-Xmx64m", "Holder"]) as target:
            limited = target.rollup("Rss")
        tap.ok(limited < without - 50 * MIB, "-Xmx bounds it", without, limited)


# What zlib had for streams that are closed, but for each tenth, which keeps its place.
JAVA_STREAMS = """
import java.util.zip.*;
public class Streams {
    public static void main(String[] words) throws Exception {
        Deflater[] streams = new Deflater[400];
        byte[] text = new byte[100000];
        for (int i = 0; i < streams.length; i++) {
            streams[i] = new Deflater();
            streams[i].setInput(text);
            streams[i].deflate(new byte[1000]);
        }
        for (int i = 0; i < streams.length; i++)
            if (i % 10 != 0) streams[i].end();
        System.out.println("ready");
        System.in.read();
        System.out.println(streams[0].getTotalIn());
    }
}
"""


def run_java_trim(tap):
    java, compiler, jcmd = harness.need("java", "javac", "jcmd")
    with harness.scratch() as directory:
        (directory / "Streams.java").write_text(JAVA_STREAMS, "ascii")
        run(compiler, "-d", directory, directory / "Streams.java")
        with Program([java, "-Xmx64m", "-cp", directory, "Streams"]) as target:
            if "System.trim_native_heap" not in run(jcmd, target.pid, "help"):
                raise Skip("this JVM has no System.trim_native_heap")
            remedy = find(settled(target.pid), "cache")["remedy"]
            command = f"jcmd {target.pid} System.trim_native_heap"
            tap.ok(f"'{command}'" in remedy, "a trim is by jcmd", remedy)
            tap.ok("fragscope trim" not in remedy, "and by no thread of its own", remedy)
            done = harness.fragscope("trim", "--attach", "--for", "100ms", target.pid)
            # Of a machine that stood still, the last look may have come to no thread.
            if "in code of no file" not in done.stderr:
                tap.skip("no time helps", done.stderr.strip())
            else:
                tap.ok("which is no help where code of no file is always" in done.stderr,
                       "no time helps", done.stderr)
                tap.ok(f"'{command}'" in done.stderr, "and jcmd is named", done.stderr)
            before = target.rollup("Rss")
            run(*command.split())
            after = target.rollup("Rss")
            told = find(settled(target.pid), "cache")
            tap.ok(before - after > 48 * MIB, "jcmd gives it back", before, after)
            tap.ok(told is None, "and no trim is advised then", told)


# ---- PostgreSQL -------------------------------------------------------------------------


@contextlib.contextmanager
def postgres(directory, binaries, become, shared_buffers):
    """A server, and the process behind one connection that has been all over its buffers."""
    data = directory / f"data-{shared_buffers}"
    options = ["-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off",
               "-c", f"shared_buffers={shared_buffers}MB"]
    run(become[0], *become[1:], binaries / "initdb", "-D", data, "-A", "trust", "-U", "test", "-N")
    server = subprocess.Popen(
        list(map(str, [*become, binaries / "postgres", *options])),
        env=CLEAN_ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        command = [*become, binaries / "psql", "-h", directory, "-U", "test", "-qtA", "postgres"]

        def answers():  # it listens before it is ready
            return subprocess.run([*command, "-c", ""], env=CLEAN_ENV, check=False,
                                  capture_output=True).returncode == 0

        harness.until(answers, "the server")
        with Target(command, stderr=subprocess.DEVNULL) as client:
            def ask(words):
                client.say(words)
                return client.line()

            pid = harness.until(lambda: ask("SELECT pg_backend_pid();"), "the server's answer")
            client.say("CREATE TABLE t AS SELECT 1 AS i, repeat('x', 900) AS s LIMIT 0;")
            client.say("INSERT INTO t SELECT i, repeat('x', 900) "
                       "FROM generate_series(1, 180000) i;")
            ask("SELECT count(*) FROM t;")
            yield int(pid)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def run_postgres(tap):
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise Skip("postgresql is not installed")
    become = ["env"]
    if os.geteuid() == 0:
        become = [harness.need("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    rss = {}
    with harness.scratch() as directory:
        if os.geteuid() == 0:
            shutil.chown(directory, "nobody")
        for buffers in (256, 16):
            with postgres(directory, found[-1].parent, become, buffers) as pid:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
                rss[buffers] = harness.kilobytes(text, "Rss")
                if buffers == 256:
                    memory = "shared memory, where PostgreSQL has its shared buffers"
                    told = check(tap, pid, "postgresql", memory, ["shared_buffers", "PSS"])
                    parts = told["not_malloc"]
                    names = [one["name"] for one in parts["largest"][:1]]
                    tap.ok("/dev/zero" in str(names), "in what mappings", parts)
                    tap.within(parts["shared_pss_bytes"], 1, parts["shared_bytes"] - 1, "PSS")
                    tap.ok("(PSS " in told["verdicts"][0]["evidence"], "is told", told["verdicts"])
    tap.ok(rss[16] < rss[256] - 64 * MIB, "shared_buffers bounds them", rss)


CASES = (
    ("own mappings", run_own), ("files", run_files), ("a ring", run_ring), ("musl", run_musl),
    ("Go", run_go), ("CPython", run_python), ("PHP", run_php), ("Erlang", run_erlang),
    ("MariaDB", run_mariadb), ("memcached", run_memcached), ("node", run_node), ("java", run_java),
    ("java, trimmed", run_java_trim),
    ("PostgreSQL", run_postgres),
)


def main():
    tap = Tap()
    for name, case in CASES:
        with tap.section(name):
            case(tap)
    tap.done()


if __name__ == "__main__":
    main()
