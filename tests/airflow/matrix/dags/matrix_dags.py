"""One single-task DAG for each test of the matrix, generated from the file that ``MATRIX_DAGS`` names."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import faulty_operators
import pendulum
from airflow.sdk import DAG, get_parsing_context

#: Arguments that the JSON file gives in seconds.
DURATIONS = ("execution_timeout", "retry_delay", "dagrun_timeout")


def from_json(arguments: dict[str, Any]) -> dict[str, Any]:
    """Convert durations and dates to the types that Airflow expects."""
    converted = {name: timedelta(seconds=value) for name, value in arguments.items() if name in DURATIONS}
    converted |= {name: pendulum.parse(value) for name, value in arguments.items() if name == "end_date"}
    if (seconds := arguments.get("deadline")) is not None:
        converted |= deadline_of(seconds, arguments["dag_id"])
    return {name: value for name, value in arguments.items() if name != "deadline"} | converted


def deadline_of(seconds: float, dag_id: str) -> dict[str, Any]:
    """Return the argument for a deadline after the start of the DAG run; nothing in releases without it."""
    try:
        from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference
    except ImportError:
        return {}
    callback = AsyncCallback(
        faulty_operators.record_missed_deadline, kwargs={"dag_id": dag_id, "dag_run": "matrix"}
    )
    return {
        "deadline": DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=seconds), callback)
    }


# A worker parses this file for one DAG only.
wanted = get_parsing_context().dag_id
for dag_id, definition in json.loads(Path(os.environ["MATRIX_DAGS"]).read_text()).items():
    if wanted not in (None, dag_id):
        continue
    operator = getattr(faulty_operators, definition["operator"])
    arguments = faulty_operators.CALLBACKS | from_json(definition["arguments"])
    start_date = pendulum.datetime(2026, 1, 1, tz="UTC")
    with DAG(start_date=start_date, **from_json({"dag_id": dag_id, **definition["dag"]})) as dag:
        if definition["mapped"]:
            indexes = [[str(index)] for index in range(definition["mapped"])]
            operator.partial(task_id="run", **arguments).expand(arguments=indexes)
        else:
            operator(task_id="run", **arguments)
    globals()[dag_id] = dag
