"""Access to OCI: credentials, endpoints, signed requests, and the poller. No Airflow in here."""

import logging

# Importing the SDK writes this line, at level INFO, into the log of every task.
_CHATTER = "Default Auth client Circuit breaker strategy"

logging.getLogger("oci.circuit_breaker").addFilter(
    lambda record: not str(record.msg).startswith(_CHATTER),
)
