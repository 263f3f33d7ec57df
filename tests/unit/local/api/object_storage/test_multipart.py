from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.local.objects import ObjectClient, md5


class Upload:
    """Multipart upload of an object."""

    def __init__(self, objects: ObjectClient, name: str = "a/b c", **details: Any) -> None:
        self.objects = objects
        self.name = name
        self.body = objects.json("POST", f"{objects.path}/u", {"object": name, **details})
        self.id = self.body["uploadId"]

    @property
    def target(self) -> str:
        return self.objects.object_path(self.name).replace("/o/", "/u/", 1) + f"?uploadId={self.id}"

    def part(self, number: int, content: bytes, **headers: str) -> str:
        target = f"{self.target}&uploadPartNum={number}"
        response = self.objects.call("PUT", target, content, **headers)
        assert response.status == 200, response.content()
        assert response.headers["opc-content-md5"] == md5(content)
        return response.headers["etag"]

    def part_error(self, number: Any, content: bytes = b"x", **headers: str) -> tuple[int, str]:
        return self.objects.error("PUT", f"{self.target}&uploadPartNum={number}", content, **headers)

    def commit_body(self, parts: dict[int, str], exclude: list[int] | None = None) -> bytes:
        commit = [{"partNum": number, "etag": etag} for number, etag in parts.items()]
        return json.dumps({"partsToCommit": commit, "partsToExclude": exclude}).encode()

    def commit(self, parts: dict[int, str], exclude: list[int] | None = None, **headers: str) -> Any:
        response = self.objects.call("POST", self.target, self.commit_body(parts, exclude), **headers)
        assert response.status == 200, response.content()
        return response.headers

    def commit_error(self, parts: dict[int, str], exclude: list[int] | None = None, **headers: str) -> Any:
        return self.objects.error("POST", self.target, self.commit_body(parts, exclude), **headers)

    def numbers(self) -> list[int]:
        return [part["partNumber"] for part in self.objects.json("GET", self.target)]


def test_parts_become_one_object(objects):
    upload = Upload(objects, contentType="text/x", metadata={"opc-meta-k": "v", "K2": "w"})
    assert objects.names() == []
    second = upload.part(2, b"second")
    first = upload.part(1, b"first ")
    assert objects.names() == []
    headers = upload.commit({1: first, 2: second})
    response = objects.get("a/b c")
    assert response.content() == b"first second"
    digests = hashlib.md5(b"first ").digest() + hashlib.md5(b"second").digest()
    expected = base64.b64encode(hashlib.md5(digests).digest()).decode() + "-2"
    assert headers["opc-multipart-md5"] == response.headers["opc-multipart-md5"] == expected
    assert "content-md5" not in response.headers
    assert response.headers["etag"] == headers["etag"]
    assert (
        response.headers.items() >= {"content-type": "text/x", "opc-meta-k": "v", "opc-meta-k2": "w"}.items()
    )
    assert objects.list(fields="md5")["objects"][0]["md5"] == expected
    assert objects.json("GET", f"{objects.path}/u") == []
    assert upload.commit_error({1: first, 2: second}) == (404, "UploadNotFound")
    assert list(objects.local.objects.incoming.iterdir()) == []


def test_part_can_be_replaced_and_excluded(objects):
    upload = Upload(objects)
    old, two, three = upload.part(1, b"old"), upload.part(2, b"2"), upload.part(3, b"3")
    new = upload.part(1, b"new")
    assert upload.numbers() == [1, 2, 3]
    assert upload.commit_error({1: old, 2: two, 3: three}) == (400, "InvalidUploadPart")
    assert upload.commit_error({1: new, 3: three}) == (400, "InvalidUploadPart")
    assert upload.commit_error({1: new, 2: two, 3: three}, [2]) == (400, "InvalidUploadPart")
    assert upload.commit_error({1: new, 4: two, 3: three}, [2]) == (400, "InvalidUploadPart")
    assert upload.commit_error({}) == (400, "InvalidUploadPart")
    upload.commit({3: three, 1: new}, [2])
    assert objects.get("a/b c").content() == b"new3"


