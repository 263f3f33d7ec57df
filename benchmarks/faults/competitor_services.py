"""Fakes of the competitors' services: the Jobs API of Databricks (2.2) and EMR Serverless.

They implement what the operators call. Runs stay active until the benchmark ends or cancels them. Faults are
those of Local Data Flow, from its own code, so that all services fail in the same way. The user of a request
is its bearer token or its access key.

Both services return the existing run for a submit whose token they know (``idempotency_token``,
``clientToken``).
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_dataflow.local.http.active_faults import ActiveFaults, RequestFacts
from airflow_provider_dataflow.local.http.faults import Fault, FaultKind
from benchmarks.faults.run_service import READ, SUBMIT, ServiceRun

CANCEL = "cancel"
OTHER = "other"

#: Error types of EMR Serverless by status.
EMR_ERRORS = {404: "ResourceNotFoundException", 429: "ThrottlingException"}
EMR_PATH = re.compile(r"/applications/[^/]+(?P<runs>/jobruns(?:/(?P<run_id>[^/?]+))?)?")


@dataclass
class _ParsedRequest:
    """A request of either API."""

    operation: str
    user: str
    run_id: str | None = None
    token: str | None = None


#: Builds the body of a response from its status and the run.
_BodyWriter = Callable[[int, ServiceRun | None], dict[str, Any]]


@dataclass
class FakeCompetitorServices:
    """HTTP server for both APIs, in threads of this process. Use it as a context manager.

    :param clock: returns seconds; measures the duration of faults.
    """

    clock: Callable[[], float] = time.monotonic
    _runs: dict[str, ServiceRun] = field(default_factory=dict)
    _run_ids_by_token: dict[tuple[str, str], str] = field(default_factory=dict)
    _reads: list[tuple[str, int]] = field(default_factory=list)
    _faults: ActiveFaults = field(default_factory=ActiveFaults)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeCompetitorServices:
        handler = type("Handler", (_Handler,), {"services": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # For the benchmark -------------------------------------------------------------------------------------

    def runs(self, user: str) -> list[ServiceRun]:
        with self._lock:
            return [run for run in self._runs.values() if run.user == user]

    def reads(self, user: str) -> list[int]:
        """Return the status of each response to a read of a run, 0 where the connection was dropped."""
        with self._lock:
            return [status for reader, status in self._reads if reader == user]

    def end(self, run_id: str) -> None:
        with self._lock:
            self._runs[run_id].is_active = False

    def add_fault(self, user: str, kind: str, *, operation: str = "*", **parameters: Any) -> str:
        with self._lock:
            fault = Fault.of(kind, operation=operation, user=user, **parameters)
            return self._faults.add(fault, self.clock()).id

    def remove_fault(self, fault_id: str) -> None:
        with self._lock:
            self._faults.remove(fault_id)

    # For the operators -------------------------------------------------------------------------------------

    def respond(self, request: _ParsedRequest) -> tuple[int | None, ServiceRun | None, float]:
        """Return status (none: drop the connection), run, and seconds by which to delay the response."""
        with self._lock:
            facts = RequestFacts(request.operation, request.run_id, request.user, self.clock())
            active = self._faults.pick(facts)
            fault = active.fault if active else None
            status, run = 200, None
            if fault is None or fault.is_carried_out:
                status, run = self._execute(request)
            elif fault.kind == FaultKind.STATUS:
                status = fault.error().status
            response_fault = fault.response_fault() if fault else None
            is_dropped = response_fault is not None and response_fault.drop
            if request.operation == READ:
                self._reads.append((request.user, 0 if is_dropped else status))
            return (
                None if is_dropped else status,
                run,
                response_fault.delay_seconds if response_fault else 0.0,
            )

    def _execute(self, request: _ParsedRequest) -> tuple[int, ServiceRun | None]:
        if request.operation == SUBMIT:
            return 200, self._submit(request)
        if request.run_id is None:
            return 200, None
        run = self._runs.get(request.run_id)
        if run is not None and request.operation == CANCEL and run.is_active:
            run.is_active, run.is_cancelled = False, True
        return (200, run) if run else (404, None)

    def _submit(self, request: _ParsedRequest) -> ServiceRun:
        if request.token and (known := self._run_ids_by_token.get((request.user, request.token))):
            return self._runs[known]
        run = ServiceRun(str(len(self._runs) + 1), request.user)
        self._runs[run.id] = run
        if request.token:
            self._run_ids_by_token[request.user, request.token] = run.id
        return run


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """Parses a request of either API and writes the response in that API's format."""

    services: FakeCompetitorServices
    protocol_version = "HTTP/1.1"
    # Send head and body in one packet: otherwise the body waits for the client's acknowledgement of the head.
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(content) if content else {}
        parts = urlsplit(self.path)
        if parts.path.startswith("/api/"):
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._respond(*_databricks(parts.path, query | body, self.headers["authorization"]))
        else:
            self._respond(*_emr(self.command, parts.path, body, self.headers["authorization"]))

    do_POST = do_DELETE = do_GET

    def _respond(self, request: _ParsedRequest, write_body: _BodyWriter) -> None:
        status, run, delay_seconds = self.services.respond(request)
        time.sleep(delay_seconds)
        if status is None:
            self.close_connection = True
            return
        content = json.dumps(write_body(status, run)).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if status >= 400:
            self.send_header("x-amzn-errortype", EMR_ERRORS.get(status, "InternalServerException"))
        self.end_headers()
        self.wfile.write(content)


