"""The layers of the package: which may import which, and no circles between modules."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import airflow_provider_dataflow

PACKAGE = airflow_provider_dataflow.__name__
ROOT = Path(airflow_provider_dataflow.__file__).parent
MODULES = {
    ".".join((PACKAGE, *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in ROOT.rglob("*.py")
}

#: From the inside out. A layer may import itself and the layers before it.
LAYERS = (
    "",
    "models",
    "client",
    "staging",
    "compat",
    "assets",
    "cost",
    "hooks",
    "retries",
    "doctor",
    "fs",
    "arguments",
    "ownership",
    "lineage",
    "links",
    "triggers",
    "operators",
    "decorators",
    "sensors",
    "listeners",
    "cli",
)
#: Decisions without Airflow and OCI, which import only models, modules of the root and each other.
PURE = {f"{PACKAGE}.ownership.{name}" for name in ("capacity", "record", "successor", "tags")}
#: What Local Data Flow may import besides itself.
USED_BY_LOCAL = {f"{PACKAGE}.models.run", PACKAGE}
#: Third-party packages that a layer must not import, not even in a function.
FORBIDDEN = {
    "": {"airflow", "oci", "aiohttp"},
    "models": {"airflow", "oci", "aiohttp"},
    "client": {"airflow"},
    "ownership": {"airflow", "oci", "aiohttp"},
    "staging": {"airflow", "oci", "aiohttp"},
    "local": {"airflow", "pyspark"},
}
#: Run by Spark's Python in a process of their own.
SPARK_SCRIPTS = {f"{PACKAGE}.local.engines.spark.{name}" for name in ("session_driver", "training_app")}


def imports(name: str) -> set[str]:
    """Return all imports of a module: at its top, in functions, and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            module = node.module or ""
            submodules = {f"{module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= submodules or {module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def layer(module: str) -> str:
    """Return the layer of a module; the plain modules of the package's root are the layer ``""``."""
    parts = module.removeprefix(PACKAGE).strip(".").split(".")
    return parts[0] if len(parts) > 1 or parts[0] in LAYERS or (ROOT / parts[0]).is_dir() else ""


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_inwards(name):
    own = layer(name)
    if name == f"{PACKAGE}.provider_info":
        return  # describes all layers
    imported = {module for module in imports(name) if module in MODULES}
    if own == "local":
        outside = {module for module in imported if layer(module) != "local"}
        assert outside <= USED_BY_LOCAL
    else:
        allowed = LAYERS[: LAYERS.index(own) + 1]
        assert {layer(module) for module in imported} <= set(allowed)


@pytest.mark.parametrize("name", sorted(PURE))
def test_decisions_about_ownership_are_pure(name):
    outside = (imports(name) & MODULES.keys()) - PURE
    assert {layer(module) for module in outside} <= {"", "models"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_inner_layers_know_no_airflow_and_no_sdk(name):
    packages = {module.partition(".")[0] for module in imports(name)}
    if name != f"{PACKAGE}.provider_info" and name not in SPARK_SCRIPTS:
        assert packages.isdisjoint(FORBIDDEN.get(layer(name), set()))


def test_no_circles_between_modules():
    """Also none through imports in functions or for type checking, which only hide a circle."""
    graph = {name: (imports(name) & MODULES.keys()) - {name} for name in MODULES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")
    assert len(order) == len(MODULES)


def test_root_keeps_few_modules():
    """A new module belongs in a layer; see docs/development.md."""
    assert len(list(ROOT.glob("*.py"))) <= 10
