"""A sound Ascend server in a folder, for the doctor: two 910B3, driver, CANN, Python packages, tools."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from conftest import write_data_set
from src.doctor.cann import LIBRARIES
from src.doctor.machine import Machine
from src.doctor.python_packages import requirements
from src.launch.addresses import local_names
from src.model_info import ModelInfo, Preprocessing, write_meta

TABLE = """+------------------------------------------------------------------------------------------------+
| npu-smi 25.5.1                   Version: 25.5.1                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 96.7        32                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3400 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | OK            | 93.7        30                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3390 / 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
"""
ADDRESSES = ("192.168.100.101", "192.168.100.102")
ASCEND = "usr/local/Ascend"
TOOLKIT = f"{ASCEND}/ascend-toolkit/latest"
KERNELS = f"{TOOLKIT}/opp/built-in/op_impl/ai_core/tbe/kernel"
VERSIONS = {  # of the Python packages that pyproject.toml asks for
    "mindspore": "2.10.0", "numpy": "1.26.4", "pillow": "12.0", "pyyaml": "6.0.3", "pydantic": "2.13.1", "onnx": "1.21",
    "onnxruntime": "1.24", "safetensors": "0.7.0", "tqdm": "4.70", "tensorboardX": "2.6.5", "psutil": "7.2",
    "protobuf": "7.35",
}  # fmt: skip


@dataclass
class Server:
    """A server in a folder.

    Attributes:
        root: what the machine takes for "/".
        environment, packages: of its `Machine`.
        python: version of its Python.
        arguments: keys of the doctor's command line.
        container: whether it is the inside of one.
    """

    root: Path
    environment: dict
    packages: dict = field(default_factory=lambda: {**dict.fromkeys(requirements(), "99"), **VERSIONS})
    python: tuple = (3, 11, 7)
    arguments: dict = field(default_factory=dict)

    @property
    def machine(self) -> Machine:
        return Machine(self.root, self.environment, (str(self.root / "bin/python"),), self.python, self.packages)

    def write(self, place: str, text: str = "") -> Path:
        """A file of the server."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def program(self, name: str, text: str, code: int = 0) -> None:
        """A program on its PATH that prints a text, whatever it is asked."""
        said = self.write(f"said/{name}", text)
        self.write(f"bin/{name}", f'#!/bin/sh\n/bin/cat "{said}"\nexit {code}\n').chmod(0o755)

    def mindspore(self, **said) -> None:
        """What the Python of the server prints when it is asked about MindSpore."""
        self.program("python", json.dumps({"version": self.packages["mindspore"], "ascend": 2, **said}) + "\n")

    def hccn(self, link: str = "link status: UP", address: str = "") -> None:
        """hccn_tool: the addresses, the links and the health of the network ports."""
        lines = "".join(f"  {i}-ip) echo 'ipaddr:{address or ip}' ;;\n" for i, ip in enumerate(ADDRESSES))
        script = (
            f"#!/bin/sh\ncase $2$3 in\n{lines}  *-link) echo '{link}' ;;\n  *) echo 'net health status: Success' ;;\nesac\n"
        )
        self.write("bin/hccn_tool", script).chmod(0o755)

    def rank_table(self, devices=(0, 1), **changed) -> None:
        """The table of this server."""
        rows = [
            {"device_id": str(device), "device_ip": ADDRESSES[rank], "rank_id": str(rank)}
            for rank, device in enumerate(devices)
        ]
        servers = [{"server_id": local_names()[0], "device": rows}]
        content = {"version": "1.0", "server_count": "1", "server_list": servers, "status": "completed", **changed}
        self.arguments["rank_table"] = self.write("table.json", json.dumps(content))


def sound(folder: Path, port: int) -> Server:
    """A server on which all is well, with a data set, a rank table and an export."""
    root = folder / "root"
    home = root / TOOLKIT
    environment = {
        "PATH": str(root / "bin"), "ASCEND_HOME_PATH": str(home),
        "LD_LIBRARY_PATH": f"{home / 'lib64'}:{root / ASCEND / 'driver/lib64/driver'}",
    }  # fmt: skip
    server = Server(root, environment)
    for node in ("davinci0", "davinci1", "davinci_manager", "devmm_svm", "hisi_hdc"):
        server.write(f"dev/{node}")
    for name in ("shm", "null"):
        (root / "dev" / name).mkdir()
    (root / "usr/local/dcmi").mkdir(parents=True)
    server.write("proc/meminfo", "MemTotal: 64000000 kB\nMemAvailable: 60000000 kB\n")
    server.write("proc/cpuinfo", "flags : fpu avx2 avx512f avx512bw\n")
    server.write(f"{ASCEND}/driver/version.info", "Version=25.5.1\nascendhal_version=7.35.23\npackage_version=25.5.1\n")
    server.write(f"{ASCEND}/firmware/version.info", "Version=7.8.0.5.201\n")
    server.write(f"{ASCEND}/driver/lib64/driver/libascend_hal.so")
    server.write(f"{ASCEND}/ascend-toolkit/set_env.sh")
    server.write(f"{TOOLKIT}/compiler/version.info", "Version=8.5.0\ntimestamp=20260101\n")
    server.write(f"{TOOLKIT}/opp_kernel/version.info", "Version=8.5.0\n")
    (root / KERNELS / "ascend910b").mkdir(parents=True)
    for name in LIBRARIES[:-1]:
        server.write(f"{TOOLKIT}/lib64/{name}")
    server.program("npu-smi", TABLE)
    server.program("cmake", "cmake version 3.25.1\n")
    for name in ("c++", "make"):
        server.program(name, "")
    server.hccn()
    server.mindspore()
    server.arguments.update(
        data_dir=write_data_set(folder / "data", per_class=4), cache_dir=folder / "cache", ckpt_path=folder / "run",
        backbone="resnext11_8x16d", num_classes=3, image_size="16,16", per_batch_size=8, master_port=port,
    )  # fmt: skip
    server.rank_table()
    server.arguments["pretrained"] = export_of(folder / "net.onnx")
    return server


def export_of(path: Path, **changed) -> Path:
    """A file with the description of an export; what is in it, the doctor does not run."""
    preprocessing = Preprocessing(
        image_size=(16, 16), resize=18, resize_mode="shorter", antialias=False, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2)
    )
    values = {
        "backbone": "resnext11_8x16d", "num_classes": 3, "class_names": ("blue", "green", "red"), "mindspore": "2.10.0",
        "preprocessing": preprocessing, "file_format": "ONNX", **changed,
    }  # fmt: skip
    path.write_bytes(b"an export")
    write_meta(path, ModelInfo(**values))
    return path
