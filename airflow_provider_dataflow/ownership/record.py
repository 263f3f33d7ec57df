"""Submission record of a task instance, and the decision what to do with a run of an earlier try.

Pure: no clock, no network, no Airflow.

A task instance owns at most one live run. Its submits are numbered by *generation*: the first one is 0, and
each run that replaces one that ended badly gets the next number. A clear starts over at 0. Tries between two
clears share a *clear epoch*.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from airflow_provider_dataflow.models.run import ENDING_STATES, SUCCESS_STATES, is_terminal
from airflow_provider_dataflow.models.task_identity import TaskIdentity

#: The service remembers a retry token for 24 hours; one hour less tolerates clocks that differ.
TOKEN_LIFETIME_SECONDS = 23 * 3600


def retry_token(identity: TaskIdentity, *, clear_epoch: int, generation: int, dag_run_start: str = "") -> str:
    """Return the ``opc-retry-token`` of a submit, which is known before the call.

    If a submit is repeated with the same token, the service returns the run that it already has.

    :param clear_epoch: equal for all tries between two clears.
    :param generation: number of the submit within the clear epoch.
    :param dag_run_start: start of the DAG run; distinguishes it from a deleted DAG run of the same id.
    """
    parts = json.dumps([*astuple(identity), clear_epoch, generation, dag_run_start])
    return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRecord:
    """A submit of a task instance. Stored before CreateRun is called, and again with the run's OCID.

    :param token: ``opc-retry-token`` of the submit.
    :param generation: number of the submit within the clear epoch.
    :param clear_epoch: of the try that submitted. Stored as ``max_tries``, from which it is taken.
    :param try_number: of the try that submitted.
    :param time: of the submit, in seconds since the epoch.
    :param run_id: OCID of the run; ``None`` until the response has arrived.
    :param earlier_run_ids: OCIDs of the runs that this one followed after maintenance, oldest first.
    :param is_cancelled: whether a try after a clear has cancelled the run.
    :param clear_number: how often tasks of the DAG run had been cleared when the last try began that had the
        run; ``None`` if Airflow did not tell.
    :param uploads: URIs of the local files of the submit, by argument and path. A repeated submit uses them,
        since the service would refuse the token with another body.
    :param causes: keys of the causes of failures since the last clear for which ``on_cause`` has changed the
        settings, oldest first.
    :param settings: the changed settings, by argument. A repeated submit uses them.
    :param lineage: Spark properties that were added for lineage, for the same reason. The value of a secret
        is ``None``. ``None`` instead of properties: there was no submit, or it was refused.
    """

    token: str
    generation: int
    clear_epoch: int
    try_number: int
    time: float
    run_id: str | None = None
    earlier_run_ids: tuple[str, ...] = ()
    is_cancelled: bool = False
    clear_number: int | None = None
    uploads: Mapping[str, str] = field(default_factory=dict, hash=False)
    causes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    lineage: Mapping[str, str | None] | None = field(default_factory=dict, hash=False)

    def as_json(self) -> dict[str, Any]:
        """Return the stored form, which records of earlier versions have, too."""
        stored: dict[str, Any] = {
            "token": self.token,
            "generation": self.generation,
            "max_tries": self.clear_epoch,
            "try_number": self.try_number,
            "time": self.time,
        }
        added = {
            "run_id": self.run_id,
            "earlier_run_ids": list(self.earlier_run_ids),
            "is_cancelled": self.is_cancelled,
            "uploads": dict(self.uploads),
            "causes": list(self.causes),
            "settings": dict(self.settings),
        }
        if self.clear_number is not None:
            stored["clear_number"] = self.clear_number
        # Without the key, none were added, as by versions that did not record it.
        if self.lineage is None or self.lineage:
            stored["lineage"] = self.lineage and dict(self.lineage)
        return {**stored, **{name: value for name, value in added.items() if value}}

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Read a stored record. Return ``None`` if there is none, or if it cannot be read."""
        if not isinstance(value, Mapping):
            return None
        try:
            return cls(
                token=str(value["token"]),
                generation=int(value["generation"]),
                clear_epoch=int(value["max_tries"]),
                try_number=int(value["try_number"]),
                time=float(value["time"]),
                run_id=value.get("run_id"),
                earlier_run_ids=tuple(map(str, value.get("earlier_run_ids") or ())),
                is_cancelled=bool(value.get("is_cancelled")),
                clear_number=int(number) if (number := value.get("clear_number")) is not None else None,
                uploads={str(key): str(uri) for key, uri in (value.get("uploads") or {}).items()},
                causes=tuple(map(str, value.get("causes") or ())),
                settings={str(name): item for name, item in (value.get("settings") or {}).items()},
                lineage=_properties(value.get("lineage", {})),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

    def followed_by(self, *run_ids: str) -> Self:
        """Return the record of the last of these runs, which followed the recorded one after maintenance."""
        known = [*self.earlier_run_ids, *filter(None, [self.run_id])]
        *earlier, last = dict.fromkeys([*known, *run_ids])
        return replace(self, run_id=last, earlier_run_ids=tuple(earlier))

    @property
    def run_ids(self) -> list[str]:
        """OCIDs of the run and of those that it followed, oldest first."""
        return [*self.earlier_run_ids, *filter(None, [self.run_id])]

    @property
    def has_fixed_body(self) -> bool:
        """True if a repeated submit must have the uploads and properties that are recorded."""
        return bool(self.uploads) or self.lineage is not None

    @property
    def may_have_run(self) -> bool:
        """True if a run of this submit may exist: it was sent, and not refused."""
        return self.run_id is not None or self.has_fixed_body

    def is_before_clear(self, *, clear_epoch: int, try_number: int, clear_number: int | None) -> bool:
        """Return whether the task was cleared since the recorded submit.

        The clear of a task that runs in a worker does not change ``max_tries``. It can be told from a retry
        only if no retry was left. Such a try may also follow the loss of a scheduler, so a clear must have
        been counted, too. That may be one of another task of the DAG run; then this is wrong, and a run that
        could have continued is replaced.

        :param clear_epoch: of the current try, as are the others.
        """
        if clear_epoch != self.clear_epoch:
            return True
        if self.clear_number is None or clear_number is None:
            return False
        has_no_retry_left = try_number > clear_epoch + 1
        return has_no_retry_left and try_number > self.try_number and clear_number > self.clear_number

    def has_live_token(self, now: float) -> bool:
        """Return whether the service still recognizes the token.

        :param now: seconds since the epoch.
        """
        return now - self.time < TOKEN_LIFETIME_SECONDS


def _properties(value: Any) -> dict[str, str | None] | None:
    if value is None:
        return None
    return {str(name): None if setting is None else str(setting) for name, setting in value.items()}


class RunDecision(StrEnum):
    """Decision about the run that a submit returned or that an earlier try left."""

    USE = "use"
    """Wait for it: it is active, or this very try submitted it."""
    ADOPT = "adopt"
    """It succeeded after its worker was lost: the task succeeds without another run."""
    REPLACE = "replace"
    """An earlier try's run that ended badly or is ending: submit the next generation."""


def decide(
    state: str,
    *,
    from_earlier_try: bool,
    first_try_after_clear: bool = False,
    awaits_successor: bool = False,
) -> RunDecision:
    """Decide what to do with a run.

    :param state: ``lifecycleState`` of the run.
    :param from_earlier_try: whether an earlier try of the task submitted it.
    :param first_try_after_clear: nothing is adopted then, since the user wants another run.
    :param awaits_successor: the service may have stopped the run for maintenance, and starts another one.
    """
    if not from_earlier_try or awaits_successor:
        return RunDecision.USE
    if state in SUCCESS_STATES:
        return RunDecision.REPLACE if first_try_after_clear else RunDecision.ADOPT
    if is_terminal(state) or state in ENDING_STATES:
        return RunDecision.REPLACE
    return RunDecision.USE
