"""The program as it was built and linked: what stands between a fault in the reader and
whoever wrote the memory that it reads."""

import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "live"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

SAMPLER = str(harness.BUILD / "libfragscope-preload.so")
STACKS = str(harness.BUILD / "libfragscope-stacks.so")
ARCHIVE = str(harness.BUILD / "libfragscope.a")
# What configure found this compiler to take; unset: the test is run by hand.
TAKEN = os.environ.get("FRAGSCOPE_HARDENING")


def need_flag(flag):
    if TAKEN is not None and flag not in TAKEN:
        raise harness.Skip(f"this compiler does not take {flag}, or CFLAGS forbid it")


def readelf(*args):
    done = subprocess.run(["readelf", "--wide", *args], capture_output=True, text=True,
                          check=True, env=harness.CLEAN_ENV)
    return done.stdout


def dynamic_symbols(path):
    return re.findall(r"UND\s+(\w+)", readelf("--dyn-syms", path))


def is_relro(path):
    """Full RELRO: what is resolved at the start is read-only from there on."""
    return ("GNU_RELRO" in readelf("--program-headers", path) and
            bool(re.search(r"BIND_NOW|Flags:.*\bNOW\b", readelf("--dynamic", path))))


def check_layout(tap):
    for name, path in (("fragscope", harness.FRAGSCOPE), ("the sampler", SAMPLER),
                       ("the sampler of stacks", STACKS)):
        segments = readelf("--program-headers", path)
        stack = re.search(r"GNU_STACK.*?\s(R?W?E?)\s+0x", segments)
        tap.ok(stack and "E" not in stack[1], f"the stack of {name} holds no code",
               segments)
        writable = re.findall(r"LOAD\s.*?RWE.*", segments)
        tap.equal(writable, [], f"{name} has no segment to write and to execute")
        need_flag("-z,now")
        tap.ok(is_relro(path), f"{name} has full RELRO", readelf("--dynamic", path))


def check_pie(tap):
    need_flag("-pie")
    tap.ok(re.search(r"Flags:.*\bPIE\b", readelf("--dynamic", harness.FRAGSCOPE)),
           "fragscope is position-independent", readelf("--dynamic", harness.FRAGSCOPE))


def check_fortified(tap):
    need_flag("_FORTIFY_SOURCE")
    names = dynamic_symbols(harness.FRAGSCOPE)
    fortified = {name for name in names if re.fullmatch(r"__\w+_chk", name)}
    tap.ok("__snprintf_chk" in fortified and len(fortified) > 5,
           "calls of libc are fortified", sorted(fortified))


def check_canary(tap):
    need_flag("-fstack-protector")
    tap.ok("__stack_chk_fail" in dynamic_symbols(harness.FRAGSCOPE),
           "stacks have canaries")


def check_branches(tap):
    """The linker keeps the mark only where libc's own files have it, so each file that was
    compiled is looked at."""
    need_flag("-fcf-protection")
    notes = readelf("--notes", ARCHIVE).split("\nFile: ")[1:]
    bare = [note.split("\n", 1)[0] for note in notes if "IBT, SHSTK" not in note]
    tap.ok(len(notes) > 50 and not bare,
           f"indirect branches and returns are guarded in each of {len(notes)} files",
           "\n".join(bare))
    tap.ok("IBT, SHSTK" in readelf("--notes", SAMPLER),
           "the sampler leaves its host its shadow stack", readelf("--notes", SAMPLER))


def main():
    tap = harness.Tap()
    with tap.section("hardening"):
        harness.need("readelf")
        for check in (check_layout, check_pie, check_fortified, check_canary,
                      check_branches):
            with tap.section(check.__name__.removeprefix("check_")):
                check(tap)
    tap.done()


main()
