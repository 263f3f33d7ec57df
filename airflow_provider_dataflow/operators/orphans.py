"""CancelOrphanRunsOperator: cancels runs that no task is waiting for any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.compat import deployment_id
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.operators.base import DataFlowOperator
from airflow_provider_dataflow.operators.entry_point import entry_point
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.ownership.task_state import TaskState, read_task_state
from airflow_provider_dataflow.xcom_keys import RUN_ID

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run

#: Minutes. A worker that is between its submit and the record of it is left in peace.
DEFAULT_MIN_AGE = 15

#: Seconds for one of them. The next turn of the DAG tries again anyway.
CANCEL_TIMEOUT = 60.0

#: A task in one of these has ended: nobody comes back for its run.
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class CancelOrphanRunsOperator(DataFlowOperator):
    """Cancels runs that :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator` has submitted and
    whose task has gone: ended, deleted, or gone on with another run.

    For a maintenance DAG. It covers what Airflow leaves no other way for: a task that was killed while its
    trigger had not been started, a backfill that was cancelled, a worker that was lost on its last try.

    A run is touched only if its freeform tags name a task instance of this very Airflow (see
    ``deployment_id``), it is ACCEPTED or IN_PROGRESS and older than ``min_age_in_minutes``, it is not meant
    to outlive its task (``wait_for_completion=False``, ``cancel_on_kill=False``, or ``target_states`` that
    are no end), and Airflow says that its task is gone. Where Airflow cannot be asked, the run is left alone.
    The result is the list of the OCIDs of the runs that were cancelled.

    :param compartment_ids: OCIDs of the compartments to look into; templated. Default: the connection's.
    :param deployment_id: which Airflow the runs must be of, as their tag ``airflow_deployment`` has it;
        templated. Default: ``[oci_data_flow] deployment_id`` of Airflow's configuration, or else
        ``[api] base_url``.
    :param min_age_in_minutes: younger runs are left alone; a number, or a timedelta; templated. Default: 15.
    :param report_only: log what would be cancelled, and cancel nothing; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: nothing says which compartment, or which Airflow.
    :raises ServiceError: the runs could not be listed.
    :raises DataFlowError: some orphans could not be cancelled; the others were.
    """

    template_fields: Sequence[str] = (
        *("compartment_ids", "deployment_id", "min_age_in_minutes", "report_only"),
        *HOOK_ARGUMENTS,
    )

    def __init__(
        self,
        *,
        compartment_ids: Sequence[str] | str | None = None,
        deployment_id: str | None = None,
        min_age_in_minutes: Duration = DEFAULT_MIN_AGE,
        report_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.compartment_ids: Any = compartment_ids
        self.deployment_id: Any = deployment_id
        self.min_age_in_minutes: Any = min_age_in_minutes
        self.report_only: Any = report_only
        self.read_settings_at_parse()

    @entry_point
    def execute(self, context: Context) -> list[str]:
        self.read_settings()
        deployment = self.deployment_id or deployment_id()
        if not deployment:
            raise InvalidArgument(
                "deployment_id",
                "missing: without [oci_data_flow] deployment_id, or an [api] base_url of its own, this "
                "Airflow's runs cannot be told from another's",
            )
        orphans = [
            (run, why) for run, tags in self._candidates(deployment) if (why := self._orphaned(run, tags))
        ]
        cancelled, failed = [], []
        for run, why in orphans:
            self.log.info("Run %s (%s) is %s and an orphan: %s", run.id, run.display_name, run.state, why)
            if self.report_only:
                continue
            if self._cancel(run.id):
                cancelled.append(run.id)
            else:
                failed.append(run.id)
        self.log.info("%d orphans, %d of them cancelled", len(orphans), len(cancelled))
        if failed:
            raise DataFlowError(f"Orphans that could not be cancelled: {', '.join(failed)}")
        return cancelled

    def _candidates(self, deployment: str) -> Iterator[tuple[Run, TaskTags]]:
        from pendulum import now

        latest = now("UTC") - timedelta(minutes=self.min_age_in_minutes)
        for compartment_id in self._compartments():
            for state in (LifecycleState.ACCEPTED, LifecycleState.IN_PROGRESS):
                # All of them first: a page that is read while runs end could miss some.
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
            raise InvalidArgument("compartment_ids", "missing, and the connection has none either")
        return compartments

    def _orphaned(self, run: Run, tags: TaskTags) -> str | None:
        """Why nobody will come back for the run; ``None`` if somebody may."""
        try:
            task_state = read_task_state(tags.identity, RUN_ID)
        except Exception as error:  # noqa: BLE001 - whatever Airflow says, it has not said that the task is gone
            self.log.warning("Run %s is left alone, as its task is unknown: %s", run.id, error)
            return None
        return why_orphaned(task_state, run.id, f"{tags.identity}")

    def _cancel(self, run_id: str) -> bool:
        result = cancel_run(lambda: self.hook.client, run_id, timeout=CANCEL_TIMEOUT)
        if not result.confirmed:
            self.log.error("%s", result)
        return result.confirmed


def why_orphaned(now: TaskState, run_id: str, task: str) -> str | None:
    """Why nobody will come back for a run; ``None`` if somebody may.

    A task instance without a state, or one that is queued or up for retry, will: its next try goes on with
    the run, or cancels it.
    """
    if not now.exists:
        return f"there is no {task} any more"
    if now.state in ENDED:
        return f"{task} is {now.state}"
    if now.state in ("running", "deferred") and now.xcom not in (None, run_id):
        return f"{task} has another run, {now.xcom}"
    return None
