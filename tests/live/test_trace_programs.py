"""Whatever the program is made of - stripped, static, C++, in a container, on libraries that
are no longer on disk, a server at work - events agree with it and stacks are whole or say
that they are not. Nothing in it changes."""

import json
import os
import shutil
import socket
import subprocess

import harness
import tracing
from harness import CLEAN_ENV, Libc, Skip, Tap, Target
from tracing import ALL, Grower, Trace

ORDERS = ["malloc 40 40000", "malloc 3 300000", "turns malloc 40 7000", "resize 900000"]
CXX = "g++"
BASKET_BYTES = 300000 * 4


def grow(tap, target, orders=None, pid=None):
    """Orders the growth that every variant of the program knows; the events of it."""
    target.order("threads 2")
    with Trace(pid or target.pid, *ALL) as trace:
        want = target.orders(orders or ORDERS)
        tap.equal(trace.stop(), 0, "exit status", trace.said)
        if pid:
            target.pid = pid
        tracing.check_growth(tap, trace, target, want)
        return trace.events


# ---- whom growth blames ----------------------------------------------------------------

CAVEAT = "Who made the heap grow is not always who keeps the memory"


def run_blame(tap):
    """A leak of small blocks beside a large one that comes and goes: the table has the
    wrong function, and says that it may."""
    path = harness.program("blame")
    with Target([path]) as target:
        target.line()
        with Trace(target, "--fold", form=()) as trace:
            before = target.rollup("Rss")
            harness.until(lambda: target.rollup("Rss") > before + (8 << 20), "growth")
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            tap.ok("main;transient_big;malloc" in trace.text, "whom the table has", trace.text)
            tap.ok(f"# {CAVEAT}" in trace.text, "that it may be wrong", trace.text)
        for _ in range(4):  # on a busy machine it may take longer to be sure
            done = harness.fragscope("report", "-p", target.pid, "--for", "6s")
            words = " ".join(done.stdout.split())
            if "A leak, or a cache that fills" in words:
                break
        tap.ok("A leak, or a cache that fills (warning)" in words, "a leak it is", words)
        tap.ok(CAVEAT in words, "so says the report", words)
        survivors = f"fragscope trace -p {target.pid} --survivors --for 1m"
        for tool in (survivors, "valgrind --leak-check=full COMMAND", "heaptrack COMMAND"):
            tap.ok(f"'{tool}'" in words, f"it names {tool.split()[0]}", words)
        owners = f"owners -p {target.pid} --live"
        tap.ok(f"'fragscope {owners}'" in words, "and what the running program tells", words)
        done = harness.fragscope(*owners.split(), "--json")
        first = json.loads(done.stdout)["owners"][0]
        tap.equal(first["root"], "unreferenced", "the leak has no owner", first)
        chunks = first["path"][0]
        sizes = (chunks["from_bytes"], chunks["to_bytes"])
        tap.equal(sizes, (80, 80), "and is of small blocks", first)
        tap.ok(chunks["bytes"] > 8 << 20, "most of what is held", first)
    with tap.section("valgrind"):
        command = [harness.need("valgrind"), "--leak-check=full", path, "50"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=CLEAN_ENV
        )
        lost = done.stderr.partition("are definitely lost")[2][:400]
        tap.ok("leak_small" in lost, "who keeps the memory", done.stderr)
        tap.ok("transient_big" not in done.stderr, "and no other", done.stderr)
    with tap.section("heaptrack"), harness.scratch() as directory:
        tools = harness.need("heaptrack", "heaptrack_print")
        data = directory / "data"
        subprocess.run(
            [tools[0], "-o", data, path, "500"], capture_output=True, check=True, env=CLEAN_ENV
        )
        found = next(directory.glob("data*"))
        done = subprocess.run(
            [tools[1], "--print-leaks=yes", "--print-peaks=no", "--print-allocators=no",
             "--print-temporary=no", "-f", found],
            capture_output=True, text=True, check=False, env=CLEAN_ENV,
        )
        first = done.stdout.partition("MEMORY LEAKS")[2].partition("leaked over")[2][:200]
        tap.ok("leak_small" in first, "who keeps the memory", done.stdout[:2000])


# ---- variants of one program -----------------------------------------------------------


def run_plain(tap):
    """Without frame pointers, which the compiler leaves out by itself."""
    with Grower() as target:
        events = grow(tap, target)
        tracing.check_stacks(tap, events, outermost=("main", "worker_main"))
        return [len(event["stack"]) for event in events]


def run_stripped(tap, depths):
    """No names, but the same frames."""
    with Grower(variant="stripped") as target:
        events = grow(tap, target)
        tap.ok(all(event["stack_whole"] for event in events), "every stack is whole")
        tap.equal([len(event["stack"]) for event in events], depths, "as deep as with names")
        named = [tracing.functions(event) for event in events]
        tap.ok(all("malloc" in names or "realloc" in names for names in named), "libc's names",
               named[:1])
        tap.ok(all("[grower-stripped]" in names for names in named), "the program's file",
               named[:1])
        tap.ok(not any("main" in names for names in named), "no name is made up", named[:1])


