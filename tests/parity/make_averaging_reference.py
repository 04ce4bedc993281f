"""Writes averaging_reference.npz: PyTorch's mean of some networks' weights, with running statistics recomputed.

Usage: python tests/parity/make_averaging_reference.py, with what benchmarks/requirements.txt lists.

The file holds `versions` and `<parameter>` as `training.sample` gives them, of what `torch.optim.swa_utils` makes of the
weights and batches of training.py, computed in float64.
"""

import numpy as np
import torch
from make_training_reference import FOLDER, reference_network
from torch.optim.swa_utils import AveragedModel, update_bn
from training import AVERAGED_NETWORK, NETWORKS, STATISTICS_SEEDS, draw_batch, members_of, sample


def main() -> None:
    """Computes and writes the file."""
    network = reference_network(*NETWORKS[AVERAGED_NETWORK][:2]).double()
    averaged = AveragedModel(network)
    state = network.state_dict()
    for member in members_of({name: value.shape for name, value in state.items()}):
        network.load_state_dict({**state, **{name: torch.from_numpy(value) for name, value in member.items()}})
        averaged.update_parameters(network)
    update_bn([torch.from_numpy(draw_batch(seed)[0]).double() for seed in STATISTICS_SEEDS], averaged)
    values = averaged.module.state_dict()
    content = sample({name: value.numpy() for name, value in values.items() if value.dtype == torch.float64})
    versions = np.array(f"torch {torch.__version__}")
    np.savez_compressed(FOLDER / "averaging_reference.npz", versions=versions, **content)


if __name__ == "__main__":
    main()
