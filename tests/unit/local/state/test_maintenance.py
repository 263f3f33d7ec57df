"""Planned maintenance: a STREAMING run is stopped, and its successor starts."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.base import RunOutcome
from tests.unit.local.support import COMPARTMENT, Local


@pytest.fixture
def run_id(local):
    return local.submit(local.application(type="STREAMING"), freeformTags={"a": "1"}, arguments=["x"])


def maintain(local, run_id, **body):
    return local.json("POST", f"/_local/runs/{run_id}/maintain", body)


def newest_run(local):
    local.service.lifecycle.settle()
    return local.json("GET", "/_local/runs")[0]


def test_maintained_run_is_stopped_and_gets_a_successor(local, run_id):
    assert maintain(local, run_id, successorAfter=60)["lifecycleState"] == "STOPPING"
    assert local.engine.cancelled == [run_id]
    local.engine.finished(run_id, RunOutcome(False))
    stopped = local.json("GET", f"/runs/{run_id}")
    assert stopped["lifecycleState"] == "STOPPED"
    assert "maintenance" in stopped["lifecycleDetails"]
    local.clock.advance(59)
    assert newest_run(local)["id"] == run_id
    local.clock.advance(1)
    successor = newest_run(local)
    assert successor["id"] != run_id
    assert (successor["lifecycleState"], successor["lifecycleDetails"]) == ("IN_PROGRESS", None)
    assert successor["timeCreated"] > stopped["timeUpdated"]
    assert (successor["freeformTags"], successor["runDurationInMilliseconds"]) == ({}, 0)
    kept = ("applicationId", "arguments", "compartmentId", "configuration", "displayName", "type")
    assert {name: successor[name] for name in kept} == {name: stopped[name] for name in kept}


def test_successor_can_get_the_tags(local, run_id):
    maintain(local, run_id, copyTags=True)
    local.engine.finished(run_id, RunOutcome(False))
    assert newest_run(local)["freeformTags"] == {"a": "1"}


def test_restarted_server_starts_the_successor(tmp_path, local, run_id):
    maintain(local, run_id, successorAfter=60)
    local.engine.finished(run_id, RunOutcome(False))
    local.service.lifecycle.close()
    restarted = Local(tmp_path, store=local.store, clock=local.clock, keys=local.keys)
    restarted.clock.advance(60)
    assert newest_run(restarted)["id"] != run_id


def test_application_with_a_live_run_gets_no_successor(local, run_id):
    maintain(local, run_id, successorAfter=60)
    local.engine.finished(run_id, RunOutcome(False))
    application = local.json("GET", f"/runs/{run_id}")["applicationId"]
    other = local.json("POST", "/runs", {"compartmentId": COMPARTMENT, "applicationId": application})["id"]
    local.clock.advance(60)
    assert newest_run(local)["id"] == other


def test_run_stopped_by_a_user_gets_no_successor(local, run_id):
    local.call("DELETE", f"/runs/{run_id}")
    local.engine.finished(run_id, RunOutcome(False))
    stopped = newest_run(local)
    assert (stopped["id"], stopped["lifecycleDetails"]) == (run_id, "The run was stopped by a user.")


def test_only_streaming_run_in_progress_is_maintained(local, run_id):
    batch = local.submit()
    assert local.error("POST", f"/_local/runs/{batch}/maintain", {})[:2] == (409, "IncorrectState")
    maintain(local, run_id)
    assert local.error("POST", f"/_local/runs/{run_id}/maintain", {})[:2] == (409, "IncorrectState")


@pytest.mark.parametrize("body", [{"successorAfter": -1}, {"copyTags": 1}, {"after": 1}])
def test_wrong_body_is_refused(local, run_id, body):
    assert local.error("POST", f"/_local/runs/{run_id}/maintain", body)[0] == 400
