"""Tables of the settings: arguments that say how a task works, such as ``poll_interval``.

A setting means the same in all operators, sensors and triggers. Arguments that are fields of a run, an
application, a pool or a SQL endpoint are not here: ``RunRequest`` and the ``...Details`` classes in
``models`` read them.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import parse_collection, redacted_repr, unwrap
from airflow_provider_dataflow.models.coercion import (
    Coercion,
    boolean,
    choice,
    choices,
    ocid,
    optional,
    separated_items,
    staging_uri,
    text,
    texts,
    whole_number,
)
from airflow_provider_dataflow.models.durations import minutes, moment, seconds
from airflow_provider_dataflow.models.run import KNOWN_STATES, SUCCESS_STATES
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
    DEFAULT_ERROR_BUDGET,
    DEFAULT_POLL_INTERVAL,
    DEFAULT_SUBMIT_TIMEOUT_SECONDS,
    DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
)
from airflow_provider_dataflow.retries.on_cause import steps_by_cause

#: Default of Airflow's own sensors, in seconds.
DEFAULT_POKE_INTERVAL = 60.0

FETCH_LOGS = ("always", "on_failure", "never")
IF_ALREADY_RUNNING = ("fail", "adopt")

#: Forms of a statement's output in the result of its task.
OUTPUT_FORMATS = ("text", "table")

compartment = ocid("compartment", "tenancy")


class Setting(NamedTuple):
    """How one argument is read.

    :param read: checks a value and returns it in the type that the code works with. Raises InvalidArgument.
    :param if_unusable: replaces an unusable value where refusing it would lose an active run: after a
        deferral and in the triggerer.
    """

    read: Coercion
    if_unusable: Any


def compartments(value: Any, path: str) -> list[str]:
    """Read OCIDs of compartments: a list, or text that separates them with commas or spaces."""
    items = separated_items(value, path, f"expected OCIDs of compartments, got {redacted_repr(value)}")
    return [compartment(item, f"{path}[{index}]") for index, item in enumerate(items)]


def guard(value: Any, path: str) -> bool | list[str]:
    """Read ``private_endpoint_guard``: True, False or OCIDs of compartments."""
    raw = unwrap(value)
    if isinstance(raw, bool) or (isinstance(raw, str) and raw.strip().lower() in ("true", "false")):
        return boolean(raw, path)
    try:
        return compartments(value, path)
    except InvalidArgument as error:
        if error.path != path:
            raise
        raise InvalidArgument(
            path, f"expected True, False or OCIDs of compartments, got {redacted_repr(value)}"
        ) from None


def state_names(value: Any, path: str) -> list[str]:
    """Read and sort the states in a trigger's row. Accept states that this version does not know."""
    items = separated_items(value, path, f"expected names of states, got {redacted_repr(value)}")
    return _shared_list(tuple(sorted({text(item, path).upper() for item in items})))


@lru_cache(maxsize=64)
def _shared_list(names: tuple[str, ...]) -> list[str]:
    """Return one list for all triggers that wait for the same states, to save memory. Do not change it."""
    return list(names)


def optional_id(read: Coercion) -> Coercion:
    """Return a function that reads None and blank text as None, and other values with ``read``."""
    read_if_given = optional(read)

    def read_unless_blank(value: Any, path: str) -> Any:
        raw = unwrap(value)
        return None if isinstance(raw, str) and not raw.strip() else read_if_given(value, path)

    return read_unless_blank


def file_path(value: Any, path: str) -> str:
    """Read the path or URI of a file."""
    result = text(value, path).strip()
    if not result or "\0" in result:
        raise InvalidArgument(path, f"expected a path or a URI, got {redacted_repr(value)}")
    return result


def file_paths(value: Any, path: str) -> list[str]:
    """Read paths or URIs of files: a list, or text that separates them with commas."""
    raw = parse_collection(value)
    if isinstance(raw, (str, os.PathLike)):
        raw = [part for part in text(raw, path).split(",") if part.strip()]
    return [file_path(item, f"{path}[{index}]") for index, item in enumerate(texts(raw, path))]


def requirement_lines(value: Any, path: str) -> str | list[str]:
    """Read requirements: a list of them, or the path of a requirements file."""
    raw = parse_collection(value)
    if isinstance(raw, (str, os.PathLike)):
        return file_path(raw, path)
    return texts(raw, path)


_OFF = Setting(boolean, False)
_ON = Setting(boolean, True)
_ANY_TEXT = Setting(optional(text), None)

