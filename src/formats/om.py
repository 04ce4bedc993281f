"""OM files for Ascend: a script that runs ATC, CANN's converter, on an ONNX file; and running it where ATC is installed."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..files import write_text
from ..log import log
from ..model_info import LARGEST_BATCH, ModelInfo, OnnxOrigin, Preprocessing
from .aipp import aipp_config, input_of

MOST_SIZES = 100  # ATC, --dynamic_batch_size
_LAST_LINES = 10

_SCRIPT = """\
#!/usr/bin/env bash
# Converts {onnx} to {om} with ATC and describes it in {om}.meta.json. Written by export.py.
# ATC is part of CANN, for example: source /usr/local/Ascend/ascend-toolkit/set_env.sh
set -euo pipefail

here=$(CDPATH="" cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)
command -v atc >/dev/null || {{
  printf '%s: got no atc on PATH; expected the one of CANN. Source its set_env.sh first\\n' {name} >&2
  exit 2
}}
work=$(mktemp -d "$here/.atc.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" # ATC leaves files in the current folder

atc \\
{options}

files=("$work"/model*.om) # some versions of CANN put system and processor into the name: model_linux_aarch64.om
[[ -s "${{files[0]}}" ]] || {{
  printf '%s: got exit code 0 from atc, but no OM file; expected %s. Its output stands above\\n' {name} {om_quoted} >&2
  exit 1
}}
digest=$(sha256sum "${{files[0]}}" | cut -d' ' -f1)
{{
  printf '{{\\n  "sha256": "%s",\\n' "$digest"
  cat <<'META'
{meta}
META
}} > "$work/meta.json"
mv -f "${{files[0]}}" "$here"/{om_quoted}
mv -f "$work/meta.json" "$here"/{meta_quoted}
"""


def check_om_options(config: Config) -> None:
    """Raises UserError for a processor name, a file name or batch sizes that ATC or its script would not take."""
    if not config.soc_version:
        raise UserError("soc_version: no value; pass --soc_version Ascend<chip name of npu-smi info>, e.g. Ascend310P3")
    if not re.fullmatch(r"Ascend\d\w*", config.soc_version):
        near = re.sub(r"(?i)^ascend", "", config.soc_version).strip()
        raise UserError(
            f"soc_version: '{config.soc_version}' is no processor name; expected Ascend and the chip name of npu-smi info"
            + (f", as in Ascend{near}" if re.fullmatch(r"\d\w*", near) else "")
        )
    name = Path(config.file_name or config.ckpt_file).name
    if not name.isprintable():
        raise UserError(f"file_name: {name!r} has characters that a script cannot hold; pass another --file_name")
    sizes = config.batch_size
    if len(sizes) > MOST_SIZES or max(sizes) > LARGEST_BATCH or (len(sizes) > 1 and 0 in sizes):
        raise UserError(f"batch_size: an OM takes up to {MOST_SIZES} sizes from 1 to {LARGEST_BATCH}, got {_text(sizes)}")
    try:
        shlex.split(config.atc_options)
    except ValueError as error:
        raise UserError(f"atc_options: {error} in '{config.atc_options}'") from None


def write_om(config: Config, target: Path, onnx_file: Path, preprocessing: Preprocessing, info: ModelInfo) -> None:
    """Writes the AIPP file and the script beside `onnx_file`, and runs the script unless `config.atc` says not to.

    Args:
        target: the OM file to write.
        info: what the ONNX file says of itself; what the OM says is made from it.

    Raises:
        UserError: ATC is not installed, fails, or writes no file; the script stays for another try.
    """
    kind = "rgb" if config.aipp == "auto" else config.aipp
    sizes = sorted(set(config.batch_size)) if any(config.batch_size) else [1]
    batch = sizes[0] if len(sizes) == 1 else -1
    options = [
        ("framework", "5"),  # ONNX
        ("model", onnx_file),
        ("input_format", "NCHW"),
        ("input_shape", f"input:{batch},{preprocessing.channels},{_text(preprocessing.image_size)}"),
        ("output_type", "FP32"),
        ("soc_version", config.soc_version),
        ("log", "error"),
    ]
    if len(sizes) > 1:
        options.append(("dynamic_batch_size", _text(sizes)))
    if kind != "none":
        aipp_file = target.with_suffix(".aipp.cfg")
        write_text(aipp_file, aipp_config(preprocessing, kind))
        options.append(("insert_op_conf", aipp_file))
    lines = [f"--{name}={_quote(value)}" for name, value in options]
    lines += ['--output="$work"/model', *(shlex.quote(option) for option in shlex.split(config.atc_options))]
    changes = {"input": input_of(kind, preprocessing.image_size, preprocessing.channels), "batch_sizes": tuple(sizes)}
    described = _described(config, onnx_file, info).model_copy(update=changes)
    script = target.with_suffix(".atc.sh")
    _write_script(script, target, onnx_file, lines, described)
    if config.atc == "script":
        log.info("%s: ready; run 'bash %s' where CANN is installed", script, script)
        return
    _run(script, target)


def _write_script(script: Path, target: Path, onnx_file: Path, options: list[str], described: ModelInfo) -> None:
    text = _SCRIPT.format(
        name=shlex.quote(script.name),
        onnx=onnx_file.name,
        om=target.name,
        om_quoted=shlex.quote(target.name),
        meta_quoted=shlex.quote(f"{target.name}.meta.json"),
        options=" \\\n".join(f"  {line}" for line in options),
        meta=json.dumps(described.to_dict(), indent=2)[2:],
    )
    write_text(script, text)


def _described(config: Config, onnx_file: Path, info: ModelInfo) -> ModelInfo:
    """What an OM says of itself, but its input, from what its ONNX file says."""
    return info.model_copy(
        update={
            "file_format": "OM",
            "soc_version": config.soc_version,
            "onnx": OnnxOrigin(file=onnx_file.name, max_abs_diff=info.max_abs_diff),
            "max_abs_diff": None,  # an OM runs on Ascend only
            "compared_batch_sizes": (),
        }
    )


def _run(script: Path, target: Path) -> None:
    if not shutil.which("atc"):
        raise UserError(
            f"atc: not on PATH, so {target} was not written; {script} is ready: run it where CANN is installed, "
            "or pass --atc script if that is what you want"
        )
    log.info("%s: running; ATC takes some minutes", script)
    outcome = subprocess.run(
        ["bash", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if outcome.returncode:
        for line in outcome.stdout.splitlines()[-_LAST_LINES:]:
            log.error("atc: %s", line)
        raise UserError(f"atc: {script} failed with exit code {outcome.returncode}; the end of its output stands above")
    log.info("%s: written; it was not run here, its ONNX file was", target)


def _text(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _quote(value) -> str:
    return f'"$here"/{shlex.quote(value.name)}' if isinstance(value, Path) else shlex.quote(str(value))
