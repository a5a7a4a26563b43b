"""0/1 purchases and settings in, rows of users and items whose products rank out: our machine and its peers.

Each trains as its documentation asks: `implicit` with one BLAS thread, LightFM on all cores.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from scipy.sparse import coo_matrix, csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from bench._turns import Setting, Train
from shortlist.contracts.arrays import Float32Array
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.model import FactorModel
from shortlist.fm.posterior import average, scaled
from shortlist.latent import item_latent, user_latent

PACKAGES: Final = {"shortlist": "numba", "implicit": "implicit", "lightfm": "lightfm-next"}
"""Where each contender's version is found."""

SQUARED: Final[dict[str, Setting]] = {"unobserved_weight": 0.01, "regularization": 0.1, "regularization_exponent": 0.5}
CANDIDATES: Final[Mapping[str, list[dict[str, Setting]]]] = {
    "shortlist": [
        SQUARED,
        SQUARED | {"regularization": 0.03},
        SQUARED | {"unobserved_weight": 0.03, "regularization": 0.3},
        SQUARED | {"loss": "softmax", "popularity": 0.4},
        SQUARED | {"loss": "softmax", "popularity": 0.6},
    ],
    "implicit": [
        {"alpha": alpha, "regularization": strength}
        for alpha, strength in ((30.0, 1.0), (30.0, 10.0), (100.0, 10.0), (100.0, 30.0), (300.0, 30.0))
    ],
    "lightfm": [
        {"learning_rate": rate, "item_alpha": strength, "user_alpha": strength, "max_sampled": sampled}
        for rate, strength, sampled in (
            (0.05, 0.0, 10),
            (0.05, 1e-6, 30),
            (0.02, 0.0, 30),
            (0.05, 1e-5, 30),
            (0.1, 1e-6, 100),
        )
    ],
}
"""What `--settings auto` tries, five for everyone."""


def ours(
    train: csr_array, epochs: int, settings: Mapping[str, Setting], epoch_done: Callable[[], None]
) -> tuple[Float32Array, Float32Array]:
    """With `squared_factors`, `squared_epochs` and `squared_weight` the rows are those of two machines, end to end."""

    def pause(_: FactorModel) -> float:
        epoch_done()
        return 0.0

    given: Any = dict(settings)
    squared: Any = {name: given.pop(f"squared_{name}", None) for name in ("factors", "epochs", "weight")}
    model = FactorizationMachine(epochs=epochs, **given).fit(train, validate=pause).model
    if squared["factors"]:
        given |= {"loss": "squared", "n_factors": squared["factors"], "epochs": squared["epochs"]}
        other = FactorizationMachine(**given).fit(train).model
        model = average([model, scaled(other, squared["weight"])])
    return user_latent(model), item_latent(model)


def implicit(
    train: csr_array, epochs: int, settings: Mapping[str, Setting], epoch_done: Callable[[], None]
) -> tuple[Float32Array, Float32Array]:
    from implicit.cpu.als import AlternatingLeastSquares

    given: Any = dict(settings)
    with threadpool_limits(1, user_api="blas"):
        model = AlternatingLeastSquares(factors=given.pop("n_factors"), iterations=epochs, random_state=42, **given)
        model.fit(csr_matrix(train), show_progress=False, callback=lambda *_: epoch_done())
    return model.user_factors, model.item_factors


def lightfm(
    train: csr_array, epochs: int, settings: Mapping[str, Setting], epoch_done: Callable[[], None]
) -> tuple[Float32Array, Float32Array]:
    from lightfm import LightFM

    given: Any = dict(settings)
    model = LightFM(no_components=given.pop("n_factors"), loss="warp", random_state=42, **given)
    purchases = coo_matrix(train)
    for _ in range(epochs):
        model.fit_partial(purchases, epochs=1, num_threads=os.cpu_count() or 1)
        epoch_done()
    bias, items = model.get_item_representations()
    users = model.get_user_representations()[1]
    return np.column_stack([users, np.ones(len(users), np.float32)]), np.column_stack([items, bias])


CONTENDERS: Final[Mapping[str, Train]] = {"shortlist": ours, "implicit": implicit, "lightfm": lightfm}
