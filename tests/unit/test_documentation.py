"""Checks of the documentation: snippets and commands are valid, and everything that a page names exists.

A fenced block is checked by its language, a command by its first word. A language or command without a check
fails, so that a new one gets a check. ``tests/unit/local/test_documentation.py`` compares the tables in the
pages of Local Data Flow with the code.
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
import linecache
import re
import shlex
import subprocess
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import create_autospec

import pytest
import yaml
from airflow.configuration import conf
from airflow.models.connection import Connection
from airflow.sdk import DAG

from airflow_provider_dataflow.cli.command_line import parser as parser_of_commands
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.cli.command_line import make_parser
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.provider_info import get_provider_info
from tests.unit.docs.extension import load_extension

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_dataflow"
PAGES = sorted(
    page for where in ("docs/**", "examples/**", "tests/**", ".") for page in ROOT.glob(f"{where}/*.md")
)


class Snippet(NamedTuple):
    """Part of a page, or a docstring.

    :param where: file and line, for messages.
    :param language: language of a fenced block; empty for other text.
    """

    where: str
    language: str
    text: str


def fenced_blocks(page: Path) -> Iterator[Snippet]:
    text = page.read_text()
    for match in re.finditer(r"^( *)```([^\n]*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        where = f"{page.relative_to(ROOT)}:{line}"
        yield Snippet(where, match[2].strip(), textwrap.dedent(match[3]))


def docstrings() -> Iterator[Snippet]:
    """Yield the docstrings of the package's modules, classes and functions."""
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            if documented and (text := ast.get_docstring(node)):
                line = getattr(node, "lineno", 1)
                yield Snippet(f"{path.relative_to(ROOT)}:{line}", "", text)


