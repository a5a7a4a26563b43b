"""The quality gate: hold-out metrics of this run and of the published one in, a verdict with its reasons out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import HoldoutMetrics, KindMetrics

TO_BEAT: Final[dict[ListKind, tuple[str, ...]]] = {
    "everything": ("popularity", "buy_it_again"),
    "new_for_you": ("popularity",),
    "buy_again": (),
}
"""Baselines whose recall the model must exceed, by list kind."""
TO_REACH: Final[dict[ListKind, tuple[str, ...]]] = {
    "everything": (),
    "new_for_you": (),
    "buy_again": ("buy_it_again",),
}
"""Baselines whose recall the model must at least equal: own purchases are hard to beat on their own list."""


class Verdict(msgspec.Struct, frozen=True):
    """`reasons`: what speaks against publishing, a sentence each; there may be some although the gate is open."""

    publish: bool
    reasons: tuple[str, ...]


def judge(
    metrics: HoldoutMetrics,
    lists: Sequence[ListKind],
    published: HoldoutMetrics | None,
    *,
    margin: float,
    gate: bool,
) -> Verdict:
    """Whether a model may be published.

    Args:
        metrics: of this run.
        lists: the kinds that the campaign makes; each of them is judged.
        published: of the run that consumers see now; compared only where x and the split are the same.
        margin: relative fall of recall under the published run that is accepted.
        gate: False publishes whatever the reasons say.
    """
    reasons: list[str] = []
    for kind in lists:
        measured = metrics.kinds.get(kind)
        if measured is None or measured.users == 0:
            reasons.append(
                f"{kind}: nobody has held-out interactions of this kind, so the model is not measured. Hold out more "
                "(evaluation.days, evaluation.share), or set evaluation.gate to false."
            )
            continue
        reasons += _against_baselines(kind, measured, metrics.x)
        if published is not None and published.protocol == metrics.protocol and kind in published.kinds:
            reasons += _against_published(kind, measured, published.kinds[kind], metrics.x, margin)
    return Verdict(publish=not reasons or not gate, reasons=tuple(reasons))


def _against_baselines(kind: ListKind, measured: KindMetrics, x: int) -> list[str]:
    model = measured.model.recall
    said = f"{kind}: recall@{x} of {model:.4f}"
    reasons = []
    for name in TO_BEAT[kind] + TO_REACH[kind]:
        baseline = measured.baselines.get(name)
        if baseline is None:
            reasons.append(f"{said} is not measured against {name}.")
        elif name in TO_BEAT[kind] and model <= baseline.recall:
            reasons.append(f"{said} does not beat {baseline.recall:.4f} of {name}.")
        elif model < baseline.recall:
            reasons.append(f"{said} is under {baseline.recall:.4f} of {name}.")
    return reasons


def _against_published(
    kind: ListKind, measured: KindMetrics, published: KindMetrics, x: int, margin: float
) -> list[str]:
    now, before = measured.model.recall, published.model.recall
    if now >= before * (1 - margin):
        return []
    return [f"{kind}: recall@{x} of {now:.4f} is more than {margin:.0%} under the published run's {before:.4f}."]
