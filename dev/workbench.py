"""Run Local Data Flow and Airflow together, for the demo and for tests."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from dev.airflow_stack import AirflowStack, silent
from dev.local_service import EXAMPLES, LocalService
from dev.processes import Stoppable

REPOSITORY = Path(__file__).parent.parent
#: The demo and ``make up`` write only below this folder, which git ignores.
STATE = REPOSITORY / ".demo"


class Workbench(Stoppable):
    """Start and stop a Local Data Flow and an Airflow with a connection to it.

    :param home: folder for everything they write; emptied at the start.
    :param dags: folder of the DAGs.
    :param env: further environment variables of Airflow.
    :param port: of Airflow's API server; default: a free one.
    :param local_port: of Local Data Flow; default: a free one.
    :param detached: the processes outlive this one.
    :param local_options: further options of ``dataflow-local serve``.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path = EXAMPLES,
        env: Mapping[str, str] | None = None,
        port: int = 0,
        local_port: int = 0,
        detached: bool = False,
        local_options: tuple[str, ...] = (),
    ) -> None:
        self.home = home.absolute()
        self.local = LocalService(
            self.home / "dataflow", port=local_port, detached=detached, options=local_options
        )
        self.airflow = AirflowStack(self.home / "airflow", dags, env=env, port=port, detached=detached)

    def start(self, report: Callable[[str], None] = silent) -> None:
        """Start both and wait until both can be used."""
        self.launch(report)
        self.wait(report)

    def launch(self, report: Callable[[str], None] = silent) -> None:
        """Start both, in parallel as far as possible, without waiting until Airflow is healthy."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.local.launch()
        self.airflow.migrate()
        self.local.wait_ready()
        report(f"Local Data Flow listens at {self.local.endpoint}")
        self.local.upload_examples()
        self.airflow.env.update(self.local.airflow_env())
        self.airflow.start_components()

    def wait(self, report: Callable[[str], None] = silent) -> None:
        """Wait until Airflow is healthy."""
        self.airflow.wait_healthy(report)
        report(f"Airflow is healthy at {self.airflow.url}")

    def stop(self) -> list[str]:
        """Stop both; return the processes that they left behind and that were killed."""
        killed = self.airflow.stop()
        return killed + self.local.stop()


def interrupt_on_terminate() -> None:
    """Handle SIGTERM like Ctrl-C, so that the servers are stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
