"""The sample project, which is also the example of the documentation, in an Airflow of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "examples" / "project"


def test_a_dag_of_a_user(tmp_path):
    project = shutil.copytree(PROJECT, tmp_path / "project")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTEST"))} | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }
    for command in (["-m", "airflow", "db", "migrate"], ["-m", "pytest", "-q", "-p", "no:cacheprovider"]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
