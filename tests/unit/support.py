"""Ids, response bodies, a signature check that is independent of the signer, and fakes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from airflow_provider_dataflow.models.application import Application
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import RunRequest

RUN_ID = "ocid1.dataflowrun.oc1.iad.aaaa"
APPLICATION_ID = "ocid1.dataflowapplication.oc1.iad.aaaa"
COMPARTMENT_ID = "ocid1.compartment.oc1..aaaa"


def run_body(state: str = "ACCEPTED", **fields: Any) -> dict[str, Any]:
    body = {"id": RUN_ID, "lifecycleState": state, "displayName": "nightly", "compartmentId": COMPARTMENT_ID}
    return body | fields


def verify_signature(
    key: rsa.RSAPublicKey, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
) -> None:
    """Check the signature of a request.

    :raises InvalidSignature: the signature is not that of the received request.
    :raises AssertionError: a required header is not signed, or the body has another hash.
    """
    received = {name.lower(): value for name, value in headers.items()}
    signature = dict(re.findall(r'(\w+)="([^"]*)"', received["authorization"]))
    signed = signature["headers"].split()
    assert {"(request-target)", "date", "host"} <= set(signed)
    if body is not None and method in ("POST", "PUT"):
        assert {"content-length", "content-type", "x-content-sha256"} <= set(signed)
        assert base64.b64decode(received["x-content-sha256"]) == hashlib.sha256(body).digest()
    values = received | {"(request-target)": f"{method.lower()} {target}"}
    text = "\n".join(f"{name}: {values[name]}" for name in signed)
    key.verify(base64.b64decode(signature["signature"]), text.encode(), padding.PKCS1v15(), SHA256())


class FakeApplications:
    """Fake of the operations on applications: each is a batch application."""

    def get(self, application_id: str) -> Application:
        return Application.from_api({"id": application_id, "lifecycleState": "ACTIVE", "type": "BATCH"})


class FakeClient:
    """Fake of the synchronous client, with one run that passes through ``states``. Records the calls."""

    def __init__(self, *states: str | Exception, stderr: str = "", stdout: str = "") -> None:
        self.states: list[str | Exception] = list(states or ["SUCCEEDED"])
        self.stderr = stderr
        self.stdout = stdout
        self.submitted: list[tuple[dict[str, Any], str]] = []
        self.cancelled: list[str] = []
        self.cancel_error: Exception | None = None
        self.applications = FakeApplications()

    def create_run(self, request: RunRequest, retry_token: str) -> Run:
        self.submitted.append((request.body(), retry_token))
        return Run.from_api(run_body("ACCEPTED"))

    def get_run(self, run_id: str) -> Run:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        details = "exit code 1" if state == "FAILED" else None
        return Run.from_api(run_body(state, lifecycleDetails=details, runDurationInMilliseconds=90_000))

    def list_runs(self, compartment_id: str, **filters: Any) -> Iterator[Run]:
        yield from ()

    def cancel_run(self, run_id: str) -> None:
        if self.cancel_error:
            raise self.cancel_error
        self.cancelled.append(run_id)
        self.states = ["CANCELED"]

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        return [
            RunLog("spark_application_stdout.log.gz", "APPLICATION", "STDOUT"),
            RunLog("spark_application_stderr.log.gz", "APPLICATION", "STDERR"),
        ]

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        yield (self.stderr if "stderr" in name else self.stdout).encode()


class FakeTaskInstance:
    """Fake of the parts of a task instance that the operators use."""

    def __init__(self, task_id: str = "task", **fields: Any) -> None:
        self.dag_id, self.run_id, self.task_id, self.map_index = "dag", "manual__1", task_id, -1
        self.try_number, self.max_tries = 1, 0
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[str, Any] = {}
        vars(self).update(fields)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int | None = None) -> Any:
        assert task_ids == self.task_id
        if map_indexes is None:
            # Airflow then reads all map indexes, and logs no error if there is none.
            return self.xcoms.get(key)
        assert map_indexes == self.map_index
        assert key in self.xcoms, f"Airflow logs an error: XCom not found ... key={key!r}"
        return self.xcoms.get(key)


class FakeStateStore:
    """Fake of Airflow's task state store, which survives the tries of a task instance."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        # Airflow stores JSON.
        self.values[key] = json.loads(json.dumps(value))
