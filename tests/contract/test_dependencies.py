"""Dependency archives in runs on real Spark."""

from __future__ import annotations

import json
import sys
import urllib.request
from urllib.parse import quote

import pytest

from airflow_provider_dataflow.client.local_service import is_local_service, local_python_version
from airflow_provider_dataflow.staging.archive_cache import ArchiveCache
from airflow_provider_dataflow.staging.dependencies import DependencyArchive
from airflow_provider_dataflow.staging.function_runner import encode
from airflow_provider_dataflow.staging.function_source import FunctionSource
from airflow_provider_dataflow.staging.python_target import PythonTarget
from airflow_provider_dataflow.staging.requirements import Requirements
from tests.contract.conftest import BUCKET, NAMESPACE
from tests.wheels import write_wheel

pytestmark = pytest.mark.spark


def versions(spark, month):
    import shippedlib

    print(f"driver has {shippedlib.VERSION}")

    def version(_):
        import shippedlib

        return f"{month} {shippedlib.VERSION}"

    found = spark.sparkContext.parallelize([1], 1).map(version).collect()
    return {"driver": shippedlib.VERSION, "worker": found}


def test_server_tells_the_python_of_its_runs(local):
    assert is_local_service(local.endpoint)
    with urllib.request.urlopen(f"{local.endpoint}/_local/health") as response:
        version = json.load(response)["pythonVersion"]
    assert (
        local_python_version(local.endpoint)
        == version
        == f"{sys.version_info.major}.{sys.version_info.minor}"
    )


def test_function_imports_a_package_that_spark_has_not(local, target, tmp_path):
    index = tmp_path / "index"
    index.mkdir()
    write_wheel(index, "shippedlib", "7.1")
    requirements = Requirements.of_list(["--no-index", f"--find-links {index}", "shippedlib"])
    python = PythonTarget(local_python_version(local.endpoint))
    archive = DependencyArchive.resolve(requirements, python, ArchiveCache(tmp_path / "cache"))
    target.upload("dependencies/archive.zip", archive.build().read_bytes())
    target.upload("versions.py", FunctionSource.of(versions, "@task.oci_data_flow").script())
    arguments = quote(json.dumps(encode([["2013-01"], {}], "arguments")))
    result = f"{target.bucket_uri}results/versions.json"
    run = target.submit(
        execute=f"{target.bucket_uri}versions.py --result {result} --arguments {arguments}",
        archive_uri=f"{target.bucket_uri}dependencies/archive.zip",
    )
    run = target.wait(run.id)
    stderr = target.log(run.id, "spark_application_stderr.log.gz")
    assert run.lifecycle_state == "SUCCEEDED", stderr
    assert target.log(run.id, "spark_application_stdout.log.gz") == "driver has 7.1\n"
    stored = json.loads((local.bucket_path(NAMESPACE, BUCKET) / "results/versions.json").read_text())
    assert stored == {"value": {"driver": "7.1", "worker": ["2013-01 7.1"]}}
