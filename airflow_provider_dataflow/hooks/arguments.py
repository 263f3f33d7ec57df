"""The hook's arguments as operators, sensors and triggers take them."""

from __future__ import annotations

from typing import TypedDict

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook


class HookArguments(TypedDict, total=False):
    """Keyword arguments of :class:`~airflow_provider_dataflow.hooks.data_flow.DataFlowHook`.

    For signatures that pass them on: ``**hook_arguments: Unpack[HookArguments]``.
    """

    oci_conn_id: str | None
    """Airflow connection of type ``oci``. Default: ``oci_default``."""
    region: str | None
    """Region name. Default: the connection's."""
    service_endpoint: str | None
    """URL of the service. Default: the connection's, or the region's own."""
    auth_type: str | None
    """How to sign in, one of ``hooks.auth_types.AUTH_TYPES``. Default: the connection's, or ``api_key``."""
    config_file: str | None
    """Path of the SDK's configuration file on the worker, for ``config_file`` and ``security_token``."""
    profile: str | None
    """Section of that file."""


HOOK_ARGUMENTS = tuple(HookArguments.__annotations__)


class UsesHook:
    """Mixin for classes that have the hook's arguments as attributes."""

    oci_conn_id: str | None
    region: str | None
    service_endpoint: str | None
    auth_type: str | None
    config_file: str | None
    profile: str | None

    #: Component of Airflow that calls: in the User-Agent, which OCI's audit log shows.
    airflow_component = "worker"

    def hook_arguments(self) -> HookArguments:
        """Return the arguments for another hook, operator or trigger."""
        return {
            "oci_conn_id": self.oci_conn_id,
            "region": self.region,
            "service_endpoint": self.service_endpoint,
            "auth_type": self.auth_type,
            "config_file": self.config_file,
            "profile": self.profile,
        }

    def new_hook(self) -> DataFlowHook:
        """Return a hook with these arguments. Looks nothing up."""
        hook = DataFlowHook(**self.hook_arguments())
        hook.airflow_component = self.airflow_component
        return hook
