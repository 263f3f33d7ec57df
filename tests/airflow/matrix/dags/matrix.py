"""One DAG of one task per test of the matrix, as the tests have written it down."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import matrix_parts
import pendulum
from airflow.sdk import DAG, get_parsing_context

#: Arguments that are given in seconds.
DURATIONS = ("execution_timeout", "retry_delay", "dagrun_timeout")


def in_python(arguments: dict[str, Any]) -> dict[str, Any]:
    read = {name: timedelta(seconds=value) for name, value in arguments.items() if name in DURATIONS}
    read |= {name: pendulum.parse(value) for name, value in arguments.items() if name == "end_date"}
    return arguments | read


wanted = get_parsing_context().dag_id
for dag_id, case in json.loads(Path(os.environ["MATRIX_CASES"]).read_text()).items():
    if wanted not in (None, dag_id):
        continue
    operator = getattr(matrix_parts, case["operator"])
    arguments = matrix_parts.CALLBACKS | in_python(case["arguments"])
    with DAG(dag_id, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), **in_python(case["dag"])) as dag:
        if case["mapped"]:
            indexes = [[str(index)] for index in range(case["mapped"])]
            operator.partial(task_id="run", **arguments).expand(arguments=indexes)
        else:
            operator(task_id="run", **arguments)
    globals()[dag_id] = dag
