"""JSON files of `python -m bench ranking` in; a PNG of Recall@20 and NDCG@20 by the numbers that are multiplied out.

Beside them stand figures others have published for Gowalla, all with 64 factors and an inner product, from the papers
on LightGCN (He et al. 2020), UltraGCN (Mao et al. 2021) and SimpleX (Mao et al. 2021, there named MF-CCL).
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

from matplotlib.figure import Figure

PUBLISHED_FACTORS: Final = 64
PUBLISHED: Final = {"LightGCN": (0.1830, 0.1554), "UltraGCN": (0.1862, 0.1580), "MF-CCL": (0.1837, 0.1493)}


class Row(TypedDict):
    """What is used of a result of `python -m bench ranking`."""

    name: str
    n_factors: int
    recall_at_20: float
    ndcg_at_20: float
    settings: Mapping[str, float | int | str | bool | None]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench ranking_plot", description=__doc__)
    parser.add_argument("results", type=Path, nargs="+", help="what --json wrote")
    parser.add_argument("--png", type=Path, required=True)
    given = parser.parse_args(arguments)
    rows = [row for path in given.results for row in json.loads(path.read_text())["results"]]
    plot(rows).savefig(given.png, dpi=120)


def plot(rows: Sequence[Row]) -> Figure:
    """A line for every contender and loss."""
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lines[_name(row)].append(row)
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for place, axes in enumerate(figure.subplots(1, 2)):
        for (name, points), marker in zip(lines.items(), "os^Dv", strict=False):
            by_width = sorted((_width(row), (row["recall_at_20"], row["ndcg_at_20"])[place]) for row in points)
            axes.plot(*zip(*by_width, strict=True), marker=marker, markersize=5, linewidth=1, label=name)
        for rank, (value, name) in enumerate(sorted((figures[place], name) for name, figures in PUBLISHED.items())):
            axes.plot(PUBLISHED_FACTORS, value, "x", color="0.4")
            apart = (5, 5 * rank - 8)  # points: names of figures that nearly coincide
            axes.annotate(name, (PUBLISHED_FACTORS, value), apart, textcoords="offset points", fontsize=7)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("factors of the inner product")
        axes.set_ylabel(("Recall@20", "NDCG@20")[place])
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    return figure


def _width(row: Row) -> int:
    return row["n_factors"] + int(row["settings"].get("squared_factors") or 0)


def _name(row: Row) -> str:
    settings = row["settings"]
    if row["name"] != "shortlist":
        return row["name"]
    loss = str(settings.get("loss", "squared"))
    return f"shortlist, {loss} + squared" if "squared_factors" in settings else f"shortlist, {loss}"
