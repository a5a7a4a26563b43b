"""ObjectStore over one S3 bucket."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from shortlist.contracts.manifests import Output
from shortlist.errors import MissingObjectError, TransientError
from shortlist.ports import StoredObject

_MISSING: Final = {"404", "NoSuchKey", "NotFound"}
_BUSY: Final = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "500", "503"}
_CONFLICT: Final = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
_DELETE_BATCH: Final = 1_000
_CHUNK: Final = 1 << 20


class S3ObjectStore:
    """The bucket of a deployment.

    Args:
        client: a boto3 S3 client.
        bucket: its name.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def read(self, key: str) -> bytes:
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise self._translated(error, key) from error
        return body

    def write(self, key: str, body: bytes) -> Output:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body)
        except ClientError as error:
            raise self._translated(error, key) from error
        return Output(hashlib.sha256(body).hexdigest(), len(body))

    def write_if_absent(self, key: str, body: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) in _CONFLICT:
                return False
            raise self._translated(error, key) from error
        return True

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client.download_file(self._bucket, key, str(path))
        except ClientError as error:
            raise self._translated(error, key) from error

    def upload(self, path: Path, key: str) -> Output:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        try:
            self._client.upload_file(str(path), self._bucket, key)
        except ClientError as error:
            raise self._translated(error, key) from error
        return Output(digest.hexdigest(), path.stat().st_size)

    def exists(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _MISSING:
                return False
            raise self._translated(error, key) from error
        return True

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"], entry["Size"], entry["ETag"].strip('"'))

    def delete(self, keys: Iterable[str]) -> None:
        doomed = [{"Key": key} for key in keys]
        for start in range(0, len(doomed), _DELETE_BATCH):
            batch = doomed[start : start + _DELETE_BATCH]
            self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": batch, "Quiet": True})

    def _translated(self, error: ClientError, key: str) -> Exception:
        code = _code(error)
        if code in _MISSING:
            return MissingObjectError(
                f"s3://{self._bucket}/{key} is not there. Re-run the run from the stage that writes it."
            )
        if code in _BUSY:
            return TransientError(f"S3 answered {code} for s3://{self._bucket}/{key}.")
        return error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
