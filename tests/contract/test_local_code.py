"""Object Storage client, staging and local code through the real SDK, against Local Data Flow."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.client.object_storage import content
from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import ObjectStorageError, RunFailed, ServiceError, SubmitRejected
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.staging.stager import Stager
from tests.contract.conftest import poll_at_once
from tests.contract.tasks import run_task
from tests.unit.support import FakeStateStore, FakeTaskInstance

MIB = 1024 * 1024


@pytest.fixture
def server(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    poll_at_once(monkeypatch)
    return scripted


@pytest.fixture
def folder(server: DataFlowFixture) -> Path:
    """Bucket of this test: the server keeps its buckets."""
    return server.create_bucket(f"code-{uuid.uuid4().hex}")


@pytest.fixture
def bucket(folder: Path) -> str:
    return f"oci://{folder.name}@local"


@pytest.fixture
def storage(folder: Path) -> ObjectStorageClient:
    return DataFlowHook().object_storage


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a mebibyte, above two."""
    monkeypatch.setattr(content, "THRESHOLD_BYTES", 2 * MIB)
    monkeypatch.setattr(content, "PART_BYTES", MIB)


def test_objects_are_written_read_listed_and_deleted(storage, bucket, folder, tmp_path):
    names = ["a/app.py", "a/b/ü 1+%.txt", "a/c/x", "z"]
    for name in names:
        storage.put(f"{bucket}/{name}", name.encode())
        assert (folder / name).read_bytes() == name.encode()
        assert storage.get(f"{bucket}/{name}") == name.encode()
    assert [found.uri.name for found in storage.list(bucket)] == sorted(names)
    assert [found.name for found in storage.list_folders(f"{bucket}/a/")] == ["a/b/", "a/c/"]
    assert [found.uri.name for found in storage.list(f"{bucket}/a/", delimiter="/")] == ["a/app.py"]
    found = storage.head(f"{bucket}/z")
    assert found is not None
    assert storage.download(f"{bucket}/z", tmp_path / "z").etag == found.etag
    assert (tmp_path / "z").read_bytes() == b"z"
    assert storage.delete(f"{bucket}/z", if_match=found.etag)
    assert not storage.delete(f"{bucket}/z")
    assert storage.head(f"{bucket}/z") is None


def test_put_without_overwrite_keeps_the_first_object(bucket, folder):
    """All at once, each with another content: one is stored, completely."""

    def put(number: int) -> bool:
        return DataFlowHook().object_storage.put(f"{bucket}/x", bytes([number]) * MIB, overwrite=False)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(put, range(4))) == [False, False, False, True]
    assert set((folder / "x").read_bytes()) in ({0}, {1}, {2}, {3})


