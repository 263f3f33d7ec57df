"""Measure what the import of an operator costs on top of BaseOperator: ours and comparable ones.

Each import runs in a process of its own. The operators take turns, because the machine may be busy, and the
best round of each counts. The providers are installed into a virtual environment below ``.cache/``::

    .venv/bin/python -m benchmarks.imports
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".cache" / "imports"

BASE = "from airflow.providers.common.compat.sdk import BaseOperator"
OURS = "InvokeRunOperator"
OPERATORS = {
    OURS: "from airflow_provider_dataflow.operators.run import InvokeRunOperator",
    "EmrAddStepsOperator": "from airflow.providers.amazon.aws.operators.emr import EmrAddStepsOperator",
    "DatabricksSubmitRunOperator": (
        "from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator"
    ),
    "DataprocSubmitJobOperator": (
        "from airflow.providers.google.cloud.operators.dataproc import DataprocSubmitJobOperator"
    ),
}
PROVIDERS = ("amazon", "databricks", "google")

PROBE = """
import json, resource, sys, time
{base}
modules, memory = len(sys.modules), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
{operator}
print(json.dumps([
    (time.process_time() - start) * 1000,
    len(sys.modules) - modules,
    (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
]))
"""


def install(venv: Path = VENV, providers: Sequence[str] = PROVIDERS, extra: str = "") -> Path:
    """Create or update an environment with the same Airflow and the providers; return its interpreter.

    :param extra: extras of our own package, in brackets.
    """
    python = venv / "bin" / "python"
    import airflow

    uv = [sys.executable, "-m", "uv"]
    if not python.exists():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    packages = [f"apache-airflow=={airflow.__version__}", "-e", f"{ROOT}{extra}"]
    packages += [f"apache-airflow-providers-{name}" for name in providers]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
    return python


def versions(python: Path, providers: Sequence[str] = PROVIDERS) -> str:
    """Return the names and versions of the compared distributions."""
    distributions = (f"apache-airflow-providers-{name.partition('[')[0]}" for name in providers)
    names = ["apache-airflow", *distributions]
    code = f"from importlib.metadata import version\nfor name in {names!r}: print(name, version(name))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return ", ".join(done.stdout.splitlines())


def measure(python: Path, operator: str) -> tuple[float, int, float]:
    """Return the CPU milliseconds, modules and MiB that an import adds."""
    code = PROBE.format(base=BASE, operator=operator)
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    milliseconds, modules, memory = json.loads(done.stdout.splitlines()[-1])
    return milliseconds, modules, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    python = install()
    best: dict[str, tuple[float, int, float]] = {}
    for _ in range(arguments.rounds + 1):  # the first round writes the bytecode
        for name, operator in OPERATORS.items():
            best[name] = min(best.get(name, (float("inf"), 0, 0.0)), measure(python, operator))
    print(f"{date.today()}, Python {sys.version.split()[0]}, {versions(python)}\n")
    print("| Operator | CPU over BaseOperator | Modules | Memory | Ratio |")
    print("| --- | --- | --- | --- | --- |")
    for name, (milliseconds, modules, memory) in sorted(best.items(), key=lambda item: item[1]):
        ratio = milliseconds / best[OURS][0]
        print(f"| {name} | {milliseconds:.0f} ms | {modules} | {memory:.0f} MiB | {ratio:.1f} |")


if __name__ == "__main__":
    main()
