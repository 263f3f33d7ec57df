"""Interface between the service and its engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from airflow_provider_dataflow.local.http.messages import JSON


@dataclass(frozen=True, slots=True)
class EngineJob:
    """Run for an engine to execute.

    :param run: body of the run as in the API.
    :param internal: fields that the service stores with the run, but does not show.
    :param arguments: arguments of the application, with all placeholders replaced.
    """

    run_id: str
    run: JSON
    internal: JSON
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Outcome of a run that has ended. The service decides whether a cancelled run becomes CANCELED."""

    succeeded: bool
    details: str | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    # Seconds since the epoch, if the run ended earlier than now.
    ended: float | None = None
    # Final state, if it is neither SUCCEEDED nor FAILED.
    state: str | None = None


RunFinished = Callable[[str, RunOutcome], None]


class Engine(Protocol):
    """Executes runs. Only ``recover`` and ``close`` block."""

    name: str

    def bind(self, finished: RunFinished) -> None:
        """Set the callback for runs that have ended and whose processes are gone.

        The service calls this once, before all other methods. ``finished`` may be called from any thread.
        """

    def recover(self) -> None:
        """Kill all processes that an earlier server process left. Called before the first job."""

    def recovered_outcome(self, run_id: str) -> RunOutcome | None:
        """Return the outcome of a run that was in progress when the server died; ``None`` if it is unknown.

        An outcome without success and without details means that the run was interrupted.
        """

    def start(self, job: EngineJob) -> None: ...

    def cancel(self, run_id: str) -> None:
        """End a run; ``finished`` is called afterwards. Does nothing if the run has ended."""

    def close(self) -> None:
        """End all runs without calling ``finished``, and wait until no process is left."""


@dataclass(frozen=True, slots=True)
class StatementOutcome:
    """Result of a statement of a SESSION run."""

    succeeded: bool
    # TEXT_PLAIN, TEXT_HTML or IMAGE_PNG (base64).
    type: str = "TEXT_PLAIN"
    value: str | None = None
    error_name: str | None = None
    error_value: str | None = None
    traceback: tuple[str, ...] = ()


StatementFinished = Callable[[str, int, StatementOutcome], None]


@runtime_checkable
class StatementEngine(Protocol):
    """Engine that also runs the statements of SESSION runs.

    A SESSION run stays in progress until it is cancelled or fails. No method blocks.
    """

    def bind_statements(self, finished: StatementFinished) -> None:
        """Set the callback for statements that have ended: run id, number of the statement, outcome.

        The service calls this once, before all other methods. ``finished`` may be called from any thread, and
        need not be called for statements of a run that has ended.
        """

    def takes_statements(self, run: JSON) -> bool:
        """Return whether this engine can run statements in this SESSION run."""

    def run_statement(self, run_id: str, number: int, code: str) -> None:
        """Start a statement. The service starts the next one of a run only after this one has finished."""

    def cancel_statement(self, run_id: str, number: int) -> None:
        """Interrupt a statement; ``finished`` is called afterwards with any outcome."""


# Id of the SQL endpoint, and its JDBC URL or how its server ended.
SqlServerReady = Callable[[str, str], None]
SqlServerEnded = Callable[[str, str], None]


@runtime_checkable
class SqlEndpointEngine(Protocol):
    """Engine that starts a server behind each active SQL endpoint. Only ``forget_sql_endpoint`` blocks."""

    def bind_sql_endpoints(self, ready: SqlServerReady, ended: SqlServerEnded) -> None:
        """Set the callbacks for servers that accept queries, and for those whose processes are gone.

        The service calls this once, before all other methods. They may be called from any thread.
        """

    def start_sql_endpoint(self, endpoint: JSON, port: int | None) -> None:
        """Start the server of an endpoint, whose earlier server has ended.

        :param endpoint: body of the endpoint as in the API.
        :param port: preferred port.
        """

    def stop_sql_endpoint(self, endpoint_id: str) -> None:
        """End the server of an endpoint; ``ended`` is called afterwards. Does nothing if it has ended."""

    def forget_sql_endpoint(self, endpoint_id: str) -> None:
        """Delete the files of an endpoint, which has no server."""


@runtime_checkable
class ResumableEngine(Protocol):
    """Engine whose runs continue while no server is running."""

    def resume(self, job: EngineJob, started: float, cancelled: float | None) -> bool:
        """Resume a run that was in progress when the server ended. Called before the first job.

        :param started: when the run started, in seconds since the epoch.
        :param cancelled: when its cancel was requested; ``None``: it was not.
        :return: ``False`` if this engine did not start the run.
        """


@runtime_checkable
class PythonEngine(Protocol):
    """Engine whose runs have a Python."""

    def python_version(self) -> str | None:
        """Return the version of drivers' and workers' Python, for example ``3.11``; ``None`` if unknown."""


@runtime_checkable
class MeteredEngine(Protocol):
    """Engine that counts the bytes that a run reads and writes while it is in progress."""

    def bytes_moved(self, run_id: str) -> tuple[int, int] | None:
        """Return the bytes read and written so far; ``None`` if the run is not in progress.

        Called for each GetRun, so it must be cheap.
        """
