"""Strings from a shop's tables in, one harmless printable line out."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_INVISIBLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, line ends among them
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u206f"  # soft hyphens, zero-width spaces, direction marks
    "\u2028-\u202e\ufeff\ufff9-\ufffb"  # line separators, direction overrides, byte-order marks, annotations
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e007f]+"  # halves of characters, private use, tags
)
"""Zero-width joiners (U+200C, U+200D) stay: Persian words and many emoji need them."""
_SPACES: Final = re.compile(r"\s+")


@lru_cache(maxsize=65_536)
def line(text: str, limit: int = 200) -> str:
    """`text` as one line of at most `limit` characters, without anything that could start a line, a header or a lie."""
    text = _SPACES.sub(" ", _INVISIBLE.sub(" ", unicodedata.normalize("NFC", text))).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
