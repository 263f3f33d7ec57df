"""The one interface of all engines, and what they and the service tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from airflow_provider_dataflow.local.http.messages import JSON


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be run: what the API shows of it, what the service knows beside that, and its arguments with
    all parameters filled in."""

    run_id: str
    run: JSON
    internal: JSON
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. Whether a cancelled one counts as CANCELED is not the engine's to decide."""

    succeeded: bool
    details: str | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    # When, in seconds since the epoch, if that was not just now.
    ended: float | None = None
    # The state, where it is neither SUCCEEDED nor FAILED.
    state: str | None = None


Finished = Callable[[str, Outcome], None]


class Engine(Protocol):
    """Runs jobs. All methods return at once, but for ``recover`` and ``close``."""

    name: str

    def bind(self, finished: Finished) -> None:
        """Called once, first: what to call, from any thread, when a run has ended and all its processes are
        gone."""

    def recover(self) -> None:
        """Called before the first job: end whatever an earlier process of the server left running."""

    def recovered_outcome(self, run_id: str) -> Outcome | None:
        """How a run ended that was in progress when the server died. An outcome that is no success and has no
        details was not the run's own doing. ``None``: nothing is known of it."""

    def start(self, job: Job) -> None: ...

    def cancel(self, run_id: str) -> None:
        """End a run that was started; ``finished`` is called as always. Harmless if it has ended."""

    def close(self) -> None:
        """End everything that runs, without calling ``finished``; return when no process is left."""


@dataclass(frozen=True, slots=True)
class StatementOutcome:
    """What came of a statement of a SESSION."""

    succeeded: bool
    # TEXT_PLAIN, TEXT_HTML or IMAGE_PNG (in base64).
    type: str = "TEXT_PLAIN"
    value: str | None = None
    error_name: str | None = None
    error_value: str | None = None
    traceback: tuple[str, ...] = ()


StatementFinished = Callable[[str, int, StatementOutcome], None]


@runtime_checkable
class StatementEngine(Protocol):
    """What an engine also has that can run statements of SESSION runs.

    A SESSION that was started goes on until it is cancelled, unless it fails. All methods return at once.
    """

    def bind_statements(self, finished: StatementFinished) -> None:
        """Called once, first: what to call, from any thread, with the run, the statement's number and its
        outcome. Not needed for statements of a run that has ended."""

    def takes_statements(self, run: JSON) -> bool:
        """Whether this run, a SESSION, is of a kind that statements can be run in."""

    def run_statement(self, run_id: str, number: int, code: str) -> None:
        """Called for one after the other: never while another one of the run has not finished."""

    def cancel_statement(self, run_id: str, number: int) -> None:
        """End a statement that was started; it is finished as always, with whatever outcome."""


@runtime_checkable
class Resuming(Protocol):
    """An engine whose runs go on, whether there is a server or not."""

    def resume(self, job: Job, started: float, cancelled: float | None) -> bool:
        """Called once, before the first job, for each run that was in progress when the server ended.

        :param cancelled: when it was asked to end; ``None``: it was not
        :return: whether it goes on; if not, this engine has never known it
        """


@runtime_checkable
class Measuring(Protocol):
    """An engine that knows of a run, while that goes on, how much it has read and written."""

    def progress(self, run_id: str) -> tuple[int, int] | None:
        """The bytes; ``None`` if the run is not running. Called with every request: it has to be cheap."""
