"""Demo: a DAG in a real Airflow runs a Spark application on Local Data Flow.

It starts both servers, triggers ``example_invoke_run``, shows its progress and its result, and the DAG
``example_run_event``, which the asset of the result has started. Then it stops both servers. The exit code
is 0 if all of that succeeded.
"""

from __future__ import annotations

import csv
import shutil
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from dev.airflow_rest import wait_until
from dev.processes import StackError, tail
from dev.progress import Progress, table
from dev.workbench import STATE, Workbench, interrupt_on_terminate

DAG_ID, TASK_ID, RUN_ID, MONTH = "example_invoke_run", "monthly_weather", "demo", "2013-01"
EVENT_DAG_ID, EVENT_TASK_ID = "example_run_event", "report"
TIMEOUT_SECONDS = 240.0
LOG_TIMEOUT_SECONDS = 20.0


class Demo:
    """One DAG run, shown from its start to its result."""

    def __init__(self, bench: Workbench, progress: Progress) -> None:
        self.bench = bench
        self.rest = bench.airflow.rest
        self.progress = progress
        self.run_id: str | None = None
        self._shown: tuple[str | None, str | None] = (None, None)

    def trigger(self) -> None:
        """Start the DAG run as soon as the DAG has been parsed."""
        # The asset starts only DAGs that have been parsed.
        self.rest.wait_for_dags({DAG_ID, EVENT_DAG_ID})
        self.rest.trigger(DAG_ID, RUN_ID, conf={"month": MONTH})
        self.progress.line(f"DAG run {RUN_ID!r} of {DAG_ID} triggered")

    def watch(self) -> str:
        """Print changes of the task's and the run's state until the DAG run ends; return its state."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            self.bench.airflow.check_alive()
            state = self.rest.dag_run(DAG_ID, RUN_ID)["state"]
            self._show_changes()
            if state in ("success", "failed"):
                self.progress.done()
                return str(state)
            time.sleep(0.3)
        raise StackError(f"the DAG run has not ended within {TIMEOUT_SECONDS:.0f} s")

    def _show_changes(self) -> None:
        task = self.rest.task(DAG_ID, RUN_ID, TASK_ID)["state"]
        self.run_id = self.run_id or self.rest.xcom(DAG_ID, RUN_ID, TASK_ID, "run_id")
        run = self.bench.local.run(self.run_id).lifecycle_state if self.run_id else None
        if self._shown != (task, run):
            self._shown = (task, run)
            self.progress.done()
            self.progress.line(f"task {task or '-':<10} run {run or '-'}")
            if self.progress.live:
                self.progress.status("Waiting")

    # Result ------------------------------------------------------------------------------------------------

    def result(self) -> list[list[str]]:
        """Return the CSV rows that the Spark application has written."""
        folder = self.bench.local.bucket() / "monthly" / f"month={MONTH}"
        rows: list[list[str]] = []
        for part in sorted(folder.glob("part-*.csv")):
            with part.open(newline="", encoding="utf-8") as stream:
                rows.extend(csv.reader(stream))
        return rows

    def run_states(self) -> list[list[str]]:
        """Return a table of the run's states and their times from Local Data Flow."""
        rows = [["state", "since", "after"]]
        begin: datetime | None = None
        for entry in self.bench.local.states(self.run_id or ""):
            moment = datetime.fromisoformat(entry["time"])
            begin = begin or moment
            rows.append([entry["state"], f"{moment:%H:%M:%S}", f"{(moment - begin).total_seconds():.1f} s"])
        return rows

    def driver_log(self) -> list[str]:
        """Return the driver's output from the task's log, as soon as the log has all of it.

        A task is a success before Airflow has written the last lines of its log.
        """
        deadline = time.monotonic() + LOG_TIMEOUT_SECONDS
        while True:
            events = [str(entry.get("event", "")) for entry in self.rest.log(DAG_ID, RUN_ID, TASK_ID)]
            output = driver_output(events)
            if shows_result(output) or time.monotonic() > deadline:
                return output
            time.sleep(0.3)

    def asset_event(self) -> tuple[str, str]:
        """Return the DAG run that the asset event of the task has started, and what it says about the run."""

        def probe() -> tuple[str, str] | None:
            for dag_run in self.rest.dag_runs(EVENT_DAG_ID):
                started = str(dag_run["dag_run_id"])
                if dag_run["state"] == "failed":
                    raise StackError(f"the DAG run {started!r} of {EVENT_DAG_ID} has failed")
                if dag_run["state"] == "success":
                    for entry in self.rest.log(EVENT_DAG_ID, started, EVENT_TASK_ID):
                        event = str(entry.get("event", ""))
                        if self.run_id and self.run_id in event:
                            return started, event
            return None

        return wait_until(probe, f"a DAG run of {EVENT_DAG_ID}", timeout=TIMEOUT_SECONDS, interval=0.5)

    def summary(self) -> None:
        """Print run id, states, rows, driver output and the DAG run that the asset event has started."""
        rows, log = self.result(), self.driver_log()
        print(f"\nRun id (from XCom)\n  {self.run_id}")
        print(f"\nStates of the run\n{table(self.run_states())}")
        print(f"\nRows written to oci://weather@local/monthly/month={MONTH}/")
        print(table(rows))
        print("\nDriver output in the task's log")
        print("\n".join(f"  {line}" for line in log))
        if len(rows) < 2 or not shows_result(log):
            raise StackError("the DAG run succeeded, but its rows or its driver output are missing")
        started, report = self.asset_event()
        print(f"\nDAG run of {EVENT_DAG_ID}, started by the asset event of the task\n  {started}\n  {report}")


