"""Start server processes, and stop them with all of their descendants but no other process.

Each process that we start leads a session and has a marker in its environment. Descendants inherit both, and
hardly any loses both: a process that renames itself overwrites its environment, a daemon changes its session.
So orphaned descendants are found, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

MARKER = "DATAFLOW_DEV_STACK"


class StackError(RuntimeError):
    """A process of the stack did not start, work or stop as expected."""


class Stoppable(ABC):
    """Base of servers that run for the duration of a ``with`` block; stops them also if the start fails."""

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it can be used."""

    @abstractmethod
    def stop(self) -> list[str]:
        """Stop the server; return descriptions of the processes that had to be killed."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port(preferred: int = 0) -> int:
    """Return a TCP port of the loopback interface that is free at the moment, if possible ``preferred``."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment plus ``extra``, without variables that would change how a child behaves.

    The user's own Airflow settings, connections and variables must not leak into the stack. Requests to
    loopback must not go through a proxy. Without bytecode, each Airflow process would compile all modules.
    """
    dropped = ("AIRFLOW", "_AIRFLOW", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "SPARK_", "PYSPARK_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    return env | dict(extra)


def _die_with_parent() -> None:
    """Ask Linux to send SIGTERM to this process when its parent ends. Runs in the child before exec."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    detached: bool = False,
    **identity: Any,
) -> psutil.Popen:
    """Start a command in a session of its own.

    :param log: file to which its output is appended.
    :param detached: it outlives us; otherwise it gets a SIGTERM when we end.
    :param identity: ``user``, ``group`` and ``extra_groups`` to run as; default: ours.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return psutil.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=None if detached else _die_with_parent,
            **identity,
        )


def own_processes(marker: str, leaders: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield the running processes that have a non-empty ``marker`` or are in a session of ``leaders``."""
    # If the pid of an ended leader was reused, the session with this number is not ours.
    sessions = {leader.pid for leader in leaders if leader.is_running() or not psutil.pid_exists(leader.pid)}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            in_session = os.getsid(process.pid) in sessions
            if in_session or (marker and process.environ().get(MARKER) == marker):
                yield process
        except (psutil.Error, OSError):
            continue


def stop(marker: str, leaders: Sequence[psutil.Process], *, timeout: float = 15.0) -> list[str]:
    """Send SIGTERM to each leader, and after ``timeout`` seconds SIGKILL to what is left of their processes.

    Return descriptions of the processes that had to be killed. SIGTERM is sent only once: at the second one,
    Airflow exits without stopping its children.
    """
    for leader in leaders:
        try:
            leader.send_signal(signal.SIGCONT)  # a suspended process does not handle SIGTERM
            leader.terminate()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(leaders, timeout=timeout)
    deadline = time.monotonic() + 2.0
    while (left := list(own_processes(marker, leaders))) and time.monotonic() < deadline:
        time.sleep(0.1)
    killed: list[str] = []
    for _ in range(50):
        if not left:
            return killed
        for process in left:
            killed.append(describe(process))
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1.0)
        left = list(own_processes(marker, leaders))
    raise StackError(f"processes still run after SIGKILL: {', '.join(describe(process) for process in left)}")


def describe(process: psutil.Process) -> str:
    """Return pid and command line of a process; only the pid if it has ended."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return str(process.pid)


def tail(path: Path, lines: int = 30) -> str:
    """Return the last lines of a log file, or a note that it does not exist."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"({path} does not exist)"


def run(command: Sequence[str], *, env: Mapping[str, str]) -> str:
    """Run a command and return its output.

    :raises StackError: it has failed; the message has its output.
    """
    done = subprocess.run(
        list(command), env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(
            f"{' '.join(command)} failed with code {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout
