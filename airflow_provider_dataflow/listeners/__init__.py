"""What runs in Airflow's own processes: a sweep in the triggerer that cancels what ended tasks have left."""
