"""The made-up shop on which scale is measured: what it says of itself is true of its purchases."""

import numpy as np

from bench._generator import LIKED, TASTES, make_world
from bench.scale import plot


def test_the_same_seed_is_the_same_shop():
    one, again, other = (make_world(20_000, 500, 300, seed=seed) for seed in (1, 1, 2))

    assert (one.purchases != again.purchases).nnz == 0
    assert (one.item_features != again.item_features).nnz == 0
    assert (one.purchases != other.purchases).nnz > 0


def test_purchases_are_distinct_sorted_and_about_as_many_as_wanted():
    world = make_world(50_000, 1_000, 2_000)

    assert world.purchases.has_canonical_format
    assert 0.8 * 50_000 < world.purchases.nnz <= 51_000
    assert np.diff(world.purchases.indptr).min() >= 1


def test_purchases_follow_the_chances_that_the_shop_tells():
    # GIVEN many users who buy a little of much, so that hardly anything is drawn twice
    world = make_world(40_000, 20_000, 5_000)
    users = np.arange(0, 20_000, 10)

    # WHEN the chances of their purchases are added up by the place of the taste they are of
    chance = world.chance(users)
    bought = world.purchases[users].tocoo()
    expected, found = np.zeros(len(LIKED)), np.zeros(len(LIKED))
    for place in range(len(LIKED)):
        of_taste = world.taste_of[None, :] == world.tastes[users, place][:, None]
        expected[place] = (chance * of_taste).sum(1).mean()
        found[place] = of_taste[bought.row, bought.col].mean()

    # THEN there are as many purchases of it as the chances say
    np.testing.assert_allclose(chance.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_features_name_the_taste_mostly():
    world = make_world(10_000, 500, 4_000)

    named = world.item_features.indices[0::2]

    assert 0.75 < (named == world.taste_of).mean() < 0.9
    assert world.item_features.shape == (4_000, 2 * TASTES)


def test_the_plot_shows_every_size():
    result = {
        "interactions": 10,
        "seconds_per_epoch": 1.0,
        "cpu_seconds_per_epoch": 1.0,
        "seconds_per_epoch_1_core": 2.0,
    }
    memory = {"matrices_and_factors_mib": 1.0, "peak_rss_mib": 5.0, "rss_at_start_mib": 3.0}

    figure = plot([result | memory, result | memory | {"interactions": 20}], cores=2)

    assert [len(line.get_xdata()) for axes in figure.axes for line in axes.lines] == [2] * 7
