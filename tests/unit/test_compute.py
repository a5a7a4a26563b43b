"""Where a stage runs: as a function while that is large enough, else as a job of a size that Fargate offers."""

from dataclasses import replace

import pytest

from shortlist.compute import MAX_CHILDREN, Sizes, job_size, place
from shortlist.contracts.compute import FARGATE_SIZES, FUNCTION_MEMORY_MIB
from shortlist.contracts.stages import GROWING_STAGES
from shortlist.errors import ShortlistError

USER_BYTES, ITEM_BYTES, CATALOGUE_BYTES = 65 * 4 + 27 * 24 + 23, 260, 300
"""Of a user with 27 purchases and an item with titles and addresses, at 64 factors."""


def sizes(users, items, **changes):
    whole = Sizes(
        users=users,
        items=items,
        user_bytes=users * USER_BYTES,
        item_bytes=items * ITEM_BYTES,
        catalogue_bytes=items * CATALOGUE_BYTES,
        users_per_shard=5_000,
        places_per_user=60,
    )
    return replace(whole, **changes)


def jobs(placed):
    return {stage for stage, where in placed.items() if where.job}


@pytest.mark.parametrize(
    ("users", "items", "expected"),
    [
        (70, 120, set()),
        (1_000_000, 100_000, set()),
        (10_000_000, 100_000, {"Repackage"}),
        (10_000_000, 1_000_000, {"Repackage"}),
        (100_000, 3_000_000, {"BuildIndex", "Rank"}),
        (20_000_000, 10_000_000, {"Repackage", "BuildIndex", "Rank"}),
    ],
)
def test_a_stage_is_a_job_where_its_users_or_items_are_too_many_for_a_function(users, items, expected):
    placed = place(sizes(users, items))

    assert jobs(placed) == expected
    assert all(bool(where.because) == where.job for where in placed.values())


@pytest.mark.parametrize(
    ("stage", "measured_mib", "size"),
    [
        # `python -m bench stage_memory` (docs/scale.md)
        ("Repackage", 192, (100_000, 20_000)),
        ("Repackage", 556, (400_000, 20_000)),
        ("Repackage", 245, (20_000, 200_000)),
        ("Repackage", 701, (20_000, 800_000)),
        ("Repackage", 1_594, (5_000, 2_000_000)),
        ("BuildIndex", 173, (100_000, 20_000)),
        ("BuildIndex", 173, (400_000, 20_000)),
        ("BuildIndex", 298, (20_000, 200_000)),
        ("BuildIndex", 950, (20_000, 800_000)),
        ("BuildIndex", 2_250, (5_000, 2_000_000)),
        ("Rank", 246, (100_000, 20_000)),
        ("Rank", 246, (400_000, 20_000)),
        ("Rank", 518, (20_000, 200_000)),
        ("Rank", 1_228, (20_000, 800_000)),
        ("Rank", 2_570, (5_000, 2_000_000)),
    ],
)
def test_what_is_reckoned_is_what_was_measured_or_a_little_more(stage, measured_mib, size):
    needs_mib = place(sizes(*size))[stage].needs_mib

    assert measured_mib * 0.98 <= needs_mib <= measured_mib * 1.25


@pytest.mark.parametrize("stage", GROWING_STAGES)
def test_the_campaign_may_move_the_border_either_way(stage):
    small, large = sizes(70, 120), sizes(3_000_000, 3_000_000)

    assert jobs(place(small, 0)) == set(GROWING_STAGES)
    assert jobs(place(small, place(small)[stage].needs_mib)).isdisjoint({stage})
    assert stage in jobs(place(small, place(small)[stage].needs_mib - 1))
    assert f"of {FUNCTION_MEMORY_MIB:,}" in place(large)[stage].because


def test_a_shard_that_takes_too_long_is_a_job_although_it_has_the_memory():
    slow = sizes(400_000, 2_050_000, users_per_shard=200_000, places_per_user=1)

    rank = place(slow)["Rank"]

    assert rank.job
    assert rank.because == "time: 460 s of 450"


@pytest.mark.parametrize(
    ("factory", "items", "job"),
    [
        ("Flat", 2_000_000, False),
        ("auto", 2_000_000, False),
        ("HNSW32", 2_000_000, True),
        ("HNSW32", 500_000, False),
    ],
)
def test_an_index_that_takes_long_to_train_is_built_by_a_job(factory, items, job):
    placed = place(sizes(100_000, items, factory=factory))["BuildIndex"]

    assert placed.job == job
    assert placed.because.startswith("time: ") == job


def test_auto_is_trained_by_a_job_where_it_is_not_exact():
    exact, approximate = (place(sizes(100_000, items), 10_240)["BuildIndex"] for items in (5_000_000, 6_000_000))

    assert "time: " not in exact.because
    assert "time: " in approximate.because


def test_a_function_without_room_on_its_disk_is_a_job():
    assert "disk: 2,289 MiB of 2,048" in place(sizes(10, 10, user_bytes=2_400_000_000))["Repackage"].because


@pytest.mark.parametrize(
    ("users", "items", "children"), [(70, 120, 2), (1_000_000, 8_000_000, 5), (100_000_000, 10_000_000, 522)]
)
def test_the_array_has_a_child_for_half_an_hour_of_work_and_two_at_least(users, items, children):
    found = place(sizes(users, items, user_bytes=0))["Rank"].children

    assert found == children
    assert 2 <= found <= MAX_CHILDREN


@pytest.mark.parametrize("stage", GROWING_STAGES)
@pytest.mark.parametrize("needs_mib", [0, 3_008, 9_999, 20_000, 60_000, 98_000])
def test_a_job_has_what_it_needs_and_is_one_of_fargates(stage, needs_mib):
    vcpus, memory_mib = job_size(stage, needs_mib)

    assert memory_mib // 1024 in FARGATE_SIZES[vcpus]
    assert memory_mib >= needs_mib * 1.2


def test_what_no_job_can_hold_is_refused_with_a_cure():
    with pytest.raises(ShortlistError, match=r"the largest job has 120\. Cure"):
        place(sizes(1_000, 200_000_000))
