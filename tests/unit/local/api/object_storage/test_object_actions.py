from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_provider_dataflow.local.state.objects.object_copies import ObjectCopies
from tests.unit.local.objects import ObjectClient, md5


def action(objects: ObjectClient, name: str, /, **body: Any) -> tuple[int, Any, dict[str, str]]:
    response = objects.call("POST", f"{objects.path}/actions/{name}", json.dumps(body).encode())
    content = response.content()
    return response.status, json.loads(content) if content else None, response.headers


def rename(objects: ObjectClient, name: str, new_name: str, **conditions: str) -> tuple[int, str | None]:
    status, body, _ = action(objects, "renameObject", sourceName=name, newName=new_name, **conditions)
    return status, body and body["code"]


def copy(objects: ObjectClient, name: str, new_name: str, **fields: Any) -> Any:
    """Copy an object, wait for the end, and return the work request."""
    details = {
        "sourceObjectName": name,
        "destinationRegion": "us-ashburn-1",
        "destinationNamespace": "ns",
        "destinationBucket": objects.bucket,
        "destinationObjectName": new_name,
    }
    status, body, headers = action(objects, "copyObject", **(details | fields))
    if status != 202:
        return status, body["code"]
    target = f"/workRequests/{headers['opc-work-request-id']}"
    deadline = time.monotonic() + 30
    while (found := objects.json("GET", target))["timeFinished"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_rename_keeps_content_and_metadata(objects):
    objects.put("a/b", b"x", content_type="text/x", opc_meta_k="v")
    assert rename(objects, "a/b", "c/d") == (200, None)
    assert objects.names() == ["c/d"]
    response = objects.get("c/d")
    assert response.content() == b"x"
    assert (response.headers["content-type"], response.headers["opc-meta-k"]) == ("text/x", "v")
    assert [p.name for p in objects.folder.iterdir()] == ["c"]


def test_rename_that_is_not_possible_is_refused(objects):
    etag = objects.put("a", b"a")
    objects.put("b", b"b")
    objects.put("folder/", b"")
    assert rename(objects, "absent", "c") == (404, "ObjectNotFound")
    assert rename(objects, "a", "a") == (400, "SourceNameSameAsNewName")
    assert rename(objects, "a", "b/c") == (400, "InvalidObjectName")
    assert rename(objects, "a", "../c") == (400, "InvalidObjectName")
    assert rename(objects, "folder/", "c/") == (400, "InvalidObjectName")
    assert rename(objects, "a", "c", srcObjIfMatchETag="other") == (412, "IfMatchFailed")
    assert rename(objects, "a", "b", newObjIfNoneMatchETag="*") == (412, "IfNoneMatchFailed")
    assert rename(objects, "a", "b", newObjIfMatchETag=etag) == (412, "IfMatchFailed")
    assert [objects.get(name).content() for name in ("a", "b")] == [b"a", b"b"]
    assert rename(objects, "a", "b", srcObjIfMatchETag=etag) == (200, None)
    assert (objects.names(), objects.get("b").content()) == (["b", "folder/"], b"a")


def test_copy_ends_with_completed_work_request(objects):
    other = ObjectClient(objects.local, "other")
    objects.put("a", b"content", content_type="text/x", opc_meta_k="v")
    found = copy(objects, "a", "x/y", destinationBucket="other")
    assert (found["status"], found["percentComplete"], found["operationType"]) == (
        "COMPLETED",
        100.0,
        "COPY_OBJECT",
    )
    assert [r["actionType"] for r in found["resources"]] == ["READ", "WRITTEN"]
    response = other.get("x/y")
    assert response.content() == b"content"
    assert response.headers.items() >= {"content-type": "text/x", "opc-meta-k": "v"}.items()
    assert response.headers["content-md5"] == md5(b"content")
    assert response.headers["etag"] != objects.head("a").headers["etag"]
    target = f"/workRequests/{found['id']}"
    assert objects.json("GET", f"{target}/errors") == []
    assert len(objects.json("GET", f"{target}/logs")) == 2
    listed = objects.json("GET", f"/workRequests?compartmentId={found['compartmentId']}")
    assert [r["id"] for r in listed] == [found["id"]]
    assert objects.json("GET", "/workRequests?compartmentId=other") == []
    assert objects.error("DELETE", target) == (409, "NotCancelable")
    assert objects.error("GET", "/workRequests/absent") == (404, "NotFound")
    assert objects.error("GET", "/workRequests") == (400, "MissingCompartmentId")


def test_copy_can_replace_user_metadata(objects):
    objects.put("a", b"x", content_type="text/x", opc_meta_k="v")
    copy(objects, "a", "b", destinationObjectMetadata={"new": "1", "opc-meta-other": "2"})
    headers = objects.head("b").headers
    assert headers["content-type"] == "text/x"
    assert {k: v for k, v in headers.items() if k.startswith("opc-meta-")} == {
        "opc-meta-new": "1",
        "opc-meta-other": "2",
    }
    assert copy(objects, "a", "c", destinationObjectMetadata={"a": 1}) == (400, "InvalidMetadata")


def test_copy_that_cannot_start_is_refused(objects):
    objects.put("a", b"a")
    assert copy(objects, "absent", "b") == (404, "ObjectNotFound")
    assert copy(objects, "a", "b", destinationBucket="absent") == (404, "BucketNotFound")
    assert copy(objects, "a", "b", sourceObjectIfMatchETag="other") == (412, "IfMatchFailed")
    assert copy(objects, "a", "../b") == (400, "InvalidObjectName")
    assert copy(objects, "a", "b", destinationRegion="") == (400, "MissingParameter")


def test_copy_that_fails_later_has_an_error(objects):
    objects.put("a", b"a")
    objects.put("b", b"b")
    found = copy(objects, "a", "b", destinationObjectIfNoneMatchETag="*")
    assert found["status"] == "FAILED"
    (error,) = objects.json("GET", f"/workRequests/{found['id']}/errors")
    assert "exists" in error["message"]
    assert objects.get("b").content() == b"b"
    assert list(objects.local.objects.incoming.iterdir()) == []


def test_interrupted_copy_fails_when_server_starts_again(objects):
    copies = ObjectCopies(objects.local.objects, lambda: 1.0)
    copies.requests.put(
        "w", {"id": "w", "status": "IN_PROGRESS", "compartmentId": "c", "timeFinished": None, "errors": []}
    )
    copies.recover()
    record = copies.requests.get("w")
    assert record is not None
    assert (record["status"], record["errors"][0]["message"]) == (
        "FAILED",
        "Local Data Flow stopped during the copy.",
    )


def test_batch_deletes_many_objects(objects):
    etag = objects.put("a", b"")
    objects.put("b/c", b"")
    wanted = [
        {"objectName": "a", "ifMatch": etag},
        {"objectName": "b/c", "ifMatch": "x"},
        {"objectName": "d"},
    ]
    status, body, _ = action(objects, "batchDeleteObjects", objects=wanted)
    assert status == 200
    assert [o["objectName"] for o in body["deleted"]] == ["a", "d"]
    assert [(o["objectName"], o["statusCode"]) for o in body["failed"]] == [("b/c", 412)]
    assert objects.names() == ["b/c"]
    _, body, _ = action(
        objects, "batchDeleteObjects", objects=[{"objectName": "b/c"}], isSkipDeletedResult=True
    )
    assert body == {"deleted": [], "failed": []}
    assert objects.names() == []


@pytest.mark.parametrize("wanted", [None, [], [1], [{}], [{"objectName": "x"}] * 1001])
def test_invalid_batch_is_refused(objects, wanted):
    objects.put("a", b"x")
    some = [{"objectName": "a"}, *wanted] if wanted else wanted
    assert action(objects, "batchDeleteObjects", objects=some)[0] == 400
    assert objects.names() == ["a"]
