"""The pages, and what the tests read from them."""

import re
from pathlib import Path
from typing import NamedTuple

from conftest import ROOT

GENERATED = ("keys.md", "networks.md", "recipes.md")
ENGLISH = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "benchmarks/README.md", "ascend310_infer/README.md")]
CHINESE = [ROOT / "README_CN.md", *sorted((ROOT / "docs/zh").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command and the page that shows it."""

    page: Path
    line: str


def chinese_of(page: Path) -> Path:
    """The Chinese form of an English page."""
    return ROOT / "README_CN.md" if page.name == "README.md" else page.parent / "zh" / page.name


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and content of every fenced block."""
    return BLOCK.findall(text)


def prose(text: str) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", text)


def headings(text: str) -> list[int]:
    """Levels of the headings, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(text), re.MULTILINE)]


def tables(text: str) -> list[list[list[str]]]:
    """Rows of cells of every table."""
    found = re.findall(r"(?:^\|.*\|\n)+", prose(text), re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", row)[1:-1] for row in rows.splitlines()] for rows in found]


def shell_lines(block: str) -> list[str]:
    """Commands of a block: continued lines joined, comments left out."""
    joined = re.sub(r" *\\\n *", " ", block)
    return [line for line in (re.sub(r"(^|\s+)#.*", "", line).strip() for line in joined.splitlines()) if line]


def commands(page: Path) -> list[Command]:
    """All commands of a page: those in blocks, and `python ...` and `bash ...` in the text, but not in a column "theirs"."""
    text = read(page)
    lines = [line for kind, block in blocks(text) if kind == "bash" for line in shell_lines(block)]
    for kind, block in blocks(text):
        if not kind:
            lines += [line for line in shell_lines(block) if line.startswith(("python ", "bash "))]
    rest = prose(text)
    for table in tables(text):
        if table[0][0].strip() in ("theirs", "他们的命令"):
            for row in table:
                rest = rest.replace("|".join(["", *row, ""]), "|".join(["", *row[1:], ""]))
    lines += re.findall(r"`((?:python3?|bash) [^`]+)`", rest)
    return [Command(page, line) for line in lines]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings in links, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", prose(read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
