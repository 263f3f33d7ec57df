"""The ``dataflow_local`` fixture, for everybody who has this package installed and pytest.

As pytest loads this module at every start, it imports nothing that is not there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture

_CHOICES = {"engine": ("scripted", "spark"), "clock": ("system", "manual")}
# What a marker may say beside these.
_OTHERS = ("max_concurrent_runs", "verify", "options")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dataflow_local", "Local Data Flow")
    for name, choices in _CHOICES.items():
        text = f"the {name} of the dataflow_local fixture: {' or '.join(choices)}"
        group.addoption(f"--dataflow-local-{name}", choices=choices, default=None, help=text)
        parser.addini(f"dataflow_local_{name}", f"{text} (default: {choices[0]})", default=choices[0])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "dataflow_local(engine, clock, max_concurrent_runs, verify, options): "
        "which server the dataflow_local fixture gives to this test",
    )


class _Servers:
    """One per way to serve, started when first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[tuple[tuple[str, Any], ...], DataFlowFixture] = {}

    def get(self, options: dict[str, Any]) -> DataFlowFixture:
        try:
            from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
        except ImportError as e:
            pytest.fail(
                f"dataflow_local needs the extra: pip install 'airflow-provider-dataflow[local]' ({e})",
                pytrace=False,
            )
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
    """From the marker that is nearest, the command line, the configuration: the first that says something."""
    marker = request.node.get_closest_marker("dataflow_local")
    marked = dict(marker.kwargs) if marker else {}
    unknown = sorted(set(marked) - {*_CHOICES, *_OTHERS})
    if (marker and marker.args) or unknown:
        known = ", ".join((*_CHOICES, *_OTHERS))
        pytest.fail(f"the marker dataflow_local takes only these, by name: {known}", pytrace=False)
    options = {name: marked[name] for name in _OTHERS if name in marked}
    for name, choices in _CHOICES.items():
        said = request.config.getoption(f"--dataflow-local-{name}")
        value = marked.get(name) or said or request.config.getini(f"dataflow_local_{name}")
        if value not in choices:
            pytest.fail(f"dataflow_local: {name} is {' or '.join(choices)}, not {value!r}", pytrace=False)
        options[name] = value
    return options


@pytest.fixture
def dataflow_local(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _dataflow_local_servers: _Servers,
) -> DataFlowFixture:
    """Local Data Flow without runs, faults and rules; ``AIRFLOW_CONN_OCI_DEFAULT`` leads to it.

    The server is one for the whole session. By default, runs are not executed: they succeed at once, unless
    told otherwise, as by ``dataflow_local.fails(details=...)``.
    """
    server = _dataflow_local_servers.get(_options(request))
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server
