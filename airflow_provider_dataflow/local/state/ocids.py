"""OCIDs in the form of the service."""

from __future__ import annotations

import base64
import re
import secrets

REGION = "us-ashburn-1"
REGION_KEY = "iad"

_OCID = re.compile(r"ocid1\.[a-z0-9]+\.[a-z0-9-]*\.[a-z0-9-]*(\.[a-z0-9_-]*)?\.[a-zA-Z0-9_-]+\Z")


def ocid(kind: str, region: str = REGION_KEY) -> str:
    """Return a new OCID.

    :param region: key of the region; empty for a tenancy, a user or a compartment.
    """
    unique = base64.b32encode(secrets.token_bytes(38)).decode().rstrip("=").lower()[:60]
    return f"ocid1.{kind}.oc1.{region}.{unique}"


def is_ocid(text: str) -> bool:
    return len(text) <= 255 and _OCID.match(text) is not None
