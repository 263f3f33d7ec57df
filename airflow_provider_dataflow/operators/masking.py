"""Secrets among the values of an operator, told to Airflow before it shows or stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.compat import mask_secret, sensitive_names
from airflow_provider_dataflow.redaction import Redactor


def mask_parameters(parameters: Any, json: Any) -> None:
    """Mask what the names of parameters call a secret.

    Airflow itself sees the names in a dict, but not in a list of ``{"name": ..., "value": ...}``, and not
    where the value turns up elsewhere.

    :param parameters: of a request, in either of their forms.
    :param json: the request's raw fields, which may have them, too.
    """
    redactor = Redactor(sensitive_names())
    raw = json.get("parameters") if isinstance(json, Mapping) else None
    for form in (parameters, raw):
        for name, value in _pairs(form):
            if isinstance(name, str) and isinstance(value, str) and value and redactor.is_secret(name):
                mask_secret(value, name)


def _pairs(parameters: Any) -> list[tuple[Any, Any]]:
    if isinstance(parameters, Mapping):
        return list(parameters.items())
    if isinstance(parameters, (list, tuple)):
        return [(item.get("name"), item.get("value")) for item in parameters if isinstance(item, Mapping)]
    return []
