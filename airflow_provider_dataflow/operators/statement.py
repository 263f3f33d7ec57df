"""RunStatementOperator: runs code in a SESSION run and returns its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_dataflow.arguments.masking import (
    details_without_secrets,
    secrets_among,
    without_secrets,
)
from airflow_provider_dataflow.compat import TRIGGER_FAILED, own_xcom
from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    RunError,
    RunLost,
    RunTimedOut,
    StatementCanceled,
    StatementError,
    StatementFailed,
    StatementLost,
    StatementTimedOut,
    sentences,
)
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.links.run import RunLink
from airflow_provider_dataflow.models.run import LifecycleState, Run
from airflow_provider_dataflow.models.statement import (
    STATEMENT,
    Statement,
    StatementDetails,
    StatementState,
    statement_name,
)
from airflow_provider_dataflow.models.statement_table import StatementTable, table_in
from airflow_provider_dataflow.operators.base import WAIT_ARGUMENTS, WaitingOperator, check_given
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent, StatementEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration

#: XCom of the statement's number in its session.
STATEMENT_ID = "statement_id"

#: States in which a session accepts statements.
SESSION_STATES = (LifecycleState.IN_PROGRESS.value,)

#: Shorter than for runs, since statements often end within seconds.
DEFAULT_POLL_INTERVAL_SECONDS = 5.0

#: Limited because XComs are stored in Airflow's database.
DEFAULT_MAX_OUTPUT_CHARACTERS = 64 * 1024

#: Result of a task: text, the rows of a table, or nothing.
Output = str | list[dict[str, Any]] | None

#: Types of output that a task can return.
TEXT_TYPES = ("TEXT_PLAIN", "TEXT_HTML")


class RunStatementOperator(WaitingOperator):
    """Runs code in a SESSION run and returns its output (CreateStatement, GetStatement).

    The task waits until the session is IN_PROGRESS, sends the code, and waits until the statement has ended.
    The session runs its statements one after the other in one Spark application, so a statement can use what
    earlier ones defined. The result is the printed output of the code and the value of its last expression;
    images are not returned. The statement's number is pushed to XCom as ``statement_id``.

    A task that is killed or times out cancels its statement, also while it is deferred, but never the
    session. A retry sends the code again. The service has no retry token for statements, so the task fails
    if the response to CreateStatement is lost: it is unknown whether the code runs.

    :param run_id: OCID of the SESSION run (``runId``); templated.
    :param code: code to run, or the path of a ``.py`` file; at most about a million characters (``code``);
        templated.
    :param max_output_length: number of characters after which the output is cut off; templated. Default:
        65536.
    :param output_format: ``text``, or ``table`` to return the rows of a table as dicts: a table that
        ``DataFrame.show()`` prints, or the value of the last expression if it is a list of Row or of dicts.
        Output without a table is returned as text, with a warning; templated. Default: ``text``.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the session or statement; templated.
        Default: 5.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the statement;
        templated. Default: none, or the task's ``execution_timeout``.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :param cancel_on_kill: cancel the statement when the task is killed, cleared, or times out; templated.
        Default: True.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: the run is not a SESSION, or an argument is missing.
    :raises RunError: the session has ended, or was not IN_PROGRESS in time.
    :raises StatementFailed: the code raised an exception; the error contains its traceback.
    :raises StatementError: the statement was cancelled, did not end in time, or cannot be read.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    template_fields: Sequence[str] = (
        *("run_id", "code", "max_output_length", "output_format", "cancel_on_kill"),
        *(name for name in WAIT_ARGUMENTS if name != "wait_for_completion"),
        *HOOK_ARGUMENTS,
    )
    template_ext: Sequence[str] = (".py",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"code": "python"}
    operator_extra_links = (RunLink(),)

    def __init__(
        self,
        *,
        run_id: str,
        code: str,
        max_output_length: int | str = DEFAULT_MAX_OUTPUT_CHARACTERS,
        output_format: str = "text",
        poll_interval: Duration = DEFAULT_POLL_INTERVAL_SECONDS,
        cancel_on_kill: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.run_id: Any = run_id
        self.code = code
        self.max_output_length: Any = max_output_length
        self.output_format: Any = output_format
        self.cancel_on_kill: Any = cancel_on_kill
        self.read_settings_at_parse()
        # Set while the task has a statement in the session.
        self._statement_id: int | None = None

    @called_by_airflow
    def execute(self, context: Context) -> Output:
        self.read_settings()
        check_given(run_id=self.run_id)
        if self.code is None or self.code == "":
            raise InvalidArgument("code", "missing")
        self._push_link(self.run_id, context)
        run = self.hook.get_run(self.run_id)
        if run.type != "SESSION":
            raise InvalidArgument("run_id", f"expected a run of type SESSION, got {run.type}")
        if run.state != LifecycleState.IN_PROGRESS and not run.is_ending:
            self.log.info("Session %s is %s: sending the code when it is IN_PROGRESS", run.id, run.state)
            if self.deferrable:
                self._defer_to_session(run, context)
            run = self._wait_for_session(run.id, run.state, context)
        return self._run_statement(run, context)

    def execute_in_session(self, context: Context, event: dict[str, Any] | None = None) -> Output:
        """Resume after the wait for the session."""
        end = RunEvent.parse(event)
        if end.outcome is not Outcome.REACHED:
            error_class = RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost
            raise error_class(
                run_id=end.run_id, state=end.state, note=end.message or "the session has not started"
            )
        return self._run_statement(self._wait_for_session(end.run_id, end.state, context), context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Output:
        """Resume after the wait for the statement."""
        end = StatementEvent.parse(event)
        self._statement_id = end.statement_id
        if end.outcome is Outcome.TIMEOUT:
            self._give_up(StatementTimedOut, end.state)
        if end.outcome is Outcome.LOST:
            self._give_up(StatementLost, end.state, end.message)
        return self._finish(self._wait(Statement(end.statement_id, str(end.state)), context))

    @called_by_airflow
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral, also if the trigger failed."""
        ti = context["ti"]
        self._statement_id = own_xcom(ti, STATEMENT_ID)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception:
            if next_method == TRIGGER_FAILED:
                self._cancel()
            raise

    def on_kill(self) -> None:
        """Cancel the statement. Called by Airflow in the worker's process when the task is killed."""
        super().on_kill()
        self._cancel()

    def _defer_to_session(self, run: Run, context: Context) -> NoReturn:
        from airflow_provider_dataflow.triggers.run import RunTrigger

        self.defer(
            trigger=RunTrigger(
                run_id=run.id,
                target_states=SESSION_STATES,
                compartment_id=run.compartment_id,
                **self._trigger_arguments(context),
            ),
            method_name=self.execute_in_session.__name__,
            timeout=self._deferral_timeout(context),
        )

    def _wait_for_session(self, run_id: str, last_state: str | None, context: Context) -> Run:
        from airflow_provider_dataflow.client.wait import wait_for_run

        return wait_for_run(
            self.hook.client,
            run_id,
            states=SESSION_STATES,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            deadline=self._deadline(context),
            raise_if_killed=self._raise_if_killed,
            log=self.log,
            last_state=last_state,
        )

    def _run_statement(self, run: Run, context: Context) -> Output:
        if run.state != LifecycleState.IN_PROGRESS:
            raise RunError(
                run_id=run.id,
                state=run.state,
                lifecycle_details=details_without_secrets(run, self._secrets),
                url=self.hook.run_page_url(run.id),
                note="a session accepts statements only while it is IN_PROGRESS",
            )
        self._raise_if_killed()
        statement = self.hook.statements.create(run.id, StatementDetails.build({"code": self.code}))
        self._statement_id = statement.id
        ti = context["ti"]
        ti.xcom_push(key=STATEMENT_ID, value=statement.id)
        ti.xcom_push(key=STATEMENT, value=statement_name(run.id, statement.id))
        self.log.info("Statement %d of session %s is %s", statement.id, run.id, statement.state)
        if self._killed:
            # The task was killed during CreateStatement, when on_kill did not know the statement yet.
            self._cancel()
            self._raise_if_killed()
        if not self.wait_for_completion:
            return None
        if self.deferrable:
            from airflow_provider_dataflow.triggers.statement import StatementTrigger

            trigger = StatementTrigger(
                run_id=run.id,
                statement_id=statement.id,
                cancel_on_kill=self.cancel_on_kill,
                **self._trigger_arguments(context),
            )
            trigger.record(ti.xcom_push)
            self.defer(
                trigger=trigger,
                method_name=self.execute_complete.__name__,
                timeout=self._deferral_timeout(context),
            )
        return self._finish(self._wait(statement, context))

    def _wait(self, statement: Statement, context: Context) -> Statement:
        from airflow_provider_dataflow.client.wait import ErrorBudgetExceeded, Wait, WaitTimedOut

        session_has_ended = False

        def poll() -> Statement:
            nonlocal session_has_ended
            # The session first, so that a statement that ended with its session is read afterwards.
            session_has_ended = session_has_ended or self.hook.get_run(self.run_id).is_terminal
            return self.hook.statements.get(self.run_id, statement.id)

        wait = Wait(
            subject=f"Statement {statement.id} of session {self.run_id}",
            is_over=lambda state: Statement(statement.id, state).has_ended or session_has_ended,
            poll_interval=self.poll_interval,
            log=self.log,
            deadline=self._deadline(context),
            error_budget=self.error_budget,
            state=statement.state,
        )
        try:
            return wait.in_worker(poll, self._raise_if_killed)
        except WaitTimedOut:
            self._give_up(StatementTimedOut, wait.state)
        except ErrorBudgetExceeded as error:
            self._give_up(StatementLost, wait.state, str(error))

    def _finish(self, statement: Statement) -> Output:
        result = statement.result
        context: dict[str, Any] = {
            "run_id": self.run_id,
            "statement_id": statement.id,
            "state": statement.state,
        }
        if statement.state == StatementState.CANCELLED:
            raise StatementCanceled(**context)
        if not statement.has_ended:
            raise StatementLost(**context, note="its session has ended")
        if statement.state == StatementState.FAILED or (result is not None and result.status == "ERROR"):
            if result is None:
                raise StatementFailed(**context)
            secrets = self._secrets
            raise StatementFailed(
                **context,
                error_name=result.error_name,
                error_value=without_secrets(result.error_value or "", secrets) or None,
                traceback=tuple(without_secrets(line, secrets) for line in result.traceback),
            )
        if result is None or result.value is None:
            return None
        if result.type not in TEXT_TYPES:
            self.log.info("The output has type %s, which is not returned", result.type)
            return None
        whole_output = without_secrets(result.value, self._secrets)
        output = whole_output[: self.max_output_length]
        for line in output.splitlines():
            self.log.info("%s", line)
        if self.output_format == "table":
            table = table_in(whole_output)
            if table is not None:
                return self._records(table)
            self.log.warning("The output has no table; returning it as text")
        if len(output) < len(whole_output):
            self.log.warning("Returning only %d of %d characters of output", len(output), len(whole_output))
        return output

    @property
    def _secrets(self) -> set[str]:
        """Secrets in the code, which its output, its exception and the session's details may quote."""
        return secrets_among({"code": self.code})

    def _records(self, table: StatementTable) -> list[dict[str, Any]]:
        records = table.records(self.max_output_length)
        if len(records) < len(table.rows):
            self.log.warning("Returning only %d of %d rows", len(records), len(table.rows))
        return records

    def _give_up(
        self, error_class: type[StatementError], state: str | None, note: str | None = None
    ) -> NoReturn:
        assert self._statement_id is not None  # noqa: S101 - there is no wait without a statement
        cancelled = self._cancel()
        raise error_class(
            run_id=self.run_id,
            statement_id=self._statement_id,
            state=state,
            note=sentences(note, cancelled),
        )

    def _cancel(self) -> str | None:
        """Cancel the statement, unless ``cancel_on_kill`` is False. Return the outcome; never raise."""
        if self._statement_id is None or not self.cancel_on_kill:
            return None
        try:
            # A client of its own: on_kill may have interrupted a call of the task's client.
            self.hook.new_client().statements.cancel(self.run_id, self._statement_id)
        except Exception as error:  # noqa: BLE001 - must not hide the reason for the cancel
            self.log.error(
                "Statement %s of session %s could not be cancelled and may still be running: %s",
                self._statement_id,
                self.run_id,
                error,
            )
            return f"It could not be cancelled and may still be running: {error}"
        self.log.info("Statement %s of session %s: cancel requested", self._statement_id, self.run_id)
        return "Its cancel was requested."