#: Settings of operators and sensors, by the names of their arguments.
TASK_SETTINGS: dict[str, Setting] = {
    # Durations and moments
    "cancel_timeout": Setting(seconds, DEFAULT_CANCEL_TIMEOUT_SECONDS),
    "completion_timeout": Setting(optional(seconds), None),
    "deadline": Setting(optional(moment), None),
    "error_budget": Setting(seconds, float(DEFAULT_ERROR_BUDGET)),
    "min_age_in_minutes": Setting(minutes, 15.0),
    "poke_interval": Setting(seconds, DEFAULT_POKE_INTERVAL),
    "poll_interval": Setting(seconds, DEFAULT_POLL_INTERVAL),
    "submit_timeout": Setting(seconds, DEFAULT_SUBMIT_TIMEOUT_SECONDS),
    "successor_timeout": Setting(seconds, DEFAULT_SUCCESSOR_TIMEOUT_SECONDS),
    "timeout": Setting(optional(seconds), None),
    # Other numbers
    "limit": Setting(whole_number(1), 100),
    "max_output_length": Setting(whole_number(0), 64 * 1024),
    "statement_id": Setting(whole_number(0), 0),
    # Switches and choices
    "airflow_tags": _ON,
    "cancel_on_kill": _ON,
    "cascading": _OFF,
    "deferrable": _OFF,
    "fetch_logs": Setting(choice(*FETCH_LOGS), "on_failure"),
    "follow_logs": _OFF,
    "if_already_running": Setting(choice(*IF_ALREADY_RUNNING), "fail"),
    "ignore_if_missing": _OFF,
    "missing_is_deleted": _OFF,
    "on_cause": Setting(optional(steps_by_cause), None),
    "openlineage_inject_parent_job_info": _OFF,
    "openlineage_inject_transport_info": _OFF,
    "outlives_task": _OFF,
    "output_format": Setting(choice(*OUTPUT_FORMATS), "text"),
    "private_endpoint_guard": Setting(guard, False),
    "report_only": Setting(boolean, True),
    "retry_permanent_errors": _ON,
    "start_from_trigger": _OFF,
    "states": Setting(choices(*KNOWN_STATES), sorted(map(str, SUCCESS_STATES))),
    "target_states": Setting(choices(*KNOWN_STATES), sorted(map(str, SUCCESS_STATES))),
    "wait_for_completion": _ON,
    # Local code
    "application": Setting(optional(file_path), None),
    "application_args": Setting(optional(texts), None),
    "archives": Setting(optional(file_paths), None),
    "files": Setting(optional(file_paths), None),
    "jars": Setting(optional(file_paths), None),
    "java_class": _ANY_TEXT,
    "py_files": Setting(optional(file_paths), None),
    "requirements": Setting(optional(requirement_lines), None),
    "staging_uri": Setting(optional(staging_uri), None),
    # Ids, and access to the service
    "application_id": Setting(optional_id(ocid("dataflowapplication")), None),
    "auth_type": _ANY_TEXT,
    "compartment_id": Setting(optional_id(compartment), None),
    "compartment_ids": Setting(optional_id(compartments), None),
    "config_file": _ANY_TEXT,
    "deployment_id": _ANY_TEXT,
    "display_name": _ANY_TEXT,
    "oci_conn_id": _ANY_TEXT,
    "pool_id": Setting(optional_id(ocid("dataflowpool")), None),
    "profile": _ANY_TEXT,
    "region": _ANY_TEXT,
    "run_id": Setting(optional_id(ocid("dataflowrun")), None),
    "run_ids": Setting(optional(texts), None),
    "service_endpoint": _ANY_TEXT,
    "sql_endpoint_id": Setting(optional_id(ocid("dataflowsqlendpoint")), None),
}

#: Settings of triggers. A task has checked the ids already. A row without ``cancel_on_kill`` means False.
TRIGGER_SETTINGS: dict[str, Setting] = {
    **TASK_SETTINGS,
    "application_id": _ANY_TEXT,
    "cancel_on_kill": _OFF,
    "compartment_id": _ANY_TEXT,
    "pool_id": Setting(text, ""),
    "run_id": Setting(text, ""),
    # Rows without it are from a version that does not follow successors.
    "successor_timeout": Setting(optional(seconds), DEFAULT_SUCCESSOR_TIMEOUT_SECONDS),
    "sql_endpoint_id": Setting(text, ""),
    "target_states": Setting(state_names, TASK_SETTINGS["target_states"].if_unusable),
}
