"""Server that a test kills and starts again, and helpers for such tests."""

from __future__ import annotations

import http.client
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.engines.processes import pids_with_marker
from airflow_provider_dataflow.local.state.home import Home
from tests.contract import server_forker

COMPARTMENT = "ocid1.compartment.oc1..aaaa"


class KillableServer:
    """Home of a server, and its current server process.

    :param options: options of ``dataflow-local serve``.
    :param variables: environment variables of the server.
    """

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.home = Home(folder / "home")
        self.home.create()
        self.log = open(folder / "log", "ab")  # noqa: SIM115 - closed below
        self._process = subprocess.Popen(
            [
                *(sys.executable, server_forker.__file__, "serve", "--home", str(self.home.path)),
                *("--port", "0", "--no-verify", "--no-warm", "--quiet", *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ | variables,
        )
        self._pid = 0
        self._connection: http.client.HTTPConnection | None = None

    def _tell(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def start(self) -> None:
        """Start a server process without waiting for it; see :meth:`listens_by`."""
        self._pid = int(self._tell("start"))

    def kill(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        assert self._tell("kill") == "killed"

    def listens_by(self, deadline: float) -> bool:
        """Wait until the server accepts connections. Return ``False`` at the deadline."""
        while time.monotonic() < deadline:
            info = self.home.info()
            if info is not None and info.pid == self._pid:
                self._connection = http.client.HTTPConnection("127.0.0.1", info.port, timeout=30)
                return True
            time.sleep(0.005)
        return False

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        assert self._connection is not None
        headers = {} if token is None else {"opc-retry-token": token}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, headers | {"content-type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        assert response.status < 300, content
        return json.loads(content) if content else None

    def cancel(self, run_id: str) -> bool:
        """Cancel a run. Return ``False`` if it had already ended."""
        assert self._connection is not None
        self._connection.request("DELETE", f"/20200129/runs/{run_id}")
        response = self._connection.getresponse()
        response.read()
        assert response.status in (204, 409)
        return response.status == 204

    def send_only(self, method: str, path: str, body: Any = None, token: str | None = None) -> None:
        """Send a request without waiting for the response."""
        assert self._connection is not None
        headers = {} if token is None else {"opc-retry-token": token}
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, headers | {"content-type": "application/json"})
        time.sleep(random.random() * 0.005)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self.log.close()


def wait_until_no_process_is_left(server: KillableServer) -> None:
    deadline = time.monotonic() + 10
    while left := pids_with_marker(server.home.path):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def application(server: KillableServer, **fields: Any) -> str:
    details = {
        "compartmentId": COMPARTMENT,
        "displayName": "app",
        "driverShape": "VM.Standard2.1",
        "executorShape": "VM.Standard2.1",
        "language": "PYTHON",
        "numExecutors": 1,
        "sparkVersion": "3.5.0",
        "fileUri": "oci://data@ns/app.py",
    } | fields
    created: dict[str, Any] = server.call("POST", "/20200129/applications", details)
    return str(created["id"])


def all_runs(server: KillableServer) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = server.call("GET", f"/20200129/runs?compartmentId={COMPARTMENT}&limit=1000")
    return runs
