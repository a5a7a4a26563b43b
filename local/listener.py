"""A WSGI application comes in, a loopback HTTP/1.1 server with kept-alive connections goes out.

The development server that moto brings closes each connection after one answer; an SDK that sends thousands of small
requests then spends most of its time connecting. This one keeps connections, reads each body in full before it calls
the application, and stops everything it started.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import IO, Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

MAX_HEADER_LINE = 64 * 1024
_PRESERVED_NAMES = "moto.preserved_header_names"  # where moto looks for S3 metadata names that hold an underscore
_log = logging.getLogger(__name__)


class Listener:
    """Serves `app` on 127.0.0.1 from `start()` to `stop()`; port 0 takes a free one, told by `.port`."""

    def __init__(self, app: WsgiApp, port: int) -> None:
        self._app = app
        self._socket = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, name="embedded-aws", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Closes the port and every connection; answers in progress are cut off."""
        self._stopping = True
        # A blocked accept() does not notice close(); a last connection wakes it.
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._socket.close()
        with self._lock:
            open_connections = dict(self._connections)
        for connection in open_connections:
            _shut(connection)
        for thread in open_connections.values():
            thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._stopping:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name="embedded-aws-request", daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        try:
            while not self._stopping:
                environ = _read_request(stream, connection, self.port)
                if environ is None or not self._answer(environ, connection):
                    return
        except OSError:  # the client went away, or stop() closed the connection
            return
        except ValueError as malformed:
            _log.warning("malformed_request %s", malformed)
        finally:
            stream.close()
            connection.close()
            with self._lock:
                del self._connections[connection]

    def _answer(self, environ: Environ, connection: socket.socket) -> bool:
        """Calls the application, which never raises, and sends its answer; True to keep the connection."""
        head: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._app(environ, lambda status, headers, exc_info=None: head.append((status, headers)))
        body = b"".join(parts)
        close = getattr(parts, "close", None)
        if close is not None:
            close()
        status, headers = head[-1]
        keep: bool = environ.get("HTTP_CONNECTION", "").lower() != "close"
        connection.sendall(_response_head(status, headers, len(body), environ["REQUEST_METHOD"], keep) + body)
        return keep


def _response_head(status: str, headers: list[tuple[str, str]], length: int, method: str, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    has_length = False
    for name, value in headers:
        folded = name.lower()
        if folded in {"connection", "transfer-encoding"}:
            continue
        if folded == "content-length":
            if method != "HEAD":
                continue
            has_length = True
        lines.append(f"{name}: {value}")
    if not has_length and not status.startswith(("204", "304")):
        lines.append(f"Content-Length: {length}")
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _read_request(stream: IO[bytes], connection: socket.socket, port: int) -> Environ | None:
    """The next request as a WSGI environ, its body read in full; None when the client has closed the connection."""
    line = stream.readline(MAX_HEADER_LINE)
    while line in (b"\r\n", b"\n"):
        line = stream.readline(MAX_HEADER_LINE)
    if not line:
        return None
    method, target, version = line.decode("latin-1").split()
    path, _, query = target.partition("?")
    if path.startswith("http://"):  # absolute form, as a proxy would get it
        path = "/" + path.removeprefix("http://").partition("/")[2]
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": version,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "embedded.connection": connection,
        _PRESERVED_NAMES: {},
    }
    _read_headers(stream, environ)
    if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(stream, environ)
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _read_headers(stream: IO[bytes], environ: Environ) -> None:
    while (line := stream.readline(MAX_HEADER_LINE)) not in (b"\r\n", b"\n"):
        if not line:
            raise ValueError("the request ended inside its headers")
        name, _, value = line.decode("latin-1").partition(":")
        key = name.upper().replace("-", "_")
        if "_" in name:
            if not name.lower().startswith("x-amz-meta-"):
                continue  # X_Foo and X-Foo would fall together
            environ[_PRESERVED_NAMES][f"HTTP_{key}"] = name
        if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            key = f"HTTP_{key}"
        value = value.strip()
        environ[key] = f"{environ[key]},{value}" if key in environ else value


def _read_body(stream: IO[bytes], environ: Environ) -> bytes:
    if "chunked" not in environ.pop("HTTP_TRANSFER_ENCODING", "").lower():
        return _exactly(stream, int(environ.get("CONTENT_LENGTH") or 0))
    chunks = []
    while size := int(stream.readline(MAX_HEADER_LINE).split(b";")[0], 16):
        chunks.append(_exactly(stream, size))
        stream.readline(MAX_HEADER_LINE)
    while stream.readline(MAX_HEADER_LINE) not in (b"\r\n", b"\n", b""):
        pass  # trailers
    return b"".join(chunks)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    """Of a client that dies while it sends nothing is taken, as AWS has it."""
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("the request ended inside its body")
    return content


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # closed by its client meanwhile
        return
