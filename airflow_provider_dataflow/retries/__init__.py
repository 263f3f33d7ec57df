"""Retries that depend on the cause of a failure: when to retry, and with which settings of the run."""