@pytest.mark.parametrize(
    "body",
    [
        {"partsToCommit": 1},
        {"partsToCommit": [1]},
        {"partsToCommit": [{"partNum": "1", "etag": "x"}]},
        {"partsToCommit": [{"partNum": 1, "etag": "x"}] * 2},
        {"partsToCommit": [{"partNum": 1, "etag": "x"}], "partsToExclude": ["2"]},
    ],
)
def test_malformed_commit_is_refused(objects, body):
    upload = Upload(objects)
    upload.part(1, b"x")
    assert objects.error("POST", upload.target, json.dumps(body).encode()) == (400, "InvalidUploadPart")
    assert upload.numbers() == [1]


def test_uploads_and_parts_are_listed_in_pages(objects):
    uploads = [Upload(objects, name) for name in ("b", "a", "c")]
    other = ObjectClient(objects.local, "other")
    Upload(other, "z")
    response = objects.call("GET", f"{objects.path}/u?limit=2")
    assert [u["object"] for u in json.loads(response.content())] == ["a", "b"]
    following = objects.json("GET", f"{objects.path}/u?limit=2&page={response.headers['opc-next-page']}")
    assert [(u["object"], u["uploadId"]) for u in following] == [("c", uploads[2].id)]
    for number in (5, 1, 10_000):
        uploads[0].part(number, b"12345")
    response = objects.call("GET", f"{uploads[0].target}&limit=2")
    parts = json.loads(response.content())
    assert [(p["partNumber"], p["size"], p["md5"]) for p in parts] == [
        (1, 5, md5(b"12345")),
        (5, 5, md5(b"12345")),
    ]
    page = response.headers["opc-next-page"]
    assert len(objects.json("GET", f"{uploads[0].target}&limit=2&page={page}")) == 1
    assert objects.error("GET", f"{objects.path}/u?page=x") == (400, "InvalidPage")


def test_aborted_upload_is_gone(objects):
    upload = Upload(objects)
    etag = upload.part(1, b"x")
    assert objects.call("DELETE", upload.target).status == 204
    assert objects.error("DELETE", upload.target) == (404, "UploadNotFound")
    assert upload.part_error(2) == (404, "UploadNotFound")
    assert upload.commit_error({1: etag}) == (404, "UploadNotFound")
    assert objects.error("GET", upload.target) == (404, "UploadNotFound")


def test_upload_belongs_to_its_object(objects):
    upload = Upload(objects)
    upload.name = "other"
    assert upload.part_error(1) == (404, "UploadNotFound")
    for id_ in ("..", "x" * 32, "%2e%2e%2f"):
        upload.id = id_
        assert upload.part_error(1) == (404, "UploadNotFound")
    upload.id = ""
    assert upload.part_error(1) == (400, "MissingUploadId")


@pytest.mark.parametrize("number", ["", 0, 10_001, "x", -1])
def test_invalid_part_number_is_refused(objects, number):
    assert Upload(objects).part_error(number) == (400, "InvalidUploadPartNumber")


def test_conditions_and_checksums_are_checked(objects):
    upload = Upload(objects)
    assert upload.part_error(1, content_md5=md5(b"other")) == (400, "UnmatchedContentMD5")
    etag = upload.part(1, b"x")
    assert upload.part_error(1, if_none_match="*") == (412, "IfNoneMatchFailed")
    assert upload.part_error(1, if_match="other") == (412, "IfMatchFailed")
    etag = upload.part(1, b"y", if_match=etag)
    old = objects.put("a/b c", b"old")
    assert upload.commit_error({1: etag}, if_none_match="*") == (412, "IfNoneMatchFailed")
    assert upload.commit_error({1: etag}, if_match="other") == (412, "IfMatchFailed")
    body = b'{"object": "a/b c"}'
    assert objects.error("POST", f"{objects.path}/u", body, if_none_match="*") == (412, "IfNoneMatchFailed")
    upload.commit({1: etag}, if_match=old)
    assert objects.get("a/b c").content() == b"y"


