from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import fsspec
import pytest
from airflow.exceptions import AirflowNotFoundException
from airflow.sdk.io import get_fs, has_fs
from fsspec.compression import compr

from airflow_provider_dataflow.client.object_storage.client import StoredObject
from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.fs import registered
from airflow_provider_dataflow.fs.object_file import ObjectWriter
from airflow_provider_dataflow.fs.object_file_system import ObjectFileSystem
from airflow_provider_dataflow.fs.registered import OCIFileSystem
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook


@pytest.fixture
def fs() -> ObjectFileSystem:
    """File system of a tenancy whose namespace is ``home``."""
    client = Mock()
    client.call.side_effect = lambda operation, call, **options: call()
    client.sdk.get_namespace.return_value = SimpleNamespace(data="home")
    made = ObjectFileSystem()
    made.__dict__["client"] = client
    return made


def test_airflow_finds_the_file_system():
    assert has_fs("oci")
    found = get_fs("oci", "another_connection")
    assert isinstance(found, ObjectFileSystem)
    assert (found.conn_id, found.bucket) == ("another_connection", None)
    assert get_fs("oci").conn_id == "oci_default"
    assert get_fs("oci", "conn@bucket").bucket == "bucket"
    assert get_fs("oci", "conn", {"use_listings_cache": False}).conn_id == "conn"


def test_paths_with_and_without_namespace(fs):
    assert fs.uri("oci://data/a/b") == fs.uri("data/a/b/") == ObjectUri("data", "home", "a/b")
    assert fs.uri("data@ns/a") == ObjectUri("data", "ns", "a")
    assert fs.uri("data") == ObjectUri("data", "home", "")
    with pytest.raises(InvalidArgument, match="bucket"):
        fs.uri("")
    fs.bucket = "fixed"
    assert fs.uri("ns/a/b") == ObjectUri("fixed", "ns", "a/b")
    fs.client.sdk.get_namespace.assert_called_once_with()


def test_no_connection_is_looked_up_before_it_is_needed(monkeypatch):
    monkeypatch.setattr(DataFlowHook, "get_connection", Mock(side_effect=AirflowNotFoundException("no")))
    made = ObjectFileSystem("absent")
    with pytest.raises(AirflowNotFoundException, match="ObjectStoragePath takes what is before the last @"):
        made.exists("data/x")


def test_two_connections_are_two_file_systems():
    assert ObjectFileSystem("a") != ObjectFileSystem("b")
    assert ObjectFileSystem("a").fsid != ObjectFileSystem("b").fsid


def test_fsspec_keeps_ocifs_where_it_is_installed(monkeypatch):
    assert fsspec.get_filesystem_class("oci") is OCIFileSystem
    monkeypatch.setattr(registered, "ocifs", None)
    assert isinstance(fsspec.filesystem("oci"), ObjectFileSystem)
    theirs = SimpleNamespace(OCIFileSystem=Mock())
    monkeypatch.setattr(registered, "ocifs", theirs)
    assert fsspec.filesystem("oci", config="file") is theirs.OCIFileSystem.return_value
    theirs.OCIFileSystem.assert_called_once_with(config="file")
    ours = fsspec.filesystem("oci", conn_id="a")
    assert (type(ours), ours.conn_id) == (OCIFileSystem, "a")


def test_rename_with_lost_response_is_not_repeated(fs):
    fs.mv("data/a", "data/b")
    operation, _ = fs.client.call.call_args.args
    assert (operation, fs.client.call.call_args.kwargs) == ("RenameObject", {"repeatable": False})
    fs.client.call.reset_mock()
    fs.mv("data/a", "data/a")
    fs.client.call.assert_not_called()


def test_sign_with_lost_response_is_not_repeated(fs):
    fs.sign("data/a")
    operation, _ = fs.client.call.call_args.args
    assert (operation, fs.client.call.call_args.kwargs) == (
        "CreatePreauthenticatedRequest",
        {"repeatable": False},
    )


@pytest.fixture
def stored_names(fs) -> set[str]:
    """Names of the objects of the bucket, which can be listed and deleted."""
    names: set[str] = set()

    def delete(uri: ObjectUri) -> bool:
        is_stored = uri.name in names
        names.discard(uri.name)
        return is_stored

    def list_(uri: ObjectUri, skipped: list[str] | None = None) -> Iterator[StoredObject]:
        for name in sorted(name for name in names if name.startswith(uri.name)):
            if ".." not in name:
                yield StoredObject(ObjectUri(uri.bucket, uri.namespace, name), 1)
            elif skipped is not None:
                skipped.append(name)

    fs.client.delete.side_effect = delete
    fs.client.list.side_effect = list_
    return names


