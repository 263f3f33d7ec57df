"""Command that runs under a supervisor process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from airflow_provider_dataflow.local.engines import supervisor
from airflow_provider_dataflow.local.engines.processes import MARKER, kill_with_marker, marker_value

GRACE_SECONDS = 2.0


class SupervisedProcess:
    """Command whose processes all end when it ends, when it is cancelled, and when this process dies."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        home: Path,
        run_id: str,
        environment: Mapping[str, str],
        folder: Path,
        exit_file: Path,
        stdout: Path,
        stderr: Path,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._home, self._run_id, self._exit_file = home, run_id, exit_file
        self._lock = threading.Lock()
        # -I -S: the supervisor needs only the standard library, and starts three times as fast with these.
        script = [sys.executable, "-I", "-S", supervisor.__file__]
        with open(folder.parent / "supervisor.log", "ab") as errors:
            self._popen = subprocess.Popen(  # noqa: S603
                [*script, str(exit_file), str(grace), str(stdout), str(stderr), *command],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                cwd=folder,
                env={**environment, MARKER: marker_value(home, run_id)},
                start_new_session=True,
            )

    def cancel(self) -> None:
        """Request the end with SIGTERM, so that Spark can clean up, and SIGKILL after the grace period."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self._popen.stdin is not None  # noqa: S101
            os.write(self._popen.stdin.fileno(), b"cancel\n")

    def kill(self) -> None:
        """Kill all processes at once, as when this process dies."""
        with self._lock, contextlib.suppress(OSError):
            assert self._popen.stdin is not None  # noqa: S101
            self._popen.stdin.close()

    def wait(self) -> dict[str, object] | None:
        """Wait until no process is left. Return the supervisor's report, or ``None`` if it was killed."""
        self._popen.wait()
        self.kill()
        outcome = read_exit_file(self._exit_file)
        if outcome is None or sys.platform != "linux":
            kill_with_marker(self._home, self._run_id)
        return outcome


def read_exit_file(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
