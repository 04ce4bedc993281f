"""What the server takes from strangers, and what it tells them when they want more."""

import ipaddress
from dataclasses import dataclass


class RefusedError(Exception):
    """A request that is not answered: the HTTP status, and one line that says why."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Limits:
    """What one request may cost, and all of them together.

    Attributes:
        most_bytes: of a request's body.
        most_pixels: of an image, before anything of it is decoded.
        most_images: in one request.
        queue: images that are waiting or being classified; more are refused with 429.
        held_bytes: of all bodies that are being received, at a time.
        connections: open at a time.
        seconds: for a request's head, for its body, and for the answer.
    """

    most_bytes: int
    most_pixels: int
    queue: int
    seconds: float
    most_images: int = 16

    @property
    def held_bytes(self) -> int:
        return max(256 << 20, 4 * self.most_bytes)

    @property
    def connections(self) -> int:
        return 4 * self.queue + 16


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine, whatever a name server says."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
