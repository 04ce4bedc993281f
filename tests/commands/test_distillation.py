"""Training with a teacher: it stays as it is, is heard, and a resumed run ends as the uninterrupted one, bit for bit."""

import shutil

import mindspore as ms
import numpy as np
import pytest

import train
from conftest import run_arguments
from src import checkpoint
from src.errors import run_command
from src.models.create import create_model
from src.training.distillation import Teacher

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
