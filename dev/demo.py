"""The demo: a DAG in a real Airflow runs a Spark application on Local Data Flow.

It starts both, triggers ``example_invoke_run``, shows what happens and what came out, and stops both again.
The exit code says whether all of that worked.
"""

from __future__ import annotations

import csv
import shutil
import sys
import time
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from dev.processes import StackError, tail
from dev.progress import Progress, table
from dev.workbench import STATE, Workbench, interrupt_on_terminate

DAG_ID, TASK_ID, RUN_ID, MONTH = "example_invoke_run", "monthly_weather", "demo", "2013-01"
TIMEOUT = 240.0


class Demo:
    """One DAG run, watched from the trigger to the result."""

    def __init__(self, bench: Workbench, progress: Progress) -> None:
        self.bench = bench
        self.rest = bench.airflow.rest
        self.progress = progress
        self.run_id: str | None = None
        self._seen: tuple[str | None, str | None] = (None, None)

    def trigger(self) -> None:
        """Start the DAG run as soon as the DAG is known."""
        self.rest.wait_for_dags({DAG_ID})
        self.rest.trigger(DAG_ID, RUN_ID, conf={"month": MONTH})
        self.progress.line(f"DAG run {RUN_ID!r} of {DAG_ID} triggered")

    def watch(self) -> str:
        """Show the states of the task and of the run until the DAG run ends; return its state."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            self.bench.airflow.check_alive()
            state = self.rest.dag_run(DAG_ID, RUN_ID)["state"]
            self._look()
            if state in ("success", "failed"):
                self.progress.done()
                return str(state)
            time.sleep(0.3)
        raise StackError(f"the DAG run has not ended within {TIMEOUT:.0f} s")

    def _look(self) -> None:
        task = self.rest.task(DAG_ID, RUN_ID, TASK_ID)["state"]
        self.run_id = self.run_id or self.rest.xcom(DAG_ID, RUN_ID, TASK_ID, "run_id")
        run = self.bench.local.run(self.run_id).lifecycle_state if self.run_id else None
        if self._seen != (task, run):
            self._seen = (task, run)
            self.progress.done()
            self.progress.line(f"task {task or '-':<10} run {run or '-'}")
            if self.progress.live:
                self.progress.status("Waiting")

    # The end -----------------------------------------------------------------------------------------------

    def result(self) -> list[list[str]]:
        """Return the rows that the Spark application has written."""
        folder = self.bench.local.bucket() / "monthly" / f"month={MONTH}"
        rows: list[list[str]] = []
        for part in sorted(folder.glob("part-*.csv")):
            with part.open(newline="", encoding="utf-8") as stream:
                rows.extend(csv.reader(stream))
        return rows

    def run_states(self) -> list[list[str]]:
        """Return the states of the run with their times, as Local Data Flow has recorded them."""
        rows = [["state", "since", "after"]]
        begin: datetime | None = None
        for entry in self.bench.local.states(self.run_id or ""):
            moment = datetime.fromisoformat(entry["time"])
            begin = begin or moment
            rows.append([entry["state"], f"{moment:%H:%M:%S}", f"{(moment - begin).total_seconds():.1f} s"])
        return rows

    def driver_log(self) -> list[str]:
        """Return the part of the task's log that holds the driver's output."""
        events = [str(entry.get("event", "")) for entry in self.rest.log(DAG_ID, RUN_ID, TASK_ID)]
        begin = next((n for n, event in enumerate(events) if event.startswith("Driver's std")), len(events))
        output = list(takewhile(lambda event: not event.startswith("::"), events[begin:]))
        return [line for event in output for line in event.splitlines() if line.strip()]

    def summary(self) -> None:
        """Print what a person wants to know at the end."""
        rows, log = self.result(), self.driver_log()
        print(f"\nRun id (from XCom)\n  {self.run_id}")
        print(f"\nIts states\n{table(self.run_states())}")
        print(f"\nRows that Spark has written to oci://weather@local/monthly/month={MONTH}/")
        print(table(rows))
        print("\nThe driver's output, as found in the task's log")
        print("\n".join(f"  {line}" for line in log))
        if len(rows) < 2 or not any("observations" in line or "hours of" in line for line in log):
            raise StackError("the DAG run succeeded, but rows or log lines are missing")


def main() -> int:
    """Run the demo."""
    interrupt_on_terminate()
    progress = Progress()
    home = STATE / "demo"
    # One run is over before an archive of class data would pay.
    bench = Workbench(home, local_options=("--no-warm",))
    ok = False
    try:
        progress.status("Starting Local Data Flow and Airflow")
        bench.start(progress.line)
        demo = Demo(bench, progress)
        demo.trigger()
        state = demo.watch()
        progress.line(f"DAG run {RUN_ID!r} ended: {state}")
        if state == "success":
            demo.summary()
            ok = True
        else:
            print(demo.rest.log_text(DAG_ID, RUN_ID, TASK_ID))
    except KeyboardInterrupt:
        progress.line("Interrupted")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and everything is stopped
        progress.done()
        print(f"The demo failed: {error}", file=sys.stderr)
        print(f"\nLocal Data Flow's log:\n{tail(bench.local.log, 20)}", file=sys.stderr)
    finally:
        progress.status("Stopping")
        killed = bench.stop()
        progress.done()
    progress.line("Stopped; nothing is left running")
    if killed:
        print(f"Had to be killed: {', '.join(killed)}")
    _farewell(bench, home, ok=ok)
    return 0 if ok else 1


def _farewell(bench: Workbench, home: Path, *, ok: bool) -> None:
    relative = home.relative_to(STATE.parent)
    if not ok:
        print(f"\nEverything that was logged: {relative}/airflow/logs, {relative}/dataflow")
        return
    shutil.rmtree(home / "airflow", ignore_errors=True)
    print(
        f"\nThe UI was at {bench.airflow.url}. To click in it:\n"
        "  make up        both servers stay, with the UI to log in to without a password\n"
        "  make backfill  one Spark run per month over 2013-01-01 to 2013-03-01 (FROM=..., TO=...)\n"
        "  make down      stops them\n"
        f"Spark's output is in {relative}/dataflow/buckets/local/weather/monthly"
    )


if __name__ == "__main__":
    sys.exit(main())
