"""Build wheels of packages that an index has only as an sdist, once for all environments.

    python dev/wheels.py constraints.txt 3.11

builds those that a constraints file pins for a version of Python, into ``.cache/wheels``. uv finds them there
by ``UV_FIND_LINKS``, which ``dev/environment.sh`` sets; otherwise it builds them again for each environment.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.requirements import Requirement

#: A build takes half a minute. Its wheel fits each Python.
SDIST_ONLY = ("pyspark",)


def pinned(constraints: str, python: str) -> dict[str, str]:
    """Return the version of each package without wheels.

    :param constraints: text of a constraints file
    :param python: version whose environment markers count, such as ``3.12``
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    lines = [line.partition("#")[0].strip() for line in constraints.splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return {
        r.name: str(r.specifier).removeprefix("==")
        for r in requirements
        if r.name in SDIST_ONLY and (r.marker is None or r.marker.evaluate(environment))
    }


def build(name: str, version: str, folder: Path) -> None:
    """Build a wheel, unless it is there. Of several processes, one builds and the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(folder.glob(f"{name}-{version}-*.whl")):
            return
        print(f"Building {name} {version} (half a minute, once) ...", flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
            subprocess.run(
                [*command, "--no-deps", "--wheel-dir", unfinished, f"{name}=={version}"], check=True
            )
            [wheel] = Path(unfinished).glob("*.whl")
            shutil.move(wheel, folder / wheel.name)


def main(arguments: list[str]) -> None:
    constraints, python = arguments
    folder = Path(__file__).parents[1] / ".cache" / "wheels"
    for name, version in pinned(Path(constraints).read_text(), python).items():
        build(name, version, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
