"""Interface through which the benchmark controls a service, and its implementation for Local Data Flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from airflow_provider_dataflow.models.run import TERMINAL_STATES

SUBMIT = "submit"
READ = "read"

#: Names of these operations in Local Data Flow's faults and journal.
LOCAL_OPERATIONS = {SUBMIT: "CreateRun", READ: "GetRun"}


@dataclass
class ServiceRun:
    """What the benchmark needs to know of a run, whichever service it belongs to."""

    id: str
    user: str
    is_active: bool = True
    is_cancelled: bool = False


class RunService(Protocol):
    """A service in which each user has runs and faults of their own."""

    def runs(self, user: str) -> list[ServiceRun]:
        """Return the runs created for the user, oldest first."""

    def reads(self, user: str) -> list[int]:
        """Return the status of each response to a read of a run, 0 where the connection was dropped."""

    def end(self, run_id: str) -> None:
        """End a run successfully."""

    def add_fault(self, user: str, kind: str, *, operation: str = "*", **parameters: Any) -> str:
        """Inject a fault, with the kinds and parameters of Local Data Flow's; return its id."""

    def remove_fault(self, fault_id: str) -> None:
        """Remove a fault."""


class LocalDataFlowService:
    """Controls Local Data Flow through its ``/_local/`` routes."""

    def __init__(self, endpoint: str) -> None:
        self._http = httpx.Client(base_url=f"{endpoint}/_local/", trust_env=False, timeout=30)
        # Runs stay active until the benchmark ends them.
        self._call("PUT", "rules", [{"displayName": "*", "attempts": [{"outcome": "IN_PROGRESS"}]}])

    def runs(self, user: str) -> list[ServiceRun]:
        return [
            ServiceRun(
                run["id"],
                user,
                run["lifecycleState"] not in TERMINAL_STATES,
                run["cancelledBy"] is not None,
            )
            for run in reversed(self._call("GET", "runs"))
            if run["createdBy"]["user"] == user
        ]

    def reads(self, user: str) -> list[int]:
        entries = self._call("GET", f"journal?operation={LOCAL_OPERATIONS[READ]}")["entries"]
        return [entry["status"] for entry in entries if entry["user"] == user]

    def end(self, run_id: str) -> None:
        self._call("POST", f"runs/{run_id}/end", {})

    def add_fault(self, user: str, kind: str, *, operation: str = "*", **parameters: Any) -> str:
        operation = LOCAL_OPERATIONS.get(operation, operation)
        fault = {"kind": kind, "user": user, "operation": operation, **parameters}
        return str(self._call("POST", "faults", fault)["id"])

    def remove_fault(self, fault_id: str) -> None:
        self._call("DELETE", f"faults?id={fault_id}")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._http.request(method, path, json=body).raise_for_status()
        return response.json() if response.content else None
