"""Local files that may be uploaded: those of the DAG's bundle."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.stager import check_file_name

#: Largest file or package that is uploaded. Larger data belongs in a bucket: Spark reads it in parts.
MAX_FILE_BYTES = 5 * 1024**3
MAX_FILE_TEXT = "5 GiB"
#: Limits of Linux.
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4000


@dataclass(frozen=True)
class LocalFiles:
    """Files of a DAG's bundle.

    :param dag_folder: folder of the DAG's file.
    :param bundle: root of the DAG's bundle. Files outside are refused, also behind a symbolic link.
    """

    dag_folder: Path
    bundle: Path

    def find(self, path: str, argument: str, *, folders: bool = False) -> Path:
        """Return a file, with symbolic links resolved.

        :param path: absolute, or relative to the folder of the DAG or else to its bundle.
        :param argument: name of the argument, for error messages.
        :param folders: whether a folder is allowed, too.
        :raises InvalidArgument: the file is missing, too large, outside of the bundle, or no regular file.
        """
        _check_parts(path, argument)
        found = self._existing(path, argument)
        check_file_name(name_of(path), argument)
        mode = found.stat().st_mode
        if folders and stat.S_ISDIR(mode):
            return found
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise InvalidArgument(argument, f"{path} is {kind}; expected a file")
        check_size(found.stat().st_size, path, argument)
        if not os.access(found, os.R_OK):
            raise InvalidArgument(argument, f"{path} cannot be read by the worker's user")
        return found

    def check_inside(self, found: Path, path: str, argument: str) -> None:
        """Refuse a file outside of the bundle.

        :param found: the file, with symbolic links resolved.
        :param path: its path as given, for the error message.
        :raises InvalidArgument: it is outside.
        """
        if not found.is_relative_to(self._root):
            raise InvalidArgument(
                argument, f"{path} is outside of the DAG's bundle ({self.bundle}), so it is not uploaded"
            )

    @property
    def _root(self) -> Path:
        return _real(self.bundle)

    def _existing(self, path: str, argument: str) -> Path:
        bases = tuple(dict.fromkeys((self.dag_folder, self.bundle)))
        # Those outside are left out before anything else, so that no message tells what exists there.
        inside = [place for base in bases if (place := _real(base / path)).is_relative_to(self._root)]
        for place in inside:
            if place.exists():
                return place
        for base in bases:
            is_link = Path(os.path.normpath(base / path)).is_relative_to(self.bundle)
            if is_link or not inside:
                self.check_inside(_real(base / path), path, argument)
        searched = " and ".join(map(str, inside))
        raise InvalidArgument(argument, f"{path} does not exist on this worker (looked for {searched})")


def _real(path: Path) -> Path:
    """Return a path with symbolic links resolved, as far as it exists."""
    return Path(os.path.realpath(path))


def _check_parts(path: str, argument: str) -> None:
    """Refuse a path that the operating system refuses, before it raises another exception."""
    if "\0" in path:
        raise InvalidArgument(argument, f"{path!r} has a character that no path may have")
    if len(os.fsencode(path)) > MAX_PATH_BYTES or any(
        len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.split("/")
    ):
        raise InvalidArgument(argument, f"{path[:80]!r}... is too long for a path")


def name_of(path: str) -> str:
    """Return the last part of a path, which names the uploaded object."""
    return os.path.basename(path.rstrip("/"))


def check_size(size: int, path: str, argument: str) -> None:
    """Refuse too large a file or package.

    :param size: bytes.
    :raises InvalidArgument: it is larger than ``MAX_FILE_BYTES``.
    """
    if size > MAX_FILE_BYTES:
        raise InvalidArgument(
            argument,
            f"{path} has {size} bytes, more than {MAX_FILE_TEXT}; upload it to a bucket and give its URI",
        )
