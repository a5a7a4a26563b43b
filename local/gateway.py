"""Every request to the embedded AWS comes in; the answer of a guard, of a mounted application or of moto goes out."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.listener import Environ, WsgiApp
from local.records import Principal
from local.wire import AwsRequest, ErrorAnswer

Service = Callable[[AwsRequest, Callable[..., Any]], Iterable[bytes]]
Guard = Callable[[AwsRequest], ErrorAnswer | None]
_ACCESS_KEY = re.compile(r"Credential=([^/,\s]+)/")
_TOLD_BY_MORE_THAN_ITS_NAME = {"", "bedrock", "bedrock-agentcore", "mediastore", "sagemaker"}
_log = logging.getLogger(__name__)


class Gateway:
    """The one WSGI application of an embedded AWS.

    `mounts` serve what is no AWS API (function URLs); `services` answer in moto's place; `guards` may refuse a request
    that a principal makes, and see it before moto does. Requests with other credentials (root, `test`) pass unguarded.
    """

    def __init__(self) -> None:
        self.mounts: list[tuple[Callable[[Environ], bool], WsgiApp]] = []
        self.guards: list[Guard] = []
        self.services: dict[str, Service] = {}
        self.principals: dict[str, Principal] = {}
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._applications: dict[tuple[str, str, bool], WsgiApp] = {}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        for matches, application in self.mounts:
            if matches(environ):
                return application(environ, start_response)
        request = AwsRequest(environ, self._principal(environ))
        try:
            if request.principal is not None:
                for guard in self.guards:
                    refusal = guard(request)
                    if refusal is not None:
                        return refusal.send(request, start_response)
            service = self.services.get(request.service)
            return (service or self._answer_of_moto)(request, start_response)
        except NotImplementedError as missing:
            # 501 is not retried by the SDKs: the developer sees at once what the emulation lacks.
            answer = ErrorAnswer(501, "NotImplemented", f"The embedded AWS does not implement this: {missing}")
        except Exception as error:
            _log.exception("request_failed %s %s", request.service, environ["RAW_URI"])
            answer = ErrorAnswer(500, "InternalFailure", f"{type(error).__name__}: {error}")
        return answer.send(request, start_response)

    def _answer_of_moto(self, request: AwsRequest, start_response: Callable[..., Any]) -> Iterable[bytes]:
        head: list[tuple[str, list[tuple[str, str]]]] = []
        body = list(self._application(request)(request.environ, lambda *given: head.append(given[:2])))
        status, headers = head[-1]
        unknown = status.startswith("404") and ("Content-Type", "text/html; charset=utf-8") in headers
        if unknown and request.environ["REQUEST_METHOD"] != "HEAD":  # S3's HEAD of what is not there looks the same
            raise NotImplementedError(f"{request.service}: {request.operation or request.environ['RAW_URI']}")
        start_response(status, headers)
        return body

    def _principal(self, environ: Environ) -> Principal | None:
        found = _ACCESS_KEY.search(environ.get("HTTP_AUTHORIZATION", ""))
        return self.principals.get(found.group(1)) if found else None

    def _application(self, request: AwsRequest) -> WsgiApp:
        """moto's application for the service; asking moto each time would compare some two hundred host patterns."""
        if request.service in _TOLD_BY_MORE_THAN_ITS_NAME:
            return self._moto.get_application(request.environ)  # type: ignore[no-any-return]
        target = request.environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[0]
        key = (request.service, target, request.environ["PATH_INFO"].startswith("/v20180820/"))
        application = self._applications.get(key)
        if application is None:
            with self._lock:
                application = self._moto.get_application(request.environ)
                self._applications[key] = application
        return application
