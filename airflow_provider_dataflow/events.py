"""What a trigger tells its task when the wait is over: one schema, one constructor, one parser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

VERSION = 1


class Outcome(StrEnum):
    """Why a wait ended."""

    REACHED = "reached"
    """The run is in one of the states that were waited for, or has ended."""
    TIMEOUT = "timeout"
    """The deadline passed first."""
    LOST = "lost"
    """The service could not be asked for longer than the error budget."""


@dataclass(frozen=True, slots=True)
class RunEvent:
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

    def payload(self) -> dict[str, Any]:
        """The event as Airflow stores it."""
        return {"version": VERSION, **asdict(self), "outcome": self.outcome.value}

    @classmethod
    def parse(cls, payload: Mapping[str, Any] | None) -> Self:
        """Read an event, also one of another version of this package: what it adds is ignored.

        :raises ValueError: it is no event of ours.
        """
        try:
            if payload is None:
                raise TypeError("no payload")
            return cls(
                outcome=Outcome(payload["outcome"]),
                run_id=payload["run_id"],
                state=payload.get("state"),
                message=payload.get("message"),
                log_cursor=payload.get("log_cursor"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the trigger sent something else than the end of a wait: {payload!r}"
            ) from error
