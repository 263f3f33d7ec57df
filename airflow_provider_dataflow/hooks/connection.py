"""From an Airflow connection of type ``oci`` to what a client needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.access import Access, naming
from airflow_provider_dataflow.client.credentials import ApiKey
from airflow_provider_dataflow.compat import conf
from airflow_provider_dataflow.exceptions import InvalidConnection

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Connection

#: Forms of older Airflow releases store their fields under this prefix.
OLD_PREFIX = "extra__oci__"


def extras_of(connection: Connection) -> dict[str, Any]:
    """The extra fields by their plain names; empty ones, as forms leave them, count as not given."""
    try:
        extras = connection.extra_dejson
    except ValueError as error:
        raise InvalidConnection("extra: expected a JSON object") from error
    if not isinstance(extras, dict):
        raise InvalidConnection("extra: expected a JSON object")
    return {
        name.removeprefix(OLD_PREFIX): value
        # Plain names last, so that they win over the prefixed ones.
        for name, value in sorted(extras.items(), key=lambda item: not item[0].startswith(OLD_PREFIX))
        if value not in (None, "")
    }


def access_from(connection: Connection, *, region: str | None, service_endpoint: str | None) -> Access:
    """Read a connection.

    :param region: instead of the connection's.
    :param service_endpoint: instead of the connection's, or of the region's own.
    :raises InvalidConnection: a field is missing or malformed; its name is in the message.
    """
    with naming(connection.conn_id):
        extras = extras_of(connection)
        return Access(
            credentials=ApiKey(
                user=connection.login or "",
                tenancy=extras.get("tenancy", ""),
                fingerprint=extras.get("fingerprint", ""),
                private_key_content=extras.get("private_key_content", ""),
                pass_phrase=connection.password or None,
            ),
            region=region or extras.get("region"),
            service_endpoint=service_endpoint or extras.get("service_endpoint"),
            allowed_endpoints=allowed_endpoints(),
            connection=connection.conn_id,
        )


def allowed_endpoints() -> list[str]:
    """Hosts beyond OCI's own and loopback that an administrator allows signed requests to."""
    listed = conf.get("oci_data_flow", "allowed_endpoints", fallback="") or ""
    return [host.strip() for host in listed.split(",") if host.strip()]
