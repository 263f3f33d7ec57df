from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.triggers.events import Outcome, RunEvent


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_event_survives_the_way_through_the_database(outcome):
    event = RunEvent(outcome, "ocid1.dataflowrun.oc1..a", "FAILED", "why")
    assert RunEvent.parse(json.loads(json.dumps(event.payload()))) == event


def test_an_event_of_a_newer_version_is_understood():
    payload = RunEvent(Outcome.REACHED, "run").payload() | {"version": 9, "added": True}
    assert RunEvent.parse(payload) == RunEvent(Outcome.REACHED, "run")


@pytest.mark.parametrize("payload", [None, {}, {"outcome": "reached"}, {"outcome": "?", "run_id": "x"}])
def test_something_else_is_refused(payload):
    with pytest.raises(ValueError, match="something else"):
        RunEvent.parse(payload)
