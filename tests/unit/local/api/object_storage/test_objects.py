from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from airflow_provider_dataflow.local.http.messages import Request
from tests.unit.local.objects import ObjectClient, md5

NAMES = ["a", "ü/日本 x", "a+b", "100%25", "a b/c?d=e&f", "#", "a:b", "~", "-", "a/b/c/d"]


@pytest.mark.parametrize("name", NAMES)
def test_object_is_stored_under_its_name(objects, name):
    etag = objects.put(name, b"content", content_type="text/plain", opc_meta_key="value")
    assert (objects.folder / name).read_bytes() == b"content"
    response = objects.get(name)
    assert (response.status, response.content()) == (200, b"content")
    expected = {
        "content-type": "text/plain",
        "opc-meta-key": "value",
        "content-length": "7",
        "content-md5": md5(b"content"),
        "etag": etag,
    }
    assert expected.items() <= response.headers.items()
    assert parsedate_to_datetime(response.headers["last-modified"])
    head = objects.head(name)
    assert expected.items() <= head.headers.items()
    assert head.content() == b""
    assert objects.names() == [name]
    assert objects.delete(name).status == 204
    assert list(objects.folder.iterdir()) == []
    assert objects.error("GET", objects.object_path(name)) == (404, "ObjectNotFound")
    assert objects.error("DELETE", objects.object_path(name)) == (404, "ObjectNotFound")


def test_slashes_of_name_need_not_be_quoted(objects):
    assert objects.call("PUT", f"{objects.path}/o/a/b/c", b"x").status == 200
    assert objects.call("GET", f"/{objects.path}/o/a%2Fb/c").content() == b"x"
    assert objects.names() == ["a/b/c"]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "/a",
        "a//b",
        "a//",
        "//",
        "x\0y",
        "x\ny",
        "x\r",
        "ä" * 128,
        "a" * 1025,
    ],
)
def test_name_that_a_folder_cannot_represent_is_refused(objects, name):
    outside = objects.folder.parent / "x"
    outside.write_text("secret")
    assert objects.error("PUT", objects.object_path(name), b"x") == (400, "InvalidObjectName")
    assert objects.error("GET", objects.object_path(name)) == (404, "ObjectNotFound")
    assert objects.error("HEAD", objects.object_path(name)) == (404, "ObjectNotFound")
    assert objects.error("DELETE", objects.object_path(name)) == (404, "ObjectNotFound")
    assert outside.read_text() == "secret"


@pytest.mark.parametrize("path", ["/n/ns/b/data/o/%ff", "/n/%c3/b/data/o/x"])
def test_path_that_is_not_utf8_is_refused(objects, path):
    assert objects.error("GET", path) == (400, "MalformedURI")
    assert objects.error("PUT", path, b"x") == (400, "MalformedURI")


@pytest.mark.parametrize("bucket", ["..", "%2e%2e", "a%2fb", "%00", ".hidden", "absent"])
def test_unknown_bucket_is_not_found(objects, bucket):
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        assert objects.error(method, f"/n/ns/b/{bucket}/o/x") == (404, "BucketNotFound")
    assert objects.error("GET", f"/n/ns/b/{bucket}/o") == (404, "BucketNotFound")


def test_symbolic_links_are_no_objects(objects):
    outside = objects.folder.parent / "outside"
    outside.mkdir()
    (outside / "x").write_text("secret")
    (objects.folder / "file").symlink_to(outside / "x")
    (objects.folder / "folder").symlink_to(outside)
    assert objects.names() == []
    for name in ("file", "folder/x"):
        assert objects.error("GET", objects.object_path(name)) == (404, "ObjectNotFound")
        assert objects.error("DELETE", objects.object_path(name)) == (404, "ObjectNotFound")
    assert objects.error("PUT", objects.object_path("folder/y"), b"x") == (400, "InvalidObjectName")
    objects.put("file", b"mine")  # replaces the link, not its target
    assert (outside / "x").read_text() == "secret"
    assert sorted(p.name for p in outside.iterdir()) == ["x"]


def test_name_of_file_cannot_be_that_of_folder(objects):
    objects.put("a", b"1")
    assert objects.error("PUT", objects.object_path("a/b"), b"2") == (400, "InvalidObjectName")
    objects.put("c/d", b"3")
    assert objects.error("PUT", objects.object_path("c"), b"4") == (400, "InvalidObjectName")
    assert objects.names() == ["a", "c/d"]
    objects.delete("c/d")
    objects.put("c", b"5")
    assert objects.get("c").content() == b"5"


