"""The Kubernetes example: its parts fit together, and its command is one that the launcher understands."""

import yaml

from conftest import ROOT
from src.launch import command
from src.launch.addresses import HOST_VARIABLES


def test_the_example_fits_together():
    text = (ROOT / "configs" / "kubernetes" / "volcano.yaml").read_text(encoding="utf-8")
    assert text.startswith("# NOT RUN")
    table, job = yaml.safe_load_all(text)
    assert table["metadata"]["name"] == f"rings-config-{job['metadata']['name']}"  # the HCCL controller's convention
    assert job["spec"]["minAvailable"] == sum(task["replicas"] for task in job["spec"]["tasks"])
    pod = job["spec"]["tasks"][0]["template"]
    labels = [part["metadata"]["labels"]["ring-controller.atlas"] for part in (table, job, pod)]
    assert len(set(labels)) == 1
    container = pod["spec"]["containers"][0]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert [v["configMap"]["name"] for v in pod["spec"]["volumes"] if "configMap" in v] == [table["metadata"]["name"]]

    assert (ROOT / container["command"][1]).is_file()
    table_file, data, *options = container["args"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert table_file == f"{mounts['ascend-910-config']}/{next(iter(table['data']))}"
    assert data.startswith(mounts["data"])
    parsed, keys = command._parser().parse_known_args(["train.py", *options])
    assert command.load_config(keys).platform == "Ascend" and parsed.timeout == 600
    secret = next(volume["secret"] for volume in pod["spec"]["volumes"] if volume["name"] == "secret")
    assert secret["defaultMode"] == 0o400 and f"generic {secret['secretName']} --from-file=secret=" in text
    assert str(parsed.secret_file) == f"{mounts['secret']}/secret"
    assert set(HOST_VARIABLES) & {variable["name"] for variable in container["env"]}
