"""Freeform tags with the identity of the task that submitted a run: for OCI's console, and to find lost runs.

Pure: no Airflow, no network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from airflow_provider_dataflow.models.task_identity import TaskIdentity

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
CAUSES = "airflow_on_cause"

#: Order in which tags are dropped if there are too many with the author's own. Tags that qualify the ids are
#: dropped after the ids, so that a run never seems to belong to another task or deployment.
DROP_ORDER = (TRY_NUMBER, CAUSES, DAG_ID, RUN_ID, TASK_ID, MAP_INDEX, OUTLIVES_TASK, DEPLOYMENT, SUBMISSION)


@dataclass(frozen=True, slots=True)
class TaskTags:
    """Identity of the task that a run belongs to.

    :param identity: the task instance.
    :param try_number: of the try that submitted the run.
    :param token: retry token of the submit, by which a lost run is found.
    :param deployment: the Airflow deployment, where several share a compartment.
    :param outlives_task: whether the run continues after its task has ended.
    :param causes: keys of the causes of failures for which ``on_cause`` has changed the settings of the run.
    """

    identity: TaskIdentity
    try_number: int
    token: str
    deployment: str = ""
    outlives_task: bool = False
    causes: tuple[str, ...] = ()

    def tags(self) -> dict[str, str]:
        """Return the tags, cut to OCI's limits."""
        tags = {
            DEPLOYMENT: self.deployment,
            DAG_ID: self.identity.dag_id,
            RUN_ID: self.identity.run_id,
            TASK_ID: self.identity.task_id,
            MAP_INDEX: str(self.identity.map_index) if self.identity.map_index >= 0 else "",
            TRY_NUMBER: str(self.try_number),
            SUBMISSION: self.token,
            OUTLIVES_TASK: "true" if self.outlives_task else "",
            CAUSES: " ".join(self.causes),
        }
        return {name: fitted(value) for name, value in tags.items() if value}

    def added_to(self, own: Mapping[str, str] | None) -> dict[str, str]:
        """Return the author's tags and as many of these as OCI's limit allows."""
        tags = self.tags()
        own = own or {}
        for name in DROP_ORDER:
            if len({*tags, *own}) <= MAX_TAGS:
                break
            tags.pop(name, None)
        return {**tags, **own}

    @classmethod
    def of(cls, tags: Mapping[str, str] | None) -> Self | None:
        """Read a run's tags. Return ``None`` if they name no task instance."""
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
                causes=tuple(tags.get(CAUSES, "").split()),
            )
        except (KeyError, ValueError):
            return None


def token_of(tags: Mapping[str, str] | None) -> str | None:
    """Return the retry token in a run's tags, also if there was no room for those that name the task."""
    return (tags or {}).get(SUBMISSION)


def fitted(value: str) -> str:
    """Cut a value that is too long for a tag. A digest keeps values that differ different."""
    if len(value) <= MAX_VALUE:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()[:16]
    return f"{value[: MAX_VALUE - len(digest) - 1]}~{digest}"
