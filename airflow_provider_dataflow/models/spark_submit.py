"""Command lines of spark-submit, as the API's ``execute`` takes them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Options whose value is a list of files.
FILE_OPTIONS = ("--py-files", "--files", "--file", "--jars", "--archives")
#: Options without a value.
_SWITCHES = ("--verbose", "-v", "--supervise")
_CONF_OPTIONS = ("--conf", "-c")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_LOCAL_PATH = re.compile(r"[^:{}$]+\.(?:py|jar|sql|zip|egg|whl|gz|tgz|json|txt|csv)", re.IGNORECASE)


def has_scheme(path: str) -> bool:
    """Return whether a path is a URI, which is passed on as it is, and no local path."""
    return _SCHEME.match(path) is not None


def split(command_line: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options with their values, and the main file with the arguments of the application.

    Both are empty if the text cannot be split.
    """
    try:
        words = shlex.split(command_line)
    except ValueError:
        return [], []
    options = []
    position = 0
    while position < len(words) and words[position].startswith("-"):
        option, has_value, value = words[position].partition("=")
        position += 1
        if not has_value and option not in _SWITCHES:
            value = words[position] if position < len(words) else ""
            position += 1
        options.append((option, value))
    return options, words[position:]


def local_paths(command_line: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a command line that look like local files, with their option.

    The option is empty for the main file. Arguments of the application are not searched.
    """
    options, application = split(command_line)
    for option, value in options:
        if option in FILE_OPTIONS:
            yield from ((option, part) for part in value.split(",") if _LOCAL_PATH.fullmatch(part.strip()))
    if application and _LOCAL_PATH.fullmatch(application[0]):
        yield "", application[0]


def properties_in(command_line: str) -> dict[str, str]:
    """Return the Spark properties that a command line sets; none if it cannot be split."""
    settings = (value.partition("=") for option, value in split(command_line)[0] if option in _CONF_OPTIONS)
    return {name: value for name, _, value in settings}


def with_properties(command_line: str, properties: Mapping[str, str]) -> str:
    """Return the command line with further Spark properties, which do not override its own."""
    words = [word for name, value in properties.items() for word in ("--conf", f"{name}={value}")]
    # Of two options for the same property, spark-submit takes the last one.
    return f"{shlex.join(words)} {command_line}" if words else command_line


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
