"""Interactions and features in, a trained Recommender out: the factorization machine and the repeat-purchase term."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from scipy.sparse import csr_array

from shortlist.config import Model
from shortlist.contracts.arrays import BoolArray, Float32Array, Int64Array
from shortlist.errors import ContractError
from shortlist.evaluate import NOTHING, Pairs, hits, make_lists, measure, rank
from shortlist.fm.history import DAY_S, Aging, History, Interactions, history
from shortlist.fm.inputs import checked_features
from shortlist.fm.kinds import Kinds
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.progress import EpochReport, Validate
from shortlist.fm.repeat import RepeatModel, repeat_facts
from shortlist.fm.repeat_fit import fit_repeat
from shortlist.fm.sparse import CsrLike
from shortlist.fm.spectral import beside, spectral_rows
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, user_latent

HORIZONS: Final = 2  # from which r is learned; best on the validation split (docs/fm.md)
LEAST_KNOWN: Final = 0.6
"""Share of the events that the oldest look-back knows at least: a young shop has shorter horizons."""
LEAST_HORIZON_DAYS: Final = 7.0
"""A week has its rhythm: of less, nothing is learned unless the campaign asks for it."""
DEFAULT_GAMMA: Final = 10.0  # where the history is a few days long, or next to nothing new was bought in the horizon
FEWEST_BOUGHT: Final = 10  # of the best new products, from which γ is found
X: Final = 20  # so many of a user's best new products
AFFINITY_BLOCK: Final = 4096  # pairs, whose rows the cache holds
MOST_USERS: Final = 1000  # users from whom γ is found, and on whom the number of epochs is chosen

MORE_EPOCHS: Final = 1
"""Of a fit that goes on from an earlier model: better than from scratch, and a second epoch is worse (docs/fm.md)."""
ENOUGH_KNOWN: Final = 0.75
"""Share of the events that an earlier model, or an earlier r, must have known."""

FINAL: Final = "final"
"""Name of the fit on all events; those from which r is learned are `look_back_2` and `look_back_1`."""

AGING: Final = "aging.json"

OnEpoch = Callable[[str, EpochReport], None]
"""Called with the name of a fit and how its newest epoch went."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What is known beside the interactions: how many rows each side has, and their features."""

    n_users: int
    n_items: int
    user_features: CsrLike | None = None
    item_features: CsrLike | None = None


def aging_of(settings: Model) -> Aging:
    """Of the purchases that a model with these settings learns from."""
    return Aging(settings.half_life_days, settings.item_half_life_days, settings.saturation)


def past_of(events: Interactions, shop: Shop, aging: Aging, reference_time: int) -> History:
    """The pairs of `events`, in the order of user_row, then item_row, as of `reference_time`."""
    return history(events, n_users=shop.n_users, n_items=shop.n_items, reference_time=reference_time, aging=aging)


@dataclass(frozen=True, slots=True)
class Recommender:
    """y(u, i) = c_u + a_u · a_i + ρ(u, i), where ρ is γ r(u, i) − a_u · a_i for pairs of the past and 0 for others.

    So what a user has bought is listed by the chance r that they buy it again, which knows a_u · a_i, and what is new
    to them by a_u · a_i; γ makes the two comparable.

    Attributes:
        model: the factorization machine.
        repeat: γ, and what makes r of a pair's history.
        aging: of the purchases that it learned from, and so of those by which a user is folded in.
        reference_time: the newest interaction, epoch seconds: ages count from here.
        epochs: those of a fit from scratch, with patience as many as were best; not saved.
    """

    model: FactorModel
    repeat: RepeatModel
    aging: Aging
    reference_time: int
    epochs: int = 0

    def past(self, events: Interactions, shop: Shop) -> History:
        """The pairs of `events`, in the order of user_row, then item_row."""
        return past_of(events, shop, self.aging, self.reference_time)

    def pair_repeat(self, past: History, shop: Shop, users: Float32Array, items: Float32Array) -> Float32Array:
        """ρ of every pair of the history, float32 (n_pairs,), from the latent rows of both sides."""
        if self.repeat.gamma == 0:
            return np.zeros(len(past.item_rows), np.float32)
        affinity = _affinity(past, users, items)
        facts = _facts(past, affinity, self.model, shop, self.repeat.horizon_days)
        return self.repeat.chance(facts) * np.float32(self.repeat.gamma) - affinity

    def save(self, folder: Path) -> None:
        """`fm/`, `repeat/` and two small files below the folder."""
        self.model.save(folder / "fm")
        self.repeat.save(folder / "repeat")
        (folder / AGING).write_bytes(msgspec.json.encode(self.aging))
        (folder / "reference_time.txt").write_text(f"{self.reference_time}\n")

    @classmethod
    def load(cls, folder: Path) -> "Recommender":
        """Raises ContractError where something is missing or altered, or an earlier version saved it."""
        if not (folder / AGING).exists():
            raise ContractError(
                "The model does not say how its purchases age: an earlier version trained it. "
                "Cure: train one with this version, without reuse_model."
            )
        return cls(
            FactorModel.load(folder / "fm"),
            RepeatModel.load(folder / "repeat"),
            msgspec.json.decode((folder / AGING).read_bytes(), type=Aging),
            int((folder / "reference_time.txt").read_text()),
        )


