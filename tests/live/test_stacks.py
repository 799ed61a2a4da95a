"""`run --stacks` samples what a program allocates, and `owners --by stack` says which stacks
hold it: of every function that gives memory out, in threads, children, plugins, coroutines and
handlers, with the allocators that programs use, each within its interval of the truth. Nothing
stands before malloc without the flag, and a program that allocates by itself is told apart."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess

import harness
import preloading
from harness import FRAGSCOPE, SOURCE, Skip, Tap, Target, until

CXX = "g++"
ALLOCATORS = ("libjemalloc.so.2", "libtcmalloc.so.4", "libmimalloc.so.[23]*")
BLOCK, BLOCKS = 1000, 4000
RELAYED = 512  # blocks that `kept` keeps
SIGMAS = 5  # a figure of this many is one in a million


@contextlib.contextmanager
def stacked(*command, size="8K", options=(), env=None):
    """COMMAND, started by `run --stacks`; its own pid is the child of what is started."""
    words = [FRAGSCOPE, "run", f"--stacks={size}", *options, "--", *command]
    with Target(words, env={**harness.CLEAN_ENV, **(env or {})}) as target:
        yield target
        # `run` passes it on; killed before, it would leave the command behind.
        target.process.stdin.close()
        target.process.terminate()
        target.process.wait(harness.PATIENCE_S)


def child_of(target):
    """The process that `run` has started."""
    path = f"/proc/{target.pid}/task/{target.pid}/children"
    with open(path, encoding="ascii") as file:
        return int(file.read().split()[0])


def owners(pid, *args):
    return harness.fragscope("owners", "--by", "stack", "-p", pid, *args)


def told(pid, *args):
    done = owners(pid, "--json", *args)
    if done.returncode:
        raise RuntimeError(f"owners: status {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def of_function(row, name):
    """The sums of all stacks that NAME is in: samples, bytes, and the deviation of these."""
    samples, total, variance = 0, 0, 0
    for one in row["stacks"]:
        if re.search(rf"(^|;|::){name}(?!\w)", one["stack"]):
            samples += one["samples"]
            total += one["bytes"]["estimate"]
            variance += ((one["bytes"]["high"] - one["bytes"]["low"]) / (2 * 1.96)) ** 2
    return samples, total, variance ** 0.5


# Whether the truth lay within each 95% interval that could be compared with it.
INSIDE = []


def check_bytes(tap, row, name, true, what=None):
    samples, total, sigma = of_function(row, name)
    INSIDE.append(abs(total - true) <= 1.96 * sigma)
    tap.ok(samples and abs(total - true) <= SIGMAS * sigma, what or name,
           f"{total} by {samples} samples, +-{sigma:.0f}, of {true}")


def truth(target):
    """What `kept` says of itself."""
    lines = {}
    while (line := target.line()) != "ready":
        name, number = line.split()
        lines[name] = int(number)
    return lines


def obey(target, *words):
    target.say(" ".join(str(word) for word in words))
    line = target.line()
    while line != "done":
        line = target.line()


# ---- what is sampled ------------------------------------------------------------------


def check_all(tap, row, true):
    for name, number in true.items():
        if name != "valloc" or "tcmalloc" not in row["allocator"]:
            check_bytes(tap, row, f"{name}_keep", number)
    in_all = row["bytes"]
    tap.within(sum(true.values()), in_all["low"] * 0.97, in_all["high"] * 1.03, "all", in_all)
    tap.equal(row["dropped"], 0, "there was room")


def run_functions(tap):
    """Of every function the right one has what is kept, and no more."""
    with stacked(harness.program("kept")) as target:
        true = truth(target)
        pid = child_of(target)
        row = told(pid)
        check_all(tap, row, true)
        tap.ok("no_pins" not in row and row["allocator"].startswith("libc"), "glibc's", row)
        obey(target, "grow", "calloc")
        check_bytes(tap, told(pid), "calloc_keep", 2 * true["calloc"], "it grows")
        obey(target, "drop")
        row = told(pid)
        tap.ok(all(of_function(row, f"{name}_keep")[0] == 0 for name in true),
               "what was given back is gone", row["stacks"][:3])


def run_allocators(tap):
    for name in ALLOCATORS:
        with tap.section(name.partition(".")[0]):
            library = preloading_library(name)
            with stacked(harness.program("kept"), env={"LD_PRELOAD": library}) as target:
                true = truth(target)
                row = told(child_of(target))
                check_all(tap, row, true)
                tap.ok(row["allocator"] in str(library), "who serves malloc", row["allocator"])
                tap.ok("no_pins" in row, "what they pin is not known")
                tap.ok(not any("pinned_bytes" in one for one in row["stacks"]), "and not told")
                plain = harness.fragscope("stat", "-p", child_of(target), "--source", "preload",
                                          "--once", "--json")
                kind = library.name.removeprefix("lib").split("malloc")[0]
                tap.ok(f'"allocator":"{kind}malloc' in plain.stdout,
                       "the sampler still knows it", plain.stdout[:400], plain.stderr)


def preloading_library(name):
    for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"):
        found = sorted(pathlib.Path(directory).glob(name))
        if found:
            return found[0]
    raise Skip(f"{name} is not installed")


# ---- where it is sampled --------------------------------------------------------------


def run_relay(tap):
    """Of blocks that are all sampled, and go from thread to thread, none is missed when it is
    given back."""
    with stacked(harness.program("kept"), "none", size="1") as target:
        truth(target)
        pid = child_of(target)
        obey(target, "relay")
        row = told(pid)
        samples = of_function(row, "relay_keep")[0]
        tap.within(samples, RELAYED - row["dropped"], RELAYED, "what is left", row["dropped"])
        obey(target, "drop")
        row = told(pid)
        tap.equal(of_function(row, "(relay_keep|in_relay)")[0], 0,
                  "all that was given back is gone")


def run_blame(tap):
    """The one who forgets small blocks, not the one whom the growth of the heap blames."""
    with stacked(harness.program("blame"), size="64K") as target:
        target.line()
        pid = child_of(target)
        until(lambda: told(pid)["samples"] >= 100, "a hundred samples")
        row = told(pid)
        tap.ok(row["stacks"][0]["stack"].endswith("main;leak_small"), "who keeps",
               row["stacks"][:2])
        others = [one for one in row["stacks"] if not one["stack"].endswith("leak_small")]
        tap.ok(sum(one["bytes"]["estimate"] for one in others) < 200000, "and no other", others)
        folded = owners(pid, "--folded", "--live").stdout.splitlines()
        tap.ok(re.fullmatch(r".*main;leak_small \d+", folded[0]), "folded", folded)
        text = owners(pid).stdout
        tap.ok(text.startswith(f"# process {pid} (blame-dynamic)"), "text", text)


def run_server(tap):
    """16 threads of C++: operator new, strings, a cache."""
    source = SOURCE / "tests/programs/stays.cc"
    path = harness.compile_program("stays", [harness.need(CXX)], source, ["-std=gnu++17"])
    for library in ("", *ALLOCATORS[:2]):
        with tap.section(library.partition(".")[0] or "glibc"):
            env = {"LD_PRELOAD": preloading_library(library)} if library else {}
            with stacked(path, size="4K", env=env) as target:
                target.line()
                pid = child_of(target)
                until(lambda: of_function(told(pid), r"leak_session\(\)")[0] >= 200, "samples")
                target.say("")
                before = int(target.line())
                row = told(pid)
                target.say("")
                after = int(target.line())
                _, total, sigma = of_function(row, r"leak_session\(\)")
                # The program counts chunks of 80 bytes.
                tap.within(total * 80 / 64, before - SIGMAS * 1.25 * sigma,
                           after + SIGMAS * 1.25 * sigma, "what leaks", row["stacks"][:2])
                answer = of_function(row, r"answer\(\)")[1]
                tap.ok(answer < total / 4, "what comes and goes does not", answer, total)


def run_places(tap):
    """Plugins, threads, handlers and coroutines on stacks of their own, children."""
    with stacked(harness.program("kept")) as target:
        truth(target)
        pid = child_of(target)
        plugin = harness.BUILD / "tests/bin/plugin-a.so"
        obey(target, "plugin", plugin, 40 * BLOCK)
        for way in ("thread", "routine", "signal", "spawn"):
            obey(target, way)
        row = told(pid)
        check_bytes(tap, row, "plugin_a", 100 * 40 * BLOCK, "a plugin")
        for way in ("thread", "routine", "signal", "spawn"):
            check_bytes(tap, row, f"{way}_keep", BLOCKS * BLOCK, f"a {way}")
            whole = [one["stack"] for one in row["stacks"] if f"{way}_keep" in one["stack"]]
            tap.ok(all("[no" not in stack for stack in whole), f"a {way}: its stack", whole)
        obey(target, "namespace", plugin)
        obey(target, "closed")
        check_bytes(tap, told(pid), "closed_keep", 2000 * BLOCK, "a closed thread")
        obey(target, "drop")
        tap.equal(of_function(told(pid), "spawn_keep")[0], 0, "freed by the parent")


def run_children(tap):
    with stacked(harness.program("kept")) as target:
        true = truth(target)
        pid = child_of(target)
        target.say("fork")
        lines = {target.line(), target.line()}
        child = int(next(line.split()[1] for line in lines if line.startswith("child")))
        row = told(child)
        tap.ok(row["forked"], "a child says that it is one")
        check_bytes(tap, row, "fork_keep", BLOCKS * BLOCK / 2, "what the child keeps")
        tap.equal(of_function(row, "malloc_keep")[0], 0, "and nothing of its parent")
        check_all(tap, told(pid), true)
    blame = harness.program("blame")
    for options, has in ((), True), (("--no-children",), False):
        with stacked("sh", "-c", f"{blame} & wait", size="64K", options=options) as target:
            pid = int(target.line().split()[1])
            if has:
                until(lambda: owners(pid).returncode == 0, "the sample of a shell's child")
                tap.ok(told(pid)["samples"] >= 0, "the child of a shell")
            else:
                done = owners(pid)
                tap.equal(done.returncode, 69, "no children: status", done.stderr)
                tap.ok("keeps no sample" in done.stderr, "and why", done.stderr)
            os.kill(pid, signal.SIGKILL)  # its shell would leave it behind


def run_nothing(tap):
    """A sample that has nothing says how much there may be all the same, by its mean."""
    with stacked(harness.program("plain"), size="64G") as target:
        target.line()
        pid = child_of(target)
        row = told(pid)
        high = 3.69 * (64 << 30)
        tap.equal(row["samples"], 0, "nothing: no sample")
        tap.equal({name: row["bytes"][name] for name in ("estimate", "low")},
                  {"estimate": 0, "low": 0}, "nothing: what is seen")
        tap.within(row["bytes"]["high"], int(high), high + 1, "nothing: what there may be")
        tap.equal(row["pinned_bytes"]["high"], row["heap_pinned_bytes"],
                  "nothing: and pin, at most all")
        tap.ok("# in use: 0 to 236G, by 0 samples" in owners(pid).stdout, "nothing: in words",
               owners(pid).stdout)


# ---- where it is not ------------------------------------------------------------------

OWN_MALLOC = """
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char pool[64 << 20];
static size_t used;
void *malloc(size_t bytes)
{
	void *block = pool + used;
	used += (bytes + 31) & ~(size_t)31;
	return used < sizeof(pool) ? block : NULL;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t bytes)
{
	void *moved = malloc(bytes);
	if (moved && block) memmove(moved, block, bytes);
	return moved;
}
int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 1024);
	for (int i = 0; i < 1000; i++) memset(malloc(10000), 1, 10000);
	printf("ready %d\\n", (int)getpid());
	return getchar();
}
"""


def run_not(tap):
    with harness.scratch() as directory:
        source = directory / "own.c"
        source.write_text(OWN_MALLOC, encoding="ascii")
        built = subprocess.run([harness.CC[0], "-w", "-O1", "-o", directory / "own", source],
                               check=False, capture_output=True, text=True)
        if not tap.equal(built.returncode, 0, "own malloc: built", built.stderr):
            return
        done = harness.fragscope("run", "--stacks", directory / "own")
        tap.equal((done.returncode, done.stdout), (69, ""), "own malloc: refused", done.stderr)
        tap.ok("has a malloc of its own" in done.stderr, "own malloc: the reason", done.stderr)
        with stacked("sh", "-c", f"{directory}/own; true") as target:
            done = owners(int(target.line().split()[1]))
            tap.equal(done.returncode, 69, "own malloc: status", done.stderr)
            tap.ok("a malloc of its own" in done.stderr, "own malloc: why", done.stderr)
            tap.equal(done.stdout, "", "own malloc: no figure")
    with Target([FRAGSCOPE, "run", harness.program("kept")]) as target:
        truth(target)
        pid = child_of(target)
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            tap.ok("fragscope-stacks" not in maps.read(), "nothing without the flag")
        done = owners(pid)
        tap.equal(done.returncode, 69, "without: status", done.stderr)
        tap.ok("run --stacks" in done.stderr, "without: what to do", done.stderr)
    exported = subprocess.run(["nm", "-D", "--defined-only", preloading.SAMPLER], check=False,
                              capture_output=True, text=True)
    names = [line.split()[-1] for line in exported.stdout.splitlines()]
    tap.equal(names, ["fragscope_sampler"], "the sampler stands before no function of others")
    for words, why in ((("--stacks=0", "true"), "0 is no size"),
                       (("--stacks=x", "true"), "--stacks")):
        done = harness.fragscope("run", *words)
        tap.equal(done.returncode, 64, f"{words}: status", done.stderr)
        tap.ok(why in done.stderr, f"{words}: why", done.stderr)
    for words, why in ((("--by", "stack", "--dot"), "--dot is not for"),
                       (("--pprof", "x"), "--pprof needs")):
        done = harness.fragscope("owners", "-p", 1, *words)
        tap.equal(done.returncode, 64, f"{words}: status", done.stderr)
        tap.ok(why in done.stderr, f"{words}: why", done.stderr)


ALIGNED = """
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
typedef void *aligned_new(size_t bytes, size_t align, const void *tag);
int main(void)
{
	aligned_new *make = (aligned_new *)dlsym(RTLD_DEFAULT,
						 "_ZnwmSt11align_val_tRKSt9nothrow_t");
	if (!make)
		return 2;
	printf("%d %d\\n", (uintptr_t)make(100, 64, "") % 64 == 0 && make(100, 64, ""),
	       make(SIZE_MAX - 8, 64, "") == NULL);
}
"""


def run_aligned(tap):
    """Operator new for a program of C, which a library of C++ may be loaded into later: what
    is rounded up to its alignment is refused where it passes the end of memory."""
    with harness.scratch() as directory:
        source = directory / "aligned.c"
        source.write_text(ALIGNED, encoding="ascii")
        built = subprocess.run([harness.CC[0], "-w", "-D_GNU_SOURCE", "-o", directory / "aligned",
                                source, "-ldl"], check=False, capture_output=True, text=True)
        if tap.equal(built.returncode, 0, "built", built.stderr):
            done = harness.fragscope("run", "--stacks", directory / "aligned")
            tap.equal((done.returncode, done.stdout), (0, "1 1\n"), "as it should",
                      done.stderr)


# ---- pprof ----------------------------------------------------------------------------


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at


def fields(data):
    """Each field of a message: its number, and a number or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        yield key >> 3, value


