from __future__ import annotations

import json
from types import MappingProxyType

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.retries.on_cause import (
    SETTABLE,
    has_step_left,
    settings_for,
    steps_by_cause,
    with_settings,
)
from tests.unit.support import APPLICATION_ID, run_body

LARGER = {"executor_shape_config": {"memory_in_gbs": 64}}


def read(value):
    return steps_by_cause(value, "on_cause")


def test_one_step_or_several_are_read_to_the_types_of_the_api():
    expected = {"executor_memory": [{"executor_shape_config": {"memoryInGBs": 64}}]}
    for value in ({"executor_memory": LARGER}, MappingProxyType({"executor_memory": [LARGER]})):
        assert read(value) == expected
    assert read(json.dumps({"executor_memory": LARGER})) == expected
    assert read(expected) == expected, "read at parse time, and again when the task runs"
    assert read({"no_capacity": [{"num_executors": "4"}, {"num_executors": 2}]}) == {
        "no_capacity": [{"num_executors": 4}, {"num_executors": 2}]
    }
    assert read({"executor_memory": None}) == {}


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ({"executor_memry": LARGER}, "on_cause.executor_memry", "expected one of"),
        ({"throttled": LARGER}, "on_cause.throttled", "no cause of a failed run"),
        ({"driver_memory": {"arguments": ["x"]}}, "on_cause.driver_memory.arguments", "cannot be changed"),
        ({"driver_memory": {"configuration": {}}}, "on_cause.driver_memory.configuration", "cannot be"),
        (
            {"driver_memory": [LARGER, {"driver_shape_config": {"memory_in_gbs": "much"}}]},
            "on_cause.driver_memory[1].driver_shape_config.memory_in_gbs",
            "expected",
        ),
        ({"driver_memory": {"driver_shape_config": {"gpus": 1}}}, "on_cause.driver_memory", "unknown"),
        ({"driver_memory": {"num_executors": 0}}, "on_cause.driver_memory.num_executors", "expected"),
        ({"driver_memory": {}}, "on_cause.driver_memory", "empty"),
        ({"driver_memory": []}, "on_cause.driver_memory", "1 to 10 steps"),
        ({"driver_memory": [LARGER] * 11}, "on_cause.driver_memory", "1 to 10 steps"),
        ({"driver_memory": 64}, "on_cause.driver_memory", "expected a dict"),
        ([LARGER], "on_cause", "expected a dict"),
    ],
)
def test_unusable_value_is_refused_at_parse_with_its_path(value, path, problem):
    with pytest.raises(InvalidArgument, match=problem) as refused:
        InvokeRunOperator(task_id="task", application_id=APPLICATION_ID, on_cause=value)
    assert refused.value.path.startswith(path)


def test_settable_arguments_are_those_of_the_request():
    assert set(SETTABLE) <= set(RunRequest.argument_names())


def test_task_that_starts_in_the_triggerer_is_refused_at_parse():
    with pytest.raises(InvalidArgument, match="on_cause: cannot be given together with start_from_trigger"):
        InvokeRunOperator(
            task_id="task",
            application_id=APPLICATION_ID,
            on_cause={"executor_memory": LARGER},
            start_from_trigger=True,
        )


def run(**fields) -> Run:
    return Run.from_api(run_body("FAILED", **fields))


def settings(on_cause, causes, request=None, failed=None):
    request = RunRequest.build({"application_id": APPLICATION_ID, **(request or {})})
    found = settings_for(read(on_cause), causes, request, failed or run())
    return found, with_settings(request, found).body()


def test_step_keeps_the_members_that_it_does_not_name():
    author = {"executor_shape_config": {"ocpus": 4, "memory_in_gbs": 16}}
    _, body = settings({"executor_memory": LARGER}, ["executor_memory"], author)
    assert body["executorShapeConfig"] == {"ocpus": 4, "memoryInGBs": 64}
    # The application's, as the service has reported it.
    failed = run(executorShapeConfig={"ocpus": 2.0, "memoryInGBs": 16.0})
    found, body = settings({"executor_memory": LARGER}, ["executor_memory"], failed=failed)
    assert body["executorShapeConfig"] == {"ocpus": 2.0, "memoryInGBs": 64}
    assert json.loads(json.dumps(found)) == found


def test_steps_follow_each_other_and_those_of_other_causes_stay():
    on_cause = {
        "executor_memory": [LARGER, {"executor_shape_config": {"memory_in_gbs": 128}, "num_executors": 8}],
        "driver_memory": {"driver_shape_config": {"memory_in_gbs": 32}},
    }
    executor, driver = "executor_memory", "driver_memory"
    assert settings(on_cause, [])[0] == {}
    assert settings(on_cause, [executor, driver])[0] == {
        "executor_shape_config": {"memoryInGBs": 64},
        "driver_shape_config": {"memoryInGBs": 32},
    }
    assert settings(on_cause, [executor, driver, executor])[0] == {
        "executor_shape_config": {"memoryInGBs": 128},
        "num_executors": 8,
        "driver_shape_config": {"memoryInGBs": 32},
    }
    # The author has taken steps away meanwhile.
    assert settings({executor: LARGER}, [executor, driver, executor])[0] == {
        "executor_shape_config": {"memoryInGBs": 64}
    }


@pytest.mark.parametrize(
    ("causes", "cause", "expected"),
    [
        ([], "executor_memory", True),
        (["driver_memory"], "executor_memory", True),
        (["executor_memory"], "executor_memory", True),
        (["executor_memory"] * 2, "executor_memory", False),
        ([], "driver_memory", False),
        ([], None, False),
    ],
)
def test_number_of_steps_is_bounded(causes, cause, expected):
    assert has_step_left(read({"executor_memory": [LARGER, LARGER]}), causes, cause) is expected
    assert has_step_left(None, causes, cause) is False
