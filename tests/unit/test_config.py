import pytest
import yaml

from conftest import ROOT
from src.config import KEYS, Config, build_config, given_values, load_config, to_yaml
from src.config.command_line import help_text
from src.config.keys import default_yaml
from src.errors import UserError


def test_the_defaults_are_the_resnext152_recipe():
    config = build_config()
    assert config.backbone == "resnext152_64x4d"
    assert config.image_size == (224, 224)
    assert config.schedule_epochs == config.max_epoch == 150  # T_max 0 stands for the whole run
    assert config.given == frozenset()


def test_other_names_of_a_network_stand_for_the_one():
    assert build_config({"backbone": "resnest50_fast_4s2x40d"}).backbone == "resnest50d_4s2x40d"


def test_default_config_lists_exactly_the_keys_of_the_schema_in_order():
    text = (ROOT / "default_config.yaml").read_text(encoding="utf-8")
    assert text == default_yaml(), "run python -m src.config"
    assert list(yaml.safe_load(text)) == list(Config.model_fields) == list(KEYS)
    assert build_config(yaml.safe_load(text)).resolved() == Config().resolved()


def test_the_command_line_overrides_the_recipe_and_the_recipe_the_defaults(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("lr: 0.5\nmomentum: 0.8\nexpected: {top1: 0.7}\n")
    config = load_config(["--config_path", str(recipe), "--lr=0.25", "--image_size", "64,96"])
    assert (config.lr, config.momentum, config.weight_decay, config.image_size) == (0.25, 0.8, 1e-4, (64, 96))
    assert config.given == {"lr", "momentum", "image_size"}


def test_the_resolved_configuration_reads_back_equal(tmp_path):
    config = build_config({"lr": "1e-3", "image_size": "32,48", "lr_epochs": "", "crop_ratio": "0.7,1.4142135"})
    (tmp_path / "config.yaml").write_text(to_yaml(config.resolved()))
    again = load_config(["--config_path", str(tmp_path / "config.yaml")])
    assert again.resolved() == config.resolved()


def test_what_was_given_reads_back_as_given_and_the_rest_follows_from_it(tmp_path):
    config = build_config({"lr": "0.3", "image_size": "32,48"})
    (tmp_path / "config.yaml").write_text(to_yaml(given_values(config)))
    again = load_config(["--config_path", str(tmp_path / "config.yaml"), "--max_epoch", "30"])
    assert (again.lr, again.image_size, again.schedule_epochs) == (0.3, (32, 48), 30)
    assert again.given == {"lr", "image_size", "max_epoch"}


def test_a_commands_help_and_command_line_have_its_own_keys_only(tmp_path):
    assert "--top_k" in help_text("eval") and "--top_k" not in help_text("train")
    with pytest.raises(UserError, match=r"top_k: belongs to eval\.py, not train\.py"):
        load_config(["--top_k", "3"], "train")
    meant = r"batch_size: belongs to export\.py, not train\.py; did you mean --per_batch_size\?"
    with pytest.raises(UserError, match=meant):
        load_config(["--batch_size", "3"], "train")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("top_k: 3\nbatch_size: 4\n")
    assert load_config(["--config_path", str(recipe)], "export").top_k == 3  # a recipe may be for several commands
    with pytest.raises(UserError, match="did you mean --eval_batch_size"):
        load_config(["--config_path", str(recipe)], "eval")
    assert all(key.commands for key in KEYS.values())


def test_what_decides_the_weights():
    decides = {key.name for key in KEYS.values() if key.decides}
    assert {"seed", "group_size", "bn_statistics", "backbone", "mean", "mixup_alpha", "lr", "weight_decay"} <= decides
    assert not decides & {"device_id", "data_dir", "ckpt_path", "log_interval", "eval_batch_size"}


def test_device_target_is_an_alias_of_platform_and_booleans_need_no_value():
    config = load_config(["--device_target", "CPU", "--predict_json", "--is_distributed", "0"])
    assert config.platform == "CPU" and config.predict_json and not config.is_distributed


@pytest.mark.parametrize("value", ["160@1", "small", "160@0,100@0", "0", "160,200"])
def test_sizes_of_crops_that_are_none_are_refused(value):
    with pytest.raises(UserError, match=r"train_image_size: expected a size.*160@0,192@30,224@60.*got"):
        build_config({"train_image_size": value})


def test_dry_run_prints_the_configuration_and_stops(capsys):
    with pytest.raises(SystemExit) as stop:
        load_config(["--backbone", "resnet18", "--dry_run"])
    assert stop.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["backbone"] == "resnet18"


def test_help_explains_every_key():
    text = help_text()
    assert all(f"--{key} " in text for key in Config.model_fields)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--per_batchsize", "8"], ["per_batchsize", "unknown key", "did you mean per_batch_size?"]),
        (["--lr", "fast"], ["lr", "'fast'", "valid number"]),
        (["--lr", "nan"], ["lr", "'nan'", "finite"]),
        (["--lr", "-1"], ["lr", "'-1'", "greater than 0"]),
        (["--per_batch_size", "0"], ["per_batch_size", "'0'", "greater than or equal to 1"]),
        (["--per_batch_size", "2.5"], ["per_batch_size", "'2.5'", "integer"]),
        (["--image_size", "224"], ["image_size", "'224'", "as many numbers"]),
        (["--image_size", "224,224,3"], ["image_size", "'224,224,3'"]),
        (["--image_size", "a,b"], ["image_size", "'a'", "integer"]),
        (["--momentum", "1.5"], ["momentum", "'1.5'"]),
        (["--label_smooth", "maybe"], ["label_smooth", "'maybe'", "boolean"]),
        (["--warmup_epochs", "151"], ["warmup_epochs", "151", "longer than the run", "max_epoch 150"]),
        (["--T_max", "3", "--warmup_epochs", "5"], ["T_max", "3", "inside the warm-up"]),
        (["--eta_min", "1"], ["eta_min", "1", "lr 0.05"]),
        (["--lr_epochs", "30,60,60"], ["lr_epochs", "must increase", "'30,60,60'"]),
        (["--lr_scheduler", "cosin"], ["lr_scheduler", "'cosin'", "did you mean cosine_annealing?"]),
        (["--backbone", "resnet51"], ["backbone", "'resnet51'", "resnet50"]),
        (["--crop_scale", "0.9,0.1"], ["crop_scale", "'0.9,0.1'"]),
        (["--group_size", "2"], ["is_distributed", "group_size 2", "run_distribute_train.sh"]),
        (["--is_dynamic_loss_scale", "1", "--loss_scale", "0.5"], ["loss_scale", "0.5", "65536"]),
        (["--nesterov", "1", "--optimizer", "lamb"], ["nesterov", "momentum or lars"]),
        (["--nesterov", "1", "--optimizer", "adamw"], ["nesterov", "momentum or lars"]),
        (["--layer_decay", "1.5"], ["layer_decay", "1.5"]),
        (["--resume_allow", "lr"], ["resume_allow", "--resume auto"]),
        (["--resume", "auto", "--resume_allow", "lr,epochs"], ["resume_allow", "'epochs'", "no key"]),
        (["--resume", "auto", "--performance", "1"], ["resume", "performance"]),
        (["--early_stop", "3", "--eval_interval", "0"], ["early_stop", "3", "--eval_interval 1"]),
        (["--amp_level", "O4"], ["amp_level", "'O4'", "did you mean O"]),
        (["--ema_decay", "1"], ["ema_decay", "'1'", "less than 1"]),
        (["--lr"], ["--lr", "a value is missing"]),
        (["resnet50"], ["'resnet50'", "not an option"]),
        (["--config_path", "configs/quikstart.yaml"], ["config_path", "no such file", "quikstart"]),
    ],
)
def test_a_wrong_value_is_one_line_that_names_key_and_value(arguments, parts):
    with pytest.raises(UserError) as error:
        load_config(arguments)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lr: true", "lr: "),
        ("backbone: [resnet18]", "backbone: "),
        ("learning_rate: 1", "unknown key"),
        ("lr: [1", "not valid YAML"),
        ("- 1", "key: value"),
        ("lr_epochs: [30, x]", "lr_epochs: "),
        ("lr: 0.1\nlr: 0.2", "'lr' stands twice"),
        ("expected: {a: &x [1, 1], b: *x}", "anchors and aliases"),
        ("lr: !!int ''", "tag"),
        ("lr: !!python/object/apply:os.system ['true']", "tag"),
        ("expected: " + "[" * 5000, "nested"),
        ("num_classes: " + "9" * 5000, "a number of 5000 digits"),
        ("lr: " + "9" * 399, "lr: "),
        ("data_dir: 2026-13-45", "config_path: "),
        ("lr: .inf", "lr: "),
        ("? [lr]\n: 1", "key"),
        ("lr: 'x" + "y" * 5000 + "'", "lr: "),
        ("k" * 500 + ": 1", "unknown key"),
        ('backbone: "\\uD800"', "unknown network '\\ud800'"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path, text, part):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(UserError) as error:
        load_config(["--config_path", str(recipe)])
    assert part in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 1000
