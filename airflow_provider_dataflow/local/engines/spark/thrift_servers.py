"""Thrift servers of Spark behind SQL endpoints: each has a thread, a supervisor process, and a Java process.

JDBC clients of Hive connect to them. They listen on 127.0.0.1 and do not authenticate. They use the binary
transport, because a page in a browser could send requests to the HTTP transport.
"""

from __future__ import annotations

import logging
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

from airflow_provider_dataflow.local.engines.base import SqlServerEnded, SqlServerReady
from airflow_provider_dataflow.local.engines.spark.driver_command import DriverCommand
from airflow_provider_dataflow.local.engines.spark.failure_details import failure_details, out_of_heap_details
from airflow_provider_dataflow.local.engines.spark.heap_monitor import heap_monitor
from airflow_provider_dataflow.local.engines.spark.installation import NotInstalled, python_executable
from airflow_provider_dataflow.local.engines.spark.java_command import driver_variables
from airflow_provider_dataflow.local.engines.spark.preparation import CannotStart, check_buckets
from airflow_provider_dataflow.local.engines.spark.properties import run_properties
from airflow_provider_dataflow.local.engines.spark.runtime import Runtime
from airflow_provider_dataflow.local.engines.spark.supervised_process import SupervisedProcess
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.engines.supervisor import REASON_EXIT
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_MAIN_CLASS = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
# Line of the driver's log, which is written when the port is open.
_LISTENING = re.compile(r"Starting ThriftBinaryCLIService on port (\d+) ")
_POLL_SECONDS = 0.1
_START_TIMEOUT_SECONDS = 600.0


@dataclass(slots=True)
class _Server:
    thread: threading.Thread
    process: SupervisedProcess | None = None
    stopped: bool = False


