"""Applications whose packages come from Maven Central, or from the mirror in the user's Maven settings."""

from __future__ import annotations

import re
import time
from pathlib import Path

import oci
import pytest

from airflow_provider_dataflow.local.engines.spark.installation import find_spark
from tests.clients.applications import create_application

pytestmark = [pytest.mark.spark, pytest.mark.clients, pytest.mark.slow]
PROGRAMS = Path(__file__).with_name("spark")
BUCKET = "oci://data@ns/"
# By version of Spark. Each package is made for one.
DELTA_LAKE = {"3.5": "io.delta:delta-spark_2.12:3.3.2", "4.0": "io.delta:delta-spark_2.13:4.0.1"}
ICEBERG = {
    "3.5": "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.10.2",
    "4.0": "org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.2",
}
# Downloads and, on a busy machine, Spark take their time.
TIMEOUT_SECONDS = 420


def package(versions: dict[str, str]) -> str:
    spark = ".".join(find_spark().version.split(".")[:2])
    if spark not in versions:
        pytest.skip(f"There is no package for Spark {spark}")
    return versions[spark]


def run_program(service, name: str, arguments: list[str], configuration: dict[str, str]) -> str:
    """Run a program of the folder ``spark``. Return its standard output."""
    local = service.local
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    application_id = create_application(
        local, name, (PROGRAMS / name).read_text(), arguments=arguments, configuration=configuration
    )
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=local.compartment_id, application_id=application_id
    )
    run = client.create_run(details).data
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while run.lifecycle_state in ("ACCEPTED", "IN_PROGRESS"):
        assert time.monotonic() < deadline, run
        time.sleep(0.5)
        run = client.get_run(run.id).data
    if re.match("Spark could not resolve .* Access to .* failed", run.lifecycle_details or ""):
        pytest.skip(run.lifecycle_details)
    assert run.lifecycle_state == "SUCCEEDED", run.lifecycle_details
    return str(client.get_run_log(run.id, "spark_application_stdout.log.gz").data.content.decode())


def test_delta_lake(service):
    configuration = {
        "spark.jars.packages": package(DELTA_LAKE),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    arguments = [f"{BUCKET}delta/trips", f"{BUCKET}delta/converted"]
    lines = run_program(service, "delta_lake.py", arguments, configuration).splitlines()
    assert lines[-4:] == [
        "operations ['DELETE', 'WRITE', 'WRITE']",
        "first version 30",
        "second version 40",
        "converted 30",
    ]
    log = service.local.create_bucket("data", "ns") / "delta/trips/_delta_log"
    assert {file.name for file in log.glob("*.json")} >= {f"{version:020}.json" for version in range(3)}


def test_iceberg(service):
    configuration = {
        "spark.jars.packages": package(ICEBERG),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.catalog.dev": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.dev.type": "hadoop",
        "spark.sql.catalog.dev.warehouse": f"{BUCKET}iceberg",
    }
    lines = run_program(service, "iceberg.py", [], configuration).splitlines()
    assert lines[-4:] == [
        "operations ['append', 'append', 'delete']",
        "first snapshot 30",
        "now 24",
        "rolled back 35",
    ]
    table = service.local.create_bucket("data", "ns") / "iceberg/db/trips"
    assert list(table.glob("metadata/*.metadata.json"))
    assert list(table.glob("data/vendor=1/*.parquet"))
