"""Responses to messages in; those that a person gave out, machines that follow every link told apart."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final

from msgspec.structs import replace

from shortlist.contracts.records import Response

HASTE_S: Final = 10.0
"""Sooner after its delivery nobody has read a message; scanners look at it before the recipient may."""
BURST_S: Final = 5.0
BURST_LINKS: Final = 3
"""So many links of one message within BURST_S are followed by a machine: a person looks at what opened."""
MACHINES: Final = (
    "barracuda",
    "bot",
    "cloudmark",
    "crawler",
    "curl/",
    "fireeye",
    "forcepoint",
    "go-http-client",
    "headless",
    "java/",
    "microsoft office existence discovery",
    "mimecast",
    "okhttp",
    "phantomjs",
    "proofpoint",
    "python",
    "scan",
    "sophos",
    "spider",
    "symantec",
    "trendmicro",
    "wget/",
    "zscaler",
)
"""Parts of the names that mail scanners and link checkers give themselves, in lower case."""


def by_machine(user_agent: str, after_s: float) -> bool:
    """Whether a machine opened or clicked, by its name or because so few seconds passed since the delivery."""
    name = user_agent.lower()
    return not name or after_s < HASTE_S or any(part in name for part in MACHINES)


def of_people(responses: Iterable[Response]) -> Iterator[Response]:
    """The responses without clicks on several links of one message at once, and without what machines did.

    What a person says with a button (`not_interested`, `unsubscribed`) and opens stay as they are.
    """
    clicks: dict[tuple[str, str, str], list[Response]] = defaultdict(list)
    for response in responses:
        if response.kind == "clicked":
            clicks[response.user_id, response.campaign, response.run_id].append(response)
        elif response.kind != "scanned":
            yield response
    for of_message in clicks.values():
        yield from _without_bursts(of_message)


def _without_bursts(clicks: list[Response]) -> Iterator[Response]:
    """The clicks on one message, as far as they were not part of a burst."""
    moments = sorted((datetime.fromisoformat(time), number) for number, one in enumerate(clicks) for time in one.times)
    kept = []
    for moment, number in moments:
        near = {other for at, other in moments if abs(at - moment) <= timedelta(seconds=BURST_S)}
        if len(near) < BURST_LINKS:
            kept.append((number, moment))
    for number, times in groupby(sorted(kept), key=itemgetter(0)):
        wanted = {moment for _, moment in times}
        one = clicks[number]
        yield replace(one, times=tuple(time for time in one.times if datetime.fromisoformat(time) in wanted))