class ThriftServers:
    """Starts and stops the Thrift servers of SQL endpoints.

    :param folder: has a folder for each endpoint, with its table definitions and the files of its server.
    """

    def __init__(
        self, folder: Path, runtime: Runtime, buckets: Buckets, driver_command: DriverCommand
    ) -> None:
        self._folder = folder
        self._runtime = runtime
        self._buckets = buckets
        self._driver_command = driver_command
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._ready: SqlServerReady = lambda endpoint_id, url: None
        self._ended: SqlServerEnded = lambda endpoint_id, details: None
        self._closed = False

    def bind(self, ready: SqlServerReady, ended: SqlServerEnded) -> None:
        self._ready, self._ended = ready, ended

    def start(self, endpoint: JSON, port: int | None) -> None:
        """Start the server of an endpoint, which has none.

        :param port: preferred port. Another one is taken if it is not free.
        """
        id_ = endpoint["id"]
        thread = threading.Thread(target=self._run, args=[endpoint, port], name=id_[-12:], daemon=True)
        with self._lock:
            if self._closed:
                return
            self._servers[id_] = _Server(thread)
        thread.start()

    def stop(self, endpoint_id: str) -> None:
        with self._lock:
            server = self._servers.get(endpoint_id)
            if server is not None:
                server.stopped = True
                if server.process is not None:
                    server.process.cancel()

    def forget(self, endpoint_id: str) -> None:
        """Delete the files of an endpoint, which has no server."""
        shutil.rmtree(self._folder / endpoint_id, ignore_errors=True)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            left = list(self._servers.values())
            for server in left:
                server.stopped = True
                if server.process is not None:
                    server.process.kill()
        for server in left:
            server.thread.join()

    # --- In the thread of a server --------------------------------------------------------------------------

    def _run(self, endpoint: JSON, port: int | None) -> None:
        id_ = endpoint["id"]
        try:
            details = self._serve(endpoint, port)
        except (CannotStart, NotInstalled) as e:
            details = str(e)
        except Exception as e:
            log.exception("The Thrift server of the SQL endpoint %s ended because of an error.", id_)
            details = f"Local Data Flow could not start the Thrift server: {type(e).__name__}: {e}"
        finally:
            with self._lock:
                closed = self._closed
                self._servers.pop(id_, None)
        if not closed:
            self._ended(id_, details)

    def _serve(self, endpoint: JSON, port: int | None) -> str:
        """Run the server to its end. Return how it ended.

        :raises CannotStart: the bucket of the warehouse does not exist.
        """
        id_ = endpoint["id"]
        check_buckets([endpoint["warehouseBucketUri"] or ""], self._buckets)
        workspace = Workspace(self._folder / id_ / "server")
        shutil.rmtree(workspace.path, ignore_errors=True)
        workspace.create(datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), python_executable())
        command = self._command(endpoint, workspace, port)
        with self._lock:
            server = self._servers[id_]
            if self._closed or server.stopped:
                return "It was stopped before it started."
            process = server.process = self._runtime.start(
                id_,
                command,
                workspace,
                stderr=workspace.driver_log(),
                variables=driver_variables(endpoint["sparkAdvancedConfigurations"] or {}),
            )
        with (
            _ListenWatcher(workspace.driver_log(), process, partial(self._ready, id_)) as watcher,
            heap_monitor(process, workspace),
        ):
            report = process.wait()
        details = _end_details(report, workspace, had_started=watcher.listens)
        workspace.finish()
        return details

    def _command(self, endpoint: JSON, workspace: Workspace, port: int | None) -> list[str]:
        properties, heap = self._properties(endpoint, workspace, port)
        configuration = endpoint["sparkAdvancedConfigurations"] or {}
        command = self._runtime.command(
            workspace,
            properties,
            heap=heap,
            user_options=configuration.get("spark.driver.extraJavaOptions", ""),
            user_class_path=configuration.get("spark.driver.extraClassPath", ""),
        )
        return [*command, "--class", _MAIN_CLASS, "spark-internal"]

    def _properties(
        self, endpoint: JSON, workspace: Workspace, port: int | None
    ) -> tuple[dict[str, str], int]:
        """Return the properties of a server, and the size of its heap in MiB."""
        # The driver of an endpoint is sized like that of a run.
        run: JSON = {
            **endpoint,
            "configuration": endpoint["sparkAdvancedConfigurations"],
            "numExecutors": endpoint["maxExecutorCount"],
        }
        heap = self._driver_command.heap(run)
        properties = run_properties(
            run,
            {},
            buckets=self._buckets,
            temporary=workspace.temporary,
            events=workspace.events,
            cores=self._driver_command.cores(run),
            heap=heap,
        )
        if not endpoint["warehouseBucketUri"]:
            warehouse = workspace.path.parent / "warehouse"
            properties.setdefault("spark.sql.warehouse.dir", warehouse.as_uri())
        tables = workspace.path.parent / "tables"
        scratch = workspace.temporary / "hive"
        hive = {
            "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={tables};create=true",
            "hive.exec.scratchdir": str(scratch),
            "hive.exec.local.scratchdir": str(scratch),
            "hive.server2.transport.mode": "binary",
            "hive.server2.thrift.bind.host": _HOST,
            "hive.server2.thrift.port": str(port if port is not None and _is_free(port) else 0),
            # Queries run as the user of Local Data Flow, whatever name the client gives.
            "hive.server2.enable.doAs": "false",
        }
        properties |= {f"spark.hadoop.{name}": value for name, value in hive.items()}
        # Spark also reads Hive's properties with this prefix, which takes precedence.
        properties |= {f"spark.{name}": value for name, value in hive.items() if name.startswith("hive.")}
        # The event log of a server would grow without limit.
        return properties | {"spark.eventLog.enabled": "false"}, heap


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


class _ListenWatcher:
    """Calls ``ready`` with the JDBC URL when the server listens. Kills a server that does not start in time.

    :param path: driver's log.
    """

    def __init__(self, path: Path, process: SupervisedProcess, ready: Callable[[str], None]) -> None:
        self.listens = False
        self._path = path
        self._process = process
        self._ready = ready
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._ended.wait(_POLL_SECONDS):
            if match := _LISTENING.search(self._path.read_text(errors="replace")):
                self.listens = True
                self._ready(f"jdbc:hive2://{_HOST}:{match[1]}/default")
                return
            if time.monotonic() > deadline:
                self._process.kill()
                return


def _end_details(report: dict[str, object] | None, workspace: Workspace, *, had_started: bool) -> str:
    """Return how a server ended, for ``stateMessage``."""
    if workspace.heap_exhausted.exists():
        return out_of_heap_details(workspace.heap(), "Thrift server")
    code = report.get("rc") if report is not None and report.get("reason") == REASON_EXIT else None
    # Later errors in the log are those of queries and of clients that disconnected.
    driver_log = "" if had_started else workspace.logs.tail(workspace.driver_log().name)
    return failure_details(
        code if isinstance(code, int) else None,
        "",
        driver_log,
        heap=workspace.heap(),
        packages=workspace.packages(),
        what="Thrift server",
    )
