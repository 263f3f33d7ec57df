"""Lineage: properties that link Spark's events to the task, and the report of a task about its run."""
