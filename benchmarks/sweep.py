"""Measure the query of the triggerer's sweep in a database of many tasks.

::

    python -m benchmarks.sweep --tasks 1000000 --deferred 1000

All tasks have ended and have five XComs. Some more are deferred, and ten of them were killed. For comparison,
the same is asked without the XCom of the trigger: which deferred tasks have ended, by the task table alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing

from dev.postgres import Postgres

KILLED = 10
REPETITIONS = 20
FILL = """
SET session_replication_role = replica;  -- no checks of foreign keys
INSERT INTO dag_run (id, dag_id, run_id, run_type, state, queued_at, run_after, log_template_id,
                     clear_number, span_status)
    SELECT n, 'dag', 'run' || n, 'manual', 'success', now(), now(), 1, 0, 'x'
    FROM generate_series(1, {rows}) n;
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, state, next_method, pool, pool_slots,
                           queue, try_number, max_tries, updated_at, span_status)
    SELECT gen_random_uuid(), 'dag', 'run' || n, 'task', -1,
           CASE WHEN n <= {ended} THEN 'success' WHEN n <= {ended} + {killed} THEN 'failed'
                ELSE 'deferred' END,
           CASE WHEN n > {ended} THEN 'execute_complete' END, 'default_pool', 1, 'default', 1, 0, now(), 'x'
    FROM generate_series(1, {rows}) n;
INSERT INTO xcom (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
    SELECT n, 'dag', 'run' || n, 'task', -1, key, '"ocid1.dataflowrun.oc1.iad.aaaa"', now()
    FROM generate_series(1, {rows}) n,
         unnest(ARRAY['run_id', 'run_page_url', 'usage', 'return_value', 'log_cursor']) key;
INSERT INTO xcom (dag_run_id, dag_id, run_id, task_id, map_index, key, value, timestamp)
    SELECT n, 'dag', 'run' || n, 'task', -1, 'deferred_trigger', '{{"classpath": "a", "kwargs": {{}}}}', now()
    FROM generate_series({ended} + 1, {rows}) n;
ANALYZE;
"""


def seconds_of(call: Callable[[], object]) -> float:
    """Return the median duration of a call."""
    times = []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--deferred", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Postgres() as database:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = database.url
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        rows = arguments.tasks + arguments.deferred
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(FILL.format(rows=rows, ended=arguments.tasks, killed=KILLED))

            from airflow_provider_dataflow.listeners.ended_tasks import find_ended_tasks

            assert len(find_ended_tasks()) == KILLED
            sweep = seconds_of(find_ended_tasks)
            by_task = seconds_of(
                lambda: cursor.execute(
                    "SELECT run_id FROM task_instance WHERE next_method = 'execute_complete' AND state IN "
                    "('success', 'failed', 'skipped', 'upstream_failed', 'removed')"
                )
            )
    print(f"{arguments.tasks} ended tasks, {arguments.deferred} deferred, {KILLED} of these killed")
    ratio = by_task / sweep
    print(f"sweep: {1000 * sweep:.1f} ms; by the task table: {1000 * by_task:.1f} ms ({ratio:.0f} times)")


if __name__ == "__main__":
    main()
