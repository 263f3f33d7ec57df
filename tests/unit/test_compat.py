"""Private parts of Airflow and asgiref that ``compat`` names. A test fails when a release removes one."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import AbstractOperator

import airflow_provider_dataflow
from airflow_provider_dataflow import compat
from airflow_provider_dataflow.client.threads import in_thread
from airflow_provider_dataflow.exceptions import InvalidArgument

PACKAGE = airflow_provider_dataflow.__name__
ROOT = Path(airflow_provider_dataflow.__file__).parent
#: Parts of Airflow that are not its public interface.
PRIVATE_MODULES = ("airflow.sdk.execution_time", "airflow.jobs", "airflow.utils")

needs_airflow_3_3 = pytest.mark.skipif(not compat.triggers_have_on_kill(), reason="needs Airflow 3.3")


def test_airflow_renders_all_template_fields_in_the_overridden_method():
    parameters = list(inspect.signature(AbstractOperator._do_render_template_fields).parameters)
    assert parameters[:2] == ["self", "parent"]
    called = inspect.getsource(BaseOperator.render_template_fields)
    assert "_do_render_template_fields(self" in called


def test_airflow_has_the_context_of_setup_tasks():
    names = ("airflow.sdk.definitions._internal.setup_teardown", "airflow.utils.setup_teardown")
    module = next(name for name in names if _exists(name))
    assert importlib.import_module(module).SetupTeardownContext.active is False


@needs_airflow_3_3
def test_asset_state_store_of_several_assets_is_the_first_by_name():
    context = importlib.import_module("airflow.sdk.execution_time.context")
    stores = context.AssetStateStoreAccessors(inlets=[], outlets=[])
    assert stores._by_name == {}
    stores._by_name.update({"b": "store of b", "a": "store of a"})
    assert compat.asset_state_store(_Watcher(stores)) == "store of a"


class _Watcher:
    def __init__(self, stores: Any) -> None:
        self.asset_state_store = stores


@needs_airflow_3_3
def test_kill_message_is_airflows():
    runner = importlib.import_module("airflow.jobs.triggerer_job_runner")
    assert runner._USER_ACTION_CANCEL_MSG == compat.KILL_MESSAGE


def test_next_method_of_a_failed_trigger_is_airflows():
    assert importlib.import_module("airflow.models.trigger").TRIGGER_FAIL_REPR == compat.TRIGGER_FAILED


@needs_airflow_3_3
def test_task_state_store_has_values_that_never_expire():
    assert compat.NEVER_EXPIRE is not None


def test_airflow_has_xcoms_and_task_states_outside_of_a_task():
    assert callable(importlib.import_module("airflow.sdk.execution_time.xcom").XCom.get_one)
    assert callable(importlib.import_module("airflow.sdk.execution_time.xcom").XCom.set)
    runner = importlib.import_module("airflow.sdk.execution_time.task_runner")
    assert callable(runner.RuntimeTaskInstance.get_task_states)


async def test_threads_tell_asgiref_the_event_loop():
    from asgiref.sync import SyncToAsync

    loop, local = asyncio.get_running_loop(), SyncToAsync.threadlocal
    assert await in_thread(lambda: local.main_event_loop) is loop


def test_start_from_trigger_is_refused_without_on_kill(mocker):
    mocker.patch.object(compat, "triggers_have_on_kill", return_value=False)
    with pytest.raises(InvalidArgument, match=r"start_from_trigger: needs Airflow 3\.3"):
        compat.require_start_from_trigger()


def test_only_compat_imports_private_modules_of_airflow():
    for file in ROOT.rglob("*.py"):
        if file.name == "compat.py" or "local" in file.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if module.startswith("airflow."):
                assert not module.startswith(PRIVATE_MODULES), f"{file} imports {module}"
                assert "._" not in module, f"{file} imports {module}"
                assert not any(name.startswith("_") for name in names), f"{file} imports {names} of {module}"


def test_every_overridden_private_method_of_airflow_is_named_in_compat():
    overridden = set()
    for module in pkgutil.walk_packages(airflow_provider_dataflow.__path__, f"{PACKAGE}."):
        if module.name.split(".")[1] in ("operators", "sensors", "triggers", "hooks", "links"):
            for cls in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(cls) and cls.__module__.startswith(PACKAGE):
                    overridden |= _private_names_of_airflow(cls)
    assert overridden == {"_do_render_template_fields"}
    assert all(name in (compat.__doc__ or "") for name in overridden)


def _private_names_of_airflow(cls: type) -> set[str]:
    """Return the private attributes that this package defines and Airflow defines, too."""
    ours, airflows = set[str](), set[str]()
    for base in cls.__mro__:
        # Not names with "__": Airflow itself sets _BaseOperator__serialized_fields on our classes.
        names = {name for name in vars(base) if name.startswith("_") and "__" not in name}
        if base.__module__.startswith(PACKAGE):
            ours |= names
        elif base.__module__.startswith("airflow."):
            airflows |= names
    return (ours & airflows) - {"_abc_impl"}


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
