"""What a trained factorization machine is: bias, weights and factors of ids and features. In: a folder. Out: a folder.

numpy only, so that Lambdas can read a model without the libraries that train it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array
from shortlist.errors import ContractError
from shortlist.fm.storage import Settings, load_folder, save_folder

KIND: Final = "factorization-machine"


@dataclass(frozen=True, slots=True)
class Side:
    """Users or items: an FM feature for every id (value 1 in its own row) and one for every declared feature column.

    Attributes:
        factors: float32 (n, k), v of each id.
        weights: float32 (n,), w of each id.
        feature_factors: float32 (f, k), v of each feature column.
        feature_weights: float32 (f,), w of each feature column.
    """

    factors: Float32Array
    weights: Float32Array
    feature_factors: Float32Array
    feature_weights: Float32Array

    def __len__(self) -> int:
        return len(self.factors)

    @classmethod
    def zeros(cls, n: int, n_features: int, n_factors: int) -> "Side":
        return cls(
            np.zeros((n, n_factors), np.float32),
            np.zeros(n, np.float32),
            np.zeros((n_features, n_factors), np.float32),
            np.zeros(n_features, np.float32),
        )


@dataclass(frozen=True, slots=True)
class FactorModel:
    """y(u, i) = b + w·x + Σ_{f<g} <v_f, v_g> x_f x_g over both sides' ids and features (docs/fm.md).

    Attributes:
        bias: b.
        users: ids and features of users.
        items: ids and features of items.
        settings: of the estimator that trained it.
        context: features of the moment, a Side without ids; they join the user's part. None: there are none.
    """

    bias: float
    users: Side
    items: Side
    settings: Settings
    context: Side | None = None

    @property
    def n_factors(self) -> int:
        return int(self.items.factors.shape[1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        named = {
            f"{name}_{field}": getattr(side, field)
            for name, side in (("user", self.users), ("item", self.items), ("context", self.context))
            if side is not None
            for field in Side.__slots__
        }
        return named | {"bias": np.array([self.bias], np.float64)}

    def save(self, folder: Path) -> None:
        """Write the folder; the same model gives the same bytes."""
        save_folder(folder, KIND, self.arrays(), self.settings)

    @classmethod
    def load(cls, folder: Path) -> "FactorModel":
        """Raises ContractError where the folder is incomplete or altered."""
        return cls.of(*load_folder(folder, KIND))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], settings: Settings) -> "FactorModel":
        """The model of `arrays()`. Raises ContractError where a side is missing."""
        users, items, context = (
            Side(*(arrays[f"{name}_{field}"] for field in Side.__slots__)) if f"{name}_factors" in arrays else None
            for name in ("user", "item", "context")
        )
        if users is None or items is None:
            raise ContractError(f"This is a {KIND} without users or items. Train again with this version.")
        return cls(float(arrays["bias"][0]), users, items, settings, context)
