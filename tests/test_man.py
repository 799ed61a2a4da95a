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


def statuses():
    """enum exit_status: {number: name}."""
    text = (harness.SOURCE / "src/base/fault.h").read_text(encoding="utf-8")
    block = re.search(r"enum exit_status \{(.*?)\};", text, re.S).group(1)
    return {number: name for name, number in re.findall(r"(EXIT_\w+) = (\d+)", block)}


# Who ends with what not every verb ends with.
OF_ONE = {"EXIT_ALERT": "alert", "EXIT_NOT_RUNNABLE": "run", "EXIT_NOT_FOUND": "run"}


def check_statuses(tap, main_page, pages):
    """Each page has the exit statuses of its verb, fragscope(1) and the README have all."""
    readme = (harness.SOURCE / "README.md").read_text(encoding="utf-8")
    for number, name in statuses().items():
        item = re.compile(rf"^\.It {number}$", re.M)
        tap.ok(item.search(section(main_page, "EXIT STATUS")),
               f"{name} ({number}) is in fragscope.1")
        tap.ok(re.search(rf"^\| {number} \|", readme, re.M), f"{name} ({number}) is in the README")
        for page, text in pages.items():
            is_its = page == f"fragscope-{OF_ONE.get(name)}" or name not in OF_ONE
            tap.equal(bool(item.search(section(text, "EXIT STATUS"))), is_its,
                      f"{name} ({number}) is in {page}.1 where the verb ends with it")


def check_sections(tap, pages):
    """What every page of a verb ends with, and that the pages name each other."""
    for page, text in pages.items():
        for title in ("ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
            tap.ok(section(text, title).strip(), f"{title} is in {page}.1")
        others = re.findall(r"^\.Xr (fragscope\S*) [157]", section(text, "SEE ALSO"), re.M)
        tap.ok(page == "fragscope" or "fragscope" in others, f"{page}.1 names fragscope(1)")
        for other in others:
            known = [file for file in MAN.iterdir() if file.stem == other]
            tap.ok(known and other != page, f"{page}.1 names {other}, which is there")


def check_links(tap):
    """Every file that the README, HACKING and docs/ link to is in the repository."""
    documents = [harness.SOURCE / "README.md", harness.SOURCE / "HACKING.md"]
    for document in documents + sorted((harness.SOURCE / "docs").glob("*.md")):
        text = document.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            tap.ok((document.parent / link).exists(), f"{document.name} links to {link}")


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
    check_statuses(tap, main_page, pages)
    check_sections(tap, {"fragscope": main_page, **pages})
    check_links(tap)
    tap.done()


if __name__ == "__main__":
    main()
