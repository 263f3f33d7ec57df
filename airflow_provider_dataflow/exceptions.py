"""Typed errors with the ids, states, service messages and log lines that are needed to act on them.

They can be pickled and hold no secrets.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_dataflow.help_links import see

#: Lines of a log in a message, which also goes into alerts.
LOG_TAIL_LINES = 20

#: Lines of a function's traceback in a message.
TRACEBACK_LINES = 60

#: Limit of one text in a message: a proxy may send a whole page.
MAX_TEXT_CHARACTERS = 2000

_END_MARKS = (".", "!", "?", "…")

#: A full stop after a link to the documentation would be taken for a part of it.
_ENDS_WITH_LINK = re.compile(r"\bSee https?://\S+#[\w-]+$")


def sentences(*texts: object) -> str:
    """Join texts to one line of sentences. Empty texts are left out.

    Messages of services and of the network may lack a full stop, have several lines, or be empty.
    """
    return " ".join(filter(None, (_sentence(text) for text in texts)))


def _sentence(text: object) -> str:
    line = _one_line(text).rstrip(" ,;:")
    if not line:
        return ""
    if _ENDS_WITH_LINK.search(line):
        return line
    # The end mark may stand before a closing quote or bracket.
    return line if line.rstrip("\"')]»”").endswith(_END_MARKS) else f"{line}."


def _one_line(text: object) -> str:
    return _cut(" ".join(str("" if text is None else text).split()))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]}…"


class DataFlowError(Exception):
    """Base of all errors of this package. The message ends with a full stop.

    :ivar next_run_differs: whether the next try submits a run with other settings, because of ``on_cause``.
    :ivar earlier_run_may_exist: whether a run of an earlier try may be active, which the next try would find.
    :param message: what happened, and what to do about it.
    :param is_report: keep the lines of the message; otherwise they are joined to one.
    """

    _cause: str | None = None
    next_run_differs: bool = False
    earlier_run_may_exist: bool = False

    def __init__(self, message: str = "", *, is_report: bool = False) -> None:
        super().__init__(message if is_report else sentences(message))

    @property
    def cause(self) -> str | None:
        """Key of the well-known cause in ``causes.RETRIES``, which says if a retry helps; None if unknown."""
        return self._cause

    @classmethod
    def see(cls) -> str:
        """Return a sentence that names the section of this class in the page on troubleshooting."""
        return see(cls.__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        # Executors pickle exceptions, which fails by default for keyword-only constructors.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[DataFlowError], args: tuple[Any, ...], state: dict[str, Any]) -> DataFlowError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidArgument(DataFlowError, ValueError):
    """An argument was refused before any request was sent.

    :param path: the argument or its element, for example ``driver_shape_config.ocpus``.
    :param problem: what was found and what was expected.
    """

    _cause = "invalid_argument"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class InvalidConnection(DataFlowError, ValueError):
    """A field of the Airflow connection is missing or malformed. No request was sent."""

    _cause = "invalid_connection"


class ServiceError(DataFlowError):
    """The service returned an error, or could not be reached.

    :param operation: operation of the API, for example ``GetRun``.
    :param status: HTTP status; None if there was no response.
    :param code: error code of the service, for example ``NotAuthorizedOrNotFound``.
    :param message: message of the service or of the network error.
    :param opc_request_id: id of the request, for Oracle's support.
    :param endpoint: URL of the service.
    :param retry_after: seconds from the header ``Retry-After``.
    :param date: value of the header ``Date``, the service's clock.
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
        super().__init__(sentences(self.summary, self.consequence, self.hint or self.see()))

    @property
    def summary(self) -> str:
        """Operation and response, without the hint."""
        where = f" at {self.endpoint}" if self.endpoint else ""
        message = _one_line(self.message).rstrip(" ,;:")
        message = f": {message}" if message else ""
        request = f" (opc-request-id {self.opc_request_id})" if self.opc_request_id else ""
        return f"{self._request}{where} {self._response}{message}{request}"

    @property
    def _request(self) -> str:
        return self.operation

    @property
    def _response(self) -> str:
        if self.status is None:
            return "got no response"
        return f"returned {self.status} {self.code}" if self.code else f"returned {self.status}"

    @property
    def hint(self) -> str | None:
        """Advice; None if the message already contains it."""
        # Imported late, so that parsing a DAG does not compile its patterns.
        from airflow_provider_dataflow.error_hints import hint_for_response

        return hint_for_response(self.operation, self.status, self.code, self.message)

    @property
    def cause(self) -> str | None:
        from airflow_provider_dataflow.error_hints import cause_of_response

        return cause_of_response(self.operation, self.status, self.code, str(self.message))

    @property
    def is_transient(self) -> bool:
        """True if a repeated request may succeed.

        That is so without a response, after a throttle or an error of the service, and if Object Storage was
        writing the same object for somebody else.
        """
        if self.status is None or self.status == 429 or self.code == "ConcurrentObjectUpdate":
            return True
        return self.status >= 500 and self.status != 501

    @property
    def may_be_stray(self) -> bool:
        """True if the error looks final but may go away.

        OCI's IAM is eventually consistent, so 401, 403 and 404 may be wrong for a while. A failing gateway
        may redirect to an error page.
        """
        return self.status in (401, 403, 404) or (self.status is not None and self.status < 400)


