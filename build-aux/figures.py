"""figures.py: what follows from the catalogue of figures, written anew: the list FIGURES of
fragscope-stat(1), and in tests/schema/columns.txt, behind the last figure, a line for each
figure that it lacks. `make figures` runs it with `fragscope help figures` as its input."""

import pathlib
import re
import sys
import textwrap

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PAGE = SOURCE / "man" / "fragscope-stat.1"
COLUMNS = SOURCE / "tests" / "schema" / "columns.txt"
LIST = re.compile(r"(^\.Sh FIGURES\n.*?^\.Bl -tag -width Ds\n)(.*?)(^\.El\n)", re.M | re.S)


def catalogue(text):
    """[(name, unit, scope, meaning)], as `help figures` prints them."""
    found = re.findall(r"^(\S+) \((\w+); ([\w ]+)\)\n((?: +.*\n)+)", text, re.M)
    return [(name, unit, scope, " ".join(meaning.split()))
            for name, unit, scope, meaning in found]


def entry(name, meaning):
    """A figure in the page: a sentence begins a line."""
    sentences = re.split(r"(?<=\.) (?=[A-Z])", meaning)
    lines = [line for sentence in sentences
             for line in textwrap.wrap(sentence, 85, break_long_words=False,
                                       break_on_hyphens=False)]
    return f".It Va {name}\n" + "".join(f"{line}\n" for line in lines)


def write_page(figures):
    page = PAGE.read_text(encoding="utf-8")
    entries = "".join(entry(name, meaning) for name, _, _, meaning in figures)
    PAGE.write_text(LIST.sub(lambda found: found[1] + entries + found[3], page, count=1),
                    encoding="utf-8")


def add_columns(figures):
    lines = COLUMNS.read_text(encoding="utf-8").splitlines()
    for before, (name, unit, scope, _) in zip([None, *figures], figures):
        known = [line.split(" ")[0] for line in lines]
        if name not in known:
            kind = "ratio" if unit == "ratio" else "count"
            rows = "both" if scope == "process and arena" else scope
            lines.insert(known.index(before[0]) + 1, f"{name:<26} {kind:<8} {rows}")
    COLUMNS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    figures = catalogue(sys.stdin.read())
    if not figures:
        sys.exit("figures.py: no figures in the input")
    write_page(figures)
    add_columns(figures)


if __name__ == "__main__":
    main()
