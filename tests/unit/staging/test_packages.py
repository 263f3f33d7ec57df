from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.files import LocalFiles
from airflow_provider_dataflow.staging.packages import zip_package


def make(bundle: Path, order: int = 1) -> Path:
    """Write a package, its files in the given order."""
    files = {
        "__init__.py": "",
        "a.py": "VALUE = 1",
        "sub/__init__.py": "",
        "sub/data.json": "{}",
        "__pycache__/a.cpython-311.pyc": "x",
        "old.pyc": "x",
        ".git/config": "x",
        ".hidden": "x",
    }
    for name in list(files)[::order]:
        path = bundle / "helpers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name])
    return bundle / "helpers"


def zipped(bundle: Path) -> Path:
    target = bundle / "helpers.zip"
    zip_package(bundle / "helpers", target, LocalFiles(bundle, bundle), "helpers", "py_files")
    return target


def test_zip_depends_on_names_and_content_only(tmp_path):
    hashes = set()
    for number, order in enumerate((1, -1)):
        bundle = tmp_path / str(number)
        package = make(bundle, order)
        for path in package.rglob("*"):
            os.utime(path, (number * 10**9, number * 10**9))
            path.chmod(0o755 if number or path.is_dir() else 0o600)
        hashes.add(hashlib.sha256(zipped(bundle).read_bytes()).hexdigest())
    # A literal: other versions of Python and zlib must write the same zip.
    assert hashes == {"6d11ca3003d32d47e4a705529f94bc75dbf7f1c6ea7f19ffc6c5cdd9573c7bae"}


def test_package_can_be_imported_from_the_zip(tmp_path):
    make(tmp_path)
    target = zipped(tmp_path)
    with ZipFile(target) as archive:
        assert archive.namelist() == [
            *("helpers/__init__.py", "helpers/a.py", "helpers/sub/__init__.py", "helpers/sub/data.json")
        ]
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
    code = "import helpers.a, helpers.sub; print(helpers.a.VALUE, helpers.__file__)"
    run = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(target)}
    printed = subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout
    assert printed == f"1 {target}/helpers/__init__.py\n"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("../../outside.py", r"helpers/link is outside of the DAG's bundle"),
        ("gone", "helpers/link is no regular file, or a broken link"),
        ("sub", "helpers/link is a symbolic link to a folder"),
    ],
)
def test_unusable_link_is_refused(tmp_path, target, problem):
    bundle = tmp_path / "bundle"
    package = make(bundle)
    (tmp_path / "outside.py").write_text("secret")
    (package / "link").symlink_to(target)
    with pytest.raises(InvalidArgument, match=f"py_files: {problem}"):
        zipped(bundle)


@pytest.mark.parametrize("name", ["helpers", "helpers/sub"])
def test_unreadable_folder_is_refused(tmp_path, monkeypatch, name):
    """A zip without it would fail in Spark only. Root may read everything, so the refusal is simulated."""
    make(tmp_path)
    unreadable, scandir = str(tmp_path / name), os.scandir

    def refusing(path):
        if os.fspath(path) == unreadable:
            raise PermissionError(errno.EACCES, "Permission denied", unreadable)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InvalidArgument, match=f"py_files: {name} cannot be read by the worker's user"):
        zipped(tmp_path)


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    package, access = make(tmp_path), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != package / "a.py" and access(path, mode))
    with pytest.raises(InvalidArgument, match=r"py_files: helpers/a\.py cannot be read by the worker's user"):
        zipped(tmp_path)


def test_link_to_a_file_of_the_bundle_is_followed(tmp_path):
    package = make(tmp_path)
    (tmp_path / "shared.py").write_text("X = 2")
    (package / "shared.py").symlink_to("../shared.py")
    with ZipFile(zipped(tmp_path)) as archive:
        assert archive.read("helpers/shared.py") == b"X = 2"


def test_empty_folder_is_refused(tmp_path):
    (tmp_path / "helpers" / "__pycache__").mkdir(parents=True)
    with pytest.raises(InvalidArgument, match="py_files: helpers is a folder without files"):
        zipped(tmp_path)
