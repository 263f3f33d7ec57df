"""Run Local Data Flow as a process, with the example application and its data in a bucket."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from dev import processes
from dev.processes import StackError, Stoppable

EXAMPLES = Path(__file__).parent.parent / "example_dags"
NAMESPACE = "local"
BUCKET = "weather"
CONNECTION = "AIRFLOW_CONN_OCI_DEFAULT"
APPLICATION_VARIABLE = "AIRFLOW_VAR_MONTHLY_WEATHER_APPLICATION"
# Without a limit, the server returns the newest 1000 runs.
_NO_LIMIT = 10**9


class LocalService(Stoppable):
    """Start, query and stop one Local Data Flow. Use it as a context manager.

    :param port: default: a free one.
    :param options: further options of ``dataflow-local serve``.
    """

    def __init__(
        self, home: Path, *, port: int = 0, detached: bool = False, options: tuple[str, ...] = ()
    ) -> None:
        self.home = home.absolute()
        self.port = port
        self.detached = detached
        self.options = options
        self.marker = f"local:{self.home}"
        self.log = self.home / "server.log"
        self.process: psutil.Popen | None = None

    # Start and stop ----------------------------------------------------------------------------------------

    def start(self, *, timeout: float = 60.0) -> None:
        """Start the server and wait until it listens."""
        self.launch()
        self.wait_ready(timeout=timeout)

    def launch(self) -> None:
        """Start the server without waiting until it listens."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "server.json").unlink(missing_ok=True)
        self.process = processes.spawn(
            [*self._command, "serve", "--home", str(self.home), "--port", str(self.port), *self.options],
            env=self._env,
            log=self.log,
            cwd=self.home,
            detached=self.detached,
        )

    def wait_ready(self, *, timeout: float = 60.0) -> None:
        """Wait until the server listens."""
        deadline = time.monotonic() + timeout
        while not (self.home / "server.json").exists():
            if self.process is not None and self.process.poll() is not None:
                code = self.process.returncode
                raise StackError(f"dataflow-local ended with code {code}:\n{processes.tail(self.log)}")
            if time.monotonic() > deadline:
                raise StackError(f"dataflow-local does not listen:\n{processes.tail(self.log)}")
            time.sleep(0.1)

    def stop(self) -> list[str]:
        """Stop the server and its runs; return the processes that it left behind and that were killed."""
        process, self.process = self.process, None
        return processes.stop(self.marker, [process] if process else [])

    # Access for clients ------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return str(json.loads((self.home / "server.json").read_text(encoding="utf-8"))["endpoint"])

    @cached_property
    def connection(self) -> str:
        """The Airflow connection as JSON, as ``dataflow-local connection`` prints it."""
        done = processes.run([*self._command, "connection", "--home", str(self.home)], env=self._env)
        for line in done.splitlines():
            if line.startswith(f"{CONNECTION}="):
                return shlex.split(line)[0].partition("=")[2]
        raise StackError(f"dataflow-local connection printed no {CONNECTION}:\n{done}")

    @cached_property
    def compartment_id(self) -> str:
        """OCID of the compartment in the connection."""
        return str(json.loads(self.connection)["extra"]["compartment_id"])

    @cached_property
    def client(self) -> Any:
        """Client of the unmodified OCI SDK for this service."""
        from oci.data_flow import DataFlowClient

        connection = json.loads(self.connection)
        extra = connection["extra"]
        config = {
            "user": connection["login"],
            "key_content": extra["private_key_content"],
            **{name: extra[name] for name in ("tenancy", "fingerprint", "region")},
        }
        return DataFlowClient(config, service_endpoint=self.endpoint)

    # Buckets and applications ------------------------------------------------------------------------------

    def bucket(self, name: str = BUCKET) -> Path:
        """Return the folder of the bucket ``oci://<name>@local/``; create it if it does not exist."""
        folder = self.home / "buckets" / NAMESPACE / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def upload_examples(self) -> None:
        """Copy the example applications and their data to the bucket that the example DAGs use."""
        bucket = self.bucket()
        shutil.copytree(EXAMPLES / "spark", bucket / "apps", dirs_exist_ok=True)
        shutil.copytree(EXAMPLES / "data" / "nyc_weather", bucket / "nyc_weather", dirs_exist_ok=True)

    def create_application(self) -> str:
        """Create the application ``monthly_weather`` and return its OCID."""
        from oci.data_flow.models import CreateApplicationDetails

        details = CreateApplicationDetails(
            compartment_id=self.compartment_id,
            display_name="monthly_weather",
            language="PYTHON",
            spark_version="3.5.0",
            file_uri=f"oci://{BUCKET}@{NAMESPACE}/apps/monthly_weather.py",
            driver_shape="VM.Standard.E4.Flex",
            driver_shape_config={"ocpus": 1, "memoryInGBs": 16},
            executor_shape="VM.Standard.E4.Flex",
            executor_shape_config={"ocpus": 1, "memoryInGBs": 16},
            num_executors=1,
        )
        return str(self.client.create_application(details).data.id)

    def airflow_env(self) -> dict[str, str]:
        """Create the application, and return the connection and variables that the example DAGs need."""
        return {CONNECTION: self.connection, APPLICATION_VARIABLE: self.create_application()}

    # Runs and requests -------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Any:
        """Return a run as the SDK reads it from the service."""
        return self.client.get_run(run_id).data

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs as JSON with their states, newest first."""
        return list(self._read("runs", limit=_NO_LIMIT))

    def states(self, run_id: str) -> list[dict[str, Any]]:
        """Return the states of a run with the time of each, oldest first."""
        return list(self._read(f"runs/{run_id}")["states"])

    def journal(self) -> list[dict[str, Any]]:
        """Return the requests that the server has got, oldest first."""
        return list(self._read("journal")["entries"])

    def _read(self, path: str, **query: int) -> Any:
        """Return the JSON response of a route below ``/_local/``."""
        url = f"{self.endpoint}/_local/{path}"
        # A list of thousands of runs takes longer than the 5 s that httpx waits by default.
        return httpx.get(url, params=query, trust_env=False, timeout=60).raise_for_status().json()

    @property
    def _command(self) -> list[str]:
        return [str(Path(sys.executable).with_name("dataflow-local"))]

    @cached_property
    def _env(self) -> dict[str, str]:
        return processes.child_environment({processes.MARKER: self.marker})
