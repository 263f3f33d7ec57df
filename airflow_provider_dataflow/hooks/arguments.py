"""What operators, sensors and triggers say of their access to OCI: the arguments of their hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

HOOK_ARGUMENTS = ("oci_conn_id", "region", "service_endpoint", "auth_type", "config_file", "profile")


class UsesHook:
    """Has the arguments of a hook as attributes of the same names."""

    oci_conn_id: str | None
    region: str | None
    service_endpoint: str | None
    auth_type: str | None
    config_file: str | None
    profile: str | None
    _part = "worker"
    """Which part of Airflow calls, for OCI's audit log."""

    def keep_hook_arguments(self, given: Mapping[str, Any]) -> None:
        """Keep what of ``given``, for example the arguments of a constructor, is the hook's."""
        for name in HOOK_ARGUMENTS:
            setattr(self, name, given[name])

    def hook_arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in HOOK_ARGUMENTS}

    def new_hook(self) -> DataFlowHook:
        hook = DataFlowHook(**self.hook_arguments())
        hook.part = self._part
        return hook
