from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dataflow.assets.events import describe_run
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.usage import Prices, Usage

RUN = Run.from_api(
    {
        "id": "ocid1.dataflowrun.oc1..a",
        "lifecycleState": "SUCCEEDED",
        "applicationId": "ocid1.dataflowapplication.oc1..a",
        "displayName": "monthly",
        "runDurationInMilliseconds": 1_800_000,
        "totalOCpu": 5,
        "dataReadInBytes": 2048,
        "dataWrittenInBytes": 0,
    }
)
USAGE = Usage.of(RUN, Prices(4.0, None, "EUR"))
DETAILS = {
    "run_id": RUN.id,
    "application_id": RUN.application_id,
    "display_name": "monthly",
    "state": "SUCCEEDED",
    "run_seconds": 1800.0,
    "ocpu_hours": 2.5,
    "is_upper_bound": False,
    "estimated_cost": 10.0,
    "currency": "EUR",
    "data_read_in_bytes": 2048,
    "data_written_in_bytes": 0,
}
MONTHLY, OTHER = Asset("monthly"), Asset("other")


@pytest.fixture
def context():
    return {"outlet_events": OutletEventAccessors(), "dag_run": SimpleNamespace(partition_key=None)}


def test_events_of_all_outlets_describe_the_run(context):
    describe_run(context, [MONTHLY, OTHER], RUN, USAGE)
    for asset in (MONTHLY, OTHER):
        extra = context["outlet_events"][asset].extra
        assert extra == DETAILS
        assert json.loads(json.dumps(extra)) == extra


def test_partition_of_the_dag_run(context):
    context["dag_run"].partition_key = "2013-03"
    describe_run(context, [MONTHLY], RUN, USAGE)
    assert context["outlet_events"][MONTHLY].extra == {**DETAILS, "partition_key": "2013-03"}


def test_extra_of_the_author_is_kept(context):
    context["outlet_events"][MONTHLY].extra = {"rows": 3, "run_id": "mine"}
    describe_run(context, [MONTHLY], RUN, USAGE)
    assert context["outlet_events"][MONTHLY].extra == {**DETAILS, "rows": 3, "run_id": "mine"}


def test_other_outlets_are_left_alone(context):
    describe_run(context, [AssetAlias("alias"), {"a": "b"}, "text"], RUN, USAGE)
    assert len(context["outlet_events"]) == 0


@pytest.mark.parametrize("outlets", [None, [], [MONTHLY]])
def test_context_without_events(outlets):
    describe_run({}, outlets, RUN, USAGE)


def test_reference_that_cannot_be_read_fails_no_task(context, caplog, mocker):
    mocker.patch.object(
        OutletEventAccessors, "_resolve_asset_ref", side_effect=RuntimeError("no connection"), create=True
    )
    with caplog.at_level(logging.WARNING):
        describe_run(context, [Asset.ref(name="gone"), MONTHLY], RUN, USAGE)
    assert f"does not name run {RUN.id}: no connection" in caplog.text
    assert context["outlet_events"][MONTHLY].extra == DETAILS
