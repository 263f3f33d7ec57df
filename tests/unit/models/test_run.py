from __future__ import annotations

import logging

import pytest

from airflow_provider_dataflow.models import run as run_module
from airflow_provider_dataflow.models.decoding import decode_time
from airflow_provider_dataflow.models.run import (
    KNOWN_STATES,
    TERMINAL_STATES,
    LifecycleState,
    Run,
    has_reached,
    is_terminal,
)

BODY = {"id": "ocid1.dataflowrun.oc1..a", "lifecycleState": "IN_PROGRESS"}


def test_states_are_those_of_the_sdk():
    from oci.data_flow.models import Run as SdkRun

    sdk_states = {
        value
        for name, value in vars(SdkRun).items()
        if name.startswith("LIFECYCLE_STATE_") and value != "UNKNOWN_ENUM_VALUE"
    }
    assert sdk_states == KNOWN_STATES


@pytest.mark.parametrize("state", sorted(KNOWN_STATES))
def test_four_of_the_eight_states_are_terminal(state):
    assert is_terminal(state) == (state in {"CANCELED", "FAILED", "SUCCEEDED", "STOPPED"})
    assert Run.from_api(BODY | {"lifecycleState": state}).is_terminal == (state in TERMINAL_STATES)


@pytest.mark.parametrize("state", sorted(KNOWN_STATES))
def test_only_succeeded_counts_as_success(state):
    assert Run.from_api(BODY | {"lifecycleState": state}).succeeded == (state == "SUCCEEDED")


def test_unknown_state_is_not_terminal_and_logs_one_warning(caplog):
    run_module._warn_of_unknown_state.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert not is_terminal("HIBERNATING")
        assert not is_terminal("HIBERNATING")
    assert [record.getMessage().count("HIBERNATING") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    ("state", "targets", "expected"),
    [
        ("IN_PROGRESS", {"IN_PROGRESS"}, True),
        ("ACCEPTED", {"IN_PROGRESS"}, False),
        ("SUCCEEDED", {"IN_PROGRESS"}, True),
        ("FAILED", {"IN_PROGRESS"}, False),
        ("FAILED", TERMINAL_STATES, True),
        ("IN_PROGRESS", {"ACCEPTED"}, True),
        ("STOPPED", {"SUCCEEDED"}, False),
    ],
)
def test_state_that_a_run_has_passed_counts_as_reached(state, targets, expected):
    assert has_reached(state, targets) is expected


def test_from_api_converts_types_and_keeps_unknown_fields():
    run = Run.from_api(
        BODY
        | {
            "totalOCpu": 4,
            "timeCreated": "2026-11-25T03:04:05.678Z",
            "lifecycleDetails": "x",
            "addedLater": [1],
        }
    )
    assert run.total_ocpu == 4
    assert run.time_created is not None
    assert run.time_created.utcoffset().total_seconds() == 0
    assert run.time_created.isoformat() == "2026-11-25T03:04:05.678000+00:00"
    assert run.raw["addedLater"] == [1]
    assert run.attributes()["state"] == LifecycleState.IN_PROGRESS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600000+00:00"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05+02:00"),
        ("2026-01-02 03:04", "2026-01-02T03:04:00+00:00"),
        ("2026-01-02", "2026-01-02T00:00:00+00:00"),
    ],
)
def test_time_is_read(text, expected):
    assert decode_time(text).isoformat() == expected


@pytest.mark.parametrize("text", ["0:02:00", "03:04", "03:04:05Z", "P1D", "2026-01-02/2026-01-03", "now", ""])
def test_time_without_a_date_is_refused(text):
    """It would be one of today."""
    with pytest.raises(ValueError, match=r"time|parse|ISO|year"):
        decode_time(text)


def test_secrets_are_hidden_in_repr_and_on_request_in_attributes():
    fields = {
        "arguments": ["--token", "s1"],
        "configuration": {"spark.x.password": "s2"},
        "execute": "a.py --secret s3",
        "parameters": [{"name": "api_key", "value": "s4"}],
        "timeCreated": "2026-11-25T03:04:05Z",
    }
    run = Run.from_api(BODY | fields)
    shown = run.attributes(hide_secrets=True)
    for secret in ("s1", "s2", "s3", "s4"):
        assert secret not in repr(run)
        assert secret not in repr(shown)
        assert secret in repr(run.attributes())
    assert shown["time_created"] == run.time_created
    assert shown["freeform_tags"] is None
    assert shown.keys() == run.attributes().keys()


@pytest.mark.parametrize("body", [{}, {"id": "x"}, {"lifecycleState": "FAILED"}, [], None, "run"])
def test_response_that_is_no_run_is_refused(body):
    with pytest.raises(ValueError, match="is no run"):
        Run.from_api(body)
