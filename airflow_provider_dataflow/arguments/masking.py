"""Registration of the secrets in a request with Airflow's secrets masker.

The masker hides a value in a dict whose key sounds like a secret. It misses secrets in a list of
``{"name": ..., "value": ...}``, in a command line and in text, and a secret that a driver prints.
"""

from __future__ import annotations

import json as json_module
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_dataflow.compat import mask_secret, min_length_of_masked, sensitive_names
from airflow_provider_dataflow.models.run import MAY_HOLD_SECRETS
from airflow_provider_dataflow.redaction import HIDDEN, Redactor, structure_in

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.run import Run

#: Digits that a number needs to count as a secret. Shorter numbers are sizes and counts.
MIN_DIGITS = 8

#: Values that are never masked, because the masker hides a value wherever it occurs in the task's log. They
#: say how a secret is used, or occur in every log.
ORDINARY_WORDS = frozenset(
    [
        *("true", "false", "none", "null", "empty", "default", "enabled", "disabled", "required", "optional"),
        *("bearer", "basic", "digest", "oauth", "oauth2", "kerberos", "simple", "plain", "vault", "config"),
        *("delegation", "api_key", "instance_principal", "resource_principal", "security_token", "session"),
        *("token", "tokens", "secret", "secrets", "password", "passwords", "credential", "credentials"),
        *("access", "private", "public", "internal", "external", "local", "localhost", "production"),
        *("staging", "development", "airflow", "spark", "oracle", "python", "scala", "driver", "executor"),
        *("application", "debug", "error", "warning", "failed", "accepted", "in_progress", "succeeded"),
        *("canceled", "stopped"),
    ]
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ][\d:.+Z-]*)?")
_OCID = re.compile(r"ocid1\.[\w.-]+")
_PLACEHOLDER = re.compile(r"\$\{\w+\}")
_TEMPLATE_MARKS = ("{{", "{%")


def mask_secrets(arguments: Mapping[str, Any], json: Any = None) -> set[str]:
    """Register the secrets in a request with Airflow's masker.

    :param arguments: arguments of an operator or fields of a run, by their names.
    :param json: raw body of the request.
    :return: the secrets.
    """
    secrets = secrets_among({**arguments, "json": json} if json is not None else arguments)
    for secret in sorted(secrets):
        mask_secret(secret)
    return secrets


def mask_secrets_of_run(run: Run) -> set[str]:
    """Register the secrets in a run's fields with Airflow's masker. The driver may print them.

    The fields include those that the run has from its application. A sensor or trigger has no other source.

    :return: the secrets. Also hide them with :func:`without_secrets`: Airflow's executors may copy a task's
        log to their own output, which the task's masker does not reach.
    """
    return mask_secrets({name: getattr(run, name) for name in MAY_HOLD_SECRETS})


def details_without_secrets(run: Run, secrets: Set[str] = frozenset()) -> str | None:
    """Return ``lifecycle_details`` of a run without its secrets. The service may quote the run's arguments.

    :param run: from GetRun. A run from a list has no arguments, so the secrets in its details are unknown.
    :param secrets: hidden in addition to those in the run's own fields.
    """
    if not run.lifecycle_details:
        return None
    return without_secrets(run.lifecycle_details, secrets | mask_secrets_of_run(run))


def secrets_among(arguments: Mapping[str, Any]) -> set[str]:
    """Return the secrets in the arguments, in all forms in which a log may show them."""
    redactor = Redactor(sensitive_names())
    for name, value in arguments.items():
        _find_secrets(redactor, name, value)
    shortest = min_length_of_masked()
    return {form for secret in redactor.hidden for form in _forms(secret) if is_maskable(form, shortest)}


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text with the secrets replaced by ``***``."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def is_maskable(value: str, shortest: int = 5) -> bool:
    """Return whether a value can be masked without hiding ordinary text of a log.

    False for numbers of fewer than 8 digits, dates, ordinary words, OCIDs, ``${...}`` placeholders and
    templates.

    :param shortest: length from which Airflow's masker hides a value.
    """
    if len(value) < shortest or value.strip().lower() in ORDINARY_WORDS:
        return False
    if any(pattern.fullmatch(value) for pattern in (_DATE, _OCID, _PLACEHOLDER)):
        return False
    if any(mark in value for mark in _TEMPLATE_MARKS):
        return False
    has_letters = any(character.isalpha() for character in value)
    return (
        has_letters or sum(character.isdigit() for character in value) >= MIN_DIGITS or not _is_number(value)
    )


def _is_number(value: str) -> bool:
    try:
        float(value.replace(",", "").replace("_", ""))
    except ValueError:
        return False
    return True


def _find_secrets(redactor: Redactor, name: str, value: Any) -> None:
    """Let the redactor collect the secrets in an argument, also in the text that a template renders to."""
    if isinstance(value, str) and (structure := structure_in(value)) is not None:
        _find_secrets(redactor, name, structure)
    if name == "json" and isinstance(value, Mapping):
        for key, item in value.items():
            _find_secrets(redactor, str(key), item)
    elif name in ("arguments", "application_args") and isinstance(value, (list, tuple)):
        redactor.arguments(str(word) for word in value)
    elif name in ("arguments", "application_args", "execute") and isinstance(value, str):
        redactor.command_line(value)
    elif value is not None:
        redactor.value(name, value)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which output may show a secret: decoded, in JSON, in a repr, and each line."""
    unescaped = set()
    with suppress(ValueError):
        unescaped.add(json_module.loads(f'"{secret}"'))
    for text in {secret, unquote(secret), *unescaped}:
        yield text
        yield json_module.dumps(text)[1:-1]
        yield json_module.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        # Output is logged line by line, so the masker sees the lines of a secret one at a time.
        yield from (line.strip() for line in text.splitlines() if len(line.strip()) < len(text))
