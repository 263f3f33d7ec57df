"""Homes and ports that cannot be used."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.cli.command_line import main
from tests.unit.local.cli.support import (
    COMMANDS,
    VALID,
    WITHOUT_SERVER,
    failure,
    usage_error,
)


def unusable_homes(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("/proc/nowhere/x")
    return [
        str(folder / "file"),
        str(folder / "file" / "below"),
        str(folder / "dangling"),
        "/proc/x",
        "/dev/null",
    ]


@pytest.mark.parametrize("command", ["serve", "connection", "bucket", "warm"])
@pytest.mark.parametrize("number", range(5))
def test_home_that_cannot_be_created_is_refused(capsys, tmp_path, command, number):
    home = unusable_homes(tmp_path)[number]
    error = failure(capsys, *command.split(), *VALID[command], "--home", home)
    assert "cannot be used" in error
    assert str(Path(home).resolve()) in error
    assert "--home" in error


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in WITHOUT_SERVER])
def test_home_that_is_a_file_is_refused(capsys, tmp_path, command):
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file")
    assert "is not a folder" in failure(capsys, "--home", home, *command.split(), *VALID[command])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("home", ["", " ", "~nobody-of-this-name/x"])
def test_home_that_is_not_a_path_is_refused(capsys, monkeypatch, command, home):
    error = usage_error(capsys, *command.split(), *VALID[command], "--home", home)
    assert "--home" in error
    assert repr(home) in error
    if home.strip():
        monkeypatch.setenv("DATAFLOW_LOCAL_HOME", home)
        assert repr(home) in usage_error(capsys, *command.split(), *VALID[command])


@pytest.mark.parametrize("command", ["serve", "connection", "bucket", "warm"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG])
def test_home_without_write_access_is_refused(capsys, monkeypatch, tmp_path, command, number):
    def refuse(path, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = failure(capsys, command, *VALID[command], "--home", str(tmp_path / "home"))
    assert f"{tmp_path / 'home'} cannot be used: {os.strerror(number)}" in error


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in WITHOUT_SERVER])
def test_home_without_read_access_is_refused(capsys, monkeypatch, tmp_path, command):
    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    argv = [*command.split(), *VALID[command], "--home", str(tmp_path / "home")]
    assert "cannot be used: Permission denied" in failure(capsys, *argv)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("state.sqlite", "this is no database" * 100),
        ("identity/profile.json", "{"),
        ("identity/profile.json", "{}"),
        ("identity/profile.json", "[]"),
    ],
)
def test_home_with_a_damaged_file_is_refused(capsys, tmp_path, name, content):
    path = tmp_path / "home" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    if name.startswith("identity"):
        (path.parent / "api_key.pem").write_text("no key")
    error = failure(capsys, "serve", *VALID["serve"], "--home", str(tmp_path / "home"))
    assert str(tmp_path / "home") in error
    assert "emove that" in error


def test_home_with_a_damaged_key_is_refused(capsys, tmp_path):
    assert main(["connection", "--home", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "identity" / "api_key.pem").write_text("-----BEGIN PRIVATE KEY-----\nx")
    assert "identity" in failure(capsys, "connection", "--home", str(tmp_path))


def test_home_with_a_folder_instead_of_a_file_is_refused(capsys, tmp_path):
    for number, name in enumerate(("lock", "state.sqlite", "identity/profile.json")):
        home = tmp_path / str(number)
        (home / name).mkdir(parents=True)
        assert str(home) in failure(capsys, "serve", *VALID["serve"], "--home", str(home))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_port_in_use_is_named(capsys, tmp_path, taken_port):
    error = failure(
        capsys, "serve", "--engine", "scripted", "--port", str(taken_port), "--home", str(tmp_path / "home")
    )
    assert f"port {taken_port}" in error
    assert "in use" in error
    assert "--port" in error


def test_privileged_port_is_refused(capsys, monkeypatch, tmp_path):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    error = failure(capsys, "serve", "--engine", "scripted", "--port", "80", "--home", str(tmp_path / "home"))
    assert "port 80: Permission denied" in error
    assert "--port" in error
