"""Service with the scripted engine for tests: no network, and a clock that the test moves."""

from __future__ import annotations

from typing import Any

from airflow_provider_dataflow.local.engines.rules import PREFIX
from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.service import Service
from tests.unit.local.support import Local


class Scripted(Local):
    """Service with the scripted engine, and an unsigned client of it."""

    def __post_init__(self) -> None:
        self.scripted = ScriptedEngine(self.folder / "runs")
        self.service = Service(
            runs_folder=self.folder / "runs",
            objects=self.objects,
            store=self.store,
            engine=self.scripted,
            keys=KeyRing(),
            limit=self.limit,
            options=self.options,
            clock=self.clock,
        )
        self.service.start()

    def submit_script(self, application: str | None = None, /, **script: Any) -> str:
        """Submit a run with a script in its configuration."""
        configuration = {PREFIX + key: str(value) for key, value in script.items()}
        return self.submit(application, configuration=configuration)

    def advance(self, seconds: float) -> None:
        self.json("POST", "/_local/clock", {"advance": seconds})

    def run(self, run_id: str) -> Any:
        return self.json("GET", f"/runs/{run_id}")
