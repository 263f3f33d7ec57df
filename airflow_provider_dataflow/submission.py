"""From the identity of a task to the token of its submit. Pure: no clock, no network, no Airflow."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Which task instance asks.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1


def retry_token(identity: TaskIdentity, *, max_tries: int, submission: int) -> str:
    """The ``opc-retry-token`` of a submit, known before the call.

    The same submit, sent again because its answer was lost, has the same token and is answered with the
    same run; every other submit has another one.

    :param max_tries: of the task instance: raised by every clear, unchanged by an automatic retry.
    :param submission: counts the runs that this task instance asks for on purpose.
    """
    parts = json.dumps([*astuple(identity), max_tries, submission])
    return hashlib.sha256(parts.encode()).hexdigest()
