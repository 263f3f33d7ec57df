"""What a wait costs: requests and CPU, how long the loop is blocked, and memory. Side by side in one run.

::

    python -m benchmarks.polling.cost

Ours, Databricks' trigger, and a GetRun by the SDK in a thread per trigger; each in a process of its own,
against the same service on loopback, whose answers take 50 ms. Databricks' provider is installed into
``.cache/``.
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

from airflow_provider_dataflow.local.cli.connection_text import connection_json, sdk_config
from airflow_provider_dataflow.local.state.home import Home
from benchmarks.load import table

ROOT = Path(__file__).resolve().parents[2]
DATABRICKS = ROOT / ".cache" / "databricks"
#: By number of waits: the interval between two polls, and for how long they are counted, in seconds.
#: What is shown is per wait and hour at the usual interval.
SETTINGS = {1: (2, 30), 10: (2, 20), 100: (5, 20), 1000: (10, 30), 10_000: (30, 60)}
USUAL_INTERVAL = 30
NAMES = {
    "ours": "RunTrigger",
    "in_turn": "RunTrigger, started as by Airflow",
    "databricks": "Databricks",
    "naive": "SDK in threads",
    "idle": "a trigger that sleeps",
}

#: Of a trigger that sleeps, the memory is looked at; of one started as by Airflow, how long it blocks.
NOT_COUNTED = {"idle", "in_turn"}

Result = dict[str, float]


def python_with_databricks() -> Path:
    """Of an environment with Databricks' provider, made if need be."""
    python = DATABRICKS / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(DATABRICKS)], check=True)
    airflow = f"apache-airflow=={version('apache-airflow')}"
    found = subprocess.run(
        [python, "-c", "import airflow.providers.databricks.triggers.databricks"], capture_output=True
    )
    if found.returncode:
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


def measure(way: str, waits: int, latency: float, home: Home, airflow_home: str) -> Result:
    interval, window = SETTINGS[waits]
    if way in NOT_COUNTED:
        window = 2
    python = str(python_with_databricks()) if way == "databricks" else sys.executable
    with _service(waits, latency) as port:
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
        # Until every wait has been asked for once, and the loop has calmed down.
        warm = 15 + interval + waits / 150
        command = [python, str(Path(__file__).with_name("contender.py"))]
        command += ["ours", "--in-turn"] if way == "in_turn" else [way]
        for name, value in {
            "port": port,
            "waits": waits,
            "interval": interval,
            "warm": warm,
            "window": window,
        }.items():
            command += [f"--{name}", str(value)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    result: Result = json.loads(done.stdout.splitlines()[-1])
    per_hour = 3600 / result["seconds"] / waits * interval / USUAL_INTERVAL
    return result | {
        "requests_per_hour": result["requests"] * per_hour,
        "cpu_per_hour": result["cpu"] * per_hour,
    }


def _ratio(ours: float, theirs: float) -> str:
    return f"{theirs / ours:,.0f}x" if ours else "-"


def report(results: dict[str, dict[int, Result]]) -> str:
    ways = [way for way in ("ours", "databricks", "naive") if way in results]
    text = []
    for title, key, unit, scale in (
        ("Requests per wait and hour", "requests_per_hour", "", 1),
        ("CPU per wait and hour, ms", "cpu_per_hour", "", 1000),
    ):
        rows = [("waits", *(NAMES[way] for way in ways), *(f"{NAMES[way]}, ratio" for way in ways[1:]))]
        for waits, ours in results["ours"].items():
            values = [results[way].get(waits) for way in ways]
            cells = [f"{found[key] * scale:,.2f}{unit}" if found else "-" for found in values]
            ratios = [_ratio(ours[key], found[key]) if found else "-" for found in values[1:]]
            rows.append((f"{waits:,}", *cells, *ratios))
        text += [f"{title} (polls every {USUAL_INTERVAL} s)", table(rows), ""]
    rows = [("waits", *(f"{NAMES[way]}, {when}" for way in ways for when in ("start", "then")))]
    for waits in results["ours"]:
        cells = []
        for way in ways:
            found = results[way].get(waits)
            cells += [f"{found[when] * 1000:.0f}" if found else "-" for when in ("starting", "steady")]
        rows.append((f"{waits:,}", *cells))
    text += ["Longest block of the event loop, ms of CPU: all started in one turn", table(rows), ""]
    if "in_turn" in results:
        rows = [("waits", "start")]
        rows += [
            (f"{waits:,}", f"{found['starting'] * 1000:.0f}") for waits, found in results["in_turn"].items()
        ]
        text += ["The same, one started in each turn, as Airflow's triggerer does", table(rows), ""]
    if {1000, 10_000} <= results["ours"].keys():
        text += ["Memory per waiting trigger", table(_memory(results))]
    return "\n".join(text)


def _memory(results: dict[str, dict[int, Result]]) -> list[tuple[str, str, str]]:
    """By what the process grows from 1,000 waits to 10,000: imports and clients are there by then."""
    each = {
        way: (found[10_000]["memory"] - found[1000]["memory"]) / 9000 / 1024
        for way, found in results.items()
        if {1000, 10_000} <= found.keys()
    }
    rows = [("", "KiB", "over Airflow's own")]
    for way, kib in each.items():
        rows.append((NAMES[way], f"{kib:.1f}", f"{kib - each['idle']:+.1f}" if "idle" in each else "-"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--waits", type=int, nargs="*", default=list(SETTINGS))
    parser.add_argument("--ways", nargs="*", default=list(NAMES))
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--json", type=Path, help="where to keep the figures, for the plot")
    parser.add_argument("--show", type=Path, help="figures that were kept, instead of measuring anew")
    arguments = parser.parse_args()
    if arguments.show:
        kept = json.loads(arguments.show.read_text())
        print(
            report({way: {int(waits): found for waits, found in each.items()} for way, each in kept.items()})
        )
        return
    results: dict[str, dict[int, Result]] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(f"{folder}/home")
        home.create()
        for waits in arguments.waits:
            for way in arguments.ways:
                if (way, waits) == ("naive", 10_000):
                    continue  # six threads send 60 a second, where 333 would be due
                if way in NOT_COUNTED and waits < 1000:
                    continue  # memory, in which a few do not show, and blocks that a few do not make
                print(f"{NAMES[way]}, {waits:,} waits ...", file=sys.stderr, flush=True)
                found = measure(way, waits, arguments.latency, home, f"{folder}/airflow")
                results.setdefault(way, {})[waits] = found
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    print(report(results))


if __name__ == "__main__":
    main()
