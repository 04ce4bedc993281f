"""The wheel, built and installed into an empty folder, with the packages of the tests beside it."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT

# Import name -> package, where they differ.
PACKAGES = {
    "PIL": "pillow", "google": "protobuf", "pydantic_core": "pydantic", "sklearn": "scikit-learn",
    "prometheus_client": "prometheus-client", "tensorboardX": "tensorboardx", "yaml": "pyyaml",
}  # fmt: skip
OPTIONAL = {
    "scikit-learn",  # extra digits
    "torch", "torchvision", "timm",  # asked for by `weights --verify` alone, which says so
    "moxing",  # exists on ModelArts only
    "acl",  # part of CANN
    "jinja2", "matplotlib",  # extra report
    "starlette", "uvicorn", "prometheus-client",  # extra serve
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder that the wheel is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    uv = [sys.executable, "-m", "uv", "--no-config", "--offline", "--no-cache"]
    build = [*uv, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT]
    subprocess.run(build, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    install = [*uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", folder / "site", wheel]
    subprocess.run(install, capture_output=True, check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def run(site, tmp_path_factory):
    """Runs resnet-zoo, or Python with "-c", away from the repository; the folder is `run.folder`."""

    def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess:
        program = [sys.executable] if arguments[0] == "-c" else [sys.executable, site / "bin" / "resnet-zoo"]
        command = [str(word) for word in (*program, *arguments)]
        environment = {**os.environ, "PYTHONPATH": str(site)}
        result = subprocess.run(
            command, cwd=run.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert result.returncode == code, result.stdout[-2000:] + result.stderr[-2000:]
        return result

    run.folder = tmp_path_factory.mktemp("elsewhere")
    return run


def metadata(site: Path) -> str:
    (path,) = site.glob("*.dist-info/METADATA")
    return path.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 does not list the modules of its library")
def test_every_package_that_is_imported_is_a_dependency(site):
    imported = set()
    for path in (site / "resnet_zoo").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    needed = {PACKAGES.get(name, name) for name in imported - set(sys.stdlib_module_names)}
    declared = {name.lower() for name in re.findall(r"^Requires-Dist: ([\w-]+)(?!.*extra ==)", metadata(site), re.MULTILINE)}
    assert needed - OPTIONAL <= declared
    assert declared - {"protobuf"} <= needed, "a dependency that nothing imports"  # MindSpore needs a certain protobuf


def test_the_import_is_light_and_the_version_that_of_the_package(run, site):
    code = (
        "import sys, resnet_zoo as zoo; print(zoo.__version__, len(zoo.list_models()), zoo.UserError.__mro__[1].__name__)\n"
        "print([name for name in ('mindspore', 'numpy', 'pydantic', 'yaml', 'PIL') if name in sys.modules])\n"
        "print(set(zoo.__all__) <= set(dir(zoo)))"
    )
    first, modules, listed = run("-c", code).stdout.splitlines()
    assert f"\nVersion: {first.split()[0]}\n" in metadata(site)
    assert int(first.split()[1]) > 30 and first.split()[2] == "ValueError"
    assert (modules, listed) == ("[]", "True")


def test_every_command_has_help_that_names_no_file_of_the_repository(run):
    code = (
        "import contextlib, io, json; from resnet_zoo.__main__ import COMMANDS, run\n"
        "texts = {}\n"
        "for name in COMMANDS:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):\n"
        "        run([name, '--help'])\n"
        "    texts[name] = out.getvalue()\n"
        "print(json.dumps(texts))"
    )
    texts = json.loads(run("-c", code).stdout)
    listed = run("--help").stdout
    for name, text in texts.items():
        assert re.search(rf"^  {name} +\w", listed, re.MULTILINE)
        assert "--" in text or "usage" in text
        assert not re.search(r"\bsrc\b|python -m|scripts/|train\.py|eval\.py", text), (name, text)
    assert run("train", "--help").stdout == texts["train"]
    assert run("--version").stdout == run("-c", "import resnet_zoo; print(resnet_zoo.__version__)").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tran"], "error: 'tran': unknown command; did you mean train?\n"),
        (["predict", "--pretrained", "x.ckpt"], "error: predict: no image or folder; write resnet-zoo predict IMAGE --"),
        (["launch", "train", "--rank_table", "no.json"], "resnet-zoo rank-table make writes one\n"),
        (["models", "resnet"], "error: backbone: unknown network 'resnet'; did you mean "),
        (["train", "--config_path", "quickstrat"], "error: config_path: no such file 'quickstrat'; recipes here: configs/"),
        (["train", "--result_dir", "x"], "error: result_dir: belongs to postprocess, not train; leave it out\n"),
    ],
)
def test_a_mistake_is_one_line_with_commands_that_there_are(run, arguments, message):
    error = run(*arguments, code=2).stderr
    assert error.count("\n") == 1 and message in error, error


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yaml", "configs/quickstart.yaml"])
def test_recipes_of_the_package_are_found_by_name(run, name):
    assert "max_epoch: 12\n" in run("train", "--config_path", name, "--dry_run").stdout


@pytest.mark.slow
def test_the_page_of_the_library(run, trained):
    """Its commands and its Python, in order; trained for one epoch only."""
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    first, *python = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    commands = re.findall(r"^resnet-zoo (.*)$", page, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["digits", "train", "export"]
    for command in commands:
        short = ["--max_epoch", "1", "--lr", "0.05"] if command.startswith("train") else []
        run(*command.split(), *short)
    (run.folder / "best.ckpt").write_bytes(trained["ckpt"].read_bytes())
    (run.folder / "cat.jpg").write_bytes((trained["data"] / "val/red/red1.jpg").read_bytes())
    checks = "\nassert len(found) == 360 and exported.predict(pixels)[0].name == model.predict(pixels)[0].name"
    output = run("-c", "".join([first, *python, checks])).stdout
    assert "Prediction(name='" in output and "images=360" in output and "(2, 10)" in output
    assert output.splitlines()[-1] == "pretrained: no such file 'run/bets.ckpt'"


@pytest.mark.slow
def test_ranks_are_started_by_the_package(run, trained):
    arguments = ["--pretrained", trained["ckpt"], "--data_dir", trained["data"], "--result_json", "result.json"]
    run("launch", "eval", "--device_num", 2, "--master_port", 9217, "--log_dir", "logs", "--platform", "CPU", *arguments)
    assert json.loads((run.folder / "result.json").read_text())["images"] == 33
