"""`fragscope run` stands between a command and who started it, and neither notices: exit
statuses, streams, signals, environment, descriptors; what cannot be sampled is refused with
the reason; and every sample becomes a row."""

import datetime
import json
import os
import pathlib
import pty
import shlex
import signal
import subprocess
import sys
import time

import harness
import preloading
from harness import FRAGSCOPE, Skip, Tap, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "schema"))

import schema  # noqa: E402  pylint: disable=wrong-import-position

NOBODY = 65534


def run(*words, **options):
    return harness.fragscope("run", *words, **options)


def shell(script, *options, **others):
    return run(*options, "--", "sh", "-c", script, **others)


def start(*words, **options):
    """`run WORDS` that goes on; the caller ends it."""
    return harness.Target([FRAGSCOPE, "run", *words], **options)


def check_statuses(tap):
    for script, want in (("exit 0", 0), ("exit 3", 3), ("exit 255", 255),
                         ("kill -TERM $$", 143), ("kill -KILL $$", 137),
                         ("kill -SEGV $$", 139)):
        done = shell(script)
        tap.equal((done.returncode, done.stdout, done.stderr), (want, "", ""),
                  f"status of `{script}`")
    done = run("true")
    tap.equal(done.returncode, 0, "without --")
    done = run("echo", "--csv", "-p", "1")
    tap.equal(done.stdout, "--csv -p 1\n", "options behind the command are its own")


def check_bare_ends(tap):
    """Programs that end past the C library end with the status that they have without us: the
    sampler's thread neither outlives them nor gives them its own."""
    path = harness.program("ends")
    for how in ("raw", "worker", "strict", "strict-group", "filter", "fork"):
        plain = subprocess.run([path, how, "6"], check=False, timeout=harness.PATIENCE_S)
        if plain.returncode == 77:
            tap.skip(how, "the kernel does not let it")
            continue
        want = plain.returncode if plain.returncode >= 0 else 128 - plain.returncode
        done = run("--", path, how, "6")
        tap.equal((done.returncode, done.stderr), (want, ""), how)


def check_streams(tap):
    done = shell("cat; echo to-err >&2", stdin=None, input="through\n")
    tap.equal((done.stdout, done.stderr), ("through\n", "to-err\n"), "the three streams")
    # The command closes its output and goes on: whoever reads it must see the end.
    with start("sh", "-c", "echo word; exec >&-; read word") as one:
        tap.equal(one.process.stdout.read(), "word\n", "output that the command closed is closed")
        one.process.terminate()
        tap.equal(one.process.wait(), 143, "and a signal still reaches it")


# Of every program with threads, the C library catches signal 33 for itself.
SETXID = 1 << 32


def fields(text):
    """What /proc/self/status says of masks and rights."""
    said = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    names = ("SigBlk", "SigIgn", "SigCgt", "Umask", "NoNewPrivs", "CapEff", "Seccomp")
    for name in ("SigCgt", "SigIgn"):
        said[name] = int(said[name], 16) & ~SETXID
    return {name: said[name] for name in names}


def check_surroundings(tap):
    """What a program sees of itself is the same with and without run."""
    bare = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True,
                          check=True).stdout
    done = run("cat", "/proc/self/status")
    tap.equal(fields(done.stdout), fields(bare), "masks and rights")
    ignoring = ["sh", "-c", "trap '' CHLD USR1 PIPE; exec \"$@\"", "sh"]
    cat = ["cat", "/proc/self/status"]
    bare, done = (
        subprocess.run([*ignoring, *middle, *cat], capture_output=True, text=True,
                       check=True).stdout
        for middle in ([], [FRAGSCOPE, "run", "--"])
    )
    tap.equal(fields(done), fields(bare), "signals that were ignored")
    # Not a python: it would see what the sampler does while it runs.
    bare = subprocess.run(["env"], capture_output=True, text=True, check=True,
                          env={"PATH": os.environ["PATH"], "X": "1"}).stdout
    done = run("-i", "1s", "env", env={"PATH": os.environ["PATH"], "X": "1"})
    added = set(done.stdout.splitlines()) - set(bare.splitlines())
    tap.equal(sorted(line.split("=")[0] for line in added), ["FRAGSCOPE", "LD_PRELOAD"],
              "what is added to the environment")
    tap.equal(set(bare.splitlines()) - set(done.stdout.splitlines()), set(), "nothing goes")
    read, write = os.pipe()
    done = run("ls", "/proc/self/fd", pass_fds=[write], close_fds=True)
    os.close(write)
    tap.ok(str(write) in done.stdout.split(), "descriptors are handed down")
    os.close(read)


