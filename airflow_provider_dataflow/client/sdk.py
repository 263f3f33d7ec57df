"""Import of the whole OCI SDK. No other module of this package imports ``oci``.

The SDK's modules import each other in circles. If two threads start with different modules, Python gives one
of them a partly initialized module. Its import fails, and so do all later ones in the process.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any

__all__ = ["oci"]

#: Modules that this package uses. The SDK loads its services by itself.
MODULES = (
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
PAUSE_SECONDS = 0.1


def _import_whole() -> ModuleType:
    """Import the SDK. Repeat it if it fails, since other packages may import the SDK in other threads."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            whole = import_module("oci")
            attrgetter(*MODULES)(whole)
            import_module("oci.data_flow")
            return whole
        except Exception:
            if attempt == ATTEMPTS or not _remove_failed_import():
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _remove_failed_import() -> bool:
    """Remove the modules of a failed import, unless another thread is importing the SDK.

    :return: whether another attempt makes sense, since the SDK is installed.
    """
    modules = [name for name in list(sys.modules) if name.partition(".")[0] == "oci"]
    is_importing = getattr(getattr(sys.modules.get("oci"), "__spec__", None), "_initializing", False)
    if not is_importing:
        for name in modules:
            sys.modules.pop(name, None)
    return bool(modules)


oci: Any = _import_whole()
