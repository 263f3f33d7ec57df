"""OCPUs and memory of compute shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

DEFAULT_SHAPE = "VM.Standard2.1"
_FLEX_DEFAULT_OCPUS = 1.0
_FIXED = re.compile(r"\.(\d+)\Z")
# OCPUs per GPU of the shapes whose last number is the number of GPUs.
_OCPUS_PER_GPU = {
    "VM.GPU2": 12,
    "BM.GPU2": 14,
    "VM.GPU3": 6,
    "BM.GPU3": 6.5,
    "BM.GPU4": 8,
    "VM.GPU.A10": 15,
    "BM.GPU.A10": 16,
}
# Memory per OCPU by series: of fixed shapes, and of flexible ones whose memory is not given.
_GIB_PER_OCPU = {
    "Standard1": 7,
    "Standard2": 15,
    "Standard.E2": 8,
    "Standard.E3": 16,
    "Standard.E4": 16,
    "Standard.E5": 12,
    "Standard.A1": 6,
    "Standard.A2": 6,
    "Standard3": 16,
    "Optimized3": 14,
    "GPU2": 6,
    "GPU3": 15,
    "GPU.A10": 16,
}
_OTHER_GIB_PER_OCPU = 15


def _series(shape: str | None) -> str:
    """Return the series of a shape: ``Standard.E4`` of ``VM.Standard.E4.Flex`` or ``BM.Standard.E4.128``."""
    return (shape or "").partition(".")[2].rpartition(".")[0]


def ocpus(shape: str | None, config: Mapping[str, Any] | None) -> float:
    """Return the OCPUs of a node: a fixed shape has them in its name, a flexible one in its configuration."""
    match = _FIXED.search(shape or "")
    if match:
        per_gpu = _OCPUS_PER_GPU.get((shape or "").rpartition(".")[0], 1)
        return float(per_gpu * int(match[1]))
    if config and config.get("ocpus") is not None:
        return float(config["ocpus"])
    return _FLEX_DEFAULT_OCPUS


def memory_gib(shape: str | None, config: Mapping[str, Any] | None) -> float:
    if config and config.get("memoryInGBs") is not None and not _FIXED.search(shape or ""):
        return float(config["memoryInGBs"])
    return ocpus(shape, config) * _GIB_PER_OCPU.get(_series(shape), _OTHER_GIB_PER_OCPU)


def total_ocpus(run: Mapping[str, Any]) -> int:
    """Return the value of ``totalOCpu``: the requested OCPUs, even if this machine has fewer."""
    driver = ocpus(run.get("driverShape"), run.get("driverShapeConfig"))
    executor = ocpus(run.get("executorShape"), run.get("executorShapeConfig"))
    return math.ceil(driver + executor * int(run.get("numExecutors") or 0))


def describe(run: Mapping[str, Any]) -> str:
    """Return the requested shapes as text."""

    def one(role: str) -> str:
        shape, config = run.get(f"{role}Shape"), run.get(f"{role}ShapeConfig")
        return f"{shape} ({ocpus(shape, config):g} OCPU, {memory_gib(shape, config):g} GB)"

    return f"driver {one('driver')}, executors {run.get('numExecutors') or 0} x {one('executor')}"