def prose() -> Iterator[Snippet]:
    """Yield the text of the pages without fenced blocks, and the docstrings."""
    for page in PAGES:
        # Blank lines in place of the blocks keep the line numbers.
        text = re.sub(
            r"^( *)```.*?^\1```$",
            lambda match: "\n" * match[0].count("\n"),
            page.read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
        yield Snippet(str(page.relative_to(ROOT)), "", text)
    yield from docstrings()


BLOCKS = [snippet for page in PAGES for snippet in fenced_blocks(page)]
PROSE = list(prose())


def location(snippet: Snippet) -> str:
    return snippet.where


# --- Commands ----------------------------------------------------------------------------------------------


@cache
def airflow_parser() -> argparse.ArgumentParser:
    from airflow.cli.cli_parser import get_parser

    return get_parser()


@cache
def local_parser() -> argparse.ArgumentParser:
    return make_parser()


def parse_error(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """Return a parser's error message for a command line; ``None`` if it is valid."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
        try:
            parser.parse_args(words)
        except SystemExit as end:
            return errors.getvalue() if end.code else None
    return None


def assert_parses(parser: argparse.ArgumentParser, words: list[str]) -> None:
    assert parse_error(parser, words) is None, parse_error(parser, words)


def assert_command_exists(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Check that a command and its options exist. Required arguments may be missing, as in a sentence."""
    if (problem := parse_error(parser, words)) is None:
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
    assert_parses(airflow_parser(), words)


def check_local(words: list[str]) -> None:
    assert_parses(local_parser(), words)


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
        # This package, perhaps with extras.
        if match := re.fullmatch(r"(\.|/path/to/checkout|airflow-provider-dataflow)(?:\[([\w,-]+)\])?", word):
            assert set(filter(None, (match[2] or "").split(","))) <= extras.keys(), word


def check_python(words: list[str]) -> None:
    if words[:1] != ["-m"]:
        return
    module, options = words[1], words[2:]
    if module == "pytest":
        check_pytest(options)
    elif module == f"{PACKAGE}.cli" and options:
        assert_parses(parser_of_commands(), options)
    elif module.partition(".")[0] in OWN_PACKAGES:
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"no module {module}"
        assert spec.origin is not None
        source = Path(spec.origin)
        if spec.submodule_search_locations:
            source = source.parent / "__main__.py"
        for option in options:
            if option.startswith("--"):
                assert f'"{option}"' in source.read_text(), f"{module} has no {option}"


#: Packages of this repository whose modules ``python -m`` may run.
OWN_PACKAGES = ("benchmarks", "dev", "tests", PACKAGE)


def check_pytest(words: list[str]) -> None:
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-m", "-k"):
            continue
        # "tests" may stand for the folder of a user's project; this repository has one of that name, too.
        assert word.startswith("-") or (ROOT / word).exists(), f"there is no {word}"


def accept_any(words: list[str]) -> None:
    """Accept any arguments: for common shell commands and programs of other projects."""


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "airflow": check_airflow,
    "dataflow-local": check_local,
    "make": check_make,
    "pip": check_pip,
    "pytest": check_pytest,
    "python": check_python,
    "python3": check_python,
    **dict.fromkeys(
        (
            "cat",
            "cd",
            "cp",
            "docker",
            "echo",
            "eval",
            "export",
            "git",
            "mkdir",
            "node",
            "npm",
            "oci",
            "sleep",
            "source",
            "terraform",
        ),
        accept_any,
    ),
    "build_provider.sh": accept_any,
}


def commands(script: str) -> Iterator[list[str]]:
    """Yield the simple commands of a shell script and of its substitutions, without here-documents."""
    script = re.sub(r"(<<-?\s*'?(\w+)'?[^\n]*)\n.*?^\2$", r"\1", script, flags=re.MULTILINE | re.DOTALL)
    script = re.sub(r"<<-?\s*'?\w+'?|\d>&\d", "", script).replace("\\\n", " ")
    while inner := re.search(r"\$\(([^()]*)\)", script):
        yield from commands(inner[1])
        script = script[: inner.start()] + "substituted" + script[inner.end() :]
    lexer = shlex.shlex(script.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|"):
            while words and (words[0] in ("until", "do", "done") or re.match(r"\w+=", words[0])):
                words.pop(0)
            if words:
                yield words
            words = []
        elif not word.startswith((">", "2>", "<")):
            words.append(word)


def check_script(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    # Remove comments first: an apostrophe in them is no quote.
    for words in commands(re.sub(r"(^|\s)#.*$", "", script, flags=re.MULTILINE)):
        program = Path(words[0]).name
        assert program in COMMANDS, f"no check for the command {words[0]!r}: {words}"
        COMMANDS[program](words[1:])
    check_connections(script)


def check_connections(text: str) -> None:
    """Check that connections in environment variables can be read and have known fields only."""
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    for name, value in re.findall(r"AIRFLOW_CONN_(\w+)='(\{.*?\})'$", text, re.MULTILINE | re.DOTALL):
        if re.search(r'": \.\.\.|\.\.\."', value) and "\n" not in value:
            continue  # shortened output
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
    # Functions that run in Spark are shipped as the source that Python has of them.
    linecache.cache["<documentation>"] = (len(text), None, text.splitlines(keepends=True), "<documentation>")
    tree = ast.parse(text)
    namespace: dict[str, Any] = {}
    if "with LocalDataFlow(" in text:
        # It would start Spark. tests/contract/test_documentation.py runs it; check only the imports here.
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    with collect_dags() as dags:
        exec(compile(tree, "<documentation>", "exec"), namespace)
    for name, test in namespace.items():
        # Tests with the fixture call only methods that it has, with arguments that they take.
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["dataflow_local"]:
            test(create_autospec(DataFlowFixture, instance=True))
    assert "DAG(" not in text or dags
    assert all(dag.tasks for dag in dags)


@contextlib.contextmanager
def collect_dags() -> Iterator[list[DAG]]:
    """Collect the DAGs that are defined within the block, as Airflow does when it parses a file."""
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
    """Check that classes of this package that appear in output exist."""
    for name in re.findall(r"^([\w.]*\b[A-Z]\w+): ", text, re.MULTILINE):
        if name.startswith(PACKAGE):
            resolve(name)


def check_rst(text: str) -> None:
    for directive, name in re.findall(r"^\.\. auto(\w+):: ([\w.]+)", text, re.MULTILINE):
        found = resolve(name)
        if directive == "class":
            assert inspect.isclass(found)
    for name, options in re.findall(r"^\.\. autoclass:: ([\w.]+)\n((?:   :.*\n)*)", text, re.MULTILINE):
        for members in re.findall(r":(?:exclude-)?members: (.+)", options):
            for member in members.split(", "):
                assert hasattr(resolve(name), member.strip()), f"{name} has no {member}"


def check_yaml(text: str) -> None:
    """Check the syntax, and the commands of steps in workflows of GitHub and GitLab."""
    scripts: list[str] = []

    def collect(node: Any, key: str = "") -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                collect(value, name)
        elif isinstance(node, list):
            for value in node:
                collect(value, key)
        elif key in ("run", "script"):
            scripts.append(node)

    collect(yaml.safe_load(text))
    check_script("\n".join(scripts))


def check_mermaid(text: str) -> None:
    pytest.importorskip("docutils", reason="needs the packages of the extra docs")
    load_extension("sequence_diagrams").parse(text)


LANGUAGES: dict[str, Callable[[str], None]] = {
    "sh": check_script,
    "console": check_console,
    "ini": check_ini,
    "json": json.loads,  # type: ignore[dict-item]
    "toml": tomllib.loads,  # type: ignore[dict-item]
    "yaml": check_yaml,
    "mermaid": check_mermaid,
    "python": check_python_code,
    "text": check_text,
    "{eval-rst}": check_rst,
}


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if not b.language.startswith("{lit")], ids=location)
def test_fenced_block_is_valid(snippet: Snippet):
    if snippet.language.startswith("{toctree}"):
        for page in snippet.text.splitlines():
            if page and not page.startswith(":"):
                folder = (ROOT / snippet.where.partition(":")[0]).parent
                assert (folder / f"{page}.md").is_file(), page
        return
    assert snippet.language in LANGUAGES, f"no check for the language {snippet.language!r}"
    LANGUAGES[snippet.language](snippet.text)


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if b.language.startswith("{lit")], ids=location)
def test_included_file_and_its_markers_exist(snippet: Snippet):
    included = (ROOT / snippet.where.partition(":")[0]).parent / snippet.language.split()[1]
    source = included.read_text()
    compile(source, str(included), "exec")
    for option, value in re.findall(r"^:([\w-]+): \"?([^\"\n]+)\"?$", snippet.text, re.MULTILINE):
        if option in ("start-after", "end-before", "start-at"):
            assert value in source
        elif option == "pyobject":
            assert re.search(rf"(?:def|class) {re.escape(value.rpartition('.')[2])}\b", source)


