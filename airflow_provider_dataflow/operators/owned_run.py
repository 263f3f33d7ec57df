"""Base of the operator that owns a run: cancels it when the task is killed or stops waiting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_dataflow.client.cancel import CancelResult
from airflow_provider_dataflow.compat import AirflowTaskTimeout
from airflow_provider_dataflow.exceptions import DataFlowError, RunError, sentences
from airflow_provider_dataflow.operators.base import DataFlowOperator
from airflow_provider_dataflow.ownership.successor_search import cancel_current_run
from airflow_provider_dataflow.ownership.task_state import will_continue

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt


class OwnedRunOperator(DataFlowOperator):
    """Base of an operator that owns a run.

    :param cancel_on_kill: cancel the run when the task is killed, cleared, or times out.
    :param cancel_timeout: seconds (or a timedelta) for which a cancel is repeated until the service
        confirms it.
    """

    def __init__(self, *, cancel_on_kill: bool | str, cancel_timeout: Duration, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cancel_on_kill: Any = cancel_on_kill
        self.cancel_timeout: Any = cancel_timeout
        self._attempt: TaskAttempt | None = None
        # Set after the submit, and again after a deferral.
        self._owned_run_id: str | None = None

    def on_kill(self) -> None:
        """Cancel the run. Called by Airflow in the worker's process when the task is killed.

        If the worker is shut down but the task continues, the run is left to the next try.
        """
        super().on_kill()
        if self._next_try_reattaches():
            self.log.warning(
                "Run %s: the worker is shutting down, but the task continues; the next try re-attaches to it",
                self._owned_run_id,
            )
        else:
            self._cancel_owned_run()

    def _next_try_reattaches(self) -> bool:
        attempt = self._attempt
        if attempt is None or attempt.is_last or self._owned_run_id is None:
            return False
        # Airflow also calls on_kill while it handles a timeout.
        if isinstance(sys.exc_info()[1], AirflowTaskTimeout):
            return False
        return will_continue(attempt.identity)

    def _raise_if_killed(self) -> None:
        if self._killed:
            when = (
                f"while it waited for run {self._owned_run_id}"
                if self._owned_run_id
                else "before it had a run"
            )
            raise DataFlowError(f"The task was killed {when}")

    def _may_be_retried(self, error: Exception) -> bool:
        """Return whether Airflow may retry after this error if retries are left."""
        return True

    @contextmanager
    def _cancel_unless_retried(self) -> Iterator[None]:
        """If something other than the run fails on the last try, cancel the run: no try re-attaches to it."""
        try:
            yield
        except RunError:
            # The run has ended, or was given up and cancelled.
            raise
        except Exception as error:
            attempt = self._attempt
            is_final = attempt is not None and (attempt.is_last or not self._may_be_retried(error))
            if is_final and not self._killed:
                self._cancel_owned_run()
            raise

    def _give_up(self, error_class: type[RunError], state: str | None, note: str | None) -> NoReturn:
        """Stop waiting before the run's end: cancel the run and raise."""
        assert self._owned_run_id is not None  # noqa: S101 - there is no wait without a run
        cancelled = self._cancel_owned_run()
        raise error_class(
            run_id=self._owned_run_id,
            state=state,
            url=self.hook.run_page_url(self._owned_run_id),
            note=sentences(note, cancelled.note if cancelled else None),
        )

    def _cancel_owned_run(self) -> CancelResult | None:
        """Cancel the run, unless ``cancel_on_kill`` is False."""
        if not self._owned_run_id or not self.cancel_on_kill:
            return None
        # A client of its own: on_kill may have interrupted a call of the task's client.
        result = cancel_current_run(self.hook.new_client, self._owned_run_id, timeout=self.cancel_timeout)
        (self.log.info if result.confirmed else self.log.error)("%s", result)
        return result
