"""Apache Airflow provider for OCI Data Flow."""

__version__ = "1.0.0"
