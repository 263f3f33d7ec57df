"""The plugin by which Airflow finds the listener. Every process loads it, so it imports little."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dataflow.listeners import triggerer_listener


class DataFlowPlugin(AirflowPlugin):
    """Registers the listener that starts the sweep in triggerers."""

    name = "oci_data_flow"
    listeners = [triggerer_listener]  # noqa: RUF012 - Airflow's attribute
