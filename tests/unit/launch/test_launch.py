"""The launcher's command line: which ranks on which server, and what is refused before anything starts."""

import json
from pathlib import Path

import pytest
from test_rank_table import saved, table_of

from src.launch import command
from src.launch.processes import rank_environment


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The job that a command line describes."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST_IP", "XDL_IP", "MA_CURRENT_IP", "RANK_TABLE_FILE", "MA_NUM_HOSTS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)

    def create(*arguments, program="train.py"):
        options, keys = command._parser().parse_known_args([program, *map(str, arguments)])
        return command.create_job(options, keys)

    return create


def places(job):
    return [(rank.rank, rank.local_rank, rank.device_id) for rank in job.ranks]


def test_devices_of_one_server(job, tmp_path):
    one = job("--platform", "CPU", "--device_num", 2, "--lr", 0.1, "--timeout", 30, "--stop_timeout", 7)
    assert places(one) == [(0, 0, 0), (1, 1, 1)]
    assert (one.group_size, one.nodes, one.restart_pause) == (2, 1, 0)
    assert (one.timeout, one.hang_timeout, one.stop_timeout) == (30, 1800, 7)
    assert one.program[0].endswith("/train.py")
    assert one.program[1:] == ("--platform", "CPU", "--lr", "0.1", "--platform", "CPU", "--is_distributed", "1")
    assert one.log_dir.parent == tmp_path / "outputs"
    assert places(job("--platform", "GPU", "--device-list", "4-5,7")) == [(0, 0, 4), (1, 1, 5), (2, 2, 7)]
    assert job("--platform", "Ascend", "--device_num", 1).restart_pause == 10


def test_one_of_several_servers(job):
    third = job(
        "--platform", "Ascend", "--nnodes", 4, "--node_rank", 2, "--master_addr", "127.0.0.1", "--master_port", 9000,
        "--device_num", 8, "--local_addr", "127.0.0.2", "--batch_size", 4096,
    )  # fmt: skip
    assert places(third)[0] == (16, 0, 0) and places(third)[-1] == (23, 7, 7)
    assert (third.group_size, third.node, third.port, third.server) == (32, 2, 9000, "127.0.0.2")
    assert third.program[-2:] == ("--per_batch_size", "128")
    environment = rank_environment(third, third.ranks[1], [4, 5])
    wanted = {
        "MS_ROLE": "MS_WORKER", "MS_NODE_ID": "17", "RANK_ID": "17", "RANK_SIZE": "32", "DEVICE_ID": "1",
        "MS_WORKER_NUM": "32", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "9000", "MS_TOPO_TIMEOUT": "120",
        "MS_WORKER_IP": "127.0.0.2", "HCCL_IF_IP": "127.0.0.2", "OMP_NUM_THREADS": "2", "MS_NODE_TIMEOUT": "1860",
    }  # fmt: skip
    assert {name: environment.get(name) for name in wanted} == wanted
    assert "RANK_TABLE_FILE" not in environment


