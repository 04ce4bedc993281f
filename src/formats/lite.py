"""MINDIR files of MindSpore Lite: made by its converter from an ONNX file, and run by the C++ program infer_stream.

MindSpore Lite has no Python module for every Python and release, so that its C++ library is used, as on the device.
"""

import os
import struct
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..device import available_cores
from ..errors import UserError
from ..files import write_text
from ..model_info import LARGEST_BATCH, ModelInfo, Preprocessing
from .aipp import aipp_config, input_of, to_pixels
from .chips import check_chip
from .classifier import Classifier
from .converter_script import Converter, beside, convert, option
from .om import check_script_name, made_from

_PRECISIONS = {"float16": "enforce_fp16", "mixed": "preferred_optimal", "origin": "enforce_origin"}  # of converter_lite
_PROGRAM = Path(__file__).resolve().parents[2] / "ascend310_infer/build/infer_stream"
_CONVERTER = Converter(
    tool="converter_lite",
    key="converter_lite",
    package="MindSpore Lite",
    advice="Set LITE_HOME to the folder of its package",
    example="converter_lite is in tools/converter/converter of MindSpore Lite's package, which LITE_HOME names.",
    kind="MINDIR",
    setup="""\
if [[ -n "${LITE_HOME:-}" ]]; then
  PATH=$LITE_HOME/tools/converter/converter:$PATH
  export LD_LIBRARY_PATH=$LITE_HOME/tools/converter/lib:$LITE_HOME/runtime/lib:${LD_LIBRARY_PATH:-}
fi
""",
)


def check_lite_options(config: Config) -> None:
    """Raises UserError for keys that converter_lite or its script cannot take."""
    check_script_name(config)
    if config.soc_version:
        check_chip(config)
    if config.enc_key_file:
        raise UserError("enc_key_file: MindSpore Lite does not encrypt; pass --converter_lite none, or no key")


def write_lite(config: Config, target: Path, onnx_file: Path, preprocessing: Preprocessing, info: ModelInfo) -> None:
    """Writes a script that runs converter_lite on an ONNX file, and runs it unless `config.converter_lite` says not to.

    Without `soc_version` the MINDIR runs on CPUs, and on Ascend after compiling there. With it, it is compiled for Ascend.

    Raises:
        UserError: converter_lite is not installed, fails, or writes no file; the script stays for another try.
    """
    options = [
        option("fmk", "ONNX"),
        option("modelFile", onnx_file),
        '--outputFile="$work"/model',
        option("saveType", "MINDIR"),
    ]
    kind, before = "none", ""
    batch = (info.input.shape if info.input else "N")[0]
    sizes = sorted(set(config.batch_size)) if any(config.batch_size) else [1]
    if config.soc_version:
        kind, batch = "none" if config.aipp == "none" else "rgb", sizes[0] if len(sizes) == 1 else "N"
        options += [option("optimize", "ascend_oriented"), '--configFile="$work"/lite.cfg']
        before = _configuration(config, sizes, target, preprocessing, kind)
    described = made_from(onnx_file, info, "MINDIR", config.soc_version)
    taken = input_of(kind, preprocessing.image_size, preprocessing.channels)
    changes: dict[str, Any] = {"input": taken.model_copy(update={"shape": (batch, *taken.shape[1:])})}
    if config.soc_version:
        changes["batch_sizes"] = tuple(sizes)
    described = described.model_copy(update=changes)
    convert(_CONVERTER, target, onnx_file, options, described, config.converter_lite == "run", before)


