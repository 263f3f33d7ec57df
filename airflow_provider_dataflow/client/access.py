"""Who calls, and where: everything that a client of Data Flow is built from."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from airflow_provider_dataflow.exceptions import InvalidConnection

REGION = re.compile(r"[a-z0-9-]+", re.ASCII)
ENDPOINT_TEMPLATE = "https://dataflow.{region}.oci.{secondLevelDomain}"


class Credentials(Protocol):
    """One way to sign in."""

    def build_signer(self) -> Any:
        """Build the SDK's signer. Costs CPU or even network, so never on an event loop.

        :raises InvalidConnection: a field is missing or malformed.
        """

    def sdk_config(self) -> dict[str, str]:
        """What the SDK's client wants to see beside the signer."""


@dataclass(frozen=True)
class Access:
    """Credentials, region and endpoint of one connection.

    :param credentials: who calls.
    :param region: region name, for example ``eu-frankfurt-1``.
    :param service_endpoint: instead of the region's own endpoint, for example ``http://127.0.0.1:8170``.
    :param allowed_endpoints: further hosts that ``service_endpoint`` may name.
    :param connection: id of the connection that all this is from, for messages.
    :raises InvalidConnection: the region or the endpoint is malformed or not allowed.
    """

    credentials: Credentials
    region: str | None = None
    service_endpoint: str | None = None
    allowed_endpoints: Collection[str] = ()
    connection: str | None = None

    def __post_init__(self) -> None:
        if self.region is not None and not REGION.fullmatch(self.region):
            raise InvalidConnection(
                f"region: expected a region's name like eu-frankfurt-1, got {self.region!r}"
            )
        if self.region is None and self.service_endpoint is None:
            raise InvalidConnection("region: missing, and there is no service_endpoint instead")

    @cached_property
    def endpoint(self) -> str:
        """Base URL of the service. Imports the SDK, so not for an event loop.

        :raises InvalidConnection: the endpoint is malformed, or its host is not allowed.
        """
        if self.service_endpoint is not None:
            with naming(self.connection):
                return checked_endpoint(self.service_endpoint, self.allowed_endpoints)
        from oci.regions import endpoint_for

        return str(endpoint_for("data_flow", region=self.region, service_endpoint_template=ENDPOINT_TEMPLATE))

    @cached_property
    def signer(self) -> Any:
        """The signer, built once. Not for an event loop (see :class:`Credentials`)."""
        with naming(self.connection):
            return self.credentials.build_signer()


@contextmanager
def naming(connection: str | None) -> Iterator[None]:
    """Put the connection's id before what is wrong with it."""
    try:
        yield
    except InvalidConnection as error:
        raise InvalidConnection(f"connection {connection!r}: {error}" if connection else str(error)) from None


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
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidConnection(f"service_endpoint: {expected}, got {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidConnection(f"service_endpoint: {expected}, got {url!r}")
    if parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise InvalidConnection("service_endpoint: expected scheme, host and port only")
    if ":" in host:
        raise InvalidConnection("service_endpoint: the SDK takes no IPv6 address; use a host name")
    if not is_loopback(host) and host not in allowed_hosts:
        if parts.scheme != "https":
            raise InvalidConnection(f"service_endpoint: {host} is not loopback, so it needs https")
        if not _is_of_oci(host):
            raise InvalidConnection(
                f"service_endpoint: {host} is neither loopback nor OCI's; an administrator can list it in "
                "[oci_data_flow] allowed_endpoints of Airflow's configuration"
            )
    return f"{parts.scheme}://{parts.netloc}"


def _is_of_oci(host: str) -> bool:
    from oci.regions import REALMS

    return any(host.endswith(f".{domain}") for domain in REALMS.values())
