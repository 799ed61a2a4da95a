"""held.py: processes about which a call of the kernel does not return: a FUSE server that does not
answer, a file system that is frozen, whose writers wait in state D, and pages that nobody brings
(userfaultfd). What watches such a process says so, reads the others on, ends when it is told to,
and reads it again afterwards. Pages that go while they are read are tests/live/test_hang.py's: who
is to be caught has to run beside the trap."""

import json

import harness
from machine import ON_LIBC, Grower, Guest, Machine, cells_of

FROZEN = "/tmp/frozen"
LARGE = 64 << 20


class Held:
    """The cases. Each returns what the table is to say of it."""

    def __init__(self, tap, machine):
        self.tap, self.machine = tap, machine

    def watch(self, verb, *pids):
        """VERB on these processes, when it has read them."""
        pids = ",".join(str(pid) for pid in pids)
        command = {
            "stat": ("fragscope", "stat", "-p", pids, "--json", "0.2"),
            "alert": ("fragscope", "alert", "-p", pids, "-r", f"rss_bytes > {LARGE}", "--record",
                      "/tmp/rows", "0.2"),
            "top": (*ON_LIBC, "/p/pty", 100, 30, "fragscope", "top", "-p", pids, "--ascii",
                    "--no-color", "--no-events", "--max-cost", "100", "0.2"),
        }[verb]
        self.machine.sh("rm -f /tmp/rows")
        guest = Guest(self.machine, verb, *command)
        ready = {"stat": "lines stat 4", "top": "wrote top 'complete\\|torn\\|estimated'",
                 "alert": "until grep -qs 'rss_bytes' /tmp/rows; do usleep 20000; done"}[verb]
        self.machine.need(ready)
        return guest

    def goes_on(self, target, hold, free):
        """What watches TARGET and a neighbour, which grows after HOLD; FREE lets TARGET go."""
        with Grower(self.machine, "neighbour") as neighbour:
            stat, alert, top = (self.watch(verb, target.pid, neighbour.pid)
                                for verb in ("stat", "alert", "top"))
            hold()
            for guest in stat, alert, top:
                guest.wrote("unreadable")
            self.tap.reached("each says so")
            neighbour.order(f"touch {LARGE >> 20} {1 << 20}")
            harness.until(lambda: self._last(stat, neighbour).get("rss_bytes", 0) > LARGE,
                          "the neighbour's rows")
            alert.wrote(f"[[]{neighbour.pid}[]]")
            self.tap.reached("the neighbour is read on")
            self.machine.need("echo -n q >/tmp/top.in")
            self.tap.equal(top.wait(), 0, "top: q ends it meanwhile")
            free()
            alert.wrote("is readable again")
            harness.until(lambda: self._last(stat, target)["status"] == "complete",
                          "a complete row")
            self.tap.reached("it is read again")
            for guest in stat, alert:
                self.tap.equal(guest.end("INT"), 0, f"{guest.name}: its end", guest.err)

    def _last(self, stat, target):
        lines = self.machine.need(f"grep '\"pid\":{target.pid},' /tmp/{stat.name}.out | tail -n 1")
        return json.loads(lines)

    def refused(self, target):
        """A verb that comes only now says why it cannot begin."""
        for verb, *args in (("stat", "--once"), ("report", "--for", "1s"), ("alert", "--once")):
            done = self.machine.fragscope(verb, "-p", target.pid, *args)
            self.tap.equal(done.returncode, 1, f"{verb} gives up", done.stderr)
            self.tap.ok("has not returned" in done.stderr, f"{verb} says why", done.stderr)

    # ---- a server that does not answer ----

    def _served(self, file):
        """The server of a FUSE file system with FILE."""
        self.machine.need("mkdir -p /tmp/fuse")
        return Guest(self.machine, "fuse", "/p/fuse", "/tmp/fuse", file).wrote("ready")

    def fuse_pages(self):
        """A thread waits for a page of a mapped file."""
        with self._served("/p/stuck") as server:
            self._stays_complete("read", "/tmp/fuse/program", lambda: server.ask("hold reads"),
                                 lambda: server.wrote("held").end())
        self.machine.need("umount -l /tmp/fuse")
        return "works"

    def fuse_files(self):
        """A program on FUSE, and it is not opened again: what reads it goes on, what comes to
        attach gives up."""
        with self._served("/p/steady") as server, \
                Guest(self.machine, "served", "/tmp/fuse/program").wrote("READY") as target, \
                self.watch("stat", target.pid) as stat:
            server.ask("hold")
            self.refused(target)
            rows = len(stat.out.splitlines())
            self.machine.need(f"lines stat {rows + 3}")
            self.tap.equal(self._last(stat, target)["status"], "complete", "who reads it goes on")
            self.tap.equal(stat.end("INT"), 0, "stat: its end", stat.err)
        self.machine.need("umount -l /tmp/fuse")
        return "works"

    # ---- state D ----

    def freeze(self):
        self.machine.need(f"fsfreeze --freeze {FROZEN}")

    def thaw(self):
        self.machine.need(f"fsfreeze --unfreeze {FROZEN}")

    def writer(self):
        self._stays_complete("write", f"{FROZEN}/file", self.freeze, self.thaw)
        return "works"

    def _stays_complete(self, kind, path, hold, free):
        """A thread that waits for a file system and holds nothing of the process: every figure
        is right."""
        with Guest(self.machine, "stuck", "/p/stuck", kind, path).wrote("ready") as target:
            before = self._stat(target)
            hold()
            self.tap.equal(target.ask(""), "stuck", "it waits")
            if kind == "write":
                self.tap.equal(self._in_d(target), 1, "a thread is in state D")
            after = self._stat(target)
            for row in before, after:
                self.tap.equal(row["status"], "complete", "a complete row", row)
            # What a thread takes besides.
            self.tap.within(after["live_bytes"], before["live_bytes"],
                            before["live_bytes"] + 4096, "what it holds")
            free()

    def _stat(self, target):
        done = self.machine.fragscope("stat", "-p", target.pid, "--once", "--json")
        self.tap.equal(done.returncode, 0, "stat: exit status", done.stderr)
        return json.loads(done.stdout)

    def _in_d(self, target):
        """How many threads are."""
        states = self.machine.need(f"cat /proc/{target.pid}/task/*/stat").splitlines()
        return [line.rpartition(")")[2].split()[0] for line in states].count("D")

    def holder(self):
        """A thread in state D within a page fault, and one that waits for it to change the
        mapping: whoever looks at the process's mappings waits."""
        with Guest(self.machine, "stuck", "/p/stuck", "map", f"{FROZEN}/file") as target:
            target.wrote("ready")

            def hold():
                self.freeze()
                self.machine.need("echo >/tmp/stuck.in")
                target.wrote("stuck")
                self.tap.equal(self._in_d(target), 2, "two threads are in state D")

            def free():
                self.refused(target)
                self.thaw()

            self.goes_on(target, hold, free)
        return "works"

    # ---- pages that nobody brings ----

    def not_brought(self):
        """Pages that are not there and that userfaultfd is to bring: nobody asks for one, and what
        chunks were on them is in doubt."""
        with Guest(self.machine, "lazy", *ON_LIBC, "/p/lazy").wrote("ready") as target:
            whole = self._stat(target)
            gone = int(target.ask("mapping").split()[1])
            row = self._stat(target)
            for figure in "live_bytes", "free_bytes", "mmapped_bytes", "status":
                self.tap.equal(row[figure], whole[figure], f"a large chunk: {figure}")
            self.tap.equal(row["mmapped_resident_bytes"], whole["mmapped_resident_bytes"] - gone,
                           "what of it is there")
            gone = int(target.ask("heap").split()[1])
            resident = target.rollup("Rss")
            row = self._stat(target)
            self.tap.equal(row["status"], "torn", "chunks: the row says so", row)
            # Chunks that begin before the first page that is gone, or end behind the last one.
            self.tap.within(row["in_doubt_bytes"], gone - 4096, gone + 4096, "what is in doubt")
            self._others_go_on(target)
            self.tap.equal(target.rollup("Rss"), resident, "no page has come")
            self.tap.equal(target.ask("asked"), "asked 0", "and nobody asked for one")
        return "works"

    def _others_go_on(self, target):
        """An estimate takes what is not there for memory that was never touched, and does not say
        so."""
        for verb, *args in (("stat", "--once", "--budget", "1ms"), ("stat", "--once", "--quick"),
                            ("report", "--for", "1s"), ("report", "--for", "0"), ("owners",),
                            ("owners", "--live")):
            done = self.machine.fragscope(verb, "-p", target.pid, *args)
            self.tap.equal(done.returncode, 0, f"{verb} {' '.join(args)}", done.stderr)
            if verb == "owners" or "0" in args:
                self.tap.ok("torn" in done.stdout, f"{verb} {' '.join(args)} says so", done.stdout)
        for verb in "stat", "alert", "top":
            with self.watch(verb, target.pid) as guest:
                if verb == "top":
                    self.machine.need("echo -n q >/tmp/top.in")
                    self.tap.equal(guest.wait(), 0, "top: its end", guest.out[-500:])
                else:
                    self.tap.equal(guest.end("INT"), 0, f"{verb}: its end", guest.err)


# The rows of the table, in its order.
CASES = [
    ("stat; a thread waits for a page of FUSE", Held.fuse_pages),
    ("stat, report, alert; a program that FUSE does not open", Held.fuse_files),
    ("stat; a thread in state D on a frozen file system", Held.writer),
    ("stat, report, alert, top; mappings held by a thread in state D", Held.holder),
    ("stat, report, owners, alert, top; pages that userfaultfd does not bring", Held.not_brought),
]


def run(tap, name, arch, suite, only=()):
    """The cells of the table, by case."""
    with Machine(name, arch, suite) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        machine.need(f"load zram; echo {16 << 20} >/sys/block/zram0/disksize; "
                     f"mke2fs -b 4096 /dev/zram0 >/dev/null; mkdir -p {FROZEN}; "
                     f"mount -t ext2 /dev/zram0 {FROZEN}")
        cells = cells_of(tap, CASES, Held(tap, machine), only)
        harness.elsewhere = None
    return machine.release, cells
