"""From an Airflow connection of type ``oci`` to what a client needs.

A connection can be edited by more people than may decide what a worker reads and who it is. So everything but
an API key whose content is in the connection needs the author of the DAG, who says so with an argument, or an
administrator, who says so in Airflow's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.auth.access import Access, naming
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.config_file import (
    DEFAULT_PROFILE,
    ConfigFile,
    SecurityToken,
)
from airflow_provider_dataflow.client.auth.credentials import Credentials
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.private_key import secret_forms
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.client.user_agent import add_product
from airflow_provider_dataflow.compat import airflow_version, conf, mask_secret
from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.hooks.auth_types import API_KEY, AUTH_TYPES, FILE_AUTH_TYPES

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Connection

#: Forms of older Airflow releases store their fields under this prefix.
OLD_PREFIX = "extra__oci__"
CONFIG_SECTION = "oci_data_flow"


@dataclass(frozen=True)
class Choice:
    """What the author of a DAG says about the way in, with the hook's arguments of these names."""

    auth_type: str | None = None
    config_file: str | None = None
    profile: str | None = None


def extras_of(connection: Connection | None) -> dict[str, Any]:
    """The extra fields by their plain names; empty ones, as forms leave them, count as not given."""
    if connection is None:
        return {}
    try:
        extras = connection.extra_dejson
    except ValueError:
        # Without the cause, which has the text.
        raise InvalidConnection("extra: expected a JSON object") from None
    if not isinstance(extras, dict):
        raise InvalidConnection("extra: expected a JSON object")
    return {
        name.removeprefix(OLD_PREFIX): value
        # Plain names last, so that they win over the prefixed ones.
        for name, value in sorted(extras.items(), key=lambda item: not item[0].startswith(OLD_PREFIX))
        if value not in (None, "")
    }


def access_from(
    connection: Connection | None,
    *,
    region: str | None = None,
    service_endpoint: str | None = None,
    choice: Choice = Choice(),
    reload: Callable[[], Connection | None] | None = None,
) -> Access:
    """Read a connection.

    :param connection: none, if the way in needs none.
    :param region: instead of the connection's.
    :param service_endpoint: instead of the connection's, or of the region's own.
    :param choice: what the author of the DAG says.
    :param reload: looks the connection up anew.
    :raises InvalidConnection: a field is missing or malformed; its name is in the message.
    """
    add_product(f"apache-airflow/{airflow_version()}")
    conn_id = connection.conn_id if connection is not None else None
    with naming(conn_id):
        extras = extras_of(connection)
        for name in ("region", "service_endpoint"):
            if not isinstance(extras.get(name, ""), str):
                raise InvalidConnection(f"{name}: expected a string")
        credentials = credentials_from(connection, choice)
        region = region or extras.get("region")
        service_endpoint = service_endpoint or extras.get("service_endpoint")
        if isinstance(credentials, ApiKey) and not region and not service_endpoint:
            raise InvalidConnection("region: missing, and there is no service_endpoint instead")
        return Access(
            credentials=credentials,
            region=region,
            service_endpoint=service_endpoint,
            allowed_endpoints=allowed_endpoints(),
            connection=conn_id,
            reload=(lambda: credentials_from(reload(), choice)) if reload else None,
        )


def credentials_from(connection: Connection | None, choice: Choice) -> Credentials:
    """:raises InvalidConnection: a field is missing or malformed, or not for the connection to say."""
    extras = extras_of(connection)
    password = (connection.password or None) if connection is not None else None
    auth_type = _auth_type(connection, extras, choice)
    for secret in _secrets(extras, password):
        mask_secret(secret)
    if auth_type in FILE_AUTH_TYPES:
        kind = ConfigFile if auth_type == "config_file" else SecurityToken
        return kind(
            path=choice.config_file or _configured("config_file"),
            profile=choice.profile or _configured("profile") or DEFAULT_PROFILE,
            pass_phrase=password,
        )
    for name in ("config_file", "profile"):
        if getattr(choice, name):
            raise InvalidConnection(
                f"{name}: given, so expected auth_type {' or '.join(FILE_AUTH_TYPES)}, got {auth_type}"
            )
    match auth_type:
        case "instance_principal":
            return InstancePrincipal()
        case "resource_principal":
            return ResourcePrincipal()
        case "oke_workload_identity":
            return WorkloadIdentity()
        case "instance_principal_delegation":
            return InstancePrincipal(_delegation_token(extras))
        case "resource_principal_delegation":
            return ResourcePrincipal(_delegation_token(extras))
    if connection is None:
        raise InvalidConnection("oci_conn_id: missing; the API key is in the connection")
    if "key_file" in extras and "private_key_content" not in extras:
        raise InvalidConnection(
            "key_file: a connection cannot make a worker read a file; expected the key itself as "
            "private_key_content"
        )
    return ApiKey(
        user=_text(connection.login, "login"),
        tenancy=_text(extras.get("tenancy"), "tenancy"),
        fingerprint=_text(extras.get("fingerprint"), "fingerprint"),
        private_key_content=_text(extras.get("private_key_content"), "private_key_content"),
        pass_phrase=password,
    )


def allowed_endpoints() -> list[str]:
    """Hosts beyond OCI's own and loopback that an administrator allows signed requests to."""
    return _configured_list("allowed_endpoints")


def _auth_type(connection: Connection | None, extras: dict[str, Any], choice: Choice) -> str:
    auth_type = choice.auth_type or extras.get("auth_type") or API_KEY
    if auth_type not in AUTH_TYPES:
        raise InvalidConnection(f"auth_type: expected one of {', '.join(AUTH_TYPES)}; got {auth_type!r}")
    if (
        not choice.auth_type
        and auth_type != API_KEY
        and auth_type not in _configured_list("allowed_auth_types")
    ):
        raise InvalidConnection(
            f"auth_type: {auth_type} is more than a connection may choose by itself; give it as an argument "
            f"in the DAG, or let an administrator list it in [{CONFIG_SECTION}] allowed_auth_types"
        )
    return str(auth_type)


def _delegation_token(extras: dict[str, Any]) -> str:
    token = _text(extras.get("delegation_token"), "delegation_token").strip()
    if not token:
        raise InvalidConnection("delegation_token: missing; expected the token of the user to act for")
    return token


def _text(value: Any, name: str) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidConnection(f"{name}: expected a string")
    return value or ""


def _secrets(extras: dict[str, Any], password: str | None) -> Iterator[str]:
    """Secrets in all the forms that they may turn up in: Airflow masks only what it is shown."""
    if password:
        yield password
    if isinstance(token := extras.get("delegation_token"), str):
        yield token
    if isinstance(key := extras.get("private_key_content"), str):
        yield from secret_forms(key)


def _configured(option: str) -> str | None:
    return conf.get(CONFIG_SECTION, option, fallback="") or None


def _configured_list(option: str) -> list[str]:
    listed = _configured(option) or ""
    return [item.strip().lower() for item in listed.split(",") if item.strip()]
