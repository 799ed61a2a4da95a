"""Names that could do something to a terminal: of a process, a program, a mapped file, a
function and a variable. No verb and no format prints a byte of them that does; CSV and JSON
give the process's name back."""

import json
import os
import re
import signal
import subprocess
import time

import harness
import terminal
from harness import Skip, Tap, Target

# A title, DEL, a C1 control, a change of direction, a newline, a byte that is no UTF-8.
NAME = b"\x1b]0;o\x07\x7f\xc2\x9b\xe2\x80\xae\n\xff"
OTHER = b"\x1b]0;%s\x07\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\xff"
BAD = re.compile("[\0-\t\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe]")
DENIED = (69, 77)


def other(what):
    return OTHER % what.encode()


def faults(output):
    """What of OUTPUT does something to a terminal, or is no UTF-8."""
    try:
        text = output.decode("utf-8")
    except UnicodeDecodeError as error:
        return [str(error)]
    return sorted({f"U+{ord(bad):04X}" for bad in BAD.findall(text)})


def build(scratch):
    """The program, under a name and with symbols of that kind."""
    plain = harness.program("named")
    path = os.path.join(os.fsencode(scratch), other("prog"))
    done = subprocess.run(
        [harness.need("objcopy"), b"--redefine-sym", b"grow=" + other("grow"),
         b"--redefine-sym", b"held_chunks=" + other("held"), str(plain), path],
        capture_output=True, check=False)
    if done.returncode:
        raise Skip(f"objcopy: {done.stderr.decode(errors='replace').strip()}")
    return path


