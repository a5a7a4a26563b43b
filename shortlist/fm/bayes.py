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
from shortlist.fm.bayes_state import BayesSettings, Features, Rows, State, features_of, rows_of
from shortlist.fm.block_kernels import draw_features, draw_rows, score_examples
from shortlist.fm.hyper import Prior
from shortlist.fm.inputs import CheckedExamples
from shortlist.fm.probit import drawn_scores, expected_scores, log_loss
from shortlist.fm.threads import Threads

LANES_PER_THREAD: Final = 4  # rows are dealt to lanes, longest first: enough lanes keep the threads equally busy
LEAST_NOISE: Final = 0.01  # of the targets' spread; less cannot be told from none in single precision
NOISE_SHAPE: Final = 10.0  # ν: a user's own noise counts as much as the common one from so many examples on


class BayesProblem:
    """The data of one fit. `epoch` moves a State on by one sweep over everything."""

    def __init__(self, examples: CheckedExamples, settings: BayesSettings, threads: Threads) -> None:
        self.examples = examples
        self.settings = settings
        self._threads = threads
        spread = float(examples.targets.std(dtype=np.float64)) if len(examples.targets) else 0.0
        self._least_noise = (LEAST_NOISE * max(spread, LEAST_NOISE)) ** 2

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
        state = State(users, items, context, 0.0, np.ones(e.n_users), 1.0, np.zeros(len(e.targets), np.float32))
        if not self.settings.classes and len(e.targets):
            state.bias = float(e.targets.mean(dtype=np.float64))
        state.scores = self._scores(state)
        return state

    def epoch(self, state: State, rng: np.random.Generator) -> None:
        """One draw of everything given the rest, or one step of `als` or `variational`."""
        targets = self._targets(state, rng)
        self._learn_noise(state, targets, rng)
        if state.context is not None:
            self._learn_context(state, state.context, targets - np.float32(state.bias) - state.scores, rng)
        certainty = np.sqrt(state.noise).astype(np.float32)[self.examples.user_rows]
        wanted, shift = self._without_context(state, targets - np.float32(state.bias))
        self._learn_rows(state.users, state.items, wanted, certainty, shift, rng)
        self._learn_rows(state.items, state.users, wanted, certainty, shift, rng)
        state.scores = self._scores(state)
        state.epoch += 1

    def loss(self, state: State) -> float:
        """Mean squared error of the examples; for classes, the mean of −ln of the probability of what came."""
        if not len(self.examples.targets):
            return 0.0
        scores = state.scores + np.float32(state.bias)
        if self.settings.classes:
            return log_loss(self.examples.targets, scores)
        return float(np.square(self.examples.targets - scores, dtype=np.float64).mean())

    def score_variance(self, state: State) -> Float32Array:
        """Of every example under a mean-field fit, float32 (n,); zeros where variances are not carried along."""
        if self.settings.solver != "variational":
            return np.zeros(len(state.scores), np.float32)
        (u, s_u), (i, s_i) = ((side.totals[:, :-1], side.variance[:, :-1]) for side in (state.users, state.items))
        left = np.column_stack([s_u, u * u, state.users.variance[:, -1]])
        right = np.column_stack([i * i + s_i, s_i, state.items.variance[:, -1]])
        variance: Float32Array = score_examples(self.examples.user_rows, self.examples.item_rows, left, right)
        return variance

    def _noise(self, rng: np.random.Generator, *shape: int) -> Float32Array:
        if self.settings.solver == "gibbs":
            return rng.standard_normal(shape, dtype=np.float32)
        return np.zeros(shape, np.float32)

    def _targets(self, state: State, rng: np.random.Generator) -> Float32Array:
        """What the scores should be: the targets, or the hidden scores behind the classes."""
        if not self.settings.classes:
            return self.examples.targets
        scores = state.scores + np.float32(state.bias)
        if self.settings.solver == "gibbs":
            return drawn_scores(self.examples.targets, scores, rng, self._threads)
        return expected_scores(self.examples.targets, scores, self._threads)

    def _learn_noise(self, state: State, targets: Float32Array, rng: np.random.Generator) -> None:
        """Bias b ~ N(0, 1), every user's noise and its level; classes have τ = 1, and so has `als`.

        Some users rate by the mood of the day: their examples should not speak as loud as those of others
        (Lakshminarayanan, Bouchard, Archambeau 2011).
        """
        solver, users = self.settings.solver, self.examples.user_rows
        precision = state.noise[users]
        left = (targets - state.scores).astype(np.float64)
        total = float(precision.sum()) + 1
        state.bias = float(precision @ left) / total
        if solver == "gibbs":
            state.bias += rng.standard_normal() / np.sqrt(total)
        if self.settings.classes or solver == "als":
            return
        missed = (left - state.bias) ** 2 + self.score_variance(state) + self._least_noise
        shape = NOISE_SHAPE + np.bincount(users, minlength=len(state.noise))
        rate = NOISE_SHAPE / state.noise_level + np.bincount(users, missed, minlength=len(state.noise))
        state.noise = rng.gamma(shape / 2, 2 / rate) if solver == "gibbs" else shape / rate
        shape_of_level = NOISE_SHAPE * len(state.noise) + 1
        rate_of_level = NOISE_SHAPE * float(state.noise.sum()) + 1
        if solver == "gibbs":
            state.noise_level = 1 / rng.gamma(shape_of_level / 2, 2 / rate_of_level)
        else:
            state.noise_level = rate_of_level / shape_of_level

    def _learn_rows(
        self,
        mine: Rows,
        other: Rows,
        wanted: Float32Array,
        certainty: Float32Array,
        shift: Float32Array,
        rng: np.random.Generator,
    ) -> None:
        base = mine.features.totals() if mine.features is not None else None
        mine.prior = self._learn_prior(mine, base, rng)
        prior = np.broadcast_to(mine.prior.mean.astype(np.float32), mine.totals.shape)
        if mine.features is not None and base is not None:
            prior = self._learn_features(mine, mine.features, base, rng)
        draw_rows(
            mine.indptr,
            mine.others,
            mine.examples,
            wanted,
            certainty,
            mine.order,
            other.totals,
            shift,
            other.variance,
            mine.prior.precision.astype(np.float32),
            np.array(prior, np.float32, order="C"),
            self._noise(rng, *mine.totals.shape),
            self._noise(rng, mine.n_noise),
            mine.noise_starts,
            mine.totals,
            mine.variance,
            LANES_PER_THREAD * self._threads.n,
        )

    def _learn_prior(self, mine: Rows, base: Float32Array | None, rng: np.random.Generator) -> Prior:
        own = mine.totals if base is None else mine.totals - base
        if self.settings.solver == "gibbs":
            return mine.prior.drawn(own, rng)
        if self.settings.solver == "variational":
            return mine.prior.expected(own, mine.variance)
        return mine.prior

    def _learn_feature_prior(self, features: Features, rng: np.random.Generator) -> None:
        if self.settings.solver == "gibbs":
            features.prior.draw(features.weights, rng)
        elif self.settings.solver == "variational":
            features.prior.expect(features.weights, features.variance)

    def _learn_features(
        self, mine: Rows, features: Features, base: Float32Array, rng: np.random.Generator
    ) -> Float32Array:
        """Draw a side's features given its totals; the rows' new prior, float32 (n, K)."""
        self._learn_feature_prior(features, rng)
        missed = mine.totals - base - mine.prior.mean.astype(np.float32)
        factors, offset = np.ascontiguousarray(missed[:, :-1].T), np.ascontiguousarray(missed[:, -1])
        totals = np.ascontiguousarray(base[:, :-1].T)
        precision = mine.prior.precision.astype(np.float32)
        offset_precision = np.full(len(offset), precision[-1], np.float32)
        self._draw_features(features, totals, factors, offset, precision[:-1], offset_precision, rng)
        prior: Float32Array = mine.totals - np.column_stack([factors.T, offset])
        return prior

    def _learn_context(self, state: State, context: Features, missed: Float32Array, rng: np.random.Generator) -> None:
        """Draw the features of the moment given the examples."""
        self._learn_feature_prior(context, rng)
        e, k = self.examples, self.settings.n_factors
        around = state.users.totals[e.user_rows, :k] + state.items.totals[e.item_rows, :k]
        totals = np.ascontiguousarray((around + context.totals()[:, :k]).T)
        unseen, precision = np.zeros(k, np.float32), state.noise[e.user_rows].astype(np.float32)
        self._draw_features(context, totals, np.zeros((k, 0), np.float32), missed, unseen, precision, rng)

    def _draw_features(
        self,
        features: Features,
        totals: Float32Array,
        factors: Float32Array,
        offset: Float32Array,
        precision: Float32Array,
        offset_precision: Float32Array,
        rng: np.random.Generator,
    ) -> None:
        draw_features(
            features.columns.indptr.astype(np.int64),
            features.columns.indices.astype(np.int32),
            features.columns.data,
            totals,
            factors,
            offset,
            precision,
            offset_precision,
            features.prior.precisions(),
            features.prior.means(),
            self._noise(rng, *features.weights.shape),
            features.weights,
            features.variance,
        )

    def _without_context(self, state: State, wanted: Float32Array) -> tuple[Float32Array, Float32Array]:
        """What is left for users and items, and the moments' factors, float32 (n, k) or (0, k)."""
        if state.context is None:
            return wanted, np.zeros((0, self.settings.n_factors), np.float32)
        totals = state.context.totals()
        return wanted - totals[:, -1], np.ascontiguousarray(totals[:, :-1])

    def _scores(self, state: State) -> Float32Array:
        e, k = self.examples, self.settings.n_factors
        scores: Float32Array = score_examples(e.user_rows, e.item_rows, state.users.totals, state.items.totals)
        if state.context is not None:
            totals = state.context.totals()
            around = state.users.totals[e.user_rows, :k] + state.items.totals[e.item_rows, :k]
            scores = scores + totals[:, -1] + np.einsum("nk,nk->n", around, totals[:, :k])
        return scores
