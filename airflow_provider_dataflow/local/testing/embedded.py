"""Local Data Flow within another program: a server of its own, as a child process."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_dataflow.local.cli.connection_text import (
    CONNECTION_VARIABLE,
    connection_json,
    sdk_config,
)
from airflow_provider_dataflow.local.cli.flags import as_flags
from airflow_provider_dataflow.local.engines.rules import Course, Rule
from airflow_provider_dataflow.local.http.faults import Fault
from airflow_provider_dataflow.local.http.keys import Identity
from airflow_provider_dataflow.local.http.messages import Principal
from airflow_provider_dataflow.local.http.server import wait_for_info
from airflow_provider_dataflow.local.http.tokens import (
    SecurityToken,
    claims_of,
    new_token,
    principal_of,
)
from airflow_provider_dataflow.local.state.home import Home, ServerInfo
from airflow_provider_dataflow.local.state.options import Options

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 20.0
_ALL = 10**9
# Never by way of a proxy.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalDataFlow:
    """A server that lives as long as a ``with`` block, and not longer than this process, whatever ends it.

    ::

        with LocalDataFlow() as local:
            (local.create_bucket("data") / "app.py").write_text("print('hello')")
            client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)

    :param home: the folder that holds everything; by default a temporary one, removed at the end
    :param port: 0 takes any that is free
    :param max_concurrent_runs: by default, what the machine can take
    :param verify: whether requests must be signed with the key of :attr:`identity`
    :param warm: make the class-data archive in the background, if this machine has none yet
    :param engine: ``spark``, or ``scripted``: each run's course is declared, by its configuration or by rules
    :param clock: ``system``, or ``manual``: stands still until :meth:`advance`
    :param options: the other choices of a server
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
        self._arguments += as_flags(chosen if verify else replace(chosen, verify_signatures=False))
        if not warm:
            self._arguments.append("--no-warm")
        self._process: subprocess.Popen[bytes] | None = None
        self._info: ServerInfo | None = None

    def start(self) -> Self:
        """Start the server; return when it listens.

        :raises RuntimeError: it did not start; says why
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
                # A Ctrl-C is for the program around; this ends with it.
                start_new_session=True,
            )
        process = self._process
        try:
            self._info = wait_for_info(
                self._home, process.pid, lambda: process.poll() is None, _START_TIMEOUT
            )
        except (ChildProcessError, TimeoutError) as e:
            self.kill()
            output = log_path.read_bytes()[begin:].decode(errors="replace").strip()
            raise RuntimeError(f"{e}\n{output}") from None
        return self

    def stop(self) -> None:
        """End the server and all that runs in it. Its state stays in its home, if that is not temporary."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
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
            raise RuntimeError("the server does not run")
        return self._info

    @property
    def identity(self) -> Identity:
        return self._home.identity()

    @property
    def compartment_id(self) -> str:
        return self.identity.compartment_id

    @property
    def connection_json(self) -> str:
        """The value of ``AIRFLOW_CONN_OCI_DEFAULT``."""
        return connection_json(self.identity, self.endpoint)

    @property
    def environment(self) -> dict[str, str]:
        """The variable by which Airflow finds the server."""
        return {CONNECTION_VARIABLE: self.connection_json}

    @property
    def sdk_config(self) -> dict[str, str]:
        """The ``config`` of a client of the ``oci`` SDK."""
        return sdk_config(self.identity)

    def bucket_path(self, namespace: str, bucket: str) -> Path:
        """The folder that is ``oci://bucket@namespace/``; it may not exist."""
        return self._home.buckets.path(namespace, bucket)

    def create_bucket(self, bucket: str, namespace: str = "local") -> Path:
        return self._home.buckets.create(namespace, bucket)

    def local(self, path: str, method: str = "GET", body: Any = None, **query: str) -> Any:
        """The answer of a route below ``/_local/``.

        :raises RuntimeError: it is an error; says which
        """
        url = f"{self.endpoint}/_local/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, method=method)  # noqa: S310
        try:
            with _opener.open(request, timeout=60) as response:
                answer = response.read()
        except urllib.error.HTTPError as e:
            with e:
                text = e.read().decode(errors="replace")
            raise RuntimeError(f"{method} /_local/{path} was answered with {e.code}: {text}") from None
        return json.loads(answer) if answer else None

    def now(self) -> float:
        """The server's time, in seconds since the epoch."""
        return float(self.local("clock")["epoch"])

    def advance(self, seconds: float) -> float:
        """Move a manual clock; whatever falls due happens, each in its moment. Returns the new time.

        :raises RuntimeError: the clock is not manual
        """
        return float(self.local("clock", "POST", {"advance": seconds})["epoch"])

    def advance_to_next(self) -> float:
        """Move a manual clock to the moment of what happens next, if anything is due to."""
        return float(self.local("clock", "POST", {"to_next": True})["epoch"])

    def add_fault(self, fault: Fault | str, **fields: Any) -> str:
        """Misbehave from now on: ``add_fault("status", status=429, operation="GetRun", count=3)``.

        :param fault: the kind, with the other fields of :class:`~.faults.Fault` by name; or one as it is
        :return: the fault's id
        :raises ValueError: there is no such fault, or no operation that its pattern matches
        """
        made = fault if isinstance(fault, Fault) else Fault.of(fault, **fields)
        made.check_operation()
        return str(self.local("faults", "POST", made.as_json())["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults, and how often each was ``applied``."""
        found: list[dict[str, Any]] = self.local("faults")
        return found

    def clear_faults(self, id: str | None = None) -> None:
        """Behave again: all faults go, or the one."""
        self.local("faults", "DELETE", **({} if id is None else {"id": id}))

    def set_rules(self, rules: Iterable[Rule | Mapping[str, Any]] = ()) -> None:
        """Replace all rules, which say how runs go that match them.

        :raises ValueError: a rule is wrong; says what
        """
        made = [rule if isinstance(rule, Rule) else Rule.from_json(rule) for rule in rules]
        self.local("rules", "PUT", [rule.as_json() for rule in made])

    def add_rule(self, rule: Rule | Mapping[str, Any]) -> None:
        """One more rule, before the others.

        :raises ValueError: it is wrong; says what
        """
        made = rule if isinstance(rule, Rule) else Rule.from_json(rule)
        self.local("rules", "POST", made.as_json())

    def new_token(self, lifetime: float = 3600.0) -> SecurityToken:
        """A registered security token of :attr:`identity`, as ``oci session authenticate`` would get one::

            token = local.new_token()
            key = oci.signer.load_private_key(token.private_key, None)
            signer = oci.auth.signers.SecurityTokenSigner(token.token, key)
            client = oci.data_flow.DataFlowClient({}, signer=signer, service_endpoint=local.endpoint)

        :param lifetime: seconds; one that is not positive makes a token that has expired
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
        """Accept requests that are signed with this security token (of a session, an instance, a resource)
        until it expires, or :meth:`clear_tokens` or :meth:`reset` revoke it. To register it again replaces
        what was said before.

        :param token: what comes after ``ST$`` in the signature's key id
        :param public_key: of the key that requests are signed with, in PEM
        :param expires: seconds since the epoch, of the real clock; by default what the token says (``exp``)
        :param tenancy: of whom it is; by default what the token says, else the tenancy of :attr:`identity`
        :param user: who it is; by default what the token says (``sub``), else the user of :attr:`identity`
        :raises RuntimeError: the public key is none
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

    def end_run(self, run_id: str, course: Course | None = None) -> None:
        """End a scripted run that is in progress, by default with success.

        :raises RuntimeError: it is no such run
        """
        self.local(f"runs/{run_id}/end", "POST", (course or Course()).as_json())

    def reset(self) -> None:
        """As if just started: no runs, no other resources, no faults, no rules, no security tokens, an empty
        journal. What stays is the identity, the buckets and the time."""
        self.local("reset", "POST")

    def journal(self, operation: str | None = None, resource_id: str | None = None) -> list[dict[str, Any]]:
        """The requests that came, in their order; see ``journal.Entry``."""
        query = {"operation": operation, "resourceId": resource_id}
        answer = self.local("journal", **{k: v for k, v in query.items() if v is not None})
        entries: list[dict[str, Any]] = answer["entries"]
        return entries

    def clear_journal(self) -> None:
        self.local("journal", "DELETE")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """All runs as the API shows them, oldest first. Each has its ``states`` beside, and in ``createdBy``
        and ``cancelledBy`` the ``user``, ``userAgent``, ``requestId``, ``retryToken`` and ``time`` of the
        request that did so; ``cancelledBy`` is ``None`` if no request did."""
        found: list[dict[str, Any]] = self.local("runs", limit=str(_ALL))
        return found[::-1]

    def move_run(self, run_id: str, compartment_id: str) -> None:
        """To another compartment, whatever its state."""
        self.local(f"runs/{run_id}", "PUT", {"compartmentId": compartment_id})

    def run_states(self, run_id: str) -> list[str]:
        """The states that a run went through."""
        return [s["state"] for s in self.local(f"runs/{run_id}")["states"]]
