"""Pages are short where they promise to be, their links lead somewhere, and both languages say the same."""

import ast
import re

import pytest
from pages import CHINESE, ENGLISH, GENERATED, OTHERS, anchors, blocks, chinese_of, commands, headings, prose, read, tables

from conftest import ROOT

ALL = [*ENGLISH, *CHINESE, *OTHERS]
MIRRORED = [page for page in ENGLISH if page.name not in GENERATED]


def name(page) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("readme", ["README.md", "README_CN.md"])
def test_a_readme_has_two_screens(readme):
    assert len(read(ROOT / readme).splitlines()) <= 200


@pytest.mark.parametrize("page", ALL, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)(.*?)\)", prose(read(page))):
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", ALL, ids=name)
def test_files_that_the_text_names_exist(page):
    for path in re.findall(r"`((?:src|configs|scripts|tests|benchmarks|docs)/[\w/.-]+)`", prose(read(page))):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", MIRRORED, ids=name)
def test_every_page_is_linked_from_the_readme(page):
    assert page.name == "README.md" or f"(docs/{page.name})" in read(ROOT / "README.md")


def test_there_is_a_chinese_form_of_every_page_and_no_other():
    assert {chinese_of(page) for page in ENGLISH} == set(CHINESE)


@pytest.mark.parametrize("page", MIRRORED, ids=name)
def test_both_languages_have_the_same_headings_commands_tables_and_links(page):
    english, chinese = read(page), read(chinese_of(page))
    assert headings(chinese) == headings(english)
    assert [line for _, line in commands(chinese_of(page))] == [line for _, line in commands(page)]
    assert [kind for kind, _ in blocks(chinese)] == [kind for kind, _ in blocks(english)]
    assert [ast.dump(ast.parse(block)) for kind, block in blocks(chinese) if kind == "python"] == [
        ast.dump(ast.parse(block)) for kind, block in blocks(english) if kind == "python"
    ]
    shapes = [[[len(row) for row in table] for table in tables(text)] for text in (english, chinese)]
    assert shapes[1] == shapes[0]
    assert code(chinese) == code(english)
    assert targets(chinese_of(page)) == targets(page)


def code(text: str) -> list[list[set[str]]]:
    """What is set in code in every row of every table: keys, files, commands."""
    return [[set(re.findall(r"`([^`]+)`", "|".join(row))) for row in table] for table in tables(text)]


def targets(page) -> set:
    """Where a page's links lead; pages and headings of the other language count as the same."""
    links = re.findall(r"\]\((?!https?:)(.*?)(?:#.*?)?\)", prose(read(page)))
    found = {(page.parent / link).resolve().relative_to(ROOT).as_posix() for link in links if link}
    return {link.replace("docs/zh/", "docs/") for link in found} - {"README.md", "README_CN.md"}


def test_the_way_to_the_first_step_is_short_and_each_file_is_called_from_one_before_it():
    section = read(ROOT / "docs/architecture.md").partition("to the first step")[2].partition("\n## ")[0]
    files = [ROOT / "docs" / link for link in re.findall(r"^\d+\. \[.*?\]\((.*?)\)", section, re.MULTILINE)]
    assert 8 <= len(files) <= 12
    for place, file in enumerate(files[1:], 1):
        imports = "\n".join(re.findall(r"^ *(?:from|import) .*", "\n".join(map(read, files[:place])), re.MULTILINE))
        assert re.search(rf"\b({file.stem}|{file.parent.name})\b", imports), file
