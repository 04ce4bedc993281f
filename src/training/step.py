"""One training step: forward, scaled loss, gradients, update."""

from typing import Any, Optional

import mindspore as ms
from mindspore import nn, ops

from ..checkpoint import AVERAGED, parameters_of
from ..cpu import operators
from .tally import NOTES, Tally

GRADIENT_MEANS = "gradient_means"  # prefix of the names of the gradients collected so far


class TrainStep(nn.Cell):
    """Computes the loss of a batch and, after every `accumulate_steps` batches, updates the weights.

    The loss is multiplied by a scale before the gradients are taken and the gradients are divided by it before the update,
    so that it changes what float16 can represent and nothing else (Micikevicius et al. 2017, arXiv 1710.03740, section 3.2).
    Under a dynamic scale gradients with Inf or NaN leave weights, momentum, averages and running statistics as they
    were and halve the scale; `scale_window` updates in a row without one double it.

    Inputs: what `prepare` takes; without it images float32 (N, 3, H, W), labels int32 (N,) or class probabilities float32
        (N, classes).
    Outputs: the unscaled loss, float32 (); whether no update was skipped, bool (); the scale used, float32 ().

    Args:
        network: images -> logits.
        optimizer: over the parameters to train.
        loss: logits float32 (N, classes), labels -> float32 () (`create_loss`).
        loss_scale: the scale, or where a dynamic one starts.
        scale_window: updates before a dynamic scale doubles; 0: the scale is fixed.
        accumulate_steps: batches per update; the gradient is their mean.
        clip_norm: largest norm of all gradients together (Pascanu et al. 2012, arXiv 1211.5063, algorithm 1); 0: any.
        average: keeps moving averages of weights and running statistics, or None.
        reduce_gradients: mean over the processes of a data-parallel run (`GradientMean`), or None.
        tally: keeps on the device what every batch told, or None.
        prepare: a batch -> images and labels for network and loss (`PreparedBatch`), or None.
        blocked: gradients are added up and clipped by operators of the CPU kernels, in one pass over memory.
    """

    def __init__(
        self,
        network: nn.Cell,
        optimizer: nn.Optimizer,
        loss: nn.Cell,
        loss_scale: float = 1.0,
        scale_window: int = 0,
        accumulate_steps: int = 1,
        clip_norm: float = 0.0,
        average: Optional["MovingAverage"] = None,
        reduce_gradients: Optional[nn.Cell] = None,
        tally: Optional[Tally] = None,
        prepare: Optional[nn.Cell] = None,
        blocked: bool = False,
    ):
        super().__init__(auto_prefix=False)  # otherwise MindSpore renames the weights
        self.network = network
        self.optimizer = optimizer
        self.loss = loss
        self.is_dynamic = scale_window > 0
        self.is_scaled = self.is_dynamic or loss_scale != 1
        if self.is_dynamic:
            self.scaler = ms.amp.DynamicLossScaler(loss_scale, 2, scale_window)
            self.good_updates = self.scaler.counter
            self.good_updates.name = "good_updates"
            self.statistics = RunningStatistics(network)
        else:
            self.scaler = ms.amp.StaticLossScaler(loss_scale)
        self.scale = self.scaler.scale_value  # a parameter of the scaler, which is no cell, becomes one of this cell
        self.scale.name = "loss_scale"
        self.accumulate_steps = accumulate_steps
        if accumulate_steps > 1:
            self.means = optimizer.parameters.clone(prefix=GRADIENT_MEANS, init="zeros")
            self.batches = ms.Parameter(ms.Tensor(0, ms.int32), name=f"{GRADIENT_MEANS}.batches", requires_grad=False)
            self.add_in_place = operators.add_share() if blocked else None
            self.shares = ms.Tensor([accumulate_steps], ms.float32)
        self.map = ops.HyperMap()  # compiles faster than a loop
        self.clip_norm = clip_norm
        self.square_sum: Any = operators.square_sum() if blocked else None
        self.clip_to: Any = operators.clip() if blocked else None
        self.largest = ms.Tensor([clip_norm], ms.float32)
        self.average = average
        self.reduce_gradients = reduce_gradients
        self.tally = tally
        self.silence = ms.Tensor([0.0] * len(NOTES), ms.float32)
        self.prepare = prepare
        self.value_and_grad = ms.value_and_grad(self.scaled_loss, None, optimizer.parameters, has_aux=True)

    def scaled_loss(self, images, labels):
        """The loss times the scale, to be differentiated, and the loss itself."""
        loss = self.loss(ops.cast(self.network(images), ms.float32), labels)
        return self.scaler.scale(loss), loss

    def construct(self, images, labels, *drawn):
        if self.prepare is not None:
            images, labels = self.prepare(images, labels, *drawn)
        scale = self.scale * 1.0  # as it is before the update
        (_, loss), gradients = self.value_and_grad(images, labels)
        finite, notes = self.collect(gradients)
        if self.tally is not None:
            self.tally(loss, finite, scale, notes)
        return loss, finite, scale

    def collect(self, gradients):
        """Updates after the last batch of a step; returns whether no update was skipped, and what all ranks noted."""
        if self.accumulate_steps == 1:
            return self.update(gradients)
        self.map(self.add_share, self.means, gradients)
        self.batches += 1
        finite, notes = ms.Tensor(True), self.silence
        if self.batches == self.accumulate_steps:
            finite, notes = self.update(self.means)
            if self.add_in_place is None:  # which begins anew by itself
                self.map(self.clear, self.means)
            self.batches = ms.Tensor(0, ms.int32)
        return finite, notes

    def add_share(self, mean, gradient):
        """Adds a batch's gradient to the mean over the batches."""
        if self.add_in_place is not None:
            return self.add_in_place(self.shares, self.batches, mean, gradient)
        return ops.assign_add(mean, gradient / self.accumulate_steps)

    def clear(self, mean):
        """Begins a new mean."""
        return ops.assign(mean, ops.zeros_like(mean))

    def update(self, gradients):
        """Changes the weights unless a dynamic scale finds an overflow; returns whether it did, bool (), and the notes."""
        notes = self.silence
        if self.tally is not None:
            notes = self.tally.notes * 1.0
        if self.reduce_gradients is not None:
            gradients, notes = self.reduce_gradients(gradients, notes)
        if self.is_scaled:
            gradients = self.scaler.unscale(gradients)
        if not self.is_dynamic:
            self.apply(gradients)
            return ms.Tensor(True), notes
        finite = ms.amp.all_finite(gradients)
        if finite:
            self.apply(gradients)
            self.statistics.keep()
        else:
            # The schedule goes by steps, whether they update or not.
            ops.assign_add(self.optimizer.global_step, self.optimizer.global_step_increase_tensor)
            self.statistics.restore()
        self.scaler.adjust(finite)
        return finite, notes

    def clip(self, gradients):
        """The gradients with a common norm of at most `clip_norm`."""
        if self.square_sum is None:
            return ops.clip_by_global_norm(gradients, self.clip_norm)
        norm = ops.sqrt(ops.addn(self.map(self.square_sum, gradients)))
        return self.map(ops.partial(self.clip_one, norm), gradients)

    def clip_one(self, norm, gradient):
        """A gradient, given the norm of all."""
        return self.clip_to(self.largest, norm, gradient)

    def apply(self, gradients):
        """Clips, updates and averages."""
        if self.clip_norm > 0:
            gradients = self.clip(gradients)
        self.optimizer(gradients)
        if self.average is not None:
            self.average()


