"""container.py: programs in containers of podman, watched from the host."""

import json
import shlex

import harness
import image as images
from machine import Build, Guest, Machine, cells_of, run_script

PACKAGES = ("podman", "crun", "conmon", "uidmap", "golang-github-containers-common",
            "libassuan0", "libaudit1", "libcap-ng0", "libcap2", "libdevmapper1.02.1", "libgcrypt20",
            "libglib2.0-0", "libgpg-error0", "libgpgme11", "liblz4-1", "liblzma5", "libpcre2-8-0",
            "libseccomp2", "libselinux1", "libsubid4", "libsystemd0", "libudev1", "libyajl2",
            "libzstd1")
PROGRAMS = ("usr/bin/podman", "usr/bin/crun", "usr/bin/conmon", "usr/bin/newuidmap",
            "usr/bin/newgidmap")
CONFIGURATION = {
    "etc/containers/containers.conf": """[containers]
log_driver = "k8s-file"
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
""",
    "etc/containers/storage.conf": '[storage]\ndriver = "vfs"\nrunroot = "/run/containers"\n'
                                   'graphroot = "/var/lib/containers"\n',
    "etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    "etc/subuid": "user:100000:65536\n",
    "etc/subgid": "user:100000:65536\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/resolv.conf": "",
    "etc/stacked": "",
}


def extend(arch, suite):
    """What podman needs, beside a root."""
    def add(root):
        build = Build(arch)
        tree = run_script("fetch", arch, suite, "podman", *PACKAGES)
        for name in PROGRAMS:
            images.add_with_libraries(root, name, tree / name, build.sysroot, build.triplet, tree)
        for name in "newuidmap", "newgidmap":
            root.put(f"usr/bin/{name}", (tree / "usr/bin" / name).read_bytes(), 0o4755)
        for name in "usr/share/containers/seccomp.json", "usr/share/containers/containers.conf":
            if (tree / name).exists():
                root.add(name, tree / name)
        for name, text in CONFIGURATION.items():
            root.put(name, text.encode(), 0o644)
        for name in "run", "var/tmp", "var/lib", "c":
            root.directory(name)
    return add


LIMIT = 96 << 20
# A container's own root, and where its user's things are.
SETUP = """
    mkdir -p /c/bin /c/proc /c/sys /c/dev /c/tmp /c/etc /c/run
    cp -a /lib /lib64 /p /c
    mkdir -p /run/user/1000 /home/user
    chown user /run/user/1000 /home/user
    chmod 700 /run/user/1000
    echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control
"""


def podman(*args):
    return shlex.join(["podman", "run", "--detach", "--memory", str(LIMIT), "--network", "none",
                       *args])


def by_root(_, *command):
    """How root runs a container, and the cgroup of the one with an id, {}."""
    return f"PATH=$PATH:/usr/bin {podman('--rootfs', '/c', *command)}", \
        "/sys/fs/cgroup/libpod_parent/libpod-{}"


def by_user(number, *command):
    """The same of a user. He needs a cgroup that was given to him, in which podman makes one for
    the container and one for itself."""
    given = f"/sys/fs/cgroup/given-{number}"
    run = podman("--cgroups=split", "--rootfs", "/c", *command)
    return f"""
        mkdir {given}
        chown -R user {given}
        sh -c 'echo $$ >{given}/cgroup.procs; exec su user -s /bin/sh -c \
            "cd; PATH=/bin:/usr/bin XDG_RUNTIME_DIR=/run/user/1000 {run}"'
        """, f"{given}/libpod-payload-{{}}"


class Containers:
    """The cases. Each returns what the table is to say of it."""

    def __init__(self, tap, machine):
        self.tap, self.machine = tap, machine
        self.number = 0

    def _run(self, by, *command):
        """The container's id, and its process."""
        self.number += 1
        run, group = by(self.number, *command)
        container = self.machine.need(run).split()[-1]
        return container, int(self.machine.need(f"cat {group.format(container)}/cgroup.procs"))

    def _json(self, *args):
        done = self.machine.fragscope(*args)
        self.tap.equal(done.returncode, 0, f"{args[0]}: exit status", done.stderr)
        return json.loads(done.stdout)

    def _watched(self, by):
        """From the host: figures, the limit, whose chunks, probes, and the container's name."""
        container, pid = self._run(by, "/p/steady")
        row = harness.until(lambda: self._large(pid), "a heap as it is")
        self.tap.equal(row["comm"], "steady", "stat")
        found = self._json("report", "-p", pid, "--for", "0", "--json")
        limit = next(row for row in found["limits"] if row["limit"] == "cgroup_max")
        self.tap.equal((limit["max"], found["nearest_limit"]), (LIMIT, "cgroup_max"),
                       "report: its limit is the nearest", limit)
        self.tap.within(limit["used"], row["live_bytes"], LIMIT, "and what is used of it")
        self.tap.ok(container in found["cgroup"]["max_path"], "whose limit", found["cgroup"])
        for verb, *args in ("owners", "--live"), ("trace", "--for", "10ms"):
            done = self.machine.fragscope(verb, "-p", pid, *args)
            self.tap.equal(done.returncode, 0, f"{verb}: exit status", done.stderr)
        with Guest(self.machine, "export", "fragscope", "export", "--container", container[:12],
                   "--textfile", "/tmp/metrics", 1):
            self.machine.need(f"until grep -qs '\"{container}\"' /tmp/metrics; do "
                              "usleep 50000; done")
            self.tap.reached("export: the container's name")
        self.machine.sh(f"kill -9 {pid}; rm -f /tmp/metrics")

    def _large(self, pid):
        """None until all of it is there: a first look may come before there is a heap."""
        done = self.machine.fragscope("stat", "-p", pid, "--once", "--json")
        row = json.loads(done.stdout) if done.returncode == 0 else {}
        is_whole = row.get("status") == "complete" and row.get("live_bytes", 0) > 60 << 20
        return row if is_whole else None

    def _killed(self, by):
        """For want of memory within the limit: who and why is printed on the host."""
        with Guest(self.machine, "oom", "fragscope", "trace", "--oom", "--json") as trace:
            trace.waits("mark_victim")
            self.number += 1
            self.machine.need(by(self.number, "/p/too_big_to_fail", "--mortal")[0])
            trace.wrote("victim")
            trace.end("INT")
            events = [json.loads(line) for line in trace.out.splitlines()]
        self.tap.equal([(event["victim"]["comm"], event["cause"]["kind"],
                         event["cause"].get("limit")) for event in events],
                       [("too_big_to_fail", "cgroup", LIMIT)], "trace --oom")

    def of_root(self):
        self._watched(by_root)
        return "works"

    def of_user(self):
        self._watched(by_user)
        return "works"

    def killed(self):
        self._killed(by_root)
        self._killed(by_user)
        return "works"


# The rows of the table, in its order.
CASES = [
    ("stat, report, owners, trace, export; in a container of root's", Containers.of_root),
    ("stat, report, owners, trace, export; in a rootless container", Containers.of_user),
    ("trace --oom; a container is full, root's or rootless", Containers.killed),
]


def run(tap, name, arch, suite, only=()):
    """The cells of the table, by case."""
    with Machine(name, arch, suite, memory_mb=1024, extend=extend(arch, suite)) as machine:
        tap.reached(f"kernel {machine.release}")
        harness.elsewhere = machine
        machine.need(SETUP)
        cells = cells_of(tap, CASES, Containers(tap, machine), only)
        harness.elsewhere = None
    return machine.release, cells
