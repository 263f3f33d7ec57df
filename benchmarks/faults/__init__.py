"""Apply the same faults to our operator and to comparable ones of other providers, in one real Airflow."""
