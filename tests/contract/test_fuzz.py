"""Any input to the service: responses have the API's form, none is 500, and the state stays consistent.

The operations come from the routes of the service, and the fields of bodies from the models of the SDK.
"""

from __future__ import annotations

import json
import logging
import tempfile
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import oci
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dataflow.local.http.messages import Principal, Request, Route
from airflow_provider_dataflow.local.service import API_VERSION
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import RUNS
from tests.unit.local.http.test_signatures import FINGERPRINT, PUBLIC_KEY, SIGNATURE, typescript_request
from tests.unit.local.support import APPLICATION, COMPARTMENT, Local

BOUNDED = settings(
    max_examples=600,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
_ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "STOPPED"}
_NEXT = {
    "ACCEPTED": {"IN_PROGRESS", "CANCELING", "CANCELED", "FAILED", "STOPPING", "STOPPED"},
    "IN_PROGRESS": {"CANCELING", "STOPPING", *_ENDED},
    "CANCELING": {"CANCELED"},
    "STOPPING": {"STOPPED", "CANCELING"},
}

# Values that have broken services before, in addition to those of hypothesis.
_NASTY = [
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e",
    "é",
    "%00",
    "%2e%2e%2f",
    "../../etc/passwd",
    "' OR 1=1 --",
    '"; DROP TABLE runs',
    "${x}",
    "$(id)",
    "{{ 1 }}",
    "<script>",
    "oci://a@b/../../c",
    "oci://..@../x",
    "oci://a@b/%2e%2e/c",
    "oci:///x",
    "oci://.@./",
    "-1",
    "1e999",
    "NaN",
    "null",
    "A" * 5000,
    "9" * 400,
    "a\r\nx: y",
    "--class",
    "--conf a",
    "'",
    COMPARTMENT,
    "ocid1.dataflowrun.oc1.iad.x",
    "ocid1..",
    "BATCH",
    "SESSION",
    "PYTHON",
    "3.5.0",
]
texts = st.one_of(st.sampled_from(_NASTY), st.text(max_size=40))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from([0, -1, 2**31, 2**63, 2**64])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def _model(name: str) -> dict[str, str]:
    """Return the types of the fields of an SDK model, by their names in JSON."""
    instance = getattr(oci.data_flow.models, name)()
    return {instance.attribute_map[k]: kind for k, kind in instance.swagger_types.items()}


def _valid(kind: str) -> st.SearchStrategy[Any]:
    """Return a strategy for values of a type, mostly valid."""
    if kind == "str":
        return texts
    if kind == "int":
        return st.integers(min_value=-1, max_value=10_000)
    if kind == "float":
        return st.floats(min_value=-1, max_value=100)
    if kind == "bool":
        return st.booleans()
    if kind.startswith("list["):
        return st.lists(_valid(kind[5:-1]), max_size=3)
    if kind.startswith("dict("):
        return st.dictionaries(texts, _valid(kind[5:-1].partition(", ")[2]), max_size=3)
    if hasattr(oci.data_flow.models, kind):
        return st.fixed_dictionaries({}, optional={k: _valid(v) for k, v in _model(kind).items()})
    return values


def _bodies(operation: str) -> st.SearchStrategy[Any]:
    """Return a strategy for bodies of an operation: mostly valid, some with wrong types, some of any form."""
    model = next(
        (
            n
            for n in (f"{operation}Details", f"{operation}CompartmentDetails")
            if hasattr(oci.data_flow.models, n)
        ),
        None,
    )
    if model is None:
        return values
    fields = {k: st.one_of(_valid(v), _valid(v), values) for k, v in _model(model).items()}
    base: dict[str, Any] = {}
    if operation == "CreateApplication":
        base = dict(APPLICATION)
    elif "compartmentId" in fields:
        base = {"compartmentId": COMPARTMENT}
    return st.one_of(
        st.fixed_dictionaries({}, optional=fields).map(lambda body: base | body),
        st.dictionaries(st.sampled_from(sorted(fields)) | texts, values, max_size=4).map(
            lambda body: base | body
        ),
        values,
    )


def _encode(body: Any, ascii_only: bool) -> bytes:
    return json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


