"""boto3 clients, made once per process, with the retry mode and time-outs that suit a pipeline."""

from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config


@lru_cache
def client(service: str, *, pool: int = 16) -> Any:
    """A boto3 client for `service`; region, credentials and endpoint come from the environment as usual."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=pool,
        parameter_validation=service != "dynamodb",  # a third of the client's time for lists of 60 entries
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]
