"""Scripts of functions, run as Spark's driver runs them, with a fake of Spark."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from airflow_provider_dataflow.staging import function_runner
from airflow_provider_dataflow.staging.function_code import encoded_arguments
from airflow_provider_dataflow.staging.function_source import FunctionSource

NAME = "@task.oci_data_flow"

_SPARK = """
from types import SimpleNamespace
from unittest.mock import MagicMock
class _Stream:
    def __init__(self, path): self.file = open(path, "wb")
    def write(self, content): self.file.write(content)
    def close(self): self.file.close()
jvm = MagicMock()
jvm.org.apache.hadoop.fs.Path.side_effect = lambda uri: SimpleNamespace(
    getFileSystem=lambda _: SimpleNamespace(create=lambda path, _: _Stream(uri))
)
SparkSession = MagicMock()
SparkSession.builder.getOrCreate.return_value = SimpleNamespace(_jvm=jvm, _jsc=MagicMock())
"""

#: Calls many functions in one process: each has a __main__ of its own, as it has in a driver.
_DRIVER = """
import json, pathlib, sys, types
for path in json.loads(sys.argv[1]):
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    sys.argv = [path, "--result", path + ".json", "--arguments", sys.argv[-1]]
    try:
        exec(compile(pathlib.Path(path).read_bytes(), path, "exec"), main.__dict__)
    except BaseException as error:
        print(path, repr(error))
"""


@pytest.fixture
def call(tmp_path):
    """Ship the functions of a module, call them, and return their stored results."""
    (tmp_path / "pyspark").mkdir()
    # The rest of it is real.
    folders = list(importlib.util.find_spec("pyspark").submodule_search_locations)
    (tmp_path / "pyspark" / "__init__.py").write_text(f"__path__ += {folders!r}\n")
    (tmp_path / "pyspark" / "sql.py").write_text(_SPARK)

    def call(module_source, functions, *args):
        path = tmp_path / "shipped_dag.py"
        path.write_text(module_source, encoding="utf-8", newline="")
        spec = importlib.util.spec_from_file_location("shipped_dag", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["shipped_dag"] = module
        try:
            spec.loader.exec_module(module)
            scripts = []
            for number, function in enumerate(functions(module)):
                script = tmp_path / f"{number}.py"
                script.write_bytes(FunctionSource.of(function, NAME).script())
                scripts.append(str(script))
        finally:
            del sys.modules["shipped_dag"]
        subprocess.run(
            [sys.executable, "-c", _DRIVER, json.dumps(scripts), encoded_arguments(args, {})],
            env={"PYTHONPATH": str(tmp_path)},
            check=True,
            timeout=120,
        )
        results = [json.loads(Path(f"{script}.json").read_text()) for script in scripts]
        return [
            result["error"] if "error" in result else function_runner.decode(result["value"])
            for result in results
        ]

    return call


def test_function_may_have_any_name_of_the_runner(call):
    names = sorted(name for name in vars(function_runner) if name.isidentifier())
    assert {"encode", "decode", "json", "run", "_TYPES", "_Storage"} <= set(names)
    source = "".join(f"def {name}(spark, value):\n    return [{name!r}, value]\n\n\n" for name in names)
    values = call(source, lambda module: [vars(module)[name] for name in names], (1, {2}))
    assert values == [[name, (1, {2})] for name in names]


def test_function_and_what_it_defines_are_pickled_by_value(call):
    source = """
def work(spark, n):
    import base64
    from pyspark.cloudpickle import dumps

    class Doubler:
        def of(self, value):
            return 2 * value

    def inner(value):
        return value if value <= 1 else work(None, value) if value > 100 else Doubler().of(value)

    return base64.b64encode(dumps(inner)).decode()
"""
    (pickled,) = call(source, lambda module: [module.work], 3)
    assert isinstance(pickled, str), pickled
    code = (
        "import base64, pickle, sys\n"
        f"print(pickle.loads(base64.b64decode({pickled!r}))(21), 'airflow_provider_dataflow' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["42", "False"]


INDENTED = '''
def outer():
    def aligned(spark):
        text = """
select 1
"""
        return text

    def indented(spark):
        text = """
        a:
          b
        """
        return text

    def failing(spark):
        text = """
x"""
        raise ValueError(text)

    return aligned, indented, failing
'''


def test_indented_function_keeps_its_texts_and_lines(call):
    aligned, indented, failed = call(INDENTED, lambda module: module.outer())
    assert aligned == "\nselect 1\n"
    assert indented == "\n        a:\n          b\n        "
    line = 1 + INDENTED.split("\n").index("        raise ValueError(text)")
    assert (
        f'File "shipped_dag.py", line {line}, in failing\n    raise ValueError(text)\n' in failed["traceback"]
    )
    assert "in run" not in failed["traceback"]


@pytest.mark.parametrize("character", ["\x0c", "\x0b", "\x1c", "\x85", "\u2028", "\u2029"])
def test_characters_that_end_no_line_of_python(call, character):
    source = textwrap.dedent(
        f"""
        # {character}
        def function(spark):
            text = "a{character}b"
            text += "!"
            return text

        def failing(spark):
            text = "a{character}b"
            raise ValueError(1)
        """
    )
    value, failed = call(source, lambda module: [module.function, module.failing])
    assert value == f"a{character}b!"
    assert "in failing\n    raise ValueError(1)\n" in failed["traceback"]


def test_result_that_airflow_cannot_store_is_an_error_of_the_function(call):
    source = """
def mean(spark):
    import numpy
    return {"delay": [numpy.float64("nan")]}
"""
    (failed,) = call(source, lambda module: [module.mean])
    assert failed["type"] == "TypeError"
    assert failed["message"] == (
        "return value['delay'][0]: nan cannot be passed between Airflow and Spark; use None"
    )


def test_lone_surrogates(call):
    source = r"""
def returned(spark):
    return ["\ud800"]
def raised(spark):
    raise ValueError("a\ud800b")
def recursive(spark):
    value = []
    value.append(value)
    return value
"""
    returned, raised, recursive = call(
        source, lambda module: [module.returned, module.raised, module.recursive]
    )
    assert "return value[0]: the text has lone surrogates" in returned["message"]
    assert raised["message"] == "a?b"
    assert recursive["message"] == "return value: it is nested too deeply, or contains itself"