QUERIES = st.dictionaries(
    st.one_of(
        st.sampled_from(
            [
                "compartmentId",
                "limit",
                "page",
                "sortBy",
                "sortOrder",
                "displayName",
                "lifecycleState",
                "poolId",
                "displayNameStartsWith",
                "timeCreatedGreaterThan",
                "applicationId",
                "ownerPrincipalId",
                "name",
            ]
        ),
        texts,
    ),
    texts,
    max_size=3,
)
# Header values that an HTTP server accepts: one line of Latin-1.
_LINE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["if-match", "opc-retry-token", "opc-request-id", "content-type", "authorization", "accept"]
    ),
    _LINE,
    max_size=2,
)


def _query(pairs: dict[str, str]) -> str:
    query = "&".join(
        f"{quote(k, errors='surrogatepass')}={quote(v, errors='surrogatepass')}" for k, v in pairs.items()
    )
    return f"?{query}" if query else ""


def _routes(local: Local) -> list[Route]:
    table = local.service._api._routes.values()
    return sorted((route for routes in table for _, route in routes), key=lambda route: route.operation)


def _check(local: Local, request: Request) -> None:
    response = local.service.handle(request)
    content = response.content()
    assert response.status < 500 or response.status == 501, (request.target, request.body, content)
    assert response.headers["opc-request-id"].isascii()
    for name, value in response.headers.items():
        assert not set(f"{name}{value}") & set("\r\n\0"), (name, value)
    if response.status >= 400:
        assert set(json.loads(content)) == {"code", "message"}
    elif content and response.headers["content-type"] == "application/json":
        json.loads(content, parse_constant=pytest.fail)


def _check_state(local: Local) -> None:
    counts = local.service.lifecycle.counts()
    live = 0
    for record in local.store.select(RUNS):
        states = [state for state, _, _ in local.store.states(record.id)]
        assert states[0] == "ACCEPTED"
        assert states[-1] == record.body["lifecycleState"]
        for before, after in pairwise(states):
            assert after in _NEXT[before], states
        live += states[-1] not in _ENDED
    assert live == counts["active"] + counts["waiting"]
    assert counts["active"] <= counts["limit"]


@pytest.fixture(autouse=True)
def _quiet():
    # The responses show failures. Logged tracebacks would make the output unreadable.
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def local():
    with tempfile.TemporaryDirectory() as folder:
        yield Local(Path(folder))


@pytest.fixture(scope="module")
def ids(local) -> list[str]:
    """Return the ids of existing resources."""
    application = local.application(arguments=["${x}"], parameters=[{"name": "x", "value": "1"}])
    return [application, *(local.submit(application) for _ in range(4))]


@BOUNDED
@given(data=st.data())
def test_any_input_to_every_operation(local, ids, data):
    route = data.draw(st.sampled_from(_routes(local)))
    known = st.sampled_from([*ids, *(r.id for r in local.store.select(RUNS)[-3:])])
    path = [
        quote(data.draw(known | texts), "", errors="surrogatepass") if part[0] == "{" else part
        for part in route.path.strip("/").split("/")
    ]
    target = f"/{API_VERSION}/{'/'.join(path)}{_query(data.draw(QUERIES))}"
    content = b""
    if route.method in ("POST", "PUT"):
        body = data.draw(_bodies(route.operation))
        if route.operation == "CreateRun" and isinstance(body, dict) and data.draw(st.booleans()):
            body = {k: v for k, v in body.items() if k != "execute"} | {"applicationId": ids[0]}
        content = _encode(body, data.draw(st.booleans()))
    headers = {"host": "127.0.0.1:8170"} | data.draw(HEADERS)
    _check(local, Request(route.method, target, headers, content))
    _check_state(local)


_KEY = load_pem_public_key(PUBLIC_KEY)
_TOKEN = "eyJhbGciOiJub25lIn0.e30."
_SIGNED = "x-date (request-target) host Content-Type Content-Length x-content-sha256"
# Right values, and a strategy for wrong ones, of each parameter of the Authorization header.
_PARAMETERS = {
    "version": (["1"], st.sampled_from(["", "2"]) | _LINE),
    "keyId": (
        [f"ten/usr/{FINGERPRINT}", f"ST${_TOKEN}"],
        st.sampled_from(["ST$", "ST$é", "ST$a.b.c", "///"]) | _LINE,
    ),
    "algorithm": (["rsa-sha256", "RSA-SHA256"], st.just("hmac-sha256") | _LINE),
    "headers": (
        [_SIGNED],
        st.lists(st.sampled_from([*_SIGNED.split(), "date", "é", "x"])).map(" ".join) | _LINE,
    ),
    "signature": ([SIGNATURE], st.sampled_from(["", "=", "é", "A" * 20000]) | _LINE),
}


