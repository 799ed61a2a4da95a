"""The command line: exit statuses and messages to the letter, help, completion, and rows
that keep to the released columns."""

import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "live"), str(HERE / "schema")]

import harness  # noqa: E402  pylint: disable=wrong-import-position
import terminal  # noqa: E402  pylint: disable=wrong-import-position
import schema  # noqa: E402  pylint: disable=wrong-import-position

SEE = "; see 'fragscope --help'\n"
SEE_STAT = "; see 'fragscope stat --help'\n"
ASK = " See 'fragscope --help'\n"
ASK_STAT = " See 'fragscope stat --help'\n"
SEE_TOP = "; see 'fragscope top --help'\n"
SIZE = "a size: bytes, or a whole number with K, M, G or T"
TIME = "a time: seconds, or a number with ns, us, ms, s, m or h"

# Figures that only a row has for which they were asked, or of another allocator.
ASKED_FOR = {"pause_ns", "growth_events", "growth_bytes", "failed_allocations",
             "sample_cost_ns", "sample_age_ns", "sample_interval_ns", "missed_samples",
             "active_bytes", "dirty_bytes", "muzzy_bytes", "heap_resident_bytes",
             "mapped_bytes", "unmapped_bytes", "largest_extent_bytes", "slab_bytes",
             "slab_free_bytes", "peak_mapped_bytes", "reserved_bytes", "heap_threads",
             "swapped_in_bytes"}

