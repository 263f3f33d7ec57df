"""Context: the state of the service that all operations use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.run_lifecycle import RunLifecycle
from airflow_provider_dataflow.local.state.run_logs import LogFolder
from airflow_provider_dataflow.local.state.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """State of the service.

    :param logs: returns the log folder of a run.
    :param spark_version: version of the installed Spark; ``None`` with the scripted engine.
    """

    store: Store
    lifecycle: RunLifecycle
    options: Options
    logs: Callable[[str], LogFolder]
    spark_version: str | None = None
