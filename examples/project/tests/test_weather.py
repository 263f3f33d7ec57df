"""A user's test of a whole DAG, as the documentation shows it."""

# [START example]
import pendulum
from weather import dag

FEBRUARY = pendulum.datetime(2013, 2, 1)


def test_the_month_is_passed_on(dataflow_local):
    dag_run = dag.test(logical_date=FEBRUARY)

    assert dag_run.state == "success"
    [run] = dataflow_local.runs
    assert run["displayName"] == "monthly 2013-02-01"
    assert run["arguments"] == ["--month", "2013-02"]
    [ti] = dag_run.get_task_instances()
    assert ti.xcom_pull(task_ids="monthly", key="run_id") == run["id"]


def test_a_failure_fails_the_dag_run(dataflow_local):
    dataflow_local.fails(details="no such month: 2013-02")

    assert dag.test(logical_date=FEBRUARY).state == "failed"
    assert dataflow_local.cancels == []


# [END example]
