"""The command that runs Spark: one ``java``, without spark-submit's shell scripts and its launcher JVM."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import Job
from airflow_provider_dataflow.local.engines.spark.installation import Java, Spark
from airflow_provider_dataflow.local.state.buckets import Buckets

SQL_CLASS = "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver"
# By this folder, which need not exist, programs tell that they run on Data Flow: Oracle's samples, too.
HOME = "/home/dataflow"
# Only the fast compiler and the collector without threads: short runs need a third of the CPU time with these
# and the class-data archive. An archive is made for certain flags, so they are the same for every run.
JVM_FLAGS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-XX:-UsePerfData",
    # Java's own warnings would go to stdout, which is the application's.
    "-Xlog:disable",
    "-Xlog:all=warning:stderr",
)
# What spark-submit passes (org.apache.spark.launcher.JavaModuleOptions), without jdk.incubator.vector, which
# small runtimes do not have.
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
# Where memory.py looks, by a path from the working folder: Java reads colons and % in one that is absolute.
_GC_LOG = "-Xlog:gc:file=../gc.log:uptime:filecount=1,filesize=1m"
MIN_HEAP_MIB = 512  # Spark refuses less
_SIZE = re.compile(r"(\d+)([kmgt]?)b?\Z", re.IGNORECASE)
_MIB = {"k": 1 / 1024, "": 1.0, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


def heap_mib(requested: str | None, default_mib: int, limit_mib: int) -> int:
    """The heap for what ``spark.driver.memory`` says, within what the machine has for a run."""
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
    """Everything up to the arguments of SparkSubmit."""
    # What comes first has to be what the archive was made with; more may follow.
    class_path = f"{spark.jars}/*" + (f":{user_class_path}" if user_class_path else "")
    return [
        str(java.executable),
        *JVM_FLAGS,
        *archive_options,
        f"-Xmx{heap}m",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dderby.system.home={temporary}",
        _GC_LOG,
        f"-Duser.home={_java_home_folder(os.environ)}",
        f"-Dlog4j2.configurationFile={log_configuration.as_uri()}",
        *_MODULE_OPTIONS,
        *shlex.split(user_options),
        "-cp",
        class_path,
        "org.apache.spark.deploy.SparkSubmit",
        "--properties-file",
        str(properties_file),
    ]


def submit_arguments(job: Job, buckets: Buckets) -> list[str]:
    """The main class, the main file and the application's arguments."""
    run = job.run
    # The SQL client takes its file as it is; spark-submit takes a URI.
    if run["language"] == "SQL":
        settings = [
            part for p in run["parameters"] or [] for part in ("--hivevar", f"{p['name']}={p['value']}")
        ]
        return ["--class", SQL_CLASS, "spark-internal", "-f", run["fileUri"], *settings]
    main_class = ["--class", run["className"]] if run["className"] and run["language"] != "PYTHON" else []
    return [*main_class, buckets.spark_uri(run["fileUri"]), *job.arguments]


def driver_variables(configuration: Mapping[str, str]) -> dict[str, str]:
    """What ``spark.driverEnv.*`` asks for, by which oracle-ads passes variables: Spark knows that only on
    Kubernetes. It sees to ``spark.executorEnv.*`` itself.
    """
    prefix = "spark.driverEnv."
    named = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
    return {name: value for name, value in named.items() if name and "=" not in name}


def _user_folders(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which programs find the caches and packages of the server's user.

    Without them they would look below ``HOME``, where nothing can be written.
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


def _java_home_folder(inherited: Mapping[str, str]) -> str:
    """Return the ``user.home`` of Java, for Ivy and Hadoop: as Java finds it, but with the server's ``HOME``.

    Java uses ``HOME`` where the system knows no folder of the user, as in a container with an arbitrary uid.
    """
    try:
        folder = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        folder = ""
    return folder if len(folder) > 1 else inherited.get("HOME") or "/"


def environment(spark: Spark, java: Java, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a run: of the server's own, only what concerns the machine, and no secret."""
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
            # As the scripts of spark-submit do: workers have to agree on the hash of a string.
            "PYTHONHASHSEED": "0",
        }
    )
