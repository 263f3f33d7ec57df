"""Airflow finds the provider and what it brings."""

from __future__ import annotations

from harness import Session


def test_airflow_lists_the_provider_and_its_connection_type(session: Session) -> None:
    providers = session.bench.airflow.cli("providers", "list", "--output", "json")
    assert providers.returncode == 0, providers.stderr
    assert "airflow-provider-dataflow" in providers.stdout

    hooks = session.bench.airflow.cli("providers", "hooks", "--output", "json")
    assert hooks.returncode == 0, hooks.stderr
    assert "airflow_provider_dataflow.hooks.data_flow.DataFlowHook" in hooks.stdout
