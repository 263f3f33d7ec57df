"""Local Data Flow as a child process of a Python program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_provider_dataflow.local import LocalDataFlow


def test_import_does_not_load_the_web_server():
    """Only the server's process needs it."""
    code = (
        "import sys, airflow_provider_dataflow.local.testing.embedded\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "uvicorn" not in done.stdout.split()


def test_error_of_a_local_route_has_status_and_body(tmp_path):
    with LocalDataFlow(tmp_path, engine="scripted") as server:
        message = r'^POST /_local/clock failed with status 409: \{.*"IncorrectState".*--clock manual'
        with pytest.raises(RuntimeError, match=message):
            server.advance(1)
        assert len(server.local("runs?limit=1")) == 0
        assert server.local("journal", operation="GetRun", after="0")["entries"] == []
        # As when the server has crashed: the object does not know yet.
        server._process.kill()
        server._process.wait()
        with pytest.raises(RuntimeError, match=r"^GET /_local/health failed: No server responds at http"):
            server.local("health")
