"""Runs on real Spark. As each start takes seconds, a test checks everything that its run shows."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import oci
import pytest
from oci.exceptions import ServiceError

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.processes import pids_with_marker
from tests.contract.conftest import BUCKET, NAMESPACE, target_of

pytestmark = pytest.mark.spark

CSV = "key,value\n" + "".join(f"{i % 3},{i}\n" for i in range(300))


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_no_process_is_left(home: Path, run_id: str) -> None:
    deadline = time.monotonic() + 30
    while pids_with_marker(home, run_id):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_run_reads_writes_and_logs(local, target, tmp_path):
    target.upload("in/tabelle ü.csv", CSV.encode())
    gate = tmp_path / "gate"
    application = target.create_application("totals.py", arguments=["${in}", "${out}", str(gate)])
    parameters = [
        {"name": "in", "value": f"{target.bucket_uri}in/tabelle ü.csv"},
        {"name": "out", "value": f"{target.bucket_uri}out/totals"},
    ]
    run = target.submit(application.id, parameters=parameters, num_executors=2)
    stdout = "spark_application_stdout.log.gz"

    # The output can be read while the run is in progress.
    target.wait(run.id, lambda r: r.lifecycle_state == "IN_PROGRESS")
    bucket = local.bucket_path(NAMESPACE, BUCKET)
    wait_for(bucket / "out/totals/_SUCCESS")
    assert target.log(run.id, stdout) == f"300 rows of {target.bucket_uri}in/tabelle ü.csv\n"
    gate.touch()

    run = target.wait(run.id)
    assert (run.lifecycle_state, run.lifecycle_details) == ("SUCCEEDED", None)
    assert target.log(run.id, stdout).splitlines()[1:] == ["done"]
    assert "from the driver" in target.log(run.id, "spark_application_stderr.log.gz")
    logs = target.client.list_run_logs(run.id).data
    assert [(f.source, f.type) for f in logs] == [
        ("APPLICATION", "STDOUT"),
        ("APPLICATION", "STDERR"),
        ("DRIVER", "STDERR"),
        ("EXECUTOR", "STDERR"),
    ]
    driver, executor = (target.log(run.id, f.name) for f in logs[2:])
    assert "requested Spark 3.5.0" in driver
    assert "INFO SparkContext" in driver
    assert "from a worker" in executor

    files = list((bucket / "out/totals").glob("*.parquet"))
    assert files
    assert not list((bucket / "out").rglob("*.crc"))
    assert run.data_written_in_bytes == sum(f.stat().st_size for f in files)
    assert run.data_read_in_bytes >= len(CSV)
    assert run.total_o_cpu == 3
    assert run.run_duration_in_milliseconds > 0
    assert pids_with_marker(local.home, run.id) == []
    folder = local.home / "runs" / run.id
    assert not (folder / "tmp").exists()
    with pytest.raises(ServiceError) as e:
        target.client.delete_run(run.id)
    assert (e.value.status, e.value.code) == (409, "Conflict")


def test_failed_run_names_the_error(target):
    target.upload("in/small.csv", b"key,value\n1,1\n")
    source, output = f"{target.bucket_uri}in/small.csv", f"{target.bucket_uri}out/failed"
    run = target.submit(execute=f"{target.bucket_uri}totals.py {source} {output} / fail 2026-13")
    run = target.wait(run.id)
    assert run.lifecycle_state == "FAILED"
    assert run.lifecycle_details == (
        "The application failed with exit code 1: LookupError: no such month: 2026-13"
    )
    assert "Traceback" in target.log(run.id, "spark_application_stderr.log.gz")


def test_cancel_ends_all_processes(local, target, tmp_path):
    ready = tmp_path / "ready"
    run = target.submit(target.create_application("stubborn.py", arguments=[str(ready)]).id)
    wait_for(ready)
    # Supervisor, Java, Python driver, and the driver's daemon.
    assert len(pids_with_marker(local.home, run.id)) >= 4
    assert target.client.delete_run(run.id).status == 204
    assert target.client.get_run(run.id).data.lifecycle_state == "CANCELING"
    run = target.wait(run.id)
    assert run.lifecycle_state == "CANCELED"
    assert pids_with_marker(local.home, run.id) == []
    assert target.client.delete_run(run.id).status == 204
    assert local.run_states(run.id) == ["ACCEPTED", "IN_PROGRESS", "CANCELING", "CANCELED"]


def test_killed_server_accounts_for_every_run(tmp_path):
    server = LocalDataFlow(tmp_path / "home", max_concurrent_runs=1)
    try:
        target = target_of(server.start())
        ready = tmp_path / "ready"
        stubborn = target.create_application("stubborn.py", arguments=[str(ready)])
        running = target.submit(stubborn.id).id
        waiting = target.submit(target.create_application("hello.py").id).id
        doomed = target.submit(stubborn.id).id
        wait_for(ready)
        target.client.delete_run(doomed)

        server.kill()
        wait_until_no_process_is_left(server.home, running)

        target = target_of(server.start())
        run = target.client.get_run(running).data
        assert run.lifecycle_state == "FAILED"
        assert run.lifecycle_details == "Local Data Flow stopped while this run was in progress."
        assert target.client.get_run(doomed).data.lifecycle_state == "CANCELED"
        assert target.wait(waiting).lifecycle_state == "SUCCEEDED"
        assert target.log(waiting, "spark_application_stdout.log.gz") == "hello\n"
        assert server.run_states(running) == ["ACCEPTED", "IN_PROGRESS", "FAILED"]
    finally:
        server.stop()


def test_run_fails_if_its_supervisor_is_killed(local, target, tmp_path):
    ready = tmp_path / "ready"
    run = target.submit(target.create_application("stubborn.py", arguments=[str(ready)]).id)
    wait_for(ready)
    supervisor = min(pids_with_marker(local.home, run.id))
    assert b"supervisor" in Path(f"/proc/{supervisor}/cmdline").read_bytes()
    os.kill(supervisor, signal.SIGKILL)
    run = target.wait(run.id)
    assert pids_with_marker(local.home, run.id) == []
    assert (run.lifecycle_state, run.lifecycle_details) == (
        "FAILED",
        "The supervisor of this run was killed.",
    )


def test_sql_application(target):
    target.upload(
        "q.sql", b"CREATE TABLE t (x INT) USING parquet; INSERT INTO t VALUES (1); SELECT x, '${who}' FROM t;"
    )
    application = target.create_application(
        "q.sql", language="SQL", warehouse_bucket_uri=f"{target.bucket_uri}wh"
    )
    parameters = [oci.data_flow.models.ApplicationParameter(name="who", value="bob")]
    run = target.wait(target.submit(application.id, parameters=parameters).id)
    assert run.lifecycle_state == "SUCCEEDED", target.log(run.id, "spark_application_stderr.log.gz")
    assert "1\tbob" in target.log(run.id, "spark_application_stdout.log.gz")
