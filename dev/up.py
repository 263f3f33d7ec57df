"""``make up``, ``make down`` and ``make backfill``: leave the demo's servers running to try things out."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
import psutil

from dev import processes
from dev.airflow_rest import FINISHED_RUN, AirflowRest
from dev.processes import StackError
from dev.progress import Progress
from dev.workbench import STATE, Workbench, interrupt_on_terminate

HOME = STATE / "up"
STATE_FILE = STATE / "up.json"
PORT, LOCAL_PORT = 8080, 8170


def up() -> int:
    """Start both servers and leave them running."""
    if STATE_FILE.exists():
        saved = _read_state()
        if _running_leaders(saved):
            print(f"Already up: {saved['url']} (make down stops it)")
            return 0
        STATE_FILE.unlink()
    interrupt_on_terminate()
    progress = Progress()
    bench = Workbench(
        HOME,
        port=processes.free_port(PORT),
        local_port=processes.free_port(LOCAL_PORT),
        detached=True,
    )
    try:
        progress.status("Starting Local Data Flow and Airflow")
        bench.launch(progress.line)
        _write_state(bench)
        bench.wait(progress.line)
        progress.done()
    except BaseException:
        progress.done()
        bench.stop()
        STATE_FILE.unlink(missing_ok=True)
        raise
    print(
        f"\nAirflow          {bench.airflow.url}   (no password)\n"
        f"Local Data Flow  {bench.local.endpoint}\n"
        f"Buckets          {bench.local.home.relative_to(STATE.parent)}/buckets\n\n"
        "Trigger example_invoke_run there, or: make backfill FROM=2013-01-01 TO=2013-03-01\n"
        "make down stops both servers."
    )
    return 0


def down() -> int:
    """Stop the servers that ``up`` has started."""
    if not STATE_FILE.exists():
        print("No servers are running.")
        return 0
    saved = _read_state()
    leaders = _running_leaders(saved)
    api_server = [leader for leader in leaders if leader.pid == saved["processes"]["api-server"]["pid"]]
    # The API server and Local Data Flow stop last: the others report the end of their work to them.
    last = [*api_server, *(p for p in leaders if p.pid == saved["processes"]["dataflow-local"]["pid"])]
    killed = processes.stop("", [leader for leader in leaders if leader not in last])
    for marker in saved["markers"]:
        killed += processes.stop(marker, last)
    STATE_FILE.unlink()
    print("Stopped; no process is left running")
    if killed:
        print(f"Had to be killed: {', '.join(killed)}")
    return 0


def backfill(first: str, last: str) -> int:
    """Backfill ``example_backfill`` from ``first`` to ``last`` and show the state of each month."""
    if not STATE_FILE.exists() or not _running_leaders(_read_state()):
        print("No servers are running; start them with: make up", file=sys.stderr)
        return 1
    rest = AirflowRest(_read_state()["url"])
    progress = Progress()
    rest.wait_for_dags({"example_backfill"})
    rest.backfill("example_backfill", f"{first}T00:00:00Z", f"{last}T00:00:00Z")
    while True:
        # The backfill request has created all DAG runs; those of an earlier backfill are left as they are.
        dated = [run for run in rest.dag_runs("example_backfill") if run["logical_date"]]
        runs = [run for run in dated if first <= run["logical_date"][:10] <= last]
        progress.status(", ".join(f"{run['logical_date'][:7]} {run['state']}" for run in runs))
        if all(run["state"] in FINISHED_RUN for run in runs):
            break
        time.sleep(1)
    progress.done()
    if not runs:
        print(f"No month between {first} and {last}: the data covers 2013.", file=sys.stderr)
        return 1
    failed = [run for run in runs if run["state"] != "success"]
    print(f"{len(runs) - len(failed)} runs succeeded, {len(failed)} failed")
    return 1 if failed else 0


def _write_state(bench: Workbench) -> None:
    started = dict(bench.airflow.processes)
    if bench.local.process is not None:
        started["dataflow-local"] = bench.local.process
    saved = {
        "url": bench.airflow.url,
        "markers": [bench.airflow.marker, bench.local.marker],
        "processes": {
            name: {"pid": process.pid, "created": process.create_time()} for name, process in started.items()
        },
    }
    STATE_FILE.write_text(json.dumps(saved, indent=2), encoding="utf-8")


def _read_state() -> dict[str, Any]:
    return dict(json.loads(STATE_FILE.read_text(encoding="utf-8")))


def _running_leaders(saved: dict[str, Any]) -> list[psutil.Process]:
    """Return the recorded processes that still run, leaving out reused pids."""
    found = []
    for entry in saved["processes"].values():
        try:
            process = psutil.Process(entry["pid"])
        except psutil.NoSuchProcess:
            continue
        if abs(process.create_time() - entry["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def main(arguments: list[str]) -> int:
    """Run the command in ``arguments`` and return its exit code."""
    match arguments:
        case ["up"]:
            return up()
        case ["down"]:
            return down()
        case ["backfill", first, last]:
            return backfill(first, last)
    print("usage: python -m dev.up up | down | backfill FROM TO", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (StackError, httpx.HTTPError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted")
