"""Pytest plugin with the ``dataflow_local`` fixture.

Pytest loads this module at every start where the package is installed, so it imports only
pytest and the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture

_CHOICES = {"engine": ("scripted", "spark"), "clock": ("system", "manual")}
#: With "short", tasks pause only this long before each poll and event, whatever their ``poll_interval``.
_WAITS = ("short", "real")
_SHORT_WAIT_SECONDS = 0.1
#: What SQLite and PostgreSQL say about a table of Airflow that does not exist.
_NO_TABLE = re.compile(r'no such table|relation "\w+" does not exist')
_NO_DATABASE = "Airflow has no database, which dag.test() needs. Create it once with: airflow db migrate"
# Further arguments of the marker.
_OTHER_ARGUMENTS = ("max_concurrent_runs", "verify", "options")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dataflow_local", "Local Data Flow")
    for name, choices in _CHOICES.items():
        text = f"the {name} of the dataflow_local fixture: {' or '.join(choices)}"
        group.addoption(f"--dataflow-local-{name}", choices=choices, default=None, help=text)
        parser.addini(f"dataflow_local_{name}", f"{text} (default: {choices[0]})", default=choices[0])

    parser.addini(
        "dataflow_local_waits",
        f"waits of tasks in tests with the fixture: {' or '.join(_WAITS)} (default: {_WAITS[0]})",
        default=_WAITS[0],
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "dataflow_local(engine, clock, max_concurrent_runs, verify, options): "
        "server that the dataflow_local fixture passes to this test",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what is missing if a test fails because Airflow has no database yet."""
    report = yield
    uses_fixture = "dataflow_local" in getattr(item, "fixturenames", ())
    # The text of the report, since the exception's own may raise.
    if report.failed and uses_fixture and _NO_TABLE.search(report.longreprtext):
        report.sections.append(("Airflow", _NO_DATABASE))
    return report


def _fail_without_extra(cause: str) -> NoReturn:
    pytest.fail(
        f"dataflow_local needs the extra: pip install 'airflow-provider-dataflow[local]' ({cause})",
        pytrace=False,
    )


class _Servers:
    """Running servers, one for each set of options, started on first use."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[tuple[tuple[str, Any], ...], DataFlowFixture] = {}

    def get(self, options: dict[str, Any]) -> DataFlowFixture:
        try:
            from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
        except ImportError as e:
            _fail_without_extra(str(e))
        # Only the server's process imports it, and would stop at its start.
        if find_spec("uvicorn") is None:
            _fail_without_extra("No module named 'uvicorn'")
        key = tuple(sorted(options.items()))
        if key not in self._running:
            self._running[key] = self._stack.enter_context(DataFlowFixture(**options))
        return self._running[key]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def _dataflow_local_servers() -> Iterator[_Servers]:
    servers = _Servers()
    yield servers
    servers.close()


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of the server: from the marker, else the command line, else the configuration."""
    marker = request.node.get_closest_marker("dataflow_local")
    marked = dict(marker.kwargs) if marker else {}
    unknown = sorted(set(marked) - {*_CHOICES, *_OTHER_ARGUMENTS})
    if (marker and marker.args) or unknown:
        known = ", ".join((*_CHOICES, *_OTHER_ARGUMENTS))
        pytest.fail(f"the marker dataflow_local takes only these keyword arguments: {known}", pytrace=False)
    options = {name: marked[name] for name in _OTHER_ARGUMENTS if name in marked}
    for name, choices in _CHOICES.items():
        given = request.config.getoption(f"--dataflow-local-{name}")
        value = marked.get(name) or given or request.config.getini(f"dataflow_local_{name}")
        if value not in choices:
            pytest.fail(
                f"dataflow_local: {name} must be {' or '.join(choices)}, not {value!r}", pytrace=False
            )
        options[name] = value
    return options


def _waits(config: pytest.Config) -> str:
    waits: str = config.getini("dataflow_local_waits")
    if waits not in _WAITS:
        pytest.fail(f"dataflow_local_waits must be {' or '.join(_WAITS)}, not {waits!r}", pytrace=False)
    return waits


@pytest.fixture
def dataflow_local(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _dataflow_local_servers: _Servers,
) -> DataFlowFixture:
    """Local Data Flow without runs, faults and rules. ``AIRFLOW_CONN_OCI_DEFAULT`` is set to connect to it.

    All tests of a session share the server. By default, runs are simulated and succeed at once; change this
    with ``dataflow_local.fails(details=...)``, for example. Tasks in the test's process poll ten times a
    second, whatever their ``poll_interval``, unless the setting ``dataflow_local_waits`` is ``real``.
    """
    server = _dataflow_local_servers.get(_options(request))
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    if _waits(request.config) == "short":
        monkeypatch.setattr("airflow_provider_dataflow.polling.longest_pause", _SHORT_WAIT_SECONDS)
    return server
