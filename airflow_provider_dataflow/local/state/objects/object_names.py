"""Names of objects, and the paths that they have in the folder of a bucket."""

from __future__ import annotations

import re

MAX_NAME_BYTES = 1024
_MAX_SEGMENT_BYTES = 255
_FORBIDDEN_CHARACTERS = re.compile(r"[\0\r\n]")
# Name of a file that is being copied into a bucket on another file system; see ``object_files.move_into``.
PARTIAL_FILE = re.compile(r"\.dataflow-[0-9a-f]{16}\.part\Z")


class UnusableName(ValueError):
    """The object cannot have this name; the message says why."""


def relative_path(name: str) -> str:
    """Return the path of an object relative to the folder of its bucket, without a trailing slash.

    :raises UnusableName: Object Storage does not allow the name, or a folder cannot represent it
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise UnusableName("The object name is not valid UTF-8.") from None
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise UnusableName(f"An object name must have 1 to {MAX_NAME_BYTES} bytes.")
    if _FORBIDDEN_CHARACTERS.search(name):
        raise UnusableName("An object name must not contain NUL, carriage return or line feed.")
    path = name.removesuffix("/")
    for segment in path.split("/"):
        if segment in ("", ".", ".."):
            raise UnusableName(
                f"Local Data Flow keeps objects as files, so {segment!r} cannot be a part of an object name."
            )
        if len(segment.encode()) > _MAX_SEGMENT_BYTES:
            raise UnusableName(
                f"Local Data Flow keeps objects as files, so a part of an object name can have at most "
                f"{_MAX_SEGMENT_BYTES} bytes."
            )
        if PARTIAL_FILE.match(segment):
            raise UnusableName("Local Data Flow uses this object name itself.")
    return path
