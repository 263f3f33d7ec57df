"""Command line and environment of Spark: ``java``, without spark-submit's scripts and its launcher JVM."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import EngineJob
from airflow_provider_dataflow.local.engines.spark.installation import Java, Spark
from airflow_provider_dataflow.local.state.buckets import Buckets

SQL_CLASS = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"
# Programs, for example Oracle's samples, recognize Data Flow by this HOME. The folder need not exist.
HOME = "/home/dataflow"
# With only the fast compiler, the serial collector and the class-data archive, short runs need a third of the
# CPU time. An archive fits only the flags with which it was made, so they are the same for every run.
JVM_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-XX:-UsePerfData",
    # By default Java writes its warnings to stdout, which belongs to the application.
    "-Xlog:disable",
    "-Xlog:all=warning:stderr",
)
# The options of spark-submit (org.apache.spark.launcher.JavaModuleOptions), without jdk.incubator.vector,
# which small runtimes do not have.
_MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang",
            "java.lang.invoke",
            "java.lang.reflect",
            "java.io",
            "java.net",
            "java.nio",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "jdk.internal.ref",
            "sun.nio.ch",
            "sun.nio.cs",
            "sun.security.action",
            "sun.util.calendar",
        )
    ),
    "-Djdk.reflect.useDirectMethodHandle=false",
    "-Dio.netty.tryReflectionSetAccessible=true",
)
# Read by heap_monitor.py. The path is relative, because Java interprets ":" and "%" in the path of a run.
_GC_LOG = "-Xlog:gc:file=../gc.log:uptime:filecount=1,filesize=1m"
MIN_HEAP_MIB = 512  # Spark does not start with less
_SIZE = re.compile(r"(\d+)([kmgt]?)b?\Z", re.IGNORECASE)
_MIB = {"k": 1 / 1024, "": 1.0, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


def heap_mib(requested: str | None, default_mib: int, limit_mib: int) -> int:
    """Return the heap size for a value of ``spark.driver.memory``, within a run's share of the machine."""
    match = _SIZE.match((requested or "").strip())
    wanted = int(int(match[1]) * _MIB[match[2].lower()]) if match else default_mib
    return max(MIN_HEAP_MIB, min(wanted, limit_mib))


def java_command(
    spark: Spark,
    java: Java,
    *,
    properties_file: Path,
    log_configuration: Path,
    temporary: Path,
    heap: int,
    archive_options: Sequence[str] = (),
    user_options: str = "",
    user_class_path: str = "",
) -> list[str]:
    """Return the command up to the properties file; the arguments of SparkSubmit follow.

    :param heap: size of the heap in MiB.
    """
    # The archive requires that the class path starts as when it was made.
    class_path = f"{spark.jars}/*" + (f":{user_class_path}" if user_class_path else "")
    return [
        str(java.executable),
        *JVM_FLAGS,
        *archive_options,
        f"-Xmx{heap}m",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dderby.system.home={temporary}",
        _GC_LOG,
        f"-Duser.home={java_home_folder(os.environ)}",
        f"-Dlog4j2.configurationFile={log_configuration.as_uri()}",
        *_MODULE_OPTIONS,
        *shlex.split(user_options),
        "-cp",
        class_path,
        "org.apache.spark.deploy.SparkSubmit",
        "--properties-file",
        str(properties_file),
    ]


def submit_arguments(job: EngineJob, buckets: Buckets) -> list[str]:
    """Return the main class, the main file and the arguments of the application."""
    run = job.run
    # The SQL client takes the file name as it is; spark-submit needs a quoted URI.
    if run["language"] == "SQL":
        settings = [
            part for p in run["parameters"] or [] for part in ("--hivevar", f"{p['name']}={p['value']}")
        ]
        return ["--class", SQL_CLASS, "spark-internal", "-f", run["fileUri"], *settings]
    main_class = ["--class", run["className"]] if run["className"] and run["language"] != "PYTHON" else []
    return [*main_class, buckets.spark_uri(run["fileUri"]), *job.arguments]


def driver_variables(configuration: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of ``spark.driverEnv.*``, which oracle-ads uses.

    Spark supports this only on Kubernetes; it handles ``spark.executorEnv.*`` itself.
    """
    prefix = "spark.driverEnv."
    named = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
    return {name: value for name, value in named.items() if name and "=" not in name}


def _user_folders(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name the cache and package folders of the user.

    Without them programs would look below ``HOME``, which is not writable.
    """
    home = inherited.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(home):
        return {}
    folders = {
        "XDG_CACHE_HOME": ".cache",
        "XDG_CONFIG_HOME": ".config",
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        # Of ``pip install --user``, where PySpark itself may be.
        "PYTHONUSERBASE": ".local",
    }
    return {name: inherited.get(name) or os.path.join(home, folder) for name, folder in folders.items()}


def java_home_folder(inherited: Mapping[str, str]) -> str:
    """Return the ``user.home`` for Ivy and Hadoop: the user's home folder, not the run's ``HOME``.

    Like Java, fall back to the server's ``HOME`` if the user has no home folder, as in a container with an
    arbitrary uid.
    """
    try:
        folder = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        folder = ""
    return folder if len(folder) > 1 else inherited.get("HOME") or "/"


def environment(spark: Spark, java: Java, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run. Of the server's variables, it has only a few without secrets."""
    keep = ("PATH", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")
    variables = {k: v for k, v in inherited.items() if k in keep or k.startswith("LC_")}
    return (
        _user_folders(inherited)
        | variables
        | {
            "HOME": HOME,
            "JAVA_HOME": str(java.home),
            "SPARK_HOME": str(spark.home),
            "SPARK_SCALA_VERSION": spark.scala_version,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_HOSTNAME": "localhost",
            "PYTHONUNBUFFERED": "1",
            # As in the scripts of spark-submit: all workers must compute the same hash of a string.
            "PYTHONHASHSEED": "0",
        }
    )
