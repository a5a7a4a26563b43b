"""Lambda function URLs: an HTTP request in, the function's answer out, by payload format 2.0.

moto gives each URL a name that nothing answers to. Here a function's URL is `http://localhost:PORT/_lambda_url/FUNCTION/`,
for everyone (AuthType NONE) as soon as its policy allows lambda:InvokeFunctionUrl. What goes in and out is described at
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from botocore.exceptions import ClientError

from local.listener import Environ

if TYPE_CHECKING:
    from local.server import EmbeddedAws

PREFIX = "/_lambda_url/"
_TEXT = ("text/", "application/json", "application/javascript", "application/xml")
Answer = tuple[int, list[tuple[str, str]], bytes]


def install(aws: EmbeddedAws) -> None:
    from moto.awslambda.models import FunctionUrlConfig

    configure = FunctionUrlConfig.__init__

    def configured(self: Any, function: Any, config: dict[str, Any]) -> None:
        _check(config)
        configure(self, function, config)
        self.url = url_of(aws, function.function_name)

    def update(self: Any, new_config: dict[str, Any]) -> None:
        _check({**self.config, **new_config})

    aws.replace(FunctionUrlConfig, "__init__", configured)
    aws.replace(FunctionUrlConfig, "update", update)
    aws.gateway.mounts.append((_is_function_url, FunctionUrls(aws)))


def url_of(aws: EmbeddedAws, function_name: str) -> str:
    return f"{aws.endpoint}{PREFIX}{quote(function_name)}/"


def _check(config: dict[str, Any]) -> None:
    if config.get("AuthType") != "NONE":
        raise NotImplementedError(f"a function URL with AuthType {config.get('AuthType')} (NONE is emulated)")
    if config.get("Cors") or config.get("InvokeMode", "BUFFERED") != "BUFFERED":
        raise NotImplementedError("a function URL with Cors or response streaming")


def _is_function_url(environ: Environ) -> bool:
    return str(environ["PATH_INFO"]).startswith(PREFIX)


class FunctionUrls:
    """The WSGI application behind every function URL."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, body = self._answer(environ)
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    def _answer(self, environ: Environ) -> Answer:
        path = str(environ["RAW_URI"]).partition("?")[0]
        name, _, rest = path.removeprefix(PREFIX).partition("/")
        refused = self._refused(unquote(name))
        if refused:
            return refused
        event = _event(environ, f"/{rest}", unquote(name))
        try:
            invoked = self._aws.client("lambda").invoke(FunctionName=unquote(name), Payload=json.dumps(event).encode())
        except ClientError as error:
            throttled = error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.TOO_MANY_REQUESTS
            return _said(HTTPStatus.TOO_MANY_REQUESTS if throttled else HTTPStatus.BAD_GATEWAY, "Rate Exceeded.")
        if "FunctionError" in invoked:
            return _said(HTTPStatus.BAD_GATEWAY, "Internal Server Error")
        return _response(json.load(invoked["Payload"]))

    def _refused(self, name: str) -> Answer | None:
        client = self._aws.client("lambda")
        try:
            client.get_function_url_config(FunctionName=name)
        except client.exceptions.ResourceNotFoundException:
            return _said(HTTPStatus.NOT_FOUND, f"The function {name} has no URL in this embedded AWS.")
        try:
            policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
        except client.exceptions.ResourceNotFoundException:
            policy = {"Statement": []}
        actions = {statement["Action"] for statement in policy["Statement"] if _everyone(statement["Principal"])}
        if not actions & {"lambda:InvokeFunctionUrl", "lambda:*"}:
            return _said(HTTPStatus.FORBIDDEN, "Forbidden")
        return None


def _everyone(principal: Any) -> bool:
    return principal in ("*", {"AWS": "*"})


def _said(status: int, message: str) -> Answer:
    return int(status), [("Content-Type", "application/json")], json.dumps({"Message": message}).encode()


def _event(environ: Environ, path: str, name: str) -> dict[str, Any]:
    headers = _headers(environ)
    cookies = headers.pop("cookie", None)
    query: dict[str, str] = {}
    for key, value in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
        query[key] = f"{query[key]},{value}" if key in query else value
    moment, host = time.time(), environ.get("HTTP_HOST", "localhost")
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(path),
        "rawQueryString": environ["QUERY_STRING"],
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": name,
            "domainName": host,
            "domainPrefix": name,
            "http": {
                "method": environ["REQUEST_METHOD"],
                "path": unquote(path),
                "protocol": environ["SERVER_PROTOCOL"],
                "sourceIp": environ.get("REMOTE_ADDR", "127.0.0.1"),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": datetime.fromtimestamp(moment, tz=UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(moment * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies is not None:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if query:
        event["queryStringParameters"] = query
    return event | _body(environ, headers.get("content-type", ""))


def _headers(environ: Environ) -> dict[str, str]:
    named = {key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")}
    named |= {key: environ[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)}
    return {key.replace("_", "-").lower(): str(value) for key, value in named.items()}


def _body(environ: Environ, content_type: str) -> dict[str, Any]:
    """Text as it is; anything else, forms among it, in base64."""
    body = environ["wsgi.input"].read()
    if not body:
        return {}
    if content_type.lower().startswith(_TEXT):
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _response(payload: Any) -> Answer:
    """A payload with a statusCode is a response; any other is the body of one, as JSON."""
    if not (isinstance(payload, dict) and "statusCode" in payload):
        text = payload if isinstance(payload, str) else json.dumps(payload)
        return HTTPStatus.OK, [("Content-Type", "application/json")], text.encode()
    try:
        status = HTTPStatus(int(payload["statusCode"]))
        body = payload.get("body") or ""
        content = base64.b64decode(body, validate=True) if payload.get("isBase64Encoded") else str(body).encode()
    except (ValueError, TypeError, binascii.Error):
        return _said(HTTPStatus.BAD_GATEWAY, "Internal Server Error")
    headers = {str(name): str(value) for name, value in (payload.get("headers") or {}).items()}
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = "application/json"
    cookies = [("Set-Cookie", str(cookie)) for cookie in payload.get("cookies") or []]
    return status, [*headers.items(), *cookies], content
