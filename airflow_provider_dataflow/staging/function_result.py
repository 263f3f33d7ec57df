"""Result of a function that a run has called: an object with its value or its exception."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError
from airflow_provider_dataflow.models.run_request import SUBMISSION
from airflow_provider_dataflow.staging import function_runner

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient
    from airflow_provider_dataflow.models.run import Run

KIND = "results"
OPTION = "--result"

#: Of an error, which is shorter, too.
_MAX_BYTES = function_runner.MAX_RESULT_BYTES + 4096
_URI = re.compile(r"oci://.+/results/[0-9a-f]{64}\.json")


@dataclass(frozen=True)
class FunctionResult:
    """Value of a function, or its exception.

    :param value: what it returned.
    :param error: ``type``, ``message`` and ``traceback`` of the exception; ``None`` if it returned.
    """

    value: Any = None
    error: dict[str, str] | None = None


def result_uri(staging_uri: ObjectUri) -> str:
    """Return the URI of a result, with a mark that each submit replaces by its own retry token.

    So no two runs have the same one, and a run's own is known from the run.
    """
    return str(staging_uri / KIND / f"{SUBMISSION}.json")


def result_uri_of(run: Run) -> str | None:
    """Return the URI of a run's result, from its arguments; ``None`` if it has none."""
    try:
        words = shlex.split(run.execute or "")
    except ValueError:
        words = []
    return _value_of_option(words) or _value_of_option(list(run.arguments or ()))


def _value_of_option(words: list[str]) -> str | None:
    # The last one: options of Spark come before those of the function.
    for option, value in reversed(list(pairwise(words))):
        if option == OPTION and _URI.fullmatch(value):
            return value
    return None


def read_result(object_storage: ObjectStorageClient, run: Run) -> FunctionResult | None:
    """Read the result of a run that has ended.

    :return: ``None`` if there is none, because the driver did not get as far.
    :raises ServiceError: it cannot be read.
    :raises DataFlowError: it is not a result.
    """
    uri = result_uri_of(run)
    if uri is None:
        return None
    try:
        content = object_storage.get(uri, max_bytes=_MAX_BYTES)
    except ServiceError as error:
        if error.status == 404:
            return None
        raise
    try:
        result = json.loads(content)
        if "error" in result:
            names = ("type", "message", "traceback")
            return FunctionResult(error={name: str(result["error"][name]) for name in names})
        return FunctionResult(function_runner.decode(result["value"]))
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise DataFlowError(f"{uri} is not the result of a function: {error!r}") from None
