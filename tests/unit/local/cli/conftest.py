from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_dataflow.local import LocalDataFlow


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATAFLOW_LOCAL_HOME", raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[LocalDataFlow]:
    with LocalDataFlow(tmp_path_factory.mktemp("cli") / "home", engine="scripted") as local:
        yield local
