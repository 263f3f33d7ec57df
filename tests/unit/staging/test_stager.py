from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient
from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.staging.stager import Stager
from tests.unit.client.object_storage.storage_service import StorageService

SHA = hashlib.sha256(b"print(1)").hexdigest()


@pytest.fixture
def service():
    service = StorageService()
    yield service
    service.close()


@pytest.fixture
def stager(service, key_fields):
    client = ObjectStorageClient(Access(ApiKey(**key_fields), "us-ashburn-1", service.url))
    return Stager(client, "oci://bucket@namespace/staging/")


def test_names_are_made_of_the_content(stager, service, tmp_path):
    (tmp_path / "app.py").write_bytes(b"print(1)")
    assert stager.stage_file(tmp_path / "app.py") == f"oci://bucket@namespace/staging/files/{SHA}/app.py"
    uri = stager.stage_bytes(b"print(1)", "app.py", kind="functions")
    assert uri == f"oci://bucket@namespace/staging/functions/{SHA}/app.py"


def test_same_content_is_uploaded_once(stager, service, tmp_path):
    (tmp_path / "app.py").write_bytes(b"print(1)")
    uris = {stager.stage_file(tmp_path / "app.py") for _ in range(3)}
    assert len(uris) == 1
    assert service.operations("PutObject") == ["PutObject"]


def test_concurrent_uploads_share_one_object(stager, service):
    """All find that the object is missing, and none replaces what another has stored."""
    with ThreadPoolExecutor(8) as pool:
        uris = set(pool.map(lambda _: stager.stage_bytes(b"print(1)", "app.py"), range(8)))
    assert len(uris) == 1
    assert len(service.objects) == 1
    puts = [
        headers
        for headers, (name, _) in zip(service.headers, service.requests, strict=True)
        if name == "PutObject"
    ]
    assert {headers["if-none-match"] for headers in puts} == {"*"}


def test_object_with_other_content_is_not_used(stager, service):
    uri = stager.stage_bytes(b"print(1)", "app.py")
    service.objects[uri.partition("namespace/")[2]] = b"print(2)"
    with pytest.raises(DataFlowError, match="has other content than its name says"):
        stager.stage_bytes(b"print(1)", "app.py")


def test_content_with_a_name_of_its_own_is_uploaded_once(stager, service):
    uri = stager.uri_of("0" * 64, "archive.zip", kind="archives")
    assert not stager.exists(uri)
    assert stager.stage_at(uri, Content.of_bytes(b"first")) == uri
    stager.stage_at(uri, Content.of_bytes(b"second"))
    assert stager.exists(uri)
    assert list(service.objects.values()) == [b"first"]


@pytest.mark.parametrize("name", ["a b.py", "a,b.py", "a#b", "../a", "", ".hidden", "é.py", "a" * 201])
def test_file_names_that_spark_would_split_are_refused(stager, service, name):
    with pytest.raises(InvalidArgument, match="file_name"):
        stager.stage_bytes(b"x", name)
    assert service.requests == []


def test_malformed_staging_uri_is_refused():
    with pytest.raises(InvalidArgument, match="staging_uri"):
        Stager(None, "s3://bucket")


@pytest.mark.parametrize("prefix", ["my prefix", "it's", "a,b", 'a"b', "a#b", "é"])
def test_staging_prefix_that_spark_would_split_is_refused(prefix):
    with pytest.raises(InvalidArgument, match="staging_uri"):
        Stager(None, f"oci://bucket@namespace/{prefix}")
