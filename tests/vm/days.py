"""days.py: the verbs that run for days beside programs that come and go. A round begins some of
them one after the other, and ends with none; what each verb holds then is what it held after the
first rounds. FRAGSCOPE_DAYS is for how many seconds it goes on, a few rounds unless given."""

import os
import time

import harness
from machine import ON_LIBC, Guest, Machine

PROGRAMS = "leak,fragmenter,steady"
# At a time, and as many in a round.
SLOTS = 3
LIVES = 4
ROUNDS = 4
# Rounds until every table has its size.
WARM = 2
TICKS_S = 100
# export may take 1%; what it took before the middle of a run, which a run must be long for, does
# not count.
LONG_S, MAX_COST = 600, 1.05
# Some processes more or less, with their probes and the symbols of their files, which take 20 MB
# and more each, and what is open once there have been any. Were anything kept of each process that
# came, there would be more.
SLACK_KB, SLACK_FILES = 128 << 10, 16


class Days:
    """The verbs, and what they took."""

    def __init__(self, tap, machine):
        self.tap, self.machine = tap, machine
        follow = ("-n", PROGRAMS, "--follow")
        self.verbs = [
            self._verb("record", *follow, "--events", "--max-size", "8M", "-o", "/tmp/days", 2),
            self._verb("alert", *follow, "--events", "-r", "rss_bytes > 40M", 2),
            self._verb("export", "-n", PROGRAMS, "--events", 2),
            Guest(machine, "top", *ON_LIBC, "/p/pty", 100, 30, "fragscope", "top", *follow,
                  "--ascii", "--no-color", 2),
        ]
        # The verb on the terminal is a child of what made the terminal.
        top = self.verbs[-1]
        top.pid = int(harness.until(
            lambda: machine.read(f"/proc/{top.pid}/task/{top.pid}/children"), "top"))
        self.idle = {verb.name: [] for verb in self.verbs}
        self.used = {verb.name: [] for verb in self.verbs}

    def _verb(self, name, *args):
        return Guest(self.machine, name, "fragscope", name, *args)

    def _taken(self, when, verb, begin):
        """Anonymous memory in kB and open files of a verb; both are printed with its part of the
        processor since it began."""
        memory, files, ticks, up = self._look(verb)
        self.used[verb.name].append((ticks, up))
        since = up - begin[verb.name][1]
        cost = (ticks - begin[verb.name][0]) / TICKS_S / since * 100 if since else 0
        print(f"# {up:7.0f} s {when} {verb.name:6} {memory:6.0f} kB {files:3.0f} files "
              f"{cost:5.2f} % of a processor", flush=True)
        return memory, files

    def _begin(self, verb):
        _, _, ticks, up = self._look(verb)
        return ticks, up

    def _look(self, verb):
        said = self.machine.need(f"taken {verb.pid} || {{ cat /tmp/{verb.name}.err; false; }}")
        return [float(word) for word in said.split()]

    def run(self, seconds, lives):
        churn = "".join(f"lives {lives} {slot} & " for slot in range(SLOTS)) + "wait"
        end = time.monotonic() + seconds
        begin = {verb.name: self._begin(verb) for verb in self.verbs}
        number = 0
        while number < ROUNDS or time.monotonic() < end:
            number += 1
            self.machine.need(churn)
            for verb in self.verbs:
                self._taken("busy", verb, begin)
            said = self.machine.need("until wget -q -O - http://127.0.0.1:9877/metrics; do "
                                     "usleep 100000; done")
            if "fragscope_" not in said:
                self.tap.ok(False, "export answers", said)
            self.machine.sh(f"killall -9 {PROGRAMS.replace(',', ' ')}")
            for verb in self.verbs:
                files = 0 if verb.name == "top" else self._settled(verb)
                memory, _ = self._taken("idle", verb, begin)
                self.idle[verb.name].append((memory, files))

    def _settled(self, verb):
        """How many files it has open once it has let go of processes that have ended, for which it
        is waited for some time."""
        return int(self.machine.need(f"settled {verb.pid}"))

    def judge(self):
        """Not of top, which keeps the last 16 processes in view: how many it has seen by then is a
        matter of the machine."""
        for verb in self.verbs[:-1]:
            memory, files = zip(*self.idle[verb.name])
            self.tap.ok(max(files[WARM:]) <= max(files[:WARM]) + SLACK_FILES,
                        f"{verb.name}: open files", files)
            self.tap.ok(min(memory[-WARM:]) <= max(memory[:WARM]) + SLACK_KB,
                        f"{verb.name}: memory", memory)

    def judge_cost(self):
        used = self.used["export"]
        (ticks, up), (last_ticks, last_up) = used[len(used) // 2], used[-1]
        cost = (last_ticks - ticks) / TICKS_S / (last_up - up) * 100
        self.tap.within(cost, 0, MAX_COST, "export: per cent of a processor")


def run(tap, name, arch, suite, only=()):
    seconds = int(os.environ.get("FRAGSCOPE_DAYS", "0"))
    with Machine(name, arch, suite, memory_mb=1024) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        days = Days(tap, machine)
        days.run(seconds, 10 if seconds else LIVES)
        days.judge()
        if seconds >= LONG_S:
            days.judge_cost()
        machine.need("echo -n q >/tmp/top.in")
        for verb in days.verbs:
            status = verb.wait() if verb.name == "top" else verb.end("INT")
            tap.equal(status, 0, f"{verb.name} ends as ever", verb.err)
        harness.elsewhere = None
    return machine.release, {}
