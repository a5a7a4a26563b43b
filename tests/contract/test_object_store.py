"""The laws of an ObjectStore, kept by S3 (moto) and by the store in memory alike."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from shortlist.aws.s3 import S3ObjectStore
from shortlist.errors import MissingObjectError
from shortlist.ports import ObjectStore
from tests.fakes import MemoryStore


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        yield S3ObjectStore(client, "bucket")


def test_what_is_written_is_read_back_with_its_checksum(store: ObjectStore) -> None:
    output = store.write("a/b", b"content")

    assert store.read("a/b") == b"content"
    assert (output.sha256, output.size) == (hashlib.sha256(b"content").hexdigest(), 7)


def test_a_missing_object_is_named(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(MissingObjectError, match="no/such"):
        store.read("no/such")
    with pytest.raises(MissingObjectError, match="no/such"):
        store.download("no/such", tmp_path / "x")
    assert not store.exists("no/such")


def test_the_first_write_if_absent_wins(store: ObjectStore) -> None:
    assert store.write_if_absent("pin", b"first")
    assert not store.write_if_absent("pin", b"second")

    assert store.read("pin") == b"first"


def test_files_go_up_and_come_down(store: ObjectStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 70_000)

    output = store.upload(source, "file")
    store.download("file", tmp_path / "folder" / "copy")

    assert (tmp_path / "folder" / "copy").read_bytes() == source.read_bytes()
    assert output == store.write("same", source.read_bytes())


def test_a_listing_is_ordered_and_keeps_to_its_prefix(store: ObjectStore) -> None:
    for key in ("p/2", "p/1", "q/3", "p/10"):
        store.write(key, key.encode())

    assert [entry.key for entry in store.list("p/")] == ["p/1", "p/10", "p/2"]
    assert [entry.size for entry in store.list("q/")] == [3]


def test_deleted_objects_are_gone(store: ObjectStore) -> None:
    store.write("a", b"")
    store.write("b", b"")

    store.delete(["a", "never-was"])

    assert [entry.key for entry in store.list("")] == ["b"]
