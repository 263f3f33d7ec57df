"""Local files that a line of requirements names: they may be shipped only from the DAG's bundle."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.url_passwords import without_passwords

_PLACE = re.compile(
    r"(?P<name>-f|-i|--find-links|--index-url|--extra-index-url|--default-index|--index)(?:\s+|=|(?<=-[fi]))(?P<value>\S.*)"
)
_INDEX_NAME = re.compile(r"^[A-Za-z0-9_.-]+=")
_DIRECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@\s*(?P<url>\S+)")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tgz|tbz|txz|tar\.\w+)(?:\[[^\]]*\])?$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


def checked_line(line: str, *, folder: Path, file_folder: Path, root: Path | None, argument: str) -> str:
    """Return a line of requirements, with an absolute path if it names a local folder of packages.

    :param folder: folder that the paths of packages refer to, which is that of the first file.
    :param file_folder: folder of the file with the line, which the paths of options refer to.
    :param root: folder that no path may be outside of. None: no restriction.
    :param argument: name of the argument, for error messages.
    :raises InvalidArgument: a path is outside of ``root``.
    """
    if option := _PLACE.match(line):
        value = option["value"].strip("\"'")
        if option["name"] == "--index":
            value = _INDEX_NAME.sub("", value)
        path = _local_path(_expanded(value, file_folder), file_folder)
        if path is None:
            return line
        _check(path, root, argument, line)
        for entry in _entries(path) if root is not None else ():
            _check(entry, root, argument, line)
        return f"{option['name']} {path}" if option["name"] in ("-f", "--find-links") else line
    if line.startswith("-"):
        return line
    text = _expanded(line, folder)
    if direct := _DIRECT.match(text):
        path = _local_path(direct["url"], folder)
    else:
        word = re.split(r"\s+(?:;|--|#)|\s;", text)[0].strip()
        is_path = "/" in word.partition(";")[0] or _ARCHIVE.search(word) or _SCHEME.match(word)
        path = _local_path(re.sub(r"\[[^\]]*\]$", "", word), folder) if is_path else None
    if path is not None:
        _check(path, root, argument, line)
    return line


def _local_path(value: str, folder: Path) -> Path | None:
    """Return the path of a local file or folder; None for a URL of another machine."""
    if scheme := _SCHEME.match(value):
        if not scheme["scheme"].lower().endswith("file"):
            return None
        parts = urlsplit(value)
        value = unquote(parts.path)
    return Path(os.path.normpath(folder / Path(os.path.expanduser(value))))


def _check(path: Path, root: Path | None, argument: str, line: str) -> None:
    if root is None:
        return
    shown = without_passwords(repr(line))
    if "\0" in str(path):
        raise InvalidArgument(argument, f"{shown} has a character that no path may have")
    real = os.path.realpath
    if not Path(real(path)).is_relative_to(real(root)):
        raise InvalidArgument(
            argument,
            f"{without_passwords(str(path))} (of {shown}) is outside of the DAG's bundle ({root}), "
            "so it is not shipped",
        )


def _entries(folder: Path) -> Iterator[Path]:
    """Yield the packages of a folder, of which each may be a symbolic link."""
    try:
        yield from (path for path in folder.iterdir() if _ARCHIVE.search(path.name))
    except OSError:
        # A missing folder is uv's error.
        return


def _expanded(text: str, folder: Path) -> str:
    """Return the text with the variables that uv replaces."""
    variables = {**os.environ, "PROJECT_ROOT": str(folder)}
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)
