"""Huawei Cloud ModelArts: where its jobs find each other, and data and results in its object storage (through moxing).

One process of each server copies; the others wait for it at a socket that exists only in the kernel, so that nothing is
left of a job that was killed, and its end is noticed at once.
"""

import contextlib
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..log import log
from ..progress import beat

MEETING_SECONDS = 600.0  # for the processes of a server to meet
BEAT_SECONDS = 5.0
MAX_REASON = 4096


def cluster_defaults(environment: Mapping) -> dict:
    """What ModelArts says of the servers of a job, as defaults for the launcher's options.

    RANK_TABLE_FILE is the table, or in older images its folder; without a table MA_NUM_HOSTS, VC_TASK_INDEX,
    VC_WORKER_HOSTS (the first is server 0) and MA_NUM_GPUS count.
    """
    table = environment.get("RANK_TABLE_FILE", "")
    if table:
        return {"rank_table": Path(table, "jobstart_hccl.json") if os.path.isdir(table) else Path(table)}
    found: dict = {}
    for option, variable in (("nnodes", "MA_NUM_HOSTS"), ("node_rank", "VC_TASK_INDEX"), ("device_num", "MA_NUM_GPUS")):
        value = environment.get(variable, "")
        if value and not value.isdigit():
            raise UserError(f"{variable}: '{value}' in the environment is not a number")
        if value:
            found[option] = int(value)
    hosts = environment.get("VC_WORKER_HOSTS", "").split(",")
    if hosts[0]:
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
    place = _Place(os.environ)
    jobs = [(key, getattr(config, key), target) for key, target in _sources(config) if getattr(config, key)]
    if jobs:
        place.once(lambda: [_copy(key, url, target) for key, url, target in jobs], repr(jobs))
    bring_back = results and config.train_url and place.rank == 0
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


class _Place:
    """This process among those of its server and of the job."""

    def __init__(self, environment: Mapping):
        def number(name: str, default: int) -> int:
            value = environment.get(name) or str(default)
            if not value.isdigit():
                raise UserError(f"{name}: '{value}' in the environment is not a number")
            return int(value)

        self.rank = number("RANK_ID", 0)
        on_server = max(1, number("RANK_SIZE", 1) // max(1, number("MA_NUM_HOSTS", 1)))
        self.local_size = number("RESNET_ZOO_LOCAL_SIZE", on_server)
        self.local_rank = number("RESNET_ZOO_LOCAL_RANK", self.rank % self.local_size)
        self.job = environment.get("RESNET_ZOO_JOB") or environment.get("JOB_ID") or "job"

    def once(self, copy, what: str) -> None:
        """Runs `copy` in one process of this server; the others wait. Raises UserError on all of them when it fails."""
        if self.local_size == 1:
            with _beating():
                copy()
            return
        digest = hashlib.sha256(f"{os.getuid()} {self.job} {what}".encode()).hexdigest()
        name = f"\0resnet-zoo-{digest[:32]}"
        if self.local_rank:
            _wait_for_copier(name)
        else:
            _copy_and_tell(name, copy, self.local_size - 1)


def _copy_and_tell(name: str, copy, others: int) -> None:
    """Waits for the other processes, so that none can miss how it ends; copies; tells them."""
    waiting: list = []
    deadline = time.monotonic() + MEETING_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(name)
        except OSError as error:
            raise UserError(f"enable_modelarts: another process of this server copies already: {error.strerror}") from None
        listener.listen(others)
        while len(waiting) < others:
            listener.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                waiting.append(listener.accept()[0])
            except (TimeoutError, socket.timeout):
                came = f"{len(waiting)} of the {others} other processes of this server came within {MEETING_SECONDS:g} s"
                raise UserError(f"enable_modelarts: only {came}") from None
    reason = "enable_modelarts: copying was interrupted"
    try:
        with _beating():
            copy()
        reason = ""
    except UserError as error:
        reason = str(error)
        raise
    finally:
        for connection in waiting:
            with contextlib.suppress(OSError), connection:
                connection.sendall(f"done\n{reason}".encode()[:MAX_REASON])


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


def _wait_for_copier(name: str) -> None:
    deadline = time.monotonic() + MEETING_SECONDS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        while connection.connect_ex(name):
            if time.monotonic() > deadline:
                raise UserError(f"enable_modelarts: no process of this server began to copy within {MEETING_SECONDS:g} s")
            time.sleep(0.1)
        answer = b""
        with _beating():
            while data := connection.recv(MAX_REASON):
                answer += data
    if not answer.startswith(b"done\n"):
        raise UserError("enable_modelarts: the process that copies for this server ended before it had finished")
    reason = answer[len(b"done\n") :].decode(errors="replace")
    if reason:
        raise UserError(f"{reason} (in the process that copies for this server)")


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


def _sources(config: Config) -> tuple:
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
