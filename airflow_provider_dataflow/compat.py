"""Differences between Airflow releases, and the private parts of Airflow that this package uses.

No other module depends on the release. A feature is detected by its attribute or module, never by a version
number.

Private attributes and modules of Airflow and asgiref, each with a test in ``tests/unit/test_compat.py`` that
fails when it is gone. Without one of them, its feature is missing, but no task fails; without
``execution_time``, the state of a task is unknown, and no run is cancelled because of it:

- ``AbstractOperator._do_render_template_fields``: see :class:`RenderingHook`.
- ``airflow.sdk.definitions._internal.setup_teardown``: see :func:`unmapped_for_checks`.
- ``AssetStateStoreAccessors._by_name``: see :func:`asset_state_store`.
- ``airflow.jobs.triggerer_job_runner._USER_ACTION_CANCEL_MSG``, copied as :data:`KILL_MESSAGE`.
- ``airflow.models.trigger.TRIGGER_FAIL_REPR``, copied as :data:`TRIGGER_FAILED`.
- ``asgiref.sync.SyncToAsync.threadlocal``: see :func:`bind_thread_to_loop`.
- ``RuntimeTaskInstance.bundle_instance``: see :func:`bundle_folder`.
- ``airflow.sdk.execution_time``, which is documented as internal: XComs, task states and ``NEVER_EXPIRE``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    DecoratedOperator,
    conf,
    mask_secret,
    task_decorator_factory,
)

from airflow_provider_dataflow import polling
from airflow_provider_dataflow.client import threads
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.redaction import SENSITIVE_NAMES
from airflow_provider_dataflow.xcom_keys import FAILED_TRY, LIFECYCLE_STATE

if TYPE_CHECKING:
    import asyncio

    from airflow.sdk import Connection, Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from airflow.sdk.types import TaskInstanceKey
    from airflow.triggers.base import BaseEventTrigger, BaseTrigger, StartTriggerArgs, TriggerEvent
    from sqlalchemy.orm import Session

__all__ = [
    "NEVER_EXPIRE",
    "NO_EVENT_BEFORE_SECONDS",
    "TRIGGER_FAILED",
    "AirflowException",
    "AirflowFailException",
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
    "DecoratedOperator",
    "RenderingHook",
    "StartTriggerArgs",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskInstanceKey",
    "TriggerEvent",
    "airflow_version",
    "asset_state_store",
    "assets_among",
    "assets_keep_user_info",
    "bind_thread_to_loop",
    "browsers_send_token",
    "bundle_folder",
    "conf",
    "connection_form_widgets",
    "context_keys",
    "dag_run_start",
    "database_session",
    "delay_trigger",
    "delete_xcom",
    "deployment_id",
    "is_triggerer",
    "is_younger_than",
    "kill_looks_like_shutdown",
    "mask_secret",
    "min_length_of_masked",
    "own_xcom",
    "partition_key",
    "prepare_xcoms",
    "pull_xcom",
    "push_xcom",
    "remember_failed_try",
    "require_start_from_trigger",
    "resumes_earlier_try",
    "retry_policies",
    "sensitive_names",
    "server_connection",
    "stored_xcom",
    "task_decorator_factory",
    "task_state_store",
    "task_states",
    "trigger_was_killed",
    "triggers_have_on_kill",
    "unmapped_for_checks",
    "xcom_value",
]

log = logging.getLogger(__name__)

#: Names from ``airflow.triggers.base``, imported at first use: a DAG file needs none of them, and the import
#: takes a third as long as that of an operator.
LAZY_TRIGGER_NAMES = ("BaseEventTrigger", "BaseTrigger", "StartTriggerArgs", "TriggerEvent")


def __getattr__(name: str) -> Any:
    if name in LAZY_TRIGGER_NAMES:
        from airflow.triggers import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


try:
    from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout
except ImportError:  # an older release
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
    )

try:
    from airflow.sdk.execution_time.context import NEVER_EXPIRE
except ImportError:
    # Before Airflow 3.3, which has no task state store either.
    NEVER_EXPIRE = None  # type: ignore[assignment]

#: Seconds from the start of a trigger to its first event. Airflow can fail a task whose event arrives before
#: the scheduler has seen the end of the worker that deferred it.
NO_EVENT_BEFORE_SECONDS: float = conf.getfloat(
    "oci_data_flow", "no_event_before", fallback=polling.DEFAULT_NO_EVENT_BEFORE
)

#: ``next_method`` of a task whose trigger failed or timed out.
TRIGGER_FAILED = "__fail__"

#: Airflow's address if none is configured. All such deployments share it, so it identifies none.
DEFAULT_BASE_URL = "http://localhost:8080"

#: Message with which Airflow cancels the trigger of a killed task. A triggerer that stops uses no message.
KILL_MESSAGE = "__airflow_user_action__"

# --- Retries --------------------------------------------------------------------------------------------


def retry_policies() -> Any:
    """Return Airflow's module of retry policies (3.3 and later); None in earlier releases."""
    try:
        return import_module("airflow.sdk.definitions.retry_policy")
    except ImportError:
        return None


