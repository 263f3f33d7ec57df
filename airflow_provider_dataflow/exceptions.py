"""Typed errors: what went wrong, with everything that one needs to act on it.

Plain Python, picklable, and free of secrets: they hold ids, states, service messages and log lines only.
"""

from __future__ import annotations

from typing import Any

#: A task's error is read in a log and in alerts; the whole log is one click away.
LOG_TAIL_LINES = 20


class DataFlowError(Exception):
    """Base of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only constructors do not pickle by themselves, and executors pickle exceptions.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[DataFlowError], args: tuple[Any, ...], state: dict[str, Any]) -> DataFlowError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidArgument(DataFlowError, ValueError):
    """An argument was refused before anything was sent.

    :param path: which one, down to the element: ``driver_shape_config.ocpus``.
    :param problem: what is wrong with it and what was expected.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class InvalidConnection(DataFlowError, ValueError):
    """A field of the Airflow connection is missing or malformed; nothing was sent."""


class ServiceError(DataFlowError):
    """The service answered with an error, or could not be reached.

    :param operation: the API operation, for example ``GetRun``.
    :param status: HTTP status, or ``None`` if there was no answer.
    :param code: the service's code, for example ``NotAuthorizedOrNotFound``.
    :param message: the service's message, or what the network said.
    :param opc_request_id: what Oracle's support asks for.
    :param endpoint: where the request was sent.
    :param retry_after: seconds that the service asks to wait, from the header ``Retry-After``.
    :param date: the service's clock, from the header ``Date``.
    """

    def __init__(
        self,
        *,
        operation: str,
        message: str,
        status: int | None = None,
        code: str | None = None,
        opc_request_id: str | None = None,
        endpoint: str | None = None,
        retry_after: float | None = None,
        date: str | None = None,
    ) -> None:
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.opc_request_id = opc_request_id
        self.endpoint = endpoint
        self.retry_after = retry_after
        self.date = date
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        if self.status is None:
            return f"{self.operation}{where} got no answer: {self.message}"
        request = f" (opc-request-id {self.opc_request_id})" if self.opc_request_id else ""
        code = f" {self.code}" if self.code else ""
        return f"{self.operation}{where} was answered with {self.status}{code}: {self.message}{request}"

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later: no answer, throttled, or the service's fault."""
        if self.status is None or self.status == 429:
            return True
        return self.status >= 500 and self.status != 501

    @property
    def may_be_stray(self) -> bool:
        """Whether it may be a hiccup although it looks final.

        OCI's IAM is eventually consistent, and a gateway in trouble may redirect to a page of its own.
        """
        return self.status in (401, 403, 404) or (self.status is not None and self.status < 400)


class UnexpectedResponse(ServiceError):
    """The service responded with something that the API does not describe; nothing in it is used.

    It has no ``status``, so it is retried as a request without a response is.
    """

    def _sentence(self) -> str:
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"{self.operation}{where} got an unexpected response: {self.message}"


class SubmitRejected(ServiceError):
    """The service refused to create the run: no run exists."""


class NotSubmitted(DataFlowError):
    """The triggerer could not submit the run; its log says more."""


