"""What the documentation shows can be run, is there, and is called so.

Every fenced block of every page has a check by its language, every command has one by its first word, and
what has none fails: whoever adds a kind adds its check. What the pages of Local Data Flow list in tables is
compared in ``tests/unit/local/test_documentation.py``.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import contextlib
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import create_autospec

import pytest
from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.sdk import DAG

from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.cli.command_line import make_parser
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_dataflow"
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("tests/**/*.md")])


class Snippet(NamedTuple):
    """A piece of a page.

    :param where: file and line, for messages.
    :param language: of a fenced block.
    """

    where: str
    language: str
    text: str


def fenced(page: Path) -> Iterator[Snippet]:
    text = page.read_text()
    for match in re.finditer(r"^( *)```([^\n]*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        where = f"{page.relative_to(ROOT)}:{line}"
        yield Snippet(where, match[2].strip(), inspect.cleandoc(match[3]) + "\n")


def docstrings() -> Iterator[Snippet]:
    """Docstrings of the package's modules, classes and functions."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            if documented and (text := ast.get_docstring(node)):
                line = getattr(node, "lineno", 1)
                yield Snippet(f"{path.relative_to(ROOT)}:{line}", "", text)


def prose() -> Iterator[Snippet]:
    """What is no fenced block: of the pages, and the docstrings."""
    for page in PAGES:
        # Blank lines instead of the blocks, so that the lines keep their numbers.
        text = re.sub(
            r"^( *)```.*?^\1```$",
            lambda match: "\n" * match[0].count("\n"),
            page.read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
        yield Snippet(str(page.relative_to(ROOT)), "", text)
    yield from docstrings()


BLOCKS = [snippet for page in PAGES for snippet in fenced(page)]
PROSE = list(prose())


def ids(snippet: Snippet) -> str:
    return snippet.where


# --- Commands ----------------------------------------------------------------------------------------------


@cache
def airflow_parser() -> argparse.ArgumentParser:
    from airflow.cli.cli_parser import get_parser

    return get_parser()


@cache
def local_parser() -> argparse.ArgumentParser:
    return make_parser()


def refusal(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """What a parser says against a command line; ``None`` if it takes it."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
        try:
            parser.parse_args(words)
        except SystemExit as end:
            return errors.getvalue() if end.code else None
    return None


def parsed_by(parser: argparse.ArgumentParser, words: list[str]) -> None:
    assert refusal(parser, words) is None, refusal(parser, words)


def named_by(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """A command that a text names, perhaps without what it needs: the command exists, and its options do."""
    if (problem := refusal(parser, words)) is None:
        return
    assert re.search(r"arguments are required| missing\. See: ", problem), problem
    for word in words:
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if word.startswith("-"):
            assert word.partition("=")[0] in parser._option_string_actions, f"{words} has no {word}"
        elif below:
            assert word in below[0].choices, f"there is no {word}"
            parser = below[0].choices[word]


def check_airflow(words: list[str]) -> None:
    parsed_by(airflow_parser(), words)


def check_local(words: list[str]) -> None:
    parsed_by(local_parser(), words)


def check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, is_variable, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} \?=" if is_variable else rf"^{re.escape(name)}:"
        assert re.search(pattern, makefile, re.MULTILINE), f"make has no {word}"


def check_pip(words: list[str]) -> None:
    assert words[0] == "install", words
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words[1:]:
        # Of this package: a folder, perhaps with extras.
        if match := re.fullmatch(r"(\.|/path/to/checkout|airflow-provider-dataflow)(?:\[([\w,-]+)\])?", word):
            assert set(filter(None, (match[2] or "").split(","))) <= extras.keys(), word


def check_python(words: list[str]) -> None:
    if words[:1] != ["-m"]:
        return
    module, options = words[1], words[2:]
    if module == "pytest":
        check_pytest(options)
    elif module.partition(".")[0] in OWN:
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"no module {module}"
        assert spec.origin is not None
        source = Path(spec.origin)
        if spec.submodule_search_locations:
            source = source.parent / "__main__.py"
        for option in options:
            if option.startswith("--"):
                assert f'"{option}"' in source.read_text(), f"{module} has no {option}"


#: Packages of this repository that a command may name.
OWN = ("benchmarks", "dev", "tests", PACKAGE)


def check_pytest(words: list[str]) -> None:
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-m", "-k"):
            continue
        # A user's project has its own "tests"; so has this one.
        assert word.startswith("-") or (ROOT / word).exists(), f"there is no {word}"


def anything(words: list[str]) -> None:
    """For what every shell has, and for programs that are not this package's."""


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "airflow": check_airflow,
    "dataflow-local": check_local,
    "make": check_make,
    "pip": check_pip,
    "pytest": check_pytest,
    "python": check_python,
    "python3": check_python,
    **dict.fromkeys(
        ("cat", "cd", "cp", "echo", "eval", "export", "git", "npm", "node", "oci", "mkdir"), anything
    ),
}


def commands(script: str) -> Iterator[list[str]]:
    """The simple commands of a shell script, also those in substitutions, without here-documents."""
    script = re.sub(r"(<<-?\s*'?(\w+)'?[^\n]*)\n.*?^\2$", r"\1", script, flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"<<-?\s*'?\w+'?", "", script).replace("\\\n", " ")
    while inner := re.search(r"\$\(([^()]*)\)", script):
        yield from commands(inner[1])
        script = script[: inner.start()] + "substituted" + script[inner.end() :]
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|"):
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        elif not word.startswith((">", "2>", "<")):
            words.append(word)


def check_script(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    # Comments go first: an apostrophe in them is no quote.
    for words in commands(re.sub(r"(^|\s)#.*$", "", script, flags=re.MULTILINE)):
        program = Path(words[0]).name
        assert program in COMMANDS, f"no check for the command {words[0]!r}: {words}"
        COMMANDS[program](words[1:])
    check_connections(script)


def check_connections(text: str) -> None:
    """Connections in environment variables can be read, and have fields that there are."""
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    for name, value in re.findall(r"AIRFLOW_CONN_(\w+)='(\{.*?\})'$", text, re.MULTILINE | re.DOTALL):
        if re.search(r'": \.\.\.|\.\.\."', value) and "\n" not in value:
            continue  # shortened: it is output
        connection = Connection.from_json(value, conn_id=name.lower())
        assert connection.conn_type == DataFlowHook.conn_type
        assert set(connection.extra_dejson) <= fields.keys()


# --- Languages ---------------------------------------------------------------------------------------------


def check_console(text: str) -> None:
    """Check commands after a prompt, except those whose output is an error of ``dataflow-local``.

    ``tests/unit/local/cli`` runs these.
    """
    lines = itertools.pairwise([*text.splitlines(), ""])
    accepted = [
        line[2:]
        for line, output in lines
        if line.startswith("$ ") and not output.startswith("dataflow-local: ")
    ]
    check_script("\n".join(accepted))


def check_ini(text: str) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    for section in parser.sections():
        for option in parser.options(section):
            check_option(section, option)


def check_option(section: str, option: str) -> None:
    ours = get_provider_info()["config"]
    known = (
        ours[section]["options"] if section in ours else conf.configuration_description[section]["options"]
    )
    assert option in known, f"there is no [{section}] {option}"


def check_python_code(text: str) -> None:
    tree = ast.parse(text if not text.lstrip().startswith("@") else text + "def test(): ...\n")
    namespace: dict[str, Any] = {
        "DataFlowHook": DataFlowHook,
        "Options": Options,
        "local": create_autospec(DataFlowFixture, instance=True),
        "pytest": pytest,
    }
    if "with LocalDataFlow(" in text:
        # A service and Spark, which the contract tests start in the same way: here only what is imported.
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    with parsing() as dags:
        exec(compile(tree, "<documentation>", "exec"), namespace)
    assert "DAG(" not in text or dags
    assert all(dag.tasks for dag in dags)


@contextlib.contextmanager
def parsing() -> Iterator[list[DAG]]:
    """The DAGs of a file, as Airflow finds them when it parses one: also those without a name."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    found: list[DAG] = []
    DagContext.autoregistered_dags.clear()
    DagContext.current_autoregister_module_name = __name__
    try:
        yield found
        found.extend(dag for dag, _ in DagContext.autoregistered_dags)
    finally:
        DagContext.current_autoregister_module_name = None
        DagContext.autoregistered_dags.clear()


def check_text(text: str) -> None:
    """Output: what is named there exists."""
    for name in re.findall(r"^([\w.]*\b[A-Z]\w+): ", text, re.MULTILINE):
        if name.startswith(PACKAGE):
            resolved(name)


def check_rst(text: str) -> None:
    for directive, name in re.findall(r"^\.\. auto(\w+):: ([\w.]+)", text, re.MULTILINE):
        found = resolved(name)
        if directive == "class":
            assert inspect.isclass(found)
    for name, options in re.findall(r"^\.\. autoclass:: ([\w.]+)\n((?:   :.*\n)*)", text, re.MULTILINE):
        for members in re.findall(r":(?:exclude-)?members: (.+)", options):
            for member in members.split(", "):
                assert hasattr(resolved(name), member.strip()), f"{name} has no {member}"


LANGUAGES: dict[str, Callable[[str], None]] = {
    "sh": check_script,
    "console": check_console,
    "ini": check_ini,
    "json": json.loads,  # type: ignore[dict-item]
    "toml": tomllib.loads,  # type: ignore[dict-item]
    "python": check_python_code,
    "text": check_text,
    "{eval-rst}": check_rst,
}


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if not b.language.startswith("{lit")], ids=ids)
def test_every_block_can_be_used_as_it_is(snippet: Snippet):
    if snippet.language.startswith("{toctree}"):
        for page in snippet.text.splitlines():
            if page and not page.startswith(":"):
                folder = (ROOT / snippet.where.partition(":")[0]).parent
                assert (folder / f"{page}.md").is_file(), page
        return
    assert snippet.language in LANGUAGES, f"no check for the language {snippet.language!r}"
    LANGUAGES[snippet.language](snippet.text)


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if b.language.startswith("{lit")], ids=ids)
def test_what_is_included_is_there(snippet: Snippet):
    included = (ROOT / snippet.where.partition(":")[0]).parent / snippet.language.split()[1]
    source = included.read_text()
    compile(source, str(included), "exec")
    for option, value in re.findall(r"^:([\w-]+): \"?([^\"\n]+)\"?$", snippet.text, re.MULTILINE):
        if option in ("start-after", "end-before", "start-at"):
            assert value in source
        elif option == "pyobject":
            assert re.search(rf"(?:def|class) {re.escape(value.rpartition('.')[2])}\b", source)


# --- What the text names -----------------------------------------------------------------------------------


def inline(pattern: str) -> list[tuple[str, str]]:
    """Inline code that matches, with where it is; a line's break inside is a space."""
    return [
        (snippet.where, " ".join(code.split()))
        for snippet in PROSE
        for code in re.findall(r"(?<!`)`{1,2}([^`]+)`{1,2}", snippet.text)
        if re.match(pattern, code)
    ]


INLINE_COMMANDS = inline(r"(?:airflow|dataflow-local|make|pip|python3?) [a-z-]")


@pytest.mark.parametrize(("where", "command"), INLINE_COMMANDS)
def test_every_command_in_the_text_exists(where: str, command: str):
    # Up to a placeholder.
    words = shlex.split(re.split(r" (?:[<\[…(]|\.\.\.|[A-Z_]{3,}$)", command)[0])
    if words[0] in PARSERS:
        named_by(PARSERS[words[0]](), words[1:])
    else:
        check_script(shlex.join(words))


PARSERS = {"airflow": airflow_parser, "dataflow-local": local_parser}


def resolved(name: str) -> Any:
    """The object of a dotted name, which may be a module."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found: Any = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                found = getattr(found, part)
            return found
    raise AssertionError(f"there is no {name}")


NAMES = sorted(
    {
        (snippet.where, name)
        for snippet in [*PROSE, *BLOCKS]
        for name in re.findall(rf"\b{PACKAGE}(?:\.[A-Za-z_]\w*)+", snippet.text)
    }
)


@pytest.mark.parametrize(("where", "name"), NAMES)
def test_every_module_class_and_function_that_is_named_exists(where: str, name: str):
    resolved(name)


OPTIONS = sorted(
    {
        (snippet.where, *found)
        for snippet in [*PROSE, *BLOCKS]
        for found in (
            *re.findall(r"\[(\w+)\]\s+([a-z]\w+_\w+)\b", snippet.text),
            *(
                (s.lower(), o.lower())
                for s, o in re.findall(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)\b", snippet.text)
            ),
        )
    }
)


@pytest.mark.parametrize(("where", "section", "option"), OPTIONS)
def test_every_option_of_the_configuration_that_is_named_exists(where: str, section: str, option: str):
    check_option(section.lower(), option.lower())


def options_read() -> Iterator[tuple[str, str, str]]:
    """Options that the package itself reads, where both names are in the call."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == "conf"
            ):
                names = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
                if len(names) == 2:
                    yield f"{path.relative_to(ROOT)}:{call.lineno}", *names


@pytest.mark.parametrize(("where", "section", "option"), list(options_read()))
def test_every_option_of_the_configuration_that_is_read_exists(where: str, section: str, option: str):
    """A misspelt one is never set, and nobody hears of it."""
    check_option(section, option)


FOLDERS = "tests|docs|dev|example_dags|benchmarks|airflow_provider_dataflow"
PATHS = inline(rf"(?:{FOLDERS})/[\w./-]*$")


@pytest.mark.parametrize(("where", "path"), PATHS)
def test_every_path_that_is_named_exists(where: str, path: str):
    made = path.startswith("docs/_build")
    assert made or (ROOT / path).exists()


def anchors(page: Path) -> set[str]:
    """As GitHub and MyST make them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    if not re.match(r"\w+:", target)
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_every_link_leads_somewhere(page: Path, target: str):
    file, _, anchor = target.partition("#")
    path = (page.parent / file) if file else page
    assert path.exists()
    if anchor:
        assert anchor in anchors(path)


def test_the_checks_can_fail():
    """Each kind of what does not run is noticed."""
    for broken in (
        "airflow tasks test --dry-run dag task",
        "dataflow-local serv",
        "dataflow-local fault add status --codes 3",
        "make nothing",
        "pip install '.[nothing]'",
        ".venv/bin/python -m benchmarks.nothing",
        "python -m benchmarks.chaos --knives 3",
        "pytest tests/nothing",
        'eval "$(dataflow-local conection)"',
        "unheard-of --option",
        "if true",
    ):
        with pytest.raises((AssertionError, ModuleNotFoundError)):
            check_script(broken)
    for broken in ("airflow tasks test --dry-run", "dataflow-local mov", "dataflow-local move --knife"):
        parser, *words = broken.split()
        with pytest.raises(AssertionError):
            named_by(PARSERS[parser](), words)
    with pytest.raises(AssertionError):
        check_ini("[oci_data_flow]\nalowed_endpoints = a\n")
    with pytest.raises(Exception, match="keyword argument 'conn'"):
        check_python_code("DataFlowHook(conn=1)\n")
    with pytest.raises(AssertionError):
        check_connections('AIRFLOW_CONN_X=\'{"conn_type": "oci", "extra": {"tenacy": "t"}}\'')
    with pytest.raises(AttributeError):
        resolved(f"{PACKAGE}.nothing")
