"""All commands. Light: Airflow imports this for each of its own commands."""

from __future__ import annotations

from airflow_provider_dataflow.cli.command import Command
from airflow_provider_dataflow.cli.doctor import DOCTOR
from airflow_provider_dataflow.cli.package import PACKAGE

GROUP = "oci-data-flow"
SUMMARY = "Commands for OCI Data Flow"

COMMANDS: tuple[Command, ...] = (DOCTOR, PACKAGE)
