"""verbs.py: every verb on one kernel: figures that a program knows of itself, events that it
counted, what the kernel refuses, and what is left behind."""

import json
import shlex

import calls
import harness
import test_exact
import test_trim
import tracing
from machine import HOST, ON_LIBC, Grower, Guest, Machine, Oracle, cells_of

SCENARIOS = [
    ("mixed sizes, four threads", "--chunks 3000 --max 3000 --free-pattern random:50 --aligned 100 "
     "--sort --threads 3"),
    ("fastbins, tcache and mappings", "--chunks 2000 --fast 2000 --tcache --mmapped 9 "
     "--free-pattern alternate"),
]
TRIMS = [
    ("holes", "--chunks 4000 --min 2000 --max 30000 --free-pattern alternate"),
    ("arenas", "--threads 3 --chunks 3000 --max 9000 --free-pattern random:60 --fast 300"),
]
LIMIT = 24 << 20
AS_USER = ("su", "user", "-s", "/bin/sh", "-c")
NOT_HERE, NOT_PERMITTED = 69, 77
# The tracepoints at which a growth is seen whole.
PROBES_SINCE = (5, 15)


def refusal(done):
    """What the table says of a refusal: the message without the program's name, and without
    the kernel's, which a week later is another."""
    said = done.stderr.strip().splitlines()[-1].removeprefix("fragscope: ")
    return "refused: " + said


