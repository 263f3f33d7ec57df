"""Wrong arguments of every command.

Commands and options are read from the parser: a new one fails here until its wrong input is in the tables.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.local.cli.command_line import main
from tests.unit.local.cli.support import (
    COMMANDS,
    COMPARTMENT,
    RUN,
    VALID,
    failure,
    name_of,
    usage_error,
)

COUNTS = ["", "x", "0", "-1", "1.5", "1e3", "nan", "1_0", "9" * 5000, "१२x"]
DURATIONS = ["", "soon", "-1", "-5m", "1y", "h", "1m2h", "nan", "inf", "1e300", "9" * 400, "4000d", "5 m"]
OCIDS = ["", " ", "x", "ocid1", "ocid1.run", "ocid1.dataflowrun.oc1.iad.ü"]
# By command and argument, the values that are refused. Positional arguments go by their metavar.
WRONG: dict[tuple[str, str], list[str]] = {
    ("serve", "--port"): ["", "x", "-1", "65536", "99999999", "8170.5", "0x50", "9" * 5000],
    ("serve", "--engine"): ["", "Spark", "flink"],
    ("serve", "--clock"): ["", "sytem", "now"],
    ("serve", "--max-concurrent-runs"): COUNTS,
    ("serve", "--ended-run-delete"): ["", "conflict", "409"],
    ("serve", "--max-page"): COUNTS,
    ("serve", "--default-page"): COUNTS,
    ("serve", "--retry-token-seconds"): DURATIONS,
    ("serve", "--replay"): ["", "maybe"],
    ("serve", "--allowed-hosts"): ["http://a", "a:80", "a/b", "a b", "ü!"],
    ("serve", "--forbidden-properties"): ["spark.a=b", "spark a"],
    ("serve", "--max-concurrent-runs-per-compartment"): COUNTS,
    ("serve", "--max-live-runs-per-compartment"): COUNTS,
    ("serve", "--transition-seconds"): DURATIONS,
    ("serve", "--startup-seconds"): DURATIONS,
    ("connection", "--port"): ["", "x", "0", "-1", "65536"],
    ("connection", "--for"): ["", "sdks", "opentofu"],
    ("bucket", "NAME[@NAMESPACE]"): [
        "",
        "..",
        "../x",
        "a@b@c",
        "a@",
        "@b",
        "oci://",
        "a@b/c",
        "ü",
        "a" * 300,
    ],
    ("runs", "--limit"): COUNTS,
    ("runs", "--state"): ["", "NOPE", "failed", "RUNNING"],
    ("logs", "RUN_ID"): ["", " "],
    ("logs", "--name"): ["", " "],
    ("cancel", "RUN_ID"): ["", " "],
    ("maintain", "RUN_ID"): ["", " "],
    ("sql-endpoint show", "SQL_ENDPOINT_ID"): ["", " "],
    ("sql-endpoint maintain", "SQL_ENDPOINT_ID"): ["", " "],
    ("maintain", "--successor-after"): DURATIONS,
    ("move", "RUN_ID"): ["", " "],
    ("move", "COMPARTMENT_ID"): OCIDS,
    ("fault add", "KIND"): ["", "sttus", "Drop"],
    ("fault add", "--operation"): ["", " ", "CreteRun", "createRun", "*Rum", "[", "ü"],
    ("fault add", "--resource-id"): [*OCIDS, "oci://bucket", "oci://a b@ns/x"],
    ("fault add", "--user"): ["", " "],
    ("fault add", "--count"): COUNTS,
    ("fault add", "--after"): ["", "x", "-1", "1.5", "9" * 5000],
    ("fault add", "--probability"): ["", "x", "-0.1", "1.1", "nan", "inf", "50%"],
    ("fault add", "--seed"): ["", "x", "-1", "9" * 30],
    ("fault add", "--in"): DURATIONS,
    ("fault add", "--for"): DURATIONS,
    ("fault add", "--status"): ["", "x", "200", "399", "600", "-1", "429.0"],
    ("fault add", "--code"): ["", " "],
    ("fault add", "--retry-after"): DURATIONS,
    ("fault add", "--seconds"): [d for d in DURATIONS if d not in ("-1", "-5m")],
    ("fault add", "--limit"): ["", "x", "-1", "1.5"],
    ("fault add", "--bytes"): ["", "x", "-1", "1.5"],
    ("fault clear", "ID"): ["", " "],
    ("rule add", "--name"): ["", " "],
    ("rule add", "--application-id"): OCIDS,
    ("rule add", "--tag"): ["", "x", "=x", " =x"],
    ("rule add", "--outcome"): ["", "SUCEEDED", "failed", "ACCEPTED"],
    ("rule add", "--state"): ["", "pausing", "A B", "A" * 100],
    ("rule add", "--startup"): DURATIONS,
    ("rule add", "--duration"): DURATIONS,
    ("rule add", "--cancel-duration"): DURATIONS,
    ("rule add", "--bytes-read"): ["", "x", "-1", "1.5", "9" * 40],
    ("rule add", "--bytes-written"): ["", "x", "-1", "1.5", "9" * 40],
    ("clock advance", "DURATION"): [*(d for d in DURATIONS if not d.startswith("-")), "nxt", "next 5m"],
}
# Arguments that take any text, even an empty one.
ANY_TEXT = {
    ("fault add", "--message"),
    ("rule add", "--details"),
    ("rule add", "--stdout"),
    ("rule add", "--stderr"),
}
# Further arguments that an option of a fault requires.
CONTEXT = {
    "--status": ["status"],
    "--code": ["status", "--status", "500"],
    "--message": ["status", "--status", "500"],
    "--retry-after": ["status", "--status", "429"],
    "--seconds": ["slow"],
    "--limit": ["limit_exceeded"],
    "--bytes": ["truncated_body"],
}
# Valid values that contradict each other.
CONTRADICTIONS = [
    (["serve", "--default-page", "20", "--max-page", "10"], "--default-page"),
    (["logs", RUN, "--stderr", "--name", "x"], "--stderr"),
    (["logs", RUN, "--list", "--stderr"], "--stderr"),
    (["logs", RUN, "--list", "--follow"], "--follow"),
    (["rule", "add", "--tag", "a=1", "--tag", "a=2"], "--tag"),
    (["fault", "add", "drop", "--seconds", "1"], "--seconds"),
    (["fault", "add", "slow", "--seconds", "1", "--status", "500"], "--status"),
    (["fault", "add", "slow", "--seconds", "1", "--bytes", "5"], "--bytes"),
    (["fault", "add", "drop", "--limit", "1"], "--limit"),
    (["fault", "add", "drop", "--retry-after", "1"], "--retry-after"),
]
# Required option of each kind of fault.
NEEDED = [
    ("status", "--status"),
    ("vanish", "--resource-id"),
    ("not_found_after_create", "--seconds"),
    ("limit_exceeded", "--limit"),
    ("late", "--seconds"),
    ("slow", "--seconds"),
    ("slow_body", "--seconds"),
    ("clock_skew", "--seconds"),
]


def arguments_of(command: str, *, with_value: bool) -> list[argparse.Action]:
    actions = [a for a in COMMANDS[command]._actions if a.dest not in ("help", "home")]
    return [a for a in actions if (a.nargs != 0) is with_value]


WITH_VALUE = [(c, name_of(a)) for c in COMMANDS for a in arguments_of(c, with_value=True)]
FLAGS = [(c, name_of(a)) for c in COMMANDS for a in arguments_of(c, with_value=False)]
OPTIONS = [(c, n) for c, n in WITH_VALUE + FLAGS if n.startswith("--")]


def test_tables_have_every_command_and_argument():
    assert set(VALID) == set(COMMANDS)
    assert set(WRONG) | ANY_TEXT == set(WITH_VALUE)
    assert set(WRONG).isdisjoint(ANY_TEXT)


@pytest.mark.parametrize(
    ("command", "name", "value"), [(c, n, v) for (c, n), vs in WRONG.items() for v in vs]
)
def test_wrong_value_is_named(capsys, command, name, value):
    words = command.split()
    if name.startswith("--"):
        context = CONTEXT.get(name, VALID[command]) if command == "fault add" else VALID[command]
        argv = [*words, *context, f"{name}={value}"]
    elif name == "COMPARTMENT_ID":
        argv = [*words, RUN, value]
    elif (command, name) == ("move", "RUN_ID"):
        argv = [*words, value, COMPARTMENT]
    else:
        argv = [*words, value]
    error = usage_error(capsys, *argv)
    assert name in error
    assert repr(value)[1:-1][:20] in error  # the given value
    assert len(error) < 800
    assert f"See: dataflow-local {command} --help" in error


@pytest.mark.parametrize(("command", "name"), sorted(ANY_TEXT))
def test_any_text_is_accepted(capsys, command, name):
    for value in ("", "ü\n\x1b[31m", "x" * 1000):
        error = failure(capsys, *command.split(), *CONTEXT.get(name, VALID[command]), f"{name}={value}")
        assert "No server runs" in error


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_typo_in_an_option_suggests_the_option(capsys, command, option):
    typo = option[:-1]
    error = usage_error(capsys, *command.split(), *VALID[command], f"{typo}=1")
    assert repr(typo) in error
    assert option in error.partition("Did you mean")[2]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_abbreviated_option_is_refused(capsys, command, option):
    short = option[:4]
    if short not in {o for c, o in OPTIONS if c == command}:
        assert repr(short) in usage_error(capsys, *command.split(), *VALID[command], short)


@pytest.mark.parametrize(("command", "option"), [(c, n) for c, n in WITH_VALUE if n.startswith("--")])
def test_option_without_its_value_is_refused(capsys, command, option):
    error = usage_error(capsys, *command.split(), *VALID[command], option)
    assert f"{option} needs a value" in error


@pytest.mark.parametrize(("command", "option"), FLAGS)
def test_flag_with_a_value_is_refused(capsys, command, option):
    error = usage_error(capsys, *command.split(), *VALID[command], f"{option}=no")
    assert option in error
    assert "takes no value, but was given 'no'" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_unexpected_argument_is_refused(capsys, command):
    words = [*command.split(), *VALID[command]]
    if command != "cancel":
        extra = [*words, "b", "c"] if command in ("rule clear", "fault clear") else [*words, "extra"]
        assert "unexpected argument" in usage_error(capsys, *extra)


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(a.required for a in COMMANDS[c]._actions)])
def test_missing_argument_is_named(capsys, command):
    error = usage_error(capsys, *command.split())
    for action in COMMANDS[command]._actions:
        if action.required:
            assert name_of(action) in error
    assert "missing" in error


@pytest.mark.parametrize("words", [[], ["fault"], ["rule"], ["clock"]])
def test_missing_command_lists_the_commands(capsys, words):
    error = usage_error(capsys, *words)
    for command in COMMANDS:
        if command.startswith(" ".join(words)):
            assert command.split()[len(words)] in error


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [(["rnus"], "runs"), (["Status"], "status"), (["fault", "ad"], "add"), (["log"], "logs")],
)
def test_unknown_command_suggests_a_command(capsys, words, suggestion):
    assert suggestion in usage_error(capsys, *words).partition("Did you mean")[2]


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["fault", "add", "sttus"], "status"),
        (["fault", "add", "drop", "--operation", "CreteRun"], "CreateRun"),
        (["rule", "add", "--outcome", "failed"], "FAILED"),
        (["runs", "--state", "CANCELLED"], "CANCELED"),
        (["serve", "--replay", "conflct"], "conflict"),
        (["clock", "advance", "nxt"], "next"),
    ],
)
def test_unknown_value_suggests_a_value(capsys, words, suggestion):
    assert suggestion in usage_error(capsys, *words).partition("Did you mean")[2]


@pytest.mark.parametrize(("argv", "named"), CONTRADICTIONS)
def test_contradicting_options_are_refused(capsys, argv, named):
    assert named in usage_error(capsys, *argv)


@pytest.mark.parametrize("seconds", ["-1", "-5m", "2h"])
def test_seconds_out_of_range_are_refused(capsys, seconds):
    assert "--seconds must be" in usage_error(capsys, "fault", "add", "slow", f"--seconds={seconds}")
    assert "--seconds must be" in usage_error(capsys, "fault", "add", "clock_skew", "--seconds=-2d")


@pytest.mark.parametrize(("kind", "option"), NEEDED)
def test_missing_option_of_a_fault_is_named(capsys, kind, option):
    assert f"the fault {kind} needs {option}." in usage_error(capsys, "fault", "add", kind)


def test_documented_errors_are_real(capsys):
    page = (Path(__file__).parents[4] / "docs" / "local" / "cli.md").read_text()
    shown = re.findall(r"^\$ dataflow-local (.+)\n(dataflow-local: .+\n)", page, re.MULTILINE)
    assert len(shown) == 3
    for command, error in shown:
        assert usage_error(capsys, *command.split()) == error


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"dataflow-local {__version__}\n"
