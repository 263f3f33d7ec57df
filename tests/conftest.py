"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Before Airflow is imported, or the tests would depend on the user's airflow.cfg.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parent.parent / ".cache" / "airflow-home"))
