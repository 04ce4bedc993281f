"""Kills a small training run with SIGKILL at random moments and resumes it, again and again, then compares the weights.

    python benchmarks/kills.py [--kills 20] [--epochs 3] [--per_batch_size 16] [--seed 0] [--output FILE]

Every feature with a state of its own is on: float16, dynamic loss scale, accumulation, clipping, averages, dropout,
stochastic depth, mixup, random augmentation, balanced sampling. A checkpoint is written after every step; every other kill
waits for one that is being written. The last tensors of the resumed run (weights, momentum, averages, loss scale, counters)
must equal those of an uninterrupted run bit for bit; the exit code is 1 otherwise.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SECONDS = 1.0  # a kill comes up to so long after a resumed run's first step
SETTINGS = {
    "backbone": "resnext11_8x16d", "num_classes": 10, "image_size": "16,16", "platform": "CPU",
    "accumulate_steps": 2, "lr": 0.05, "ckpt_interval": 1, "keep_checkpoint_max": 3, "log_interval": 1,
    "amp_level": "O2", "is_dynamic_loss_scale": 1, "loss_scale_window": 10, "ema_decay": 0.99, "clip_grad_norm": 5,
    "drop_rate": 0.1, "drop_path_rate": 0.1, "nesterov": 1, "mixup_alpha": 0.2, "cutmix_alpha": 1.0,
    "auto_augment": "randaugment", "random_erase_prob": 0.25, "tensorboard": 1, "num_parallel_workers": 2,
    "sampling": "balanced", "focal_gamma": 1,
}  # fmt: skip


def main() -> int:
    """Runs the comparison; 0 where the two runs end alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3, help="length of the run")
    parser.add_argument("--per_batch_size", type=int, default=16, help="images of a step; fewer make more steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run([sys.executable, "-m", "src.data.tools.digits", "--output", str(root / "data")], cwd=ROOT, check=True)
        whole, killed, while_saving, steps = root / "whole", root / "killed", 0, []
        finish(start(root, whole, options))
        while len(steps) < options.kills:
            unfinished = set(killed.glob(".resnet-zoo-*"))
            process = start(root, killed, options)
            wait_for_a_step(process, killed)
            time.sleep(chance.uniform(0, SECONDS))
            if len(steps) % 2:  # every other kill comes while a checkpoint is being written
                while process.poll() is None and not set(killed.glob(".resnet-zoo-*")) - unfinished:
                    time.sleep(0.0005)
                time.sleep(chance.uniform(0, 0.02))
            if process.poll() is not None:
                raise SystemExit(f"the run ended before kill {len(steps) + 1}; pass fewer kills")
            process.kill()
            process.communicate()
            saving = bool(set(killed.glob(".resnet-zoo-*")) - unfinished)
            while_saving += saving
            steps.append(steps_done(killed))
            print(f"kill {len(steps)}: after step {steps[-1]}{', while saving' * saving}", flush=True)
        finish(start(root, killed, options))
        differing = compare(whole / "last.ckpt", killed / "last.ckpt")
    result = {
        "kills": len(steps), "while_saving": while_saving, "steps": steps, "differing": differing,
    }  # fmt: skip
    verdict = f"DIFFERENT: {differing}" if differing else "the same bits"
    print(f"{len(steps)} kills, {while_saving} of them while saving: {verdict}")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if differing else 0


def start(root: Path, run: Path, options: argparse.Namespace) -> subprocess.Popen:
    """Starts or resumes a run."""
    paths = {"data_dir": root / "data", "ckpt_path": run, "cache_dir": root / "cache"}
    settings = {**SETTINGS, **paths, "max_epoch": options.epochs, "per_batch_size": options.per_batch_size, "resume": "auto"}
    arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return subprocess.Popen(
        [sys.executable, "train.py", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process: subprocess.Popen) -> None:
    """Waits for a run that must end well."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run failed:\n{output}")


def steps_done(run: Path) -> int:
    """Steps of the newest complete checkpoint."""
    return max((int(path.stem.rpartition("_")[2]) for path in run.glob("[!.]*-*_*.ckpt")), default=0)


def wait_for_a_step(process: subprocess.Popen, run: Path) -> None:
    """Returns when the run has gone on by a step, or has ended."""
    before = steps_done(run)
    while process.poll() is None and steps_done(run) == before:
        time.sleep(0.01)


def compare(one: Path, other: Path) -> list:
    """Names of the tensors whose bits differ."""
    from src import device
    from src.config import build_config

    device.prepare(build_config({"platform": "CPU"}))
    from src import checkpoint

    first, second = (checkpoint.load(path) for path in (one, other))
    tensors = [{**saved.weights, **saved.run.tensors} for saved in (first, second)]
    names = set(tensors[0]) | set(tensors[1])
    missing = [name for name in names if name not in tensors[0] or name not in tensors[1]]
    bits = [{name: tensor.asnumpy().tobytes() for name, tensor in each.items()} for each in tensors]
    differ = [name for name in names - set(missing) if bits[0][name] != bits[1][name]]
    return sorted(missing + differ)


if __name__ == "__main__":
    sys.exit(main())
