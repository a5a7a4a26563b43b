"""Purchases and features in, factors and item biases out: the `ranking` objective by alternating least squares.

    L = Σ_observed c_ui (1 − s_ui)² + α₀ Σ_all s_ui²
      + Σ_u λ_u ‖u − x_u W_u‖² + Σ_i λ_i ‖(i, b_i) − prior_i‖² + ridge on W
    s_ui = u · i + b_i            λ_r = λ (n_r + α₀ n_other)^ν

after Hu, Koren, Volinsky 2008 (every unobserved pair counts), Rendle et al. 2021 (frequency-scaled regularisation). The
unknowns are a user's and an item's *total* vectors, id and features together: the features then enter a row's own
problem only as the mean it is drawn to, and their factors follow from one sparse ridge regression a half-epoch.

The two halves of an epoch may weigh the same purchases differently: what a user likes shows over months, what an item
is like (and how many want it) in its last weeks. Each half is then least squares in its own weights.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.fm.kernels import observed_misses, solve_rows
from shortlist.fm.model import FactorModel
from shortlist.fm.new_items import fit_to_purchases
from shortlist.fm.ridge import FeatureRidge, self_interaction
from shortlist.fm.storage import Settings
from shortlist.fm.threads import Threads, aligned, shares
from shortlist.fm.totals import split
from shortlist.latent import item_latent, user_latent

FINAL_STEPS: Final = 12  # of conjugate gradients: leaves users within 1e-4 of the exact solution
ROW_WORK: Final = 8  # what a row costs beside its pairs, in pairs


@dataclass(frozen=True, slots=True)
class RankingSettings:
    """See FactorizationMachine."""

    n_factors: int
    unobserved_weight: float
    regularization: float
    regularization_exponent: float
    feature_regularization: float
    init_scale: float
    steps: int
    new_item_regularization: float | None = None


@dataclass(slots=True)
class State:
    """The unknowns after an epoch, in arrays of their own, which the next one changes.

    Users, items and their features' factors stand in one basis, which changes with every half-epoch.

    Attributes:
        users: float32 (n_users, k), total vectors.
        items: float32 (n_items, k), total vectors.
        biases: float32 (n_items,), of items.
        user_weights: float32 (f_users, k), W_u.
        item_weights: float32 (f_items, k + 1), W_i and the features' linear weights.
        epoch: epochs done.
    """

    users: Float32Array
    items: Float32Array
    biases: Float32Array
    user_weights: Float32Array
    item_weights: Float32Array
    epoch: int = 0

    def __post_init__(self) -> None:
        self.users, self.items = aligned(self.users), aligned(self.items)
        self.biases, self.item_weights = self.biases.copy(), self.item_weights.copy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "epoch"}

    def rotate(self, basis: Float64Array, threads: Threads) -> None:
        """Everything into `basis`, float64 (k, k), orthonormal columns; products stay what they are."""
        rotation = np.ascontiguousarray(basis.astype(np.float32))
        threads.rotate(self.users, rotation)
        threads.rotate(self.items, rotation)
        self.user_weights = self.user_weights @ rotation
        self.item_weights[:, : len(basis)] = self.item_weights[:, : len(basis)] @ rotation


@dataclass(frozen=True, slots=True)
class Half:
    """One side's rows of observed pairs, with their regularisation and each thread's share of them."""

    pairs: csr_array
    lanes: Int64Array
    regularization: Float32Array
    ridge: FeatureRidge | None

    @property
    def places(self) -> tuple[Int64Array, Int32Array]:
        """indptr and indices in the types for which the kernels are compiled."""
        return self.pairs.indptr.astype(np.int64), self.pairs.indices.astype(np.int32, copy=False)

    @classmethod
    def of(cls, pairs: csr_array, features: csr_array | None, settings: RankingSettings, n_threads: int) -> "Half":
        counts = np.diff(pairs.indptr)
        pull = (counts + settings.unobserved_weight * pairs.shape[1]) ** settings.regularization_exponent
        regularization = (settings.regularization * pull).astype(np.float32)
        ridge = None
        if features is not None and features.shape[1]:
            ridge = FeatureRidge(features, regularization, settings.feature_regularization)
        return cls(pairs, shares(counts + ROW_WORK, n_threads), regularization, ridge)


class RankingProblem:
    """The data of one fit in the layout the kernels want. `epoch` improves a State; nothing else changes."""

    def __init__(
        self,
        interactions: csr_array,
        item_interactions: csr_array,
        user_features: csr_array | None,
        item_features: csr_array | None,
        settings: RankingSettings,
        threads: Threads,
    ) -> None:
        """Both interactions (n_users, n_items) hold confidences > 0, without duplicates, columns ascending in a row."""
        self.settings = settings
        self._threads = threads
        self._users = Half.of(interactions, user_features, settings, threads.n)
        self._items = Half.of(csr_array(item_interactions.T), item_features, settings, threads.n)

    def start(self, seed: int) -> State:
        """Small random items; users, biases and features at zero."""
        k = self.settings.n_factors
        n_users, n_items = self._users.pairs.shape
        items = np.random.default_rng(seed).standard_normal((n_items, k), np.float32)
        items *= np.float32(self.settings.init_scale / np.sqrt(k))
        return State(
            np.zeros((n_users, k), np.float32),
            items,
            np.zeros(n_items, np.float32),
            np.zeros((self._users.ridge.features.shape[1] if self._users.ridge else 0, k), np.float32),
            np.zeros((self._items.ridge.features.shape[1] if self._items.ridge else 0, k + 1), np.float32),
        )

    def epoch(self, state: State) -> None:
        """Users given items, then items given users."""
        self._solve_users(state)
        self._solve_items(state)
        state.epoch += 1

    def finish(self, state: State) -> None:
        """Solve the users once more, to the end: each is then the exact answer to the final items, as in fold-in.

        Where new items matter, the factors of item features are then fitted to the purchases; no total changes.
        """
        if not state.epoch:
            return
        self._solve_users(state, steps=FINAL_STEPS)
        if self.settings.new_item_regularization is not None and self._items.ridge:
            state.item_weights = fit_to_purchases(
                state.item_weights,
                np.column_stack([state.users, np.ones(len(state.users), np.float32)]),
                self._items.pairs,
                self._items.ridge.features,
                unobserved_weight=self.settings.unobserved_weight,
                strength=self.settings.new_item_regularization,
            )

    def loss(self, state: State) -> float:
        """L without its regularisation, a pair: what the model misses."""
        half, crew, n_users = self._users, self._threads, len(state.users)
        misses = observed_misses(*half.places, half.pairs.data, state.users, state.items, state.biases)
        of_users = crew.weighted_sum(np.ones(n_users, np.float32), state.users)
        of_items = crew.weighted_sum(state.biases, state.items)
        squares = [
            np.vdot(crew.gram(state.users), crew.gram(state.items)),
            2 * of_users @ of_items,
            n_users * np.square(state.biases, dtype=np.float64).sum(),
        ]
        everywhere = float(sum(squares))
        return float(misses.sum() + self.settings.unobserved_weight * everywhere) / max(half.pairs.nnz, 1)

    def _solve_users(self, state: State, steps: int | None = None) -> None:
        """In the eigenbasis of the items' Gramian, where all pairs together are a diagonal."""
        half, k, alpha = self._users, self.settings.n_factors, self.settings.unobserved_weight
        prior = _nothing(k)
        if half.ridge and state.epoch:
            state.user_weights = half.ridge.improve(state.user_weights, state.users)
        values, basis = np.linalg.eigh(self._threads.gram(state.items))
        state.rotate(basis, self._threads)
        if half.ridge and state.epoch:
            prior = half.ridge.features @ state.user_weights
        solve_rows(
            *half.places,
            half.pairs.data,
            1 - state.biases,
            half.lanes,
            state.items,
            (alpha * np.maximum(values, 0)).astype(np.float32),
            (-alpha * self._threads.weighted_sum(state.biases, state.items)).astype(np.float32),
            np.zeros(k, np.float32),
            0.0,
            half.regularization,
            prior,
            state.users,
            np.empty(0, np.float32),
            steps or self.settings.steps,
        )

    def _solve_items(self, state: State) -> None:
        """The same, given the users; a bias meets every user with 1, which couples it to all factors."""
        half, k, alpha = self._items, self.settings.n_factors, self.settings.unobserved_weight
        prior = _nothing(k + 1)
        values, basis = np.linalg.eigh(self._threads.gram(state.users))
        state.rotate(basis, self._threads)
        if half.ridge and state.epoch:
            prior = self._item_prior(half.ridge, state)
        everyone = np.ones(len(state.users), np.float32)
        solve_rows(
            *half.places,
            half.pairs.data,
            np.empty(0, np.float32),
            half.lanes,
            state.users,
            (alpha * np.maximum(values, 0)).astype(np.float32),
            np.zeros(k, np.float32),
            (alpha * self._threads.weighted_sum(everyone, state.users)).astype(np.float32),
            alpha * len(state.users),
            half.regularization,
            prior,
            state.items,
            state.biases,
            self.settings.steps,
        )

    def _item_prior(self, ridge: FeatureRidge, state: State) -> Float32Array:
        """What the features say of every item, their interactions with each other included, as the FM has them."""
        k = self.settings.n_factors
        targets = np.column_stack([state.items, state.biases])
        before = state.item_weights[:, :k]
        targets[:, k] -= self_interaction(ridge.features, ridge.features @ before, before)
        state.item_weights = ridge.improve(state.item_weights, targets)
        prior: Float32Array = ridge.features @ state.item_weights
        prior[:, k] += self_interaction(ridge.features, prior[:, :k], state.item_weights[:, :k])
        return prior


def _nothing(width: int) -> Float32Array:
    """The prior of rows without features."""
    return np.empty((0, width), np.float32)


def to_model(
    state: State, user_features: csr_array | None, item_features: csr_array | None, settings: Settings
) -> FactorModel:
    """Split totals into ids and features so that the FM's own formula gives s_ui; users' constants become zero."""
    users = split(state.users, np.zeros(len(state.users), np.float32), state.user_weights, user_features)
    items = split(state.items, state.biases, state.item_weights, item_features)
    return FactorModel(0.0, users, items, settings)


def from_model(model: FactorModel, user_features: csr_array | None, item_features: csr_array | None) -> State:
    """The state that `to_model` would turn into `model`, as epoch 0 with features already known.

    Of the first `n_factors` of its settings: it may have others beside them (shortlist.fm.spectral).
    """
    items, k = item_latent(model, item_features), int(model.settings.get("n_factors") or model.n_factors)
    return State(
        user_latent(model, user_features)[:, :k],
        items[:, :k],
        items[:, -1],
        model.users.feature_factors[:, :k].copy(),
        np.column_stack([model.items.feature_factors[:, :k], model.items.feature_weights]),
    )