class Verbs:
    """The cases. Each returns what the table is to say of it."""

    def __init__(self, tap, machine, arch):
        self.tap, self.machine = tap, machine
        self.is_host = arch == HOST
        self.number = tuple(int(part) for part in machine.release.split("-")[0].split(".")[:2])
        # By a setting of bpf()'s.
        self.has_bpf = machine.sh("cat /proc/sys/kernel/unprivileged_bpf_disabled").returncode == 0
        self.has_probes = self.has_bpf and self.number >= PROBES_SINCE

    def refused(self, *args):
        """What a verb said that needs probes, on a kernel that is too old for them or was built
        without; None where there are probes. It is tried either way, and must not be half in
        place."""
        done = self.machine.fragscope(*args, "--for", "10ms")
        if self.has_probes:
            return self.tap.equal(done.returncode, 0, "there are probes", done.stderr) and None
        why = "Linux %d.%d or later" % PROBES_SINCE if self.has_bpf else "CONFIG_BPF_SYSCALL=y"
        self.tap.equal(done.returncode, NOT_HERE, "probes are refused", done.stderr)
        self.tap.ok(why in done.stderr, "and why", done.stderr)
        return refusal(done).replace(f"kernel {self.machine.release}", "this kernel")

    def json(self, *args):
        done = self.machine.fragscope(*args)
        self.tap.equal(done.returncode, 0, f"{args[0]}: exit status", done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stat_exact(self):
        for name, args in SCENARIOS:
            with self.tap.section(name), Oracle(self.machine, args) as target:
                test_exact.check_scenario(self.tap, target, None)
        return "works"

    def residency(self):
        """Both ways, which must agree; by PAGEMAP_SCAN from Linux 6.7."""
        with Oracle(self.machine, SCENARIOS[0][1]) as target:
            args = ("stat", "-p", target.pid, "--once", "--json", "--residency")
            by_pagemap = self.json(*args, "pagemap")[0]
            done = self.machine.fragscope(*args, "scan")
            if self.number < (6, 7):
                self.tap.equal(done.returncode, NOT_HERE, "PAGEMAP_SCAN is refused")
                return refusal(done)
            self.tap.equal(done.returncode, 0, "by PAGEMAP_SCAN", done.stderr)
            by_scan = json.loads(done.stdout)
            for row in (by_scan, by_pagemap):
                for varies in ("time", "read_ns", "pss_bytes", "started"):
                    row.pop(varies)
            self.tap.equal(by_scan, by_pagemap, "both ways say the same")
            return "works"

    def trim_forecast(self):
        for name, args in TRIMS:
            with self.tap.section(name), Oracle(self.machine, args) as target:
                test_trim.check(self.tap, target)
        return "works"

    def _trace(self, *args):
        return Guest(self.machine, "trace", "fragscope", "trace", *args)

    def trace(self):
        """Each growth once, to the byte, with a whole stack."""
        with Grower(self.machine) as target:
            said = self.refused("trace", "-p", target.pid)
            if said:
                return said
            with self._trace("-p", target.pid, "--json", *tracing.ALL) as trace:
                trace.waits()
                want = target.order("malloc 60 50000")
                want += target.order("malloc 3 300000")
                self.tap.equal(trace.end("INT"), 0, "exit status", trace.err)
                events = [json.loads(line) for line in trace.out.splitlines()]
                err = trace.err
        totals = tracing.Totals(err, target.pid)
        self.tap.ok(want.of("brk")[0] > 10, "the heap grew")
        seen, true = tracing.counted(events), want.growths()
        if "left out" in err:
            self.tap.ok(all(seen[kind] <= true[kind] for kind in true),
                        "no more events and bytes of a kind than there were", seen, true, err)
        else:
            self.tap.equal(seen, true, "events and bytes of each kind", err)
        tracing.check_totals(self.tap, totals, events)
        tracing.check_stacks(self.tap, events, "main", "serve", "grow", "by_malloc")
        return "works"

    def failures(self):
        with Grower(self.machine) as target:
            said = self.refused("trace", "-p", target.pid, "--failures")
            if said:
                return said
            with self._trace("-p", target.pid, "--json", "--failures") as trace:
                trace.waits()
                refusals = []

                def printed():
                    refusals.append(target.order("malloc 1 100000000000000").nulls)
                    return trace.out.strip()

                harness.until(printed, "a failure is printed")
                self.tap.equal(trace.end("INT"), 0, "exit status", trace.err)
                events = [json.loads(line) for line in trace.out.splitlines()]
        self.tap.equal(set(refusals), {1}, "malloc returned NULL")
        self.tap.equal({event["kind"] for event in events}, {"failure"}, "failures are printed")
        self.tap.within(len(events), 1, len(refusals), "each once")
        return "works"

    def kills(self):
        """In a cgroup of version 2."""
        said = self.refused("trace", "--oom")
        if said:
            return said
        group = "/sys/fs/cgroup/victim"
        self.machine.need(f"mkdir {group}; echo {LIMIT} >{group}/memory.max")
        with Grower(self.machine) as victim, self._trace("--oom", "--json") as trace:
            trace.waits("mark_victim")
            self.machine.need(f"echo {victim.pid} >{group}/cgroup.procs")
            self.machine.need(f"echo 'touch {2 * LIMIT >> 20} {1 << 20}' >/tmp/grower.in")
            self.tap.equal(victim.wait(), 137, "the victim is killed")
            trace.wrote("victim")
            trace.end("INT")
            events = [json.loads(line) for line in trace.out.splitlines()]
        self.machine.need(f"rmdir {group}")
        self.tap.equal([event["victim"]["pid"] for event in events], [victim.pid], "told once")
        cause = events[0]["cause"]
        self.tap.equal((cause["kind"], cause.get("limit")), ("cgroup", LIMIT), "the limit")
        return "works"

    def bursts(self):
        with Grower(self.machine) as target:
            if not self.has_bpf:
                return self.refused("trace", "-p", target.pid, "--bursts")
            done = self.machine.fragscope("trace", "-p", target.pid, "--bursts", "--for", "1s")
        if self.number < (6, 6):
            self.tap.equal(done.returncode, NOT_HERE, "bursts are refused")
            self.tap.ok("or later is needed" in done.stderr, "says what is needed", done.stderr)
            return refusal(done).replace(f"kernel {self.machine.release}", "this kernel")
        self.tap.equal(done.returncode, 0, "exit status", done.stderr)
        self.tap.ok("no uprobe_multi" not in done.stderr, "no refusal", done.stderr)
        return "works"

    def sampler(self):
        with Guest(self.machine, "run", "fragscope", "run", "-i", "50ms", "/p/steady") as run:
            run.wrote("READY")
            pid = int(run.out.split()[1])
            heap = self.json("stat", "-p", pid, "--source", "heap", "--once", "--json")[0]

            def sampled():
                """A sample of the program as it is now, and not of its beginning."""
                done = self.machine.fragscope("stat", "-p", pid, "--source", "preload", "--once",
                                              "--json")
                row = json.loads(done.stdout) if done.returncode == 0 else {}
                return row if row.get("system_bytes", 0) >= heap["system_bytes"] else None

            row = harness.until(sampled, "a sample of the heap as it is")
            self.tap.equal((row["source"], row["system_bytes"]),
                           ("preload", heap["system_bytes"]), "a row")
            self.machine.sh(f"kill {pid}")
            self.tap.equal(run.wait(), 143, "the command's status is that of run")
        return "works"

    def trim_by_call(self):
        """Of another architecture than the host's all that a call must keep; what takes long on
        one of its kernels."""
        checks = [calls.check_trim]
        if not self.is_host and "16k" not in self.machine.release:
            checks += [calls.check_kept, calls.check_endless]
            checks += ([calls.check_killed, calls.check_timed] if self.number >= (6, 12)
                       else [calls.check_storm])
        for check in checks:
            check(self.tap, self.machine)
        return "works"

    def attach(self):
        calls.check_attach(self.tap, self.machine)
        return "works"

    def top(self):
        with Guest(self.machine, "leak", "/p/leak") as leak:
            leak.wrote("READY")
            with Guest(self.machine, "top", *ON_LIBC, "/p/pty", 100, 30, "fragscope", "top", "-p",
                       leak.pid, "--ascii", "--no-color", "0.2") as top:
                top.wrote("resident memory")
                top.wrote("read in")
                self.machine.need("echo -n q >/tmp/top.in")
                self.tap.equal(top.wait(), 0, "q ends it", top.out[-500:])
                self.tap.ok("live res" in top.out, "figures are on the screen")
        return "works"

    def alert(self):
        with Guest(self.machine, "leak", "/p/leak") as leak:
            leak.wrote("READY")
            done = self.machine.fragscope("alert", "-p", leak.pid, "-r", "rss_bytes > 1M",
                                          "--once", "--json", "0.1")
            self.tap.equal(done.returncode, 2, "the alert ends it", done.stderr)
            self.tap.ok("rss_bytes" in done.stdout, "it is printed", done.stdout)
        return "works"

    def record(self):
        with Guest(self.machine, "leak", "/p/leak") as leak:
            leak.wrote("READY")
            self.machine.sh("rm -f /tmp/recording")
            done = self.machine.fragscope("record", "-p", leak.pid, "-o", "/tmp/recording",
                                          "0.2", 8)
            self.tap.equal(done.returncode, 0, "exit status", done.stderr)
            rows = self.json("stat", "--replay", "/tmp/recording", "--json")
            self.tap.equal(len(rows), 8, "every reading is in it")
        return "works"

    def report(self):
        with Guest(self.machine, "leak", "/p/leak") as leak:
            leak.wrote("READY")
            # A machine that others keep waiting has little to see in the shortest.
            for time in ("3s", "10s", "40s"):
                found = self.json("report", "-p", leak.pid, "--for", time, "--json")[0]
                kinds = [verdict["verdict"] for verdict in found["verdicts"]]
                if kinds:
                    break
        self.tap.equal(kinds[:1], ["leak"], "a leak", kinds)
        return "works"

    def owners(self):
        with Guest(self.machine, "leak", "/p/leak") as leak:
            leak.wrote("READY")
            done = self.machine.fragscope("owners", "-p", leak.pid)
            self.tap.equal(done.returncode, 0, "exit status", done.stderr)
            self.tap.ok("unreferenced" in done.stdout, "what leaked", done.stdout)
        with Guest(self.machine, "locals", "/p/locals") as target:
            target.wrote("ready")
            found = self.json("owners", "-p", target.pid, "--live", "--json")[0]
            owner = next((owner for owner in found["owners"]
                          if owner["name"] == "local_chunks"), {})
            self.tap.equal((owner.get("root"), owner.get("asked_chunks")), ("tls", 3 * 64),
                           "thread-local variables of all threads", found)
            self.tap.ok(any((owner["root"], owner.get("type")) == ("stack", "void *[50]")
                            for owner in found["owners"]), "a local variable's type", found)
        self.by_stack()
        return "works"

    def by_stack(self):
        """On the release's libc, where return addresses may be signed; on the build's where that
        is newer, for which the example was linked."""
        is_old = self.machine.sh("/libc/loader --library-path /libc /p/leak --help").returncode
        command = ("/p/leak",) if is_old else (*ON_LIBC, "/p/leak")
        with Guest(self.machine, "run", "fragscope", "run", "--stacks", *command) as run:
            run.wrote("READY")
            pid = int(run.out.split()[1])

            def sampled():
                done = self.machine.fragscope("owners", "-p", pid, "--by", "stack", "--live")
                return done.stdout if "samples" in done.stdout and "main" in done.stdout else None

            said = harness.until(sampled, "a sampled stack")
            self.tap.ok("main;answer" in said, "a whole stack that allocated", said)
            self.machine.sh(f"kill {pid}")
            run.wait()

    def unprivileged(self):
        """One's own process; a stranger's; probes."""
        with Guest(self.machine, "mine", *AS_USER, "exec /p/steady") as mine, \
                Guest(self.machine, "other", "/p/steady") as other:
            mine.wrote("READY")
            other.wrote("READY")
            done = self.machine.sh(f"as_user fragscope stat --once -p {mine.out.split()[1]}")
            self.tap.equal(done.returncode, 0, "one's own process", done.stderr)
            done = self.machine.sh(f"as_user fragscope stat --once -p {other.pid}")
            self.tap.equal(done.returncode, NOT_PERMITTED, "a stranger's is refused", done.stderr)
            said = refusal(done).replace(str(other.pid), "PID")
            done = self.machine.sh(f"as_user fragscope trace --for 1s -p {mine.out.split()[1]}")
            self.tap.equal(done.returncode, NOT_PERMITTED, "probes are refused", done.stderr)
            self.tap.ok("setcap" in done.stderr, "with what mends it", done.stderr)
        return said

    def _after_a_kill(self, *command):
        """What is left of a verb that was killed, beside what was there before."""
        before = self.machine.need("probes")
        with Guest(self.machine, "verb", "fragscope", *command) as verb:
            if self.has_probes and command[0] == "trace":
                verb.waits()
                self.tap.ok(self.machine.need("probes") != before, "probes while it runs")
            else:
                verb.wrote("source heap")
            self.tap.equal(verb.end("KILL"), 137, f"{command[0]} is killed")
        # The kernel frees programs a grace period later.
        after = self.machine.need(f"probes_become {shlex.quote(before.strip())}")
        self.tap.equal(after, before, f"no probes of {command[0]}")
        left = self.machine.sh("ps | grep '[f]ragscope'; ls /dev/shm").stdout
        self.tap.equal(left, "", "no process and no shared memory")

    def left_behind(self):
        """kill -9: the kernel takes the probes back, and the program goes on."""
        with Grower(self.machine) as target:
            self._after_a_kill("stat", "-p", target.pid, "0.1")
            if self.has_probes:
                self._after_a_kill("trace", "-p", target.pid)
            self.tap.ok(target.proc("stat").split()[2] in "RS", "the program goes on")
        return "nothing"


# The rows of the table, in its order.
CASES = [
    ("stat, every figure against mallinfo2", Verbs.stat_exact),
    ("residency by PAGEMAP_SCAN", Verbs.residency),
    ("trim forecast against a trim", Verbs.trim_forecast),
    ("report", Verbs.report),
    ("owners", Verbs.owners),
    ("top", Verbs.top),
    ("alert", Verbs.alert),
    ("record, --replay", Verbs.record),
    ("run, --source preload", Verbs.sampler),
    ("trim --attach", Verbs.trim_by_call),
    ("attach, detach", Verbs.attach),
    ("trace: growths, bytes, stacks", Verbs.trace),
    ("trace --failures", Verbs.failures),
    ("trace --oom", Verbs.kills),
    ("trace --bursts", Verbs.bursts),
    ("without privileges, a stranger's process", Verbs.unprivileged),
    ("left after kill -9", Verbs.left_behind),
]


def run(tap, name, arch, suite, only=()):
    """The cells of the table for this kernel, by case."""
    with Machine(name, arch, suite) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        own_page, harness.PAGE = harness.PAGE, machine.page_bytes()
        machine.need("echo +memory >/sys/fs/cgroup/cgroup.subtree_control")
        cells = cells_of(tap, CASES, Verbs(tap, machine, arch), only)
        harness.elsewhere = None
        harness.PAGE = own_page
    return machine.release, cells
