"""memory.py: what may not be done on a host that others use: swap, huge pages everywhere, strict
overcommit, a cgroup that is slowed down, a clock set back, and no memory left at all."""

import json

import harness
from machine import Grower, Guest, Machine, Oracle

MEMORY_MB = 448
SWAP_BYTES = 256 << 20
CGROUP = "/sys/fs/cgroup/test"
VM = "/proc/sys/vm"
THP = "/sys/kernel/mm/transparent_hugepage"


class Cases:
    """One machine, and what is done to it in turn."""

    def __init__(self, tap, machine):
        self.tap, self.machine = tap, machine

    def json(self, *args):
        done = self.machine.fragscope(*args)
        self.tap.equal(done.returncode, 0, f"{args[0]}: exit status", done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stat(self, pid, *args):
        return self.json("stat", "-p", pid, "--once", "--json", *args)[0]

    def report(self, pid):
        return self.json("report", "-p", pid, "--for", "0", "--json")[0]

    def limit(self, pid, name):
        return next(row for row in self.report(pid)["limits"] if row["limit"] == name)

    def set(self, path, value):
        self.machine.need(f"echo {value} >{path}")

    def meminfo(self, field):
        return harness.kilobytes(self.machine.read("/proc/meminfo"), field)

    def steady(self, name="steady"):
        return Guest(self.machine, name, "/p/steady").wrote("READY")

    # ---- swap ----

    def _reclaim(self, size):
        """Has the kernel put SIZE of what is in the cgroup into swap."""
        self.machine.sh(f"echo {size} >{CGROUP}/memory.reclaim")

    def swap(self):
        """Whole and in part: what is in swap stays there; what it hides is absent."""
        self.machine.need(f"load zram; echo {SWAP_BYTES} >/sys/block/zram0/disksize; "
                          "mkswap /dev/zram0; swapon /dev/zram0")
        with Oracle(self.machine, "--chunks 12000 --max 3000 --free-pattern random:50",
                    group=CGROUP) as target:
            whole = self.stat(target.pid)
            self._reclaim(8 << 20)
            row = self.stat(target.pid)
            self.tap.equal(row["status"], "partial", "in part: status", row)
            self.tap.equal(row["swap_bytes"], target.status("VmSwap"), "in part: swap_bytes")
            for figure, value in row.items():
                if figure in whole and figure.endswith("_chunks"):
                    self.tap.equal(value, whole[figure], f"in part: {figure} is absent or right")
            self.tap.ok("live_bytes" not in row, "in part: live_bytes is absent", row)
            # More than it has: all that the kernel gets.
            self._reclaim(64 << 20)
            before = target.proc("status"), target.proc("stat").split()[11]
            row = self.stat(target.pid)
            after = target.proc("status"), target.proc("stat").split()[11]
            self.tap.ok("swapped out" in row.get("missing", ""), "whole: it is said", row)
            self.tap.ok("live_bytes" not in row and "free_bytes" not in row, "whole: no figure",
                        row)
            self.tap.equal(before[1], after[1], "whole: nothing is swapped in")
            row = self.stat(target.pid, "--swap-in")
            self.tap.equal(row.get("system_bytes"), whole["system_bytes"], "--swap-in: the records")
            target.ask("info")
            self.tap.equal(row["swap_bytes"] > 0, True, "--swap-in: no more than these")
        self.machine.need("swapoff /dev/zram0")

    # ---- huge pages ----

    def huge_pages(self):
        """THP always, and khugepaged in a hurry: a trim does not last, which is said before."""
        self.set(f"{THP}/enabled", "always")
        for name, value in (("scan_sleep_millisecs", 20), ("alloc_sleep_millisecs", 20),
                            ("pages_to_scan", 65536)):
            self.set(f"{THP}/khugepaged/{name}", value)
        with Oracle(self.machine, "--chunks 40000 --max 3000 --free-pattern keep:50") as target:
            half = self.stat(target.pid)["system_bytes"] // 2
            huge = harness.until(lambda: max(0, target.rollup("AnonHugePages") - half),
                                 "huge pages")
            row = self.stat(target.pid)
            self.tap.ok(row["anon_huge_bytes"] >= half + huge, "anon_huge_bytes", row, huge)
            harness.check_parts(self.tap, row)
            found = self.report(target.pid)
            names = [verdict["verdict"] for verdict in found["verdicts"]]
            self.tap.ok(any("huge" in json.dumps(verdict) for verdict in found["verdicts"]),
                        "a verdict speaks of huge pages", found["answer"], names)
            trim = target.numbers("trim")
            self.tap.ok(trim["before"] > trim["after"], "a trim returns memory", trim)
            harness.until(lambda: target.rollup("Rss") > trim["after"] + (trim["before"] -
                          trim["after"]) // 2, "the kernel fills the holes again")
        self.set(f"{THP}/enabled", "madvise")

    # ---- overcommit ----

    def overcommit(self):
        """Mode 2: what is refused is explained, and the limits are the kernel's."""
        with Grower(self.machine) as target:
            self.set(f"{VM}/overcommit_memory", 2)
            self.set(f"{VM}/overcommit_ratio", 60)
            row = self.limit(target.pid, "commit_limit")
            limit = self.meminfo("CommitLimit")
            self.tap.within(row["max"], limit * 0.9, limit, "CommitLimit")
            with Guest(self.machine, "trace", "fragscope", "trace", "-p", target.pid, "--json",
                       "--failures") as trace:
                trace.waits()
                want = target.order(f"malloc 1 {limit}")
                trace.end("INT")
                events = [json.loads(line) for line in trace.out.splitlines()]
            self.tap.equal((want.nulls, len(events)), (1, 1), "refused, and printed", trace.name)
            cause = events[0]["cause"]
            self.tap.equal(cause["kind"], "overcommit", "the cause", cause)
            self.tap.within(cause["limit"], limit * 0.9, limit, "the limit", cause)
            said = self.machine.fragscope("report", "-p", target.pid, "--for", "0").stdout
            self.tap.ok("refuses what is above CommitLimit (2)" in said, "report: the mode", said)
        self.set(f"{VM}/overcommit_memory", 0)

    def modes(self):
        """examples/ under each mode, in a cgroup of 300 MB: the table in docs/KERNELS.md. In mode
        2 what is asked for beyond 40 MB is refused."""
        want = {
            "limited": ("NULL", "NULL", "NULL"),
            "steady": ("runs", "runs", "NULL at its start"),
            "too_big_to_fail --mortal": ("killed", "killed", "NULL"),
        }
        self.machine.need(f"echo {300 << 20} >{CGROUP}/memory.max")
        for name, outcomes in want.items():
            for mode, outcome in enumerate(outcomes):
                self.tap.equal(self._how_it_goes(name, mode), outcome,
                               f"{name}, overcommit_memory {mode}")

    def _how_it_goes(self, name, mode):
        kept = (self.meminfo("Committed_AS") >> 10) + (40 << 10)
        last = "NULL" if "mortal" in name else "READY"
        # Where nothing is left to be promised the shell cannot fork, and a file in memory cannot
        # grow: hence a pipe, and what the shell can do by itself.
        done = self.machine.need(f"""
            sh -c 'echo $$ >{CGROUP}/cgroup.procs
            rm -f /tmp/example
            mkfifo /tmp/example
            echo {kept} >{VM}/overcommit_kbytes
            echo {mode} >{VM}/overcommit_memory
            /p/{name} >/tmp/example 2>&1 & pid=$!
            exec 3</tmp/example
            said=
            while read -r line _ <&3; do
                [ "$line" != {last} ] || {{ said=$line; break; }}
            done
            kill -9 $pid 2>/dev/null
            echo 0 >{VM}/overcommit_memory
            wait $pid
            echo "$? $said"'""")
        status, *said = done.split()
        if not said:
            return {"137": "killed", "1": "NULL at its start"}.get(status, done)
        # "limited" is ready when malloc has failed.
        return "NULL" if last == "NULL" or name == "limited" else "runs"

    # ---- limits ----

    def cgroup_high(self):
        """A cgroup that is slowed down: the limit and the pressure are said."""
        limit = 24 << 20
        self.machine.need(f"echo max >{CGROUP}/memory.max; echo {limit} >{CGROUP}/memory.high")
        with Grower(self.machine) as target:
            self.machine.need(f"echo {target.pid} >{CGROUP}/cgroup.procs; "
                              f"echo 'touch 40 {1 << 20}' >/tmp/grower.in")
            harness.until(lambda: int(self.machine.read(f"{CGROUP}/memory.events").split()[3]),
                          "the kernel slows it down")
            row = self.limit(target.pid, "cgroup_high")
            self.tap.equal(row["max"], limit, "memory.high", row)
            self.tap.ok(row["used"] > limit * 0.8, "and what is used of it", row)
            found = self.report(target.pid)
            pressure = self.machine.read(f"{CGROUP}/memory.pressure")
            self.tap.ok("pressure_10s_percent" in json.dumps(found), "pressure", pressure)
        self.machine.need(f"echo max >{CGROUP}/memory.high")

    def map_count(self):
        with self.steady() as target:
            self.set(f"{VM}/max_map_count", 1048576)
            row = self.limit(target.pid, "max_map_count")
            self.tap.equal(row["max"], 1048576, "vm.max_map_count", row)

    def clock(self):
        """Set back by an hour in the middle: rows go on, and a recording stays readable."""
        with self.steady() as target:
            with Guest(self.machine, "stat", "fragscope", "stat", "-p", target.pid, "--json",
                       "0.2") as stat, \
                    Guest(self.machine, "record", "fragscope", "record", "-p", target.pid, "-o",
                          "/tmp/clock", "0.2") as record:
                self.machine.need("lines stat 3; date -s @$(($(date +%s) - 3600)) >/dev/null; "
                                  "lines stat 8")
                self.tap.equal(stat.end("INT"), 0, "stat: exit status", stat.err)
                self.tap.equal(record.end("INT"), 0, "record: exit status", record.err)
                rows = [json.loads(line) for line in stat.out.splitlines()]
            times = [row["time"] for row in rows]
            self.tap.ok(times != sorted(times), "the clock went back", times)
            self.tap.equal({row["status"] for row in rows}, {"complete"}, "every row")
            rows = self.json("stat", "--replay", "/tmp/clock", "--json")
            self.tap.ok(len(rows) >= 3, "the recording is whole", len(rows))

    # ---- no memory left ----

    def _taken(self, guest):
        return guest.status("RssAnon")

    def no_memory(self):
        """The whole machine's: what watches it goes on and takes no more; who is killed and why
        is printed."""
        with self.steady() as target, Grower(self.machine, "hog") as hog:
            watch = [
                Guest(self.machine, "stat", "fragscope", "stat", "-p", target.pid, "--json", "0.2"),
                Guest(self.machine, "alert", "fragscope", "alert", "-p", target.pid, "-r",
                      "rss_bytes > 1T", "0.2"),
                Guest(self.machine, "top", *self._on_terminal(), "fragscope", "top", "-p",
                      target.pid, "--ascii", "--no-events", "0.5"),
                Guest(self.machine, "trace", "fragscope", "trace", "--oom",
                      "--json").waits("mark_victim"),
            ]
            self.machine.need("lines stat 3; wrote top 'read in'")
            # The verb on the terminal is a child of what made the terminal.
            top = watch[2]
            top.pid = int(self.machine.read(f"/proc/{top.pid}/task/{top.pid}/children"))
            before = [self._taken(guest) for guest in watch]
            rows = len(watch[0].out.splitlines())
            self.set(f"/proc/{hog.pid}/oom_score_adj", 0)
            self.machine.need(f"echo 'touch 4096 {1 << 20}' >/tmp/hog.in")
            self.tap.equal(hog.wait(), 137, "the one that takes all is killed")
            watch[3].wrote("victim")
            self.machine.need(f"lines stat {rows + 5}")
            after = [self._taken(guest) for guest in watch]
            for guest, one, two in zip(watch, before, after):
                self.tap.ok(not self.machine.sh(f"cat /tmp/{guest.name}.status").stdout,
                            f"{guest.name} goes on", guest.err)
                self.tap.ok(two <= one + (64 << 10), f"{guest.name}: memory is flat", one, two)
            events = [json.loads(line) for line in watch[3].out.splitlines()]
            self.tap.equal([event["victim"]["pid"] for event in events], [hog.pid], "who")
            self.tap.equal(events[0]["cause"]["kind"], "host", "and why", events[0]["cause"])
            for guest in watch:
                guest.end()

    @staticmethod
    def _on_terminal():
        return ("/libc/loader", "--library-path", "/libc", "/p/pty", 100, 30)

    def too_big_to_fail(self):
        """Exempt: who is killed in its place, as report says beforehand; the cure kills it in
        its own cgroup; and in the end the kernel panics, which is the last of this machine."""
        with self.steady("neighbour") as neighbour:
            with Guest(self.machine, "exempt", "/p/too_big_to_fail").wrote("READY") as exempt:
                said = self.machine.fragscope("report", "-p", exempt.pid, "--for", "0").stdout
                said = " ".join(said.split())
                self.tap.ok(f"the kernel kills process {neighbour.pid} (steady) first" in said,
                            "report on it", said)
                said = self.machine.fragscope("report", "-p", neighbour.pid, "--for", "0").stdout
                said = " ".join(said.split())
                self.tap.ok(f"Process {exempt.pid} (too_big_to_fail) is exempt" in said,
                            "report on a neighbour", said)
                found = self.report(exempt.pid)["oom"]
                self.tap.equal((found["place"], found["first_pid"]), (0, neighbour.pid), "in JSON")
            self.machine.need(f"echo {96 << 20} >{CGROUP}/memory.max")
            with Guest(self.machine, "mortal", "sh", "-c", f"echo $$ >{CGROUP}/cgroup.procs; "
                       "exec /p/too_big_to_fail --mortal") as mortal:
                self.tap.equal(mortal.wait(), 137, "with the cure it is killed in its group")
            self.tap.ok(not self.machine.sh("cat /tmp/neighbour.status").stdout, "and nobody else")
            with Guest(self.machine, "exempt", "/p/too_big_to_fail", "--no-end"):
                self.tap.equal(neighbour.wait(), 137, "the neighbour is killed in its place")
                end = self.machine.last_words()
        self.tap.ok("Kernel panic" in end, "the kernel panics", end)


CASES = [
    ("swap", Cases.swap),
    ("transparent huge pages", Cases.huge_pages),
    ("overcommit_memory 2", Cases.overcommit),
    ("memory.high", Cases.cgroup_high),
    ("max_map_count", Cases.map_count),
    ("a clock set back", Cases.clock),
    ("no memory left", Cases.no_memory),
    ("overcommit", Cases.modes),
    ("too big to fail", Cases.too_big_to_fail),
]


def run(tap, name, arch, suite, only=()):
    with Machine(name, arch, suite, memory_mb=MEMORY_MB) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        machine.need(f"echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir {CGROUP}")
        cases = Cases(tap, machine)
        for title, case in CASES:
            if only and title not in only:
                continue
            with tap.section(title):
                case(cases)
        harness.elsewhere = None
    return machine.release, {}
