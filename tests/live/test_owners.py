"""`fragscope owners`: the root, the count and the forecast of structures whose owner is known;
what nobody points to; the formats; bad command lines."""

import json
import random
import re
import subprocess

import harness
from harness import Tap, Target

# Nothing of what is freed stays in caches or goes back by itself, so that trimmable_bytes
# moves by what was foretold, to the byte.
STILL = ("glibc.malloc.tcache_count=0:glibc.malloc.trim_threshold=1000000000:"
         "glibc.malloc.mmap_threshold=500000")
ENV = {**harness.CLEAN_ENV, "GLIBC_TUNABLES": STILL}
SESSIONS, NODES, LEAVES, ENTRIES, LEAKS, CACHED = 3000, 2000, 1500, 1000, 700, 400
TICKETS, TABLE_BYTES, PARCELS = 500, 800000, 350


def holder(*flags):
    name = "holder" + "".join(flags)
    source = harness.SOURCE / "tests/programs/holder.cc"
    return harness.compile_program(name, [harness.need("g++")], source,
                                   ["-std=gnu++17", *flags])


def owners(pid, *args):
    done = harness.fragscope("owners", "-p", pid, "--json", "--top", 32, *args)
    if done.returncode or done.stderr:
        raise RuntimeError(f"owners: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def find(found, chunks, **wanted):
    """The owner whose last step has CHUNKS chunks, and whose members are WANTED. What was in
    a chunk before it was used again may point to one or another: a hundredth is not told."""
    for owner in found["owners"]:
        if abs(owner["path"][-1]["chunks"] - chunks) <= chunks / 100 and all(
                owner[name] == value for name, value in wanted.items()):
            return owner
    return None


def check_roots(tap, pid):
    found = owners(pid)
    listed = [f"{o['root']} {o['name']}: {[s['chunks'] for s in o['path']]}"
              for o in found["owners"]]
    tap.equal(found["status"], "complete", "the process stands still")
    for name, chunks in (("sessions", SESSIONS), ("list_head", NODES),
                         ("tree_root", LEAVES), ("names[abi:cxx11]", ENTRIES),
                         ("numbers", ENTRIES), ("words[abi:cxx11]", ENTRIES),
                         ("shapes", ENTRIES)):
        tap.ok(find(found, chunks, root="global", name=name),
               f"{name} holds {chunks} chunks", *listed)
    below = find(found, SESSIONS, name="sessions") or {}
    tap.equal(below.get("below_chunks"), SESSIONS // 3, "and what hangs below is counted")
    tap.ok(find(found, LEAKS, root="unreferenced"), "what nobody points to is said so",
           *listed)
    ticket = find(found, TICKETS, name="ticket_table") or {"path": [{"bytes": 0}]}
    tap.ok(len(ticket["path"]) == 2 and ticket["path"][0]["bytes"] > TABLE_BYTES,
           "a table with a mapping of its own is a step of the path", ticket)
    parcel = find(found, PARCELS, name="parcels", interior=True) or {}
    tap.equal([step["chunks"] for step in parcel.get("path", [])], [1, PARCELS],
              "what only interior pointers lead to", *listed)
    tap.equal(parcel.get("below_chunks"), PARCELS, "and what that leads to")
    shape = find(found, ENTRIES, name="shapes") or {}
    tap.equal(shape.get("guess"), "C++ object of class shape", "a class is named")
    word = find(found, ENTRIES, name="words[abi:cxx11]") or {}
    tap.ok("this is the word" in word.get("guess", ""), "a text is shown")
    live = owners(pid, "--live")
    listed = [f"{o['root']} {o['name']}: {[s['chunks'] for s in o['path']]}"
              for o in live["owners"]]
    tap.ok(find(live, CACHED, root="tls", name="thread_cache"),
           "a thread's variable is named", *listed)
    stack = find(live, 100, root="stack")
    tap.ok(stack and "worker" in stack["name"], "a stack is told by its function", *listed)
    tap.ok(live["rooted_bytes"] > 0.8 * live["asked_bytes"], "most of it has a root")
    one = owners(pid, "--live", "--size", "304-320")
    tap.within(one["asked_chunks"], LEAKS, LEAKS + 2, "a size is chosen")


def check_stripped(tap, pid):
    found = owners(pid)
    for what, chunks in (("the sessions", SESSIONS), ("the list", NODES),
                         ("the tree", LEAVES)):
        owner = find(found, chunks, root="global")
        tap.ok(owner and owner["name"] == "data of holder-s" and owner["where"],
               f"{what} are told by file and place", owner)
    tap.ok(find(found, LEAKS, root="unreferenced"), "what nobody points to is said so")


def check_types(tap, pid):
    """What the debug information says, from the variables downwards."""
    found = owners(pid)
    for name, chunks, root, *steps in (
            ("sessions", SESSIONS, "session *[3000]", "session"),
            ("list_head", NODES, "node *", "node"),
            ("shapes", ENTRIES, "std::vector<shape*,", "shape *", "shape"),
            ("words[abi:cxx11]", ENTRIES, "std::vector<std::", "std::__cxx11::basic", "char"),
            ("numbers", ENTRIES, "std::unordered_map<int, int,", "std::__detail::"),
            ("ticket_table", TICKETS, "void **", "void *")):
        owner = find(found, chunks, name=name) or {"path": [{}]}
        told = [owner.get("type", "")] + [step.get("type", "") for step in owner["path"]]
        tap.ok(all(text.startswith(start) for text, start in zip(told, (root, *steps))),
               f"{name}: its types", told)
    live = owners(pid, "--live")
    owner = find(live, CACHED, root="tls", name="thread_cache") or {}
    tap.equal(owner.get("type"), "char *[400]", "a thread's variable has its type")
    owner = find(live, 100, root="stack") or {"path": [{}]}
    tap.equal((owner.get("type"), owner["path"][-1].get("type")), ("char *[100]", "char"),
              "and a local one")


def types_in(found, file):
    """All types that are told of what FILE holds: the C library may have a debug file."""
    return [part["type"] for owner in found["owners"] for part in (owner, *owner["path"])
            if "type" in part and owner.get("where", "").startswith(file)]


def check_untyped(tap):
    """Without debug information there are names, and no type is made up."""
    with Target([holder("-g0")], env=ENV) as target:
        target.line()
        found = owners(target.pid)
        tap.ok(find(found, SESSIONS, name="sessions"), "without types: the name")
        tap.equal(types_in(found, "holder"), [], "without types: none is told")
        stack = find(owners(target.pid, "--live"), 100, root="stack") or {"type": "no stack"}
        tap.ok("type" not in stack, "nor of a local variable", stack)


BOOKS, PAGES = 800, 3


def shelf(library):
    return Target([harness.program("shelf"), library], env=ENV)


def library_of(*flags):
    source = harness.SOURCE / "tests/programs/shelf.c"
    return harness.compile_program(f"shelf{''.join(flags)}.so", harness.CC, source,
                                   ["-DLIBRARY", "-shared", "-fPIC", "-Wl,--build-id", *flags])


def check_shelf(tap, found, what):
    """The books of a plugin's static table, their pages, and what is on these."""
    tap.equal({owner["name"] for owner in found["owners"][:2]}, {"shelf"}, f"{what}: the root",
              *found["owners"][:3])
    for chunks, path in ((BOOKS, ["struct book"]),
                         (BOOKS * PAGES, ["struct book", "struct page"]),
                         (BOOKS * PAGES, ["struct book", "struct page", "words"])):
        tap.ok(any([step.get("type") for step in owner["path"]] == path and
                   owner["path"][-1]["chunks"] == chunks and owner["type"] == "struct shelf"
                   for owner in found["owners"]), f"{what}: {path[-1]}", *found["owners"][:3])


def run_plugin(tap):
    with shelf(library_of()) as target:
        target.line()
        check_shelf(tap, owners(target.pid), "a plugin")
    with shelf(library_of("-s")) as target:
        target.line()
        found = owners(target.pid)
        owner = find(found, BOOKS, name="data of shelf-s.so")
        tap.ok(owner and owner["where"].startswith("shelf-s.so+"), "a stripped plugin's table",
               *found["owners"][:3])
        tap.equal(types_in(found, "shelf"), [], "a stripped plugin: no types")


DICTS, BLOBS = 1500, 400
PYTHON = f"""
import sys
class Session:
    def __init__(self, number):
        self.data = {{f"key {{number}} {{k}}": k for k in range(30)}}
kept, blobs, junk = [], [], []
for i in range({DICTS}):
    kept.append(Session(i))
    if i < {BLOBS}: blobs.append(bytes(2000))
    junk.append(bytearray(5000))
junk.clear()
print("ready", flush=True)
sys.stdin.read()
"""


def check_locals(tap, command, what):
    """Whose thread-local variables are found, the loader's list of files being no help."""
    with Target(command, env=ENV) as target:
        target.line()
        owner = find(owners(target.pid, "--live"), 3 * 64, root="tls") or {}
        tap.equal(owner.get("name"), "local_chunks", f"{what}: the variable of three threads",
                  owner)
        return re.search(r"/\S*/ld-linux\S*", target.proc("maps")).group()


def run_by_loader(tap):
    """The program is the one below its libraries, or, where its loader was started, above."""
    program = harness.program("locals")
    loader = check_locals(tap, [program], "by the kernel")
    check_locals(tap, [loader, program], "by the loader")


def run_python(tap):
    """Objects in CPython's own arenas are told by their type; so are those in chunks."""
    python = harness.need("python3")
    with Target([python, "-I", "-c", PYTHON]) as target:
        target.line()
        found = owners(target.pid)
        dicts = next((o for o in found["owners"] if len(o["path"]) == 1 and
                      o["name"] == "Python objects of type dict"), {"path": [{"chunks": 0}]})
        tap.within(dicts["path"][0]["chunks"], DICTS, DICTS + 300, "dicts hold their tables")
        blobs = owners(target.pid, "--live", "--size", "2032-2064")
        tap.ok(find(blobs, BLOBS, name="Python objects of type list",
                    guess="Python object of type bytes"), "a list's table holds bytes",
               *blobs["owners"][:3])
        tap.ok(found["rooted_chunks"] > 0.95 * found["asked_chunks"], "most of it has a root")


SEPARATE = """
mount -t tmpfs none /usr/lib/debug && mkdir -p "$(dirname "$2")" && cp "$1" "$2" || exit 99
exec "$3" owners -p "$4" --json
"""


def run_debug_file(tap):
    """What was stripped off is found where distributions put it, by the build-id."""
    harness.need_root("a mount of its own over /usr/lib/debug")
    unshare, objcopy = harness.need("unshare"), harness.need("objcopy")
    notes = subprocess.run([harness.need("readelf"), "-n", library_of("-g")], text=True,
                           capture_output=True, check=True).stdout
    build_id = notes.split("Build ID: ")[1].split()[0]
    with harness.scratch() as folder:
        debug, stripped = folder / "shelf.debug", folder / "shelf.so"
        subprocess.run([objcopy, "--only-keep-debug", library_of("-g"), debug], check=True)
        subprocess.run([objcopy, "--strip-all", library_of("-g"), stripped], check=True)
        with shelf(stripped) as target:
            target.line()
            done = subprocess.run(
                [unshare, "--mount", "--propagation", "private", "sh", "-c", SEPARATE, "sh",
                 debug, f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug",
                 harness.FRAGSCOPE, str(target.pid)], text=True, capture_output=True,
                check=False)
            if done.returncode == 99 or done.stderr.startswith("unshare:"):
                raise harness.Skip(f"no mounts can be made: {done.stderr.strip()}")
            check_shelf(tap, json.loads(done.stdout), "a debug file")


def damage(path, seed):
    """Makes one byte in twenty of the debug information of PATH something else."""
    dice = random.Random(seed)
    with harness.scratch() as folder:
        for section in (".debug_info", ".debug_abbrev"):
            file = folder / "section"
            subprocess.run([harness.need("objcopy"), "--dump-section", f"{section}={file}", path],
                           check=True)
            data = bytearray(file.read_bytes())
            for _ in range(len(data) // 20):
                data[dice.randrange(len(data))] = dice.randrange(256)
            file.write_bytes(data)
            subprocess.run([harness.need("objcopy"), "--update-section", f"{section}={file}",
                            path], check=True)


def run_damaged(tap):
    """Debug information that is none: names, counts and forecasts are as ever."""
    with harness.scratch() as folder:
        for seed in range(4):
            path = folder / f"shelf-{seed}.so"
            path.write_bytes(library_of("-g").read_bytes())
            damage(path, seed)
            with shelf(path) as target:
                target.line()
                found = owners(target.pid)
                tap.ok(find(found, BOOKS, name="shelf") and find(found, BOOKS * PAGES),
                       f"seed {seed}: the owners", *found["owners"][:3])


def check_threads(tap, pid):
    """The process stands still: what several threads find is what one finds, in its order."""
    for args in ((), ("--live",)):
        alone, *others = (owners(pid, *args, "--threads", n) for n in (1, 2, 4))
        for found in (alone, *others):
            del found["read_ns"]
        tap.ok(all(found == alone for found in others),
               f"threads make no difference {' '.join(args)}", alone, *others)


def trimmable(pid):
    return harness.stat(pid).row["trimmable_bytes"]


def check_forecast(tap, name, chunks, symbol):
    """Freeing what a path names gives back what was foretold, to the byte."""
    with Target([holder()], env=ENV) as target:
        tap.equal(target.line(), "ready", f"{name}: the program is ready")
        owner = find(owners(target.pid), chunks, name=symbol)
        if not tap.ok(owner, f"{name}: it is found"):
            return
        before = trimmable(target.pid)
        target.say(f"free {name}")
        target.line()
        tap.equal(trimmable(target.pid) - before, owner["unlocked_bytes"],
                  f"{name}: freed, a trim gives back what was foretold")


def check_formats(tap, pid):
    done = harness.fragscope("owners", "-p", pid, "--top", 3)
    tap.ok("sessions (" in done.stdout and "would come back" in done.stdout,
           "the text names the owner", done.stdout, done.stderr)
    tap.ok(all(len(line) <= 100 for line in done.stdout.splitlines()), "lines are short")
    folded = harness.fragscope("owners", "-p", pid, "--folded").stdout.splitlines()
    tap.ok(folded and all(line.rsplit(" ", 1)[1].isdigit() and ";" in line
                          for line in folded), "folded: a path and a number a line",
           *folded)
    dot = harness.fragscope("owners", "-p", pid, "--dot").stdout
    tap.ok(dot.startswith("digraph") and dot.endswith("}\n"), "dot: a graph")
    try:
        harness.need("dot")
        done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True,
                              check=False)
        tap.equal(done.returncode, 0, "dot: graphviz draws it", done.stderr)
    except harness.Skip as reason:
        tap.skip("dot: graphviz draws it", reason)
    at = harness.fragscope("owners", "-p", pid, "--at", "0x10", "--json")
    tap.equal(json.loads(at.stdout)["asked_chunks"], 0, "no chunk lies at 0x10")


def check_report(tap, pid):
    """A report on a fragmented heap names the first owners and the verb that has all."""
    done = harness.fragscope("report", "-p", pid, "--for", "1s", "--no-events", "--json")
    report = json.loads(done.stdout)
    found = report["pins"]["owners"]
    tap.equal([owner["name"] for owner in found][:1], ["sessions"],
              "report: the first owner is named", found)
    tap.equal(len(found), 3, "report: three are told")
    text = harness.fragscope("report", "-p", pid, "--for", "0.5s", "--no-events").stdout
    tap.ok(f"fragscope owners -p {pid}" in text and "sessions (holder" in text,
           "report: its text says so", text)


def check_pause(tap, pid):
    found = owners(pid, "--pause")
    tap.ok(find(found, NODES, name="list_head"), "a paused process is looked through")
    tap.equal(found["unsure_chunks"], 0, "and nothing is unsure")


# Heaps that lead astray, and how many of their chunks lie in a structure with a root.
MAZES = (("ring", 200000, "unreferenced", 0.99), ("deep", 300000, "global", 0.99),
         ("left", 100000, "stack", 0.99), ("garbage", 400000, "global", 0.9),
         ("churn", 100000, None, 0))


def check_maze(tap, kind, count, root, share):
    with Target([harness.program("maze"), kind, count]) as target:
        tap.equal(target.line(), "ready", f"{kind}: the program is ready")
        found = owners(target.pid, "--live", "--memory", "200M")
        tap.ok(found["table_bytes"] <= 200 << 20, f"{kind}: the tables keep to their bound")
        tap.ok(found["asked_chunks"] <= found["live_chunks"] and
               found["rooted_chunks"] <= found["asked_chunks"],
               f"{kind}: no sum is above its whole", found)
        held = sum(step["chunks"] for owner in found["owners"] if owner["root"] == root
                   for step in owner["path"][-1:])
        tap.ok(held >= share * count, f"{kind}: chunks are held from {root}", held,
               *found["owners"])
        tap.ok(target.process.poll() is None, f"{kind}: the program lives on")


def check_far(tap):
    """A sample of a ring: nobody says that nothing points to it."""
    with Target([harness.program("maze"), "ring", 100000]) as target:
        target.line()
        found = owners(target.pid, "--live", "--memory", "3M")
        tap.ok(found["owners"][0]["root"] == "far" and found["owners"][0]["share"] > 0.99,
               "a sampled ring is held further up", *found["owners"])


def run_leak(tap):
    """A leak of small blocks beside a large one that comes and goes: who held it is gone, and
    that is said of the small ones only."""
    with Target([harness.program("blame")]) as target:
        target.line()
        harness.until(lambda: target.status("VmData") > 16 << 20, "a heap")
        found = owners(target.pid, "--live", "--pause")
        first = found["owners"][0]
        tap.equal((first["root"], first["path"][-1]["to_bytes"]), ("unreferenced", 80),
                  "what leaked is unreferenced", *found["owners"][:3])
        tap.ok(first["asked_bytes"] > 0.9 * found["asked_bytes"], "and most of all", first)


def check_wide(tap):
    """More paths than are told apart: what nobody points to is found all the same."""
    with Target([harness.program("maze"), "wide", 4]) as target:
        target.line()
        found = owners(target.pid, "--live")
        tap.ok(find(found, 1000, root="unreferenced"), "the ring is told", *found["owners"])


def check_odd(tap, kind):
    """Files and mappings that are not what they seem: nothing comes of it."""
    with Target([harness.program("elves"), kind]) as target:
        tap.equal(target.line(), "ready", f"{kind}: the program is ready")
        found = owners(target.pid)
        tap.ok(find(found, 498, name="held"), f"{kind}: the table is found",
               *found["owners"])
        tap.ok(target.process.poll() is None, f"{kind}: the program lives on")


def check_long_name(tap):
    """A mangled name that stands for a text of gigabytes."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    name = "_Z1f1A1PIS_S_E" + "".join(f"S0_IS{d}_S{d}_E" for d in digits[1:33])
    with harness.scratch() as folder:
        path = folder / "long"
        subprocess.run([harness.need("objcopy"), "--redefine-sym", f"held={name}",
                        harness.program("elves"), path], check=True)
        with Target([path, "tls"]) as target:
            target.line()
            found = owners(target.pid)
            tap.ok(any(owner["name"].startswith(name[:100]) for owner in found["owners"]),
                   "it is told as it is", *found["owners"])


def check_usage(tap):
    for args, words in ((["-p", "1", "--size", "5"], "no range of sizes"),
                        (["-p", "1", "--at", "5"], "no address"),
                        (["-p", "1", "--arena", "x"], "no arena"),
                        (["-p", "1", "--json", "--dot"], "exclude each other"),
                        ([], "no process given")):
        done = harness.fragscope("owners", *args)
        tap.equal(done.returncode, 64, f"{' '.join(args) or 'nothing'} is refused")
        tap.ok(words in done.stderr, f"and says: {words}", done.stderr)


def check_memory(tap, pid):
    done = harness.fragscope("owners", "-p", pid, "--memory", "100K")
    tap.equal(done.returncode, 1, "too little memory for the tables is an error")
    tap.ok("--memory" in done.stderr, "and says what helps", done.stderr)


# Has 40,000 mappings.
MAPPINGS = """
import ctypes, mmap
libc = ctypes.CDLL(None)
room = mmap.mmap(-1, 40000 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
start = ctypes.addressof(ctypes.c_char.from_buffer(room))
for page in range(0, 40000, 2):
    libc.mprotect(ctypes.c_void_p(start + page * 4096), 4096, mmap.PROT_READ)
print('ready', flush=True)
input()
"""


def run_many_mappings(tap):
    """Some of the roots are not enough: what the others hold would seem to be lost."""
    with Target([harness.need("python3"), "-c", MAPPINGS]) as target:
        target.line()
        done = harness.fragscope("owners", "-p", target.pid, "--live", "--memory", "1M")
        tap.equal(done.returncode, 1, "too little memory for the roots is an error", done.stdout)
        tap.ok("--memory" in done.stderr, "and says what helps", done.stderr)
        tap.ok(owners(target.pid, "--live").get("owners"), "with enough there are owners")


def check_sample(tap, pid):
    """Where the tables do not fit, a sample has the shares that all have."""
    every, some = owners(pid), owners(pid, "--memory", "1M")
    tap.ok(100 <= some.get("sampled_chunks", 0) < every["asked_chunks"], "a sample is taken",
           some)
    tap.ok(some["table_bytes"] <= 1 << 20, "a sample: the tables keep to their bound", some)
    for name in ("sessions", "shapes", "words[abi:cxx11]"):
        true = next(o for o in every["owners"] if o["name"] == name)
        true = true["asked_chunks"] / every["asked_chunks"]
        told = next((o for o in some["owners"] if o["name"] == name), {"share": 0})
        # Three times as wide as 95%.
        more = told.get("share_high", 0) - told.get("share_low", 0)
        tap.within(true, told.get("share_low", 1) - more, told.get("share_high", 0) + more,
                   f"a sample: the share of {name}")
        tap.ok("unlocked_bytes" not in told, f"a sample: nothing is foretold of {name}")
    text = harness.fragscope("owners", "-p", pid, "--memory", "1M").stdout
    tap.ok("A random sample of" in text and "of these chunks (" in text, "a sample: it is said",
           text)
    text = harness.fragscope("owners", "-p", pid, "--memory", "1M", "--folded").stdout
    tap.ok("\nsessions;" in "\n" + text, "a sample: folded", text)


def main():
    tap = Tap()
    with tap.section("roots"), Target([holder()], env=ENV) as target:
        target.line()
        check_roots(tap, target.pid)
        check_types(tap, target.pid)
        check_formats(tap, target.pid)
        check_report(tap, target.pid)
        check_threads(tap, target.pid)
        check_pause(tap, target.pid)
        check_memory(tap, target.pid)
        check_sample(tap, target.pid)
    with tap.section("without types"):
        check_untyped(tap)
    for run in (run_plugin, run_by_loader, run_debug_file, run_damaged, run_python, run_leak,
                run_many_mappings):
        with tap.section(run.__name__.removeprefix("run_").replace("_", " ")):
            run(tap)
    with tap.section("stripped"), Target([holder("-s")], env=ENV) as target:
        target.line()
        check_stripped(tap, target.pid)
    with tap.section("forecast"):
        check_forecast(tap, "sessions", SESSIONS, "sessions")
        check_forecast(tap, "list", NODES, "list_head")
        check_forecast(tap, "tree", LEAVES, "tree_root")
        check_forecast(tap, "names", ENTRIES, "names[abi:cxx11]")
        check_forecast(tap, "shapes", ENTRIES, "shapes")
    for kind, count, root, share in MAZES:
        with tap.section("maze"):
            check_maze(tap, kind, count, root, share)
    with tap.section("far"):
        check_far(tap)
    with tap.section("wide"):
        check_wide(tap)
    for kind in ("tls", "sparse"):
        with tap.section(kind):
            check_odd(tap, kind)
    with tap.section("long name"):
        check_long_name(tap)
    with tap.section("usage"):
        check_usage(tap)
    tap.done()


if __name__ == "__main__":
    main()
