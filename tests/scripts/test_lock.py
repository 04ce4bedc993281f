"""The lock files against pyproject.toml: what pip and uv will install, without asking a registry."""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
ABSENT = {canonicalize_name(name) for name in PROJECT["tool"]["uv"]["exclude-dependencies"]}
LOCKS = {"requirements.txt": ["cpp", "digits"], "requirements-dev.txt": list(EXTRAS)}  # the extras that they hold
SYSTEMS = [(python, machine) for python in ("3.9", "3.10", "3.11", "3.12") for machine in ("x86_64", "aarch64")]


def entries(name: str) -> list:
    """The requirements of a lock file, each with its hashes, as text without comments and line ends."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


def pins(name: str, environment: dict) -> dict:
    """package: version, for one environment."""
    found = {}
    for entry in entries(name):
        requirement = Requirement(entry.split(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(environment):
            key = canonicalize_name(requirement.name)
            assert key not in found, f"{name}: two versions of {key}"
            (specifier,) = requirement.specifier
            assert specifier.operator == "=="
            found[key] = specifier.version
    return found


def environment_of(python: str, machine: str) -> dict:
    system = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine}
    return {**system, "python_version": python, "python_full_version": f"{python}.5", "extra": ""}


def assert_satisfied(requirements: list, locked: dict, environment: dict) -> None:
    for text in requirements:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in ABSENT or (requirement.marker and not requirement.marker.evaluate(environment)):
            continue
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{text}: {locked[name]} is locked"


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("python, machine", SYSTEMS)
def test_lock_file_is_current(name, python, machine):
    """Fails when a dependency was changed without `bash scripts/lock.sh`."""
    environment = environment_of(python, machine)
    extras = [text for extra in LOCKS[name] for text in EXTRAS[extra]]
    assert_satisfied(PROJECT["project"]["dependencies"] + extras, pins(name, environment), environment)


@pytest.mark.parametrize("python, machine", SYSTEMS)
def test_dev_lock_file_contains_the_other(python, machine):
    environment = environment_of(python, machine)
    assert pins("requirements.txt", environment).items() <= pins("requirements-dev.txt", environment).items()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_file_is_complete_here(name):
    """What a locked package depends on is locked too, and what is locked is needed."""
    environment = {**default_environment(), "extra": ""}
    locked = pins(name, environment)
    needed = PROJECT["project"]["dependencies"] + [text for extra in LOCKS[name] for text in EXTRAS[extra]]
    seen = set()
    while needed:
        assert_satisfied(needed, locked, environment)
        names = {canonicalize_name(Requirement(text).name) for text in needed} - seen
        seen |= names
        needed = [text for package in names & locked.keys() for text in distribution(package).requires or []]
    assert locked.keys() <= seen
    record = Path(sys.prefix) / "mindspore"  # another release was asked for: scripts/setup_env.sh
    if record.is_file() and record.read_text().strip() != "locked":
        del locked["mindspore"]
    for package, version in locked.items():
        assert distribution(package).version == version


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_has_hashes_and_no_address(name):
    for entry in entries(name):
        assert re.fullmatch(r"[\w.-]+==[^ ]+( ; .*?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry
    assert "://" not in (ROOT / name).read_text()
    assert not re.search(r"^torch==", (ROOT / name).read_text(), re.MULTILINE)


def test_openvino_sends_no_statistics():
    """The package that does is neither locked nor installed: OpenVINO then takes a stub of its own."""
    assert {"openvino-telemetry"} == ABSENT
    for name in LOCKS:
        assert "telemetry" not in (ROOT / name).read_text()
    with pytest.raises(PackageNotFoundError):
        distribution("openvino-telemetry")
    if find_spec("openvino"):
        from openvino.tools.ovc import telemetry_utils

        assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
