"""OCPUs and memory that a run occupies, by the shapes of its driver and executors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_dataflow.models.spark_submit import properties_in

if TYPE_CHECKING:
    from airflow_provider_dataflow.models.run import Run

#: OCPUs and memory in GB of shapes that are not flexible, from Oracle's list of compute shapes. Flexible
#: shapes have both in their configuration.
FIXED_SHAPES: Mapping[str, tuple[float, float]] = {
    "VM.Standard2.1": (1, 15),
    "VM.Standard2.2": (2, 30),
    "VM.Standard2.4": (4, 60),
    "VM.Standard2.8": (8, 120),
    "VM.Standard2.16": (16, 240),
    "VM.Standard2.24": (24, 320),
    "VM.Standard.E2.1": (1, 8),
    "VM.Standard.E2.2": (2, 16),
    "VM.Standard.E2.4": (4, 32),
    "VM.Standard.E2.8": (8, 64),
    "VM.DenseIO2.8": (8, 120),
    "VM.DenseIO2.16": (16, 240),
    "VM.DenseIO2.24": (24, 320),
    "VM.GPU2.1": (12, 72),
    "VM.GPU3.1": (6, 90),
    "VM.GPU3.2": (12, 180),
    "VM.GPU3.4": (24, 360),
    "VM.GPU.A10.1": (15, 240),
    "VM.GPU.A10.2": (30, 480),
}

DYNAMIC_ALLOCATION = "spark.dynamicAllocation.enabled"
MAX_EXECUTORS = "spark.dynamicAllocation.maxExecutors"
#: Of a number of executors; more would be a mistake.
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Node:
    """Driver or executor.

    :param ocpus: ``None`` if the shape is not known.
    :param memory_in_gbs: ``None`` if the shape is not known.
    """

    ocpus: float | None
    memory_in_gbs: float | None

    @classmethod
    def of(cls, shape: str | None, config: Mapping[str, Any] | None) -> Self:
        """Return the node of a shape.

        :param config: ``driverShapeConfig`` or ``executorShapeConfig``, of a flexible shape.
        """
        if shape is not None and shape in FIXED_SHAPES:
            return cls(*FIXED_SHAPES[shape])
        config = config or {}
        return cls(_number(config.get("ocpus")), _number(config.get("memoryInGBs")))


@dataclass(frozen=True, slots=True)
class Compute:
    """OCPUs and memory of all nodes of a run. Amounts that are not known are None.

    :param ocpus: requested OCPUs (``totalOCpu``), or the most that dynamic allocation may start.
    :param memory_in_gbs: memory of the driver and all executors.
    :param is_upper_bound: whether dynamic allocation may have used less.
    """

    ocpus: float | None
    memory_in_gbs: float | None
    is_upper_bound: bool = False

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return what a run asked for.

        With dynamic allocation it is the driver and ``spark.dynamicAllocation.maxExecutors``; without that
        property, no amount is known: Spark itself has no limit then.
        """
        driver = Node.of(run.driver_shape, run.driver_shape_config)
        executor = Node.of(run.executor_shape, run.executor_shape_config)
        executors = run.num_executors
        is_dynamic, most = _dynamic_allocation(run)
        if is_dynamic:
            executors = None if most is None else max(most, run.num_executors or 0)
        ocpus = run.total_ocpu if not is_dynamic else _total(driver.ocpus, executors, executor.ocpus)
        memory = _total(driver.memory_in_gbs, executors, executor.memory_in_gbs)
        return cls(ocpus, memory, is_dynamic and (ocpus is not None or memory is not None))


def _dynamic_allocation(run: Run) -> tuple[bool, int | None]:
    """Return whether Spark starts and ends executors by itself, and their maximum number, if it is given."""
    properties = {**(run.configuration or {}), **properties_in(run.execute or "")}
    is_dynamic = str(properties.get(DYNAMIC_ALLOCATION, "")).strip().lower() == "true"
    most = str(properties.get(MAX_EXECUTORS, "")).strip()
    is_number = most.isascii() and most.isdecimal() and len(most) <= MAX_DIGITS
    return is_dynamic, int(most) if is_number else None


def _total(driver: float | None, executors: int | None, executor: float | None) -> float | None:
    if driver is None or executors is None or (executor is None and executors):
        return None
    return driver + executors * (executor or 0)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and value > 0 else None
