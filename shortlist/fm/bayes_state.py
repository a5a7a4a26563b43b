"""Examples and features in, the unknowns of a Bayesian machine and their layout out; and unknowns in, a machine out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.fm.hyper import GroupedPrior, Prior
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.noise import Noise
from shortlist.fm.row_kernels import side_by_side
from shortlist.fm.score_kernels import feature_totals, split_off

Solver = Literal["als", "gibbs", "variational"]
DRAWN_NUMBERS_START: Final = 2.0
START: Final = 3.0
"""Times `init_scale`, of draws for regression and of draws for classes and mean fields: small starts are left late, and
until then draws say little. Chosen on validation (docs/fm.md); the mode starts from `init_scale` itself."""


@dataclass(frozen=True, slots=True)
class BayesSettings:
    """See FactorizationMachine."""

    n_factors: int
    solver: Solver
    classes: bool
    regularization: float
    init_scale: float


@dataclass(slots=True)
class Features:
    """Declared features of one kind and what is believed of them.

    Attributes:
        rows: CSR (n, f).
        columns: the same, compressed by column.
        weights: float32 (f, K), factors and linear weight.
        variance: float32 (f, K) of the last draw.
        prior: of every group.
        totals: float32 (n, K), (xV, w·x + Σ_{f<g} <v_f, v_g> x_f x_g) of every row by the weights as they are
            (`settle`).
    """

    rows: csr_array
    columns: csc_array
    weights: Float32Array
    variance: Float32Array
    prior: GroupedPrior
    totals: Float32Array

    def by_column(self) -> tuple[Int64Array, Int32Array, Float32Array]:
        """Where each feature's rows start, the rows and their values, in the kernels' types."""
        columns = self.columns
        return columns.indptr.astype(np.int64), columns.indices.astype(np.int32, copy=False), columns.data

    def settle(self) -> None:
        """Totals of weights that have changed."""
        rows = self.rows
        places = rows.indptr.astype(np.int64), rows.indices.astype(np.int32, copy=False)
        self.totals = feature_totals(*places, rows.data, self.weights)


@dataclass(slots=True)
class Rows:
    """Users or items: their examples in the kernels' layout, and what is believed of them.

    Attributes:
        indptr: int64 (n + 1,), places of each row in `others` and `examples`.
        others: int32, the row of the other side.
        examples: int64, the number of the example.
        order: int64 (n,), in which they are drawn.
        batches: int64, where those of `order` that are drawn together start.
        noise_starts: int64 (n,), for rows with fewer examples than K the place of their noise.
        n_noise: places of noise.
        totals: float32 (n, K).
        means: float32 (n, K), what totals were drawn around given all else; (0, K) unless asked for.
        variance: float32 (n, K); (0, K) unless `variational`.
        prior: of what an id adds to its features.
        features: None where there are none.
    """

    indptr: Int64Array
    others: Int32Array
    examples: Int64Array
    order: Int64Array
    batches: Int64Array
    noise_starts: Int64Array
    n_noise: int
    totals: Float32Array
    means: Float32Array
    variance: Float32Array
    prior: Prior
    features: Features | None


@dataclass(slots=True)
class State:
    """The unknowns after an epoch.

    Attributes:
        users: and their examples.
        items: and their examples.
        context: features of the moment; None where there are none.
        bias: of every score.
        noise: of every user's targets.
        scores: float32 (n,), of the examples, without bias.
        missed: float64 (n_users, 2), Σ (target − score) and Σ (target − score)²; classes: not used.
        epoch: epochs done.
    """

    users: Rows
    items: Rows
    context: Features | None
    bias: float
    noise: Noise
    scores: Float32Array
    missed: Float64Array
    epoch: int = 0


def features_of(rows: csr_array | None, groups: Int64Array, settings: BayesSettings) -> Features | None:
    """Nothing known yet; None where there are no columns."""
    if rows is None or rows.shape[1] == 0:
        return None
    shape = (rows.shape[1], settings.n_factors + 1)
    return Features(
        rows,
        csc_array(rows),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        GroupedPrior.of(groups, shape[1], settings.regularization),
        np.zeros((rows.shape[0], shape[1]), np.float32),
    )


def rows_of(
    rows: Int32Array,
    others: Int32Array,
    n: int,
    features: Features | None,
    settings: BayesSettings,
    rng: np.random.Generator,
) -> Rows:
    """Small random factors, no offsets: precisions then start large, and factors grow as far as the data asks."""
    scale = settings.init_scale * _start(settings)
    size = settings.n_factors + 1
    counts = np.bincount(rows, minlength=n)
    examples = np.argsort(rows, kind="stable")
    order, batches = side_by_side(counts, size)
    noise = np.where(counts < size, counts, 0)
    totals = np.zeros((n, size), np.float32)
    totals[:, :-1] = scale * rng.standard_normal((n, size - 1), dtype=np.float32)
    return Rows(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        others[examples],
        examples.astype(np.int64),
        order,
        batches,
        (np.cumsum(noise) - noise).astype(np.int64),
        int(noise.sum()),
        totals,
        np.zeros((0, size), np.float32),
        np.zeros((n if settings.solver == "variational" else 0, size), np.float32),
        Prior.fixed(size, settings.regularization),
        features,
    )


def _start(settings: BayesSettings) -> float:
    if settings.solver == "als":
        return 1.0
    return DRAWN_NUMBERS_START if settings.solver == "gibbs" and not settings.classes else START


def to_arrays(state: State) -> dict[str, NDArray[Any]]:
    """What an epoch changes, by name; scores follow from it."""
    noise = state.noise
    alone = np.array([state.bias, noise.level, noise.shape], np.float64)
    return {**_unknowns(state), "noise": noise.precision, "bias_noise_level_and_shape": alone}


def restore(state: State, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `to_arrays` of another state into this one, of the same data and settings."""
    for name, unknown in _unknowns(state).items():
        unknown[...] = arrays[name]
    state.bias, level, shape = arrays["bias_noise_level_and_shape"].tolist()
    state.noise = Noise(arrays["noise"], level, int(shape))
    for features in (state.users.features, state.items.features, state.context):
        if features is not None:
            features.settle()


