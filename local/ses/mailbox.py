"""The mailbox: delivered messages come in; one .eml file each and a line of mailbox.jsonl go out."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

INDEX = "mailbox.jsonl"


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that SES accepted and what became of it.

    `outcomes` says for each recipient: delivered, bounced, complained, suppressed or rejected.
    """

    message_id: str
    time: str  # ISO 8601 UTC
    source: str
    outcomes: dict[str, str]
    tags: dict[str, str]
    configuration_set: str | None
    mime: bytes


class Mailbox:
    """A folder; its index has a line for every accepted message, in the order they were accepted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._index: IO[str] | None = None

    def post(self, message: Posted) -> None:
        """Writes the file if anyone got the message, then its line in the index."""
        arrived = any(outcome in ("delivered", "complained") for outcome in message.outcomes.values())
        file = f"{message.message_id}.eml" if arrived else None
        if file:
            (self.folder / file).write_bytes(message.mime)
        line = {
            "message_id": message.message_id,
            "time": message.time,
            "source": message.source,
            "destination": [*message.outcomes],
            "outcomes": message.outcomes,
            "tags": message.tags,
            "configuration_set": message.configuration_set,
            "file": file,
        }
        with self._lock:
            if self._index is None:
                self._index = (self.folder / INDEX).open("a", encoding="utf-8")
            self._index.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._index.flush()

    def close(self) -> None:
        """Ends writing; a message posted later opens the index anew."""
        with self._lock:
            if self._index is not None:
                self._index.close()
            self._index = None