def test_empty_folder_does_not_prevent_object(objects):
    (objects.folder / "a" / "b" / "c").mkdir(parents=True)
    assert objects.names() == []
    objects.put("a/b", b"x")
    assert objects.names() == ["a/b"]


def test_name_with_trailing_slash_is_a_folder(objects):
    etag = objects.put("a/b/", b"")
    assert (objects.folder / "a" / "b").is_dir()
    assert objects.head("a/b/").headers["content-length"] == "0"
    assert objects.get("a/b/").headers["etag"] == etag
    assert objects.error("GET", objects.object_path("a/")) == (404, "ObjectNotFound")
    objects.put("a/b/c", b"x")
    assert objects.names() == ["a/b/", "a/b/c"]
    assert objects.names(prefix="a/b/", delimiter="/") == ["a/b/", "a/b/c"]
    objects.delete("a/b/c")
    assert objects.names() == ["a/b/"]
    assert objects.error("PUT", objects.object_path("d/"), b"content") == (400, "InvalidObjectName")
    objects.delete("a/b/")
    assert objects.names() == []
    assert list(objects.folder.iterdir()) == []


def test_objects_of_spark_are_served(objects):
    (objects.folder / "out").mkdir()
    file = objects.folder / "out" / "part-0.csv"
    file.write_bytes(b"1,2\n")
    response = objects.get("out/part-0.csv")
    assert response.content() == b"1,2\n"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-md5"] == md5(b"1,2\n")


def test_etag_changes_with_content(objects):
    etags = {objects.put("a", b"same") for _ in range(5)}
    assert len(etags) == 5
    assert objects.head("a").headers["etag"] == objects.head("a").headers["etag"]
    (objects.folder / "a").write_bytes(b"other")
    response = objects.head("a")
    assert response.headers["etag"] not in etags
    assert response.headers["content-md5"] == md5(b"other")
    assert objects.list(fields="etag,name")["objects"][0]["etag"] == response.headers["etag"]


def test_metadata_of_replaced_file_is_not_returned(objects):
    objects.put("a", b"<p>", content_type="text/html", content_encoding="x")
    replacement = objects.folder / "new"
    replacement.write_bytes(b"<q>")
    replacement.rename(objects.folder / "a")
    assert objects.head("a").headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in objects.head("a").headers


def test_if_none_match_star_protects_existing_object(objects):
    objects.put("a", b"1", if_none_match="*")
    assert objects.error("PUT", objects.object_path("a"), b"2", if_none_match="*") == (
        412,
        "IfNoneMatchFailed",
    )
    assert objects.get("a").content() == b"1"
    assert objects.error("PUT", objects.object_path("a"), b"2", if_none_match="x") == (
        400,
        "InvalidConditionalHeaders",
    )


def test_only_one_of_two_uploads_at_the_same_time_creates_the_object(objects):
    """Both have passed the check before their bodies are read."""
    local, target = objects.local, objects.object_path("a")
    requests = []
    for content in (b"first", b"second"):
        request = new_put(target, len(content))
        upload = local.service.open_upload(request)
        upload.write(content)
        upload.finish()
        request.upload = upload
        requests.append(request)
    responses = [local.service.handle(request) for request in requests]
    assert [response.status for response in responses] == [200, 412]
    assert objects.get("a").content() == b"first"


def new_put(target: str, length: int) -> Request:
    headers = {"host": "127.0.0.1:8170", "content-length": str(length), "if-none-match": "*"}
    return Request("PUT", target, headers)


def test_if_match_requires_current_etag(objects):
    assert objects.error("PUT", objects.object_path("a"), b"1", if_match="*") == (412, "IfMatchFailed")
    old = objects.put("a", b"1")
    new = objects.put("a", b"2", if_match=old)
    for method in ("PUT", "GET", "DELETE"):
        assert objects.error(method, objects.object_path("a"), if_match=old) == (412, "IfMatchFailed")
    assert objects.get("a", if_match=f'"{new}"').content() == b"2"
    assert objects.get("a", if_none_match=new).status == 304
    assert objects.get("a", if_none_match=old).status == 200
    assert objects.delete("a", if_match=new).status == 204


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_range_of_object_is_returned(objects, header, status, content):
    objects.put("a", b"0123456789")
    response = objects.get("a", range=header)
    assert (response.status, response.content()) == (status, content)
    assert response.headers["content-length"] == str(len(content))
    if status == 206:
        start = b"0123456789".index(content)
        assert response.headers["content-range"] == f"bytes {start}-{start + len(content) - 1}/10"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_range_outside_of_object_is_refused(objects, header):
    objects.put("a", b"0123456789")
    response = objects.get("a", range=header)
    assert (response.status, json.loads(response.content())["code"]) == (416, "InvalidRange")
    assert response.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("content-md5", md5(b"other"), "UnmatchedContentMD5"),
        ("content-md5", "no base64", "InvalidContentMD5"),
        ("opc-content-sha256", md5(b"x"), "UnmatchedContentSHA256"),
        ("opc-content-sha384", md5(b"x"), "UnmatchedContentSHA384"),
        ("opc-content-sha384", "no base64", "MissingOrInvalidChecksum"),
    ],
)
def test_wrong_checksum_is_refused(objects, header, value, code):
    objects.put("a", b"old")
    assert objects.error("PUT", objects.object_path("a"), b"new", **{header: value}) == (400, code)
    assert objects.get("a").content() == b"old"
    assert list(objects.local.objects.incoming.iterdir()) == []


