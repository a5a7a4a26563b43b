"""Events come in on one pipe, a handler's results go out on another; stdout and stderr are the function's log.

Runs as a script, in its own process, with nothing on the import path but the function's code, its layers and what the
Lambda runtime brings. Arguments: the descriptors of the two pipes, the folders to import from before the standard
library, the one after it. Each line in is {"id", "arn", "deadline", "event"}; each line out is {"result"} or {"error"},
with {"peak_rss_kib"}; the first line out tells how the initialisation went.
"""

import importlib
import json
import logging
import os
import sys
import time
import traceback
from decimal import Decimal
from typing import Any

END_OF_LOG = "\x1e"  # then the request id: what the function printed for this request is complete


class LambdaContext:
    """What a handler gets as its second argument."""

    identity = None
    client_context = None

    def __init__(self, request: dict[str, Any]) -> None:
        self.aws_request_id: str = request["id"]
        self.invoked_function_arn: str = request["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.tenant_id = None
        self._deadline: float = request["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._deadline - time.time()) * 1000))


class _Formatter(logging.Formatter):
    """The runtime's own log lines: JSON or tabbed text, each with the id of the request."""

    request_id = ""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        message = record.getMessage()
        if os.environ.get("AWS_LAMBDA_LOG_FORMAT") != "JSON":
            text = f"[{record.levelname}]\t{stamp}.{int(record.msecs):03d}Z\t{self.request_id}\t{message}"
            return text if not record.exc_info else f"{text}\n{self.formatException(record.exc_info)}"
        line = {"timestamp": stamp + "Z", "level": record.levelname, "message": message, "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            line |= {"errorType": record.exc_info[0].__name__, "stackTrace": self.formatException(record.exc_info)}
        return json.dumps({**line, "requestId": self.request_id})


def main() -> None:
    sys.path[:0] = sys.argv[3].split(os.pathsep)
    sys.path.append(sys.argv[4])
    requests = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    answers = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")

    def answer(message: dict[str, Any], request_id: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(2, f"{END_OF_LOG}{request_id}\n".encode())
        answers.write(json.dumps({**message, "peak_rss_kib": _peak_rss_kib()}) + "\n")
        answers.flush()

    formatter = _set_up_logging()
    handler, failure = _load_handler()
    answer({} if failure is None else {"error": failure}, "init")
    for line in requests:
        request = json.loads(line)
        formatter.request_id = request["id"]
        answer(_handle(handler, request), request["id"])


def _set_up_logging() -> _Formatter:
    formatter = _Formatter()
    stream = logging.StreamHandler(sys.stdout)
    stream.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(stream)
    root.setLevel(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "WARNING"))
    return formatter


def _load_handler() -> tuple[Any, dict[str, Any] | None]:
    """(handler, None) or (None, error), worded as the Lambda runtime words it."""
    name = os.environ["_HANDLER"]
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        return None, _failure("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        traceback.print_exc()
        return None, _failure("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        traceback.print_exc()
        return None, _failure("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}")
    except Exception as error:
        traceback.print_exc()
        return None, _failure(type(error).__name__, str(error), traceback.format_tb(error.__traceback__))
    if not hasattr(module, attribute):
        return None, _failure("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'")
    return getattr(module, attribute), None


def _handle(handler: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        result = handler(request["event"], LambdaContext(request))
    except Exception as error:
        print(f"[ERROR] {type(error).__name__}: {error}\n{traceback.format_exc()}")
        frames = traceback.format_tb(error.__traceback__)[1:]  # without this file's own
        return {"error": {**_failure(type(error).__name__, str(error), frames), "requestId": request["id"]}}
    try:
        return {"result": json.dumps(result, ensure_ascii=False, default=_number)}
    except (TypeError, ValueError) as error:
        failure = _failure("Runtime.MarshalError", f"Unable to marshal response: {error}")
        return {"error": {**failure, "requestId": request["id"]}}


def _number(value: object) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _failure(kind: str, message: str, frames: list[str] | None = None) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "requestId": "", "stackTrace": frames or []}


def _peak_rss_kib() -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib is an import of its own
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        # No /proc (macOS): getrusage there is in bytes. On Linux it would also count the parent before exec.
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
