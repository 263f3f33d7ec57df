"""Marked secrets go into a DAG run in every way there is; nothing that it leaves behind may have one.

What is no secret is marked as well: where that is not found, nothing has been looked for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from harness import Session

from airflow_provider_dataflow.local.http.keys import new_identity
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from dev.airflow_rest import wait_until
from tests.marked_secrets import (
    ARGUMENT,
    PARAMETER,
    SETTING,
    encrypted,
    found_in,
    lines_of,
    marked_connection,
    marks_of,
)

DAG_ID = "secrets"
CONTROL = "MARKED-harmless-03bd"
VARIABLES = {"marked": PARAMETER, "marked_setting": SETTING, "marked_argument": ARGUMENT}
WAITING = ("deferred", "from_triggerer")
#: Where the rows are encrypted, and secrets are at home.
AT_HOME = {"connection", "variable"}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path / "local", engine="scripted") as server:
        server.succeeds(duration=0.1)
        server.fails("No luck.", display_name="fails")
        server.keeps_running(display_name="waits*")
        yield server


def sign_in(local: DataFlowFixture, config: Path) -> dict[str, str]:
    """A session as ``oci session authenticate`` leaves it; what of it is secret."""
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


def run_id_of(session: Session, task_id: str) -> str:
    return wait_until(
        lambda: session.rest.xcom(DAG_ID, session.dag_run, task_id, "run_id"),
        f"a run of {task_id}",
        timeout=180,
    )


def tables(session: Session) -> dict[str, bytes]:
    """All rows of all tables of the metadata database, those of triggers decrypted."""
    with sqlite3.connect(session.bench.airflow.home / "airflow.db") as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
        kwargs = database.execute("SELECT kwargs FROM trigger").fetchall()
    database.close()
    fernet = Fernet(session.bench.airflow.env["AIRFLOW__CORE__FERNET_KEY"])
    # Of a task that defers, Airflow keeps them as they are.
    rows["trigger"] += [(fernet.decrypt(text),) for (text,) in kwargs if not text.startswith("{")]
    return {name: b"\n".join(as_bytes(value) for row in of for value in row) for name, of in rows.items()}


def as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def everything(session: Session) -> dict[str, bytes]:
    """By its place, all that Airflow has written so far."""
    home = session.bench.airflow.home
    files = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return files | {f"table {name}": rows for name, rows in tables(session).items()}


def leaks(written: Mapping[str, bytes], marks: Mapping[str, bytes]) -> list[str]:
    return [f"{what} in {place}" for place, text in written.items() for what in found_in(text, marks)]


def test_a_dag_run_leaves_no_secret_behind(session: Session, local: DataFlowFixture) -> None:
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
    for key, value in VARIABLES.items():
        session.rest.request("POST", "variables", json={"key": key, "value": value})
    session.rest.wait_for_dags({DAG_ID})
    session.rest.trigger(DAG_ID, session.dag_run)

    waiting = [run_id_of(session, task_id) for task_id in WAITING]
    for task_id in WAITING:
        session.rest.wait_for_task(DAG_ID, session.dag_run, task_id, ["deferred"])
    # While the triggers are there: their rows go with them.
    deferred = tables(session)
    assert waiting[0].encode() in deferred["trigger"]
    assert CONTROL.encode() in deferred["trigger"], "what the triggerer is to render"
    assert leaks(deferred, marks) == []

    for run_id in waiting:
        local.end_run(run_id)
    session.rest.wait_for_run(DAG_ID, session.dag_run)
    states = {task["task_id"]: task["state"] for task in session.rest.tasks(DAG_ID, session.dag_run)}
    assert states == {
        "deferred": "success",
        "from_triggerer": "success",
        "in_worker": "failed",
        "by_token": "success",
        "shows_what_it_can": "success",
    }
    # The secrets did get to where they belong.
    assert len(local.runs) == 4
    assert all(value in json.dumps(run) for run in local.runs for value in VARIABLES.values())

    written = everything(session)
    found = {place for place, text in written.items() if CONTROL.encode() in text}
    assert {"table xcom", "table rendered_task_instance_fields", "table serialized_dag"} <= found
    logs = [place for place in found if f"dag_id={DAG_ID}" in place]
    for task_id in states:
        assert any(f"task_id={task_id}/" in place for place in logs), f"{task_id}: {sorted(found)}"
    assert any(b"***" in written[place] for place in logs)
    assert {f"logs/{name}.log" for name in session.bench.airflow.processes} <= set(written)
    assert leaks(written, marks) == []
