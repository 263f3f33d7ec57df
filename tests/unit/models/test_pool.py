from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.pool import PoolDetails
from tests.unit.support import COMPARTMENT_ID

POOL = {
    "compartment_id": COMPARTMENT_ID,
    "display_name": "warm",
    "configurations": [{"shape": "VM.Standard2.1", "min": "1", "max": 2}],
}


def test_values_are_converted_to_the_types_of_the_api():
    details = PoolDetails.build(
        POOL | {"schedules": [{"day_of_week": "monday", "start_time": "8", "stop_time": 18}]}
    )
    details.check()
    assert details.body()["configurations"] == [{"shape": "VM.Standard2.1", "min": 1, "max": 2}]
    assert details.body()["schedules"] == [{"dayOfWeek": "MONDAY", "startTime": 8, "stopTime": 18}]
    assert details.differences(details.body()) == {}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"configurations": None}, "configurations"),
        ({"configurations": []}, "configurations"),
        ({"configurations": [{"shape": "x", "min": 3, "max": 2}]}, "configurations[0].min"),
        ({"configurations": [{"min": 1}]}, "configurations[0].shape"),
        ({"configurations": [{"shape": "x", "maximum": 1}]}, "configurations[0].maximum"),
        ({"schedules": [{"day_of_week": "someday"}]}, "schedules[0].day_of_week"),
        ({"schedules": [{"day_of_week": "MONDAY", "start_time": 24}]}, "schedules[0].start_time"),
    ],
)
def test_error_names_path_of_invalid_pool(changes, path):
    with pytest.raises(InvalidArgument) as caught:
        PoolDetails.build(POOL | changes).check()
    assert caught.value.path == path