def test_recursive_rm_deletes_folder_and_object_of_the_same_name(fs, stored_names):
    stored_names |= {"data", "data/a", "data/b", "data2"}
    fs.rm("bucket/data")
    assert stored_names == {"data/a", "data/b", "data2"}
    stored_names.add("data")
    fs.rm("bucket/data", recursive=True)
    assert stored_names == {"data2"}
    fs.rm("bucket/data2", recursive=True)
    assert stored_names == set()
    with pytest.raises(FileNotFoundError):
        fs.rm("bucket/data", recursive=True)


def test_objects_that_cannot_be_addressed_are_not_reported_as_deleted_or_moved(fs, stored_names):
    stored_names |= {"data/../x", "data/a", "data/b"}
    with pytest.raises(OSError, match=r"1 names cannot be addressed .* 'data/\.\./x'.* others were moved"):
        fs.mv("bucket/data", "bucket/new", recursive=True)
    assert fs.client.sdk.rename_object.call_count == 2
    for _ in range(2):
        with pytest.raises(OSError, match=r"not deleted, the first is 'data/\.\./x'"):
            fs.rm("bucket/data", recursive=True)
        assert stored_names == {"data/../x"}
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("bucket/data")


def test_failed_upload_raises_and_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    writer = ObjectWriter(Mock(side_effect=LookupError))
    writer.write(b"x")
    with pytest.raises(LookupError):
        writer.close()
    assert writer.closed
    writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def uploads(fs, tmp_path, monkeypatch) -> list[bytes]:
    """Contents that were uploaded; temporary files are in ``tmp_path``."""
    found: list[bytes] = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fs.client.put.side_effect = lambda uri, file, overwrite: found.append(file.read_bytes()) or True
    return found


@pytest.mark.parametrize(
    ("mode", "content"), [("w", "ä\n"), ("wt", "ä\n"), ("x", "ä\n"), ("wb", b"\xc3\xa4\n")]
)
@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
def test_only_a_whole_object_is_uploaded(fs, uploads, tmp_path, mode, content, compression):
    with suppress(KeyError), fs.open("data/x", mode, compression=compression) as file:
        file.write(content)
        raise KeyError
    assert file.closed
    abandoned = fs.open("data/x", mode, compression=compression)
    abandoned.write(content)
    del abandoned
    gc.collect()
    assert uploads == []
    with fs.open("data/x", mode, compression=compression) as file:
        file.write(content)
    file = fs.open("data/x", mode, compression=compression)
    file.write(content)
    file.close()
    file.close()
    assert len(uploads) == 2
    assert list(tmp_path.iterdir()) == []
    with decompressed(uploads[0], compression) as found:
        assert found.read() == b"\xc3\xa4\n"


def decompressed(content: bytes, compression: str | None) -> Any:
    return io.BytesIO(content) if compression is None else compr[compression](io.BytesIO(content), mode="r")


def test_writes_within_a_transaction_are_refused(fs, uploads, tmp_path):
    for mode in ("wb", "w"):
        with (
            pytest.raises(NotImplementedError, match="data/x: transactions are not possible"),
            fs.transaction,
        ):
            fs.open("data/x", mode)
    with pytest.raises(NotImplementedError, match="transactions are not possible"):
        fs.open("data/x", "wb", autocommit=False)
    fs.client.head.return_value = StoredObject(fs.uri("data/x"), 0)
    with fs.transaction, fs.open("data/x", "rb") as file:
        assert file.read() == b""
    assert uploads == []
    assert list(tmp_path.iterdir()) == []
    with fs.open("data/x", "wb") as file:
        file.write(b"after")
    assert uploads == [b"after"]


def test_text_has_the_given_encoding(fs, uploads, tmp_path):
    with fs.open("data/x", "w", encoding="latin-1", newline="\r\n") as file:
        file.write("ä\n")
    assert uploads == [b"\xe4\r\n"]
    with pytest.raises(LookupError):
        fs.open("data/x", "w", encoding="none")
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_text_that_cannot_be_written_is_not_uploaded(fs, uploads, monkeypatch):
    file = fs.open("data/x", "w")
    file.write("x")
    monkeypatch.setattr(ObjectWriter, "write", Mock(side_effect=OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        file.close()
    assert file.closed
    assert uploads == []