class MovingAverage(nn.Cell):
    """Exponential moving averages of a network's parameters, running statistics included.

    average = d * average + (1 - d) * value with d = min(decay, (1 + n) / (10 + n)) at update n, so that the first values are
    soon forgotten (TensorFlow's `ExponentialMovingAverage` with `num_updates`; Polyak and Juditsky 1992).

    Args:
        blocked: by an operator of the CPU kernels, in one pass over memory; the same bits.
    """

    def __init__(self, network: nn.Cell, decay: float, blocked: bool = False):
        super().__init__(auto_prefix=False)
        self.decay = decay
        self.values = ms.ParameterTuple(parameters_of(network).values())
        self.averages = self.values.clone(prefix=AVERAGED.rstrip("."), init="same")
        for average in self.averages:
            average.requires_grad = False
        self.updates = ms.Parameter(ms.Tensor(0, ms.float32), name="ema_updates", requires_grad=False)
        self.map = ops.HyperMap()
        self.move_in_place = operators.average() if blocked else None

    def construct(self):
        self.updates += 1
        decay = ops.minimum(ms.Tensor(self.decay, ms.float32), (1 + self.updates) / (10 + self.updates))
        self.map(ops.partial(self.move, decay), self.averages, self.values)

    def move(self, decay, average, value):
        """Moves one average."""
        if self.move_in_place is not None:
            return self.move_in_place(decay, average, value)
        return ops.assign(average, decay * average + (1 - decay) * value)

    def weights(self) -> dict[str, Any]:
        """Name of each averaged parameter -> its average."""
        return {value.name: average.asnumpy() for value, average in zip(self.values, self.averages)}


class RunningStatistics(nn.Cell):
    """The running means and variances as the last good update left them: a skipped step has already changed them."""

    def __init__(self, network: nn.Cell):
        super().__init__(auto_prefix=False)
        layers = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
        self.present = ms.ParameterTuple([p for layer in layers for p in (layer.moving_mean, layer.moving_variance)])
        self.kept = self.present.clone(prefix="kept", init="same")
        self.map = ops.HyperMap()

    def keep(self):
        """Takes the present ones as good."""
        self.map(ops.assign, self.kept, self.present)

    def restore(self):
        """Goes back to the good ones."""
        self.map(ops.assign, self.present, self.kept)
