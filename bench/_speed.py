"""Results of `python -m bench ranking` in; processor seconds an epoch by the number of factors out, as a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench._turns import Result


def plot_speed(results: Sequence[Result], path: Path) -> None:
    """One line a contender, both axes logarithmic; beside each point of a peer how many times our seconds it is."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    by_name: dict[str, dict[int, float]] = {}
    for result in results:
        by_name.setdefault(result.name, {})[result.n_factors] = result.cpu_seconds_per_epoch
    picture = Figure(figsize=(6, 4), layout="constrained")
    axes = picture.subplots()
    for name, seconds in by_name.items():
        sizes = sorted(seconds)
        axes.plot(sizes, [seconds[size] for size in sizes], "o-", label=name)
        for size, ratio in _ratios(seconds, by_name["shortlist"]).items() if name != "shortlist" else ():
            axes.annotate(f"{ratio:.1f}×", (size, seconds[size]), (0, 6), textcoords="offset points", ha="center")
    sizes = sorted({result.n_factors for result in results})
    axes.set(xscale="log", yscale="log", xlabel="factors", ylabel="processor seconds an epoch")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.margins(y=0.12)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    picture.savefig(path, dpi=120)


def _ratios(theirs: Mapping[int, float], ours: Mapping[int, float]) -> dict[int, float]:
    return {size: theirs[size] / ours[size] for size in theirs if ours.get(size)}
