"""Who calls, and where: everything that a client of Data Flow is built from."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from airflow_provider_dataflow.client.auth.credentials import Credentials
from airflow_provider_dataflow.client.auth.regions import canonical, check_name, endpoint_of, is_of_oci
from airflow_provider_dataflow.client.auth.signer import SharedSigner, shared_signer
from airflow_provider_dataflow.client.network_settings import NetworkSettings, network_settings
from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.redaction import Redactor


@dataclass(frozen=True)
class Access:
    """Credentials, region and endpoint of one connection.

    :param credentials: who calls.
    :param region: region name, for example ``eu-frankfurt-1``. Default: where the credentials are at home.
    :param service_endpoint: instead of the region's own endpoint, for example ``http://127.0.0.1:8170``.
    :param allowed_endpoints: further hosts that ``service_endpoint`` may name.
    :param connection: id of the connection that all this is from, for messages.
    :param reload: reads the credentials anew, for when they are refused.
    :raises InvalidConnection: the region is malformed.
    """

    credentials: Credentials
    region: str | None = None
    service_endpoint: str | None = None
    allowed_endpoints: Collection[str] = ()
    connection: str | None = None
    reload: Callable[[], Credentials] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.region is not None:
            check_name(self.region)

    @cached_property
    def endpoint(self) -> str:
        """Base URL of the service. Imports the SDK, and may have to sign in, so not for an event loop.

        :raises InvalidConnection: the endpoint is malformed, or its host is not allowed.
        """
        with naming(self.connection):
            if self.service_endpoint is not None:
                return checked_endpoint(self.service_endpoint, self.allowed_endpoints)
            if self.home_region is None:
                raise InvalidConnection("region: missing, and there is no service_endpoint instead")
            return endpoint_of(self.home_region)

    @cached_property
    def home_region(self) -> str | None:
        """Full name of the region. As :attr:`endpoint`, not for an event loop."""
        with naming(self.connection):
            if self.region is not None:
                return canonical(self.region)
            region = self.signer.current().region
            return canonical(region) if region else None

    @cached_property
    def network(self) -> NetworkSettings:
        """Proxy and certificate authorities for the endpoint. As :attr:`endpoint`, not for an event loop.

        :raises InvalidConnection: a variable of the environment cannot be honoured.
        """
        with naming(self.connection):
            return network_settings(self.endpoint)

    @cached_property
    def signer(self) -> SharedSigner:
        """What signs for these credentials in this process."""
        return shared_signer(self.connection, self.credentials, self.reload)

    @property
    def parent_rpt_url(self) -> str | None:
        """What CreateRun has to be told of credentials that have a parent (``opc-parent-rpt-url``)."""
        return getattr(self.credentials, "parent_rpt_url", None)

    def prepare(self) -> None:
        """Do now, in a thread, what would block later on.

        :raises InvalidConnection: something about the connection is wrong.
        :raises ServiceError: who hands out tokens does not answer, or refuses.
        """
        with naming(self.connection):
            _ = self.endpoint, self.network
            self.signer.current()


@contextmanager
def naming(connection: str | None) -> Iterator[None]:
    """Put the connection's id before what is wrong with it."""
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


def checked_endpoint(url: str, allowed_hosts: Collection[str] = ()) -> str:
    """The endpoint without a trailing slash, if a signed request may be sent there.

    Loopback, OCI's own realms and the hosts in ``allowed_hosts`` may get one: a connection can be edited by
    more people than may make a worker call an arbitrary address.

    :raises InvalidConnection: it is no such endpoint.
    """
    expected = "expected a URL like https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"
    shown = Redactor().text(repr(url))
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidConnection(f"service_endpoint: {expected}, got {shown}: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidConnection(f"service_endpoint: {expected}, got {shown}")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise InvalidConnection("service_endpoint: expected scheme, host and port only")
    if ":" in host:
        raise InvalidConnection("service_endpoint: the SDK takes no IPv6 address; use a host name")
    if not is_loopback(host) and host not in allowed_hosts:
        if parts.scheme != "https":
            raise InvalidConnection(f"service_endpoint: {host} is not loopback, so it needs https")
        if not is_of_oci(host):
            raise InvalidConnection(
                f"service_endpoint: {host} is neither loopback nor OCI's; an administrator can list it in "
                "[oci_data_flow] allowed_endpoints of Airflow's configuration"
            )
    return f"{parts.scheme}://{parts.netloc}"