def test_invalid_name_is_refused_at_the_begin_and_at_the_commit(objects):
    assert objects.error("POST", f"{objects.path}/u", b'{"object": "../x"}') == (400, "InvalidObjectName")
    assert objects.error("POST", f"{objects.path}/u", b'{"object": ""}') == (400, "MissingParameter")
    upload = Upload(objects, "a/b")
    etag = upload.part(1, b"x")
    objects.put("a", b"")
    assert upload.commit_error({1: etag}) == (400, "InvalidObjectName")
    objects.delete("a")
    upload.commit({1: etag})
    assert objects.names() == ["a/b"]


def test_bucket_with_upload_is_not_deleted(objects):
    upload = Upload(objects)
    assert objects.error("DELETE", objects.path) == (409, "BucketNotEmpty")
    objects.call("DELETE", upload.target)
    assert objects.call("DELETE", objects.path).status == 204


def test_interrupted_commit_can_be_repeated(objects):
    upload = Upload(objects)
    etag = upload.part(1, b"x")
    storage = objects.local.objects
    (found,) = storage.uploads.all()
    found.folder.rename(found.folder.with_suffix(".committing"))  # the server was killed now
    assert upload.commit_error({1: etag}) == (404, "UploadNotFound")
    storage.recover()
    upload.commit({1: etag})
    assert objects.get("a/b c").content() == b"x"


def test_reset_forgets_uploads_but_no_objects(objects):
    upload = Upload(objects)
    objects.put("x", b"x")
    objects.local.call("POST", "/_local/reset").content()
    assert objects.error("GET", upload.target) == (404, "UploadNotFound")
    assert objects.names() == ["x"]


@pytest.mark.parametrize(
    "details",
    [
        {"contentType": "a\r\nset-cookie: b"},
        {"metadata": {"a": "b\nc"}},
        {"metadata": {"a: b": "c"}},
        {"metadata": {"a\r\nb": "c"}},
        {"metadata": {"a": 1}},
        {"metadata": "a"},
    ],
)
def test_metadata_that_cannot_be_headers_is_refused(objects, details):
    """It would add headers to the responses."""
    body = json.dumps({"object": "a", **details}).encode()
    assert objects.error("POST", f"{objects.path}/u", body) == (400, "InvalidMetadata")


def test_part_that_is_replaced_while_parts_are_listed_is_skipped(objects, monkeypatch):
    upload = Upload(objects)
    upload.part(1, b"x")
    upload.part(2, b"yy")
    scan = os.scandir

    def scandir(folder: Any) -> list[Any]:
        entries = sorted(scan(folder), key=lambda entry: entry.name)
        os.unlink(next(entry.path for entry in entries if entry.name.startswith("00001-")))
        return entries

    monkeypatch.setattr("airflow_provider_dataflow.local.state.objects.multipart_uploads.os.scandir", scandir)
    found = objects.json("GET", upload.target)
    monkeypatch.undo()
    assert [(part["partNumber"], part["size"]) for part in found] == [(2, 2)]


def test_numbers_are_read_to_their_end(objects):
    upload = Upload(objects)
    upload.part("0" * 5000 + "1", b"x")  # type: ignore[arg-type]
    for number in ("00000000110000000", "000000001" + "0" * 5000, "\u0661"):
        assert upload.part_error(quote(number)) == (400, "InvalidUploadPartNumber")
        for list_ in (upload.target + "&", f"{objects.path}/o?"):
            assert objects.error("GET", f"{list_}limit={quote(number)}") == (400, "InvalidLimit")
    assert objects.error("GET", f"{upload.target}&page=1{'0' * 5000}") == (400, "InvalidPage")
    assert [part["partNumber"] for part in objects.json("GET", upload.target)] == [1]
    page = objects.json("GET", f"{upload.target}&page=00000000000001")
    assert page == []


@pytest.mark.parametrize(
    "details", [{"contentType": "日本"}, {"metadata": {"a": "日本"}}, {"metadata": {"": "x"}}]
)
def test_metadata_that_cannot_be_a_header_is_refused(objects, details):
    body = json.dumps({"object": "x", **details}).encode()
    assert objects.error("POST", f"{objects.path}/u", body) == (400, "InvalidMetadata")
