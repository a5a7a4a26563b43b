"""The inner-product rows against the factorization machine's own formula, written as its double loop."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import SparseRows
from shortlist.latent import in_context, item_latent, item_prior, pair_scores, user_latent, user_offset, user_prior
from tests.double_loop import double_loop


def rows_of(features: list[dict[int, float]], width: int) -> SparseRows:
    indptr = np.cumsum([0] + [len(row) for row in features])
    indices = np.array([f for row in features for f in row], np.int32)
    data = np.array([x for row in features for x in row.values()], np.float32)
    return SparseRows(indptr.astype(np.int64), indices, data, width)


@st.composite
def machines(draw: st.DrawFn) -> tuple[FactorModel, list[dict[int, float]], list[dict[int, float]]]:
    sizes = [draw(st.integers(1, 4)) for _ in range(2)]
    widths = [draw(st.integers(1, 5)) for _ in range(2)]
    k = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def side(n: int, width: int) -> Side:
        shapes = ((n, k), (n,), (width, k), (width,))
        return Side(*(rng.standard_normal(shape).astype(np.float32) for shape in shapes))

    values = st.floats(-2, 2, width=32)
    features = [
        [draw(st.dictionaries(st.integers(0, width - 1), values)) for _ in range(n)]
        for n, width in zip(sizes, widths, strict=True)
    ]
    model = FactorModel(draw(st.floats(-1, 1)), side(sizes[0], widths[0]), side(sizes[1], widths[1]), {})
    return model, features[0], features[1]


@settings(max_examples=60, deadline=None)
@given(machines())
def test_an_inner_product_is_the_whole_machine(drawn):
    model, user_features, item_features = drawn
    users = rows_of(user_features, len(model.users.feature_weights))
    items = rows_of(item_features, len(model.items.feature_weights))

    scores = user_latent(model, users) @ item_latent(model, items).T + user_offset(model, users)[:, None]

    expected = [
        [double_loop(model, (u, uf), (i, xf)) for i, xf in enumerate(item_features)]
        for u, uf in enumerate(user_features)
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(machines(), st.data())
def test_the_moment_joins_the_users_part_and_the_score_stays_the_whole_machine(drawn, data):
    model, user_features, item_features = drawn
    width = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(width)
    moment_side = Side.zeros(0, width, model.n_factors)
    moment_side.feature_factors[:] = rng.standard_normal(moment_side.feature_factors.shape)
    moment_side.feature_weights[:] = rng.standard_normal(width)
    model = replace(model, context=moment_side)
    pairs = [(u, i) for u in range(len(user_features)) for i in range(len(item_features))]
    values = st.floats(-2, 2, width=32)
    moments = [data.draw(st.dictionaries(st.integers(0, width - 1), values)) for _ in pairs]
    users = rows_of(user_features, len(model.users.feature_weights))
    items = rows_of(item_features, len(model.items.feature_weights))
    u, i = np.array(pairs).T

    a_u, c_u = user_latent(model, users), user_offset(model, users)
    scores = pair_scores(model, a_u, c_u, item_latent(model, items), u, i, rows_of(moments, width))

    expected = [
        double_loop(model, (a, user_features[a]), (b, item_features[b]), moment)
        for (a, b), moment in zip(pairs, moments, strict=True)
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-3)


def test_a_model_without_context_is_not_moved_by_one():
    model = FactorModel(0.5, Side.zeros(2, 0, 3), Side.zeros(1, 0, 3), {})
    users, offset = user_latent(model), user_offset(model)

    moved, also = in_context(model, users, offset, rows_of([{0: 1.0}, {}], 1))

    np.testing.assert_array_equal(moved, users)
    np.testing.assert_array_equal(also, offset)


@settings(max_examples=30, deadline=None)
@given(machines())
def test_without_ids_the_features_alone_order_the_items(drawn):
    model, user_features, item_features = drawn
    users = rows_of(user_features, len(model.users.feature_weights))
    items = rows_of(item_features, len(model.items.feature_weights))

    scores = user_prior(model, users) @ item_prior(model, items).T

    expected = np.array([[double_loop(model, (-1, uf), (-1, xf)) for xf in item_features] for uf in user_features])
    of_user = scores - expected  # what is left depends on the user alone
    np.testing.assert_allclose(of_user, np.broadcast_to(of_user[:, :1], of_user.shape), atol=1e-4)


def test_leaving_out_the_items_self_interaction_orders_them_wrongly():
    same = np.array([[2.0], [2.0]], np.float32)
    none = np.zeros(2, np.float32)
    items = Side(np.zeros((2, 1), np.float32), np.array([0.0, 1.0], np.float32), same, none)
    model = FactorModel(0.0, Side.zeros(1, 0, 1), items, {})
    features = rows_of([{0: 1.0, 1: 1.0}, {}], 2)

    latent = item_latent(model, features)

    assert latent[0, -1] == pytest.approx(4.0)  # <v_0, v_1> between the item's two features
    assert latent[0, -1] > latent[1, -1]  # bias alone would put the second first


def test_a_model_without_features_gives_its_factors_and_weights():
    rng = np.random.default_rng(0)
    factors, weights = rng.standard_normal((3, 2)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    empty = Side.zeros(0, 0, 2)
    side = Side(factors, weights, empty.feature_factors, empty.feature_weights)

    model = FactorModel(0.5, side, side, {})

    np.testing.assert_array_equal(item_latent(model), np.column_stack([factors, weights]))
    np.testing.assert_array_equal(user_latent(model)[:, -1], 1)
    np.testing.assert_allclose(user_offset(model), weights + 0.5)