class UnexpectedResponse(ServiceError):
    """The response does not match the API. Nothing in it is used.

    It has no ``status``, so that it is retried like a request without a response.
    """

    @property
    def _response(self) -> str:
        return "got an unexpected response"


class ObjectStorageError(ServiceError):
    """Object Storage returned an error, or could not be reached.

    :param uri: object, prefix or bucket of the request, as ``oci://bucket@namespace/name``.
    :param error: the error without the URI.
    """

    def __init__(self, *, uri: str, error: ServiceError) -> None:
        self.uri = uri
        super().__init__(
            operation=error.operation,
            message=error.message,
            status=error.status,
            code=error.code,
            opc_request_id=error.opc_request_id,
            endpoint=error.endpoint,
            retry_after=error.retry_after,
            date=error.date,
        )

    @property
    def _request(self) -> str:
        return f"{self.operation} of {self.uri}"

    @property
    def hint(self) -> str | None:
        if self.status in (403, 404):
            return (
                "Check that the bucket exists in this namespace and region, and that a policy allows the "
                f"user of the connection to read and create its objects. {self.see()}"
            )
        return super().hint


class SubmitRejected(ServiceError):
    """The service refused to create the run. No run exists."""

    consequence = "No run was created."


class NotSubmitted(DataFlowError):
    """The triggerer could not submit the run. The triggerer's log has the details.

    :param cause: key of the cause in ``causes.RETRIES``.
    """

    def __init__(self, message: str = "", *, cause: str | None = None) -> None:
        super().__init__(message)
        self._cause = cause


class RunError(DataFlowError):
    """A run did not succeed, or its end is unknown.

    :param run_id: OCID of the run.
    :param state: last known ``lifecycleState``.
    :param lifecycle_details: details of the state, from the service.
    :param hint: advice for a well-known cause. Default: ``advice`` of the class.
    :param opc_request_id: id of the request that created the run, from the service.
    :param url: page of the run in the console.
    :param log_tail: last lines of the driver's stderr.
    :param note: further information.
    :param cause: key of the well-known cause in ``causes.RETRIES``.
    """

    headline = "did not end as expected"
    advice = "See the run's page for the cause."

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
        cause: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.state = state
        self.lifecycle_details = lifecycle_details
        self.hint = hint
        self._cause = cause
        self.opc_request_id = opc_request_id
        self.url = url
        self.log_tail = log_tail
        self.note = note
        super().__init__(self._report(), is_report=True)

    def _report(self) -> str:
        lines = {
            "state": self.state,
            "lifecycle_details": self.lifecycle_details,
            "hint": self.hint or f"{self.advice} {self.see()}",
            "note": self.note,
            "opc_request_id": self.opc_request_id,
            "page": self.url,
        }
        return _report(f"Run {self.run_id} {self.headline}", lines, self._tail())

    def _tail(self) -> tuple[str, str | None, int]:
        """Return the label, the text and the maximum number of lines of the end of the report."""
        return "end of the driver's stderr", self.log_tail, LOG_TAIL_LINES


class RunFailed(RunError):
    """The run ended FAILED."""

    headline = "failed"
    advice = "See the end of the driver's stderr, and the logs on the run's page, for the cause."


class FunctionFailed(RunFailed):
    """The function of ``@task.oci_data_flow`` raised an exception, and its run ended FAILED.

    :param error_type: class of the exception, for example ``ValueError``.
    :param error_message: its text.
    :param traceback: its traceback, from the function on, with the lines of the DAG's file.
    :param details: see :class:`RunError`.
    """

    advice = "See the traceback for the cause."

    def __init__(self, *, error_type: str, error_message: str, traceback: str, **details: Any) -> None:
        self.error_type = error_type
        self.error_message = error_message
        self.traceback = traceback
        self.headline = f"failed: {sentences(f'{error_type}: {error_message}')}"
        # The exception decides, and not what else the run has logged.
        super().__init__(**{**details, "cause": _cause_in(f"{error_type}: {error_message}")})

    def _tail(self) -> tuple[str, str | None, int]:
        return "traceback of the function", self.traceback, TRACEBACK_LINES


