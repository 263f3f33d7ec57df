"""Ask Airflow for the current state of a task instance. For workers and triggers, which have no database."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from airflow_provider_dataflow.client.threads import call_with_timeout
from airflow_provider_dataflow.compat import prepare_xcoms, pull_xcom, task_states
from airflow_provider_dataflow.models.task_identity import TaskIdentity

log = logging.getLogger(__name__)

#: States of a task that runs or will run again. Its worker is lost, or was declared lost. A cleared task is
#: ``restarting`` instead.
CONTINUING_STATES = ("running", "up_for_retry", "scheduled", "queued")

#: States of tasks that have ended, so that no try re-attaches to their runs.
ENDED_TASK_STATES = ("success", "failed", "skipped", "upstream_failed", "removed")


@dataclass(frozen=True)
class TaskState:
    """Current state of a task instance in Airflow's database.

    :param exists: whether the task instance exists.
    :param state: its state; ``None`` if it has none, as after a clear.
    :param xcom: value of the XCom that was asked for.
    """

    exists: bool
    state: str | None = None
    xcom: object = None


def read_task_state(identity: TaskIdentity, xcom_key: str | None = None) -> TaskState:
    """Read the state of a task instance, and one of its XComs.

    Blocks. The first call imports much of Airflow, so call it in a thread in a triggerer.
    """
    states = task_states(identity)
    key = identity.task_id if identity.map_index < 0 else f"{identity.task_id}_{identity.map_index}"
    if key not in states:
        return TaskState(exists=False)
    state = states[key]
    value = pull_xcom(identity, xcom_key) if xcom_key is not None else None
    return TaskState(True, str(getattr(state, "value", state)) if state is not None else None, value)


def prepare_task_state(identity: TaskIdentity) -> None:
    """Read the state of a task for nothing but the imports, so that later calls are fast. Never raises."""
    try:
        prepare_xcoms()
        read_task_state(identity)
    except Exception as error:  # noqa: BLE001 - the call that matters tries again
        log.debug("Cannot read the state of a task in advance: %r", error)


def will_continue(identity: TaskIdentity, timeout: float = 2.0) -> bool:
    """Return whether a task continues although its worker was told to stop.

    A worker gets the same signal when a user ends the task, when its machine is taken away, when it cannot
    reach the API server, and when the scheduler has missed its heartbeats. This is called in ``on_kill``,
    that is, in the signal's handler, and the interrupted code may hold the connection to Airflow. So Airflow
    is asked in a thread, for at most ``timeout`` seconds.
    """
    try:
        return call_with_timeout(timeout, lambda: read_task_state(identity).state in CONTINUING_STATES)
    except TimeoutError:
        return False
    except Exception:  # noqa: BLE001 - Airflow cannot be reached, so no user has ended the task through it
        return True
