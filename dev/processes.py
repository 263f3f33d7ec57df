"""Start server processes, and stop exactly those again.

What we started leads a session of its own and carries a marker in its environment. Descendants inherit both,
and few lose both: those that rename themselves overwrite their environment, daemons change their session. So
stopping ends nothing but our own, and also finds what has been orphaned.
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
    """Something of the stack did not start, work or stop as it should."""


class Stoppable(ABC):
    """Something that runs within a ``with`` block; what a failed start has begun is stopped, too."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and return when it can be used."""

    @abstractmethod
    def stop(self) -> list[str]:
        """Stop it; return the processes that had to be killed."""

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
    """Return a TCP port of the loopback interface that nothing listens on at the moment."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment without what would change how a child behaves, plus ``extra``.

    The user's own Airflow settings, connections and variables must not leak into the stack, requests to
    loopback must not go through a proxy, and without bytecode every Airflow process compiles itself anew.
    """
    dropped = ("AIRFLOW", "_AIRFLOW", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "SPARK_", "PYSPARK_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name), "127.0.0.1", "localhost"]))
    return env | dict(extra)


def _die_with_parent() -> None:
    """In the child, before exec: ask Linux for a SIGTERM when the parent is gone, however it went."""
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
    """Start ``command`` in a session of its own, output appended to ``log``.

    ``detached`` processes outlive us; the others get a SIGTERM when we die. ``identity`` is the user, group
    and groups that it runs as, if not ours.
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


def ours(marker: str, leaders: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    """Yield the living processes that carry ``marker``, unless empty, or are in a session of ``leaders``."""
    # A number that another process has been given since is no session of ours any more.
    sessions = {leader.pid for leader in leaders if leader.is_running() or not psutil.pid_exists(leader.pid)}
    for process in psutil.process_iter():
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            led = os.getsid(process.pid) in sessions
            if led or (marker and process.environ().get(MARKER) == marker):
                yield process
        except (psutil.Error, OSError):
            continue


def stop(marker: str, leaders: Sequence[psutil.Process], *, timeout: float = 15.0) -> list[str]:
    """End ``leaders`` by one SIGTERM each, and by SIGKILL what is left of them and theirs after ``timeout``.

    Return what had to be killed. One SIGTERM only: Airflow takes a second one for impatience and leaves its
    children behind.
    """
    for leader in leaders:
        try:
            leader.send_signal(signal.SIGCONT)  # a stopped process would never see the SIGTERM
            leader.terminate()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(leaders, timeout=timeout)
    deadline = time.monotonic() + 2.0
    while (left := list(ours(marker, leaders))) and time.monotonic() < deadline:
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
        left = list(ours(marker, leaders))
    raise StackError(f"processes would not end: {', '.join(describe(process) for process in left)}")


def describe(process: psutil.Process) -> str:
    """Return pid and command line, as far as they can still be read."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return str(process.pid)


def tail(path: Path, lines: int = 30) -> str:
    """Return the last lines of a log file, or a word about its absence."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"({path} does not exist)"


def run(command: Sequence[str], *, env: Mapping[str, str]) -> str:
    """Run a command to its end and return what it printed; raise with all of it if it failed."""
    done = subprocess.run(
        list(command), env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StackError(
            f"{' '.join(command)} failed with code {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout
