"""Lines that a function or a job printed come in; events of a CloudWatch log stream go out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from moto.logs.models import logs_backends

from local.metrics import publish_metrics
from local.server import EmbeddedAws

_write = threading.Lock()  # moto's streams are plain lists


def put_lines(aws: EmbeddedAws, group: str, stream: str, lines: Sequence[str]) -> None:
    """Appends the lines to the stream; group and stream are made when missing. Metrics in them are published."""
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms, "message": line} for line in lines if line]
    backend = logs_backends[aws.account][aws.region]
    with _write:
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, stream)
        if events:
            backend.put_log_events(group, stream, events)
    publish_metrics(aws, lines)
