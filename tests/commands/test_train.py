import json
import os
import shutil

import mindspore as ms
import numpy as np
import pytest
import yaml

import eval as eval_command
import train
from conftest import CLASSES, TINY, run_arguments
from src import checkpoint
from src.config import build_config, load_config
from src.data.preprocessing import preprocessing_for
from src.data.sources.folder import index_folder
from src.formats.opening import restore_network
from src.models.create import create_model


def events(run_folder) -> list:
    return [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_learns_and_leaves_what_it_promises(trained):
    run = trained["run"]
    # 36 images in batches of 8: 4 steps an epoch, 8 epochs; checkpoints every 3 steps and every epoch, the newest 2 kept
    names = sorted(path.name for path in run.iterdir())
    assert names == [
        "answers.npz", "best.ckpt", "config.yaml", "last.ckpt", "metrics.jsonl", "report.html", "resnext11_8x16d-8_30.ckpt",
        "resnext11_8x16d-8_32.ckpt", "resnext11_8x16d_bs8_1p_acc.log", "resolved.yaml", "train_0.log",
    ]  # fmt: skip
    written = [(event["epoch"], event["step"]) for event in events(run) if event["event"] == "checkpoint"]
    assert written[:6] == [(1, 3), (1, 4), (2, 6), (2, 8), (3, 9), (3, 12)] and written[-2:] == [(8, 30), (8, 32)]
    saved = checkpoint.load(trained["ckpt"])
    assert (saved.run.epoch, saved.run.step, saved.info.class_names) == (8, 32, CLASSES)
    fingerprint = index_folder(trained["data"] / "train").fingerprint
    assert saved.run.dataset.to_dict() == {"kind": "folder", "fingerprint": fingerprint}
    assert saved.run.config["lr"] == 0.02 and saved.info.preprocessing.image_size == (16, 16)
    evaluations = [event for event in events(run) if event["event"] == "eval"]
    assert [event["epoch"] for event in evaluations] == list(range(1, 9))
    assert all(event["images"] == 33 for event in evaluations)
    best = max(event["top1"] for event in evaluations)
    assert best >= 0.9  # three colors are easy
    assert checkpoint.load(run / "best.ckpt").run.evaluation.top1 == best
    given, resolved = (yaml.safe_load((run / f"{name}.yaml").read_text()) for name in ("config", "resolved"))
    assert given["per_batch_size"] == resolved["per_batch_size"] == 8
    assert "T_max" not in given and resolved["T_max"] == 8


def test_a_runs_configuration_leaves_a_checkpoint_its_own_preprocessing(trained, tmp_path, command):
    again = ["--config_path", trained["run"] / "config.yaml", "--max_epoch", "30", "--dry_run"]
    with pytest.raises(SystemExit):
        train.main([str(argument) for argument in again])
    saved = checkpoint.load(trained["run"] / "best.ckpt")
    config = load_config(["--config_path", str(trained["run"] / "config.yaml")], "eval")
    changed = saved.info.preprocessing.model_copy(update={"mean": (0.1, 0.2, 0.3)})
    assert preprocessing_for(config, changed).mean == (0.1, 0.2, 0.3)


def test_log_lines_and_events_name_epoch_step_loss_rate_and_speed(trained):
    steps = [event for event in events(trained["run"]) if event["event"] == "train"]
    assert [event["step"] for event in steps] == list(range(2, 33, 2))
    assert all(np.isfinite(event["loss"]) and event["img_per_s"] > 0 and event["ms_per_step"] > 0 for event in steps)
    assert steps[0]["lr"] == pytest.approx(0.01) and steps[1]["lr"] == pytest.approx(0.02)  # warm-up of one epoch
    log = (trained["run"] / "train_0.log").read_text()
    assert "epoch 1 step 2/32 loss " in log and "img/s" in log and "ms/step" in log


def test_the_same_seed_gives_the_same_run_and_another_another(data_set, tmp_path, command):
    def weights(name, seed):
        run = tmp_path / name
        assert command(train.main, *run_arguments(data_set, tmp_path, ckpt_path=run, seed=seed, color_jitter=0.4))[0] == 0
        loaded = checkpoint.load(run / "last.ckpt").weights
        return {key: value.asnumpy() for key, value in loaded.items()}

    first, again, other = weights("a", 5), weights("b", 5), weights("c", 6)
    assert all((first[name] == again[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.slow
def test_a_run_with_every_augmentation_learns_from_soft_labels_and_repeats(data_set, tmp_path, command):
    values = {
        "auto_augment": "trivialaugment", "random_erase_prob": 0.3, "mixup_alpha": 0.2, "cutmix_alpha": 1.0,
        "repeated_augment": 2, "max_epoch": 2, "log_interval": 1, "loss": "binary_cross_entropy", "loss_threshold": 0.2,
        "optimizer": "lamb", "lr": 0.005,
    }  # fmt: skip
    weights = []
    for name in ("a", "b"):
        code, _, err = command(train.main, *run_arguments(data_set, tmp_path, ckpt_path=tmp_path / name, **values))
        assert code == 0, err
        losses = [event["loss"] for event in events(tmp_path / name) if event["event"] == "train"]
        assert len(losses) == 8 and np.isfinite(losses).all()
        weights.append(checkpoint.load(tmp_path / name / "last.ckpt").weights)
    assert all((value.asnumpy() == weights[1][key].asnumpy()).all() for key, value in weights[0].items())


@pytest.mark.slow
def test_mindrecord_files_train_the_same_network_as_the_folder_they_came_from(data_set, tmp_path, command):
    import eval as eval_command
    from src.data.tools import prepare

    packed = tmp_path / "mindrecord"
    assert command(prepare.main, "to_mindrecord", "--source", data_set, "--output", packed, "--shards", 2)[0] == 0
    runs = []
    for name, data in (("folder", data_set), ("packed", packed)):
        code, _, err = command(train.main, *run_arguments(data, tmp_path, ckpt_path=tmp_path / name, color_jitter=0.4))
        assert code == 0, err
        runs.append(checkpoint.load(tmp_path / name / "last.ckpt"))
    assert all((value.asnumpy() == runs[1].weights[key].asnumpy()).all() for key, value in runs[0].weights.items())
    assert runs[0].run.evaluation.top1_correct == runs[1].run.evaluation.top1_correct
    code, out, _ = command(
        eval_command.main, "--data_dir", packed, "--pretrained", tmp_path / "packed", "--cache_dir", tmp_path / "cache"
    )
    assert code == 0 and "tot=15" in out


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_performance_run_times_steps_and_leaves_no_checkpoint(trained, tmp_path, command):
    run = tmp_path / "run"
    values = {"max_epoch": 3, "mixup_alpha": 0.2, "cutmix_alpha": 1.0, "performance": 1, "performance_steps": 5}
    code, out, err = command(train.main, *run_arguments(trained["data"], tmp_path, **values))
    assert code == 0, err
    assert "performance: " in out and "median of 5 steps after 10" in out
    assert not list(run.glob("*.ckpt"))
    text = (run / "resnext11_8x16d_bs4_1p_perf.log").read_text()
    assert "img_per_s: " in text and "img_per_s_p90: " in text


def test_a_run_on_synthetic_images_says_so_everywhere(tmp_path, command):
    import eval as eval_command

    arguments = [*TINY, "--dataset", "synthetic", "--synthetic_images", "12", "--per_batch_size", "4", "--max_epoch", "1"]
    code, out, err = command(train.main, *arguments, "--ckpt_path", tmp_path / "run", "--log_interval", "1")
    assert code == 0 and "synthetic; accuracy means nothing" in err and "12 synthetic training images" in out
    assert all(event["dataset"] == "synthetic" for event in events(tmp_path / "run"))
    saved = checkpoint.load(tmp_path / "run" / "last.ckpt")
    assert saved.run.dataset.kind == "synthetic" and saved.info.class_names == ()
    code, out, _ = command(
        eval_command.main, *arguments[:-4], "--pretrained", tmp_path / "run" / "last.ckpt", "--result_json",
        tmp_path / "result.json",
    )  # fmt: skip
    assert code == 0 and "synthetic images" in out and "tot=12" in out
    assert json.loads((tmp_path / "result.json").read_text())["dataset"] == "synthetic"


def test_a_run_can_start_from_a_checkpoint(trained, tmp_path, command):
    code, out, _ = command(
        train.main, *run_arguments(trained["data"], tmp_path, pretrained=trained["ckpt"], lr=1e-6, warmup_epochs=0)
    )
    assert code == 0
    before, after = checkpoint.load(trained["ckpt"]), checkpoint.load(tmp_path / "run/last.ckpt")
    for name, value in before.weights.items():
        if "running" not in name:
            np.testing.assert_allclose(after.weights[name].asnumpy(), value.asnumpy(), atol=1e-4)


def test_a_run_keeps_the_padding_of_the_checkpoint_that_it_starts_from(trained, tmp_path, command):
    saved = checkpoint.load(trained["ckpt"])
    assert saved.info.padding == "symmetric"
    network = create_model("resnext11_8x16d", 3)
    checkpoint.load_into(network, saved)
    checkpoint.save(network, tmp_path / "same.ckpt", saved.info.model_copy(update={"padding": "same"}))
    code, _, err = command(train.main, *run_arguments(trained["data"], tmp_path, pretrained=tmp_path / "same.ckpt"))
    assert code == 0, err
    assert checkpoint.load(tmp_path / "run/last.ckpt").info.padding == "same"
    # The same evaluation of the same network by both commands; with symmetric padding its logits are others.
    tested = ["--data_dir", trained["data"] / "val", "--pretrained", tmp_path / "run/last.ckpt"]
    command(eval_command.main, *tested, "--result_json", tmp_path / "result.json", "--cache_dir", tmp_path / "cache")
    evaluation = [event for event in events(tmp_path / "run") if event["event"] == "eval"][-1]
    assert json.loads((tmp_path / "result.json").read_text())["top1_correct"] == evaluation["top1_correct"]
    network, _ = restore_network(tmp_path / "run/last.ckpt", build_config({}))
    images = ms.Tensor(np.random.default_rng(0).standard_normal((2, 3, 16, 16), np.float32))
    symmetric = create_model("resnext11_8x16d", 3).set_train(False)
    checkpoint.load_into(symmetric, checkpoint.load(tmp_path / "run/last.ckpt"))
    assert np.abs(network(images).asnumpy() - symmetric(images).asnumpy()).max() > 1e-3


def test_fine_tuning_replaces_the_classifier_and_leaves_frozen_parts_as_they_are(trained, data_set, tmp_path, command):
    shutil.rmtree(data_set / "train" / "red")
    shutil.rmtree(data_set / "val" / "red")
    code, out, err = command(
        train.main, *run_arguments(data_set, tmp_path, pretrained=trained["ckpt"], num_classes=2, freeze="layer2", lr=0.1)
    )
    assert code == 0, err
    assert "the classifier of 3 classes is replaced by a new one of 2" in out and "freeze: everything up to layer2" in out
    before, after = checkpoint.load(trained["ckpt"]).weights, checkpoint.load(tmp_path / "run/last.ckpt").weights
    assert after["fc.weight"].shape == (2, before["fc.weight"].shape[1])
    changed = {name for name in before if "fc" not in name and (before[name].asnumpy() != after[name].asnumpy()).any()}
    assert changed == {name for name in before if name.startswith("layer3")}


def test_files_of_an_earlier_run_are_kept_aside(trained, tmp_path, command):
    run = tmp_path / "run"
    shutil.copytree(trained["run"], run)
    earlier = (run / "metrics.jsonl").read_text()
    code, out, _ = command(train.main, *run_arguments(trained["data"], tmp_path))
    assert code == 0 and "earlier run" in out
    (aside,) = (run / "previous").iterdir()
    assert (aside / "metrics.jsonl").read_text() == earlier
    assert {path.name for path in aside.glob("*.ckpt")} == {path.name for path in trained["run"].glob("*.ckpt")}
    assert events(run)[-1]["event"] == "end"


def test_data_dir_may_be_the_train_folder_itself(trained, tmp_path, command):
    code, out, _ = command(train.main, *run_arguments(trained["data"] / "train", tmp_path))
    assert code == 0 and "33 for evaluation" in out


def test_bad_images_can_be_skipped(data_set, tmp_path, command):
    (data_set / "train" / "red" / "broken.jpg").write_bytes(b"broken")
    code, out, err = command(train.main, *run_arguments(data_set, tmp_path, bad_images="skip"))
    assert code == 0 and "18 training images" in out
    assert "red/broken.jpg: is not an image" in err and "1 of 19 images are left out" in err


def test_a_validation_folder_may_lack_a_class(data_set, tmp_path, command):
    shutil.rmtree(data_set / "val" / "green")
    code, out, err = command(train.main, *run_arguments(data_set, tmp_path))
    assert code == 0 and "10 for evaluation" in out
    assert "1 of the network's 3 classes have no images here: green" in err
