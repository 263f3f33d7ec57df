"""File systems for Airflow's ``ObjectStoragePath`` and for ``fsspec``."""
