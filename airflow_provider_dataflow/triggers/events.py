"""Events that triggers send to their tasks: schema, serialization and parsing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, Self

VERSION = 1


class Outcome(StrEnum):
    """Reason for the end of a wait."""

    REACHED = "reached"
    """The run is in a target state, or has ended."""
    TIMEOUT = "timeout"
    """The deadline has passed."""
    NOT_SUBMITTED = "not_submitted"
    """The trigger should have submitted a run, and could not."""
    LOST = "lost"
    """Service errors have used up the error budget."""


class Event:
    """Base of the events, which are frozen dataclasses with a field ``outcome``."""

    __slots__ = ()

    def payload(self) -> dict[str, Any]:
        """Return the event as JSON, as Airflow stores it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"version": VERSION, **values, "outcome": values["outcome"].value}

    @classmethod
    def parse(cls, payload: Mapping[str, Any] | None) -> Self:
        """Read an event of any version of this package. Ignores fields that this version does not know.

        :raises ValueError: the payload is no such event.
        """
        try:
            if payload is None:
                raise TypeError("no payload")
            values: dict[str, Any] = {
                f.name: payload[f.name] if f.default is MISSING else payload.get(f.name)
                for f in fields(cls)  # type: ignore[arg-type]
            }
            return cls(**{**values, "outcome": Outcome(values["outcome"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"expected a {cls.__name__} from the trigger, got {payload!r}") from error


@dataclass(frozen=True, slots=True)
class RunEvent(Event):
    """End of a wait for a run.

    :param outcome: reason for the end.
    :param run_id: OCID of the run.
    :param state: last known ``lifecycleState``.
    :param message: description of the problem, if there was one.
    :param log_cursor: position up to which each driver log was copied (``LogFollower.cursor``).
    :param cause: key of the problem's cause in ``causes.RETRIES``.
    """

    outcome: Outcome
    run_id: str
    state: str | None = None
    message: str | None = None
    log_cursor: Mapping[str, int] | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class PoolEvent(Event):
    """End of a wait for a pool; the other fields are those of :class:`RunEvent`.

    :param pool_id: OCID of the pool.
    """

    outcome: Outcome
    pool_id: str
    state: str | None = None
    message: str | None = None

    @property
    def resource_id(self) -> str:
        return self.pool_id


@dataclass(frozen=True, slots=True)
class SqlEndpointEvent(Event):
    """End of a wait for a SQL endpoint; the other fields are those of :class:`RunEvent`.

    :param sql_endpoint_id: OCID of the SQL endpoint.
    """

    outcome: Outcome
    sql_endpoint_id: str
    state: str | None = None
    message: str | None = None

    @property
    def resource_id(self) -> str:
        return self.sql_endpoint_id


@dataclass(frozen=True, slots=True)
class StatementEvent(Event):
    """End of a wait for a statement; the other fields are those of :class:`RunEvent`.

    :param run_id: OCID of the SESSION run.
    :param statement_id: number of the statement in the run.
    """

    outcome: Outcome
    run_id: str
    statement_id: int
    state: str | None = None
    message: str | None = None
