from __future__ import annotations

import os
import pickle
from dataclasses import replace

import pytest

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.object_storage import content as content_module
from airflow_provider_dataflow.client.object_storage import multipart
from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient
from airflow_provider_dataflow.client.object_storage.content import Content, FileChanged
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.exceptions import InvalidArgument, InvalidConnection, ObjectStorageError
from tests.unit.client.object_storage.storage_service import StorageService

URI = "oci://bucket@namespace/folder/app.py"
NAME = "folder/app.py"


@pytest.fixture
def service():
    service = StorageService()
    yield service
    service.close()


@pytest.fixture
def client(service, key_fields, monkeypatch):
    monkeypatch.setattr(ObjectStorageClient, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    return ObjectStorageClient(Access(ApiKey(**key_fields), "us-ashburn-1", service.url))


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(content_module, "THRESHOLD_BYTES", 10)
    monkeypatch.setattr(content_module, "PART_BYTES", 4)


def test_bytes_and_files_are_stored_and_read(client, service, tmp_path):
    (tmp_path / "app.py").write_bytes(b"print(1)")
    assert client.put(URI, tmp_path / "app.py")
    assert client.put("oci://bucket@namespace/empty", b"")
    assert service.objects == {NAME: b"print(1)", "empty": b""}
    assert client.get(URI) == b"print(1)"
    assert client.get("oci://bucket@namespace/empty") == b""


def test_put_without_overwrite_keeps_the_object(client, service):
    assert client.put(URI, b"first", overwrite=False)
    assert not client.put(URI, b"second", overwrite=False)
    assert service.objects[NAME] == b"first"
    # The SDK replaces its session after the 412.
    assert client.get(URI) == b"first"


def test_put_without_overwrite_recognizes_its_own_object_after_lost_response(client, service):
    service.faults["PutObject"] = ["lost"]
    assert client.put(URI, b"mine", overwrite=False)
    assert service.operations() == ["PutObject", "PutObject", "HeadObject"]
    service.faults["PutObject"] = [(503, "ServiceUnavailable")]
    assert not client.put(URI, b"else", overwrite=False)
    assert service.objects[NAME] == b"mine"


@pytest.mark.parametrize("fault", [(429, "TooManyRequests"), (409, "ConcurrentObjectUpdate")])
def test_put_without_overwrite_does_not_claim_an_equal_object_of_others(client, service, fault):
    """The first attempt has stored nothing, so the object is somebody else's, for example a lock."""
    service.objects[NAME] = b"lock"
    service.faults["PutObject"] = [fault]
    assert not client.put(URI, b"lock", overwrite=False)
    assert service.operations() == ["PutObject", "PutObject"]


def test_put_is_retried_with_the_whole_file(client, service, tmp_path):
    (tmp_path / "app.py").write_bytes(b"x" * 100_000)
    service.faults["PutObject"] = [(503, "ServiceUnavailable"), "lost", (409, "ConcurrentObjectUpdate")]
    client.put(URI, tmp_path / "app.py")
    assert service.objects[NAME] == b"x" * 100_000
    assert service.operations() == ["PutObject"] * 4


def test_body_is_checked_by_the_service_and_not_signed(client, service):
    client.put(URI, b"content")
    headers = service.headers[-1]
    assert headers["content-md5"] == Content.of_bytes(b"content").md5
    assert "x-content-sha256" not in headers
    with pytest.raises(ObjectStorageError, match="UnmatchedContentMD5"):
        client.put(URI, replace(Content.of_bytes(b"content"), md5s=Content.of_bytes(b"other").md5s))


def test_changed_file_is_not_uploaded(client, service, tmp_path):
    path = tmp_path / "app.py"
    path.write_bytes(b"one")
    content = Content.of_file(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(FileChanged, match=r"app\.py"):
        client.put(URI, content)
    assert service.requests == []


def test_large_file_is_uploaded_in_parts(client, service, small_parts, tmp_path):
    (tmp_path / "large").write_bytes(b"0123456789abc")
    assert client.put(URI, tmp_path / "large", overwrite=False)
    assert service.objects[NAME] == b"0123456789abc"
    assert service.operations("UploadPart", "PutObject") == ["UploadPart"] * 4
    assert not client.put(URI, tmp_path / "large", overwrite=False)
    assert service.uploads == {}


def test_failed_parts_alone_are_sent_again(client, service, small_parts, tmp_path):
    """A part fails in spite of its retries, so that the upload is resumed."""
    (tmp_path / "large").write_bytes(b"0123456789abc")
    attempts = RetryPolicy().max_attempts
    service.faults["UploadPart"] = [(503, "ServiceUnavailable")] * (attempts + 1)
    service.faults["CommitMultipartUpload"] = ["lost"]
    client.put(URI, tmp_path / "large")
    assert service.objects[NAME] == b"0123456789abc"
    assert len(service.operations("UploadPart")) == 4 + attempts + 1
    assert service.operations("CreateMultipartUpload") == ["CreateMultipartUpload"]


def test_upload_that_cannot_be_completed_is_aborted(client, service, small_parts, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abc")
    service.faults["UploadPart"] = [(403, "NotAuthorized")] * 4
    with pytest.raises(ObjectStorageError, match=r"UploadPart of oci://bucket@namespace/folder/app\.py"):
        client.put(URI, path)
    assert service.uploads == {}
    assert service.objects == {}


def test_large_file_that_changes_meanwhile_is_not_committed(
    client, service, small_parts, tmp_path, monkeypatch
):
    path = tmp_path / "large"
    path.write_bytes(b"0123456789abc")
    upload_parts = multipart._upload_parts
    monkeypatch.setattr(
        multipart, "_upload_parts", lambda *args: (upload_parts(*args), path.write_bytes(b"0123456789ABC"))
    )
    with pytest.raises(FileChanged):
        client.put(URI, path)
    assert service.objects == service.uploads == {}


def test_head_describes_an_object_or_returns_none(client, service):
    assert client.head(URI) is None
    client.put(URI, b"content")
    found = client.head(URI)
    assert (str(found.uri), found.size, found.md5) == (URI, 7, Content.of_bytes(b"content").md5)


def test_get_is_limited_and_checked(client, service):
    client.put(URI, b"content")
    service.faults["GetObject"] = ["cut", (500, "InternalError")]
    assert client.get(URI) == b"content"
    with pytest.raises(InvalidArgument, match="larger than 3 bytes"):
        client.get(URI, max_bytes=3)


def test_download_is_resumed_where_it_broke_off(client, service, tmp_path):
    content = os.urandom(3 * 1024 * 1024)
    client.put(URI, content)
    service.faults["GetObject"] = ["cut", "cut"]
    found = client.download(URI, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert found.size == len(content)
    assert [h.get("range", "").partition("=")[0] for h in service.headers[-3:]] == ["", "bytes", "bytes"]
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_failed_download_leaves_the_old_file(client, service, tmp_path):
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(ObjectStorageError, match="404 ObjectNotFound"):
        client.download(URI, tmp_path / "copy")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_list_reads_all_pages_in_order(client, service):
    service.page_size = 2
    for name in ("a/1", "a/2", "a/b/3", "a/c/4", "b/5"):
        client.put(f"oci://bucket@namespace/{name}", b"x")
    assert [found.uri.name for found in client.list("oci://bucket@namespace/a/")] == [
        *("a/1", "a/2", "a/b/3", "a/c/4")
    ]
    assert [f.uri.name for f in client.list("oci://bucket@namespace/a/", delimiter="/")] == ["a/1", "a/2"]
    assert [f.name for f in client.list_folders("oci://bucket@namespace/a/")] == ["a/b/", "a/c/"]
    assert len(list(client.list("oci://bucket@namespace"))) == 5


def test_names_that_cannot_be_addressed_are_skipped_with_one_warning(client, service, caplog):
    service.page_size = 2
    refused = ["./data/x.csv", "a/../b", "a\nb", "a/./b", " "]
    service.objects |= dict.fromkeys(["good.csv", "a/1", *refused], b"x")
    skipped: list[str] = []
    found = client.list("oci://bucket@namespace/", skipped=skipped)
    assert [stored.uri.name for stored in found] == ["a/1", "good.csv"]
    assert skipped == sorted(refused)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("Bucket bucket@namespace: the name ' ' cannot be addressed")
    caplog.clear()
    service.page_size = 1000
    assert [f.name for f in client.list_folders("oci://bucket@namespace/")] == ["a/"]
    assert [f.name for f in client.list_folders("oci://bucket@namespace/a/")] == []
    assert len(caplog.records) == 2


def test_delete_tells_whether_the_object_existed(client, service):
    client.put(URI, b"x")
    assert client.delete(URI)
    assert not client.delete(URI)
    with pytest.raises(ObjectStorageError, match="BucketNotFound"):
        client.delete("oci://other@namespace/x")


def test_names_with_special_characters_reach_the_service(client, service):
    name = "a b/ü#?&%2F+.txt"
    client.put(f"oci://bucket@namespace/{name}", b"x")
    assert service.objects == {name: b"x"}
    assert client.head(f"oci://bucket@namespace/{name}") is not None


def test_errors_name_the_uri_and_survive_pickling(client, service):
    with pytest.raises(ObjectStorageError) as caught:
        client.put("oci://other@namespace/x", b"x")
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.uri, error.status, error.code) == ("oci://other@namespace/x", 404, "BucketNotFound")
    assert str(error).startswith(f"PutObject of oci://other@namespace/x at {service.url} returned 404")
    assert "Check that the bucket exists" in str(error)


def test_bucket_is_no_object(client):
    with pytest.raises(InvalidArgument, match="expected oci://bucket@namespace/name"):
        client.put("oci://bucket@namespace/", b"x")


@pytest.mark.parametrize(
    ("region", "options", "url"),
    [
        ("eu-frankfurt-1", {}, "https://objectstorage.eu-frankfurt-1.oraclecloud.com"),
        ("us-langley-1", {}, "https://objectstorage.us-langley-1.oraclegovcloud.com"),
        ("fra", {"service_endpoint": "http://127.0.0.1:81"}, "http://127.0.0.1:81"),
        (
            "fra",
            {"service_endpoint": "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"},
            "https://objectstorage.eu-frankfurt-1.oraclecloud.com",
        ),
        (
            "fra",
            {"object_storage_endpoint": "https://n.objectstorage.eu-frankfurt-1.oci.customer-oci.com"},
            None,
        ),
        ("fra", {"object_storage_endpoint": "http://localhost:82/"}, "http://localhost:82"),
    ],
)
def test_endpoint(key_fields, region, options, url):
    access = Access(ApiKey(**key_fields), region, **options)
    if url is None:
        with pytest.raises(InvalidConnection, match=r"object_storage_endpoint: .* allowed_endpoints"):
            _ = access.object_storage_url
    else:
        assert access.object_storage_url == url
