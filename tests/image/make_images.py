"""make_images.py: makes the images of tests/images anew, and beside each what the program
itself said of its heap in that moment. Run by hand, from a build directory in which
`make check` has built tests/image/save_image and tests/bin:

  FRAGSCOPE_BUILDDIR=$PWD python3 .../tests/image/make_images.py [NAME...]

A line of a .txt is a word and numbers: "mallinfo2" with the ten fields; "arena" with
system bytes, fastbin chunks and bytes, other free chunks (the top is one) and bytes, and
the top's bytes; "fast", "sorted" or "unsorted" with the arena, and from, to, total bytes
and count of one bin; "trimmed" with what malloc_trim(0) then gave back."""

import lzma
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "live"))

import harness  # noqa: E402

IMAGES = harness.SOURCE / "tests/images"

SCENARIOS = {
    "mixed": "--threads 2 --chunks 300 --max 2500 --free-pattern random:50 --fast 60 --tcache "
    "--mmapped 3 --aligned 20 --foreign-sbrk 2 --unsorted 6 --untouched 4",
    "no-sbrk": "--no-sbrk --threads 1 --chunks 500 --max 1500 --free-pattern runs:3 --fast 40 "
    "--tcache --sort",
}

MALLINFO = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
    "fordblks", "keepcost",
)


def bin_line(word, arena, size):
    return " ".join(
        map(str, (word, arena, size["from"], size["to"], size["total"], size["count"]))
    )


def figures(target):
    info = target.info()
    yield "mallinfo2 " + " ".join(str(info[field]) for field in MALLINFO)
    for number, heap in enumerate(target.xml().heaps):
        numbers = (heap["system"], *heap["fast"], *heap["rest"], heap["top"])
        yield "arena " + " ".join(map(str, numbers))
        for size in heap["fastbins"]:
            yield bin_line("fast", number, size)
        for size in heap["sorted"]:
            yield bin_line("sorted", number, size)
        if heap["unsorted"]:
            yield bin_line("unsorted", number, heap["unsorted"])


def make(name, version, args):
    with harness.scratch() as path:
        with harness.Oracle(args, harness.Libc(version)) as target:
            lines = list(figures(target))
            saved = path / "image"
            saver = harness.BUILD / "tests/image/save_image"
            subprocess.run([str(saver), str(target.pid), str(saved)], check=True)
            trim = target.numbers("trim")
            lines.append(f"trimmed {trim['before'] - trim['after']}")
        raw = saved.read_bytes()
    packed = lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)
    (IMAGES / f"{name}.img.xz").write_bytes(packed)
    (IMAGES / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{name}: {len(raw)} bytes, packed {len(packed)}")


def main():
    for version in harness.OTHER_LIBCS:
        for scenario, args in SCENARIOS.items():
            name = f"{version}-{scenario}"
            if len(sys.argv) == 1 or name in sys.argv[1:]:
                make(name, version, args)


if __name__ == "__main__":
    main()
