"""The loss of distillation: timm's numbers (make_distillation_reference.py writes them), and gradients by NumPy."""

from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.training.distillation import DistillationLoss


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).with_name("distillation_reference.npz")) as file:
        return dict(file)


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def by_numpy(kind: str, reference: dict, weight: float, temperature: float) -> np.ndarray:
    """The gradient of the mean over images, in float64."""
    student, teacher = reference["student"].astype(float), reference["teacher"].astype(float)
    one_hot = np.eye(student.shape[1])
    of_labels = softmax(student) - one_hot[reference["labels"]]
    if kind == "hard":
        of_answers = softmax(student) - one_hot[teacher.argmax(1)]
    else:
        of_answers = temperature * (softmax(student / temperature) - softmax(teacher / temperature))
    return ((1 - weight) * of_labels + weight * of_answers) / len(student)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("number", range(4))
def test_loss_and_gradient(kind, number, reference):
    weight, temperature = map(float, reference["settings"][number])
    loss = DistillationLoss(nn.CrossEntropyLoss(), kind, weight, temperature)
    labels, teacher = ms.Tensor(reference["labels"].astype(np.int32)), ms.Tensor(reference["teacher"])

    def of_logits(logits):
        return loss(logits, (labels, teacher))

    value, gradient = ms.value_and_grad(of_logits)(ms.Tensor(reference["student"]))
    assert float(value) == pytest.approx(float(reference[f"{kind}{number}"]), rel=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), reference[f"{kind}{number}.gradient"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), by_numpy(kind, reference, weight, temperature), rtol=0, atol=1e-6)
