"""What the batches of a run told, kept on the device until somebody asks, and what the ranks tell each other meanwhile."""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from .stopping import STOP_CODES

TALLY = "tally"  # prefix of the names of its parameters, which are no part of a run's state
# What a rank says with each step, as 0 or 1: whether it was asked to stop, with which code; whether it reads after it.
NOTES = (*STOP_CODES, "reads")
_COLUMNS = 3  # before the notes: loss, whether no update was skipped, loss scale


class Tally(nn.Cell):
    """A ring of rows, one for each of the last batches; writing one takes no part of the host.

    Inputs: loss, float32 (); whether no update was skipped, bool (); the loss scale, float32 (); the ranks' notes added up,
        float32 (len(NOTES),).

    Args:
        batches: rows that are kept; whoever reads after at most as many batches misses none.
    """

    def __init__(self, batches: int):
        super().__init__(auto_prefix=False)
        self.batches = batches
        rows = np.zeros((batches, _COLUMNS + len(NOTES)), np.float32)
        self.rows = ms.Parameter(ms.Tensor(rows), name=f"{TALLY}.rows", requires_grad=False)
        self.place = ms.Parameter(ms.Tensor([0], ms.int32), name=f"{TALLY}.place", requires_grad=False)
        self.notes = ms.Parameter(ms.Tensor(np.zeros(len(NOTES), np.float32)), name=f"{TALLY}.notes", requires_grad=False)
        self._written = 0  # batches written until the last reading
        self._declared = [0.0] * len(NOTES)

    def construct(self, loss, finite, scale, notes):
        row = ops.concat((ops.stack((loss, ops.cast(finite, ms.float32), scale)), notes))
        ops.scatter_update(self.rows, self.place, ops.reshape(row, (1, -1)))
        return ops.assign(self.place, (self.place + 1) % self.batches)

    def declare(self, notes: list[float]) -> None:
        """Sets what this rank says with its next steps."""
        if notes != self._declared:
            # In place: a compiled step with branches (a dynamic loss scale) goes on with its own tensor after `set_data`.
            ops.assign(self.notes, ms.Tensor(np.array(notes, np.float32)))
            self._declared = notes

    def read(self, batches: int) -> NDArray[np.float32]:
        """The rows of the last batches, the oldest first: (batches, columns). Waits for the device: its one fetch.

        Args:
            batches: how many were written since the last reading.
        """
        assert batches <= self.batches, f"{batches} batches since the last reading, {self.batches} are kept"
        rows = self.rows.asnumpy()[(self._written + np.arange(batches)) % self.batches]
        self._written += batches
        return rows


def notes_of(rows: NDArray[Any]) -> NDArray[Any]:
    """The notes in rows of a `Tally`: (batches, len(NOTES))."""
    return rows[:, _COLUMNS:]
