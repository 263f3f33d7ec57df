"""The only file that knows that Airflow releases differ.

What the rest of the package needs from Airflow is imported here, and what a release may lack is found by
looking for it, not by comparing versions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    conf,
    mask_secret,
)

from airflow_provider_dataflow import polling
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.redaction import SENSITIVE_NAMES

if TYPE_CHECKING:
    import asyncio

    from airflow.sdk import Connection, Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from airflow.sdk.types import TaskInstanceKey
    from airflow.triggers.base import BaseEventTrigger, BaseTrigger, StartTriggerArgs, TriggerEvent

__all__ = [
    "NEVER_EXPIRE",
    "NO_EVENT_BEFORE",
    "TRIGGER_FAILED",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Connection",
    "Context",
    "StartTriggerArgs",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskInstanceKey",
    "TriggerEvent",
    "airflow_version",
    "asset_state_store",
    "conf",
    "dag_run_start",
    "delay_trigger",
    "deployment_id",
    "is_younger_than",
    "mask_secret",
    "min_length_of_masked",
    "own_xcom",
    "pull_xcom",
    "push_xcom",
    "sensitive_names",
    "task_state_store",
    "task_states",
    "trigger_was_killed",
    "triggers_have_on_kill",
    "unmapped_for_checks",
    "xcom_value",
]

#: Importing these costs a third as much again as an operator does, and whoever parses a DAG needs none.
OF_TRIGGERS = ("BaseEventTrigger", "BaseTrigger", "StartTriggerArgs", "TriggerEvent")


def __getattr__(name: str) -> Any:
    if name in OF_TRIGGERS:
        from airflow.triggers import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def triggers_have_on_kill() -> bool:
    """Since 3.3 the triggerer calls ``on_kill``; before, a killed trigger only sees itself cancelled."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


#: With this message the triggerer cancels a trigger whose task was killed; when it ends itself, without any.
KILL_MESSAGE = "__airflow_user_action__"


def trigger_was_killed(error: asyncio.CancelledError) -> bool:
    """Whether a trigger is cancelled since its task was killed.

    Before 3.3 nothing tells that from a restart of the triggerer, and the look at the task has to do.
    """
    return not triggers_have_on_kill() or error.args[:1] == (KILL_MESSAGE,)


try:
    from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout
except ImportError:
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
    )

try:
    from airflow.sdk.execution_time.context import NEVER_EXPIRE
except ImportError:
    # There is no task state store either, then, and nothing that it would be told to.
    NEVER_EXPIRE = None  # type: ignore[assignment]

#: Seconds that a trigger waits before it answers, as long as Airflow needs to hear of the end of a worker.
NO_EVENT_BEFORE: float = conf.getfloat(
    "oci_data_flow", "no_event_before", fallback=polling.DEFAULT_NO_EVENT_BEFORE
)

#: The ``next_method`` of a task whose trigger failed or timed out.
TRIGGER_FAILED = "__fail__"


#: Where no address of its own is configured, Airflow has this one: shared by all, so it names nothing.
DEFAULT_BASE_URL = "http://localhost:8080"


def task_state_store(context: Context) -> Any:
    """Return the store that survives retries and clears of a task instance; ``None`` before Airflow 3.3."""
    return context.get("task_state_store")


def delay_trigger(moment: datetime) -> BaseTrigger:
    """Airflow's own trigger that fires at a moment."""
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    return DateTimeTrigger(moment=moment)


def airflow_version() -> str:
    """Return the version of the installed Airflow, for the User-Agent of requests to OCI."""
    from airflow import __version__

    return __version__


def deployment_id() -> str:
    """Which Airflow this is, where several run in one compartment; empty if nobody has said."""
    named: str = conf.get("oci_data_flow", "deployment_id", fallback="") or ""
    if named.strip():
        return named.strip()
    base_url: str = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return "" if base_url == DEFAULT_BASE_URL else base_url


def dag_run_start(context: Context) -> str:
    """Return the start of the DAG run, which distinguishes it from a deleted DAG run of the same id."""
    start = getattr(context.get("dag_run"), "start_date", None)
    return start.isoformat() if start else ""


