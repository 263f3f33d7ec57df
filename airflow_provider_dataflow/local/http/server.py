"""Server process: serves the API on loopback until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn

from airflow_provider_dataflow.local.engines.machine import Machine
from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
from airflow_provider_dataflow.local.http.asgi import asgi_app
from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.http.server_settings import HOST, ServerSettings, endpoint_of
from airflow_provider_dataflow.local.http.uvicorn_protocols import KEEP_ALIVE_SECONDS, fastest_protocol
from airflow_provider_dataflow.local.service import Service
from airflow_provider_dataflow.local.state.clock import Clock, ManualClock, SystemClock
from airflow_provider_dataflow.local.state.home import Home, HomeUnusable, ServerInfo
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage
from airflow_provider_dataflow.local.state.options import ClockName, EngineName
from airflow_provider_dataflow.local.state.run_lifecycle import RunLifecycle
from airflow_provider_dataflow.local.state.store import Store

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine

log = logging.getLogger(__name__)


class TimelineThread(threading.Thread):
    """Thread that carries out due events when no request arrives that would do so."""

    _MAX_SLEEP_SECONDS = 60.0

    def __init__(self, lifecycle: RunLifecycle) -> None:
        super().__init__(name="timeline", daemon=True)
        self._lifecycle = lifecycle
        self._wake = threading.Event()
        self._closed = False
        lifecycle.timeline.on_planned = self._wake.set

    def run(self) -> None:
        while not self._closed:
            self._wake.clear()
            with self._lifecycle.lock:
                try:
                    self._lifecycle.settle()
                except Exception:
                    log.exception("A due event failed; later events still happen.")
                due = self._lifecycle.timeline.next_due()
            sleep = self._MAX_SLEEP_SECONDS if due is None else max(0.0, due - self._lifecycle.clock.now())
            self._wake.wait(min(sleep, self._MAX_SLEEP_SECONDS))

    def close(self) -> None:
        self._closed = True
        self._wake.set()
        self.join()


class _UvicornServer(uvicorn.Server):
    """Uvicorn server that calls ``on_started`` when it listens."""

    on_started: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self.on_started()


class PortUnusable(Exception):
    """The port cannot be bound; the message says why, and how to choose another."""


def _bind(port: int) -> socket.socket:
    """Bind the port.

    :raises PortUnusable: the port is in use, or this user may not bind it
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as e:
        listener.close()
        reason = getattr(e, "strerror", None) or str(e)
        raise PortUnusable(
            f"Cannot serve on port {port}: {reason}. Choose another with --port; 0 takes any free port."
        ) from None
    return listener


def _store(home: Home) -> Store:
    """Open the state of a home.

    :raises HomeUnusable: the state is damaged, or was written by another version
    """
    try:
        return Store(home.state)
    except (sqlite3.Error, ValueError) as e:
        raise HomeUnusable(
            f"The state in {home.state} cannot be used: {e}. Remove that file to forget all runs, "
            "or choose another home with --home."
        ) from None


def _engine(home: Home, settings: ServerSettings) -> tuple[SparkEngine | ScriptedEngine, int | None]:
    """Return the engine and its limit of concurrent runs; ``None``: no limit."""
    if settings.engine == EngineName.SCRIPTED:
        return ScriptedEngine(home.runs), settings.max_concurrent_runs
    # Imported late: only this engine needs PySpark, which may not be installed.
    from airflow_provider_dataflow.local.engines.spark.engine import SparkEngine

    limit = settings.max_concurrent_runs or Machine.detect().concurrent_runs
    return SparkEngine(home.path, home.buckets, limit=limit, warm=settings.warm), limit


def _clock(settings: ServerSettings, store: Store) -> Clock:
    """Return the clock. A manual clock continues where the last server stopped, so time never goes back."""
    if settings.clock == ClockName.SYSTEM:
        return SystemClock()
    clock = ManualClock()
    clock.move_to(max(store.last_moment() or 0.0, store.saved_time() or 0.0))
    store.save_time(clock.now())
    return clock


def serve(
    home: Home,
    settings: ServerSettings,
    announce: Callable[[ServerInfo, SparkEngine | ScriptedEngine], None],
) -> None:
    """Serve until SIGINT or SIGTERM.

    :param announce: called once the server listens
    :raises HomeInUse: another server uses the home
    :raises HomeUnusable: the home cannot be read or written
    :raises NotInstalled: Spark or Java is missing
    :raises PortUnusable: the port cannot be bound
    """
    home.create()
    with home.locked(), closing(_bind(settings.port)) as listener:
        keys = KeyRing()
        keys.register_identity(home.identity())
        engine, limit = _engine(home, settings)
        store = _store(home)
        service = Service(
            runs_folder=home.runs,
            objects=ObjectStorage(home.buckets, home.objects),
            store=store,
            engine=engine,
            keys=keys,
            limit=limit,
            options=settings.options,
            clock=_clock(settings, store),
            spark_version=None if isinstance(engine, ScriptedEngine) else engine.spark_version,
        )
        timeline = TimelineThread(service.lifecycle)
        service.start()
        timeline.start()
        config = uvicorn.Config(
            asgi_app(service),
            http=fastest_protocol(),
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            # The application sets it, since the fault clock_skew has another one.
            date_header=False,
            timeout_graceful_shutdown=2,
            backlog=256,
        )
        server = _UvicornServer(config)
        port = listener.getsockname()[1]
        info = ServerInfo(os.getpid(), port, endpoint_of(port))

        def started() -> None:
            home.write_info(info)
            announce(info, engine)

        server.on_started = started

        def stop(number: int, frame: object) -> None:
            server.should_exit = True

        # Uvicorn replaces these handlers while it serves, and raises the signal again when it stops. Without
        # them, that second signal would interrupt the cleanup below.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        if settings.exit_with_stdin:
            _exit_with_stdin(server)
        try:
            server.run(sockets=[listener])
        finally:
            home.remove_info()
            timeline.close()
            service.close()


def _exit_with_stdin(server: uvicorn.Server) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        server.should_exit = True

    threading.Thread(target=watch, name="stdin", daemon=True).start()
