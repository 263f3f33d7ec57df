"""Measure GetRun requests per second of Local Data Flow, against a comparable call of moto_server.

::

    python -m benchmarks.get_run --moto <path of moto_server>

``moto_server`` comes with ``moto[server,glue]``, best in an environment of its own. The comparable call is
GetJobRun of Glue, which returns one job run from memory. The servers get the same load in turns, and the best
round of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import oci

from airflow_provider_dataflow.local import LocalDataFlow
from benchmarks.load import LoadResult, measure, table
from dev.processes import free_port


def create_ended_run(local: LocalDataFlow) -> str:
    """Submit a run, wait for its end and return its id."""
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    application = client.create_application(
        oci.data_flow.models.CreateApplicationDetails(
            compartment_id=local.compartment_id,
            display_name="benchmark",
            driver_shape="VM.Standard2.1",
            executor_shape="VM.Standard2.1",
            language="PYTHON",
            num_executors=1,
            spark_version="3.5.0",
            file_uri="oci://nothing@ns/nothing.py",
        )
    ).data.id
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=local.compartment_id, application_id=application, display_name="benchmark"
    )
    run_id: str = client.create_run(details).data.id
    while client.get_run(run_id).data.lifecycle_state not in ("FAILED", "SUCCEEDED"):
        time.sleep(0.05)
    return run_id


def _signed_get(local: LocalDataFlow, run_id: str) -> bytes:
    """Return a GetRun request signed by the SDK, which is valid for five minutes."""
    import requests

    config = local.sdk_config
    signer = oci.signer.Signer(
        config["tenancy"],
        config["user"],
        config["fingerprint"],
        None,
        private_key_content=config["key_content"],
    )
    url = f"{local.endpoint}/20200129/runs/{run_id}"
    prepared = requests.Request("GET", url, auth=signer).prepare()
    headers = "".join(f"{k}: {v!s}\r\n" for k, v in prepared.headers.items())
    if "host" not in {k.lower() for k in prepared.headers}:
        headers += f"host: {url.split('/')[2]}\r\n"
    return f"GET {prepared.path_url} HTTP/1.1\r\n{headers}\r\n".encode()


class MotoServer:
    """Runs moto_server for the duration of a ``with`` block."""

    def __init__(self, command: str) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [command, "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> MotoServer:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def __exit__(self, *details: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, operation: str, body: dict[str, object]) -> bytes:
        content = json.dumps(body).encode()
        head = (
            f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/x-amz-json-1.1\r\n"
            f"X-Amz-Target: AWSGlue.{operation}\r\nContent-Length: {len(content)}\r\n"
            "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/glue/aws4_request, "
            "SignedHeaders=host, Signature=a\r\n\r\n"
        )
        return head.encode() + content

    def call(self, operation: str, body: dict[str, object]) -> dict[str, str]:
        head, _, content = self.request(operation, body).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", content, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            result: dict[str, str] = json.loads(response.read())
        return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moto", help="the moto_server command")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    best: dict[str, LoadResult] = {}

    def measure_round(name: str, pid: int, port: int, request: bytes) -> None:
        result = measure(pid, port, request, arguments.seconds)
        if name not in best or result.per_second > best[name].per_second:
            best[name] = result

    with tempfile.TemporaryDirectory() as folder:
        signed = LocalDataFlow(Path(folder) / "signed")
        unsigned = LocalDataFlow(Path(folder) / "unsigned", verify=False)
        with signed, unsigned:
            targets = [
                (
                    name,
                    local.pid,
                    int(local.endpoint.rpartition(":")[2]),
                    _signed_get(local, create_ended_run(local)),
                )
                for name, local in (("Local Data Flow", signed), ("Local Data Flow, --no-verify", unsigned))
            ]
            if arguments.moto:
                with MotoServer(arguments.moto) as moto:
                    moto.call("CreateJob", {"Name": "j", "Role": "r", "Command": {"Name": "glueetl"}})
                    run = moto.call("StartJobRun", {"JobName": "j"})["JobRunId"]
                    get = moto.request("GetJobRun", {"JobName": "j", "RunId": run})
                    for _ in range(arguments.rounds):
                        for target in targets:
                            measure_round(*target)
                        measure_round("moto_server (Glue GetJobRun)", moto.pid, moto.port, get)
            else:
                for _ in range(arguments.rounds):
                    for target in targets:
                        measure_round(*target)
    baseline = best.get("moto_server (Glue GetJobRun)")
    rows = [("server", "requests/s", "ratio", "CPU per request", "ratio", "connections")]
    for name, result in best.items():
        ratio = f"{result.per_second / baseline.per_second:.1f}" if baseline else ""
        cpu_ratio = f"{baseline.cpu_per_request / result.cpu_per_request:.1f}" if baseline else ""
        cpu = f"{result.cpu_per_request * 1e6:,.0f} µs"
        rows.append((name, f"{result.per_second:,.0f}", ratio, cpu, cpu_ratio, str(result.connections)))
    print(table(rows))
    print(f"4 clients at a time, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
