"""Images put into another folder by a plan that is written first: whatever ends that, the same command goes on with it."""

import errno
import filecmp
import json
import logging
import os
import shutil
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ...errors import UserError
from ...files import owning, work_folder, write_text
from ...progress import bar
from ..sources.folder import PLAN

log = logging.getLogger("resnet_zoo")


@dataclass(frozen=True)
class Plan:
    """What goes where.

    Attributes:
        asked: what the command was asked for; another one must not go on with the plan.
        root: folder of the images.
        mode: "copy", "link" or "move".
        files: [path below `root`, path below the output] of every image.
        texts: name -> content of the files that stand beside the images.
    """

    asked: dict[str, Any]
    root: str
    mode: str
    files: list[list[str]]
    texts: dict[str, str]


def unfinished_plan(output: Path, asked: dict[str, Any]) -> Optional[Plan]:
    """The plan that an interrupted command left in its output.

    Raises:
        UserError: it was another command, or the plan cannot be read.
    """
    path = output / PLAN
    if not path.is_file():
        return None
    give_up = f"or remove '{path}' to give it up"
    try:
        plan = Plan(**json.loads(path.read_bytes()))
        leads_out = any(name.startswith("/") or ".." in name.split("/") for pair in plan.files for name in pair)
        goes_deep = any("/" in name for name in plan.texts) or any(target.count("/") > 1 for _, target in plan.files)
        is_sound = not leads_out and not goes_deep
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        is_sound = False
    if not is_sound:
        raise UserError(f"output: '{path}' is no plan of this command; choose another folder, {give_up}")
    if plan.asked != asked or plan.root != asked["data_dir"] or plan.mode != asked["mode"]:
        was = ", ".join(f"{key} {value}" for key, value in plan.asked.items() if value and key != "class_names")
        raise UserError(f"output: an interrupted command left '{output}' unfinished ({was}); repeat it, {give_up}")
    return plan


def carry_out(plan: Plan, output: Path) -> int:
    """Transfers the images that are not in their place yet; returns the number of all.

    The plan is on the disk before the first image moves, and the texts are beside it. It goes when all is on the disk.

    Raises:
        UserError: two images for one place, a place that is taken, an image that is not a regular file in `root`: nothing
            was changed then; or a disk that is full: nothing was lost then.
    """
    path = output / PLAN
    try:
        with owning(output, "output"):
            pending = [(Path(plan.root) / source, output / target) for source, target in plan.files]
            if path.exists():
                pending = [pair for pair in pending if not _is_done(*pair, plan.mode)]
                log.info("%s: going on with %d of %d images", output, len(pending), len(plan.files))
            else:
                _check_places(plan, output)
            _check_sources(Path(plan.root), [source for source, _ in pending], plan.mode)
            write_text(path, json.dumps(asdict(plan)))
            for name, text in plan.texts.items():
                write_text(output / name, text)
            with work_folder(output) as work:
                for source, target in bar(pending, unit="img"):
                    _make_folder(target.parent, output)
                    _transfer(source, target, plan.mode, work)
            os.sync()
            path.unlink()
    except OSError as error:
        reason = f"{error.filename2 or error.filename or output}: {error.strerror}"
        raise UserError(f"{reason}; nothing is lost: mend that, and the same command goes on") from None
    return len(plan.files)


def _check_places(plan: Plan, output: Path) -> None:
    first: dict[str, str] = {}
    twice = [(first[target], source) for source, target in plan.files if first.setdefault(target, source) != source]
    if twice:
        where = "class" if plan.asked["command"] == "to_flat" else "folder"
        one, other = twice[0]
        names = f"{len(twice)} image names occur in more than one {where}, first {Path(one).name} ({one}, {other})"
        raise UserError(f"{plan.root}: {names}; rename them")
    taken = [output / name for name in (*plan.texts, *first) if os.path.lexists(output / name)]
    if taken:
        raise UserError(f"output: {len(taken)} files exist already, first {taken[0]}; choose another folder")


def _check_sources(root: Path, sources: list[Path], mode: str) -> None:
    """Raises UserError for an image that is not a regular file in `root`, directly or by links."""
    base = os.path.realpath(root)
    real_folders: dict[Path, str] = {}
    for source in sources:
        if source.parent not in real_folders:
            real_folders[source.parent] = os.path.realpath(source.parent)
        real, status = real_folders[source.parent], source.lstat()
        if stat.S_ISLNK(status.st_mode):
            if mode == "move":
                raise UserError(f"{source}: is a link, which may lead elsewhere after a move; pass --mode copy")
            real, status = os.path.realpath(source), source.stat()
        if os.path.commonpath([base, real]) != base:
            raise UserError(f"{source}: leads out of '{root}'; put the file itself there")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{source}: is not a regular file; remove it")


def _is_done(source: Path, target: Path, mode: str) -> bool:
    """Whether an interrupted command has put an image in its place. Raises UserError for another file there, or none."""
    if not os.path.lexists(target):
        if not os.path.lexists(source):
            raise UserError(f"{source}: is gone, and {target} is not there; put it back, and the same command goes on")
        return False
    if mode == "move" and os.path.lexists(source):  # on another disk: copied, but not yet removed
        is_same = filecmp.cmp(source, target, shallow=False)
        if is_same:
            source.unlink()
    else:
        is_same = mode == "move" or source.stat().st_size == target.stat().st_size
    if not is_same:
        raise UserError(f"output: {target} is not the image that belongs there; remove it, and the same command goes on")
    return True


def _make_folder(folder: Path, output: Path) -> None:
    """A class folder directly in the output. Raises UserError where a link or a file has its name."""
    if folder != output and (folder.is_symlink() or not folder.is_dir()):
        if os.path.lexists(folder):
            raise UserError(f"output: {folder} is not a folder of '{output}'; remove it, and the same command goes on")
        folder.mkdir()


def _transfer(source: Path, target: Path, mode: str, work: Path) -> None:
    """Gives one image its place in one step, which an interruption leaves done or undone."""
    if mode == "link":
        os.link(os.path.realpath(source), target)
        return
    if mode == "move":
        try:
            source.rename(target)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    copied = Path(shutil.copy2(source, work))
    if mode == "move":
        with open(copied, "rb") as file:
            os.fsync(file.fileno())
    copied.rename(target)
    if mode == "move":
        source.unlink()
