"""Gathers the results of scripts/quickstart.sh: prints one table and writes outputs/quickstart/summary.json.

Exits with 1 when the accuracy is below the goal or an export answers differently.
"""

import json
import re
import sys
from pathlib import Path
from typing import Optional

from src.files import write_text

OUTPUT = Path("outputs/quickstart")
GOAL_TOP1 = 0.98


def read(name: str) -> dict:
    """A JSON file of the output folder."""
    return json.loads((OUTPUT / name).read_text(encoding="utf-8"))


def read_infer() -> Optional[dict]:
    """What the C++ program wrote, None where it could not be built."""
    if not (OUTPUT / "infer/acc.log").is_file():
        return None
    accuracy = (OUTPUT / "infer/acc.log").read_text(encoding="utf-8")
    images, top1, top5 = re.fullmatch(r"Total data: (\d+), top1 accuracy: (.+), top5 accuracy: (.+)\.\n", accuracy).groups()
    timing = (OUTPUT / "infer/time_Result/test_perform_static.txt").read_text(encoding="utf-8")
    speed = re.search(r"throughput: (.+) img/s", timing)[1]
    return {"images": int(images), "top1": float(top1), "top5": float(top5), "img_per_s": float(speed)}


def main() -> int:
    """Reads what the commands before wrote."""
    events = [json.loads(line) for line in (OUTPUT / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    end = next(event for event in events if event["event"] == "end")
    results = {kind: read(f"eval_{kind}.json") for kind in ("ckpt", "mindir", "onnx")}
    differences = {kind: read(f"resnext.{kind}.meta.json")["max_abs_diff"] for kind in ("mindir", "onnx")}
    infer = read_infer()
    summary = {
        "top1": results["ckpt"]["top1"],
        "top5": results["ckpt"]["top5"],
        "images": results["ckpt"]["images"],
        "train_seconds": end["seconds"],
        "train_img_per_s": end["img_per_s"],
        "onnx_max_abs_diff": differences["onnx"],
        "mindir_max_abs_diff": differences["mindir"],
        "onnx_top1": results["onnx"]["top1"],
        "mindir_top1": results["mindir"]["top1"],
        "cpp_top1": infer and infer["top1"],  # of five decimals
        "cpp_img_per_s": infer and infer["img_per_s"],
    }
    write_text(OUTPUT / "summary.json", json.dumps(summary, indent=2) + "\n")

    if infer:
        results["onnx, C++"] = infer
    print(f"\n{'':12}{'top-1':>9}{'top-5':>9}{'images':>8}{'img/s':>9}{'largest difference of a logit':>32}")
    for kind, result in results.items():
        difference = f"{differences[kind]:.2g}" if kind in differences else ""
        print(
            f"{kind:12}{result['top1']:9.2%}{result['top5']:9.2%}{result['images']:8}{result['img_per_s']:9.0f}{difference:>32}"
        )
    print(f"training: {end['seconds']:.0f} s, {end['img_per_s']:.0f} img/s; details: {OUTPUT / 'summary.json'}")

    if summary["top1"] < GOAL_TOP1:
        print(f"quickstart: top-1 {summary['top1']:.2%} is below the goal of {GOAL_TOP1:.0%}", file=sys.stderr)
        return 1
    if not summary["top1"] == summary["onnx_top1"] == summary["mindir_top1"]:
        print("quickstart: an export classifies images differently than the checkpoint", file=sys.stderr)
        return 1
    if infer and (infer["images"], infer["top1"]) != (summary["images"], round(summary["top1"], 5)):
        print("quickstart: the C++ program classifies images differently than the checkpoint", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
