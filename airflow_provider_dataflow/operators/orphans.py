"""CancelOrphanRunsOperator: cancels runs whose task is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.compat import deployment_id
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.operators.base import DataFlowOperator
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.ownership.successor import STREAMING
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.ownership.task_state import ENDED_TASK_STATES, TaskState, read_task_state
from airflow_provider_dataflow.xcom_keys import RUN_ID

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run

#: Longer than a worker may take between its submit and the XCom of the run.
DEFAULT_MIN_AGE_MINUTES = 15

#: States of tasks that wait for a run.
WAITING_TASK_STATES = ("running", "deferred")


class CancelOrphanRunsOperator(DataFlowOperator):
    """Cancels orphans: runs of :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator` whose task
    has ended, was deleted, or has another run.

    For a maintenance DAG. Airflow has no other hook to cancel the run of a worker that was lost on the last
    try, or of a task whose DAG run was deleted.

    A run is cancelled only if all of this is true: its freeform tags name a task instance of this Airflow
    deployment (see ``deployment_id``); it is ACCEPTED or IN_PROGRESS and older than ``min_age_in_minutes``;
    it is not meant to outlive its task (``wait_for_completion=False``, ``cancel_on_kill=False``, or
    ``target_states`` that are not terminal); and Airflow reports that its task is gone. If Airflow cannot be
    reached, the run is kept. The result is the list of the OCIDs of the cancelled runs.

    :param compartment_ids: OCIDs of the compartments to search; templated. Default: the connection's.
    :param deployment_id: value of the tag ``airflow_deployment`` that the runs must have; templated. Default:
        ``[oci_data_flow] deployment_id`` of Airflow's configuration, or else ``[api] base_url``.
    :param min_age_in_minutes: minutes (or a timedelta); younger runs are kept; templated. Default: 15.
    :param report_only: log the orphans without cancelling them; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: no compartment or no deployment is given or configured.
    :raises ServiceError: the runs could not be listed.
    :raises DataFlowError: some orphans could not be cancelled; the others were.
    """

    template_fields: Sequence[str] = (
        *("compartment_ids", "deployment_id", "min_age_in_minutes", "report_only"),
        *HOOK_ARGUMENTS,
    )
    #: Limit for the cancel of one run. The DAG's next run repeats cancels that failed.
    cancel_timeout_seconds: ClassVar[float] = 60.0

    def __init__(
        self,
        *,
        compartment_ids: Sequence[str] | str | None = None,
        deployment_id: str | None = None,
        min_age_in_minutes: Duration = DEFAULT_MIN_AGE_MINUTES,
        report_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.compartment_ids: Any = compartment_ids
        self.deployment_id: Any = deployment_id
        self.min_age_in_minutes: Any = min_age_in_minutes
        self.report_only: Any = report_only
        self.read_settings_at_parse()

    @called_by_airflow
    def execute(self, context: Context) -> list[str]:
        self.read_settings()
        deployment = self.deployment_id or deployment_id()
        if not deployment:
            raise InvalidArgument(
                "deployment_id",
                "missing: set [oci_data_flow] deployment_id, or a unique [api] base_url, to tell the runs of "
                "this Airflow deployment from those of others",
            )
        orphans = [
            (run, reason)
            for run, tags in self._candidates(deployment)
            if (reason := self._orphan_reason(run, tags))
        ]
        cancelled, failed = [], []
        for run, reason in orphans:
            self.log.info("Run %s (%s) is %s and an orphan: %s", run.id, run.display_name, run.state, reason)
            if self.report_only:
                continue
            if self._cancel(run.id):
                cancelled.append(run.id)
            else:
                failed.append(run.id)
        self.log.info("%d orphans, %d of them cancelled", len(orphans), len(cancelled))
        if failed:
            raise DataFlowError(f"Some orphans could not be cancelled: {', '.join(failed)}")
        return cancelled

    def _candidates(self, deployment: str) -> Iterator[tuple[Run, TaskTags]]:
        from pendulum import now

        latest = now("UTC") - timedelta(minutes=self.min_age_in_minutes)
        for compartment_id in self._compartments():
            for state in (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS):
                # Read all pages first: a page that is read while runs end could miss some.
                for run in list(self.hook.list_runs(compartment_id, lifecycle_state=state.value)):
                    tags = TaskTags.of(run.freeform_tags)
                    if (
                        tags is not None
                        and tags.deployment == deployment
                        and not tags.outlives_task
                        and run.time_created is not None
                        and run.time_created <= latest
                    ):
                        yield run, tags

    def _compartments(self) -> Sequence[str]:
        compartments: list[str] = self.compartment_ids or [self.hook.compartment_id or ""]
        if not all(compartments):
            raise InvalidArgument("compartment_ids", "missing, and the connection has no compartment_id")
        return compartments

    def _orphan_reason(self, run: Run, tags: TaskTags) -> str | None:
        """Return why the run is an orphan; ``None`` if it is not, or if that is unknown."""
        try:
            task_state = read_task_state(tags.identity, RUN_ID)
        except Exception as error:  # noqa: BLE001 - any error means: unknown
            self.log.warning("Run %s is kept: cannot read the state of its task: %s", run.id, error)
            return None
        if run.type == STREAMING and task_state.state in WAITING_TASK_STATES:
            # Maybe the successor of the task's run, which the task has not seen yet.
            return None
        return orphan_reason(task_state, run.id, f"{tags.identity}")

    def _cancel(self, run_id: str) -> bool:
        result = cancel_run(lambda: self.hook.client, run_id, timeout=self.cancel_timeout_seconds)
        if not result.confirmed:
            self.log.error("%s", result)
        return result.confirmed


def orphan_reason(task_state: TaskState, run_id: str, task: str) -> str | None:
    """Return why a run is an orphan; ``None`` if it is not.

    A task instance that is queued, up for retry or without a state is still to run: its next try re-attaches
    to the run or cancels it.
    """
    if not task_state.exists:
        return f"{task} does not exist any more"
    if task_state.state in ENDED_TASK_STATES:
        return f"{task} is {task_state.state}"
    if task_state.state in WAITING_TASK_STATES and task_state.xcom not in (None, run_id):
        return f"{task} has another run, {task_state.xcom}"
    return None
