"""The keys of optimization, of a run and its files, of evaluation, export and off-line inference."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .section import ON_RANKS, WITH_NETWORK, Commands, Section
from .types import (
    BatchSizes,
    Count,
    Fraction,
    Names,
    NonNegative,
    Positive,
    PositiveCount,
    Real,
    check_class_weights,
    items,
    key,
)


class Optimization(Section):
    title = "optimization"
    commands: ClassVar[Commands] = ("train",)
    decides = True

    per_batch_size: PositiveCount = key(128, "images per step and device")
    max_epoch: PositiveCount = key(150, "length of the run in epochs")
    lr: Positive = key(0.05, "base learning rate")
    lr_batch_size: Count = key(
        0, "images per step, on all devices, that lr is meant for: scaled in proportion; 0: lr as it is"
    )
    lr_scheduler: Literal["cosine_annealing", "cosine_warm_restarts", "polynomial", "step", "exponential"] = key(
        "cosine_annealing", "cosine_annealing | cosine_warm_restarts | polynomial | step | exponential"
    )
    lr_epochs: Annotated[tuple[PositiveCount, ...], BeforeValidator(items)] = key(
        "30,60,90,120", "step: epochs at which the rate is multiplied by lr_gamma"
    )
    lr_gamma: Annotated[Positive, Field(le=1)] = key(
        0.1, "factor of step (at each of lr_epochs) and of exponential (every epoch; 0.97 is usual there)"
    )
    lr_power: Positive = key(2.0, "polynomial: exponent of what is left of the way from lr to eta_min; 1: a straight line")
    lr_cycle_mul: Annotated[Real, Field(ge=1)] = key(
        1.0, "cosine_warm_restarts: each cosine is this many times as long as the one before; the first ends at T_max"
    )
    eta_min: NonNegative = key(0.0, "cosine_annealing, cosine_warm_restarts, polynomial: rate at the end")
    T_max: Count = key(
        0, "cosine_annealing, cosine_warm_restarts, polynomial: epoch at which eta_min is reached first; 0: max_epoch"
    )
    warmup_epochs: NonNegative = key(1, "epochs of linear warm-up up to lr, fractions allowed")
    optimizer: Literal["momentum", "adamw", "lars", "lamb"] = key(
        "momentum", "momentum | adamw | lars | lamb: SGD with momentum, AdamW, or one of the two for large batches"
    )
    layer_decay: Annotated[Positive, Field(le=1)] = key(
        1.0, "factor from each layer's rate to that of the layer before it (usual 0.65 to 0.9, to fine-tune); 1: one rate"
    )
    momentum: Annotated[Fraction, Field(lt=1)] = key(0.9, "momentum of SGD and LARS, 0..1")
    nesterov: bool = key(False, "0 | 1; 1: Nesterov's momentum (momentum and lars)")
    weight_decay: NonNegative = key(0.0001, "L2 factor")
    decay_norm_and_bias: bool = key(False, "0 | 1; 1: weight decay on batch-norm parameters and biases too")
    loss: Literal["cross_entropy", "binary_cross_entropy"] = key(
        "cross_entropy",
        "cross_entropy | binary_cross_entropy: softmax over the classes, or each class by itself (mixup, cutmix)",
    )
    loss_threshold: Annotated[Fraction, Field(lt=1)] = key(
        0.0, "binary_cross_entropy: entries of a label above it count as 1, the others as 0; 0: as they are"
    )
    class_weights: Annotated[str, AfterValidator(check_class_weights)] = key(
        "none",
        "none | balanced | effective[:beta] | one number per class: what an image's loss counts for, by its class; "
        "balanced: all classes the same, effective: by the effective number of images (beta 0.999)",
    )
    focal_gamma: NonNegative = key(
        0.0, "focal loss: exponent by which what the network already knows counts for less (usual 2); 0: none"
    )
    label_smooth: bool = key(True, "0 | 1: label smoothing on")
    label_smooth_factor: Annotated[Fraction, Field(lt=1)] = key(
        0.1, "fraction of the probability spread over all classes, 0..1"
    )
    teacher: str = key(
        "",
        "distillation: .ckpt of a trained network, any here, or published weights by name, that answer every batch too ('': "
        "none)",
        decides=False,
    )
    distillation: Literal["soft", "hard"] = key(
        "soft", "soft | hard: the student learns the teacher's probabilities, or the class that it puts first"
    )
    distillation_weight: Fraction = key(0.5, "share of the teacher's answers in the loss, 0..1; labels have the rest")
    temperature: Positive = key(1.0, "soft distillation: both networks' logits are divided by it (usual 1 to 4)")
    accumulate_steps: PositiveCount = key(
        1, "batches per step: the weights change after each n batches, by their mean gradient"
    )
    clip_grad_norm: NonNegative = key(0.0, "largest norm of all gradients together; 0: no limit")
    ema_decay: Annotated[Fraction, Field(lt=1)] = key(
        0.0,
        "moving average of the weights, evaluated and saved besides them: fraction kept per step, 0..1 (usual "
        "0.9999); 0: none",
    )
    amp_level: Literal["O0", "O1", "O2", "O3", "auto"] = key(
        "O0", "O0 | O1 | O2 | O3 | auto: float32; products in 16 bits; all but batch norm; all; MindSpore's lists"
    )
    amp_dtype: Literal["float16", "bfloat16"] = key("float16", "float16 | bfloat16 (on a CPU that has it: amp_level O2)")
    loss_scale: Positive = key(1024, "factor on the loss while gradients are computed, divided out before the update")
    is_dynamic_loss_scale: bool = key(
        False, "0 | 1; 1: steps whose gradients overflow are skipped and halve loss_scale, good ones double it"
    )
    loss_scale_window: PositiveCount = key(2000, "dynamic scale: good steps in a row that double it")


class Run(Section):
    title = "a run and its files"
    commands: ClassVar[Commands] = ("train",)

    pretrained: str = key(
        "",
        "eval.py: .ckpt, .safetensors, .pth, .mindir, .onnx, .om, a folder of .ckpt, or published weights by name, such as "
        "torchvision:resnet50.IMAGENET1K_V2; pre- and postprocess.py: a file; train.py: .ckpt or such a name to start from",
        commands=("train", "eval", "preprocess", "postprocess"),
    )
    use_ema: bool = key(
        False, "0 | 1; 1: eval.py, export.py and pretrained take a checkpoint's averaged weights", commands=WITH_NETWORK
    )
    freeze: Literal["", "stem", "layer1", "layer2", "layer3", "layer4"] = key(
        "", "train.py: last part to leave untrained: stem, layer1, layer2, layer3 or layer4 ('': none)"
    )
    resume: str = key(
        "", "train.py: auto (the newest sound checkpoint in ckpt_path) or a .ckpt: goes on with that run, bit for bit"
    )
    resume_allow: Names = key("", "what may differ from the resumed run: keys such as 'max_epoch,lr', data, workers")
    early_stop: Count = key(0, "evaluations without a better top-1 after which the run ends; 0: never")
    time_limit: NonNegative = key(0, "minutes of training after which the run is saved and ends, exit code 124; 0: no limit")
    ckpt_path: str = key("outputs/", "folder of the run: checkpoints, config.yaml, metrics.jsonl, logs")
    ckpt_interval: Count = key(2000, "steps between checkpoints; 0: none by steps")
    ckpt_interval_epochs: Count = key(1, "epochs between checkpoints; 0: none by epochs")
    keep_checkpoint_max: PositiveCount = key(
        5, "how many of the newest checkpoints are kept (best.ckpt and last.ckpt besides)"
    )
    eval_interval: Count = key(1, "epochs between evaluations while training; 0: none")
    log_interval: PositiveCount = key(100, "steps between log lines")
    tensorboard: bool = key(False, "0 | 1; 1: event files for TensorBoard in ckpt_path/tensorboard")
    report: bool = key(
        True, "0 | 1; 1: ends with report.html, the page of the run: in ckpt_path (train.py) or eval_path (eval.py)",
        commands=ON_RANKS,
    )  # fmt: skip
    performance: bool = key(
        False, "0 | 1; 1: only times performance_steps steps after 10 others; no evaluation, no checkpoints"
    )
    performance_steps: PositiveCount = key(100, "steps that a performance run times")
    profile: Count = key(
        0, "steps to trace after 10 others, with a list of the costliest operators; no evaluation, no checkpoints; 0: none"
    )


class ModelArts(Section):
    title = "ModelArts (Huawei Cloud)"
    commands: ClassVar[Commands] = ON_RANKS

    enable_modelarts: bool = key(False, "0 | 1; 1: copy from and to its object storage with moxing")
    data_url: str = key("", "folder in the object storage that is copied to data_path; data_dir is then inside data_path")
    train_url: str = key(
        "", "where in the object storage the run's folder is copied to when train.py ends", commands=("train",)
    )
    checkpoint_url: str = key(
        "", "file or folder in the object storage, copied to load_path; pretrained is then inside load_path"
    )
    data_path: str = key("/cache/data", "local folder for data_url")
    output_path: str = key(
        "/cache/train", "local folder of the run; ckpt_path is then inside output_path", commands=("train",)
    )
    load_path: str = key("/cache/checkpoint_path/", "local folder for checkpoint_url")


class Evaluation(Section):
    title = "evaluation and prediction"
    commands: ClassVar[Commands] = ("eval",)

    eval_batch_size: PositiveCount = key(128, "images per batch", commands=WITH_NETWORK)
    min_agreement: Fraction = key(
        0.0, "compare: least share of images that a file must put into the class of the first file, 0..1; 0: no limit"
    )
    max_difference: NonNegative = key(
        0.0, "compare: largest difference that a logit may have from the first file's; 0: no limit"
    )
    result_json: str = key(
        "", "file to write the evaluation's result to (postprocess.py: '' is result.json)", commands=("eval", "postprocess")
    )
    eval_path: str = key("outputs/eval", "folder of an evaluation's report.html and of the answers that it shows")
    predict: str = key("", "eval.py: image or folder to classify instead of evaluating")
    explain: str = key(
        "", "eval.py: file to write a picture to: the image of predict, and where the network saw its class (Grad-CAM)"
    )
    predict_json: bool = key(False, "0 | 1; 1: predictions as JSON lines")
    top_k: PositiveCount = key(5, "classes printed per predicted image, or images with neighbors")
    neighbors: str = key(
        "", "eval.py: with predict: folder, or .npz of embeddings, whose images nearest to each predicted one are printed"
    )
    embeddings: str = key("", "eval.py: .npz file to write pooled features, labels and names to instead of evaluating")
    infer_program: str = key(
        "",
        "C++ program for MINDIR files of MindSpore Lite ('': ascend310_infer/build/infer_stream of this package)",
    )


class Export(Section):
    title = "export"
    commands: ClassVar[Commands] = ("export",)

    ckpt_file: str = key("", "checkpoint to export, or published weights by name (timm:resnet50.a1_in1k)")
    file_format: Literal["MINDIR", "ONNX", "AIR", "OM"] = key("MINDIR", "MINDIR | ONNX | AIR | OM")
    file_name: str = key("", "file to write ('': the checkpoint's name with the format's ending)")
    batch_size: BatchSizes = key(
        0,
        "images per batch that the file takes; 0: any number (AIR and OM: 1); OM also several, '1,8,64'",
        mistaken_for={"train": "per_batch_size", "eval": "eval_batch_size"},
    )
    quantize: Literal["none", "int8", "amct"] = key(
        "none", "none | int8 | amct: 8-bit weights and activations; int8 writes ONNX, amct an OM by CANN's AMCT"
    )
    calibration_dir: str = key(
        "", "int8, amct: images that show the range of the activations; a folder of images or of class folders"
    )
    calibration_images: PositiveCount = key(256, "int8, amct: how many of them are used, spread evenly over the folder")
    enc_key_file: str = key(
        "",
        "file of 16, 24 or 32 bytes: the key that encrypts a MINDIR (AES-GCM), and opens it in eval.py",
        commands=("eval", "export"),
    )
    converter_lite: Literal["none", "run", "script"] = key(
        "none",
        "none | run | script: MINDIR for MindSpore Lite: run its converter_lite on the ONNX file, or only write the script",
    )
    soc_version: str = key(
        "", "OM, converter_lite: the processor, 'Ascend' and the chip name that npu-smi info shows, for example Ascend310P3"
    )
    aipp: Literal["auto", "none", "rgb", "yuv420sp"] = key(
        "auto",
        "auto | none | rgb | yuv420sp: an OM takes normalized float32, or uint8 that AIPP normalizes; auto: rgb",
        commands=("export", "preprocess"),
    )
    precision: Literal["auto", "float16", "mixed", "origin"] = key(
        "auto", "auto | float16 | mixed | origin: arithmetic of an OM; auto: ATC's own choice, origin: as in the ONNX file"
    )
    atc: Literal["run", "script"] = key("run", "run | script: run ATC on the ONNX file, or only write the script that does")
    atc_options: str = key("", "OM: further options of ATC, for example '--enable_small_channel=1'")


class Offline(Section):
    title = "off-line inference"
    commands: ClassVar[Commands] = ("preprocess", "postprocess")

    bin_dir: str = key("prep_dataset", "preprocess.py: folder to write the .bin files to", commands=("preprocess",))
    result_dir: str = key(
        "result_Files", "postprocess.py: folder of the results, <image>_0.bin or <image>_0.txt", commands=("postprocess",)
    )