# --- Names in the text -------------------------------------------------------------------------------------


def inline_code(pattern: str) -> list[tuple[str, str]]:
    """Return the location and text of inline code that matches; line breaks in it become spaces."""
    return [
        (snippet.where, " ".join(code.split()))
        for snippet in PROSE
        for code in re.findall(r"(?<!`)`{1,2}([^`]+)`{1,2}", snippet.text)
        if re.match(pattern, code)
    ]


INLINE_COMMANDS = inline_code(r"(?:airflow|dataflow-local|make|pip|python3?) [a-z-]")


@pytest.mark.parametrize(("where", "command"), INLINE_COMMANDS)
def test_command_in_text_exists(where: str, command: str):
    # Only the part before a placeholder.
    words = shlex.split(re.split(r" (?:[<\[…(]|\.\.\.|[A-Z_]{3,}$)", command)[0])
    if words[0] in PARSERS:
        assert_command_exists(PARSERS[words[0]](), words[1:])
    else:
        check_script(shlex.join(words))


PARSERS = {"airflow": airflow_parser, "dataflow-local": local_parser}


def resolve(name: str) -> Any:
    """Return the object with a dotted name, which may be a module."""
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
def test_named_module_class_or_function_exists(where: str, name: str):
    resolve(name)


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
def test_named_configuration_option_exists(where: str, section: str, option: str):
    check_option(section.lower(), option.lower())


