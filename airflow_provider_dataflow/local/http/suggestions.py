"""Parts of messages about wrong input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_SUGGESTIONS = 2


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean X?`` for the nearest known words, or an empty text if none is near."""
    by_lower_case = {word.lower(): word for word in known}
    near = difflib.get_close_matches(given.lower(), by_lower_case, n=_MAX_SUGGESTIONS)
    return f" Did you mean {' or '.join(by_lower_case[word] for word in near)}?" if near else ""


def as_sentence(text: str) -> str:
    """Return the text with a full stop, unless it ends a sentence already."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
