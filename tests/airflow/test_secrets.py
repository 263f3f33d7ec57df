"""A DAG run receives marked secrets in every possible way; none may appear in anything that it leaves behind.

Ordinary values are marked, too: the search must find these, which proves that it works.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from harness import STARTS_FROM_TRIGGER, Session
from matrix import releases

from airflow_provider_dataflow.local.http.keys import new_identity
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from dev.airflow_rest import wait_until
from tests.marked_secrets import (
    ARGUMENT,
    PARAMETER,
    SETTING,
    VARIABLES,
    encrypted,
    found_in,
    lines_of,
    marked_connection,
    marks_of,
)

DAG_ID = "secrets"
WORKING = "secrets_at_work"
ALL_OPERATORS = "secrets_of_all"
CONTROL = "MARKED-harmless-03bd"
WAITING = (
    (DAG_ID, "deferred", -1),
    (WORKING, "mapped_deferred", 0),
    *([(DAG_ID, "from_triggerer", -1), (WORKING, "mapped_from_trigger", 0)] if STARTS_FROM_TRIGGER else []),
)
#: Airflow stores secrets in the rendered fields of a task.
RENDERS_SECRETS = releases.AIRFLOW < (3, 1)
#: Output of the drivers before their runs end. The number is not a secret.
PRINTED = f"{CONTROL} 4711 {PARAMETER} {SETTING} {ARGUMENT}\n"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path / "local", engine="scripted") as server:
        server.succeeds(duration=0.1, stdout=PRINTED)
        server.fails("No luck.", display_name="fails", stdout=PRINTED, stderr=PRINTED)
        server.keeps_running(display_name="waits*", stdout=PRINTED)
        server.keeps_running(display_name="session", stdout=PRINTED)
        yield server


def sign_in(local: DataFlowFixture, config: Path) -> dict[str, str]:
    """Create a session like ``oci session authenticate``, and return its secrets."""
    token = local.new_token()
    folder = config.parent
    folder.mkdir()
    (folder / "token").write_text(token.token)
    (folder / "key.pem").write_text(token.private_key)
    config.write_text(
        f"[DEFAULT]\nregion={local.identity.region}\ntenancy={local.identity.tenancy}\nfingerprint=\n"
        f"key_file={folder / 'key.pem'}\nsecurity_token_file={folder / 'token'}\n"
    )
    _, claims, signature = token.token.split(".")
    return {
        "claims of the session": claims,
        "signature of the session": signature,
        **lines_of(token.private_key, "the session's key"),
    }


def add_connection(session: Session, conn_id: str, text: str) -> None:
    fields = json.loads(text)
    body = {
        "connection_id": conn_id,
        **{name: fields[name] for name in ("conn_type", "login", "password")},
        "extra": json.dumps(fields["extra"]),
    }
    session.rest.request("POST", "connections", json=body)


def run_id_of(session: Session, dag_id: str, task_id: str, map_index: int) -> str:
    return wait_until(
        lambda: session.rest.xcom(dag_id, session.dag_run, task_id, "run_id", map_index=map_index),
        f"a run of {dag_id}.{task_id}",
        timeout=180,
    )


def task_states(session: Session, dag_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in session.rest.tasks(dag_id, session.dag_run)}


def logs_of(session: Session, dag_id: str, task_id: str) -> bytes:
    folder = session.bench.airflow.home / "logs" / f"dag_id={dag_id}"
    return b"\n".join(
        path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and f"task_id={task_id}/" in str(path)
    )


def tables(session: Session) -> dict[str, bytes]:
    """All rows of all tables of the metadata database, those of triggers decrypted."""
    names = session.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    rows = {name: session.query(f'SELECT * FROM "{name}"') for (name,) in names}
    fernet = Fernet(session.bench.airflow.env["AIRFLOW__CORE__FERNET_KEY"])
    # Airflow does not encrypt the row of a task that defers.
    kwargs = session.query("SELECT kwargs FROM trigger")
    rows["trigger"] += [(fernet.decrypt(text),) for (text,) in kwargs if not text.startswith("{")]
    return {name: b"\n".join(as_bytes(value) for row in of for value in row) for name, of in rows.items()}


def rendered(session: Session, dag_id: str) -> set[str]:
    """Return the tasks whose stored rendered fields contain the marked ordinary value and masked secrets."""
    rows = session.query(
        "SELECT task_id, rendered_fields FROM rendered_task_instance_fields WHERE dag_id = %s", dag_id
    )
    return {task_id for task_id, fields in rows if CONTROL in str(fields) and "***" in str(fields)}


def as_bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def everything(session: Session) -> dict[str, bytes]:
    """Return everything that Airflow has written so far, by its place."""
    home = session.bench.airflow.home
    files = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return files | {f"table {name}": rows for name, rows in tables(session).items()}


def leaks(written: Mapping[str, bytes], marks: Mapping[str, bytes]) -> list[str]:
    return [
        f"{what} in {place}"
        for place, text in written.items()
        if not (place.endswith("rendered_task_instance_fields") and RENDERS_SECRETS)
        for what in found_in(without_rendered_fields(text) if RENDERS_SECRETS else text, marks)
    ]


def without_rendered_fields(log: bytes) -> bytes:
    """Leave out the messages with rendered fields, which the worker's supervisor logs at the level DEBUG."""
    return b"\n".join(line for line in log.split(b"\n") if b"msg=SetRenderedFields(" not in line)


