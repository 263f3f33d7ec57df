from __future__ import annotations

import pytest

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.ownership.long_runs import STREAMING_PAGE, TOKEN_PAGE, long_run_warnings
from tests.unit.support import run_body

CHECKPOINT = "spark.sql.streaming.checkpointLocation"
PRINCIPAL = {"dataflow.auth": "resource_principal"}
BUCKET = "oci://data@ns"


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "BATCH"},
        {"type": "BATCH", "maxDurationInMinutes": 1440},
        {"type": "BATCH", "maxDurationInMinutes": 1441, "configuration": PRINCIPAL},
        {
            "type": "BATCH",
            "maxDurationInMinutes": 1441,
            "execute": "--conf dataflow.auth=resource_principal app.py",
        },
        {"type": "SESSION", "maxDurationInMinutes": 1441},
        {"type": "STREAMING", "configuration": {CHECKPOINT: f"{BUCKET}/c"}},
        {"type": "STREAMING", "arguments": ["--checkpoint", f"{BUCKET}/c"]},
        {"type": "STREAMING", "arguments": [f"{BUCKET}/checkpoints/a"]},
        {
            "type": "STREAMING",
            "arguments": ["${x}"],
            "parameters": [{"name": "x", "value": f"{BUCKET}/checkpoint"}],
        },
        {"type": "STREAMING", "execute": f"{BUCKET}/app.py --checkpoint={BUCKET}/c"},
    ],
)
def test_run_that_survives_is_not_warned_about(fields):
    assert long_run_warnings(Run.from_api(run_body(**fields))) == []


@pytest.mark.parametrize(
    ("fields", "argument", "page"),
    [
        ({"type": "BATCH", "maxDurationInMinutes": 1441}, "max_duration_in_minutes", TOKEN_PAGE),
        ({"maxDurationInMinutes": 1441}, "max_duration_in_minutes", TOKEN_PAGE),
        (
            {"maxDurationInMinutes": 1441, "configuration": {"dataflow.auth": "delegation"}},
            "max_duration_in_minutes",
            TOKEN_PAGE,
        ),
        ({"type": "STREAMING"}, f"configuration.{CHECKPOINT}", STREAMING_PAGE),
        (
            {"type": "STREAMING", "arguments": [f"{BUCKET}/out"]},
            f"configuration.{CHECKPOINT}",
            STREAMING_PAGE,
        ),
        (
            {"type": "STREAMING", "configuration": {CHECKPOINT: "/tmp/c"}},
            f"configuration.{CHECKPOINT}",
            STREAMING_PAGE,
        ),
    ],
)
def test_run_that_does_not_survive_is_warned_about(fields, argument, page):
    (warning,) = long_run_warnings(Run.from_api(run_body(**fields)))
    assert warning.startswith(f"{argument}: ")
    assert warning.endswith(f"See {page}")
