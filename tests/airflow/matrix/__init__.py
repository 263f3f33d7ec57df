"""Failure matrix of docs/reliability.md: what happens to a run in each failure, tested in a real Airflow."""
