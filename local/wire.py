"""An HTTP request to AWS comes in; its service, operation and parameters, or an error in its protocol, go out."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

from local.listener import Environ
from local.records import Principal

# The name a request is signed with is not always the name of the service's model.
_MODELS = {"states": "stepfunctions", "monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}


class AwsRequest:
    """One request, understood as far as someone asks."""

    def __init__(self, environ: Environ, principal: Principal | None) -> None:
        self.environ = environ
        self.principal = principal
        self.service, self.region = _signed_for(environ)

    @cached_property
    def body(self) -> bytes:
        stream = self.environ["wsgi.input"]
        content: bytes = stream.read()
        stream.seek(0)
        return content

    def abandoned(self) -> bool:
        """The caller has closed its connection."""
        connection: socket.socket = self.environ["embedded.connection"]
        readable, _, _ = select.select([connection], [], [], 0)
        try:
            return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    @cached_property
    def operation(self) -> str:
        """The name of the API operation, as `PutItem`; empty when it cannot be told."""
        return self._understood[0]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters at the top of the request; those of S3 and other REST services without their body's."""
        return self._understood[1]

    @cached_property
    def _understood(self) -> tuple[str, dict[str, Any]]:
        target = self.environ.get("HTTP_X_AMZ_TARGET")
        if target:
            return target.rpartition(".")[2], _json_object(self.body)
        if self.environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            form = dict(parse_qsl(self.body.decode(), keep_blank_values=True))
            return form.get("Action", ""), form
        try:
            operation, labels = get_service_router(self.service).match(Request(self.environ))
        except NotFound:
            return "", {}
        query = dict(parse_qsl(self.environ["QUERY_STRING"], keep_blank_values=True))
        members = {} if self.service == "s3" else _json_object(self.body)
        return operation.name, {**query, **members, **labels}


def _signed_for(environ: Environ) -> tuple[str, str]:
    """(service, region) of the signature, ("", "") without one."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    if len(scope) != 5:
        return "", ""
    service = scope[3].lower()
    if service == "ses" and environ["PATH_INFO"].startswith("/v2/"):
        service = "sesv2"
    return _MODELS.get(service, service), scope[2]


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


@lru_cache
def _protocol(service: str) -> str:
    return str(get_service_model(service).protocol) if service else "json"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error of AWS, worded as the protocol of the request wants it."""

    status: int
    code: str
    message: str

    def send(self, request: AwsRequest, start_response: Callable[..., Any]) -> Iterable[bytes]:
        protocol = _protocol(request.service)
        headers = [("x-amzn-requestid", "embedded")]
        code, message = escape(self.code), escape(self.message)
        if protocol == "rest-xml":
            body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        elif protocol == "ec2":
            body = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
            )
        elif protocol == "query":
            body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        else:
            headers.append(("x-amzn-errortype", self.code))
            body = json.dumps({"__type": self.code, "message": self.message})
        media = "text/xml" if body.startswith("<") else "application/x-amz-json-1.1"
        start_response(f"{self.status} Error", [*headers, ("Content-Type", media)])
        return [b"" if request.environ["REQUEST_METHOD"] == "HEAD" else body.encode()]
