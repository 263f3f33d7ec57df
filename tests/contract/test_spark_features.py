"""Features of runs on real Spark: languages, dependencies, logs, and reasons of failures."""

from __future__ import annotations

import gzip
import io
import json
import os
import pwd
import re
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from oci.exceptions import ServiceError

from airflow_provider_dataflow.local.engines.machine import Machine
from airflow_provider_dataflow.local.engines.processes import pids_with_marker
from tests.contract.conftest import APPS, BUCKET, NAMESPACE

pytestmark = pytest.mark.spark

STDOUT, STDERR = "spark_application_stdout.log.gz", "spark_application_stderr.log.gz"


def zip_of(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as z:
        for name, text in files.items():
            z.writestr(name, text)
    return content.getvalue()


def local_cpus() -> int:
    return Machine.detect().cpus


def test_run_with_all_kinds_of_dependencies_and_settings(local, target, demo_jar, tmp_path):
    uri = target.bucket_uri
    (local.create_bucket("Other-B_2.x", "ns_2") / "in.csv").write_text("key,value\n1,2\n3,4\n")
    (local.create_bucket(BUCKET, "ns_2") / "settings.json").write_text("settings")
    logs = local.create_bucket("logs", NAMESPACE)
    target.upload("apps ü/every thing.py", (APPS / "everything.py").read_bytes())
    target.upload("lib/beside.py", b"NAME = 'beside'\n")
    target.upload("lib/packed.zip", zip_of(**{"packed.py": "NAME = 'packed'\n"}))
    target.upload("lib/data.zip", zip_of(**{"in.txt": "in an archive"}))
    target.upload("lib/demo.jar", demo_jar)
    target.upload("lib/some file", b"some file")
    target.upload("lib/python.zip", zip_of(**{"python/lib/archived.py": "NAME = 'archived'\n"}))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as t:
        content = zip_of(**{"in-archive.txt": "x"})
        info = tarfile.TarInfo("java/archived.jar")
        info.size = len(content)
        t.addfile(info, io.BytesIO(content))
    target.upload("lib/java.tar.gz", tar.getvalue())
    gate = tmp_path / "gate"
    run = target.submit(
        execute=f"--py-files {uri}lib/beside.py,{uri}lib/packed.zip --jars {uri}lib/demo.jar "
        f"--files oci://{BUCKET}@ns_2/settings.json,'{uri}lib/some file#renamed' "
        "--conf spark.driverEnv.WHERE=driver --conf spark.executorEnv.WHERE=executor "
        f"--archives {uri}lib/data.zip#deps --conf spark.a=a=b --conf 'spark.b=ü = 1 # no comment' "
        f"'{uri}apps ü/every thing.py' oci://Other-B_2.x@ns_2/in.csv {uri}all/ {gate} 2026-01",
        archive_uri=f"{uri}lib/python.zip, {uri}lib/java.tar.gz",
        warehouse_bucket_uri=f"{uri}warehouse",
        logs_bucket_uri=f"oci://logs@{NAMESPACE}/some/folder",
        spark_version="3.2.1",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 2, "memoryInGBs": 1},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 0.5},
        num_executors=3,
    )

    # Output and figures can be read while the run is in progress.
    deadline = time.monotonic() + 100
    while not (lines := _log_so_far(target, run.id)):
        assert time.monotonic() < deadline
        assert target.client.get_run(run.id).data.lifecycle_state in ("ACCEPTED", "IN_PROGRESS")
        time.sleep(0.1)
    found = json.loads(lines)
    bucket = local.bucket_path(NAMESPACE, BUCKET)
    parts = [
        file
        for folder in ("all/parquet", "all/csv", "warehouse/totals")
        for file in (bucket / folder).iterdir()
        if file.name.startswith("part-")
    ]
    written = sum(file.stat().st_size for file in parts)
    now = target.client.get_run(run.id).data
    assert now.lifecycle_state == "IN_PROGRESS"
    assert now.data_written_in_bytes == written
    assert now.run_duration_in_milliseconds > 0
    gate.touch()

    run = target.wait(run.id)
    assert (run.lifecycle_state, run.lifecycle_details) == ("SUCCEEDED", None), target.log(run.id, STDERR)
    assert found == {
        "modules": ["beside", "packed", "archived"],
        "in_workers": ["packed", "archived", "executor"],
        "where": "driver",
        "file": ["settings", "settings", "some file"],
        "archive": ["in an archive", "in an archive"],
        "jars": [42, True],
        "conf": {
            "spark.a": "a=b",
            "spark.b": "ü = 1 # no comment",
            "spark.master": f"local[{min(3, local_cpus())},4]",
            "spark.app.name": "every thing.py",
        },
        "month": "2026-01",
        "table": f"{uri}warehouse/totals",
        "rows": 2,
        "variables": [],
    }
    assert run.data_written_in_bytes == written
    assert run.data_read_in_bytes > 0
    assert (run.spark_version, run.total_o_cpu) == ("3.2.1", 4)
    driver = next(f.name for f in target.client.list_run_logs(run.id).data if f.source == "DRIVER")
    text = target.log(run.id, driver)
    assert "requested Spark 3.2.1; the run gets Spark " in text
    assert "driver VM.Standard.E4.Flex (2 OCPU, 1 GB), executors 3 x VM.Standard.E4.Flex (0.5 OCPU" in text
    assert "and 1024 MiB of heap" in text

    copies = {f.name: gzip.decompress(f.read_bytes()) for f in (logs / "some/folder" / run.id).iterdir()}
    listed = [f.name for f in target.client.list_run_logs(run.id).data]
    assert copies == {name: target.log(run.id, name).encode() for name in listed}


