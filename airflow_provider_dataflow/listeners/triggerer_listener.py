"""Starts the sweep when a triggerer starts, and stops it when the triggerer stops."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from airflow_provider_dataflow import polling
from airflow_provider_dataflow.compat import conf, is_triggerer

if TYPE_CHECKING:
    from airflow_provider_dataflow.listeners.sweep import Sweeper

log = logging.getLogger(__name__)

_sweeper: Sweeper | None = None


@hookimpl
def on_starting(component: Any) -> None:
    """Called by Airflow when a component starts: a scheduler, a triggerer, a task."""
    global _sweeper
    if _sweeper is not None or not is_triggerer(component):
        return
    seconds: float = conf.getfloat(
        "oci_data_flow", "sweep_interval", fallback=polling.DEFAULT_SWEEP_INTERVAL_SECONDS
    )
    if seconds <= 0:
        log.info("[oci_data_flow] sweep_interval is %s: nobody looks for runs of killed tasks", seconds)
        return
    from airflow_provider_dataflow.listeners.sweep import Sweeper

    _sweeper = Sweeper(seconds)
    _sweeper.start()


@hookimpl
def before_stopping(component: Any) -> None:
    """Called by Airflow when a component stops."""
    if _sweeper is not None:
        _sweeper.stop()
