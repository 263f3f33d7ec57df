from __future__ import annotations

import importlib
import json
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_dataflow import provider_info
from airflow_provider_dataflow.provider_info import get_provider_info

INFO = get_provider_info()


def test_it_fits_airflows_own_schema():
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_the_entry_point_leads_to_it():
    (entry_point,) = (
        found
        for found in entry_points(group="apache_airflow_provider")
        if found.value.startswith("airflow_provider_dataflow.")
    )
    assert entry_point.load() is get_provider_info
    assert entry_point.dist is not None
    assert entry_point.dist.name == INFO["package-name"]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_every_module_that_it_names_exists(kind):
    for entry in INFO[kind]:
        for module in entry["python-modules"]:
            importlib.import_module(module)


@pytest.mark.parametrize(
    "path", [*INFO["extra-links"], *(kind["hook-class-name"] for kind in INFO["connection-types"])]
)
def test_every_class_that_it_names_exists(path):
    module, _, name = path.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_the_form_stands_back_for_airflows_own_provider(mocker):
    mocker.patch.object(provider_info, "find_spec", return_value=object())
    assert "connection-types" not in get_provider_info()


def test_secret_fields_are_password_widgets():
    (connection_type,) = INFO["connection-types"]
    assert connection_type["conn-fields"]["private_key_content"]["schema"]["format"] == "password"
