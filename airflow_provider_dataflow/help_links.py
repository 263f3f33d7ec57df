"""Links from error messages to the sections of the page on troubleshooting."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

_PAGE = "troubleshooting.md"


@cache
def troubleshooting_page() -> str:
    """Return the URL of the page, beside the index that the package's metadata names as its documentation.

    Without metadata, as in a folder that was copied, it is the path in a checkout.
    """
    try:
        urls = metadata("airflow-provider-dataflow").get_all("Project-URL") or []
    except PackageNotFoundError:
        urls = []
    for name, _, url in (entry.partition(", ") for entry in urls):
        if name == "Documentation":
            return f"{url.rpartition('/')[0]}/{_PAGE}"
    return f"docs/{_PAGE}"


def anchor_of(heading: str) -> str:
    """Return the anchor that Sphinx and GitHub give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def see(heading: str) -> str:
    """Return a reference to the section with a heading, for the end of a message.

    It has no full stop, which Airflow's log and many terminals would take for a part of the link.
    """
    return f"See {troubleshooting_page()}#{anchor_of(heading)}"
