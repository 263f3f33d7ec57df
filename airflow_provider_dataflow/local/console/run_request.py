"""Card of a run's page with the fields that the run was requested with."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from airflow_provider_dataflow.local.console.html import Markup, code, details, facts, link, table, tag

# Fields that a run's page shows elsewhere or not at all.
_OTHER_FIELDS = frozenset(
    {
        "arguments", "configuration", "dataReadInBytes", "dataWrittenInBytes", "definedTags", "displayName",
        "execute", "fileUri", "freeformTags", "id", "lifecycleDetails", "lifecycleState", "opcRequestId",
        "ownerPrincipalId", "ownerUserName", "parameters", "runDurationInMilliseconds", "timeCreated",
        "timeUpdated", "totalOCpu",
    }
)  # fmt: skip
_LABELS = {
    "applicationId": "Application", "archiveUri": "Archive", "className": "Class",
    "driverShape": "Driver shape", "driverShapeConfig": "Driver shape config",
    "executorShape": "Executor shape", "executorShapeConfig": "Executor shape config",
    "compartmentId": "Compartment",
    "idleTimeoutInMinutes": "Idle timeout (min)", "logsBucketUri": "Logs bucket",
    "maxDurationInMinutes": "Maximum duration (min)", "metastoreId": "Metastore", "numExecutors": "Executors",
    "poolId": "Pool", "privateEndpointId": "Private endpoint", "sparkVersion": "Spark",
    "warehouseBucketUri": "Warehouse bucket",
}  # fmt: skip


def request_card(run: dict[str, Any]) -> Markup:
    """Return the card with the fields of a run's request.

    :param run: as returned by the API
    """
    pairs: list[tuple[str, Any]] = [
        ("Run", code(run["id"])),
        ("Main file", code(run["fileUri"])),
        ("Execute", code(run["execute"])),
    ]
    for field in sorted(set(run) - _OTHER_FIELDS, key=lambda f: _LABELS.get(f, f.capitalize())):
        value = run[field]
        if value in (None, "", [], {}):
            continue
        shown: object = value if not isinstance(value, (dict, list)) else code(json.dumps(value))
        if field == "applicationId":
            shown = link(f"/console/applications/{quote(value)}", value)
        elif field == "poolId":
            shown = link(f"/console/pools/{quote(value)}", value)
        pairs.append((_LABELS.get(field, field[0].upper() + field[1:]), shown))
    parts = [tag("h2", "Request"), facts(pairs)]
    if run["arguments"]:
        parts.append(details("arguments", "Arguments", tag("pre", "\n".join(run["arguments"])), True))
    for key, title in (
        ("parameters", "Parameters"),
        ("configuration", "Configuration"),
        ("freeformTags", "Tags"),
    ):
        if run[key]:
            values = run[key]
            rows = (
                ((p.get("name"), p.get("value")) for p in values)
                if isinstance(values, list)
                else sorted(values.items())
            )
            parts.append(details(key, title, table(("Name", "Value"), ((code(k), code(v)) for k, v in rows))))
    return tag("section", *parts, class_="card")