def test_right_checksum_is_accepted(objects):
    response = objects.call("PUT", objects.object_path("a"), b"x", content_md5=md5(b"x"))
    assert (response.status, response.headers["opc-content-md5"]) == (200, md5(b"x"))


def test_upload_needs_content_length(objects):
    request = Request("PUT", objects.object_path("a"), {"host": "127.0.0.1"})
    response = objects.local.service.open_upload(request)
    assert (response.status, json.loads(response.content())["code"]) == (411, "ContentLengthRequired")


def test_upload_to_deleted_bucket_is_refused(objects):
    other = ObjectClient(objects.local, "other")
    request = new_put(other.object_path("a"), 1)
    upload = objects.local.service.open_upload(request)
    upload.write(b"x")
    upload.finish()
    other.folder.rmdir()
    request.upload = upload
    response = objects.local.service.handle(request)
    assert (response.status, json.loads(response.content())["code"]) == (404, "BucketNotFound")
    assert not other.folder.exists()


def test_get_continues_with_old_content_when_object_is_replaced(objects):
    objects.put("a", b"old")
    response = objects.get("a")
    objects.put("a", b"new")
    assert response.content() == b"old"
    response = objects.get("a")
    objects.delete("a")
    assert response.content() == b"new"


def test_requests_are_in_journal(objects):
    objects.put("a", b"x")
    objects.error("PUT", "/n/ns/b/absent/o/a", b"x")
    entries = [(e.operation, e.status, e.resource_id, e.code) for e in objects.local.service.journal.select()]
    assert entries == [
        ("PutObject", 200, "oci://data@ns/a", None),
        ("PutObject", 404, "oci://absent@ns/a", "BucketNotFound"),
    ]


def test_unknown_operations_are_refused(objects):
    assert objects.error("GET", "/n/ns/x/y") == (404, "NotFound")
    assert objects.error("POST", f"{objects.path}/o/a") == (405, "MethodNotAllowed")
    assert objects.error("PUT", f"{objects.path}/x/a") == (404, "NotFound")


def test_fault_applies_to_one_object(objects):
    objects.put("a", b"x")
    objects.put("b", b"x")
    fault = {"kind": "vanish", "resource_id": "oci://data@ns/a"}
    objects.local.json("POST", "/_local/faults", fault)
    assert objects.error("GET", objects.object_path("a")) == (404, "NotAuthorizedOrNotFound")
    assert objects.get("b").status == 200


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_bucket_can_be_on_another_file_system(objects):
    with TemporaryDirectory(dir="/dev/shm") as other:
        assert Path(other).stat().st_dev != objects.folder.stat().st_dev
        objects.folder.rmdir()
        objects.folder.symlink_to(other)
        objects.put("a/b", b"x", content_type="text/x")
        response = objects.get("a/b")
        assert (response.content(), response.headers["content-type"]) == (b"x", "text/x")
        assert objects.names() == ["a/b"]
        assert [p.name for p in (Path(other) / "a").iterdir()] == ["b"]
        objects.delete("a/b")
        assert objects.call("DELETE", objects.path).status == 204
        assert not objects.folder.exists()
        assert Path(other).is_dir()


def test_put_through_a_symbolic_link_creates_nothing_outside_of_the_bucket(objects, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (objects.folder / "link").symlink_to(outside)
    (objects.folder / "dangling").symlink_to(tmp_path / "new")
    for name in ("link/a/b/x", "link/x", "link/a/", "link/", "dangling/a/x", "dangling/"):
        assert objects.error("PUT", objects.object_path(name), b"") == (400, "InvalidObjectName")
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "new").exists()