def learn(
    events: Interactions,
    shop: Shop,
    settings: Model,
    *,
    weak: Interactions | None = None,
    repeat: RepeatModel | None = None,
    start_from: FactorModel | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
    n_threads: int | None = None,
) -> Recommender:
    """Train on all `events`.

    Args:
        events: at least one.
        shop: sizes and features.
        settings: of the campaign; a fit that goes on from an earlier model has MORE_EPOCHS instead of theirs.
        weak: what speaks for an item without being a purchase, such as clicks. The factors learn from it, as of the
            newest of `events` where it is younger; it is no part of anybody's past.
        repeat: learned before; where it is None, or knew too few of the events, it is learned from their newest
            horizons, a fit each.
        start_from: an earlier model, aligned to these rows; the final fit goes on from it. None: from that of the
            newest look-back, where there is one that is worth it.
        on_epoch: hears of every epoch of every fit, after its checkpoint is written.
        checkpoint: folder for the state of the fits after each epoch, one below it for each; called again with the
            same arguments, they go on from there and end with the same bytes.
        n_threads: None for all cores.
    """
    reference_time = int(events.timestamp.max())
    fits = _Fits(shop, settings, n_threads, on_epoch, checkpoint)
    if repeat is None or not goes_on(repeat.n_events, len(events)):
        views, fits = _look_back(events, fits)
        repeat = replace(_learn_repeat(views, fits), n_events=len(events))
        if start_from is None and views and goes_on(views[0].n_events, len(events)):
            start_from = views[0].model
    epochs = fits.settings.epochs
    if start_from is not None:
        fits = fits.of_epochs(MORE_EPOCHS)
    known = events if weak is None else events.joined(weak.until(reference_time))
    machine = fits.fit(FINAL, fits.past(known, reference_time), start_from)
    return Recommender(machine.model, repeat, aging_of(settings), reference_time, epochs)


def _horizon_days(timestamp: Int64Array, most: float) -> float | None:
    """What r looks ahead: so little that the oldest look-back knows LEAST_KNOWN of the events; None: too little."""
    known_then = int(LEAST_KNOWN * (len(timestamp) - 1))
    oldest = np.partition(timestamp, known_then)[known_then]
    horizon = min(most, float(timestamp.max() - oldest) / DAY_S / HORIZONS)
    return horizon if horizon >= min(most, LEAST_HORIZON_DAYS) else None


def goes_on(n_known: int, n_events: int) -> bool:
    """Whether what was learned from so many of the events is worth going on from."""
    return n_known >= ENOUGH_KNOWN * n_events


@dataclass(frozen=True, slots=True)
class _Fits:
    """Fits on purchases of the same shop up to different moments; arguments as those of `learn`."""

    shop: Shop
    settings: Model
    n_threads: int | None
    on_epoch: OnEpoch | None
    checkpoint: Path | None

    def past(self, events: Interactions, moment: int) -> History:
        return past_of(events, self.shop, aging_of(self.settings), moment)

    def of_epochs(self, epochs: int) -> "_Fits":
        return replace(self, settings=msgspec.structs.replace(self.settings, epochs=epochs))

    def fit(
        self,
        name: str,
        past: History,
        start_from: FactorModel | None = None,
        validate: Validate | None = None,
        *,
        for_new_items: bool = True,
    ) -> FactorizationMachine:
        """Train on what was known; `name` is where the state is kept, and what the epochs' listener hears."""
        tell = self.on_epoch
        return fit_history(
            past,
            self.shop,
            self.settings,
            n_threads=self.n_threads,
            start_from=start_from,
            validate=validate,
            for_new_items=for_new_items,
            on_epoch=None if tell is None else lambda report: tell(name, report),
            checkpoint=None if self.checkpoint is None else self.checkpoint / name,
        )


