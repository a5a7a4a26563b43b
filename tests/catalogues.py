"""A catalogue in which only what a test asks about is said."""

from collections.abc import Sequence

import numpy as np

from shortlist.contracts.arrays import CATALOGUE_NUMBERS, CATALOGUE_STRINGS, Catalogue, StringTable

UNSAID = {"price": np.nan, "margin": np.nan, "in_stock": True}
"""Numbers of an item of which nothing is said; −1 where they are not here."""


def catalogue(titles: Sequence[str], **columns: Sequence[object]) -> Catalogue:
    """Items with these titles; strings are empty, numbers unknown, unless `columns` gives them."""
    empty = [""] * len(titles)
    strings = {name: StringTable.of(columns.get(name, empty)) for name in CATALOGUE_STRINGS if name != "title"}
    numbers = {
        name: np.array(columns.get(name, [UNSAID.get(name, -1)] * len(titles)), kind)
        for name, kind in CATALOGUE_NUMBERS.items()
    }
    return Catalogue(title=StringTable.of(titles), **strings, **numbers)