def driver_output(events: Iterable[str]) -> list[str]:
    """Return the lines of a task's log that the driver has written, with their headings.

    They are in several parts if the run wrote while the task was deferred: the triggerer's lines come before
    those of the resumed worker. Each part has a heading, and a border that starts with ``::`` ends it.
    """
    output: list[str] = []
    is_driver = False
    for event in events:
        is_driver = not event.startswith("::") and (is_driver or event.startswith("Driver's std"))
        if is_driver:
            output += [line for line in event.splitlines() if line.strip()]
    return output


def shows_result(output: Iterable[str]) -> bool:
    """Return whether the driver's output has a line that the application writes at its end."""
    return any("observations" in line or "hours of" in line for line in output)


def main() -> int:
    """Run the demo."""
    interrupt_on_terminate()
    progress = Progress()
    home = STATE / "demo"
    # An archive of class data would take longer than the only run.
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
    except Exception as error:  # noqa: BLE001 - print any error, then stop the servers
        progress.done()
        print(f"The demo failed: {error}", file=sys.stderr)
        print(f"\nLocal Data Flow's log:\n{tail(bench.local.log, 20)}", file=sys.stderr)
    finally:
        progress.status("Stopping")
        killed = bench.stop()
        progress.done()
    progress.line("Stopped; no process is left running")
    if killed:
        print(f"Had to be killed: {', '.join(killed)}")
    _print_next_steps(bench, home, ok=ok)
    return 0 if ok else 1


def _print_next_steps(bench: Workbench, home: Path, *, ok: bool) -> None:
    relative = home.relative_to(STATE.parent)
    if not ok:
        print(f"\nLogs: {relative}/airflow/logs, {relative}/dataflow")
        return
    shutil.rmtree(home / "airflow", ignore_errors=True)
    print(
        f"\nThe UI was at {bench.airflow.url}. To use it:\n"
        "  make up        start both servers and leave them running; no password is needed\n"
        "  make backfill  submit one Spark run per month from 2013-01-01 to 2013-03-01 (FROM=..., TO=...)\n"
        "  make down      stop both servers\n"
        f"Spark's output is in {relative}/dataflow/buckets/local/weather/monthly"
    )


if __name__ == "__main__":
    sys.exit(main())
