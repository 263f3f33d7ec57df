"""Local Data Flow in a Python program: a server as a child process, and methods to control it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from airflow_provider_dataflow.local.cli.client_config import (
    CONNECTION_VARIABLE,
    connection_json,
    sdk_config,
)
from airflow_provider_dataflow.local.cli.server_client import RequestFailed, ServerClient
from airflow_provider_dataflow.local.cli.server_options import to_arguments
from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.local.http.faults import Fault
from airflow_provider_dataflow.local.http.keys import Identity
from airflow_provider_dataflow.local.http.messages import Principal
from airflow_provider_dataflow.local.http.tokens import (
    SessionToken,
    claims_of,
    new_token,
    principal_of,
)
from airflow_provider_dataflow.local.state.home import Home, ServerInfo
from airflow_provider_dataflow.local.state.options import Options

_START_TIMEOUT_SECONDS = 60.0
_STOP_TIMEOUT_SECONDS = 20.0
_NO_LIMIT = 10**9


class LocalDataFlow:
    """Server that runs during a ``with`` block. It also stops when this process ends, even by a crash.

    ::

        with LocalDataFlow() as local:
            (local.create_bucket("data") / "app.py").write_text("print('hello')")
            client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)

    :param home: folder for the state, buckets and logs; by default a temporary folder, deleted at the end
    :param port: 0 takes any free port
    :param max_concurrent_runs: by default what the machine can take; no limit with the scripted engine
    :param verify: whether requests must be signed with the key of :attr:`identity`
    :param warm: create the class-data archive in the background, if this machine has none yet
    :param engine: ``spark``, or ``scripted``: runs are simulated, as their configuration or rules define
    :param clock: ``system``, or ``manual``: time stops until :meth:`advance`
    :param options: further options of the server
    """

    def __init__(
        self,
        home: Path | str | None = None,
        port: int = 0,
        *,
        max_concurrent_runs: int | None = None,
        verify: bool = True,
        warm: bool = False,
        engine: str = "spark",
        clock: str = "system",
        options: Options | None = None,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="dataflow-local-") if home is None else None
        self._home = Home(self._temporary.name if self._temporary else str(home))
        self._arguments = [
            "--home",
            str(self._home.path),
            "--port",
            str(port),
            "--exit-with-stdin",
            "--quiet",
        ]
        if engine != "spark":
            self._arguments += ["--engine", engine]
        if clock != "system":
            self._arguments += ["--clock", clock]
        if max_concurrent_runs is not None:
            self._arguments += ["--max-concurrent-runs", str(max_concurrent_runs)]
        chosen = options or Options()
        self._arguments += to_arguments(chosen if verify else replace(chosen, verify_signatures=False))
        if not warm:
            self._arguments.append("--no-warm")
        self._process: subprocess.Popen[bytes] | None = None
        self._info: ServerInfo | None = None

    def start(self) -> Self:
        """Start the server and wait until it listens.

        :raises RuntimeError: it did not start; the message has its output
        """
        self._home.create()
        log_path = self._home.path / "server.log"
        begin = log_path.stat().st_size if log_path.exists() else 0
        with open(log_path, "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "airflow_provider_dataflow.local", "serve", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches this program only; the server then stops with it.
                start_new_session=True,
            )
        process = self._process
        try:
            self._info = self._home.wait_until_serving(
                process.pid, lambda: process.poll() is None, _START_TIMEOUT_SECONDS
            )
        except (ChildProcessError, TimeoutError) as e:
            self.kill()
            output = log_path.read_bytes()[begin:].decode(errors="replace").strip()
            raise RuntimeError(f"{e}\n{output}") from None
        return self

    def stop(self) -> None:
        """Stop the server and its runs. The state stays in the home, unless that is temporary."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Stop the server with SIGKILL, as in a crash."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = self._info = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def home(self) -> Path:
        return self._home.path

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def endpoint(self) -> str:
        return self._running.endpoint

    @property
    def _running(self) -> ServerInfo:
        if self._info is None:
            raise RuntimeError("The server is not running. Use it in a with block, or call start().")
        return self._info

    @property
    def identity(self) -> Identity:
        return self._home.identity()

    @property
    def compartment_id(self) -> str:
        return self.identity.compartment_id

    @property
    def connection_json(self) -> str:
        """Value of ``AIRFLOW_CONN_OCI_DEFAULT``."""
        return connection_json(self.identity, self.endpoint)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variable with the Airflow connection to the server."""
        return {CONNECTION_VARIABLE: self.connection_json}

    @property
    def sdk_config(self) -> dict[str, str]:
        """``config`` of a client of the ``oci`` SDK."""
        return sdk_config(self.identity)

    def bucket_path(self, namespace: str, bucket: str) -> Path:
        """Return the folder of the bucket ``oci://bucket@namespace/``, which may not exist."""
        return self._home.buckets.path(namespace, bucket)

    def create_bucket(self, bucket: str, namespace: str = "local") -> Path:
        """Create a bucket and return its folder."""
        return self._home.buckets.create(namespace, bucket)

    def local(self, path: str, method: str = "GET", body: Any = None, **query: str) -> Any:
        """Return the JSON response of a route below ``/_local/``.

        :raises RuntimeError: the response is an error, and the message has its status and body; or there is
            no response
        """
        # The path is not split into segments, which would encode it again: it may have a query.
        target = f"/_local/{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            return ServerClient(self.endpoint).call_target(method, target, body)
        except RequestFailed as e:
            if e.status is None:
                raise RuntimeError(f"{method} /_local/{path} failed: {e}") from None
            raise RuntimeError(f"{method} /_local/{path} failed with status {e.status}: {e.body}") from None

    def now(self) -> float:
        """Return the server's time, in seconds since the epoch."""
        return float(self.local("clock")["epoch"])

    def advance(self, seconds: float) -> float:
        """Move a manual clock forward, and return the new time. Events up to then happen at their times.

        :raises RuntimeError: the clock is not manual
        """
        return float(self.local("clock", "POST", {"advance": seconds})["epoch"])

    def advance_to_next(self) -> float:
        """Move a manual clock to the time of the next event, if there is one, and return the new time.

        :raises RuntimeError: the clock is not manual
        """
        return float(self.local("clock", "POST", {"to_next": True})["epoch"])

    def add_fault(self, fault: Fault | str, **fields: Any) -> str:
        """Add a fault: ``add_fault("status", status=429, operation="GetRun", count=3)``.

        :param fault: a :class:`~.faults.Fault`, or its kind, with the other fields by name
        :return: id of the fault
        :raises ValueError: a field is wrong, or ``operation`` matches no operation of the API
        """
        made = fault if isinstance(fault, Fault) else Fault.of(fault, **fields)
        made.check_operation()
        return str(self.local("faults", "POST", made.as_json())["id"])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults, with the number of requests that each was ``applied`` to."""
        found: list[dict[str, Any]] = self.local("faults")
        return found

    def clear_faults(self, id: str | None = None) -> None:
        """Remove all faults, or the one with this id."""
        self.local("faults", "DELETE", **({} if id is None else {"id": id}))

    def deny(self, operation: str = "*", *, resource_id: str | None = None, user: str | None = None) -> str:
        """Deny requests with 404, as if a policy were missing, until :meth:`allow` or a reset.

        :param operation: shell pattern for the operation, such as ``CreateRun``, ``*Run`` or ``PutObject``
        :param resource_id: OCID of a resource or compartment, or ``oci://`` URI of a bucket (with a slash at
            the end) or an object. Default: all.
        :param user: shell pattern for the OCID of the user. Default: all.
        :return: id for :meth:`allow`
        :raises ValueError: ``operation`` matches no operation of the API
        """
        given = {"resource_id": resource_id, "user": user}
        return self.add_fault(
            "deny", operation=operation, **{name: value for name, value in given.items() if value is not None}
        )

    def allow(self, id: str | None = None) -> None:
        """Take back what :meth:`deny` denies: all of it, or the denial with this id."""
        ids = [fault["id"] for fault in self.faults() if fault["kind"] == "deny"] if id is None else [id]
        for denied in ids:
            self.clear_faults(denied)

    def set_rules(self, rules: Iterable[Rule | Mapping[str, Any]] = ()) -> None:
        """Replace all rules, which define what happens to the runs that match them.

        :raises ValueError: a field of a rule is wrong; the message says which
        """
        made = [rule if isinstance(rule, Rule) else Rule.from_json(rule) for rule in rules]
        self.local("rules", "PUT", [rule.as_json() for rule in made])

    def add_rule(self, rule: Rule | Mapping[str, Any]) -> None:
        """Add a rule, which takes precedence over the others.

        :raises ValueError: a field is wrong; the message says which
        """
        made = rule if isinstance(rule, Rule) else Rule.from_json(rule)
        self.local("rules", "POST", made.as_json())

    def new_token(self, lifetime: float = 3600.0) -> SessionToken:
        """Create and register a security token of :attr:`identity`, like ``oci session authenticate``::

            token = local.new_token()
            key = oci.signer.load_private_key(token.private_key, None)
            signer = oci.auth.signers.SecurityTokenSigner(token.token, key)
            client = oci.data_flow.DataFlowClient({}, signer=signer, service_endpoint=local.endpoint)

        :param lifetime: seconds; with 0 or less, the token has already expired
        """
        now = time.time()
        token = new_token(Principal(self.identity.tenancy, self.identity.user), now, now + lifetime)
        self.register_token(token.token, token.public_key)
        return token

    def register_token(
        self,
        token: str,
        public_key: str,
        expires: float | None = None,
        *,
        tenancy: str | None = None,
        user: str | None = None,
    ) -> None:
        """Register a security token of a session, instance or resource.

        Requests signed with it are accepted until it expires, or until :meth:`clear_tokens` or :meth:`reset`
        revoke it. Registering it again replaces the earlier registration.

        :param token: part of the signature's key id after ``ST$``
        :param public_key: public key for the private key that signs the requests, in PEM
        :param expires: seconds since the epoch, in real time; by default the token's ``exp`` claim
        :param tenancy: OCID; by default that in the token's claims, else the tenancy of :attr:`identity`
        :param user: OCID; by default the token's ``sub`` claim, else the user of :attr:`identity`
        :raises RuntimeError: the public key is not an RSA key in PEM
        """
        claims = claims_of(token)
        principal = principal_of(claims, Principal(self.identity.tenancy, self.identity.user))
        body = {
            "token": token,
            "publicKey": public_key,
            "expires": expires,
            "tenancy": tenancy or principal.tenancy,
            "user": user or principal.user,
        }
        self.local("tokens", "POST", body)

    def clear_tokens(self) -> None:
        """Revoke all security tokens."""
        self.local("tokens", "DELETE")

    def end_run(self, run_id: str, course: RunScript | None = None) -> None:
        """End a scripted run that is in progress, by default with SUCCEEDED.

        :raises RuntimeError: the run does not exist, or is not a scripted run in progress
        """
        self.local(f"runs/{run_id}/end", "POST", (course or RunScript()).as_json())

    def maintain(self, run_id: str, *, successor_after: float = 0.0, copy_tags: bool = False) -> None:
        """Stop a STREAMING run for maintenance, as the service does every month.

        The run becomes STOPPING, then STOPPED, and its ``lifecycleDetails`` name the maintenance. After that,
        the service starts a successor: a run with another OCID and the same fields.

        :param successor_after: seconds from the end of the run to its successor
        :param copy_tags: whether the successor gets the tags of the run. OCI does not document this.
        :raises RuntimeError: the run does not exist, or is not a STREAMING run in progress
        """
        body = {"successorAfter": successor_after, "copyTags": copy_tags}
        self.local(f"runs/{run_id}/maintain", "POST", body)

    def maintain_sql_endpoint(self, sql_endpoint_id: str) -> None:
        """Maintain an active SQL endpoint: it is UPDATING for a while, then ACTIVE again.

        :raises RuntimeError: the endpoint does not exist, or is not ACTIVE
        """
        self.local(f"sqlEndpoints/{sql_endpoint_id}/maintain", "POST")

    def reset(self) -> None:
        """Delete all runs and other resources, faults, rules, security tokens and journal entries.

        The identity, the buckets and the time are kept.
        """
        self.local("reset", "POST")

    def journal(self, operation: str | None = None, resource_id: str | None = None) -> list[dict[str, Any]]:
        """Return the received requests, oldest first.

        See ``airflow_provider_dataflow.local.http.journal.JournalEntry`` for their fields.
        """
        query = {"operation": operation, "resourceId": resource_id}
        response = self.local("journal", **{k: v for k, v in query.items() if v is not None})
        entries: list[dict[str, Any]] = response["entries"]
        return entries

    def clear_journal(self) -> None:
        self.local("journal", "DELETE")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All runs as the API returns them, oldest first, with further fields.

        ``states`` has the states that the run went through. ``createdBy`` and ``cancelledBy`` have the
        ``user``, ``userAgent``, ``requestId``, ``retryToken`` and ``time`` of the request that created or
        cancelled the run; ``cancelledBy`` is ``None`` if no request did.
        """
        found: list[dict[str, Any]] = self.local("runs", limit=str(_NO_LIMIT))
        return found[::-1]

    def move_run(self, run_id: str, compartment_id: str) -> None:
        """Move a run to another compartment, whatever its state."""
        self.local(f"runs/{run_id}", "PUT", {"compartmentId": compartment_id})

    def run_states(self, run_id: str) -> list[str]:
        """Return the states that a run went through."""
        return [s["state"] for s in self.local(f"runs/{run_id}")["states"]]