# --- Triggers -------------------------------------------------------------------------------------------


def triggers_have_on_kill() -> bool:
    """Return whether Airflow calls ``on_kill`` of a trigger (3.3 and later)."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def trigger_was_killed(error: asyncio.CancelledError) -> bool:
    """Return whether a trigger is cancelled because its task was killed.

    Always true before Airflow 3.3, where the stop of a triggerer looks the same. The caller then has to read
    the state of the task.
    """
    return kill_looks_like_shutdown() or error.args[:1] == (KILL_MESSAGE,)


def kill_looks_like_shutdown() -> bool:
    """Return whether a trigger cannot tell that its task was killed from the stop of its triggerer."""
    return not triggers_have_on_kill()


def require_start_from_trigger() -> None:
    """Refuse ``start_from_trigger`` if no kill would reach the trigger that submits the run.

    :raises InvalidArgument: this Airflow is too old.
    """
    if not triggers_have_on_kill():
        raise InvalidArgument("start_from_trigger", "needs Airflow 3.3 or newer")


def delay_trigger(moment: datetime) -> BaseTrigger:
    """Return Airflow's trigger that fires at a moment."""
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    return DateTimeTrigger(moment=moment)


def asset_state_store(trigger: BaseEventTrigger) -> Any:
    """Return the store of an asset watcher, with ``aget`` and ``aset``; ``None`` before Airflow 3.3.

    It survives restarts of the triggerer and belongs to an asset. A trigger that watches for several assets
    uses the store of the first one by name.
    """
    stores = getattr(trigger, "asset_state_store", None)
    by_name = getattr(stores, "_by_name", None)
    if by_name:
        return by_name[min(by_name)]
    return stores


