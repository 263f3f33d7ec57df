"""Python packages (folders) as zip files that are the same for the same content."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.files import LocalFiles, check_size

#: Time of all files in the zip, the earliest that the format knows.
_TIME = (1980, 1, 1, 0, 0, 0)
_MODE = stat.S_IFREG | 0o644
_UNIX = 3


def zip_package(folder: Path, target: Path, files: LocalFiles, path: str, argument: str) -> None:
    """Write a package to a zip, in which it is the only top-level folder.

    The zip depends on names and content only, not on times, permissions, the order in the folder or the
    version of zlib: its files are not compressed. Bytecode, and hidden files and folders are left out.

    :param folder: the package.
    :param target: zip to write.
    :param files: files that may be uploaded.
    :param path: the folder as given, for error messages.
    :param argument: name of the argument, for error messages.
    :raises InvalidArgument: the package has no files, is too large, has a link that leaves the bundle, or a
        file or folder that cannot be read.
    """
    members = sorted(_members(folder, files, path, argument))
    if not members:
        raise InvalidArgument(argument, f"{path} is a folder without files")
    check_size(sum(found.stat().st_size for _, found in members), path, argument)
    name = os.path.basename(path.rstrip("/"))
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for member, found in members:
            info = ZipInfo(f"{name}/{member}", _TIME)
            info.external_attr = _MODE << 16
            info.create_system = _UNIX
            info.file_size = found.stat().st_size
            with found.open("rb") as source, archive.open(info, "w") as written:
                shutil.copyfileobj(source, written)


def _members(folder: Path, files: LocalFiles, path: str, argument: str) -> Iterator[tuple[str, Path]]:
    """Yield the names in the folder, with ``/``, and the files."""

    def refuse(error: OSError) -> NoReturn:
        # Without it, os.walk leaves out the folder.
        member = os.path.relpath(error.filename, folder)
        shown = path if member == "." else f"{path}/{member}"
        raise InvalidArgument(argument, f"{shown} cannot be read by the worker's user") from None

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if _is_wanted(name)]
        for name in (*folders, *names):
            place = Path(parent, name)
            member = place.relative_to(folder).as_posix()
            if name in folders:
                if place.is_symlink():
                    raise InvalidArgument(
                        argument,
                        f"{path}/{member} is a symbolic link to a folder; expected folders and files",
                    )
                continue
            if not _is_wanted(name):
                continue
            found = Path(os.path.realpath(place))
            files.check_inside(found, f"{path}/{member}", argument)
            if not found.is_file():
                raise InvalidArgument(argument, f"{path}/{member} is no regular file, or a broken link")
            if not os.access(found, os.R_OK):
                raise InvalidArgument(argument, f"{path}/{member} cannot be read by the worker's user")
            yield member, found


def _is_wanted(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__" and not name.endswith((".pyc", ".pyo"))
