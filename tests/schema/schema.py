"""schema.py: holds rows against columns.txt. Each function returns the faults it found, as
sentences; none is right."""

import csv
import io
import json
import pathlib
import re

TABLE = [
    line.split()
    for line in (pathlib.Path(__file__).parent / "columns.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
NAMES = [name for name, _, _ in TABLE]

# How a value of each type is written; JSON has numbers for counts and ratios.
FORMS = {
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "string": r".*",
    "source": r"heap|proc|preload",
    "status": r"complete|torn|partial|estimated",
    "address": r"0x[0-9a-f]+",
    "count": r"0|[1-9]\d*",
    "ratio": r"-?\d+\.\d{4}",
}
BIN_KEYS = ["from", "to", "total", "count"]


def _presence(where, row, name):
    """Why a value may not be absent, or may not be there; or nothing."""
    arena, partial = row.get("arena") is not None, row.get("status") == "partial"
    present = row.get(name) is not None
    must = {
        "all": True,
        "partial": partial,
        # Only who reads the heap from outside knows where an arena is.
        "arena": arena and (name == "arena" or row.get("source") == "heap"),
    }.get(where, False)
    may = {"partial": partial, "arena": arena, "process": not arena}.get(where, True)
    if must and not present:
        return f"{name} is absent"
    if present and not may:
        return f"{name} is in the wrong row"
    return None


def _row(row):
    """ROW maps names to the text of values as written; absent ones are left out."""
    faults = [f"{name} is not in the table" for name in row if name not in NAMES]
    for name, kind, where in TABLE:
        fault = _presence(where, row, name)
        if fault:
            faults.append(fault)
        value = row.get(name)
        if value is not None and not re.fullmatch(FORMS[kind], value, re.S):
            faults.append(f"{name} is {value!r}, which is no {kind}")
    return faults


def check_csv(text):
    """A whole CSV output, header included."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not rows:
        return ["there is no header"]
    faults = [] if rows[0] == NAMES else [f"the header is {','.join(rows[0])}"]
    if not text.endswith("\n") or "\r\n" in text:
        faults.append("lines do not end in LF")
    for number, values in enumerate(rows[1:], 1):
        if len(values) != len(rows[0]):
            faults.append(f"row {number} has {len(values)} columns")
        # comm, allocator: empty text is a value; elsewhere it is absence.
        row = {
            name: value
            for name, value in zip(rows[0], values)
            if value or name in ("comm", "allocator")
        }
        faults += [f"row {number}: {fault}" for fault in _row(row)]
    return faults


def _unique(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a key comes twice: {names}")
    return dict(pairs)


def _bins(bins):
    """The key "bins" of an arena."""
    if bins is None:
        return []
    faults = []
    if not {"fast", "sorted"} <= set(bins) <= {"fast", "sorted", "unsorted"}:
        faults.append(f"bins has the keys {list(bins)}")
    unsorted = [bins["unsorted"]] if "unsorted" in bins else []
    for entry in bins.get("fast", []) + unsorted:
        if list(entry) != BIN_KEYS:
            faults.append(f"a bin has the keys {list(entry)}")
    for entry in bins.get("sorted", []):
        if list(entry) != ["bin", *BIN_KEYS] or not 2 <= int(entry["bin"]) <= 127:
            faults.append(f"a sorted bin is {entry}")
    for entry in bins.get("fast", []) + unsorted + bins.get("sorted", []):
        if not all(re.fullmatch(FORMS["count"], entry.get(key, "")) for key in BIN_KEYS):
            faults.append(f"a bin is {entry}")
        elif int(entry["count"]) == 0:
            faults.append(f"an empty bin is shown: {entry}")
    return faults


def _classes(classes):
    """The key "classes" of a process."""
    faults = []
    for entry in classes:
        if list(entry) not in (["region", "free"], ["region", "free", "used", "slabs"]):
            faults.append(f"a class has the keys {list(entry)}")
        elif not all(re.fullmatch(FORMS["count"], value) for value in entry.values()):
            faults.append(f"a class is {entry}")
    if not classes:
        faults.append("no classes are shown")
    return faults


def _estimate(row, estimate):
    """The key "estimate": the ends of intervals, around figures that are there."""
    faults = []
    if estimate and row.get("status") not in ("estimated", "partial", "torn"):
        faults.append("estimate is in the wrong row")
    for name, ends in estimate.items():
        kind = dict((name, kind) for name, kind, _ in TABLE).get(name)
        if kind not in ("count", "ratio") or name not in row or len(ends) != 2:
            faults.append(f"estimate has {name}: {ends}")
        elif not all(re.fullmatch(FORMS[kind], end) for end in ends):
            faults.append(f"the interval of {name} is {ends}")
        elif not float(ends[0]) <= float(row[name]) <= float(ends[1]):
            faults.append(f"{name} is {row[name]}, and from {ends[0]} to {ends[1]}")
    return faults


def check_json(line):
    """One line of JSON. Numbers are kept as they are written."""
    text = json.loads(line, parse_int=str, parse_float=str, object_pairs_hook=_unique)
    faults = []
    nested = text.pop("mallinfo2", {})
    faults += _estimate(text, text.pop("estimate", {}))
    if "bins" in text:
        if "arena" not in text:
            faults.append("bins is in the wrong row")
        faults += _bins(text.pop("bins"))
    if "classes" in text:
        if "arena" in text:
            faults.append("classes is in the wrong row")
        faults += _classes(text.pop("classes"))
    order = [name for name in NAMES if name in text]
    if [name for name in text if name in NAMES] != order:
        faults.append("the keys are not in the order of the table")
    raw = {**text, **{f"mallinfo2.{name}": value for name, value in nested.items()}}
    return faults + _row(raw)