@st.composite
def authorizations(draw: st.DrawFn) -> str:
    """Draw values of the Authorization header with at most two wrong parts, or of any form."""
    parts = ["whole", "scheme", "names", "quote", "separator", *_PARAMETERS]
    wrong = draw(st.sets(st.sampled_from(parts), max_size=2))
    if "whole" in wrong:
        return draw(_LINE)
    names = draw(st.permutations(sorted(_PARAMETERS)))
    if "names" in wrong:
        names = draw(st.lists(st.sampled_from(names), max_size=8))
    scheme = draw(st.sampled_from(["signature ", "Signature", "Bearer ", ""])) if "scheme" in wrong else None
    mark = draw(st.sampled_from(["", "'", '""'])) if "quote" in wrong else '"'
    separator = draw(st.sampled_from([" , ", ";", ",,", ""])) if "separator" in wrong else ","
    values = {
        name: draw(others if name in wrong else st.sampled_from(right))
        for name, (right, others) in _PARAMETERS.items()
    }
    return (scheme or "Signature ") + separator.join(f"{n}={mark}{values[n]}{mark}" for n in names)


@pytest.fixture(scope="module")
def signed():
    """Service that verifies signatures and knows the key of the unit tests."""
    with tempfile.TemporaryDirectory() as folder:
        local = Local(Path(folder), options=Options())
        local.keys.register(Principal("ten", "usr"), _KEY)
        local.keys.register_token(_TOKEN, Principal("ten", "usr"), _KEY, None)
        yield local


@BOUNDED
@given(
    authorization=authorizations(),
    date=st.sampled_from(
        ["now", "now", "Thu, 01 Jan 2026 00:00:00 GMT", "0", "Thu, 99 Jan 9999999999 0:0:0 +9999"]
    )
    | _LINE,
    method=st.sampled_from(["POST", "GET"]),
)
def test_any_wrong_signature_is_401(signed, authorization, date, method):
    """No request is valid: with today's date the signature is wrong, and its own date is too old."""
    date = formatdate(usegmt=True) if date == "now" else date
    request = typescript_request(authorization=authorization, date=date, **{"x-date": date})
    request.method = method
    response = signed.service.handle(request)
    assert response.status == 401
    assert set(json.loads(response.content())) == {"code", "message"}


@BOUNDED
@given(authorization=authorizations())
def test_any_signature_without_verification(local, authorization):
    headers = {"host": "127.0.0.1", "authorization": authorization}
    _check(local, Request("GET", f"/{API_VERSION}/runs?compartmentId={COMPARTMENT}", headers))


@BOUNDED
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60),
    prefix=st.sampled_from(["", "/", "//", f"/{API_VERSION}", f"/{API_VERSION}/runs/", "/_local/", "/%32"]),
    headers=HEADERS,
    body=st.binary(max_size=60),
)
def test_any_method_and_path(local, method, path, prefix, headers, body):
    headers = {"host": "127.0.0.1"} | headers
    response = local.service.handle(Request(method, prefix + path, headers, body))
    assert response.status < 500
    if response.status >= 400 and response.headers["content-type"] == "application/json":
        assert set(json.loads(response.content())) == {"code", "message"}
    _check_state(local)


@BOUNDED
@given(
    operation=st.sampled_from(["CreateRun", "CreateApplication"]),
    content=st.one_of(
        st.binary(max_size=80),
        st.text(st.sampled_from('{}[]",:\\u019eE+-. '), max_size=40).map(lambda text: text.encode("latin-1")),
        st.integers(1, 3000).map(lambda n: b'{"definedTags":{"a":{"b":' + b"[" * n + b"]" * n + b"}}}"),
    ),
)
def test_any_bytes_as_body(local, operation, content):
    path = {"CreateRun": "runs", "CreateApplication": "applications"}[operation]
    _check(local, Request("POST", f"/{API_VERSION}/{path}", {"host": "localhost"}, content))