def unset():
    """The environment without settings of the sampler."""
    return {name: value for name, value in harness.CLEAN_ENV.items() if name != "FRAGSCOPE"}


def check_settings(tap):
    env = {**harness.CLEAN_ENV, "LD_PRELOAD": "libm.so.6", "FRAGSCOPE": "interval=7s"}
    done = shell("echo $LD_PRELOAD; echo $FRAGSCOPE", env=env)
    preload, settings = done.stdout.splitlines()
    tap.ok("libm.so.6" in preload, "what was preloaded stays", preload)
    tap.equal(done.stderr, "", "and loads")
    tap.equal(settings, "interval=7s", "settings stay")
    script = "echo $$ $FRAGSCOPE"
    done = shell(script, "-i", "0.5", "--detail", "10s", "--sampler-cost", "5", env=env)
    tap.equal(done.stdout.split()[1], "interval=500000000ns,detail=10000000000ns,max_cost=5%,"
              "interval=7s", "what is given comes before them")
    done = shell(script, "--no-children", env=unset())
    pid, settings = done.stdout.split()
    tap.equal(settings, f"pid={pid},children=no", "what children inherit who are not meant")


COUNTER = ("import signal, sys, time\n"
           "seen = []\n"
           "for one in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):\n"
           "    signal.signal(one, lambda number, _: seen.append(number))\n"
           "print('ready', flush=True)\n"
           "end = time.monotonic() + float(sys.argv[1])\n"
           "while time.monotonic() < end and len(seen) < int(sys.argv[2]):\n"
           "    time.sleep(0.01)\n"
           "time.sleep(0.3)\n"
           "print(*seen, flush=True)\n")


def child_of(one):
    """The command that ONE runs, as soon as there is one."""
    return int(until(lambda: one.proc(f"task/{one.pid}/children").split(), "the command")[0])


def check_signals(tap):
    sent = [signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2]
    with start("--", sys.executable, "-c", COUNTER, harness.PATIENCE_S, len(sent)) as one:
        one.line()
        for number in sent:
            os.kill(one.pid, number)
            time.sleep(0.1)
        tap.equal(one.line(), " ".join(str(int(number)) for number in sent),
                  "each signal is passed on once")
        tap.equal(one.process.wait(), 0, "and the command ends by itself")
    with start("--", "cat") as one:
        child_of(one)
        one.process.terminate()
        tap.equal(one.process.wait(), 143, "the status after SIGTERM")
    with start("--", "cat") as one:
        child = child_of(one)
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.2)
        tap.equal(one.process.poll(), None, "a command that is stopped has not ended")
        os.kill(child, signal.SIGCONT)
        os.kill(child, signal.SIGTERM)
        tap.equal(one.process.wait(), 143, "and ends when it goes on")


