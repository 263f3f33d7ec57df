"""Queries of SQL endpoints with real Spark, through the JDBC URL that the endpoint tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import oci
import psutil
import pytest

from airflow_provider_dataflow.exceptions import SqlEndpointFailed
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.engines.processes import pids_with_marker
from airflow_provider_dataflow.local.engines.spark.installation import find_java, find_spark
from airflow_provider_dataflow.operators.sql_endpoint import (
    CreateOrUpdateSqlEndpointOperator,
    DeleteSqlEndpointOperator,
    StopSqlEndpointOperator,
)
from tests.contract.conftest import set_connection, target_of
from tests.contract.killable_server import COMPARTMENT, KillableServer, wait_until_no_process_is_left
from tests.contract.tasks import run_task
from tests.contract.test_sql_endpoints import ARGUMENTS
from tests.unit.local.api.test_sql_endpoints import SQL_ENDPOINT
from tests.unit.support import FakeTaskInstance

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and child subreapers"),
]


def query(url: str, statements: str, user: str = "somebody") -> list[str]:
    """Execute SQL statements with Spark's JDBC client. Return the lines of their results, without heads."""
    spark = find_spark()
    beeline = [find_java(spark).executable, "-cp", f"{spark.jars}/*", "org.apache.hive.beeline.BeeLine"]
    options = ["--outputformat=csv2", "--silent=true", "--showHeader=false"]
    done = subprocess.run(
        [*beeline, *options, "-u", url, "-n", user, "-e", statements],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.rpartition("> ")[2].strip() for line in done.stdout.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LocalDataFlow(tmp_path_factory.mktemp("sql")) as server:
        server.create_bucket("warehouse", "ns")
        yield server


@pytest.fixture
def connection(server, monkeypatch):
    set_connection(server, monkeypatch)


def create(**kwargs: Any) -> CreateOrUpdateSqlEndpointOperator:
    arguments = ARGUMENTS | {"poll_interval": 0.2} | kwargs
    return CreateOrUpdateSqlEndpointOperator(task_id="create", **arguments)


@pytest.mark.usefixtures("connection")
def test_queries_through_an_endpoint_that_operators_manage(server):
    (server.create_bucket("lake", "ns") / "rain.csv").write_text("month,mm\n1,20\n2,22\n")
    ti = FakeTaskInstance()
    id_ = run_task(create, ti=ti)
    url = ti.xcoms["jdbc_endpoint_url"]
    assert url == DataFlowHook().sql_endpoints.get(id_).jdbc_endpoint_url
    rain = "csv.`oci://lake@ns/rain.csv`"
    assert query(url, f"SELECT sum(_c1) FROM {rain} WHERE _c0 <> 'month'") == ["42.0"]
    # A table's definition survives the end of the server, its data is in the bucket of the warehouse.
    query(url, "CREATE TABLE numbers USING parquet AS SELECT id FROM range(7)")
    assert list((server.bucket_path("ns", "warehouse") / "numbers").glob("*.parquet"))
    server.maintain_sql_endpoint(id_)
    while DataFlowHook().sql_endpoints.get(id_).state != "ACTIVE":
        time.sleep(0.2)
    url = DataFlowHook().sql_endpoints.get(id_).jdbc_endpoint_url
    assert query(url, "SELECT count(*) FROM numbers") == ["7"]

    stop = StopSqlEndpointOperator(task_id="stop", sql_endpoint_id=id_, poll_interval=0.2)
    run_task(lambda: stop)
    assert pids_with_marker(server.home, id_) == []
    delete = DeleteSqlEndpointOperator(task_id="delete", sql_endpoint_id=id_, poll_interval=0.2)
    run_task(lambda: delete)
    assert list((server.home / "sqlEndpoints").iterdir()) == []


def test_tables_without_a_warehouse_outlive_the_server_and_are_deleted_with_the_endpoint(server):
    client = oci.data_flow.DataFlowClient(server.sdk_config, service_endpoint=server.endpoint)
    # As Terraform's provider, which knows neither lakeId nor warehouseBucketUri.
    details = {
        "compartmentId": server.compartment_id,
        "displayName": "without a warehouse",
        "driverShape": "VM.Standard2.1",
        "executorShape": "VM.Standard2.1",
        "minExecutorCount": 1,
        "maxExecutorCount": 1,
        "metastoreId": "ocid1.datacatalogmetastore.oc1..m",
        "networkConfiguration": {"networkType": "SECURE_ACCESS"},
        "sqlEndpointVersion": "3.5.0",
    }

    def url(state: str = "ACTIVE") -> str:
        response = client.get_sql_endpoint(id_)
        done = oci.wait_until(
            client, response, "lifecycle_state", state, max_interval_seconds=0.2, max_wait_seconds=120
        )
        return str(done.data.jdbc_endpoint_url)

    id_ = client.create_sql_endpoint(details).data.id
    query(url(), "CREATE TABLE numbers USING parquet AS SELECT id FROM range(7)")
    server.maintain_sql_endpoint(id_)
    assert query(url(), "SELECT count(*) FROM numbers") == ["7"]
    assert list((server.home / "sqlEndpoints" / id_ / "warehouse" / "numbers").glob("*.parquet"))
    client.delete_sql_endpoint(id_)
    url("DELETED")
    assert not (server.home / "sqlEndpoints" / id_).exists()


@pytest.mark.usefixtures("connection")
def test_endpoint_whose_warehouse_does_not_exist_fails(server):
    with pytest.raises(SqlEndpointFailed, match="bucket nowhere in the namespace ns does not exist"):
        run_task(
            lambda: create(display_name="nowhere", warehouse_bucket_uri="oci://nowhere@ns/"),
            ti=FakeTaskInstance("nowhere"),
        )


def test_service_that_ends_leaves_no_server(tmp_path):
    with LocalDataFlow(tmp_path) as server:
        server.create_bucket("warehouse", "ns")
        client = target_of(server).client
        id_ = client.create_sql_endpoint(SQL_ENDPOINT).data.id
        deadline = time.monotonic() + 120
        while client.get_sql_endpoint(id_).data.lifecycle_state != "ACTIVE":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert pids_with_marker(server.home, id_)
    assert pids_with_marker(tmp_path, id_) == []


@pytest.mark.slow
def test_killed_service_leaves_no_server_and_starts_it_again(tmp_path):
    server = KillableServer(tmp_path)
    try:
        server.home.buckets.create("ns", "warehouse")
        server.start()
        assert server.listens_by(time.monotonic() + 60)
        configuration = {"spark.hive.server2.thrift.bind.host": "0.0.0.0"}
        details = SQL_ENDPOINT | {"sparkAdvancedConfigurations": configuration}
        id_ = server.call("POST", "/20200129/sqlEndpoints", details)["id"]

        def url() -> str:
            deadline = time.monotonic() + 120
            while True:
                body = server.call("GET", f"/20200129/sqlEndpoints/{id_}")
                if body["lifecycleState"] == "ACTIVE":
                    return str(body["jdbcEndpointUrl"])
                assert (body["lifecycleState"] != "FAILED", time.monotonic() < deadline) == (True, True), body
                time.sleep(0.2)

        first = url()
        assert listening_hosts(server, id_) == {"127.0.0.1"}
        query(first, "CREATE TABLE numbers AS SELECT id FROM range(7)")
        server.kill()
        wait_until_no_process_is_left(server)

        server.start()
        assert server.listens_by(time.monotonic() + 60)
        assert url() == first
        assert query(first, "SELECT count(*) FROM numbers") == ["7"]

        # The Java process alone is killed: the endpoint gets another one.
        for pid in pids_with_marker(server.home.path, id_):
            if "java" in psutil.Process(pid).name():
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while server.call("GET", f"/20200129/sqlEndpoints/{id_}")["lifecycleState"] == "ACTIVE":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert query(url(), "SELECT count(*) FROM numbers") == ["7"]
        requests = server.call("GET", f"/20200129/workRequests?compartmentId={COMPARTMENT}")["items"]
        assert [r["operation"] for r in requests] == ["CREATE_SQL_ENDPOINT"]

        server.call("POST", "/_local/reset")
        assert pids_with_marker(server.home.path) == []
        assert not (server.home.path / "sqlEndpoints" / id_).exists()
    finally:
        server.close()
    wait_until_no_process_is_left(server)


def listening_hosts(server: KillableServer, endpoint_id: str) -> set[str]:
    return {
        str(c.laddr.ip).removeprefix("::ffff:")
        for pid in pids_with_marker(server.home.path, endpoint_id)
        for c in psutil.Process(pid).net_connections("tcp")
        if c.status == psutil.CONN_LISTEN
    }
