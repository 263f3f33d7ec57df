"""What the benchmark wants from a service, and Local Data Flow as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from airflow_provider_dataflow.models.run import TERMINAL_STATES

SUBMIT = "submit"
READ = "read"


#: What Local Data Flow calls them.
OPERATIONS = {SUBMIT: "CreateRun", READ: "GetRun"}


@dataclass
class Run:
    """What counts of a run, whoever's it is."""

    id: str
    user: str
    is_active: bool = True
    is_cancelled: bool = False


class Service(Protocol):
    """A service whose users each have faults of their own."""

    def runs(self, user: str) -> list[Run]:
        """All that were made for the user, oldest first."""

    def reads(self, user: str) -> list[int]:
        """The status of each answer to a request for a run, 0 if there was none."""

    def end(self, run_id: str) -> None:
        """Let a run succeed."""

    def fault(self, user: str, kind: str, *, operation: str = "*", **how: Any) -> str:
        """Let requests fail, as a fault of Local Data Flow says; return its id."""

    def heal(self, fault_id: str) -> None:
        """Let them succeed again."""


class DataFlow:
    """Local Data Flow, by the routes of its own."""

    def __init__(self, endpoint: str) -> None:
        self._http = httpx.Client(base_url=f"{endpoint}/_local/", trust_env=False, timeout=30)
        # Runs end when they are told to.
        self._ask("PUT", "rules", [{"displayName": "*", "attempts": [{"outcome": "IN_PROGRESS"}]}])

    def runs(self, user: str) -> list[Run]:
        return [
            Run(
                run["id"],
                user,
                run["lifecycleState"] not in TERMINAL_STATES,
                run["cancelledBy"] is not None,
            )
            for run in reversed(self._ask("GET", "runs"))
            if run["createdBy"]["user"] == user
        ]

    def reads(self, user: str) -> list[int]:
        entries = self._ask("GET", f"journal?operation={OPERATIONS[READ]}")["entries"]
        return [entry["status"] for entry in entries if entry["user"] == user]

    def end(self, run_id: str) -> None:
        self._ask("POST", f"runs/{run_id}/end", {})

    def fault(self, user: str, kind: str, *, operation: str = "*", **how: Any) -> str:
        fault = {"kind": kind, "user": user, "operation": OPERATIONS.get(operation, operation), **how}
        return str(self._ask("POST", "faults", fault)["id"])

    def heal(self, fault_id: str) -> None:
        self._ask("DELETE", f"faults?id={fault_id}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body).raise_for_status()
        return answer.json() if answer.content else None
