"""Processes of runs are found by the marker in their environment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from airflow_provider_dataflow.local.engines.processes import (
    MARKER,
    find_marker,
    kill_with_marker,
    marker_value,
)


@pytest.mark.parametrize(
    ("environment", "value"),
    [
        (b"", None),
        (b"PATH=/bin\0HOME=/root\0", None),
        (b"DATAFLOW_RUN_ID=/home:run\0PATH=/bin\0", "/home:run"),
        (b"PATH=/bin\0DATAFLOW_RUN_ID=/home:run\0", "/home:run"),
        (b"PATH=/bin\0DATAFLOW_RUN_ID=/home:run", "/home:run"),
        (b"DATAFLOW_RUN_ID=\0", ""),
        (b"DATAFLOW_RUN_ID=a=b\nc\0", "a=b\nc"),
        (b"MY_DATAFLOW_RUN_ID=1\0", None),
        (b"OTHER=DATAFLOW_RUN_ID=1\0", None),
        (b"DATAFLOW_RUN_ID_2=1\0", None),
        (b"OTHER=x\nDATAFLOW_RUN_ID=1\0", None),
        (bytes(4_000_000), None),
        (bytes(1_000_000) + b"DATAFLOW_RUN_ID=/home:run", "/home:run"),
    ],
)
def test_marker_is_the_whole_value_of_that_variable(environment, value):
    assert find_marker(environment) == value


def test_value_of_any_bytes_is_a_file_name():
    assert find_marker(b"DATAFLOW_RUN_ID=/caf\xe9:run\0") == os.fsdecode(b"/caf\xe9:run")


def test_only_processes_with_the_marker_are_killed(tmp_path):
    def start(home: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            env={MARKER: marker_value(tmp_path / home, "run")},
        )

    with start("mine") as mine, start("other") as other:
        assert kill_with_marker(tmp_path / "mine") == 1
        assert mine.wait(10) == -9
        other.communicate(b"\n", timeout=10)
    assert other.returncode == 0