USAGE = (
    ("", f"fragscope: no verb given{SEE}"),
    ("nonsense", f"fragscope: unknown verb 'nonsense'{SEE}"),
    ("--nonsense", f"fragscope: unknown option '--nonsense'{SEE}"),
    ("--help me", f"fragscope: unexpected argument 'me'{SEE}"),
    ("help me", f"fragscope: no help on 'me': it is no verb, no figure, and not 'figures'{SEE}"),
    ("help fraq", f"fragscope: no help on 'fraq': did you mean 'frag'?{ASK}"),
    ("stta", f"fragscope: unknown verb 'stta': did you mean 'stat'?{ASK}"),
    ("--verison", f"fragscope: unknown option '--verison': did you mean '--version'?{ASK}"),
    ("version me", f"fragscope: unexpected argument 'me'{SEE}"),
    ("--completion ksh",
     f"fragscope: no completion for 'ksh': there is one for bash, zsh and fish{SEE}"),
    ("help stat me", f"fragscope: unexpected argument 'me'{SEE}"),
    ("stat", f"fragscope stat: no process given: use -p PID or -n NAME{SEE_STAT}"),
    ("stat 1234", f"fragscope stat: no process given: did you mean '-p 1234'?{ASK_STAT}"),
    ("stat sshd", f"fragscope stat: no process given: did you mean '-n sshd'?{ASK_STAT}"),
    ("stat --arean",
     f"fragscope stat: unknown option '--arean': did you mean '--arenas'?{ASK_STAT}"),
    ("stat --sourc=heap",
     f"fragscope stat: unknown option '--sourc': did you mean '--source'?{ASK_STAT}"),
    ("stat --foo", f"fragscope stat: unknown option '--foo'{SEE_STAT}"),
    ("stat -p 1 -x", f"fragscope stat: unknown option '-x'{SEE_STAT}"),
    ("stat -p", f"fragscope stat: -p got no PID: is the program running?{ASK_STAT}"),
    ("stat -p --json",
     f"fragscope stat: -p got no PID but '--json': is the program running?{ASK_STAT}"),
    ("stat --pid=", f"fragscope stat: -p got no PID: is the program running?{ASK_STAT}"),
    ("stat -o", f"fragscope stat: option '--output' needs a value{SEE_STAT}"),
    ("report 1234",
     "fragscope report: unexpected argument '1234': did you mean '-p 1234'? See "
     "'fragscope report --help'\n"),
    ("run --max-cost 5 -- true",
     "fragscope run: what samples may cost the command is --sampler-cost PERCENT; see "
     "'fragscope run --help'\n"),
    ("alert -p 1 -r larget_free>1M",
     "fragscope alert: rule 'larget_free>1M', column 1: there is no figure 'larget_free': "
     "did you mean 'largest_free_bytes'?\n"),
    ("stat -p 1 1 1 1", f"fragscope stat: unexpected argument '1'{SEE_STAT}"),
    ("stat -p 1 soon", f"fragscope stat: INTERVAL 'soon' is not {TIME}{SEE_STAT}"),
    ("stat -p 1 -- -1", f"fragscope stat: INTERVAL '-1' is not {TIME}{SEE_STAT}"),
    ("stat -p 1 1 0", f"fragscope stat: COUNT '0' is not a whole number above 0{SEE_STAT}"),
    ("stat -p 1 1 x", f"fragscope stat: COUNT 'x' is not a whole number above 0{SEE_STAT}"),
    ("stat -p 1 --unusable 64Q",
     f"fragscope stat: option '--unusable': '64Q' is not {SIZE}{SEE_STAT}"),
    ("stat -p 1 --threads 65",
     "fragscope stat: option '--threads': '65' is not a whole number from 1 to 64, or auto"
     f"{SEE_STAT}"),
    ("stat -p 1 --source core",
     f"fragscope stat: option '--source': 'core' is not heap, proc or preload{SEE_STAT}"),
    ("stat -p 1 --residency x",
     f"fragscope stat: option '--residency': 'x' is not auto, scan or pagemap{SEE_STAT}"),
    ("stat -p 1 --csv --json",
     f"fragscope stat: --csv and --json exclude each other{SEE_STAT}"),
    ("stat -p 1 --csv --bins",
     f"fragscope stat: --csv and --bins exclude each other{SEE_STAT}"),
    ("stat -p 1 --quick --bins --json",
     f"fragscope stat: --quick and --bins exclude each other{SEE_STAT}"),
    ("stat -p 1 --bins", f"fragscope stat: --bins needs --json{SEE_STAT}"),
    ("stat -p 1 --once 1 1",
     f"fragscope stat: --once takes no INTERVAL and no COUNT{SEE_STAT}"),
    ("stat -p 1 --pause=0", f"fragscope stat: option '--pause': 0 stops nothing{SEE_STAT}"),
    ("stat -p 1 --budget 0", f"fragscope stat: option '--budget': 0 reads nothing{SEE_STAT}"),
    ("stat -p 1 --intervals", f"fragscope stat: --intervals needs --csv{SEE_STAT}"),
    ("stat -p 1 --source proc --arenas",
     "fragscope stat: --arenas needs the heap, which --source proc does not read"
     + SEE_STAT),
    ("top --foo", f"fragscope top: unknown option '--foo'{SEE_TOP}"),
    ("top -p 1 0",
     f"fragscope top: INTERVAL '0' is not a time above 0{TIME[6:]}{SEE_TOP}"),
    ("top -p 1 1 1", f"fragscope top: unexpected argument '1'{SEE_TOP}"),
    ("top --speed 2", f"fragscope top: --speed needs --replay{SEE_TOP}"),
    ("top -p 1 --max-cost 101",
     f"fragscope top: option '--max-cost': '101' is not a whole number from 1 to 100{SEE_TOP}"),
    ("top -p 1 --follow", f"fragscope top: --follow needs --name{SEE_TOP}"),
    ("top --replay x --no-events",
     f"fragscope top: --replay and --no-events exclude each other{SEE_TOP}"),
    ("top --replay -",
     f"fragscope top: --replay needs a file: standard input is the keyboard{SEE_TOP}"),
    ("top --replay x 1",
     "fragscope top: --replay takes no INTERVAL: --speed says how fast it is played"
     + SEE_TOP),
    ("top -p 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
     f"fragscope top: 17 processes, and at most 16 can be watched at once{SEE_TOP}"),
)


def check_usage(tap):
    for line, want in USAGE:
        done = harness.fragscope(*line.split())
        name = f"`fragscope {line}`"
        tap.equal((done.returncode, done.stdout), (64, ""), f"{name}: status, no output")
        tap.equal(done.stderr, want, f"{name}: message")


