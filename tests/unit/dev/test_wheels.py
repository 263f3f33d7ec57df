"""Wheels of packages without wheels are built once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dev import wheels

ROOT = Path(__file__).parents[3]
CONSTRAINTS = """
# a comment
numpy==1.26.4
pyspark==3.5.9 ; python_full_version < '3.12'
pyspark==4.0.5 ; python_full_version >= '3.12'  # newer
"""


@pytest.mark.parametrize(("python", "version"), [("3.11", "3.5.9"), ("3.12", "4.0.5")])
def test_version_is_that_of_the_python(python, version):
    assert wheels.pinned(CONSTRAINTS, python) == {"pyspark": version}


@pytest.mark.parametrize("path", [ROOT / "constraints.txt", *(ROOT / "dev" / "releases").glob("*.txt")])
def test_each_constraints_file_pins_a_pyspark(path: Path):
    assert wheels.pinned(path.read_text(), "3.11").keys() == {"pyspark"}


@pytest.fixture
def pip(monkeypatch) -> list[list[str]]:
    """Return the calls of pip, which writes an empty wheel instead of building one."""
    calls: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> None:
        calls.append(command)
        name, _, version = command[-1].partition("==")
        folder = Path(command[command.index("--wheel-dir") + 1])
        (folder / f"{name}-{version}-py2.py3-none-any.whl").touch()

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_wheel_is_built_once(tmp_path: Path, pip):
    folder = tmp_path / "wheels"
    for _ in range(2):
        wheels.build("pyspark", "3.5.9", folder)
    assert [path.name for path in folder.iterdir() if path.name[0] != "."] == [
        "pyspark-3.5.9-py2.py3-none-any.whl"
    ]
    assert len(pip) == 1


def test_another_version_is_built(tmp_path: Path, pip):
    wheels.build("pyspark", "3.5.9", tmp_path)
    wheels.build("pyspark", "3.5.90", tmp_path)
    wheels.build("pyspark", "4.0.5", tmp_path)
    assert [command[-1] for command in pip] == ["pyspark==3.5.9", "pyspark==3.5.90", "pyspark==4.0.5"]


def test_failed_build_leaves_nothing_behind(tmp_path: Path, monkeypatch):
    def run(command: list[str], *, check: bool) -> None:
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(subprocess.CalledProcessError):
        wheels.build("pyspark", "3.5.9", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".pyspark.lock"]
