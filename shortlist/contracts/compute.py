"""Where a stage runs: what a function and a job have, and the state machine's choice between them."""

from collections.abc import Mapping
from typing import Final

import msgspec

FUNCTION_MEMORY_MIB: Final = 3_008
"""Of Repackage, BuildIndex and Rank: the most that a young account may ask for. Lambda has 10,240 at most."""
FUNCTION_SCRATCH_MIB: Final = 2_048
"""Their /tmp. Lambda has 10,240 at most."""
FUNCTION_TIMEOUT_S: Final = 900
"""The most that a function may run."""

FARGATE_SIZES: Final[Mapping[float, range | tuple[int, ...]]] = {
    0.25: (1, 2),
    0.5: range(1, 5),
    1: range(2, 9),
    2: range(4, 17),
    4: range(8, 31),
    8: range(16, 61, 4),
    16: range(32, 121, 8),
}
"""vCPUs -> GiB that Fargate offers with them (whole GiB only)."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where one stage runs, as the state machine reads it.

    Attributes:
        job: a Batch job; else a function.
        vcpus, memory_mib: of the job, one of Fargate's pairs, in the words of Batch.
        children: of the array job that ranks; at least 2, which is the least that an array may have.
        needs_mib, needs_s: what was reckoned: memory of one process; seconds of one call of a function.
        because: what a function has too little of; empty where it has enough.
    """

    job: bool
    vcpus: str
    memory_mib: str
    children: int = 2
    needs_mib: int
    needs_s: int
    because: str = ""
