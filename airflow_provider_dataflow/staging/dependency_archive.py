"""Dependency archive of a run, in the layout that Oracle documents for ``archive.zip``."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

#: Increase when the content of archives changes.
FORMAT = "1"
ARCHIVE_NAME = "archive.zip"

#: Content that differs between machines and has no use in a run: scripts name the Python that installed them.
_LEFT_OUT = frozenset(("bin", "__pycache__", ".lock"))
_LEFT_OUT_OF_METADATA = frozenset(("direct_url.json", "REQUESTED"))
#: Of each file, so that equal content gives an equal archive. The earliest that the format has.
_TIME = (1980, 1, 1, 0, 0, 0)


def write_archive(packages: Path, target: Path, *, python: str) -> None:
    """Write the installed packages to a zip file, which depends only on their content.

    :param packages: folder with the packages, as pip or uv installs them with ``--target``.
    :param target: file to write.
    :param python: version of Python, for example ``3.11``.
    """
    folder = f"python/lib/python{python}/site-packages"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry("version.txt"), f"{FORMAT}\n")
        for name, path in sorted(_files(packages)):
            entry = _entry(f"{folder}/{name}", executable=os.access(path, os.X_OK))
            if path.name == "RECORD" and path.parent.suffix == ".dist-info":
                archive.writestr(entry, _record(path))
                continue
            with archive.open(entry, "w", force_zip64=True) as written, open(path, "rb") as read:
                shutil.copyfileobj(read, written, 1024 * 1024)


def _files(packages: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(packages):
        is_top = Path(folder) == packages
        folders[:] = [name for name in folders if not _is_left_out(name, is_top)]
        for name in files:
            path = Path(folder, name)
            is_metadata = path.parent.suffix == ".dist-info"
            if _is_left_out(name, is_top) or (is_metadata and name in _LEFT_OUT_OF_METADATA):
                continue
            yield path.relative_to(packages).as_posix(), path


def _is_left_out(name: str, is_top: bool) -> bool:
    return name == "__pycache__" or (is_top and name in _LEFT_OUT)


def _record(path: Path) -> str:
    """Return the list of a package's files without those that are left out."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name = line.partition(",")[0].strip('"')
        if name.startswith(("bin/", "../")) or name.rpartition("/")[2] in _LEFT_OUT_OF_METADATA:
            continue
        kept.append(line)
    return "".join(f"{line}\n" for line in sorted(kept))


def _entry(name: str, *, executable: bool = False) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, whose permissions follow
    entry.external_attr = (0o100755 if executable else 0o100644) << 16
    return entry
