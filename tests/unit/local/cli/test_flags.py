from __future__ import annotations

import argparse
import inspect
from dataclasses import fields

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli import arguments as types
from airflow_provider_dataflow.local.cli import flags as flags_module
from airflow_provider_dataflow.local.cli.command_line import main, make_parser
from airflow_provider_dataflow.local.cli.flags import as_flags, options_from
from airflow_provider_dataflow.local.state.options import EndedRunDelete, Options, Replay
from tests.unit.local.support import COMPARTMENT, Local

OTHERS = Options(
    verify_signatures=False,
    ended_run_delete=EndedRunDelete.NO_CONTENT,
    max_page=7,
    default_page=3,
    retry_token_seconds=5.5,
    replay=Replay.CONFLICT,
    allowed_hosts=("a.example", "b"),
    forbidden_properties=("spark.a.*", "spark.b"),
    max_concurrent_runs_per_compartment=2,
    max_live_runs_per_compartment=4,
    transition_seconds=0.0,
    submission_starts_pool=False,
    complete_application_parameters=True,
    one_run_per_streaming_application=True,
)


def parsed(*flags: str) -> Options:
    arguments: argparse.Namespace = make_parser().parse_args(["serve", *flags])
    return options_from(arguments)


def test_what_is_not_said_is_as_by_default():
    assert parsed() == Options()
    assert as_flags(Options()) == []


def test_there_and_back():
    for field in fields(Options):
        assert getattr(OTHERS, field.name) != field.default, field.name
    flags = as_flags(OTHERS)
    assert len(flags) == len(fields(Options))
    assert parsed(*flags) == OTHERS


def test_each_of_its_type():
    for field in fields(Options):
        assert type(getattr(parsed(*as_flags(OTHERS)), field.name)) is type(getattr(OTHERS, field.name))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--retry-token-seconds", "1h30m"], Options(retry_token_seconds=5400)),
        (["--forbidden-properties", ""], Options(forbidden_properties=())),
        (["--allowed-hosts", "a, b"], Options(allowed_hosts=("a", "b"))),
    ],
)
def test_ways_to_say_it(flags, expected):
    assert parsed(*flags) == expected


@pytest.mark.parametrize(
    "flags",
    [
        ["--replay", "maybe"],
        ["--max-live-runs-per-compartment", "0"],
        ["--transition-seconds", "soon"],
        ["--ended-run-delete", "conflict"],
        ["--default-page", "20", "--max-page", "10"],
    ],
)
def test_what_cannot_be(flags, capsys):
    with pytest.raises(SystemExit):
        main(["serve", *flags])
    assert flags[0] in capsys.readouterr().err


def test_they_get_to_the_server(tmp_path):
    options = Options(
        max_live_runs_per_compartment=1, forbidden_properties=("spark.x",), replay=Replay.CONFLICT
    )
    with LocalDataFlow(tmp_path, engine="scripted", verify=False, options=options) as local:
        assert local.local("health")["options"] == {
            "verifySignatures": False,
            "maxLiveRunsPerCompartment": 1,
            "forbiddenProperties": ["spark.x"],
            "replay": "conflict",
        }


def test_flags_and_arguments_do_not_import_the_commands():
    """Also not in a function: the commands import them."""
    for module in (flags_module, types):
        assert "local.commands" not in inspect.getsource(module)


def test_a_page_is_never_larger_than_the_largest(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, max_page=2))
    for _ in range(3):
        local.application()
    assert len(local.json("GET", f"/applications?compartmentId={COMPARTMENT}")) == 2


def test_an_allowed_host_may_be_written_in_capitals(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, allowed_hosts=("Spark.Example",)))
    assert local.call("GET", "/_local/health", host="spark.example:8170").status == 200
    assert local.call("GET", "/_local/health", host="other.example").status == 400
