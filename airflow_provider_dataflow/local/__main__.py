"""``python -m airflow_provider_dataflow.local``: the same as ``dataflow-local``."""

import sys

from airflow_provider_dataflow.local.cli.command_line import main

sys.exit(main())