def _unknowns(state: State) -> dict[str, NDArray[Any]]:
    """Not copied."""
    named: dict[str, NDArray[Any]] = {}
    for name, side in (("users", state.users), ("items", state.items)):
        named |= {f"{name}_totals": side.totals, f"{name}_variance": side.variance, **_of_prior(name, side.prior)}
    features = (("user_features", state.users.features), ("item_features", state.items.features))
    for name, of in (*features, ("context", state.context)):
        if of is not None:
            named |= {f"{name}_weights": of.weights, f"{name}_variance": of.variance, **_of_prior(name, of.prior)}
    return named


def _of_prior(name: str, prior: Prior | GroupedPrior) -> dict[str, NDArray[Any]]:
    return {f"{name}_mean": prior.mean, f"{name}_precision": prior.precision}


def to_model(state: State) -> FactorModel:
    """The state as a factorization machine whose unknown ids are zero; one side at its means, where it has them.

    Given all else the score of a pair is linear in the side that was drawn last. So with that side's mean in place of
    its draw a machine says what many such draws would say together (Rao, Blackwell; Gelfand, Smith 1990).

    The means of users' and items' vectors move into bias and weights, exactly: with t = μ + t',
    <t_u, t_i> = <t'_u, t'_i> + <t'_u, μ_i> + <μ_u, t'_i> + <μ_u, μ_i>. What remains of a new id is what its
    features say.
    """
    of_users, of_items = (side.prior.mean.astype(np.float32) for side in (state.users, state.items))
    users, items = _centred(state.users, of_items), _centred(state.items, of_users)
    bias = state.bias + float(of_users[-1]) + float(of_items[-1]) + float(of_users[:-1] @ of_items[:-1])
    context = None
    if state.context is not None:
        factors, weights = state.context.weights[:, :-1].copy(), state.context.weights[:, -1]
        nobody = Side.zeros(0, 0, factors.shape[1])
        linear = weights + factors @ (of_users + of_items)[:-1]
        context = Side(nobody.factors, nobody.weights, factors, linear)
    return FactorModel(bias, users, items, {}, context)


def _centred(side: Rows, other_mean: Float32Array) -> Side:
    """An id's part is what its features leave, and nothing without examples."""
    n, k = len(side.totals), side.totals.shape[1] - 1
    factors, weights = np.empty((n, k), np.float32), np.empty(n, np.float32)
    shown = np.zeros((0, k + 1), np.float32) if side.features is None else side.features.totals
    mean = side.prior.mean.astype(np.float32)
    totals = side.means if len(side.means) else side.totals
    split_off(side.indptr, totals, mean, shown, other_mean, factors, weights)
    if side.features is None:
        nobody = Side.zeros(0, 0, k)
        return Side(factors, weights, nobody.feature_factors, nobody.feature_weights)
    drawn = side.features.weights
    return Side(factors, weights, drawn[:, :-1].copy(), drawn[:, -1] + drawn[:, :-1] @ other_mean[:-1])