def run(*words, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([harness.FRAGSCOPE, *map(os.fsencode, map(str, words))],
                          capture_output=True, check=False, timeout=harness.PATIENCE_S,
                          env={**harness.CLEAN_ENV, "LC_ALL": "C.UTF-8"}, **options)


def clean(tap, name, *words, status=0):
    """Runs fragscope, and looks at all that it says; its output."""
    done = run(*words)
    if done.returncode in DENIED and status not in DENIED:
        tap.skip(name, done.stderr.decode(errors="replace"))
        return None
    tap.equal(done.returncode, status, f"{name}: status", done.stderr)
    tap.equal(faults(done.stdout + done.stderr), [], f"{name}: nothing acts",
              done.stdout[:400], done.stderr)
    return done.stdout


def unescaped(field):
    """A field of CSV as it was."""
    return re.sub(rb"\\(\\|x([0-9a-f]{2}))",
                  lambda found: bytes.fromhex(found[2].decode()) if found[2] else b"\\", field)


def check_stat(tap, pid, scratch):
    said = clean(tap, "stat", "stat", "-p", f"{pid},{os.getpid()}", "--arenas", "--once")
    tap.ok(b"\\x1b]0;" in said, "stat: the name is there, escaped", said)
    said = clean(tap, "stat --source proc", "stat", "-p", pid, "--source", "proc", "--once")
    tap.ok(b"(\\x1b]0;o\\x07\\x7f\\xc2\\x9b\\xe2\\x80\\xae\\x0a\\xff)" in said,
           "stat: the whole of it", said)
    said = clean(tap, "stat --csv", "stat", "-p", pid, "--csv", "--once")
    row = said.split(b"\n")[1].split(b",")
    tap.equal(unescaped(row[2]), NAME, "stat --csv: the name can be had back")
    said = clean(tap, "stat --json", "stat", "-p", pid, "--json", "--arenas", "--bins", "--once")
    name = NAME.decode("utf-8", "replace")
    tap.equal(json.loads(said.split(b"\n")[0])["comm"], name, "stat --json: the name")
    done = subprocess.run([harness.FRAGSCOPE.encode(), b"stat", b"-n", NAME, b"--json", b"--once"],
                          capture_output=True, check=False)
    tap.equal(done.returncode, 0, "stat -n NAME: it is found by its whole name", done.stderr)
    clean(tap, "stat -n of nothing", "stat", "-n", "no\x1b]0;such", "--once", status=1)
    texts = []
    for form in ("csv", "json"):
        file = scratch / f"rows.{form}"
        run("stat", "-p", pid, f"--{form}", "-o", file, "0.05", 3)
        texts.append(clean(tap, f"alert --replay of {form}", "alert", "--replay", file, "--json",
                           "-r", "rss > 1"))
    comms = [json.loads(text.split(b"\n")[0])["comm"] for text in texts]
    tap.equal(comms, [NAME.decode("utf-8", "replace")] * 2, "and the name is that of the process")


def check_report(tap, pid, scratch):
    said = clean(tap, "report", "report", "-p", pid, "--for", "1s")
    tap.ok(b"file" in said, "report: the mapped file is there", said)
    clean(tap, "report --json", "report", "-p", pid, "--json", "--for", "1s")
    page = scratch / "page.html"
    clean(tap, "report --html", "report", "-p", pid, "--html", page, "--for", "1s")
    tap.equal(faults(page.read_bytes() if page.exists() else b""), [], "report --html: the page")
    for form in ((), ("--json",), ("--dot",), ("--folded",)):
        said = clean(tap, f"owners {' '.join(form)}", "owners", "-p", pid, *form)
        tap.ok(b"held" in said, f"owners {' '.join(form)}: the variable is there", said)
    for form in ((), ("--json",)):
        clean(tap, f"trim --dry-run {' '.join(form)}", "trim", "--dry-run", *form, pid)


def traced(one, form, seconds, scratch):
    """Traces the program, which grows meanwhile: the status, and what was said."""
    said = [scratch / "out", scratch / "err"]
    with open(said[0], "wb") as out, open(said[1], "wb") as err:
        process = subprocess.Popen(
            [harness.FRAGSCOPE, "trace", "-p", str(one.pid), *form, "--for", str(seconds)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    while process.poll() is None:
        one.say("")
        one.line()
        time.sleep(0.2)
    return process.returncode, *(file.read_bytes() for file in said)


def check_trace(tap, one, scratch):
    folded = scratch / "folded"
    for form in ((), ("--json",), ("--fold", "--folded", str(folded))):
        name = f"trace {' '.join(form)}"
        for seconds in (3, 12, 48):  # a machine that stops may let go by all of it
            status, out, err = traced(one, form, seconds, scratch)
            if status or b"grow\\" in out:
                break
        if status in DENIED:
            raise Skip(err.decode(errors="replace"))
        tap.equal(status, 0, f"{name}: status", err)
        tap.equal(faults(out + err), [], f"{name}: nothing acts", out[-400:], err)
        tap.ok(b"grow\\" in out, f"{name}: the function is there", out[-400:])
    tap.equal(faults(folded.read_bytes()), [], "trace --folded: nothing acts")


def check_alert(tap, pid, scratch):
    told = scratch / "told"
    command = f'env | grep ^FRAGSCOPE_ >>{told}'
    for form in ((), ("--json",)):
        clean(tap, f"alert {' '.join(form)}", "alert", "-p", pid, "-r", "rss > 1", "--once",
              "--exec", command, *form, "0.1", status=2)
    tap.equal(faults(told.read_bytes()), [], "alert: the environment of its command")


def check_top(tap, pid):
    with terminal.Terminal([harness.FRAGSCOPE, "top", "-p", pid, "0.2"]) as screen:
        text = screen.wait("glibc-", settled=False)
        tap.equal(faults(text.encode("utf-8", "surrogateescape")), [], "top: nothing acts")
        tap.ok("0;o" in text, "top: the name is there", text)
        screen.press("q")


def check_run(tap, path, scratch):
    for form in ((), ("--csv",), ("--json",)):
        rows = scratch / f"rows{''.join(form)}"
        with subprocess.Popen(
                [harness.FRAGSCOPE, "run", "-i", "10ms", "-o", str(rows), *form, "--", path, NAME,
                 os.fsencode(scratch / "file2")],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as one:
            harness.until(lambda file=rows: file.exists() and b"0;o" in file.read_bytes()
                          or one.poll() is not None, "rows")
            _, err = one.communicate()
        said = rows.read_bytes() + err
        tap.equal(faults(said), [], f"run {' '.join(form)}: nothing acts", said[:400])
        tap.ok(b"0;o" in said, f"run {' '.join(form)}: the name is there", said[:400])


def check_end(tap, path, scratch):
    """What is said of a process that ends."""
    with Named(path, os.fsencode(scratch / "file3")) as one:
        one.line()
        process = subprocess.Popen([harness.FRAGSCOPE, "stat", "-p", str(one.pid), "0.05"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        os.kill(one.pid, signal.SIGKILL)
        one.process.wait()
        out, err = process.communicate(timeout=harness.PATIENCE_S)
    tap.equal(faults(out + err), [], "an end: nothing acts", err)
    tap.ok(b"0;o" in err, "an end: is told", err)


class Named(Target):
    """The program; its words are bytes."""

    def __init__(self, path, file):
        self.command = ["named"]
        self.process = subprocess.Popen(
            [path, NAME, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=harness.CLEAN_ENV)
        self.pid = self.process.pid


def main():
    tap = Tap()
    with harness.scratch() as scratch, tap.section("names"):
        path = build(scratch)
        file = os.path.join(os.fsencode(scratch), other("file"))
        with Named(path, file) as one:
            one.line()
            for name, check, words in (
                ("stat", check_stat, (one.pid, scratch)),
                ("report", check_report, (one.pid, scratch)),
                ("alert", check_alert, (one.pid, scratch)),
                ("top", check_top, (one.pid,)),
                ("run", check_run, (path, scratch)),
                ("end", check_end, (path, scratch)),
                ("trace", check_trace, (one, scratch)),
            ):
                with tap.section(name):
                    check(tap, *words)
    tap.done()


if __name__ == "__main__":
    main()
