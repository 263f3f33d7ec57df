"""RunSensor: waits for a run that something else submitted."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dataflow.arguments.settings import DEFAULT_POKE_INTERVAL, TASK_SETTINGS
from airflow_provider_dataflow.arguments.task_settings import TaskSettingsMixin
from airflow_provider_dataflow.arguments.timeouts import backstop
from airflow_provider_dataflow.compat import (
    TRIGGER_FAILED,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    TaskDeferralError,
    conf,
)
from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    RunError,
    RunLost,
    RunTimedOut,
    ServiceError,
)
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS, UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.argument_values import is_literal
from airflow_provider_dataflow.models.run import SUCCESS_STATES, has_reached, is_terminal
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.ended_run import copy_driver_logs, finish_wait, log_event
from airflow_provider_dataflow.operators.templated_task import TemplatedTask
from airflow_provider_dataflow.operators.trigger_errors import trigger_error
from airflow_provider_dataflow.ownership.successor import seconds_left
from airflow_provider_dataflow.ownership.successor_search import find_successors, follows
from airflow_provider_dataflow.polling import (
    DEFAULT_ERROR_BUDGET,
    DEFAULT_POLL_INTERVAL,
    DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
    ErrorBudget,
    limited,
)
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run


class RunSensor(TaskSettingsMixin, UsesHook, TemplatedTask, BaseSensorOperator):
    """Waits until a run of OCI Data Flow is in one of the target states, by default SUCCEEDED.

    If the run ends in another state, the sensor fails at once with the same errors as
    :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator`; with ``soft_fail`` it is skipped. A
    sensor never cancels a run. Its result is the run's state.

    :param run_id: OCID of the run; templated.
    :param target_states: lifecycle states to wait for, each of which is a success; templated. Default:
        ``SUCCEEDED``. To wait for any end: ``airflow_provider_dataflow.models.run.TERMINAL_STATES``.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated, one of those of
        :class:`~airflow_provider_dataflow.hooks.data_flow.DataFlowHook`. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated. For the methods
        ``config_file`` and ``security_token``.
    :param profile: section of that file; templated.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param error_budget: seconds (or a timedelta) for which service errors are retried before the run counts
        as lost; templated. Default: 1800.
    :param fetch_logs: when to copy the driver's output into the task's log, at the end of the run:
        ``always``, ``on_failure`` or ``never``; templated. Default: ``on_failure``.
    :param successor_timeout: seconds (or a timedelta) after the end of a STREAMING run that became STOPPED,
        in which its successor may appear; templated. The sensor waits for it and goes on with it. Default:
        3600. Not if STOPPED is a target state.
    :param poke_interval: seconds (or a timedelta) between two polls of the run; templated. Default: 60.
    :param timeout: maximum wait in seconds (or a timedelta); templated. Default: seven days.
    :raises InvalidArgument: an argument is invalid; nothing was sent.
    :raises RunError: the run ended in another state, or cannot be read.
    :raises AirflowSensorTimeout: ``timeout`` has passed; Airflow does not retry it.
    """

    template_fields: Sequence[str] = (
        *("run_id", "target_states", "deferrable", "error_budget", "fetch_logs", "successor_timeout"),
        *("poke_interval", "timeout"),
        *HOOK_ARGUMENTS,
    )
    ui_color = "#f4e6e1"

    def __init__(
        self,
        *,
        run_id: str,
        target_states: Collection[str] | str | None = None,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        fetch_logs: str = "on_failure",
        successor_timeout: Duration = DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
        poke_interval: Duration = DEFAULT_POKE_INTERVAL,
        timeout: Duration | None = None,
        **kwargs: Any,
    ) -> None:
        # Airflow's own constructor accepts no templates, so these are set afterwards.
        limit = _plain_seconds("timeout", timeout)
        if limit is not None:
            # Before Airflow 3.3, None is not the default.
            kwargs["timeout"] = limit
        super().__init__(poke_interval=_plain_seconds("poke_interval", poke_interval), **kwargs)
        if not is_literal(poke_interval):
            self.poke_interval: Any = poke_interval
        if not is_literal(timeout):
            self.timeout: Any = timeout
        self.run_id: Any = run_id
        self.target_states: Any = sorted(SUCCESS_STATES) if target_states is None else target_states
        self.oci_conn_id = oci_conn_id
        self.region = region
        self.service_endpoint = service_endpoint
        self.auth_type = auth_type
        self.config_file = config_file
        self.profile = profile
        self.deferrable: Any = deferrable
        self.error_budget: Any = error_budget
        self.fetch_logs: Any = fetch_logs
        self.successor_timeout: Any = successor_timeout
        self.read_settings_at_parse()
        self._last_state: str | None = None
        self._compartment_id: str | None = None

    @cached_property
    def hook(self) -> DataFlowHook:
        return self.new_hook()

    @cached_property
    def _budget(self) -> ErrorBudget:
        return ErrorBudget(self.error_budget)

    @called_by_airflow
    def execute(self, context: Context) -> Any:
        self.read_settings()
        if not self.run_id:
            raise InvalidArgument("run_id", "missing; expected the OCID of a run")
        self._set_default_timeout()
        if not self.deferrable:
            try:
                super().execute(context)
            except AirflowSensorTimeout:
                # Airflow's own error does not name the run.
                self._fail(self._timed_out(self._last_state))
            return self._last_state
        if self.poke(context):
            return self._last_state
        from airflow_provider_dataflow.triggers.run import RunTrigger

        deadline = time.time() + self.timeout
        self.defer(
            trigger=RunTrigger(
                run_id=self.run_id,
                **self.hook_arguments(),
                target_states=self.target_states,
                poll_interval=self.poke_interval,
                deadline=deadline,
                error_budget=self.error_budget,
                cancel_on_kill=False,
                successor_timeout=self.successor_timeout,
                compartment_id=self._compartment_id,
            ),
            method_name="execute_complete",
            timeout=backstop(deadline),
        )

    def poke(self, context: Context) -> bool:
        while True:
            try:
                run = self._current_run()
                break
            except ServiceError as error:
                self._tolerate(error)
            if not self.reschedule:
                return False
            # In this mode each poke is a new process, which would not know since when reads fail.
            time.sleep(limited(min(self.poke_interval, DEFAULT_POLL_INTERVAL)))
        self._budget.success()
        self._compartment_id = run.compartment_id
        if run.state != self._last_state:
            self._last_state = run.state
            self.log.info("Run %s is %s", run.id, run.state)
        if follows(run, self.target_states) and self._awaits_successor(run):
            return False
        return self._has_reached(run, self._successor_note(run))

    def _current_run(self) -> Run:
        """Return the run, or the newest successor of a STREAMING run that was stopped for maintenance."""
        run = self.hook.get_run(self.run_id)
        if follows(run, self.target_states) and (found := find_successors(self.hook, run)):
            self.log.info("Run %s is the successor of run %s", found[-1].id, run.id)
            self.run_id = found[-1].id
            return self.hook.get_run(self.run_id)
        return run

    def _awaits_successor(self, run: Run) -> bool:
        return seconds_left(run, self.successor_timeout, time.time()) > 0

    def _successor_note(self, run: Run) -> str | None:
        if not follows(run, self.target_states):
            return None
        return f"No successor appeared within {self.successor_timeout:g} seconds (successor_timeout)."

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = RunEvent.parse(event)
        self.run_id = end.run_id
        self._set_default_timeout()
        log_event(self.log, end)
        if end.outcome is Outcome.REACHED and end.state is not None:
            if has_reached(end.state, self.target_states):
                if self.fetch_logs == "always" and is_terminal(end.state):
                    self._copy_logs(end.run_id)
                return end.state
            return self._fail_with_error_of_run(end)
        if end.outcome is Outcome.TIMEOUT:
            self._fail(self._timed_out(end.state, end.message))
        self._fail(
            RunLost(
                run_id=end.run_id,
                state=end.state,
                url=self.hook.run_page_url(end.run_id),
                note=end.message,
            )
        )

    @called_by_airflow
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral, also if the trigger failed."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError as error:
            raise trigger_error(error, next_kwargs, f"run {self.run_id}") from None
        except AirflowSensorTimeout:
            if next_method == TRIGGER_FAILED:
                self._fail(
                    self._timed_out(None, "The trigger sent no event in time: is a triggerer running?")
                )
            raise

    def _timed_out(self, state: str | None, note: str | None = None) -> RunTimedOut:
        return RunTimedOut(
            run_id=self.run_id,
            state=state,
            url=self.hook.run_page_url(self.run_id),
            note=note or f"The sensor waited for {self.timeout:g} seconds (timeout).",
        )

    def _fail_with_error_of_run(self, end: RunEvent) -> NoReturn:
        """Read the run that missed its target states, retrying service errors, and raise its error."""
        from airflow_provider_dataflow.client.wait import wait_for_run

        run = wait_for_run(
            self.hook.client,
            end.run_id,
            states=(),
            poll_interval=self.poke_interval,
            error_budget=self.error_budget,
            raise_if_killed=lambda: None,
            log=self.log,
            last_state=end.state,
        )
        self._has_reached(run, end.message)
        raise AssertionError(f"run {run.id} is {run.state}, expected a terminal state that is no target")

    def _copy_logs(self, run_id: str) -> None:
        try:
            run = self.hook.get_run(run_id)
        except ServiceError as error:
            # The run has reached its target state, whether or not its logs can be read.
            self.log.warning("Run %s: cannot copy its logs: %s", run_id, error)
        else:
            copy_driver_logs(run, self.hook, self.log)

    def _set_default_timeout(self) -> None:
        """Use Airflow's default if a template rendered to None."""
        if self.timeout is None:
            self.timeout = conf.getfloat("sensors", "default_timeout")

    def _has_reached(self, run: Run, note: str | None = None) -> bool:
        """Return whether the run is in a target state. Fail if it ended in another one."""
        reached = has_reached(run.state, self.target_states)
        if run.is_terminal:
            try:
                finish_wait(
                    run, self.hook, self.log, fetch_logs=self.fetch_logs, reached_target=reached, note=note
                )
            except RunError as error:
                self._fail(error)
        return reached

    def _tolerate(self, error: ServiceError) -> None:
        """Fail if the error budget is used up."""
        if not self._budget.failing:
            self.log.warning(
                "Run %s: cannot read its state; retrying for up to %.0f s: %s",
                self.run_id,
                self.error_budget,
                error,
            )
        if self._budget.failure(error, time.monotonic()):
            self._fail(
                RunLost(
                    run_id=self.run_id,
                    state=self._last_state,
                    opc_request_id=error.opc_request_id,
                    note=str(error),
                )
            )

    def _fail(self, error: RunError) -> NoReturn:
        if self.soft_fail:
            raise AirflowSkipException(str(error)) from None
        if isinstance(error, RunTimedOut):
            # Airflow raises it in the worker, too, and does not retry it.
            raise AirflowSensorTimeout(str(error)) from None
        raise error


def _plain_seconds(name: str, value: Any) -> Any:
    """Read a duration, or return the default in place of a template."""
    setting = TASK_SETTINGS[name]
    return setting.read(value, name) if is_literal(value) else setting.if_unusable
