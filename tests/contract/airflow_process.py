"""DAG files that run in a process of their own, with an Airflow home of their own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path


def run_dag_file(folder: Path, dag_file: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Create a new Airflow in ``folder / "airflow"``, and run a file that calls ``dag.test()`` there.

    :param environment: variables besides those of this process that do not configure Airflow.
    """
    home = folder / "airflow"
    home.mkdir()
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dag_file.parent),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        **environment,
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env=variables,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    migrated = run("-m", "airflow", "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    return run(str(dag_file))


def ended_of(done: subprocess.CompletedProcess[str]) -> object:
    """Return the states of the tasks, which the file has printed after ``ended``."""
    line = next((line for line in done.stderr.splitlines() if line.startswith("ended ")), None)
    assert line is not None, done.stderr[-3000:]
    return ast.literal_eval(line.removeprefix("ended "))
