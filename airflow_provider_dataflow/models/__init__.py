"""What the API says: runs, requests, applications, pools, statements. No Airflow, no OCI SDK, no I/O."""
