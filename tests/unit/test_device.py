import os
import random
import subprocess
import sys

import pytest

from conftest import ROOT
from src import device
from src.config import build_config
from src.errors import UserError


def test_workers_never_exceed_the_cores():
    assert device.worker_count(10_000) == device.available_cores()
    assert device.worker_count(1) == 1


@pytest.mark.parametrize("platform", ["Ascend", "GPU"])
def test_a_platform_that_is_not_there_is_one_clear_line(platform):
    import mindspore as ms

    if ms.hal.is_available(platform):
        pytest.skip(f"this machine has {platform}")
    with pytest.raises(UserError, match=f"platform: {platform} is not available.*--platform CPU"):
        device.prepare(build_config({"platform": platform}))


@pytest.mark.parametrize(("users_value", "expected"), [(None, "AVX2"), ("AVX512_CORE", "AVX512_CORE")])
def test_the_convolution_fast_path_is_set_before_mindspore_is_imported_unless_the_user_chose(users_value, expected):
    if not device._has_slow_convolutions():
        pytest.skip("this CPU or this MindSpore does not need it")
    environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    if users_value:
        environment["ONEDNN_MAX_CPU_ISA"] = users_value
    code = (
        "import os, sys; from src import device\n"
        "assert 'mindspore' not in sys.modules; device.set_environment()\n"
        "assert 'mindspore' not in sys.modules; print(os.environ['ONEDNN_MAX_CPU_ISA'])"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == expected


@pytest.mark.parametrize("used", [False, True])
def test_mindspore_that_was_imported_before_is_fast_or_said_to_be_slow(used):
    if not device._has_slow_convolutions():
        pytest.skip("this CPU or this MindSpore does not need it")
    environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    code = (
        "import mindspore as ms; from mindspore import nn; ms.set_device('CPU')\n"
        f"nn.Conv2d(3, 3, 1)(ms.ops.ones((1, 3, 8, 8))).asnumpy() if {used} else None\n"
        "from src import device; from src.config import build_config\n"
        "device.choose(build_config()); print(device._instructions_in_use())"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (int(run.stdout) > device._AVX2) == used
    assert run.stderr.count("MindSpore was imported and used before this package: its convolutions stay slow") == used


def test_choosing_the_device_leaves_the_programs_random_numbers_alone():
    random.seed(5)
    state = random.getstate()
    device.choose(build_config({"platform": "CPU"}))
    assert random.getstate() == state


def test_one_seed_gives_the_same_weights():
    from src.models.create import create_model

    def weights(seed):
        device.prepare(build_config({"seed": seed, "platform": "CPU"}))
        return create_model("resnext11_8x16d", 3).layer1[0].conv1.weight.asnumpy().copy()

    assert (weights(7) == weights(7)).all()
    assert (weights(7) != weights(8)).any()


def test_what_a_run_says_of_its_machine_does_not_name_it():
    import socket

    found = device.machine()
    assert found["cores"] >= 1 and found["memory_gb"] > 0 and found["mindspore"] and found["version"]
    assert socket.gethostname() not in str(found)
