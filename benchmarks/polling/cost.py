"""Compare what waiting triggers cost: requests, CPU, blocking of the event loop, and memory.

::

    python -m benchmarks.polling.cost

Compared are our trigger, Databricks' trigger, and triggers that call GetRun of the SDK in a thread; each
implementation in a process of its own, against the same service on loopback, which responds after 50 ms.
Databricks' provider is installed into ``.cache/``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from airflow_provider_dataflow.local.cli.client_config import connection_json, sdk_config
from airflow_provider_dataflow.local.state.home import Home
from benchmarks.load import table

ROOT = Path(__file__).resolve().parents[2]
DATABRICKS_VENV = ROOT / ".cache" / "databricks"
#: By number of triggers: interval of polls, and for how long requests are counted, in seconds.
#: The report converts the counts to the usual interval, per trigger and hour.
SETTINGS = {1: (2, 30), 10: (2, 20), 100: (5, 20), 1000: (10, 30), 10_000: (30, 60)}
USUAL_INTERVAL_SECONDS = 30
NAMES = {
    "ours": "RunTrigger",
    "ours_staggered": "RunTrigger, started as by Airflow",
    "databricks": "Databricks",
    "sdk_threads": "SDK in threads",
    "idle": "a trigger that sleeps",
}

#: Measured only briefly, for their blocking and, of ``idle``, its memory.
NOT_COUNTED = {"idle", "ours_staggered"}

CostResult = dict[str, float]


def python_with_databricks() -> Path:
    """Create or update an environment with Databricks' provider; return its interpreter."""
    python = DATABRICKS_VENV / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(DATABRICKS_VENV)], check=True)
    airflow = f"apache-airflow=={version('apache-airflow')}"
    done = subprocess.run(
        [python, "-c", "import airflow.providers.databricks.triggers.databricks"], capture_output=True
    )
    if done.returncode:
        install = [sys.executable, "-m", "uv", "pip", "install", "-q", "--python", str(python)]
        subprocess.run([*install, airflow, "apache-airflow-providers-databricks"], check=True)
    return python


