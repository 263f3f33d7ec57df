"""Airflow finds the provider and what it brings, and neither server can be reached from elsewhere."""

from __future__ import annotations

import contextlib

import psutil
from harness import Session

from dev.processes import ours


def test_airflow_lists_the_provider_and_its_connection_type(session: Session) -> None:
    providers = session.bench.airflow.cli("providers", "list", "--output", "json")
    assert providers.returncode == 0, providers.stderr
    assert "airflow-provider-dataflow" in providers.stdout

    hooks = session.bench.airflow.cli("providers", "hooks", "--output", "json")
    assert hooks.returncode == 0, hooks.stderr
    assert "airflow_provider_dataflow.hooks.data_flow.DataFlowHook" in hooks.stdout


def test_nothing_listens_beyond_loopback(session: Session) -> None:
    leaders = [*session.bench.airflow.processes.values(), session.local.process]
    sockets = []
    for process in ours("", [leader for leader in leaders if leader]):
        with contextlib.suppress(psutil.NoSuchProcess):  # workers come and go
            sockets += process.net_connections("inet")
    listening = {socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert len(listening) >= 2
    assert {address.ip for address in listening} == {"127.0.0.1"}
