"""What the source keeps to: small files and functions, imports that only go down, annotations that say what is inside."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
# From the bottom up; a room imports from its own level and those below.
LEVELS = (
    (
        "errors",
        "files",
        "log",
        "progress",
        "device",
        "compat",
        "protobuf",
        "checkpoint_file",
        "config",
        "networks",
        "version",
    ),
    ("described", "model_info", "checkpoint", "distributed", "cpu"),
    ("models", "data", "weights", "launch"),
    ("formats", "report"),
    ("training", "evaluation", "exporting", "offline", "comparing", "doctor"),
    ("library", "serving", "commands", "__init__", "__main__"),
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
BARE = {"dict", "list", "tuple", "set", "frozenset", "Callable", "Iterator", "Iterable", "Sequence", "Mapping", "Counter"}

TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def name_of(path: Path) -> tuple[str, ...]:
    """src/data/index.py -> ("data", "index"); src/data/__init__.py -> ("data", "__init__")."""
    return path.relative_to(SOURCE).with_suffix("").parts


MODULES = {name_of(path) for path in TREES}


def imports_of(path: Path) -> set[tuple[str, ...]]:
    """The modules of the project that a file imports, within functions too."""
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = (*name_of(path)[: -node.level], *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                candidates = ((*target, alias.name), target, (*target, "__init__"))
                found.add(next(name for name in candidates if name in MODULES))
    return found


IMPORTS = {name_of(path): imports_of(path) for path in TREES}


def room_of(module: tuple[str, ...]) -> str:
    return module[0]


def test_files_have_at_most_300_lines():
    sizes = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in TREES}
    assert not {file: size for file, size in sizes.items() if size > 300}


def test_functions_have_at_most_50_lines():
    functions = (
        (f"{place(path, node.lineno)}: {node.name}", node.end_lineno - node.lineno + 1)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    assert not {name: size for name, size in functions if size > 50}


def test_imports_within_the_package_are_relative():  # it is `src` here and `resnet_zoo` once installed
    names = [
        (place(path, node.lineno), name)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    ]
    assert not [name for name in names if name[1].split(".")[0] in ("src", "resnet_zoo")]


def test_imports_go_down_only():
    assert {room_of(module) for module in MODULES} == set(LEVEL)
    upwards = [
        f"{'.'.join(module)} imports {'.'.join(target)}"
        for module, targets in IMPORTS.items()
        for target in targets
        if LEVEL[room_of(target)] > LEVEL[room_of(module)]
    ]
    assert not upwards


@pytest.mark.parametrize("key", [lambda module: module, room_of], ids=["modules", "rooms"])
def test_no_imports_go_in_a_circle(key):
    graph: dict[object, set[object]] = {}
    for module, targets in IMPORTS.items():
        graph.setdefault(key(module), set()).update(key(target) for target in targets if key(target) != key(module))
    TopologicalSorter(graph).prepare()  # raises CycleError, which names them


def test_no_two_files_have_one_name():
    names = [path.name for path in TREES if not path.name.startswith("__")]
    assert not {name for name in names if names.count(name) > 1}


def without_parameters(annotation: ast.expr) -> list[ast.Name]:
    """Names of containers that no [...] follows."""
    followed = {id(node.value) for node in ast.walk(annotation) if isinstance(node, ast.Subscript)}
    names = (node for node in ast.walk(annotation) if isinstance(node, ast.Name) and node.id in BARE)
    return [node for node in names if id(node) not in followed]


def test_annotations_say_what_is_inside():
    bare = [
        f"{place(path, name.lineno)}: {name.id}"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if annotation is not None
        for name in without_parameters(annotation)
    ]
    assert not bare


def test_one_progress_bar():
    users = [path for path, tree in TREES.items() if "tqdm" in {getattr(n, "module", None) for n in ast.walk(tree)}]
    assert {path.name for path in users} == {"progress.py", "log.py"}  # the log writes its lines above the bar


def test_one_file_touches_the_frameworks_parallel_interface():
    names = re.compile(
        r"AllReduce|AllGather|ReduceScatter|mindspore[. ](import )?communication|DistributedGradReducer"
        r"|auto_parallel|ParallelMode"
    )
    found = {place(path).split(":")[0] for path in TREES if names.search(path.read_text(encoding="utf-8"))}
    assert found == {"src/distributed/collectives.py"}


def test_optimizers_are_our_own():  # the framework's momentum is announced to go
    used = {
        name for path in TREES for name in re.findall(r"nn\.(Momentum|SGD|Adam\w*|LARS|Lamb)\b", path.read_text("utf-8"))
    }
    assert not used