def _log_so_far(target, run_id: str) -> str:
    names = [f.name for f in target.client.list_run_logs(run_id).data]
    return target.log(run_id, STDOUT) if STDOUT in names else ""


def test_jar_applications(target, demo_jar):
    uri = target.bucket_uri
    target.upload("demo.jar", demo_jar)
    fields = {
        "class_name": "demo.Demo",
        "configuration": {"spark.a": "application", "spark.b": "application"},
    }
    scala = target.create_application("demo.jar", language="SCALA", **fields)
    java = target.create_application("demo.jar", language="JAVA", **fields)
    good = target.submit(
        scala.id, arguments=["21", f"{uri}demo/out"], configuration={"spark.b": "run", "spark.c": "run"}
    )
    bad = target.submit(java.id, arguments=["fail", "2026-13"])
    lost = target.submit(execute=f"--class demo.Lost {uri}demo.jar")

    good = target.wait(good.id)
    assert good.lifecycle_state == "SUCCEEDED", target.log(good.id, STDERR)
    assert target.log(good.id, STDOUT) == "42 rows\napplication run run\n"
    bad = target.wait(bad.id)
    assert (bad.lifecycle_state, bad.lifecycle_details) == (
        "FAILED",
        "The application failed with exit code 1: java.lang.IllegalStateException: no such month: 2026-13",
    )
    assert "at demo.Demo$.main" in target.log(bad.id, STDERR)
    lost = target.wait(lost.id)
    assert lost.lifecycle_state == "FAILED"
    assert "demo.Lost" in lost.lifecycle_details


def test_failed_runs_name_the_reason(target):
    target.upload("syntax.py", b"print('never'\n")
    target.upload("bad.sql", b"SELECT 1;\nSELECT x FROM nowhere;\n")
    ends = target.create_application("ends.py")
    cases = {
        target.submit(ends.id, arguments=["exit"]).id: ("The application failed with exit code 3.",),
        target.submit(ends.id, arguments=["kill"]).id: (
            "The application was killed by signal 9 (out of memory?).",
        ),
        target.submit(ends.id, arguments=["raise"]).id: (
            "The application failed with exit code 1: RuntimeError: not caught",
        ),
        target.submit(target.create_application("syntax.py").id).id: (
            "The application failed with exit code 1: SyntaxError: ",
            "never closed",
        ),
        target.submit(target.create_application("bad.sql", language="SQL").id).id: (
            "The application failed with exit code 1: ",
            "[TABLE_OR_VIEW_NOT_FOUND]",
            "nowhere",
        ),
    }
    for run_id, expected in cases.items():
        run = target.wait(run_id)
        assert run.lifecycle_state == "FAILED"
        assert run.lifecycle_details.startswith(expected[0])
        for part in expected[1:]:
            assert part in run.lifecycle_details
        assert (run.data_read_in_bytes, run.data_written_in_bytes) == (0, 0)


