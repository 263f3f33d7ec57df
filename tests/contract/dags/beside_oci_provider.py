"""A run, the form and the test of its connection; run by test_beside_oci_provider.py."""

from __future__ import annotations

import json
import sys

import pendulum
from airflow.models.connection import Connection
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.operators.run import InvokeRunOperator

with DAG("beside", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")) as dag:
    InvokeRunOperator(task_id="run", execute="oci://b@ns/app.py", poll_interval=1, deferrable=True)

if __name__ == "__main__":
    manager = ProvidersManager()
    facts = {
        "hook": getattr(manager.hooks["oci"], "hook_class_name", None),
        "fields": sorted(name for name in manager.connection_form_widgets if "__oci__" in name),
        "providers": sorted(name for name in manager.providers if "oci" in name or "dataflow" in name),
        # As the button of the form does.
        "button": Connection.get_connection_from_secrets("oci_default").test_connection(),
        "hook_test": DataFlowHook().test_connection(),
    }
    print("facts", json.dumps(facts), file=sys.stderr)
    run = dag.test()
    print("ended", [(ti.task_id, str(ti.state)) for ti in run.get_task_instances()], file=sys.stderr)
