"""A process's place among those of a run. Needs no MindSpore."""

from typing import NamedTuple


class Group(NamedTuple):
    """One of the `size` processes of a run; `rank` counts them from 0, `local_rank` those of its server."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0


ALONE = Group()
