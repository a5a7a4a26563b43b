"""Manifests: what a stage read, wrote, counted and took. A stage whose manifest matches its inputs is not run again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Output(msgspec.Struct, frozen=True):
    """One object a stage left: SHA-256 of its bytes (hex) and its size in bytes."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Written last, so its presence means that every output is there.

    Attributes:
        inputs: digest of everything the stage depends on (`digest`).
        outputs: S3 key -> Output.
        summary: counts and figures for the report, JSON values only.
        started_at: ISO 8601 UTC.
        seconds: wall time of the stage's work.
        peak_rss_mib: the process's largest resident set so far.
        ran_as: what it ran as; empty in manifests of older versions.
    """

    stage: str
    inputs: str
    outputs: dict[str, Output]
    summary: dict[str, Any]
    seconds: float
    peak_rss_mib: float
    shard: str = ""
    started_at: str = ""
    ran_as: Literal["function", "job", ""] = ""

    def digest(self) -> str:
        """Identifies the outputs; a later stage takes it as its input."""
        return digest({key: output.sha256 for key, output in self.outputs.items()} | {"summary": self.summary})


def digest(value: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a JSON value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
