"""Report of a task to OpenLineage: data sets of its run, and facets with the run's OCID, state and usage.

Imported only by the provider of OpenLineage's listener, which needs the same packages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    ErrorMessageRunFacet,
    ExternalQueryRunFacet,
    RunFacet,
)
from airflow.providers.common.compat.openlineage.utils.utils import translate_airflow_asset
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider_dataflow.arguments.masking import details_without_secrets
from airflow_provider_dataflow.cost.settings import configured_prices
from airflow_provider_dataflow.lineage.datasets import DataSet, RunDataSets
from airflow_provider_dataflow.models.usage import Usage

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.run import Run

#: Key of :class:`DataFlowRunFacet` among the facets of a task's run.
RUN_FACET = "ociDataFlow_run"
#: Source of the run's OCID in the facet ``externalQuery``.
SOURCE = "oci_data_flow"


@attr.define(kw_only=True)
class DataFlowRunFacet(RunFacet):
    """Run on OCI Data Flow. What the service does not report is None.

    :param runId: OCID of the run.
    :param applicationId: OCID of its application.
    :param displayName: its name.
    :param runType: BATCH, STREAMING or SESSION.
    :param fileUri: URI of the main file.
    :param sparkVersion: for example ``3.5.0``.
    :param lifecycleState: state of the run as the task saw it last.
    :param lifecycleDetails: the service's reason for that state.
    :param url: page of the run in OCI's console.
    :param usage: fields of :class:`~airflow_provider_dataflow.models.usage.Usage` in camel case, with the
        estimated cost.
    :param otherUris: URIs among the arguments of which it is unknown if the run reads or writes them.
    """

    runId: str
    applicationId: str | None = None
    displayName: str | None = None
    runType: str | None = None
    fileUri: str | None = None
    sparkVersion: str | None = None
    lifecycleState: str | None = None
    lifecycleDetails: str | None = None
    url: str | None = None
    usage: dict[str, Any] = attr.field(factory=dict)
    otherUris: list[str] = attr.field(factory=list)

    # OCIDs and figures, in which OpenLineage's redaction would only look for secrets in vain.
    _additional_skip_redact = ["runId", "applicationId", "lifecycleState", "usage"]  # noqa: RUF012 - as its base


def lineage_of(
    sets: RunDataSets,
    *,
    run_id: str | None,
    run: Run | None,
    url: str | None,
    inlets: Iterable[Any] = (),
    outlets: Iterable[Any] = (),
    failed: bool = False,
) -> OperatorLineage:
    """Return what a task reports.

    :param sets: data sets among the arguments.
    :param run_id: OCID of the run; None before the submit.
    :param run: the run as the task saw it last.
    :param url: page of the run.
    :param inlets: those of the task. OpenLineage ignores them if the operator reports data sets.
    :param outlets: see ``inlets``.
    :param failed: whether the task has failed.
    """
    for asset in inlets:
        _declare(sets, asset, sets.inputs)
    for asset in outlets:
        _declare(sets, asset, sets.outputs)
    facets: dict[str, Any] = {}
    if run_id:
        facets[RUN_FACET] = _run_facet(run_id, run, url, sets)
        facets["externalQuery"] = ExternalQueryRunFacet(externalQueryId=run_id, source=SOURCE)
    if failed and run is not None and run.is_terminal and not run.succeeded:
        facets["errorMessage"] = ErrorMessageRunFacet(
            message=f"Run {run.id} {run.state}: {details_without_secrets(run) or 'no details'}",
            programmingLanguage=run.language or "",
        )
    return OperatorLineage(inputs=_reported(sets.inputs), outputs=_reported(sets.outputs), run_facets=facets)


def _declare(sets: RunDataSets, asset: Any, known: dict[DataSet, None]) -> None:
    """Add what the author declares as an inlet or outlet."""
    # With the converter of its scheme, for oci:// that of ``assets.oci``.
    if (translated := translate_airflow_asset(asset, None)) is not None:
        dataset = DataSet(translated.namespace, translated.name)
        known[dataset] = None
        sets.others.pop(dataset, None)


def _reported(sets: Iterable[DataSet]) -> list[Any]:
    return [Dataset(namespace=each.namespace, name=each.name) for each in sets]


def _run_facet(run_id: str, run: Run | None, url: str | None, sets: RunDataSets) -> DataFlowRunFacet:
    others = [f"{each.namespace}{each.name}" for each in sets.others]
    if run is None:
        return DataFlowRunFacet(runId=run_id, url=url, otherUris=others)
    return DataFlowRunFacet(
        runId=run_id,
        applicationId=run.application_id,
        displayName=run.display_name,
        runType=run.type,
        fileUri=run.file_uri,
        sparkVersion=run.spark_version,
        lifecycleState=run.state,
        lifecycleDetails=details_without_secrets(run),
        url=url,
        usage=Usage.of(run, configured_prices()).facet(),
        otherUris=others,
    )
