"""Fixtures of the contract tests, which call Local Data Flow through the real SDK.

Tests of the API alone use ``target``, on real Spark. Tests of operators use ``scripted`` or ``manual_clock``:
a scripted server in the environment of the connection ``oci_default``, which each test starts empty.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import oci
import pytest

from airflow_provider_dataflow.client import rate_limit
from airflow_provider_dataflow.client import wait as waiting
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.spark.installation import find_java, find_spark
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.run import is_terminal

NAMESPACE, BUCKET = "ns", "data"
APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Target:
    """Client of a service, and a compartment and a bucket in it."""

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
        # Not .text, which guesses the encoding.
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that the workers of pytest-xdist end at about the same time."""

    def marked(name: str) -> set[Path]:
        return {item.path for item in items if item.get_closest_marker(name)}

    slow, spark = marked("slow"), marked("spark")
    items.sort(key=lambda item: (item.path not in slow & spark, item.path not in slow | spark))


@pytest.fixture(autouse=True)
def rate_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the rate limits of connections, or a 429 in one test would delay the next one."""
    monkeypatch.setattr(rate_limit, "_shared", WeakValueDictionary())


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("local") / "home") as server:
        yield server


@pytest.fixture(scope="session")
def target(local: LocalDataFlow) -> Target:
    return target_of(local)


@pytest.fixture(scope="session")
def demo_jar(request) -> bytes:
    """Compile the jar with the compiler of PySpark; it is cached by Spark version and source."""
    spark = find_spark()
    source = APPS / "Demo.scala"
    key = hashlib.sha256(source.read_bytes() + spark.version.encode()).hexdigest()[:16]
    jar = request.config.cache.mkdir("dataflow-demo-jar") / f"demo-{key}.jar"
    if not jar.exists():
        command = [find_java(spark).executable, "-XX:TieredStopAtLevel=1", "-cp", f"{spark.jars}/*"]
        compiler = ["scala.tools.nsc.Main", "-usejavacp", "-d", str(jar), str(source)]
        subprocess.run([*command, *compiler], check=True, timeout=120)
    return jar.read_bytes()


# --- Scripted servers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path_factory.mktemp("scripted"), engine="scripted") as server:
        yield server


@pytest.fixture(scope="module")
def manual_clock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFlowFixture]:
    with DataFlowFixture(tmp_path_factory.mktemp("manual"), engine="scripted", clock="manual") as server:
        yield server


@pytest.fixture
def scripted(scripted_server: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    """Empty server whose runs follow rules instead of running Spark."""
    scripted_server.reset()
    set_connection(scripted_server, monkeypatch)
    return scripted_server


@pytest.fixture
def manual_clock(manual_clock_server: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    """Like ``scripted``, with a clock that only the test advances."""
    manual_clock_server.reset()
    set_connection(manual_clock_server, monkeypatch)
    return manual_clock_server


@pytest.fixture
def clock_of_waits(manual_clock: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    """Like ``manual_clock``, with a clock that advances while a task waits, and only then."""
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    poll_at_once(monkeypatch)

    def sleep(seconds: float, raise_if_killed: Any) -> None:
        raise_if_killed()
        manual_clock.advance(0.5)

    def pause(self: waiting.Wait) -> float:
        manual_clock.advance(0.5)
        return 0

    monkeypatch.setattr(waiting.Wait, "_pause", pause)
    monkeypatch.setattr(waiting, "sleep", sleep)
    return manual_clock


@pytest.fixture(params=[False, True], ids=["in the worker", "deferred"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def set_connection(server: LocalDataFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server the one of the connection ``oci_default``."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


def poll_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers poll without the pause after a deferral."""
    monkeypatch.setattr("airflow_provider_dataflow.triggers.base.PollingTrigger.NO_EVENT_BEFORE_SECONDS", 0)
