"""machine.py: virtual machines with Debian's kernels, translated by QEMU without any help of the
hardware. Commands go over the serial line and their results come back by it, so what is judged
is judged here, and the machine runs nothing but what is tested."""

import contextlib
import os
import pathlib
import re
import select
import shlex
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "live")]
import harness  # noqa: E402
import image as images  # noqa: E402
import table  # noqa: E402
import tracing  # noqa: E402
from harness import Skip  # noqa: E402


class Arch:
    """What an architecture is to QEMU, to Debian and to the compiler."""

    def __init__(self, qemu, options, console, triplet, package):
        self.qemu = qemu
        self.options = options
        self.console = console
        self.triplet = triplet
        self.package = package


ARCHES = {
    "amd64": Arch("qemu-system-x86_64", ["-M", "pc"], "ttyS0", "x86_64-linux-gnu",
                  "qemu-system-x86"),
    # Return addresses are signed, in a way that is quick to translate.
    "arm64": Arch("qemu-system-aarch64", ["-M", "virt", "-cpu", "max,pauth-impdef=on"], "ttyAMA0",
                  "aarch64-linux-gnu", "qemu-system-arm"),
}
HOST = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
# A command that does not end, on however busy a machine.
PATIENCE_S = 240


class Build:
    """The fragscope of an architecture: where it was built, and the root its libraries are in."""

    def __init__(self, arch):
        self.arch = arch
        self.triplet = ARCHES[arch].triplet
        if arch == HOST:
            self.directory = harness.BUILD
            self.sysroot = pathlib.Path("/")
        elif arch == "arm64":
            self.directory = harness.BUILD / "vm-arm64"
            self.sysroot = run_script("cross", self.directory)
        else:
            raise Skip(f"there is no build of fragscope for {arch}")

    def _cross(self, name, source, flags, libraries=(), compiler=None):
        """Of tests/programs, for another machine than the host."""
        return harness.compile_program(
            f"{name}-{self.arch}", [*(compiler or [f"{self.triplet}-gcc"]),
                                    f"--sysroot={self.sysroot}"],
            harness.SOURCE / "tests/programs" / source, flags, libraries)

    def program(self, name):
        """A program of the tests that runs on the libc of any release that is booted."""
        if self.arch == HOST:
            return harness.program(name, "portable")
        return self._cross(name, f"{name}.c", [], ["-ldl"])

    def library(self, name):
        return self._cross(f"{name}.so", f"{name}.c", ["-shared", "-fPIC", "-DNAME=work"])

    def storm(self):
        """By clang, which the build needs anyway and which is for any machine."""
        return self._cross("storm", "storm.cc", ["-std=gnu++17"], ["-ldl"],
                           [harness.need("clang++"), f"--target={self.triplet}"])


