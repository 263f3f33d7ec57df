"""Proxies and certificate authorities, as both clients and token requests use them, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_dataflow.client import async_client as aio
from airflow_provider_dataflow.client import sdk_client
from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import WorkloadIdentity
from airflow_provider_dataflow.client.connection_diagnosis import explain
from airflow_provider_dataflow.client.network_settings import CA_VARIABLES, network_settings
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.client.user_agent import user_agent
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from tests.identity_service import IdentityService, certificate, new_key, pem_of
from tests.unit.client.test_network_errors import Server, access_to, both
from tests.unit.support import verify_signature

#: Documentation addresses, which are reachable through the proxy only.
HTTP_ENDPOINT, HTTPS_ENDPOINT = "http://dataflow.test:81", "https://192.0.2.1"
HOSTS = ("dataflow.test", "192.0.2.1")
PASSWORD = "p@ss:w/ord#%"
BASIC = f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    for name in os.environ:
        if name.lower().endswith("_proxy") or name in CA_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(max_attempts=1))


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """Return a self-signed certificate of 192.0.2.1 with its key."""
    key = new_key()
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_text(pem_of(key) + certificate(key, "dataflow", host="192.0.2.1"))
    return path


def server_context(chain: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


@pytest.fixture
def proxy():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def tls_server(authority):
    server = Server(server_context(authority))
    yield server
    server.close()


def set_variables(monkeypatch, variables: dict[str, str], port: int) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("PORT", str(port)))


USED = [
    {"HTTP_PROXY": "http://127.0.0.1:PORT"},
    {"http_proxy": "http://127.0.0.1:PORT"},
    {"HTTP_PROXY": "127.0.0.1:PORT"},
    {"http_proxy": "127.0.0.1:PORT"},
    {"HTTP_PROXY": "//127.0.0.1:PORT"},
    {"HTTP_PROXY": "localhost:PORT"},
    {"HTTP_PROXY": " HTTP://127.0.0.1:PORT/ "},
    {"ALL_PROXY": "http://127.0.0.1:PORT"},
    {"all_proxy": "127.0.0.1:PORT"},
    {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:PORT"},
    {"ALL_PROXY": "socks5://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:PORT"},
    {"HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:PORT"},
    {"HTTP_PROXY": "127.0.0.1:PORT", "NO_PROXY": ""},
    {"HTTP_PROXY": "127.0.0.1:PORT", "NO_PROXY": "other.test, notdataflow.test,taflow.test"},
    {"HTTP_PROXY": "127.0.0.1:PORT", "NO_PROXY": "dataflow.test:82"},
    {"HTTP_PROXY": "127.0.0.1:PORT", "NO_PROXY": "*.dataflow.test"},
    {"HTTP_PROXY": "127.0.0.1:PORT", "NO_PROXY": "10.0.0.0/8,127.0.0.1"},
]


def as_id(variables: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in variables.items())


@both
@pytest.mark.parametrize("variables", USED, ids=as_id)
def test_a_proxy_is_used(get_run, proxy, key_fields, private_key, monkeypatch, variables):
    set_variables(monkeypatch, variables, proxy.port)
    assert get_run(access_to(HTTP_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"
    ((method, target, headers, _),) = proxy.requests
    assert headers["host"] == "dataflow.test:81"
    verify_signature(private_key.public_key(), method, target, headers)
    assert "proxy-authorization" not in headers


@both
@pytest.mark.parametrize(
    "no_proxy",
    [
        *("dataflow.test", "test", ".test", "*.test", "*", "other,*", "DataFlow.Test", "dataflow.test:81"),
        *("a.test, dataflow.test", "a.test dataflow.test", ".dataflow.test", "data*"),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_a_host(get_run, proxy, key_fields, monkeypatch, variable, no_proxy):
    set_variables(monkeypatch, {"HTTP_PROXY": "127.0.0.1:PORT", variable: no_proxy}, proxy.port)
    with pytest.raises(ServiceError, match="got no response"):
        get_run(access_to(HTTP_ENDPOINT, key_fields, allowed_endpoints=HOSTS))
    assert not proxy.requests


@pytest.mark.parametrize(
    ("url", "no_proxy", "is_direct"),
    [
        ("https://192.0.2.1", "192.0.2.1", True),
        ("https://192.0.2.1", "192.0.2.0/24", True),
        ("https://192.0.2.1", "192.0.2.1:443", True),
        ("https://192.0.2.1", "192.0.3.0/24", False),
        ("https://192.0.2.1", "92.0.2.1", False),
        ("https://192.0.2.1", "192.*", True),
        ("https://[2001:db8::1]", "2001:db8::/32", True),
        ("https://[2001:db8::1]", "[2001:db8::1]", True),
        ("https://[2001:db8::1]", "10.0.0.0/8", False),
        ("https://dataflow.test", "dataflow.test:443", True),
        ("https://dataflow.test.", "dataflow.test", True),
        ("https://169.254.169.254/opc/v2", "", True),
        ("https://[fe80::1]", "", True),
        ("https://[fd00:c1::a9fe:a9fe]/opc/v2", "", True),
        ("https://127.0.0.1:1", "", True),
        ("https://[::1]:1", "", True),
        ("https://localhost:1", "", True),
        ("ftp://dataflow.test", "", True),
    ],
)
def test_addresses_that_need_no_proxy(monkeypatch, url, no_proxy, is_direct):
    set_variables(monkeypatch, {"HTTPS_PROXY": "proxy:3128", "NO_PROXY": no_proxy}, 0)
    assert network_settings(url).proxy == (None if is_direct else "http://proxy:3128")


def test_an_empty_variable_names_no_proxy(monkeypatch):
    set_variables(monkeypatch, {"HTTPS_PROXY": "proxy:3128", "https_proxy": ""}, 0)
    assert network_settings(HTTPS_ENDPOINT).proxy is None


@both
@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (f"me:{quote(PASSWORD, safe='')}", BASIC),
        ("me:p@ss", f"Basic {base64.b64encode(b'me:p@ss').decode()}"),
        ("token", f"Basic {base64.b64encode(b'token:').decode()}"),
    ],
    ids=["percent-encoded", "plain", "user alone"],
)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_credentials_of_a_proxy(get_run, proxy, key_fields, monkeypatch, credentials, header, scheme):
    set_variables(monkeypatch, {"HTTP_PROXY": f"{scheme}{credentials}@127.0.0.1:PORT"}, proxy.port)
    assert get_run(access_to(HTTP_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"
    ((_, _, headers, _),) = proxy.requests
    assert headers["proxy-authorization"] == header


@both
@pytest.mark.parametrize(
    ("variable", "scheme"),
    [("HTTPS_PROXY", "http://"), ("https_proxy", ""), ("ALL_PROXY", ""), ("all_proxy", "http://")],
)
def test_https_goes_through_a_tunnel(
    get_run, proxy, tls_server, authority, key_fields, monkeypatch, variable, scheme
):
    """Only the proxy gets its credentials, and the certificate of the service is verified."""
    proxy.tunnel = tls_server.port
    value = f"{scheme}me:{quote(PASSWORD, safe='')}@127.0.0.1:PORT"
    set_variables(monkeypatch, {variable: value, "HTTP_PROXY": "http://127.0.0.1:9"}, proxy.port)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    assert get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"
    ((method, target, headers, _),) = proxy.requests
    assert (method, target, headers["proxy-authorization"]) == ("CONNECT", "192.0.2.1:443", BASIC)
    ((_, _, headers, _),) = tls_server.requests
    assert "proxy-authorization" not in headers


@both
def test_a_proxy_with_tls_of_its_own(get_run, tls_server, authority, key_fields, monkeypatch, tmp_path):
    key = new_key()
    chain = tmp_path / "proxy.pem"
    chain.write_text(pem_of(key) + certificate(key, "proxy", host="127.0.0.1"))
    proxy = Server(server_context(chain))
    proxy.tunnel = tls_server.port
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
    with pytest.raises(ServiceError, match=r"(?i)certificate.verify.failed"):
        get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS))
    assert not proxy.requests
    bundle = tmp_path / "ca.pem"
    bundle.write_text(chain.read_text() + authority.read_text())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    assert get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"
    assert [method for method, *_ in proxy.requests] == ["CONNECT"]
    proxy.close()


@both
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks5://127.0.0.1:1080", "'socks5' is not supported"),
        ("socks5h://me:s3cret@127.0.0.1:1080", "'socks5h' is not supported"),
        ("socks4://127.0.0.1:1080", "'socks4' is not supported"),
        ("http://me:s3cret#1@127.0.0.1:1", "percent-encoded"),
        ("http://me:s3cret/1@127.0.0.1:1", "percent-encoded"),
        ("http://me:s3cret@:1", "has no host"),
        ("http://127.0.0.1:s3cret", "malformed"),
        ("http://:s3cret@127.0.0.1:1", "user name"),
        ("http://me:s3cret%E2%82%AC@127.0.0.1:1", "Latin-1"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_an_error(get_run, key_fields, monkeypatch, variable, value, problem):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidConnection) as caught:
        get_run(access_to(HTTP_ENDPOINT, key_fields, allowed_endpoints=HOSTS))
    assert f"{variable}: " in str(caught.value)
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_proxy_that_does_not_apply_is_no_error(monkeypatch):
    set_variables(monkeypatch, {"ALL_PROXY": "socks5://proxy", "NO_PROXY": "dataflow.test"}, 0)
    assert network_settings("https://dataflow.test").proxy is None
    assert network_settings("http://127.0.0.1:1").proxy is None


@both
@pytest.mark.parametrize("endpoint", [HTTP_ENDPOINT, HTTPS_ENDPOINT])
def test_no_error_shows_the_password_of_a_proxy(get_run, proxy, key_fields, monkeypatch, endpoint):
    proxy.answer = lambda path: (407, {})
    proxy.tunnel_status = 407
    monkeypatch.setenv("ALL_PROXY", f"http://me:s3cret@127.0.0.1:{proxy.port}")
    access = access_to(endpoint, key_fields, allowed_endpoints=HOSTS)
    with pytest.raises(ServiceError) as caught:
        get_run(access)
    assert "s3cret" not in str(caught.value) + repr(access.network) + repr(access)


def test_connection_names_the_proxy_that_does_not_respond(key_fields, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "me:s3cret@127.0.0.1:9")
    access = access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)
    with pytest.raises(ServiceError) as caught:
        DataFlowClient(access).get_run("ocid1.dataflowrun.oc1..x")
    assert "through the proxy http://127.0.0.1:9, from HTTPS_PROXY" in explain(caught.value, access)
    assert "s3cret" not in explain(caught.value, access)


# Certificate authorities


@both
@pytest.mark.parametrize("variable", CA_VARIABLES)
def test_a_certificate_authority_is_trusted(
    get_run, proxy, tls_server, authority, key_fields, monkeypatch, tmp_path, variable
):
    proxy.tunnel = tls_server.port
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    monkeypatch.setenv(variable, str(hashed_folder(tmp_path, authority) if "DIR" in variable else authority))
    assert get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"


@both
@pytest.mark.parametrize("winner", CA_VARIABLES[:-1])
def test_first_ca_variable_wins(
    get_run, proxy, tls_server, authority, key_fields, monkeypatch, tmp_path, winner
):
    other = tmp_path / "other.pem"
    other.write_text(certificate(new_key(), "other", host="192.0.2.1"))
    proxy.tunnel = tls_server.port
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    for variable in CA_VARIABLES[CA_VARIABLES.index(winner) : -1]:
        monkeypatch.setenv(variable, str(authority))
    monkeypatch.setenv(winner, str(other))
    with pytest.raises(ServiceError, match=r"(?i)certificate.verify.failed"):
        get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS))
    monkeypatch.setenv(winner, "")
    for variable in CA_VARIABLES[: CA_VARIABLES.index(winner)]:
        monkeypatch.setenv(variable, str(other))
    if winner == "REQUESTS_CA_BUNDLE":
        assert get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)).state == "SUCCEEDED"


@both
@pytest.mark.parametrize("variable", CA_VARIABLES)
@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file or directory"), ("nothing", "contains none")],
    ids=["missing", "malformed"],
)
def test_certificates_that_cannot_be_read_are_an_error(
    get_run, key_fields, monkeypatch, tmp_path, variable, content, problem
):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(InvalidConnection, match=f"{variable}: .*{problem}"):
        get_run(access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS))


@both
def test_ca_variables_are_not_read_without_tls(get_run, proxy, key_fields, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    assert get_run(access_to(f"http://127.0.0.1:{proxy.port}", key_fields)).state == "SUCCEEDED"


def test_both_clients_trust_the_same_authorities_by_default(key_fields):
    import certifi

    access = access_to(HTTPS_ENDPOINT, key_fields, allowed_endpoints=HOSTS)
    assert access.network.ca_bundle == certifi.where()
    context = access.network.ssl_context()
    assert context is not None
    assert len(context.get_ca_certs()) > 100
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def hashed_folder(folder: Path, authority: Path) -> Path:
    """Return a folder with a certificate, named after the hash of its subject as OpenSSL expects."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found = x509.load_pem_x509_certificate(authority.read_bytes())
    path = folder / "ca"
    path.mkdir()
    name = f"{_subject_hash(found):08x}.0"
    (path / name).write_bytes(found.public_bytes(Encoding.PEM))
    return path


