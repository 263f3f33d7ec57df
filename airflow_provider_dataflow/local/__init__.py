"""Local Data Flow: OCI Data Flow's REST API on loopback, with real Spark.

Start it with ``dataflow-local serve``, or with :class:`LocalDataFlow` in a Python program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow

__all__ = ["LocalDataFlow"]


def __getattr__(name: str) -> Any:
    """Import ``LocalDataFlow`` late: other modules of this package do not need its imports."""
    if name == "LocalDataFlow":
        from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow

        return LocalDataFlow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
