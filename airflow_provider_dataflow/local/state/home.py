"""The one folder that holds everything of a server."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from airflow_provider_dataflow.local.http.keys import Identity, load_identity
from airflow_provider_dataflow.local.state.buckets import Buckets

DEFAULT_HOME = ".dataflow-local"
HOME_VARIABLE = "DATAFLOW_LOCAL_HOME"


class HomeInUse(Exception):
    """Another server works with this folder."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """``server.json``: there from the moment on at which a server listens, until it ends in good order."""

    pid: int
    port: int
    endpoint: str


class Home:
    def __init__(self, path: Path | str) -> None:
        # Resolved: it is part of the marker by which processes are found.
        self.path = Path(path).expanduser().resolve()
        self.buckets = Buckets(self.path / "buckets")
        self.runs = self.path / "runs"
        self.state = self.path / "state.sqlite"
        self._info = self.path / "server.json"

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.runs.mkdir(exist_ok=True)
        self.buckets.root.mkdir(exist_ok=True)

    def identity(self) -> Identity:
        self.create()
        return load_identity(self.path / "identity")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other servers out: they would end this one's runs.

        :raises HomeInUse: there is another one
        """
        with open(self.path / "lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                info = self.info()
                raise HomeInUse(
                    f"{self.path} is in use by another server"
                    + (f" (pid {info.pid}, {info.endpoint})." if info else ".")
                ) from None
            yield

    def info(self) -> ServerInfo | None:
        """Of the last server that began to listen; that process may be gone."""
        try:
            return ServerInfo(**json.loads(self._info.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write_info(self, info: ServerInfo) -> None:
        temporary = self._info.with_name(f"{self._info.name}.{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(asdict(info)) + "\n")
        temporary.replace(self._info)

    def remove_info(self) -> None:
        info = self.info()
        if info is not None and info.pid == os.getpid():
            self._info.unlink(missing_ok=True)
