"""Folder of a run with its logs, properties and temporary files."""

from __future__ import annotations

import re
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

from airflow_provider_dataflow.local.state.run_logs import (
    APPLICATION_STDERR,
    APPLICATION_STDOUT,
    GZIP,
    LogFolder,
    diagnostics_name,
)

_LOG4J = """\
status = warn
appender.driver.type = File
appender.driver.name = driver
appender.driver.fileName = {driver}
appender.driver.append = true
appender.driver.layout.type = PatternLayout
appender.driver.layout.pattern = %d{{yy/MM/dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
appender.executor.type = File
appender.executor.name = executor
appender.executor.fileName = {executor}
appender.executor.append = true
appender.executor.createOnDemand = true
appender.executor.layout.type = PatternLayout
appender.executor.layout.pattern = %d{{yy/MM/dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
rootLogger.level = info
rootLogger.appenderRef.driver.ref = driver
"""
# Driver and executor are one process. The output of these loggers goes into the executor's log.
_EXECUTOR_LOGGERS = ("org.apache.spark.executor", "org.apache.spark.storage", "org.apache.spark.api.python")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack a zip or tar archive.

    :raises ValueError: not an archive, or a malicious one.
    """
    target.mkdir(exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as z:
                z.extractall(target)  # noqa: S202 - drops ".." and leading slashes
        else:
            with tarfile.open(archive) as t:
                t.extractall(target, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, OSError) as e:
        raise ValueError(f"cannot be unpacked: {e}") from None


class Workspace:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = LogFolder(path / "logs")
        self.events = path / "events"
        self.temporary = path / "tmp"
        self.work = path / "work"
        # Files that the driver of a SESSION run and the engine exchange.
        self.statements = self.temporary / "statements"
        self.exit_file = path / "exit.json"
        self.properties = path / "run.conf"
        self.gc_log = path / "gc.log"
        # Exists if the run was killed because its heap was full.
        self.heap_exhausted = path / "heap-exhausted"
        self.log_configuration = path / "log4j2.properties"
        self._logs_target = path / "logs-target"

    def create(self, stamp: str, python: str) -> None:
        """Create the folders, empty logs, the configuration of log4j and the wrappers of Python.

        :param stamp: time in the names of the driver's and executor's logs.
        """
        for folder in (self.logs.path, self.events, self.temporary, self.work):
            folder.mkdir(parents=True, exist_ok=True)
        driver = self.logs.path / diagnostics_name("driver", stamp)
        executor = self.logs.path / diagnostics_name("executor", stamp)
        for name in (APPLICATION_STDOUT, APPLICATION_STDERR, driver.name):
            (self.logs.path / name).touch()
        configuration = _LOG4J.format(driver=driver, executor=executor)
        for number, logger in enumerate(_EXECUTOR_LOGGERS):
            configuration += (
                f"logger.e{number}.name = {logger}\nlogger.e{number}.level = info\n"
                f"logger.e{number}.additivity = false\nlogger.e{number}.appenderRef.a.ref = executor\n"
            )
        self.log_configuration.write_text(configuration)
        # Spark merges the stderr of Python into its stdout; these scripts redirect it to a file of its own.
        self._wrapper("driver-python", python, self.logs.path / APPLICATION_STDERR)
        self._wrapper("worker-python", python, executor)

    def _wrapper(self, name: str, python: str, stderr: Path) -> None:
        path = self.path / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@" 2>>{shlex.quote(str(stderr))}\n')
        path.chmod(0o700)

    @property
    def driver_python(self) -> Path:
        return self.path / "driver-python"

    @property
    def worker_python(self) -> Path:
        return self.path / "worker-python"

    def heap(self) -> str | None:
        """Return the size of the heap as in Spark, for example ``512m``."""
        return self._property("spark.driver.memory")

    def packages(self) -> str | None:
        """Return the Maven packages that Spark resolves, as in ``spark.jars.packages``."""
        return self._property("spark.jars.packages")

    def _property(self, name: str) -> str | None:
        text = self.properties.read_text() if self.properties.exists() else ""
        match = re.search(rf"^{re.escape(name)} = (.+)$", text, re.MULTILINE)
        return match[1] if match else None

    def executor_log(self) -> Path:
        """Return the log of the executor and of Python workers."""
        return next(
            self.logs.path.glob("spark_executor_stderr_*.log"), self.logs.path / "spark_executor_stderr.log"
        )

    def driver_log(self) -> Path:
        """Return the log of the driver's log4j."""
        return next(
            self.logs.path.glob("spark_driver_stderr_*.log"), self.logs.path / "spark_driver_stderr.log"
        )

    def unpack_archive(self, archive: Path) -> tuple[list[str], list[str]]:
        """Unpack a dependency archive. Return its folders for PYTHONPATH, and its jars.

        :raises ValueError: not an archive, or a malicious one.
        """
        archives = self.path / "archive"
        archives.mkdir(exist_ok=True)
        target = archives / str(len(list(archives.iterdir())))
        _unpack(archive, target)
        python = [
            target / "python",
            *sorted(target.glob("python/lib/python3*/site-packages")),
            target / "python/lib",
        ]
        jars = sorted(target.glob("java/**/*.jar"))
        return [str(p) for p in python if p.is_dir()], [str(j) for j in jars]

    def place_file(self, file: Path, name: str) -> None:
        """Copy a file of ``--files`` into the working directory, as on the executors of a cluster."""
        shutil.copyfile(file, self._place(name))

    def place_archive(self, archive: Path, name: str) -> None:
        """Unpack an archive of ``--archives`` into the working directory.

        :raises ValueError: not an archive, or a malicious one.
        """
        _unpack(archive, self._place(name))

    def _place(self, name: str) -> Path:
        last = Path(name).name
        return self.work / (last if last not in ("", "..") else "unnamed")

    def set_logs_target(self, folder: Path) -> None:
        """Store the folder for a copy of the logs; another server process may see the end of the run."""
        self._logs_target.write_text(str(folder))

    def copy_logs(self) -> None:
        """Copy the compressed logs to the folder of ``set_logs_target``.

        :raises OSError: the copy failed.
        """
        if not self._logs_target.exists():
            return
        target = Path(self._logs_target.read_text())
        target.mkdir(parents=True, exist_ok=True)
        for file in self.logs.path.glob(f"*{GZIP}"):
            shutil.copyfile(file, target / file.name)
        self._logs_target.unlink()

    def finish(self) -> None:
        """Compress the logs and delete temporary files. Call this when all processes are gone."""
        self.logs.compress()
        for file in self.path.glob(f"{self.gc_log.name}*"):
            file.unlink(missing_ok=True)
        for folder in (self.temporary, self.work, self.path / "archive"):
            shutil.rmtree(folder, ignore_errors=True)
