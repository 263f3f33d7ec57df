"""Arguments of the trigger that submits the run of a task with ``start_from_trigger=True``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.compat import require_start_from_trigger
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_literal
from airflow_provider_dataflow.models.coercion import json_value, raw_fields
from airflow_provider_dataflow.models.run_request import RunRequest


def check_can_start_from_trigger(wait_for_completion: Any) -> None:
    """Check that the task can start in the triggerer.

    :raises InvalidArgument: it does not wait for its run, or this release of Airflow is too old.
    """
    if wait_for_completion is not True:
        raise InvalidArgument(
            "start_from_trigger",
            f"waits for the end of the run; wait_for_completion is {wait_for_completion}",
        )
    require_start_from_trigger()


def given_as_json(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that are given, as plain JSON for the trigger's row.

    :param arguments: of the operator, by their names.
    :return: by the names of the operator's attributes, which are also those of its template fields.
    :raises InvalidArgument: an argument is invalid, or needs a worker to resolve its value.
    """
    values = {ATTRIBUTES.get(name, name): _as_json(name, value) for name, value in arguments.items()}
    return {attribute: value for attribute, value in values.items() if value is not None}


def _as_json(name: str, value: Any) -> Any:
    if is_literal(value):
        if name == "json":
            return json_value(raw_fields(value, name), name) or None
        return RunRequest.coerce(name, value) if name in ATTRIBUTES else TASK_SETTINGS[name].read(value, name)
    try:
        return json_value(value, name)
    except InvalidArgument as error:
        raise InvalidArgument(
            error.path,
            "start_from_trigger takes plain values and templates: no worker resolves others",
        ) from error
