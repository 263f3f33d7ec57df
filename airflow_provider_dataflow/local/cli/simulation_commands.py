"""Commands that control the simulation: fault, rule, clock."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from airflow_provider_dataflow.local.cli import terminal
from airflow_provider_dataflow.local.cli.command_errors import CommandError, UsageError, usage_error
from airflow_provider_dataflow.local.cli.home_server import connect
from airflow_provider_dataflow.local.cli.server_client import RequestFailed
from airflow_provider_dataflow.local.cli.terminal import paint
from airflow_provider_dataflow.local.engines.json_fields import FieldError
from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.local.state.home import Home


def fault_add(home: Home, arguments: argparse.Namespace) -> None:
    from airflow_provider_dataflow.local.http.faults import Fault

    names = [f.name for f in dataclasses.fields(Fault) if f.name != "kind"]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    try:
        fault = Fault.of(arguments.kind, **given)
        fault.check_operation()
    except FieldError as e:
        raise usage_error(e, arguments) from None
    added = connect(home).call("POST", "faults", body=fault.as_json())
    print(f"fault {added['id']}: {_fault_text(fault.as_json())}")


def fault_list(home: Home, arguments: argparse.Namespace) -> None:
    for fault in connect(home).call("GET", "faults"):
        fields = {k: v for k, v in fault.items() if k not in ("id", "matched", "applied", "over")}
        applied = f"applied {fault['applied']} times" + (", over" if fault.get("over") else "")
        print(f"{fault['id']:>3}  {_fault_text(fields)}  {paint(applied, 'grey')}")


def _fault_text(values: dict[str, Any]) -> str:
    kind = values.get("kind", "")
    rest = " ".join(f"{k}={v}" for k, v in values.items() if k != "kind")
    return terminal.printable(f"{kind} {rest}".rstrip())


def fault_clear(home: Home, arguments: argparse.Namespace) -> None:
    server = connect(home)
    try:
        server.call("DELETE", "faults", **({} if arguments.id is None else {"id": arguments.id}))
    except RequestFailed as e:
        if e.status != 404:
            raise
        known = ", ".join(fault["id"] for fault in server.call("GET", "faults")) or "none"
        raise CommandError(f"There is no fault {arguments.id!r}; the ids of the faults: {known}.") from None


def rule_add(home: Home, arguments: argparse.Namespace) -> None:
    names = [f.name for f in dataclasses.fields(RunScript)]
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    tags: dict[str, str] = {}
    for key, pattern in arguments.tag or []:
        if key in tags:
            raise UsageError(f"--tag: the key {key!r} is given twice")
        tags[key] = pattern
    try:
        rule = Rule(
            attempts=[RunScript(**given)],
            display_name=arguments.display_name,
            application_id=arguments.application_id,
            freeform_tags=tags,
        )
    except FieldError as e:
        raise usage_error(e, arguments) from None
    connect(home).call("POST", "rules", body=rule.as_json())
    print(f"rule 1: {json.dumps(rule.as_json(), ensure_ascii=False)}")


def rule_list(home: Home, arguments: argparse.Namespace) -> None:
    for number, rule in enumerate(connect(home).call("GET", "rules"), 1):
        matched = rule.pop("matched", 0)
        text = json.dumps(rule, ensure_ascii=False)
        print(f"{number:>3}  {text}  {paint(f'matched {matched} runs', 'grey')}")


def rule_clear(home: Home, arguments: argparse.Namespace) -> None:
    connect(home).call("PUT", "rules", body=[])


def clock_show(home: Home, arguments: argparse.Namespace) -> None:
    _print_clock(connect(home).call("GET", "clock"))


def clock_advance(home: Home, arguments: argparse.Namespace) -> None:
    body = {"to_next": True} if arguments.by is None else {"advance": arguments.by}
    _print_clock(connect(home).call("POST", "clock", body=body))


def _print_clock(clock: dict[str, Any]) -> None:
    from airflow_provider_dataflow.local.state.clock import rfc3339

    print(rfc3339(clock["epoch"]))