def _subject_hash(found) -> int:
    """Return the result of ``openssl x509 -subject_hash``, for the canonical subject in lower case."""
    import hashlib

    text = next(iter(found.subject)).value.lower().encode()
    attribute = b"\x06\x03\x55\x04\x03" + b"\x0c" + bytes([len(text)]) + text
    sequence = b"\x30" + bytes([len(attribute)]) + attribute
    canonical = b"\x31" + bytes([len(sequence)]) + sequence
    return int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], "little")


# Timeouts


@pytest.fixture
def silent():
    """Server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = []

        def accept() -> None:
            while True:
                try:
                    connections.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
    for connection in connections:
        connection.close()


@both
@pytest.mark.parametrize("through", ["directly", "a proxy", "a tunnel"])
def test_requests_time_out_without_response(get_run, silent, key_fields, monkeypatch, through):
    for module in (aio, sdk_client):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 0.3)
        monkeypatch.setattr(module, "READ_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{silent}")
    endpoint = {
        "directly": f"http://127.0.0.1:{silent}",
        "a proxy": HTTP_ENDPOINT,
        "a tunnel": HTTPS_ENDPOINT,
    }
    with pytest.raises(ServiceError, match=r"(?i)time") as caught:
        get_run(access_to(endpoint[through], key_fields, allowed_endpoints=HOSTS))
    assert caught.value.status is None
    assert caught.value.is_transient


def test_both_clients_use_the_same_timeouts(key_fields):
    access = access_to("http://127.0.0.1:9", key_fields)

    async def timeouts() -> tuple[float | None, float | None]:
        async with await AsyncDataFlowClient.create(lambda: access) as client:
            return client._session.timeout.sock_connect, client._session.timeout.sock_read

    assert asyncio.run(timeouts()) == DataFlowClient(access).sdk.base_client.timeout == (10, 60)


# Token services


@pytest.fixture
def identity(monkeypatch):
    service = IdentityService()
    monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{service.url}/opc/v2")
    yield service
    service.close()


def test_instance_principal_signs_in_through_the_proxy(identity, proxy, monkeypatch):
    """The metadata service is on the host, so it is reached without the proxy."""
    proxy.answer = lambda path: (404, {})
    monkeypatch.setenv("HTTP_PROXY", f"me:s3cret@127.0.0.1:{proxy.port}")
    with pytest.raises(ServiceError, match="SignIn"):
        InstancePrincipal(federation_endpoint="http://auth.test/v1/x509").sign_in()
    ((method, target, headers, _),) = proxy.requests
    assert (method, target, headers["host"]) == ("POST", "/v1/x509", "auth.test")
    assert headers["proxy-authorization"].startswith("Basic ")
    assert headers["user-agent"] == user_agent()
    assert identity.calls["/opc/v2/identity/cert.pem"] == 1


def test_a_proxy_that_cannot_be_used_is_an_error_when_signing_in(identity, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(InvalidConnection, match=r"HTTP_PROXY: .*socks5"):
        InstancePrincipal(federation_endpoint="http://auth.test/v1/x509").sign_in()


def test_workload_identity_signs_in_through_the_proxy(monkeypatch, tmp_path, proxy):
    account = tmp_path / "token"
    account.write_text(token_of_an_account())
    monkeypatch.setattr("oci.auth.rpt_path_providers.OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH", str(account))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (tmp_path / "ca.crt").write_text(certificate(new_key(), "cluster", host="192.0.2.7"))
    monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.7")
    proxy.tunnel_status = 403
    monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{proxy.port}")
    with pytest.raises(ServiceError, match="SignIn"):
        WorkloadIdentity().sign_in()
    assert {(method, target) for method, target, _, _ in proxy.requests} == {("CONNECT", "192.0.2.7:12250")}


def token_of_an_account() -> str:
    from tests.identity_service import token_for

    return token_for(new_key().public_key(), 3600)


def test_other_users_of_the_sdk_are_not_affected(proxy, monkeypatch):
    """The rules apply only to the SDK's requests for this package."""
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_session import redirect_to_sdk_session

    url = f"http://127.0.0.1:{proxy.port}/"
    requests = oci._vendor.requests
    requests.get(url)
    with redirect_to_sdk_session():
        requests.get(url)
    theirs, ours = (headers["user-agent"] for _, _, headers, _ in proxy.requests)
    assert theirs.startswith("python-requests/")
    assert "airflow-provider-dataflow/" in ours


def test_errors_of_access_name_the_connection(key_fields, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    access = access_to(HTTP_ENDPOINT, key_fields, allowed_endpoints=HOSTS, connection="oci_default")
    assert isinstance(access, Access)
    with pytest.raises(InvalidConnection, match=r"^connection 'oci_default': ALL_PROXY: "):
        access.prepare()
