"""The embedded AWS as the command line finds, starts and stops it; a small program stands in for it."""

import json
import os
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from shortlist.commands.embedded import EmbeddedServer
from shortlist.errors import ShortlistError

READY = """
import http.server, json, os, pathlib, signal, sys, threading
file = pathlib.Path(".local/server.json")
server = http.server.ThreadingHTTPServer(("localhost", 0), http.server.BaseHTTPRequestHandler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("Deploying", sys.argv[1:], flush=True)
ready = {"endpoint": f"http://localhost:{server.server_port}", "pid": os.getpid(), "region": "eu-west-1"}
file.with_suffix(".tmp").write_text(json.dumps(ready))
file.with_suffix(".tmp").replace(file)
server.serve_forever()
file.unlink()
"""
BROKEN = """
import sys
print("Deploying", flush=True)
sys.exit("no room on the disk")
"""


@pytest.fixture
def console():
    return Console(file=StringIO())


def checkout(folder, program):
    (folder / "local").mkdir()
    (folder / "local" / "__main__.py").write_text(program)
    return EmbeddedServer(folder)


def test_it_starts_in_the_background_is_found_again_and_stops(tmp_path, console):
    server = checkout(tmp_path, READY)
    assert server.running() is None

    started = server.start(console, port=1234)

    assert started.endpoint.startswith("http://localhost:")
    assert EmbeddedServer(tmp_path).running() == started
    assert "['--port', '1234']" in server.log.read_text()
    assert server.stop()
    assert server.running() is None
    assert not server.stop()


def test_one_that_cannot_start_shows_the_end_of_its_log(tmp_path, console):
    server = checkout(tmp_path, BROKEN)

    with pytest.raises(ShortlistError, match="no room on the disk"):
        server.start(console)


def test_what_a_killed_one_left_behind_is_not_taken_for_it(tmp_path):
    server = checkout(tmp_path, READY)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    (tmp_path / ".local").mkdir()
    left = {"endpoint": "http://localhost:9", "pid": int(gone.stdout), "region": "eu-west-1"}
    (tmp_path / ".local" / "server.json").write_text(json.dumps(left))

    assert server.running() is None


def test_a_living_process_that_does_not_answer_is_never_signalled(tmp_path):
    server = checkout(tmp_path, READY)
    (tmp_path / ".local").mkdir()
    own = {"endpoint": "http://localhost:9", "pid": os.getpid(), "region": "eu-west-1"}
    (tmp_path / ".local" / "server.json").write_text(json.dumps(own))

    assert not server.stop()


def test_half_a_file_is_no_server(tmp_path):
    server = checkout(tmp_path, READY)
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "server.json").write_text('{"endpoint": "http')

    assert server.running() is None
