"""Mapped tasks with values of upstream tasks, run by ``dag.test()``: the requests contain the values."""

from __future__ import annotations

from pathlib import Path

import oci
import pytest

from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from tests.contract.airflow_process import ended_of, run_dag_file

DAG_FILE = Path(__file__).parent / "dags" / "mapped.py"
UPSTREAM = "oci://b@ns/upstream.py --day 2013-01-01"


@pytest.mark.slow
def test_requests_contain_values_of_upstream_tasks(tmp_path):
    with DataFlowFixture(tmp_path / "local", engine="scripted") as local:
        local.succeeds(duration=0.1)
        tested = run_dag_file(tmp_path, DAG_FILE, **local.environment)
        ended = ended_of(tested)
        assert {state for *_, state in ended} == {"success"}, (ended, tested.stderr[-3000:])

        submitted = sorted((run["displayName"], run["execute"], run["numExecutors"]) for run in local.runs)
        assert submitted == [
            ("beside", UPSTREAM, 2),
            ("expand", "oci://b@ns/first.py", 1),
            ("expand", "oci://b@ns/second.py", 1),
            ("items", "oci://b@ns/fourth.py", 2),
            ("items", "oci://b@ns/third.py", 1),
            ("literal", "oci://b@ns/fifth.py", 1),
            ("literal", UPSTREAM, 1),
            ("partial", UPSTREAM, 1),
            ("partial", UPSTREAM, 1),
            ("plain", UPSTREAM, 1),
        ]
        client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
        # The service creates an application for each run that is submitted with execute.
        listed = [
            a for a in client.list_applications(local.compartment_id).data if a.display_name in ("a", "b")
        ]
        applications = [client.get_application(item.id).data for item in listed]
        assert sorted((a.display_name, a.execute) for a in applications) == [
            ("a", UPSTREAM),
            ("b", UPSTREAM),
        ]
