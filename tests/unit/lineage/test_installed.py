from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import airflow_provider_dataflow

#: Airflow itself loads these when it looks for providers.
METADATA = {"airflow.providers.openlineage", "airflow.providers.openlineage.get_provider_info"}
ROOT = Path(airflow_provider_dataflow.__file__).parent
#: Makes OpenLineage's packages impossible to import, and uses the operator.
WITHOUT_OPENLINEAGE = f"""
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("openlineage", "airflow.providers.openlineage")) and name not in {METADATA}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from airflow_provider_dataflow.lineage import datasets, operator, spark_properties
InvokeRunOperator(
    task_id="task", execute="oci://b@ns/app.py", openlineage_inject_parent_job_info=True
)
"""
#: Prints which of OpenLineage's modules a DAG file loads.
LOADED = """
import sys
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
InvokeRunOperator(
    task_id="task", execute="oci://b@ns/app.py", openlineage_inject_parent_job_info=True
)
print(*(name for name in sys.modules if "openlineage" in name))
"""


def test_package_works_without_openlineage():
    subprocess.run([sys.executable, "-c", WITHOUT_OPENLINEAGE], check=True)


def test_dag_file_does_not_load_openlineage():
    loaded = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    assert set(loaded.stdout.split()) <= METADATA


def test_one_module_needs_openlineage():
    """The others import it in functions, where its absence is handled."""
    importing = {
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "openlineage" in ast.unparse(node)
    }
    assert importing == {"lineage/facets.py"}
