"""Types of command line arguments: functions that parse a string or raise ``argparse.ArgumentTypeError``."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from airflow_provider_dataflow.local.engines.json_fields import MAX_DURATION_SECONDS, shown
from airflow_provider_dataflow.local.http.error_messages import did_you_mean
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE, ObjectUri, parse_uri
from airflow_provider_dataflow.local.state.ocids import is_ocid

MAX_PORT = 65535
MAX_COUNT = 10**9
DURATION_EXAMPLES = "90, 90s, 15m, 1h30m or 2d"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+(?:\.[0-9]+)?)s?)?")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PROPERTY_PATTERN = re.compile(r"[^\s=,]+")


def whole_number(minimum: int, maximum: int = MAX_COUNT) -> Callable[[str], int]:
    """Return the type of whole numbers in a range."""

    def parse(text: str) -> int:
        if _WHOLE_NUMBER.fullmatch(text.strip()) and minimum <= int(text) <= maximum:
            return int(text)
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number from {minimum} to {maximum}")

    return parse


count = whole_number(1)
any_port = whole_number(0, MAX_PORT)
port = whole_number(1, MAX_PORT)


def seconds(text: str) -> float:
    """Return the seconds of a duration such as ``90``, ``90s``, ``15m``, ``1h30m`` or ``2d``.

    :raises ValueError: it is not a duration, or longer than ten years
    """
    match = _DURATION.fullmatch(text)
    if match is not None and text:
        days, hours, minutes, rest = (float(group or 0) for group in match.groups())
        number = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        number = float(text)  # .5, 1e3
    if math.isnan(number) or not 0 <= number <= MAX_DURATION_SECONDS:
        raise ValueError(text)
    return number


def duration(text: str) -> float:
    """Return the seconds of a duration."""
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not a duration such as {DURATION_EXAMPLES}, of at most ten years"
        ) from None


def signed_duration(text: str) -> float:
    """Return the seconds of a duration that may be negative."""
    return -duration(text[1:]) if text.startswith("-") else duration(text)


def duration_or_next(text: str) -> float | None:
    """Return the seconds of a duration, or ``None`` for ``next``."""
    if text == "next":
        return None
    try:
        return seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is neither a duration such as {DURATION_EXAMPLES}, of at most ten years, nor"
            f" next.{did_you_mean(text, ['next'])}"
        ) from None


def word(text: str) -> str:
    """Return a text that is not blank."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{shown(text)} is empty")
    return text


def ocid(text: str) -> str:
    """Return an OCID."""
    if not is_ocid(text):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not an OCID, which has the form ocid1.TYPE.REALM.[REGION].ID"
        )
    return text


def resource(text: str) -> str:
    """Return an OCID, or the URI of a bucket or an object."""
    if not text.startswith("oci://"):
        return ocid(text)
    try:
        parse_uri(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{shown(text)}: {e}") from None
    return text


def tag(text: str) -> tuple[str, str]:
    """Return the key of a freeform tag and the pattern for its value."""
    key, equals, pattern = text.partition("=")
    if not key.strip() or not equals:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not of the form KEY=PATTERN, as in team=weather")
    return key, pattern


def folder(text: str) -> Path:
    """Return the absolute path of a folder, which need not exist."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the path of a folder")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not the path of a folder: {e}") from None


def bucket(text: str) -> ObjectUri:
    """Return the URI of a bucket from ``NAME`` or ``NAME@NAMESPACE``."""
    name = text.removeprefix("oci://").removesuffix("/")
    try:
        uri = parse_uri(f"oci://{name if '@' in name else f'{name}@{DEFAULT_NAMESPACE}'}")
        if uri.key:
            raise ValueError(text)
        return uri
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not of the form NAME or NAME@NAMESPACE. Both consist of letters, digits, "
            "underscores, hyphens and dots, and do not start with a dot"
        ) from None


def _comma_separated(pattern: re.Pattern[str], expected: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(",") if word.strip())
        for word in words:
            if not pattern.fullmatch(word):
                raise argparse.ArgumentTypeError(f"{shown(word)} is not {expected}")
        return words

    return parse


hosts = _comma_separated(_HOST, "the name or address of a host, without scheme, port and path")
properties = _comma_separated(_PROPERTY_PATTERN, "a pattern for the name of a Spark property")
