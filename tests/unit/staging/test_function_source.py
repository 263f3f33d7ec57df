from __future__ import annotations

import ast
import functools
import inspect

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging.function_source import FunctionSource, signature_without_spark

NAME = "@task.oci_data_flow"
LIMIT = 3


def decorator(*arguments, **options):
    """Stands for the task decorator, which replaces the function."""
    return lambda function: FunctionSource.of(function, NAME)


def wraps(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


def test_source_has_no_decorators():
    @decorator(
        task_id="x",
        requirements=["humanize"],
    )
    def monthly(spark, month: Undefined, n=2) -> Undefined:  # noqa: F821
        import math

        def half(value):
            return math.floor(value / 2)

        return [half(n) for _ in range(len(month))]

    assert monthly.source.startswith("    def monthly(spark, month: Undefined, n=2)")
    assert monthly.takes_spark
    assert monthly.file_name == "test_function_source.py"
    lines = inspect.getsource(test_source_has_no_decorators).splitlines()
    offset = next(number for number, line in enumerate(lines) if "def monthly" in line)
    assert monthly.line == test_source_has_no_decorators.__code__.co_firstlineno + offset
    ast.parse(monthly.script())


def test_equal_functions_have_an_equal_script():
    @decorator()
    def function(spark):
        return 1

    assert function.script() == function.script()


def test_function_without_spark():
    @decorator()
    def function(month):
        return month

    assert not function.takes_spark


def test_function_may_call_itself_and_use_builtins():
    @decorator()
    def function(spark, n):
        try:
            return n and function(None, n - 1) + len(str(n))
        except ValueError as error:
            raise RuntimeError(__name__) from error

    assert "function(None" in function.source


def local_variable():
    month = "2013-01"

    def function(spark):
        return month

    return function


def global_variable():
    def function(spark):
        return LIMIT

    return function


def global_in_nested_function():
    def function(spark):
        return [lambda y: pytest.fail(str(y)) for _ in range(LIMIT)]

    return function


def global_in_default():
    def function(spark, n=LIMIT):
        return n

    return function


def assigned_global():
    def function(spark):
        global ASSIGNED
        ASSIGNED = 1

    return function


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (local_variable, "month"),
        (global_variable, "LIMIT"),
        (global_in_nested_function, "pytest, LIMIT"),
        (global_in_default, "LIMIT"),
        (assigned_global, "ASSIGNED"),
    ],
)
def test_names_from_outside_are_refused(make, names):
    with pytest.raises(InvalidArgument, match=r"^@task\.oci_data_flow: function uses") as caught:
        FunctionSource.of(make(), NAME)
    found = str(caught.value).partition(" uses ")[2].partition(" from outside")[0]
    assert set(found.split(", ")) == set(names.split(", "))


def async_function():
    async def function(spark):
        return 1

    return function


def generator():
    def function(spark):
        yield 1

    return function


def decorated():
    @wraps
    def function(spark):
        return 1

    return function


def without_source():
    namespace = {}
    exec("def function(spark):\n    return 1\n", namespace)
    return namespace["function"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: lambda spark: 1, "lambda"),
        (lambda: functools.partial(print), "expected a function, got partial"),
        (lambda: print, "expected a function"),
        (async_function, "plain function"),
        (generator, "plain function"),
        (decorated, "another decorator"),
        (without_source, "cannot read the source of function"),
    ],
)
def test_what_has_no_plain_source_is_refused(make, problem):
    with pytest.raises(InvalidArgument, match=problem):
        FunctionSource.of(make(), NAME)


def nonlocal_variable():
    month = "2013-01"

    def function(spark):
        nonlocal month
        month = "2013-02"

    return function


def spark_by_keyword():
    def function(month, *, spark):
        return month

    return function


def spark_as_rest():
    def function(*spark):
        return spark

    return function


def broken_binding():
    def function(spark):
        return 1

    return function


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (nonlocal_variable, "function uses month from outside"),
        (spark_by_keyword, "function has the parameter spark, which must be its first one"),
        (spark_as_rest, r"function has the parameter \*spark, which must be its first one"),
    ],
)
def test_function_that_would_fail_in_spark_is_refused(make, problem):
    with pytest.raises(InvalidArgument, match=problem):
        FunctionSource.of(make(), NAME)


def test_source_that_has_changed_after_the_import_is_refused(monkeypatch):
    changed = "def function(spark):\n    nonlocal month\n    month = 1\n"
    monkeypatch.setattr(inspect, "getsource", lambda _: changed)
    with pytest.raises(InvalidArgument, match="cannot read the source of function: no binding for nonlocal"):
        FunctionSource.of(broken_binding(), NAME)


def test_callers_do_not_pass_spark():
    def with_spark(spark, month, *, n=1): ...

    def without(month): ...

    def nothing(): ...

    found = [str(signature_without_spark(function)) for function in (with_spark, without, nothing)]
    assert found == ["(month, *, n=1)", "(month)", "()"]
