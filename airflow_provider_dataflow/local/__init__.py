"""Local Data Flow: OCI Data Flow's REST API on loopback, running runs on real Spark.

``dataflow-local serve`` on the command line, :class:`LocalDataFlow` in a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow

__all__ = ["LocalDataFlow"]


def __getattr__(name: str) -> Any:
    """Late, so that a module of this package does not load the web server."""
    if name == "LocalDataFlow":
        from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow

        return LocalDataFlow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