def check_terminal(tap):
    """Ctrl-C at a terminal: the command sees it once."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(FRAGSCOPE, [FRAGSCOPE, "run", "--", sys.executable, "-c", COUNTER,
                             str(harness.PATIENCE_S), "1"])
    text = b""
    while b"ready" not in text:
        text += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while text.count(b"\n") < 2:
        text += os.read(terminal, 1000)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    # The terminal may echo the key before it.
    tap.equal(text.decode().replace("^C", "").split()[1:], ["2"], "Ctrl-C comes once")
    tap.equal(os.waitstatus_to_exitcode(status), 0, "and is not run's own")


def refusals(scratch):
    plain = scratch / "plain-file"
    plain.write_text("no program")
    yield "/no/such", 127, "cannot run '/no/such': No such file or directory"
    yield "no-such-command", 127, "cannot run 'no-such-command': No such file or directory"
    yield str(plain), 126, f"cannot run '{plain}': Permission denied"
    yield "/usr", 126, "cannot run '/usr': Is a directory"
    yield "", 127, "cannot run '': No such file or directory"


def build(scratch, name, *flags):
    source = scratch / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    harness.need(harness.CC[0])
    done = subprocess.run([*harness.CC, *flags, "-o", str(scratch / name), str(source)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"cannot build with {shlex.join(flags)}")
    return scratch / name


def check_refusals(tap):
    with harness.scratch() as scratch:
        for word, status, why in refusals(scratch):
            done = run("--", word)
            tap.equal((done.returncode, done.stderr), (status, f"fragscope: {why}\n"),
                      f"`run {word}`")
        script = scratch / "script"
        script.write_text(f"#!{scratch}/static\n")
        script.chmod(0o755)
        for name, flags, why in (
            ("static", ["-static"], "is linked statically: no loader runs in it"),
            ("static-pie", ["-static-pie"], "is linked statically: no loader runs in it"),
            ("asan", ["-fsanitize=address"],
             "is built with AddressSanitizer, which must be the first library"),
        ):
            with tap.section(name):
                path = build(scratch, name, *flags)
                done = run("--", path)
                tap.equal((done.returncode, done.stderr),
                          (69, f"fragscope: cannot put the sampler into '{path}': it {why}\n"),
                          "is refused")
                if name == "static":
                    tap.equal(run("--", script).returncode, 69, "behind a script, too")


def check_setuid(tap):
    harness.need_root("a program of another user")
    with preloading.for_others() as scratch:
        path = build(scratch, "setuid")
        path.chmod(0o4755)
        want = (f"fragscope: cannot put the sampler into '{path}': it changes its user or "
                "gains capabilities, and the loader preloads nothing into such a program\n")
        done = subprocess.run([scratch / "fragscope", "run", "--", path], user=NOBODY, check=False,
                              capture_output=True, text=True, timeout=harness.PATIENCE_S)
        tap.equal((done.returncode, done.stderr), (77, want), "a set-user-ID program")
        done = run("--", path)
        tap.equal((done.returncode, done.stderr), (0, ""), "which changes nothing for its owner")


def rows_of(path):
    """What is there so far: the last line may not be whole yet."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def rows_until(path, enough, *words):
    """Runs a command that ends as soon as ENOUGH is true of what is in PATH."""
    with start("-i", "20ms", "--sampler-cost", "100", "-o", path, *words,
               stderr=subprocess.PIPE) as one:
        until(lambda: enough(path), f"rows in {path}")
        return *one.process.communicate(), one.process.returncode


def check_rows(tap):
    with harness.scratch() as scratch:
        file = scratch / "rows"
        said = rows_until(file, lambda path: path.exists() and
                          path.read_text(encoding="utf-8").count("\n") > 5, "--csv", "cat")
        tap.equal(said, ("", "", 0), "CSV: status")
        text = file.read_text(encoding="utf-8")
        tap.equal(schema.check_csv(text), [], "CSV: columns and values")
        file.unlink()
        clock = harness.clock_offset()
        said = rows_until(file, lambda path: len(rows_of(path)) > 60, "--json", "--arenas", "cat")
        tap.equal(said, ("", "", 0), "JSON: status")
        rows = rows_of(file)
        faults = [fault for line in file.read_text(encoding="utf-8").splitlines()
                  for fault in schema.check_json(line)]
        tap.equal(faults, [], "JSON: keys and values")
        with tap.section("series"):
            check_series(tap, [row for row in rows if "arena" not in row], clock)
        tap.equal(sum("arena" in row for row in rows),
                  sum("arena" not in row and "arenas" in row for row in rows),
                  "a row for the one arena each that was asked for")
        file.unlink()
        rows_until(file, lambda path: path.exists() and path.stat().st_size, "cat")
        lines = file.read_text(encoding="utf-8").splitlines()
        tap.ok(lines[0].startswith("# process ") and "source preload" in lines[0],
               "text: the note", lines[:1])


