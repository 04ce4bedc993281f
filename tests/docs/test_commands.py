"""Every command on the pages is understood: parsed or dry-run by the program that it calls, shell scripts included."""

import argparse
import ast
import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import ENGLISH, OTHERS, Command, commands, read

from conftest import ROOT
from src.config import load_config
from src.doctor import __main__ as doctor
from src.errors import UserError
from src.launch import command as launcher
from src.serving import serve

COMMANDS = sorted({(line, page) for path in [*ENGLISH, *OTHERS] for page, line in commands(path)})
CONFIGURED = ("train.py", "eval.py", "export.py", "preprocess.py", "postprocess.py")
# Programs that are not ours: their command lines are split into words, no more.
OTHER_PROGRAMS = {"source", "openssl", "pip", "unzip", "cmake", "npu-smi", "hccn_tool", "kubectl", "umask", "curl", "docker"}
OTHER_MODULES = {"ais_bench", "pytest"}
RUNS_CONFIGURATIONS = ("outputs/quickstart/run/config.yaml", "outputs/table/config.yaml")  # there after those runs only
WRITTEN_BY_EXPORT = {"best.atc.sh", "best.lite.sh"}
INSTALLING = {
    "quickstart.sh",
    "setup_env.sh",
    "setup_cpp.sh",
    "build_infer.sh",
    "lock.sh",
    "run_matrix.sh",
}  # not run: they change the machine


class ParsedError(Exception):
    """The command line was understood; the program goes no further."""


@pytest.fixture
def parse_only(monkeypatch):
    """Argument parsers end the program after a successful parse."""
    parse = argparse.ArgumentParser.parse_args

    def parse_args(self, arguments=None, namespace=None):
        parse(self, arguments, namespace)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> Path:
    """Our shell scripts in a repository whose Python and C++ program write down what they were called with."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "scripts", root / "scripts")
    (root / "scripts/build_infer.sh").write_text("")
    for program in (".venv/bin/python", "ascend310_infer/build/infer_images"):
        (root / program).parent.mkdir(parents=True)
        (root / program).write_text(f'#!/bin/sh\nprintf "%s\\n" {program} "$@" >"{root}/called"\n')
        (root / program).chmod(0o755)
    return root


@pytest.mark.parametrize(("line", "page"), COMMANDS, ids=[f"{page.stem}: {line[:60]}" for line, page in COMMANDS])
def test_a_command_is_understood(line, page, parse_only, scripts, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in simple_commands(line):
        check(words, scripts)


def simple_commands(line: str) -> list[list[str]]:
    """The words of each command in a line, without what may be left out ([CONFIG]), redirections and variables in front."""
    lexer = shlex.shlex(re.sub(r"\[[A-Z-].*?\]", "", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in ("&&", ";", "|", "(", ")"):
            found.append([])
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word)
    return [words[: words.index(">")] if ">" in words else words for words in found if words]


def check(words: list[str], scripts: Path) -> None:
    """Fails where a command line is not understood."""
    program, *arguments = words
    if program in ("python", "python3"):
        check_python(arguments)
    elif program == "bash":
        check_script(Path(arguments[0]), arguments[1:], scripts)
    elif program == "resnet-zoo":
        check_python(["-m", "src", *arguments])
    elif program in ("ascend310_infer/build/infer_images", "ascend310_infer/build/infer_bin"):
        check_flags(arguments)
    else:
        assert program in {*OTHER_PROGRAMS, "cd", "ctest"}, program


def check_python(arguments: list[str]) -> None:
    """A script, a module or a text of Python."""
    if arguments[0] == "-c":
        statements = ast.parse(arguments[1]).body
        exec(ast.unparse([node for node in statements if isinstance(node, ast.ImportFrom)]), {})  # what it names exists
        return
    module, rest = (arguments[1], arguments[2:]) if arguments[0] == "-m" else (arguments[0], arguments[1:])
    if module in OTHER_MODULES:
        return
    if rest[-1:] == ["..."]:
        rest = rest[:-1] or ["--help"]
    if module == "src" and rest:
        module, rest = module_of(rest)
    if module == "src.launch" and rest:
        options, keys = launcher._parser().parse_known_args(rest)
        module, rest = options.program, keys
    if module == "src.serving.serve" and rest != ["--help"]:
        _, rest = serve._parser().parse_known_args(rest)
        module = "eval.py"
    if module == "src.doctor":
        module, rest = "train.py", doctor._parser().parse_known_args(rest)[1]  # the keys that are left are train.py's
    if module in CONFIGURED:
        rest = ["configs/quickstart.yaml" if word in RUNS_CONFIGURATIONS else word for word in rest]
        with pytest.raises(SystemExit) as stopped:
            load_config([*rest, "--dry_run"], module.removesuffix(".py"))
        assert stopped.value.code == 0
        return
    try:
        assert is_parsed(module, rest)
    except UserError:  # the text names a command without its arguments
        assert not [word for word in rest if word.startswith("--")]
        assert is_parsed(module, [*rest, "--help"])


def module_of(arguments: list[str]) -> tuple[str, list[str]]:
    """What `resnet-zoo COMMAND ...` calls, by its name in a checkout, and with which arguments."""
    from src.__main__ import COMMANDS

    command, *rest = arguments
    if command == "--help":
        return "src", arguments
    assert command in COMMANDS
    if command == "predict":
        return "eval.py", ["--predict", *rest]
    if command == "compare":
        return "eval.py", rest[next(i for i, word in enumerate(rest) if word.startswith("--")) :]  # without the files
    if f"{command}.py" in CONFIGURED:
        return f"{command}.py", rest
    if command == "labels":
        return "create_imagenet2012_label.py", rest
    return "src." + COMMANDS[command][0].removesuffix(".__main__").removesuffix(".command"), rest


def is_parsed(module: str, arguments: list[str]) -> bool:
    """Whether a program's parser takes the arguments; a program without a parser takes none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [module, *arguments])
        patch.syspath_prepend(ROOT / "benchmarks")  # they import each other
        main = main_of(module)
        if not {"ArgumentParser", "CommandParser", "parse_arguments", "_parser"} & set(main.__code__.co_names):
            return not arguments
        try:
            main(arguments) if main.__code__.co_argcount else main()
        except ParsedError:
            return True
        except SystemExit as stopped:
            return stopped.code == 0
    return False


