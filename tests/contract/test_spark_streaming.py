"""Streams on real Spark: they continue from their checkpoint after maintenance, and are started again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import BUCKET, NAMESPACE

pytestmark = [pytest.mark.spark, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "spark" / "rate_stream.py"

FAILS_TWICE = b"""\
import sys
from pathlib import Path

starts = Path(sys.argv[1])
number = int(starts.read_text()) + 1 if starts.exists() else 1
starts.write_text(str(number))
print(number, flush=True)
sys.exit(3 if number < 3 else 0)
"""


def wait_for(probe: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 120
    while not (found := probe()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def numbers_in(output: Path) -> list[int]:
    """Return the numbers in the files that the sink has committed, as Spark reads them."""
    committed = set()
    for batch in (output / "_spark_metadata").glob("[0-9]*"):
        for line in batch.read_text().splitlines()[1:]:
            entry = json.loads(line)
            assert entry["action"] == "add"
            committed.add(entry["path"].rpartition("/")[2])
    lines = (line for name in committed for line in (output / name).read_text().splitlines())
    return [json.loads(line)["value"] for line in lines]


def test_stream_loses_and_doubles_no_row_over_three_maintenances(local, target):
    target.upload("rate_stream.py", EXAMPLE.read_bytes())
    uri, output = f"{target.bucket_uri}numbers", local.bucket_path(NAMESPACE, BUCKET) / "numbers/out"
    application = target.create_application(
        "rate_stream.py",
        type="STREAMING",
        arguments=[
            "--output",
            f"{uri}/out/",
            "--checkpoint",
            f"{uri}/checkpoint/",
            "--interval",
            "500 milliseconds",
        ],
    )

    def of_application() -> list[dict[str, Any]]:
        """Return the runs of the application, oldest first."""
        return [run for run in local.runs if run["applicationId"] == application.id]

    def live_run() -> str | None:
        *_, last = of_application()
        return last["id"] if last["lifecycleState"] == "IN_PROGRESS" else None

    target.submit(application.id)
    largest = -1
    for _ in range(3):
        run_id = wait_for(live_run, "the run or its successor to start")
        wait_for(lambda seen=largest: max(numbers_in(output), default=-1) > seen, "new numbers")
        local.maintain(run_id)
        run = target.wait(run_id)
        assert run.lifecycle_state == "STOPPED"
        assert "maintenance" in run.lifecycle_details
        largest = max(numbers_in(output))
        wait_for(lambda run_id=run_id: of_application()[-1]["id"] != run_id, "the successor")
    run_id = wait_for(live_run, "the last successor to start")
    wait_for(lambda: max(numbers_in(output)) > largest, "new numbers")
    target.client.delete_run(run_id)
    assert target.wait(run_id).lifecycle_state == "STOPPED"
    assert len(of_application()) == 4
    numbers = sorted(numbers_in(output))
    assert numbers == list(range(len(numbers)))


def test_stream_is_started_again_after_non_zero_exit(local, target, tmp_path):
    """The limit of ten is tested without Spark, see tests/unit/local/engines/test_restarts.py."""
    target.upload("fails_twice.py", FAILS_TWICE)
    starts = tmp_path / "starts"
    application = target.create_application("fails_twice.py", type="STREAMING", arguments=[str(starts)])
    run = target.wait(target.submit(application.id).id)
    assert (run.lifecycle_state, run.lifecycle_details) == ("SUCCEEDED", None)
    assert local.run_states(run.id) == ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]
    assert target.log(run.id, "spark_application_stdout.log.gz").splitlines() == ["1", "2", "3"]
