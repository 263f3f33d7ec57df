"""Turn the ``matrix_case`` marker of each test into a DAG definition and into rules for its Spark runs."""

from __future__ import annotations

import re
from typing import Any

import pytest

#: Arguments of InvokeRunOperator where the marker gives none.
DEFAULTS = {"execute": "oci://matrix@local/app.py", "poll_interval": 1, "retries": 0, "retry_delay": 1}


def dag_id_of(item: pytest.Item) -> str:
    return re.sub(r"\W+", "_", item.name.removeprefix("test_")).strip("_")


def parameters_of(item: Any) -> dict[str, Any]:
    """Return the values that ``parametrize`` gives to the test."""
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def definitions_of(item: pytest.Item) -> dict[str, dict[str, Any]]:
    """Return the definitions of the test's DAG and of its extra DAGs, by DAG id."""
    marker = item.get_closest_marker("matrix_case")
    given = dict(marker.kwargs) if marker else {}
    extra_dags = given.pop("extra_dags", {})
    parameters = parameters_of(item)
    given |= parameters.get("arguments", {})
    if "mode" in parameters:
        given["deferrable"] = parameters["mode"] == "deferred"
        if isinstance(given.get("operator"), dict):
            given["operator"] = given["operator"][parameters["mode"]]
    dag_id = dag_id_of(item)
    definitions = {dag_id: _definition(dag_id, given)}
    for name, changes in extra_dags.items():
        extra_id = f"{dag_id}_{name}"
        definitions[extra_id] = _definition(extra_id, given | changes)
    return definitions


def _definition(dag_id: str, given: dict[str, Any]) -> dict[str, Any]:
    given = dict(given)
    # By default, runs stay active until the test ends them.
    run_behavior = given.pop("run_behavior", {"outcome": "IN_PROGRESS"})
    definition = {
        "operator": given.pop("operator", "InvokeRunOperator"),
        "dag": {"schedule": None} | given.pop("dag", {}),
        "mapped": given.pop("mapped", 0),
        "run_behavior": run_behavior if isinstance(run_behavior, list) else [run_behavior],
        "run_behavior_by_suffix": given.pop("run_behavior_by_suffix", {}),
    }
    if definition["operator"] == "CancelOrphanRunsOperator":
        given = {"min_age_in_minutes": given["min_age_in_minutes"]}
    arguments: dict[str, Any] = {"oci_conn_id": dag_id}
    if definition["operator"] not in ("CancelOrphanRunsOperator", "RunSensor"):
        arguments |= DEFAULTS | {"display_name": dag_id}
    return definition | {"arguments": arguments | given}


def rules_of(dag_id: str, definition: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules by which Local Data Flow decides how the runs of a DAG behave."""
    by_name = {
        f"{dag_id} {suffix}": attempts for suffix, attempts in definition["run_behavior_by_suffix"].items()
    }
    by_name[dag_id] = definition["run_behavior"]
    return [{"displayName": name, "attempts": attempts} for name, attempts in by_name.items()]
