"""Results of the operators that read runs."""

from __future__ import annotations

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.operators.manage_run import GetRunOperator, ListRunsOperator
from tests.unit.support import RUN_ID, FakeTaskInstance, run_body

DETAILS = "bad args [--password, MARKED-1]"


def test_secret_in_details_of_a_read_run_is_hidden(client):
    body = run_body("FAILED", arguments=["--password", "MARKED-1"], lifecycleDetails=DETAILS)
    client.get_run = lambda run_id: Run.from_api(body)
    found = GetRunOperator(task_id="get", run_id=RUN_ID).execute({"ti": FakeTaskInstance()})
    assert found["lifecycle_details"] == "bad args [--password, ***]"
    assert "MARKED-1" not in str(found)


def test_listed_runs_have_no_details_and_no_secrets_in_tags(client):
    body = run_body("FAILED", freeformTags={"password": "MARKED-2"}, lifecycleDetails=DETAILS)
    client.list_runs = lambda compartment_id, **filters: iter([Run.from_api(body)])
    (found,) = ListRunsOperator(task_id="list").execute({"ti": FakeTaskInstance()})
    assert found["freeform_tags"] == {"password": "***"}
    assert "MARKED" not in str(found)
