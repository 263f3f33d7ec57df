"""Secrets among the values of an operator, told to Airflow before it shows or stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.compat import mask_secret, sensitive_names
from airflow_provider_dataflow.redaction import secrets_in_body

#: Under the name of a secret, but none: masked, they would be gone from all of the log.
SETTINGS = frozenset({"true", "false", "none", "null"})


def mask_secrets(arguments: Mapping[str, Any], json: Any) -> None:
    """Mask what the names in a request call a secret, and what looks like one.

    Airflow itself sees the names in a dict, but not in a list of ``{"name": ..., "value": ...}``, not within
    a command line, and not where the value turns up elsewhere.

    :param arguments: of the operator, by their names.
    :param json: the request's raw fields.
    """
    names = sensitive_names()
    for body in (arguments, json):
        if not isinstance(body, Mapping):
            continue
        for secret in secrets_in_body(_readable(body), names):
            if secret and secret.lower() not in SETTINGS and not secret.isdecimal():
                mask_secret(secret)


def _readable(body: Mapping[str, Any]) -> dict[str, Any]:
    """Command lines as such; what is none where one should be, the request refuses later."""
    readable = {name: value for name, value in body.items() if name not in ("arguments", "execute")}
    if isinstance(words := body.get("arguments"), (list, tuple)):
        readable["arguments"] = [str(word) for word in words]
    if isinstance(line := body.get("execute"), str):
        readable["execute"] = line
    return readable
