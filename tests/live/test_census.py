"""The processes that one can choose from: who they are and with which malloc, largest first;
what a probe of one finds is what `stat` says; what cannot be read has a reason."""

import glob
import json
import os
import pwd
import shutil
import subprocess

import harness
from harness import BUILD, CLEAN_ENV, Oracle, Skip, Target, Tap

CENSUS = BUILD / "tests/live/take_census"
WHOLE = 1 << 40


def user_name():
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


USER = user_name()


class Census:
    """One scan; then, when told to go on, probes and another scan."""

    def __init__(self, whole_bytes, *pids, command=(CENSUS,)):
        self.process = subprocess.Popen(
            [*command, str(whole_bytes), *(str(pid) for pid in pids)], text=True, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        self.first = self.process.stderr.readline()

    def rows(self):
        out, self.err = self.process.communicate("go on\n", timeout=harness.PATIENCE_S)
        if self.process.returncode != 0:
            raise RuntimeError(f"{self.process.returncode}: {self.first}{self.err}")
        return [json.loads(line) for line in out.splitlines()]

    def by_pid(self):
        return {row["pid"]: row for row in self.rows()}


def check_list(tap, target):
    census = Census(0)
    rows = census.rows()
    sizes = [row["rss_bytes"] for row in rows]
    tap.equal(sizes, sorted(sizes, reverse=True), "the largest first")
    tap.ok(all(sizes), "all have memory")
    pids = [row["pid"] for row in rows]
    tap.equal(len(pids), len(set(pids)), "each once")
    tap.ok(census.process.pid not in pids, "it does not count itself")
    found = [row for row in rows if row["pid"] == target.pid]
    tap.equal(len(found), 1, "the target is there")
    tap.equal({key: found[0][key] for key in ("user", "comm", "allocator", "probed", "why_not")},
              {"user": USER, "comm": "oracle-dynamic", "allocator": "glibc", "probed": False,
               "why_not": ""}, "as what it is")


def check_probe(tap, target):
    row = Census(WHOLE, target.pid).by_pid()[target.pid]
    said = harness.stat(target.pid).row
    tap.ok(row["probed"], "it stays probed", row)
    tap.equal((row["allocator"], row["why_not"]), (said["allocator"], ""), "its allocator")
    for name in ("free_bytes", "top_bytes"):
        tap.equal(row.get(name), said[name], name)
    tap.ok(row.get("free_resident_bytes", -1) >= 0, "free_resident_bytes", row)
    tap.ok(row["has_frag"], "frag")


def check_quick(tap):
    with Oracle("--chunks 100") as target:
        row = Census(0, target.pid).by_pid()[target.pid]
        tap.equal(row.get("top_bytes"), harness.stat(target.pid).row["top_bytes"], "top_bytes")
    tap.equal((row.get("free_resident_bytes"), row["has_frag"], row["why_not"]),
              (None, False, ""), "what takes a walk is absent")


def check_ended(tap):
    with Oracle("--chunks 10") as one, Oracle("--chunks 10") as other:
        census = Census(WHOLE, one.pid, other.pid)
        one.end()
        rows = census.by_pid()
        tap.ok(one.pid not in rows, "who has ended is gone")
        tap.ok(rows[other.pid]["probed"], "the next one is read", rows[other.pid])


def check_other_allocator(tap):
    found = sorted(glob.glob("/usr/lib/*/libjemalloc.so.2"))
    if not found:
        raise Skip("libjemalloc.so.2 is not installed")
    with Target([harness.program("plain")], env={**CLEAN_ENV, "LD_PRELOAD": found[0]}) as target:
        target.line()
        row = Census(WHOLE, target.pid).by_pid()[target.pid]
        tap.equal(row["allocator"], "jemalloc", "its name")
        tap.ok("uses the allocator of libjemalloc" in row["why_not"], "why not", row)
        tap.ok(row["rss_bytes"] > 0 and "free_bytes" not in row, "its size alone", row)


def check_not_permitted(tap, target):
    harness.need_root("to become another user")
    setpriv = harness.need("setpriv")
    with harness.scratch() as directory:
        copy = shutil.copy(CENSUS, directory / "census")
        user = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", copy]
        row = Census(WHOLE, target.pid, command=user).by_pid().get(target.pid)
    if row is None:
        raise Skip("/proc hides the processes of others")
    tap.ok(f"belongs to user {USER}" in row["why_not"], "why not", row)
    tap.equal((row["user"], row["comm"]), (USER, "oracle-dynamic"), "who it is")
    tap.ok(row["rss_bytes"] > 0 and "free_bytes" not in row, "its size alone", row)


def main():
    tap = Tap()
    with Oracle("--chunks 3000 --free-pattern random:50") as target:
        with tap.section("list"):
            check_list(tap, target)
        with tap.section("probe"):
            check_probe(tap, target)
        with tap.section("not permitted"):
            check_not_permitted(tap, target)
    with tap.section("quick"):
        check_quick(tap)
    with tap.section("ended"):
        check_ended(tap)
    with tap.section("another allocator"):
        check_other_allocator(tap)
    tap.done()


main()
