"""Examples and features in, draws from the posterior of a factorization machine out (or its mean field, or its mode).

    target_e ~ N(y(x_e), 1/τ_u)    τ_u ~ Gamma(ν/2, ν/2τ)    classes: the sign of N(y(x_e), 1) (Albert, Chib 1993)
    (t_r, c_r) ~ N(μ + (x_r V, w·x_r + Σ_{f<g} <v_f, v_g> x_f x_g), Λ⁻¹)    total and offset of user or item r
    v_f, w_f ~ N(μ_g, Λ_g⁻¹)    the features of group g

The unknowns of a row are its *totals*, id and features together, as in als.py: given the other side a row's K = k + 1
numbers are one Gaussian and are drawn as one block (Salakhutdinov, Mnih 2008), while the features see the totals only
(Simm et al. 2015) and cost nothing an example. Features of the moment see every example and are drawn number by number
(Freudenthaler, Schmidt-Thieme, Rendle 2011). Without noise the same steps climb to the mode (`als`), or, with
the variances of both sides carried along, to the best Gaussian with independent numbers (`variational`).
"""

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.fm.bayes_state import BayesSettings, Features, Rows, State, features_of, restore, rows_of
from shortlist.fm.chance import standard_normals
from shortlist.fm.checkpoint import Saved
from shortlist.fm.feature_kernels import draw_features
from shortlist.fm.hyper import Prior
from shortlist.fm.inputs import CheckedExamples
from shortlist.fm.interweave import EARLY, OFTEN, SELDOM, interweave
from shortlist.fm.noise import Noise, NoisePrior
from shortlist.fm.probit import drawn_scores, expected_scores, log_loss
from shortlist.fm.row_kernels import draw_rows
from shortlist.fm.score_kernels import score_users, sum_misses
from shortlist.fm.threads import Threads

LEAST_NOISE: Final = 0.01  # of the targets' spread; less cannot be told from none in single precision


