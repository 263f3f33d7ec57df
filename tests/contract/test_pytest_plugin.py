"""The example of the documentation: a user's test of a task, with the real SDK, against the fixture."""

from __future__ import annotations

# [START example]
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.exceptions import RunFailed
from airflow_provider_dataflow.operators.run import InvokeRunOperator


def monthly() -> InvokeRunOperator:
    """A task of yours; more often imported from your DAG: ``dag.get_task("monthly")``."""
    return InvokeRunOperator(
        task_id="monthly",
        display_name="monthly",
        execute="oci://weather@local/monthly.py --month 2013-01",
        poll_interval=0.1,
    )


@pytest.fixture
def context():
    """A context with those attributes of a task instance that the operator reads."""
    ti = SimpleNamespace(
        dag_id="weather",
        run_id="manual__1",
        task_id="monthly",
        map_index=-1,
        try_number=1,
        max_tries=0,
        start_date=datetime.now(UTC),
    )
    ti.xcoms = {}
    ti.xcom_push = lambda key, value: ti.xcoms.update({key: value})
    return {"ti": ti}


@pytest.fixture(autouse=True)
def application(dataflow_local):
    (dataflow_local.create_bucket("weather") / "monthly.py").write_text("print('hello')")


def test_one_run_is_submitted(dataflow_local, context):
    run_id = monthly().execute(context)

    assert dataflow_local.runs_created == [run_id]
    assert dataflow_local.cancels == []
    assert dataflow_local.run_states(run_id)[-1] == "SUCCEEDED"


def test_a_failure_says_why(dataflow_local, context):
    dataflow_local.fails(details="no such month: 2013-13")

    with pytest.raises(RunFailed, match="no such month"):
        monthly().execute(context)


def test_a_lost_answer_makes_no_second_run(dataflow_local, context):
    dataflow_local.add_fault("lost_response", operation="CreateRun", count=1)

    monthly().execute(context)

    assert len(dataflow_local.runs_created) == 1
    dataflow_local.assert_requests(CreateRun=2)


# [END example]


@pytest.mark.dataflow_local(clock="manual")
def test_an_hour_passes_at_once(dataflow_local):
    import oci

    dataflow_local.succeeds(duration=3600)
    client = oci.data_flow.DataFlowClient(dataflow_local.sdk_config, service_endpoint=dataflow_local.endpoint)
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=dataflow_local.compartment_id, execute="oci://weather@local/monthly.py"
    )
    run_id = client.create_run(details).data.id
    dataflow_local.advance(3599)
    assert client.get_run(run_id).data.lifecycle_state == "IN_PROGRESS"
    dataflow_local.advance(1)
    assert client.get_run(run_id).data.lifecycle_state == "SUCCEEDED"
    assert client.get_run(run_id).data.run_duration_in_milliseconds == 3_600_000
    assert dataflow_local.polls_per_run[run_id] == 3
