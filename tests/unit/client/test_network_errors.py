"""Redirects, certificates, proxies and signatures of both clients, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.run_request import RunRequest
from tests.identity_service import certificate, new_key, pem_of
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID, verify_signature

BODY = b'{"id": "x", "lifecycleState": "SUCCEEDED"}'
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class Server:
    """Server that records requests as received, and responds with a run or with the result of ``answer``."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str]]] = lambda path: (200, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                target = self.path if self.path.startswith("/") else "/" + self.path.split("/", 3)[3]
                outer.requests.append((self.command, target, headers, body))
                status, extra = outer.answer(self.path)
                answer = b"[]" if "/runs?" in self.path else BODY
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_DELETE = do_PUT = handle_any

            def do_CONNECT(self) -> None:
                """Forward bytes to ``tunnel``, as a proxy does for HTTPS."""
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append(("CONNECT", self.path, headers, b""))
                if outer.tunnel_status != 200:
                    self.send_error(outer.tunnel_status)
                    return
                with socket.create_connection(("127.0.0.1", outer.tunnel)) as upstream:
                    self.send_response(200)
                    self.end_headers()
                    other = threading.Thread(target=pump, args=(upstream, self.connection), daemon=True)
                    other.start()
                    pump(self.connection, upstream)
                self.close_connection = True

            def log_message(self, *args: object) -> None:
                pass

        self.tunnel = 0
        self.tunnel_status = 200
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def tls_server(tmp_path):
    key = new_key()
    chain = tmp_path / "server.pem"
    chain.write_text(pem_of(key) + certificate(key, "127.0.0.1", host="127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = Server(context)
    yield server
    server.close()


def by_sync(access: Access) -> Run:
    return DataFlowClient(access).get_run(RUN_ID)


def by_async(access: Access) -> Run:
    async def ask() -> Run:
        async with await AsyncDataFlowClient.create(lambda: access) as client:
            return await client.get_run(RUN_ID)

    return asyncio.run(ask())


both = pytest.mark.parametrize("get_run", [by_sync, by_async], ids=["sync", "async"])


def access_to(endpoint: str, key_fields: dict[str, str], **fields: Any) -> Access:
    return Access(ApiKey(**key_fields), "us-ashburn-1", endpoint, **fields)


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_host_is_not_followed(get_run, server, key_fields, status):
    other = Server()
    server.answer = lambda path: (status, {"location": f"http://127.0.0.1:{other.port}{path}"})
    with pytest.raises(ServiceError) as caught:
        get_run(access_to(f"http://127.0.0.1:{server.port}", key_fields))
    other.close()
    assert caught.value.status == status
    assert not other.requests
    assert len(server.requests) == 1


@both
def test_redirect_to_the_same_host_is_not_followed(get_run, server, key_fields):
    server.answer = lambda path: (302, {"location": "/elsewhere"})
    with pytest.raises(ServiceError):
        get_run(access_to(f"http://127.0.0.1:{server.port}", key_fields))
    assert len(server.requests) == 1


@both
def test_untrusted_certificate_is_refused(get_run, tls_server, key_fields):
    with pytest.raises(ServiceError, match=r"(?i)certificate.verify.failed") as caught:
        get_run(access_to(f"https://127.0.0.1:{tls_server.port}", key_fields))
    assert caught.value.status is None
    assert not tls_server.requests


@both
def test_a_proxy_of_the_environment_is_used(get_run, server, key_fields, private_key, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    access = access_to("http://dataflow.test:81", key_fields, allowed_endpoints=["dataflow.test"])
    assert get_run(access).state == "SUCCEEDED"
    ((method, target, headers, _),) = server.requests
    assert headers["host"] == "dataflow.test:81"
    verify_signature(private_key.public_key(), method, target, headers)


@both
def test_through_a_proxy_https_stays_end_to_end(get_run, server, tls_server, key_fields, monkeypatch):
    """The proxy sees the host only; the certificate of the service is still verified."""
    server.tunnel = tls_server.port
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.port}")
    access = access_to("https://dataflow.eu-frankfurt-1.oci.oraclecloud.com", key_fields)
    with pytest.raises(ServiceError, match=r"(?i)certificate.verify.failed"):
        get_run(access)
    ((method, target, _, _),) = server.requests
    assert (method, target) == ("CONNECT", "dataflow.eu-frankfurt-1.oci.oraclecloud.com:443")
    assert not tls_server.requests


@both
@pytest.mark.parametrize(
    "environment",
    [{"NO_PROXY": "dataflow.test"}, {"NO_PROXY": "*"}],
    ids=["host", "all"],
)
def test_no_proxy_is_honoured(get_run, server, key_fields, monkeypatch, environment):
    for name, value in {"HTTP_PROXY": f"http://127.0.0.1:{server.port}", **environment}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.lower(), value)
    access = access_to("http://dataflow.test:81", key_fields, allowed_endpoints=["dataflow.test"])
    with pytest.raises(ServiceError, match="got no response"):
        get_run(access)
    assert not server.requests


@both
def test_loopback_needs_no_proxy(get_run, server, key_fields, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert get_run(access_to(f"http://127.0.0.1:{server.port}", key_fields)).state == "SUCCEEDED"


# What is signed is what is sent

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
hostile = st.one_of(texts, st.text("%/:@?&=+#;,~$!'()*[]{}|\\^`\"<> .\u00fc\u4e2d", min_size=1, max_size=30))
slowly = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def recorder():
    server = Server()
    yield server
    server.close()


def check(server: Server, private_key: Any) -> tuple[str, str, dict[str, str], bytes]:
    """Return the only request, and verify its signature as received."""
    method, target, headers, body = server.requests.pop()
    verify_signature(private_key.public_key(), method, target, headers, body)
    assert not server.requests
    return method, target, headers, body


@slowly
@given(run_id=hostile.filter(lambda text: text.strip().strip("./")))
@example(run_id="a b%2Fc/\u00fc?x=1&x=2#y")
@example(run_id="%")
def test_the_sdk_signs_paths_as_they_are_sent(recorder, key_fields, private_key, run_id):
    recorder.requests.clear()
    client = DataFlowClient(access_to(f"http://127.0.0.1:{recorder.port}", key_fields))
    client.get_run(run_id)
    check(recorder, private_key)


@slowly
@given(name=hostile)
@example(name="a&displayName=b")
def test_the_sdk_signs_queries_as_they_are_sent(recorder, key_fields, private_key, name):
    recorder.requests.clear()
    client = DataFlowClient(access_to(f"http://127.0.0.1:{recorder.port}", key_fields))
    list(client.list_runs(COMPARTMENT_ID, display_name=name))
    check(recorder, private_key)


@slowly
@given(values=st.lists(hostile, min_size=1, max_size=4))
def test_the_sdk_signs_bodies_as_they_are_sent(recorder, key_fields, private_key, values):
    recorder.requests.clear()
    client = DataFlowClient(access_to(f"http://127.0.0.1:{recorder.port}", key_fields))
    request = RunRequest.build(
        {"application_id": APPLICATION_ID, "compartment_id": COMPARTMENT_ID, "arguments": values}
    )
    client.create_run(request, "token")
    _, _, headers, body = check(recorder, private_key)
    assert int(headers["content-length"]) == len(body)


@slowly
@given(
    path=st.lists(hostile.filter(lambda text: text.strip(".")), min_size=1, max_size=3),
    query=st.lists(st.tuples(hostile, hostile), max_size=4),
    method=st.sampled_from(["GET", "DELETE", "POST", "PUT"]),
    body=st.binary(max_size=50),
    escaped=st.booleans(),
)
@example(["runs"], [("a", "1"), ("a", "2"), ("a", "1")], "GET", b"", True)
@example(["a:b@c~$!'()*,"], [("x", "a+b c"), ("\u00fc", "%2F")], "POST", b"{}", True)
@example(["a:b@c~$!'()*,"], [], "GET", b"", False)
def test_aiohttp_signs_what_is_sent(recorder, key_fields, private_key, path, query, method, body, escaped):
    """Use the client's session, for requests that none of its methods sends."""
    recorder.requests.clear()
    access = access_to(f"http://127.0.0.1:{recorder.port}", key_fields)
    segments = "/".join(quote(part, safe="" if escaped else ":@!$&'()*+,;=~") for part in path)
    url = f"{access.endpoint}/20200129/{segments}"
    if escaped:
        url += "?" + "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)

    async def send() -> None:
        async with await AsyncDataFlowClient.create(lambda: access) as client:
            has_body = method in ("POST", "PUT")
            async with client._session.request(
                method,
                url,
                params=None if escaped else query,
                data=body if has_body else None,
                headers={"content-type": "application/json"},
            ) as response:
                assert response.status == 200

    asyncio.run(send())
    sent_method, target, headers, received = check(recorder, private_key)
    assert sent_method == method
    assert urlsplit(target).path.startswith("/20200129/")
    if method in ("POST", "PUT"):
        assert received == body
        assert headers["x-content-sha256"]