def test_large_file_goes_round_in_parts(storage, bucket, folder, small_parts, tmp_path, server):
    written = os.urandom(5 * MIB + 1)
    (tmp_path / "large").write_bytes(written)
    assert storage.put(f"{bucket}/large", tmp_path / "large", overwrite=False)
    assert not storage.put(f"{bucket}/large", tmp_path / "large", overwrite=False)
    assert (folder / "large").read_bytes() == written
    storage.download(f"{bucket}/large", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == written
    assert server.requests_by_operation["UploadPart"] == 6


def test_errors_name_the_object(storage, bucket):
    with pytest.raises(ObjectStorageError, match="404 BucketNotFound") as caught:
        storage.put("oci://absent@local/x", b"x")
    assert caught.value.uri == "oci://absent@local/x"
    with pytest.raises(ObjectStorageError, match="404 ObjectNotFound"):
        storage.get(f"{bucket}/absent")


class Task:
    """Task whose code lies in a bundle; each try is a new operator."""

    def __init__(self, bundle: Path, bucket: str) -> None:
        self.bundle, self.store, self.try_number = bundle, FakeStateStore(), 1
        self.arguments: dict[str, Any] = {
            "application": "app.py",
            "application_args": ["--day", "a b"],
            "py_files": ["helpers"],
            "staging_uri": f"{bucket}/staging",
            "spark_version": "3.5.0",
            "poll_interval": 0.05,
        }

    def operator(self, **arguments: Any) -> InvokeRunOperator:
        with DAG("dag", schedule=None) as dag:
            dag.fileloc = str(self.bundle / "dag.py")
            return InvokeRunOperator(task_id="task", **self.arguments | arguments)

    def run(self, **arguments: Any) -> str:
        ti = FakeTaskInstance(
            try_number=self.try_number, max_tries=2, bundle_instance=SimpleNamespace(path=self.bundle)
        )
        self.try_number += 1
        run_id: str = run_task(lambda: self.operator(**arguments), ti, task_state_store=self.store)
        return run_id


@pytest.fixture
def task(tmp_path: Path, bucket: str) -> Task:
    bundle = tmp_path / "bundle"
    (bundle / "helpers").mkdir(parents=True)
    (bundle / "helpers" / "__init__.py").write_text("VALUE = 'from the package'")
    (bundle / "app.py").write_text("print(1)")
    return Task(bundle, bucket)


def uploaded(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_run_has_the_uploaded_files(task, bucket, folder, server, deferrable):
    task.run(deferrable=deferrable)
    (run,) = server.runs
    assert run["language"] == "PYTHON"
    assert run["fileUri"].startswith(f"{bucket}/staging/files/")
    assert run["arguments"] == ["--day", "a b"]
    assert uploaded(folder) == ["app.py", "helpers.zip"]


def test_changed_file_does_not_break_the_retry_of_a_lost_submit(task, folder, server, monkeypatch):
    """The service would refuse the retry token with another body, and only a search would find the run."""
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    server.add_fault("lost_response", operation="CreateRun", count=100)
    with pytest.raises(ServiceError):
        task.run(error_budget=0.001)
    server.clear_faults()
    (task.bundle / "app.py").write_text("print(2)")
    run_id = task.run()
    assert [run["id"] for run in server.runs] == [run_id]
    assert uploaded(folder) == ["app.py", "helpers.zip"]


def test_run_that_replaces_a_failed_one_has_the_current_file(task, folder, server):
    server.fails_then_succeeds()
    with pytest.raises(RunFailed):
        task.run()
    (task.bundle / "app.py").write_text("print(2)")
    task.run()
    first, second = (run["fileUri"] for run in reversed(server.runs))
    assert first != second
    assert uploaded(folder) == ["app.py", "app.py", "helpers.zip"]


def test_refused_run_leaves_its_files_for_the_next_try(task, folder, server):
    with pytest.raises(SubmitRejected):
        task.run(configuration={"spark.master": "local"}, spark_version="9.9.9")
    task.run()
    assert server.requests_by_operation["PutObject"] == 2


def test_refusal_keeps_the_files_of_an_earlier_submit_without_a_response(task, folder, server, monkeypatch):
    """The earlier submit may have started a run, so the token must not be sent with another body."""
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    server.add_fault("lost_response", operation="CreateRun", count=100)
    with pytest.raises(ServiceError):
        task.run(error_budget=0.001)
    server.clear_faults()
    uploads = next(iter(task.store.values.values()))["uploads"]
    server.add_fault("status", operation="CreateRun", status=400, count=1)
    with pytest.raises(SubmitRejected):
        task.run()
    assert next(iter(task.store.values.values()))["uploads"] == uploads


def test_guards_are_asked_again_after_the_upload(task, monkeypatch):
    calls = []
    guard, stage = RunAcquirer._run_instead_of_submit, Stager.stage
    monkeypatch.setattr(
        RunAcquirer, "_run_instead_of_submit", lambda *given: (calls.append("guards"), guard(*given))[1]
    )
    monkeypatch.setattr(Stager, "stage", lambda *given: (calls.append("upload"), stage(*given))[1])
    task.run()
    assert calls == ["guards", "upload", "upload", "guards"]


def test_tasks_at_the_same_moment_share_the_uploads(task, bucket, folder, server):
    def run(number: int) -> str:
        other = Task(task.bundle, bucket)
        other.arguments["display_name"] = f"run {number}"
        ti = FakeTaskInstance(task_id=f"task_{number}")
        return str(run_task(other.operator, ti))

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 4
    assert uploaded(folder) == ["app.py", "helpers.zip"]
    assert len({run["fileUri"] for run in server.runs}) == 1
