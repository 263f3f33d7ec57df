"""Usage of a run: times, OCPU hours and bytes, for an XCom and a log line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from airflow_provider_dataflow.models.run import Run


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of a run. Values that the service does not report are None.

    :param queue_seconds: upper bound of the time before Spark started; only for a run that has ended. It is
        ``timeUpdated`` minus ``timeCreated`` minus ``runDurationInMilliseconds``. The API does not
        report when a run started, and a later change of tags moves ``timeUpdated``.
    :param run_seconds: ``runDurationInMilliseconds``.
    :param ocpu_hours: requested OCPUs (``totalOCpu``) times ``run_seconds``. Not the billed amount: executors
        that dynamic allocation never started count as well.
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
        """Compute the usage of a run from its attributes."""
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
        """Return the usage as plain JSON."""
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
    """Return for example ``1h 2m 3s``; below a minute ``2.5s``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m {remainder}s" if hours else f"{minutes}m {remainder}s"


def _size(count: int) -> str:
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
