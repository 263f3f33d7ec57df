"""Measure the upload of local code: unchanged files, and throughput against the SDK and the ``oci`` CLI.

::

    python -m benchmarks.staging --oci <path of the oci CLI>

All upload to one Local Data Flow, in turns, and the best round of each counts. Our times include the SHA-256
of the file, from which its object is named, and the look-up of the object. The CLI comes with ``oci-cli``,
best in an environment of its own; it is left out without ``--oci``. Its time without work (``oci --version``)
is subtracted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import oci

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.staging.stager import Stager

MIB = 1024 * 1024
BUCKET = "benchmark"


def write(path: Path, mebibytes: float) -> Path:
    """Write a file of random content, in constant memory."""
    with path.open("wb") as file:
        for _ in range(int(mebibytes * 16)):
            file.write(os.urandom(MIB // 16))
    return path


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def best(rounds: int, **calls: Callable[[], object]) -> dict[str, float]:
    """Return the shortest time of each call in seconds. The calls take turns."""
    found: dict[str, float] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name] = min(found.get(name, float("inf")), seconds(call))
    return found


def unchanged(stager: Stager, server: DataFlowFixture, folder: Path, rounds: int) -> None:
    print("| Unchanged file | Time | Requests | Uploads |\n| --- | --- | --- | --- |")
    for mebibytes in (0.0625, 1, 10, 100):
        path = write(folder / f"{mebibytes}.zip", mebibytes)
        stager.stage_file(path)
        before = server.requests_by_operation
        time_of = best(rounds, ours=lambda path=path: stager.stage_file(path))["ours"]  # type: ignore[misc]
        requests = server.requests_by_operation - before
        print(
            f"| {mebibytes:g} MiB | {time_of * 1000:.0f} ms | {sum(requests.values()) // rounds} "
            f"| {requests['PutObject'] + requests['UploadPart']} |"
        )


def throughput(
    stager: Stager, server: DataFlowFixture, folder: Path, rounds: int, mebibytes: int, cli: str | None
) -> None:
    path = write(folder / "large", mebibytes)
    client = oci.object_storage.ObjectStorageClient(server.sdk_config, service_endpoint=server.endpoint)
    manager = oci.object_storage.UploadManager(client)

    def new_name() -> str:
        return f"{uuid.uuid4().hex}/large"

    def ours() -> None:
        stager.stage_file(path, kind=uuid.uuid4().hex)

    calls: dict[str, Callable[[], object]] = {
        "Stager": ours,
        "UploadManager": lambda: manager.upload_file("local", BUCKET, new_name(), str(path)),
    }
    if cli is not None:
        fields = dict(server.sdk_config)
        (folder / "key.pem").write_text(fields.pop("key_content"))
        fields["key_file"] = str(folder / "key.pem")
        (folder / "config").write_text(
            "\n".join(["[DEFAULT]", *(f"{k}={v}" for k, v in fields.items() if v)])
        )
        for name in ("key.pem", "config"):
            (folder / name).chmod(0o600)
        command = [cli, "--config-file", str(folder / "config"), "--endpoint", server.endpoint]
        put = [
            "os",
            "object",
            "put",
            "-ns",
            "local",
            "-bn",
            BUCKET,
            "--file",
            str(path),
        ]
        calls["oci --version"] = lambda: subprocess.run([cli, "--version"], check=True, capture_output=True)
        calls["oci os object put"] = lambda: subprocess.run(
            [*command, *put, "--name", new_name()], check=True, capture_output=True
        )
    found = best(rounds, **calls)
    start = found.pop("oci --version", 0.0)
    print(f"\n| Upload of {mebibytes} MiB | Time | MiB/s | Ratio |\n| --- | --- | --- | --- |")
    for name, time_of in found.items():
        time_of -= start if name.startswith("oci") else 0
        print(f"| {name} | {time_of:.2f} s | {mebibytes / time_of:.0f} | {time_of / found['Stager']:.2f} |")
    if cli is not None:
        print(f"\noci --version: {start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--oci", help="path of the oci CLI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mebibytes", type=int, nargs="*", default=[64, 256])
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        DataFlowFixture(Path(folder, "home"), engine="scripted") as server,
    ):
        server.create_bucket(BUCKET)
        os.environ.update(server.environment)
        stager = Stager(DataFlowHook().object_storage, f"oci://{BUCKET}@local/")
        unchanged(stager, server, Path(folder), arguments.rounds)
        for mebibytes in arguments.mebibytes:
            throughput(stager, server, Path(folder), arguments.rounds, mebibytes, arguments.oci)


if __name__ == "__main__":
    main()
