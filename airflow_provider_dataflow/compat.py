"""The only file that knows that Airflow releases differ.

What the rest of the package needs from Airflow is imported here, and what a release may lack is found by
looking for it, not by comparing versions.
"""

from __future__ import annotations

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
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_dataflow.redaction import SENSITIVE_NAMES

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol, TaskInstanceKey

__all__ = [
    "NEVER_EXPIRE",
    "TRIGGERS_HAVE_ON_KILL",
    "TRIGGER_FAILED",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "BaseTrigger",
    "Connection",
    "Context",
    "RuntimeTaskInstanceProtocol",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskInstanceKey",
    "TriggerEvent",
    "conf",
    "deferred_owner",
    "delay_trigger",
    "deployment_id",
    "incarnation_of",
    "sensitive_names",
    "task_state_store",
    "xcom_value",
]

#: Since 3.3 the triggerer calls ``on_kill``; before, a killed trigger only sees itself cancelled.
TRIGGERS_HAVE_ON_KILL = hasattr(BaseTrigger, "on_kill")

try:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
except ImportError:
    from airflow.exceptions import TaskDeferralError, TaskDeferralTimeout  # type: ignore[no-redef]

try:
    from airflow.sdk.execution_time.context import NEVER_EXPIRE
except ImportError:
    # There is no task state store either, then, and nothing that it would be told to.
    NEVER_EXPIRE = None  # type: ignore[assignment]

#: The ``next_method`` of a task whose trigger failed or timed out.
TRIGGER_FAILED = "__fail__"


#: Where no address of its own is configured, Airflow has this one: shared by all, so it names nothing.
DEFAULT_BASE_URL = "http://localhost:8080"


def task_state_store(context: Context) -> Any:
    """What outlives the tries of a task instance: get(key), set(key, value). ``None`` before Airflow 3.3."""
    return context.get("task_state_store")


def delay_trigger(moment: datetime) -> BaseTrigger:
    """Airflow's own trigger that fires at a moment."""
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    return DateTimeTrigger(moment=moment)


def deployment_id() -> str:
    """Which Airflow this is, where several run in one compartment; empty if nobody has said."""
    named: str = conf.get("oci_data_flow", "deployment_id", fallback="") or ""
    if named.strip():
        return named.strip()
    base_url: str = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return "" if base_url == DEFAULT_BASE_URL else base_url


def incarnation_of(context: Context) -> str:
    """Tells a DAG run from a deleted one of the same id, whose runs the service may still know by token."""
    start = getattr(context.get("dag_run"), "start_date", None)
    return start.isoformat() if start else ""


def sensitive_names() -> set[str]:
    """Parts of names whose values are not to be shown: the usual ones, and what the administrator adds."""
    added: str = conf.get("core", "sensitive_var_conf_names", fallback="") or ""
    return {*SENSITIVE_NAMES, *(name.strip().lower() for name in added.split(",") if name.strip())}


def xcom_value(ti_key: TaskInstanceKey, key: str) -> Any:
    """An XCom of a task instance, or nothing."""
    from airflow.providers.common.compat.sdk import XCom

    return XCom.get_value(key=key, ti_key=ti_key)


def deferred_owner(ti: RuntimeTaskInstanceProtocol, xcom_key: str) -> tuple[str | None, object]:
    """State of a task instance as the database has it now, and the value of one of its XComs.

    For triggers. Blocks, and imports much the first time, so call it in a thread.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    map_index = -1 if ti.map_index is None else ti.map_index
    of_runs = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index
    )
    key = ti.task_id if map_index < 0 else f"{ti.task_id}_{map_index}"
    state = (of_runs.get(ti.run_id) or {}).get(key)
    value = XCom.get_one(
        key=xcom_key,
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=map_index if map_index >= 0 else None,
    )
    return (str(getattr(state, "value", state)) if state is not None else None), value
