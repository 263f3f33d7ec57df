"""Wheels that tests write themselves, so that they need no package index."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def write_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
    requires: Iterable[str] = (),
    scripts: Iterable[str] = (),
) -> Path:
    """Write a wheel with a package ``name``, whose ``VERSION`` is its version."""
    metadata = f"{name}-{version}.dist-info"
    content = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        **(files or {}),
        f"{metadata}/METADATA": "".join(
            [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
            + [f"Requires-Dist: {item}\n" for item in requires]
        ),
        f"{metadata}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if scripts:
        lines = "".join(f"{script} = {name}:main\n" for script in scripts)
        content[f"{metadata}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    content[f"{metadata}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{metadata}/RECORD"])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in content.items():
            wheel.writestr(file, text)
    return path
