"""Faults of an Ascend server: how each is planted on a sound one, and what the doctor must say of it."""

import os
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

from machines import ASCEND, KERNELS, TABLE, TOOLKIT, export_of
from PIL import Image

from conftest import write_image
from src.doctor import ports


class Fault(NamedTuple):
    """A fault, the check that must name it, and what its line must say."""

    check: str
    says: str
    level: str = "problem"


def move_driver(server):
    shutil.rmtree(server.root / ASCEND / "driver")
    server.write(".dockerenv")
    server.environment["LD_LIBRARY_PATH"] = str(server.root / TOOLKIT / "lib64")


def fill(monkeypatch, path_part: str, **changed):
    usage = shutil.disk_usage("/")._replace(**changed)
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage if path_part in str(path) else real(path))


def listen(server, port: int, monkeypatch):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    monkeypatch.setattr(server, "listener", listener, raising=False)  # until the test ends


def train(server) -> Path:
    return server.arguments["data_dir"] / "train"


def many_reds(server):
    for i in range(70):
        write_image(train(server) / "red" / f"more{i}.jpg", 0, seed=1000 + i)
    for path in sorted((train(server) / "blue").iterdir())[1:]:
        path.unlink()


def noise(server):
    path = train(server) / "red/large.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    with open(path, "ab") as file:
        file.truncate(21 << 20)  # sparse: what follows the end of a PNG file is passed over


def damage_model(server):
    server.arguments["pretrained"].write_bytes(b"another export")


def rename_class(server):
    (server.arguments["data_dir"] / "val/red").rename(server.arguments["data_dir"] / "val/crimson")


def without_numpy_2(server):
    server.packages["numpy"] = "2.1.0"


def old_mindspore(server):
    server.packages["mindspore"] = "2.6.0"
    server.mindspore()


