"""Sphinx configuration. ``make docs`` builds ``docs/_build/html`` without network access."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Importing Airflow writes its configuration to AIRFLOW_HOME, which would be in the user's home directory.
_airflow_home = tempfile.TemporaryDirectory(prefix="docs-airflow-")
os.environ["AIRFLOW_HOME"] = _airflow_home.name

sys.path.insert(0, str(Path(__file__).parent.parent))

from airflow_provider_dataflow import __version__  # noqa: E402

project = "airflow-provider-dataflow"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 3

autodoc_member_order = "bysource"
# Docstrings describe arguments; signatures have their types.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = f"Airflow provider for OCI Data Flow {release}"
html_copy_source = False