def test_dag_run_leaves_no_secret_behind(session: Session, local: DataFlowFixture) -> None:
    other = new_identity()
    connections = {
        "oci_marked": marked_connection(local.connection_json),
        "oci_broken": marked_connection(local.connection_json, fingerprint=":".join(["00"] * 16)),
        "oci_denied": marked_connection(
            local.connection_json,
            private_key_content=encrypted(other.private_key),
            fingerprint=other.fingerprint,
        ),
    }
    marks = marks_of(
        connections.values(),
        **sign_in(local, Path(session.bench.airflow.env["DATAFLOW_TEST_SESSION_CONFIG"])),
    )
    for conn_id, text in connections.items():
        add_connection(session, conn_id, text)
    dag_ids = (DAG_ID, WORKING, ALL_OPERATORS)
    session.rest.wait_for_dags(set(dag_ids))
    for dag_id in dag_ids:
        session.rest.trigger(dag_id, session.dag_run)

    waiting = [run_id_of(session, *task) for task in WAITING]
    for dag_id, task_id, _ in WAITING:
        wait_until(
            lambda of=(dag_id, task_id): task_states(session, of[0])[of[1]] == "deferred",
            f"{dag_id}.{task_id} to be deferred",
            timeout=120,
        )
    # The triggerer copies the output of the drivers.
    for dag_id, task_id, _ in WAITING:
        wait_until(
            lambda of=(dag_id, task_id): b"4711 *** *** ***" in logs_of(session, *of),
            f"the output in the log of {dag_id}.{task_id}",
            timeout=120,
        )
    # Before the triggers end, since Airflow then deletes their rows.
    deferred = tables(session)
    assert waiting[0].encode() in deferred["trigger"]
    if STARTS_FROM_TRIGGER:
        assert CONTROL.encode() in deferred["trigger"], "arguments for the triggerer to render"
    assert leaks(deferred, marks) == []

    for run_id in waiting:
        local.end_run(run_id)
    for dag_id in dag_ids:
        session.rest.wait_for_run(dag_id, session.dag_run, timeout=400)
    assert task_states(session, DAG_ID) == {
        "deferred": "success",
        **({"from_triggerer": "success"} if STARTS_FROM_TRIGGER else {}),
        "in_worker": "failed",
        "by_token": "success",
        "shows_what_it_can": "success",
    }
    working, all_operators = task_states(session, WORKING), task_states(session, ALL_OPERATORS)
    assert set(working.values()) == {"success"}, working
    assert set(all_operators.values()) == {"failed"}, all_operators
    assert len(all_operators) >= 28
    # The runs received the secrets.
    by_name = [run for run in local.runs if run["displayName"] != "session"]
    assert len(by_name) == (8 if STARTS_FROM_TRIGGER else 6)
    assert all(value in json.dumps(run) for run in by_name for value in VARIABLES.values())

    written = everything(session)
    found = {place for place, text in written.items() if CONTROL.encode() in text}
    assert {"table xcom", "table rendered_task_instance_fields", "table serialized_dag"} <= found
    for dag_id, task_ids in ((DAG_ID, task_states(session, DAG_ID)), (WORKING, ("sensor", "mapped_sensor"))):
        for task_id in task_ids:
            assert CONTROL.encode() in logs_of(session, dag_id, task_id), f"{dag_id}.{task_id}"
    for task_id in ("mapped_in_worker", "sensor", "mapped_sensor"):
        assert b"4711 *** *** ***" in logs_of(session, WORKING, task_id), task_id
    assert {f"logs/{name}.log" for name in session.bench.airflow.processes} <= set(written)
    assert leaks(written, marks) == []
    if RENDERS_SECRETS:
        pytest.xfail(releases.RENDERED_SECRETS)
    assert rendered(session, ALL_OPERATORS) == set(all_operators)
