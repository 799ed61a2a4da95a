"""calls.py: calls in running programs (trim --attach, attach, detach), in a machine. What the
host's own architecture does with every register and system call is in tests/live; here it is done
for another."""

import errno
import json

import harness
from machine import ON_LIBC, Guest, Oracle

ATTACH = ("--attach", "--watch", "0", "--for", "60s")
KEPT = "--threads 2 --chunks 5000 --max 3000 --free-pattern keep:50"


def made(tap, machine, pid):
    """A trim that was made; what it says."""
    done = machine.fragscope("trim", "--json", *ATTACH, pid)
    tap.equal(done.returncode, 0, "a trim", done.stderr)
    return json.loads(done.stdout), done.stderr


def check_trim(tap, machine):
    """On the release's libc."""
    with Oracle(machine, KEPT) as target:
        before = target.info()["uordblks"]
        told, _ = made(tap, machine, target.pid)
        tap.ok(told["given_back_bytes"] > told["predicted_bytes"] * 0.9, "given back", told)
        tap.equal(target.info()["uordblks"], before, "what is live stays so")


def keeper(machine, *words):
    return Guest(machine, "keeper", *ON_LIBC, "/p/keeper", *words).wrote("ready")


def is_kept(tap, target, what):
    target.machine.need(f"kill -USR1 {target.pid}")
    tap.equal(target.wait(), 0, what, target.out)


def check_kept(tap, machine):
    """In the middle of a loop of two instructions with every register in use."""
    for words in ((), (16,)):
        with keeper(machine, *words) as target:
            made(tap, machine, target.pid)
            is_kept(tap, target, f"{target.out.strip()}: every register, errno, mask, stack")


# Where the helper is killed: before the first of each.
KILLED_AT = ("interrupt", "writev", "setregset", "setsigmask", "detach")


def check_killed(tap, machine):
    for place in KILLED_AT:
        with keeper(machine) as target:
            done = machine.sh(f"LD_PRELOAD=/p/killed.so KILLED_AT={place} "
                              f"fragscope trim {' '.join(ATTACH)} {target.pid}")
            tap.equal(done.returncode, 1, f"killed before {place}", done.stderr)
            tap.ok("was ended" in done.stderr, "as the verb says", done.stderr)
            harness.until(lambda t=target: t.status("TracerPid") == "0", "no tracer")
            is_kept(tap, target, "as it was")


# What a wait without end gets, and one with a time that is over, as "RESULT ERRNO".
WAITS = {
    "read": ("1 0", None), "nanosleep": (None, "0 0"), "remaining": (None, "0 0"),
    "until": (None, "0 0"), "condition": ("0 0", f"{errno.ETIMEDOUT} 0"),
    "futex": ("0 0", None), "epoll": ("1 0", "0 0"), "poll": ("1 0", "0 0"),
    "select": ("1 0", "0 0"), "accept": ("1 0", f"-1 {errno.EAGAIN}"),
    "recvmsg": ("1 0", f"-1 {errno.EAGAIN}"),
}


def rests(target):
    return all(state == "S" for state in target.machine.need(
        f"cut -d ' ' -f 3 /proc/{target.pid}/task/*/stat").split())


def check_endless(tap, machine):
    """Each goes on to get what it waited for, whichever of its two threads made the call."""
    by_it = 0
    for kind, (got, _) in WAITS.items():
        if not got:
            continue
        with Guest(machine, "waits", *ON_LIBC, "/p/waits", kind, 0, 1) as target:
            target.wrote("ready")
            harness.until(lambda t=target: rests(t), "the wait")
            _, said = made(tap, machine, target.pid)
            by_it += f"thread {target.pid} (" in said
            harness.until(lambda t=target: rests(t), "the wait again")
            early = target.out.split("\n", 1)[1]
            line = early or target.ask("x")
            tap.equal((early, line.rsplit(" ", 1)[0]), ("", got),
                      f"{kind}: and gets what it waited for, when that comes")
    tap.ok(by_it > 2, "most calls were made by the thread that waits", by_it)


def check_timed(tap, machine):
    """Each gets what it would have got, and not before its time, whether a call was made or
    not: where a machine looks seldom it sees few beginnings."""
    by_it = 0
    for kind, (_, got) in WAITS.items():
        if not got:
            continue
        with Guest(machine, "waits", *ON_LIBC, "/p/waits", kind, 300, 100000) as target:
            target.wrote("ready")
            done = machine.fragscope("trim", "--attach", "--watch", "0", "--for", "3s",
                                     target.pid)
            by_it += "made the call" in done.stderr
            machine.need(f"lines waits {len(target.out.splitlines()) + 2}")
            lines = [line.rsplit(" ", 1) for line in target.out.splitlines()[1:]]
        tap.equal({result for result, _ in lines}, {got}, f"{kind}: results")
        least = min(float(ms) for _, ms in lines)
        tap.ok(least >= 299.9, f"{kind}: no wait is short", lines)
    tap.reached(f"{by_it} trims were made in waits with a time")


def sampled(machine, pid):
    done = machine.fragscope("stat", "-p", pid, "--source", "preload", "--once", "--json")
    row = json.loads(done.stdout) if done.returncode == 0 else {}
    return row if row.get("sample_age_ns") else None


def check_attach(tap, machine):
    """On the build's libc, which the sampler is linked to."""
    with Guest(machine, "steady", "/p/steady") as target:
        target.wrote("READY")
        for words in ((), ("-i", "50ms")):
            done = machine.fragscope("attach", "--for", "60s", *words, target.pid)
            tap.equal(done.returncode, 0, "attach", done.stderr)
            row = harness.until(lambda t=target: sampled(machine, t.pid), "a sample")
            tap.equal(row["source"], "preload", "its source")
            if not words:
                done = machine.fragscope("trim", "--watch", "0", target.pid)
                tap.equal(done.returncode, 0, "it trims when asked", done.stderr)
            done = machine.fragscope("detach", target.pid)
            tap.equal(done.returncode, 0, "detach", done.stderr)
            harness.until(lambda t=target: "fragscope-ring" not in t.proc("maps"), "its end")
        tap.ok(target.proc("stat").split()[2] in "RS", "the program goes on")


def check_storm(tap, machine):
    """Threads that allocate, throw, fork and load, and take signals. Where each instruction is
    translated a safe point may not come: then the stops alone must change nothing."""
    with Guest(machine, "storm", "/p/storm", "/p/plugin.so", 4, 20000) as target:
        target.wrote("ready")
        looks = [machine.fragscope("trim", "--attach", "--watch", "0", "--for", "3s", target.pid)
                 for _ in range(3)]
        tap.ok(all(done.returncode in (0, 1) for done in looks), "looks", looks[-1].stderr)
        tap.ok(target.ask("").startswith("ok: "), "nothing is wrong", target.out)
    tap.reached(f"{sum(not done.returncode for done in looks)} trims were made in a storm")