def test_missing_or_outside_files_fail_the_run(local, target, tmp_path):
    """No process is started if a file does not exist in its bucket."""
    uri = target.bucket_uri
    bucket = local.bucket_path(NAMESPACE, BUCKET)
    outside = tmp_path / "outside.py"
    outside.write_text("print('secret')\n")
    (bucket / "leads-out.py").symlink_to(outside)
    (bucket / "way-out").symlink_to(tmp_path)
    no_bucket = "The bucket nowhere in the namespace ns does not exist. Create it with: "
    cases = [
        ({"execute": f"{uri}leads-out.py"}, "The main application file "),
        ({"execute": f"{uri}way-out/outside.py"}, "The main application file "),
        ({"execute": f"{uri}../../../outside.py"}, "The main application file "),
        ({"execute": f"{uri}%2e%2e/other/outside.py"}, "The main application file "),
        ({"execute": f"{uri}hello.py", "archive_uri": f"{uri}way-out/outside.py"}, "The archive "),
        ({"execute": f"{uri}hello.py", "archive_uri": f"{uri}hello.py"}, "cannot be unpacked"),
        ({"execute": f"--files {uri}way-out/outside.py {uri}hello.py"}, "The file "),
        ({"execute": f"--jars {uri}none.jar {uri}hello.py"}, f"The file {uri}none.jar does not exist."),
        ({"execute": f"{uri}hello.py", "logs_bucket_uri": f"{uri}way-out/"}, "is not within its bucket"),
        ({"execute": f"{uri}hello.py", "logs_bucket_uri": "oci://nowhere@ns/"}, no_bucket),
        ({"execute": f"{uri}hello.py", "warehouse_bucket_uri": "oci://nowhere@ns/"}, no_bucket),
        ({"execute": f"{uri}hello.py --out=oci://nowhere@ns/x"}, no_bucket),
    ]
    runs = [(target.submit(**fields).id, message) for fields, message in cases]
    for run_id, message in runs:
        run = target.wait(run_id)
        assert run.lifecycle_state == "FAILED"
        assert message in run.lifecycle_details
        assert pids_with_marker(local.home, run_id) == []
    assert sorted(Path(tmp_path).iterdir()) == [outside]


@pytest.mark.parametrize("version", ["3.5.0", "3.2.1", "3.0.2", "2.4.4"])
def test_service_spark_versions_are_accepted(target, version):
    assert target.create_application("hello.py", spark_version=version).spark_version == version


@pytest.mark.parametrize("version", ["3.5.1", "4", "latest", ""])
def test_other_spark_versions_are_400(target, version):
    with pytest.raises(ServiceError) as e:
        target.create_application("hello.py", spark_version=version)
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")


IN_DATA_FLOW = b"""\
import os
import site
from pathlib import Path
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
homes = spark.sparkContext.parallelize([1], 1).map(lambda _: os.environ["HOME"]).collect()
print("gr\xc3\xbc\xc3\x9fe", [os.environ["HOME"], *homes], Path("~").expanduser())
print(spark._jvm.java.lang.System.getProperty("user.home"))
spark.range(1).write.saveAsTable("t")
assert spark.table("t").count() == 1
"""


def test_run_has_the_home_of_data_flow(target):
    target.upload("home.py", IN_DATA_FLOW)
    run = target.wait(target.submit(execute=f"{target.bucket_uri}home.py").id)
    assert run.lifecycle_state == "SUCCEEDED", run.lifecycle_details
    first, second = target.log(run.id, STDOUT).splitlines()
    assert first == "grüße ['/home/dataflow', '/home/dataflow'] /home/dataflow"
    assert second == pwd.getpwuid(os.getuid()).pw_dir


OUT_OF_MEMORY = b"""\
from pyspark.sql import SparkSession

table = SparkSession.builder.getOrCreate().range(2).repartition(2)
table.selectExpr("size(transform(sequence(0L, 300000000L + id), x -> x + id))").collect()
"""


def test_out_of_memory_in_a_task_is_named(target):
    target.upload("memory.py", OUT_OF_MEMORY)
    execute = f"--conf spark.driver.memory=512m {target.bucket_uri}memory.py"
    run = target.wait(target.submit(execute=execute).id)
    assert run.lifecycle_state == "FAILED"
    assert run.lifecycle_details.startswith(
        "The application failed with exit code 52, as a task ran out of memory: java.lang.OutOfMemoryError: "
    )
    assert "(512m)" in run.lifecycle_details


def test_warm_says_where_the_archive_is(tmp_path):
    """It is not below the home of the server, and stays when that is deleted."""
    command = [sys.executable, "-m", "airflow_provider_dataflow.local", "--home", str(tmp_path), "warm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = re.fullmatch(r"The class-data archive is ready: (\S+) \((\d+) MB\)\.\n", done.stdout)
    assert found, done.stdout
    assert (Path(found[1]) / "spark.jsa").is_file()
    assert int(found[2]) > 10
