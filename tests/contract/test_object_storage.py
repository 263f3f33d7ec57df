"""Object Storage of Local Data Flow through the real SDK."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import oci
import pytest
from oci.exceptions import ServiceError
from oci.object_storage import ObjectStorageClient, ObjectStorageClientCompositeOperations, UploadManager
from oci.object_storage.models import (
    CopyObjectDetails,
    CreateBucketDetails,
    CreateMultipartUploadDetails,
    CreatePreauthenticatedRequestDetails,
    RenameObjectDetails,
)

from airflow_provider_dataflow.local import LocalDataFlow
from tests.contract.conftest import BUCKET, NAMESPACE


@dataclass(frozen=True)
class Bucket:
    """Bucket and the real client of its service."""

    local: LocalDataFlow
    client: ObjectStorageClient
    name: str
    namespace: str = "local"

    @property
    def folder(self) -> Path:
        return self.local.home / "buckets" / self.namespace / self.name

    @property
    def address(self) -> tuple[str, str]:
        return self.namespace, self.name


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("objects") / "home", engine="scripted") as local:
        yield local


@pytest.fixture
def bucket(server, request) -> Bucket:
    client = ObjectStorageClient(
        server.sdk_config,
        service_endpoint=server.endpoint,
        retry_strategy=oci.retry.NoneRetryStrategy(),
        timeout=60,
    )
    namespace = client.get_namespace().data
    name = f"b{abs(hash(request.node.nodeid))}"
    client.create_bucket(
        namespace, CreateBucketDetails(name=name, compartment_id=server.compartment_id, metadata={"a": "b"})
    )
    return Bucket(server, client, name, namespace)


def error_of(call, *arguments, **options) -> tuple[int, str]:
    with pytest.raises(ServiceError) as e:
        call(*arguments, **options)
    return e.value.status, e.value.code


@pytest.mark.parametrize("name", ["a/b c/ü+%25.txt", "a=b&c", "100%", "x#y?z"])
def test_object_goes_round(bucket, name):
    client, address = bucket.client, bucket.address
    put = client.put_object(*address, name, b"content", content_type="text/plain", opc_meta={"key": "value"})
    found = client.get_object(*address, name)
    assert found.data.content == b"content"
    assert found.headers["etag"] == put.headers["etag"]
    assert (found.headers["content-type"], found.headers["opc-meta-key"]) == ("text/plain", "value")
    head = client.head_object(*address, name)
    assert head.headers["content-length"] == "7"
    assert head.headers["content-md5"] == put.headers["opc-content-md5"]
    assert [o.name for o in client.list_objects(*address).data.objects] == [name]
    assert (bucket.folder / name).read_bytes() == b"content"
    client.delete_object(*address, name)
    assert error_of(client.get_object, *address, name) == (404, "ObjectNotFound")
    client.delete_bucket(*address)


def test_stream_of_some_megabytes_goes_round(bucket):
    content = bytes(range(256)) * 20_000
    bucket.client.put_object(*bucket.address, "large", io.BytesIO(content))
    response = bucket.client.get_object(*bucket.address, "large")
    assert b"".join(response.data.raw.stream(1024 * 1024)) == content
    assert (
        bucket.client.get_object(*bucket.address, "large", range="bytes=256-511").data.content
        == content[:256]
    )


def test_upload_is_refused_before_its_body_is_read(bucket):
    """The connection stays usable, and the error is not a broken connection."""
    content = io.BytesIO(bytes(30_000_000))
    for _ in range(2):
        assert error_of(bucket.client.put_object, bucket.namespace, "absent", "x", content) == (
            404,
            "BucketNotFound",
        )
    bucket.client.put_object(*bucket.address, "a", b"")
    content.seek(0)
    for _ in range(2):
        assert error_of(bucket.client.put_object, *bucket.address, "a", content, if_none_match="*") == (
            412,
            "IfNoneMatchFailed",
        )
    assert bucket.client.get_object(*bucket.address, "a").data.content == b""


def test_all_objects_are_listed(bucket):
    for number in range(7):
        bucket.client.put_object(*bucket.address, f"{number % 2}/{number}", b"x")
    found, start = [], None
    while True:
        page = bucket.client.list_objects(*bucket.address, limit=2, fields="name,size,etag", start=start).data
        found += page.objects
        start = page.next_start_with
        if start is None:
            break
    assert [o.name for o in found] == ["0/0", "0/2", "0/4", "0/6", "1/1", "1/3", "1/5"]
    assert {o.size for o in found} == {1}
    assert bucket.client.list_objects(*bucket.address, delimiter="/").data.prefixes == ["0/", "1/"]


def test_request_of_other_key_is_refused(bucket):
    config = dict(bucket.local.sdk_config, user="ocid1.user.oc1..other")
    client = ObjectStorageClient(config, service_endpoint=bucket.local.endpoint)
    for call in (client.get_object, client.delete_object, client.head_object):
        assert error_of(call, *bucket.address, "x")[0] == 401
    assert error_of(client.put_object, *bucket.address, "x", b"x") == (401, "NotAuthenticated")
    assert list(bucket.folder.iterdir()) == []


def test_faults_apply_to_objects(bucket):
    bucket.local.add_fault("status", operation="PutObject", status=503, count=1)
    assert error_of(bucket.client.put_object, *bucket.address, "x", b"x")[0] == 503
    assert list(bucket.folder.iterdir()) == []
    bucket.client.put_object(*bucket.address, "x", b"x")
    bucket.local.add_fault("lost_response", operation="PutObject", count=1)
    with pytest.raises(oci.exceptions.RequestException):
        bucket.client.put_object(*bucket.address, "y", b"x")
    assert (bucket.folder / "y").exists()
    bucket.local.add_fault("late", operation="GetObject", seconds=0.1, count=1)
    assert bucket.client.get_object(*bucket.address, "y").data.content == b"x"


def test_upload_manager_uploads_in_parts(bucket, tmp_path):
    content = bytes(range(256)) * 10_000
    file = tmp_path / "large"
    file.write_bytes(content)
    manager = UploadManager(bucket.client, allow_parallel_uploads=True, parallel_process_count=3)
    sent: list[int] = []
    response = manager.upload_file(
        *bucket.address, "a/large", str(file), part_size=500_000, progress_callback=sent.append
    )
    assert (bucket.folder / "a" / "large").read_bytes() == content
    assert sum(sent) == len(content)
    assert response.headers["opc-multipart-md5"].endswith("-6")
    with open(file, "rb") as stream:
        manager.upload_stream(*bucket.address, "b", stream, part_size=1_000_000)
    assert (bucket.folder / "b").read_bytes() == content
    assert len(bucket.local.journal(operation="UploadPart")) == 6 + 3


def test_interrupted_upload_is_resumed(bucket, tmp_path):
    file = tmp_path / "large"
    file.write_bytes(bytes(range(250)) * 100)
    bucket.local.add_fault("status", operation="UploadPart", status=400, after=2, count=1)
    manager = UploadManager(bucket.client, allow_parallel_uploads=False)
    with pytest.raises((ServiceError, oci.exceptions.MultipartUploadError)):
        manager.upload_file(*bucket.address, "x", str(file), part_size=5_000)
    (upload,) = bucket.client.list_multipart_uploads(*bucket.address).data
    parts = bucket.client.list_multipart_upload_parts(*bucket.address, "x", upload.upload_id).data
    assert 0 < len(parts) < 5
    manager.resume_upload_file(*bucket.address, "x", str(file), upload.upload_id, part_size=5_000)
    assert (bucket.folder / "x").read_bytes() == file.read_bytes()
    assert bucket.client.list_multipart_uploads(*bucket.address).data == []


def test_upload_is_aborted(bucket):
    details = CreateMultipartUploadDetails(object="x", metadata={"opc-meta-a": "b"})
    upload = bucket.client.create_multipart_upload(*bucket.address, details).data
    bucket.client.upload_part(*bucket.address, "x", upload.upload_id, 1, b"content")
    bucket.client.abort_multipart_upload(*bucket.address, "x", upload.upload_id)
    assert bucket.client.list_multipart_uploads(*bucket.address).data == []
    bucket.client.delete_bucket(*bucket.address)


def test_object_is_renamed_and_copied(bucket):
    bucket.client.put_object(*bucket.address, "a", b"content", opc_meta={"k": "v"})
    bucket.client.rename_object(*bucket.address, RenameObjectDetails(source_name="a", new_name="b/c ü"))
    composite = ObjectStorageClientCompositeOperations(bucket.client)
    details = CopyObjectDetails(
        source_object_name="b/c ü",
        destination_region="us-ashburn-1",
        destination_namespace=bucket.namespace,
        destination_bucket=bucket.name,
        destination_object_name="copy",
    )
    ended = composite.copy_object_and_wait_for_state(
        *bucket.address,
        details,
        wait_for_states=["COMPLETED", "FAILED"],
        waiter_kwargs={"max_interval_seconds": 1},
    )
    assert ended.data.status == "COMPLETED"
    assert bucket.client.list_work_request_errors(ended.data.id).data == []
    copied = bucket.client.get_object(*bucket.address, "copy")
    assert (copied.data.content, copied.headers["opc-meta-k"]) == (b"content", "v")
    assert [o.name for o in bucket.client.list_objects(*bucket.address).data.objects] == ["b/c ü", "copy"]


def test_preauthenticated_request_gives_access_without_a_key(bucket):
    bucket.client.put_object(*bucket.address, "a b", b"content")
    details = CreatePreauthenticatedRequestDetails(
        name="one",
        object_name="a b",
        access_type="ObjectReadWrite",
        time_expires=datetime.now(UTC) + timedelta(hours=1),
    )
    made = bucket.client.create_preauthenticated_request(*bucket.address, details).data
    url = bucket.local.endpoint + made.access_uri
    assert made.full_path == url
    with urlopen(url) as response:
        assert response.read() == b"content"
    with urlopen(Request(url, b"new", method="PUT")) as response:
        assert response.status == 200
    assert (bucket.folder / "a b").read_bytes() == b"new"
    (listed,) = bucket.client.list_preauthenticated_requests(*bucket.address).data
    assert (listed.id, listed.object_name) == (made.id, "a b")
    bucket.client.delete_preauthenticated_request(*bucket.address, made.id)
    with pytest.raises(HTTPError, match="404"):
        urlopen(url)


@pytest.mark.spark
def test_spark_and_clients_see_the_same_objects(local, target, tmp_path):
    client = ObjectStorageClient(local.sdk_config, service_endpoint=local.endpoint)
    client.put_object(NAMESPACE, BUCKET, "objects/in ü.csv", b"key,value\n1,10\n1,20\n2,30\n")
    (tmp_path / "gate").touch()
    arguments = [
        f"{target.bucket_uri}objects/in ü.csv",
        f"{target.bucket_uri}objects/out",
        str(tmp_path / "gate"),
    ]
    run = target.submit(target.create_application("totals.py").id, arguments=arguments)
    assert target.wait(run.id).lifecycle_state == "SUCCEEDED"
    listed = client.list_objects(
        NAMESPACE, BUCKET, prefix="objects/out/", fields="name,size,md5"
    ).data.objects
    assert "objects/out/_SUCCESS" in [o.name for o in listed]
    (part,) = (o for o in listed if o.name.endswith(".parquet"))
    content = client.get_object(NAMESPACE, BUCKET, part.name).data.content
    assert (content[:4], len(content)) == (b"PAR1", part.size)
    assert part.md5 == base64.b64encode(hashlib.md5(content).digest()).decode()
    client.delete_object(NAMESPACE, BUCKET, part.name)
    assert not (local.bucket_path(NAMESPACE, BUCKET) / part.name).exists()


def send_half(local: LocalDataFlow, size: int) -> socket.socket:
    """Send the head and half of the body of an unsigned PutObject."""
    host, port = local.endpoint.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = f"PUT /n/local/b/b/o/x HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: {size}\r\n\r\n"
    connection.sendall(head.encode() + bytes(size // 2))
    return connection


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_half_of_an_upload_is_never_an_object(tmp_path):
    """Neither after the client has disconnected nor after the server was killed."""
    incoming = tmp_path / "home" / "object-storage" / "incoming"

    def is_arriving() -> bool:
        return incoming.is_dir() and any(file.stat().st_size for file in incoming.iterdir())

    with LocalDataFlow(tmp_path / "home", engine="scripted", verify=False) as local:
        folder = local.create_bucket("b")
        with send_half(local, 8_000_000):
            wait_until(is_arriving)
            assert list(folder.iterdir()) == []
        wait_until(lambda: not any(incoming.iterdir()))
        assert list(folder.iterdir()) == []
        with send_half(local, 8_000_000):
            wait_until(is_arriving)
            local.kill()
    with LocalDataFlow(tmp_path / "home", engine="scripted", verify=False):
        assert not incoming.exists()
        assert list(folder.iterdir()) == []
