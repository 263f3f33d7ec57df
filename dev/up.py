"""``make up``, ``make down`` and ``make backfill``: the demo's servers, left running to click in."""

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
RECORD = STATE / "up.json"
PORT = 8080


def up() -> int:
    """Start both servers and leave them running."""
    if RECORD.exists():
        record = _record()
        if _leaders(record):
            print(f"Already up: {record['url']} (make down stops it)")
            return 0
        RECORD.unlink()
    interrupt_on_terminate()
    progress = Progress()
    bench = Workbench(HOME, port=processes.free_port(PORT), detached=True)
    try:
        progress.status("Starting Local Data Flow and Airflow")
        bench.launch(progress.line)
        _write_record(bench)
        bench.wait(progress.line)
        progress.done()
    except BaseException:
        progress.done()
        bench.stop()
        RECORD.unlink(missing_ok=True)
        raise
    print(
        f"\nAirflow          {bench.airflow.url}   (no password)\n"
        f"Local Data Flow  {bench.local.endpoint}\n"
        f"Buckets          {bench.local.home.relative_to(STATE.parent)}/buckets\n\n"
        "Trigger example_invoke_run there, or: make backfill FROM=2013-01-01 TO=2013-03-01\n"
        "make down stops both."
    )
    return 0


def down() -> int:
    """Stop what ``up`` has started."""
    if not RECORD.exists():
        print("Nothing is up.")
        return 0
    record = _record()
    leaders = _leaders(record)
    web = [leader for leader in leaders if leader.pid == record["processes"]["api-server"]["pid"]]
    # The web server and Local Data Flow go last, so that the others can still report how their work ended.
    last = [*web, *(p for p in leaders if p.pid == record["processes"]["dataflow-local"]["pid"])]
    killed = processes.stop("", [leader for leader in leaders if leader not in last])
    for marker in record["markers"]:
        killed += processes.stop(marker, last)
    RECORD.unlink()
    print("Stopped; nothing is left running")
    if killed:
        print(f"Had to be killed: {', '.join(killed)}")
    return 0


def backfill(first: str, last: str) -> int:
    """Run ``example_backfill`` over the months from ``first`` to ``last`` and show how it goes."""
    if not RECORD.exists() or not _leaders(_record()):
        print("Nothing is up: make up first.", file=sys.stderr)
        return 1
    rest = AirflowRest(_record()["url"])
    progress = Progress()
    rest.wait_for_dags({"example_backfill"})
    rest.backfill("example_backfill", f"{first}T00:00:00Z", f"{last}T00:00:00Z")
    while True:
        # They are all there once the request is answered; runs of an earlier backfill stay as they are.
        dated = [run for run in rest.dag_runs("example_backfill") if run["logical_date"]]
        runs = [run for run in dated if first <= run["logical_date"][:10] <= last]
        progress.status(", ".join(f"{run['logical_date'][:7]} {run['state']}" for run in runs))
        if all(run["state"] in FINISHED_RUN for run in runs):
            break
        time.sleep(1)
    progress.done()
    if not runs:
        print("There are no such months: the data covers 2013.", file=sys.stderr)
        return 1
    failed = [run for run in runs if run["state"] != "success"]
    print(f"{len(runs) - len(failed)} runs succeeded, {len(failed)} failed")
    return 1 if failed else 0


def _write_record(bench: Workbench) -> None:
    started = dict(bench.airflow.processes)
    if bench.local.process is not None:
        started["dataflow-local"] = bench.local.process
    record = {
        "url": bench.airflow.url,
        "markers": [bench.airflow.marker, bench.local.marker],
        "processes": {
            name: {"pid": process.pid, "created": process.create_time()} for name, process in started.items()
        },
    }
    RECORD.write_text(json.dumps(record, indent=2), encoding="utf-8")


def _record() -> dict[str, Any]:
    return dict(json.loads(RECORD.read_text(encoding="utf-8")))


def _leaders(record: dict[str, Any]) -> list[psutil.Process]:
    """Return the recorded processes that still live; a number that was given to another one is not ours."""
    found = []
    for entry in record["processes"].values():
        try:
            process = psutil.Process(entry["pid"])
        except psutil.NoSuchProcess:
            continue
        if abs(process.create_time() - entry["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def main(arguments: list[str]) -> int:
    """Run one of the three commands."""
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
