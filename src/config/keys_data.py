"""The keys of network, device, data, preprocessing and augmentation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .section import ALL, ON_RANKS, WITH_IMAGES, WITH_NETWORK, Commands, Section
from .types import (
    Channels,
    Count,
    Fraction,
    ImageSize,
    NonNegative,
    PerChannel,
    Positive,
    PositiveCount,
    Range,
    Sizes,
    key,
)


class Network(Section):
    title = "network"
    commands: ClassVar[Commands] = ALL
    decides = True

    backbone: str = key("resnext152", "network name (python -m src.models lists them; resnext152 = resnext152_64x4d)")
    num_classes: PositiveCount = key(1000, "number of classes, 1 or more")
    image_size: ImageSize = key("224,224", "network input 'height,width' in pixels", commands=WITH_IMAGES)
    in_channels: Channels = key(
        3, "1 | 3: the network takes gray images (luma, ITU-R BT.601), or red, green and blue", commands=WITH_IMAGES
    )
    group_conv: Literal["fused", "split"] = key(
        "fused",
        "fused | split: one grouped convolution, or one convolution per group (same weights and results; exports are fused)",
        commands=WITH_NETWORK,
    )


class Device(Section):
    title = "device"
    commands: ClassVar[Commands] = ALL

    platform: Literal["auto", "Ascend", "GPU", "CPU"] = key(
        "auto", "auto | Ascend | GPU | CPU; auto takes the first of these that is there (alias: device_target)"
    )
    cpu_kernels: Literal["auto", "blocked", "stock"] = key(
        "auto",
        "auto | blocked | stock: on a CPU, this package's kernels where they are built (python -m src.cpu), or MindSpore's",
        commands=ON_RANKS,
        decides=True,
    )
    device_id: Count = key(0, "which Ascend or GPU of this server, from 0")
    seed: Annotated[Count, Field(lt=2**31)] = key(1, "seed of weights, data order and augmentation, 0 or more", decides=True)
    num_parallel_workers: PositiveCount = key(
        8, "threads of the input pipeline; never more than the cores there are", commands=WITH_IMAGES
    )
    readers: PositiveCount = key(
        16, "images read at once, ahead of their use; batches do not depend on it", commands=WITH_IMAGES
    )
    reading_timeout: Positive = key(
        300, "seconds after which a file that is still being read counts as hanging and ends the run", commands=WITH_IMAGES
    )
    device_normalization: bool = key(
        True,
        "0 | 1; 1: images go to the device as bytes and are normalized there; 0: as float32, normalized by the host",
        commands=ON_RANKS,
        decides=True,
    )
    is_distributed: bool = key(
        False, "0 | 1; 1: one of several processes, as scripts/run_distribute_train.sh starts them", commands=ON_RANKS
    )
    rank: Count = key(
        0, "this process's number among group_size; the launcher sets it where is_distributed is 1", commands=ON_RANKS
    )
    group_size: PositiveCount = key(
        1,
        "number of processes; the launcher sets it where is_distributed is 1, and train.py refuses another number",
        commands=ON_RANKS,
        decides=True,
    )
    is_save_on_master: bool = key(
        True, "0 | 1; 1: only rank 0 writes files; 0: every other rank does too, in ckpt_path/rank_<n>", commands=("train",)
    )
    bn_statistics: Literal["master", "mean", "sync"] = key(
        "master",
        "master | mean | sync: running statistics that are evaluated and saved, rank 0's or the mean over ranks; "
        "sync (Ascend): training normalizes over the images of all ranks",
        commands=("train",),
        decides=True,
    )
    allreduce_fusion_mb: Count = key(
        32,
        "MiB of gradients that travel between the processes at once, at most; 0: each gradient by itself",
        commands=("train",),
    )
    sink_size: PositiveCount = key(
        1, "Ascend, GPU: batches that the device takes in one go; divides the batches of an epoch", commands=("train",)
    )
    jit_level: Literal["default", "O0", "O1"] = key(
        "default",
        "default | O0 | O1: MindSpore's choice; operator by operator; with operators fused (Ascend)",
        commands=("train",),
    )
    compile_cache: bool = key(
        True,
        "0 | 1; 1: the compiled step is kept in cache_dir and used again by runs that are compiled alike",
        commands=("train",),
    )


class Data(Section):
    title = "data"
    commands: ClassVar[Commands] = WITH_IMAGES

    dataset: Literal["auto", "folder", "mindrecord", "cifar10", "cifar100", "synthetic"] = key(
        "auto",
        "auto | folder | mindrecord | cifar10 | cifar100 | synthetic; auto: what data_dir holds",
        commands=WITH_NETWORK,
    )
    synthetic_images: PositiveCount = key(
        1024, "dataset synthetic: number of made-up images, to measure speed", commands=WITH_NETWORK
    )
    data_dir: str = key(
        "",
        "folder of class folders, or a folder that holds train/ and val/, or (with label_file) a flat folder, or "
        "MindRecord or CIFAR files",
        commands=ALL,
    )
    class_folders: Literal["top", "name", "path"] = key(
        "top",
        "top | name | path: what names an image's class: the folder directly in data_dir, the one that the image lies in, "
        "or that one's path below data_dir",
        commands=WITH_NETWORK,
    )
    eval_data_dir: str = key(
        "",
        "train.py: folder to evaluate on while training ('': the val/ beside train/, if there is one)",
        commands=("train",),
    )
    label_file: str = key(
        "",
        "lines 'image-name label' for a flat data_dir, or CSV with the columns image, label and, if wanted, split: train, "
        "val or test (postprocess.py: without split, or imagenet_label.json)",
        commands=("train", "eval", "export", "postprocess"),
    )
    eval_split: Literal["val", "test", "train"] = key(
        "val", "val | test | train: the images of a label_file with splits that are evaluated", commands=("eval", "export")
    )
    class_names: str = key(
        "",
        "file with the names of classes 0, 1, ..., one a line, or imagenet ('': the folders' names, or the weights' own)",
        commands=WITH_NETWORK,
    )
    val_split: Annotated[Fraction, Field(lt=1)] = key(
        0.0,
        "fraction of each class that is held out and evaluated, chosen by seed and names, listed in ckpt_path/split.csv",
        commands=("train",),
        decides=True,
    )
    images_per_class: Count = key(
        0,
        "trains on so many images of each class at most, chosen by seed and names; 0: all",
        commands=("train",),
        decides=True,
    )
    sampling: Literal["images", "balanced"] = key(
        "images",
        "images | balanced: an epoch shows every image once, or as many images but every class equally often",
        commands=("train",),
        decides=True,
    )
    scan: Literal["full", "headers", "off"] = key("full", "full | headers | off: check every image file before using it")
    bad_images: Literal["stop", "skip"] = key("stop", "stop | skip: what to do with files that cannot be decoded")
    cache_dir: str = key(
        "outputs/.cache", "where lists of files, what the scan found and downloaded weights are kept between runs"
    )


class Preprocessing(Section):
    title = "preprocessing (travels with the weights)"
    commands: ClassVar[Commands] = WITH_IMAGES
    decides = True

    eval_resize: Count = key(
        0,
        "pixels that the larger side of the center crop is cut from; 0: image_size / 0.875 (256 for 224), with crop_padding "
        "image_size",
    )
    eval_resize_mode: Literal["shorter", "square"] = key(
        "shorter", "shorter | square: keep the aspect ratio, or squash to a square"
    )
    eval_antialias: bool = key(
        False, "0 | 1; 1: Pillow's antialiased bilinear resize (torchvision's), 0: MindSpore's (OpenCV's) bilinear"
    )
    mean: PerChannel = key(
        "0.485,0.456,0.406",
        "mean of each channel, red,green,blue or one number, of pixels scaled to 0..1 (in_channels 1: three are averaged)",
    )
    std: PerChannel = key("0.229,0.224,0.225", "standard deviation of each channel, the same way")


class Augmentation(Section):
    title = "augmentation (training only)"
    commands: ClassVar[Commands] = ("train",)
    decides = True

    train_image_size: Sizes = key(
        "",
        "larger side of the crops that training sees, image_size's ratio kept: 176, or by epoch from 0, 128@0,192@30 (each "
        "size is compiled anew); '': image_size",
    )
    crop_scale: Range = key("0.08,1.0", "fraction of the image's area that a random crop covers, 'smallest,largest'")
    crop_ratio: Range = key("0.75,1.3333333", "aspect ratio of a random crop, 'smallest,largest'")
    crop_padding: Count = key(
        0,
        "pixels of black border before a random crop of image_size (CIFAR: 4); 0: crops of random size and shape",
        commands=WITH_IMAGES,
    )
    train_interpolation: Literal["bilinear", "bicubic", "area"] = key(
        "bilinear", "bilinear | bicubic | area: how training resizes its crops"
    )
    hflip_prob: Fraction = key(0.5, "probability of a horizontal flip, 0..1")
    color_jitter: Fraction = key(0.4, "largest relative change of brightness, contrast and saturation, 0..1; 0: off")
    auto_augment: Literal["none", "randaugment", "autoaugment", "autoaugment_cifar10", "trivialaugment"] = key(
        "none", "none | randaugment | autoaugment | autoaugment_cifar10 | trivialaugment (usual with color_jitter 0)"
    )
    auto_augment_ops: PositiveCount = key(2, "randaugment: operations per image")
    auto_augment_magnitude: Annotated[Count, Field(le=30)] = key(9, "randaugment: strength of the operations, 0..30")
    random_erase_prob: Fraction = key(0.0, "probability that a rectangle of an image is erased, 0..1")
    mixup_alpha: NonNegative = key(0.0, "mixup: both parameters of the Beta distribution of the mixing weight; 0: off")
    cutmix_alpha: NonNegative = key(0.0, "cutmix: the same; with both on, each batch gets one of the two")
    mixup_prob: Fraction = key(1.0, "fraction of the batches that are mixed at all, 0..1")
    mixup_switch_prob: Fraction = key(0.5, "with both on: probability of cutmix, 0..1")
    repeated_augment: PositiveCount = key(
        1, "views of an image per epoch; above 1 an epoch shows 1/n of the images, n times each"
    )
    drop_rate: Annotated[Fraction, Field(lt=1)] = key(0.0, "dropout before the classifier, 0..1 (ResNeSt: 0.2)")
    drop_block_rate: Annotated[Fraction, Field(lt=1)] = key(
        0.0, "DropBlock in the last two stages of ResNeSt, 0..1 (there 0.1)"
    )
    drop_path_rate: Annotated[Fraction, Field(lt=1)] = key(
        0.0, "stochastic depth: fraction of the images that skip the last block (earlier ones: less), 0..1"
    )
