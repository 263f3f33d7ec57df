"""Links from error messages to the sections of the page on troubleshooting."""

from __future__ import annotations

import re

#: Page that messages name. The path also works in a checkout without network access. Replace it by the URL of
#: the page as soon as the documentation is published.
TROUBLESHOOTING_PAGE = "docs/troubleshooting.md"


def anchor_of(heading: str) -> str:
    """Return the anchor that Sphinx and GitHub give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def see(heading: str) -> str:
    """Return a sentence that names the section with a heading, for the end of a message."""
    return f"See {TROUBLESHOOTING_PAGE}#{anchor_of(heading)}."
