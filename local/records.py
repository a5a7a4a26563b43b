"""The records of the embedded AWS: who asked (Principal), what ran (Invocation), where an image is (ImageMapping)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of one session; the root credentials have no token."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables by which an SDK finds them."""
        named = {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}
        return named if self.session_token is None else {**named, "AWS_SESSION_TOKEN": self.session_token}


@dataclass(slots=True)
class Principal:
    """One session of a role; `label` says for whom: `function:NAME`, `job:NAME`, `machine:NAME`, `schedule:NAME`."""

    label: str
    role_arn: str
    session_arn: str
    credentials: Credentials
    kill: Callable[[], None] | None = None  # ends the process that holds the credentials, where there is one
    reclaim: Callable[[], None] | None = None  # takes the job's Spot capacity away


@dataclass(frozen=True, slots=True)
class Invocation:
    """One Lambda invocation or one attempt of a Batch job, as it ended."""

    kind: Literal["function", "job"]
    name: str
    request_id: str
    started_at: float  # epoch s
    seconds: float
    peak_rss_mib: float
    error: str | None = None  # the error type (function) or the status reason (job)
    cold: bool = False  # a new process was started for it


@dataclass(frozen=True, slots=True)
class ImageMapping:
    """Where the files of a container image lie on this machine: `cwd` stands for the image's working directory."""

    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
