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
    ) -> None:
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.opc_request_id = opc_request_id
        self.endpoint = endpoint
        self.retry_after = retry_after
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
        """Whether it may be a hiccup although it looks final: OCI's IAM is eventually consistent."""
        return self.status in (401, 403, 404)


class SubmitRejected(ServiceError):
    """The service refused to create the run: no run exists."""


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
