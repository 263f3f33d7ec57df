"""Measure a backfill of a year of nightly runs, in a real Airflow, in each mode of waiting.

::

    python -m benchmarks.backfill

The runs take about a minute each in Local Data Flow's scripted engine; Airflow has a PostgreSQL and as many
workers as ``--slots``. Waiting in the worker is measured with fewer runs, because each of them occupies a
worker until it ends.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.load import table
from dev.airflow_rest import WaitTimeout
from dev.postgres import Postgres
from dev.workbench import Workbench, interrupt_on_terminate

DAGS = Path(__file__).parent / "backfill_dags"
FIRST_DAY = date(2013, 1, 1)
MODES = ("start_from_trigger", "deferrable", "in_worker")
SAMPLE_INTERVAL_SECONDS = 0.25


@dataclass
class BackfillFigures:
    """Figures of one backfill; all times are in seconds."""

    runs: int
    wall: float = 0.0
    #: From the start of the backfill to the submit of its last run.
    all_submitted: float = 0.0
    #: Mean time from the creation of a run to its end.
    run_seconds: float = 0.0
    #: Time from the end of each run to the end of its task.
    to_task_end: list[float] = field(default_factory=list)
    peak: Counter[str] = field(default_factory=Counter)
    slot_seconds: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)


class Backfill:
    """One Airflow and one Local Data Flow, in which backfills run one after the other.

    :param slots: workers of Airflow.
    :param timeout: seconds for one backfill.
    """

    def __init__(self, home: Path, slots: int, timeout: float) -> None:
        self.timeout = timeout
        self.postgres = Postgres()
        self.bench = Workbench(
            home,
            dags=DAGS,
            env={
                "AIRFLOW__CORE__PARALLELISM": str(slots),
                # Limits how many DAG runs of a backfill make progress at a time, whatever its
                # max_active_runs. The default is 20.
                "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "100",
                # The DAGs do not change.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            },
            local_options=("--engine", "scripted", "--max-concurrent-runs", "1000"),
        )
        self._database: Any = None

    def start(self, stack: ExitStack) -> None:
        stack.callback(self.postgres.stop)
        self.postgres.start()
        self.bench.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self.postgres.url
        stack.callback(self.bench.stop)
        self.bench.start()
        self._database = self.postgres.connect()
        self.bench.airflow.rest.wait_for_dags(set(MODES))

    def measure(self, mode: str, runs: int) -> BackfillFigures:
        """Backfill one day per run.

        :raises WaitTimeout: it takes longer than the timeout.
        """
        figures = BackfillFigures(runs)
        httpx.delete(f"{self.bench.local.endpoint}/_local/journal", trust_env=False).raise_for_status()
        cpu = self._cpu()
        begin, begin_epoch = time.monotonic(), time.time()
        last = FIRST_DAY + timedelta(days=runs - 1)
        self.bench.airflow.rest.backfill(
            mode, f"{FIRST_DAY}T00:00:00Z", f"{last}T00:00:00Z", max_active_runs=runs
        )
        self._sample_until_end(mode, figures, begin)
        figures.wall = time.monotonic() - begin
        figures.cpu = {name: seconds - cpu.get(name, 0.0) for name, seconds in self._cpu().items()}
        self._read_results(mode, figures, begin_epoch)
        return figures

    def _sample_until_end(self, mode: str, figures: BackfillFigures, begin: float) -> None:
        last_sample = begin
        while True:
            states = Counter(dict(self._query(TASK_STATES, mode)))
            now = time.monotonic()
            figures.slot_seconds += states["running"] * (now - last_sample)
            last_sample = now
            figures.peak |= states
            ((ended,),) = self._query(ENDED, mode)
            if ended == figures.runs:
                figures.states = states
                return
            if now - begin > self.timeout:
                raise WaitTimeout(f"{mode}: {ended} of {figures.runs} after {now - begin:.0f} s: {states}")
            time.sleep(SAMPLE_INTERVAL_SECONDS)

    def _read_results(self, mode: str, figures: BackfillFigures, begin: float) -> None:
        local = self.bench.local
        journal = httpx.get(f"{local.endpoint}/_local/journal", trust_env=False, timeout=60)
        figures.requests = Counter(journal.raise_for_status().json()["counts"])
        tasks = {run_id: ended.timestamp() for run_id, ended in self._query(TASK_ENDS, mode)}
        seconds = []
        for run in local.runs():
            if run["freeformTags"].get("airflow_dag_id") != mode:
                continue
            created, ended = (
                datetime.fromisoformat(run["states"][index]["time"]).timestamp() for index in (0, -1)
            )
            seconds.append(ended - created)
            figures.all_submitted = max(figures.all_submitted, created - begin)
            figures.to_task_end.append(tasks[run["freeformTags"]["airflow_run_id"]] - ended)
        if len(seconds) != figures.runs:
            raise RuntimeError(f"{mode}: {len(seconds)} runs on the service, not {figures.runs}")
        figures.run_seconds = sum(seconds) / len(seconds)

    def _cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each component so far, including its ended children."""
        return {name: _cpu_of(process) for name, process in self.bench.airflow.processes.items()}

    def _query(self, statement: str, *arguments: str) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            cursor.execute(statement, arguments)
            return list(cursor.fetchall())


