"""Compute shapes: how many OCPUs and how much memory a run asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

DEFAULT_SHAPE = "VM.Standard2.1"
_FLEX_DEFAULT_OCPUS = 1
_FIXED = re.compile(r"\.(\d+)\Z")
# OCPU of the fixed shapes share memory in this ratio; so do flexible ones whose memory is not given.
_GIB_PER_OCPU = 15


def ocpus(shape: str | None, config: Mapping[str, Any] | None) -> float:
    """By the configuration of a flexible shape, by the last number in the name of a fixed one."""
    if config and config.get("ocpus") is not None:
        return float(config["ocpus"])
    match = _FIXED.search(shape or "")
    return float(match[1]) if match else float(_FLEX_DEFAULT_OCPUS)


def memory_gib(shape: str | None, config: Mapping[str, Any] | None) -> float:
    if config and config.get("memoryInGBs") is not None:
        return float(config["memoryInGBs"])
    return ocpus(shape, config) * _GIB_PER_OCPU


def total_ocpus(run: Mapping[str, Any]) -> int:
    """What ``totalOCpu`` reports: what was requested, whether or not this machine has it."""
    driver = ocpus(run.get("driverShape"), run.get("driverShapeConfig"))
    executor = ocpus(run.get("executorShape"), run.get("executorShapeConfig"))
    return math.ceil(driver + executor * int(run.get("numExecutors") or 0))
