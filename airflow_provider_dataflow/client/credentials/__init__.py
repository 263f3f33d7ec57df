"""The ways to sign in. Each is chosen by its name; none ever stands in for another."""

from __future__ import annotations

from airflow_provider_dataflow.client.credentials.api_key import ApiKey
from airflow_provider_dataflow.client.credentials.base import Credentials, SignIn
from airflow_provider_dataflow.client.credentials.config_file import ConfigFile, SecurityToken
from airflow_provider_dataflow.client.credentials.instance import InstancePrincipal
from airflow_provider_dataflow.client.credentials.resource import ResourcePrincipal, WorkloadIdentity

__all__ = [
    "ApiKey",
    "ConfigFile",
    "Credentials",
    "InstancePrincipal",
    "ResourcePrincipal",
    "SecurityToken",
    "SignIn",
    "WorkloadIdentity",
]
