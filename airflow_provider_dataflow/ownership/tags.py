"""The freeform tags that say whose run it is: read by people in OCI's console, and by who looks for a run.

Pure: no Airflow, no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from airflow_provider_dataflow.ownership.record import TaskIdentity

#: OCI's limits for freeform tags of one resource.
MAX_TAGS = 10
MAX_VALUE = 256

DEPLOYMENT = "airflow_deployment"
DAG_ID = "airflow_dag_id"
RUN_ID = "airflow_run_id"
TASK_ID = "airflow_task_id"
MAP_INDEX = "airflow_map_index"
TRY_NUMBER = "airflow_try_number"
SUBMISSION = "airflow_submission"
OUTLIVES_TASK = "airflow_outlives_task"

#: What is left out first where the author's own tags leave too little room. What qualifies the ids goes later
#: than they do, so that no run is taken for what it is not.
DISPENSABLE = (TRY_NUMBER, DAG_ID, RUN_ID, TASK_ID, MAP_INDEX, OUTLIVES_TASK, DEPLOYMENT, SUBMISSION)


@dataclass(frozen=True, slots=True)
class TaskTags:
    """Whose run it is.

    :param identity: the task instance.
    :param try_number: which of its tries.
    :param token: the retry token of the submit: what a lost run is found by.
    :param deployment: which Airflow, where several share a compartment.
    :param outlives_task: whether the run is meant to go on when its task has ended.
    """

    identity: TaskIdentity
    try_number: int
    token: str
    deployment: str = ""
    outlives_task: bool = False

    def tags(self) -> dict[str, str]:
        """The tags, each within OCI's limits."""
        tags = {
            DEPLOYMENT: self.deployment,
            DAG_ID: self.identity.dag_id,
            RUN_ID: self.identity.run_id,
            TASK_ID: self.identity.task_id,
            MAP_INDEX: str(self.identity.map_index) if self.identity.map_index >= 0 else "",
            TRY_NUMBER: str(self.try_number),
            SUBMISSION: self.token,
            OUTLIVES_TASK: "true" if self.outlives_task else "",
        }
        return {name: fitted(value) for name, value in tags.items() if value}

    def added_to(self, own: Mapping[str, str] | None) -> dict[str, str]:
        """These tags and the author's own, which win; as many of these as OCI leaves room for."""
        tags = self.tags()
        own = own or {}
        for name in DISPENSABLE:
            if len({*tags, *own}) <= MAX_TAGS:
                break
            tags.pop(name, None)
        return {**tags, **own}

    @classmethod
    def of(cls, tags: Mapping[str, str] | None) -> Self | None:
        """Read a run's tags; ``None`` if they do not name a task instance."""
        tags = tags or {}
        try:
            return cls(
                identity=TaskIdentity(
                    tags[DAG_ID], tags[RUN_ID], tags[TASK_ID], int(tags.get(MAP_INDEX, "-1"))
                ),
                try_number=int(tags.get(TRY_NUMBER, "0")),
                token=tags[SUBMISSION],
                deployment=tags.get(DEPLOYMENT, ""),
                outlives_task=OUTLIVES_TASK in tags,
            )
        except (KeyError, ValueError):
            return None


def fitted(value: str) -> str:
    """The value, cut if it is too long for a tag; two that differ stay different."""
    if len(value) <= MAX_VALUE:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()[:16]
    return f"{value[: MAX_VALUE - len(digest) - 1]}~{digest}"
