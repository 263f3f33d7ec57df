"""Wrong input to every command and option of the command line.

Commands and options are found in the parser: a new one fails here until its wrong input is in the tables.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.cli.command_line import main, make_parser

RUN = "ocid1.dataflowrun.oc1.iad.aaaa"
COMPARTMENT = "ocid1.compartment.oc1..aaaa"

# Every command with arguments that are right.
VALID = {
    "serve": ["--engine", "scripted", "--port", "0"],
    "status": [],
    "reset": [],
    "connection": [],
    "bucket": ["data"],
    "warm": [],
    "runs": [],
    "logs": [RUN],
    "cancel": [RUN],
    "move": [RUN, COMPARTMENT],
    "fault add": ["drop"],
    "fault list": [],
    "fault clear": [],
    "rule add": [],
    "rule list": [],
    "rule clear": [],
    "clock show": [],
    "clock advance": ["1h"],
}
# Those that do not talk to a server.
WITHOUT_SERVER = {"serve", "connection", "bucket", "warm"}

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
    ("connection", "--port"): ["", "x", "0", "-1", "65536"],
    ("connection", "--for"): ["", "sdks", "terraform"],
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
    ("move", "RUN_ID"): ["", " "],
    ("move", "COMPARTMENT_ID"): OCIDS,
    ("fault add", "KIND"): ["", "sttus", "Drop"],
    ("fault add", "--operation"): ["", " ", "CreteRun", "createRun", "*Rum", "[", "ü"],
    ("fault add", "--resource-id"): OCIDS,
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
# Those that take any text, also none.
ANY_TEXT = {
    ("fault add", "--message"),
    ("rule add", "--details"),
    ("rule add", "--stdout"),
    ("rule add", "--stderr"),
}
# What else has to be given for an option to have a meaning.
CONTEXT = {
    "--status": ["status"],
    "--code": ["status", "--status", "500"],
    "--message": ["status", "--status", "500"],
    "--retry-after": ["status", "--status", "429"],
    "--seconds": ["slow"],
    "--limit": ["limit_exceeded"],
    "--bytes": ["truncated_body"],
}
# Beside the type of each: what contradicts.
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
# Options without which a kind of fault means nothing.
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


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, child in action.choices.items():
            yield from leaves(child, f"{name} {word}".strip())


COMMANDS = dict(leaves(make_parser()))


def arguments_of(command: str, *, with_value: bool) -> list[argparse.Action]:
    actions = [a for a in COMMANDS[command]._actions if a.dest not in ("help", "home")]
    return [a for a in actions if (a.nargs != 0) is with_value]


def name_of(action: argparse.Action) -> str:
    return action.option_strings[0] if action.option_strings else str(action.metavar)


WITH_VALUE = [(c, name_of(a)) for c in COMMANDS for a in arguments_of(c, with_value=True)]
FLAGS = [(c, name_of(a)) for c in COMMANDS for a in arguments_of(c, with_value=False)]
OPTIONS = [(c, n) for c, n in WITH_VALUE + FLAGS if n.startswith("--")]


def outcome(capsys, *argv: str) -> tuple[int, str]:
    """The exit code and what is on stderr; nothing is on stdout."""
    try:
        code = main(list(argv))
    except SystemExit as e:
        code = e.code
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


def one_line(error: str) -> str:
    assert error.startswith("dataflow-local: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert "Traceback" not in error
    assert "<" not in error.replace("<namespace>", "").replace("<bucket>", ""), "the repr of an object"
    return error


def usage_error(capsys, *argv: str) -> str:
    code, error = outcome(capsys, *argv)
    assert code == 2, error
    return one_line(error)


def failure(capsys, *argv: str) -> str:
    code, error = outcome(capsys, *argv)
    assert code == 1, error
    return one_line(error)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAFLOW_LOCAL_HOME", raising=False)


def test_the_tables_have_every_command_and_argument():
    assert set(VALID) == set(COMMANDS)
    assert set(WRONG) | ANY_TEXT == set(WITH_VALUE)
    assert set(WRONG).isdisjoint(ANY_TEXT)


@pytest.mark.parametrize(
    ("command", "name", "value"), [(c, n, v) for (c, n), vs in WRONG.items() for v in vs]
)
def test_wrong_values(capsys, command, name, value):
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
    assert repr(value)[1:-1][:20] in error  # what was given
    assert len(error) < 800
    assert f"See: dataflow-local {command} --help" in error


@pytest.mark.parametrize(("command", "name"), sorted(ANY_TEXT))
def test_any_text_is_taken(capsys, command, name):
    for value in ("", "ü\n\x1b[31m", "x" * 1000):
        error = failure(capsys, *command.split(), *CONTEXT.get(name, VALID[command]), f"{name}={value}")
        assert "No server runs" in error


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_a_typo_in_an_option_is_refused_with_the_nearest_one(capsys, command, option):
    typo = option[:-1]
    error = usage_error(capsys, *command.split(), *VALID[command], f"{typo}=1")
    assert repr(typo) in error
    assert option in error.partition("Did you mean")[2]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_abbreviation_is_no_option(capsys, command, option):
    short = option[:4]
    if short not in {o for c, o in OPTIONS if c == command}:
        assert repr(short) in usage_error(capsys, *command.split(), *VALID[command], short)


@pytest.mark.parametrize(("command", "option"), [(c, n) for c, n in WITH_VALUE if n.startswith("--")])
def test_an_option_without_its_value(capsys, command, option):
    error = usage_error(capsys, *command.split(), *VALID[command], option)
    assert f"{option} needs a value" in error


@pytest.mark.parametrize(("command", "option"), FLAGS)
def test_a_flag_with_a_value(capsys, command, option):
    error = usage_error(capsys, *command.split(), *VALID[command], f"{option}=no")
    assert option in error
    assert "takes no value, but was given 'no'" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_an_argument_too_many(capsys, command):
    words = [*command.split(), *VALID[command]]
    if command != "cancel":
        extra = [*words, "b", "c"] if command in ("rule clear", "fault clear") else [*words, "extra"]
        assert "too many" in usage_error(capsys, *extra)


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(a.required for a in COMMANDS[c]._actions)])
def test_missing_arguments(capsys, command):
    error = usage_error(capsys, *command.split())
    for action in COMMANDS[command]._actions:
        if action.required:
            assert name_of(action) in error
    assert "missing" in error


@pytest.mark.parametrize("words", [[], ["fault"], ["rule"], ["clock"]])
def test_a_missing_command_lists_the_commands(capsys, words):
    error = usage_error(capsys, *words)
    for command in COMMANDS:
        if command.startswith(" ".join(words)):
            assert command.split()[len(words)] in error


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["rnus"], "runs"), (["Status"], "status"), (["fault", "ad"], "add"), (["log"], "logs")],
)
def test_an_unknown_command(capsys, words, meant):
    assert meant in usage_error(capsys, *words).partition("Did you mean")[2]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fault", "add", "sttus"], "status"),
        (["fault", "add", "drop", "--operation", "CreteRun"], "CreateRun"),
        (["rule", "add", "--outcome", "failed"], "FAILED"),
        (["runs", "--state", "CANCELLED"], "CANCELED"),
        (["serve", "--replay", "conflct"], "conflict"),
        (["clock", "advance", "nxt"], "next"),
    ],
)
def test_the_nearest_value_is_suggested(capsys, words, meant):
    assert meant in usage_error(capsys, *words).partition("Did you mean")[2]


@pytest.mark.parametrize(("argv", "named"), CONTRADICTIONS)
def test_contradictions(capsys, argv, named):
    assert named in usage_error(capsys, *argv)


@pytest.mark.parametrize("seconds", ["-1", "-5m", "2h"])
def test_seconds_that_a_fault_does_not_have(capsys, seconds):
    assert "--seconds must be" in usage_error(capsys, "fault", "add", "slow", f"--seconds={seconds}")
    assert "--seconds must be" in usage_error(capsys, "fault", "add", "clock_skew", "--seconds=-2d")


@pytest.mark.parametrize(("kind", "option"), NEEDED)
def test_the_option_that_a_fault_needs(capsys, kind, option):
    assert f"the fault {kind} needs {option}." in usage_error(capsys, "fault", "add", kind)


def test_the_errors_in_the_documentation(capsys):
    page = (Path(__file__).parents[4] / "docs" / "local" / "cli.md").read_text()
    shown = re.findall(r"^\$ dataflow-local (.+)\n(dataflow-local: .+\n)", page, re.MULTILINE)
    assert len(shown) == 3
    for command, error in shown:
        assert usage_error(capsys, *command.split()) == error


def test_version(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"dataflow-local {__version__}\n"


# The home


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
def test_a_home_that_cannot_be_made(capsys, tmp_path, command, number):
    home = unusable_homes(tmp_path)[number]
    error = failure(capsys, *command.split(), *VALID[command], "--home", home)
    assert "cannot be used" in error
    assert str(Path(home).resolve()) in error
    assert "--home" in error


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in WITHOUT_SERVER])
def test_a_home_that_is_a_file(capsys, tmp_path, command):
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file")
    assert "is not a folder" in failure(capsys, "--home", home, *command.split(), *VALID[command])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("home", ["", " ", "~nobody-of-this-name/x"])
def test_a_home_that_is_no_path(capsys, monkeypatch, command, home):
    error = usage_error(capsys, *command.split(), *VALID[command], "--home", home)
    assert "--home" in error
    assert repr(home) in error
    if home.strip():
        monkeypatch.setenv("DATAFLOW_LOCAL_HOME", home)
        assert repr(home) in usage_error(capsys, *command.split(), *VALID[command])


@pytest.mark.parametrize("command", ["serve", "connection", "bucket", "warm"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG])
def test_a_home_that_may_not_be_written(capsys, monkeypatch, tmp_path, command, number):
    def refuse(path, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = failure(capsys, command, *VALID[command], "--home", str(tmp_path / "home"))
    assert f"{tmp_path / 'home'} cannot be used: {os.strerror(number)}" in error


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in WITHOUT_SERVER])
def test_a_home_that_may_not_be_read(capsys, monkeypatch, tmp_path, command):
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
def test_a_home_with_a_damaged_file(capsys, tmp_path, name, content):
    path = tmp_path / "home" / name
    path.parent.mkdir(parents=True)
    path.write_text(content)
    if name.startswith("identity"):
        (path.parent / "api_key.pem").write_text("no key")
    error = failure(capsys, "serve", *VALID["serve"], "--home", str(tmp_path / "home"))
    assert str(tmp_path / "home") in error
    assert "emove that" in error


def test_a_home_with_a_damaged_key(capsys, tmp_path):
    assert main(["connection", "--home", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "identity" / "api_key.pem").write_text("-----BEGIN PRIVATE KEY-----\nx")
    assert "identity" in failure(capsys, "connection", "--home", str(tmp_path))


def test_a_home_whose_lock_or_state_is_a_folder(capsys, tmp_path):
    for number, name in enumerate(("lock", "state.sqlite", "identity/profile.json")):
        home = tmp_path / str(number)
        (home / name).mkdir(parents=True)
        assert str(home) in failure(capsys, "serve", *VALID["serve"], "--home", str(home))


# Ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_named(capsys, tmp_path, taken_port):
    error = failure(
        capsys, "serve", "--engine", "scripted", "--port", str(taken_port), "--home", str(tmp_path / "home")
    )
    assert f"port {taken_port}" in error
    assert "in use" in error
    assert "--port" in error


def test_a_privileged_port(capsys, monkeypatch, tmp_path):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    error = failure(capsys, "serve", "--engine", "scripted", "--port", "80", "--home", str(tmp_path / "home"))
    assert "port 80: Permission denied" in error
    assert "--port" in error


# Servers


WITH_SERVER = [c for c in COMMANDS if c not in WITHOUT_SERVER]


def pretend_server(home: Path, port: int, pid: int = 1) -> Path:
    home.mkdir(exist_ok=True)
    info = {"pid": pid, "port": port, "endpoint": f"http://127.0.0.1:{port}"}
    (home / "server.json").write_text(json.dumps(info))
    return home


@pytest.mark.parametrize("command", WITH_SERVER)
def test_no_server(capsys, tmp_path, command):
    argv = [*command.split(), *VALID[command], "--home", str(tmp_path)]
    assert "No server runs" in failure(capsys, *argv)
    for content in (
        "",
        "{",
        "[]",
        "{}",
        '{"pid": "1", "port": null, "endpoint": 5}',
        '{"pid": 1, "port": 99999999, "endpoint": "http://127.0.0.1:99999999"}',
        '{"pid": 1, "port": 80, "endpoint": "ftp://example.com"}',
    ):
        (tmp_path / "server.json").write_text(content)
        assert "No server runs" in failure(capsys, *argv)


@pytest.mark.parametrize("command", WITH_SERVER)
def test_an_unreachable_server(capsys, tmp_path, command):
    pretend_server(tmp_path, 1)
    error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
    assert "No server answers at http://127.0.0.1:1: Connection refused." in error


BODIES = {
    "html": b"<html>hello</html>",
    "json of another kind": b'{"status": "UP"}',
    "a list": b"[]",
    "nothing": b"",
    "not gzip": b"plain",
}


@pytest.fixture(scope="module")
def other_programs() -> Iterator[dict[str, int]]:
    """Ports of web servers that are not ours, by what they answer."""
    servers, ports = [], {}
    for name, body in BODIES.items():
        for status in (200, 404, 500):

            class Handler(BaseHTTPRequestHandler):
                answer = (name, status, body)

                def do_GET(self):
                    name, status, body = self.answer
                    self.send_response(status)
                    if name == "not gzip":
                        self.send_header("content-encoding", "gzip")
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, *args):
                    pass

            server = HTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            servers.append(server)
            ports[f"{name} {status}"] = server.server_address[1]
    yield ports
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("command", WITH_SERVER)
def test_a_server_of_another_kind(capsys, tmp_path, other_programs, command):
    for port in other_programs.values():
        pretend_server(tmp_path, port)
        error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
        assert f"http://127.0.0.1:{port} is not Local Data Flow" in error


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx"])
def test_a_server_that_does_not_speak_http(capsys, tmp_path, sent):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(sent)

        thread = threading.Thread(target=answer)
        thread.start()
        pretend_server(tmp_path, listener.getsockname()[1])
        failure(capsys, "status", "--home", str(tmp_path))
        thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "home", engine="scripted") as local:
        yield local


def test_the_server_of_another_home_is_left_alone(server, capsys, tmp_path):
    server.add_fault("drop", operation="CreatePool")
    pretend_server(tmp_path, int(server.endpoint.rpartition(":")[2]))
    for command in WITH_SERVER:
        error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
        assert f"pid {server.pid}" in error
    assert len(server.faults()) == 1
    server.clear_faults()


def test_a_scripted_engine_has_no_limit_of_runs(server, capsys):
    assert main(["status", "--home", str(server.home)]) == 0
    assert "runs: 0 active, 0 waiting" in capsys.readouterr().out
    assert server.local("health")["runs"]["limit"] is None


@pytest.mark.parametrize(
    "run_id", [RUN, "x", "a b", "ü", "..", "a/b", "a?b#c", "%", "\udcff", "a\nb", "a" * 5000]
)
@pytest.mark.parametrize("command", ["logs", "cancel", "move"])
def test_unknown_runs(server, capsys, command, run_id):
    argv = [command, run_id, *VALID[command][1:], "--home", str(server.home)]
    assert "There is no such run" in failure(capsys, *argv)


def test_an_unknown_fault(server, capsys):
    home = str(server.home)
    id_ = server.add_fault("drop", operation="CreatePool")
    assert f"the ids of the faults: {id_}." in failure(capsys, "fault", "clear", "nope", "--home", home)
    server.clear_faults()


def test_what_the_server_refuses(server, capsys):
    home = str(server.home)
    assert "--clock manual" in failure(capsys, "clock", "advance", "5", "--home", home)
    assert "in use by another server" in failure(capsys, "serve", *VALID["serve"], "--home", home)


def test_the_home_may_stand_before_or_behind_the_command(server, capsys):
    for argv in (
        ["--home", str(server.home), "fault", "list"],
        ["fault", "list", "--home", str(server.home)],
    ):
        assert main(argv) == 0


# The streams


def cli(*argv: str, **kwargs) -> subprocess.Popen:
    command = [sys.executable, "-m", "airflow_provider_dataflow.local", *argv]
    root = str(Path(__file__).parents[4])
    environment = os.environ | {"PYTHONPATH": root} | kwargs.pop("env", {})
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True, **kwargs)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["fault", "add", "--help"], ["status"]])
def test_a_closed_pipe_is_no_error(server, argv, unbuffered):
    read, write = os.pipe()
    os.close(read)
    environment = {"DATAFLOW_LOCAL_HOME": str(server.home), "PYTHONUNBUFFERED": unbuffered}
    process = cli(*argv, stdout=write, env=environment)
    os.close(write)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(server, unbuffered):
    with open("/dev/full", "w") as full:
        process = cli("status", "--home", str(server.home), stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (
        1,
        "dataflow-local: Cannot write to stdout: No space left on device.\n",
    )


def test_closed_streams(server):
    shell = f"{sys.executable} -m airflow_provider_dataflow.local status --home '{server.home}' >&- 2>&-"
    root = str(Path(__file__).parents[4])
    done = subprocess.run(["sh", "-c", shell], env=os.environ | {"PYTHONPATH": root}, timeout=60, check=False)
    assert done.returncode == 0


def test_an_encoding_without_the_characters(server):
    server.add_fault("status", status=500, message="ü→", operation="CreatePool")
    process = cli(
        "fault",
        "list",
        "--home",
        str(server.home),
        stdout=subprocess.PIPE,
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    out, error = process.communicate(timeout=60)
    server.clear_faults()
    assert (process.returncode, error) == (0, "")
    assert "\\xfc\\u2192" in out


def test_ctrl_c(tmp_path):
    """In a command that waits: its server takes the connection and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pretend_server(tmp_path, listener.getsockname()[1])
        process = cli("status", "--home", str(tmp_path), stdout=subprocess.PIPE)
        connection, _ = listener.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("full", [False, True])
def test_a_server_goes_on_when_it_cannot_print(tmp_path, full, unbuffered):
    read, write = os.pipe()
    os.close(read)
    if full:
        os.close(write)
        write = os.open("/dev/full", os.O_WRONLY)
    environment = {"PYTHONUNBUFFERED": unbuffered}
    process = cli("serve", *VALID["serve"], "--home", str(tmp_path), stdout=write, env=environment)
    os.close(write)
    for _ in range(600):
        if (tmp_path / "server.json").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    assert main(["status", "--home", str(tmp_path)]) == 0
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in error


def test_a_server_without_stdin_cannot_end_with_it(tmp_path):
    shell = (
        f"exec {sys.executable} -m airflow_provider_dataflow.local serve --engine scripted --port 0 "
        f"--exit-with-stdin --home '{tmp_path}' <&-"
    )
    root = str(Path(__file__).parents[4])
    done = subprocess.run(
        ["sh", "-c", shell],
        env=os.environ | {"PYTHONPATH": root},
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--exit-with-stdin" in one_line(done.stderr)
