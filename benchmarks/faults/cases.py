"""The faults and their correct results. Numbers are those of the matrix in docs/reliability.md.

Each case is tried with one task of each operator. Unless the case says otherwise, the operator is deferrable,
its task has no retries, and all other arguments but the interval of polls are the defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.faults.run_service import READ, SUBMIT
from benchmarks.faults.trial import Trial

#: Timeout of a task, and how long after it the result is taken although the task has not ended.
TIMEOUT_SECONDS = 30
SECONDS_AFTER_TIMEOUT = 60
SHORT_OUTAGE_SECONDS = 5


@dataclass(frozen=True)
class FaultCase:
    """One fault and the correct result.

    :param number: in the matrix
    :param scenario: starts the task and injects the fault
    :param runs: how many runs should be created; none should be left active
    :param task_state: in which the task should end
    :param arguments: of the task, whichever its operator; durations in seconds
    """

    name: str
    number: str
    title: str
    scenario: Callable[[Trial], None]
    runs: int = 1
    task_state: str = "success"
    arguments: dict[str, Any] = field(default_factory=dict)


def _lose_submit_response(trial: Trial) -> None:
    trial.add_fault("lost_response", operation=SUBMIT, count=1)
    trial.start()
    trial.end_runs_until_task_ends()


def _kill_before_response(trial: Trial) -> None:
    # The service creates the run, but the worker dies before the late response.
    trial.add_fault("slow", operation=SUBMIT, seconds=60, count=1)
    trial.start()
    trial.wait_until(trial.runs, "a run")
    trial.kill_worker()
    trial.end_runs_until_task_ends()


def _kill_while_waiting(trial: Trial) -> None:
    trial.start_and_wait()
    trial.kill_worker()
    trial.end_runs_until_task_ends()


def _fail_first_read(trial: Trial) -> None:
    trial.add_fault("status", status=404, operation=READ, count=1)
    trial.start()
    trial.end_runs_until_task_ends()


def _fail_first_reads(trial: Trial) -> None:
    with _outage_of(trial, READ, SHORT_OUTAGE_SECONDS):
        trial.start()
    trial.end_runs_until_task_ends()


def _outage_while_waiting(seconds: float) -> Callable[[Trial], None]:
    """Return a scenario with an outage of the whole service."""

    def scenario(trial: Trial) -> None:
        trial.start_and_wait()
        with _outage_of(trial, "*", seconds):
            pass
        trial.end_runs_until_task_ends()

    return scenario


@contextmanager
def _outage_of(trial: Trial, operation: str, seconds: float) -> Iterator[None]:
    """Fail an operation with 503 for some seconds from the first failed read, to be fair to all operators."""
    before = trial.failed_reads()
    fault = trial.add_fault("status", status=503, operation=operation)
    yield
    trial.wait_until(lambda: trial.failed_reads() > before, "a read fails", interval=0.1)
    time.sleep(seconds)
    trial.remove_fault(fault)


def _fail_reads_while_waiting(count: int, kind: str, **parameters: Any) -> Callable[[Trial], None]:
    def scenario(trial: Trial) -> None:
        trial.start_and_wait()
        before = trial.failed_reads()
        trial.add_fault(kind, operation=READ, count=count, **parameters)
        trial.wait_until(lambda: trial.failed_reads() >= before + count, "the reads fail")
        trial.end_runs_until_task_ends()

    return scenario


def _let_time_out(trial: Trial) -> None:
    trial.start()
    end = time.monotonic() + TIMEOUT_SECONDS + SECONDS_AFTER_TIMEOUT
    trial.wait_until(lambda: time.monotonic() > end, "its timeout")


def _mark_failed(trial: Trial) -> None:
    trial.start_and_wait()
    trial.mark_failed()


def _clear_while_waiting(trial: Trial) -> None:
    trial.start_and_wait()
    trial.clear()
    trial.end_runs_until_task_ends()


def _clear_after_success(trial: Trial) -> None:
    trial.start_and_wait()
    trial.end_runs_until_task_ends()
    trial.clear()
    trial.end_runs_until_task_ends()


IN_WORKER = {"deferrable": False}
ONE_RETRY = {"retries": 1}

CASES = [
    FaultCase("response_lost", "1", "the response to the submit is lost", _lose_submit_response),
    FaultCase(
        "killed_before_response",
        "2",
        "worker killed between accept and record, one retry",
        _kill_before_response,
        arguments=ONE_RETRY,
    ),
    FaultCase(
        "first_read_404",
        "4",
        "the first read after the submit fails with 404, one retry",
        _fail_first_read,
        arguments=ONE_RETRY,
    ),
    FaultCase(
        "first_reads_503",
        "4",
        f"the reads of the first {SHORT_OUTAGE_SECONDS} seconds fail with 503, one retry",
        _fail_first_reads,
        arguments=ONE_RETRY,
    ),
    FaultCase(
        "killed_waiting",
        "7",
        "worker killed while it waits (not deferrable), one retry",
        _kill_while_waiting,
        arguments=ONE_RETRY | IN_WORKER,
    ),
    FaultCase(
        "cleared_success",
        "11",
        "cleared after its success (not deferrable)",
        _clear_after_success,
        runs=2,
        arguments=IN_WORKER,
    ),
    FaultCase("cleared_deferred", "13", "cleared while deferred", _clear_while_waiting, runs=2),
    FaultCase("marked_failed", "16", "marked failed while deferred", _mark_failed, task_state="failed"),
    FaultCase(
        "timeout_worker",
        "22",
        "execution_timeout in the worker (not deferrable)",
        _let_time_out,
        task_state="failed",
        arguments=IN_WORKER | {"execution_timeout": TIMEOUT_SECONDS},
    ),
    FaultCase(
        "timeout_deferred",
        "22",
        "execution_timeout while deferred",
        _let_time_out,
        task_state="failed",
        arguments={"execution_timeout": TIMEOUT_SECONDS},
    ),
    FaultCase("outage_2", "27", "outage of 2 seconds while deferred", _outage_while_waiting(2)),
    FaultCase(
        "outage_5",
        "27",
        f"outage of {SHORT_OUTAGE_SECONDS} seconds while deferred",
        _outage_while_waiting(SHORT_OUTAGE_SECONDS),
    ),
    FaultCase("outage_60", "27", "outage of 60 seconds while deferred", _outage_while_waiting(60)),
    FaultCase(
        "stray_404",
        "28",
        "one stray 404 while deferred",
        _fail_reads_while_waiting(1, "status", status=404),
    ),
    FaultCase(
        "stray_429", "28", "one 429 while deferred", _fail_reads_while_waiting(1, "status", status=429)
    ),
    FaultCase(
        "dropped_2",
        "28",
        "two dropped connections while deferred",
        _fail_reads_while_waiting(2, "drop"),
    ),
]
