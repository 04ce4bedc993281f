"""Ranks that really communicate, on the CPU: two launchers with one rank each, and three ranks of which one is killed."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher import free_port

from src.distributed import communication
from src.distributed.group import ALONE
from src.errors import UserError

HERE = Path(__file__).parent


def launch(tmp_path, at_the_end, **fields):
    job = {
        "program": [str(HERE / "ranks.py"), str(tmp_path), at_the_end], "log_dir": str(tmp_path / f"logs{fields['node']}"),
        "server": f"node{fields['node']}", "timeout": 90, **fields,
    }  # fmt: skip
    command = [sys.executable, HERE / "launcher.py", json.dumps(job)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)


def check_results(tmp_path, size):
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(size)]
    total = size * (size - 1) // 2
    for rank, result in enumerate(found):
        assert result["group"][:2] == [rank, size]
        assert result["big"] == [2**62 // size * size + total, -(2**40) * total, (2**24 + 1) * size]
        assert result["real"] == found[0]["real"]
        assert result["real"][0] == pytest.approx([sum(0.1 * (r + 1) for r in range(size)), size * 1e-300, -1e300 * total])
        assert result["counts"] == [float(i * total) for i in range(300)]
        assert result["bytes"] == [f"rank {r}" for r in range(size)]
        for other, (nan, infinity, zero, number) in enumerate(result["gathered"]):
            assert math.isnan(nan) and infinity == math.inf and math.copysign(1, zero) == -1 and number == other
        assert result["statistics"].startswith("parameters: 1.moving_mean on rank 1")
        assert result["weights"] == f"parameters: 0.bias on rank {size - 1} differ from those on rank 0"
        assert result["together"] == ["", "mine" if rank == 1 else "rank 1 failed; its log says why"]
        assert result["fewer"] == "data_dir: rank 1 has 9 images, rank 0 has 10; every server needs the same files"
        assert result["others"].startswith("data_dir: rank 1 has 10 images (other ones), rank 0 has 10")
        assert result["networks"] == "parameters: names or shapes on rank 1 differ from those on rank 0"
    turns = [result["turn"] for result in found]  # rank 1 is the first one of another server, rank 2 the second one there
    assert all(later - earlier > 0.19 for earlier, later in zip(turns, turns[1:]))
    assert min(result["barrier"][1] for result in found) >= max(result["barrier"][0] for result in found)
    return found


@pytest.mark.slow
def test_two_launchers_with_one_rank_each(tmp_path):
    port = free_port()
    launchers = [launch(tmp_path, "leave", ranks=[node], group_size=2, nodes=2, node=node, port=port) for node in (0, 1)]
    for launcher in launchers:
        out, err = launcher.communicate(timeout=150)
        assert launcher.returncode == 0, err
        assert "all ranks ended well" in out
    found = check_results(tmp_path, 2)
    assert [result["group"][2] for result in found] == [0, 0]
    for result in found:
        assert result["masks"] == 2
        training = result["training"]
        assert training["finite"] == training["moved"] == [True, False, True]  # all skip the overflow of one
        assert training["scale"] == [1024, 1024, 512]
        assert training["difference"] <= 1e-6
        assert [buckets["buckets"] for buckets in result["averaged"]] == [3, 2, 1]
        for buckets in result["averaged"]:  # of two numbers the sum has no order: the same bits in any bucket
            assert buckets["error"] <= 1e-6 and buckets["notes"] == [1, 2]
            assert buckets["bits"] == result["averaged"][0]["bits"]


@pytest.mark.slow
def test_three_ranks_of_which_one_is_killed_in_a_collective(tmp_path):
    launcher = launch(tmp_path, "be killed", ranks=[0, 1, 2], group_size=3, node=0, port=free_port())
    log = tmp_path / "logs0" / "rank_1.heartbeat"
    _, err = launcher.communicate(timeout=150)
    assert launcher.returncode == 137
    assert time.time() - log.stat().st_mtime < 10  # since its last sign of life
    assert "error: rank 1 on server node0: killed by SIGKILL" in err.splitlines()[-1]
    assert [result["group"][2] for result in check_results(tmp_path, 3)] == [0, 1, 2]


def test_without_a_launcher_the_way_to_start_is_told(monkeypatch):
    for name in ("MS_ROLE", "RANK_TABLE_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"bash scripts/run_distribute_train\.sh"):
        communication.start()


def test_one_process_is_a_group_of_its_own():
    import numpy as np

    assert communication.all_reduce_sum(np.array([3]), ALONE).tolist() == [3]
    communication.barrier(ALONE)
