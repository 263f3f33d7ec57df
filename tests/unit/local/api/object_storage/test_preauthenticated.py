from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.http.messages import Principal
from airflow_provider_dataflow.local.state.options import Options
from tests.unit.local.objects import ObjectClient
from tests.unit.local.support import Local

EXPIRES = "2026-01-02T00:00:00Z"  # a day after the start of the test's clock
DAY_SECONDS = 24 * 3600


@pytest.fixture
def objects(tmp_path) -> ObjectClient:
    """Bucket of a service that verifies signatures, so that nothing but a token gives access."""
    local = Local(tmp_path, keys=KeyRing(), options=Options(verify_signatures=True))
    return ObjectClient(local)


def create(objects: ObjectClient, access_type: str, object_name: str | None = None, **fields: Any) -> Any:
    """Create a pre-authenticated request as a signed request does."""
    details = {
        "name": "a name",
        "accessType": access_type,
        "objectName": object_name,
        "timeExpires": EXPIRES,
        **fields,
    }
    with signed(objects):
        return objects.json("POST", f"{objects.path}/p", details)


class signed:
    """Let the service take every request for one of the user."""

    def __init__(self, objects: ObjectClient) -> None:
        self.service = objects.local.service

    def __enter__(self) -> None:
        self.verifier = self.service._verifier
        self.service._verifier = self

    def __exit__(self, *exc: object) -> None:
        self.service._verifier = self.verifier

    def verify(self, request: Any, *, is_upload: bool = False) -> Principal:
        return Principal("tenancy", "user")


def put(objects: ObjectClient, name: str, content: bytes) -> None:
    with signed(objects):
        objects.put(name, content)


def test_token_gives_access_to_one_object(objects):
    put(objects, "a/b c", b"content")
    put(objects, "other", b"secret")
    made = create(objects, "ObjectRead", "a/b c")
    assert made["fullPath"] == f"http://127.0.0.1:8170{made['accessUri']}"
    assert made["accessUri"].endswith("/n/ns/b/data/o/a%2Fb%20c")
    assert objects.call("GET", made["accessUri"]).content() == b"content"
    assert objects.call("HEAD", made["accessUri"]).headers["content-length"] == "7"
    assert objects.call("GET", made["accessUri"], range="bytes=0-2").content() == b"con"
    other = made["accessUri"].replace("a%2Fb%20c", "other")
    for method, target in (("GET", other), ("PUT", made["accessUri"]), ("DELETE", made["accessUri"])):
        assert objects.error(method, target, b"x") == (404, "NotAuthenticated")
    assert objects.error("GET", other.removesuffix("/other")) == (404, "NotAuthenticated")
    assert objects.error("GET", objects.object_path("a/b c")) == (401, "NotAuthenticated")


@pytest.mark.parametrize(
    ("access_type", "reads", "writes"),
    [("Read", True, False), ("Write", False, True), ("ReadWrite", True, True)],
)
@pytest.mark.parametrize("is_any", [False, True])
def test_access_type_decides_about_reads_and_writes(objects, access_type, reads, writes, is_any):
    put(objects, "a", b"old")
    if is_any:
        uri = create(objects, f"AnyObject{access_type}")["accessUri"] + "a"
    else:
        uri = create(objects, f"Object{access_type}", "a")["accessUri"]
    assert objects.call("PUT", uri, b"new").status == (200 if writes else 404)
    assert objects.call("GET", uri).status == (200 if reads else 404)
    assert objects.call("HEAD", uri).status == (200 if reads else 404)
    with signed(objects):
        assert objects.get("a").content() == (b"new" if writes else b"old")


def test_prefix_and_listing_of_any_object(objects):
    for name in ("p/a", "p/b", "q"):
        put(objects, name, name.encode())
    uri = create(objects, "AnyObjectRead", "p/")["accessUri"]
    assert uri.endswith("/o/")
    assert objects.call("GET", f"{uri}p/a").content() == b"p/a"
    assert objects.error("GET", f"{uri}q") == (404, "NotAuthenticated")
    assert objects.error("GET", uri) == (404, "NotAuthenticated")
    uri = create(objects, "AnyObjectRead", bucketListingAction="ListObjects")["accessUri"]
    assert [o["name"] for o in objects.json("GET", f"{uri}?prefix=p/")["objects"]] == ["p/a", "p/b"]