def sensitive_names() -> set[str]:
    """Parts of names whose values are not to be shown: the usual ones, and what the administrator adds."""
    added: str = conf.get("core", "sensitive_var_conn_names", fallback="") or ""
    return {*SENSITIVE_NAMES, *(name.strip().lower() for name in added.split(",") if name.strip())}


def unmapped_for_checks(task: MappedOperator, values: Mapping[str, Any]) -> None:
    """Call the constructor of a mapped task's operator, so that it checks its arguments, and drop the result.

    The operator is none of the DAG's tasks, and is kept out of ``with setup_task:`` blocks, which would add
    every operator that is created within them.

    :param values: stand for the mapped arguments.
    """
    try:
        from airflow.sdk.definitions._internal.setup_teardown import SetupTeardownContext
    except ImportError:  # before Airflow 3.2
        from airflow.utils.setup_teardown import (  # type: ignore[no-redef, import-not-found]
            SetupTeardownContext,
        )

    was_active, SetupTeardownContext.active = SetupTeardownContext.active, False
    try:
        task.unmap(values)
    finally:
        SetupTeardownContext.active = was_active


def min_length_of_masked() -> int:
    """Characters that a secret must have for Airflow's masker to hide it."""
    length: int = conf.getint("logging", "min_length_masked_secret", fallback=5)
    return length


def xcom_value(ti_key: TaskInstanceKey, key: str) -> Any:
    """An XCom of a task instance, or nothing."""
    from airflow.providers.common.compat.sdk import XCom

    # Airflow logs an error for an XCom that is asked for by map index and missing.
    get_all = getattr(XCom, "get_all", None)
    if get_all is not None and not get_all(
        key=key, dag_id=ti_key.dag_id, task_id=ti_key.task_id, run_id=ti_key.run_id
    ):
        return None
    return XCom.get_value(key=key, ti_key=ti_key)


def own_xcom(ti: Any, key: str) -> Any:
    """An XCom of the task instance that a worker runs, or nothing. For workers.

    Airflow logs an error for an XCom that is asked for by map index and missing, so ask first whether the
    task has any of that key.
    """
    if ti.xcom_pull(task_ids=ti.task_id, key=key) is None:
        return None
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def pull_xcom(identity: TaskIdentity, key: str) -> Any:
    """An XCom of a task instance, or nothing. For triggers; blocks, so call it in a thread."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(
        key=key,
        dag_id=identity.dag_id,
        task_id=identity.task_id,
        run_id=identity.run_id,
        map_index=identity.map_index if identity.map_index >= 0 else None,
    )


def push_xcom(identity: TaskIdentity, key: str, value: Any) -> None:
    """Set an XCom of a task instance. For triggers; blocks, so call it in a thread."""
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(
        key=key,
        value=value,
        dag_id=identity.dag_id,
        task_id=identity.task_id,
        run_id=identity.run_id,
        map_index=identity.map_index,
    )


def is_younger_than(ti: Any, seconds: float) -> bool:
    """Return whether a try was created within the last seconds, by the time in its UUID (version 7).

    False if the UUID has no time.
    """
    made = ti.id.int >> 80 if ti.id.version == 7 else 0
    return time.time() - made / 1000 < seconds


def task_states(identity: TaskIdentity) -> Mapping[str, Any]:
    """Return the states of a task's instances in a DAG run, by task id and map index.

    For workers and triggers, which have no database. Blocks, and imports much the first time.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    of_runs = RuntimeTaskInstance.get_task_states(
        dag_id=identity.dag_id,
        task_ids=[identity.task_id],
        run_ids=[identity.run_id],
        map_index=identity.map_index,
    )
    return of_runs.get(identity.run_id) or {}


def asset_state_store(trigger: BaseEventTrigger) -> Any:
    """What outlives a watcher's trigger: aget(key), aset(key, value). ``None`` before Airflow 3.3.

    It belongs to an asset. A trigger that watches for several keeps its notes with the first of them.
    """
    stores = getattr(trigger, "asset_state_store", None)
    by_name = getattr(stores, "_by_name", None)
    if by_name:
        return by_name[min(by_name)]
    return stores
