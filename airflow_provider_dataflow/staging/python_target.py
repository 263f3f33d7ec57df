"""Python and platform of a run, for which its dependencies are built."""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass

from airflow_provider_dataflow.exceptions import InvalidArgument

#: Spark of runs without ``spark_version``: the newest of the service.
DEFAULT_SPARK_VERSION = "3.5.0"

#: Python of each Spark of the service, from Oracle's guides "Migrate Data Flow to Spark ...".
PYTHON_OF_SPARK = {"3.5": "3.11", "3.2": "3.8", "3.0": "3.6", "2.4": "3.6"}

#: Oldest glibc of the service's Oracle Linux. Wheels for it work on all newer ones, too.
_LINUX = "manylinux_2_17"
_ARM_SHAPE = re.compile(r"(?:VM|BM)\.Standard\.A\d", re.IGNORECASE)
_PYTHON = re.compile(r"3\.\d{1,2}")
_PLATFORM = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True)
class PythonTarget:
    """Python and platform that packages are built for.

    :param python: version, for example ``3.11``.
    :param platform: name that uv gives it, for example ``x86_64-manylinux_2_17``. ``None``: this machine.
    """

    python: str
    platform: str | None = None

    def __post_init__(self) -> None:
        if not _PYTHON.fullmatch(self.python):
            raise InvalidArgument("python", f"expected a version such as 3.11, got {self.python!r}")
        if self.platform is not None and not _PLATFORM.fullmatch(self.platform):
            raise InvalidArgument(
                "platform", f"expected a name such as x86_64-{_LINUX}, got {self.platform!r}"
            )

    @property
    def key(self) -> str:
        """Text that differs for targets whose packages differ."""
        if self.platform is not None:
            return f"{self.python} {self.platform}"
        return f"{self.python} {sys.platform} {platform.machine()} {' '.join(platform.libc_ver())}"

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform or 'this machine'}"


def target_of_run(spark_version: str | None, *shapes: str | None) -> PythonTarget:
    """Return the target of a run in the service.

    :param spark_version: of the run. Default: the newest.
    :param shapes: of the driver and the executors, as far as they are known.
    :raises InvalidArgument: the Python of this Spark is unknown, or the shapes have different processors.
    """
    spark_version = spark_version or DEFAULT_SPARK_VERSION
    python = PYTHON_OF_SPARK.get(".".join(spark_version.split(".")[:2]))
    if python is None:
        raise InvalidArgument(
            "requirements",
            f"the Python of Spark {spark_version} is not known; build the archive with 'python -m "
            "airflow_provider_dataflow.cli package --python ...', and give its URI as archive_uri",
        )
    machines = {architecture(shape) for shape in shapes if shape}
    if len(machines) > 1:
        raise InvalidArgument(
            "requirements",
            "driver_shape and executor_shape have different processors (x86_64 and aarch64), so no archive "
            "works on both",
        )
    return PythonTarget(python, f"{machines.pop() if machines else 'x86_64'}-{_LINUX}")


def architecture(shape: str) -> str:
    """Return the processor of a shape: ``aarch64`` for ``VM.Standard.A1.Flex`` and its like."""
    return "aarch64" if _ARM_SHAPE.match(shape) else "x86_64"
