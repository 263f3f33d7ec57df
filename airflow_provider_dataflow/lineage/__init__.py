"""Lineage: what a run tells OpenLineage about its task, and a task about its run."""