def milliseconds(row):
    return datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp() * 1000


def check_series(tap, rows, clock):
    """CLOCK is of when the rows were begun."""
    tap.equal({row["source"] for row in rows}, {"preload"}, "source")
    tap.ok(all(row["sample_cost_ns"] > 0 for row in rows), "each tells its cost",
           [row.get("sample_cost_ns") for row in rows])
    harness.need_clock(clock)
    times = [row["time"] for row in rows]
    tap.equal(times, sorted(set(times)), "in order, none twice")
    # The first tells of those before it.
    taken = len(rows) + sum(row["missed_samples"] for row in rows[1:])
    took = milliseconds(rows[-1]) - milliseconds(rows[0])
    tap.within(taken, 1, took / 20 + 2, "no more than 50 a second")


def names_of_rows(file, script, names):
    """Runs SCRIPT, which reads a line under each of NAMES and goes on under the next one; the
    name that each row has."""
    with start("-i", "20ms", "-o", file, "--json", "--", "sh", "-c", script) as one:
        for name in names:
            until(lambda name=name: name in {row["comm"] for row in rows_of(file)},
                  f"rows of {name}")
            one.say("")
    return [row["comm"] for row in rows_of(file)]


def check_exec(tap):
    """The rows go on over an exec, and none is had from a program that ends at once."""
    with harness.scratch() as scratch:
        file = scratch / "rows"
        names = names_of_rows(file, "read word; exec cat", ("sh", "cat"))
        tap.equal(names, sorted(names, reverse=True), "rows of one program, then of the other")
        done = run("-o", "/dev/full", "--csv", "sh", "-c", "exit 5")
        tap.equal(done.returncode, 1, "a full disk before the start")
        tap.equal(done.stderr,
                  "fragscope: cannot write rows to /dev/full: No space left on device\n",
                  "and its message")
        said = scratch / "said"
        with open(said, "w", encoding="utf-8") as errors:
            # Until it is said that no row can be written.
            done = run("-o", "/dev/full", "--json", "-i", "20ms", "sh", "-c",
                       'until [ -s "$0" ]; do sleep 0.05; done; sleep 0.1; exit 5', said,
                       capture_output=False, stderr=errors)
        text = said.read_text(encoding="utf-8")
        tap.equal((done.returncode, text.count("\n")), (5, 1),
                  "a full disk while it runs costs the command nothing", text)


def check_name(tap):
    """A row has the name that the program has by then."""
    with harness.scratch() as scratch:
        script = "read word; printf renamed >/proc/$$/comm; read word"
        names = names_of_rows(scratch / "rows", script, ("sh", "renamed"))
    tap.equal(names, sorted(names, reverse=True), "rows under one name, then under the other")


def check_nested(tap):
    done = run("--", FRAGSCOPE, "run", "--", "sh", "-c", "exit 9")
    tap.equal((done.returncode, done.stderr), (9, ""), "run within run")
    with harness.scratch() as scratch:
        script = "{ env | grep ^FRAGSCOPE=; grep -c fragscope-ring /proc/self/maps; }"
        one, two = scratch / "one", scratch / "two"
        shell(f"{script} >{one}", "--no-children", env=unset())
        shell(f"{FRAGSCOPE} run sh -c '{script}' >{two}", "--no-children", env=unset())
        settings, rings = one.read_text().split()
        tap.ok(settings.startswith("FRAGSCOPE=pid=") and settings.endswith(",children=no"),
               "--no-children is handed down", settings)
        tap.equal(rings, "0", "a child has no sampler")
        settings, rings = two.read_text().split()
        tap.ok(settings.startswith("FRAGSCOPE=pid=") and ",pid=0,pid=" in settings,
               "unless it is run itself", settings)


