"""Commands of ``python -m airflow_provider_dataflow.cli`` against Local Data Flow."""

from __future__ import annotations

import sys
import zipfile

from airflow_provider_dataflow.cli.command_line import main
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from tests.wheels import write_wheel


def test_package_is_uploaded_once(scripted: DataFlowFixture, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bucket = scripted.create_bucket("packages")
    write_wheel(tmp_path, "plainlib")
    file = tmp_path / "requirements.txt"
    file.write_text(f"--no-index\n--find-links {tmp_path}\nplainlib\n")
    words = ["package", "-f", str(file), "--upload", "--staging-uri", "oci://packages@local/staging"]
    assert main(words) == main(words) == 0
    first, second = capsys.readouterr().out.split()
    assert first == second
    assert len(scripted.journal("PutObject")) == 1
    # Local Data Flow's runs have the Python of this machine.
    with zipfile.ZipFile(bucket / first.partition("oci://packages@local/")[2]) as archive:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        assert f"python/lib/{python}/site-packages/plainlib/__init__.py" in archive.namelist()


def test_upload_without_a_place_is_refused(scripted: DataFlowFixture, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_wheel(tmp_path, "plainlib")
    assert main(["package", "--upload", "plainlib", "--", f"--find-links {tmp_path}", "--no-index"]) == 1
    assert "--staging-uri: missing" in capsys.readouterr().err
