"""Mixin of the operator that submits a run: OpenLineage's arguments, and what the task reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.lineage.datasets import RunDataSets, arguments_in
from airflow_provider_dataflow.lineage.spark_properties import SparkLineage
from airflow_provider_dataflow.models.run_request import RunRequest

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run

#: Arguments of this mixin; templated.
LINEAGE_ARGUMENTS = ("openlineage_inject_parent_job_info", "openlineage_inject_transport_info")


class LineageMixin:
    """Mixin of an operator that submits a run and waits for it. List it before the operator's base.

    :param openlineage_inject_parent_job_info: add the ids of the task to the Spark properties of the run.
    :param openlineage_inject_transport_info: add the address of OpenLineage to them.
    """

    if TYPE_CHECKING:
        hook: DataFlowHook
        log: Any
        json: Any
        inlets: list[Any]
        outlets: list[Any]
        application_args: Any
        _owned_run_id: str | None

        def _request_arguments(self) -> dict[str, Any]: ...

    def __init__(
        self,
        *,
        openlineage_inject_parent_job_info: bool | str,
        openlineage_inject_transport_info: bool | str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.openlineage_inject_parent_job_info: Any = openlineage_inject_parent_job_info
        self.openlineage_inject_transport_info: Any = openlineage_inject_transport_info
        self._last_seen_run: Run | None = None

    def _spark_lineage(self, context: Context) -> SparkLineage:
        """Return what adds OpenLineage's properties to each submit."""
        return SparkLineage(
            hook=self.hook,
            context=context,
            parent_job_info=self.openlineage_inject_parent_job_info,
            transport_info=self.openlineage_inject_transport_info,
            log=self.log,
        )

    # --- What the task reports ----------------------------------------------------------------------------

    def _push_run(self, run: Run, context: Context) -> None:
        self._last_seen_run = run
        super()._push_run(run, context)  # type: ignore[misc]

    def _finish(self, run: Run, context: Context, log_cursor: Mapping[str, int] | None = None) -> Any:
        self._last_seen_run = run
        return super()._finish(run, context, log_cursor)  # type: ignore[misc]

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Return the data sets among the arguments. Called by OpenLineage before ``execute``."""
        return self._lineage()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Return the data sets and the facets of the run. Called by OpenLineage when the task succeeded."""
        return self._lineage()

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage:
        """Return the data sets and the facets of the run. Called by OpenLineage when the task failed."""
        return self._lineage(failed=True)

    def _lineage(self, *, failed: bool = False) -> OperatorLineage:
        from airflow_provider_dataflow.lineage.facets import lineage_of

        # No request to the service: the listener runs in a fork of the worker, and has ten seconds.
        run = self._last_seen_run
        return lineage_of(
            self._data_sets(),
            run_id=run.id if run is not None else self._owned_run_id,
            run=run,
            url=self.hook.run_page_url(run.id) if run is not None else None,
            inlets=self.inlets,
            outlets=self.outlets,
            failed=failed,
        )

    def _data_sets(self) -> RunDataSets:
        """Return the data sets that the arguments of the run name."""
        sets = RunDataSets()
        if self._last_seen_run is not None:
            # With the arguments of the application, and those in the command line.
            sets.add_arguments(self._last_seen_run.arguments or (), self._last_seen_run.parameters)
            return sets
        request = RunRequest.build(self._request_arguments(), self.json)
        if self.application_args:
            sets.add_arguments(self.application_args)
        elif request.execute:
            sets.add_arguments(arguments_in(request.execute))
        else:
            sets.add_arguments(request.arguments or (), request.parameters)
        return sets
