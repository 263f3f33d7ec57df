"""Interrupts of statements by the driver of a SESSION run."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Executes a statement as the driver does, but without Spark, and cancels it once the file "begun" exists.
DRIVER = """
import sys, threading, time
from pathlib import Path
from airflow_provider_dataflow.local.engines.spark import session_driver

folder = Path(sys.argv[1])

class Spark:
    class sparkContext:
        setJobGroup = staticmethod(lambda group, description, interruptOnCancel: None)
        @staticmethod
        def cancelJobGroup(group):
            with open(folder / "cancelled", "a") as f:
                f.write(group + "\\n")
        cancelAllJobs = staticmethod(lambda: None)
    class streams:
        active = ()

def cancel():
    while not (folder / "begun").exists():
        time.sleep(0.01)
    (folder / "0.cancel").touch()

threading.Thread(target=cancel, daemon=True).start()
names = {"spark": Spark, "begun": (folder / "begun").touch}
session_driver._run_statement(str(folder), {"number": 0, "code": sys.argv[2]}, names)
session_driver._run_statement(str(folder), {"number": 1, "code": "1 + 1"}, names)
# A thread cancels the jobs; do not end the process before.
while not (folder / "cancelled").exists() or not (folder / "cancelled").stat().st_size:
    time.sleep(0.01)
"""
ENDLESS = 600


@pytest.mark.parametrize(
    "code",
    [
        f"import time; begun(); time.sleep({ENDLESS})",
        f"import os, time; begun(); os.system('sleep {ENDLESS}'); time.sleep({ENDLESS})",
        f"import subprocess; begun(); subprocess.run(['sleep', '{ENDLESS}'])",
        "import threading; begun(); threading.Event().wait()",
        "import socket; a, b = socket.socketpair(); begun(); a.recv(1)",
        "import queue; begun(); queue.Queue().get()",
        f"import asyncio; begun(); asyncio.run(asyncio.sleep({ENDLESS}))",
        "begun()\nwhile True: pass",
        # Survives the first interrupt.
        f"import time\nbegun()\ntry: time.sleep({ENDLESS})\nexcept BaseException: time.sleep({ENDLESS})",
    ],
)
def test_cancel_interrupts_a_blocking_statement(tmp_path, code):
    subprocess.run([sys.executable, "-c", DRIVER, tmp_path, code], check=True, timeout=60)
    assert json.loads((tmp_path / "0.json").read_text())["error_name"] == "KeyboardInterrupt"
    assert json.loads((tmp_path / "1.json").read_text()) == {"succeeded": True, "value": "2"}
    assert set((tmp_path / "cancelled").read_text().splitlines()) == {"statement 0"}
