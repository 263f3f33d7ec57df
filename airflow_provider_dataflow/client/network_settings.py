"""Proxies and certificate authorities from the environment, by one set of rules for all requests.

The libraries disagree: requests takes ``HTTP_PROXY`` without a scheme, ``ALL_PROXY`` and
``REQUESTS_CA_BUNDLE``, aiohttp takes none of them, and OpenSSL reads ``SSL_CERT_FILE``, which requests does
not. So this module reads the environment for both clients.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from airflow_provider_dataflow.exceptions import InvalidConnection

PROXY_SCHEMES = ("http", "https")
DEFAULT_PORTS = {"http": 80, "https": 443}

#: Variables with the certificate authorities to trust, in order of precedence.
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")

#: Network of OCI's instance metadata service over IPv6; over IPv4 its address is link-local.
METADATA_NETWORK = ipaddress.ip_network("fd00:c1::/64")


@dataclass(frozen=True)
class NetworkSettings:
    """Proxy and certificate authorities for one endpoint.

    :param proxy: URL of the proxy, with its credentials percent-encoded. ``None``: connect directly.
    :param ca_bundle: file or folder of the certificate authorities to trust; ``None`` without TLS.
    :param proxy_variable: variable that the proxy comes from, for messages.
    """

    proxy: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    proxy_variable: str | None = None

    @property
    def proxy_address(self) -> str | None:
        """URL of the proxy without credentials, which aiohttp would quote in errors."""
        if self.proxy is None:
            return None
        scheme, _, rest = self.proxy.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @property
    def proxy_authorization(self) -> str | None:
        """Header ``Proxy-Authorization``, if the proxy has credentials."""
        credentials = urlsplit(self.proxy or "").netloc.rpartition("@")[0]
        if not credentials:
            return None
        return f"Basic {base64.b64encode(unquote(credentials).encode('latin-1')).decode()}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a TLS context like that of the SDK's requests, for aiohttp. Reads files.

        :raises InvalidConnection: the certificate authorities cannot be read.
        """
        return None if self.ca_bundle is None else _context(self.ca_bundle)


def network_settings(url: str) -> NetworkSettings:
    """Return the settings for requests to a URL. Reads files, so not for an event loop.

    Lower-case variables win over upper-case ones. ``HTTPS_PROXY`` or ``HTTP_PROXY``, by the URL's scheme,
    wins over ``ALL_PROXY``. Loopback and link-local addresses are never reached through a proxy.

    :raises InvalidConnection: a variable for this URL has an unsupported value; the message names it.
    """
    proxy, variable = _proxy_and_variable(url)
    uses_tls = url.lower().startswith("https:") or (proxy or "").startswith("https:")
    return NetworkSettings(proxy, ca_bundle() if uses_tls else None, variable)


def _proxy_and_variable(url: str) -> tuple[str | None, str | None]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    proxies = getproxies_environment()
    kind = parts.scheme if parts.scheme in proxies else "all"
    if kind not in proxies or _needs_no_proxy(host) or _is_bypassed(host, port, proxies.get("no", "")):
        return None, None
    variable = _variable_named(f"{kind}_proxy")
    return _normalized(proxies[kind], variable), variable


def _variable_named(name: str) -> str:
    """Return the variable as it is spelled in the environment. Lower case wins."""
    return name if os.environ.get(name) else name.upper()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _needs_no_proxy(host: str) -> bool:
    """Return whether a host is this machine, or has a link-local address."""
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_link_local or address in METADATA_NETWORK


def _is_bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Return whether ``NO_PROXY`` lists a host.

    Understands patterns, addresses and networks, in addition to the standard library's hosts, suffixes and
    ports.
    """
    entries = [entry.lower().rstrip(".") for entry in re.split(r"[\s,]+", no_proxy) if entry]
    address = _address(host)
    for entry in entries:
        if "*" in entry and any(fnmatchcase(name, entry) for name in (host, f"{host}:{port}")):
            return True
        if address is not None and _contains(entry, address):
            return True
    return bool(proxy_bypass_environment(f"{host}:{port}", {"no": ",".join(entries)}))


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False


def _normalized(value: str, variable: str) -> str:
    """Return a proxy's URL in a form that both clients read in the same way.

    :raises InvalidConnection: the value is not supported. The message does not quote it, since it may contain
        a password.
    """
    expected = f"{variable}: expected the URL of a proxy like http://host:port"
    text = value.strip()
    if "://" not in text:
        text = f"http://{text.removeprefix('//')}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidConnection(
            f"{expected}; the value is malformed (credentials must be percent-encoded)"
        ) from None
    if parts.scheme not in PROXY_SCHEMES:
        raise InvalidConnection(
            f"{variable}: the proxy scheme {parts.scheme!r} is not supported; expected http://host:port "
            "or https://host:port; to bypass the proxy, add the service's host to NO_PROXY"
        )
    if not host or re.search(r"\s", host) or parts.query or parts.fragment or parts.path.strip("/"):
        raise InvalidConnection(
            f"{expected}; the value has no host, or text after the port (credentials must be percent-encoded)"
        )
    address = f"[{host}]" if ":" in host else host
    port = port or DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{_credentials(parts.username, parts.password, variable)}{address}:{port}"


def _credentials(user: str | None, password: str | None, variable: str) -> str:
    """Return ``user:password@``. With no password, the colon stays: aiohttp would send no credentials."""
    if not user and not password:
        return ""
    name, secret = unquote(user or ""), unquote(password or "")
    if not name or ":" in name:
        raise InvalidConnection(f"{variable}: expected a user name without a colon before the password")
    try:
        f"{name}{secret}".encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidConnection(
            f"{variable}: expected credentials in Latin-1, the characters of basic authentication"
        ) from None
    return f"{quote(name, safe='')}:{quote(secret, safe='')}@"


def ca_bundle() -> str:
    """Return the file or folder of certificate authorities: from ``CA_VARIABLES``, or the SDK's own file.

    :raises InvalidConnection: the file or folder of a variable cannot be read.
    """
    for variable in CA_VARIABLES:
        if path := os.environ.get(variable):
            _check_bundle(path, variable)
            return path
    from airflow_provider_dataflow.client.sdk import oci

    return str(oci._vendor.requests.certs.where())


def _check_bundle(path: str, variable: str) -> None:
    expected = "expected a file of certificates in PEM form"
    if variable == "SSL_CERT_DIR" and os.pathsep in path:
        raise InvalidConnection(f"{variable}: expected one folder, got {path!r}; a list is not supported")
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            _context(path)
    except ssl.SSLError:
        raise InvalidConnection(f"{variable}: {expected}; {path} contains none") from None
    except OSError as error:
        raise InvalidConnection(
            f"{variable}: {expected}, or a folder of them; {path} cannot be read: {error.strerror}"
        ) from None


def _context(path: str) -> ssl.SSLContext:
    """Return a TLS context like urllib3's for the SDK, so that both clients accept the same servers."""
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    if os.path.isdir(path):
        context.load_verify_locations(capath=path)
    else:
        context.load_verify_locations(cafile=path)
    context.set_alpn_protocols(["http/1.1"])
    return context