def fit_history(
    past: History,
    shop: Shop,
    settings: Model,
    *,
    n_threads: int | None = None,
    start_from: FactorModel | None = None,
    validate: Validate | None = None,
    for_new_items: bool = True,
    on_epoch: Callable[[EpochReport], None] | None = None,
    checkpoint: Path | None = None,
) -> FactorizationMachine:
    """The factorization machine with the settings of a campaign, and beside it what is not fitted to single pairs.

    Arguments as FactorizationMachine has them; it alone is validated.

    Args:
        for_new_items: whether items that nobody has bought have rows beside the machine, too: half of their time.
    """
    shape = (shop.n_users, shop.n_items)
    for_users = csr_array((past.weight, past.item_rows, past.indptr), shape=shape)
    for_items = csr_array((past.item_weight, past.item_rows, past.indptr), shape=shape)
    machine = FactorizationMachine(
        n_factors=settings.n_factors,
        epochs=settings.epochs,
        unobserved_weight=settings.unobserved_weight,
        regularization=settings.regularization,
        regularization_exponent=settings.regularization_exponent,
        feature_regularization=settings.feature_regularization,
        new_item_regularization=settings.new_item_regularization,
        patience=settings.patience if validate else None,
        max_seconds=settings.max_train_seconds,
        n_threads=n_threads,
        seed=settings.seed,
    )
    machine.fit(
        for_users,
        shop.user_features if settings.use_features else None,
        shop.item_features if settings.use_features else None,
        item_interactions=for_items,
        start_from=start_from,
        validate=validate,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
    )
    if settings.spectral_factors:
        told = shop.item_features if for_new_items else None
        known = checked_features(told, shop.n_items, "item", "shop's items are")
        with threads(n_threads) as crew:
            rows = spectral_rows(for_users, for_items, settings.spectral_factors, seed=settings.seed, crew=crew)
            machine.model = beside(machine.model, *rows, known, crew=crew)
    return machine


def _learn_repeat(views: Sequence["_View"], fits: _Fits) -> RepeatModel:
    """r from views of the newest horizons, the newest first; γ from the newest of them."""
    settings = fits.settings
    horizon = settings.repeat_horizon_days
    if settings.repeat_weight == 0 or not views:
        return RepeatModel.simple(DEFAULT_GAMMA if settings.repeat_weight is None else settings.repeat_weight, horizon)
    facts, came_back = (np.concatenate([getattr(v, name) for v in reversed(views)]) for name in ("facts", "came_back"))
    with threads(fits.n_threads) as crew:
        learned = fit_repeat(facts, came_back, horizon_days=horizon, seed=settings.seed, crew=crew)
    gamma = settings.repeat_weight if settings.repeat_weight is not None else _find_gamma(views[0])
    return replace(learned, gamma=gamma)


@dataclass(frozen=True, slots=True)
class _View:
    """What was known at a moment, and what was bought in the horizon after it.

    Attributes:
        model: trained on what was known.
        users, items: its latent rows.
        n_events: known.
        seen: pairs known.
        facts: of every seen pair (n_pairs, p).
        came_back: whether the pair was bought in the horizon (n_pairs,).
        bought: pairs of the horizon.
    """

    model: FactorModel
    users: Float32Array
    items: Float32Array
    n_events: int
    seen: Pairs
    facts: Float32Array
    came_back: BoolArray
    bought: Pairs


