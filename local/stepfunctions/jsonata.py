"""JSONata as Step Functions runs it: an expression and its bindings in, a JSON value or an error with a code out.

moto leaves its evaluator empty (it wants a JVM) and writes every variable into the text of the expression; here
`jsonata-python` evaluates the expression as written, with `$states` and the variables bound beside it.
"""

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonata import Jsonata
from jsonata.functions import Functions
from jsonata.jexception import JException
from jsonata.utils import Utils


class JsonataError(Exception):
    """The expression could not be parsed or evaluated; the message begins with JSONata's error code, if it has one."""


class NoValueError(JsonataError):
    """The expression evaluated to nothing, or to what JSON cannot hold; Step Functions accepts neither anywhere."""


def check_syntax(expression: str) -> None:
    """Raises JsonataError where the expression is not JSONata."""
    _compiled(expression)


def evaluate(expression: str, bindings: Mapping[str, Any]) -> Any:
    """The value of `expression` with each name of `bindings` as a variable (`{"states": …}` is `$states`).

    Raises JsonataError, NoValueError among them.
    """
    compiled = _compiled(expression)
    compiled.set_output_convert_nulls(False)
    for name, (function, signature) in _STEP_FUNCTIONS_OWN.items():
        compiled.register_function(name, Jsonata.JFunction(Jsonata.JLambda(function), signature))
    for name, value in bindings.items():
        compiled.assign(name, Utils.NULL_VALUE if value is None else value)
    try:
        result = compiled.evaluate(None)
    except JException as error:
        raise JsonataError(f"{error.get_error()}: {error}") from error
    except ZeroDivisionError as error:
        raise JsonataError("D1001: Number out of range: Infinity") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise JsonataError(str(error)) from error
    if result is None:
        raise NoValueError("returned nothing (undefined).")
    return _plain(result)


def expressions(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Each `{% … %}` in a template as (field path such as `Arguments/Payload[0]`, expression)."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from expressions(member, f"{field}/{key}" if field else key)
    elif isinstance(value, list):
        for place, member in enumerate(value):
            yield from expressions(member, f"{field}[{place}]")
    elif isinstance(value, str) and is_expression(value):
        yield field, expression_of(value)


def fill(template: Any, value_of: Callable[[str, str], Any], field: str = "") -> Any:
    """The template with each expression replaced by `value_of(expression, field path)`."""
    if isinstance(template, dict):
        return {key: fill(member, value_of, f"{field}/{key}" if field else key) for key, member in template.items()}
    if isinstance(template, list):
        return [fill(member, value_of, f"{field}[{place}]") for place, member in enumerate(template)]
    if isinstance(template, str) and is_expression(template):
        return value_of(expression_of(template), field)
    return template


def is_expression(text: str) -> bool:
    return text.startswith("{%") and text.endswith("%}")


def expression_of(text: str) -> str:
    return text[2:-2].strip()


def _compiled(expression: str) -> Jsonata:
    # Compiled anew each time (66 µs): the library keeps the last compiled expression of a thread as the one that runs.
    try:
        return Jsonata(expression)
    except JException as error:
        raise JsonataError(f"{error.get_error()}: {error}") from error
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise JsonataError(f"not JSONata: {error}") from error


def _plain(value: Any) -> Any:
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise JsonataError(f"D1001: Number out of range: {value}")
        return value
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, Utils.RangeList):
        return list(range(value.a, value.b + 1))
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    raise NoValueError("returned an unsupported result type.")


# What Step Functions adds to JSONata, and the $eval it takes away:
# https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
def _partition(array: Any = None, size: Any = None) -> Any:
    if array is None:
        return None
    if not isinstance(size, int) or size < 1:
        raise JException("T0410", 0, 2, "partition")
    return [array[start : start + size] for start in range(0, len(array), size)]


def _range(first: Any = None, last: Any = None, step: Any = None) -> Any:
    if not all(isinstance(bound, int) for bound in (first, last, step)) or step == 0:
        raise JException("T0410", 0, 3, "range")
    return list(range(first, last + (1 if step > 0 else -1), step))


def _hash(text: Any = None, algorithm: Any = None) -> Any:
    names = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
    if algorithm not in names or text is None:
        raise JException("T0410", 0, 2, "hash")
    content = text if isinstance(text, str) else json.dumps(_plain(text), separators=(",", ":"))
    return hashlib.new(names[algorithm], content.encode()).hexdigest()


def _random(seed: Any = None) -> float:
    return random.Random(seed).random()  # noqa: S311 - JSONata's $random, not a secret


def _uuid() -> str:
    return str(uuid.uuid4())


def _parse(text: Any = None) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (TypeError, ValueError) as error:
        raise JException("T0410", 0, 1, "parse") from error
    return Utils.NULL_VALUE if value is None else value


def _eval(*_: Any) -> Any:
    raise JException("T1006", 0, "eval")


def _string(value: Any = None, prettify: Any = None) -> Any:
    text = Functions.string(value, prettify)
    if not isinstance(value, dict | list):
        return text
    # The library writes é as \u00e9 here; JSON.stringify, which JSONata means, does not.
    layout: dict[str, Any] = {"indent": 2} if prettify else {"separators": (",", ":")}
    return json.dumps(json.loads(text), ensure_ascii=False, **layout)


_STEP_FUNCTIONS_OWN: dict[str, tuple[Callable[..., Any], str | None]] = {
    "partition": (_partition, None),
    "range": (_range, None),
    "hash": (_hash, None),
    "random": (_random, None),
    "uuid": (_uuid, None),
    "parse": (_parse, None),
    "eval": (_eval, None),
    "string": (_string, "<x-b?:s>"),
}
