from __future__ import annotations

import importlib
import inspect
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import airflow
import jsonschema
import pytest
from airflow import providers_manager
from airflow.providers_manager import ProvidersManager

from airflow_provider_dataflow import provider_info
from airflow_provider_dataflow.hooks import connection_form as form
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.provider_info import get_provider_info

INFO = get_provider_info()


#: Airflow's ``provider_info.schema.json`` of other supported releases, without the descriptions. 3.1 has that
#: of 3.0.
SCHEMAS = sorted((Path(__file__).parent / "provider_info_schemas").glob("airflow-*.json"))


def installed_schema():
    return json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())


def without_descriptions(schema):
    if isinstance(schema, dict):
        return {
            key: without_descriptions(value)
            for key, value in schema.items()
            if key != "description" or not isinstance(value, str)
        }
    return [without_descriptions(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("beside_oci_provider", [False, True])
@pytest.mark.parametrize("schema", [None, *SCHEMAS], ids=lambda path: path.stem if path else "installed")
def test_info_matches_the_schema_of_each_release(mocker, schema, beside_oci_provider):
    if beside_oci_provider:
        mocker.patch.object(provider_info, "find_spec", return_value=object())
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()) if schema else installed_schema())


def test_copied_schema_is_that_of_its_release():
    """Checked on the releases that the schemas are from."""
    minor = airflow.__version__.rpartition(".")[0].replace("3.1", "3.0")
    copies = {path.stem: path for path in SCHEMAS}
    assert copies.keys() == {"airflow-3.0", "airflow-3.2"}
    if copy := copies.get(f"airflow-{minor}"):
        assert json.loads(copy.read_text()) == without_descriptions(installed_schema())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], ["airflow-provider-dataflow", INFO["description"].rstrip(".")]),
        (["get", "airflow-provider-dataflow", "--full"], ["oci_data_flow", "airflow_commands", "links.run"]),
        (["hooks"], ["oci", "airflow_provider_dataflow.hooks.data_flow.DataFlowHook"]),
        (["triggers"], INFO["triggers"][0]["python-modules"]),
        (["links"], INFO["extra-links"]),
        (["widgets"], [f"extra__oci__{name}" for name in form.FIELDS]),
        (["behaviours"], ['"oci"']),
        (["configs"], ["airflow-provider-dataflow", *INFO["config"]["oci_data_flow"]["options"]]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.skipif(
    "conn-fields" not in inspect.getsource(providers_manager),
    reason="older releases read the form from the hook, for which this test would need Flask",
)
def test_airflow_providers_shows_everything(words, expected, capsys):
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(["providers", *words, "--output", "json"])
    arguments.func(arguments)
    printed = capsys.readouterr().out
    assert [text for text in expected if text not in printed] == []


def test_entry_point_returns_the_info():
    (entry_point,) = (
        found
        for found in entry_points(group="apache_airflow_provider")
        if found.value.startswith("airflow_provider_dataflow.")
    )
    assert entry_point.load() is get_provider_info
    assert entry_point.dist is not None
    assert entry_point.dist.name == INFO["package-name"]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_every_listed_module_exists(kind):
    for entry in INFO[kind]:
        for module in entry["python-modules"]:
            importlib.import_module(module)


@pytest.mark.parametrize(
    "path",
    [
        *INFO["extra-links"],
        *INFO["cli"],
        *(kind["hook-class-name"] for kind in INFO["connection-types"]),
        *(kind["class-name"] for kind in INFO["task-decorators"]),
        *(uris[use] for uris in INFO["asset-uris"] for use in uris if use != "schemes"),
    ],
)
def test_every_listed_name_exists(path):
    module, _, name = path.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_connection_form_is_left_to_airflows_oci_provider(mocker):
    mocker.patch.object(provider_info, "find_spec", return_value=object())
    assert "connection-types" not in get_provider_info()


def test_secret_fields_of_the_form_are_passwords():
    (connection_type,) = INFO["connection-types"]
    secret = {
        name
        for name, field in connection_type["conn-fields"].items()
        if field["schema"].get("format") == "password"
    }
    assert secret == {"private_key_content", "delegation_token"}


@pytest.mark.skipif(
    "conn-fields" not in inspect.getsource(providers_manager),
    reason="older releases read the form from the hook",
)
def test_airflow_builds_the_form_from_the_info(recwarn):
    manager = ProvidersManager()
    manager.initialize_providers_hooks()
    fields = {
        name.removeprefix("extra__oci__"): widget
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith("extra__oci__")
    }
    assert fields.keys() == form.FIELDS.keys()
    assert {name for name, widget in fields.items() if widget.is_sensitive} == {
        "private_key_content",
        "delegation_token",
    }
    behaviour = manager.field_behaviours["oci"]
    assert behaviour["hidden_fields"] == ["host", "schema", "port"]
    assert behaviour["relabeling"]["password"] == "Key passphrase"
    assert behaviour["placeholders"]["extra__oci__region"] == "eu-frankfurt-1"
    assert not [w for w in recwarn if "get_connection_form_widgets" in str(w.message)]


def test_hook_returns_the_same_form_for_older_releases(monkeypatch):
    """With fakes of the Flask packages that these releases install."""

    class Field:
        def __init__(self, label, **options):
            self.label, self.options = label, options

    class Password(Field):
        pass

    modules = {
        "wtforms": {"StringField": Field, "PasswordField": Password},
        "wtforms.validators": {"Optional": object},
        "flask_appbuilder": {},
        "flask_appbuilder.fieldwidgets": {"BS3TextFieldWidget": object, "BS3PasswordFieldWidget": object},
    }
    for name, content in modules.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    widgets = DataFlowHook.get_connection_form_widgets()
    assert {name: widget.label for name, widget in widgets.items()} == {
        name: field["label"] for name, field in form.FIELDS.items()
    }
    secret = {name for name, widget in widgets.items() if isinstance(widget, Password)}
    assert secret == {"private_key_content", "delegation_token"}
    behaviour = DataFlowHook.get_ui_field_behaviour()
    schema = json.loads(
        (Path(airflow.__file__).parent / "customized_form_field_behaviours.schema.json").read_text()
    )
    jsonschema.validate(behaviour, schema)


def test_configuration_options_are_declared():
    options = INFO["config"]["oci_data_flow"]["options"]
    assert {"allowed_endpoints", "allowed_auth_types", "config_file", "profile"} <= set(options)