TASK_STATES = "SELECT coalesce(state, 'none'), count(*) FROM task_instance WHERE dag_id = %s GROUP BY 1"
TASK_ENDS = "SELECT run_id, end_date FROM task_instance WHERE dag_id = %s"
ENDED = "SELECT count(*) FROM dag_run WHERE dag_id = %s AND state IN ('success', 'failed')"


def _cpu_of(process: psutil.Process) -> float:
    seconds = 0.0
    for member in (process, *process.children(recursive=True)):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def report(results: dict[str, BackfillFigures], slots: int) -> str:
    operations = sorted({name for figures in results.values() for name in figures.requests})
    rows: list[tuple[str, ...]] = [("", *results)]

    def row(name: str, *cells: str) -> None:
        rows.append((name, *cells))

    all_figures = list(results.values())
    row("runs", *(f"{each.runs}" for each in all_figures))
    row("succeeded", *(f"{each.states['success']}" for each in all_figures))
    row("seconds of a run, mean", *(f"{each.run_seconds:.0f}" for each in all_figures))
    row("wall time, s", *(f"{each.wall:.0f}" for each in all_figures))
    row("all submitted after, s", *(f"{each.all_submitted:.0f}" for each in all_figures))
    row("runs per minute", *(f"{each.runs / each.wall * 60:.1f}" for each in all_figures))
    row(f"peak worker slots in use, of {slots}", *(f"{each.peak['running']}" for each in all_figures))
    row("peak deferred tasks", *(f"{each.peak['deferred']}" for each in all_figures))
    row("slot seconds per run", *(f"{each.slot_seconds / each.runs:.1f}" for each in all_figures))
    row(
        "from end of run to end of its task, p50, s",
        *(f"{statistics.median(each.to_task_end):.0f}" for each in all_figures),
    )
    for name in operations:
        row(f"{name} per run", *(f"{each.requests[name] / each.runs:.2f}" for each in all_figures))
    for name in all_figures[0].cpu:
        row(f"CPU of the {name} per run, s", *(f"{each.cpu[name] / each.runs:.2f}" for each in all_figures))
    return table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=365)
    parser.add_argument("--runs-in-worker", type=int, default=24)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--modes", nargs="*", choices=MODES, default=list(MODES))
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for each backfill")
    options = parser.parse_args()
    interrupt_on_terminate()
    results: dict[str, BackfillFigures] = {}
    with tempfile.TemporaryDirectory(prefix="backfill-") as home, ExitStack() as stack:
        backfill = Backfill(Path(home) / "bench", options.slots, options.timeout)
        backfill.start(stack)
        for mode in options.modes:
            runs = options.runs_in_worker if mode == "in_worker" else options.runs
            results[mode] = backfill.measure(mode, runs)
            print(f"{report({mode: results[mode]}, options.slots)}\n", flush=True)
    print(report(results, options.slots))


if __name__ == "__main__":
    main()
