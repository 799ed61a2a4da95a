"""Heaps that nobody thought of: scenarios drawn at random, the same ones in every run, on
every glibc; all that test_exact.py and test_trim.py ask of theirs.

FRAGSCOPE_RANDOM=FIRST:COUNT draws other ones, or more."""

import os
import random

import harness
import test_exact
import test_trim
from harness import Libc, Oracle, Tap

COUNT = 200

# How likely each option is, and its values; {} takes one of them.
OPTIONS = [
    (0.4, "--threads {}", (1, 2, 5, 9, 20)),
    (0.2, "--exit-threads", ()),
    (0.3, "--tcache", ()),
    (0.3, "--fast {}", (5, 100, 3000)),
    (0.3, "--aligned {}", (10, 500)),
    (0.3, "--mmapped {}", (1, 7, 40)),
    (0.3, "--untouched {}", (3, 60)),
    (0.3, "--unsorted {}", (3, 600)),
    (0.3, "--sort", ()),
    (0.3, "--hostile", ()),
    (0.2, "--large-tcache", ()),
]

PATTERNS = ("alternate", "all", "none", "runs:2", "runs:7", "runs:30", "random:10", "random:50",
            "random:95", "keep:3", "keep:60")

MALLOPTS = ("M_ARENA_MAX=1", "M_ARENA_MAX=2", "M_MMAP_THRESHOLD=4096", "M_MMAP_THRESHOLD=20000",
            "M_MMAP_THRESHOLD=4000000", "M_MMAP_MAX=3", "M_MXFAST=0",
            "M_MXFAST=160", "M_MXFAST=40", "M_TOP_PAD=0", "M_TOP_PAD=3000000",
            "M_TRIM_THRESHOLD=1000", "M_PERTURB=77")

TUNABLES = ("", "", "", "", "", "glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=2",
            "glibc.malloc.tcache_count=0", "glibc.malloc.tcache_count=100",
            "glibc.malloc.tcache_max=4194304", "glibc.malloc.tcache_max=64",
            "glibc.malloc.mxfast=0")


def draw_chunks(pick):
    largest = pick.choice((60, 200, 1000, 1200, 3000, 20000, 130000))
    count = pick.choice((10, 300, 3000, 12000) if largest < 20000 else (10, 300, 2000))
    least = pick.choice((0, 1, 16, min(largest, 1000)))
    return [f"--chunks {count} --min {least} --max {largest}",
            f"--free-pattern {pick.choice(PATTERNS)}"]


def draw(seed):
    """The scenario of SEED: a libc's name, a variant, arguments, tunables."""
    pick = random.Random(seed)
    words = [f"--seed {seed}", *draw_chunks(pick)]
    words += [
        option.format(pick.choice(values)) if values else option
        for likely, option, values in OPTIONS
        if pick.random() < likely
    ]
    brk = pick.choice(("", "", "", "--no-sbrk", "--foreign-sbrk 1", "--foreign-sbrk 5",
                       "--foreign-sbrk 40", "--thp"))
    tunables = pick.choice(TUNABLES)
    if brk == "--thp":  # wants a heap that grows by brk, and in small steps
        tunables = ""
    else:
        words += [f"--mallopt {pick.choice(MALLOPTS)}" for _ in range(pick.choice((0, 0, 1, 2)))]
    name = pick.choice(("host", *harness.OTHER_LIBCS))
    variant = pick.choice((None, "static", "static-pie", "stripped")) if name == "host" else None
    return name, variant, " ".join([*words, brk]), tunables


def run(tap, seed):
    name, variant, args, tunables = draw(seed)
    with tap.section(f"{name} {variant or ''} {tunables} {args}"):
        libc = Libc(name)
        env = {"GLIBC_TUNABLES": tunables} if tunables else {}
        with Oracle(args, libc, variant, env) as target:
            said = libc if not (variant or "").startswith("static") else None
            test_exact.check_scenario(tap, target, said)
            test_trim.check(tap, target)


class Brief(Tap):
    """Says one point a scenario, and every point that failed."""

    def __init__(self):
        super().__init__()
        self.held = None

    def _say(self, verdict, name, tail=""):
        if verdict == "ok" and not tail and self.held is not None:
            self.held += 1
            return
        super()._say(verdict, name, tail)

    def scenario(self, seed, check):
        failed, self.held = self.failed, 0
        check(self, seed)
        held, self.held = self.held, None
        if self.failed == failed and held:
            self._say("ok", f"scenario {seed}: {held} checks hold")


def main():
    tap = Brief()
    first, count = os.environ.get("FRAGSCOPE_RANDOM", f"1:{COUNT}").split(":")
    for seed in range(int(first), int(first) + int(count)):
        tap.scenario(seed, run)
    tap.done()


if __name__ == "__main__":
    main()
