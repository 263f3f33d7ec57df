"""Other settings of a run for the submit that follows a failure: the argument ``on_cause``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.causes import OF_RUNS
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_given, parse_collection, redacted_repr
from airflow_provider_dataflow.models.coercion import mapping, with_text_keys
from airflow_provider_dataflow.models.run_request import RunRequest

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.run import Run

#: Steps by the key of their cause. A step has values of the request, by argument, as the API takes them.
Steps = Mapping[str, Sequence[Mapping[str, Any]]]

#: Arguments of the request that a step may set: those that give a run more, or other, machines or more time.
#: None of them can hold a secret, so that they can be stored and logged.
SETTABLE = (
    "driver_shape",
    "driver_shape_config",
    "executor_shape",
    "executor_shape_config",
    "max_duration_in_minutes",
    "num_executors",
    "pool_id",
)
#: Limit of the steps for one cause.
MAX_STEPS = 10


def steps_by_cause(value: Any, path: str) -> dict[str, list[dict[str, Any]]]:
    """Read ``on_cause``: by the key of a cause, settings of the next run, or a list of them, in order.

    :raises InvalidArgument: a cause is unknown, or a setting cannot be changed or has an unusable value.
    """
    result = {}
    for cause, given in with_text_keys(mapping(value, path), path).items():
        if cause not in OF_RUNS:
            raise InvalidArgument(
                f"{path}.{cause}", f"no cause of a failed run; expected one of {', '.join(OF_RUNS)}"
            )
        if is_given(given):
            result[cause] = _steps(given, f"{path}.{cause}")
    return result


def _steps(value: Any, path: str) -> list[dict[str, Any]]:
    raw = parse_collection(value)
    if isinstance(raw, Mapping):
        return [_step(raw, path)]
    if isinstance(raw, (str, bytes)) or not isinstance(raw, Sequence):
        raise InvalidArgument(path, f"expected a dict, or a list of dicts, got {redacted_repr(value)}")
    if not 1 <= len(raw) <= MAX_STEPS:
        raise InvalidArgument(path, f"expected 1 to {MAX_STEPS} steps, got {len(raw)}")
    return [_step(item, f"{path}[{index}]") for index, item in enumerate(raw)]


def _step(value: Any, path: str) -> dict[str, Any]:
    step = {}
    for name, item in with_text_keys(mapping(value, path), path).items():
        if name not in SETTABLE:
            raise InvalidArgument(
                f"{path}.{name}", f"cannot be changed by a retry; expected one of {', '.join(SETTABLE)}"
            )
        if is_given(item):
            step[name] = RunRequest.coerce(name, item, f"{path}.{name}")
    if not step:
        raise InvalidArgument(path, f"empty; expected one of {', '.join(SETTABLE)}")
    return step


def has_step_left(steps: Steps | None, causes: Sequence[str], cause: str | None) -> bool:
    """Return whether the run after a failure gets other settings.

    :param causes: of the failures so far for which the settings were changed.
    :param cause: of the last failure.
    """
    return cause is not None and list(causes).count(cause) < len((steps or {}).get(cause, ()))


def settings_for(steps: Steps, causes: Sequence[str], request: RunRequest, failed: Run) -> dict[str, Any]:
    """Return the settings that override the request of the next run, by argument.

    A step that names one member of a shape's configuration keeps the others, which are the author's or, if
    the author gave none, those of the failed run.

    :param causes: of the failures, the last one included, oldest first.
    :param request: of the author.
    """
    settings: dict[str, Any] = {}
    for number, cause in enumerate(causes):
        of_cause = steps.get(cause) or ({},)
        # There may be fewer than before if the author has edited the DAG.
        step = of_cause[min(list(causes[:number]).count(cause), len(of_cause) - 1)]
        for name, value in step.items():
            if isinstance(value, Mapping):
                base = settings.get(name) or getattr(request, name) or getattr(failed, name) or {}
                value = {**{key: item for key, item in base.items() if item is not None}, **value}
            settings[name] = value
    return settings


def with_settings(request: RunRequest, settings: Mapping[str, Any]) -> RunRequest:
    """Return the request with other settings."""
    return replace(request, **settings) if settings else request
