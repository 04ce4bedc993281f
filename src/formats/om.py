"""OM files for Ascend: an AIPP file and a script that runs ATC, CANN's converter, on an ONNX file."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..files import write_text
from ..model_info import LARGEST_BATCH, ModelInfo, OnnxOrigin, Preprocessing
from .aipp import aipp_config, input_of
from .atc_errors import explained
from .chips import PRECISIONS, check_chip
from .converter_script import Converter, beside, convert, option

MOST_SIZES = 100  # ATC, --dynamic_batch_size
AMCT_BATCH = 16  # images
_ATC = Converter(
    tool="atc",
    key="atc",
    package="CANN",
    advice="Source its set_env.sh first",
    example="ATC is part of CANN, for example: source /usr/local/Ascend/ascend-toolkit/set_env.sh",
    kind="OM",
    explained=explained,
)
# AMCT, CANN's quantizer, writes <save_path>_deploy_model.onnx. Source: CANN's manual of AMCT (ONNX).
_AMCT = """\
command -v amct_onnx >/dev/null || {{
  printf '%s: got no amct_onnx on PATH; expected AMCT for ONNX, which is a part of CANN of its own\\n' {name} >&2
  exit 2
}}
amct_onnx calibration --model={model} --save_path="$work"/quantized \\
  --input_shape={shape} --data_dir={images} --data_types=float32
"""


def check_om_options(config: Config) -> None:
    """Raises UserError for a processor name, a file name or batch sizes that ATC or its script would not take."""
    check_chip(config)
    check_script_name(config)
    sizes = config.batch_size
    if len(sizes) > MOST_SIZES or max(sizes) > LARGEST_BATCH or (len(sizes) > 1 and 0 in sizes):
        raise UserError(f"batch_size: an OM takes up to {MOST_SIZES} sizes from 1 to {LARGEST_BATCH}, got {_text(sizes)}")
    try:
        words = shlex.split(config.atc_options)
    except ValueError as error:
        raise UserError(f"atc_options: {error} in '{config.atc_options}'") from None
    written = {"framework", "model", "output", "input_shape", "dynamic_batch_size", "soc_version", "insert_op_conf"}
    written |= {"precision_mode", "precision_mode_v2"} if config.precision != "auto" else set()
    if twice := next((word for word in words if re.split("[= ]", word.lstrip("-"))[0] in written), None):
        raise UserError(f"atc_options: {twice} is written already, from the keys of the export; take it out")


def check_script_name(config: Config) -> None:
    """Raises UserError for a file name that the script of a converter cannot hold."""
    name = Path(config.file_name or config.ckpt_file).name
    if not name.isprintable():
        raise UserError(f"file_name: {name!r} has characters that a script cannot hold; pass another --file_name")


def write_om(config: Config, target: Path, onnx_file: Path, preprocessing: Preprocessing, info: ModelInfo) -> None:
    """Writes the AIPP file and the script beside `onnx_file`, and runs the script unless `config.atc` says not to.

    With `quantize: amct` the script quantizes the ONNX file first, with the images that lie in <target>.calibration.

    Args:
        target: the OM file to write.
        info: what the ONNX file says of itself; what the OM says is made from it.

    Raises:
        UserError: ATC is not installed, fails, or writes no file; the script stays for another try.
    """
    kind = "rgb" if config.aipp == "auto" else config.aipp
    sizes = sorted(set(config.batch_size)) if any(config.batch_size) else [1]
    image_shape = f"{preprocessing.channels},{_text(preprocessing.image_size)}"
    amct = config.quantize == "amct"
    options = [
        option("framework", "5"),  # ONNX
        '--model="$work"/quantized_deploy_model.onnx' if amct else option("model", onnx_file),
        option("input_format", "NCHW"),
        option("input_shape", f"input:{sizes[0] if len(sizes) == 1 else -1},{image_shape}"),
        option("output_type", "FP32"),
        option("soc_version", config.soc_version),
        option("log", "error"),
    ]
    if len(sizes) > 1:
        options.append(option("dynamic_batch_size", _text(sizes)))
    if config.precision != "auto":
        options.append(option("precision_mode", PRECISIONS[config.precision]))
    if kind != "none":
        aipp_file = target.with_suffix(".aipp.cfg")
        write_text(aipp_file, aipp_config(preprocessing, kind))
        options.append(option("insert_op_conf", aipp_file))
    options += ['--output="$work"/model', *(shlex.quote(word) for word in shlex.split(config.atc_options))]
    changes = {"input": input_of(kind, preprocessing.image_size, preprocessing.channels), "batch_sizes": tuple(sizes)}
    described = made_from(onnx_file, info, "OM", config.soc_version).model_copy(update=changes)
    before = _quantizer(target, onnx_file, image_shape) if amct else ""
    convert(_ATC, target, onnx_file, options, described, config.atc == "run", before)


def calibration_folder(target: Path) -> Path:
    """Where the images lie that AMCT calibrates with: batches of `AMCT_BATCH`, float32 (N, 3, H, W), one .bin file each."""
    return target.with_suffix(".calibration")


def made_from(onnx_file: Path, info: ModelInfo, file_format: str, soc_version: str) -> ModelInfo:
    """What a file that a converter makes says of itself, but its input, from what its ONNX file says."""
    return info.model_copy(
        update={
            "file_format": file_format,
            "soc_version": soc_version or None,
            "onnx": OnnxOrigin(file=onnx_file.name, max_abs_diff=info.max_abs_diff),
            "max_abs_diff": None,  # it was not run
            "compared_batch_sizes": (),
        }
    )


def _quantizer(target: Path, onnx_file: Path, image_shape: str) -> str:
    return _AMCT.format(
        name=shlex.quote(_ATC.script(target).name),
        model=beside(onnx_file),
        shape=shlex.quote(f"input:{AMCT_BATCH},{image_shape}"),
        images=beside(calibration_folder(target)),
    )


def _text(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
