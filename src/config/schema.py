"""The keys of a configuration: their types, their ranges and the contradictions between them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from ..errors import UserError
from ..networks.registry import canonical_name, find_model


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _items(value: Any) -> Any:
    """'224,224' or [224, 224] -> a list; pydantic then checks the items."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    return value


def _number_or_numbers(value: Any) -> Any:
    return [value] if isinstance(value, int) else _items(value)


Integer = Annotated[int, BeforeValidator(_number)]
Count = Annotated[Integer, Field(ge=0)]
PositiveCount = Annotated[Integer, Field(ge=1)]
Real = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
NonNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
BatchSizes = Annotated[tuple[Count, ...], Field(min_length=1), BeforeValidator(_number_or_numbers)]
ImageSize = Annotated[tuple[PositiveCount, PositiveCount], BeforeValidator(_items)]
Range = Annotated[tuple[Positive, Positive], BeforeValidator(_items)]
Names = Annotated[tuple[str, ...], BeforeValidator(_items)]
PerChannel = Annotated[tuple[Real, Real, Real], BeforeValidator(_items)]


class Config(BaseModel):
    """A checked configuration; never changed after it was loaded. Each key is explained in `default_config.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str
    num_classes: PositiveCount
    image_size: ImageSize
    group_conv: Literal["fused", "split"]

    platform: Literal["auto", "Ascend", "GPU", "CPU"]
    device_id: Count
    seed: Annotated[Count, Field(lt=2**31)]
    num_parallel_workers: PositiveCount
    is_distributed: bool
    rank: Count
    group_size: PositiveCount
    is_save_on_master: bool
    bn_statistics: Literal["master", "mean", "sync"]
    allreduce_fusion_mb: Count

    dataset: Literal["auto", "folder", "mindrecord", "cifar10", "cifar100", "synthetic"]
    synthetic_images: PositiveCount
    data_dir: str
    eval_data_dir: str
    label_file: str
    scan: Literal["full", "headers", "off"]
    bad_images: Literal["stop", "skip"]
    cache_dir: str

    eval_resize: Count
    eval_resize_mode: Literal["shorter", "square"]
    eval_antialias: bool
    mean: PerChannel
    std: Annotated[tuple[Positive, Positive, Positive], BeforeValidator(_items)]

    crop_scale: Range
    crop_ratio: Range
    crop_padding: Count
    train_interpolation: Literal["bilinear", "bicubic", "area"]
    hflip_prob: Fraction
    color_jitter: Fraction
    auto_augment: Literal["none", "randaugment", "autoaugment", "autoaugment_cifar10", "trivialaugment"]
    auto_augment_ops: PositiveCount
    auto_augment_magnitude: Annotated[Count, Field(le=30)]
    random_erase_prob: Fraction
    mixup_alpha: NonNegative
    cutmix_alpha: NonNegative
    mixup_prob: Fraction
    mixup_switch_prob: Fraction
    repeated_augment: PositiveCount
    drop_rate: Annotated[Fraction, Field(lt=1)]
    drop_block_rate: Annotated[Fraction, Field(lt=1)]
    drop_path_rate: Annotated[Fraction, Field(lt=1)]

    per_batch_size: PositiveCount
    max_epoch: PositiveCount
    lr: Positive
    lr_batch_size: Count
    lr_scheduler: Literal["cosine_annealing", "step", "exponential"]
    lr_epochs: Annotated[tuple[PositiveCount, ...], BeforeValidator(_items)]
    lr_gamma: Annotated[Positive, Field(le=1)]
    eta_min: NonNegative
    T_max: Count
    warmup_epochs: NonNegative
    optimizer: Literal["momentum", "lars", "lamb"]
    momentum: Annotated[Fraction, Field(lt=1)]
    nesterov: bool
    weight_decay: NonNegative
    decay_norm_and_bias: bool
    loss: Literal["cross_entropy", "binary_cross_entropy"]
    loss_threshold: Annotated[Fraction, Field(lt=1)]
    label_smooth: bool
    label_smooth_factor: Annotated[Fraction, Field(lt=1)]
    accumulate_steps: PositiveCount
    clip_grad_norm: NonNegative
    ema_decay: Annotated[Fraction, Field(lt=1)]
    amp_level: Literal["O0", "O1", "O2", "O3", "auto"]
    amp_dtype: Literal["float16", "bfloat16"]
    loss_scale: Positive
    is_dynamic_loss_scale: bool
    loss_scale_window: PositiveCount

    pretrained: str
    use_ema: bool
    freeze: Literal["", "stem", "layer1", "layer2", "layer3", "layer4"]
    resume: str
    resume_allow: Names
    early_stop: Count
    time_limit: NonNegative
    ckpt_path: str
    ckpt_interval: Count
    ckpt_interval_epochs: Count
    keep_checkpoint_max: PositiveCount
    eval_interval: Count
    log_interval: PositiveCount
    tensorboard: bool
    performance: bool
    performance_steps: PositiveCount

    enable_modelarts: bool
    data_url: str
    train_url: str
    checkpoint_url: str
    data_path: str
    output_path: str
    load_path: str

    eval_batch_size: PositiveCount
    result_json: str
    predict: str
    predict_json: bool
    top_k: PositiveCount

    ckpt_file: str
    file_format: Literal["MINDIR", "ONNX", "AIR", "OM"]
    file_name: str
    batch_size: BatchSizes
    quantize: Literal["none", "int8"]
    calibration_dir: str
    calibration_images: PositiveCount
    enc_key_file: str
    soc_version: str
    aipp: Literal["auto", "none", "rgb", "yuv420sp"]
    atc: Literal["run", "script"]
    atc_options: str

    bin_dir: str
    result_dir: str

    _given: frozenset = PrivateAttr(default=frozenset())

    @property
    def given(self) -> frozenset:
        """The keys that the recipe or the command line set, as opposed to defaults."""
        return self._given

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: dict) -> dict:
        """Fills in the values that are defined by another key."""
        values = dict(values)
        if str(values.get("T_max")) == "0":
            values["T_max"] = values.get("max_epoch")
        if isinstance(values.get("backbone"), str):
            values["backbone"] = canonical_name(values["backbone"])
        return values

    @model_validator(mode="after")
    def _check_contradictions(self) -> "Config":
        find_model(self.backbone)
        if self.warmup_epochs > self.max_epoch:
            raise UserError(f"warmup_epochs: {self.warmup_epochs:g} is longer than the run, max_epoch {self.max_epoch}")
        if self.lr_scheduler == "cosine_annealing":
            if self.T_max < self.warmup_epochs:
                raise UserError(f"T_max: {self.T_max} lies inside the warm-up, warmup_epochs {self.warmup_epochs:g}")
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
        if 0 < self.eval_resize < max(self.image_size):
            raise UserError(
                f"eval_resize: {self.eval_resize} is smaller than the crop, image_size {as_written(self.image_size)}; "
                f"pass {max(self.image_size)} or more, or 0"
            )
        if not self.is_distributed and (self.group_size > 1 or self.rank > 0):
            raise UserError(
                f"is_distributed: 0, but rank {self.rank} of group_size {self.group_size}; start several processes with "
                "bash scripts/run_distribute_train.sh"
            )
        self._check_training()
        return self

    def _check_training(self) -> None:
        if self.nesterov and (self.optimizer == "lamb" or not self.momentum):
            raise UserError("nesterov: is a form of momentum; pass --optimizer momentum or lars with momentum above 0, or 0")
        if self.is_dynamic_loss_scale and not 1 <= self.loss_scale <= 2.0**127:
            raise UserError(f"loss_scale: a dynamic scale starts at 1 to 2**127, got {self.loss_scale:g}; 65536 is usual")
        if self.loss_threshold and self.loss != "binary_cross_entropy":
            raise UserError(f"loss_threshold: {self.loss_threshold:g} needs --loss binary_cross_entropy; or pass 0")
        unknown = [name for name in self.resume_allow if name not in (*type(self).model_fields, "data", "workers")]
        if unknown:
            raise UserError(f"resume_allow: '{unknown[0]}' is no key; name keys, or data or workers")
        if self.resume_allow and not self.resume:
            raise UserError("resume_allow: needs --resume auto or --resume FILE")
        if self.resume and self.performance:
            raise UserError("resume: a performance run starts from the beginning; leave one of resume and performance out")
        if self.early_stop and not self.eval_interval:
            raise UserError(f"early_stop: {self.early_stop} needs evaluations; pass --eval_interval 1, or --early_stop 0")

    @model_validator(mode="after")
    def _check_augmentation(self) -> "Config":
        for key in ("mixup_alpha", "cutmix_alpha"):
            if getattr(self, key) and self.per_batch_size == 1:
                raise UserError(
                    f"{key}: {getattr(self, key):g} mixes the images of a batch, but per_batch_size is 1; pass 2 or more"
                )
        return self


def as_written(value: Any) -> Any:
    """Tuples as the comma-separated text that users write, everything else as it is."""
    return ",".join(str(item) for item in value) if isinstance(value, (tuple, list)) else value
