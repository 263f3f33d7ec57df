"""What goes wrong, and what should come of it. The numbers are those of the matrix in docs/reliability.md.

Each case is played to one task of each operator. Where nothing is said, the operator is deferrable, its task
has no retries, and nothing is set but the interval of its polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.faults.play import Play
from benchmarks.faults.service import READ, SUBMIT

#: Seconds, of a task with a timeout, and how long after it one looks what has become of the task.
TIMEOUT = 30
AFTER_TIMEOUT = 60
#: Seconds, of a short outage.
OUTAGE = 5


@dataclass(frozen=True)
class Case:
    """One fault.

    :param number: of the matrix
    :param runs: how many runs should have been made; none should be left active
    :param outcome: how the task should end
    :param arguments: of the task, whatever its operator; durations in seconds
    """

    name: str
    number: str
    title: str
    act: Callable[[Play], None]
    runs: int = 1
    outcome: str = "success"
    arguments: dict[str, Any] = field(default_factory=dict)


def _answer_lost(play: Play) -> None:
    play.fault("lost_response", operation=SUBMIT, count=1)
    play.start()
    play.conclude()


def _killed_before_the_record(play: Play) -> None:
    # The service has accepted, its answer takes long, and the kill comes first.
    play.fault("slow", operation=SUBMIT, seconds=60, count=1)
    play.start()
    play.until(play.runs, "a run")
    play.kill_worker()
    play.conclude()


def _killed_while_it_waits(play: Play) -> None:
    play.start_and_wait()
    play.kill_worker()
    play.conclude()


def _first_read_fails(play: Play) -> None:
    play.fault("status", status=404, operation=READ, count=1)
    play.start()
    play.conclude()


def _first_reads_fail(play: Play) -> None:
    with _outage_of(play, READ, OUTAGE):
        play.start()
    play.conclude()


def _outage(seconds: float) -> Callable[[Play], None]:
    """Of the whole service, while the task waits."""

    def act(play: Play) -> None:
        play.start_and_wait()
        with _outage_of(play, "*", seconds):
            pass
        play.conclude()

    return act


@contextmanager
def _outage_of(play: Play, operation: str, seconds: float) -> Iterator[None]:
    """Begins with the first read that meets it, whenever that is; so it lasts as long for all."""
    before = play.failed_reads()
    fault = play.fault("status", status=503, operation=operation)
    yield
    play.until(lambda: play.failed_reads() > before, "the outage is met", interval=0.1)
    time.sleep(seconds)
    play.heal(fault)


def _stray(count: int, kind: str, **how: Any) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        play.start_and_wait()
        before = play.failed_reads()
        play.fault(kind, operation=READ, count=count, **how)
        play.until(lambda: play.failed_reads() >= before + count, "the fault is met")
        play.conclude()

    return act


def _times_out(play: Play) -> None:
    play.start()
    end = time.monotonic() + TIMEOUT + AFTER_TIMEOUT
    play.until(lambda: time.monotonic() > end, "its timeout")


def _marked_failed(play: Play) -> None:
    play.start_and_wait()
    play.mark_failed()


def _cleared_while_it_waits(play: Play) -> None:
    play.start_and_wait()
    play.clear()
    play.conclude()


def _cleared_after_success(play: Play) -> None:
    play.start_and_wait()
    play.conclude()
    play.clear()
    play.conclude()


WORKER = {"deferrable": False}
RETRY = {"retries": 1}

CASES = [
    Case("answer_lost", "1", "the submit's answer is lost", _answer_lost),
    Case(
        "killed_before_record",
        "2",
        "worker killed between accept and record, one retry",
        _killed_before_the_record,
        arguments=RETRY,
    ),
    Case(
        "first_read_404",
        "4",
        "the first read after the submit is answered with 404, one retry",
        _first_read_fails,
        arguments=RETRY,
    ),
    Case(
        "first_reads_503",
        "4",
        f"the reads of the first {OUTAGE} seconds are answered with 503, one retry",
        _first_reads_fail,
        arguments=RETRY,
    ),
    Case(
        "killed_waiting",
        "7",
        "worker killed while it waits (not deferrable), one retry",
        _killed_while_it_waits,
        arguments=RETRY | WORKER,
    ),
    Case(
        "cleared_success",
        "11",
        "cleared after its success (not deferrable)",
        _cleared_after_success,
        runs=2,
        arguments=WORKER,
    ),
    Case("cleared_deferred", "13", "cleared while deferred", _cleared_while_it_waits, runs=2),
    Case("marked_failed", "16", "marked failed while deferred", _marked_failed, outcome="failed"),
    Case(
        "timeout_worker",
        "22",
        "execution_timeout in the worker (not deferrable)",
        _times_out,
        outcome="failed",
        arguments=WORKER | {"execution_timeout": TIMEOUT},
    ),
    Case(
        "timeout_deferred",
        "22",
        "execution_timeout while deferred",
        _times_out,
        outcome="failed",
        arguments={"execution_timeout": TIMEOUT},
    ),
    Case("outage_2", "27", "outage of 2 seconds while deferred", _outage(2)),
    Case("outage_5", "27", f"outage of {OUTAGE} seconds while deferred", _outage(OUTAGE)),
    Case("outage_60", "27", "outage of 60 seconds while deferred", _outage(60)),
    Case("stray_404", "28", "one stray 404 while deferred", _stray(1, "status", status=404)),
    Case("stray_429", "28", "one 429 while deferred", _stray(1, "status", status=429)),
    Case("dropped_2", "28", "two dropped connections while deferred", _stray(2, "drop")),
]
