from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.triggers.events import Outcome, RunEvent


@pytest.mark.parametrize("outcome", list(Outcome))
def test_event_survives_storage(outcome):
    event = RunEvent(outcome, "ocid1.dataflowrun.oc1..a", "FAILED", "why", {"stdout": 7}, "throttled")
    assert RunEvent.parse(json.loads(json.dumps(event.payload()))) == event


def test_fields_of_a_newer_version_are_ignored():
    payload = RunEvent(Outcome.REACHED, "run").payload() | {"version": 9, "added": True}
    assert RunEvent.parse(payload) == RunEvent(Outcome.REACHED, "run")


@pytest.mark.parametrize("payload", [None, {}, {"outcome": "reached"}, {"outcome": "?", "run_id": "x"}])
def test_payload_that_is_no_event_is_refused(payload):
    with pytest.raises(ValueError, match="expected a RunEvent"):
        RunEvent.parse(payload)
