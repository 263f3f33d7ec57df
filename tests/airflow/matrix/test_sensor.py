"""Sensors, which wait for a run that something else has submitted, and own none."""

from __future__ import annotations

import pytest

from matrix.task_under_test import TaskUnderTest

matrix_case = pytest.mark.matrix_case
smoke = pytest.mark.smoke

#: Airflow fails a rescheduled task that is queued again before the scheduler has seen the end of its worker.
#: A busy scheduler took more than eight seconds.
RESCHEDULE_SECONDS = 25


@smoke
@pytest.mark.parametrize(
    "arguments",
    [{"deferrable": True}, {"mode": "poke"}, {"mode": "reschedule", "poke_interval": RESCHEDULE_SECONDS}],
    ids=["deferred", "poke", "reschedule"],
)
@matrix_case(operator="RunSensor", run_id="{{ dag_run.conf.run_id }}", poke_interval=5)
def test_sensor_succeeds_with_its_run(task: TaskUnderTest, arguments: dict[str, object]) -> None:
    run_id = task.submit_unowned_run()
    task.start(conf={"run_id": run_id})
    task.wait_until(lambda: len(task.requests("GetRun")) >= 2, "the sensor to poll twice")
    assert task.state != "success"
    task.end_run(run_id)
    task.wait_for_end("success", runs=[])
    assert not task.requests("DeleteRun")


@matrix_case(operator="RunSensor", deferrable=True, run_id="{{ dag_run.conf.run_id }}")
def test_killed_sensor_leaves_run_active(task: TaskUnderTest) -> None:
    run_id = task.submit_unowned_run()
    task.start(conf={"run_id": run_id})
    task.wait_for_state("deferred")
    task.wait_until(lambda: task.trigger_has_started(), "its trigger to start")
    task.mark("failed")
    task.wait_until(lambda: task.state == "failed", "the sensor to be failed")
    task.wait_for_unwanted_effects()
    assert not task.requests("DeleteRun")
    task.end_run(run_id)
