"""Home of a server: the folder with its state, buckets, logs and identity."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm

from airflow_provider_dataflow.local.http.keys import Identity, load_identity
from airflow_provider_dataflow.local.http.server_settings import endpoint_of
from airflow_provider_dataflow.local.state.buckets import Buckets

DEFAULT_HOME = ".dataflow-local"
HOME_VARIABLE = "DATAFLOW_LOCAL_HOME"


class HomeUnusable(Exception):
    """The home cannot be read or written. The message has the cause and the remedy."""


class HomeInUse(HomeUnusable):
    """Another server uses this home."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Content of ``server.json``, which a server writes when it listens and removes when it stops."""

    pid: int
    port: int
    endpoint: str

    def is_valid(self) -> bool:
        """Return whether a server can have written these values."""
        return (
            type(self.pid) is int
            and type(self.port) is int
            and self.endpoint == endpoint_of(self.port)
            and 0 < self.port <= 65535
        )


class Home:
    """Paths and files of the home of a server."""

    def __init__(self, path: Path | str) -> None:
        # Resolved, because it is part of the marker by which the processes of runs are found.
        self.path = Path(path).expanduser().resolve()
        self.buckets = Buckets(self.path / "buckets")
        self.runs = self.path / "runs"
        # What Object Storage keeps beside the buckets.
        self.objects = self.path / "object-storage"
        self.state = self.path / "state.sqlite"
        self._info = self.path / "server.json"

    def create(self) -> None:
        """Create the folders that are missing.

        :raises HomeUnusable: a folder cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.runs.mkdir(exist_ok=True)
            self.buckets.root.mkdir(exist_ok=True)
        except OSError as e:
            raise self.unusable(e) from None

    def identity(self) -> Identity:
        """Return the identity of this home, which the first call creates.

        :raises HomeUnusable: the identity cannot be read or created.
        """
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
        """Return an error with the path of the home, the cause, and the remedy."""
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
        """Hold the lock of the home, so that no second server kills the runs of this one.

        :raises HomeInUse: another server holds the lock.
        :raises HomeUnusable: the lock file cannot be used.
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
        """Return the content of ``server.json``; its server may have been killed.

        :raises HomeUnusable: the file cannot be read.
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

    def wait_until_serving(self, pid: int, is_alive: Callable[[], bool], timeout: float) -> ServerInfo:
        """Wait until the server with this pid listens.

        :param timeout: seconds
        :raises TimeoutError: it does not listen in time
        :raises ChildProcessError: it ended
        :raises HomeUnusable: ``server.json`` cannot be read
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            info = self.info()
            if info is not None and info.pid == pid:
                return info
            if not is_alive():
                raise ChildProcessError("The server stopped before it listened.")
            time.sleep(0.02)
        raise TimeoutError(f"The server does not listen after {timeout:g} s.")

    def write_info(self, info: ServerInfo) -> None:
        temporary = self._info.with_name(f"{self._info.name}.{secrets.token_hex(4)}")
        temporary.write_text(json.dumps(asdict(info)) + "\n")
        temporary.replace(self._info)

    def remove_info(self) -> None:
        with contextlib.suppress(OSError, HomeUnusable):
            info = self.info()
            if info is not None and info.pid == os.getpid():
                self._info.unlink(missing_ok=True)
