"""Distillation: a trained network, the teacher, answers every batch too, and the one that learns is told both."""

from pathlib import Path
from typing import Optional

import mindspore as ms
from mindspore import nn, ops

from .. import checkpoint
from ..config import Config
from ..errors import UserError
from ..model_info import file_digest
from ..models.create import create_model
from ..weights.by_name import local_path
from .losses import log_softmax
from .precision import mixed_precision

TEACHER = "teacher."  # prefix of the names of its parameters, which are no part of a run's state


class Teacher(nn.Cell):
    """A trained network that stays as it is, in evaluation mode whatever the cell around it is set to.

    Inputs: images float32 (N, C, H, W), normalized as the student takes them.
    Outputs: logits float32 (N, classes).

    Args:
        network: with its weights; its parameters get other names.
        student, own: mean and std, per channel, that images were normalized by, and that the network takes.
    """

    def __init__(self, network: nn.Cell, student: tuple[tuple[float, ...], ...], own: tuple[tuple[float, ...], ...]):
        super().__init__(auto_prefix=False)
        for parameter in network.get_parameters():
            parameter.name = TEACHER + parameter.name
            parameter.requires_grad = False
        for _, cell in network.cells_and_names():
            if isinstance(cell, nn.BatchNorm2d):
                cell.use_batch_statistics = False  # `set_train` of the step reaches this network too
        self.network = network
        self.is_renormalized = student != own
        channels = list(zip(*student, *own))
        self.factor = ms.Tensor([[[std / own_std]] for _, std, _, own_std in channels], ms.float32)  # (C, 1, 1)
        self.shift = ms.Tensor([[[(mean - own_mean) / own_std]] for mean, _, own_mean, own_std in channels], ms.float32)

    def construct(self, images):
        if self.is_renormalized:
            images = images * self.factor + self.shift
        return ops.stop_gradient(ops.cast(self.network(images), ms.float32))


class TaughtBatch(nn.Cell):
    """A batch as `PreparedBatch` makes it, with what the teacher says of its images, erased and mixed as they are.

    Outputs: images float32 (N, C, H, W); `PreparedBatch`'s labels, and the teacher's logits float32 (N, classes).
    """

    def __init__(self, prepare: nn.Cell, teacher: Teacher):
        super().__init__(auto_prefix=False)
        self.prepare = prepare
        self.teacher = teacher

    def construct(self, images, labels, *drawn):
        images, labels = self.prepare(images, labels, *drawn)
        return images, (labels, self.teacher(images))


class DistillationLoss(nn.Cell):
    """(1 - weight) * the loss on the labels + weight * the loss on the teacher's answers.

    soft: T^2 times the Kullback-Leibler divergence, mean over images, of the student's probabilities from the teacher's,
    both of logits divided by the temperature T (Hinton et al. 2015, arXiv 1503.02531, section 2; timm's
    `LogitDistillationTask`).
    hard: cross entropy with the class that the teacher puts first (Touvron et al. 2020, arXiv 2012.12877, equation 3).

    Inputs: logits float32 (N, classes); the labels that `loss` takes, and the teacher's logits float32 (N, classes).
    Outputs: float32 ().

    Args:
        loss: on the labels (`create_loss`).
        kind: "soft" or "hard".
        weight: 0 to 1.
        temperature: above 0; for "soft".
    """

    def __init__(self, loss: nn.Cell, kind: str, weight: float, temperature: float):
        super().__init__(auto_prefix=False)
        self.loss = loss
        self.is_hard = kind == "hard"
        self.weight = weight
        self.temperature = temperature

    def construct(self, logits, taught):
        labels, answers = taught
        return (1 - self.weight) * self.loss(logits, labels) + self.weight * self.on_answers(logits, answers)

    def on_answers(self, logits, answers):
        """The part of the teacher, float32 ()."""
        if self.is_hard:
            chosen = ops.one_hot(ops.argmax(answers, 1), logits.shape[1], 1.0, 0.0)
            return -(chosen * log_softmax(logits)).sum(1).mean()
        log_p, log_q = log_softmax(logits / self.temperature), log_softmax(answers / self.temperature)
        return self.temperature**2 * (ops.softmax(answers / self.temperature, 1) * (log_q - log_p)).sum(1).mean()


def load_teacher(config: Config, platform: str, class_names: tuple[str, ...]) -> Optional[Teacher]:
    """The network in the checkpoint that `config.teacher` names; None without one.

    Args:
        config: with the choice of kernels made.
        class_names: of the training images; empty where they are not known.

    Raises:
        UserError: the file cannot be used, or has other classes or channels than the student.
    """
    if not config.teacher:
        return None
    saved = checkpoint.load(local_path(Path(config.teacher), config.cache_dir))
    info = saved.info
    if not info.backbone or info.preprocessing is None:
        raise UserError(
            f"teacher: {saved.path} does not say of which network it is; import it with python -m src.weights first"
        )
    if info.num_classes != config.num_classes:
        raise UserError(f"teacher: {saved.path} knows {info.num_classes} classes, num_classes is {config.num_classes}")
    if info.class_names and class_names and info.class_names != class_names:
        other = next(i for i, pair in enumerate(zip(info.class_names, class_names)) if pair[0] != pair[1])
        found = f"its class {other} is {info.class_names[other]!r}, that of the images is {class_names[other]!r}"
        raise UserError(f"teacher: {saved.path} has other classes: {found}; give both the same names with class_names")
    if info.in_channels != config.in_channels:
        raise UserError(f"teacher: {saved.path} takes {info.in_channels} channels, in_channels is {config.in_channels}")
    kernels = "blocked" if config.cpu_kernels == "blocked" else "stock"
    network = create_model(
        info.backbone, config.num_classes, config.group_conv, padding=info.padding, in_channels=config.in_channels,
        kernels=kernels,
    )  # fmt: skip
    checkpoint.load_into(network, saved)
    network = mixed_precision(network.set_train(False), config.amp_level, config.amp_dtype, platform)
    return Teacher(network, (config.mean, config.std), (info.preprocessing.mean, info.preprocessing.std))


def teacher_digest(config: Config) -> str:
    """SHA-256 of the teacher's file, by which a resumed run knows it; "" without one. Raises UserError without the file."""
    if not config.teacher:
        return ""
    path = local_path(Path(config.teacher), config.cache_dir)
    if not path.is_file():
        raise UserError(f"teacher: no such file '{path}'")
    return file_digest(path)
