"""The example of the documentation with a whole DAG, in a project and an Airflow of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).with_name("users_project")


def test_a_dag_of_a_user(tmp_path):
    project = shutil.copytree(PROJECT, tmp_path / "project")
    dags = str(project / "dags")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTEST"))} | {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": dags,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "PYTHONPATH": dags,
    }
    pytest_ini = project / "pytest.ini"
    pytest_ini.write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    for command in (["-m", "airflow", "db", "migrate"], ["-m", "pytest", "-q", "example.py"]):
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
