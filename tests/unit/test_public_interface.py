"""The public interface: what a release has, later releases of the same MAJOR version keep.

``public_interface.txt`` lists it, one thing a line. It is what docs/support.md promises, as far as it has
names: classes of the reference with arguments, defaults and members; connection fields, configuration,
XComs, commands. A line that a new version no longer has fails the test. Additions do not; a release adds
them with::

    python -m tests.unit.test_public_interface
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_dataflow import exceptions, xcom_keys
from airflow_provider_dataflow.assets.events import run_details
from airflow_provider_dataflow.cli import commands
from airflow_provider_dataflow.cli.command_line import parser as provider_parser
from airflow_provider_dataflow.local.cli.command_line import make_parser
from airflow_provider_dataflow.local.state.home import HOME_VARIABLE
from airflow_provider_dataflow.local.testing import pytest_plugin
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.usage import Usage
from airflow_provider_dataflow.operators import (
    application,
    pool,
    sql_endpoint,
    sql_endpoint_base,
    statement,
)
from airflow_provider_dataflow.provider_info import get_provider_info
from tests.unit.support import run_body

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("public_interface.txt")
PACKAGE = "airflow_provider_dataflow"

#: Directive of the reference with its options: ``.. autoclass:: path`` and ``:members: a, b``.
DIRECTIVE = re.compile(r"^\.\. (class-reference|auto\w+):: (\S+)\n((?:   :\S.*\n)*)", re.MULTILINE)
XCOM_MODULES = (application, pool, sql_endpoint, sql_endpoint_base, statement)


def public_interface() -> list[str]:
    """Return the lines of the list, sorted."""
    return sorted(
        {
            *from_reference(),
            *from_exceptions(),
            *from_provider_info(),
            *from_xcoms(),
            *from_commands(),
            *from_pytest(),
            *from_metadata(),
        }
    )


def from_reference() -> Iterator[str]:
    for page in sorted((ROOT / "docs" / "reference").glob("*.md")):
        for kind, path, text in DIRECTIVE.findall(page.read_text()):
            if kind == "automodule":  # from_exceptions
                continue
            module, _, name = path.rpartition(".")
            thing = getattr(importlib.import_module(module), name)
            options = dict(re.findall(r":([\w-]+): ?(.*)", text))
            yield from lines_of(path, thing, options)


def lines_of(path: str, thing: Any, options: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a class, function or value.

    :param options: of the directive that documents it
    """
    if not inspect.isclass(thing):
        yield from (function_lines(path, thing) if callable(thing) else [path])
        return
    yield path
    if issubclass(thing, Enum):
        yield from (f"{path}.{member.name} = {member.value!r}" for member in thing)
    else:
        yield from (f"{path}({argument})" for argument in arguments_of_constructor(thing))
    excluded = {name.strip() for name in options.get("exclude-members", "").split(",")}
    for name in sorted(members_of(thing, options) - excluded):
        yield from function_lines(f"{path}.{name}", inspect.getattr_static(thing, name))


def members_of(cls: type, options: dict[str, str]) -> set[str]:
    """Return the members that a directive documents: those it names, or all public ones with a docstring."""
    if "members" not in options:
        return set()
    if options["members"]:
        return {name.strip() for name in options["members"].split(",")}
    classes = own_classes(cls) if "inherited-members" in options else [cls]
    return {
        name
        for base in classes
        for name, value in vars(base).items()
        if not name.startswith("_") and getattr(value, "__doc__", None) and not isinstance(value, Enum)
    }


def own_classes(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.startswith(PACKAGE)]


def arguments_of_constructor(cls: type) -> Iterator[str]:
    """Yield the arguments, those of base classes in this package included, each with its default."""
    for base in own_classes(cls):
        if "__init__" in vars(base):
            yield from arguments_of(vars(base)["__init__"])


def function_lines(path: str, function: Any) -> Iterator[str]:
    function = inspect.unwrap(getattr(function, "__func__", function))
    yield f"{path}()" if inspect.isfunction(function) else path
    if inspect.isfunction(function):
        yield from (f"{path}({argument})" for argument in arguments_of(function))


def arguments_of(function: Any) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if name in ("self", "cls") or name.startswith("_") or variable:
            continue
        yield name if parameter.default is parameter.empty else f"{name}={default_text(parameter.default)}"


def default_text(default: Any) -> str:
    """Return a default as text that is the same in each process."""
    if isinstance(default, Enum):
        return repr(default.value)
    if isinstance(default, (set, frozenset)):
        return f"{{{', '.join(sorted(default_text(item) for item in default))}}}"
    if isinstance(default, (list, tuple)):
        return f"[{', '.join(default_text(item) for item in default)}]"
    return repr(default) if isinstance(default, (str, int, float, bool, type(None))) else "..."


