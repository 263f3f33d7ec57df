"""Stores of the submission record between the tries of a task instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_dataflow.compat import NEVER_EXPIRE, pull_xcom, push_xcom
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.record import SubmissionRecord

#: Key of the record, in either store.
RECORD_KEY = "oci_data_flow_submission"


class RecordStore(Protocol):
    """Keeps one submission record."""

    def load(self) -> SubmissionRecord | None:
        """Return the record, or ``None``."""

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record."""


@dataclass(frozen=True)
class TaskStateRecordStore:
    """Airflow's task state store (3.3 or newer), which survives retries and clears. For workers.

    :param task_state_store: of the task's context.
    """

    task_state_store: Any

    def load(self) -> SubmissionRecord | None:
        return SubmissionRecord.from_json(self.task_state_store.get(RECORD_KEY))

    def save(self, record: SubmissionRecord) -> None:
        self.task_state_store.set(RECORD_KEY, record.as_json(), retention=NEVER_EXPIRE)


class XComRecordStore:
    """XCom of the task. For triggers, which have no task state store.

    A worker deletes the XComs of its task when it starts a try. Without a worker, they last as long as the
    DAG run.

    :param identity: the task instance.
    :param assume_empty: do not read a record before the first one is saved.
    """

    def __init__(self, identity: TaskIdentity, *, assume_empty: bool = False) -> None:
        self._identity = identity
        self.assume_empty = assume_empty
        self.first_loaded_epoch: int | None = None
        """Clear epoch of the record that an earlier trigger had saved."""
        self._was_loaded = False

    def load(self) -> SubmissionRecord | None:
        if self.assume_empty:
            return None
        record = SubmissionRecord.from_json(pull_xcom(self._identity, RECORD_KEY))
        if not self._was_loaded:
            self._was_loaded = True
            self.first_loaded_epoch = record.clear_epoch if record else None
        return record

    def save(self, record: SubmissionRecord) -> None:
        self.assume_empty = False
        self._was_loaded = True
        push_xcom(self._identity, RECORD_KEY, record.as_json())