def all_of(data, number):
    return [value for field, value in fields(data) if field == number]


def run_pprof(tap):
    with stacked(harness.program("kept")) as target, harness.scratch() as directory:
        true = truth(target)
        pid = child_of(target)
        row = told(pid)
        done = owners(pid, "--pprof", directory / "profile")
        tap.equal((done.returncode, done.stdout), (0, ""), "written", done.stderr)
        data = (directory / "profile").read_bytes()
        strings = [text.decode() for text in all_of(data, 6)]
        tap.equal(strings[0], "", "the first string is empty")
        types = [[strings[number] for _, number in fields(one)] for one in all_of(data, 1)]
        tap.equal(types, [["inuse_objects", "count"], ["inuse_space", "bytes"],
                          ["pinned_space", "bytes"]], "what is told")
        names = {all_of(one, 1)[0]: strings[all_of(one, 2)[0]] for one in all_of(data, 5)}
        functions = {all_of(one, 1)[0]: names[all_of(all_of(one, 4)[0], 1)[0]]
                     for one in all_of(data, 4)}
        stacks = {";".join(functions[place] for place in reversed(all_of(one, 1))):
                  all_of(one, 2) for one in all_of(data, 2)}
        want = {one["stack"]: [one["blocks"]["estimate"], one["bytes"]["estimate"]]
                for one in row["stacks"]}
        tap.equal({stack: values[:2] for stack, values in stacks.items()}, want,
                  "the same as JSON says")
        tap.equal(len(true), len({stack for stack in stacks if "_keep" in stack}),
                  "a stack a function", list(stacks))
        with contextlib.suppress(Skip):
            go = harness.need("go")
            shown = subprocess.run([go, "tool", "pprof", "-top", directory / "profile"],
                                   check=False, capture_output=True, text=True,
                                   env={**harness.CLEAN_ENV, "HOME": str(directory)})
            if "no such tool" not in shown.stderr:
                tap.ok("malloc_keep" in shown.stdout, "pprof reads it", shown.stderr)
        done = owners(pid, "--pprof", "/dev/full")
        tap.ok(done.returncode == 1 and "/dev/full" in done.stderr, "a file that is full",
               done.stderr)


