"""Installed Spark and Java, and processes that run on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_dataflow.local.engines.spark.class_data_archive import ClassDataArchive
from airflow_provider_dataflow.local.engines.spark.installation import find_java, find_spark
from airflow_provider_dataflow.local.engines.spark.java_command import environment, java_command
from airflow_provider_dataflow.local.engines.spark.maven_packages import ivy_properties
from airflow_provider_dataflow.local.engines.spark.properties import format_properties
from airflow_provider_dataflow.local.engines.spark.supervised_process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.state.run_logs import APPLICATION_STDOUT


class Runtime:
    """Installed Spark and Java, with their class-data archive.

    :param home: folder of the server, which marks its processes.
    :raises NotInstalled: there is no Spark or no Java.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.spark = find_spark()
        self.java = find_java(self.spark)
        self.archive = ClassDataArchive(self.spark, self.java)

    def describe(self) -> str:
        return f"Spark {self.spark.version} on Java {self.java.major} ({self.java.home})"

    def command(
        self,
        workspace: Workspace,
        properties: Mapping[str, str],
        *,
        heap: int,
        archive_options: Sequence[str] | None = None,
        user_options: str = "",
        user_class_path: str = "",
    ) -> list[str]:
        """Write the properties file and return the command that uses it; the arguments of SparkSubmit follow.

        :param heap: size of the heap in MiB.
        :param archive_options: Java options for the class-data archive. Default: those that use it.
        :raises MavenSettingsError: there are packages to resolve, and Maven's settings are unreadable.
        """
        properties = {**properties, **ivy_properties(properties, workspace.temporary)}
        workspace.properties.write_text(format_properties(properties))
        return java_command(
            self.spark,
            self.java,
            properties_file=workspace.properties,
            log_configuration=workspace.log_configuration,
            temporary=workspace.temporary,
            heap=heap,
            archive_options=self.archive.options() if archive_options is None else archive_options,
            user_options=user_options,
            user_class_path=user_class_path,
        )

    def start(
        self,
        run_id: str,
        command: Sequence[str],
        workspace: Workspace,
        *,
        stderr: Path,
        python_path: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> SupervisedProcess:
        """Start a command in the workspace of a run.

        :param variables: environment variables of the run; those that Spark needs take precedence.
        """
        variables = {
            **environment(self.spark, self.java, os.environ),
            **(variables or {}),
            "PYSPARK_DRIVER_PYTHON": str(workspace.driver_python),
            "PYSPARK_PYTHON": str(workspace.worker_python),
            "PYTHONPATH": os.pathsep.join(python_path),
            "TMPDIR": str(workspace.temporary),
            "SPARK_CONF_DIR": str(workspace.path / "no-conf"),
        }
        return SupervisedProcess(
            command,
            home=self.home,
            run_id=run_id,
            environment=variables,
            folder=workspace.work,
            exit_file=workspace.exit_file,
            stdout=workspace.logs.path / APPLICATION_STDOUT,
            stderr=stderr,
        )
