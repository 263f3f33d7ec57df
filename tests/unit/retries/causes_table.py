"""Table of docs/howto/retries.md: the causes, where they are explained, and the retries that they call for.

``python -m tests.unit.retries.causes_table`` prints it for the page.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.causes import OF_RUNS, RETRIES
from airflow_provider_dataflow.error_hints import (
    CAUSES,
    NETWORK_CAUSES,
    REDIRECT_HEADING,
    SERVICE_FAILURE_HEADING,
    STATUS_CAUSES,
)
from airflow_provider_dataflow.help_links import anchor_of

#: Sections of the causes that no table of the package has.
OTHER_HEADINGS = {
    "already_running": ["AlreadyRunning"],
    "invalid_argument": ["InvalidArgument"],
    "invalid_connection": ["InvalidConnection"],
    "name_ambiguous": ["AmbiguousName"],
    "name_not_found": ["NotFound"],
    "no_response": ["ServiceError"],
    "redirected": [REDIRECT_HEADING],
    "service_failure": [SERVICE_FAILURE_HEADING],
}


def headings(key: str) -> Iterator[str]:
    """Yield the sections on a cause in the page on troubleshooting."""
    yield from (cause.heading for cause in (*CAUSES, *NETWORK_CAUSES) if cause.key == key)
    yield from (f"HTTP {status}" for status, cause in STATUS_CAUSES.items() if cause == key)
    yield from OTHER_HEADINGS.get(key, ())


def table() -> str:
    """Return the table in Markdown, the causes of failed runs first."""
    rows = ["| Cause | Of a run | Retry | Explained in |", "| --- | --- | --- | --- |"]
    for key, retry in RETRIES.items():
        links = ", ".join(f"[{name}](../troubleshooting.md#{anchor_of(name)})" for name in headings(key))
        rows.append(f"| `{key}` | {'yes' if key in OF_RUNS else ''} | {retry} | {links} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
