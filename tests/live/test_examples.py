"""What is shipped to be copied: rules, a dashboard, units, a webhook, manifests. The programs
that read them take them; Prometheus alerts by them when a heap breaks."""

import http.server
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import harness
from harness import SOURCE, Target
from test_export import Exporter

PROMETHEUS = SOURCE / "examples" / "prometheus"
SYSTEMD = SOURCE / "examples" / "systemd"
KUBERNETES = SOURCE / "examples" / "kubernetes"
NOBODY = 65534
RULE = "pinned > 1M"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, timeout=harness.PATIENCE_S, **options)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus(Target):
    """Debian's Prometheus with the shipped configuration, asking these exporters."""

    def __init__(self, directory, exporters):
        self.port = free_port()
        text = (PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8")
        targets = ", ".join(f'"{exporter.url.split("/")[2]}"' for exporter in exporters)
        text = text.replace('"127.0.0.1:9877"', targets).replace("15s", "1s")
        config = directory / "prometheus.yml"
        config.write_text(text, encoding="utf-8")
        rules = PROMETHEUS / "fragscope-rules.yml"
        (directory / rules.name).write_text(rules.read_text(encoding="utf-8"), encoding="utf-8")
        self.said = (directory / "said").open("w+", encoding="utf-8")
        super().__init__(
            [harness.need("prometheus"), f"--config.file={config}",
             f"--storage.tsdb.path={directory / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdout=self.said, stderr=self.said)

    def ask(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=harness.PATIENCE_S) as answer:
                return json.load(answer)["data"]
        except (OSError, urllib.error.HTTPError):
            return None

    def query(self, expression):
        found = self.ask("query", query=expression)
        return None if found is None else found["result"]

    def until(self, ask, what):
        def look():
            time.sleep(0.1)
            return ask()

        return harness.until(look, what)


def queries():
    """What the dashboard asks, its variables being all."""
    board = json.loads((PROMETHEUS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    texts += [note["expr"] for note in board["annotations"]["list"]]
    return [re.sub(r"\$\w+", ".*", text) for text in texts]


def check_rules(tap):
    promtool = harness.need("promtool")
    for args in (("check", "rules", "fragscope-rules.yml"), ("check", "config", "prometheus.yml"),
                 ("test", "rules", "fragscope-rules-test.yml")):
        done = run(promtool, *args, cwd=PROMETHEUS)
        tap.equal(done.returncode, 0, f"promtool {' '.join(args)}", done.stdout, done.stderr)


def check_advice(tap, directory):
    """The commands that the rules' descriptions name do what they are named for."""
    text = (PROMETHEUS / "fragscope-rules.yml").read_text(encoding="utf-8")
    advised = re.findall(r"'fragscope ([^']*?) \{\{ if .*?\{\{ end \}\}([^']*)'", text)
    tap.equal(len(advised), 4, "commands", advised)
    name = f"advice{os.getpid()}"
    shutil.copy(harness.BUILD / "examples" / "leak", directory / name)
    with Target([directory / name]) as target:
        target.line()
        for words in (f"{before} -n {name} {after}".split() for before, after in advised):
            briefly = ["--for", "1s"] if words[0] in ("report", "trace") else []
            done = harness.fragscope(*words, *briefly)
            if words[0] == "trace" and done.returncode in (69, 77):
                tap.skip(" ".join(words[:2]), done.stderr)
            elif words[0] == "top":
                tap.ok("no terminal" in done.stderr, "top takes its options", done.stderr)
            else:
                tap.ok(done.returncode == 0 and str(target.pid) in done.stdout,
                       f"{words[0]} looks at the process", done.stdout, done.stderr)


def check_prometheus(tap, directory):
    """Three exporters; the heap of what one of them looks at breaks."""
    harness.need("prometheus")
    fragmenter, steady, pool = (
        Target([harness.BUILD / "examples" / name, *args])
        for name, args in (("fragmenter", ("--stay",)), ("steady", ()), ("pool", ())))
    with fragmenter, steady, pool, harness.by_the_clock() as clock:
        at_once = ("-r", RULE, "--max-cost", "100", "1")
        with Exporter("-p", fragmenter.pid, *at_once) as one, \
                Exporter("-p", steady.pid, *at_once) as two, \
                Exporter("-p", pool.pid, *at_once) as three, \
                Prometheus(directory, (one, two, three)) as prometheus:
            prometheus.until(lambda: len(prometheus.query("up == 1") or ()) == 3, "three scrapes")
            firing = prometheus.until(
                lambda: [alert for alert in (prometheus.ask("alerts") or {}).get("alerts", ())
                         if alert["state"] == "firing"], "an alert")
            tap.equal({(alert["labels"]["alertname"], alert["labels"]["group"],
                        alert["labels"]["instance"]) for alert in firing},
                      {("FragscopeRule", "fragmenter", one.url.split("/")[2])},
                      "the alert is of the program whose heap broke")
            empty = prometheus.until(
                lambda: None if any(not prometheus.query(text) for text in queries()) else "all",
                "an answer to each query of the dashboard")
            tap.equal(empty, "all", "each query of the dashboard has an answer")
            faults = [rule for group in prometheus.ask("rules")["groups"]
                      for rule in group["rules"] if rule["health"] != "ok"]
            tap.equal(faults, [], "Prometheus evaluates every rule")
            prometheus.said.seek(0)
            harness.need_clock(clock)
            tap.equal(prometheus.said.read(), "", "Prometheus has nothing to say")


def unit_text(path, directory):
    """A unit as the tests can have it: with the program that was built."""
    text = path.read_text(encoding="utf-8")
    text = text.replace("/usr/bin/fragscope", harness.FRAGSCOPE)
    text = text.replace("/usr/local/bin/fragscope-webhook", str(SYSTEMD / "fragscope-webhook"))
    return re.sub(r"(?m)^Documentation=.*\n", "", text).replace(
        "/var/lib/fragscope", str(directory))


def check_units(tap, directory):
    analyze = harness.need("systemd-analyze")
    names = []
    for path in sorted(SYSTEMD.glob("*.s*t")) + sorted(SYSTEMD.glob("*.service")):
        name = path.name.replace("@.", "@name.")
        (directory / name).write_text(unit_text(path, directory), encoding="utf-8")
        names.append(directory / name)
    tap.equal(len(names), 4, "units")
    done = run(analyze, "verify", *names)
    tap.equal((done.returncode, done.stderr), (0, ""), "systemd takes the units")


def command_of(unit):
    return re.search(r"(?m)^ExecStart=(.*)", unit)[1]


def check_capabilities(tap, directory):
    """The command of the recording's unit, with its capabilities and as nobody."""
    setpriv = harness.need("setpriv")
    harness.need_root("to become nobody with two capabilities")
    unit = unit_text(SYSTEMD / "fragscope-record@.service", directory)
    caps = re.search(r"(?m)^AmbientCapabilities=(.*)", unit)[1].lower().replace("cap_", "+")
    directory.chmod(0o755)
    os.chown(directory, NOBODY, NOBODY)
    with Target([harness.BUILD / "examples" / "steady"]) as target:
        target.line()
        command = command_of(unit).replace("%i", "steady")
        caps = ",".join(["-all", *caps.split()])
        recorder = subprocess.Popen(
            [setpriv, "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
             "--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps,
             "--no-new-privs", *shlex.split(command)],
            stderr=subprocess.PIPE, text=True)
        try:
            harness.until(lambda: recorder.poll() is not None or whole(directory, target.pid),
                          "a whole reading")
        finally:
            recorder.terminate()
            said = recorder.communicate(timeout=harness.PATIENCE_S)[1]
    tap.ok(whole(directory, target.pid), "the recording has whole readings", command, said)


def whole(directory, pid):
    """The whole readings of PID in the recording."""
    file = directory / "steady.db"
    if not file.exists():
        return []
    done = harness.fragscope("stat", "--replay", file, "--json")
    return [row for row in harness.read_json(done.stdout)
            if row.row["pid"] == pid and row.row["status"] == "complete"]


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self):  # pylint: disable=invalid-name
        length = int(self.headers["Content-Length"])
        self.server.sent.append(json.loads(self.rfile.read(length)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


def check_webhook(tap):
    harness.need("jq")
    harness.need("curl")
    with http.server.HTTPServer(("127.0.0.1", 0), Hook) as server:
        server.sent = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Target([harness.BUILD / "examples" / "steady"]) as target:
            done = harness.fragscope(
                "alert", "-p", target.pid, "-r", "rss > 1K", "--once", "--exec",
                SYSTEMD / "fragscope-webhook", "0.1",
                env={**harness.CLEAN_ENV, "WEBHOOK": f"http://127.0.0.1:{server.server_port}/"})
        server.shutdown()
    tap.equal(done.returncode, 2, "the alert", done.stderr)
    texts = [sent["text"] for sent in server.sent]
    tap.ok(texts and f"begin warning steady[{target.pid}]" in texts[0], "reaches the webhook",
           texts, done.stderr)


def check_manifests(tap):
    try:
        import yaml  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise harness.Skip("python3-yaml is missing") from error
    pod = yaml.safe_load((KUBERNETES / "daemonset.yaml").read_text(encoding="utf-8"))
    container = pod["spec"]["template"]["spec"]["containers"][0]
    tap.equal(container["securityContext"]["capabilities"],
              {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH"]}, "capabilities")
    words = [word for word in container["args"][1:] if word.startswith("--")]
    known = harness.fragscope("export", "--help").stdout
    tap.equal([word for word in words if word not in known], [], "fragscope has its options")


def main():
    tap = harness.Tap()
    for name, check in (("rules", check_rules), ("webhook", check_webhook),
                        ("kubernetes", check_manifests)):
        with tap.section(name):
            check(tap)
    for name, check in (("units", check_units), ("capabilities", check_capabilities),
                        ("advice", check_advice), ("prometheus", check_prometheus)):
        with tap.section(name), harness.scratch() as directory:
            check(tap, pathlib.Path(directory))
    tap.done()


if __name__ == "__main__":
    main()
