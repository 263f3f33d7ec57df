"""Warnings about runs that are to live for longer than their access or their state would. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.ownership.successor import STREAMING

#: The token of a batch run expires after this time, unless it signs in as a resource principal.
TOKEN_LIFETIME_MINUTES = 24 * 60
TOKEN_PAGE = "https://docs.oracle.com/iaas/data-flow/using/dfs_run_applications.htm"  # noqa: S105
STREAMING_PAGE = "https://docs.oracle.com/en-us/iaas/data-flow/using/spark-streaming.htm"

AUTHENTICATION = "dataflow.auth"
CHECKPOINT = "spark.sql.streaming.checkpointLocation"

_RESOURCE_PRINCIPAL = re.compile(rf"{re.escape(AUTHENTICATION)}=['\"]?resource_principal\b")
_CHECKPOINT_URI = re.compile(r"\boci://\S*checkpoint|checkpoint\S*[= ]+[\"']?oci://", re.IGNORECASE)


def long_run_warnings(run: Run) -> list[str]:
    """Return log messages about a submitted run, whose fields include those of its application."""
    return list(_warnings(run))


def _warnings(run: Run) -> Iterator[str]:
    configuration = run.configuration or {}
    if run.type == STREAMING:
        location = configuration.get(CHECKPOINT)
        if location and not location.startswith("oci://"):
            yield (
                f"configuration.{CHECKPOINT}: {location} does not survive the run, so its successor after "
                f"maintenance starts from nothing; use an oci:// URI. See {STREAMING_PAGE}"
            )
        elif not location and not _CHECKPOINT_URI.search(_text(run)):
            yield (
                f"configuration.{CHECKPOINT}: missing, and no argument names an oci:// checkpoint location. "
                "Unless the code sets one, the run's successor after maintenance starts from nothing. See "
                f"{STREAMING_PAGE}"
            )
    elif run.type in (None, "BATCH") and (run.max_duration_in_minutes or 0) > TOKEN_LIFETIME_MINUTES:
        by_configuration = configuration.get(AUTHENTICATION) == "resource_principal"
        if not by_configuration and not _RESOURCE_PRINCIPAL.search(run.execute or ""):
            yield (
                f"max_duration_in_minutes: {run.max_duration_in_minutes} is more than 24 hours, after which "
                "the service stops a run without notice, unless configuration has "
                f"{AUTHENTICATION}=resource_principal. See {TOKEN_PAGE}"
            )


def _text(run: Run) -> str:
    """Return arguments, parameters and command line of a run as one text."""
    parameters = [f"{item.get('name')}={item.get('value')}" for item in run.parameters or ()]
    return " ".join([*(run.arguments or ()), *parameters, run.execute or ""])
