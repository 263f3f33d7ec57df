"""HTTP server that needs little CPU: runs that never end, for the APIs of Data Flow and Databricks.

::

    python -m benchmarks.polling.fake_service --runs 1000 --latency 0.05

It prints its port. ``GET /_count`` returns the number of requests by operation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

COMPARTMENT = "ocid1.compartment.oc1..aaaaaaaabenchmark"
RUN_ID = "ocid1.dataflowrun.oc1.iad.anuwcljrbenchmark{:08}"
_FILLER = "x" * 60


def _summary(number: int, created: str) -> dict[str, Any]:
    return {
        "id": RUN_ID.format(number),
        "compartmentId": COMPARTMENT,
        "applicationId": f"ocid1.dataflowapplication.oc1.iad.{_FILLER}",
        "displayName": f"monthly_weather {number}",
        "definedTags": {"Oracle-Tags": {"CreatedBy": f"user/{_FILLER}", "CreatedOn": created}},
        "freeformTags": {"airflow-dag-id": "backfill", "airflow-task-id": "run", "airflow-run-id": _FILLER},
        "dataReadInBytes": 0,
        "dataWrittenInBytes": 0,
        "language": "PYTHON",
        "lifecycleDetails": None,
        "lifecycleState": "IN_PROGRESS",
        "opcRequestId": f"{_FILLER}/{_FILLER}",
        "ownerPrincipalId": f"ocid1.user.oc1..{_FILLER}",
        "ownerUserName": "someone@example.com",
        "poolId": None,
        "runDurationInMilliseconds": 60_000,
        "totalOCpu": 4,
        "timeCreated": created,
        "timeUpdated": created,
        "type": "BATCH",
    }


def _run(number: int, created: str) -> dict[str, Any]:
    return _summary(number, created) | {
        "arguments": ["--month", "2013-02"],
        "configuration": {f"spark.sql.setting.{n}": _FILLER for n in range(5)},
        "driverShape": "VM.Standard.E4.Flex",
        "executorShape": "VM.Standard.E4.Flex",
        "driverShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "executorShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "fileUri": f"oci://apps@namespace/{_FILLER}.py",
        "logsBucketUri": "oci://logs@namespace/",
        "numExecutors": 3,
        "sparkVersion": "3.5.0",
    }


def _databricks(number: int) -> dict[str, Any]:
    state = {"life_cycle_state": "RUNNING", "state_message": "", "user_cancelled_or_timedout": False}
    return {
        "job_id": number,
        "run_id": number,
        "state": state,
        "start_time": 1_700_000_000_000,
        "tasks": [
            {"task_key": "run", "run_id": number, "state": state, "spark_python_task": {"file": _FILLER * 8}}
        ],
        "cluster_spec": {"new_cluster": {f"setting{n}": _FILLER for n in range(5)}},
        "creator_user_name": "someone@example.com",
        "run_page_url": f"https://workspace.example.com/{_FILLER}",
        "run_type": "SUBMIT_RUN",
    }


class FakeService:
    """:param latency: seconds before each response."""

    def __init__(self, runs: int, latency: float) -> None:
        self.latency = latency
        self.requests: Counter[str] = Counter()
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.runs = {RUN_ID.format(n): json.dumps(_run(n, created)).encode() for n in range(runs)}
        self.summaries = [json.dumps(_summary(n, created)).encode() for n in range(runs)]
        self.databricks = json.dumps(_databricks(1)).encode()

    def respond(self, target: str) -> tuple[bytes, dict[str, str]]:
        parts = urlsplit(target)
        if parts.path == "/_count":
            return json.dumps(self.requests).encode(), {}
        if parts.path.startswith("/api/"):
            self.requests["runs/get"] += 1
            return self.databricks, {}
        if parts.path == "/20200129/runs":
            self.requests["ListRuns"] += 1
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if query.get("lifecycleState") not in (None, "IN_PROGRESS"):
                return b"[]", {}
            begin, limit = int(query.get("page", 0)), int(query.get("limit", 100))
            more = begin + limit < len(self.summaries)
            rows = b",".join(self.summaries[begin : begin + limit])
            return b"[" + rows + b"]", {"opc-next-page": str(begin + limit)} if more else {}
        self.requests["GetRun"] += 1
        return self.runs[parts.path.rpartition("/")[2]], {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
                if length:
                    await reader.readexactly(int(length))
                body, headers = self.respond(head.split(" ", 2)[1])
                await asyncio.sleep(self.latency)
                lines = [
                    "HTTP/1.1 200 OK",
                    "content-type: application/json",
                    f"content-length: {len(body)}",
                    *(f"{name}: {value}" for name, value in headers.items()),
                ]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _main(runs: int, latency: float) -> None:
    server = await asyncio.start_server(FakeService(runs, latency).serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.05)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.runs, arguments.latency))
