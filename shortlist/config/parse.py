"""A parsed campaign file in; one checked `Campaign` out, or the file's mistake with its line and a cure."""

import difflib
import math
import re
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import msgspec

from shortlist.config.campaign import Campaign
from shortlist.config.check import Fault, first_fault
from shortlist.errors import ContractError


def campaign_from_mapping(value: Any, source: str, line_of: Callable[[str], int] = lambda path: 0) -> Campaign:
    """Check a parsed campaign file.

    Args:
        value: what the YAML or JSON parser gave.
        source: the file's name, for the message.
        line_of: the line on which a setting stands, by its path (`rules.max_price`); 0: nobody knows.

    Raises:
        ContractError: a key is unknown, missing or has a value that cannot be meant; names the file, the line and the
            path of the key.
    """
    try:
        campaign = msgspec.convert(value, Campaign)
        fault = _endless(value) or first_fault(campaign)
    except msgspec.ValidationError as error:
        fault = _fault_of(str(error))
    if fault is None:
        return campaign
    line = line_of(fault.path)
    raise ContractError(
        f"{source}{f' line {line}' if line else ''}: at `{fault.path or 'the top'}`: {fault.what}. "
        "docs/data-contracts.md lists every setting."
    )


def _endless(value: Any, path: str = "") -> Fault | None:
    """The first `.nan` or `.inf`: neither keeps to bounds."""
    if isinstance(value, dict):
        below = [(f"{path}.{key}".lstrip("."), one) for key, one in value.items()]
    elif isinstance(value, list):
        below = [(f"{path}[{number}]", one) for number, one in enumerate(value)]
    else:
        endless = isinstance(value, float) and not math.isfinite(value)
        return Fault(path, f"expected a number; it is {value}") if endless else None
    return next((fault for where, one in below if (fault := _endless(one, where))), None)


def _fault_of(message: str) -> Fault:
    """msgspec's `… - at `$.mail.sender`` as a fault; an unknown setting has a path of its own."""
    match = re.search(r"^(.*) - at `\$\.?(.*)`$", message)
    what, path = match.groups() if match else (message, "")
    if unknown := re.search(r"unknown field `(.*)`$", what):
        settings = [setting.encode_name for setting in msgspec.structs.fields(_type_at(path))]
        near = difflib.get_close_matches(unknown[1].lower(), settings, n=1)
        cure = f"`{near[0]}`, perhaps" if near else f"one of {', '.join(settings)}"
        return Fault(".".join(filter(None, (path, unknown[1]))), f"there is no such setting. Cure: {cure}")
    if what.startswith("Invalid enum value"):
        what = f"{what}. Cure: {' or '.join(get_args(_type_at(path)))}"
    elif path and what == "Expected `object`, got `null`":
        what = "nothing stands below it. Cure: indent its settings, or leave it out"
    return Fault(path, what)


def _type_at(path: str) -> Any:
    """The type of a setting, without bounds and None: of `mail.smtp` Smtp, of `lists[0]` the kinds of lists."""
    here: Any = Campaign
    for part in re.findall(r"[^.\[\]]+|\.\.\.", path):
        if get_origin(here) is tuple:
            here = get_args(here)[0]
        elif get_origin(here) is dict:
            here = get_args(here)[1]
        else:
            here = next(setting.type for setting in msgspec.structs.fields(here) if setting.encode_name == part)
        while get_origin(here) in (Annotated, UnionType):
            here = get_args(here)[0]
    return here
