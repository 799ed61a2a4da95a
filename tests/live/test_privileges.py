"""A fragscope that was made more than its caller is, by setcap, as set-user-ID root, or by
ambient capabilities: it reads what belongs to others, which is what that is for, and opens
no file that the caller could not open. The program is copied; what it does as nobody is
looked at."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import harness
from harness import Oracle, Target

NOBODY = "65534"
CAPABILITIES = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search"
AMBIENT = "ambient"  # the program's name where capabilities come with the call
SECRET = "rootonlysecret"
SCENARIO = "--chunks 500 --min 100 --max 900 --free-pattern random:40"


@contextlib.contextmanager
def install(how):
    """A copy of the program that HOW makes powerful; its path."""
    harness.need_root("to give a program capabilities")
    setcap = harness.need("setcap")
    harness.need("setpriv")
    with harness.scratch() as folder:
        path = folder / "fragscope"
        shutil.copy(harness.FRAGSCOPE, path)
        path.chmod(0o755)
        if how == "setcap":
            done = subprocess.run([setcap, f"{CAPABILITIES}+ep", path], text=True,
                                  capture_output=True, check=False)
            if done.returncode:
                raise harness.Skip(f"no file capabilities here: {done.stderr.strip()}")
        elif how == "ambient":
            path = path.rename(folder / AMBIENT)
        else:
            if os.statvfs(path).f_flag & os.ST_NOSUID:
                raise harness.Skip("the file system is mounted with nosuid")
            path.chmod(0o4755)
        yield path


def as_nobody(program, *words):
    given = []
    if program.name == AMBIENT:
        sets = ",".join(f"+{name[4:]}" for name in CAPABILITIES.split(","))
        given = [f"--inh-caps={sets}", f"--ambient-caps={sets}"]
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *given,
            str(program), *(str(word) for word in words)]


def run(*command):
    return subprocess.run(as_nobody(*command), text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, env=harness.CLEAN_ENV, cwd="/",
                          timeout=harness.PATIENCE_S)


def check_purpose(tap, program):
    with Oracle(SCENARIO) as target:
        copy = shutil.copyfile(program, program.with_name("plain"))
        copy.chmod(0o755)
        plain = run(copy, "stat", "-p", target.pid, "--once")
        tap.equal(plain.returncode, 77, "without privileges it may not read", plain.stderr)
        done = run(program, "stat", "-p", target.pid, "--once", "--json", "--threads", "2")
        tap.ok(done.returncode == 0 and '"status":"complete"' in done.stdout,
               "it reads another user's process", done.stdout, done.stderr)
        done = run(program, "stat", "-p", target.pid, "--once", "--json", "--pause")
        tap.ok(done.returncode == 0 and '"pause_ns"' in done.stdout,
               "it pauses another user's process", done.stdout, done.stderr)
        done = run(program, "stat", "-n", "oracle-dynamic", "--once", "--json")
        tap.ok(f'"pid":{target.pid},' in done.stdout, "it finds it by name",
               done.stdout, done.stderr)
        done = run(program, "report", "-p", target.pid, "--for", "0")
        tap.ok(done.returncode == 0 and "glibc" in done.stdout, "it reports on it",
               done.stdout, done.stderr)
        done = run(program, "alert", "-p", target.pid, "-r", "limit < 100%", "--once", "0.1",
                   "5")
        tap.equal(done.returncode, 2, "it reads its limits", done.stdout, done.stderr)


def check_probes(tap, program):
    with Oracle(SCENARIO) as target:
        mine = harness.fragscope("stat", "-p", target.pid, "--events", "--once")
        if mine.returncode in (69, 77):
            raise harness.Skip(mine.stderr.strip())
        done = run(program, "stat", "-p", target.pid, "--events", "--once", "--json")
        tap.ok('"growth_events":0' in done.stdout, "it counts events", done.stdout,
               done.stderr)
        done = run(program, "trace", "-p", target.pid, "--for", "100ms")
        tap.equal(done.returncode, 0, "it traces", done.stdout, done.stderr)


def refused(tap, name, done):
    tap.ok(done.returncode not in (0, 2), f"{name}: fails", done.stdout)
    tap.ok("Permission denied" in done.stderr, f"{name}: says why", done.stderr)
    tap.ok(SECRET not in done.stdout + done.stderr, f"{name}: tells nothing of the file",
           done.stdout, done.stderr)


def check_files(tap, program):
    """Files that only root may read, one of them in a directory that only root may enter."""
    with Oracle(SCENARIO) as target, harness.scratch() as folder:
        file = folder / "secret"
        hidden = folder / "hidden" / "secret"
        hidden.parent.mkdir(mode=0o700)
        for path in (file, hidden):
            path.write_text(f"{SECRET}\n", encoding="ascii")
        file.chmod(0o600)
        hidden.chmod(0o644)
        for name, path in (("a file of root's", file), ("a hidden file", hidden)):
            for verb, *args in (
                ("alert", "--check", path),
                ("alert", "-p", target.pid, "-f", path, "1", "1"),
                ("alert", "--replay", path),
                ("report", "--replay", path),
            ):
                option = next(word for word in args if word in ("--check", "-f", "--replay"))
                refused(tap, f"{verb} {option}, {name}", run(program, verb, *args))
        for verb, *args in (
            ("stat", "-p", target.pid, "--once", "-o", file),
            ("alert", "-p", target.pid, "--record", file, "1", "1"),
            ("report", "-p", target.pid, "--for", "0", "--html", file),
        ):
            option = next(word for word in args if word in ("-o", "--record", "--html"))
            refused(tap, f"{verb} {option}", run(program, verb, *args))
        tap.equal(file.read_text(encoding="ascii"), f"{SECRET}\n", "the file is as it was")


def capabilities(text):
    """What is permitted, in force and inheritable of /proc/PID/status."""
    return {name: int(re.search(rf"^{name}:\s+(\w+)$", text, re.M)[1], 16)
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}


def check_children(tap, program):
    with Oracle(SCENARIO) as target:
        done = run(program, "alert", "-p", target.pid, "-r", "rss > 0", "--once", "--exec",
                   "cat /proc/self/status >&2", "0.1")
        tap.equal(done.returncode, 2, "an alert begins", done.stderr)
        tap.equal(set(capabilities(done.stderr).values()), {0},
                  "its command has no capability", done.stderr)
        tap.equal(re.search(r"^Uid:\s+(.*)$", done.stderr, re.M)[1].split(), [NOBODY] * 4,
                  "and is the caller's", done.stderr)


def check_threads(tap, program):
    """Only the thread that reads has them in force."""
    with Oracle(SCENARIO) as target, Target(
            as_nobody(program, "stat", "-p", target.pid, "0.1")) as reader:
        for _ in range(4):
            reader.line()
        first = {}
        others = []
        for task in reader.tasks():
            found = capabilities((task / "status").read_text(encoding="ascii"))
            if task.name == str(reader.pid):
                first = found
            else:
                others.append(found)
        tap.equal(first.get("CapEff"), 0, "the first thread has none in force", first)
        tap.ok(others and all(found["CapEff"] == first["CapPrm"] for found in others),
               "the reading one has", others)
        tap.ok(first["CapPrm"] < 1 << 41 and bin(first["CapPrm"]).count("1") <= 5,
               "no more is permitted than is needed", hex(first["CapPrm"]))
        uids = re.search(r"^Uid:\s+(.*)$", reader.proc("status"), re.M)[1].split()
        tap.equal(uids, [NOBODY] * 4, "its user is the caller")
        reader.process.send_signal(signal.SIGTERM)
        tap.equal(reader.process.wait(timeout=harness.PATIENCE_S), 0, "status")


def check_replay(tap, program):
    """With nothing but files to read, everything is given up: a pipe holds it there."""
    with harness.scratch() as folder:
        pipe = pathlib.Path(folder) / "rows"
        os.mkfifo(pipe)
        pipe.chmod(0o644)
        with Target(as_nobody(program, "alert", "--check", pipe),
                    stderr=subprocess.DEVNULL) as reader:
            def capless():
                text = reader.proc("status")
                return f"Name:\t{program.name}\n" in text and \
                    set(capabilities(text).values()) == {0}

            harness.until(capless, "no capability is left")
            tap.reached("nothing is permitted any more")
            with open(pipe, "w", encoding="ascii"):
                pass
            reader.process.wait(timeout=harness.PATIENCE_S)


def main():
    tap = harness.Tap()
    for how in ("setcap", "set-user-ID", "ambient"):
        with tap.section(how), install(how) as program:
            for check in (check_purpose, check_probes, check_files, check_children,
                          check_threads, check_replay):
                with tap.section(f"{how}: {check.__name__.removeprefix('check_')}"):
                    check(tap, program)
    tap.done()


if __name__ == "__main__":
    main()