def run_static(tap, variant):
    with Grower(variant=variant) as target:
        events = grow(tap, target)
        tap.ok(all(event["stack_whole"] for event in events), "every stack is whole")
        if "stripped" not in variant:
            tracing.check_stacks(tap, events, outermost=("main", "worker_main"))


def run_cxx(tap):
    source = harness.SOURCE / "tests/programs/basket.cc"
    path = harness.compile_program("basket", [harness.need(CXX)], source, ["-std=gnu++17"])
    with Target([path]) as target:
        target.line()
        with Trace(target, *ALL) as trace:
            for _ in range(3):
                target.say("go")
                target.line()
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            events = trace.events
        maps = tracing.of_kind(events, "mmap")
        tap.equal(len(maps), 3, "a mapping a time", trace_kinds(events))
        tracing.check_requests(tap, maps, BASKET_BYTES)
        tracing.check_stacks(tap, maps, "main", "shop::Basket<int>::fill(unsigned long)",
                             "operator new(unsigned long)", "malloc")


def trace_kinds(events):
    return [event["kind"] for event in events]


# ---- containers, and files that went ---------------------------------------------------


# A root of its own: what maps names there is another file, or none, under the same path here.
PIVOT = """
mount --make-rprivate / && mount --bind "$0" "$0" && mount -t proc proc "$0/proc" &&
cd "$0" && pivot_root . old && exec /grower
"""


class Contained(Grower):
    """A grower in mount and PID namespaces of its own; PID is our number for it."""

    def __init__(self, root):
        unshare = harness.need("unshare")
        super().__init__(command=[unshare, "-m", "-p", "-f", "sh", "-c", PIVOT, root],
                         env={"PATH": CLEAN_ENV["PATH"] + ":/usr/sbin:/sbin"})
        self.inner = tracing.children(self.pid)[0]


def need_namespaces():
    harness.need_root("a container")
    harness.need("pivot_root", "mount")
    probe = subprocess.run(
        [harness.need("unshare"), "-m", "-p", "-f", "--mount-proc", "true"],
        capture_output=True, text=True, check=False,
    )
    if probe.returncode != 0:
        raise Skip(f"no namespaces: {probe.stderr}")


def run_container(tap, version):
    need_namespaces()
    libc = Libc(version)
    with harness.scratch() as root:
        tracing.libc_tree(libc, root, harness.program("grower", "portable"))
        with Contained(root) as target:
            inner = target.inner
            events = grow(tap, target, pid=inner)
            tap.equal({event["pid"] for event in events}, {inner}, "our number for it")
            tracing.check_stacks(tap, events, outermost=("main", "worker_main"))
            tap.ok(not os.path.exists("/grower"), "its files are not ours")
            target.process.stdin.close()
            harness.until(lambda: not os.path.exists(f"/proc/{inner}"), "the end")


def run_gone(tap, version, other):
    """The libc is replaced by another, then everything is deleted."""
    libc = Libc(version)
    with harness.scratch() as root:
        library = tracing.libc_tree(libc, root, harness.program("grower", "portable"))
        loader = library / libc.loader.name
        command = [loader, "--library-path", library, root / "grower"]
        with Grower(command=command) as target:
            target.order("threads 2")
            shutil.copy(Libc(other).loader.parent / "libc.so.6", library / "new")
            (library / "new").rename(library / "libc.so.6")
            for name in ("replaced", "deleted"):
                if name == "deleted":
                    shutil.rmtree(root)
                    root.mkdir()
                with tap.section(name), Trace(target, *ALL) as trace:
                    want = target.orders(ORDERS)
                    tap.equal(trace.stop(), 0, "exit status", trace.said)
                    tracing.check_growth(tap, trace, target, want)
                    tracing.check_stacks(tap, trace.events, outermost=("main", "worker_main"))


# ---- programs of others ----------------------------------------------------------------


def check_honest(tap, trace, pid, least):
    """Every stack is whole, or has frames and says that it is not."""
    events, totals = trace.events, trace.totals(pid)
    tap.ok(len(events) >= least, f"at least {least} events", len(events), trace.said)
    tap.equal(totals.told, len(events), "told")
    tap.equal(totals.told + totals.limited + totals.lost, totals.seen, "none is forgotten")
    told = [event for event in events if event["kind"] != "kill"]
    tap.ok(all(event["stack"] for event in told), "every event has frames")
    whole = [event for event in told if event["stack_whole"]]
    tap.ok(len(whole) >= len(told) * 0.9, "stacks are whole",
           *[tracing.functions(event) for event in told if not event["stack_whole"]][:3])
    wrong = [
        tracing.functions(event)
        for event in whole
        if not event["not_malloc"] and not allocates(tracing.functions(event))
    ]
    tap.equal(wrong[:3], [], "malloc's events come from malloc")


def allocates(names):
    known = ("malloc", "calloc", "realloc", "memalign", "aligned_alloc", "free")
    return any(name.lstrip("_").removeprefix("libc_") in known for name in names)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    peer = socket.socket()
    try:
        peer.connect(("127.0.0.1", port))
    except OSError:
        peer.close()
        return None
    return peer


