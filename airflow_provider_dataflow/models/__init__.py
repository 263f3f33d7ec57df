"""Runs, applications, pools and statements as the API defines them. No Airflow, no OCI SDK, no I/O."""
