"""The embedded AWS as a process: it starts, answers the SDK, and leaves nothing behind."""

import socket
import subprocess
import sys
from urllib.parse import urlsplit

import boto3
import pytest

from local.server import EmbeddedAws


def test_an_ordinary_client_finds_it_by_its_environment(aws, monkeypatch):
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)

    identity = boto3.client("sts").get_caller_identity()

    assert identity["Account"] == aws.account


def test_an_object_comes_back_as_it_went_in(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="round-trip", CreateBucketConfiguration={"LocationConstraint": aws.region})
    body = bytes(range(256)) * 40_000  # more than one read of the socket, every byte

    s3.put_object(Bucket="round-trip", Key="a key/with ü.bin", Body=body, Metadata={"run_id": "r1"})
    found = s3.get_object(Bucket="round-trip", Key="a key/with ü.bin")

    assert found["Body"].read() == body
    assert found["Metadata"] == {"run_id": "r1"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [("Content-Length: 8", b"complete"), ("Transfer-Encoding: chunked", b"8\r\ncomplete\r\n0\r\n\r\n")],
)
def test_of_an_upload_that_is_cut_off_nothing_is_kept(aws, headers, body):
    s3, bucket = aws.client("s3"), f"cut-off-{headers.partition('-')[0].lower()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})

    def put(key: str, sent: bytes) -> bytes:
        url = urlsplit(s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": key}))
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n{headers}\r\n\r\n"
        with socket.create_connection((url.hostname, url.port)) as connection:
            connection.sendall(head.encode() + sent)
            connection.shutdown(socket.SHUT_WR)  # as a process that is killed
            return connection.recv(64)

    assert put("cut", body[:6]) == b""
    assert put("whole", body).startswith(b"HTTP/1.1 200")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["whole"]


def test_the_size_of_an_object_is_told_without_its_content(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="sizes", CreateBucketConfiguration={"LocationConstraint": aws.region})
    s3.put_object(Bucket="sizes", Key="k", Body=b"x" * 1234)

    assert s3.head_object(Bucket="sizes", Key="k")["ContentLength"] == 1234


def test_the_head_of_an_object_that_is_not_there_is_not_found(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="headless", CreateBucketConfiguration={"LocationConstraint": aws.region})

    with pytest.raises(s3.exceptions.ClientError) as caught:
        s3.head_object(Bucket="headless", Key="nothing")

    assert caught.value.response["Error"]["Code"] == "404"


def test_what_moto_does_not_implement_is_refused_once_and_plainly(aws):
    client = aws.client("sesv2")

    with pytest.raises(client.exceptions.ClientError, match="does not implement") as caught:
        client.get_blacklist_reports(BlacklistItemNames=["127.0.0.1"])

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_second_one_in_the_same_process_is_refused(aws, tmp_path):
    with pytest.raises(RuntimeError, match="runs in this process already"):
        EmbeddedAws(tmp_path).start()


def test_nothing_outlives_it(tmp_path_factory):
    """In a process of its own: the module's embedded AWS is the only one that may run in this."""
    script = """
import json, sys, threading
from pathlib import Path
import psutil
from local.server import EmbeddedAws
from tests.conformance.kit import archive, make_role

for round in range(2):
    with EmbeddedAws(Path(sys.argv[1])) as aws:
        assert aws.client("lambda").list_functions()["Functions"] == []
        role = make_role(aws, "role", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
        code = archive(index="def handler(event, context): return event")
        settings = dict(Runtime="python3.13", Role=role, Handler="index.handler", Code={"ZipFile": code})
        aws.client("lambda").create_function(FunctionName="f", **settings)
        aws.client("lambda").invoke(FunctionName="f")
        assert psutil.Process().children()
    assert not psutil.Process().children(), psutil.Process().children()
    ours = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    assert not ours, ours
    assert not [c for c in psutil.Process().net_connections() if c.status == "LISTEN"]
"""
    command = [sys.executable, "-W", "error", "-c", script, str(tmp_path_factory.mktemp("alone"))]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")
