"""settings.py: what administrators switch off, and what is said then: each verb names the setting
that stands in its way. In one machine, the setting that cannot be taken back last."""

import harness
from machine import Guest, Machine
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

    def lockdown(self):
        """Confidentiality: no reading of the kernel's memory by eBPF, not even by root."""
        self.machine.need(f"echo confidentiality >{LOCKDOWN}")
        with Guest(self.machine, "target", "/p/steady") as target:
            target.wrote("READY")
            done = self.machine.fragscope("stat", "--once", "-p", target.pid)
            self.tap.equal(done.returncode, 0, "stat by root", done.stderr)
            done = self.machine.fragscope("trace", "-p", target.pid, "--for", "10ms")
            return self._said(done, NOT_HERE, target.pid, "lockdown=")


# The rows of the table, in its order.
CASES = [
    ("stat, one's own process; Yama's ptrace_scope 2", Settings.yama),
    ("trace by root; unprivileged_bpf_disabled 2", Settings.no_unprivileged_bpf),
    ("trace by root; perf_event_paranoid 4", Settings.perf_paranoid),
    ("trace by root; lockdown=confidentiality", Settings.lockdown),
]


def run(tap, name, arch, suite, only=()):
    """The cells of the table for these settings, by case."""
    with Machine(name, arch, suite) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        cells = tap_cells(tap, Settings(tap, machine), only)
        harness.elsewhere = None
    return machine.release, cells


def tap_cells(tap, settings, only):
    cells = {}
    for title, case in CASES:
        if only and title not in only:
            continue
        failed = tap.failed
        with tap.section(title):
            said = case(settings)
            if tap.failed == failed:
                cells[title] = said
        cells.setdefault(title, "FAILS")
    return cells
