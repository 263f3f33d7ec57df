from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import airflow_provider_dataflow

PACKAGE = airflow_provider_dataflow.__name__
ROOT = Path(airflow_provider_dataflow.__file__).parent
#: Modules that run in the processes of Airflow, in many threads.
FILES = {
    ".".join((PACKAGE, *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in ROOT.rglob("*.py")
    if file.relative_to(ROOT).parts[0] != "local"
}
#: Imports modules in random order, in threads that start at the same time and switch often.
RACE = """
import importlib, random, sys, threading
seed, names, foreign = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
random.seed(seed)
random.shuffle(names)
sys.setswitchinterval(10 ** random.uniform(-6, -3))
start = threading.Barrier(len(names + foreign))
failed = []

def load(name):
    start.wait()
    try:
        importlib.import_module(name)
    except Exception as error:
        if name in names:
            failed.append(f"{name}: {error!r}")

threads = [threading.Thread(target=load, args=(name,)) for name in names + foreign]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
from airflow_provider_dataflow.client.sdk_client import oci
oci.signer.AbstractBaseSigner, oci._vendor.requests.Session, oci.identity.IdentityClient
sys.exit("\\n".join(failed) or 0)
"""


def packages_after_importing(*modules: str) -> set[str]:
    """Return the top-level packages that the imports load, in a new process."""
    imports = ", ".join(f"{PACKAGE}.{module}" for module in modules)
    code = f"import sys, {imports}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


#: Modules that a DAG file imports.
DAG_MODULES = [
    *(
        "provider_info",
        "hooks.data_flow",
        "links.run",
        "sensors.run",
        "operators.run",
        "operators.manage_run",
    ),
    *(
        "operators.application",
        "operators.pool",
        "operators.sql_endpoint",
        "operators.statement",
        "operators.orphans",
    ),
]
TRIGGER_MODULES = ["triggers.run", "triggers.pool", "triggers.sql_endpoint", "triggers.statement"]
#: Each of them would take a noticeable part of the second in which ``dataflow-local serve`` responds.
SLOW_IN_SERVER = {
    *("airflow", "oci", "pyspark", "py4j", "aiohttp", "requests", "urllib3", "httpx", "asgiref", "tenacity"),
    *("numpy", "pandas", "pyarrow", "fsspec", "sqlalchemy", "pydantic", "fastapi", "starlette", "jinja2"),
    *("jsonschema", "hypothesis", "pytest", "_pytest", "opentelemetry", "structlog", "rich", "pygments"),
}
#: Serves until its standard input ends, as it does at once, and prints the packages that were loaded.
SERVE = """
import sys
from airflow_provider_dataflow.local.cli.command_line import main
code = main(["--home", sys.argv[1], "serve", "--engine", sys.argv[2], "--port", "0", "--quiet", "--no-warm",
             "--exit-with-stdin"])
print(*{name.partition(".")[0] for name in sys.modules})
sys.exit(code)
"""
#: Imports modules one after the other and prints which of them loaded one of the forbidden ones.
CULPRITS = """
import importlib, sys
modules, forbidden = (argument.split(",") for argument in sys.argv[1:])
for module in modules:
    before = set(sys.modules)
    importlib.import_module(module)
    print(*(f"{module} imports {name}" for name in forbidden if name in set(sys.modules) - before), sep="\\n")
"""


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        (DAG_MODULES + TRIGGER_MODULES, ["oci", "aiohttp"]),
        # The import of Airflow's trigger base takes a third as long as that of an operator.
        (DAG_MODULES, ["airflow.triggers.base"]),
    ],
    ids=["neither-sdk-nor-aiohttp", "no-triggers"],
)
def test_parsing_a_dag_imports_only_what_it_needs(modules, forbidden):
    """In one process: a module that loads a forbidden one does so after any others, too."""
    names = ",".join(f"{PACKAGE}.{module}" for module in modules)
    command = [sys.executable, "-c", CULPRITS, names, ",".join(forbidden)]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout.split("\n") == [""] * (len(modules) + 1)


@pytest.mark.parametrize(
    ("modules", "unknown"),
    [
        (
            ["polling", "error_hints", "redaction", "ownership.record", "ownership.tags", "triggers.events"],
            {"airflow", "oci", "aiohttp"},
        ),
        (
            [
                *("models.run_request", "models.application", "models.pool", "models.sql_endpoint"),
                *("models.statement", "models.usage"),
            ],
            {"airflow", "oci", "aiohttp"},
        ),
        (
            [
                *("client.sync_client", "client.poller.poller", "client.wait"),
                "client.console_links",
            ],
            {"airflow", "oci"},
        ),
        (
            [
                "local.http.server",
                "local.cli.command_line",
                "local.cli.server_commands",
                "local.testing.embedded",
            ],
            {"airflow", "pyspark"},
        ),
    ],
    ids=["root", "models", "clients", "Local Data Flow"],
)
def test_inner_layers_load_no_outer_packages(modules, unknown):
    assert packages_after_importing(*modules).isdisjoint(unknown)


@pytest.mark.parametrize("engine", ["scripted", "spark"])
def test_server_loads_nothing_slow(engine, tmp_path):
    """In an environment with Airflow, too. Only runs import PySpark, in processes of their own."""
    process = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path), engine],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    loaded = set(process.stdout.split())
    assert {"airflow_provider_dataflow", "uvicorn"} <= loaded
    assert loaded & SLOW_IN_SERVER == set()


def imports_of(tree: ast.AST, *, at_once: bool) -> Iterator[tuple[str, str]]:
    """Yield module and name of each import.

    :param at_once: only imports at the top of the module, not those in functions.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif at_once and (
            isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or is_type_checking_block(node)
        ):
            continue
        else:
            yield from imports_of(node, at_once=at_once)


def is_type_checking_block(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def test_one_module_imports_the_sdk():
    """The SDK's circular imports fail permanently if two threads start with different modules."""
    importing = {
        name
        for name, file in FILES.items()
        for module, _ in imports_of(ast.parse(file.read_text()), at_once=False)
        if module.partition(".")[0] == "oci"
    }
    assert importing <= {f"{PACKAGE}.client.sdk"}


def test_no_circular_imports():
    """A package that imports its own modules is a circle, because their import imports the package."""
    graph: dict[str, set[str]] = {}
    for name, file in FILES.items():
        needs = graph[name] = {name.rpartition(".")[0]} & FILES.keys()
        for module, imported in imports_of(ast.parse(file.read_text()), at_once=True):
            found = {module, f"{module}.{imported}"} & FILES.keys()
            needs |= found - {name}
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(FILES)


@pytest.mark.parametrize(
    "foreign", [[], ["oci.auth.signers", "oci.regions"]], ids=["alone", "with-other-imports"]
)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_threads_can_import_at_the_same_time(seed, foreign):
    names = [name for name in FILES if name.startswith(f"{PACKAGE}.client.")]
    command = [sys.executable, "-c", RACE, str(seed), ",".join(names), ",".join(foreign or ["json"])]
    race = subprocess.run(command, capture_output=True, text=True)
    assert race.returncode == 0, race.stderr
