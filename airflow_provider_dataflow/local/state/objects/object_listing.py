"""Objects of a bucket in the order of their names, as lists return them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_dataflow.local.state.objects.object_files import ObjectFiles, StoredObject
from airflow_provider_dataflow.local.state.objects.object_names import PARTIAL_FILE

_NO_SEGMENTS = frozenset(("", ".", ".."))


@dataclass(frozen=True, slots=True)
class NameRange:
    """Names to list.

    :param prefix: all names begin with it
    :param start: lowest name; ``""``: no limit
    :param after: all names are greater; ``""``: no limit
    :param end: all names are lower; ``""``: no limit
    """

    prefix: str = ""
    start: str = ""
    after: str = ""
    end: str = ""

    def __contains__(self, name: str) -> bool:
        return (
            name.startswith(self.prefix)
            and name >= self.start
            and (not self.after or name > self.after)
            and (not self.end or name < self.end)
        )

    def may_contain_below(self, folder: str) -> bool:
        """Return whether a name in a folder, given with a slash at its end, can be in the range."""
        if not folder.startswith(self.prefix) and not self.prefix.startswith(folder):
            return False
        lowest = max(self.start, self.after)
        return (lowest <= folder or lowest.startswith(folder)) and (not self.end or folder < self.end)


@dataclass(frozen=True, slots=True)
class Page:
    objects: list[StoredObject]
    prefixes: list[str]
    next_start: str | None


def list_objects(
    files: ObjectFiles, names: NameRange, limit: int, *, by_folder: bool = False, metadata: bool = True
) -> Page:
    """Return a page of objects in the order of their names.

    :param limit: maximum number of objects and prefixes together
    :param by_folder: return the names up to the next slash after the prefix as prefixes
    :param metadata: return the objects with their metadata
    """
    page = Page([], [], None)
    for item in _walk(files, names, by_folder, metadata):
        if len(page.objects) + len(page.prefixes) == limit:
            return Page(page.objects, page.prefixes, item if isinstance(item, str) else item.name)
        if isinstance(item, str):
            page.prefixes.append(item)
        else:
            page.objects.append(item)
    return page


def is_empty(files: ObjectFiles) -> bool:
    """Return whether a bucket has no objects; it may have empty folders."""
    return next(_walk(files, NameRange(), False, False), None) is None


def _walk(
    files: ObjectFiles, names: NameRange, by_folder: bool, metadata: bool
) -> Iterator[StoredObject | str]:
    """Yield objects, and prefixes as strings."""
    # The folder in which all names with the prefix are.
    folder = names.prefix.rpartition("/")[0]
    path = files.root / folder
    try:
        # No object has such a name, but the path of another folder may contain it.
        if folder and not _NO_SEGMENTS.isdisjoint(folder.split("/")):
            return
        # Not the same if the prefix names a symbolic link.
        if path.resolve() != path:
            return
    except (OSError, ValueError, RuntimeError):
        return
    yield from _walk_folder(files, path, f"{folder}/" if folder else "", names, by_folder, metadata)


def _walk_folder(
    files: ObjectFiles, path: Path, folder: str, names: NameRange, by_folder: bool, metadata: bool
) -> Iterator[StoredObject | str]:
    if folder in names and folder and (placeholder := files.placeholder(folder, path)) is not None:
        yield placeholder
    try:
        with os.scandir(path) as scan:
            # Folders sort by their name with a slash, as the names of the objects in them do.
            entries = sorted(
                (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name, entry.path)
                for entry in scan
                if _is_listed(entry)
            )
    except OSError:  # removed meanwhile
        return
    for entry_name, entry_path in entries:
        name = folder + entry_name
        if not entry_name.endswith("/"):
            if name in names:
                try:
                    status = os.lstat(entry_path)
                except OSError:
                    continue
                yield files.from_file(name, Path(entry_path), status, metadata=metadata)
        elif names.may_contain_below(name):
            below = _walk_folder(files, Path(entry_path), name, names, False, metadata and not by_folder)
            if not by_folder:
                yield from below
            elif next(below, None) is not None:
                yield name


def _is_listed(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a file that is an object."""
    try:
        entry.name.encode()
        is_kind = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
    except (OSError, UnicodeEncodeError):
        return False
    return is_kind and not PARTIAL_FILE.match(entry.name)
