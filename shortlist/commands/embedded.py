"""The embedded AWS of a checkout: found where it runs, started in the background where it does not, stopped on request.

It is a program of its own (`python -m local`), so that it outlives the command that started it. It writes
`.local/server.json` once it is ready for runs and removes the file when it stops.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

import shortlist
from shortlist.errors import ContractError, ShortlistError

START_TIMEOUT_S: Final = 300
STOP_TIMEOUT_S: Final = 30


class Server(msgspec.Struct, frozen=True):
    """The content of server.json."""

    endpoint: str
    pid: int
    region: str


class EmbeddedServer:
    """The embedded AWS of one checkout.

    Args:
        root: of the checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / ".local" / "server.log"
        self._file = root / ".local" / "server.json"

    @classmethod
    def of_this_checkout(cls) -> "EmbeddedServer":
        """Raises ContractError where Shortlist is installed without its repository."""
        root = Path(shortlist.__file__).resolve().parent.parent
        if not (root / "local" / "__main__.py").is_file():
            raise ContractError(
                f"the embedded AWS is not part of the installed package ({root} has no local/). "
                "Run from a clone of the repository, or add `--target aws`."
            )
        return cls(root)

    def running(self) -> Server | None:
        """The server, where one is ready. What a killed one left behind is not taken for it."""
        try:
            server = msgspec.json.decode(self._file.read_bytes(), type=Server)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return server if _is_alive(server.pid) and _answers(server.endpoint) else None

    def start(self, console: Console, *, port: int = 0) -> Server:
        """Start it in the background and wait until it is ready.

        Raises:
            ShortlistError: it ended, or was not ready in time; the message has the end of its log.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._file.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "local", "--port", str(port)],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at the command line does not reach it
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        with console.status("Starting the embedded AWS") as status:
            while (server := self.running()) is None:
                if process.poll() is not None:
                    raise ShortlistError(f"the embedded AWS did not start:\n{self._log_end(20)}\nAll of it: {self.log}")
                if time.monotonic() > deadline:
                    process.terminate()
                    raise ShortlistError(f"the embedded AWS was not ready in {START_TIMEOUT_S} s. Its log: {self.log}")
                status.update(f"Starting the embedded AWS: {self._log_end(1)}")
                time.sleep(0.2)
        process.returncode = 0  # it outlives this command: nobody waits for it
        return server

    def stop(self) -> bool:
        """Stop it; False where none runs.

        Raises:
            ShortlistError: it did not end in time.
        """
        server = self.running()
        if server is None:
            return False
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while _is_alive(server.pid) and self._file.exists():
            if time.monotonic() > deadline:
                raise ShortlistError(f"process {server.pid} did not stop in {STOP_TIMEOUT_S} s. Its log: {self.log}")
            time.sleep(0.1)
        return True

    def _log_end(self, lines: int) -> str:
        return "\n".join(self.log.read_text(errors="replace").rstrip().splitlines()[-lines:])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(endpoint, timeout=5):  # noqa: S310  our own file names the address
            return True
    except urllib.error.HTTPError:  # an answer too
        return True
    except OSError:
        return False
