"""Commands without a server, with another program at its port, and with requests that it refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from airflow_provider_dataflow.local.cli.command_line import main
from tests.unit.local.cli.support import (
    RUN,
    VALID,
    WITH_SERVER,
    failure,
    pretend_server,
)


@pytest.mark.parametrize("command", WITH_SERVER)
def test_command_without_a_server_fails(capsys, tmp_path, command):
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
def test_unreachable_server_is_named(capsys, tmp_path, command):
    pretend_server(tmp_path, 1)
    error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
    assert "No server responds at http://127.0.0.1:1: Connection refused." in error


BODIES = {
    "html": b"<html>hello</html>",
    "json of another kind": b'{"status": "UP"}',
    "a list": b"[]",
    "nothing": b"",
    "not gzip": b"plain",
}


@pytest.fixture(scope="module")
def other_programs() -> Iterator[dict[str, int]]:
    """Ports of other web servers, by their responses."""
    servers, ports = [], {}
    for name, body in BODIES.items():
        for status in (200, 404, 500):

            class Handler(BaseHTTPRequestHandler):
                response = (name, status, body)

                def do_GET(self):
                    name, status, body = self.response
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
def test_server_of_another_program_is_recognized(capsys, tmp_path, other_programs, command):
    for port in other_programs.values():
        pretend_server(tmp_path, port)
        error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
        assert f"http://127.0.0.1:{port} is not Local Data Flow" in error


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx"])
def test_server_without_http_fails(capsys, tmp_path, sent):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(sent)

        thread = threading.Thread(target=respond)
        thread.start()
        pretend_server(tmp_path, listener.getsockname()[1])
        failure(capsys, "status", "--home", str(tmp_path))
        thread.join()


def test_server_of_another_home_is_not_used(server, capsys, tmp_path):
    server.add_fault("drop", operation="CreatePool")
    pretend_server(tmp_path, int(server.endpoint.rpartition(":")[2]))
    for command in WITH_SERVER:
        error = failure(capsys, *command.split(), *VALID[command], "--home", str(tmp_path))
        assert f"pid {server.pid}" in error
    assert len(server.faults()) == 1
    server.clear_faults()


def test_scripted_engine_has_no_limit_of_runs(server, capsys):
    assert main(["status", "--home", str(server.home)]) == 0
    assert "runs: 0 active, 0 waiting" in capsys.readouterr().out
    assert server.local("health")["runs"]["limit"] is None


@pytest.mark.parametrize(
    "run_id", [RUN, "x", "a b", "ü", "..", "a/b", "a?b#c", "%", "\udcff", "a\nb", "a" * 5000]
)
@pytest.mark.parametrize("command", ["logs", "cancel", "maintain", "move"])
def test_unknown_run_is_named(server, capsys, command, run_id):
    argv = [command, run_id, *VALID[command][1:], "--home", str(server.home)]
    assert "There is no run" in failure(capsys, *argv)


@pytest.mark.parametrize("id_", ["x", "a b", "..", "a/b", "%", "\udcff", "a\nb"])
@pytest.mark.parametrize("command", ["show", "maintain"])
def test_unknown_sql_endpoint_is_named(server, capsys, command, id_):
    argv = ["sql-endpoint", command, id_, "--home", str(server.home)]
    assert "There is no SQL endpoint" in failure(capsys, *argv)


def test_unknown_fault_lists_the_faults(server, capsys):
    home = str(server.home)
    id_ = server.add_fault("drop", operation="CreatePool")
    assert f"the ids of the faults: {id_}." in failure(capsys, "fault", "clear", "nope", "--home", home)
    server.clear_faults()


def test_refusal_of_the_server_is_shown(server, capsys):
    home = str(server.home)
    assert "--clock manual" in failure(capsys, "clock", "advance", "5", "--home", home)
    assert "in use by another server" in failure(capsys, "serve", *VALID["serve"], "--home", home)


def test_home_is_accepted_before_and_after_the_command(server, capsys):
    for argv in (
        ["--home", str(server.home), "fault", "list"],
        ["fault", "list", "--home", str(server.home)],
    ):
        assert main(argv) == 0
