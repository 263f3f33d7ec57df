"""Script of a Python function that is shipped to Spark, and the check that its source is all it needs."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.staging import function_runner

#: First parameter that gets the SparkSession.
SPARK = "spark"

#: What an indented function is parsed and shipped with. Without its indentation, texts over several lines
#: would be others.
_BLOCK = "if True:\n"

#: Names that every module has.
_MODULE_NAMES = frozenset(("__name__", "__file__", "__doc__", "__debug__"))


@dataclass(frozen=True)
class FunctionSource:
    """Function as text.

    :param name: of the function.
    :param source: from ``def`` on, without decorators, indented as in its file.
    :param file_name: of its module, without a folder.
    :param line: of ``def`` in that file.
    :param takes_spark: whether its first parameter is ``spark``.
    """

    name: str
    source: str
    file_name: str
    line: int
    takes_spark: bool

    @classmethod
    def of(cls, function: Callable[..., Any], decorator: str) -> FunctionSource:
        """Return the source of a function, if that is all that the function needs.

        :param decorator: name of the decorator, for error messages.
        :raises InvalidArgument: the function cannot be shipped.
        """
        code = _code_of(function, decorator)
        name = function.__name__
        _check_spark(function, decorator)
        source, decorator_lines = _source(function, decorator)
        foreign = [free for free in code.co_freevars if free != name]
        try:
            foreign += _foreign_names(_unit(source))
        except SyntaxError as error:
            if not foreign:  # such as nonlocal, whose names are in foreign
                raise _unreadable(name, decorator, error) from None
        if foreign:
            names = ", ".join(dict.fromkeys(foreign))
            raise InvalidArgument(
                decorator,
                f"{name} uses {names} from outside of the function, which does not exist in Spark; "
                "import or define it inside of the function, or pass it as an argument",
            )
        first_line = code.co_firstlineno + decorator_lines
        takes_spark = code.co_argcount > 0 and code.co_varnames[0] == SPARK
        return cls(name, source, Path(code.co_filename).name, first_line, takes_spark)

    def script(self) -> bytes:
        """Return the Python application that calls the function."""
        runner = Path(function_runner.__file__).read_text(encoding="utf-8")
        unit = _unit(self.source)
        first_line = self.line if unit == self.source else self.line - 1
        values = (unit, self.name, self.file_name, first_line, self.takes_spark)
        arguments = "".join(f"        {value!r},\n" for value in values)
        return f'{runner}\n\nif __name__ == "__main__":\n    run(\n{arguments}    )\n'.encode()


def signature_without_spark(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature that callers see: ``spark`` is passed in Spark."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    return signature.replace(
        parameters=parameters[1:] if list(signature.parameters)[:1] == [SPARK] else parameters
    )


def _code_of(function: Any, decorator: str) -> Any:
    """Return the code of a function that can be shipped."""
    if not inspect.isfunction(function):
        raise InvalidArgument(decorator, f"expected a function, got {type(function).__name__}")
    if function.__name__ == "<lambda>":
        raise InvalidArgument(decorator, "a lambda cannot be shipped; use def")
    if hasattr(function, "__wrapped__"):
        raise InvalidArgument(
            decorator,
            f"{function.__name__} has another decorator below this one, which Spark would not see",
        )
    if (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise InvalidArgument(
            decorator, f"{function.__name__} must be a plain function, without async and yield"
        )
    return function.__code__


def _check_spark(function: Any, decorator: str) -> None:
    parameter = inspect.signature(function).parameters.get(SPARK)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if parameter is not None and parameter.kind not in positional:
        raise InvalidArgument(
            decorator, f"{function.__name__} has the parameter {parameter}, which must be its first one"
        )


def _source(function: Any, decorator: str) -> tuple[str, int]:
    """Return the source of a function without its decorators, and the number of their lines."""
    name = function.__name__
    try:
        text = inspect.getsource(function)
        unit = _unit(text)
        (definition,) = ast.parse(unit).body
        if unit != text:
            (definition,) = definition.body  # type: ignore[attr-defined]
    except (OSError, TypeError, SyntaxError, ValueError) as error:
        raise _unreadable(name, decorator, error) from None
    if not isinstance(definition, ast.FunctionDef) or definition.name != name:
        raise _unreadable(name, decorator)
    # Python ends lines only there, unlike splitlines.
    lines = unit.split("\n")[definition.lineno - 1 : definition.end_lineno]
    return "\n".join(lines).rstrip() + "\n", definition.lineno - 1 - (unit != text)


def _unit(source: str) -> str:
    """Return a source, indented or not, as a module."""
    return f"{_BLOCK}{source}" if source[:1] in (" ", "\t") else source


def _unreadable(name: str, decorator: str, error: Exception | None = None) -> InvalidArgument:
    reason = f": {error}" if error else ""
    return InvalidArgument(decorator, f"cannot read the source of {name}{reason}")


def _foreign_names(source: str) -> Iterator[str]:
    """Yield the names of globals that a function uses, except built-ins. Annotations do not count."""
    table = symtable.symtable(f"from __future__ import annotations\n{source}", "<function>", "exec")
    known = {*dir(builtins), *_MODULE_NAMES}
    # The function itself, which may call itself.
    known |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_namespace()}

    def visit(scope: symtable.SymbolTable) -> Iterator[str]:
        for symbol in scope.get_symbols():
            is_used = symbol.is_referenced() or symbol.is_assigned()
            if is_used and symbol.is_global() and symbol.get_name() not in known:
                yield symbol.get_name()
        for child in scope.get_children():
            yield from visit(child)

    return visit(table)