def run_script(name, *args):
    """The directory that a script here has made."""
    done = subprocess.run(["sh", str(HERE / name), *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    said = (done.stderr.strip().splitlines() or ["said nothing"])[-1]
    if done.returncode == 77:
        raise Skip(said)
    if done.returncode != 0:
        raise RuntimeError(f"tests/vm/{name}: {done.stderr}")
    return pathlib.Path(done.stdout.strip())


MODULES = ("zram", "virtio_blk", "virtio_pci", "fuse", "overlay")
# What fragscope opens when it is needed.
LIBRARIES = ("libmicrohttpd.so.12",)
# Programs of the tests, and of examples/.
PROGRAMS = ("oracle", "grower", "locals", "pty", "fuse", "stuck", "nobpf", "lazy")
# What calls.py has of another architecture than the host's: programs, and libraries for them.
CALLS, CALLS_LIBRARIES = ("keeper", "waits"), ("killed", "plugin")
EXAMPLES = ("leak", "fragmenter", "steady", "limited", "too_big_to_fail")


def make_image(arch, suite, path, extend=None):
    """The root for one release, to which EXTEND adds; the kernel to boot it with. SUITE may name
    another kernel than the release's for clouds: its flavour follows, which is Debian's or one of
    those that are built here."""
    kernel = os.environ.get("FRAGSCOPE_VM_KERNEL")
    suite, *flavour = suite.split()
    if flavour and (HERE / f"{arch}-{flavour[0]}.config").exists():
        kernel = kernel or run_script("kernel", arch, *flavour)
        flavour = []
    build, tree = Build(arch), run_script("fetch", arch, suite, *flavour)
    root = images.Image()
    root.device("dev/console", 5, 1)
    root.device("dev/null", 1, 3)
    for name, place in (("init", "init"), ("vm.sh", "lib/vm.sh")):
        root.add(place, HERE / name)
    root.put("etc/console", f"{ARCHES[arch].console}\n".encode(), 0o644)
    root.put("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
             0o644)
    root.put("etc/group", b"root:x:0:\nuser:x:1000:\n", 0o644)
    root.add("bin/busybox", images.find("busybox", [tree / "bin", tree / "usr/bin"]))
    images.add_with_libraries(root, "f/fragscope", build.directory / "fragscope", build.sysroot,
                              build.triplet)
    images.add_opened(root, LIBRARIES, build.sysroot, build.triplet)
    for name in ("libfragscope-preload.so", "libfragscope-stacks.so"):
        root.add(f"f/{name}", build.directory / name)
    for name in PROGRAMS + (CALLS if arch != HOST else ()):
        images.add_with_libraries(root, f"p/{name}", build.program(name), build.sysroot,
                                  build.triplet)
    if arch != HOST:
        for name in CALLS_LIBRARIES:
            root.add(f"p/{name}.so", build.library(name))
        images.add_with_libraries(root, "p/storm", build.storm(), build.sysroot, build.triplet)
    for name in EXAMPLES:
        root.add(f"p/{name}", build.directory / "examples" / name)
    root.add("usr/share/terminfo/x/xterm", next(
        path for place in ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo")
        for path in [pathlib.Path(place) / "x/xterm"] if path.exists()))
    images.add_libc(root, tree, build.triplet)
    images.add_modules(root, tree, MODULES)
    if extend:
        extend(root)
    root.write(path)
    return kernel or images.kernel_of(tree)


def one_line(command):
    """For printf's %b. Letters stand for themselves, so that the log can be read."""
    plain = re.compile(rb"[^A-Za-z0-9 ./_=-]")
    return plain.sub(lambda match: b"\\0%03o" % match.group()[0], command.encode()) + b"\n"


class Result:
    """What a command in a machine came to."""

    def __init__(self, status, out, err):
        self.returncode, self.stdout, self.stderr = status, out, err


class Hang(Exception):
    """A machine that did not answer; the text ends with its console."""


class Machine:
    """One booted machine. NAME is that of the console's log in the build's tests/vm."""

    def __init__(self, name, arch, suite, memory_mb=512, append="", extend=None):
        self.arch, self.name = ARCHES[arch], name
        place = harness.BUILD / "tests/vm"
        place.mkdir(parents=True, exist_ok=True)
        archive = place / f"{name}.cpio"
        kernel = make_image(arch, suite, archive, extend)
        command = self._command(kernel, archive, memory_mb, append)
        self.console = open(place / f"{name}.console", "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.pending = b""
        self.number = 0
        self.gone = None  # at which command
        self._until(rb"<< ready >>\r?\n", "the boot")
        archive.unlink()
        self.release = self.sh("uname -r").stdout.strip()

    def _command(self, kernel, archive, memory_mb, append):
        """What runs it, with its serial line as input and output."""
        try:
            qemu = harness.need(self.arch.qemu)
        except Skip as reason:
            raise Skip(f"{reason}: install {self.arch.package}") from None
        return [
            qemu, "-accel", "tcg", *self.arch.options, "-m", str(memory_mb), "-smp", "1",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line",
            "-kernel", str(kernel), "-initrd", str(archive),
            "-append", f"console={self.arch.console} loglevel=3 panic=-1 {append}",
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.console.close()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _tail(self):
        return "\n".join(self.pending.decode(errors="replace").splitlines()[-40:])

    def _more(self, what, end):
        """Waits for more from the line."""
        ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
        data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
        if not data:
            why = "the machine ended" if ready else f"no answer within {PATIENCE_S} s"
            self.gone = what
            raise Hang(f"{what}: {why}; the console's end:\n{self._tail()}")
        self.console.write(data)
        self.console.flush()
        self.pending += data

    def _until(self, pattern, what):
        end = time.monotonic() + PATIENCE_S
        while True:
            match = re.search(pattern, self.pending)
            if match:
                self.pending = self.pending[match.end():]
                return match
            self._more(what, end)

    def _take(self, size, what):
        end = time.monotonic() + PATIENCE_S
        while len(self.pending) < size:
            self._more(what, end)
        taken, self.pending = self.pending[:size], self.pending[size:]
        return taken.decode(errors="replace")

    def sh(self, command):
        """Runs a command, or several lines of them, in the machine's shell."""
        if self.gone:
            raise Hang(f"the machine was given up after: {self.gone}")
        self.number += 1
        self.console.write(f"\n>> {command}\n".encode())
        self.process.stdin.write(one_line(command))
        self.process.stdin.flush()
        match = self._until(rb"<< %d (\d+) (\d+) (\d+) >>\r?\n" % self.number, command)
        status, out, err = (int(group) for group in match.groups())
        return Result(status, self._take(out, command), self._take(err, command))

    def last_words(self):
        """Waits for the end of a machine that is about to die; what its console says."""
        end = time.monotonic() + PATIENCE_S
        with contextlib.suppress(Hang):
            while True:
                self._more("its end", end)
        return self.pending.decode(errors="replace")

    def need(self, command):
        """A command that must succeed; what it wrote."""
        done = self.sh(command)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: status {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def fragscope(self, *args):
        return self.sh(shlex.join(["fragscope", *(str(arg) for arg in args)]))

    def read(self, path):
        return self.need(f"cat {shlex.quote(str(path))}")

    def page_bytes(self):
        said = self.need("grep -m 1 KernelPageSize /proc/self/smaps")
        return int(said.split()[1]) << 10

    def start(self, name, *command):
        """Starts a command in the background; its process."""
        return int(self.need(f"begin {name} {shlex.join(map(str, command))}; pid {name}"))


class Guest(harness.Seen):
    """A program in a machine; it ends with the block."""

    def __init__(self, machine, name, *command):
        self.machine, self.name = machine, name
        self.pid = machine.start(name, *command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.machine.gone:
            self.end()

    def end(self, signal="KILL"):
        """Its exit status as the shell has it."""
        return self.machine.sh(f"end {self.name} {signal}").returncode

    def wait(self):
        return self.machine.sh(f"ended {self.name}").returncode

    def wrote(self, text):
        """Waits until it has written TEXT; an error if it ends before."""
        self._need(f"wrote {self.name} {shlex.quote(text)}")
        return self

    def waits(self, tracepoint="mmap_lock_released"):
        """Waits until its probes are in place, the one at TRACEPOINT being the last."""
        self._need(f"waits {self.name} {tracepoint}")
        return self

    def _need(self, command):
        self.machine.need(f"{command} || {{ cat /tmp/{self.name}.err; false; }}")

    def ask(self, text):
        """What it answers to a line."""
        return self.machine.need(f"ask {self.name} {shlex.quote(text)}").rstrip("\n")

    def proc(self, name):
        return self.machine.read(f"/proc/{self.pid}/{name}")

    @property
    def out(self):
        return self.machine.read(f"/tmp/{self.name}.out")

    @property
    def err(self):
        return self.machine.read(f"/tmp/{self.name}.err")


ON_LIBC = ("/libc/loader", "--library-path", "/libc")


def within(group, command):
    """A command that begins in a cgroup, so that all its memory is charged there."""
    return ["sh", "-c", f"echo $$ >{group}/cgroup.procs; exec {shlex.join(command)}"]


class Oracle(harness.Questions, Guest):
    """tests/programs/oracle.c with a scenario, on the release's libc."""

    def __init__(self, machine, args="", name="oracle", group=None):
        command = [*ON_LIBC, "/p/oracle", *shlex.split(args)]
        super().__init__(machine, name, *(within(group, command) if group else command))
        self.wrote("ready")

    def xml(self, question="xml"):
        text = self.machine.need(f"ask {self.name} {question} '^[.]$'")
        return harness.MallocInfo(text[:-2])


class Grower(Guest):
    """tests/programs/grower.c, on the release's libc."""

    def __init__(self, machine, name="grower"):
        super().__init__(machine, name, *ON_LIBC, "/p/grower")
        self.wrote("ready")

    def order(self, text):
        return tracing.Tally(self.ask(text))


def cells_of(tap, cases, subject, only=()):
    """Runs CASES, or ONLY those, as methods of SUBJECT: what the table is to say of each."""
    cells = {}
    for title, case in cases:
        if only and title not in only:
            continue
        failed = tap.failed
        with tap.section(title):
            said = case(subject)
            if tap.failed == failed:
                cells[title] = said
        cells.setdefault(title, table.FAILS)
    return cells
