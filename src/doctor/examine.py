"""All checks in the order in which a machine is set up; one that cannot be made here says so and stops no other."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..errors import UserError, first_line
from . import cann, cpp, npu, ports, python_packages
from .findings import Finding, ok, problem, warning
from .machine import Machine
from .versions import chip_family

if TYPE_CHECKING:
    from ..config import Config


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        machine: the machine.
        config: the configuration, None where what it needs is not installed.
        given: keys of it that were given, with their texts.
        rank_table: a rank table, or None.
        port: of a launch, on server 0.
    """

    machine: Machine = field(default_factory=Machine)
    config: Optional["Config"] = None
    given: dict[str, str] = field(default_factory=dict)
    rank_table: Optional[Path] = None
    port: int = ports.MASTER_PORT

    @property
    def is_ascend(self) -> bool:
        """Whether Ascend is here, or asked for."""
        asked = self.given.get("platform") or self.given.get("device_target")
        return asked == "Ascend" or (asked in (None, "auto") and self.machine.has_ascend)


def examine(subject: Subject) -> Iterator[Finding]:
    """Makes every check."""
    machine, config = subject.machine, subject.config
    yield from _kept("python", lambda: python_packages.check_python(machine))
    said: dict[str, Any] = {}
    yield from _kept("mindspore", lambda: python_packages.ask_mindspore(machine, said))
    yield from _kept("instructions", lambda: python_packages.check_instructions(machine))
    mindspore = said.get("version")
    megabytes = 0
    if subject.is_ascend:
        devices, findings = npu.ask_devices(machine)
        megabytes = devices.memory if devices else 0
        chips = devices.chips if devices else []
        yield from findings
        yield from _kept("devices", lambda: npu.check_devices(machine, devices, said.get("ascend")))
        yield from _kept("cann", lambda: cann.check_cann(machine, mindspore, chips))
        if not chips or any(chip_family(chip).startswith("910") for chip in chips):
            yield from _kept("hccn", lambda: ports.check_links(machine))
        yield from _kept("hccl", lambda: ports.check_timeouts(machine))
    else:
        yield ok("ascend", "no sign of it here; its devices, drivers and libraries were not looked for")
    table = subject.rank_table
    if table:
        yield from _kept("rank table", lambda: ports.check_rank_table(machine, table))
    yield from _kept("ports", lambda: ports.check_ports(subject.port, subject.is_ascend))
    yield from _kept("c++", lambda: cpp.check_compilers(machine))
    if config is None:
        yield warning("configuration", "not read: a package is missing (above)", "install it, then ask again")
        return
    yield from _check_run(subject, config, mindspore, megabytes)


def _check_run(subject: Subject, config: "Config", mindspore: Optional[str], megabytes: int) -> Iterator[Finding]:
    """What a run with this configuration needs of the machine, its data and the file that it starts from."""
    from ..weights.listing import is_published
    from . import resources

    machine = subject.machine
    asked = config.platform if config.platform != "auto" else "Ascend" if subject.is_ascend else "CPU"
    yield from _kept("memory", lambda: resources.check_memory(machine, config, asked, megabytes))
    yield from _kept("disk", lambda: resources.check_disk(config))
    yield from _kept("limits", lambda: resources.check_limits(machine))
    if config.data_dir:
        yield from _kept("data", lambda: _data(config))
    if config.pretrained and not is_published(config.pretrained):
        yield from _kept("model", lambda: _model(config, mindspore))


def _data(config: "Config") -> Iterator[Finding]:
    from .data_health import check_data

    return check_data(config)


def _model(config: "Config", mindspore: Optional[str]) -> Iterator[Finding]:
    from ..data.datasets import unchecked_data
    from .model_file import check_model

    names: tuple[str, ...] = ()
    if config.data_dir:
        try:
            names = unchecked_data(config)[0].class_names
        except UserError:
            names = ()  # the check of the data has said why
    return check_model(Path(config.pretrained), mindspore, names)


def _kept(check: str, make: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; what stops it becomes one, because on a broken machine anything may break."""
    try:
        yield from make()
    except ModuleNotFoundError as error:
        yield warning(check, f"not checked: the Python package '{error.name}' is missing", python_packages.SETUP)
    except UserError as error:
        yield problem(check, str(error), "mend that, then ask again")
    except Exception as error:
        yield warning(check, f"not checked: {type(error).__name__}: {first_line(error)}", "please report this")


def as_dict(findings: list[Finding]) -> dict[str, Any]:
    """For JSON."""
    counts = {level: sum(finding.level == level for finding in findings) for level in ("ok", "warning", "problem")}
    rows = [{"check": f.check, "level": f.level, "text": f.text, "cure": f.cure} for f in findings]
    return {"counts": counts, "findings": rows}
