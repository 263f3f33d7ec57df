from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging import files as files_module
from airflow_provider_dataflow.staging.files import LocalFiles


@pytest.fixture
def bundle(tmp_path) -> Path:
    (tmp_path / "outside.py").write_text("secret")
    (tmp_path / "outside").mkdir()
    bundle = tmp_path / "bundle"
    (bundle / "team" / "lib").mkdir(parents=True)
    (bundle / "app.py").write_text("bundle")
    (bundle / "team" / "app.py").write_text("team")
    (bundle / "shared.py").write_text("shared")
    (bundle / "team" / "latest.py").symlink_to("app.py")
    (bundle / "team" / "up.py").symlink_to("../shared.py")
    (bundle / "escape.py").symlink_to("../outside.py")
    (bundle / "team" / "broken.py").symlink_to("gone.py")
    (bundle / "escape").symlink_to("../outside")
    return bundle


@pytest.fixture
def files(bundle) -> LocalFiles:
    return LocalFiles(bundle / "team", bundle)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("app.py", "team/app.py"),
        ("./app.py", "team/app.py"),
        ("../app.py", "app.py"),
        ("shared.py", "shared.py"),
        ("team/app.py", "team/app.py"),
        ("latest.py", "team/app.py"),
        ("up.py", "shared.py"),
    ],
)
def test_paths_are_relative_to_the_dag_or_else_to_the_bundle(files, bundle, path, found):
    assert files.find(path, "application") == bundle / found


def test_absolute_path_in_the_bundle_and_folder(files, bundle):
    assert files.find(str(bundle / "shared.py"), "application") == bundle / "shared.py"
    assert files.find("lib/", "py_files", folders=True) == bundle / "team" / "lib"


def test_bundle_behind_a_link(tmp_path, bundle):
    """git-sync mounts a bundle behind a link that it replaces."""
    (tmp_path / "current").symlink_to(bundle)
    files = LocalFiles(tmp_path / "current" / "team", tmp_path / "current")
    assert files.find("../app.py", "application") == bundle / "app.py"


@pytest.mark.parametrize(
    "path",
    [
        *("../../outside.py", "../escape.py", "escape.py", "escape/../outside.py", "/etc/passwd"),
        *("../../missing.py", "escape/x.py", "/"),
    ],
)
def test_file_outside_of_the_bundle_is_refused(files, path):
    """With the same message whether it exists, and before it is read."""
    with pytest.raises(InvalidArgument, match=r"^py_files: .* is outside of the DAG's bundle"):
        files.find(path, "py_files")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("gone.py", r"gone\.py does not exist on this worker \(looked for .*/team/gone\.py and "),
        ("broken.py", "does not exist"),
        ("lib", "lib is a folder; expected a file"),
        ("pipe", "no regular file"),
    ],
)
def test_unusable_file_is_refused_with_its_name(files, bundle, path, problem):
    os.mkfifo(bundle / "team" / "pipe")
    with pytest.raises(InvalidArgument, match=rf"^application: .*{problem}"):
        files.find(path, "application")


def test_names_that_spark_would_split_are_refused(files, bundle):
    (bundle / "my app.py").write_text("")
    with pytest.raises(InvalidArgument, match=r"application: the file name 'my app\.py' is not allowed"):
        files.find("my app.py", "application")


def test_too_large_file_is_refused_with_the_limit(files, bundle, monkeypatch):
    os.truncate(bundle / "shared.py", files_module.MAX_FILE_BYTES)
    files.find("shared.py", "files")
    os.truncate(bundle / "shared.py", files_module.MAX_FILE_BYTES + 1)
    with pytest.raises(InvalidArgument, match=r"files: shared\.py has 5368709121 bytes, more than 5 GiB"):
        files.find("shared.py", "files")


@pytest.mark.parametrize("path", ["a\0b.py", "x" * 300, "x" * 300 + "/a.py", "a/" * 3000 + "a.py"])
def test_path_that_the_system_refuses_is_refused_by_name(tmp_path, path):
    with pytest.raises(InvalidArgument, match=r"^py_files: "):
        LocalFiles(tmp_path, tmp_path).find(path, "py_files")
