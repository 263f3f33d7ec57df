from __future__ import annotations

import base64

import pytest

from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, Route, Router
from tests.unit.local.support import COMPARTMENT


def _json(content: bytes):
    return Request("POST", "/", {}, content).json()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'"a"',
        b"{",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"\\ud800":1}',
        b'{"a":"\\u0000"}',
        b'{"a":"\0"}',
        '{"a":"\\ud800"}'.encode("utf-16"),
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a":' + b"[" * 10**6 + b"]" * 10**6 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_invalid_json_body_is_rejected(content):
    with pytest.raises(ApiError) as e:
        _json(content)
    assert (e.value.status, e.value.code) == (400, "CannotParseRequest")


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"{}", {}),
        (b'\xef\xbb\xbf{"a":1.5}', {"a": 1.5}),
        ('{"ä":"😀"}'.encode(), {"ä": "😀"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":"\\\\u0041"}', {"a": "\\u0041"}),
        (b'{"a":"' + b"[" * 100 + b'"}', {"a": "[" * 100}),
    ],
)
def test_valid_json_body_is_parsed(content, body):
    assert _json(content) == body


def test_repeated_query_parameter_is_rejected():
    with pytest.raises(ApiError, match="more than once"):
        Request("GET", "/runs?a=1&a=2").query()


def test_router_finds_routes_and_rejects_others():
    router = Router([Route("List", "GET", "/runs", Response), Route("Get", "GET", "/runs/{id}", Response)])
    assert router.find("GET", ["runs"])[0].operation == "List"
    assert router.find("GET", ["runs", "x"])[1] == {"id": "x"}
    with pytest.raises(ApiError) as e:
        router.find("PUT", ["runs", "x"])
    assert (e.value.status, e.value.response().headers["allow"]) == (405, "GET")
    for unknown in ([], ["x"], ["runs", "x", "y"]):
        with pytest.raises(ApiError) as e:
            router.find("GET", unknown)
        assert e.value.status == 404


@pytest.mark.parametrize(
    "token",
    [
        '["\\ud800",1]',
        "[null,1]",
        "[[],1]",
        '["a",true]',
        "[1,99999999999999999999999999]",
        '"ab"',
        "{}",
        "[" * 9999,
    ],
)
def test_foreign_page_token_is_rejected(local, token):
    page = base64.urlsafe_b64encode(token.encode()).decode()
    status, code, _ = local.error("GET", f"/runs?compartmentId={COMPARTMENT}&page={page}")
    assert (status, code) == (400, "InvalidParameter")
