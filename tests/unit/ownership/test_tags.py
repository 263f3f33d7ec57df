from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.tags import MAX_TAGS, MAX_VALUE, SUBMISSION, TaskTags, fitted


def tags(**fields) -> TaskTags:
    return TaskTags(
        **{"identity": TaskIdentity("dag", "run", "task"), "try_number": 2, "token": "t" * 64} | fields
    )


@pytest.mark.parametrize("map_index", [-1, 0, 12])
@pytest.mark.parametrize("deployment", ["", "https://airflow.example.com"])
def test_tags_survive_storage(map_index, deployment):
    written = tags(identity=TaskIdentity("dag", "run", "task", map_index), deployment=deployment)
    assert TaskTags.of(written.tags()) == written
    assert TaskTags.of(written.added_to({"cost_center": "42"})) == written
    changed = replace(written, causes=("executor_memory", "driver_memory"))
    assert TaskTags.of(changed.tags()) == changed
    assert changed.tags()["airflow_on_cause"] == "executor_memory driver_memory"


@pytest.mark.parametrize("other", [None, {}, {"airflow_dag_id": "dag"}, {"owner": "me"}])
def test_run_without_the_tags_belongs_to_no_task(other):
    assert TaskTags.of(other) is None


def test_unreadable_map_index_belongs_to_no_task():
    assert TaskTags.of({**tags().tags(), "airflow_map_index": "first"}) is None


def test_tags_of_the_author_win_and_the_limit_is_kept():
    for count in range(MAX_TAGS + 1):
        own = {f"own_{number}": "x" for number in range(count)}
        together = tags(deployment="d").added_to(own)
        assert own.items() <= together.items()
        assert len(together) <= MAX_TAGS
        assert (SUBMISSION in together) is (count < MAX_TAGS)
    assert tags().added_to({"airflow_dag_id": "mine"})["airflow_dag_id"] == "mine"


def test_dropped_tags_never_change_the_identity_of_a_mapped_task():
    mapped = tags(identity=TaskIdentity("dag", "run", "task", 3), deployment="d")
    for count in range(MAX_TAGS + 1):
        read = TaskTags.of(mapped.added_to({f"own_{number}": "x" for number in range(count)}))
        assert read is None or read.identity == mapped.identity


def test_long_values_are_cut_and_stay_different():
    assert fitted("x" * MAX_VALUE) == "x" * MAX_VALUE
    one, other = fitted("x" * 300 + "1"), fitted("x" * 300 + "2")
    assert len(one) == len(other) == MAX_VALUE
    assert one != other


@pytest.mark.parametrize("map_index", [-1, 3])
@pytest.mark.parametrize("own", range(11))
def test_causes_take_no_place_from_the_identity(map_index, own):
    identity = TaskIdentity("dag", "run", "task", map_index)
    of_author = {f"own_{number}": "x" for number in range(own)}
    tags = [
        TaskTags(identity, 2, "token", "deployment", causes=causes).added_to(of_author)
        for causes in ((), ("executor_memory",))
    ]
    with_none, with_causes = (TaskTags.of(each) for each in tags)
    assert (with_none is None) == (with_causes is None)
