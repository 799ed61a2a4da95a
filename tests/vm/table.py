#!/usr/bin/env python3
"""table.py: writes docs/KERNELS.md's table from what the last `make check-vm` came to.

    table.py RESULTS DOCUMENT

RESULTS is the directory with a .json a machine. A machine that did not run keeps its column. Where
one has failed nothing is written."""

import json
import pathlib
import sys

# The cell of a case that did not come to its end as it should.
FAILS = "FAILS"
BEGIN, END = "<!-- table: make vm-table -->", "<!-- end of the table -->"


def parts_of(document):
    """The text before the table, its lines, and the text after it."""
    before, rest = document.split(BEGIN + "\n")
    table, after = rest.split(END)
    return before + BEGIN + "\n", table.strip().splitlines(), END + after


def notes_of(lines):
    """The long cells: footnotes by their marks."""
    return dict(line.split(". ", 1) for line in lines if line[:1].isdigit())


def read(document):
    """{machine: {case: cell}} as the document has it. A table is for machines with the same
    cases."""
    _, lines, _ = parts_of(document)
    notes, columns, names = notes_of(lines), {}, []
    for line in lines:
        if not line.startswith("|"):
            names = []
            continue
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if not names:
            names = cells
            columns.update((name, {}) for name in names)
        elif first != "---":
            for name, cell in zip(names, cells):
                mark = cell.partition("[")[2].rstrip("]")
                columns[name][first] = notes[mark] if mark else cell
    return columns


def numbers(name):
    """Machines in the order of their architecture and kernel, the newest last."""
    arch, _, kernel = name.partition("-")
    return arch, [int(part) if part.isdigit() else 1000 for part in kernel.split(".")]


def tables_of(columns):
    """The machines of each table: those that have cases in common."""
    tables = []
    for name in sorted((name for name in columns if columns[name]), key=numbers):
        for table in tables:
            if set(columns[table[0]]) & set(columns[name]):
                table.append(name)
                break
        else:
            tables.append([name])
    return tables


def write(columns):
    """The tables' lines. A refusal is a footnote."""
    notes, lines = {}, []

    def cell(text):
        if ": " not in text:
            return text
        mark = notes.setdefault(text, len(notes) + 1)
        return f"{text.partition(':')[0]} [{mark}]"

    for names in tables_of(columns):
        cases = list(dict.fromkeys(case for name in names for case in columns[name]))
        lines.append(f"| | {' | '.join(names)} |")
        lines.append("| --- |" + " --- |" * len(names))
        for case in cases:
            cells = [cell(columns[name].get(case, "not run")) for name in names]
            lines.append(f"| {case} | {' | '.join(cells)} |")
        lines.append("")
    return [*lines, *(f"{mark}. {text}" for text, mark in notes.items())]


def main():
    results, path = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    document = path.read_text(encoding="utf-8")
    before, _, after = parts_of(document)
    columns = read(document)
    for result in sorted(results.glob("*.json")):
        found = json.loads(result.read_text(encoding="ascii"))
        failed = [case for case, cell in found["cells"].items() if cell == FAILS]
        if failed:
            sys.exit(f"{path} stays as it is: {result.stem} failed at {'; '.join(failed)}: "
                     f"see {result.with_suffix('.log')}, and run make check-vm again")
        columns[result.stem] = found["cells"]
        print(f"{result.stem}: {found['kernel']}")
    path.write_text(before + "\n".join(write(columns)) + "\n" + after, encoding="utf-8")


if __name__ == "__main__":
    main()
