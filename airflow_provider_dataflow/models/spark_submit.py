"""Command lines of spark-submit, as the API's ``execute`` takes them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Options whose value is a list of files.
FILE_OPTIONS = ("--py-files", "--files", "--file", "--jars", "--archives")
#: Options without a value.
_SWITCHES = ("--verbose", "-v", "--supervise")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LOCAL_PATH = re.compile(r"[^:{}$]+\.(?:py|jar|sql|zip|egg|whl|gz|tgz|json|txt|csv)", re.IGNORECASE)


def has_scheme(path: str) -> bool:
    """Return whether a path is a URI, which is passed on as it is, and no local path."""
    return _SCHEME.match(path) is not None


def local_paths(command_line: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a command line that look like local files, with their option.

    The option is empty for the main file. Arguments of the application are not searched.
    """
    try:
        words = iter(shlex.split(command_line))
    except ValueError:
        return
    for word in words:
        option, has_value, value = word.partition("=")
        if not word.startswith("-"):
            if _LOCAL_PATH.fullmatch(word):
                yield "", word
            return
        if not has_value and option not in _SWITCHES:
            value = next(words, "")
        if option in FILE_OPTIONS:
            yield from ((option, part) for part in value.split(",") if _LOCAL_PATH.fullmatch(part.strip()))


def command_line(
    application: str,
    *,
    java_class: str | None = None,
    configuration: Mapping[str, str] | None = None,
    py_files: Sequence[str] = (),
    files: Sequence[str] = (),
    jars: Sequence[str] = (),
    application_args: Iterable[str] = (),
) -> str:
    """Return the value of ``execute``: options, the main file and its arguments, quoted where needed.

    :param application: URI of the main file.
    :param configuration: Spark properties, which become ``--conf``: the API ignores its own field beside
        ``execute``.
    """
    words = ["--class", java_class] if java_class else []
    for option, uris in (("--py-files", py_files), ("--files", files), ("--jars", jars)):
        if uris:
            words += [option, ",".join(uris)]
    for name, value in (configuration or {}).items():
        words += ["--conf", f"{name}={value}"]
    return shlex.join([*words, application, *application_args])
