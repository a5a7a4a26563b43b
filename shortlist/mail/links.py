"""Product addresses in, https links with the campaign's tags out; anything else is no link."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from shortlist.errors import ContractError

SOURCE: Final = "shortlist"
MAX_LENGTH: Final = 2_000
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\u2028\u2029\ud800-\udfff]")
_SAFE: Final = "%/:?#[]@!$&()*+,;=~-._"


@lru_cache(maxsize=65_536)
def https_url(url: str) -> str:
    """`url` in ASCII if it is a plain https address, else an empty string.

    Refused: other schemes, white space and control characters (a parser may read them differently than a browser),
    backslashes, credentials before the host, hosts that are no host.
    """
    url = url.strip(" ")
    if not url or len(url) > MAX_LENGTH or _FORBIDDEN.search(url):
        return ""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port else ""
    except (ValueError, UnicodeError):
        return ""
    if parts.scheme.lower() != "https" or "@" in parts.netloc or not re.fullmatch(r"[a-z0-9.-]+\.[a-z0-9-]+", host):
        return ""
    path, query, fragment = (quote(part, safe=_SAFE) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit(("https", host + port, path, query, fragment))


@lru_cache(maxsize=65_536)
def tagged(url: str, *, campaign: str, run_id: str, item_id: str) -> str:
    """`url` with the tags by which web analytics tell the campaign; tags that stand in the address already win."""
    url = https_url(url)
    if not url:
        return ""
    parts = urlsplit(url)
    tags = {
        "utm_source": SOURCE,
        "utm_medium": "email",
        "utm_campaign": campaign,
        "utm_id": run_id,
        "utm_content": item_id,
    }
    present = {key for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    added = urlencode({key: value for key, value in tags.items() if key not in present}, errors="replace")
    query = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit(parts._replace(query=query))


def item_of(link: str) -> str:
    """The item that `tagged` wrote into a link of a message; empty where there is none.

    A shop that has a `utm_content` of its own in its addresses is told of clicks, and not on what.
    """
    try:
        tags = dict(parse_qsl(urlsplit(link).query))
    except ValueError:
        return ""
    return tags.get("utm_content", "") if tags.get("utm_source") == SOURCE else ""


def endpoint(url: str) -> str:
    """The address of the unsubscribe endpoint, checked: https, or http on this machine for a local run.

    Raises:
        ContractError: it is neither.
    """
    if re.fullmatch(r"http://(localhost|127\.0\.0\.1)(:\d+)?(/[\w./-]*)?", url):
        return url
    checked = https_url(url)
    if not checked or urlsplit(checked).query or urlsplit(checked).fragment:
        raise ContractError(
            f"{url!r} is not the address of an unsubscribe endpoint: expected https://host/path. "
            "Without one no mail is sent."
        )
    return checked
