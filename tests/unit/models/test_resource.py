from __future__ import annotations

import pytest

from airflow_provider_dataflow.models.application import Application
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.resource import as_json


@pytest.mark.parametrize("body", [None, {}, {"id": "x"}, {"lifecycleState": "ACTIVE"}, []])
def test_incomplete_response_is_refused(body):
    with pytest.raises(ValueError, match="the response is no pool"):
        Pool.from_api(body)


def test_times_are_aware_and_become_iso_8601_in_json():
    body = {
        "id": "x",
        "lifecycleState": "ACTIVE",
        "timeCreated": "2026-01-02T03:04:05.678Z",
        "driverShapeConfig": {"ocpus": 1, "memoryInGBs": 16},
        "configuration": {"memoryInGBs": "mine"},
        "addedLater": 1,
    }
    found = Application.from_api(body)
    assert found.time_created.utcoffset().total_seconds() == 0
    assert found.raw["addedLater"] == 1
    shown = as_json(found.attributes())
    assert shown["time_created"] == "2026-01-02T03:04:05.678000+00:00"
    assert shown["driver_shape_config"] == {"ocpus": 1, "memory_in_gbs": 16}
    assert shown["configuration"] == {"memoryInGBs": "mine"}
