"""What the C++ programs are built with. Nothing of it is needed to train: what is missing is a warning."""

from collections.abc import Iterator
from pathlib import Path

from .findings import Finding, ok, warning
from .machine import Machine, numbers

_CMAKE = (3, 16)  # ascend310_infer/CMakeLists.txt
SDKS = {  # variable -> files of its SDK, relative to it
    "ASCEND_TOOLKIT_HOME": ("include/acl/acl.h", "lib64/libascendcl.so"),
    "LITE_HOME": ("runtime/include/api/model.h", "runtime/lib/libmindspore-lite.so"),
}


def check_compilers(machine: Machine) -> Iterator[Finding]:
    """Compiler and CMake, and that the folders of the SDKs are what their variables promise."""
    cure = "bash scripts/setup_cpp.sh installs them, or prints the command"
    found = {name: machine.find_program(name) for name in ("c++", "cmake", "make")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        yield warning("c++", f"not here: {', '.join(missing)}; the C++ programs cannot be built", cure)
    elif found["cmake"]:
        words = machine.ask(found["cmake"], "--version").text.split()
        version = next((word for word in words if word[0].isdigit()), "0")
        if numbers(version) < _CMAKE:
            yield warning("c++", f"CMake {version}; {'.'.join(map(str, _CMAKE))} or newer builds the C++ programs", cure)
        else:
            yield ok("c++", f"compiler, make and CMake {version} are there")
    for variable, files in SDKS.items():
        home = machine.environment.get(variable)
        gone = [file for file in files if home and not (Path(home) / file).exists()]
        if gone and not (variable == "LITE_HOME" and (Path(str(home)) / "mindspore_lite").is_dir()):  # an unpacked wheel
            text = f"{variable}={home} lacks {', '.join(gone)}: its backend will not be built"
            yield warning("c++", text, f"correct {variable}, or install the SDK again")
