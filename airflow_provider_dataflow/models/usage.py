"""Usage of a run: times, OCPU hours, GB hours, bytes and estimated cost, for an XCom and a log line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from airflow_provider_dataflow.models.compute import Compute
from airflow_provider_dataflow.models.field_names import camel_case
from airflow_provider_dataflow.models.run import Run


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of compute, for estimates. Without both prices, nothing is estimated.

    :param per_ocpu_hour: price of an OCPU for an hour.
    :param per_gb_hour: price of a GB of memory for an hour.
    :param currency: for example ``EUR``; empty if it is not configured.
    """

    per_ocpu_hour: float | None = None
    per_gb_hour: float | None = None
    currency: str = ""

    def cost(self, ocpu_hours: float | None, gb_hours: float | None) -> float | None:
        """Return the estimated cost; ``None`` if there is no price, or the amount of a price is unknown."""
        amounts = [
            (price, hours)
            for price, hours in ((self.per_ocpu_hour, ocpu_hours), (self.per_gb_hour, gb_hours))
            if price is not None
        ]
        if not amounts:
            return None
        total = 0.0
        for price, hours in amounts:
            if hours is None:
                return None
            total += price * hours
        return round(total, 6)


NO_PRICES = Prices()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Usage of a run. Values that the service does not report are None.

    The OCPU hours and GB hours are those that the run asked for, not the billed amounts. They assume that all
    nodes exist for ``run_seconds``. While the run is active, they are None.

    :param queue_seconds: upper bound of the time before Spark started; only for a run that has ended. It is
        ``timeUpdated`` minus ``timeCreated`` minus ``runDurationInMilliseconds``. The API does not
        report when a run started, and a later change of tags moves ``timeUpdated``.
    :param run_seconds: ``runDurationInMilliseconds``.
    :param ocpu_hours: requested OCPUs (``totalOCpu``) times ``run_seconds``.
    :param gb_hours: memory of the driver and the executors, by their shapes, times ``run_seconds``.
    :param is_upper_bound: whether the run uses dynamic allocation, so that the hours and the cost count
        ``spark.dynamicAllocation.maxExecutors``, whether these executors existed or not. Without that
        property, the hours are None.
    :param estimated_cost: hours times the configured prices.
    :param currency: currency of ``estimated_cost``.
    :param data_read_in_bytes: ``dataReadInBytes``.
    :param data_written_in_bytes: ``dataWrittenInBytes``.
    """

    queue_seconds: float | None = None
    run_seconds: float | None = None
    ocpu_hours: float | None = None
    gb_hours: float | None = None
    is_upper_bound: bool = False
    estimated_cost: float | None = None
    currency: str | None = None
    data_read_in_bytes: int | None = None
    data_written_in_bytes: int | None = None

    @classmethod
    def of(cls, run: Run, prices: Prices = NO_PRICES) -> Self:
        """Compute the usage of a run from its attributes.

        :param prices: for ``estimated_cost``.
        """
        run_seconds = queue_seconds = None
        if run.run_duration_in_milliseconds is not None:
            run_seconds = run.run_duration_in_milliseconds / 1000
        if run.is_terminal and run.time_created and run.time_updated:
            lifetime = (run.time_updated - run.time_created).total_seconds()
            queue_seconds = round(max(lifetime - (run_seconds or 0.0), 0.0), 3)
        compute = Compute.of(run)
        # The hours so far of a run that goes on would look like those of a short one.
        whole_seconds = run_seconds if run.is_terminal else None
        ocpu_hours = _hours(compute.ocpus, whole_seconds)
        gb_hours = _hours(compute.memory_in_gbs, whole_seconds)
        cost = prices.cost(ocpu_hours, gb_hours)
        return cls(
            queue_seconds=queue_seconds,
            run_seconds=run_seconds,
            ocpu_hours=ocpu_hours,
            gb_hours=gb_hours,
            is_upper_bound=compute.is_upper_bound,
            estimated_cost=cost,
            currency=prices.currency or None if cost is not None else None,
            data_read_in_bytes=run.data_read_in_bytes,
            data_written_in_bytes=run.data_written_in_bytes,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the usage as plain JSON."""
        return asdict(self)

    def facet(self) -> dict[str, Any]:
        """Return the values that are known by names in camel case, for a run facet of OpenLineage."""
        return {camel_case(name): value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        most = "at most " if self.is_upper_bound else ""
        parts = (
            self.queue_seconds is not None and f"queued {_duration(self.queue_seconds)}",
            self.run_seconds is not None and f"ran {_duration(self.run_seconds)}",
            self.ocpu_hours is not None and f"{most}{self.ocpu_hours:g} OCPU hours",
            self.gb_hours is not None and f"{most}{self.gb_hours:g} GB hours",
            self.estimated_cost is not None and f"estimated cost {most}{self.cost_text}",
            self.data_read_in_bytes is not None and f"read {_size(self.data_read_in_bytes)}",
            self.data_written_in_bytes is not None and f"wrote {_size(self.data_written_in_bytes)}",
        )
        return ", ".join(part for part in parts if part) or "unknown"

    @property
    def cost_text(self) -> str:
        """Estimated cost with its currency; empty if there is none."""
        return "" if self.estimated_cost is None else money(self.estimated_cost, self.currency)


def money(amount: float, currency: str | None) -> str:
    """Return for example ``12.34 EUR``; small amounts with four digits after the point."""
    number = f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4f}"
    return f"{number} {currency}" if currency else number


def _hours(amount: float | None, seconds: float | None) -> float | None:
    return None if amount is None or seconds is None else round(amount * seconds / 3600, 4)


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
