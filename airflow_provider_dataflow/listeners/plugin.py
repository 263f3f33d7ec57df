"""The plugin by which Airflow finds the listener and the page. Every process loads it: it imports little."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from airflow_provider_dataflow.cost.mount import EXTERNAL_VIEW, FASTAPI_APP
from airflow_provider_dataflow.listeners import triggerer_listener


class DataFlowPlugin(AirflowPlugin):
    """Registers the listener that starts the sweep in triggerers, and the page with usage and cost."""

    name = "oci_data_flow"
    listeners = [triggerer_listener]  # noqa: RUF012 - Airflow's attribute
    fastapi_apps = [FASTAPI_APP]  # noqa: RUF012 - Airflow's attribute
    external_views = [EXTERNAL_VIEW]  # noqa: RUF012 - Airflow's attribute; ignored before 3.1
