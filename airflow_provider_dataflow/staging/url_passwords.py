"""Removal of the user names and passwords of URLs, for error messages about requirements."""

from __future__ import annotations

import re

# Greedy up to the last "@" before the path, since a password may contain "@". A path of pathlib has one slash
# after the scheme. The second form is a password with "/"; digits and "/" are a port.
_USER_INFO = re.compile(r"(?P<scheme>:/{1,2})(?:[^/\s]+|[^/\s:@]*:(?!\d+/)\S*)@")


def without_passwords(text: str) -> str:
    """Return the text with ``***`` in place of the user names and passwords of its URLs."""
    return _USER_INFO.sub(r"\g<scheme>***@", text)
