"""image.py: the root of a virtual machine as an initramfs: the build, the libraries that it
needs, the libc and modules of a Debian release, and a busybox. Nothing of it is executed here,
so it may be of any architecture."""

import gzip
import lzma
import os
import pathlib
import re
import stat
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
DIRECTORIES = ("bin", "proc", "sys", "dev", "tmp", "etc", "lib64", "libc", "f", "p", "modules",
               "root")


class Image:
    """Files for a root, by their paths in it."""

    def __init__(self):
        self.entries = {}
        for name in DIRECTORIES:
            self.directory(name)

    def directory(self, name):
        parts = name.strip("/").split("/")
        for count in range(1, len(parts) + 1):
            self.entries.setdefault("/".join(parts[:count]), (stat.S_IFDIR | 0o755, b"", 0))

    def put(self, name, data, mode=0o755):
        name = name.strip("/")
        if "/" in name:
            self.directory(name.rsplit("/", 1)[0])
        self.entries[name] = (stat.S_IFREG | mode, data, 0)

    def add(self, name, path):
        self.put(name, pathlib.Path(path).read_bytes())

    def link(self, name, to):
        self.entries[name.strip("/")] = (stat.S_IFLNK | 0o777, to.encode(), 0)

    def device(self, name, major, minor):
        number = os.makedev(major, minor)
        self.entries[name] = (stat.S_IFCHR | 0o600, b"", number)

    def write(self, path):
        """The archive, in the form that the kernel unpacks (cpio's "newc")."""
        with open(path, "wb") as out:
            for number, (name, entry) in enumerate(self.entries.items(), 1):
                out.write(self._record(number, name, *entry))
            out.write(self._record(0, "TRAILER!!!", 0, b"", 0))

    @staticmethod
    def _record(number, name, mode, data, device):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, os.major(device),
                  os.minor(device), len(encoded), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


# ---- what goes into it ----------------------------------------------------------------


def needed(path):
    """The names of the libraries that a file asks for, and of its loader."""
    said = subprocess.run(["readelf", "-ld", str(path)], capture_output=True, text=True,
                          check=True).stdout
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", said)
    loader = re.search(r"interpreter: (/.*)\]", said)
    return names, loader and loader.group(1)


def places_of(sysroot, triplet):
    """Where libraries are below a root."""
    return [*(sysroot / place / triplet for place in ("lib", "usr/lib")),
            *(sysroot / place for place in ("lib", "lib64", "usr/lib", f"usr/{triplet}/lib",
                                            f"{triplet}/lib"))]


def add_opened(image, names, sysroot, triplet):
    """Libraries that no program names, where the root has them."""
    for name in names:
        for place in places_of(sysroot, triplet):
            if (place / name).exists():
                add_with_libraries(image, f"lib/{triplet}/{name}", place / name, sysroot, triplet)
                break


def add_with_libraries(image, name, path, sysroot, triplet, *others):
    """A program and all that its loader will look for, from SYSROOT, where the loader looks, and
    what is not there from OTHERS."""
    image.add(name, path)
    places = [place for root in (sysroot, *others) for place in places_of(root, triplet)]
    todo, loader = needed(path)
    if loader:
        file = sysroot / loader.strip("/")
        image.add(loader, file if file.exists() else find(loader.rsplit("/", 1)[1], places))
    seen = set()
    while todo:
        library = todo.pop()
        if library in seen or (loader and loader.endswith("/" + library)):
            continue
        seen.add(library)
        file = find(library, places)
        image.add(f"lib/{triplet}/{library}", file)
        todo += needed(file)[0]


def find(name, places):
    for place in places:
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(f"{name} is in none of {', '.join(map(str, places))}")


# What a release's libc is made of that programs of the tests use.
LIBC_PARTS = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")


def add_libc(image, tree, triplet):
    """The release's libc in /libc, to run a program on by its loader's name."""
    places = [tree / "lib" / triplet, tree / "usr/lib" / triplet]
    for name in LIBC_PARTS:
        image.add(f"libc/{name}", find(name, places))
    loader = next(path for place in places for path in place.glob("ld-linux*.so.*"))
    image.add(f"libc/{loader.name}", loader)
    image.link("libc/loader", loader.name)


def read_module(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
    return data


def add_modules(image, tree, names):
    """Kernel modules with those that they depend on; /modules/NAME is the order to load them
    in. A kernel that has one built in has no file of it: that is as good."""
    files = {re.sub(r"\.ko.*$", "", path.name).replace("-", "_"): path
             for path in tree.glob("**/lib/modules/*/kernel/**/*.ko*")}
    for name in names:
        order = []
        _resolve(image, files, name, order)
        image.put(f"modules/{name}", "".join(f"{module}\n" for module in order).encode(), 0o644)


def _resolve(image, files, name, order):
    if name in order or name not in files:
        return
    data = read_module(files[name])
    depends = re.search(rb"\0depends=([^\0]*)\0", data)
    for other in depends.group(1).decode().split(",") if depends else ():
        _resolve(image, files, other.replace("-", "_"), order)
    image.put(f"modules/{name}.ko", data, 0o644)
    order.append(name)


def kernel_of(tree):
    for pattern in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz",
                    "boot/vmlinux-*"):
        for path in sorted(tree.glob(pattern)):
            return path
    raise FileNotFoundError(f"no kernel in {tree}")
