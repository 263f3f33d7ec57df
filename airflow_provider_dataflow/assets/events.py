"""Description of a run in the asset events of its task."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.models.usage import Usage

log = logging.getLogger(__name__)


def run_details(run: Run, usage: Usage, partition_key: str | None) -> dict[str, Any]:
    """Return the ``extra`` of an event. Values that are not known are left out.

    The names are those of ``RunEventTrigger``'s payload and of the XCom ``usage``.
    """
    details = {
        "run_id": run.id,
        "application_id": run.application_id,
        "display_name": run.display_name,
        "state": run.state,
        "partition_key": partition_key,
        **usage.as_dict(),
    }
    return {name: value for name, value in details.items() if value is not None}


def describe_run(context: Context, outlets: Any, run: Run, usage: Usage) -> None:
    """Add a run to the ``extra`` of the event of each asset that its task produces.

    What the author has set there is kept. Nothing is raised: the run has succeeded. The events of an alias
    are those that the author adds, with an ``extra`` of their own.

    :param outlets: of the task.
    """
    from airflow_provider_dataflow.compat import assets_among, partition_key

    events = context.get("outlet_events")
    if events is None:
        return
    details = run_details(run, usage, partition_key(context))
    for asset in assets_among(outlets or ()):
        try:
            event = events[asset]
            event.extra = {**details, **event.extra}
        except Exception as error:  # noqa: BLE001 - Airflow may read the asset of a reference from its API
            log.warning("The event of %s does not name run %s: %s", asset, run.id, error)
