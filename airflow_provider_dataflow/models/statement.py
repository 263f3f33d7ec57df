"""Statements of SESSION runs: code that is sent to a session, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.models import typed
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.fields import verbatim_text
from airflow_provider_dataflow.models.request_body import Details, argument
from airflow_provider_dataflow.models.resource import Resource
from airflow_provider_dataflow.models.typed import reader

#: XCom that names the statement that a task waits for: pushed right after its create, and asked before any
#: cancel. The number alone is only unique in its run.
STATEMENT = "statement"


def statement_name(run_id: str, statement_id: int) -> str:
    return f"{run_id}/statements/{statement_id}"


class StatementState(StrEnum):
    """The states of a statement (``lifecycleState`` of the API); not spelled as those of a run."""

    ACCEPTED = "ACCEPTED"
    IN_PROGRESS = "IN_PROGRESS"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


ENDED_STATES: frozenset[str] = frozenset(
    {StatementState.CANCELLED, StatementState.SUCCEEDED, StatementState.FAILED}
)


@dataclass(frozen=True, slots=True)
class StatementOutput:
    """What a statement has put out (``StatementOutput``).

    :param status: OK or ERROR.
    :param type: of ``value``: TEXT_PLAIN, TEXT_HTML or IMAGE_PNG.
    :param value: what was printed, and the value of the last expression.
    :param error_name: type of the exception.
    :param error_value: its message.
    :param traceback: its lines.
    """

    status: str | None = None
    type: str | None = None
    value: str | None = None
    error_name: str | None = None
    error_value: str | None = None
    traceback: tuple[str, ...] = ()

    @classmethod
    def from_api(cls, body: Mapping[str, Any] | None) -> Self | None:
        """Read the service's JSON.

        :raises ValueError: it is no output.
        """
        if body is None:
            return None
        data = body.get("data") or {}
        if not isinstance(data, Mapping):
            raise ValueError(f"output.data: expected an object, got {type(data).__name__}")
        return cls(
            status=_text(body, "status"),
            type=_text(data, "type"),
            value=_text(data, "value"),
            error_name=_text(body, "errorName"),
            error_value=_text(body, "errorValue"),
            traceback=tuple(reader(list[str])(body.get("traceback") or [])),
        )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else typed.text(value)


@dataclass(frozen=True, slots=True)
class Statement(Resource):
    """A statement as the service describes it (``Statement`` or ``StatementSummary``)."""

    kind: ClassVar[str] = "statement"

    id: int
    state: str = field(metadata=api_field("lifecycleState"))
    code: str | None = field(default=None, repr=False)
    output: Mapping[str, Any] | None = field(default=None, repr=False)
    progress: float | None = None
    run_id: str | None = None
    time_completed: datetime | None = None
    time_created: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def check(self) -> None:
        Resource.check(self)
        StatementOutput.from_api(self.output)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED_STATES

    @property
    def result(self) -> StatementOutput | None:
        """The output, if there is one yet."""
        return StatementOutput.from_api(self.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementDetails(Details):
    """What a statement is made from (``CreateStatementDetails``)."""

    code: str | None = argument(verbatim_text, required=True, verbatim=True)
