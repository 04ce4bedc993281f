"""Every recipe loads, says only what differs from the defaults and what it should reach, and its network can be built."""

import contextlib
import io

import numpy as np
import pytest
import yaml

import train
from conftest import ROOT
from src.config import DEFAULTS_FILE, build_config, load_config
from src.data.order import steps_per_epoch
from src.distributed.group import Group
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


IMAGENET = 1281167  # training images
BATCHES = {
    "resnet50_a1_8p": 2048, "resnet50_a2_8p": 2048, "resnet50d_a1_8p": 2048, "resnext50_32x4d_a1_8p": 2048,
    "resnext50_32x4d_ra_8p": 1536, "seresnext50_32x4d_ra_8p": 1536, "resnet50_distilled_32p": 4096,
    "resnet50_modern_8p": 1024, "resnet50_mlperf_512p": 32768,
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_a_step_on_the_devices_that_a_recipe_names_has_the_images_of_its_source(name):
    recipe = ROOT / f"configs/{name}.yaml"
    config = load_config(["--config_path", str(recipe)])
    assert config.per_batch_size * config.accumulate_steps * read(recipe)["expected"]["devices"] == BATCHES[name]


def test_the_run_of_512_devices_has_the_steps_of_its_log_and_the_rates_of_its_source():
    config = load_config(["--config_path", str(ROOT / "configs/resnet50_mlperf_512p.yaml")])
    steps = steps_per_epoch(IMAGENET, config.per_batch_size, Group(0, 512, 0))
    # train_samples, lars_opt_learning_rate_decay_steps
    assert steps * 32768 == 1277952 and steps * (config.max_epoch - config.warmup_epochs) == 2028
    rates, warm = learning_rates(config, steps, 32768), 16 * 39
    assert rates[: warm - 1] == pytest.approx([26.379 * (step + 1) / warm for step in range(warm - 1)])
    left = [1 - step / 2028 for step in range(2028)]
    assert rates[warm:] == pytest.approx([(26.379 - 0.0001) * share**2 + 0.0001 for share in left], abs=1e-6)


def test_the_distilled_network_warms_up_and_decays_as_its_source():
    config = load_config(["--config_path", str(ROOT / "configs/resnet50_distilled_32p.yaml")])
    steps = steps_per_epoch(IMAGENET, config.per_batch_size, Group(0, 32, 0))
    assert abs(steps * config.warmup_epochs - 5000) < steps / 2 and config.lr * config.weight_decay == pytest.approx(0.0003)


def test_the_network_of_torchvisions_second_recipe_trains_and_is_evaluated_at_the_sizes_of_its_source():
    config = load_config(["--config_path", str(ROOT / "configs/resnet50_modern_8p.yaml")])
    assert (config.crop_size(0), config.image_size, config.eval_resize) == ((176, 176), (224, 224), 232)