def options_read() -> Iterator[tuple[str, str, str]]:
    """Yield the configuration options that the package reads with a literal section and name."""
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
def test_configuration_option_read_by_package_is_declared(where: str, section: str, option: str):
    """A misspelt name would read the default for ever."""
    check_option(section, option)


FOLDERS = "tests|docs|dev|example_dags|examples|benchmarks|airflow_provider_dataflow"
PATHS = inline_code(rf"(?:{FOLDERS})/[\w./-]*$")


@pytest.mark.parametrize(("where", "path"), PATHS)
def test_named_path_exists(where: str, path: str):
    generated = path.startswith("docs/_build")
    # The page of a sample project names its own files.
    folder = (ROOT / where.partition(":")[0]).parent
    assert generated or (ROOT / path).exists() or (folder / path).exists()


DEVELOPMENT_PAGE = ROOT / "docs" / "development.md"


def paths_in(text: str) -> list[str]:
    """Return the inline code that is a path: it has a slash, or the name of a file."""
    code = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return sorted({c for c in code if re.fullmatch(r"[\w.-]+(?:/[\w.-]*)+|[\w-]+\.(?:py|md|toml|txt|sh)", c)})


@pytest.mark.parametrize("path", paths_in(DEVELOPMENT_PAGE.read_text()))
def test_path_in_development_page_exists(path: str):
    """Paths there start at the root of the repository or of the package."""
    assert (ROOT / path).exists() or (ROOT / PACKAGE / path).exists() or path == "docs/_build/html"


def test_development_page_shows_every_layer():
    picture = next(block.text for block in fenced_blocks(DEVELOPMENT_PAGE) if block.language == "text")
    shown = set(re.findall(r"^[ |v]*([a-z_]+)/ ", picture, re.MULTILINE))
    rooms = {folder for folder in (ROOT / PACKAGE).iterdir() if (folder / "__init__.py").is_file()}
    inner = {
        folder for room in (ROOT / PACKAGE / "client", ROOT / PACKAGE / "local") for folder in room.iterdir()
    }
    rooms |= {folder for folder in inner if (folder / "__init__.py").is_file()}
    assert shown == {folder.name for folder in rooms}


@cache
def names_of_tests() -> frozenset[str]:
    """Return the names of all test functions of this repository."""
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(name for text in sources for name in re.findall(r"def (test_\w+)\(", text))


NAMED_TESTS = sorted(
    {
        (str(page.relative_to(ROOT)), name)
        for page in PAGES
        for name in re.findall(r"`(test_\w+)(?:\[[^`\]]*\])?`", page.read_text())
    }
)


@pytest.mark.parametrize(("page", "name"), NAMED_TESTS)
def test_named_test_exists(page: str, name: str):
    assert name in names_of_tests()


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST create from the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    if not re.match(r"\w+:", target)
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: str(value).removeprefix(f"{ROOT}/"))
def test_link_target_exists(page: Path, target: str):
    file, _, anchor = target.partition("#")
    path = (page.parent / file) if file else page
    assert path.exists()
    if anchor:
        assert anchor in anchors(path)


def test_checks_reject_broken_text():
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
            assert_command_exists(PARSERS[parser](), words)
    with pytest.raises(AssertionError):
        check_ini("[oci_data_flow]\nalowed_endpoints = a\n")
    with pytest.raises(Exception, match="keyword argument 'conn'"):
        check_python_code(f"from {DataFlowHook.__module__} import DataFlowHook\nDataFlowHook(conn=1)\n")
    with pytest.raises(NameError):
        check_python_code("DataFlowHook()\n")
    with pytest.raises(AttributeError, match="nothing"):
        check_python_code("def test_a(dataflow_local):\n    dataflow_local.nothing()\n")
    with pytest.raises(AssertionError):
        check_connections('AIRFLOW_CONN_X=\'{"conn_type": "oci", "extra": {"tenacy": "t"}}\'')
    with pytest.raises(AttributeError):
        resolve(f"{PACKAGE}.nothing")