def from_exceptions() -> Iterator[str]:
    """Yield each exception with those that an ``except`` clause may name instead."""
    for name, cls in inspect.getmembers(exceptions, inspect.isclass):
        if issubclass(cls, Exception) and cls.__module__ == exceptions.__name__:
            bases = [base.__name__ for base in own_classes(cls)[1:]]
            yield from (f"{exceptions.__name__}.{name} is a {base}" for base in bases or ["Exception"])


def from_provider_info() -> Iterator[str]:
    info = get_provider_info()
    for section, settings in info["config"].items():
        for name, option in settings["options"].items():
            yield f"configuration [{section}] {name} = {option['default']}"
    for connection in info["connection-types"]:
        kind = connection["connection-type"]
        yield from (
            f"connection {kind}: {name}" for name in ("login", "password", *connection["conn-fields"])
        )
    yield from (f"decorator @task.{decorator['name']}" for decorator in info["task-decorators"])
    yield from (f"asset scheme {scheme}" for uri in info["asset-uris"] for scheme in uri["schemes"])


def from_xcoms() -> Iterator[str]:
    for module in (xcom_keys, *XCOM_MODULES):
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, str) and value[0] != "_":
                yield f"XCom {value}"
    known: dict[str, Any] = {field.name: 1 for field in fields(Usage)}
    yield from (f"XCom usage: {name}" for name in known)
    run = Run.from_api(run_body(applicationId="ocid1.application"))
    yield from (f"asset event {name}" for name in run_details(run, Usage(**known), "2026-01"))


def from_commands() -> Iterator[str]:
    yield from commands_of("dataflow-local", make_parser())
    # With the same commands for "airflow oci-data-flow".
    yield from commands_of(f"airflow {commands.GROUP}", provider_parser())


def commands_of(path: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                yield f"{path} {name}"
                yield from commands_of(f"{path} {name}", subparser)
        elif action.dest != "help":
            for flag in action.option_strings or [str(action.metavar or action.dest)]:
                yield f"{path} {flag}"
                yield from (f"{path} {flag} {choice}" for choice in action.choices or ())


def from_pytest() -> Iterator[str]:
    class Options:
        def getgroup(self, *_: str) -> Options:
            return self

        def addoption(self, flag: str, *, choices: tuple[str, ...], **_: Any) -> None:
            found.extend(f"pytest {flag} {choice}" for choice in choices)

        def addini(self, name: str, help: str, default: str) -> None:
            found.append(f"pytest.ini {name} = {default}")

    found: list[str] = []
    pytest_plugin.pytest_addoption(Options())  # type: ignore[arg-type]
    yield from found
    yield "pytest fixture dataflow_local"
    names = (*pytest_plugin._CHOICES, *pytest_plugin._OTHER_ARGUMENTS)
    yield from (f"pytest marker dataflow_local({name})" for name in names)


def from_metadata() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield from (
        f"extra [{name}]" for name in ("local", "package") if name in project["optional-dependencies"]
    )
    yield from (f"command {name}" for name in project["scripts"])
    yield f"environment variable {HOME_VARIABLE}"
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    yield from (f"action input {name}" for name in action["inputs"])
    yield from (f"action output {name}" for name in action["outputs"])


def recorded() -> list[str]:
    return [line for line in RECORDED.read_text().splitlines() if not line.startswith("#")]


def test_nothing_public_has_disappeared():
    """Instead of removing or renaming it, deprecate it: docs/support.md says for how long."""
    assert sorted(set(recorded()) - set(public_interface())) == []


def test_list_is_as_this_module_writes_it():
    """By hand, lines would be lost unnoticed."""
    assert recorded() == sorted(set(recorded()))
    assert len(recorded()) > 1000


def test_list_has_something_of_each_kind():
    lines = set(recorded())
    assert {
        f"{PACKAGE}.operators.run.InvokeRunOperator(application_id=None)",
        f"{PACKAGE}.operators.run.InvokeRunOperator(oci_conn_id='oci_default')",
        f"{PACKAGE}.hooks.data_flow.DataFlowHook.get_run(run_id)",
        f"{PACKAGE}.models.run.LifecycleState.SUCCEEDED = 'SUCCEEDED'",
        f"{PACKAGE}.exceptions.RunFailed is a DataFlowError",
        "XCom run_id",
        "asset event application_id",
        "configuration [oci_data_flow] sweep_interval = 15",
        "connection oci: tenancy",
        "decorator @task.oci_data_flow",
        "dataflow-local serve --engine scripted",
        "dataflow-local fault add --operation",
        "airflow oci-data-flow package --output",
        "pytest --dataflow-local-engine spark",
        "extra [local]",
        "action output endpoint",
    } <= lines


def main() -> None:
    comment = "# Written by: python -m tests.unit.test_public_interface"
    RECORDED.write_text("\n".join([comment, *public_interface()]) + "\n")
    print(f"{RECORDED}: {len(recorded())} lines")


if __name__ == "__main__":
    main()
