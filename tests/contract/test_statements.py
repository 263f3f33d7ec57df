"""Statements of SESSION runs through the SDK."""

from __future__ import annotations

import oci
import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.processes import pids_with_marker
from tests.contract.conftest import target_of

models = oci.data_flow.models


@pytest.fixture(scope="module")
def scripted():
    with LocalDataFlow(engine="scripted") as server:
        yield target_of(server)


def done(target, run_id: str, number: int):
    """Wait for the end of a statement and return it."""
    return oci.wait_until(
        target.client,
        target.client.get_statement(run_id, number),
        evaluate_response=lambda r: r.data.lifecycle_state in ("SUCCEEDED", "FAILED", "CANCELLED"),
        max_interval_seconds=0.1,
        max_wait_seconds=60,
    ).data


def test_scripted_session_runs_statements(scripted):
    client = scripted.client
    application = scripted.create_application("none.py", type="SESSION", file_uri=None)
    run = scripted.submit(application.id)
    scripted.wait(run.id, lambda r: r.lifecycle_state == "IN_PROGRESS")
    created = client.create_statement(models.CreateStatementDetails(code="print(1)"), run.id).data
    assert (created.id, created.lifecycle_state, created.run_id) == (0, "ACCEPTED", run.id)

    statement = done(scripted, run.id, created.id)
    assert isinstance(statement.output.data, models.TextPlainStatementOutputData)
    assert (statement.output.status, statement.output.data.value) == ("OK", "print(1)")
    client.create_statement(models.CreateStatementDetails(code="raise ValueError('no')"), run.id)
    failed = done(scripted, run.id, 1)
    assert (failed.lifecycle_state, failed.output.error_name) == ("FAILED", "ValueError")
    listed = client.list_statements(run.id, lifecycle_state="SUCCEEDED").data
    assert [s.id for s in listed.items] == [0]
    assert client.delete_statement(run.id, 1).status == 204
    assert client.get_statement(run.id, 1).data.lifecycle_state == "FAILED"

    assert scripted.client.get_run(run.id).data.lifecycle_state == "IN_PROGRESS"
    client.delete_run(run.id)
    assert scripted.wait(run.id).lifecycle_state == "STOPPED"


@pytest.mark.spark
def test_spark_session_runs_and_interrupts_statements(local, target):
    client = target.client
    application = target.create_application("none.py", type="SESSION", file_uri=None)
    run = target.submit(application.id)
    target.wait(run.id, lambda r: r.lifecycle_state == "IN_PROGRESS")

    def run_code(code: str) -> int:
        return client.create_statement(models.CreateStatementDetails(code=code), run.id).data.id

    numbers = [
        run_code("x = spark.range(100).count()\nprint('counted')\nx"),
        run_code("1 / 0"),
        run_code("x + 1"),
        run_code("import time\ntime.sleep(600)"),
        run_code("'still here'"),
    ]
    counted, failed, sum_ = (done(target, run.id, number) for number in numbers[:3])
    assert (counted.lifecycle_state, counted.output.data.value) == ("SUCCEEDED", "counted\n100")
    assert (failed.output.error_name, failed.output.error_value) == ("ZeroDivisionError", "division by zero")
    assert any("<statement>" in line for line in failed.output.traceback)
    assert not any("session_driver.py" in line for line in failed.output.traceback)
    assert sum_.output.data.value == "101"
    oci.wait_until(
        client,
        client.get_statement(run.id, numbers[3]),
        "lifecycle_state",
        "IN_PROGRESS",
        max_interval_seconds=0.1,
    )
    assert client.delete_statement(run.id, numbers[3]).status == 204
    assert done(target, run.id, numbers[3]).lifecycle_state == "CANCELLED"
    assert done(target, run.id, numbers[4]).output.data.value == "'still here'"
    # Interrupt code in Java and in a Python worker: the connection to Java and the cores are free afterwards.
    for code in (
        "spark._jvm.java.lang.Thread.sleep(600_000)",
        "sc.parallelize([1, 2], 2).map(lambda x: time.sleep(600)).collect()",
    ):
        number = run_code(code)
        oci.wait_until(
            client,
            client.get_statement(run.id, number),
            "lifecycle_state",
            "IN_PROGRESS",
            max_interval_seconds=0.1,
        )
        assert client.delete_statement(run.id, number).status == 204
        assert done(target, run.id, number).lifecycle_state == "CANCELLED"
        assert done(target, run.id, run_code("spark.range(7).count()")).output.data.value == "7"

    assert client.get_run(run.id).data.lifecycle_state == "IN_PROGRESS"
    client.delete_run(run.id)
    assert target.wait(run.id).lifecycle_state == "STOPPED"
    assert local.run_states(run.id) == ["ACCEPTED", "IN_PROGRESS", "STOPPING", "STOPPED"]
    assert pids_with_marker(local.home, run.id) == []
