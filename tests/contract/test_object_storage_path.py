"""Airflow's ObjectStoragePath on the Object Storage of Local Data Flow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
from airflow.exceptions import AirflowNotFoundException
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import store

from airflow_provider_dataflow.exceptions import ObjectStorageError
from airflow_provider_dataflow.fs.object_file_system import ObjectFileSystem


@pytest.fixture
def folder(scripted, monkeypatch) -> Path:
    """Folder of an empty bucket."""
    monkeypatch.setattr(store, "_STORE_CACHE", {})
    scripted.journal()
    path = scripted.create_bucket("data")
    for file in sorted(path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    return path


FORMS: dict[str, Callable[[str], ObjectStoragePath]] = {
    "connection argument": lambda name: ObjectStoragePath(f"oci://data/{name}", conn_id="oci_default"),
    "connection in URI": lambda name: ObjectStoragePath(f"oci://oci_default@data/{name}"),
    "with namespace": lambda name: ObjectStoragePath(f"oci://oci_default@data@local/{name}"),
    "default connection": lambda name: ObjectStoragePath(f"oci://data/{name}"),
}


@pytest.mark.parametrize("form", FORMS)
def test_object_is_written_listed_read_and_deleted(folder, form):
    root = FORMS[form]("")
    path = root / "a b" / "ü.txt"
    assert not path.exists()
    with path.open("w", encoding="utf-8") as file:
        file.write("grüße\nzwei\n")
    assert (folder / "a b" / "ü.txt").read_text(encoding="utf-8") == "grüße\nzwei\n"
    assert path.exists()
    assert (path.is_file(), path.is_dir(), path.parent.is_dir()) == (True, False, True)
    with path.open("r", encoding="utf-8") as file:
        assert file.readline() == "grüße\n"
    assert path.read_bytes() == "grüße\nzwei\n".encode()
    (folder / "a b" / "spark").mkdir()
    (folder / "a b" / "spark" / "part-0").write_bytes(b"1")
    assert sorted(p.name for p in path.parent.iterdir()) == ["spark", "ü.txt"]
    (found,) = root.glob("**/part-*")
    assert found.read_bytes() == b"1"
    stat = path.stat()
    assert stat.st_size == len("grüße\nzwei\n".encode())
    assert stat.st_mtime == pytest.approx((folder / "a b" / "ü.txt").stat().st_mtime, abs=1)
    path.unlink()
    assert not path.exists()
    (root / "a b").rmdir(recursive=True)
    assert list(folder.iterdir()) == []


def test_bucket_without_connection_has_error_that_says_why(folder):
    path = ObjectStoragePath("oci://data@local/x")
    with pytest.raises(AirflowNotFoundException, match="If 'data' is the bucket, write oci://<connection>@"):
        path.stat()
    # Airflow 3.3 ignores the argument, earlier releases the bucket.
    path = ObjectStoragePath("oci://data@local/x", conn_id="oci_default")
    with pytest.raises((AirflowNotFoundException, FileNotFoundError), match="is before the last @"):
        path.stat()


def test_missing_object_and_bucket_are_not_found(folder):
    for uri in ("oci://data/absent", "oci://absent/x", "oci://absent"):
        path = ObjectStoragePath(uri, conn_id="oci_default")
        assert not path.exists()
        with pytest.raises(FileNotFoundError, match="oci://absent@local" if "absent/" in uri else "does not"):
            path.open("rb").read()
        with pytest.raises(FileNotFoundError):
            path.stat()
        with pytest.raises(FileNotFoundError):
            path.unlink()
    assert list(ObjectStoragePath("oci://data", conn_id="oci_default").iterdir()) == []


def test_namespace_in_place_of_bucket_has_error_that_says_so(folder):
    """Releases before 3.3 drop the bucket of ``oci://bucket@namespace`` if ``conn_id`` is given."""
    with pytest.raises(FileNotFoundError, match="this bucket is the namespace of the URI"):
        ObjectStoragePath("oci://local/x", conn_id="oci_default").stat()


def test_error_of_the_service_is_not_a_missing_object(folder, scripted):
    scripted.add_fault("status", operation="HeadObject", status=403, code="NotAuthorized")
    with pytest.raises(ObjectStorageError, match="403"):
        ObjectStoragePath("oci://data/x", conn_id="oci_default").exists()


