"""Private parts of Airflow and asgiref that ``compat`` names. A test fails when a release removes one."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import pkgutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
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


class _Rendered:
    """Operator of an Airflow without the private method."""

    def render_template_fields(self, context: Any) -> None:
        self.calls.append("render")  # type: ignore[attr-defined]


class _Hooked(compat.RenderingHook, _Rendered):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def around_rendering(self) -> None:
        self.calls.append("hook")


def test_rendering_hook_is_called_without_the_private_method():
    task = _Hooked()
    task.render_template_fields({})
    assert task.calls == ["hook", "render", "hook"]


def test_airflow_has_the_context_of_setup_tasks():
    module = next(name for name in compat.SETUP_TEARDOWN_MODULES if _exists(name))
    assert importlib.import_module(module).SetupTeardownContext.active is False


@pytest.mark.parametrize("modules", [(), ("no_such_module",), ("airflow.sdk",)])
def test_mapped_task_is_not_checked_without_the_context_of_setup_tasks(monkeypatch, mocker, modules):
    monkeypatch.setattr(compat, "SETUP_TEARDOWN_MODULES", modules)
    task = mocker.Mock()
    compat.unmapped_for_checks(task, {})
    task.unmap.assert_not_called()


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


async def test_threads_work_without_the_private_attribute_of_asgiref(monkeypatch):
    from asgiref.sync import SyncToAsync

    monkeypatch.delattr(SyncToAsync, "threadlocal")
    assert await in_thread(lambda: "done") == "done"


def test_asset_state_store_without_private_attribute_is_the_public_one():
    assert compat.asset_state_store(_Watcher("the only store")) == "the only store"
    assert compat.asset_state_store(_Watcher(None)) is None


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


def test_only_compat_uses_private_attributes_of_airflow():
    """A private name that this package does not define itself is another package's."""
    used: dict[str, str] = {}
    own = set[str]()
    for file in ROOT.rglob("*.py"):
        # These know no Airflow, see test_architecture; they use private parts of the OCI SDK and of PySpark.
        if file.name == "compat.py" or file.relative_to(ROOT).parts[0] in ("local", "client", "staging"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        used |= {name: f"{file}:{line}" for name, line in _private_attributes_read(tree)}
        own |= _private_names_defined(tree)
    assert used
    # What fsspec gives to its subclasses.
    own.add("_strip_protocol")
    assert not {name: place for name, place in used.items() if name not in own}


def test_search_for_private_attributes_finds_them():
    source = "super()._a(); getattr(ti, '_b', None); task.x._c; self._d; hasattr(ti, '_e'); ti.__f__"
    assert [name for name, _ in _private_attributes_read(ast.parse(source))] == ["_a", "_b", "_c", "_d", "_e"]
    source = "class A:\n _a = 1\n _b: int\n def _c(self): self._d = self._e"
    assert _private_names_defined(ast.parse(source)) == {"_a", "_b", "_c", "_d"}


def _is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def _private_attributes_read(tree: ast.AST) -> list[tuple[str, int]]:
    """Return the private attributes that the code reads, also by ``getattr``, and the lines."""
    found = []
    for node in ast.walk(tree):
        name: object = None
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Store):
            name = node.attr
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr", "setattr")
            and isinstance(node.args[1], ast.Constant)
        ):
            name = node.args[1].value
        if _is_private(name):
            found.append((str(name), node.lineno, node.col_offset))
    return [(name, line) for name, line, _ in sorted(found, key=lambda each: each[1:])]


def _private_names_defined(tree: ast.AST) -> set[str]:
    """Return the private names of methods, class attributes and attributes set on ``self``."""
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if _is_private(name)}


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


def test_worker_tells_the_folder_of_the_bundle(tmp_path):
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    assert "bundle_instance" in RuntimeTaskInstance.model_fields
    assert compat.bundle_folder(SimpleNamespace(bundle_instance=SimpleNamespace(path=tmp_path))) == tmp_path
    assert compat.bundle_folder(SimpleNamespace()) is None
