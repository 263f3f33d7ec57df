"""Access to OCI: credentials, endpoints, signed requests, and the poller. No Airflow in here."""
