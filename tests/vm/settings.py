"""settings.py: what administrators switch off, and what is said then: each verb names the
setting that stands in its way. In one machine: what cannot be taken back comes last, and its end
at last."""

import shlex

import harness
from machine import ON_LIBC, Guest, Machine, cells_of, within
from verbs import AS_USER, NOT_HERE, NOT_PERMITTED, refusal

SYSCTL = "/proc/sys/kernel"
LOCKDOWN = "/sys/kernel/security/lockdown"


class Settings:
    """The cases. Each returns what the table is to say of it."""

    def __init__(self, tap, machine):
        self.tap, self.machine = tap, machine

    def set(self, name, value):
        self.machine.need(f"echo {value} >{SYSCTL}/{name}")

    def _said(self, done, status, pid, word):
        """A refusal with its status that names the setting."""
        self.tap.equal(done.returncode, status, "it is refused", done.stderr)
        self.tap.ok(word in done.stderr, f"the message has '{word}'", done.stderr)
        return refusal(done).replace(str(pid), "PID")

    def yama(self):
        """2: only who may trace any process; to oneself even one's own is closed."""
        self.set("yama/ptrace_scope", 2)
        with Guest(self.machine, "mine", *AS_USER, "exec /p/steady") as mine:
            pid = mine.wrote("READY").out.split()[1]
            done = self.machine.sh(f"as_user fragscope stat --once -p {pid}")
            self.tap.equal(self.machine.fragscope("stat", "--once", "-p", pid).returncode, 0,
                           "root may")
            said = self._said(done, NOT_PERMITTED, pid, "ptrace_scope")
        self.set("yama/ptrace_scope", 0)
        return said

    def no_unprivileged_bpf(self):
        """2: nobody but root; root's probes work."""
        self.set("unprivileged_bpf_disabled", 2)
        return self._root_traces()

    def perf_paranoid(self):
        """As high as it goes; root's probes work."""
        self.set("perf_event_paranoid", 4)
        return self._root_traces()

    def _root_traces(self):
        with Guest(self.machine, "target", "/p/steady") as target:
            target.wrote("READY")
            done = self.machine.fragscope("trace", "-p", target.pid, "--for", "10ms")
            self.tap.equal(done.returncode, 0, "trace by root", done.stderr)
        return "works"

    def no_btf(self):
        """Nothing in /sys/kernel/btf: as of a kernel that was built without."""
        self.machine.need("mount -t tmpfs none /sys/kernel/btf")
        said = self._without_probes((), NOT_HERE, "no BTF")
        self.machine.need("umount /sys/kernel/btf")
        return said

    def no_bpf(self):
        """The system call is not there: as of a kernel that was built without."""
        return self._without_probes(("/p/nobpf", "ENOSYS"), NOT_HERE, "no bpf()")

    def bpf_filtered(self):
        """The system call is refused by a filter, as in a container."""
        return self._without_probes(("/p/nobpf", "EPERM"), NOT_PERMITTED, "refuses bpf()")

    def _without_probes(self, wrapper, status, words):
        """What lives by probes is refused, and what does more goes on; libbpf's own words are
        not among ours."""
        with Guest(self.machine, "target", "/p/steady").wrote("READY") as target:
            for verb, *args in (("trace", "--for", "10ms"), ("export", "--events"),
                                ("alert", "--events", "--once")):
                done = self.machine.sh(shlex.join([*wrapper, "fragscope", verb, "-p",
                                                   str(target.pid), *args]))
                said = self._said(done, status, target.pid, words)
                self.tap.equal(done.stderr.count("\n"), 1, f"{verb}: one line", done.stderr)
            done = self.machine.sh(shlex.join([*wrapper, "fragscope", "report", "-p",
                                               str(target.pid), "--for", "100ms"]))
            self.tap.equal((done.returncode, done.stderr), (0, ""), "report goes on")
            self.tap.ok(words in " ".join(done.stdout.split()), "and says what is not known",
                        done.stdout)
            with Guest(self.machine, "top", *ON_LIBC, "/p/pty", 100, 30, *wrapper, "fragscope",
                       "top", "-p", target.pid, "--ascii", "--no-color", "0.2") as top:
                top.wrote("complete")
                self.machine.need("echo -n q >/tmp/top.in")
                self.tap.equal(top.wait(), 0, "top goes on", top.out[-500:])
                self.tap.ok("libbpf" not in top.out, "its screen is its own", top.out[-2000:])
        return said.replace(f"kernel {self.machine.release}", "this kernel")

    def lockdown(self):
        """Confidentiality: no reading of the kernel's memory by eBPF, not even by root."""
        self.machine.need(f"echo confidentiality >{LOCKDOWN}")
        with Guest(self.machine, "target", "/p/steady") as target:
            target.wrote("READY")
            done = self.machine.fragscope("stat", "--once", "-p", target.pid)
            self.tap.equal(done.returncode, 0, "stat by root", done.stderr)
            done = self.machine.fragscope("trace", "-p", target.pid, "--for", "10ms")
            return self._said(done, NOT_HERE, target.pid, "lockdown=")

    def panic_on_oom(self):
        """1: a full cgroup kills its own still. 2: it is the end of this machine. Said before."""
        group = "/sys/fs/cgroup/panic"
        self.machine.need(f"echo +memory >/sys/fs/cgroup/cgroup.subtree_control; mkdir {group}; "
                          f"echo {96 << 20} >{group}/memory.max")
        grows = within(group, ["/p/too_big_to_fail", "--mortal"])
        self._panics(1, "When the host is out of memory the kernel panics and kills nobody "
                     "(vm.panic_on_oom is 1)")
        with Guest(self.machine, "mortal", *grows) as mortal:
            self.tap.equal(mortal.wait(), 137, "1: it is killed in its cgroup")
        self._panics(2, "When the host or a cgroup is out of memory the kernel panics and kills "
                     "nobody (vm.panic_on_oom is 2)")
        with Guest(self.machine, "mortal", *grows):
            end = self.machine.last_words()
        self.tap.ok("Kernel panic" in end and "panic_on_oom" in end, "2: the kernel panics", end)
        return "works"

    def _panics(self, value, words):
        self.machine.need(f"echo {value} >/proc/sys/vm/panic_on_oom")
        with Guest(self.machine, "target", "/p/steady").wrote("READY") as target:
            done = self.machine.fragscope("report", "-p", target.pid, "--for", "0")
            said = " ".join(done.stdout.split())
            self.tap.ok(words in said, f"{value}: report says what happens", said)


# The rows of the table, in its order.
CASES = [
    ("stat, one's own process; Yama's ptrace_scope 2", Settings.yama),
    ("trace by root; unprivileged_bpf_disabled 2", Settings.no_unprivileged_bpf),
    ("trace by root; perf_event_paranoid 4", Settings.perf_paranoid),
    ("trace, export --events, alert --events; no BTF", Settings.no_btf),
    ("trace, export --events, alert --events; no bpf()", Settings.no_bpf),
    ("trace, export --events, alert --events; bpf() filtered", Settings.bpf_filtered),
    ("trace by root; lockdown=confidentiality", Settings.lockdown),
    ("report; vm.panic_on_oom 1 and 2", Settings.panic_on_oom),
]


def run(tap, name, arch, suite, only=()):
    """The cells of the table for these settings, by case."""
    with Machine(name, arch, suite) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        cells = cells_of(tap, CASES, Settings(tap, machine), only)
        harness.elsewhere = None
    return machine.release, cells
