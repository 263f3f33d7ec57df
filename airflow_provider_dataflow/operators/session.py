"""DataFlowSession: task group that starts a SESSION run, runs statements in it, and ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import TaskGroup

from airflow_provider_dataflow.compat import conf
from airflow_provider_dataflow.exceptions import DataFlowError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.operators.manage_run import CancelRunOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.statement import (
    DEFAULT_POLL_INTERVAL_SECONDS,
    SESSION_STATES,
    RunStatementOperator,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.durations import Duration

#: Shorter than the service's two days, since a session that nobody ends costs money until then.
DEFAULT_IDLE_MINUTES = 60


class DataFlowSession(TaskGroup):
    """Task group that starts a SESSION run as setup and ends it as teardown; statements run in between.

    .. code-block:: python

        with DataFlowSession("weather", application_id=application.output) as session:
            load = session.statement("load", code="df = spark.read.csv(...)")
            count = session.statement("count", code="df.count()")
            load >> count

    ``start`` submits the run and waits until it is IN_PROGRESS. It cancels the run if it is killed or fails
    before that. ``end`` stops the run, whatever became of the statements. All other tasks of the group run
    between the two; without dependencies, statements are sent at the same time and the session runs them one
    after the other.

    :param group_id: name of the group, and prefix of its tasks. Default: ``session``.
    :param application_id: OCID of an application of type SESSION (``applicationId``); templated.
    :param idle_timeout_in_minutes: minutes without a statement after which the service stops the session,
        10080 at most (``idleTimeoutInMinutes``); templated. Default: 60. It ends the session if ``end``
        cannot.
    :param deferrable: wait in the triggerer, for all tasks of the group; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls, for all tasks of the group; templated.
        Default: 5.
    :param tooltip: description of the group in Airflow's UI.
    :param run_arguments: further arguments of
        :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator` for ``start``. Those of the
        connection, such as ``oci_conn_id``, also apply to the statements and ``end``.
    :raises InvalidArgument: an argument is invalid; raised when the DAG is parsed.
    """

    def __init__(
        self,
        group_id: str = "session",
        *,
        application_id: Any,
        idle_timeout_in_minutes: int | str = DEFAULT_IDLE_MINUTES,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Duration = DEFAULT_POLL_INTERVAL_SECONDS,
        tooltip: str = "",
        **run_arguments: Any,
    ) -> None:
        super().__init__(group_id=group_id, tooltip=tooltip)
        self._common_arguments: dict[str, Any] = {
            **{name: run_arguments[name] for name in HOOK_ARGUMENTS if name in run_arguments},
            "deferrable": deferrable,
            "poll_interval": poll_interval,
            "task_group": self,
        }
        self._is_open = False
        self.start = InvokeRunOperator(
            **{
                "task_id": "start",
                "application_id": application_id,
                "idle_timeout_in_minutes": idle_timeout_in_minutes,
                "target_states": list(SESSION_STATES),
                **self._common_arguments,
                **run_arguments,
            }
        )
        """Setup of the group."""
        self.end = CancelRunOperator(task_id="end", run_id=self.run_id, **self._common_arguments)
        """Teardown of the group."""
        self.start.as_setup()
        self.end.as_teardown()

    @property
    def run_id(self) -> Any:
        """OCID of the session's run, for other tasks of the group: the result of ``start``."""
        return self.start.output

    def statement(self, task_id: str, code: str, **arguments: Any) -> RunStatementOperator:
        """Add a task that runs code in the session. Call it within the ``with`` block of the session.

        :param task_id: name of the task within the group.
        :param code: code to run, or the path of a ``.py`` file.
        :param arguments: further arguments of
            :class:`~airflow_provider_dataflow.operators.statement.RunStatementOperator`.
        :raises DataFlowError: the call is outside the ``with`` block, so nothing would order it before
            ``end``.
        """
        if not self._is_open:
            raise DataFlowError(f"statement({task_id!r}): call it within the with block of the session")
        return RunStatementOperator(
            **{"run_id": self.run_id, **self._common_arguments, **arguments}, task_id=task_id, code=code
        )

    def __enter__(self) -> Self:
        super().__enter__()
        self._is_open = True
        return self

    def __exit__(self, *error: Any) -> None:
        """Order all tasks of the group between ``start`` and ``end``."""
        self._is_open = False
        super().__exit__(*error)
        tasks = {task.task_id: task for task in self.iter_tasks()}
        for task in tasks.values():
            if task in (self.start, self.end):
                continue
            if tasks.keys().isdisjoint(task.upstream_task_ids):
                self.start >> task
            if tasks.keys().isdisjoint(task.downstream_task_ids):
                task >> self.end
