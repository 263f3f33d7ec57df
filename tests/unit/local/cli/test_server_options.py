from __future__ import annotations

import argparse
from dataclasses import fields

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.command_line import main, make_parser
from airflow_provider_dataflow.local.cli.server_options import options_from, to_arguments
from airflow_provider_dataflow.local.state.options import EndedRunDelete, Options, Replay
from tests.unit.local.support import COMPARTMENT, Local

NO_DEFAULTS = Options(
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
    startup_seconds=20.0,
    submission_starts_pool=False,
    complete_application_parameters=True,
    one_run_per_streaming_application=False,
)


def parsed(*words: str) -> Options:
    arguments: argparse.Namespace = make_parser().parse_args(["serve", *words])
    return options_from(arguments)


def test_defaults_need_no_arguments():
    assert parsed() == Options()
    assert to_arguments(Options()) == []


def test_options_survive_the_command_line():
    for field in fields(Options):
        assert getattr(NO_DEFAULTS, field.name) != field.default, field.name
    words = to_arguments(NO_DEFAULTS)
    assert len(words) == len(fields(Options))
    assert parsed(*words) == NO_DEFAULTS


def test_options_keep_their_types():
    for field in fields(Options):
        assert type(getattr(parsed(*to_arguments(NO_DEFAULTS)), field.name)) is type(
            getattr(NO_DEFAULTS, field.name)
        )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--retry-token-seconds", "1h30m"], Options(retry_token_seconds=5400)),
        (["--forbidden-properties", ""], Options(forbidden_properties=())),
        (["--allowed-hosts", "a, b"], Options(allowed_hosts=("a", "b"))),
    ],
)
def test_other_notations_are_parsed(words, expected):
    assert parsed(*words) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["--replay", "maybe"],
        ["--max-live-runs-per-compartment", "0"],
        ["--transition-seconds", "soon"],
        ["--ended-run-delete", "conflict"],
        ["--default-page", "20", "--max-page", "10"],
    ],
)
def test_wrong_option_is_named(words, capsys):
    with pytest.raises(SystemExit):
        main(["serve", *words])
    assert words[0] in capsys.readouterr().err


def test_options_reach_the_server(tmp_path):
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


def test_default_page_is_not_larger_than_max_page(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, max_page=2))
    for _ in range(3):
        local.application()
    assert len(local.json("GET", f"/applications?compartmentId={COMPARTMENT}")) == 2


def test_allowed_hosts_ignore_case(tmp_path):
    local = Local(tmp_path, options=Options(verify_signatures=False, allowed_hosts=("Spark.Example",)))
    assert local.call("GET", "/_local/health", host="spark.example:8170").status == 200
    assert local.call("GET", "/_local/health", host="other.example").status == 400
