"""The folder of a run: what is written there before it starts, and what is kept when it has ended."""

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
# Driver and executor are one process here; these loggers speak for the executor.
_EXECUTOR_LOGGERS = ("org.apache.spark.executor", "org.apache.spark.storage", "org.apache.spark.api.python")


def _unpack(archive: Path, target: Path) -> None:
    """:raises ValueError: it is no archive, or a malicious one"""
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
        # Of a SESSION: where its driver and the engine leave what is for the other.
        self.statements = self.temporary / "statements"
        self.exit_file = path / "exit.json"
        self.properties = path / "run.conf"
        self.gc_log = path / "gc.log"
        # Exists if the run was ended because its heap was full.
        self.heap_exhausted = path / "heap-exhausted"
        self.log_configuration = path / "log4j2.properties"
        self._logs_target = path / "logs-target"

    def create(self, stamp: str, python: str) -> None:
        """:param stamp: the time in the names of the diagnostic logs"""
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
        # Spark merges the driver's stderr into its stdout; these keep them apart.
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
        """The size of the heap as Spark spells it, ``512m``."""
        text = self.properties.read_text() if self.properties.exists() else ""
        match = re.search(r"^spark\.driver\.memory = (\w+)$", text, re.MULTILINE)
        return match[1] if match else None

    def executor_log(self) -> Path:
        """Where the loggers of the executor write, and Python workers."""
        return next(
            self.logs.path.glob("spark_executor_stderr_*.log"), self.logs.path / "spark_executor_stderr.log"
        )

    def driver_log(self) -> Path:
        """Where the driver's log4j writes."""
        return next(
            self.logs.path.glob("spark_driver_stderr_*.log"), self.logs.path / "spark_driver_stderr.log"
        )

    def unpack_archive(self, archive: Path) -> tuple[list[str], list[str]]:
        """Unpack a dependency archive; return what to put on PYTHONPATH, and the jars.

        :raises ValueError: it is no archive, or a malicious one
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
        """Put a file of ``--files`` into the working directory, where executors of a cluster have it."""
        shutil.copyfile(file, self._place(name))

    def place_archive(self, archive: Path, name: str) -> None:
        """Unpack one of ``--archives`` into the working directory.

        :raises ValueError: it is no archive, or a malicious one
        """
        _unpack(archive, self._place(name))

    def _place(self, name: str) -> Path:
        last = Path(name).name
        return self.work / (last if last not in ("", "..") else "unnamed")

    def set_logs_target(self, folder: Path) -> None:
        """Where to copy the logs at the end. Written down, for the case that another server sees that end."""
        self._logs_target.write_text(str(folder))

    def copy_logs(self) -> None:
        """Copy the logs, compressed by now, to where they were asked for.

        :raises OSError: it failed
        """
        if not self._logs_target.exists():
            return
        target = Path(self._logs_target.read_text())
        target.mkdir(parents=True, exist_ok=True)
        for file in self.logs.path.glob(f"*{GZIP}"):
            shutil.copyfile(file, target / file.name)
        self._logs_target.unlink()

    def finish(self) -> None:
        """When all processes are gone: compress the logs, and drop what was temporary if Spark did not."""
        self.logs.compress()
        for file in self.path.glob(f"{self.gc_log.name}*"):
            file.unlink(missing_ok=True)
        for folder in (self.temporary, self.work, self.path / "archive"):
            shutil.rmtree(folder, ignore_errors=True)
