from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.usage import Prices, Usage, money

ENDED = {
    "id": "ocid1.dataflowrun.oc1..a",
    "lifecycleState": "SUCCEEDED",
    "timeCreated": "2026-01-01T00:00:00Z",
    "timeUpdated": "2026-01-01T01:31:35.250Z",
    "runDurationInMilliseconds": 5_400_000,
    "totalOCpu": 3,
    "dataReadInBytes": 1536,
    "dataWrittenInBytes": 12,
}


def usage(**changes):
    return Usage.of(Run.from_api({k: v for k, v in {**ENDED, **changes}.items() if v is not None}))


def test_usage_of_ended_run():
    result = usage()
    assert result.as_dict() == {
        "queue_seconds": 95.25,
        "run_seconds": 5400.0,
        "ocpu_hours": 4.5,
        "gb_hours": None,
        "is_upper_bound": False,
        "estimated_cost": None,
        "currency": None,
        "data_read_in_bytes": 1536,
        "data_written_in_bytes": 12,
    }
    assert json.loads(json.dumps(result.as_dict())) == result.as_dict()
    assert str(result) == "queued 1m 35s, ran 1h 30m 0s, 4.5 OCPU hours, read 1.5 KiB, wrote 12 bytes"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"lifecycleState": "IN_PROGRESS", "runDurationInMilliseconds": 30_000, "dataReadInBytes": 0},
            "ran 30.0s, read 0 bytes, wrote 12 bytes",
        ),
        (
            # Canceled before Spark started.
            {
                "lifecycleState": "CANCELED",
                "runDurationInMilliseconds": None,
                "dataReadInBytes": None,
                "dataWrittenInBytes": None,
            },
            "queued 1h 31m 35s",
        ),
        # A duration longer than the lifetime must not give a negative queue time.
        (
            {"runDurationInMilliseconds": 6_000_000, "totalOCpu": None, "dataReadInBytes": 2**40},
            "queued 0.0s",
        ),
    ],
)
def test_values_that_the_service_does_not_report_are_left_out(changes, expected):
    assert str(usage(**changes)).startswith(expected)


def test_usage_without_any_values_is_unknown():
    result = Usage.of(Run(id="x", state="ACCEPTED"))
    assert {name for name, value in result.as_dict().items() if value} == set()
    assert str(result) == "unknown"


FLEXIBLE = {
    "driverShape": "VM.Standard.E4.Flex",
    "driverShapeConfig": {"ocpus": 1, "memoryInGBs": 16},
    "executorShape": "VM.Standard.E4.Flex",
    "executorShapeConfig": {"ocpus": 2, "memoryInGBs": 32},
    "numExecutors": 2,
    "totalOCpu": 5,
    "runDurationInMilliseconds": 1_800_000,
}
DYNAMIC = {"spark.dynamicAllocation.enabled": "true"}
AT_MOST_8 = {**DYNAMIC, "spark.dynamicAllocation.maxExecutors": "8"}


