"""What the tests expect of Airflow releases that lack a feature or have a fault.

A test that depends on one checks what that release does instead. If that breaks a promise, the test ends with
:func:`pytest.xfail` and the reason, which appears below the table of releases in docs/reliability.md.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from airflow import sdk

from airflow_provider_dataflow.compat import NEVER_EXPIRE
from airflow_provider_dataflow.models.run import TERMINAL_STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.task_under_test import TaskUnderTest

#: The installed release, and its major and minor number.
RELEASE = version("apache-airflow")
AIRFLOW = tuple(int(number) for number in RELEASE.split(".")[:2])

#: Column of the table ``task_instance`` with the map index, which Airflow 3.4 has renamed.
MAP_INDEX_COLUMN = "region_index" if AIRFLOW >= (3, 4) else "map_index"

#: Rows of the table ``task_instance``, in which Airflow 3.4 also keeps earlier tries.
CURRENT_TRIES = "(SELECT * FROM task_instance WHERE working_set)" if AIRFLOW >= (3, 4) else "task_instance"

#: Counts the XComs of a DAG with a key, which Airflow 3.4 stores by try.
COUNT_XCOMS = (
    "SELECT count(*) AS rows FROM xcom_v2 JOIN task_instance ON task_instance.id = task_instance_id "
    "WHERE key = %s AND dag_id = %s"
    if AIRFLOW >= (3, 4)
    else "SELECT count(*) AS rows FROM xcom WHERE key = %s AND dag_id = %s"
)

#: The submission record is stored (3.3 and newer). Without it, a retry first searches the run by its tags.
SUBMITS_ARE_RECORDED = NEVER_EXPIRE is not None

#: A DAG can have deadlines (3.1 and newer).
HAS_DEADLINES = hasattr(sdk, "DeadlineAlert") and hasattr(sdk, "AsyncCallback")

KILLED_WORKER = (
    "Airflow 3.0 fails a task whose worker was killed by a signal, without a retry, and calls nothing. "
    "The run continues until the task is cleared, which cancels it."
)
SCHEDULER_ENDS = (
    "The scheduler of Airflow 3.4.0b2 ends when it has to begin a try itself, because a worker was killed by "
    "a signal or its task was cleared: it violates a constraint of its database "
    "(`task_instance_current_key`)."
)
CLEARED_IN_WORKER = (
    "Airflow 3.0 leaves a running task that is cleared in the state `restarting` and never starts it again. "
    "Its run is cancelled."
)

CONNECTION_FORM = (
    "Airflow 3.0 shows the fields of a connection type only if Flask-AppBuilder is installed, as with "
    "apache-airflow-providers-fab. Without it, give the fields as JSON in Extra."
)
RENDERED_SECRETS = (
    "Airflow 3.0 stores the rendered fields of all operators with the secrets in them, and masks only fields "
    "with a sensitive name. 3.1 masks them in the worker."
)

STOPPED_CANCEL = (
    "Airflow 3.0 ends a triggerer that is told to stop without waiting for the cancels that it has begun. "
    "The sweep of the next triggerer cancels the run."
)

CLEARED_STREAM = (
    "Before Airflow 3.3, nothing records how often the DAG run was cleared, so the new try takes the clear "
    "for a retry: it goes on with the successor and submits no run."
)


def expect_scheduler_to_begin_tries(task: TaskUnderTest) -> None:
    """Return if the scheduler can. If not, end the test before it has to: all others need the scheduler."""
    if RELEASE != "3.4.0b2":
        return
    task.mark_dag_run("failed")
    pytest.xfail(SCHEDULER_ENDS)


def expect_retry_of_killed_worker(task: TaskUnderTest) -> None:
    """Return if Airflow retries a killed worker. If not, check that a clear replaces the run; end."""
    if AIRFLOW >= (3, 1):
        return
    task.wait_until(lambda: task.state == "failed", "the task to be failed")
    assert task.try_number == 1
    task.wait_for_run()  # the harness lists runs every now and then
    runs = len(task.runs())
    task.clear()
    task.wait_until(lambda: task.try_number == 2, "the second try")
    last = task.wait_for_run(number=runs + 1)
    earlier = [run["id"] for run in task.runs()[:runs]]

    def replaced() -> bool:
        by_id = {run["id"]: run["lifecycleState"] for run in task.runs()}
        return all(by_id[run_id] in TERMINAL_STATES for run_id in earlier)

    task.wait_until(replaced, "its first run to be cancelled")
    task.end_run(last, unless_ended=True)
    task.wait_until(lambda: task.state == "success", "the second try to succeed")
    pytest.xfail(KILLED_WORKER)


def expect_retry_of_killed_stream(task: TaskUnderTest) -> None:
    """Return if Airflow retries a killed worker. If not, check that its STREAMING run continues; end it."""
    if AIRFLOW >= (3, 1):
        return
    task.wait_until(lambda: task.state == "failed", "the task to be failed")
    task.end_run(task.wait_for_run("IN_PROGRESS"))
    pytest.xfail(KILLED_WORKER)


def expect_restart_of_cleared_worker(task: TaskUnderTest) -> None:
    """Return if Airflow restarts a running task that is cleared. If not, check its run, and end the test."""
    if AIRFLOW >= (3, 1):
        return
    task.wait_until(lambda: task.cancels(), "its run to be cancelled")
    task.wait_for_unwanted_effects()
    assert task.state == "restarting"
    assert len(task.runs()) == 1
    # Otherwise the scheduler would look for its heartbeat, in vain, as long as it lives.
    task.mark_dag_run("failed")
    pytest.xfail(CLEARED_IN_WORKER)


def expect_stopping_triggerer_to_finish(task: TaskUnderTest, start_triggerer: Callable[[], None]) -> None:
    """Return if a triggerer that stops waits for its cancel. If not, check that the sweep cancels; end."""
    if AIRFLOW >= (3, 1):
        return
    assert not [entry for entry in task.requests("DeleteRun") if entry["status"] < 300]
    start_triggerer()
    task.wait_for_end("failed", runs=["CANCELED"], cancelled_by=[(1, "triggerer")])
    pytest.xfail(STOPPED_CANCEL)


def expect_clear_of_stream_to_be_recognized(task: TaskUnderTest) -> None:
    """Return if the new try is to cancel the successor. If not, check what it does, and end the test."""
    if SUBMITS_ARE_RECORDED:
        return
    if AIRFLOW < (3, 1):
        task.wait_until(lambda: task.state == "restarting", "the cleared task to be stopped")
        task.mark_dag_run("failed")
        pytest.xfail(CLEARED_IN_WORKER)
    task.end_run(task.wait_until_following(2))
    task.wait_for_end("success", runs=["STOPPED", "SUCCEEDED"])
    assert len(task.requests("CreateRun")) == 1
    pytest.xfail(CLEARED_STREAM)
