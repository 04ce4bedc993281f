"""Training with a teacher: it stays as it is, is heard, and a resumed run ends as the uninterrupted one, bit for bit."""

import os
import shutil
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest

import train
from conftest import ROOT, run_arguments
from src import checkpoint, device
from src.config import build_config
from src.cpu import libraries
from src.cpu.choice import obstacle
from src.errors import run_command
from src.models.create import create_model
from src.training.build import create_network, create_step
from src.training.distillation import Teacher, load_teacher

# Everything that keeps a state of its own is on; the student is of another network than the teacher.
LEARNING = {
    "backbone": "resnet20", "per_batch_size": 4, "accumulate_steps": 2, "max_epoch": 2, "ckpt_interval": 1,
    "log_interval": 1, "keep_checkpoint_max": 100, "is_dynamic_loss_scale": 1, "ema_decay": 0.9, "mixup_alpha": 0.2,
    "distillation_weight": 0.8, "temperature": 2, "mean": "0.5,0.5,0.5",
}  # fmt: skip


@pytest.fixture(scope="module")
def taught(trained, tmp_path_factory):
    """An uninterrupted run: 36 images, 4 steps of two batches an epoch, a checkpoint after each."""
    folder = tmp_path_factory.mktemp("taught")
    shutil.copy(trained["ckpt"], folder / "teacher.ckpt")
    values = {**LEARNING, "teacher": folder / "teacher.ckpt"}
    assert run_command(train.main, run_arguments(trained["data"], folder, **values)) == 0
    return folder


def tensors(path) -> dict:
    saved = checkpoint.load(path)
    return {name: value.asnumpy() for name, value in {**saved.weights, **saved.run.tensors}.items()}


@pytest.mark.slow
def test_a_resumed_run_ends_as_the_uninterrupted_one(trained, taught, tmp_path, command):
    shutil.copytree(taught / "run", tmp_path / "run")
    for path in (tmp_path / "run").glob("*.ckpt"):
        if path.name in ("last.ckpt", "best.ckpt") or int(path.stem.split("_")[-1]) > 3:
            path.unlink()
    values = {**LEARNING, "teacher": taught / "teacher.ckpt", "resume": "auto"}
    code, out, err = command(train.main, *run_arguments(trained["data"], tmp_path, **values))
    assert code == 0, err
    assert "after step 3 of 8" in out
    actual, expected = tensors(tmp_path / "run/last.ckpt"), tensors(taught / "run/last.ckpt")
    assert set(actual) == set(expected) and not [name for name in expected if "teacher" in name]
    assert not [name for name in expected if actual[name].tobytes() != expected[name].tobytes()]


@pytest.mark.slow
def test_the_teacher_is_heard(trained, taught, tmp_path, command):
    values = {**LEARNING, "teacher": taught / "teacher.ckpt", "distillation": "hard", "max_epoch": 1, "T_max": 2}
    code, _, err = command(train.main, *run_arguments(trained["data"], tmp_path, **values))
    assert code == 0, err
    soft, hard = (
        tensors(path)["conv1.weight"] for path in (next((taught / "run").glob("*-1_4.ckpt")), tmp_path / "run/last.ckpt")
    )
    assert np.isfinite(hard).all() and np.abs(soft - hard).max() > 1e-4


def test_another_teacher_and_one_that_does_not_fit_are_refused(trained, taught, tmp_path, refused, command):
    arguments = run_arguments(
        trained["data"], taught, **{**LEARNING, "resume": "auto", "teacher": trained["root"] / "none.ckpt"}
    )
    assert "teacher: no such file" in refused(train.main, *arguments)
    arguments = run_arguments(trained["data"], taught, **{**LEARNING, "resume": "auto", "teacher": taught / "run/last.ckpt"})
    line = refused(train.main, *arguments)
    assert "teacher (the file is not that of then)" in line and "--resume_allow teacher" in line
    other = tmp_path / "other.ckpt"
    saved = checkpoint.load(trained["ckpt"])
    network = create_model("resnext11_8x16d", 3)
    checkpoint.load_into(network, saved)
    names = ("blue", "red", "green")
    checkpoint.save(network, other, saved.info.model_copy(update={"class_names": names}))
    line = refused(train.main, *run_arguments(trained["data"], tmp_path, teacher=other))
    assert "has other classes: its class 1 is 'red', that of the images is 'green'" in line
    checkpoint.save(
        create_model("resnext11_8x16d", 4), other, saved.info.model_copy(update={"num_classes": 4, "class_names": ()})
    )
    line = refused(train.main, *run_arguments(trained["data"], tmp_path, teacher=other))
    assert "knows 4 classes, num_classes is 3" in line


