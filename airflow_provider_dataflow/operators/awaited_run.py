"""Base of the operator that waits for its run, in a worker or in the triggerer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dataflow.arguments.masking import mask_secrets_of_run, secrets_among, without_secrets
from airflow_provider_dataflow.arguments.timeouts import backstop, started_at, tightest
from airflow_provider_dataflow.compat import own_xcom, task_state_store
from airflow_provider_dataflow.exceptions import NotSubmitted, RunLost, RunTimedOut
from airflow_provider_dataflow.models.run import KNOWN_STATES, has_reached
from airflow_provider_dataflow.operators.ended_run import finish_wait, log_event
from airflow_provider_dataflow.operators.owned_run import OwnedRunOperator
from airflow_provider_dataflow.ownership.record_store import TaskStateRecordStore
from airflow_provider_dataflow.ownership.successor import STREAMING
from airflow_provider_dataflow.ownership.successor_search import SuccessorWait, follows
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.xcom_keys import (
    LIFECYCLE_STATE,
    LOG_CURSOR,
    LOGS_BUCKET_URL,
    RUN_ID,
    RUN_IDS,
    RUN_PAGE_URL,
    TRIGGER_FAILURES,
    USAGE,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.logs.follower import LogFollower
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.triggers.run import RunTrigger

#: Maximum number of crashed triggers that are replaced before the task gives up its run.
MAX_TRIGGER_FAILURES = 3


class AwaitedRunOperator(OwnedRunOperator):
    """Base of an operator that waits for the run that it owns, and for the runs that follow it.

    The attributes are the operator's arguments.
    """

    run_id: str | None
    target_states: Any
    deferrable: Any
    poll_interval: Any
    error_budget: Any
    completion_timeout: Any
    successor_timeout: Any
    fetch_logs: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # OCIDs of a STREAMING run and those that it followed; empty for another run, None if not known yet.
        self._run_ids: list[str] | None = None
        self._follower: LogFollower | None = None
        # Why no successor is waited for any more.
        self._successor_note: str | None = None

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = RunEvent.parse(event)
        self._owned_run_id = end.run_id
        if end.outcome is Outcome.NOT_SUBMITTED:
            message = end.message or "The triggerer did not submit the run; its log has the reason"
            raise NotSubmitted(message, cause=end.cause)
        log_event(self.log, end)
        if end.outcome is not Outcome.REACHED:
            self._give_up(RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost, end.state, end.message)
        # The trigger has waited for a successor in vain.
        self._successor_note = end.message
        with self._cancel_unless_retried():
            ended = self._wait_in_worker(end.run_id, end.state, context)
            return self._finish(ended, context, end.log_cursor)

    def _push_run(self, run: Run, context: Context) -> None:
        """Push the run's XComs before anything else can fail: a cancel needs the run id from there."""
        ti = context["ti"]
        ti.xcom_push(key=RUN_ID, value=run.id)
        url = self.hook.run_page_url(run.id)
        ti.xcom_push(key=RUN_PAGE_URL, value=url)
        if bucket_url := self.hook.bucket_page_url(run.logs_bucket_uri):
            ti.xcom_push(key=LOGS_BUCKET_URL, value=bucket_url)
        if run.type == STREAMING:
            self._run_ids = self._run_ids or [run.id]
            ti.xcom_push(key=RUN_IDS, value=self._run_ids)
        if self.deferrable and self.fetch_logs == "always":
            # The trigger reads it, and Airflow logs an error for a missing XCom.
            ti.xcom_push(key=LOG_CURSOR, value={})
        self.log.info("Run %s (%s) is %s: %s", run.id, run.display_name, run.state, url)

    def _timeout(self) -> float | None:
        """Return the limit in seconds from the start of the task to the end of the run, if there is one."""
        return tightest(self.completion_timeout, self.execution_timeout)

    def _is_done(self, run: Run) -> bool:
        if has_reached(run.state, self.target_states):
            return True
        return run.is_terminal and not self._follows(run)

    def _follows(self, run: Run) -> bool:
        """Return whether the task goes on with the successor of a run that has ended."""
        return self._successor_note is None and follows(run, self.target_states)

    def _defer(self, run_id: str, context: Context, compartment_id: str | None = None) -> NoReturn:
        if self._run_ids is None:
            self._run_ids = own_xcom(context["ti"], RUN_IDS)
        deadline = None
        if (timeout := self._timeout()) is not None:
            # Airflow does not enforce execution_timeout while a task is deferred, so the trigger does.
            deadline = started_at(context) + timeout
        trigger = self._trigger(run_id, deadline, self.target_states, compartment_id=compartment_id)
        trigger.record(context["ti"].xcom_push)
        self.defer(
            trigger=trigger,
            method_name=self.execute_complete.__name__,
            timeout=backstop(deadline),
        )

    def _trigger(
        self,
        run_id: str,
        deadline: float | None,
        states: Collection[str],
        *,
        compartment_id: str | None = None,
        is_own: bool = True,
    ) -> RunTrigger:
        """Return a trigger that waits for a run.

        :param is_own: False for the run of another task: do not cancel it, and do not copy its logs.
        """
        from airflow_provider_dataflow.triggers.run import RunTrigger

        settings = self._wait_settings()
        if is_own:
            settings["run_ids"] = self._run_ids or None
        else:
            settings |= {"cancel_on_kill": False, "follow_logs": False}
        return RunTrigger(
            run_id=run_id,
            **self.hook_arguments(),
            deadline=deadline,
            compartment_id=compartment_id,
            **settings | {"target_states": states},
        )

    def _wait_settings(self) -> dict[str, Any]:
        """Return the arguments of the trigger that do not depend on the run."""
        return {
            "target_states": self.target_states,
            "poll_interval": self.poll_interval,
            "error_budget": self.error_budget,
            "cancel_on_kill": self.cancel_on_kill,
            "cancel_timeout": self.cancel_timeout,
            "follow_logs": self.fetch_logs == "always",
            "successor_timeout": self.successor_timeout,
        }

    def _log_follower(self, run: Run) -> LogFollower | None:
        """Return the follower that copies the driver's output, without secrets, during the wait."""
        if self.fetch_logs != "always":
            return None
        from airflow_provider_dataflow.client.logs.follower import LogFollower

        follower = LogFollower(self.hook, run.id, self.log)
        secrets = mask_secrets_of_run(run) | secrets_among(self.templated_arguments())
        follower.hide = partial(without_secrets, secrets=secrets)
        return follower

    def _wait_in_worker(self, run_id: str, last_state: str | None, context: Context) -> Run:
        """Wait for the run, and for its successors after maintenance. Return the last one."""
        while True:
            run = self._wait_for_run(run_id, last_state, context, self.target_states)
            # A kill during the last poll has cancelled the run: that is not the cancel of somebody else.
            self._raise_if_killed()
            if has_reached(run.state, self.target_states) or not self._follows(run):
                return run
            successor = self._wait_for_successor(run, context)
            if successor is None:
                return run
            self._follow(successor, context)
            run_id, last_state = successor.id, successor.state

    def _wait_for_successor(self, stopped: Run, context: Context) -> Run | None:
        search = SuccessorWait(
            stopped,
            timeout=self.successor_timeout,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            log=self.log,
            deadline=self._deadline(context),
        )
        try:
            found = search.in_worker(self.hook, self._raise_if_killed)
        except TimeoutError:
            self._give_up(RunTimedOut, stopped.state, search.note)
        if not found:
            self._successor_note = search.note
            return None
        self._run_ids = [*(self._run_ids or [stopped.id]), *(run.id for run in found)]
        # One successful read: the list has summaries.
        return self._wait_for_run(found[-1].id, found[-1].state, context, KNOWN_STATES)

    def _follow(self, run: Run, context: Context) -> None:
        """Make a successor the run of the task."""
        self._owned_run_id = run.id
        store = task_state_store(context)
        records = TaskStateRecordStore(store) if store is not None else None
        if records is not None and (record := records.load()) is not None and not self.run_id:
            records.save(record.followed_by(*(self._run_ids or [run.id])))
        self._push_run(run, context)
        if self._follower is not None:
            self._follower.copy_rest()
            self._follower = self._log_follower(run)
        if self.deferrable:
            # An event of a trigger that does not follow successors.
            self._defer(run.id, context, run.compartment_id)

    def _deadline(self, context: Context) -> float | None:
        """Return the end of a wait in the worker. Airflow itself enforces ``execution_timeout`` there."""
        return None if self.completion_timeout is None else started_at(context) + self.completion_timeout

    def _wait_for_run(
        self, run_id: str, last_state: str | None, context: Context, states: Collection[str]
    ) -> Run:
        from airflow_provider_dataflow.client.wait import wait_for_run

        follower = self._follower
        try:
            return wait_for_run(
                self.hook.client,
                run_id,
                states=states,
                poll_interval=self.poll_interval,
                error_budget=self.error_budget,
                deadline=self._deadline(context),
                raise_if_killed=self._raise_if_killed,
                log=self.log,
                last_state=last_state,
                after_poll=follower.copy_new if follower else None,
            )
        except (RunLost, RunTimedOut) as error:
            self._give_up(type(error), error.state, error.note)

    def _replace_trigger(self, error: str, context: Context) -> str:
        """Defer again after the trigger crashed, which says nothing about the run."""
        assert self._owned_run_id is not None  # noqa: S101 - checked by the caller
        ti = context["ti"]
        stored = own_xcom(ti, TRIGGER_FAILURES)
        # By run: with start_from_trigger, the XCom may be from before a clear.
        failures = 1 + (stored.get(self._owned_run_id, 0) if isinstance(stored, dict) else stored or 0)
        if failures > MAX_TRIGGER_FAILURES or not self.deferrable:
            self._give_up(RunLost, None, f"The trigger has failed {failures} times: {error}")
        ti.xcom_push(key=TRIGGER_FAILURES, value={self._owned_run_id: failures})
        self.log.warning(
            "Run %s: its trigger failed; another trigger waits for the run: %s", self._owned_run_id, error
        )
        self._defer(self._owned_run_id, context)

    def _finish(self, run: Run, context: Context, log_cursor: Mapping[str, int] | None = None) -> str:
        """Push the run's last state and usage, and raise unless it reached a target state."""
        from airflow_provider_dataflow.assets.events import describe_run
        from airflow_provider_dataflow.cost.settings import configured_prices
        from airflow_provider_dataflow.models.usage import Usage

        usage = Usage.of(run, configured_prices())
        ti = context["ti"]
        ti.xcom_push(key=LIFECYCLE_STATE, value=run.state)
        ti.xcom_push(key=USAGE, value=usage.as_dict())
        if run.is_terminal:
            self.log.info("Run %s: %s", run.id, usage)
        finish_wait(
            run,
            self.hook,
            self.log,
            fetch_logs=self.fetch_logs,
            reached_target=has_reached(run.state, self.target_states),
            log_cursor=log_cursor,
            note=self._successor_note,
            secrets=secrets_among(self.templated_arguments()),
        )
        describe_run(context, self.outlets, run, usage)
        return run.id