def check_help(tap):
    texts = {}
    for line in ("--help", "-h", "help", "--version", "-V", "version", "help figures",
                 "help frag", "help largest_free", "help stat",
                 "stat --help", "stat -h", "stat --json --help --whatever", "help trace",
                 "trace --help"):
        done = harness.fragscope(*line.split())
        texts[line] = done.stdout
        tap.equal((done.returncode, done.stderr), (0, ""), f"`fragscope {line}`: status")
        tap.ok(done.stdout, f"`fragscope {line}`: on standard output")
        tap.ok(max(map(len, done.stdout.splitlines())) < 80, f"`fragscope {line}`: width")
    for verb in ("stat", "trace"):
        tap.equal(texts[f"help {verb}"], texts[f"{verb} --help"], f"help {verb} is {verb} --help")
    tap.ok("\nlibelf " in texts["--version"], "--version says what was built in")
    tap.equal(texts["version"], texts["--version"], "version is --version")
    tap.ok(texts["help frag"].startswith("frag (ratio; process and arena)\n"), "help frag",
           texts["help frag"])
    tap.ok(texts["help largest_free"].startswith("largest_free_bytes ("), "help largest_free",
           texts["help largest_free"])
    tap.ok("  In rows of text: large; in top and reports: largest.\n" in texts["help largest_free"],
           "help largest_free: what it is called elsewhere", texts["help largest_free"])
    text, shown = texts["help frag"].rsplit("        In rows", 1)
    tap.ok(text in texts["help figures"] and shown, "help frag is of help figures", text)
    tap.equal(harness.fragscope("help", "frres").stdout,
              harness.fragscope("help", "free_resident_bytes").stdout, "help by a heading")
    with open("/dev/full", "w", encoding="ascii") as full:
        done = harness.fragscope("help", "figures", capture_output=False, stdout=full,
                                 stderr=subprocess.PIPE)
    tap.equal(done.returncode, 1, "help on a full disk: status")
    tap.equal(done.stderr,
              "fragscope: cannot write to standard output: No space left on device\n",
              "help on a full disk: message")


def check_examples(tap):
    """What every example shows is what --help prints; it does nothing else then."""
    makefile = (harness.SOURCE / "Makefile.am").read_text(encoding="utf-8")
    names = re.search(r"^EXAMPLES = ((?:.*\\\n)*.*)", makefile, re.M).group(1)
    for example in names.replace("\\", " ").split():
        program = harness.BUILD / example
        name = program.name
        for option in ("--help", "-h"):
            done = subprocess.run([program, option], capture_output=True, text=True,
                                  timeout=60, check=False)
            tap.equal((done.returncode, done.stderr), (0, ""), f"{name} {option}: status")
            tap.ok(done.stdout.startswith(f"usage: {name}") and "\nTry:  fragscope" in done.stdout,
                   f"{name} {option}: what it shows, and what to try", done.stdout)
        done = subprocess.run([program, "--nonsense"], capture_output=True, text=True,
                              timeout=60, check=False)
        tap.equal((done.returncode, done.stdout), (64, ""), f"{name} --nonsense: status")
        tap.ok("see --help" in done.stderr, f"{name} --nonsense: where to look", done.stderr)
    for option in ("--help", "-h", "help"):
        done = subprocess.run([harness.SOURCE / "bootstrap", option], capture_output=True,
                              text=True, timeout=60, check=False)
        tap.equal((done.returncode, done.stderr), (0, ""), f"bootstrap {option}: status")
        tap.ok(done.stdout.startswith("usage: ./bootstrap"), f"bootstrap {option}", done.stdout)


def complete_bash(*words):
    """What bash offers after WORDS, the last of which is being typed."""
    script = (
        'eval "$(\"$FRAGSCOPE\" --completion)"; COMP_WORDS=("$@"); '
        "COMP_CWORD=$(($# - 1)); _fragscope; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", "fragscope", *words],
        env={**harness.CLEAN_ENV, "FRAGSCOPE": harness.FRAGSCOPE},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    return set(done.stdout.splitlines()) - {""}, done.stderr


