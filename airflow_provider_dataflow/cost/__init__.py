"""Cost of runs: prices and tags from Airflow's configuration, and the page that sums up recorded usage."""
