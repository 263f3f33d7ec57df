"""Secrets that are easy to find again: what is planted, and where it may be found in what forms."""

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
#: Whose logs are wanted at every level: all who get to see a secret, but for Airflow itself.
TALKATIVE = ("airflow_provider_dataflow", "oci", "aiohttp", "asyncio", "urllib3", "tenacity", "http")
LEVELS = " ".join(f"{name}=DEBUG" for name in TALKATIVE)


def encrypted(pem: str) -> str:
    key = serialization.load_pem_private_key(pem.encode(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASS_PHRASE.encode()),
    ).decode()


def marked_connection(connection_json: str, **extra: str) -> str:
    """A connection as JSON, with a key that needs a passphrase, and with a delegation token.

    :param extra: further fields, or others.
    """
    fields: dict[str, Any] = json.loads(connection_json)
    key = encrypted(fields["extra"]["private_key_content"])
    fields["extra"] |= {"private_key_content": key, "delegation_token": TOKEN, **extra}
    return json.dumps(fields | {"password": PASS_PHRASE})


def marks_of(connections: Iterable[str], **others: str) -> dict[str, bytes]:
    """By what they are, secrets in the forms in which they might be found.

    :param connections: as JSON; each line of their keys is a secret.
    :param others: further secrets.
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
    lines = pem.split("\n")
    return {f"line {n} of {name}": line for n, line in enumerate(lines) if line[:1] not in ("", "-")}


def found_in(text: bytes, marks: Mapping[str, bytes]) -> list[str]:
    """What of the marked secrets is in a text."""
    return [what for what, mark in marks.items() if mark in text]