def test_this_servers_devices_of_a_rank_table(job, tmp_path):
    content = table_of("127.0.0.1", "198.51.100.2", devices=4)
    for device in content["server_list"][1]["device"]:
        device["device_id"] = str(int(device["device_id"]) + 4)
    path = saved(tmp_path / "table.json", content)
    here = job("--rank_table", path, "--platform", "CPU")
    assert places(here) == [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert (here.nodes, here.node, here.master, here.group_size, here.server) == (2, 0, "127.0.0.1", 8, "127.0.0.1")
    there = job("--rank_table", path, "--platform", "CPU", "--server_id", "198.51.100.2", "--master_addr", "127.0.0.5")
    assert places(there) == [(4, 0, 4), (5, 1, 5), (6, 2, 6), (7, 3, 7)]
    assert (there.node, there.master) == (1, "127.0.0.5")
    logical = job("--rank_table", path, "--server_id", "198.51.100.2", "--device-list", "0-3", "--platform", "CPU")
    assert places(logical) == [(4, 0, 0), (5, 1, 1), (6, 2, 2), (7, 3, 3)]


def test_the_rank_table_start(job, tmp_path, capsys):
    path = saved(tmp_path / "table.json", table_of("127.0.0.1"))
    older = job("--rank_table", path, "--platform", "Ascend", "--start", "rank_table", "--log_dir", tmp_path / "logs")
    assert json.loads(older.rank_table.read_text()) == table_of("127.0.0.1")
    assert "deprecated since MindSpore 2.9" in capsys.readouterr().err
    environment = rank_environment(older, older.ranks[1], None)
    assert environment["RANK_TABLE_FILE"] == str(older.rank_table) and environment["RANK_ID"] == "1"
    assert not [name for name in environment if name.startswith(("MS_ROLE", "MS_SCHED", "MS_WORKER", "MS_NODE_ID"))]


def test_restarts_resume(job):
    again = job("--platform", "CPU", "--device_num", 2, "--max_restarts", 3, "--resume", "some.ckpt")
    assert (again.max_restarts, again.restart_arguments) == (3, ("--resume", "auto"))  # later options win
    assert job("--platform", "CPU", "--device_num", 2).restart_arguments == ()
    evaluation = job("--platform", "CPU", "--device_num", 2, "--max_restarts", 3, program="eval.py")
    assert evaluation.restart_arguments == ()


def test_what_servers_must_agree_on(job, tmp_path):
    def agreement(*arguments):
        return job("--platform", "CPU", "--device_num", 2, *arguments).agreement

    plain = agreement("--data_dir", "a")
    assert plain == agreement("--data_dir", "b", "--ckpt_path", "elsewhere")
    assert plain != agreement("--lr", 0.1)
    assert plain != agreement("--batch_size", 8)
    table = saved(tmp_path / "t.json", table_of("127.0.0.1"))
    assert plain != agreement("--rank_table", table)


def test_modelarts_says_where_the_servers_are(job, tmp_path, monkeypatch):
    on = ("--enable_modelarts", 1, "--platform", "CPU")
    for name, value in {
        "MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1", "MA_NUM_GPUS": "4", "VC_WORKER_HOSTS": "127.0.0.1,w-1"
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    found = job(*on)
    assert (found.nodes, found.node, found.group_size, found.master) == (2, 1, 8, "127.0.0.1")
    assert job(*on, "--device_num", 2).group_size == 4  # the command line wins
    path = saved(tmp_path / "jobstart_hccl.json", table_of("127.0.0.1", "198.51.100.9", devices=1))
    monkeypatch.setenv("RANK_TABLE_FILE", str(path))
    assert (job(*on).node, job(*on).group_size) == (0, 2)
    monkeypatch.delenv("MA_NUM_GPUS")


CPU = ["--platform", "CPU"]
TWO = [*CPU, "--device_num", "2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (CPU, "device_num: no value; on the CPU pass --device_num"),
        (["--platform", "Ascend"], "device_num: no Ascend found here"),
        ([*TWO, "--nnodes", "2"], "node_rank: no value; with --nnodes 2"),
        ([*TWO, "--nnodes", "2", "--node_rank", "0"], "master_addr: no value"),
        ([*TWO, "--nnodes", "2", "--node_rank", "2"], "node_rank: 2; expected 0 to 1"),
        ([*TWO, "--node_rank", "-1"], "node_rank: -1; expected 0 to 0"),
        ([*TWO, "--device_list", "0"], "device_num: 2, but device_list names 1 devices"),
        ([*CPU, "--device_list", "zero"], "devices: 'zero' is not a list"),
        ([*TWO, "--batch_size", "5"], "batch_size: 5 images cannot be shared by 2 devices"),
        ([*TWO, "--master_port", "80"], "'80' is no number from 1024 to 65534"),
        ([*TWO, "--timeout", "soon"], "'soon' is no number"),
        ([*TWO, "--max_restarts", "-2"], "max_restarts: -2; expected 0 or more"),
        ([*TWO, "--master_addr", "no.such.host.invalid"], "master_addr: 'no.such.host.invalid' cannot be resolved"),
        ([*TWO, "--start", "rank_table"], "start: rank_table needs --rank_table"),
        ([*TWO, "--learning_rate", "1"], "learning_rate: unknown key"),
        ([*TWO, "--lr", "-1"], "lr: "),
        (["--rank_table", "none.json", "--timeout", "1", *CPU], "no such file"),
        (["--rank_table", "TABLE", *CPU, "--start", "rank_table"], "exists on Ascend only, this is CPU"),
        (["--rank_table", "TABLE", *CPU, "--nnodes", "3"], "nnodes: 3, but the rank table says 1"),
        (["--rank_table", "TABLE", *CPU, "--device_num", "1"], "device_num: 1, but the rank table says 2"),
        (["--rank_table", "TABLE", *CPU, "--device_list", "0"], "device_list: names 1 devices, the rank table 2"),
        (["--rank_table", "TABLE", *CPU, "--server_id", "x"], "server_id: 'x' is not in the rank table"),
        (["--rank_table", "UNEQUAL", *CPU], "needs the same number"),
        (["--rank_table", "BROKEN", *CPU], "(and 1 more; python -m src.launch.rank_table check"),
    ],
)
def test_mistakes_are_one_line(tmp_path, refused, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "DEVICE_FILES", {"Ascend": "no-such-device*", "GPU": "no-such-device*"})
    saved(Path("TABLE"), table_of("127.0.0.1"))
    unequal = table_of("127.0.0.1", "198.51.100.2")
    unequal["server_list"][1]["device"].pop()
    saved(Path("UNEQUAL"), unequal)
    saved(Path("BROKEN"), {**table_of("127.0.0.1"), "version": "3", "server_count": 1})
    assert message in refused(command.main, "train.py", *arguments)


def test_other_programs_are_refused(refused):
    assert "invalid choice: 'export.py'" in refused(command.main, "export.py")


def test_automatic_platform(monkeypatch):
    monkeypatch.setattr(command, "DEVICE_FILES", {"Ascend": "no-such-device*", "GPU": "nul[l]"})
    assert command._resolve_platform("auto") == "GPU"  # /dev/null
    assert command._device_count("GPU") == 1
    monkeypatch.setattr(command, "DEVICE_FILES", {"Ascend": "no-such-device*"})
    assert command._resolve_platform("auto") == "CPU"
    assert command._resolve_platform("GPU") == "GPU"