def _databricks(path: str, body: dict[str, Any], authorization: str) -> tuple[_ParsedRequest, _BodyWriter]:
    operation = path.rpartition("/jobs/runs/")[2]
    request = _ParsedRequest(
        {"submit": SUBMIT, "get": READ, "get-output": READ, "cancel": CANCEL}.get(operation, OTHER),
        user=authorization.removeprefix("Bearer "),
        run_id=str(body["run_id"]) if "run_id" in body else None,
        token=body.get("idempotency_token"),
    )

    def write_body(status: int, run: ServiceRun | None) -> dict[str, Any]:
        if status >= 400:
            return {"error_code": str(status), "message": "A fault of the benchmark."}
        if run is None or request.operation == CANCEL:
            return {}
        state = {"life_cycle_state": "RUNNING", "state_message": ""}
        if not run.is_active:
            state["life_cycle_state"] = "TERMINATED"
            state["result_state"] = "CANCELED" if run.is_cancelled else "SUCCESS"
        return {
            "job_id": 1,
            "run_id": int(run.id),
            "run_page_url": "http://127.0.0.1/run",
            "state": state,
            "tasks": [],
        }

    return request, write_body


def _emr(
    method: str, path: str, body: dict[str, Any], authorization: str
) -> tuple[_ParsedRequest, _BodyWriter]:
    match = EMR_PATH.fullmatch(path)
    run_id = match["run_id"] if match else None
    operation = OTHER
    if match and match["runs"]:
        operation = {"POST": SUBMIT, "GET": READ, "DELETE": CANCEL}[method]
    user = authorization.partition("Credential=")[2].partition("/")[0]
    request = _ParsedRequest(operation, user, run_id, body.get("clientToken"))

    def write_body(status: int, run: ServiceRun | None) -> dict[str, Any]:
        if status >= 400:
            return {"message": "A fault of the benchmark."}
        if run is None:
            return {"application": {"applicationId": "benchmark", "state": "STARTED"}}
        state = "RUNNING" if run.is_active else "CANCELLED" if run.is_cancelled else "SUCCESS"
        job = {"applicationId": "benchmark", "jobRunId": run.id, "arn": "arn", "state": state}
        return job if request.operation != READ else {"jobRun": job | {"stateDetails": ""}}

    return request, write_body
