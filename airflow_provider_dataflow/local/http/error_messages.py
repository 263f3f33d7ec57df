"""Parts of error messages about wrong input."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_SUGGESTIONS = 2


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `` Did you mean X?`` with the most similar known words; empty if none is similar."""
    by_lower_case = {word.lower(): word for word in known}
    similar = difflib.get_close_matches(given.lower(), by_lower_case, n=_MAX_SUGGESTIONS)
    return f" Did you mean {' or '.join(by_lower_case[word] for word in similar)}?" if similar else ""


def as_sentence(text: str) -> str:
    """Return the text with a full stop, unless it already ends a sentence."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