def test_objects_are_copied_moved_and_renamed(folder, scripted, tmp_path):
    scripted.create_bucket("other")
    source = ObjectStoragePath("oci://data/in/a.csv", conn_id="oci_default")
    source.write_bytes(b"1,2")
    copied = ObjectStoragePath("oci://other/copied.csv", conn_id="oci_default")
    source.copy(copied)
    assert copied.read_bytes() == source.read_bytes() == b"1,2"
    moved = source.rename(ObjectStoragePath("oci://data/out/b.csv", conn_id="oci_default"))
    assert (moved.read_bytes(), source.exists()) == (b"1,2", False)
    operations = [entry["operation"] for entry in scripted.journal()]
    assert "RenameObject" in operations
    moved.move(ObjectStoragePath("oci://other/moved.csv", conn_id="oci_default"))
    assert sorted(p.name for p in copied.parent.iterdir()) == ["copied.csv", "moved.csv"]
    assert list(folder.iterdir()) == []
    copied.copy(ObjectStoragePath(f"file://{tmp_path}/local.csv"))
    assert (tmp_path / "local.csv").read_bytes() == b"1,2"
    ObjectStoragePath(f"file://{tmp_path}/local.csv").copy(source)
    assert source.read_bytes() == b"1,2"


def test_serialized_path_is_the_same(folder):
    try:
        from airflow.sdk.serde import deserialize, serialize
    except ImportError:  # before Airflow 3.2
        from airflow.serialization.serde import deserialize, serialize

    for form in FORMS.values():
        path = form("a/b")
        path.write_bytes(b"x")
        again = deserialize(serialize(path))
        assert (again, again.read_bytes()) == (path, b"x")


def test_url_can_be_read_without_connection(folder):
    path = ObjectStoragePath("oci://data/a b", conn_id="oci_default")
    path.write_bytes(b"content")
    with urlopen(path.sign(60)) as response:
        assert response.read() == b"content"


@pytest.fixture
def fs(folder) -> ObjectFileSystem:
    return ObjectFileSystem("oci_default")


def test_failed_write_stores_nothing(fs, folder):
    with contextlib.suppress(LookupError), fs.open("data/x", "wb") as file:
        file.write(b"half")
        raise LookupError
    fs.open("data/y", "wb").write(b"never closed")
    assert list(folder.iterdir()) == []
    with fs.open("data/x", "xb") as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), fs.open("data/x", "xb") as file:
        file.write(b"second")
    with pytest.raises(ValueError, match="replaced only"):
        fs.open("data/x", "ab")
    assert fs.cat("data/x") == b"first"


def test_replaced_object_is_not_mixed_with_the_old_one(fs):
    fs.pipe("data/x", b"old" * 10_000)
    with fs.open("data/x", "rb", block_size=1000, cache_type="none") as file:
        assert file.read(3) == b"old"
        fs.pipe("data/x", b"new" * 10_000)
        with pytest.raises(ObjectStorageError, match="IfMatchFailed"):
            file.read(3)


def test_large_object_is_read_in_parts(fs, folder):
    content = bytes(range(256)) * 1000
    (folder / "x").write_bytes(content)
    with fs.open("data/x", "rb", block_size=10_000) as file:
        file.seek(200_000)
        assert file.read(100) == content[200_000:200_100]
    assert fs.cat_file("data/x", start=1000, end=1010) == content[1000:1010]
    assert fs.tail("data/x", 10) == content[-10:]


def test_folders_are_found_and_moved(fs, folder):
    for name in ("a/1", "a/b/2", "c"):
        fs.pipe(f"data/{name}", name.encode())
    fs.touch("data/a/empty")
    assert fs.ls("data/a", detail=False) == ["data/a/1", "data/a/b", "data/a/empty"]
    assert fs.find("data") == ["data/a/1", "data/a/b/2", "data/a/empty", "data/c"]
    assert fs.find("data/c") == ["data/c"]
    assert [(p, sorted(d), sorted(f)) for p, d, f in fs.walk("data/a")] == [
        ("data/a", ["b"], ["1", "empty"]),
        ("data/a/b", [], ["2"]),
    ]
    fs.mv("data/a", "data/z", recursive=True)
    assert fs.find("data") == ["data/c", "data/z/1", "data/z/b/2", "data/z/empty"]
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir("data/z")
    with pytest.raises(IsADirectoryError):
        fs.rm("data/z")
    fs.copy("data/z", "data/y", recursive=True)
    assert fs.cat("data/y/b/2") == b"a/b/2"
    fs.rm("data/z", recursive=True)
    with pytest.raises(FileNotFoundError):
        fs.rm("data/z", recursive=True)
    with pytest.raises(FileNotFoundError):
        fs.mv("data/z", "data/x", recursive=True)
    fs.get("data/y", str(folder.parent / "local"), recursive=True)
    assert (folder.parent / "local" / "b" / "2").read_bytes() == b"a/b/2"
    etag = fs.ukey("data/c")
    fs.touch("data/c", truncate=False)
    assert fs.ukey("data/c") == etag
    fs.touch("data/c")
    assert (fs.ukey("data/c") == etag, fs.size("data/c")) == (False, 0)
