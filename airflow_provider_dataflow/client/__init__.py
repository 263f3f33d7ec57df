"""Clients of OCI Data Flow. Does not import Airflow."""

import logging

# The SDK logs this at level INFO when it is imported, which would be in the log of each task.
_NOISE = "Default Auth client Circuit breaker strategy"

logging.getLogger("oci.circuit_breaker").addFilter(
    lambda record: not str(record.msg).startswith(_NOISE),
)
