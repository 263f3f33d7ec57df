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
sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from sphinx.application import Sphinx  # noqa: E402

from airflow_provider_dataflow import __version__  # noqa: E402

project = "airflow-provider-dataflow"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "class_reference", "sequence_diagrams"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 3

autodoc_member_order = "bysource"
# Types stand beside the arguments that docstrings describe, not in a signature of dozens of lines.
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
# The path to import a class from is part of its heading.
add_module_names = True

html_theme = "furo"
html_title = f"Airflow provider for OCI Data Flow {release}"
html_static_path = ["static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_logo = html_favicon = "images/logo.svg"


def hide_signature_of_class(app: Sphinx, kind: str, *_: object) -> tuple[str, None] | None:
    """Leave out a class's signature: its arguments are listed below it, with their types and defaults."""
    return ("", None) if kind in ("class", "exception") else None


def setup(app: Sphinx) -> None:
    # After autodoc's own handler, which records the types.
    app.connect("autodoc-process-signature", hide_signature_of_class, priority=900)
