"""Bases of the operators, and checks of arguments that several of them use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.task_settings import TaskSettingsMixin
from airflow_provider_dataflow.arguments.timeouts import backstop, started_at, tightest
from airflow_provider_dataflow.compat import (
    BaseOperator,
    TaskDeferralError,
    TaskDeferralTimeout,
    conf,
    dag_run_start,
)
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.hooks.arguments import UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.argument_values import is_given
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.templated_task import TemplatedTask
from airflow_provider_dataflow.operators.trigger_errors import trigger_error
from airflow_provider_dataflow.ownership.record import retry_token
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, DEFAULT_POLL_INTERVAL
from airflow_provider_dataflow.xcom_keys import RUN_PAGE_URL

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration

#: Arguments of a wait; templated.
WAIT_ARGUMENTS = ("wait_for_completion", "deferrable", "poll_interval", "timeout", "error_budget")


class DataFlowOperator(TaskSettingsMixin, UsesHook, TemplatedTask, BaseOperator):
    """Base of all operators: calls Data Flow through an Airflow connection.

    :param oci_conn_id: Airflow connection of type ``oci``.
    :param region: region name. Default: the connection's.
    :param service_endpoint: URL of the service. Default: the connection's, or the region's own.
    :param auth_type: authentication method, one of those of
        :class:`~airflow_provider_dataflow.hooks.data_flow.DataFlowHook`. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker, for the methods ``config_file``
        and ``security_token``.
    :param profile: section of that file.
    """

    ui_color = "#f4e6e1"

    def __init__(
        self,
        *,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.oci_conn_id = oci_conn_id
        self.region = region
        self.service_endpoint = service_endpoint
        self.auth_type = auth_type
        self.config_file = config_file
        self.profile = profile
        self.read_settings_at_parse()
        self._killed = False

    @cached_property
    def hook(self) -> DataFlowHook:
        return self.new_hook()

    @called_by_airflow
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral."""
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        # Airflow lets the interrupted code continue, which checks this attribute.
        self._killed = True

    def _raise_if_killed(self) -> None:
        if self._killed:
            raise DataFlowError("The task was killed")

    def _push_link(self, run_id: str, context: Context) -> None:
        context["ti"].xcom_push(key=RUN_PAGE_URL, value=self.hook.run_page_url(run_id))


class WaitingOperator(DataFlowOperator):
    """Base of the operators that wait for the effect of their requests.

    :param wait_for_completion: wait for the effect.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poll_interval: maximum seconds (or a timedelta) between two polls.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits.
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool | str = True,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        timeout: Duration | None = None,
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion: Any = wait_for_completion
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.timeout: Any = timeout
        self.error_budget: Any = error_budget
        self.read_settings_at_parse()

    @called_by_airflow
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral, also if the trigger failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            raise trigger_error(error, next_kwargs, self._awaited_resource) from None

    @property
    def _awaited_resource(self) -> str:
        """Name and value of the argument that identifies what the task waits for."""
        names = ("run_id", "pool_id", "sql_endpoint_id", "display_name")
        arguments = {name: getattr(self, name, None) for name in names}
        return next((f"{name} {value}" for name, value in arguments.items() if value), self.task_id)

    def _deadline(self, context: Context) -> float | None:
        """Return the end of the wait in seconds since the epoch.

        It includes ``execution_timeout``, which Airflow does not enforce while a task is deferred.
        """
        seconds = tightest(self.timeout, self.execution_timeout)
        return None if seconds is None else started_at(context) + seconds

    def _trigger_arguments(self, context: Context) -> dict[str, Any]:
        """Return the arguments that all triggers take."""
        return {
            **self.hook_arguments(),
            "poll_interval": self.poll_interval,
            "deadline": self._deadline(context),
            "error_budget": self.error_budget,
        }

    def _deferral_timeout(self, context: Context) -> timedelta | None:
        """Return Airflow's timeout for the deferral, in case the trigger misses its own deadline."""
        return backstop(self._deadline(context))


def retry_token_of_try(context: Context) -> str:
    """Return the ``opc-retry-token`` for this try, so that a lost response creates no second resource."""
    ti = context["ti"]
    return retry_token(
        TaskIdentity.of(ti),
        clear_epoch=ti.max_tries,
        generation=ti.try_number,
        dag_run_start=dag_run_start(context),
    )


def check_given(**arguments: Any) -> None:
    """Check that each argument has a value, also after its template was rendered.

    :raises InvalidArgument: one is missing.
    """
    for name, value in arguments.items():
        if not is_given(value) or value == "":
            raise InvalidArgument(name, "missing")


def check_exactly_one(arguments: Mapping[str, Any]) -> None:
    """Check that exactly one of two arguments is given.

    :raises InvalidArgument: none or both are.
    """
    given = [name for name, value in arguments.items() if is_given(value)]
    if len(given) != 1:
        names = " and ".join(arguments)
        problem = "both were" if given else "neither was"
        raise InvalidArgument(next(iter(arguments)), f"expected exactly one of {names}, but {problem} given")
