"""A request's way to moto's code: what moto looks up again for each request goes in, the same answers kept go out.

moto lists the methods of a service's class, and asks under one lock for all services whether it knows an account, some
ten times in a request; threads that send thousands of small requests then wait for each other (measured: a third of
the server's time in a mailing).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from moto.core import responses
from moto.core.base_backend import BackendDict

from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """Keeps what is looked up, for as long as this AWS runs."""
    look_up = BackendDict.__getitem__
    known: set[tuple[int, str]] = set()

    def account(self: Any, account_id: str) -> Any:
        if (id(self), account_id) in known and account_id in self:
            return dict.__getitem__(self, account_id)
        found = look_up(self, account_id)
        known.add((id(self), account_id))
        return found

    aws.replace(BackendDict, "__getitem__", account)
    aws.replace(responses, "method_names_from_class", lru_cache(None)(responses.method_names_from_class))