# Name -> what is done to the server, and what must be said. `m` is pytest's monkeypatch.
FAULTS = {
    "python too new": (
        lambda s, m: setattr(s, "python", (3, 13, 0)),
        Fault("python", "3.13.0; MindSpore has packages for 3.9 to 3.12"),
    ),
    "numpy 2": (lambda s, m: without_numpy_2(s), Fault("packages", "numpy 2.1.0 (wanted >=1.26.4,<2)")),
    "package missing": (lambda s, m: s.packages.pop("pillow"), Fault("packages", "not installed: pillow")),
    "library of mindspore missing": (
        lambda s, m: s.program("python", "ImportError: libnuma.so.1: cannot open shared object file: No such file", 1),
        Fault("mindspore", "cannot be imported: libnuma.so.1 is not found"),
    ),
    "two mindspores": (
        lambda s, m: s.packages.update({"mindspore-ascend": "2.7.0"}),
        Fault("mindspore", "installed besides: mindspore-ascend"),
    ),
    "libgomp too late": (
        lambda s, m: s.program("python", "ImportError: /x/libgomp-d2.so.1: cannot allocate memory in static TLS block", 1),
        Fault("mindspore", "a library was loaded too late"),
    ),
    "avx-512": (
        lambda s, m: s.environment.update(ONEDNN_MAX_CPU_ISA="AVX512_CORE"),
        Fault("instructions", "about 100 times too slow", "warning"),
    ),
    "cann not installed": (
        lambda s, m: (s.environment.pop("ASCEND_HOME_PATH"), shutil.rmtree(s.root / ASCEND / "ascend-toolkit")),
        Fault("cann", "CANN is not installed in /usr/local/Ascend"),
    ),
    "cann named where it is not": (
        lambda s, m: s.environment.update(ASCEND_HOME_PATH="/nowhere"),
        Fault("cann", "CANN is not in /nowhere"),
    ),
    "set_env.sh not sourced": (
        lambda s, m: s.environment.pop("ASCEND_HOME_PATH"),
        Fault("cann", "set_env.sh was not sourced"),
    ),
    "library not on the path": (
        lambda s, m: (s.root / TOOLKIT / "lib64/libhccl.so").rename(s.write(f"{TOOLKIT}/other/libhccl.so")),
        Fault("libraries", "which LD_LIBRARY_PATH lacks"),
    ),
    "library deleted": (
        lambda s, m: (s.root / TOOLKIT / "lib64/libgraph.so").unlink(),
        Fault("libraries", ": libgraph.so"),
    ),
    "cann of another mindspore": (
        lambda s, m: (
            s.write(f"{TOOLKIT}/compiler/version.info", "Version=8.1.RC1\n")
            and s.write(f"{TOOLKIT}/opp_kernel/version.info", "Version=8.1.RC1\n")
        ),
        Fault("cann", "8.1.RC1, but MindSpore 2.10.0 accepts 8.2, 8.3, 8.5, 9.0, 9.1"),
    ),
    "driver too old": (
        lambda s, m: s.write(f"{ASCEND}/driver/version.info", "Version=24.1.rc3\n"),
        Fault("driver", "24.1.rc3 is older than 25.5, the oldest that CANN 8.5.0 was published with"),
    ),
    "driver a little too old": (
        lambda s, m: s.write(f"{ASCEND}/driver/version.info", "Version=25.2.0\n"),
        Fault("driver", "25.2.0 is older than 25.5", "warning"),
    ),
    "files that are passed over": (
        lambda s, m: (train(s) / "red/a.heic").write_bytes(b"x"),
        Fault("other files", "1 file passed over: 1 .heic", "warning"),
    ),
    "firmware too old": (
        lambda s, m: s.write(f"{ASCEND}/firmware/version.info", "Version=7.3.0.1.231\n"),
        Fault("firmware", "7.3.0.1.231 is older than 7.7"),
    ),
    "no kernels for the chip": (
        lambda s, m: (s.root / KERNELS / "ascend910b").rename(s.root / KERNELS / "ascend310p"),
        Fault("kernels", "no kernels for ascend910b"),
    ),
    "kernels of another version": (
        lambda s, m: s.write(f"{TOOLKIT}/opp_kernel/version.info", "Version=8.2.RC1\n"),
        Fault("kernels", "the kernel package is 8.2.RC1, the toolkit 8.5.0"),
    ),
    "chip that cann dropped": (
        lambda s, m: s.program("npu-smi", TABLE.replace("910B3", "310  ")) or (s.root / KERNELS / "ascend310").mkdir(),
        Fault("chip", "Ascend 310 is not among the products of CANN 8.5.0"),
    ),
    "-8005": (
        lambda s, m: s.program("npu-smi", "dcmi module initialize failed. ret is -8005\n", 1),
        Fault("npu-smi", "-8005: the devices are not passed on"),
    ),
    "-8020": (
        lambda s, m: s.program("npu-smi", "dcmi model initialized failed, because the device is used. ret is -8020\n", 1),
        Fault("npu-smi", "-8020: another container or program has the devices"),
    ),
    "no device listed": (
        lambda s, m: s.program("npu-smi", "Driver not loaded\n"),
        Fault("npu-smi", "lists no device; it says: Driver not loaded"),
    ),
    "ill device": (lambda s, m: s.program("npu-smi", TABLE.replace("OK ", "Alarm", 1)), Fault("health", "910B3: Alarm")),
    "manager not passed on": (
        lambda s, m: (s.root / "dev/devmm_svm").unlink(),
        Fault("devices", "not here: /dev/devmm_svm"),
    ),
    "no permission": (
        lambda s, m: m.setattr(
            os, "access", lambda path, mode, real=os.access: "davinci1" not in str(path) and real(path, mode)
        ),
        Fault("permissions", "this user may not use"),
    ),
    "device that is not there": (
        lambda s, m: s.environment.update(ASCEND_RT_VISIBLE_DEVICES="0,5"),
        Fault("devices", "ASCEND_RT_VISIBLE_DEVICES=0,5, but 2"),
    ),
    "mindspore sees none": (lambda s, m: s.mindspore(ascend=0), Fault("mindspore", "sees no Ascend device")),
    "mindspore fails": (
        lambda s, m: s.mindspore(ascend="Unsupported device"),
        Fault("mindspore", "fails to look at the devices"),
    ),
    "fewer in npu-smi": (
        lambda s, m: s.program("npu-smi", TABLE.replace("0000:C2:00.0", "            ")),
        Fault("devices", "npu-smi shows 1, /dev has 2", "warning"),
    ),
    "link down": (
        lambda s, m: s.hccn(link="link status: DOWN"),
        Fault("hccn", "the link of device 0 (192.168.100.101) is down", "warning"),
    ),
    "timeout out of range": (
        lambda s, m: s.environment.update(HCCL_CONNECT_TIMEOUT="5"),
        Fault("hccl", "HCCL_CONNECT_TIMEOUT=5 is outside 120 to 7200"),
    ),
    "unfinished table": (lambda s, m: s.rank_table(status="initializing"), Fault("rank table", "status: is 'initializing'")),
    "table that is no JSON": (lambda s, m: s.write("table.json", "{"), Fault("rank table", "is not JSON")),
    "table of other devices": (
        lambda s, m: s.rank_table(devices=(0, 3)),
        Fault("rank table", "lists devices 3 of this server, which has 0, 1"),
    ),
    "table of old addresses": (lambda s, m: s.hccn(address="10.9.9.9"), Fault("rank table", "the device has 10.9.9.9")),
    "port taken": (lambda s, m: listen(s, s.arguments["master_port"], m), Fault("ports", "another program listens there")),
    "port of hccl taken": (lambda s, m: listen(s, ports.HCCL_PORTS[3], m), Fault("ports", "of HCCL's 16 ports")),
    "disk full": (
        lambda s, m: fill(m, "/run", free=1000) or s.arguments["ckpt_path"].mkdir(),
        Fault("disk", "ckpt_path: 0.0 MB free"),
    ),
    "folder is a file": (lambda s, m: s.arguments["ckpt_path"].write_text(""), Fault("disk", "ckpt_path: ")),
    "device too small": (
        lambda s, m: s.arguments.update(per_batch_size=100_000),
        Fault("memory", "a step of training needs about"),
    ),
    "little shared memory": (
        lambda s, m: fill(m, "dev/shm", total=64 << 20),
        Fault("shared memory", "/dev/shm has 64 MB", "warning"),
    ),
    "compiler missing": (lambda s, m: (s.root / "bin/c++").unlink(), Fault("c++", "not here: c++", "warning")),
    "old cmake": (
        lambda s, m: s.program("cmake", "cmake version 3.10.2\n"),
        Fault("c++", "CMake 3.10.2; 3.16 or newer", "warning"),
    ),
    "lite without its library": (
        lambda s, m: s.environment.update(LITE_HOME="/opt/lite"),
        Fault("c++", "LITE_HOME=/opt/lite lacks", "warning"),
    ),
    "no data": (lambda s, m: s.arguments.update(data_dir="/nowhere"), Fault("data", "no such folder '/nowhere")),
    "bad image": (
        lambda s, m: (train(s) / "red/cut.jpg").write_bytes((train(s) / "red/red1.jpg").read_bytes()[:300]),
        Fault("bad files", "cut.jpg"),
    ),
    "tiny image": (
        lambda s, m: write_image(train(s) / "red/tiny.png", 0, 5, (3, 3)),
        Fault("tiny images", "tiny.png", "warning"),
    ),
    "huge file": (lambda s, m: noise(s), Fault("huge files", "large.png", "warning")),
    "image twice": (
        lambda s, m: shutil.copy(train(s) / "red/red1.jpg", train(s) / "red/again.jpg"),
        Fault("duplicates", "equal images within a class: 1", "warning"),
    ),
    "image under two labels": (
        lambda s, m: shutil.copy(train(s) / "red/red1.jpg", train(s) / "blue/red1.jpg"),
        Fault("duplicates", "with different labels"),
    ),
    "image in train and val": (
        lambda s, m: shutil.copy(train(s) / "red/red1.jpg", train(s) / "../val/red/seen.jpg"),
        Fault("duplicates", "in train and in val: 1"),
    ),
    "unbalanced": (lambda s, m: many_reds(s), Fault("balance", "class blue has 1 images, class red 74", "warning")),
    "other classes in val": (lambda s, m: rename_class(s), Fault("labels", "not in the training classes: crimson")),
    "class without evaluation": (
        lambda s, m: shutil.rmtree(train(s) / "../val/red"),
        Fault("labels", "no images for evaluation of red", "warning"),
    ),
    "other number of classes": (lambda s, m: s.arguments.update(num_classes=10), Fault("labels", "num_classes: 10")),
    "damaged model": (lambda s, m: damage_model(s), Fault("model", "damaged or replaced")),
    "model of other classes": (
        lambda s, m: export_of(s.arguments["pretrained"], class_names=("blue", "cyan", "red")),
        Fault("model", "does not know the class green"),
    ),
    "model of a newer mindspore": (
        lambda s, m: export_of(s.arguments["pretrained"], mindspore="2.11.0"),
        Fault("model", "written by MindSpore 2.11.0, 2.10.0 is here", "warning"),
    ),
    "model without description": (
        lambda s, m: (s.root / "../net.onnx.meta.json").unlink(),
        Fault("model", "written by another program", "warning"),
    ),
}
# These plant several findings, or take away what others look at.
MORE = {
    "mindspore missing": (lambda s, m: s.packages.pop("mindspore"), Fault("mindspore", "not installed for this Python")),
    "old mindspore": (lambda s, m: old_mindspore(s), Fault("mindspore", "2.6.0; this package is made for")),
    "no npu-smi": (lambda s, m: (s.root / "bin/npu-smi").unlink(), Fault("npu-smi", "not here", "warning")),
    "container without driver": (lambda s, m: move_driver(s), Fault("driver", "the driver is not here")),
    "no devices": (
        lambda s, m: [(s.root / f"dev/davinci{i}").unlink() for i in (0, 1)],
        Fault("devices", "no /dev/davinci<n>"),
    ),
}
