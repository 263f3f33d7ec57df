"""Redaction of secrets, found by the names of values and by forms such as tokens and private keys."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

HIDDEN = "***"

#: Parts of names whose values are secrets: those of Airflow's masker, and others that Spark and OCI's
#: connectors use.
SENSITIVE_NAMES = (
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "auth_header",
    "authorization",
    "bearer",
    "connection_string",
    "credential",
    "dsn",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "pemfilecontent",
    "private_key",
    "proxy",
    "proxies",
    "pwd",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
)

#: Names in which any value may be a secret: OpenLineage's custom headers, which often carry a key.
_CUSTOM_HEADER = r"spark_openlineage_transport_(?:transports_\w+_)?headers_.*"

#: Value of an ``Authorization`` header, whose token may be short in a field of a known name.
_AUTHORIZATION = r"(?i:bearer|basic)\s+(\S+)"

# Secrets with a form of their own. The group is hidden. The atomic groups "(?>" skip to the first place where
# a token or a JDBC URL can start, and are tried once per word: trying each place takes seconds on 64 KiB.
_SECRET_FORMS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)(?:-----END|\Z)",
    r"(?<![\w-])(?>[\w-]*?\b(?=eyJ))(eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*)",  # a JSON web token
    r"(?i:\b(?:bearer|basic)\s+)([\w.~+/=-]{16,})",
    r"://[^/\s:@]*:([^@/\s]+)@",  # user:password@host
    r"(?<![^@\s])(?>[^@\s]*?\bthin:[^/\s:@]+/)([^@\s]+)@",  # the same in a JDBC URL of Oracle's
    r"/p/([\w-]{16,})/n/",  # a pre-authenticated request of Object Storage
)
# ``name=value``, ``"name": "value"`` and ``["name"] = "value"`` within a text, also with escaped quotes.
_NAME = r"""(?<![\w.-])([\w.-]+)(?:\\*["']?\s*(?:\]\s*)?=\s*|\\*["']\s*:\s*|:\s+)"""
# ``option("name", "value")`` and the like in code.
_NAME_OF_SETTER = (
    r"""\b(?:option|config|set\w*|put|putenv|property)\(\s*\\*["']([\w.-]+)\\*["']\s*,\s*(?=\\*["'])"""
)
# ``--name value`` within a text. The value is quoted, or ends at the next space.
_NAME_OF_OPTION = r"""(?<![^\s"'(=\[,])--?([A-Za-z][\w.-]*)\s+(?!-)"""
_VALUE_OF_OPTION = (
    r"""(?P<placeholder>\$\{\w+\})|(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\])*(?:(?P=quote)|\Z)|"""
    r"""(?:\\.|[^\s"'\\])+"""
)
_VALUE = (
    r"""(?P<placeholder>\$\{\w+\})|(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\])*(?:(?P=quote)|\Z)|"""
    r"""\\+(?P<escaped>["']).*?(?:(?P=escaped)|\Z)|[^\s,;&"'}]+"""
)
# A whole word ``name=value`` of a command line, whose value may contain any character.
_ASSIGNMENT = r"""(["']?)([\w.-]+)=(.+)"""
_OPTION = r"--?[A-Za-z][\w.-]*"
_PLACEHOLDER = r"\$\{\w+\}"
# Words of a command line with their quotes, and the space between them. An unclosed quote extends to the end.
_WORD = r"""(?:\\(?:.|\Z)|[^\s"'\\]|"(?:\\.|[^"\\])*(?:"|\Z)|'[^']*(?:'|\Z))+|\s+"""


@cache
def _form(pattern: str) -> re.Pattern[str]:
    """Compile a pattern on first use, so that parsing a DAG compiles none."""
    return re.compile(pattern, re.DOTALL)


def structure_in(text: str) -> Any:
    """Return the list, tuple or dict that a text spells as JSON or as Python, or None."""
    if text.lstrip()[:1] in ("{", "[", "("):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return parse(text.strip())
    return None


class Redactor:
    """Hides secrets, and collects them.

    :param names: parts of names whose values are secrets, in snake_case.
    :ivar hidden: secrets that were hidden so far.
    """

    def __init__(self, names: Iterable[str] = SENSITIVE_NAMES) -> None:
        self._names = tuple(names)
        self.hidden: set[str] = set()

    def is_secret(self, name: str) -> bool:
        """Return whether values of this name are secrets: as Airflow's masker, and also in camelCase."""
        plain = re.sub(r"\W+", "_", name.strip().lower())
        split = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).lower())
        if any(part in plain or part in split for part in self._names):
            return True
        return plain.startswith("spark_openlineage_") and _form(_CUSTOM_HEADER).fullmatch(plain) is not None

    def text(self, value: str) -> str:
        """Return free text with the secrets hidden that their names or forms give away."""
        for form in _SECRET_FORMS:
            value = _form(form).sub(self._hide_group, value)
        shown, end = [], 0
        names = [(name, _VALUE) for name in _form(_NAME).finditer(value)]
        names += [(name, _VALUE) for name in _form(_NAME_OF_SETTER).finditer(value)]
        names += [(name, _VALUE_OF_OPTION) for name in _form(_NAME_OF_OPTION).finditer(value)]
        for name, form_of_value in sorted(names, key=lambda pair: pair[0].start()):
            if name.start() < end or not self.is_secret(name[1]):
                continue
            found = _form(form_of_value).match(value, name.end())
            if found and not found["placeholder"]:
                quote = found["quote"] or ""
                self.hidden.add(found[0].strip("\\\"'"))
                shown.append(f"{value[end : name.end()]}{quote}{HIDDEN}{quote}")
                end = found.end()
        return "".join((*shown, value[end:]))

    def value(self, name: str, value: Any) -> Any:
        """Return a value as plain JSON, redacted by its name. Redact the values of nested dicts and lists."""
        if value is None or isinstance(value, bool):
            return value
        if self.is_secret(name):
            self._hide(value)
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, (list, tuple)):
            return [self.value(name, item) for item in value]
        return value if isinstance(value, (int, float)) else self.text(str(value))

    def arguments(self, words: Iterable[str]) -> list[str]:
        """Redact the words of a command line. The word after an option such as ``--password`` is a secret."""
        result: list[str] = []
        after_secret_option = False
        for word in words:
            if (
                after_secret_option
                and not _form(_OPTION).fullmatch(word)
                and not _form(_PLACEHOLDER).fullmatch(word)
            ):
                self._hide_word(word)
                result.append(HIDDEN)
            else:
                result.append(self._word(word))
            after_secret_option = bool(_form(_OPTION).fullmatch(word)) and self.is_secret(word)
        return result

    def _word(self, word: str) -> str:
        match = _form(_ASSIGNMENT).fullmatch(word)
        if match is None or not self.is_secret(match[2]) or _form(_PLACEHOLDER).fullmatch(match[3]):
            return self.text(word)
        self._hide_word(match[3])
        return f"{match[1]}{match[2]}={HIDDEN}{match[1]}"

    def command_line(self, line: str) -> str:
        """Redact a command line given as one text. Other words keep their quotes and spaces."""
        parts = _form(_WORD).findall(line)
        words = iter(self.arguments(part for part in parts if not part.isspace()))
        return "".join(part if part.isspace() else next(words) for part in parts)

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        result = {str(key): self.value(str(key), item) for key, item in value.items()}
        if isinstance(name := value.get("name"), str) and "value" in value:  # name and value
            result["value"] = self.value(name, value["value"])
        return result

    def _hide_word(self, word: str) -> None:
        """Collect a secret word of a command line, as it is written and as a shell reads it."""
        self._hide(word.strip("\"'"))
        with suppress(ValueError):
            self.hidden.update(shlex.split(word)[:1])

    def _hide(self, value: Any) -> None:
        """Collect a secret, and the values of a dict or list, also of one that is given as text."""
        if isinstance(value, str):
            self.hidden.add(value)
            # Output may show the token alone.
            self.hidden.update(_form(_AUTHORIZATION).findall(value))
            self.text(value)
            self._hide(structure_in(value))
        elif isinstance(value, Mapping):
            self._hide(list(value.values()))
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._hide(item)
        elif value is not None and not isinstance(value, bool):
            self.hidden.add(str(value))

    def _hide_group(self, match: re.Match[str]) -> str:
        self.hidden.add(match[1].strip())
        start, end = match.start(1) - match.start(), match.end(1) - match.start()
        return f"{match[0][:start]}{HIDDEN}{match[0][end:]}"


#: Redaction of the fields that hold a command line, by API name. :meth:`Redactor.value` redacts the others.
COMMAND_LINE_FIELDS: dict[str, Callable[[Redactor, Any], Any]] = {
    "arguments": Redactor.arguments,
    "execute": Redactor.command_line,
}


def redacted_body(body: Mapping[str, Any], names: Iterable[str] = SENSITIVE_NAMES) -> dict[str, Any]:
    """Return the body of a request with its secrets hidden, for logs."""
    redactor = Redactor(names)
    return {
        key: COMMAND_LINE_FIELDS[key](redactor, value)
        if key in COMMAND_LINE_FIELDS
        else redactor.value(key, value)
        for key, value in body.items()
    }
