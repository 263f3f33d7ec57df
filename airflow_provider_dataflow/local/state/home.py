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

from cryptography.exceptions import UnsupportedAlgorithm

from airflow_provider_dataflow.local.http.keys import Identity, load_identity
from airflow_provider_dataflow.local.state.buckets import Buckets

DEFAULT_HOME = ".dataflow-local"
HOME_VARIABLE = "DATAFLOW_LOCAL_HOME"


class HomeUnusable(Exception):
    """The folder cannot be read or written; the message says why and what to do."""


class HomeInUse(HomeUnusable):
    """Another server uses this folder."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Content of ``server.json``, which exists from when a server listens until it stops in good order."""

    pid: int
    port: int
    endpoint: str

    def is_valid(self) -> bool:
        """Whether the file had values that a server writes."""
        return (
            type(self.pid) is int
            and type(self.port) is int
            and self.endpoint == f"http://127.0.0.1:{self.port}"
            and 0 < self.port <= 65535
        )


class Home:
    def __init__(self, path: Path | str) -> None:
        # Resolved, as it is part of the marker by which processes of runs are found.
        self.path = Path(path).expanduser().resolve()
        self.buckets = Buckets(self.path / "buckets")
        self.runs = self.path / "runs"
        self.state = self.path / "state.sqlite"
        self._info = self.path / "server.json"

    def create(self) -> None:
        """:raises HomeUnusable: a folder cannot be made"""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.runs.mkdir(exist_ok=True)
            self.buckets.root.mkdir(exist_ok=True)
        except OSError as e:
            raise self.unusable(e) from None

    def identity(self) -> Identity:
        """:raises HomeUnusable: it cannot be read or made"""
        self.create()
        folder = self.path / "identity"
        try:
            return load_identity(folder)
        except OSError as e:
            raise self.unusable(e) from None
        except (ValueError, TypeError, UnsupportedAlgorithm) as e:
            raise HomeUnusable(
                f"The identity in {folder} is damaged ({e}). Remove that folder to get a new identity."
            ) from None

    def unusable(self, error: OSError) -> HomeUnusable:
        """Return the error that names the home, what is wrong, and what to do."""
        return HomeUnusable(
            f"The home {self.path} cannot be used: {self._reason(error)}. "
            f"Choose another folder with --home or ${HOME_VARIABLE}."
        )

    def _reason(self, error: OSError) -> str:
        where = Path(os.fsdecode(error.filename)) if error.filename else self.path
        if isinstance(error, FileExistsError | NotADirectoryError):
            for path in (where, *where.parents):
                if path.exists() and not path.is_dir():
                    return f"{path} is not a folder"
        reason = error.strerror or str(error)
        return reason if where == self.path else f"{reason}: {where}"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the home, so that no second server ends this one's runs.

        :raises HomeInUse: another server holds it
        :raises HomeUnusable: it cannot be locked
        """
        try:
            lock = open(self.path / "lock", "a")  # noqa: SIM115 - closed below
        except OSError as e:
            raise self.unusable(e) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                info = self.info()
                raise HomeInUse(
                    f"{self.path} is in use by another server"
                    + (f" (pid {info.pid}, {info.endpoint})." if info else ".")
                ) from None
            except OSError as e:
                raise self.unusable(e) from None
            yield

    def info(self) -> ServerInfo | None:
        """Return what the last server wrote when it began to listen; its process may be gone.

        :raises HomeUnusable: the folder cannot be read
        """
        try:
            info = ServerInfo(**json.loads(self._info.read_text()))
        except FileNotFoundError:
            return None
        except OSError as e:
            raise self.unusable(e) from None
        except (ValueError, TypeError, RecursionError):
            return None
        return info if info.is_valid() else None

    def write_info(self, info: ServerInfo) -> None:
        temporary = self._info.with_name(f"{self._info.name}.{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(asdict(info)) + "\n")
        temporary.replace(self._info)

    def remove_info(self) -> None:
        with contextlib.suppress(OSError, HomeUnusable):
            info = self.info()
            if info is not None and info.pid == os.getpid():
                self._info.unlink(missing_ok=True)