@contextmanager
def _service(runs: int, latency: float) -> Iterator[int]:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    command = [sys.executable, "-m", "benchmarks.polling.fake_service"]
    with subprocess.Popen(
        [*command, "--runs", str(runs), "--latency", str(latency)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure(implementation: str, triggers: int, latency: float, home: Home, airflow_home: str) -> CostResult:
    interval, window = SETTINGS[triggers]
    if implementation in NOT_COUNTED:
        window = 2
    python = str(python_with_databricks()) if implementation == "databricks" else sys.executable
    with _service(triggers, latency) as port:
        endpoint = f"http://127.0.0.1:{port}"
        identity = home.identity()
        environment = os.environ | {
            "AIRFLOW_HOME": airflow_home,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW_CONN_OCI_DEFAULT": connection_json(identity, endpoint),
            "AIRFLOW_CONN_DATABRICKS_DEFAULT": json.dumps(
                {
                    "conn_type": "databricks",
                    "host": "127.0.0.1",
                    "schema": "http",
                    "port": port,
                    "password": "token",
                }
            ),
            "BENCHMARK_SDK_CONFIG": json.dumps(sdk_config(identity)),
            "BENCHMARK_ENDPOINT": endpoint,
        }
        # Until every run has been polled once and the load is steady.
        warm = 15 + interval + triggers / 150
        command = [python, str(Path(__file__).with_name("trigger_process.py"))]
        command += ["ours", "--staggered"] if implementation == "ours_staggered" else [implementation]
        for name, value in {
            "port": port,
            "triggers": triggers,
            "interval": interval,
            "warm": warm,
            "window": window,
        }.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    result: CostResult = json.loads(done.stdout.splitlines()[-1])
    per_hour = 3600 / result["seconds"] / triggers * interval / USUAL_INTERVAL_SECONDS
    return result | {
        "requests_per_hour": result["requests"] * per_hour,
        "cpu_per_hour": result["cpu"] * per_hour,
    }


def _ratio(ours: float, other: float) -> str:
    return f"{other / ours:,.0f}x" if ours else "-"


def report(results: dict[str, dict[int, CostResult]]) -> str:
    names = [name for name in ("ours", "databricks", "sdk_threads") if name in results]
    text = []
    for title, key, unit, scale in (
        ("Requests per trigger and hour", "requests_per_hour", "", 1),
        ("CPU per trigger and hour, ms", "cpu_per_hour", "", 1000),
    ):
        rows = [
            ("triggers", *(NAMES[name] for name in names), *(f"{NAMES[name]}, ratio" for name in names[1:]))
        ]
        for count, ours in results["ours"].items():
            values = [results[name].get(count) for name in names]
            cells = [f"{found[key] * scale:,.2f}{unit}" if found else "-" for found in values]
            ratios = [_ratio(ours[key], found[key]) if found else "-" for found in values[1:]]
            rows.append((f"{count:,}", *cells, *ratios))
        text += [f"{title} (polls every {USUAL_INTERVAL_SECONDS} s)", table(rows), ""]
    whens = {"starting": "start", "starting_gc": "collector", "steady": "then"}
    blocking = [*names, *(name for name in ("ours_staggered", "idle") if name in results)]
    rows = [("triggers", *(f"{NAMES[name]}, {when}" for name in blocking for when in whens.values()))]
    for count in results["ours"]:
        cells = []
        for name in blocking:
            found = results[name].get(count)
            cells += [f"{found[when] * 1000:.0f}" if found else "-" for when in whens]
        rows.append((f"{count:,}", *cells))
    title = "Longest block of the event loop, ms of CPU, apart from the longest pass of the garbage collector"
    text += [f"{title}: all started in one iteration, except for 'as by Airflow'", table(rows), ""]
    if {1000, 10_000} <= results["ours"].keys():
        text += ["Memory per waiting trigger", table(_memory(results))]
    return "\n".join(text)


def _memory(results: dict[str, dict[int, CostResult]]) -> list[tuple[str, str, str]]:
    """Divide the growth of the process from 1,000 to 10,000 triggers, which excludes imports and clients."""
    kib_per_trigger = {
        name: (found[10_000]["memory"] - found[1000]["memory"]) / 9000 / 1024
        for name, found in results.items()
        if {1000, 10_000} <= found.keys()
    }
    rows = [("", "KiB", "over a trigger that sleeps")]
    for name, kib in kib_per_trigger.items():
        over_idle = f"{kib - kib_per_trigger['idle']:+.1f}" if "idle" in kib_per_trigger else "-"
        rows.append((NAMES[name], f"{kib:.1f}", over_idle))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--triggers", type=int, nargs="*", default=list(SETTINGS))
    parser.add_argument("--implementations", nargs="*", default=list(NAMES))
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--json", type=Path, help="file to save the figures to, for the plot")
    parser.add_argument("--show", type=Path, help="print saved figures instead of measuring")
    arguments = parser.parse_args()
    if arguments.show:
        saved = json.loads(arguments.show.read_text())
        print(
            report(
                {name: {int(count): found for count, found in each.items()} for name, each in saved.items()}
            )
        )
        return
    results: dict[str, dict[int, CostResult]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(f"{folder}/home")
        home.create()
        for count in arguments.triggers:
            for name in arguments.implementations:
                if (name, count) == ("sdk_threads", 10_000):
                    continue  # six threads send 60 requests a second, but 333 would be due
                if name in NOT_COUNTED and count < 1000:
                    continue  # too few to measure their memory or their blocking
                print(f"{NAMES[name]}, {count:,} triggers ...", file=sys.stderr, flush=True)
                found = measure(name, count, arguments.latency, home, f"{folder}/airflow")
                results.setdefault(name, {})[count] = found
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    print(report(results))


if __name__ == "__main__":
    main()
