"""Kill random processes of Airflow and of the service, and check that no run is lost, doubled or left active.

A DAG of twenty tasks, every second one deferrable, runs again and again. Every few seconds one process is
killed with SIGKILL: a worker, the triggerer, the scheduler, or the service itself. When all DAG runs have
ended, the runs of the service are compared with the tasks of Airflow:

* every task succeeded;
* every run belongs to a task of these DAG runs;
* no task ever had two active runs at a time;
* no run is active.

    python -m benchmarks.chaos --kills 200 --seed 1
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from airflow_provider_dataflow.models.run import TERMINAL_STATES
from dev.airflow_rest import wait_until
from dev.postgres import Postgres
from dev.workbench import Workbench

DAGS = Path(__file__).parent / "chaos_dags"
DAG_ID = "chaos"

SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "16",
    # Detect dead processes soon.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE": "20",
}

#: Relative frequency of each target. Workers are the most numerous, and in production die the most often.
WEIGHTS = {"worker": 12, "triggerer": 3, "scheduler": 1, "service": 3}


@dataclass
class ChaosFindings:
    """States of all tasks and runs at the end, and violations of the promises."""

    tasks: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    without_task: list[str] = field(default_factory=list)
    overlapping: list[tuple[str, str]] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    not_succeeded: list[str] = field(default_factory=list)
    #: No violation, but the cost of these runs was wasted.
    cancelled: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.without_task or self.overlapping or self.active or self.not_succeeded)

    def __str__(self) -> str:
        lines = [
            f"tasks: {dict(self.tasks)}",
            f"runs: {dict(self.runs)}",
            f"runs that were cancelled and replaced: {self.cancelled or 'none'}",
            f"tasks that did not succeed: {self.not_succeeded or 'none'}",
            f"runs without a task: {self.without_task or 'none'}",
            f"overlapping runs of one task: {self.overlapping or 'none'}",
            f"runs still active: {self.active or 'none'}",
        ]
        return "\n".join(lines)


class Chaos:
    """Starts Airflow and the service, kills their processes, and checks the result.

    :param home: folder for everything they write.
    :param seed: makes the order of kills repeatable, as far as the targets exist.
    :param report: called with a line for each kill.
    """

    def __init__(self, home: Path, *, seed: int, report: Callable[[str], None] = print) -> None:
        self.home = home
        self.random = random.Random(seed)
        self.report = report
        self.kills: Counter[str] = Counter()
        self._database: Any = None

    def run(
        self, kills: int, *, every: float, max_dag_runs: int = 3, timeout: float = 900.0
    ) -> ChaosFindings:
        """Kill ``kills`` processes, then wait until all DAG runs have ended.

        :param every: seconds between two kills, on average.
        :param max_dag_runs: active DAG runs at a time.
        :param timeout: seconds for the active DAG runs to end after the last kill.
        """
        with ExitStack() as stack:
            postgres = Postgres()
            stack.callback(postgres.stop)
            postgres.start()
            bench = self.bench = Workbench(
                self.home,
                dags=DAGS,
                env={**SETTINGS, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url},
                local_options=("--engine", "scripted"),
            )
            stack.callback(bench.stop)
            bench.start()
            # Clients keep the address of the service, so it restarts on the same port.
            port = bench.local.endpoint.rpartition(":")[2]
            bench.local.options = (*bench.local.options, "--port", port)
            self._database = postgres.connect()
            bench.airflow.rest.wait_for_dags({DAG_ID})
            while sum(self.kills.values()) < kills:
                self._start_dag_run_if_due(max_dag_runs)
                time.sleep(self.random.uniform(0.5, 1.5) * every)
                self._kill()
            self.report(f"{kills} kills done: {dict(self.kills)}; waiting for the active DAG runs")
            self._wait_for_dag_runs(timeout)
            return self._findings()

    # Kills ------------------------------------------------------------------------------------------

    def _start_dag_run_if_due(self, max_dag_runs: int) -> None:
        ((active,),) = self._query("SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued')")
        if active < max_dag_runs:
            ((number,),) = self._query("SELECT count(*) FROM dag_run")
            with suppress(httpx.HTTPError):
                self.bench.airflow.rest.trigger(DAG_ID, f"chaos_{number}")

    def _kill(self) -> None:
        (target,) = self.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        killed = getattr(self, f"_kill_{target}")()
        if killed:
            self.kills[target] += 1
            self.report(f"{sum(self.kills.values()):4}  {target}: {killed}")

    def _kill_worker(self) -> str | None:
        running = self._query(
            "SELECT task_id, try_number, pid FROM task_instance "
            "WHERE state = 'running' AND pid IS NOT NULL ORDER BY task_id, run_id"
        )
        if not running:
            return None
        task_id, try_number, pid = self.random.choice(running)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return f"{task_id}, try {try_number}"

    def _kill_triggerer(self) -> str:
        return self._kill_component("triggerer")

    def _kill_scheduler(self) -> str:
        # As if the machine were lost: workers that outlive the scheduler would keep its database connections
        # open, and with them its locks.
        workers = self.bench.airflow.processes["scheduler"].children(recursive=True)
        name = self._kill_component("scheduler")
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        return f"{name} and {len(workers)} processes of its workers"

    def _kill_component(self, name: str) -> str:
        self.bench.airflow.kill_component(name)
        self.bench.airflow.start_component(name)
        return name

    def _kill_service(self) -> str:
        process = self.bench.local.process
        assert process is not None
        process.kill()
        process.wait(timeout=30)
        self.bench.local.start()
        return "dataflow-local"

    # Result -----------------------------------------------------------------------------------------

    def _wait_for_dag_runs(self, timeout: float) -> None:
        def ended() -> bool:
            ((active,),) = self._query("SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued')")
            return not active

        wait_until(ended, "all DAG runs to end", timeout=timeout, interval=2.0)

    def _findings(self) -> ChaosFindings:
        findings = ChaosFindings()
        instances = {}
        for run_id, task_id, state in self._query("SELECT run_id, task_id, state FROM task_instance"):
            instances[run_id, task_id] = state
            findings.tasks[state] += 1
            if state != "success":
                findings.not_succeeded.append(f"{run_id}.{task_id}: {state}")
        runs_by_task: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for run in self.bench.local.runs():
            findings.runs[run["lifecycleState"]] += 1
            tags = run["freeformTags"]
            owner = (tags.get("airflow_run_id", ""), tags.get("airflow_task_id", ""))
            if owner not in instances:
                findings.without_task.append(run["id"])
            runs_by_task[owner].append(run)
            if by := run["cancelledBy"]:
                (component,) = re.findall(r"\((\w+)\)$", by["userAgent"])
                findings.cancelled.append(f"{'.'.join(owner)}, by the {component} at {by['time']}")
            if run["lifecycleState"] not in TERMINAL_STATES:
                findings.active.append(run["id"])
        for runs in runs_by_task.values():
            active_times = sorted(map(_active_time, runs))
            for (_, end, first), (begin, _, second) in itertools.pairwise(active_times):
                if begin < end:
                    findings.overlapping.append((first, second))
        return findings

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


def _active_time(run: dict[str, Any]) -> tuple[float, float, str]:
    """Return creation, end and id of a run; a requested cancel counts as its end."""
    moments = {entry["state"]: datetime.fromisoformat(entry["time"]).timestamp() for entry in run["states"]}
    ends = [
        moment for state, moment in moments.items() if state in {*TERMINAL_STATES, "CANCELING", "STOPPING"}
    ]
    return min(moments.values()), min(ends, default=float("inf")), run["id"]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--every", type=float, default=4.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, help="new folder for the logs; default: a temporary folder")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as home:
        chaos = Chaos(options.home or Path(home) / "bench", seed=options.seed)
        findings = chaos.run(options.kills, every=options.every)
    print(f"\nseed {options.seed}, {dict(chaos.kills)}, {time.monotonic() - begin:.0f} s\n{findings}")
    return 0 if findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