def test_token_expires(objects):
    put(objects, "a", b"x")
    uri = create(objects, "ObjectRead", "a")["accessUri"]
    objects.local.clock.advance(DAY_SECONDS - 1)
    assert objects.call("GET", uri).status == 200
    objects.local.clock.advance(1)
    assert objects.error("GET", uri) == (404, "NotAuthenticated")


def test_requests_are_listed_read_and_deleted(objects):
    put(objects, "a", b"x")
    made = create(objects, "ObjectRead", "a")
    any_ = create(objects, "AnyObjectWrite")
    with signed(objects):
        listed = objects.json("GET", f"{objects.path}/p")
        assert sorted(p["id"] for p in listed) == sorted([made["id"], any_["id"]])
        assert all("accessUri" not in p for p in listed)
        assert [p["id"] for p in objects.json("GET", f"{objects.path}/p?objectNamePrefix=a")] == [made["id"]]
        one = f"{objects.path}/p/{made['id']}"
        assert objects.json("GET", one) == {
            k: v for k, v in made.items() if k not in ("accessUri", "fullPath")
        }
        assert made["timeExpires"] == "2026-01-02T00:00:00.000Z"
        objects.delete("a")
        assert objects.error("DELETE", objects.path) == (409, "PreauthenticatedRequestStillExists")
        assert objects.call("DELETE", one).status == 204
        assert objects.error("DELETE", one) == (404, "PreauthenticatedRequestNotFound")
        assert objects.error("GET", one) == (404, "PreauthenticatedRequestNotFound")
    assert objects.error("GET", made["accessUri"]) == (404, "NotAuthenticated")


@pytest.mark.parametrize(
    "fields",
    [
        {"accessType": "Everything"},
        {"name": ""},
        {"timeExpires": "tomorrow"},
        {"timeExpires": "2025-01-01T00:00:00Z"},
        {"bucketListingAction": "x"},
        {"objectName": None},
        {"objectName": 1},
    ],
)
def test_invalid_request_is_refused(objects, fields):
    details = {"name": "n", "accessType": "ObjectRead", "objectName": "a", "timeExpires": EXPIRES} | fields
    with signed(objects):
        assert objects.error("POST", f"{objects.path}/p", json.dumps(details).encode())[0] == 400


def test_token_is_neither_stored_nor_in_the_journal(objects):
    put(objects, "a", b"x")
    uri = create(objects, "ObjectRead", "a")["accessUri"]
    token = uri.split("/")[2]
    objects.call("GET", uri)
    *_, entry = objects.local.service.journal.select()
    assert entry.target == "/p/***/n/ns/b/data/o/a"
    files = [p for p in objects.local.folder.rglob("*") if p.is_file()]
    assert files
    assert not any(token.encode() in p.read_bytes() or token in p.name for p in files)


@pytest.mark.parametrize(
    "uri", ["/p", "/p/", "/p/x", "/p/x/n", "/p/x/n/ns/b/data/o/a", "/p//n/ns/b/data/o/a"]
)
def test_unknown_token_is_refused(objects, uri):
    put(objects, "a", b"x")
    assert objects.error("GET", uri)[0] in (401, 404)
    assert objects.error("PUT", uri, b"x")[0] in (401, 404)


def test_unsigned_upload_is_refused_before_its_body(objects):
    assert objects.error("PUT", objects.object_path("a"), b"x") == (401, "NotAuthenticated")
    assert not objects.local.objects.incoming.exists()


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"])
def test_time_after_the_year_9999_is_refused(objects, moment):
    body = {"name": "a", "accessType": "AnyObjectRead", "timeExpires": moment}
    with signed(objects):
        response = objects.call("POST", f"{objects.path}/p", json.dumps(body).encode())
        stored = objects.json("GET", f"{objects.path}/p")
    assert (response.status, stored) == (400, [])
