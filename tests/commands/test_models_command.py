import json

import pytest

from src.models import __main__ as models_command
from src.networks.published import find_accuracy
from src.networks.registry import list_models


def test_the_table_has_the_published_accuracy_with_its_source(command):
    code, out, _ = command(models_command.main, "resnet20", "resnext11_8x16d")
    rows = out.splitlines()
    assert code == 0 and len(rows) == 4
    assert rows[2].startswith("| `resnet20` | 32 x 32 | 269,722 | 0.041 G | 91.25 (He et al. 2015, table 6) | He et al.")
    assert " | - | after Xie" in rows[3]


def test_json_is_a_list_of_the_same(command):
    code, out, _ = command(models_command.main, "--json", "resnet20", "resnext11_8x16d")
    first, second = json.loads(out)
    assert code == 0
    assert first == {
        "name": "resnet20",
        "image_size": [32, 32],
        "parameters": 269722,
        "multiply_adds": 40551040,
        "top1": 91.25,
        "top1_source": "He et al. 2015, table 6",
        "reference": "He et al. 2015, arXiv 1512.03385, section 4.2",
        "aliases": [],
    }
    assert second["top1"] is None and second["top1_source"] is None


def test_an_alias_is_shown_under_its_networks_name(command, monkeypatch):
    monkeypatch.setattr(models_command, "describe", lambda name: {"name": name})
    assert json.loads(command(models_command.main, "--json", "resnest50")[1]) == [{"name": "resnest50d"}]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [(["--jsn"], ["--jsn", "--help"]), (["resnet50", "resnet51"], ["unknown network 'resnet51'", "did you mean"])],
)
def test_bad_input_is_one_line(refused, arguments, parts):
    line = refused(models_command.main, *arguments)
    assert all(part in line for part in parts), line


def test_every_network_but_the_quickstarts_has_a_published_accuracy():
    assert [name for name in list_models() if find_accuracy(name) is None] == ["resnext11_8x16d"]
