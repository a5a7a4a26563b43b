"""A price, its currency and the reader's locale in, the price as that reader writes it out."""

import math
import re
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, list_currencies


@lru_cache(maxsize=1_024)
def number_locale(locale: str, default: str = "en") -> Locale:
    """How numbers are written: `de-AT` keeps its region; unknown regions fall back to the language, then to default."""
    for candidate in (locale, default, "en"):
        name = candidate.replace("-", "_")
        for attempt in (name, name.split("_")[0]):
            try:
                return Locale.parse(attempt)
            except (ValueError, UnknownLocaleError):
                continue
    return Locale("en")


@lru_cache
def currency_code(currency: str, default: str) -> str:
    """An ISO 4217 code, or `default` where `currency` is none."""
    code = currency.strip().upper()
    return code if re.fullmatch("[A-Z]{3}", code) and code in list_currencies() else default


@lru_cache(maxsize=65_536)
def price_text(price: float | None, currency: str, locale: str, default_locale: str = "en") -> str:
    """`4,99 €`; empty where there is no price to tell (None, NaN, infinite, negative)."""
    if price is None or not math.isfinite(price) or price < 0:
        return ""
    text: str = format_currency(price, currency, locale=number_locale(locale, default_locale))
    return text
