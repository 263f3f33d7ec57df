"""Requirements of a Spark application, as its author writes them: a list, or a requirements file."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.local_requirements import checked_line
from airflow_provider_dataflow.staging.url_passwords import without_passwords

#: Largest requirements file, so that a wrong path does not fill the memory.
MAX_FILE_BYTES = 1024 * 1024
MAX_INCLUDED_FILES = 20

_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)(?:\s+|=|(?<=-[rc]))(?P<file>\S.*)")
_INDEX_OPTION = re.compile(
    r"(?:-i|-f|--index-url|--extra-index-url|--find-links|--no-index|--default-index|--index)\b.*"
)
_LOCAL = re.compile(r"(?:^|@\s*)(?:file:|\.{1,2}/|/|~)|\.whl\b|\.tar\.gz\b|\.zip\b")
_OTHER_FILE = re.compile(r"-(?:r|c|e)\b|--(?:requirement|constraint|editable)\b")


@dataclass(frozen=True)
class Requirements:
    """Requirements in the format of pip.

    :param lines: those of all files, comments and blank lines left out.
    :param file: the requirements file; ``None`` for a list.
    :param folder: folder that relative paths in a list refer to. Default: none is given.
    """

    lines: tuple[str, ...]
    file: Path | None = None
    folder: Path | None = None

    @classmethod
    def of_list(
        cls,
        items: Iterable[str],
        argument: str = "requirements",
        *,
        folder: Path | None = None,
        root: Path | None = None,
    ) -> Requirements:
        """Return the requirements of a list.

        :param folder: folder that relative paths refer to. Default: the current one.
        :param root: folder that no local path may be outside of.
        :raises InvalidArgument: an item is no requirement, or a path is outside of ``root``.
        """
        base = folder or Path.cwd()
        lines = []
        for index, item in enumerate(items):
            line = item.strip() if isinstance(item, str) else ""
            if not line or "\n" in line or _OTHER_FILE.match(line):
                raise InvalidArgument(
                    f"{argument}[{index}]",
                    f"expected a requirement such as 'humanize>=4', got {without_passwords(repr(item))}",
                )
            where = f"{argument}[{index}]"
            lines.append(checked_line(line, folder=base, file_folder=base, root=root, argument=where))
        return cls(_checked(lines, argument), folder=folder)

    @classmethod
    def of_file(cls, file: Path, *, root: Path | None = None, argument: str = "requirements") -> Requirements:
        """Read a requirements file and the files that it includes.

        :param root: folder that no included file and no local path may be outside of.
        :raises InvalidArgument: a file cannot be read, is too large, or is outside of ``root``.
        """
        lines: list[str] = []
        seen: set[Path] = set()

        def read(path: Path) -> None:
            if "\0" in str(path):
                shown = without_passwords(repr(str(path)))
                raise InvalidArgument(argument, f"{shown} has a character that no path may have")
            resolved = path.resolve()
            if resolved in seen:
                return
            if root is not None and not resolved.is_relative_to(root.resolve()):
                raise InvalidArgument(argument, f"{without_passwords(str(path))} is outside of {root}")
            seen.add(resolved)
            if len(seen) > MAX_INCLUDED_FILES:
                raise InvalidArgument(argument, f"{file} includes more than {MAX_INCLUDED_FILES} files")
            for line in _lines(_text(path, argument)):
                places = {"folder": file.resolve().parent, "file_folder": resolved.parent}
                lines.append(checked_line(line, **places, root=root, argument=argument))
                if included := _INCLUDE.match(line):
                    read(path.parent / _included_file(included["file"], line, argument))

        read(file)
        return cls(_checked(lines, argument), file)

    @property
    def fingerprint(self) -> str | None:
        """Hash of the requirements; ``None`` if they name local files, whose content may change."""
        if any(_LOCAL.search(line) for line in self.lines):
            return None
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    @property
    def index_options(self) -> list[str]:
        """Lines that name package indexes. They may hold passwords."""
        return [line for line in self.lines if _INDEX_OPTION.match(line)]

    @contextmanager
    def as_file(self) -> Iterator[Path]:
        """Return the requirements file, which is a temporary one for a list."""
        if self.file is not None:
            yield self.file
            return
        with TemporaryDirectory(prefix="dataflow-requirements-") as folder:
            path = Path(folder) / "requirements.txt"
            path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")
            yield path


def _checked(lines: Sequence[str], argument: str) -> tuple[str, ...]:
    if not any(not line.startswith("-") for line in lines):
        raise InvalidArgument(argument, "no requirement is given")
    for line in lines:
        if line.startswith("-e") or line.startswith("--editable"):
            raise InvalidArgument(
                argument,
                f"{without_passwords(repr(line))} cannot be shipped: build a wheel, or use py_files",
            )
    return tuple(lines)


def _included_file(text: str, line: str, argument: str) -> str:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = []
    if not words:
        raise InvalidArgument(
            argument, f"{without_passwords(repr(line))}: expected the path of a file, with balanced quotes"
        )
    return words[0]


def _text(path: Path, argument: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(argument, without_passwords(f"cannot read {path}: {error}")) from None
    if len(text) > MAX_FILE_BYTES:
        shown = without_passwords(str(path))
        raise InvalidArgument(argument, f"{shown} is larger than {MAX_FILE_BYTES} bytes")
    return text


def _lines(text: str) -> list[str]:
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
