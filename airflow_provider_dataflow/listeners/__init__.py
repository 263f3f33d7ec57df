"""Code in Airflow's own processes: the sweep of a triggerer, which cancels the runs of killed tasks."""