@pytest.mark.parametrize(
    ("changes", "ocpu_hours", "gb_hours", "is_upper_bound"),
    [
        pytest.param({}, 2.5, 40.0, False, id="flexible shapes by their configuration"),
        pytest.param({"numExecutors": 0, "totalOCpu": 1}, 0.5, 8.0, False, id="driver alone"),
        pytest.param(
            {"driverShape": "VM.Standard2.1", "executorShape": "VM.Standard2.4", "totalOCpu": 9},
            *(4.5, 67.5, False),
            id="fixed shapes by the table, whatever their configuration",
        ),
        pytest.param(
            {"driverShape": "VM.Standard2.24", "executorShape": "VM.GPU.A10.1", "totalOCpu": 54},
            *(27.0, 400.0, False),
            id="memory that is no multiple of the OCPUs",
        ),
        pytest.param({"executorShape": None, "executorShapeConfig": None}, 2.5, None, False, id="no shape"),
        pytest.param({"driverShapeConfig": {"ocpus": 1}}, 2.5, None, False, id="no memory"),
        pytest.param({"numExecutors": None}, 2.5, None, False, id="number of executors not known"),
        pytest.param(
            {"driverShape": "BM.Unheard.9", "driverShapeConfig": None}, 2.5, None, False, id="unknown shape"
        ),
        pytest.param({"totalOCpu": None}, None, 40.0, False, id="OCPUs not reported"),
        pytest.param({"runDurationInMilliseconds": None}, None, None, False, id="not started"),
        pytest.param(
            {"configuration": AT_MOST_8}, 8.5, 136.0, True, id="dynamic allocation counts all executors"
        ),
        pytest.param(
            {"configuration": AT_MOST_8, "numExecutors": 10}, 10.5, 168.0, True, id="more to begin with"
        ),
        pytest.param({"configuration": DYNAMIC}, None, None, False, id="dynamic allocation without a limit"),
        pytest.param(
            {"configuration": {**DYNAMIC, "spark.dynamicAllocation.maxExecutors": "${max}"}},
            *(None, None, False),
            id="limit that is no number",
        ),
        pytest.param(
            {"configuration": {**AT_MOST_8, "spark.dynamicAllocation.enabled": "false"}},
            *(2.5, 40.0, False),
            id="dynamic allocation switched off",
        ),
        pytest.param(
            {
                "execute": "--conf spark.dynamicAllocation.enabled=TRUE "
                "--conf=spark.dynamicAllocation.maxExecutors=8 oci://b@n/app.py --conf x=y"
            },
            *(8.5, 136.0, True),
            id="properties of a command line",
        ),
        pytest.param(
            {"configuration": AT_MOST_8, "executorShape": "BM.Unheard.9", "executorShapeConfig": None},
            *(None, None, False),
            id="dynamic allocation of an unknown shape",
        ),
    ],
)
def test_hours_by_shapes(changes, ocpu_hours, gb_hours, is_upper_bound):
    result = usage(**{**FLEXIBLE, **changes})
    assert (result.ocpu_hours, result.gb_hours) == (ocpu_hours, gb_hours)
    assert result.is_upper_bound is is_upper_bound


@pytest.mark.parametrize(
    ("prices", "changes", "cost", "text"),
    [
        (Prices(0.04, 0.002, "EUR"), {}, 0.18, "estimated cost 0.1800 EUR"),
        (Prices(0.04, 0.002), {}, 0.18, "estimated cost 0.1800,"),
        (Prices(4.0, None, "EUR"), {}, 10.0, "estimated cost 10.00 EUR"),
        (Prices(None, 100.0, "JPY"), {}, 4000.0, "estimated cost 4,000.00 JPY"),
        (Prices(0.0, None, "EUR"), {}, 0.0, "estimated cost 0.00 EUR"),
        (Prices(4.0, None, "EUR"), {"configuration": AT_MOST_8}, 34.0, "estimated cost at most 34.00 EUR"),
        # Not a part of the cost in place of the cost.
        (Prices(4.0, 1.0, "EUR"), {"driverShapeConfig": None}, None, None),
        (Prices(4.0, 1.0, "EUR"), {"configuration": DYNAMIC}, None, None),
        (Prices(currency="EUR"), {}, None, None),
        (Prices(), {}, None, None),
    ],
)
def test_estimated_cost(prices, changes, cost, text):
    result = Usage.of(Run.from_api({**ENDED, **FLEXIBLE, **changes}), prices)
    assert result.estimated_cost == cost
    assert result.currency == (prices.currency or None if cost is not None else None)
    if text is None:
        assert "cost" not in str(result)
    else:
        assert text in str(result)


def test_facet_has_what_is_known():
    run = Run.from_api({**ENDED, **FLEXIBLE, "dataReadInBytes": None})
    assert Usage.of(run, Prices(4.0, None, "EUR")).facet() == {
        "queueSeconds": 3695.25,
        "runSeconds": 1800.0,
        "ocpuHours": 2.5,
        "gbHours": 40.0,
        "isUpperBound": False,
        "estimatedCost": 10.0,
        "currency": "EUR",
        "dataWrittenInBytes": 12,
    }


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (0.00004, "0.0000"), (0.5, "0.5000"), (1, "1.00"), (1e6, "1,000,000.00")],
)
def test_money(amount, text):
    assert money(amount, None) == text
    assert money(amount, "EUR") == f"{text} EUR"
