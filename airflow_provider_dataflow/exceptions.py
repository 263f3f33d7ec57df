"""Typed errors: what went wrong, with everything that one needs to act on it.

Plain Python, picklable, and free of secrets: they hold ids, states, service messages and log lines only.
"""

from __future__ import annotations

from typing import Any

#: A task's error is read in a log and in alerts; the whole log is one click away.
LOG_TAIL_LINES = 20


#: Characters of one text in a message: what a service or a proxy sends may be a whole page.
MAX_TEXT_LENGTH = 2000

#: A text that ends with one of these needs no full stop.
_ENDS = (".", "!", "?", "…")


def sentences(*texts: object) -> str:
    """Join texts on one line, so that each ends as a sentence does; empty ones are left out.

    The one place that composes messages: what a service or the network says may lack its full stop, be of
    several lines, or be empty.
    """
    return " ".join(filter(None, (_sentence(text) for text in texts)))


def _sentence(text: object) -> str:
    line = _one_line(text).rstrip(" ,;:")
    if not line:
        return ""
    # What is quoted or in brackets may bring its own.
    return line if line.rstrip("\"')]»”").endswith(_ENDS) else f"{line}."


def _one_line(text: object) -> str:
    return _cut(" ".join(str("" if text is None else text).split()))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}…"


class DataFlowError(Exception):
    """Base of all errors of this package. Its message ends with a full stop.

    :param message: what happened, and what to do about it.
    :param is_report: whether it has lines of its own; otherwise it becomes one line.
    """

    def __init__(self, message: str = "", *, is_report: bool = False) -> None:
        super().__init__(message if is_report else sentences(message))

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

    consequence = ""

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
        super().__init__(sentences(self.summary, self.consequence, self.hint))

    @property
    def summary(self) -> str:
        """What was asked, and what the answer was, without what to do about it."""
        where = f" at {self.endpoint}" if self.endpoint else ""
        message = _one_line(self.message).rstrip(" ,;:")
        message = f": {message}" if message else ""
        request = f" (opc-request-id {self.opc_request_id})" if self.opc_request_id else ""
        if self.status is None:
            return f"{self.operation}{where} got no answer{message}{request}"
        code = f" {self.code}" if self.code else ""
        return f"{self.operation}{where} was answered with {self.status}{code}{message}{request}"

    @property
    def hint(self) -> str | None:
        """What to do about it; ``None`` if the message says that already."""
        # Its patterns are not for every DAG that is parsed.
        from airflow_provider_dataflow.error_hints import hint_for_answer

        return hint_for_answer(self.operation, self.status, self.code, self.message)

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

    consequence = "No run was created."


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
    advice = "Look at the run's page for what happened."

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
        super().__init__(self._report(), is_report=True)

    def _report(self) -> str:
        lines = {
            "state": self.state,
            "lifecycle_details": self.lifecycle_details,
            "hint": self.hint or self.advice,
            "note": self.note,
            "opc_request_id": self.opc_request_id,
            "page": self.url,
        }
        return _report(
            f"Run {self.run_id} {self.headline}", lines, ("end of the driver's stderr", self.log_tail)
        )


class RunFailed(RunError):
    """The run ended FAILED."""

    headline = "failed"
    advice = "The end of the driver's stderr, and the logs on the run's page, say why."


class RunCanceled(RunError):
    """The run ended CANCELED: somebody cancelled it, or it reached its maximum duration."""

    headline = "was canceled"
    advice = (
        "OCI's audit log says who cancelled it; a run is also cancelled at its maximum duration. Clear the "
        "task to run it again."
    )


class RunStopped(RunError):
    """The run ended STOPPED: the service stopped it, as it does for maintenance."""

    headline = "was stopped"
    advice = "The service stops runs for maintenance. Clear the task to run it again."


class RunTimedOut(RunError):
    """The task's time was up before the run had ended."""

    headline = "did not end in time"
    advice = "Give the task more time, or look at the run's page for what takes so long."


class RunLost(RunError):
    """The service could not be asked about the run for longer than the error budget; it may still go on."""

    headline = "is out of sight: the service could not be asked about it"
    advice = "The run may still be under way: look at its page before the task is cleared."


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
            sentences(
                f"{len(ids)} {kind}s are named {display_name!r} in {compartment_id}: {', '.join(ids)}",
                "Rename or delete all but one",
            )
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
    advice = "Look at the pool in the console for what happened."

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
        lines = {
            "state": state,
            "lifecycle_details": lifecycle_details,
            "hint": self.advice,
            "note": note,
        }
        super().__init__(_report(f"Pool {pool_id} {self.headline}", lines), is_report=True)


class PoolFailed(PoolError):
    """The pool is in a state from which it does not get there."""


class PoolTimedOut(PoolError):
    """The task's time was up before the pool had got there; it may still do so."""

    headline = "did not get to the state that was wanted in time"
    advice = "Give the task more time (timeout): a cold pool takes up to ten minutes to start."


class PoolLost(PoolError):
    """The service could not be asked about the pool for longer than the error budget."""

    headline = "is out of sight: the service could not be asked about it"
    advice = "Look at the pool in the console before the task is cleared."


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
    advice = "The log of the session's run says more."

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
        lines = {"state": state, "error": raised, "hint": self.advice, "note": note}
        headline = f"Statement {statement_id} of run {run_id} {self.headline}"
        tail = ("traceback", "\n".join(self.traceback))
        super().__init__(_report(headline, lines, tail), is_report=True)


class StatementFailed(StatementError):
    """The code raised an exception."""

    headline = "failed"
    advice = "Correct the code of the statement; what the statements before it have defined is still there."


class StatementCanceled(StatementError):
    """The statement was cancelled, by somebody or with its session."""

    headline = "was cancelled"
    advice = (
        "It ends with its session, too: look at the run of the session, and clear the task to send it again."
    )


class StatementTimedOut(StatementError):
    """The task's time was up before the statement had ended."""

    headline = "did not end in time"
    advice = "Give the task more time (timeout); statements of a session wait for each other."


class StatementLost(StatementError):
    """The session has ended, or the service could not be asked for longer than the error budget."""

    headline = "is out of sight"
    advice = "Look at the run of the session. A retry sends the code again, to a session that is IN_PROGRESS."


def _report(headline: str, lines: dict[str, str | None], tail: tuple[str, str | None] = ("", None)) -> str:
    """One line per thing to know, and below them the last lines of a log."""
    told = [line for line in (tail[1] or "").splitlines() if line.strip()][-LOG_TAIL_LINES:]
    return "\n".join(
        [
            sentences(headline),
            *(f"  {label}: {text}" for label, value in lines.items() if (text := _labelled(label, value))),
            *([f"  {tail[0]}:"] if told else ()),
            *(f"    {_cut(line)}" for line in told),
        ]
    )


#: Lines that are sentences; others are values, which are copied.
_SPOKEN = ("hint", "note")


def _labelled(label: str, value: str | None) -> str:
    if label in _SPOKEN:
        return sentences(value)
    return _cut("\n    ".join(line for line in str(value or "").strip().splitlines() if line.strip()))
