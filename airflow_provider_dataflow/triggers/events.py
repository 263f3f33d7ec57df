"""What a trigger tells its task when the wait is over: one schema, one constructor, one parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, Self

VERSION = 1


class Outcome(StrEnum):
    """Why a wait ended."""

    REACHED = "reached"
    """The run is in one of the states that were waited for, or has ended."""
    TIMEOUT = "timeout"
    """The deadline passed first."""
    NOT_SUBMITTED = "not_submitted"
    """The trigger was to submit the run first, and there is none."""
    LOST = "lost"
    """The service could not be asked for longer than the error budget."""


class Event:
    """Base of the events: frozen dataclasses with ``outcome``."""

    __slots__ = ()

    def payload(self) -> dict[str, Any]:
        """The event as Airflow stores it."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {"version": VERSION, **values, "outcome": values["outcome"].value}

    @classmethod
    def parse(cls, payload: Mapping[str, Any] | None) -> Self:
        """Read an event, also one of another version of this package: what it adds is ignored.

        :raises ValueError: it is no event of ours.
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
            raise ValueError(
                f"the trigger sent something else than the end of a wait: {payload!r}"
            ) from error


@dataclass(frozen=True, slots=True)
class RunEvent(Event):
    """The end of a wait for a run.

    :param outcome: why the wait ended.
    :param run_id: OCID of the run.
    :param state: its ``lifecycleState`` when last seen, if it was seen.
    :param message: for a person: what went wrong, if anything did.
    :param log_cursor: how far the driver's logs have been copied already (``LogFollower.cursor``).
    """

    outcome: Outcome
    run_id: str
    state: str | None = None
    message: str | None = None
    log_cursor: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PoolEvent(Event):
    """The end of a wait for a pool; otherwise as :class:`RunEvent`."""

    outcome: Outcome
    pool_id: str
    state: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class StatementEvent(Event):
    """The end of a wait for a statement of a run; otherwise as :class:`RunEvent`."""

    outcome: Outcome
    run_id: str
    statement_id: int
    state: str | None = None
    message: str | None = None