class BayesProblem:
    """The data of one fit. `epoch` moves a State on by one sweep over everything."""

    def __init__(self, examples: CheckedExamples, settings: BayesSettings, threads: Threads) -> None:
        """Examples in any order; here they lie in the order of their users."""
        self.examples = examples = examples.in_order(np.argsort(examples.user_rows, kind="stable"))
        self.settings = settings
        self._threads = threads
        spread = float(examples.targets.std(dtype=np.float64)) if len(examples.targets) else 0.0
        self._least_noise = (LEAST_NOISE * max(spread, LEAST_NOISE)) ** 2
        self._counts = np.bincount(examples.user_rows, minlength=examples.n_users)
        self._noise_prior = NoisePrior(self._counts)

    def start(
        self,
        features: tuple[csr_array | None, csr_array | None],
        groups: tuple[Int64Array, Int64Array, Int64Array],
        rng: np.random.Generator,
    ) -> State:
        """Before the first epoch; `features` of users and items, `groups` of theirs and those of the context."""
        e, settings = self.examples, self.settings
        of_users, of_items = (features_of(rows, of, settings) for rows, of in zip(features, groups[:2], strict=True))
        users = rows_of(e.user_rows, e.item_rows, e.n_users, of_users, settings, rng)
        items = rows_of(e.item_rows, e.user_rows, e.n_items, of_items, settings, rng)
        context = features_of(e.context, groups[2], settings)
        if context is not None:
            start = rng.standard_normal((len(context.weights), settings.n_factors), dtype=np.float32)
            context.weights[:, :-1] = settings.init_scale * start
            context.settle()
        scores, missed = np.zeros(len(e.targets), np.float32), np.zeros((e.n_users, 2))
        state = State(users, items, context, 0.0, Noise.start(e.n_users), scores, missed)
        if not self.settings.classes and len(e.targets):
            state.bias = float(e.targets.mean(dtype=np.float64))
        self._score(state)
        return state

    def resume(self, state: State, saved: Saved) -> None:
        """From `start` to where a fit of the same data and settings stood after an epoch."""
        restore(state, saved.arrays)
        self._score(state)
        state.epoch = saved.epoch

    def epoch(self, state: State, rng: np.random.Generator, *, kept: bool = False) -> None:
        """One draw of everything given the rest, or one step of `als` or `variational`.

        The side with more rows comes last. If the draw will be `kept`, it has its means, too.
        """
        targets = self._targets(state, rng)
        self._learn_noise(state, targets, rng)
        left = targets - np.float32(state.bias)
        self._interweave(state, left, rng)
        if state.context is not None:
            self._learn_context(state, state.context, left - state.scores, rng)
        certainty = self._certainty(state)
        wanted, shift = self._without_context(state, left)
        of_users = (state.users, state.items, wanted, certainty)
        of_items = (state.items, state.users, wanted[state.items.examples], certainty[::-1])
        many_users = len(state.users.totals) > len(state.items.totals)
        first, last = (of_items, of_users) if many_users else (of_users, of_items)
        self._learn_rows(*first, shift, rng)
        self._learn_rows(*last, shift, rng, kept=kept)
        self._score(state)
        state.epoch += 1

    def loss(self, state: State) -> float:
        """Mean squared error of the examples; for classes, the mean of −ln of the probability of what came."""
        n = len(self.examples.targets)
        if not n:
            return 0.0
        if self.settings.classes:
            return log_loss(self.examples.targets, state.scores + np.float32(state.bias))
        total, squares = state.missed.sum(0)
        return float(squares - 2 * state.bias * total + n * state.bias**2) / n

    def score_variance(self, state: State) -> Float32Array:
        """Of every example under a mean-field fit, float32 (n,); zeros where variances are not carried along."""
        if self.settings.solver != "variational":
            return np.zeros(len(state.scores), np.float32)
        (u, s_u), (i, s_i) = ((side.totals[:, :-1], side.variance[:, :-1]) for side in (state.users, state.items))
        left = np.column_stack([s_u, u * u, state.users.variance[:, -1]])
        right = np.column_stack([i * i + s_i, s_i, state.items.variance[:, -1]])
        return self._products(state.users, left, right, np.zeros((0, left.shape[1]), np.float32))

    def _products(self, users: Rows, left: Float32Array, right: Float32Array, moments: Float32Array) -> Float32Array:
        scores = np.empty(len(self.examples.targets), np.float32)
        score_users(users.indptr, self.examples.item_rows, left, right, moments, scores)
        return scores

    def _noise(self, rng: np.random.Generator, *shape: int) -> Float32Array:
        return standard_normals(self._chance(rng), *shape)

    def _chance(self, rng: np.random.Generator) -> np.random.Generator | None:
        """Nobody but Gibbs draws."""
        return rng if self.settings.solver == "gibbs" else None

    def _targets(self, state: State, rng: np.random.Generator) -> Float32Array:
        """What the scores should be: the targets, or the hidden scores behind the classes."""
        if not self.settings.classes:
            return self.examples.targets
        scores = state.scores + np.float32(state.bias)
        if self.settings.solver == "gibbs":
            return drawn_scores(self.examples.targets, scores, rng)
        return expected_scores(self.examples.targets, scores, self._threads)

    def _learn_noise(self, state: State, targets: Float32Array, rng: np.random.Generator) -> None:
        """Bias b ~ N(0, 1) and the precision of every user's targets; classes have 1, and so has `als`."""
        solver, counts = self.settings.solver, self._counts
        missed = sum_misses(state.users.indptr, targets, state.scores) if self.settings.classes else state.missed
        sums, squares = missed.T
        total = float(state.noise.precision @ counts) + 1
        state.bias = float(state.noise.precision @ sums) / total
        if solver == "gibbs":
            state.bias += rng.standard_normal() / np.sqrt(total)
        if self.settings.classes or solver == "als":
            return
        misses = squares - 2 * state.bias * sums + counts * state.bias**2
        misses = np.maximum(misses, 0) + counts * self._least_noise
        if solver == "gibbs":
            state.noise = self._noise_prior.drawn(state.noise, misses, rng)
        else:
            unsure = np.bincount(self.examples.user_rows, self.score_variance(state), minlength=len(counts))
            state.noise = self._noise_prior.expected(state.noise, misses + unsure)

    def _certainty(self, state: State) -> tuple[Float32Array, Float32Array]:
        """Of users and of items; an example's is their product."""
        return state.noise.precision.astype(np.float32), np.ones(len(state.items.totals), np.float32)

    def _interweave(self, state: State, left: Float32Array, rng: np.random.Generator) -> None:
        """Let one side move together if it is its turn; modes climb without."""
        period = OFTEN if state.epoch < EARLY else SELDOM
        turn = state.epoch % period
        if self.settings.solver == "als" or turn not in (0, period // 2):
            return
        users, items = self._certainty(state)
        missed, chance = left - state.scores, self._chance(rng)
        _, shift = self._without_context(state, missed)
        if turn == 0:
            interweave(state.users, state.items, missed, (users, items), shift, chance, self._threads.n)
        else:
            missed = missed[state.items.examples]
            interweave(state.items, state.users, missed, (items, users), shift, chance, self._threads.n)
        if state.context is not None:
            self._score(state)

    def _learn_rows(
        self,
        mine: Rows,
        other: Rows,
        wanted: Float32Array,
        certainty: tuple[Float32Array, Float32Array],
        shift: Float32Array,
        rng: np.random.Generator,
        *,
        kept: bool = False,
    ) -> None:
        mine.means = np.empty((len(mine.totals) if kept else 0, mine.totals.shape[1]), np.float32)
        base = np.zeros((0, mine.totals.shape[1]), np.float32) if mine.features is None else mine.features.totals
        mine.prior = self._learn_prior(mine, base, rng)
        prior = mine.prior.mean.astype(np.float32)[None]
        if mine.features is not None:
            self._learn_features(mine, mine.features, rng)
            prior = mine.features.totals + prior
        draw_rows(
            mine.indptr,
            mine.others,
            mine.examples,
            wanted,
            *certainty,
            mine.order,
            mine.batches,
            other.totals,
            shift,
            other.variance,
            mine.prior.precision.astype(np.float32),
            prior,
            self._noise(rng, *mine.totals.shape),
            self._noise(rng, mine.n_noise),
            mine.noise_starts,
            mine.totals,
            mine.means,
            mine.variance,
            self._threads.n,
        )

    def _learn_prior(self, mine: Rows, base: Float32Array, rng: np.random.Generator) -> Prior:
        if self.settings.solver == "gibbs":
            return mine.prior.drawn(mine.totals, base, rng)
        if self.settings.solver == "variational":
            return mine.prior.expected(mine.totals, base, mine.variance)
        return mine.prior

    def _learn_feature_prior(self, features: Features, rng: np.random.Generator) -> None:
        if self.settings.solver == "gibbs":
            features.prior = features.prior.drawn(features.weights, rng)
        elif self.settings.solver == "variational":
            features.prior = features.prior.expected(features.weights, features.variance)

    def _learn_features(self, mine: Rows, features: Features, rng: np.random.Generator) -> None:
        """Draw a side's features given its totals."""
        self._learn_feature_prior(features, rng)
        missed = mine.totals - features.totals
        missed -= mine.prior.mean.astype(np.float32)
        precision = mine.prior.precision.astype(np.float32)
        of_offsets = np.full(len(missed), precision[-1])
        self._draw_features(features, features.totals, missed, precision, of_offsets, rng)

    def _learn_context(self, state: State, context: Features, missed: Float32Array, rng: np.random.Generator) -> None:
        """Draw the features of the moment given the examples, which show of their factors nothing."""
        self._learn_feature_prior(context, rng)
        e = self.examples
        totals = state.users.totals[e.user_rows]
        totals += state.items.totals[e.item_rows]
        totals += context.totals
        left = np.zeros_like(totals)
        left[:, -1] = missed
        nothing = np.zeros(totals.shape[1], np.float32)
        self._draw_features(context, totals, left, nothing, state.noise.precision[e.user_rows].astype(np.float32), rng)

    def _draw_features(
        self,
        features: Features,
        totals: Float32Array,
        missed: Float32Array,
        precision: Float32Array,
        offset_precision: Float32Array,
        rng: np.random.Generator,
    ) -> None:
        draw_features(
            *features.by_column(),
            totals,
            missed,
            precision,
            offset_precision,
            features.prior.precisions(),
            features.prior.means(),
            self._noise(rng, *features.weights.shape),
            features.weights,
            features.variance,
        )
        features.settle()

    def _without_context(self, state: State, wanted: Float32Array) -> tuple[Float32Array, Float32Array]:
        """What is left for users and items, and the moments' factors, float32 (n, k) or (0, k)."""
        if state.context is None:
            return wanted, np.zeros((0, self.settings.n_factors), np.float32)
        totals = state.context.totals
        return wanted - totals[:, -1], np.ascontiguousarray(totals[:, :-1])

    def _score(self, state: State) -> None:
        """Scores of the examples by the unknowns as they are now, and what they miss."""
        users, items = state.users.totals, state.items.totals
        moments = np.zeros((0, users.shape[1]), np.float32) if state.context is None else state.context.totals
        state.scores = self._products(state.users, users, items, moments)
        if not self.settings.classes:
            state.missed = sum_misses(state.users.indptr, self.examples.targets, state.scores)
