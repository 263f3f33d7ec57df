"""Find in Airflow's database the tasks that have ended although their trigger was still to tell them the end.

Only for processes that have the database: a triggerer's parent process, whose child runs the triggers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_dataflow.compat import database_session, delete_xcom, stored_xcom
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.task_state import ENDED_TASK_STATES
from airflow_provider_dataflow.xcom_keys import DEFERRED_TRIGGER, LIFECYCLE_STATE

log = logging.getLogger(__name__)

#: Rows that one sweep reads at most.
MAX_ROWS = 1000


@dataclass(frozen=True)
class EndedTask:
    """A task that was deferred and has ended.

    :param dag_run_id: key of the DAG run in the database.
    :param state: final state of the task.
    :param trigger: class path and arguments of the trigger that it waited with, as stored in its XCom.
    :param ended_itself: whether it ended in its own code and not by a kill.
    """

    identity: TaskIdentity
    dag_run_id: int
    state: str
    trigger: Mapping[str, Any] | None
    ended_itself: bool


@dataclass(frozen=True)
class _LastState:
    """The part of an XCom's row by which its value is read."""

    value: Any
    key: str = LIFECYCLE_STATE


def find_ended_tasks() -> list[EndedTask]:
    """Return the tasks that have ended and whose XCom of the trigger is not removed yet."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import and_, select
    from sqlalchemy.orm import aliased

    last_state = aliased(XComModel)
    query = (
        select(
            XComModel.dag_id,
            XComModel.run_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.dag_run_id,
            XComModel.key,
            XComModel.value,
            TaskInstance.state,
            last_state.value.label("last_state"),
        )
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == XComModel.dag_id,
                TaskInstance.run_id == XComModel.run_id,
                TaskInstance.task_id == XComModel.task_id,
                TaskInstance.map_index == XComModel.map_index,
            ),
        )
        .outerjoin(
            last_state,
            and_(
                last_state.dag_run_id == XComModel.dag_run_id,
                last_state.task_id == XComModel.task_id,
                last_state.map_index == XComModel.map_index,
                last_state.key == LIFECYCLE_STATE,
            ),
        )
        .where(XComModel.key == DEFERRED_TRIGGER, TaskInstance.state.in_(ENDED_TASK_STATES))
        .limit(MAX_ROWS)
    )
    found = []
    with database_session() as session:
        for row in session.execute(query):
            identity = TaskIdentity(row.dag_id, row.run_id, row.task_id, row.map_index)
            try:
                trigger, last_state = stored_xcom(row), stored_xcom(_LastState(row.last_state))
            except Exception as error:  # noqa: BLE001 - a custom backend may raise anything
                log.debug("%s: cannot read its XComs; reading them again later: %r", identity, error)
                continue
            state = str(getattr(row.state, "value", row.state))
            found.append(EndedTask(identity, row.dag_run_id, state, trigger, bool(last_state)))
    return found


def has_still_ended(task: EndedTask) -> bool:
    """Return whether a task is still in its final state: it may have been cleared since it was found."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    identity = task.identity
    query = select(TaskInstance.state).where(
        TaskInstance.dag_id == identity.dag_id,
        TaskInstance.run_id == identity.run_id,
        TaskInstance.task_id == identity.task_id,
        TaskInstance.map_index == identity.map_index,
    )
    with database_session() as session:
        return session.execute(query).scalar() == task.state


def forget(task: EndedTask) -> None:
    """Remove the XCom of the trigger, so that the task is not found again."""
    with database_session() as session:
        delete_xcom(session, task.identity, task.dag_run_id, DEFERRED_TRIGGER)