def test_a_teacher_stays_in_evaluation_mode_and_gets_images_as_it_takes_them(trained):
    saved = checkpoint.load(trained["ckpt"])
    network = create_model("resnext11_8x16d", 3)
    checkpoint.load_into(network, saved)
    pixels = np.random.default_rng(0).uniform(0, 1, (4, 3, 16, 16)).astype(np.float32)
    own, students = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.25)), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

    def normalized(mean, std):
        return ms.Tensor((pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)), ms.float32)

    expected = network.set_train(False)(normalized(*own)).asnumpy()
    before = {name: value.asnumpy().copy() for name, value in saved.weights.items()}
    teacher = Teacher(network, students, own).set_train(True)
    np.testing.assert_allclose(teacher(normalized(*students)).asnumpy(), expected, rtol=1e-4, atol=1e-4)
    assert not teacher.trainable_params()
    after = {parameter.name.removeprefix("teacher."): parameter.asnumpy() for parameter in teacher.get_parameters()}
    assert all((after[name] == before[name]).all() for name in before)


def test_teacher_and_student_learn_in_16_bits_what_they_learn_in_32(trained):
    """In a process of its own, since bfloat16 needs what the tests' own has hidden; left out where there is none."""
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/commands']; import test_distillation as t; t.print_losses(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, trained["ckpt"]]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "DEFAULT"}
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    exact, *others = (line.split() for line in run.stdout.splitlines() if line.startswith("losses "))
    losses = np.array(exact[2:], float)
    assert exact[1] == "Float32" and losses[-1] < losses[0]
    assert [found[1] for found in others] == ["Float16", "BFloat16"][: len(others)] and others
    for found in others:
        rounded = np.array(found[2:], float)
        np.testing.assert_allclose(rounded, losses, rtol=0.05)
        assert (rounded != losses).all()


def print_losses(teacher: str) -> None:
    """For each precision its type and the losses of some steps, in which the teacher alone is heard and stays as it is."""
    precisions = [{"cpu_kernels": "stock"}, {"cpu_kernels": "stock", "amp_level": "O2"}]
    bfloat16 = {"cpu_kernels": "blocked", "amp_level": "O2", "amp_dtype": "bfloat16"}
    if not obstacle(build_config(bfloat16)) and "avx512_bf16" in libraries._cpu_flags():
        precisions.append(bfloat16)
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((8, 3, 16, 16), np.float32), np.arange(8, dtype=np.int32) % 3
    for precision in precisions:
        keys = {"teacher": teacher, "distillation_weight": 1, "device_normalization": 0, "distillation": "soft"}
        config = build_config({**keys, "backbone": "resnext11_8x16d", "num_classes": 3, **precision})
        device.prepare(config, own_convolutions=precision is bfloat16)
        ms.set_context(mode=ms.PYNATIVE_MODE)  # nothing to compile
        ms.set_seed(0)
        taught_by = load_teacher(config, "CPU", ())
        before = {p.name: p.asnumpy().copy() for p in taught_by.get_parameters()}
        rates = np.full(8, 0.01, np.float32)
        step = create_step(create_network(config), rates, config, "CPU", teacher=taught_by).set_train()
        losses = [float(step(ms.Tensor(images), ms.Tensor(labels))[0].asnumpy()) for _ in range(3)]
        assert all(p.asnumpy().tobytes() == before[p.name].tobytes() for p in taught_by.get_parameters())
        assert {str(p.dtype) for p in step.get_parameters() if ".weight" in p.name} == {"Float32"}
        kind = "Float32" if config.amp_level == "O0" else {"float16": "Float16"}.get(config.amp_dtype, "BFloat16")
        print("losses", kind, *losses)


@pytest.mark.slow
def test_two_ranks_learn_from_a_teacher_what_one_process_learns(trained, tmp_path, command):
    """Nothing differs between the ranks but their images, as in test_distributed.py; the student's last layer learns."""
    values = {
        "teacher": trained["ckpt"], "distillation_weight": 0.8, "temperature": 2, "freeze": "layer3", "lr": 0.05,
        "crop_scale": "1.0,1.0", "crop_ratio": "1.0,1.0", "hflip_prob": 0, "eval_interval": 0, "max_epoch": 2,
        "is_save_on_master": 0,
    }  # fmt: skip
    two = run_arguments(trained["data"], tmp_path / "two", **values, per_batch_size=6)
    launch = [sys.executable, "-m", "src.launch", "train.py", "--device_num", 2, "--master_port", 9117]
    launch += ["--log_dir", tmp_path / "logs", *two]
    run = subprocess.run([str(word) for word in launch], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    alone = {**values, "per_batch_size": 12}
    for name, changed in {"one": {}, "untaught": {"distillation_weight": 0}}.items():
        arguments = run_arguments(trained["data"], tmp_path / name, **{**alone, **changed})
        assert command(train.main, *arguments)[0] == 0
    paths = [f"{name}/run/last.ckpt" for name in ("two", "one", "untaught")] + ["two/run/rank_1/last.ckpt"]
    two, one, untaught, second = (tensors(tmp_path / path) for path in paths)
    assert max(np.abs(two[name] - one[name]).max() for name in one) <= 1e-6
    assert np.abs(two["fc.weight"] - untaught["fc.weight"]).max() > 1e-4
    assert not [name for name in two if two[name].tobytes() != second[name].tobytes()]
