"""Images that arrive while the network is busy wait, and then go through it together."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Waiting = tuple[NDArray[np.float32], "asyncio.Future[tuple[NDArray[np.float32], int]]"]


class Batches:
    """Groups images of several requests. Nobody waits for company: an idle network takes what there is.

    Args:
        classify: images float32 (N, 3, H, W) -> logits float32 (N, classes).
        thread: the single thread that runs the network.
        largest: images per batch. Sizes are powers of two, because MindSpore compiles each size anew.
        on_batch: is told the size of every batch.
    """

    def __init__(
        self,
        classify: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        thread: Executor,
        largest: int,
        on_batch: Callable[[int], Any],
    ):
        self._classify = classify
        self._thread = thread
        self._largest = largest
        self._on_batch = on_batch
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()

    async def logits(self, image: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
        """The logits of an image float32 (3, H, W), and how many images there were in its batch.

        Raises:
            Exception: what the network raised on the batch.
        """
        answer: asyncio.Future[tuple[NDArray[np.float32], int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((image, answer))
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self._arrived.wait()
            batch = self._next()
            if not batch:
                self._arrived.clear()
                continue
            images = np.stack([image for image, _ in batch])
            try:
                logits = await asyncio.get_running_loop().run_in_executor(self._thread, self._classify, images)
            except Exception as error:  # goes to those who wait for it; the next batch is another one
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            self._on_batch(len(batch))
            for row, (_, answer) in zip(logits, batch):
                if not answer.done():
                    answer.set_result((row, len(batch)))

    def _next(self) -> list[Waiting]:
        """The next images whose senders still wait; as many as the largest power of two that there are."""
        self._waiting = deque(pair for pair in self._waiting if not pair[1].done())
        count = min(len(self._waiting), self._largest)
        return [self._waiting.popleft() for _ in range(1 << count.bit_length() >> 1)]
