"""Scripted runs on a manual clock, through the SDK."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import oci
import pytest
from oci.exceptions import ServiceError

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.rules import PREFIX, Rule, RunScript
from tests.contract.conftest import Target, target_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("scripted"), engine="scripted", clock="manual") as server:
        yield server


@pytest.fixture
def scripted(server: LocalDataFlow) -> LocalDataFlow:
    server.reset()
    return server


@pytest.fixture
def target(scripted: LocalDataFlow) -> Target:
    return target_of(scripted)


def state(target: Target, run_id: str) -> str:
    return target.client.get_run(run_id).data.lifecycle_state


def test_run_follows_the_script_of_its_configuration(scripted, target):
    configuration = {
        f"{PREFIX}startup": "60",
        f"{PREFIX}duration": "3600",
        f"{PREFIX}outcome": "FAILED",
        f"{PREFIX}details": "no such month",
        f"{PREFIX}stdout": "first line\n",
        f"{PREFIX}bytesRead": "1234",
    }
    application = target.create_application("hello.py", configuration=configuration)
    run_id = target.submit(application.id).id
    assert state(target, run_id) == "ACCEPTED"
    scripted.advance(60)
    assert state(target, run_id) == "IN_PROGRESS"
    assert target.log(run_id, "spark_application_stdout.log.gz") == "first line\n"
    scripted.advance(3600)
    run = target.client.get_run(run_id).data
    assert (run.lifecycle_state, run.lifecycle_details) == ("FAILED", "no such month")
    assert (run.run_duration_in_milliseconds, run.data_read_in_bytes) == (3_600_000, 1234)
    names = {log.name for log in target.client.list_run_logs(run_id).data}
    assert {"spark_application_stdout.log.gz", "spark_application_stderr.log.gz"} <= names


def test_rules_give_scripts_to_runs(scripted, target):
    scripted.set_rules(
        [
            Rule(
                display_name="etl-*",
                attempts=[
                    RunScript(outcome="FAILED", duration=90),
                    RunScript(outcome="SUCCEEDED", duration=600),
                ],
            )
        ]
    )
    application = target.create_application("hello.py")
    first, second, other = (
        target.submit(application.id, display_name=name).id for name in ("etl-a", "etl-b", "x")
    )
    assert state(target, other) == "SUCCEEDED"
    scripted.advance_to_next()
    assert [state(target, r) for r in (first, second)] == ["FAILED", "IN_PROGRESS"]
    scripted.advance(510)
    assert state(target, second) == "SUCCEEDED"


def test_cancel_takes_the_declared_duration(scripted, target):
    scripted.set_rules([{"attempts": [{"duration": 60, "cancelDuration": 20}]}])
    run_id = target.submit(target.create_application("hello.py").id).id
    assert state(target, run_id) == "IN_PROGRESS"
    assert target.client.delete_run(run_id).status == 204
    assert state(target, run_id) == "CANCELING"
    scripted.advance(20)
    assert scripted.run_states(run_id) == ["ACCEPTED", "IN_PROGRESS", "CANCELING", "CANCELED"]


def test_wrong_script_is_400(target):
    application = target.create_application("hello.py", configuration={f"{PREFIX}outcome": "MAYBE"})
    with pytest.raises(ServiceError, match="outcome must be one of") as e:
        target.submit(application.id)
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")


def test_reset_keeps_identity_clock_and_process(scripted, target):
    run = target.submit(target.create_application("hello.py").id)
    scripted.add_fault("status", status=503)
    before = scripted.identity, scripted.now(), scripted.pid
    scripted.reset()
    assert (scripted.identity, scripted.now(), scripted.pid) == before
    assert scripted.faults() == []
    assert target.client.list_runs(target.compartment_id).data == []
    with pytest.raises(ServiceError, match="not found"):
        target.client.get_run(run.id)
    assert [e["operation"] for e in scripted.journal()] == ["ListRuns", "GetRun"]


def test_wrong_faults_rules_and_clock_moves_raise(scripted, local):
    with pytest.raises(ValueError, match="kind must be one of"):
        scripted.add_fault("earthquake")
    with pytest.raises(ValueError, match="needs attempts"):
        scripted.set_rules([{"displayName": "x"}])
    with pytest.raises(RuntimeError, match=r"409.*--clock manual"):
        local.advance(1)


def test_manual_clock_continues_after_a_restart(tmp_path):
    home = tmp_path / "home"
    with LocalDataFlow(home, engine="scripted", clock="manual") as before:
        target = target_of(before)
        run_id = target.submit(target.create_application("hello.py").id).id
        before.advance(3600)
        later = target.submit(target.create_application("hello.py").id).id
        assert state(target, later) == "SUCCEEDED"
        moment = before.now()
    with LocalDataFlow(home, engine="scripted", clock="manual") as after:
        assert after.now() == pytest.approx(moment, abs=1)
        assert state(target_of(after), run_id) == "SUCCEEDED"


def test_system_clock_ends_runs_without_requests(tmp_path):
    with LocalDataFlow(tmp_path, engine="scripted") as server:
        target = target_of(server)
        application = target.create_application("hello.py", configuration={f"{PREFIX}duration": "0.2"})
        run = target.wait(target.submit(application.id).id)
        assert run.lifecycle_state == "SUCCEEDED"
        assert run.run_duration_in_milliseconds == 200


def test_server_does_not_import_spark_or_the_sdk():
    script = (
        "import sys; import airflow_provider_dataflow.local.http.server;"
        "print([m for m in sys.modules if 'pyspark' in m or 'engines.spark' in m or m == 'oci'])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "[]"


def test_a_day_of_many_runs_takes_seconds(scripted, target):
    scripted.set_rules([Rule(attempts=[RunScript(startup=30, duration=3600)])])
    application = target.create_application("hello.py")
    began = time.time()
    runs = [target.submit(application.id).id for _ in range(50)]
    scripted.advance(24 * 3600)
    pages = oci.pagination.list_call_get_all_results(
        target.client.list_runs, target.compartment_id, application_id=application.id
    )
    assert {run.id for run in pages.data} == set(runs)
    assert {run.run_duration_in_milliseconds for run in pages.data} == {3_600_000}
    assert time.time() - began < 60
