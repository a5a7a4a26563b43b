"""Archives of functions and layers come in through moto's API; checked and unpacked, they lie on disk, not in memory.

What AWS words and this repeats: no zip, too many bytes in one archive, in a function with its layers, too many layers.
A function keeps what it was given: a layer version may be deleted, and the functions that have it go on.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moto.awslambda.models import LambdaFunction, LayerVersion, lambda_backends
from moto.core.exceptions import JsonRESTError

from cdk.archives import unzipped_bytes
from local.code_cache import CodeCache
from local.server import EmbeddedAws

MAX_UNZIPPED_BYTES: Final = 250 * 1024 * 1024  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_LAYERS: Final = 5


@dataclass(frozen=True, slots=True)
class Code:
    """The files of an archive."""

    folder: Path
    unzipped_bytes: int


def install(aws: EmbeddedAws) -> None:
    """Makes moto check archives and keep folders instead: `function.own_code`, `function.layer_code`."""
    cache = CodeCache(code_folder(aws.cache_dir)).open()
    aws.on_stop(cache.close)
    before_layer = LayerVersion.__init__
    before_code = LambdaFunction._set_function_code
    before_layers = LambdaFunction._get_layers_data
    before_update = LambdaFunction.update_configuration

    def publish(self: Any, spec: dict[str, Any], account_id: str, region: str) -> None:
        before_layer(self, spec, account_id, region)
        self.own_code = _taken(self, cache)

    def set_code(self: Any, changes: dict[str, Any]) -> None:
        kept = dict(vars(self))
        before_code(self, changes)
        if not getattr(self, "code_bytes", b""):  # a dry run
            return
        try:
            self.own_code = _taken(self, cache)
            _check_together(self.own_code, self.layer_code)
        except Exception:
            vars(self).update(kept)
            raise

    def set_layers(self: Any, arns: list[str]) -> list[Any]:
        data: list[Any] = before_layers(self, arns)
        self.layer_code = _layer_code(self, arns)
        return data

    def update(self: Any, changes: dict[str, Any]) -> dict[str, Any]:
        if "Layers" in changes:  # before anything is changed
            before_layers(self, changes["Layers"])
            _check_together(self.own_code, _layer_code(self, changes["Layers"]))
        done: dict[str, Any] = before_update(self, changes)
        return done

    aws.replace(LayerVersion, "__init__", publish)
    aws.replace(LambdaFunction, "_set_function_code", set_code)
    aws.replace(LambdaFunction, "_get_layers_data", set_layers)
    aws.replace(LambdaFunction, "update_configuration", update)


def code_folder(cache_dir: Path) -> Path:
    """Where archives of functions and layers are unpacked."""
    return cache_dir / "functions"


def _taken(holder: Any, cache: CodeCache) -> Code:
    """The code of a function or layer version, which gives up its bytes."""
    archive: bytes = holder.code_bytes
    try:
        size = unzipped_bytes(io.BytesIO(archive))
    except zipfile.BadZipFile:
        raise _invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
    if size > MAX_UNZIPPED_BYTES:
        raise _invalid(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    holder.code_bytes = b""
    return Code(cache.unpacked(archive, holder.code_digest), size)


def _layer_code(function: Any, arns: list[str]) -> tuple[Code, ...]:
    if len(arns) > MAX_LAYERS:
        raise _invalid(f"Cannot reference more than {MAX_LAYERS} layers.")
    if len({arn.rpartition(":")[0] for arn in arns}) < len(arns):
        raise _invalid(
            "Two different versions of the same layer are not allowed to be referenced in the same function."
        )
    backend = lambda_backends[function.account_id][function.region]
    return tuple(backend.layers_versions_by_arn(arn).own_code for arn in arns)


def _check_together(own: Code, layers: tuple[Code, ...]) -> None:
    size = own.unzipped_bytes + sum(layer.unzipped_bytes for layer in layers)
    if size > MAX_UNZIPPED_BYTES:
        limit = f"Function code combined with layers exceeds the maximum allowed size of {MAX_UNZIPPED_BYTES} bytes."
        raise _invalid(f"{limit} The actual size is {size} bytes.")


def _invalid(message: str) -> Exception:
    refused: Exception = JsonRESTError("InvalidParameterValueException", message)  # 400
    return refused
