"""Identity of an Airflow task instance, which is part of retry tokens and freeform tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Primary key of a task instance, without its try number.

    :param map_index: -1 for a task that is not mapped.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        index = f", map index {self.map_index}" if self.map_index >= 0 else ""
        return f"Task {self.task_id} of DAG {self.dag_id} in {self.run_id}{index}"

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Return the identity of a task instance. Unmapped ones may have ``map_index=None``."""
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