class RunCanceled(RunError):
    """The run ended CANCELED: a user cancelled it, or it reached its maximum duration."""

    headline = "was canceled"
    advice = (
        "OCI's audit log shows who cancelled it; the service also cancels a run at its maximum duration. "
        "Clear the task to run it again."
    )


class RunStopped(RunError):
    """The run ended STOPPED: somebody stopped it, or the service did, for example for maintenance."""

    headline = "was stopped"
    advice = "The service stops runs for maintenance. Clear the task to run it again."


class RunTimedOut(RunError):
    """The run did not end before the task's timeout."""

    headline = "did not end in time"
    advice = "Raise the task's timeout, or see the run's page for what takes so long."


class RunLost(RunError):
    """The run's state could not be read for longer than the error budget. The run may still be active."""

    headline = "is in an unknown state: polling failed for longer than the error budget"
    advice = "The run may still be active: check its page before you clear the task."


class AlreadyRunning(DataFlowError):
    """Nothing was submitted: the streaming application has a live run that is not the task's.

    :param application_id: OCID of the application.
    :param run_id: OCID of the live run.
    :param state: its ``lifecycleState``.
    """

    _cause = "already_running"

    def __init__(self, *, application_id: str, run_id: str, state: str) -> None:
        self.application_id = application_id
        self.run_id = run_id
        self.state = state
        super().__init__(
            sentences(
                "Nothing was submitted",
                f"Run {run_id} of the streaming application {application_id} is {state}",
                "Two live runs would corrupt the checkpoint",
                "Stop that run, or set if_already_running='adopt' to wait for it",
                self.see(),
            )
        )


class AmbiguousName(DataFlowError):
    """Several resources of the compartment have the display name.

    :param kind: application or pool.
    :param display_name: the name.
    :param compartment_id: OCID of the compartment that was searched.
    :param ids: OCIDs of the resources with the name.
    """

    _cause = "name_ambiguous"

    def __init__(self, *, kind: str, display_name: str, compartment_id: str, ids: list[str]) -> None:
        self.kind = kind
        self.display_name = display_name
        self.compartment_id = compartment_id
        self.ids = ids
        super().__init__(
            sentences(
                f"{len(ids)} {kind}s are named {display_name!r} in {compartment_id}: {', '.join(ids)}",
                "Rename or delete all but one",
                self.see(),
            )
        )


class NotFound(DataFlowError):
    """No resource of the compartment has the display name.

    :param kind: application or pool.
    :param display_name: the name.
    :param compartment_id: OCID of the compartment that was searched.
    """

    _cause = "name_not_found"

    def __init__(self, *, kind: str, display_name: str, compartment_id: str) -> None:
        self.kind = kind
        self.display_name = display_name
        self.compartment_id = compartment_id
        super().__init__(sentences(f"No {kind} is named {display_name!r} in {compartment_id}", self.see()))


class StoppableResourceError(DataFlowError):
    """Base of the errors of pools and SQL endpoints.

    :param resource_id: OCID of the resource.
    :param state: last known ``lifecycleState``.
    :param lifecycle_details: details of the state, from the service.
    :param note: further information.
    """

    noun = "resource"
    headline = "did not reach the expected state"
    advice = "See the resource in the console for the cause."

    def __init__(
        self, resource_id: str, state: str | None, lifecycle_details: str | None, note: str | None
    ) -> None:
        self.state = state
        self.lifecycle_details = lifecycle_details
        self.note = note
        lines = {
            "state": state,
            "lifecycle_details": lifecycle_details,
            "hint": f"{self.advice} {self.see()}",
            "note": note,
        }
        super().__init__(_report(f"{self.noun} {resource_id} {self.headline}", lines), is_report=True)


class PoolError(StoppableResourceError):
    """A pool did not reach the expected state.

    :param pool_id: OCID of the pool.
    :param state: last known ``lifecycleState``.
    :param lifecycle_details: details of the state, from the service.
    :param note: further information.
    """

    noun = "Pool"
    advice = "See the pool in the console for the cause."

    def __init__(
        self,
        *,
        pool_id: str,
        state: str | None = None,
        lifecycle_details: str | None = None,
        note: str | None = None,
    ) -> None:
        self.pool_id = pool_id
        super().__init__(pool_id, state, lifecycle_details, note)


class PoolFailed(PoolError):
    """The pool is in a state from which it cannot reach the expected one."""


