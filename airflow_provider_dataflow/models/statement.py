"""Statements of SESSION runs: states, attributes, output, and the request to create one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.models.coercion import verbatim_text
from airflow_provider_dataflow.models.decoding import decode_text, decoder
from airflow_provider_dataflow.models.field_names import api_field
from airflow_provider_dataflow.models.request_body import RequestBody, argument
from airflow_provider_dataflow.models.resource import Resource

#: XCom key of :func:`statement_name`. Pushed right after the create, and read before any cancel to check that
#: the task still waits for this statement.
STATEMENT = "statement"


def statement_name(run_id: str, statement_id: int) -> str:
    """Return a name that is unique across runs; the number of a statement is unique only within its run."""
    return f"{run_id}/statements/{statement_id}"


class StatementState(StrEnum):
    """States of a statement (``lifecycleState`` of the API). A run's CANCELED is spelled with one L."""

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
    """Output of a statement (``StatementOutput``).

    :param status: OK or ERROR.
    :param type: type of ``value``: TEXT_PLAIN, TEXT_HTML or IMAGE_PNG.
    :param value: printed text and the value of the last expression.
    :param error_name: type of the exception.
    :param error_value: message of the exception.
    :param traceback: lines of the exception's traceback.
    """

    status: str | None = None
    type: str | None = None
    value: str | None = None
    error_name: str | None = None
    error_value: str | None = None
    traceback: tuple[str, ...] = ()

    @classmethod
    def from_api(cls, body: Mapping[str, Any] | None) -> Self | None:
        """Decode the service's JSON; None stays None.

        :raises ValueError: a value has another type than the API documents.
        """
        if body is None:
            return None
        data = body.get("data") or {}
        if not isinstance(data, Mapping):
            raise ValueError(f"output.data: expected an object, got {type(data).__name__}")
        return cls(
            status=_text_or_none(body, "status"),
            type=_text_or_none(data, "type"),
            value=_text_or_none(data, "value"),
            error_name=_text_or_none(body, "errorName"),
            error_value=_text_or_none(body, "errorValue"),
            traceback=tuple(decoder(list[str])(body.get("traceback") or [])),
        )


def _text_or_none(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else decode_text(value)


@dataclass(frozen=True, slots=True)
class Statement(Resource):
    """Statement as the service returns it (``Statement`` or ``StatementSummary``)."""

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
        """Output, or None before there is one."""
        return StatementOutput.from_api(self.output)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StatementDetails(RequestBody):
    """Request for a new statement (``CreateStatementDetails``)."""

    code: str | None = argument(verbatim_text, required=True, verbatim=True)
