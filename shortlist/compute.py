"""Sizes of what was trained in; where Repackage, BuildIndex and Rank run, and how large, out.

A stage is a function as long as a function has the memory, the disk and the time for it. What it needs is reckoned from
bytes that it will read; docs/scale.md has the measurements behind the factors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from shortlist.contracts.compute import (
    FARGATE_SIZES,
    FUNCTION_MEMORY_MIB,
    FUNCTION_SCRATCH_MIB,
    FUNCTION_TIMEOUT_S,
    Placement,
)
from shortlist.contracts.stages import GROWING_STAGES, GrowingStage
from shortlist.errors import ShortlistError

MIB: Final = 2**20
BYTES_PER_S: Final = 75e6
"""From or to S3, one stream."""
TIME_SHARE: Final = 0.5
"""Of a function's time is planned with: rates are of another processor than Lambda's."""
SPARE: Final = 1.25
"""Memory of a job over what was reckoned."""
LEAST_VCPUS: Final[Mapping[GrowingStage, float]] = {"Repackage": 2, "BuildIndex": 4, "Rank": 4}
CHILD_S: Final = 1_800
"""Of work for one child of the array: starting is a small part of it, and a reclaimed machine loses little."""
MAX_CHILDREN: Final = 1_000
EXACT_SECONDS: Final = 60
EXACT_FLOPS: Final = 60e9
"""`index.factory: auto` is exact while a shard takes no longer than this at a rate that one Lambda core reaches: 65
dimensions at 1.54 ns a pair are 84e9 (docs/scale.md)."""
SAMPLED_SHARDS: Final = 10
"""BuildIndex holds the users of so many at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What was trained.

    Attributes:
        users, items: rows.
        user_bytes: of the users' factors, ids, features and past.
        item_bytes: of the items' factors and features.
        catalogue_bytes: of the items' ids and what is said of them.
        users_per_shard: of Rank.
        places_per_user: on all of a user's lists.
        factory: of the index, as the campaign says.
    """

    users: int
    items: int
    user_bytes: int
    item_bytes: int
    catalogue_bytes: int
    users_per_shard: int
    places_per_user: int
    factory: str = "auto"

    @property
    def shards(self) -> int:
        return ceil(self.users / self.users_per_shard)


def exact_is_fast(numbers: float, users: int) -> bool:
    """Whether users are searched for fast enough through items that are so many numbers, all dimensions counted."""
    return 2.0 * numbers * users / EXACT_FLOPS <= EXACT_SECONDS


@dataclass(frozen=True, slots=True)
class Need:
    """What one process needs: memory and disk in bytes, seconds of a function's processors."""

    memory: float
    disk: float
    seconds: float


def place(sizes: Sizes, function_memory_mib: int | None = None) -> dict[GrowingStage, Placement]:
    """Where each stage runs.

    Args:
        function_memory_mib: reckoned memory up to which a stage is a function; None: what the functions have.

    Raises:
        ShortlistError: a stage needs more memory than any job has.
    """
    needs: dict[GrowingStage, Need] = {
        "Repackage": _repackage(sizes),
        "BuildIndex": _build_index(sizes),
        "Rank": _rank(sizes),
    }
    limit_mib = FUNCTION_MEMORY_MIB if function_memory_mib is None else function_memory_mib
    children = max(2, min(ceil(sizes.shards * _search_s(sizes) / CHILD_S), sizes.shards, MAX_CHILDREN))
    return {stage: _placement(stage, needs[stage], limit_mib, children) for stage in GROWING_STAGES}


def _placement(stage: GrowingStage, need: Need, limit_mib: int, children: int) -> Placement:
    needs_mib = ceil(need.memory / MIB)
    lacking = {
        f"memory: {needs_mib:,} MiB of {limit_mib:,}": needs_mib > limit_mib,
        f"disk: {need.disk / MIB:,.0f} MiB of {FUNCTION_SCRATCH_MIB:,}": need.disk > FUNCTION_SCRATCH_MIB * MIB,
        f"time: {need.seconds:,.0f} s of {FUNCTION_TIMEOUT_S * TIME_SHARE:,.0f}": need.seconds
        > FUNCTION_TIMEOUT_S * TIME_SHARE,
    }
    because = "; ".join(what for what, lacks in lacking.items() if lacks)
    vcpus, memory_mib = job_size(stage, needs_mib)
    return Placement(
        job=bool(because),
        vcpus=f"{vcpus:g}",
        memory_mib=str(memory_mib),
        children=children,
        needs_mib=needs_mib,
        needs_s=ceil(need.seconds),
        because=because,
    )


def job_size(stage: GrowingStage, needs_mib: int) -> tuple[float, int]:
    """vCPUs and MiB of the smallest Fargate task that has what a stage needs, and something to spare.

    Raises:
        ShortlistError: there is none.
    """
    wanted_gib = ceil(needs_mib * SPARE / 1024)
    for vcpus, offered in FARGATE_SIZES.items():
        enough = [gib for gib in offered if gib >= wanted_gib]
        if vcpus >= LEAST_VCPUS[stage] and enough:
            return vcpus, 1024 * enough[0]
    raise ShortlistError(
        f"{stage} would need {wanted_gib} GiB, and the largest job has {max(map(max, FARGATE_SIZES.values()))}. "
        "Cure: fewer factors (`model.n_factors`), or leave out users who have not bought for years; docs/scale.md says "
        "what a user and an item take."
    )


def _repackage(sizes: Sizes) -> Need:
    read = sizes.user_bytes + sizes.item_bytes
    return Need(
        memory=80 * MIB + 1.5 * sizes.user_bytes + 3 * sizes.item_bytes,
        disk=read,
        seconds=2.5 * read / BYTES_PER_S + 15e-9 * read,
    )


def _build_index(sizes: Sizes) -> Need:
    sampled = min(1.0, SAMPLED_SHARDS * sizes.users_per_shard / max(sizes.users, 1)) * sizes.user_bytes
    exact = sizes.factory == "Flat" or (
        sizes.factory == "auto" and exact_is_fast(sizes.item_bytes / 4, sizes.users_per_shard)
    )
    # Twice what the slowest of docs/benchmarks.md took: 64 s to train a quantizer, 0.12 ms for an item of a graph.
    trained = 0.0 if exact else 128 + 240e-6 * sizes.items
    return Need(
        memory=90 * MIB + 2 * sampled + 3.2 * sizes.item_bytes + sizes.catalogue_bytes,
        disk=sizes.item_bytes,
        seconds=(3 * sizes.item_bytes + sampled) / BYTES_PER_S + 36e-6 * sizes.items + trained,
    )


def _rank(sizes: Sizes) -> Need:
    """One shard in a process that has nothing yet."""
    users = min(sizes.users, sizes.users_per_shard)
    fetched = 2 * sizes.item_bytes + sizes.catalogue_bytes
    return Need(
        memory=140 * MIB + 480 * users * sizes.places_per_user + 3 * sizes.item_bytes + 1.6 * sizes.catalogue_bytes,
        disk=fetched,
        seconds=fetched / BYTES_PER_S + _search_s(sizes),
    )


def _search_s(sizes: Sizes) -> float:
    """Of a shard, once the items are there: 1.54 ns a score of 65 dimensions on 1.7 processors, and the rest."""
    users = min(sizes.users, sizes.users_per_shard)
    return users * (sizes.item_bytes / 4 * 1.54e-9 / 65 / 1.7 + 330e-6)
