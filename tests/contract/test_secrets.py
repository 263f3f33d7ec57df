"""Search of everything that a DAG run leaves behind for marked secrets that were passed to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.http.keys import new_identity
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from tests.contract.airflow_process import ended_of, run_dag_file
from tests.marked_secrets import (
    ARGUMENT,
    LEVELS,
    PARAMETER,
    SETTING,
    encrypted,
    found_in,
    marked_connection,
    marks_of,
)

DAG_FILE = Path(__file__).parent / "dags" / "secret_run.py"


@pytest.fixture
def local(tmp_path):
    with DataFlowFixture(tmp_path / "local", engine="scripted") as server:
        # Drivers must not print secrets here, because Airflow does not mask the logs of dag.test().
        server.succeeds(duration=0.1)
        server.fails("No luck.", display_name="fails")
        yield server


@pytest.mark.slow
def test_dag_run_leaves_no_secret_behind(local, tmp_path):
    connections = [
        marked_connection(local.connection_json),
        marked_connection(local.connection_json, fingerprint=":".join(["00"] * 16)),
        marked_connection(
            local.connection_json, private_key_content=encrypted((other := new_identity()).private_key)
        ),
    ]
    connections[2] = json.dumps(
        json.loads(connections[2])
        | {"extra": json.loads(connections[2])["extra"] | {"fingerprint": other.fingerprint}}
    )
    tested = run_dag_file(
        tmp_path,
        DAG_FILE,
        # Airflow stays at INFO: for dag.test() its debug log contains the messages that register secrets.
        AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
        AIRFLOW__LOGGING__NAMESPACE_LEVELS=LEVELS,
        AIRFLOW_CONN_OCI_DEFAULT=connections[0],
        AIRFLOW_CONN_OCI_BROKEN=connections[1],
        AIRFLOW_CONN_OCI_DENIED=connections[2],
        AIRFLOW_VAR_MARKED=PARAMETER,
        AIRFLOW_VAR_MARKED_SETTING=SETTING,
        AIRFLOW_VAR_MARKED_ARGUMENT=ARGUMENT,
    )
    home = tmp_path / "airflow"
    (home / "output.txt").write_text(tested.stdout + tested.stderr)

    assert ended_of(tested) == {
        "succeeds": "success",
        "listed": "success",
        "fails": "failed",
        "mapped": "success",
        "sensor": "success",
        "read": "success",
        "application": "success",
        "shows_what_it_can": "success",
        "pushes_a_hook": "success",
    }, tested.stderr[-3000:]
    # The secrets did reach the service.
    assert all(mark in json.dumps(local.runs) for mark in (PARAMETER, SETTING, ARGUMENT))
    assert "***" in tested.stdout + tested.stderr

    left = [path for path in home.rglob("*") if path.is_file()]
    assert {"airflow.db", "output.txt"} <= {path.name for path in left}
    found = [
        f"{description} in {path.relative_to(home)}"
        for path in left
        for description in found_in(path.read_bytes(), marks_of(connections))
    ]
    assert found == []
