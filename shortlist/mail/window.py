"""A campaign's send window and a recipient's time zone in; the moment from which they may be mailed out."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shortlist.config import SendWindow
from shortlist.errors import ContractError


def opens_at(window: SendWindow | None, time_zone: str, now: datetime) -> datetime:
    """The first moment, `now` or later, at which somebody of this time zone may be mailed (UTC).

    An hour that the clock skips in spring, or has twice in autumn, is taken as the zone's rules have it.

    Args:
        window: None: always open.
        time_zone: IANA name; the window's own where it is empty or unknown.
        now: aware.

    Raises:
        ContractError: the window's own time zone is unknown.
    """
    if window is None:
        return now
    zone = _known_zone(time_zone) or _own_zone(window.time_zone)
    local = now.astimezone(zone)
    if window.from_hour <= local.hour < window.until_hour:
        return now
    day = local.date() if local.hour < window.from_hour else local.date() + timedelta(days=1)
    return datetime.combine(day, time(window.from_hour), zone).astimezone(UTC)


@lru_cache
def _known_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as "Europe"
        return None


@lru_cache
def _own_zone(name: str) -> ZoneInfo:
    zone = _known_zone(name)
    if zone is None:
        raise ContractError(
            f"`mail.send_window.time_zone` of the campaign is {name!r}; expected an IANA name such as Europe/Berlin."
        )
    return zone
