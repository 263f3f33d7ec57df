"""Command line: ``python -m airflow_provider_dataflow.cli``, and ``airflow oci-data-flow`` from 3.2 on."""
