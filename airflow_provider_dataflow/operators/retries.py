"""Retries of a task whose run has failed: the arguments on_cause and retry_permanent_errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_dataflow.causes import RETRIES, Retry
from airflow_provider_dataflow.compat import AirflowFailException, task_state_store
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, sentences
from airflow_provider_dataflow.models.argument_values import is_given
from airflow_provider_dataflow.operators.awaited_run import AwaitedRunOperator
from airflow_provider_dataflow.ownership.record_store import TaskStateRecordStore
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.retries.on_cause import has_step_left

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.run import Run

R = TypeVar("R")

#: Arguments of this module; templated.
RETRY_ARGUMENTS = ("on_cause", "retry_permanent_errors")


class NotRetried(AirflowFailException):
    """The task fails without further tries, since they would fail in the same way.

    :param error: why the task has failed.
    """

    def __init__(self, error: DataFlowError) -> None:
        self.error = error
        note = sentences(f"Not retried: {error.cause} (retry_permanent_errors=False)")
        super().__init__(f"{type(error).__name__}: {error}\n{note}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,)


class RetryOnCauseOperator(AwaitedRunOperator):
    """Base of an operator that knows which retries of its run make sense.

    The attributes are the operator's arguments.
    """

    on_cause: Any
    retry_permanent_errors: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Causes for which the settings of the run that has ended were changed; None while it has not ended.
        self._causes: tuple[str, ...] | None = None

    def _refuse_on_cause_in_triggerer(self) -> None:
        """Refuse ``on_cause`` for a task that starts in the triggerer.

        :raises InvalidArgument: it is given.
        """
        if is_given(self.on_cause):
            raise InvalidArgument(
                "on_cause",
                "cannot be given together with start_from_trigger: a trigger cannot tell a retry, which "
                "changes the settings, from a clear, which starts over",
            )

    def _finish(self, run: Run, context: Context, log_cursor: Mapping[str, int] | None = None) -> Any:
        if self.on_cause:
            self._causes = self._causes_of(run, context)
        return super()._finish(run, context, log_cursor)

    def _causes_of(self, run: Run, context: Context) -> tuple[str, ...]:
        store = task_state_store(context)
        record = TaskStateRecordStore(store).load() if store is not None else None
        if record is not None and record.run_id == run.id:
            return record.causes
        tags = TaskTags.of(run.freeform_tags)
        return tags.causes if tags else ()

    def _may_have_earlier_run(self, context: Context) -> bool:
        """Return whether a run of an earlier try may be active that this try has not found yet."""
        try_number = context["ti"].try_number
        if self._owned_run_id is not None or try_number <= 1:
            return False
        store = task_state_store(context)
        if store is None:
            return True
        try:
            record = TaskStateRecordStore(store).load()
        except Exception as error:  # noqa: BLE001 - must not replace the error that is being handled
            self.log.warning("Cannot read the submission record: %s", error)
            return True
        # A record of this try is that of its own submit.
        return record is not None and record.try_number < try_number and record.may_have_run

    def _may_be_retried(self, error: Exception) -> bool:
        """Return whether Airflow may retry after this error, as far as this package decides about it."""
        if not isinstance(error, DataFlowError):
            return True
        if self.retry_permanent_errors is False and is_permanent(error):
            return False
        policy = getattr(self, "retry_policy", None)
        if policy is None:
            return True
        from airflow_provider_dataflow.retries.policy import DataFlowRetryPolicy

        return not isinstance(policy, DataFlowRetryPolicy) or policy.retry_of(error) is not Retry.NEVER


def is_permanent(error: DataFlowError) -> bool:
    """Return whether the next try would fail in the same way."""
    if error.next_run_differs or error.earlier_run_may_exist:
        return False
    return RETRIES.get(error.cause or "") is Retry.NEVER


def decides_retry(method: Callable[..., R]) -> Callable[..., R]:
    """Add to an error what decides about a retry, and fail at once if it would not help.

    :param method: has the argument ``context``.
    """
    parameters = signature(method)

    @wraps(method)
    def wrapper(task: RetryOnCauseOperator, *args: Any, **kwargs: Any) -> R:
        try:
            return method(task, *args, **kwargs)
        except DataFlowError as error:
            if task._causes is not None:
                error.next_run_differs = has_step_left(task.on_cause, task._causes, error.cause)
            context = parameters.bind(task, *args, **kwargs).arguments["context"]
            # Without a next try, nobody would find that run.
            error.earlier_run_may_exist = task._may_have_earlier_run(context)
            # Not a template that has not been rendered, or a value that was refused.
            if task.retry_permanent_errors is False and is_permanent(error):
                raise NotRetried(error) from None
            raise

    return wrapper
