"""Causes of failures by key, and whether a retry helps.

Light, since it is imported when a DAG is parsed. ``error_hints`` finds the cause of a failure.
"""

from __future__ import annotations

from enum import StrEnum


class Retry(StrEnum):
    """Retry that a cause calls for."""

    NEVER = "never"
    """The next try would fail in the same way: fail at once."""
    LATER = "later"
    """Others use up what is missing, or the service has a problem: retry after a growing pause."""
    NOW = "now"
    """The failure has passed with the run: retry at once."""
    DEFAULT = "default"
    """The cause does not tell: retry as the task's own arguments say."""


#: Causes that are found in a run's ``lifecycleDetails`` or in the driver's stderr.
OF_RUNS: dict[str, Retry] = {
    "bucket_missing": Retry.NEVER,
    "class_missing": Retry.NEVER,
    "driver_memory": Retry.NEVER,
    "executor_memory": Retry.NEVER,
    "host_unknown": Retry.DEFAULT,
    "incompatible_jar": Retry.NEVER,
    "limit_exceeded": Retry.LATER,
    "maintenance": Retry.NOW,
    "max_duration": Retry.DEFAULT,
    "module_missing": Retry.NEVER,
    "no_capacity": Retry.LATER,
    "node_lost": Retry.NOW,
    "not_authorized": Retry.NEVER,
    "object_missing": Retry.NEVER,
    "private_endpoint_in_use": Retry.LATER,
    "python_mismatch": Retry.NEVER,
    "result_too_large": Retry.NEVER,
    "spark_version_unsupported": Retry.NEVER,
}

#: Causes of errors without a run: of the arguments, of responses of the service and of the network.
OF_REQUESTS: dict[str, Retry] = {
    "already_running": Retry.LATER,
    "bad_request": Retry.NEVER,
    "certificate_untrusted": Retry.NEVER,
    "changed_meanwhile": Retry.NOW,
    "conflict": Retry.LATER,
    "connection_refused": Retry.LATER,
    "connection_timed_out": Retry.LATER,
    "host_not_resolved": Retry.LATER,
    "invalid_argument": Retry.NEVER,
    "invalid_connection": Retry.NEVER,
    "name_ambiguous": Retry.NEVER,
    "name_not_found": Retry.NEVER,
    "no_response": Retry.LATER,
    "no_route": Retry.LATER,
    "not_authenticated": Retry.NEVER,
    "redirected": Retry.LATER,
    "request_too_large": Retry.NEVER,
    "service_failure": Retry.LATER,
    "throttled": Retry.LATER,
}

#: Retry of each cause, by its key.
RETRIES: dict[str, Retry] = {**OF_RUNS, **OF_REQUESTS}

#: Spark often reports these far above the exception that ends the driver.
REPORTED_EARLY = frozenset(("driver_memory", "executor_memory", "result_too_large"))
