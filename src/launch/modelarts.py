"""Huawei Cloud ModelArts: where its jobs find each other, and data and results in its object storage (through moxing).

One process of each server copies; the others wait for a file's lock, which the kernel frees however that process ends.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from ..config import Config
from ..errors import UserError
from ..log import log
from ..progress import beat

BEAT_SECONDS = 5.0


def cluster_defaults(environment: Mapping[str, str]) -> dict[str, Any]:
    """What ModelArts says of the servers of a job, as defaults for the launcher's options.

    RANK_TABLE_FILE is the table, or in older images its folder; without a table MA_NUM_HOSTS, VC_TASK_INDEX,
    VC_WORKER_HOSTS (the first is server 0) and MA_NUM_GPUS count.
    """
    table = environment.get("RANK_TABLE_FILE", "")
    if table:
        return {"rank_table": Path(table, "jobstart_hccl.json") if os.path.isdir(table) else Path(table)}
    found: dict[str, Any] = {}
    for option, variable in (("nnodes", "MA_NUM_HOSTS"), ("node_rank", "VC_TASK_INDEX"), ("device_num", "MA_NUM_GPUS")):
        if environment.get(variable):
            found[option] = _number(environment, variable, 0)
    hosts = environment.get("VC_WORKER_HOSTS", "").split(",")
    if hosts[0] and found.get("nnodes") != 1:  # one server needs no address that others can reach
        found["master_addr"] = hosts[0].strip()
    return found


@contextlib.contextmanager
def copied(config: Config, results: bool = True) -> Iterator[Config]:
    """Brings data and checkpoints from the object storage, and the run's folder to it when the block ends, however it ends.

    Args:
        results: False: there is no run's folder to bring back.

    Yields:
        The configuration with the local places of what was copied; `config` itself where enable_modelarts is 0.

    Raises:
        UserError: moxing is not installed, or a copy failed.
    """
    if not config.enable_modelarts:
        yield config
        return
    local = _with_local_paths(config)
    rank = _number(os.environ, "RANK_ID", 0)
    jobs = [(key, getattr(config, key), target) for key, target in _sources(config) if getattr(config, key)]

    def copy_all() -> None:
        for job in jobs:
            _copy(*job)

    if jobs:
        _once(copy_all, repr(jobs))
    bring_back = results and config.train_url and rank == 0
    try:
        yield local
    except BaseException:
        if bring_back and os.path.isdir(local.ckpt_path):
            try:
                _copy("train_url", local.ckpt_path, config.train_url)
            except UserError as error:
                log.warning("%s", error)  # beside what ended the run
        raise
    if bring_back:
        _copy("train_url", local.ckpt_path, config.train_url)


def _once(copy: Callable[[], Any], what: str) -> None:
    """Runs `copy` in the first process of this server that comes here; the others wait for it.

    Raises:
        UserError: on all of them, where it failed or its process was killed.
    """
    on_server = max(1, _number(os.environ, "RANK_SIZE", 1) // max(1, _number(os.environ, "MA_NUM_HOSTS", 1)))
    size = _number(os.environ, "RESNET_ZOO_LOCAL_SIZE", on_server)
    job = os.environ.get("RESNET_ZOO_JOB") or os.environ.get("JOB_ID") or "job"
    digest = hashlib.sha256(f"{job} {what}".encode(errors="surrogateescape")).hexdigest()
    with _beating(), open(_private_folder() / digest, "a+", encoding="utf-8", errors="backslashreplace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        came, _, failure = file.read().partition("\n")
        if came:
            _note(file, int(came) + 1, size, failure)
            if failure:
                raise UserError(failure)
            return
        _note(file, 1, size, "enable_modelarts: the process that copies for this server ended before it had finished")
        try:
            copy()
        except UserError as error:
            _note(file, 1, size, f"{error} (in the process that copies for this server)")
            raise
        _note(file, 1, size, "")


def _note(file: TextIO, came: int, size: int, failure: str) -> None:
    """Writes how copying ended for the processes that have not come yet; the last one leaves nothing."""
    file.truncate(0)
    if came < size:
        file.write(f"{came}\n{failure}")
    file.flush()


def _private_folder() -> Path:
    """A folder that nobody else can enter. Raises UserError where something else has its name."""
    folder = Path(tempfile.gettempdir(), f"resnet-zoo-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UserError(f"enable_modelarts: {folder} is not a folder of this user alone; remove it, or set TMPDIR")
    return folder


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", value):
        raise UserError(f"{name}: '{value}' in the environment is not a number")
    return int(value)


@contextlib.contextmanager
def _beating() -> Iterator[None]:
    """Signs of life while another thread's copying takes longer than the launcher lets a rank be silent."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(BEAT_SECONDS):
            beat()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _copy(key: str, source: str, target: str) -> None:
    """Copies a file or a folder. Raises UserError naming the configuration key."""
    try:
        import moxing
    except ModuleNotFoundError:
        raise UserError(
            "enable_modelarts: the package moxing is missing; it comes with ModelArts' images, elsewhere "
            "pass --enable_modelarts 0"
        ) from None
    started = time.monotonic()
    try:
        if moxing.file.is_directory(source):
            moxing.file.copy_parallel(source, target)
        else:
            moxing.file.copy(source, str(Path(target, source.rpartition("/")[2])) if key != "train_url" else target)
    except Exception as error:  # moxing documents no types
        raise UserError(f"{key}: copying '{source}' to '{target}' failed: {error}") from None
    log.info("%s: copied %s to %s in %.1f s", key, source, target, time.monotonic() - started)


def _sources(config: Config) -> tuple[tuple[str, str], ...]:
    return ("data_url", config.data_path), ("checkpoint_url", config.load_path)


def _with_local_paths(config: Config) -> Config:
    """Relative paths are inside the copied folders; absolute ones stay."""
    changed = {"ckpt_path": str(Path(config.output_path, config.ckpt_path if "ckpt_path" in config.given else ""))}
    if config.data_url:
        changed["data_dir"] = str(Path(config.data_path, config.data_dir))
    file_name = config.checkpoint_url.rstrip("/").rpartition("/")[2]
    if config.checkpoint_url and (config.pretrained or "." in file_name):
        changed["pretrained"] = str(Path(config.load_path, config.pretrained or file_name))
    return config.model_copy(update=changed)
