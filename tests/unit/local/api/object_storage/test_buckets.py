from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.state.objects import storage
from tests.unit.local.support import COMPARTMENT


def test_namespace_is_local(objects):
    assert objects.json("GET", "/n") == objects.json("GET", "/n/") == "local"
    assert objects.json("GET", "/n/local")["namespace"] == "local"


def test_bucket_is_created_read_and_deleted(objects):
    created = objects.create_bucket("new", freeformTags={"a": "b"}, metadata={"c": "d"})
    assert (created["name"], created["namespace"], created["compartmentId"]) == ("new", "ns", COMPARTMENT)
    assert (created["freeformTags"], created["metadata"]) == ({"a": "b"}, {"c": "d"})
    assert created["timeCreated"].startswith("2026-01-01")
    assert (objects.folder.parent / "new").is_dir()
    response = objects.call("GET", "/n/ns/b/new")
    assert response.headers["etag"] == created["etag"]
    assert objects.json("GET", "/n/ns/b/new") == created
    assert objects.call("HEAD", "/n/ns/b/new").headers["etag"] == created["etag"]
    assert objects.call("DELETE", "/n/ns/b/new").status == 204
    assert not (objects.folder.parent / "new").exists()
    for method in ("GET", "HEAD", "DELETE"):
        assert objects.error(method, "/n/ns/b/new") == (404, "BucketNotFound")


def test_bucket_of_other_namespace_is_separate(objects):
    objects.json("POST", "/n/other/b", {"name": "data", "compartmentId": COMPARTMENT})
    objects.put("a", b"x")
    assert objects.json("GET", "/n/other/b/data/o")["objects"] == []


def test_existing_bucket_is_not_created_again(objects):
    body = b'{"name": "data", "compartmentId": "c"}'
    assert objects.error("POST", "/n/ns/b", body) == (409, "BucketAlreadyExists")


def test_invalid_bucket_is_refused(objects):
    for name in ("..", "a/b", ".x", "ä", "b" * 256):
        body = f'{{"name": "{name}", "compartmentId": "c"}}'.encode()
        assert objects.error("POST", "/n/ns/b", body) == (400, "InvalidBucketName")
    assert objects.error("POST", "/n/ns/b", b'{"name": "x"}') == (400, "MissingParameter")
    assert objects.error("POST", "/n/ns/b", b'{"name": 1}') == (400, "InvalidParameter")
    assert objects.error("POST", "/n/ns/b", b"x") == (400, "CannotParseRequest")
    body = b'{"name": "x", "compartmentId": "c"}'
    assert objects.error("POST", "/n/%2e%2e/b", body) == (400, "InvalidNamespaceName")


def test_bucket_with_objects_is_not_deleted(objects):
    objects.put("a/b", b"x")
    assert objects.error("DELETE", objects.path) == (409, "BucketNotEmpty")
    objects.delete("a/b")
    (objects.folder / "empty" / "folder").mkdir(parents=True)
    assert objects.call("DELETE", objects.path).status == 204


def test_metadata_of_deleted_bucket_is_forgotten(objects):
    objects.put("dir/", b"")
    objects.delete("dir/")
    objects.call("DELETE", objects.path)
    objects.create_bucket("data")
    (objects.folder / "dir").mkdir()
    assert objects.names() == []


def test_buckets_are_listed_in_pages(objects):
    for name in ("b", "a", "c"):
        objects.create_bucket(name)
    objects.json("POST", "/n/ns/b", {"name": "elsewhere", "compartmentId": "other"})
    target = f"/n/ns/b?compartmentId={COMPARTMENT}"
    assert [b["name"] for b in objects.json("GET", target)] == ["a", "b", "c", "data"]
    response = objects.call("GET", f"{target}&limit=2")
    assert b'"name":"b"' in response.content()
    page = response.headers["opc-next-page"]
    following = objects.call("GET", f"{target}&limit=2&page={page}")
    assert [b"elsewhere" in following.content(), "opc-next-page" in following.headers] == [False, False]
    assert "freeformTags" in objects.json("GET", f"{target}&fields=tags")[0]
    assert objects.error("GET", "/n/ns/b") == (400, "MissingCompartmentId")


def test_bucket_with_files_that_are_not_listed_is_not_deleted(objects, tmp_path):
    empty = objects.folder / "a" / "empty"
    empty.mkdir(parents=True)
    (tmp_path / "target").mkdir()
    hidden = [os.fsencode(objects.folder) + b"/caf\xe9.csv"]
    hidden += [os.fsencode(objects.folder / target) for target in ("target", "nowhere")]
    Path(os.fsdecode(hidden[0])).write_bytes(b"data")
    os.symlink(tmp_path / "target", hidden[1])
    os.symlink(tmp_path / "nowhere", hidden[2])
    while hidden:
        assert objects.names() == []
        assert objects.error("DELETE", objects.path) == (409, "BucketNotEmpty")
        assert all(os.path.lexists(path) for path in hidden)
        assert empty.is_dir()
        os.unlink(hidden.pop())
    (objects.folder / f".dataflow-{'0' * 16}.part").write_bytes(b"rest of an interrupted copy")
    assert objects.call("DELETE", objects.path).status == 204
    assert not objects.folder.exists()


def test_file_that_spark_writes_while_its_bucket_is_deleted_stays(objects, monkeypatch):
    written = objects.folder / "part-0"
    original = storage._has_files

    def check(folder: Path) -> bool:
        found = original(folder)
        written.write_bytes(b"output")
        return found

    monkeypatch.setattr(storage, "_has_files", check)
    assert objects.error("DELETE", objects.path) == (409, "BucketNotEmpty")
    assert written.read_bytes() == b"output"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata", 5),
        ("metadata", {"a": 1}),
        ("freeformTags", [1]),
        ("definedTags", {"a": "b"}),
        ("versioning", {}),
        ("versioning", "Sometimes"),
        ("storageTier", 1),
    ],
)
def test_settings_of_a_bucket_are_checked(objects, field, value):
    body = json.dumps({"name": "new", "compartmentId": "c", field: value}).encode()
    assert objects.error("POST", "/n/ns/b", body) == (400, "InvalidParameter")
    assert not (objects.folder.parent / "new").exists()


def test_name_of_a_bucket_has_at_most_255_characters(objects):
    objects.create_bucket("b" * 255)
    assert objects.error("GET", f"/n/ns/b/{'b' * 256}") == (404, "BucketNotFound")
