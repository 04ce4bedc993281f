"""Every recipe loads, says only what differs from the defaults and what it should reach, and its network can be built."""

import contextlib
import io

import numpy as np
import pytest
import yaml

import train
from conftest import ROOT
from src.config import DEFAULTS_FILE, build_config, load_config
from src.errors import run_command
from src.training.schedules import learning_rates

RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
CLAIMS = {"status", "top1", "top5", "img_per_s", "devices", "hardware", "source"}


def read(path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_dry_runs_and_its_schedule_and_network_can_be_built(recipe):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as stopped:
        run_command(train.main, ["--config_path", str(recipe), "--dry_run"])
    assert stopped.value.code == 0
    config = load_config(["--config_path", str(recipe)])
    assert build_config(yaml.safe_load(output.getvalue())).resolved() == config.resolved()
    rates = learning_rates(config, 3, config.per_batch_size)
    assert len(rates) == 3 * config.max_epoch and np.isfinite(rates).all() and rates.min() >= 0


@pytest.mark.slow
def test_the_networks_of_all_recipes_can_be_built():
    from src.training.build import create_network

    configs = [load_config(["--config_path", str(path)]) for path in RECIPES]
    for config in {config.backbone: config for config in configs}.values():
        assert create_network(config).fc.out_channels == config.num_classes


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_holds_only_what_differs_from_the_defaults_and_a_claim(recipe):
    defaults, values = read(DEFAULTS_FILE), read(recipe)
    claim = values.pop("expected")
    assert not [key for key, value in values.items() if value == defaults[key]]
    assert set(claim) <= CLAIMS and claim["status"] in ("reproduced", "cited", "untested")
    if claim["status"] == "untested":
        assert not {"top1", "img_per_s"} & set(claim)
    else:
        assert {"top1", "img_per_s"} & set(claim)
    if claim["status"] == "cited":
        assert claim["source"] and claim["hardware"]
