"""Small client of Airflow's public REST API, for the demo and for the tests in a real Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

T = TypeVar("T")

FINISHED_RUN = ("success", "failed")
FINISHED_TASK = ("success", "failed", "skipped", "upstream_failed", "removed")


class WaitTimeout(TimeoutError):
    """A condition did not become true before the timeout."""


def wait_until(
    probe: Callable[[], T | None], what: str, *, timeout: float = 60.0, interval: float = 0.25
) -> T:
    """Call ``probe`` until it returns something true, and return that.

    :param what: the condition, for the message of the error
    :param timeout: seconds
    :param interval: seconds between two calls
    :raises WaitTimeout: the probe has returned nothing true before the timeout
    """
    deadline = time.monotonic() + timeout
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise WaitTimeout(f"{what}: not within {timeout:.0f} s")
        time.sleep(interval)
    return result


class AirflowRest:
    """Client of Airflow's ``/api/v2``. It expects the simple auth manager, with every user an admin."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        # On a busy machine, the first request that needs the database takes long.
        self._http = httpx.Client(base_url=self.base_url, timeout=120.0, trust_env=False)
        self._token = ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, *, root: str = "/api/v2", **kwargs: Any) -> Any:
        """Send a request to ``<root>/<path>`` and return the decoded response.

        :raises httpx.HTTPStatusError: with the body of the response in its message
        """
        for attempt in range(2):
            if not self._token:
                self._token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
            headers = {"Authorization": f"Bearer {self._token}"}
            response = self._http.request(method, f"{root}/{path}", headers=headers, **kwargs)
            if response.status_code != 401 or attempt:
                break
            self._token = ""  # expired, or the API server was restarted
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {response.status_code} {response.text[:500]}",
                request=response.request,
                response=response,
            )
        return response.json() if response.content else None

    # DAGs and health ---------------------------------------------------------------------------------------

    def unhealthy(self) -> list[str]:
        """Return the components that are not healthy; all of them if the API server does not respond."""
        components = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        try:
            health = self._http.get("/api/v2/monitor/health", timeout=5.0).raise_for_status().json()
        except httpx.HTTPError:
            return ["api_server", *components]
        return [name for name in components if (health.get(name) or {}).get("status") != "healthy"]

    def dag_ids(self) -> set[str]:
        """Return the ids of the parsed DAGs."""
        return {dag["dag_id"] for dag in self.request("GET", "dags", params={"limit": 100})["dags"]}

    def import_errors(self) -> list[str]:
        """Return the stack traces of DAG files that could not be imported."""
        return [error["stack_trace"] for error in self.request("GET", "importErrors")["import_errors"]]

    def wait_for_dags(self, dag_ids: Collection[str], *, timeout: float = 60.0) -> None:
        """Wait until all of ``dag_ids`` have been parsed.

        :raises RuntimeError: a DAG file cannot be imported
        """

        def probe() -> bool:
            if errors := self.import_errors():
                raise RuntimeError("a DAG file cannot be imported:\n" + "\n".join(errors))
            return set(dag_ids) <= self.dag_ids()

        wait_until(probe, f"DAGs {sorted(dag_ids)} to be parsed", timeout=timeout)

    # DAG runs ----------------------------------------------------------------------------------------------

    def trigger(self, dag_id: str, run_id: str, **fields: Any) -> str:
        """Start a DAG run and return its id.

        :param fields: further fields of the request's body, for example ``conf``
        """
        body = {"dag_run_id": run_id, "logical_date": None, **fields}
        return str(self.request("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one DAG run."""
        return dict(self.request("GET", _run_path(dag_id, run_id)))

    def dag_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return all runs of a DAG, oldest first."""
        path = f"dags/{dag_id}/dagRuns"
        return list(self.request("GET", path, params={"limit": 100, "order_by": "run_after"})["dag_runs"])

    def wait_for_run(self, dag_id: str, run_id: str, *, timeout: float = 180.0) -> str:
        """Wait until a DAG run has ended and return its state."""

        def probe() -> str | None:
            state = self.dag_run(dag_id, run_id)["state"]
            return state if state in FINISHED_RUN else None

        return wait_until(probe, f"DAG run {dag_id}/{run_id} to end", timeout=timeout)

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a DAG run as failed, success or queued, as a user does in the UI."""
        self.request("PATCH", _run_path(dag_id, run_id), json={"state": state})

    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a DAG run."""
        body = {"dry_run": False, "only_failed": False}
        self.request("POST", f"{_run_path(dag_id, run_id)}/clear", json=body)

    # Task instances ----------------------------------------------------------------------------------------

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return one task instance."""
        return dict(self.request("GET", _task_path(dag_id, run_id, task_id)))

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return all task instances of a DAG run."""
        return list(self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances")["task_instances"])

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Iterable[str], *, timeout: float = 120.0
    ) -> str:
        """Wait until a task instance is in one of ``states``, and return that.

        :raises AssertionError: it has ended in another state
        """
        wanted = tuple(states)
        what = f"task {dag_id}/{run_id}/{task_id} to be {' or '.join(wanted)}"

        def probe() -> str | None:
            state = self.task(dag_id, run_id, task_id)["state"]
            if state in wanted:
                return str(state)
            if state in FINISHED_TASK:
                raise AssertionError(f"{what}: it is {state}\n{self.log_text(dag_id, run_id, task_id)}")
            return None

        return wait_until(probe, what, timeout=timeout)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task instance as failed, success or skipped, as a user does in the UI."""
        self.request("PATCH", _task_path(dag_id, run_id, task_id), json={"new_state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear one task instance."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.request("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1
    ) -> Any:
        """Return an XCom value, or ``None`` if there is none."""
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{quote(key)}"
        try:
            return self.request("GET", path, params={"map_index": map_index})["value"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return None
            raise

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """Return the extra links of a task by their names."""
        path = f"{_task_path(dag_id, run_id, task_id)}/links"
        return dict(self.request("GET", path)["extra_links"])

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None) -> list[Any]:
        """Return the structured log entries of a try (default: the newest)."""
        if try_number is None:
            try_number = self.task(dag_id, run_id, task_id)["try_number"]
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        return list(self.request("GET", path, params={"full_content": True})["content"])

    def log_text(self, dag_id: str, run_id: str, task_id: str, try_number: int | None = None) -> str:
        """Return the log of a try (default: the newest) as plain lines, with exceptions."""
        return "\n".join(_log_line(entry) for entry in self.log(dag_id, run_id, task_id, try_number))

    # Backfills ---------------------------------------------------------------------------------------------

    def backfill(self, dag_id: str, from_date: str, to_date: str, *, max_active_runs: int = 2) -> int:
        """Start a backfill over logical dates, both ends included, and return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": from_date,
            "to_date": to_date,
            "max_active_runs": max_active_runs,
            "reprocess_behavior": "none",
            "run_backwards": False,
            "dag_run_conf": {},
        }
        for attempt in range(20):
            try:
                return int(self.request("POST", "backfills", json=body)["id"])
            except httpx.HTTPStatusError as error:
                # On SQLite, Airflow responds with 503, before 3.1 with 500, if another process is writing.
                if error.response.status_code not in (500, 503) or attempt == 19:
                    raise
                time.sleep(0.5)
        raise AssertionError("unreachable")

    def cancel_backfill(self, backfill_id: int) -> None:
        """Cancel a backfill. Its queued DAG runs fail; the running ones continue."""
        self.request("PUT", f"backfills/{backfill_id}/cancel")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}"


def _log_line(entry: Any) -> str:
    """Return time, text and exceptions of a structured log entry as lines."""
    if not isinstance(entry, dict):
        return str(entry)
    lines = [f"{entry.get('timestamp') or ''} {entry.get('event', '')}".strip()]
    for error in entry.get("error_detail") or []:
        lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
        lines.extend(str(note) for note in error.get("exc_notes") or [])
    return "\n".join(lines)