class RunError(DataFlowError):
    """A run did not end as it should.

    :param run_id: OCID of the run.
    :param state: its ``lifecycleState`` when last seen.
    :param lifecycle_details: what the service says about it.
    :param hint: what to do about it, if the cause is a well-known one.
    :param opc_request_id: the request id that the service keeps with the run.
    :param url: the run's page.
    :param log_tail: the last lines of the driver's stderr.
    """

    headline = "did not end as it should"

    def __init__(
        self,
        *,
        run_id: str,
        state: str | None = None,
        lifecycle_details: str | None = None,
        hint: str | None = None,
        opc_request_id: str | None = None,
        url: str | None = None,
        log_tail: str | None = None,
        note: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.state = state
        self.lifecycle_details = lifecycle_details
        self.hint = hint
        self.opc_request_id = opc_request_id
        self.url = url
        self.log_tail = log_tail
        self.note = note
        super().__init__(self._report())

    def _report(self) -> str:
        lines = [f"Run {self.run_id} {self.headline}."]
        for label, value in (
            ("state", self.state),
            ("lifecycle_details", self.lifecycle_details),
            ("hint", self.hint),
            ("note", self.note),
            ("opc_request_id", self.opc_request_id),
            ("page", self.url),
        ):
            if value:
                lines.append(f"  {label}: {value}")
        if self.log_tail:
            lines.append("  end of the driver's stderr:")
            lines.extend(f"    {line}" for line in self.log_tail.splitlines()[-LOG_TAIL_LINES:])
        return "\n".join(lines)


class RunFailed(RunError):
    """The run ended FAILED."""

    headline = "failed"


class RunCanceled(RunError):
    """The run ended CANCELED: somebody cancelled it, or it reached its maximum duration."""

    headline = "was canceled"


class RunStopped(RunError):
    """The run ended STOPPED: the service stopped it, as it does for maintenance."""

    headline = "was stopped"


class RunTimedOut(RunError):
    """The task's time was up before the run had ended."""

    headline = "did not end in time"


class RunLost(RunError):
    """The service could not be asked about the run for longer than the error budget; it may still go on."""

    headline = "is out of sight: the service could not be asked about it"


class AmbiguousName(DataFlowError):
    """Several resources have the display name by which one was asked for.

    :param kind: application or pool.
    :param display_name: the name.
    :param compartment_id: where it was looked for.
    :param ids: OCIDs of all that have it.
    """

    def __init__(self, *, kind: str, display_name: str, compartment_id: str, ids: list[str]) -> None:
        self.kind = kind
        self.display_name = display_name
        self.compartment_id = compartment_id
        self.ids = ids
        super().__init__(
            f"{len(ids)} {kind}s are named {display_name!r} in {compartment_id}: {', '.join(ids)}. "
            "Rename or delete all but one."
        )


class NotFound(DataFlowError):
    """No resource has the display name by which one was asked for.

    :param kind: application or pool.
    :param display_name: the name.
    :param compartment_id: where it was looked for.
    """

    def __init__(self, *, kind: str, display_name: str, compartment_id: str) -> None:
        self.kind = kind
        self.display_name = display_name
        self.compartment_id = compartment_id
        super().__init__(f"No {kind} is named {display_name!r} in {compartment_id}")


class PoolError(DataFlowError):
    """A pool did not get to where it was wanted.

    :param pool_id: OCID of the pool.
    :param state: its ``lifecycleState`` when last seen.
    :param lifecycle_details: what the service says about it.
    :param note: what else there is to say.
    """

    headline = "did not get to the state that was wanted"

    def __init__(
        self,
        *,
        pool_id: str,
        state: str | None = None,
        lifecycle_details: str | None = None,
        note: str | None = None,
    ) -> None:
        self.pool_id = pool_id
        self.state = state
        self.lifecycle_details = lifecycle_details
        self.note = note
        lines = {"state": state, "lifecycle_details": lifecycle_details, "note": note}
        super().__init__(_report(f"Pool {pool_id} {self.headline}.", lines))


class PoolFailed(PoolError):
    """The pool is in a state from which it does not get there."""


class PoolTimedOut(PoolError):
    """The task's time was up before the pool had got there; it may still do so."""

    headline = "did not get to the state that was wanted in time"


class PoolLost(PoolError):
    """The service could not be asked about the pool for longer than the error budget."""

    headline = "is out of sight: the service could not be asked about it"


class StatementError(DataFlowError):
    """A statement of a session did not end as it should.

    :param run_id: OCID of the SESSION run.
    :param statement_id: its number in the session.
    :param state: its ``lifecycleState`` when last seen.
    :param error_name: type of the exception that it raised.
    :param error_value: message of that exception.
    :param traceback: its lines; of many, the last ones.
    :param note: what else there is to say.
    """

    headline = "did not end as it should"

    def __init__(
        self,
        *,
        run_id: str,
        statement_id: int,
        state: str | None = None,
        error_name: str | None = None,
        error_value: str | None = None,
        traceback: tuple[str, ...] = (),
        note: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.statement_id = statement_id
        self.state = state
        self.error_name = error_name
        self.error_value = error_value
        self.traceback = traceback[-LOG_TAIL_LINES:]
        self.note = note
        raised = ": ".join(filter(None, (error_name, error_value)))
        lines = {"state": state, "error": raised, "note": note}
        report = _report(f"Statement {statement_id} of run {run_id} {self.headline}.", lines)
        told = [line for text in self.traceback for line in text.splitlines()][-LOG_TAIL_LINES:]
        super().__init__("\n".join([report, *(f"    {line}" for line in told)]))


class StatementFailed(StatementError):
    """The code raised an exception."""

    headline = "failed"


class StatementCanceled(StatementError):
    """The statement was cancelled, by somebody or with its session."""

    headline = "was cancelled"


class StatementTimedOut(StatementError):
    """The task's time was up before the statement had ended."""

    headline = "did not end in time"


class StatementLost(StatementError):
    """The session has ended, or the service could not be asked for longer than the error budget."""

    headline = "is out of sight"


def _report(headline: str, lines: dict[str, str | None]) -> str:
    return "\n".join([headline, *(f"  {label}: {value}" for label, value in lines.items() if value)])
