"""Development tools: a real Airflow on this machine, and the demo that runs on it."""
