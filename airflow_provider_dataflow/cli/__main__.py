"""``python -m airflow_provider_dataflow.cli``."""

from __future__ import annotations

import sys

from airflow_provider_dataflow.cli.command_line import main

if __name__ == "__main__":
    sys.exit(main())
