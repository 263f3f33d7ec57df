"""DataFlowRetryPolicy: a retry policy of Airflow that knows why a task of Data Flow has failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_dataflow.causes import RETRIES, Retry
from airflow_provider_dataflow.compat import retry_policies
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError
from airflow_provider_dataflow.models.coercion import choice, mapping, with_text_keys
from airflow_provider_dataflow.models.durations import seconds
from airflow_provider_dataflow.polling import jittered

if TYPE_CHECKING:
    from airflow.sdk.definitions.retry_policy import RetryDecision

    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration

#: Pauses of a retry that waits for others, in seconds.
DEFAULT_FIRST_DELAY_SECONDS = 60.0
DEFAULT_MAX_DELAY_SECONDS = 3600.0

_airflow = retry_policies()
_Base: Any = _airflow.RetryPolicy if _airflow else object


class DataFlowRetryPolicy(_Base):
    """Retries a task as the cause of its failure calls for. For the argument ``retry_policy`` of any task.

    A missing module, a wrong argument or a missing policy fails the task at once. A limit that is used up, a
    lack of machines, a throttle and an outage are retried later, with pauses that grow. A lost machine and
    maintenance are retried at once, and so is a run that gets other settings by ``on_cause``. For an unknown
    cause, and for exceptions of other packages, the task's own ``retry_delay`` counts. No policy retries more
    often than ``retries``. Needs Airflow 3.3.

    :param overrides: other retries than those of the table: ``never``, ``later``, ``now`` or ``default``, by
        the key of the cause, for example ``{"object_missing": "later"}``.
    :param first_delay: seconds (or a timedelta) before the first retry of ``later``; each further one takes
        twice as long. Default: 60. The service's ``Retry-After`` is kept.
    :param max_delay: longest pause in seconds (or a timedelta). Default: 3600.
    :raises InvalidArgument: a cause or its retry is unknown, or this release of Airflow is too old.
    """

    def __init__(
        self,
        *,
        overrides: Mapping[str, str] | None = None,
        first_delay: Duration = DEFAULT_FIRST_DELAY_SECONDS,
        max_delay: Duration = DEFAULT_MAX_DELAY_SECONDS,
    ) -> None:
        if _airflow is None:
            raise InvalidArgument(
                "retry_policy",
                "DataFlowRetryPolicy needs Airflow 3.3 or newer; on this release, give the operator "
                "retry_permanent_errors=False",
            )
        self.overrides = _overrides(overrides)
        self.first_delay = seconds(first_delay, "first_delay")
        self.max_delay = seconds(max_delay, "max_delay")

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide whether and when to retry. Called by Airflow in the worker, after a task has failed.

        :param exception: of the task, or an exception raised because of an error of this package.
        :param try_number: number of the try that failed, from 1, not set back by a clear.
        :param max_tries: number of the last try that may be retried.
        :param context: of the task.
        """
        error = data_flow_error(exception)
        if error is None or error.cause is None:
            return _airflow.RetryDecision.default()
        retry = self.retry_of(error)
        if retry is Retry.NEVER:
            return _airflow.RetryDecision.fail(f"{error.cause}: the next try would fail in the same way")
        if retry is Retry.LATER:
            delay = self._delay(error, _tries_since_clear(try_number, max_tries, context))
            return _airflow.RetryDecision.retry(timedelta(seconds=delay), f"{error.cause}: retry later")
        if retry is Retry.NOW:
            reason = (
                "the next run gets other settings" if error.next_run_differs else "the failure has passed"
            )
            return _airflow.RetryDecision.retry(timedelta(0), f"{error.cause}: {reason}")
        return _airflow.RetryDecision.default()

    def retry_of(self, error: DataFlowError) -> Retry:
        """Return the retry that an error calls for."""
        if error.next_run_differs:
            return Retry.NOW
        cause = error.cause or ""
        retry = self.overrides.get(cause) or RETRIES.get(cause, Retry.DEFAULT)
        return Retry.DEFAULT if retry is Retry.NEVER and error.earlier_run_may_exist else retry

    def _delay(self, error: DataFlowError, tries: int) -> float:
        """Return the pause in seconds. Jitter lets tasks that failed together retry one after the other."""
        # 2**1024 is no float.
        delay = min(self.first_delay * 2 ** min(tries - 1, 64), self.max_delay)
        retry_after = error.retry_after if isinstance(error, ServiceError) else None
        return max(jittered(delay), retry_after or 0.0)

    def serialize(self) -> dict[str, Any]:
        """Return the policy as JSON, as Airflow may store it."""
        return {
            "__type": type(self).__name__,
            "overrides": {cause: retry.value for cause, retry in self.overrides.items()},
            "first_delay": self.first_delay,
            "max_delay": self.max_delay,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`serialize` has returned."""
        return cls(**{name: data[name] for name in ("overrides", "first_delay", "max_delay") if name in data})


def data_flow_error(exception: BaseException) -> DataFlowError | None:
    """Return the error of this package that an exception is or was raised from."""
    return next((each for each in _chain(exception) if isinstance(each, DataFlowError)), None)


def _chain(exception: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exception
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _overrides(value: Mapping[str, str] | None) -> dict[str, Retry]:
    result = {}
    for cause, retry in with_text_keys(mapping(value or {}, "overrides"), "overrides").items():
        if cause not in RETRIES:
            raise InvalidArgument(
                f"overrides.{cause}", f"no known cause; expected one of {', '.join(RETRIES)}"
            )
        result[cause] = Retry(choice(*Retry)(retry, f"overrides.{cause}"))
    return result


def _tries_since_clear(try_number: int, max_tries: int, context: Context | None) -> int:
    """Return the number of tries since the last clear, the failed one included."""
    ti = (context or {}).get("ti")
    retries = getattr(getattr(ti, "task", None), "retries", None)
    if not isinstance(retries, int):
        return try_number
    # A clear sets max_tries to the number of tries so far plus the retries.
    return max(1, try_number - max(0, max_tries - retries))
