from __future__ import annotations

import argparse
import zipfile

import pytest

from airflow_provider_dataflow.cli.airflow_commands import get_provider_cli_commands
from airflow_provider_dataflow.cli.command import Command, Option
from airflow_provider_dataflow.cli.command_line import main
from airflow_provider_dataflow.cli.commands import COMMANDS
from airflow_provider_dataflow.exceptions import DataFlowError
from tests.wheels import write_wheel


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def requirements(tmp_path):
    index = tmp_path / "index"
    index.mkdir()
    write_wheel(index, "plainlib", "1.0")
    file = tmp_path / "requirements.txt"
    file.write_text(f"--no-index\n--find-links {index}\nplainlib\n")
    return file


def test_package_writes_the_archive_of_a_requirements_file(requirements, tmp_path, capsys):
    words = ["package", "-f", str(requirements), "-o", "deps.zip", "--spark-version", "3.2.1"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out == "deps.zip\n"
    assert printed.err == "Python 3.8 on x86_64-manylinux_2_17: plainlib==1.0\n"
    with zipfile.ZipFile(tmp_path / "deps.zip") as archive:
        assert "python/lib/python3.8/site-packages/plainlib/__init__.py" in archive.namelist()


def test_package_for_a_python_and_a_platform(requirements, capsys):
    words = ["package", "-f", str(requirements), "--python", "3.12", "--platform", "aarch64-manylinux_2_28"]
    assert main(words) == 0
    assert "Python 3.12 on aarch64-manylinux_2_28" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["package"], "error: requirement: no requirement is given."),
        (
            ["package", "humanize", "-f", "requirements.txt"],
            "error: requirement: give requirements or --file",
        ),
        (["package", "-f", "missing.txt"], "error: --file: cannot read missing.txt"),
        (
            ["package", "humanize", "--spark-version", "9.1.0"],
            "error: requirements: the Python of Spark 9.1.0",
        ),
        (["package", "-f", "requirements.txt", "-o", "no/such/folder.zip"], "error: --output: cannot write"),
    ],
)
def test_error_is_one_line_and_exit_code_1(requirements, capsys, words, message):
    assert main(words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(message)


@pytest.mark.parametrize("words", [[], ["nonsense"], ["package", "--nonsense"]])
def test_wrong_usage_is_exit_code_2(words):
    with pytest.raises(SystemExit, match="2"):
        main(words)


def test_airflows_command_line_has_the_same_commands(requirements, capsys):
    (group,) = get_provider_cli_commands()
    assert group.name == "oci-data-flow"
    assert [command.name for command in group.subcommands] == [command.name for command in COMMANDS]
    (package,) = (command for command in group.subcommands if command.name == "package")
    parser = argparse.ArgumentParser()
    for argument in package.args:
        argument.add_to_parser(parser)
    package.func(parser.parse_args(["-f", str(requirements)]))
    assert capsys.readouterr().out == "archive.zip\n"
    with pytest.raises(SystemExit, match="1"):
        package.func(parser.parse_args(["-f", "missing.txt"]))


def test_error_of_a_command_is_its_exit_code(capsys):
    def fail(arguments):
        raise DataFlowError(f"no {arguments.what}")

    command = Command("fail", "fails", fail, (Option(("what",)),))
    assert command(argparse.Namespace(what="luck")) == 1
    assert capsys.readouterr().err == "error: no luck.\n"