def bind_thread_to_loop(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Return the function with which a thread lets asgiref find the event loop of the triggerer.

    Before Airflow 3.2, a call to Airflow in a triggerer goes through asgiref, which looks in the calling
    thread for the loop that delivers the response. Without an entry it takes another loop, and the triggerer
    loses track of its responses and ends.
    """
    # Imported here, on the event loop, before a thread may import it. A DAG file does not need it.
    try:
        from asgiref.sync import SyncToAsync

        local = SyncToAsync.threadlocal
    except (ImportError, AttributeError):
        return lambda: None

    def bind() -> None:
        local.main_event_loop, local.main_event_loop_pid, local.task_context = loop, os.getpid(), []

    return bind


threads.set_loop_binding(bind_thread_to_loop)

# --- Airflow's own processes ----------------------------------------------------------------------------


def is_triggerer(component: Any) -> bool:
    """Return whether a component that starts is the parent process of a triggerer, which has the database.

    The job does not know its type when listeners are called, but only a triggerer has imported its runner.
    """
    return type(component).__name__ == "Job" and "airflow.jobs.triggerer_job_runner" in sys.modules


def browsers_send_token() -> bool:
    """Return whether a page knows the user by a cookie; Airflow 3.0 needs a header, which only its UI sends.

    For the API server.
    """
    from airflow.api_fastapi.core_api import security

    return hasattr(security, "COOKIE_NAME_JWT_TOKEN")


def server_connection(conn_id: str) -> Connection:
    """Return a connection, from the secrets backends or the database. For processes that have the database.

    :raises AirflowNotFoundException: there is none.
    """
    from airflow.models.connection import Connection as StoredConnection

    connection: Connection = StoredConnection.get_connection_from_secrets(conn_id)
    return connection


def database_session() -> AbstractContextManager[Session]:
    """Return a session of Airflow's database, which commits at its end. For processes that have it."""
    from airflow.utils.session import create_session

    session: AbstractContextManager[Session] = create_session()
    return session


def stored_xcom(row: Any) -> Any:
    """Return the value of a row of the XCom table, also if a custom backend has stored it elsewhere."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.deserialize_value(row)


def delete_xcom(session: Session, identity: TaskIdentity, dag_run_id: int, key: str) -> None:
    """Delete an XCom of a task.

    :param dag_run_id: key of the DAG run in the database.
    """
    from airflow.models.xcom import XComModel
    from sqlalchemy import delete, select

    if hasattr(XComModel, "delete_for_attempts"):
        # From Airflow 3.4 on, XComs belong to a try, and the model is a view.
        from airflow.models.taskinstance import TaskInstance

        tries = select(TaskInstance.id).where(
            TaskInstance.dag_id == identity.dag_id,
            TaskInstance.run_id == identity.run_id,
            TaskInstance.task_id == identity.task_id,
            TaskInstance.map_index == identity.map_index,
        )
        XComModel.delete_for_attempts(producer_ids=tries, key=key, session=session)
        return
    session.execute(
        delete(XComModel).where(
            XComModel.dag_run_id == dag_run_id,
            XComModel.task_id == identity.task_id,
            XComModel.map_index == identity.map_index,
            XComModel.key == key,
        )
    )


# --- Assets ---------------------------------------------------------------------------------------------


@cache
def assets_keep_user_info() -> bool:
    """Return whether the URI of an asset keeps what stands before ``@``, which Airflow 3.0 drops."""
    from airflow.sdk import Asset

    uri = "file://user@host/path"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Asset(uri=uri).uri == uri


def assets_among(outlets: Iterable[Any]) -> Iterator[Any]:
    """Yield the assets, and the references to assets, among the outlets of a task."""
    from airflow.sdk.definitions.asset import Asset, AssetRef

    return (outlet for outlet in outlets if isinstance(outlet, (Asset, AssetRef)))


def partition_key(context: Context) -> str | None:
    """Return the partition of the DAG run; ``None`` if it has none, and before Airflow 3.2."""
    key = getattr(context.get("dag_run"), "partition_key", None)
    return key if isinstance(key, str) else None


# --- Operators and sensors ------------------------------------------------------------------------------


def task_state_store(context: Context) -> Any:
    """Return the store that survives retries and clears of a task instance; ``None`` before Airflow 3.3."""
    return context.get("task_state_store")


def airflow_version() -> str:
    """Return the version of the installed Airflow, for the User-Agent of requests to OCI."""
    from airflow import __version__

    return __version__


def deployment_id() -> str:
    """Return the name that distinguishes this Airflow from others in the same compartment.

    ``[oci_data_flow] deployment_id``, or else ``[api] base_url``. Empty if neither is configured.
    """
    named: str = conf.get("oci_data_flow", "deployment_id", fallback="") or ""
    if named.strip():
        return named.strip()
    base_url: str = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return "" if base_url == DEFAULT_BASE_URL else base_url


def context_keys() -> set[str]:
    """Return the keys of a task's context, whose values Airflow passes to parameters of these names."""
    from airflow.sdk import Context

    return set(Context.__annotations__)


def bundle_folder(ti: Any) -> Path | None:
    """Return the folder of the DAG bundle from which a worker runs a task, if Airflow tells it."""
    path = getattr(getattr(ti, "bundle_instance", None), "path", None)
    return Path(path) if path is not None else None


def dag_run_start(context: Context) -> str:
    """Return the start of the DAG run, which distinguishes it from a deleted DAG run of the same id."""
    start = getattr(context.get("dag_run"), "start_date", None)
    return start.isoformat() if start else ""


def clear_number(context: Context) -> int | None:
    """Return how often tasks of the DAG run were cleared; ``None`` if Airflow does not tell."""
    number = getattr(context.get("dag_run"), "clear_number", None)
    return number if isinstance(number, int) else None


def sensitive_names() -> set[str]:
    """Return the parts of names whose values are secrets, with those that the administrator has added."""
    added: str = conf.get("core", "sensitive_var_conn_names", fallback="") or ""
    return {*SENSITIVE_NAMES, *(name.strip().lower() for name in added.split(",") if name.strip())}


class RenderingHook:
    """Mixin that calls :meth:`around_rendering` before and after Airflow renders the fields of a task.

    Overrides a private method: for a mapped task, Airflow calls no other one before it stores the rendered
    fields. Without that method, only tasks that are not mapped get the call. List it before Airflow's class.
    """

    def around_rendering(self) -> None:
        """Handle the values of the template fields."""

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        # Airflow also calls this for nested objects with template fields; ``parent`` is such an object then.
        if parent is self:
            self.around_rendering()
        super()._do_render_template_fields(parent, *args, **kwargs)  # type: ignore[misc]
        if parent is self:
            self.around_rendering()

    def render_template_fields(self, *args: Any, **kwargs: Any) -> None:
        is_called_here = not hasattr(super(), "_do_render_template_fields")
        if is_called_here:
            self.around_rendering()
        super().render_template_fields(*args, **kwargs)  # type: ignore[misc]
        if is_called_here:
            self.around_rendering()


#: Modules with Airflow's ``SetupTeardownContext``, of 3.2 and later, and of earlier releases.
SETUP_TEARDOWN_MODULES = ("airflow.sdk.definitions._internal.setup_teardown", "airflow.utils.setup_teardown")


def unmapped_for_checks(task: MappedOperator, values: Mapping[str, Any]) -> None:
    """Create a mapped task's operator, which checks its arguments, and drop it.

    The operator is not added to the DAG. A ``with setup_task:`` block would add it, so that is switched off.
    If Airflow has no such switch, nothing is checked: the arguments are checked when the task runs.

    :param values: placeholders for the mapped arguments.
    """
    context = _setup_teardown_context()
    if context is None:
        return
    was_active, context.active = context.active, False
    try:
        task.unmap(values)
    finally:
        context.active = was_active


def _setup_teardown_context() -> Any:
    for name in SETUP_TEARDOWN_MODULES:
        try:
            context = getattr(import_module(name), "SetupTeardownContext", None)
        except ImportError:
            continue
        if hasattr(context, "active"):
            return context
    return None


def min_length_of_masked() -> int:
    """Return the length from which Airflow's masker hides a secret."""
    length: int = conf.getint("logging", "min_length_masked_secret", fallback=5)
    return length


def xcom_value(ti_key: TaskInstanceKey, key: str) -> Any:
    """Return an XCom of a task instance; ``None`` if it has none. For links."""
    from airflow.providers.common.compat.sdk import XCom

    # Airflow logs an error if the XCom of a single map index is missing, so look for any of that key first.
    get_all = getattr(XCom, "get_all", None)
    if get_all is not None and not get_all(
        key=key, dag_id=ti_key.dag_id, task_id=ti_key.task_id, run_id=ti_key.run_id
    ):
        return None
    return XCom.get_value(key=key, ti_key=ti_key)


def own_xcom(ti: Any, key: str) -> Any:
    """Return an XCom of the worker's own task instance; ``None`` if it has none.

    Airflow logs an error if the XCom of a single map index is missing, so look for any of that key first.
    """
    if ti.xcom_pull(task_ids=ti.task_id, key=key) is None:
        return None
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def pull_xcom(identity: TaskIdentity, key: str) -> Any:
    """Return an XCom of a task instance, or ``None``. For triggers. Blocks: call it in a thread."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(
        key=key,
        dag_id=identity.dag_id,
        task_id=identity.task_id,
        run_id=identity.run_id,
        map_index=identity.map_index if identity.map_index >= 0 else None,
    )


def prepare_xcoms() -> None:
    """Import what :func:`pull_xcom` needs, which takes a second. Blocks: call it in a thread."""
    from airflow.sdk.execution_time.xcom import XCom  # noqa: F401


def push_xcom(identity: TaskIdentity, key: str, value: Any) -> None:
    """Set an XCom of a task instance. For triggers. Blocks: call it in a thread."""
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(
        key=key,
        value=value,
        dag_id=identity.dag_id,
        task_id=identity.task_id,
        run_id=identity.run_id,
        map_index=identity.map_index,
    )


def resumes_earlier_try(ti: Any) -> bool:
    """Return whether a task is resumed with the event of an earlier try, which has failed.

    In Airflow 3.0, and in the first releases of 3.1, a retry keeps method and event of the deferral, and the
    XComs with them. Newer releases delete all of these, so no XCom is found here. After a True, the try
    counts as started by itself.
    """
    if ti.try_number == 1 or own_xcom(ti, _failed_try_key(ti)) in (None, ti.try_number):
        return False
    ti.xcom_push(key=_failed_try_key(ti), value=ti.try_number)
    # The end of the earlier try's run: the sweep would take it for the end of this try. These releases refuse
    # an XCom that is None.
    ti.xcom_push(key=LIFECYCLE_STATE, value="")
    # It still is that of the earlier try, and time limits count from it.
    ti.start_date = datetime.now(UTC)
    return True


def _failed_try_key(ti: Any) -> str:
    """Return a key of this map index alone: Airflow logs an error if only another one has the XCom."""
    return FAILED_TRY if ti.map_index < 0 else f"{FAILED_TRY}_{ti.map_index}"


def remember_failed_try(ti: Any) -> None:
    """Store for :func:`resumes_earlier_try` that this try has failed after a deferral.

    A failure of the request is logged: it must not hide the error of the task.
    """
    if ti.try_number > ti.max_tries:
        return
    try:
        ti.xcom_push(key=_failed_try_key(ti), value=ti.try_number)
    except Exception as error:  # noqa: BLE001 - whatever the connection to Airflow raises
        log.warning("Cannot store that try %d has failed: %s", ti.try_number, error)


def is_younger_than(ti: Any, seconds: float) -> bool:
    """Return whether a try was created less than ``seconds`` ago, by the time in its UUID (version 7).

    False if the UUID is of another version.
    """
    made = ti.id.int >> 80 if ti.id.version == 7 else 0
    return time.time() - made / 1000 < seconds


def task_states(identity: TaskIdentity) -> Mapping[str, Any]:
    """Return the states of a task's instances in a DAG run, by task id and map index.

    For workers and triggers, which have no database. Blocks; the first call imports much of Airflow.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    of_runs = RuntimeTaskInstance.get_task_states(
        dag_id=identity.dag_id,
        task_ids=[identity.task_id],
        run_ids=[identity.run_id],
        map_index=identity.map_index,
    )
    return of_runs.get(identity.run_id) or {}


# --- Connection form ------------------------------------------------------------------------------------


def connection_form_widgets(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the form's fields as Flask widgets, for ``get_connection_form_widgets`` of a hook.

    Airflow 3.2 and later read the provider's metadata instead. Older releases install the imported packages.

    :param fields: ``conn-fields`` of the metadata.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField
    from wtforms.validators import Optional

    widgets = {}
    for name, field in fields.items():
        is_secret = field["schema"].get("format") == "password"
        widget_class, input_class = (
            (PasswordField, BS3PasswordFieldWidget) if is_secret else (StringField, BS3TextFieldWidget)
        )
        widgets[name] = widget_class(
            field["label"],
            validators=[Optional()],
            widget=input_class(),
            description=field["description"],
        )
    return widgets