def install(**variables):
    """Installs the program and its sampler from the build tree, with VARIABLES of make."""
    words = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(
        [harness.need("make"), "-s", "-C", str(harness.BUILD), "install-binPROGRAMS",
         "install-samplerDATA", *words],
        env={name: value for name, value in harness.CLEAN_ENV.items()
             if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")},
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def preloads(program, **options):
    """What PROGRAM preloads, and what it says."""
    done = subprocess.run([program, "run", "--", "sh", "-c", "echo $LD_PRELOAD"], check=False,
                          capture_output=True, text=True, timeout=harness.PATIENCE_S, **options)
    return done.stdout.strip(), done.stderr


def check_installed(tap):
    """The program finds its library wherever both are."""
    name = "lib/fragscope/libfragscope-preload.so"
    if not (harness.BUILD / "Makefile").exists():
        raise Skip("there is no build tree to install from")
    with harness.scratch() as scratch:
        for prefix in ("one", "two"):
            at = scratch / prefix
            install(prefix=at)
            tap.equal(preloads(at / "bin/fragscope"), (str(at / name), ""), f"prefix {prefix}")
        at = at.rename(scratch / "moved")
        tap.equal(preloads(at / "bin/fragscope"), (str(at / name), ""), "a prefix that was moved")
        link = scratch / "link"
        link.symlink_to(at / "bin/fragscope")
        tap.equal(preloads(link), (str(at / name), ""), "by a link")
        install(DESTDIR=scratch / "stage", prefix="/opt")
        at = scratch / "stage/opt"
        tap.equal(preloads(at / "bin/fragscope"), (str(at / name), ""), "DESTDIR")
        other = (at / name).rename(scratch / "other.so")
        env = {**harness.CLEAN_ENV, "FRAGSCOPE_PRELOAD": str(other)}
        tap.equal(preloads(at / "bin/fragscope", env=env), (str(other), ""), "FRAGSCOPE_PRELOAD")
        env["FRAGSCOPE_PRELOAD"] = "/no/such"
        tap.equal(preloads(at / "bin/fragscope", env=env),
                  ("", "fragscope: cannot read the sampler /no/such, which FRAGSCOPE_PRELOAD "
                       "names: No such file or directory\n"), "which names nothing")
    make = [harness.need("make"), "-C", str(harness.BUILD), "-n", "-W", "Makefile", "V=1",
            "src/engine/sampler.o"]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    tap.ok("PKGLIBDIR" in done.stdout, "another prefix makes another object", done.stderr)


def check_usage(tap):
    see = "; see 'fragscope run --help'\n"
    for words, why in (
        ((), "no command given"),
        (("--csv", "true"), "--csv needs --output"),
        (("--csv", "--json", "-o", "x", "true"), "--csv and --json exclude each other"),
        (("--arenas", "true"), "--arenas needs --output"),
        (("-i", "10us", "true"), "option '--interval': the shortest is 1ms"),
        (("-i", "soon", "true"), "option '--interval': 'soon' is not a time: seconds, or a "
         "number with ns, us, ms, s, m or h"),
        (("--foo", "true"), "unknown option '--foo'"),
    ):
        done = run(*words)
        tap.equal((done.returncode, done.stderr), (64, f"fragscope run: {why}{see}"),
                  f"`run {' '.join(words)}`")


def main():
    tap = Tap()
    for name, check in (
        ("usage", check_usage),
        ("statuses", check_statuses),
        ("bare ends", check_bare_ends),
        ("streams", check_streams),
        ("surroundings", check_surroundings),
        ("settings", check_settings),
        ("signals", check_signals),
        ("terminal", check_terminal),
        ("refusals", check_refusals),
        ("setuid", check_setuid),
        ("rows", check_rows),
        ("exec", check_exec),
        ("name", check_name),
        ("nested", check_nested),
        ("installed", check_installed),
    ):
        with tap.section(name):
            check(tap)
    tap.done()


if __name__ == "__main__":
    main()
