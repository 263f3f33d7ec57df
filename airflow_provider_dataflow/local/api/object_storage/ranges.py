"""Range of an object that a request asks for."""

from __future__ import annotations

import re

from airflow_provider_dataflow.local.http.messages import ApiError

_RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))\Z")


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first position and the length of the requested part; ``None``: the whole object.

    A header of another form, or with several ranges, is ignored, as HTTP allows.

    :raises ApiError: 416, the object has no such part
    """
    match = _RANGE.match((header or "").replace(" ", ""))
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size - 1
        is_valid = int(suffix) > 0 and size > 0
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        is_valid = start <= end
        if last and int(last) < start:
            return None
    if not is_valid:
        message = f"The range {header} is not in the object, which has {size} bytes."
        raise ApiError(416, "InvalidRange", message, {"content-range": f"bytes */{size}"})
    return start, end - start + 1