def _configuration(config: Config, sizes: list[int], target: Path, preprocessing: Preprocessing, kind: str) -> str:
    """Lines of the script that write converter_lite's configuration for Ascend. Source: its manual, [ascend_context]."""
    batch = sizes[0] if len(sizes) == 1 else -1
    lines = [
        "[ascend_context]",
        "input_format=NCHW",
        f"input_shape=input:[{batch},{preprocessing.channels},{','.join(map(str, preprocessing.image_size))}]",
    ]
    if len(sizes) > 1:
        lines.append("dynamic_dims=" + ",".join(f"[{size}]" for size in sizes))
    if config.precision != "auto":
        lines.append(f"precision_mode={_PRECISIONS[config.precision]}")
    text = "".join(f"{line}\\n" for line in lines)
    script = f"printf '{text}' >\"$work\"/lite.cfg\n"
    if kind != "none":
        aipp_file = target.with_suffix(".aipp.cfg")
        write_text(aipp_file, aipp_config(preprocessing, kind))
        script += f"printf 'insert_op_config_file_path=%s\\n' {beside(aipp_file)} >>\"$work\"/lite.cfg\n"
    return script


def open_lite(path: Path, info: ModelInfo, preprocessing: Preprocessing, config: Config) -> Classifier:
    """Runs a MINDIR file that MindSpore Lite's converter made, by the program `config.infer_program`.

    Raises:
        UserError: no such program, it has no MindSpore Lite, or MindSpore Lite cannot run the file.
    """
    program = Path(config.infer_program or _PROGRAM)
    if not program.is_file():
        raise UserError(
            f"infer_program: no program '{program}', which runs '{path}', a MINDIR of MindSpore Lite; build it by "
            "'LITE_HOME=FOLDER bash scripts/build_infer.sh', where FOLDER is MindSpore Lite's package"
        )
    fixed = info.input is not None and info.input.shape and info.input.shape[0] != "N"
    largest = max(info.batch_sizes or (min(config.eval_batch_size, LARGEST_BATCH),))
    batch = [] if fixed else ["--batch", str(largest)]
    device = {"Ascend": "ascend", "CPU": "cpu"}.get(config.platform, "auto")
    arguments = ["--device", device, "--device_id", str(config.device_id), "--threads", str(available_cores()), *batch]
    stream = _Stream([str(program), "--model_path", str(path), *arguments], path)

    def classify(images: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = preprocessing.image_size
        if (stream.height, stream.width) != (height, width):
            raise UserError(f"{path}: takes images of {stream.height},{stream.width}, image_size is {height},{width}")
        return stream.run(to_pixels(images, preprocessing) if stream.pixels else np.ascontiguousarray(images, np.float32))

    return classify


class _Stream:
    """A running infer_stream: inputs go to its standard input, logits come from its standard output."""

    def __init__(self, command: list[str], path: Path):
        self._path = path
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the object
        environment = {name: value for name, value in os.environ.items() if name != "GLOG_v"}  # its log has the reasons
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment
        )
        weakref.finalize(self, _end, self._process)
        words = self._process.stdout.readline().decode(errors="replace").split() if self._process.stdout else []
        if len(words) != 5:
            raise self._failure()
        self.pixels = words[0] == "uint8"
        self.height, self.width, self._num_classes, self._batch = map(int, words[1:])

    def run(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Images as the model takes them -> logits float32 (N, classes)."""
        return np.concatenate([self._run_batch(inputs[i : i + self._batch]) for i in range(0, len(inputs), self._batch)])

    def _run_batch(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        to_program, from_program = self._process.stdin, self._process.stdout
        assert to_program and from_program, "they are pipes"
        size = 4 * len(inputs) * self._num_classes
        try:
            to_program.write(struct.pack("=I", len(inputs)) + inputs.tobytes())
            to_program.flush()
        except BrokenPipeError:
            raise self._failure() from None
        answer = from_program.read(size)
        if len(answer) != size:
            raise self._failure()
        return np.frombuffer(answer, np.float32).reshape(len(inputs), self._num_classes)

    def _failure(self) -> UserError:
        self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.startswith("error: ")]
        reason = lines[-1][len("error: ") :] if lines else f"infer_stream ended with exit code {self._process.returncode}"
        reason = reason.removeprefix("--model_path: ")
        return UserError(reason if str(self._path) in reason else f"{self._path}: {reason}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Closes the program's input, at which it ends."""
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    process.wait()
