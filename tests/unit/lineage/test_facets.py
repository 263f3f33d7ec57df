"""With OpenLineage's own classes."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset

from airflow_provider_dataflow.models.run import Run
from tests.unit.support import RUN_ID, run_body

pytest.importorskip("airflow.providers.openlineage")

from airflow_provider_dataflow.lineage.datasets import RunDataSets
from airflow_provider_dataflow.lineage.facets import RUN_FACET, lineage_of


def reported(run: Run | None = None, sets: RunDataSets | None = None, **fields):
    return lineage_of(sets or RunDataSets(), run_id=run.id if run else None, run=run, url=None, **fields)


def test_inlets_and_outlets_are_reported():
    sets = RunDataSets()
    sets.add_arguments(["oci://data@ns/joined", "oci://data@ns/orders"])
    lineage = reported(
        Run.from_api(run_body("SUCCEEDED")),
        sets,
        inlets=[Asset("oci://data@ns/orders")],
        outlets=[Asset("oci://data@ns/joined"), object()],
    )
    assert [each.name for each in lineage.inputs] == ["/orders"]
    assert [each.name for each in lineage.outputs] == ["/joined"]
    assert lineage.run_facets[RUN_FACET].otherUris == []


@pytest.mark.parametrize("state", ["SUCCEEDED", "IN_PROGRESS"])
def test_task_that_failed_for_another_reason_reports_no_error_of_its_run(state):
    lineage = reported(Run.from_api(run_body(state)), failed=True)
    assert "errorMessage" not in lineage.run_facets


def test_secrets_of_the_run_are_hidden_in_its_details():
    run = Run.from_api(
        run_body(
            "FAILED",
            lifecycleDetails="cannot sign in with hush-hush-1234",
            configuration={"spark.app.password": "hush-hush-1234"},
        )
    )
    lineage = reported(run, failed=True)
    assert lineage.run_facets[RUN_FACET].lifecycleDetails == "cannot sign in with ***"
    assert lineage.run_facets["errorMessage"].message == f"Run {RUN_ID} FAILED: cannot sign in with ***"


def test_run_that_was_never_seen_is_reported_by_its_ocid():
    lineage = lineage_of(RunDataSets(), run_id=RUN_ID, run=None, url=None, failed=True)
    assert lineage.run_facets[RUN_FACET].runId == RUN_ID
    assert set(lineage.run_facets) == {RUN_FACET, "externalQuery"}


def test_nothing_is_reported_before_there_is_a_run():
    assert reported().run_facets == {}
