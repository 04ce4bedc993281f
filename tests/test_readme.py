"""The READMEs say what is true: every key, every network, commands that parse; and both say the same."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from src.config import DEFAULTS_FILE, load_config
from src.networks.registry import list_models

READMES = [ROOT / "README.md", ROOT / "README_CN.md"]
KEY_ROW = re.compile(r"^\| `(\w+)` \| `(.*?)` \| (.*) \|$", re.MULTILINE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code_blocks(text: str) -> list:
    return re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def without_comments(block: str) -> str:
    return re.sub(r" +#.*", "", block)


def network_rows(text: str) -> dict:
    rows = re.findall(r"^\| `(\w+)` \| \d+ x \d+ \| ([\d,]+) \| ([\d.]+) G \|", text, re.MULTILINE)
    return {name: (parameters, multiply_adds) for name, parameters, multiply_adds in rows}


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_the_table_of_keys_is_that_of_the_default_configuration(path):
    rows = [(key, yaml.safe_load(default)) for key, default, _ in KEY_ROW.findall(text_of(path))]
    assert rows == list(yaml.safe_load(text_of(ROOT / "default_config.yaml")).items())


def test_the_english_table_repeats_the_comments_of_the_default_configuration():
    comments = re.findall(r"^(\w+): .*? # (.*)$", text_of(ROOT / "default_config.yaml"), re.MULTILINE)
    rows = {key: meaning.replace("\\|", "|") for key, _, meaning in KEY_ROW.findall(text_of(READMES[0]))}
    assert rows == dict(comments)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_the_table_of_networks_names_them_all(path):
    assert list(network_rows(text_of(path))) == list_models()


@pytest.mark.slow
def test_the_table_of_networks_holds_what_is_counted():
    from src.models.complexity import count_multiply_adds, count_parameters
    from src.models.create import create_model
    from src.networks.registry import find_model

    rows = network_rows(text_of(READMES[0]))
    for name in ("resnet18", "resnext50_32x4d", "resnet20", "resnext11_8x16d"):
        spec = find_model(name)
        network = create_model(name, 10 if spec.stem == "cifar" else 1000)
        counted = count_multiply_adds(network, (spec.image_size, spec.image_size))
        assert rows[name] == (f"{count_parameters(network):,}", f"{counted / 1e9:.3f}")


def test_both_languages_show_the_same_commands_tables_and_links():
    english, chinese = map(text_of, READMES)
    assert [without_comments(block) for block in code_blocks(english)] == [
        without_comments(block) for block in code_blocks(chinese)
    ]
    assert network_rows(english) == network_rows(chinese)
    links = [set(re.findall(r"\]\((?!README|http)(.*?)\)", text)) for text in (english, chinese)]
    assert links[0] == links[1]
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("\n| ") == chinese.count("\n| ")


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http)(.*?)\)", text_of(path)):
        assert (ROOT / target).exists(), target


def test_python_commands_parse():
    blocks = "\n".join(code_blocks(text_of(READMES[0]))).replace("\\\n", " ")
    commands = re.findall(r"^python (train|eval|export|preprocess|postprocess)\.py (.*)$", blocks, re.MULTILINE)
    assert len(commands) >= 6
    for _, arguments in commands:
        with pytest.raises(SystemExit) as stop:
            load_config([*shlex.split(arguments, comments=True), "--dry_run"])
        assert stop.value.code == 0


@pytest.mark.parametrize("file", ["README.md", "README_CN.md"])
def test_the_table_of_recipes_is_that_of_their_files(file):
    expected = []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        claim = yaml.safe_load(path.read_text(encoding="utf-8"))["expected"]
        backbone = {**yaml.safe_load(DEFAULTS_FILE.read_text()), **yaml.safe_load(path.read_text())}["backbone"]
        top1 = f"{100 * claim['top1']:.2f}" if "top1" in claim else ""
        cells = [f"[{path.stem}](configs/{path.name})", backbone, claim.get("devices", ""), claim["status"], top1]
        expected.append("| " + " | ".join(map(str, [*cells, claim.get("img_per_s", "")])) + " |")
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| [") and "](configs/" in line] == expected
