"""Credentials, region, endpoint and network settings of a connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from airflow_provider_dataflow.client.auth.credentials import Credentials
from airflow_provider_dataflow.client.auth.regions import (
    check_name,
    endpoint_of_region,
    is_oci_host,
    object_storage_endpoint_of_region,
    resolve_region,
)
from airflow_provider_dataflow.client.auth.signer import SharedSigner, shared_signer
from airflow_provider_dataflow.client.network_settings import NetworkSettings, network_settings
from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.redaction import Redactor

#: Examples of the fields that :func:`checked_endpoint` checks.
EXAMPLES = {
    "service_endpoint": "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com",
    "object_storage_endpoint": "https://objectstorage.eu-frankfurt-1.oraclecloud.com",
}


@dataclass(frozen=True)
class Access:
    """Credentials, region and endpoint of one connection.

    :param credentials: how to sign in.
    :param region: region name, for example ``eu-frankfurt-1``. Default: the region of the credentials.
    :param service_endpoint: URL, for example ``http://127.0.0.1:8170``. Default: the region's endpoint.
    :param object_storage_endpoint: URL of Object Storage. Default: ``service_endpoint`` if that is Local Data
        Flow, otherwise the region's endpoint.
    :param allowed_endpoints: hosts that the endpoints may name besides loopback and OCI's own.
    :param connection: id of the Airflow connection, for error messages.
    :param reload: reads the credentials again, for a refresh.
    :raises InvalidConnection: the region is malformed.
    """

    credentials: Credentials
    region: str | None = None
    service_endpoint: str | None = None
    object_storage_endpoint: str | None = None
    allowed_endpoints: Collection[str] = ()
    connection: str | None = None
    reload: Callable[[], Credentials] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.region is not None:
            check_name(self.region)

    @cached_property
    def endpoint(self) -> str:
        """Base URL of the service. Imports the SDK and may sign in, so not for an event loop.

        :raises InvalidConnection: the endpoint is malformed, or its host is not allowed.
        """
        with connection_in_errors(self.connection):
            if self.service_endpoint is not None:
                return checked_endpoint(self.service_endpoint, self.allowed_endpoints)
            if self.home_region is None:
                raise InvalidConnection("region: missing; expected a region or a service_endpoint")
            return endpoint_of_region(self.home_region)

    @cached_property
    def object_storage_url(self) -> str:
        """Base URL of Object Storage. Not for an event loop, like :attr:`endpoint`.

        :raises InvalidConnection: the endpoint is malformed or not allowed, or the region is unknown.
        """
        with connection_in_errors(self.connection):
            if self.object_storage_endpoint is not None:
                name = "object_storage_endpoint"
                return checked_endpoint(self.object_storage_endpoint, self.allowed_endpoints, name)
            if self.service_endpoint is not None and is_loopback(urlsplit(self.endpoint).hostname or ""):
                return self.endpoint
            if self.home_region is None:
                raise InvalidConnection("region: missing; expected a region or an object_storage_endpoint")
            return object_storage_endpoint_of_region(self.home_region)

    @cached_property
    def home_region(self) -> str | None:
        """Full name of the region. Not for an event loop, like :attr:`endpoint`."""
        with connection_in_errors(self.connection):
            if self.region is not None:
                return resolve_region(self.region)
            region = self.signer.current().region
            return resolve_region(region) if region else None

    @cached_property
    def network(self) -> NetworkSettings:
        """Proxy and certificate authorities for the endpoint. Not for an event loop, like :attr:`endpoint`.

        :raises InvalidConnection: an environment variable has a value that is not supported.
        """
        with connection_in_errors(self.connection):
            return network_settings(self.endpoint)

    @cached_property
    def signer(self) -> SharedSigner:
        """Signer for these credentials, shared by the process."""
        return shared_signer(self.connection, self.credentials, self.reload)

    @property
    def parent_rpt_url(self) -> str | None:
        """Header ``opc-parent-rpt-url`` of CreateRun, for credentials of a nested resource."""
        return getattr(self.credentials, "parent_rpt_url", None)

    def prepare(self) -> None:
        """Resolve the endpoint, read the network settings and sign in. Blocks, so call it in a thread.

        :raises InvalidConnection: the connection cannot be used.
        :raises ServiceError: the sign-in failed.
        """
        with connection_in_errors(self.connection):
            _ = self.endpoint, self.network
            self.signer.current()


@contextmanager
def connection_in_errors(connection: str | None) -> Iterator[None]:
    """Prefix the messages of ``InvalidConnection`` with the id of the connection."""
    try:
        yield
    except InvalidConnection as error:
        prefix = f"connection {connection!r}: "
        if connection is None or str(error).startswith(prefix):
            raise
        raise InvalidConnection(f"{prefix}{error}") from None


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_endpoint(url: str, allowed_hosts: Collection[str] = (), name: str = "service_endpoint") -> str:
    """Return the endpoint without a trailing slash, if signed requests may be sent there.

    More people may edit connections than may choose which hosts a worker calls. So only loopback addresses,
    hosts of OCI's realms and ``allowed_hosts`` are accepted.

    :param name: name of the field, for error messages.
    :raises InvalidConnection: the URL is malformed, or its host is not allowed.
    """
    expected = f"expected a URL like {EXAMPLES[name]}"
    shown = Redactor().text(repr(url))
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidConnection(f"{name}: {expected}, got {shown}: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidConnection(f"{name}: {expected}, got {shown}")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path.strip("/"):
        raise InvalidConnection(f"{name}: expected scheme, host and port only")
    if ":" in host:
        raise InvalidConnection(f"{name}: expected a host name; the SDK supports no IPv6 addresses")
    if not is_loopback(host) and host not in allowed_hosts:
        if parts.scheme != "https":
            raise InvalidConnection(f"{name}: expected https, since {host} is not loopback")
        if not is_oci_host(host):
            raise InvalidConnection(
                f"{name}: {host} is neither loopback nor a host of OCI; an administrator can list "
                "it in [oci_data_flow] allowed_endpoints of Airflow's configuration"
            )
    return f"{parts.scheme}://{parts.netloc}"
