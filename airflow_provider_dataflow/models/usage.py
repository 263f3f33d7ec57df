"""What a run has used: times, OCPU hours and bytes, for an XCom and for a line of the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from airflow_provider_dataflow.models.run import Run


@dataclass(frozen=True, slots=True)
class Usage:
    """A run's usage, as far as the service tells; what it does not is ``None``.

    :param queue_seconds: of an ended run, what of the time from ``timeCreated`` to ``timeUpdated`` is not
        ``runDurationInMilliseconds``: waiting for resources, mostly. The API has no time of a run's start,
        and moves ``timeUpdated`` on when an ended run's tags are changed; so this is an upper bound.
    :param run_seconds: ``runDurationInMilliseconds``.
    :param ocpu_hours: ``totalOCpu``, which is what the run has asked for, times ``run_seconds``. Not a bill:
        executors that dynamic allocation has not started count, too.
    :param data_read_in_bytes: ``dataReadInBytes``.
    :param data_written_in_bytes: ``dataWrittenInBytes``.
    """

    queue_seconds: float | None = None
    run_seconds: float | None = None
    ocpu_hours: float | None = None
    data_read_in_bytes: int | None = None
    data_written_in_bytes: int | None = None

    @classmethod
    def of(cls, run: Run) -> Self:
        run_seconds = queue_seconds = ocpu_hours = None
        if run.run_duration_in_milliseconds is not None:
            run_seconds = run.run_duration_in_milliseconds / 1000
        if run.is_terminal and run.time_created and run.time_updated:
            lifetime = (run.time_updated - run.time_created).total_seconds()
            queue_seconds = round(max(lifetime - (run_seconds or 0.0), 0.0), 3)
        if run.total_ocpu is not None and run_seconds is not None:
            ocpu_hours = round(run.total_ocpu * run_seconds / 3600, 4)
        return cls(queue_seconds, run_seconds, ocpu_hours, run.data_read_in_bytes, run.data_written_in_bytes)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        parts = (
            self.queue_seconds is not None and f"queued {_duration(self.queue_seconds)}",
            self.run_seconds is not None and f"ran {_duration(self.run_seconds)}",
            self.ocpu_hours is not None and f"{self.ocpu_hours:g} OCPU hours",
            self.data_read_in_bytes is not None and f"read {_size(self.data_read_in_bytes)}",
            self.data_written_in_bytes is not None and f"wrote {_size(self.data_written_in_bytes)}",
        )
        return ", ".join(part for part in parts if part) or "unknown"


def _duration(seconds: float) -> str:
    """``1h 2m 3s``; below a minute with a tenth."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m {rest}s" if hours else f"{minutes}m {rest}s"


def _size(count: int) -> str:
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
