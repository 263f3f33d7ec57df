"""What becomes of a run when something goes wrong: the cases of docs/reliability.md, in a real Airflow."""
