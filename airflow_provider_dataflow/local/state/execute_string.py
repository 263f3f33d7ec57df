"""Parser of the ``execute`` string, the arguments of spark-submit, and placeholders in arguments."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_dataflow.local.http.messages import invalid
from airflow_provider_dataflow.local.state.buckets import parse_uri

_PLACEHOLDER = re.compile(r"\$\{([a-zA-Z0-9_]+)\}")
_IN_QUOTES = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\[^\s]", re.DOTALL)
_SPARK_SUBMIT = re.compile(r"spark\d?-submit(?:\.sh|\.cmd)?", re.IGNORECASE)
_LINE_CONTINUED = re.compile(r"\\[ \t\r]*(?:\n|\Z)")
# Options with lists of URIs, and the attribute of ParsedExecute to which they append.
_FILES = {
    "--jars": "jars",
    "--files": "files",
    "--file": "files",
    "--py-files": "py_files",
    "--archives": "archives",
}
# Options that set a Spark property.
_PROPERTIES = {
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--packages": "spark.jars.packages",
}


@dataclass(slots=True)
class ParsedExecute:
    """Parsed ``execute`` string."""

    main: str = ""
    arguments: list[str] = field(default_factory=list)
    class_name: str | None = None
    configuration: dict[str, str] = field(default_factory=dict)
    jars: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    py_files: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)

    @property
    def language(self) -> str:
        """Return the language by the suffix of the main file: JAVA for jars, also of Scala."""
        return language_of(self.main)


def language_of(uri: str) -> str:
    """Return the language by the suffix of a file: PYTHON, SQL, or JAVA for all others."""
    suffix = uri.rpartition(".")[2].lower()
    return {"py": "PYTHON", "sql": "SQL"}.get(suffix, "JAVA")


def parse_execute(text: str) -> ParsedExecute:
    """Parse ``[options] <main file> [arguments]``.

    :raises ApiError: 400, the text is invalid.
    """
    _check_characters(text)
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise invalid(f"execute cannot be parsed: {e}.") from None
    submission = ParsedExecute()
    position = 0
    while position < len(words) and words[position].startswith("-"):
        option, equals, value = words[position].partition("=")
        position += 1
        if not equals:
            if position == len(words):
                raise invalid(f"execute: the option {option} needs a value.")
            value = words[position]
            position += 1
        _apply(submission, option, value)
    if position == len(words):
        raise invalid("execute names no main application file.")
    submission.main, *submission.arguments = words[position:]
    if "://" not in submission.main:
        raise invalid(f"execute: {submission.main!r} is not the URI of a main application file.")
    if submission.language == "JAVA" and not submission.class_name:
        raise invalid("execute: a jar needs --class.")
    return submission


def _check_characters(text: str) -> None:
    """Refuse parts of a shell command and typographic characters, which would become part of an argument.

    :raises ApiError: 400, with the place of the first one.
    """
    # Quoted text is not checked, because it is meant literally.
    bare = _IN_QUOTES.sub(lambda match: "_" * len(match[0]), text)
    options = bare.partition("oci://")[0].split()
    if any(_SPARK_SUBMIT.fullmatch(word.rpartition("/")[2]) for word in options):
        raise invalid("execute: remove the word spark-submit; only its arguments belong here.")
    if match := _LINE_CONTINUED.search(bare):
        line = text.count("\n", 0, match.start()) + 1
        raise invalid(f"execute: no shell joins the lines; remove the backslash at the end of line {line}.")
    for word in re.finditer(r"[^ \t\r\n]+", bare):
        for offset, character in enumerate(word[0]):
            if _is_deceptive(word[0], offset):
                name = unicodedata.name(character, "control character").lower()
                place = word.start() + offset + 1
                raise invalid(
                    f"execute: character {place} is {name} (U+{ord(character):04X}), which does not count as "
                    "a blank, quote or hyphen; replace it with a plain one."
                )


def _is_deceptive(word: str, offset: int) -> bool:
    """Return whether a character is probably a mistake.

    That is, a blank or invisible character that does not separate words, or a typographic quote or dash where
    a plain one would have a meaning.
    """
    character, category = word[offset], unicodedata.category(word[offset])
    if category in ("Zs", "Zl", "Zp", "Cc") or character in "\u00ad\u200b\u2060\ufeff":
        return True
    if category in ("Pi", "Pf") or character in "\u201a\u201e":
        return offset == 0 or word[offset - 1] in "=,"
    if character == "-" or not _is_dash(character):
        return False
    following = word[offset + 1 : offset + 2]
    return not word[:offset].strip("-") and (following.isalpha() or _is_dash(following))


def _is_dash(character: str) -> bool:
    return character == "\u2212" or (bool(character) and unicodedata.category(character) == "Pd")


def _apply(submission: ParsedExecute, option: str, value: str) -> None:
    if option == "--class":
        submission.class_name = value
    elif option in ("--conf", "-c"):
        key, equals, setting = value.partition("=")
        if not equals or not key:
            raise invalid(f"execute: --conf needs name=value, not {value!r}.")
        submission.configuration[key] = setting
    elif option in _PROPERTIES:
        submission.configuration[_PROPERTIES[option]] = value
    elif option in _FILES:
        uris = [part.strip() for part in value.split(",") if part.strip()]
        for uri in uris:
            _check_uri(option, uri)
        getattr(submission, _FILES[option]).extend(uris)
    else:
        known = ", ".join(["--class", "--conf", *_PROPERTIES, *_FILES])
        raise invalid(f"execute: the option {option} is not supported; supported are: {known}.")


def _check_uri(option: str, uri: str) -> None:
    """Check that a URI, without its alias after ``#``, is in a bucket, as the service requires.

    :raises ApiError: 400.
    """
    try:
        parse_uri(uri.partition("#")[0])
    except ValueError as e:
        raise invalid(f"execute: {option}: {e}.") from None


def fill_in(arguments: Iterable[str], parameters: Iterable[Mapping[str, Any]], hint: str = "") -> list[str]:
    """Return the arguments with each ``${name}`` replaced by the value of the parameter.

    :param hint: text to add to the error message.
    :raises ApiError: 400, a parameter is missing.
    """
    values = {p["name"]: p["value"] for p in parameters}

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise invalid(f"There is no parameter for the placeholder {match[0]}.{hint}")
        return str(values[match[1]])

    return [_PLACEHOLDER.sub(value_of, argument) for argument in arguments]