def _look_back(events: Interactions, fits: _Fits) -> tuple[list[_View], _Fits]:
    """Views from before each of the newest horizons, the newest first; and fits of as many epochs as were best there.

    The epochs are those of `fits`, and nothing is validated, where there is no patience. The horizon is a young shop's.
    """
    horizon = _horizon_days(events.timestamp, fits.settings.repeat_horizon_days)
    if horizon is None:
        return [], fits
    settings = msgspec.structs.replace(fits.settings, repeat_horizon_days=horizon)
    fits = replace(fits, settings=settings)
    needed = HORIZONS if settings.repeat_weight != 0 else int(settings.patience is not None)
    newest = int(events.timestamp.max())
    views: list[_View] = []
    for n in range(1, needed + 1):
        moment = int(newest - n * settings.repeat_horizon_days * DAY_S)
        view, epochs = _view(n, events, fits, moment)
        views.append(view)
        fits = fits.of_epochs(epochs)
    return views, fits


def _view(n: int, events: Interactions, fits: _Fits, moment: int) -> tuple[_View, int]:
    """From `moment`, the beginning of the n-th newest horizon; and the epochs that were best, if it is the newest."""
    shop, settings = fits.shop, fits.settings
    horizon = settings.repeat_horizon_days
    known = events.where(events.timestamp <= moment)
    past = fits.past(known, moment)
    later = events.where((events.timestamp > moment) & (events.timestamp <= moment + horizon * DAY_S))
    seen = Pairs(past.indptr, past.item_rows, shop.n_items)
    bought = Pairs.of(later.user_row, later.item_row, n_users=shop.n_users, n_items=shop.n_items)
    new, active = bought.split(seen)[0], _some(bought.users())

    def recall_of_new(model: FactorModel) -> float:
        ranked = rank(*latent(model, shop), np.zeros(len(seen.item_rows), np.float32), seen, active, X)
        return measure(make_lists(ranked, seen, "new_for_you", X), active, new, X).recall

    validated = settings.patience is not None and n == 1
    validate = recall_of_new if validated else None
    machine = fits.fit(f"look_back_{n}", past, validate=validate, for_new_items=False)  # r is of bought items alone
    users, items = latent(machine.model, shop)
    came_back = np.isin(seen.keys, bought.keys, assume_unique=True)
    facts = _facts(past, _affinity(past, users, items), machine.model, shop, horizon)
    view = _View(machine.model, users, items, len(known), seen, facts, came_back, bought)
    return view, machine.best_epoch or settings.epochs


def latent(model: FactorModel, shop: Shop) -> tuple[Float32Array, Float32Array]:
    """Rows a_u and a_i of everybody and everything."""
    users = user_latent(model, _features(model.users, shop.user_features))
    return users, item_latent(model, _features(model.items, shop.item_features))


def _features(side: Side, features: CsrLike | None) -> CsrLike | None:
    """None where the model was trained without."""
    return features if len(side.feature_factors) else None


def _affinity(past: History, users: Float32Array, items: Float32Array) -> Float32Array:
    """a_u · a_i of every pair, float32 (n_pairs,)."""
    affinity = np.empty(len(past.item_rows), np.float32)
    user_rows = past.user_rows
    for start in range(0, len(affinity), AFFINITY_BLOCK):
        block = slice(start, start + AFFINITY_BLOCK)
        affinity[block] = np.einsum("nk,nk->n", users[user_rows[block]], items[past.item_rows[block]])
    return affinity


def _facts(past: History, affinity: Float32Array, model: FactorModel, shop: Shop, horizon_days: float) -> Float32Array:
    """What r is made of, with the items' kinds where the model was trained with features."""
    kinds = Kinds.of(_features(model.items, shop.item_features), shop.n_items)
    return repeat_facts(past, affinity, kinds, horizon_days=horizon_days)


def _find_gamma(view: _View) -> float:
    """γ: how many times its chance of being bought the score of a new product is, over the best X of each user."""
    some = _some(view.seen.users())
    best = rank(view.users, view.items, np.zeros(len(view.facts), np.float32), view.seen, some, X)
    n_bought = int(np.count_nonzero(hits(best.unseen, some, view.bought)))
    scores = float(best.unseen_scores[best.unseen != NOTHING].sum(dtype=np.float64))
    return scores / n_bought if n_bought >= FEWEST_BOUGHT and scores > 0 else DEFAULT_GAMMA


def _some(users: Int64Array) -> Int64Array:
    """Evenly spread, not many more than MOST_USERS at most."""
    return users[:: len(users) // MOST_USERS + 1]
