"""Reading of Airflow connections of type ``oci``: credentials, region and endpoint.

More people may edit connections than may choose the identity of a worker or the files that it reads. So a
connection by itself can only sign in with an API key that it contains. The other ways need an argument in the
DAG, or an administrator's setting in Airflow's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.auth.access import Access, connection_in_errors
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

#: Prefix of the extra fields in connections that were saved by forms of older Airflow releases.
OLD_PREFIX = "extra__oci__"
CONFIG_SECTION = "oci_data_flow"


@dataclass(frozen=True)
class SignInArguments:
    """Arguments of the hook that choose how to sign in. The author of the DAG sets them."""

    auth_type: str | None = None
    config_file: str | None = None
    profile: str | None = None


def extras_of(connection: Connection | None) -> dict[str, Any]:
    """Return the extra fields without the prefix of older forms. Empty fields are left out.

    :raises InvalidConnection: the extra is not a JSON object.
    """
    if connection is None:
        return {}
    try:
        extras = connection.extra_dejson
    except ValueError:
        # "from None": the cause quotes the text, which may hold secrets.
        raise InvalidConnection("extra: expected a JSON object") from None
    if not isinstance(extras, dict):
        raise InvalidConnection("extra: expected a JSON object")
    return {
        name.removeprefix(OLD_PREFIX): value
        # Names without a prefix come last, so that they win.
        for name, value in sorted(extras.items(), key=lambda item: not item[0].startswith(OLD_PREFIX))
        if value not in (None, "")
    }


def access_from(
    connection: Connection | None,
    *,
    region: str | None = None,
    service_endpoint: str | None = None,
    sign_in_arguments: SignInArguments = SignInArguments(),
    reload: Callable[[], Connection | None] | None = None,
) -> Access:
    """Read a connection.

    :param connection: ``None`` for an ``auth_type`` that needs no connection.
    :param region: region name. Default: the connection's.
    :param service_endpoint: URL of the service. Default: the connection's, or the region's own.
    :param sign_in_arguments: the hook's arguments; they win over the connection.
    :param reload: looks the connection up again, for a refresh of the credentials.
    :raises InvalidConnection: a field is missing or malformed; its name is in the message.
    """
    add_product(f"apache-airflow/{airflow_version()}")
    conn_id = connection.conn_id if connection is not None else None
    with connection_in_errors(conn_id):
        extras = extras_of(connection)
        for name in ("region", "service_endpoint", "object_storage_endpoint"):
            if not isinstance(extras.get(name, ""), str):
                raise InvalidConnection(f"{name}: expected a string")
        credentials = credentials_from(connection, sign_in_arguments)
        region = region or extras.get("region")
        service_endpoint = service_endpoint or extras.get("service_endpoint")
        if isinstance(credentials, ApiKey) and not region and not service_endpoint:
            raise InvalidConnection("region: missing; expected a region or a service_endpoint")
        return Access(
            credentials=credentials,
            region=region,
            service_endpoint=service_endpoint,
            object_storage_endpoint=extras.get("object_storage_endpoint"),
            allowed_endpoints=allowed_endpoints(),
            connection=conn_id,
            reload=(lambda: credentials_from(reload(), sign_in_arguments)) if reload else None,
        )


def credentials_from(connection: Connection | None, arguments: SignInArguments) -> Credentials:
    """Return the credentials, and register their secrets for masking.

    :raises InvalidConnection: a field is missing or malformed, or the connection may not choose its
        ``auth_type``.
    """
    extras = extras_of(connection)
    password = (connection.password or None) if connection is not None else None
    auth_type = _auth_type(extras, arguments)
    for secret in _secrets(extras, password):
        mask_secret(secret)
    if auth_type in FILE_AUTH_TYPES:
        kind = ConfigFile if auth_type == "config_file" else SecurityToken
        return kind(
            path=arguments.config_file or _configured("config_file"),
            profile=arguments.profile or _configured("profile") or DEFAULT_PROFILE,
            pass_phrase=password,
        )
    for name in ("config_file", "profile"):
        if getattr(arguments, name):
            raise InvalidConnection(
                f"{name}: only for auth_type {' or '.join(FILE_AUTH_TYPES)}, but auth_type is {auth_type}"
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
        raise InvalidConnection("oci_conn_id: missing; auth_type api_key needs a connection with the key")
    if "key_file" in extras and "private_key_content" not in extras:
        raise InvalidConnection(
            "key_file: not read, since a connection must not make a worker read files; "
            "expected the content of the key as private_key_content"
        )
    return ApiKey(
        user=_text(connection.login, "login"),
        tenancy=_text(extras.get("tenancy"), "tenancy"),
        fingerprint=_text(extras.get("fingerprint"), "fingerprint"),
        private_key_content=_text(extras.get("private_key_content"), "private_key_content"),
        pass_phrase=password,
    )


def allowed_endpoints() -> list[str]:
    """Return the hosts that an administrator allows as endpoints besides loopback and OCI's own."""
    return _configured_list("allowed_endpoints")


def _auth_type(extras: dict[str, Any], arguments: SignInArguments) -> str:
    auth_type = arguments.auth_type or extras.get("auth_type") or API_KEY
    if auth_type not in AUTH_TYPES:
        raise InvalidConnection(f"auth_type: expected one of {', '.join(AUTH_TYPES)}; got {auth_type!r}")
    if (
        not arguments.auth_type
        and auth_type != API_KEY
        and auth_type not in _configured_list("allowed_auth_types")
    ):
        raise InvalidConnection(
            f"auth_type: a connection must not choose {auth_type} by itself; pass it as an argument in the "
            f"DAG, or ask an administrator to list it in [{CONFIG_SECTION}] allowed_auth_types"
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
    """Yield the secrets in all forms in which a log may show them. Airflow masks exact matches only."""
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
