"""Which run belongs to a task instance: its token, the record of it, and what to do with a run found again.

Pure: no clock, no network, no Airflow.

A task instance owns at most one live run. What it asks the service for is named by a *generation*: the first
submit of a task has generation 0, and one that takes the place of a run that ended badly has the next one. A
clear starts over at 0; it is told from an automatic retry by ``max_tries``, which every clear raises and no
retry changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from enum import StrEnum
from typing import Any, Self

from airflow_provider_dataflow.models.run import ENDING_STATES, SUCCESS_STATES, is_terminal

#: Seconds. The service forgets a retry token after 24 hours; an hour is left for clocks that differ.
TOKEN_LIFETIME = 23 * 3600

#: XCom of the run that a task waits for; pushed right after the submit, and asked before any cancel.
RUN_ID = "run_id"

#: XCom of the state in which a task has seen its run last; pushed when the task ends by itself.
STATE = "lifecycle_state"


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Which task instance asks.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Read it from a task instance, which has ``None`` for some that are not mapped."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)


def retry_token(identity: TaskIdentity, *, max_tries: int, generation: int, incarnation: str = "") -> str:
    """The ``opc-retry-token`` of a submit, known before the call.

    The same submit, sent again because its answer was lost, has the same token and is answered with the
    same run; every other submit has another one.

    :param max_tries: of the task instance: raised by every clear, unchanged by an automatic retry.
    :param generation: counts the runs that this task instance asks for on purpose.
    :param incarnation: tells a DAG run from a deleted one of the same id.
    """
    parts = json.dumps([*astuple(identity), max_tries, generation, incarnation])
    return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a task instance has asked for, as it is recorded: before the call, and again with the answer.

    :param token: ``opc-retry-token`` of the submit.
    :param generation: see the module.
    :param max_tries: of the task instance at the submit.
    :param try_number: of the task instance at the submit.
    :param time: of the submit, in seconds since the epoch.
    :param run_id: OCID of the run; ``None`` as long as the answer is not known.
    """

    token: str
    generation: int
    max_tries: int
    try_number: int
    time: float
    run_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: object) -> Self | None:
        """Read a record; ``None`` if there is none, or none that can be read."""
        if not isinstance(value, Mapping):
            return None
        try:
            return cls(
                token=str(value["token"]),
                generation=int(value["generation"]),
                max_tries=int(value["max_tries"]),
                try_number=int(value["try_number"]),
                time=float(value["time"]),
                run_id=value.get("run_id"),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def is_of_this_turn(self, max_tries: int) -> bool:
        """Whether the task has not been cleared since."""
        return self.max_tries == max_tries

    def has_live_token(self, now: float) -> bool:
        """Whether the service still answers the token with the run.

        :param now: seconds since the epoch.
        """
        return now - self.time < TOKEN_LIFETIME


class Verdict(StrEnum):
    """What becomes of a run that is the answer to a submit, or was found again."""

    OWN = "own"
    """It is under way, or the answer to this very try: it is the task's run."""
    ADOPT = "adopt"
    """It succeeded while nobody looked: the task is done."""
    REPLACE = "replace"
    """An earlier try's run that ended badly, or is about to: the next generation takes its place."""


def verdict(state: str, *, of_earlier_try: bool, begins_turn: bool = False) -> Verdict:
    """Judge a run.

    :param state: its ``lifecycleState``.
    :param of_earlier_try: whether an earlier try of the task has asked for it.
    :param begins_turn: whether this try is the first since a clear, after which nothing is adopted.
    """
    if not of_earlier_try:
        return Verdict.OWN
    if state in SUCCESS_STATES:
        return Verdict.REPLACE if begins_turn else Verdict.ADOPT
    if is_terminal(state) or state in ENDING_STATES:
        return Verdict.REPLACE
    return Verdict.OWN
