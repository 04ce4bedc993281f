"""Scripts that run a converter of another package on an ONNX file, and running them where that converter is installed."""

import json
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import write_text
from ..log import log
from ..model_info import ModelInfo

_LAST_LINES = 10

_SCRIPT = """\
#!/usr/bin/env bash
# Converts {onnx} to {target} with {tool} and describes it in {target}.meta.json. Written by export.py.
# {example}
set -euo pipefail

here=$(CDPATH="" cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)
{setup}command -v {tool} >/dev/null || {{
  printf '%s: got no {tool} on PATH; expected the one of {package}. {advice}\\n' {name} >&2
  exit 2
}}
work=$(mktemp -d "$here/.{tool}.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" # converters leave files in the current folder

{before}{tool} \\
{options}

files=("$work"/model*{ending}) # some versions put system and processor into the name: model_linux_aarch64.om
[[ -s "${{files[0]}}" ]] || {{
  printf '%s: got exit code 0 from {tool}, but no {kind} file; expected %s. Its output stands above\\n' {name} {quoted} >&2
  exit 1
}}
digest=$(sha256sum "${{files[0]}}" | cut -d' ' -f1)
{{
  printf '{{\\n  "sha256": "%s",\\n' "$digest"
  cat <<'META'
{meta}
META
}} > "$work/meta.json"
cat "${{files[0]}}" >"$work/done" # with the user's mask; converter_lite writes files that nobody may change
mv -f "$work/done" "$here"/{quoted}
mv -f "$work/meta.json" "$here"/{meta_quoted}
"""


@dataclass(frozen=True)
class Converter:
    """A converter's program.

    Attributes:
        tool: its name.
        key: of the configuration, which decides whether it is run.
        package: what it comes with.
        advice: how to get at it, a sentence.
        example: a comment for the script, the same at more length.
        kind: what it writes.
        setup: lines of the script that help to find it.
        explained: an error of its output as one line with what to do, or "".
    """

    tool: str
    key: str
    package: str
    advice: str
    example: str
    kind: str
    setup: str = ""
    explained: Callable[[str], str] = lambda output: ""

    def script(self, target: Path) -> Path:
        """net.om -> net.atc.sh."""
        return target.with_suffix(f".{self.tool.replace('converter_', '')}.sh")


def option(name: str, value: Any) -> str:
    """An option as the script writes it; a Path is a file beside the script."""
    return f"--{name}=" + (beside(value) if isinstance(value, Path) else shlex.quote(str(value)))


def beside(path: Path) -> str:
    """How the script writes a file that lies beside it."""
    return f'"$here"/{shlex.quote(path.name)}'


def convert(
    converter: Converter,
    target: Path,
    onnx_file: Path,
    options: list[str],
    described: ModelInfo,
    run: bool,
    before: str = "",
) -> None:
    """Writes the script, which leaves `target` and its description, and runs it. What it leaves is not run: `compare` does.

    Args:
        options: of the converter, quoted for bash; "$here" is the folder of the script, "$work"/model what it must write.
        run: False: the script is written only.
        before: lines of the script that come before the converter.

    Raises:
        UserError: the converter is not installed, fails, or writes no file; the script stays for another try.
    """
    script = converter.script(target)
    text = _SCRIPT.format(
        name=shlex.quote(script.name),
        onnx=onnx_file.name,
        target=target.name,
        quoted=shlex.quote(target.name),
        meta_quoted=shlex.quote(f"{target.name}.meta.json"),
        ending=target.suffix,
        options=" \\\n".join(f"  {line}" for line in options),
        meta=json.dumps(described.to_dict(), indent=2)[2:],
        tool=converter.tool,
        package=converter.package,
        advice=converter.advice,
        example=converter.example,
        kind=converter.kind,
        setup=converter.setup,
        before=before,
    )
    write_text(script, text)
    if run:
        _run(converter, script, target)
        compare = f"python -m src compare {shlex.quote(str(onnx_file))} {shlex.quote(str(target))} --data_dir FOLDER"
        log.info("%s: written, but not run; what compares it with its ONNX file, where it can be run: %s", target, compare)
    else:
        log.info("%s: ready; run 'bash %s' where %s is installed", script, script, converter.package)


def _run(converter: Converter, script: Path, target: Path) -> None:
    tool = converter.tool
    log.info("%s: running; %s may take some minutes", script, tool)
    outcome = subprocess.run(
        ["bash", str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if f"got no {tool} on PATH" in outcome.stdout:
        raise UserError(
            f"{tool}: not on PATH, so {target} was not written; {script} is ready: run it where {converter.package} is "
            f"installed, or pass --{converter.key} script if that is what you want"
        )
    if outcome.returncode:
        for line in outcome.stdout.splitlines()[-_LAST_LINES:]:
            log.error("%s: %s", tool, line)
        kept = script.with_suffix(".log")
        write_text(kept, outcome.stdout)
        reason = converter.explained(outcome.stdout)
        failed = f"{tool}: {script} failed with exit code {outcome.returncode}" + (f": {reason}" if reason else "")
        raise UserError(f"{failed}; all of its output is in {kept}")