class PoolTimedOut(PoolError):
    """The pool did not reach the expected state before the task's timeout. It may still do so."""

    headline = "did not reach the expected state in time"
    advice = "Raise the task's timeout: a cold pool takes up to ten minutes to start."


class PoolLost(PoolError):
    """The state of the pool could not be read for longer than the error budget."""

    headline = "is in an unknown state: polling failed for longer than the error budget"
    advice = "Check the pool in the console before you clear the task."


class SqlEndpointError(StoppableResourceError):
    """A SQL endpoint did not reach the expected state.

    :param sql_endpoint_id: OCID of the SQL endpoint.
    :param state: last known ``lifecycleState``.
    :param lifecycle_details: details of the state, from the service.
    :param note: further information.
    """

    noun = "SQL endpoint"
    advice = "See the SQL endpoint in the console for the cause."

    def __init__(
        self,
        *,
        sql_endpoint_id: str,
        state: str | None = None,
        lifecycle_details: str | None = None,
        note: str | None = None,
    ) -> None:
        self.sql_endpoint_id = sql_endpoint_id
        super().__init__(sql_endpoint_id, state, lifecycle_details, note)


class SqlEndpointFailed(SqlEndpointError):
    """The SQL endpoint is in a state from which it cannot reach the expected one."""


class SqlEndpointTimedOut(SqlEndpointError):
    """The SQL endpoint did not reach the expected state before the task's timeout. It may still do so."""

    headline = "did not reach the expected state in time"
    advice = "Raise the task's timeout, and check whether the service maintains the endpoint (UPDATING)."


class SqlEndpointLost(SqlEndpointError):
    """The state of the SQL endpoint could not be read for longer than the error budget."""

    headline = "is in an unknown state: polling failed for longer than the error budget"
    advice = "Check the SQL endpoint in the console before you clear the task."


class StatementError(DataFlowError):
    """A statement of a session did not succeed, or its end is unknown.

    :param run_id: OCID of the SESSION run.
    :param statement_id: number of the statement in the session.
    :param state: last known ``lifecycleState``.
    :param error_name: type of the exception that the statement raised.
    :param error_value: message of that exception.
    :param traceback: lines of its traceback, of which the last are kept.
    :param note: further information.
    """

    headline = "did not end as expected"
    advice = "See the log of the session's run for the cause."

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
        hint = f"{self.advice} {self.see()}"
        lines = {"state": state, "error": raised, "hint": hint, "note": note}
        headline = f"Statement {statement_id} of run {run_id} {self.headline}"
        tail = ("traceback", "\n".join(self.traceback), LOG_TAIL_LINES)
        super().__init__(_report(headline, lines, tail), is_report=True)
        self._cause = _cause_in(raised)


class StatementFailed(StatementError):
    """The code raised an exception."""

    headline = "failed"
    advice = "Correct the code of the statement. Definitions of earlier statements are still there."


class StatementCanceled(StatementError):
    """The statement was cancelled, by a user or because its session ended."""

    headline = "was cancelled"
    advice = (
        "A statement also ends with its session: check the session's run. Clear the task to send it again."
    )


class StatementTimedOut(StatementError):
    """The statement did not end before the task's timeout."""

    headline = "did not end in time"
    advice = "Raise the task's timeout. Statements of a session run one after the other."


class StatementLost(StatementError):
    """The session has ended, or the statement could not be read for longer than the error budget."""

    headline = "is in an unknown state"
    advice = "Check the session's run. A retry sends the code again, if the session is IN_PROGRESS."


def _cause_in(text: str) -> str | None:
    # Imported late, as in ServiceError.
    from airflow_provider_dataflow.error_hints import find_cause

    found = find_cause(text)
    return found.cause if found else None


def _report(
    headline: str, lines: dict[str, str | None], tail: tuple[str, str | None, int] = ("", None, 0)
) -> str:
    """Return a headline, labelled lines, and the last lines of a log."""
    tail_label, tail_text, limit = tail
    tail_lines = [line for line in (tail_text or "").splitlines() if line.strip()][-limit:]
    return "\n".join(
        [
            sentences(headline),
            *(f"  {label}: {text}" for label, value in lines.items() if (text := _value_of(label, value))),
            *([f"  {tail_label}:"] if tail_lines else ()),
            *(f"    {_cut(line)}" for line in tail_lines),
        ]
    )


#: Labels of lines that are sentences. Values of the other lines are kept as they are.
_SENTENCE_LABELS = ("hint", "note")


def _value_of(label: str, value: str | None) -> str:
    if label in _SENTENCE_LABELS:
        return sentences(value)
    return _cut("\n    ".join(line for line in str(value or "").strip().splitlines() if line.strip()))