def main_of(module: str) -> Callable:
    """What a script or a module runs."""
    if module.startswith(("scripts/", "benchmarks/", "tests/")):
        return runpy.run_path(str(ROOT / module))["main"]
    name = module.removesuffix(".py")
    is_package = importlib.util.find_spec(name).submodule_search_locations is not None
    found = importlib.import_module(f"{name}.__main__" if is_package else name)
    return getattr(found, "main", lambda: 0)  # a former name calls the present one


def check_script(script: Path, arguments: list[str], scripts: Path) -> None:
    """A shell script: what it would call is checked in turn."""
    if script.name in WRITTEN_BY_EXPORT:
        return
    assert (ROOT / script).is_file()
    if script.name == "run_tests.sh":
        return  # its arguments are pytest's
    if script.name in INSTALLING:
        assert all(word in read(ROOT / script) for word in arguments)
        return
    called = scripts / "called"
    called.unlink(missing_ok=True)
    command = ["bash", str(scripts / script), *arguments]
    outcome = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CDPATH": ""}, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    program, *passed = called.read_text().splitlines()
    if program == ".venv/bin/python":
        check_python(passed)
    else:
        check_flags(passed)


def check_flags(arguments: list[str]) -> None:
    """Flags of the C++ programs: those that their README explains."""
    explained = set(re.findall(r"`(--\w+)", read(ROOT / "ascend310_infer/README.md")))
    assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= explained


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --data_dir photos --batchsize 8",
        "python eval.py --data_dir photos --max_epoch 3",
        "python -m src.weights --backbone resnet18 --from x.pth --output y.ckpt",
        "python -m src.launch train.py --nnodes two",
        "bash scripts/run_standalone_train.sh 0 imagenet configs/nothing.yaml",
        "bash scripts/run_eval.sh 0 imagenet/val",
        "bash scripts/run_infer_310.sh a.onnx val --bach 8",
        "python benchmarks/kills.py --kil3 3",
        "wget something",
    ],
)
def test_a_mistaken_command_is_noticed(line, parse_only, scripts, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((AssertionError, UserError, SystemExit, FileNotFoundError)):
        check(shlex.split(line), scripts)


def test_commands_are_found_in_blocks_and_in_the_text():
    assert len(COMMANDS) > 80
    assert Command(ROOT / "README.md", "bash scripts/quickstart.sh") in commands(ROOT / "README.md")
