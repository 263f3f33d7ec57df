"""Service for tests: no Spark, no network, and a clock that the test moves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.engines.base import EngineJob, RunFinished, RunOutcome
from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.http.messages import Request, Response
from airflow_provider_dataflow.local.service import Service
from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.local.state.clock import ManualClock
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.store import Store

COMPARTMENT = "ocid1.compartment.oc1..aaaa"
APPLICATION = {
    "compartmentId": COMPARTMENT,
    "displayName": "an application",
    "driverShape": "VM.Standard2.1",
    "executorShape": "VM.Standard2.1",
    "language": "PYTHON",
    "numExecutors": 1,
    "sparkVersion": "3.5.0",
    "fileUri": "oci://data@ns/app.py",
}


class FakeEngine:
    """Engine that runs nothing; the test ends the runs."""

    name = "fake"

    def __init__(self) -> None:
        self.started: list[EngineJob] = []
        self.cancelled: list[str] = []
        self.recovered: dict[str, RunOutcome] = {}
        self.finished: RunFinished = lambda run_id, outcome: None

    def bind(self, finished: RunFinished) -> None:
        self.finished = finished

    def recover(self) -> None: ...

    def recovered_outcome(self, run_id: str) -> RunOutcome | None:
        return self.recovered.get(run_id)

    def start(self, job: EngineJob) -> None:
        self.started.append(job)

    def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)

    def close(self) -> None: ...


@dataclass
class Local:
    """Service and an unsigned client of it."""

    folder: Path
    limit: int = 2
    options: Options = field(default_factory=lambda: Options(verify_signatures=False))
    store: Store = field(default_factory=Store)
    clock: ManualClock = field(default_factory=ManualClock)
    keys: KeyRing = field(default_factory=KeyRing)
    engine: FakeEngine = field(default_factory=FakeEngine)

    @property
    def objects(self) -> ObjectStorage:
        return ObjectStorage(Buckets(self.folder / "buckets"), self.folder / "object-storage")

    def __post_init__(self) -> None:
        self.service = Service(
            runs_folder=self.folder / "runs",
            objects=self.objects,
            store=self.store,
            engine=self.engine,
            keys=self.keys,
            limit=self.limit,
            options=self.options,
            clock=self.clock,
        )
        self.service.start()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        content = b"" if body is None else json.dumps(body).encode()
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        target = path if path.startswith(("/_local", "/console", "//")) else f"/20200129{path}"
        return self.service.handle(Request(method, target, {"host": "127.0.0.1:8170"} | named, content))

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON body of a response, which must be a success."""
        response = self.call(method, path, body, **headers)
        assert 200 <= response.status < 300, response.content()
        return json.loads(response.content()) if response.content() else None

    def error(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str, str]:
        """Return status, code and message of an error response."""
        response = self.call(method, path, body, **headers)
        content = json.loads(response.content())
        assert set(content) == {"code", "message"}
        assert response.headers["opc-request-id"]
        return response.status, content["code"], content["message"]

    def application(self, **fields: Any) -> str:
        return self.json("POST", "/applications", APPLICATION | fields)["id"]

    def submit(self, application: str | None = None, **fields: Any) -> str:
        """Submit a run, let it start, and return its id."""
        body = {"compartmentId": COMPARTMENT, "applicationId": application or self.application()} | fields
        run_id = self.json("POST", "/runs", body)["id"]
        self.service.lifecycle.settle()
        return run_id

    def state(self, run_id: str) -> str:
        return self.json("GET", f"/runs/{run_id}")["lifecycleState"]

    def states(self, run_id: str) -> list[str]:
        return [s["state"] for s in self.json("GET", f"/_local/runs/{run_id}")["states"]]

    def succeed(self, run_id: str) -> None:
        self.engine.finished(run_id, RunOutcome(True))
