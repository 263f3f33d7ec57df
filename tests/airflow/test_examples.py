"""Example DAGs as system tests in a real Airflow."""

from __future__ import annotations

import csv

from harness import Session

from dev.airflow_rest import FINISHED_RUN, wait_until


def rows_of(session: Session, month: str) -> list[dict[str, str]]:
    folder = session.local.bucket() / "monthly" / f"month={month}"
    rows: list[dict[str, str]] = []
    for part in folder.glob("part-*.csv"):
        with part.open(newline="", encoding="utf-8") as stream:
            rows.extend(csv.DictReader(stream))
    return rows


def test_sensor_waits_for_run_of_another_task(session: Session) -> None:
    assert session.rest.wait_for_run("example_run_sensor", session.dag_run) == "success"

    run_id = session.run_id("example_run_sensor", "submit")
    run = session.local.run(run_id)
    tasks = {task["task_id"]: task for task in session.rest.tasks("example_run_sensor", session.dag_run)}
    # The first task did not wait; the sensor did.
    assert tasks["submit"]["end_date"] < run.time_updated.isoformat()
    assert session.rest.xcom("example_run_sensor", session.dag_run, "wait") == "SUCCEEDED"
    assert run_id in session.rest.log_text("example_run_sensor", session.dag_run, "wait")
    assert [row["airport"] for row in rows_of(session, "2013-02")] == ["EWR", "JFK", "LGA"]


def test_local_code_is_uploaded_from_the_bundle_and_runs(session: Session) -> None:
    assert session.rest.wait_for_run("example_local_code", session.dag_run, timeout=240) == "success"

    run = session.local.run(session.run_id("example_local_code", "windy_days"))
    assert run.file_uri.startswith("oci://weather@local/staging/files/")
    folder = session.local.bucket() / "windy_days" / "month=2013-03"
    rows = [row for part in folder.glob("part-*.csv") for row in part.read_text().splitlines()]
    assert [row.split(",")[0] for row in rows[1:]] == ["EWR", "EWR", "JFK", "JFK", "LGA", "LGA"]
    log = session.rest.log_text("example_local_code", session.dag_run, "windy_days")
    assert "weather_helpers.zip uploaded" in log
    # Printed by the required package.
    assert "| airport |    day" in log


def test_session_runs_statements_and_ends(session: Session) -> None:
    assert session.rest.wait_for_run("example_session", session.dag_run, timeout=240) == "success"

    run = session.local.run(session.run_id("example_session", "weather.start"))
    assert (run.type, run.lifecycle_state, run.idle_timeout_in_minutes) == ("SESSION", "STOPPED", 30)
    count = session.rest.xcom("example_session", session.dag_run, "weather.count")
    airports = session.rest.xcom("example_session", session.dag_run, "weather.airports")
    assert [row["airport"] for row in airports] == ["EWR", "JFK", "LGA"]
    assert sum(int(row["count"]) for row in airports) == int(count)
    assert "|airport|count|" in session.rest.log_text("example_session", session.dag_run, "weather.airports")


def test_sql_endpoint_is_started_for_a_query_and_stopped(session: Session) -> None:
    assert session.rest.wait_for_run("example_sql_endpoint", session.dag_run) == "success"

    endpoint_id = session.rest.xcom(
        "example_sql_endpoint", session.dag_run, "start_endpoint", "sql_endpoint_id"
    )
    assert session.local.client.get_sql_endpoint(endpoint_id).data.lifecycle_state == "INACTIVE"
    query = session.rest.xcom("example_sql_endpoint", session.dag_run, "query")
    assert query.startswith("connect to jdbc:")


def test_functions_run_in_spark_once_per_month(session: Session) -> None:
    dag_id, mapped = "example_task_decorator", "warmest_hour"
    assert session.rest.wait_for_run(dag_id, session.dag_run, timeout=240) == "success"

    hours = [session.rest.xcom(dag_id, session.dag_run, mapped, map_index=index) for index in (0, 1)]
    assert [(hour["airport"], hour["temp_f"]) for hour in hours] == [("EWR", 93.92), ("EWR", 100.04)]
    assert session.rest.xcom(dag_id, session.dag_run, "warmest") == hours[1]
    runs = [session.rest.xcom(dag_id, session.dag_run, mapped, "run_id", map_index=index) for index in (0, 1)]
    assert [session.local.run(run).lifecycle_state for run in runs] == ["SUCCEEDED"] * 2


def test_backfill_runs_each_month_once_with_its_data(session: Session) -> None:
    def ended() -> list[dict[str, str]] | None:
        runs = session.rest.dag_runs("example_backfill")
        return runs if len(runs) == 3 and all(run["state"] in FINISHED_RUN for run in runs) else None

    runs = wait_until(ended, "three backfilled runs to end", timeout=240)

    assert [run["state"] for run in runs] == ["success"] * 3
    hours = {"2013-03": "743", "2013-04": "720", "2013-05": "744"}
    assert {run["logical_date"][:7] for run in runs} == set(hours)
    for run in runs:
        month = run["logical_date"][:7]
        run_id = session.rest.xcom("example_backfill", run["dag_run_id"], "monthly_weather", "run_id")
        assert session.local.run(run_id).display_name == f"monthly_weather {month}"
        assert {row["airport"]: row["hours"] for row in rows_of(session, month)}["EWR"] == hours[month]
