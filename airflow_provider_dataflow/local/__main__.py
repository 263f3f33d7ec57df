"""Run ``dataflow-local`` as ``python -m airflow_provider_dataflow.local``."""

import sys

from airflow_provider_dataflow.local.cli.command_line import main

sys.exit(main())
