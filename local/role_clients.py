"""Clients that act for a role: a service, a role and for whom it acts in, a boto3 client with the role's rights out.

Kept, because each holds open connections and making one takes 20 to 60 ms.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_LIFETIME_S = 1800  # half of what STS gives


class RoleClients:
    """One client for each service, role and label (`machine:NAME`, `schedule:NAME`)."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str, str], tuple[float, Any]] = {}

    def get(self, service: str, role_arn: str, label: str) -> Any:
        key = (service, role_arn, label)
        with self._lock:
            made_at, client = self._clients.get(key, (0.0, None))
            if client is None or time.monotonic() - made_at > _LIFETIME_S:
                client = self._aws.client(service, self._aws.assume(role_arn, label))
                self._clients[key] = time.monotonic(), client
        return client

    def close(self) -> None:
        with self._lock:
            for _, client in self._clients.values():
                client.close()
            self._clients.clear()