def run_pins(tap):
    """With every block in the sample the parts of all stacks are what the heap pins."""
    with stacked(harness.program("kept"), "none", size="1") as target:
        truth(target)
        pid = child_of(target)
        obey(target, "thin")
        row = told(pid)
        tap.equal(row["dropped"], 0, "there was room")
        kept = [one for one in row["stacks"] if "thin_keep" in one["stack"]]
        tap.equal([one["bytes"]["estimate"] for one in kept], [3000 * 24], "what is kept")
        pinned = row["heap_pinned_bytes"]
        tap.within(row["pinned_bytes"]["estimate"], 0.97 * pinned, 1.001 * pinned,
                   "the parts add up", row["pinned_bytes"], pinned)
        tap.within(kept[0]["pinned_bytes"]["estimate"], 0.9 * pinned, pinned,
                   "who pins", kept, pinned)


def run_intervals(tap):
    most = harness.most_misses(len(INSIDE))
    tap.ok(len(INSIDE) > 20 and INSIDE.count(False) <= most,
           f"{sum(INSIDE)} of {len(INSIDE)} intervals hold the truth")


def main():
    tap = Tap()
    for run in (run_functions, run_allocators, run_relay, run_blame, run_server, run_places,
                run_children, run_nothing, run_not, run_aligned, run_pprof, run_pins,
                run_intervals):
        with tap.section(run.__name__.removeprefix("run_").replace("_", " ")):
            run(tap)
    tap.done()


if __name__ == "__main__":
    main()