def complete_fish(*words):
    script = '$FRAGSCOPE --completion fish | source; complete -C "$argv"'
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, "fragscope", *words],
        env={**harness.CLEAN_ENV, "FRAGSCOPE": harness.FRAGSCOPE, "HOME": "/dev/null/none"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    return {line.split("\t")[0] for line in done.stdout.splitlines()}, done.stderr


# What is offered where: all of it, or with PART at least this.
PART = object()


def offers():
    listed = harness.fragscope("--help").stdout
    verbs = re.findall(r"^  (\w+) ", listed.split("Verbs:")[1].split("\n\n")[0], re.M)
    here = str(HERE)
    return (
        (("s",), {"stat"}),
        (("help", ""), {*verbs, "figures", "frag", PART}),
        (("stat", "--re"), {"--residency", "--replay"}),
        (("stat", "--source", ""), {"heap", "proc", "preload"}),
        (("stat", "-p", ""), {"1", PART}),
        (("alert", "-f", f"{here}/schema/colu"), {f"{here}/schema/columns.txt"}),
        (("alert", "--exec", "mkfif"), {"mkfifo"}),
        (("trim", ""), {"1", PART}),
        (("run", "mkfif"), {"mkfifo"}),
        (("run", "--sampler"), {"--sampler-cost"}),
        (("trim", "--dry"), {"--dry-run"}),
        (("--completion", ""), {"bash", "zsh", "fish"}),
    )


def check_bash(tap):
    harness.need("bash")
    for words, want in offers() + (
        (("stat", "--source", "=", "p"), {"proc", "preload"}),
        (("stat", "--residency", "="), {"auto", "scan", "pagemap"}),
        (("stat", "--pause", "--js"), {"--json"}),
        (("stat", "--threads", ""), {"auto"}),
        (("trace", "--stack-bytes", ""), set()),
        (("run", "--max"), set()),
    ):
        found, errors = complete_bash(*words)
        got = found & want if PART in want else found
        tap.equal((got, errors), (want - {PART}, ""), f"bash completes '{' '.join(words)}'")


def check_fish(tap):
    harness.need("fish")
    for words, want in offers():
        found, errors = complete_fish(*words)
        got = found & want if PART in want else found
        tap.equal((got, errors), (want - {PART}, ""), f"fish completes '{' '.join(words)}'")


def check_zsh(tap):
    """As a user sees it: Tab on a terminal."""
    harness.need("zsh")
    with terminal.Terminal(["zsh", "-f"], columns=100) as screen:
        def say(line, *keys):
            screen.press("-l", line)
            screen.press(*keys)

        say("PS1='% '; cd /; autoload -U compinit; compinit -u -D", "Enter")
        say(f"alias fragscope={harness.FRAGSCOPE}; "
            f"source <({harness.FRAGSCOPE} --completion zsh); print rea''dy", "Enter")
        screen.wait(r"^ready$")
        for line, want in (
            ("fragscope tra", r"fragscope trace"),
            ("fragscope stat --resid", r"fragscope stat --residency"),
            ("fragscope stat --source pro", r"fragscope stat --source proc"),
            ("fragscope help larg", r"fragscope help largest_$"),
            (f"fragscope alert -f {HERE}/schema/colu", r"fragscope alert -f \S+/columns.txt"),
            ("fragscope run mkfif", r"fragscope run mkfifo"),
            ("fragscope run --sampl", r"fragscope run --sampler-cost"),
        ):
            screen.press("C-l")
            say(line, "Tab")
            screen.wait(want)
            screen.press("C-u")
        say("exit", "Enter")
        tap.equal(screen.status(), 0, "zsh completes what it was given")


def check_rows(tap, target):
    for args in ((), ("--arenas",), ("--quick",), ("--source", "proc")):
        name = f"CSV {' '.join(args)}"
        done = harness.fragscope("stat", "-p", target.pid, "--csv", *args, "0", 2)
        tap.equal((done.returncode, done.stderr), (0, ""), f"{name}: status")
        tap.equal(schema.check_csv(done.stdout), [], f"{name}: columns and values")
    for args in ((), ("--arenas",), ("--bins",), ("--quick",), ("--source", "proc")):
        name = f"JSON {' '.join(args)}"
        done = harness.fragscope("stat", "-p", target.pid, "--json", *args, "0", 2)
        tap.equal((done.returncode, done.stderr), (0, ""), f"{name}: status")
        lines = done.stdout.splitlines()
        faults = [fault for line in lines for fault in schema.check_json(line)]
        tap.equal(faults, [], f"{name}: keys and values")
        rows = [json.loads(line) for line in lines]
        tap.equal(sum("arena" not in row for row in rows), 2, f"{name}: rows")


def check_scopes(tap, target):
    """A complete reading has every figure, in every row that the catalogue says."""
    done = harness.fragscope("stat", "-p", target.pid, "--json", "--arenas", "--once")
    reading = harness.read_json(done.stdout)[0]
    tap.equal(reading.row["status"], "complete", "a complete reading", done.stderr)
    for rows, wheres in (([reading.row], ("process", "both")), (reading.arenas, ("both",))):
        for row in rows:
            had = {f"mallinfo2.{key}" for key in row.get("mallinfo2", {})} | set(row)
            want = {name for name, _, where in schema.TABLE if where in wheres}
            name = f"arena {row['arena']}" if "arena" in row else "the process"
            tap.equal(want - had, want & ASKED_FOR,
                      f"figures that {name} lacks")


def check_formats_agree(tap, target):
    """A target that holds still reads the same in CSV and JSON."""
    args = ("stat", "-p", target.pid, "--once")
    header, row = harness.read_csv(harness.fragscope(*args, "--csv").stdout)
    values = dict(zip(header, row))
    found = json.loads(harness.fragscope(*args, "--json").stdout)
    found.update({f"mallinfo2.{k}": v for k, v in found.pop("mallinfo2").items()})
    # The pages that the target shares may gain and lose users meanwhile.
    for name in set(found) - {"time", "read_ns", "pss_bytes"}:
        want = f"{found[name]:.4f}" if isinstance(found[name], float) else str(found[name])
        tap.equal(values[name], want, f"{name} is the same in both")


def check_names(tap, target):
    name = harness.program("oracle").name
    done = harness.fragscope("stat", "-n", "", "--once")
    tap.equal((done.returncode, done.stderr),
              (64, f"fragscope stat: option '--name': '' is not a name{SEE_STAT}"), "-n ''")
    done = harness.fragscope("stat", "-n", "no-such-name", "--once")
    tap.equal((done.returncode, done.stderr),
              (1, "fragscope: no process is named 'no-such-name': neither a process nor its "
                  "program file\n"), "-n of nothing")
    done = harness.fragscope("stat", "-n", name, "--json", "--once")
    pids = [json.loads(line)["pid"] for line in done.stdout.splitlines()]
    tap.ok(target.pid in pids, "-n finds a program by its file", pids, done.stderr)
    done = harness.fragscope("stat", "-n", f"{name},no-such-name", "--once")
    tap.ok("no process is named 'no-such-name'" in done.stderr, "-n takes a list", done.stderr)
    done = harness.fragscope("stat", "-p", f"{target.pid} {target.pid},{target.pid}", "--json",
                             "--once")
    pids = [json.loads(line)["pid"] for line in done.stdout.splitlines()]
    tap.equal(pids, [target.pid], "-p takes what pidof prints")
    done = harness.fragscope("stat", "-n", name, "-p", target.pid, "--json", "--once")
    pids = [json.loads(line)["pid"] for line in done.stdout.splitlines()]
    tap.equal(pids.count(target.pid), 1, "a process picked twice is read once")


def check_pause(tap, target):
    done = harness.fragscope("stat", "-p", target.pid, "--json", "--pause=20s", "0", 3)
    tap.equal(done.returncode, 0, "--pause: status", done.stderr)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    tap.ok(all(row.get("pause_ns", 0) > 0 for row in rows), "--pause: pause_ns", rows)
    tap.ok(done.stderr.startswith("fragscope: stopped for 3 readings: "),
           "--pause: summed up at the end", done.stderr)


def main():
    tap = harness.Tap()
    for name, run in (("usage", check_usage), ("help", check_help),
                      ("completion: bash", check_bash),
                      ("completion: fish", check_fish), ("completion: zsh", check_zsh),
                      ("examples", check_examples)):
        with tap.section(name):
            run(tap)
    with tap.section("rows"):
        with harness.Oracle("--chunks 2000 --free-pattern alternate --threads 2") as target:
            for run in (check_rows, check_scopes, check_formats_agree, check_names, check_pause):
                run(tap, target)
    tap.done()


if __name__ == "__main__":
    main()
