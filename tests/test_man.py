"""The man pages, the help and the catalogue say the same: every option and every figure is
in the page, and nothing else is."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "live"))

import harness  # noqa: E402  pylint: disable=wrong-import-position

MAN = harness.SOURCE / "man"


def section(page, title):
    """The source of one section of a page."""
    match = re.search(rf'^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)', page, re.M | re.S)
    return match.group(1) if match else ""


def help_options(verb):
    """What `VERB --help` lists: {long name: letter or nothing}."""
    text = harness.fragscope(verb, "--help").stdout
    found = re.findall(r"^  (?:-(\w), |    )--([a-z-]+)", text, re.M)
    return {name: letter for letter, name in found}


def page_options(page):
    """What the page's section OPTIONS lists, in the same form."""
    found = re.findall(
        r"^\.It (?:Fl (\w) , )?Fl -([a-z-]+)", section(page, "OPTIONS"), re.M
    )
    return {name: letter for letter, name in found}


def catalogue():
    """What `help figures` lists: {name: meaning}."""
    text = harness.fragscope("help", "figures").stdout
    found = re.findall(r"^(\S+) \([^)]*\)\n((?: +.*\n)+)", text, re.M)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def page_figures(page):
    found = re.findall(
        r"^\.It Va (\S+)\n((?:[^.].*\n)+)", section(page, "FIGURES"), re.M
    )
    return {name: " ".join(meaning.split()) for name, meaning in found}


def both_ways(tap, what, program, page):
    tap.ok(program, f"the program has {what}s")
    for name in program:
        tap.equal(page.get(name), program[name], f"{what} {name} is in the page")
    for name in page:
        tap.ok(name in program, f"{what} {name} of the page is in the program")


def main():
    tap = harness.Tap()
    main_page = (MAN / "fragscope.1").read_text(encoding="utf-8")
    verbs = re.findall(r"^  (\w+) ", harness.fragscope("--help").stdout, re.M)
    verbs = [verb for verb in verbs if verb != "fragscope"]
    listed = re.findall(r"^\.It Cm (\w+)$", main_page, re.M)
    tap.equal(listed, verbs, "the verbs of the page are those of the program")
    pages = {
        f"fragscope-{verb}": (MAN / f"fragscope-{verb}.1").read_text(encoding="utf-8")
        for verb in verbs
    }
    for verb in verbs:
        page = pages[f"fragscope-{verb}"]
        both_ways(tap, f"{verb} option", help_options(verb), page_options(page))
    both_ways(tap, "figure", catalogue(), page_figures(pages["fragscope-stat"]))
    for status in ("0", "1", "64", "69", "77"):
        for name, text in {"fragscope": main_page, **pages}.items():
            found = re.search(rf"^\.It {status}$", section(text, "EXIT STATUS"), re.M)
            tap.ok(found, f"exit status {status} is in {name}.1")
    tap.done()


if __name__ == "__main__":
    main()
