"""A checked configuration: its values, what follows from them, and the contradictions between them."""

from typing import Any

from pydantic import ConfigDict, PrivateAttr, ValidationInfo, field_validator, model_validator

from ..errors import UserError
from ..networks.registry import canonical_name, find_model
from .keys import KEYS
from .keys_data import Augmentation, Data, Device, Network, Preprocessing
from .keys_runs import Evaluation, Export, ModelArts, Offline, Optimization, Run
from .types import as_written, per_channel, sizes_by_epoch


# The last base comes first in the order of the keys.
class Config(
    Offline, Export, Evaluation, ModelArts, Run, Optimization, Augmentation, Preprocessing, Data, Device, Network
):  # fmt: skip
    """A checked configuration, never changed after it was loaded: values as they were given, or else the defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    _given: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def given(self) -> frozenset[str]:
        """The keys that the recipe or the command line set, as opposed to defaults."""
        return self._given

    @property
    def schedule_epochs(self) -> int:
        """The epoch at which a cosine or polynomial schedule first reaches `eta_min`."""
        return self.T_max or self.max_epoch

    def crop_size(self, epoch: int) -> tuple[int, int]:
        """(height, width) of the crops that training sees in an epoch, counted from 0.

        Others than in evaluation: Touvron et al. 2019, arXiv 1906.06423, section 3: a random crop shows things larger than a
        center crop of as many pixels does. Sizes that grow: Tan and Le 2021, arXiv 2104.00298, section 4.
        """
        sizes = sizes_by_epoch(self.train_image_size)
        if not sizes:
            return self.image_size
        larger = sizes[max(first for first in sizes if first <= epoch)]
        height, width = (max(round(larger * side / max(self.image_size)), 1) for side in self.image_size)
        return height, width

    @property
    def largest_crop(self) -> tuple[int, int]:
        """The largest `crop_size` of all epochs."""
        return max(self.crop_size(epoch) for epoch in (0, *sizes_by_epoch(self.train_image_size)))

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, those that follow from another one included; can be written as JSON."""
        return {**self.model_dump(mode="json"), "T_max": self.schedule_epochs}

    @field_validator("backbone")
    @classmethod
    def _known_network(cls, name: str) -> str:
        find_model(name)
        return canonical_name(name)

    @field_validator("mean", "std")
    @classmethod
    def _as_channels(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if info.field_name == "std" and min(values, default=1.0) <= 0:
            raise ValueError("expected numbers above 0")
        return per_channel(values, info.data.get("in_channels", 3))

    @model_validator(mode="after")
    def _check_contradictions(self) -> "Config":
        if self.warmup_epochs > self.max_epoch:
            raise UserError(f"warmup_epochs: {self.warmup_epochs:g} is longer than the run, max_epoch {self.max_epoch}")
        if self.lr_scheduler in ("cosine_annealing", "cosine_warm_restarts", "polynomial"):
            no_room = self.lr_scheduler == "cosine_warm_restarts" and self.schedule_epochs == self.warmup_epochs
            if self.schedule_epochs < self.warmup_epochs or no_room:
                raise UserError(
                    f"T_max: {self.schedule_epochs} lies inside the warm-up, warmup_epochs {self.warmup_epochs:g}"
                )
            if self.eta_min > self.lr:
                raise UserError(f"eta_min: {self.eta_min:g} is above the base rate, lr {self.lr:g}")
        if any(b <= a for a, b in zip(self.lr_epochs, self.lr_epochs[1:])):
            raise UserError(f"lr_epochs: must increase, got {as_written(self.lr_epochs)!r}")
        for key in ("crop_scale", "crop_ratio"):
            low, high = getattr(self, key)
            if low > high:
                raise UserError(f"{key}: the first number must not exceed the second, got {as_written((low, high))!r}")
        if self.crop_scale[1] > 1:
            raise UserError(f"crop_scale: a crop cannot cover more than 1.0 of the image, got {self.crop_scale[1]:g}")
        if not self.is_distributed and (self.group_size > 1 or self.rank > 0):
            raise UserError(
                f"is_distributed: 0, but rank {self.rank} of group_size {self.group_size}; start several processes with "
                "bash scripts/run_distribute_train.sh"
            )
        self._check_training()
        self._check_run()
        if self.explain and not self.predict:
            raise UserError(f"explain: {self.explain} is a picture of one image; name that with --predict IMAGE")
        if self.explain and not self.explain.lower().endswith((".png", ".jpg", ".jpeg")):
            raise UserError(f"explain: '{self.explain}' must end in .png or .jpg")
        return self

    def _check_training(self) -> None:
        if self.nesterov and (self.optimizer in ("adamw", "lamb") or not self.momentum):
            raise UserError("nesterov: is a form of momentum; pass --optimizer momentum or lars with momentum above 0, or 0")
        if self.is_dynamic_loss_scale and not 1 <= self.loss_scale <= 2.0**127:
            raise UserError(f"loss_scale: a dynamic scale starts at 1 to 2**127, got {self.loss_scale:g}; 65536 is usual")
        if self.loss_threshold and self.loss != "binary_cross_entropy":
            raise UserError(f"loss_threshold: {self.loss_threshold:g} needs --loss binary_cross_entropy; or pass 0")
        if self.sampling == "balanced" and self.class_weights.startswith(("balanced", "effective")):
            raise UserError(
                f"class_weights: {self.class_weights} evens out what sampling balanced has already; leave one out"
            )
        if self.val_split and self.eval_data_dir:
            raise UserError(f"val_split: {self.val_split:g}, but eval_data_dir names images to evaluate on; leave one out")
        if self.early_stop and not self.eval_interval:
            raise UserError(f"early_stop: {self.early_stop} needs evaluations; pass --eval_interval 1, or --early_stop 0")

    def _check_run(self) -> None:
        unknown = [name for name in self.resume_allow if name not in (*KEYS, "data", "workers")]
        if unknown:
            raise UserError(f"resume_allow: '{unknown[0]}' is no key; name keys, or data or workers")
        if self.resume_allow and not self.resume:
            raise UserError("resume_allow: needs --resume auto or --resume FILE")
        for key in ("performance", "profile"):
            if self.resume and getattr(self, key):
                raise UserError(f"resume: a {key} run starts from the beginning; leave one of resume and {key} out")
        if self.profile and self.performance:
            raise UserError("profile: tracing makes steps slower than they are; leave one of profile and performance out")
        for key in ("log_interval", "ckpt_interval"):
            batches = getattr(self, key) * self.accumulate_steps
            if batches % self.sink_size:
                raise UserError(
                    f"sink_size: {self.sink_size} does not divide the {batches} batches of {key}; make it a divisor"
                )

    @model_validator(mode="after")
    def _check_augmentation(self) -> "Config":
        for key in ("mixup_alpha", "cutmix_alpha"):
            if getattr(self, key) and self.per_batch_size == 1:
                raise UserError(
                    f"{key}: {getattr(self, key):g} mixes the images of a batch, but per_batch_size is 1; pass 2 or more"
                )
        return self
