"""Kill whatever Airflow and the service consist of, at random, and count what is left of the promises.

A DAG of twenty tasks, deferrable and not, runs again and again while every few seconds one process is
killed with SIGKILL: a worker, the triggerer, the scheduler, or the service itself. When all DAG runs have
ended, what the service has recorded is held against what Airflow says:

* every task succeeded;
* every run belongs to a task of these DAG runs;
* no task ever had two live runs at a time;
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
    # What died is missed soon.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE": "20",
}

#: How often each is the one; workers are many, and die the most often in life, too.
WEIGHTS = {"worker": 12, "triggerer": 3, "scheduler": 1, "service": 3}


@dataclass
class Findings:
    """What is left when all is over."""

    tasks: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    of_nobody: list[str] = field(default_factory=list)
    doubled: list[tuple[str, str]] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    not_succeeded: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    """Runs that were worth nothing. No promise is broken by them, but they cost something."""

    @property
    def is_clean(self) -> bool:
        return not (self.of_nobody or self.doubled or self.active or self.not_succeeded)

    def __str__(self) -> str:
        lines = [
            f"tasks: {dict(self.tasks)}",
            f"runs: {dict(self.runs)}",
            f"runs that were cancelled and replaced: {self.cancelled or 'none'}",
            f"tasks that did not succeed: {self.not_succeeded or 'none'}",
            f"runs that belong to no task: {self.of_nobody or 'none'}",
            f"pairs of runs that one task had at a time: {self.doubled or 'none'}",
            f"runs still active: {self.active or 'none'}",
        ]
        return "\n".join(lines)


class Chaos:
    """One Airflow and one service, and somebody who kills their processes.

    :param home: folder for everything they write.
    :param seed: the same one kills in the same order, as far as there is something to kill.
    :param report: is told what was killed.
    """

    def __init__(self, home: Path, *, seed: int, report: Callable[[str], None] = print) -> None:
        self.home = home
        self.random = random.Random(seed)
        self.report = report
        self.kills: Counter[str] = Counter()
        self._database: Any = None

    def run(self, kills: int, *, every: float, at_a_time: int = 3, patience: float = 900.0) -> Findings:
        """Kill so often, then let all that was begun end.

        :param every: seconds between two kills, on average.
        :param at_a_time: DAG runs under way at a time.
        :param patience: seconds for what is under way after the last kill.
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
            # A client keeps its address: the service comes back where it was.
            port = bench.local.endpoint.rpartition(":")[2]
            bench.local.options = (*bench.local.options, "--port", port)
            self._database = postgres.connect()
            bench.airflow.rest.wait_for_dags({DAG_ID})
            while sum(self.kills.values()) < kills:
                self._keep_going(at_a_time)
                time.sleep(self.random.uniform(0.5, 1.5) * every)
                self._kill()
            self.report(f"{kills} kills done: {dict(self.kills)}; waiting for what is under way")
            self._let_all_end(patience)
            return self._findings()

    # --- Killing -----------------------------------------------------------------------------------------

    def _keep_going(self, at_a_time: int) -> None:
        ((active,),) = self._query("SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued')")
        if active < at_a_time:
            ((number,),) = self._query("SELECT count(*) FROM dag_run")
            with suppress(httpx.HTTPError):
                self.bench.airflow.rest.trigger(DAG_ID, f"chaos_{number}")

    def _kill(self) -> None:
        (what,) = self.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        killed = getattr(self, f"_kill_{what}")()
        if killed:
            self.kills[what] += 1
            self.report(f"{sum(self.kills.values()):4}  {what}: {killed}")

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
        # As a machine that is lost: workers that outlive their scheduler keep its connections to the database
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

    # --- Looking -----------------------------------------------------------------------------------------

    def _let_all_end(self, patience: float) -> None:
        def over() -> bool:
            ((active,),) = self._query("SELECT count(*) FROM dag_run WHERE state IN ('running', 'queued')")
            return not active

        wait_until(over, "all DAG runs to end", timeout=patience, interval=2.0)

    def _findings(self) -> Findings:
        findings = Findings()
        instances = {}
        for run_id, task_id, state in self._query("SELECT run_id, task_id, state FROM task_instance"):
            instances[run_id, task_id] = state
            findings.tasks[state] += 1
            if state != "success":
                findings.not_succeeded.append(f"{run_id}.{task_id}: {state}")
        answer = httpx.get(f"{self.bench.local.endpoint}/_local/runs", trust_env=False).raise_for_status()
        of_task: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for run in answer.json():
            findings.runs[run["lifecycleState"]] += 1
            tags = run["freeformTags"]
            owner = (tags.get("airflow_run_id", ""), tags.get("airflow_task_id", ""))
            if owner not in instances:
                findings.of_nobody.append(run["id"])
            of_task[owner].append(run)
            if by := run["cancelledBy"]:
                (part,) = re.findall(r"\((\w+)\)$", by["userAgent"])
                findings.cancelled.append(f"{'.'.join(owner)}, by the {part} at {by['time']}")
            if run["lifecycleState"] not in TERMINAL_STATES:
                findings.active.append(run["id"])
        for runs in of_task.values():
            lives = sorted(map(_life, runs))
            for (_, end, first), (begin, _, second) in itertools.pairwise(lives):
                if begin < end:
                    findings.doubled.append((first, second))
        return findings

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


def _life(run: dict[str, Any]) -> tuple[float, float, str]:
    """From when to when a run cost something: a cancel that was asked for counts as its end."""
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
    parser.add_argument("--home", type=Path, help="new folder for the logs; default: one that is removed")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as home:
        chaos = Chaos(options.home or Path(home) / "bench", seed=options.seed)
        findings = chaos.run(options.kills, every=options.every)
    print(f"\nseed {options.seed}, {dict(chaos.kills)}, {time.monotonic() - begin:.0f} s\n{findings}")
    return 0 if findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
