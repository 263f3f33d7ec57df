"""Secrets with a unique marker, and the search for them in files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization

PASS_PHRASE = "MARKED-passphrase-5f0c"
PARAMETER = "MARKED-parameter-91ab"
SETTING = "MARKED-setting-c2e4"
ARGUMENT = "MARKED-argument-08f7"
TOKEN = "MARKED-token-77de"
#: Airflow variables of the DAGs.
VARIABLES = {"marked": PARAMETER, "marked_setting": SETTING, "marked_argument": ARGUMENT}
#: Loggers of all packages that handle secrets, except Airflow. Tests log them at level DEBUG.
LOGGERS = ("airflow_provider_dataflow", "oci", "aiohttp", "asyncio", "urllib3", "tenacity", "http")
LEVELS = " ".join(f"{name}=DEBUG" for name in LOGGERS)


def encrypted(pem: str) -> str:
    """Return a private key encrypted with the marked passphrase."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASS_PHRASE.encode()),
    ).decode()


def marked_connection(connection_json: str, **extra: str) -> str:
    """Return a connection as JSON, with an encrypted key and a delegation token.

    :param extra: fields to add or to replace.
    """
    fields: dict[str, Any] = json.loads(connection_json)
    key = encrypted(fields["extra"]["private_key_content"])
    fields["extra"] |= {"private_key_content": key, "delegation_token": TOKEN, **extra}
    return json.dumps(fields | {"password": PASS_PHRASE})


def marks_of(connections: Iterable[str], **others: str) -> dict[str, bytes]:
    """Return the secrets by description, plain and in base64.

    :param connections: connections as JSON. Each line of their keys is a secret.
    :param others: further secrets by description.
    """
    marks = {
        "passphrase": PASS_PHRASE,
        "parameter": PARAMETER,
        "setting": SETTING,
        "argument": ARGUMENT,
        "token": TOKEN,
        **others,
    }
    for number, text in enumerate(connections):
        marks |= lines_of(json.loads(text)["extra"]["private_key_content"], f"key {number}")
    found = {name: mark.encode() for name, mark in marks.items()}
    found |= {f"{name} in base64": base64.b64encode(mark)[:-4] for name, mark in found.items()}
    return found


def lines_of(pem: str, name: str) -> dict[str, str]:
    """Return the lines of a key, without its header and footer, by description."""
    lines = pem.split("\n")
    return {f"line {n} of {name}": line for n, line in enumerate(lines) if line[:1] not in ("", "-")}


def found_in(text: bytes, marks: Mapping[str, bytes]) -> list[str]:
    """Return the descriptions of the secrets in a text."""
    return [description for description, mark in marks.items() if mark in text]
