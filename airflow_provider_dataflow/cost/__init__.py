"""What runs cost: prices and tags from Airflow's configuration, and the page that sums up recorded usage."""
