"""The service that the contract suite talks to, always through the real SDK.

A test that needs nothing but the contract takes ``target``; one that looks behind it, at processes or at what
only a local server has, takes ``local``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oci
import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.models.run import is_terminal

NAMESPACE, BUCKET = "ns", "data"
APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Target:
    """A service, a compartment in it and a bucket to work with."""

    client: oci.data_flow.DataFlowClient
    compartment_id: str
    bucket_uri: str
    upload: Callable[[str, bytes], None]

    def create_application(self, main: str, **fields: Any) -> oci.data_flow.models.Application:
        details = {
            "compartment_id": self.compartment_id,
            "display_name": f"contract {main}",
            "driver_shape": "VM.Standard2.1",
            "executor_shape": "VM.Standard2.1",
            "language": "PYTHON",
            "num_executors": 1,
            "spark_version": "3.5.0",
            "file_uri": f"{self.bucket_uri}{main}",
        }
        model = oci.data_flow.models.CreateApplicationDetails(**(details | fields))
        return self.client.create_application(model).data

    def submit(self, application_id: str | None = None, **fields: Any) -> oci.data_flow.models.Run:
        details = oci.data_flow.models.CreateRunDetails(
            compartment_id=self.compartment_id, application_id=application_id, **fields
        )
        return self.client.create_run(details).data

    def wait(
        self, run_id: str, until: Callable[[Any], bool] = lambda run: is_terminal(run.lifecycle_state)
    ) -> oci.data_flow.models.Run:
        deadline = time.monotonic() + 120
        while not until(run := self.client.get_run(run_id).data):
            assert time.monotonic() < deadline, run
            time.sleep(0.05)
        return run

    def log(self, run_id: str, name: str) -> str:
        # Not .text: that guesses the encoding.
        content: bytes = self.client.get_run_log(run_id, name).data.content
        return content.decode()


def target_of(server: LocalDataFlow) -> Target:
    folder = server.create_bucket(BUCKET, NAMESPACE)
    for app in APPS.glob("*.py"):
        (folder / app.name).write_bytes(app.read_bytes())
    client = oci.data_flow.DataFlowClient(
        server.sdk_config,
        service_endpoint=server.endpoint,
        circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
        retry_strategy=oci.retry.NoneRetryStrategy(),
    )

    def upload(name: str, content: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return Target(client, server.compartment_id, f"oci://{BUCKET}@{NAMESPACE}/", upload)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("local") / "home") as server:
        yield server


@pytest.fixture(scope="session")
def target(local: LocalDataFlow) -> Target:
    return target_of(local)
