from __future__ import annotations

import subprocess
import sys

import pytest

PACKAGE = "airflow_provider_dataflow"


def packages_after_importing(*modules: str) -> set[str]:
    """In a process of its own, since everything is imported somewhere in this one."""
    imports = ", ".join(f"{PACKAGE}.{module}" for module in modules)
    code = f"import sys, {imports}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


@pytest.mark.parametrize(
    "module",
    [
        *("operators.run", "operators.manage_run", "operators.application", "operators.pool"),
        *("operators.statement", "sensors.run", "triggers.run", "triggers.pool", "triggers.statement"),
        *("hooks.data_flow", "links.run", "provider_info"),
    ],
)
def test_parsing_a_dag_imports_neither_the_sdk_nor_aiohttp(module):
    assert packages_after_importing(module).isdisjoint({"oci", "aiohttp"})


@pytest.mark.parametrize(
    "module",
    [
        *("operators.run", "operators.manage_run", "operators.application", "operators.pool"),
        *("operators.statement", "operators.orphans", "sensors.run", "hooks.data_flow", "links.run"),
    ],
)
def test_parsing_a_dag_imports_no_triggers(module):
    """Airflow's base of triggers alone costs a third of what an operator does."""
    code = f"import sys, {PACKAGE}.{module}\nprint('airflow.triggers.base' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("modules", "unknown"),
    [
        (["request", "submission", "events", "polling", "usage", "hints"], {"airflow", "oci", "aiohttp"}),
        (["application", "pool", "statement", "run_update"], {"airflow", "oci", "aiohttp"}),
        (
            ["client.sync", "client.poller", "client.waiting", "client.watching", "client.console"],
            {"airflow", "oci"},
        ),
        (["local.server", "local.cli", "local.commands", "local.embedded"], {"airflow", "pyspark"}),
    ],
    ids=["core", "core of the others", "clients", "Local Data Flow"],
)
def test_imports_point_inwards(modules, unknown):
    assert packages_after_importing(*modules).isdisjoint(unknown)
