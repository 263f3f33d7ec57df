"""Restarts of STREAMING runs on the Spark engine, without Spark."""

from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.local.engines.base import EngineJob
from airflow_provider_dataflow.local.engines.spark.engine import MAX_RESTARTS, SparkEngine
from airflow_provider_dataflow.local.state.buckets import Buckets

RUN_ID = "ocid1.dataflowrun.oc1.iad.aaaa"


class FakeProcess:
    """Process that has ended with this report."""

    def __init__(self, report):
        self.report = report

    def wait(self):
        return self.report


@pytest.fixture
def launches(tmp_path, monkeypatch):
    """Function that executes a run whose processes end with these reports, and counts the processes."""

    def execute(run_type, *reports):
        engine = SparkEngine(tmp_path, Buckets(tmp_path / "buckets"), limit=1, warm=False)
        started = []

        def launch(job, workspace):
            report = reports[min(len(started), len(reports) - 1)]
            assert not workspace.exit_file.exists()
            workspace.exit_file.write_text(json.dumps(report))
            started.append(report)
            return FakeProcess(report)

        monkeypatch.setattr(engine, "_launch", launch)
        monkeypatch.setattr(f"{SparkEngine.__module__}.check_storage", lambda *_: None)
        outcome = engine._run_to_its_end(EngineJob(RUN_ID, {"type": run_type}, {}, ()))
        return len(started), outcome.succeeded

    return execute


FAILED, SUCCEEDED = {"reason": "exit", "rc": 3}, {"reason": "exit", "rc": 0}


def test_streaming_run_is_started_again_up_to_ten_times(launches):
    assert launches("STREAMING", FAILED) == (1 + MAX_RESTARTS, False)


def test_streaming_run_that_ends_well_is_not_started_again(launches):
    assert launches("STREAMING", FAILED, FAILED, SUCCEEDED) == (3, True)


@pytest.mark.parametrize("run_type", ["BATCH", "SESSION"])
def test_other_run_is_not_started_again(launches, run_type):
    assert launches(run_type, FAILED) == (1, False)


@pytest.mark.parametrize("reason", ["cancel", "server-died", "sigterm"])
def test_cancelled_run_is_not_started_again(launches, reason):
    assert launches("STREAMING", {"reason": reason, "rc": 143}) == (1, False)
