"""What the others talk to: the Jobs API of Databricks (2.2) and that of EMR Serverless, as far as they ask.

Runs never end by themselves. Faults are those of Local Data Flow, by its own rules, so that the same happens
to all. Who asks is told by the token, or by the access key.

Both services know a run again by the token that its submit carries (``idempotency_token``, ``clientToken``).
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

from airflow_provider_dataflow.local.http.faults import Call, Fault, Faults, Kind
from benchmarks.faults.service import READ, SUBMIT, Run

CANCEL = "cancel"
OTHER = "other"

#: How EMR Serverless names its errors, beside the status.
EMR_ERRORS = {404: "ResourceNotFoundException", 429: "ThrottlingException"}
EMR = re.compile(r"/applications/[^/]+(?P<runs>/jobruns(?:/(?P<run_id>[^/?]+))?)?")


@dataclass
class _Request:
    """What is asked for, whichever API it came by."""

    operation: str
    user: str
    run_id: str | None = None
    token: str | None = None


@dataclass
class FakeServices:
    """The server, in threads of this process. Use it as a context manager.

    :param clock: seconds, for the duration of faults.
    """

    clock: Callable[[], float] = time.monotonic
    _runs: dict[str, Run] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    _reads: list[tuple[str, int]] = field(default_factory=list)
    _faults: Faults = field(default_factory=Faults)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeServices:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # What the benchmark does and sees ----------------------------------------------------------------------

    def runs(self, user: str) -> list[Run]:
        with self._lock:
            return [run for run in self._runs.values() if run.user == user]

    def reads(self, user: str) -> list[int]:
        """The statuses of all answers about runs, 0 for none."""
        with self._lock:
            return [status for reader, status in self._reads if reader == user]

    def end(self, run_id: str) -> None:
        with self._lock:
            self._runs[run_id].is_active = False

    def fault(self, user: str, kind: str, *, operation: str = "*", **how: Any) -> str:
        with self._lock:
            fault = Fault.of(kind, operation=operation, user=user, **how)
            return self._faults.add(fault, self.clock()).id

    def heal(self, fault_id: str) -> None:
        with self._lock:
            self._faults.remove(fault_id)

    # What it answers ---------------------------------------------------------------------------------------

    def answer(self, request: _Request) -> tuple[int | None, Run | None, float]:
        """The status (none: the connection is closed), the run, and after how many seconds."""
        with self._lock:
            call = Call(request.operation, request.run_id, request.user, self.clock())
            active = self._faults.pick(call)
            fault = active.fault if active else None
            status, run = 200, None
            if fault is None or fault.is_carried_out:
                status, run = self._carry_out(request)
            elif fault.kind == Kind.STATUS:
                status = fault.error().status
            delivery = fault.delivery() if fault else None
            is_dropped = delivery is not None and delivery.drop
            if request.operation == READ:
                self._reads.append((request.user, 0 if is_dropped else status))
            return None if is_dropped else status, run, delivery.delay if delivery else 0.0

    def _carry_out(self, request: _Request) -> tuple[int, Run | None]:
        if request.operation == SUBMIT:
            known = self._tokens.get((request.user, request.token)) if request.token else None
            run = self._runs[known] if known else Run(str(len(self._runs) + 1), request.user)
            self._runs[run.id] = run
            if request.token:
                self._tokens[request.user, request.token] = run.id
            return 200, run
        if request.run_id is None:
            return 200, None
        found = self._runs.get(request.run_id)
        if found is not None and request.operation == CANCEL and found.is_active:
            found.is_active, found.is_cancelled = False, True
        return (200, found) if found else (404, None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """Reads a request of either API, and writes the answer as that API does."""

    fake: FakeServices
    protocol_version = "HTTP/1.1"
    # Else a small answer waits for the acknowledgement of its head.
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = json.loads(content) if content else {}
        parts = urlsplit(self.path)
        if parts.path.startswith("/api/"):
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._answer(*_databricks(parts.path, query | body, self.headers["authorization"]))
        else:
            self._answer(*_emr(self.command, parts.path, body, self.headers["authorization"]))

    do_POST = do_DELETE = do_GET

    def _answer(self, request: _Request, write: Callable[[int, Run | None], dict[str, Any]]) -> None:
        status, run, seconds = self.fake.answer(request)
        time.sleep(seconds)
        if status is None:
            self.close_connection = True
            return
        content = json.dumps(write(status, run)).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if status >= 400:
            self.send_header("x-amzn-errortype", EMR_ERRORS.get(status, "InternalServerException"))
        self.end_headers()
        self.wfile.write(content)


def _databricks(path: str, body: dict[str, Any], authorization: str) -> tuple[_Request, Any]:
    operation = path.rpartition("/jobs/runs/")[2]
    request = _Request(
        {"submit": SUBMIT, "get": READ, "get-output": READ, "cancel": CANCEL}.get(operation, OTHER),
        user=authorization.removeprefix("Bearer "),
        run_id=str(body["run_id"]) if "run_id" in body else None,
        token=body.get("idempotency_token"),
    )

    def write(status: int, run: Run | None) -> dict[str, Any]:
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

    return request, write


def _emr(method: str, path: str, body: dict[str, Any], authorization: str) -> tuple[_Request, Any]:
    match = EMR.fullmatch(path)
    run_id = match["run_id"] if match else None
    operation = OTHER
    if match and match["runs"]:
        operation = {"POST": SUBMIT, "GET": READ, "DELETE": CANCEL}[method]
    user = authorization.partition("Credential=")[2].partition("/")[0]
    request = _Request(operation, user, run_id, body.get("clientToken"))

    def write(status: int, run: Run | None) -> dict[str, Any]:
        if status >= 400:
            return {"message": "A fault of the benchmark."}
        if run is None:
            return {"application": {"applicationId": "benchmark", "state": "STARTED"}}
        state = "RUNNING" if run.is_active else "CANCELLED" if run.is_cancelled else "SUCCESS"
        job = {"applicationId": "benchmark", "jobRunId": run.id, "arn": "arn", "state": state}
        return job if request.operation != READ else {"jobRun": job | {"stateDetails": ""}}

    return request, write
