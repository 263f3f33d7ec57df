from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.usage import Usage

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
            "ran 30.0s, 0.025 OCPU hours, read 0 bytes, wrote 12 bytes",
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
    assert set(result.as_dict().values()) == {None}
    assert str(result) == "unknown"
