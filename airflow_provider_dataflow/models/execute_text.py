"""Coercion of ``execute``: refuses text that only a shell or a word processor understands."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import redacted_repr
from airflow_provider_dataflow.models.coercion import text
from airflow_provider_dataflow.models.spark_submit import local_paths

_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\[^\s]", re.DOTALL)
_CONTINUATION = re.compile(r"\\[^\S\n]*(?:\n|\Z)")
# The word spark-submit, also with a path or after a shell prompt. Searched only before the main file.
_SPARK_SUBMIT = re.compile(r"(?:\A|\s)(?:[^\s=]*/)?spark\d?-submit(?:\.sh|\.cmd)?(?=\s|\Z)", re.IGNORECASE)
# Blanks that separate no words, and invisible characters.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\xa0\xad\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]"
)
_SMART_QUOTE = re.compile("(?:(?<=[\\s=,])|\\A)[\u2018-\u201f\u00ab\u00bb\u2039\u203a]")
_SMART_DASH = re.compile(
    "(?:(?<=\\s)|\\A)-?[\u2010-\u2015\u2212\uff0d](?=[^\\W\\d_]|[-\u2010-\u2015\u2212\uff0d])"
)


def execute_text(value: Any, path: str) -> str:
    """Coerce to text, and check that the service splits it into the words that were meant.

    :raises InvalidArgument: the text starts with spark-submit, names a local file, or has a line
        continuation, an invisible character, a smart quote or a smart dash outside of quotes.
    """
    result = text(value, path)
    # Quoted text is meant literally. Its replacement has the same length, so that positions stay the same.
    unquoted = _QUOTED.sub(lambda match: "x" * len(match[0]), result)
    if match := _SPARK_SUBMIT.search(unquoted.partition("oci://")[0]):
        raise InvalidArgument(
            path, "starts with spark-submit: remove that word, and begin with the options or the main file"
        )
    if match := _CONTINUATION.search(unquoted):
        line = result.count("\n", 0, match.start()) + 1
        raise InvalidArgument(
            path, f"line {line} ends with a backslash, which only a shell understands: remove the backslash"
        )
    for pattern, remedy in (
        (_INVISIBLE, "replace it with a plain blank, or remove it"),
        (_SMART_QUOTE, "replace it with a straight quote (' or \")"),
        (_SMART_DASH, "replace it with a plain hyphen (-)"),
    ):
        if match := pattern.search(unquoted):
            raise InvalidArgument(
                path,
                f"{_describe_character(result, match.end() - 1)} is not allowed outside quotes: {remedy}",
            )
    for option, word in local_paths(result):
        argument = "application" if not option else option.strip("-").replace("-", "_")
        raise InvalidArgument(
            path,
            f"{redacted_repr(word)} is a local file, which the service cannot read: give it to "
            f"InvokeRunOperator as {argument}, which uploads it, or give the URI of an object "
            "(oci://bucket@namespace/path)",
        )
    return result


def _describe_character(whole: str, position: int) -> str:
    """Return the name and the position of a character, without the text around it, which may be secret."""
    line = whole.count("\n", 0, position) + 1
    column = position - whole.rfind("\n", 0, position)
    character = whole[position]
    name = unicodedata.name(character, "control character").lower()
    return f"the character {name} (U+{ord(character):04X}) in line {line}, column {column},"
