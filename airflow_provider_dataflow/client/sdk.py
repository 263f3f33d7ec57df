"""The OCI SDK as a whole. Nothing else of this package imports ``oci``, so that only one thread ever does.

Its modules import each other in circles. If two threads begin with different ones, Python hands one of them a
half-made module: its import fails, and what that leaves behind makes all later ones of the process fail.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

__all__ = ["oci"]

#: What is used of it, but for its services, which it loads by itself.
PARTS = (
    "_vendor.requests.exceptions",
    "auth.auth_utils",
    "auth.federation_client",
    "auth.signers",
    "circuit_breaker",
    "config",
    "exceptions",
    "pagination",
    "regions",
    "retry",
    "signer",
)

ATTEMPTS = 10
PAUSE = 0.1


def _import_whole() -> ModuleType:
    """Others than this package may import it in their threads at the same time, and so break our import."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            whole = import_module("oci")
            attrgetter(*PARTS)(whole)
            import_module("oci.data_flow")
            return whole
        except Exception:
            if attempt == ATTEMPTS or not _clear_what_is_left():
                raise
            time.sleep(PAUSE)
    raise AssertionError("unreachable")


def _clear_what_is_left() -> bool:
    """Forget the modules of an import that was given up.

    :return: whether another attempt makes sense: the SDK is there, and perhaps being imported elsewhere.
    """
    left = [name for name in list(sys.modules) if name.partition(".")[0] == "oci"]
    underway = getattr(getattr(sys.modules.get("oci"), "__spec__", None), "_initializing", False)
    if not underway:
        for name in left:
            sys.modules.pop(name, None)
    return bool(left)


oci: Any = _import_whole()