def run_memcached(tap):
    path = harness.need("memcached")
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    command = [path, "-l", "127.0.0.1", "-p", port, "-U", 0, "-m", 64, "-t", 4, *user]
    with Target(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as target:
        with harness.until(lambda: connect(port), "memcached listening") as peer:
            with Trace(target, "--rate", 200) as trace:
                for key in range(20000):
                    value = b"v" * (key * 37 % 3000)
                    peer.sendall(b"set k%d 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value))
                peer.sendall(b"version\r\n")
                tap.ok(peer.recv(100).startswith(b"VERSION"), "memcached serves")
                peers = [connect(port) for _ in range(200)]
                for one in peers:
                    one.sendall(b"version\r\n")
                    one.recv(100)
                    one.close()
                tap.equal(trace.stop(), 0, "exit status", trace.said)
                check_honest(tap, trace, target.pid, 5)


PYTHON = """
import sys
print("ready", flush=True)
def deep(n):
    return deep(n - 1) if n else [bytes(i % 3000) for i in range(3000)]
held = []
for line in sys.stdin:
    held.append(deep(60))
    held.append(b"x" * 400000)
    print("ok", flush=True)
"""


def run_python(tap):
    command = [harness.need("python3"), "-c", PYTHON]
    with Target(command, env={**CLEAN_ENV, "PYTHONMALLOC": "malloc"}) as target:
        target.line()
        with Trace(target, "--rate", 400, "--stack-bytes", "64K") as trace:
            for _ in range(5):
                target.say("go")
                target.line()
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            check_honest(tap, trace, target.pid, 20)
            starts = {tracing.functions(event)[0] for event in trace.events}
            tap.equal(starts, {"_start"}, "from the very start")
        # A page less than the stack needs: cut, and said so.
        with Trace(target, "--rate", 400, "--stack-bytes", "4K") as trace:
            target.say("go")
            target.line()
            trace.stop()
            events = trace.events
        for event in events:
            whole = tracing.functions(event)[0] == "_start"
            tap.equal(event["stack_whole"], whole, "a cut stack does not pass for whole")
        tap.ok(all(event["stack"] for event in events), "every event has frames")


def run_redis(tap):
    """Debian's redis-server brings another allocator, which is refused by its name."""
    path = harness.need("redis-server")
    tracing.need_probes()
    with harness.scratch() as directory:
        options = ["--port", 0, "--unixsocket", directory / "socket", "--dir", directory,
                   "--save", "", "--daemonize", "no"]
        with Target([path, *options], stdout=subprocess.DEVNULL) as target:
            harness.until((directory / "socket").exists, "redis-server listening")
            done = harness.fragscope("trace", "-p", target.pid, "--for", "1s")
            if "jemalloc" not in target.proc("maps"):
                raise Skip("this redis-server has no jemalloc")
            tap.equal(done.returncode, tracing.NO_SOURCE, "exit status", done.stderr)
            tap.ok("jemalloc" in done.stderr, "the message says jemalloc", done.stderr)


# ---- nothing changes -------------------------------------------------------------------


def state(target):
    """What a visitor could have changed in a program that is at rest."""
    fields = ("VmPTE", "VmRSS", "VmSize", "VmData")
    after_name = target.proc("stat").rpartition(")")[2].split()
    return {
        "memory": {field: target.status(field) for field in fields},
        "faults": (after_name[7], after_name[9]),
        "threads": target.threads(),
        "maps": target.proc("maps"),
        "page tables": [target.rollup(field) for field in ("Rss", "Anonymous")],
    }


def run_harmless(tap):
    with Grower() as target:
        target.orders(["threads 4", "turns malloc 30 5000", "malloc 100 5000"])
        target.rest()
        before = state(target)
        with Trace(target, "--reading", "50ms") as trace:
            harness.fragscope("stat", "-p", target.pid, "--json", "0.05", 10)
            tap.equal(trace.stop(), 0, "exit status", trace.said)
            tap.equal(trace.totals(target.pid).seen, 0, "nothing happened")
        after = state(target)
        for what, value in before.items():
            tap.equal(after[what], value, f"{what} unchanged")


def main():
    tap = Tap()
    with tap.section("probes"):
        tracing.need_probes()
        with tap.section("plain"):
            depths = run_plain(tap)
        with tap.section("stripped"):
            run_stripped(tap, depths)
        with tap.section("blame"):
            run_blame(tap)
        for variant in ("static", "static-pie", "static-stripped"):
            with tap.section(variant):
                run_static(tap, variant)
        with tap.section("C++"):
            run_cxx(tap)
        for version in ("2.31", "2.41"):
            with tap.section(f"container, libc {version}"):
                run_container(tap, version)
        with tap.section("libc 2.36"):
            run_gone(tap, "2.36", "2.43")
        for name, run in (("memcached", run_memcached), ("python3", run_python),
                          ("redis", run_redis), ("harmless", run_harmless)):
            with tap.section(name):
                run(tap)
    tap.done()


if __name__ == "__main__":
    main()
