"""Checks of a built wheel and sdist, and of the wheel as it is installed.

``dev/package_check.sh`` runs them: ``archives`` in the environment of the project, ``installed`` in one that
has the wheel only, so this module imports nothing but the standard library at its start.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = "airflow_provider_dataflow"
ROOT = Path(__file__).parents[1]

#: Needs the extra ``local``.
LOCAL = f"{PACKAGE}.local"
#: Imported only by OpenLineage's provider.
LINEAGE = f"{PACKAGE}.lineage.facets"


def expect(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    """Exit with the difference if two sets of names are not equal."""
    missing, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or extra:
        sys.exit(f"{what}: missing {missing}, unexpected {extra}")


def files_of_repository(folder: str = ".") -> set[str]:
    """Return the files that git tracks, or would track if they were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def check_archives(folder: Path) -> None:
    """Check the contents and the metadata of the only wheel and sdist in a folder."""
    [wheel] = folder.glob("*.whl")
    [sdist] = folder.glob("*.tar.gz")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    expect(sdist.name, inside, {*files_of_repository(), "PKG-INFO"})

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        meta = f"{PACKAGE}-{project['version']}.dist-info"
        expected = {*files_of_repository(PACKAGE), f"{meta}/licenses/LICENSE"}
        expected |= {f"{meta}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
        expect(wheel.name, names, expected)
        check_metadata(message_from_bytes(archive.read(f"{meta}/METADATA")), project)
    print(f"{wheel.name}: {len(names)} files. {sdist.name}: {len(inside)} files.")


def check_metadata(metadata: Message, project: dict[str, dict[str, str]]) -> None:
    """Check that the readme has no relative links, and that it links to the repository of the project."""
    readme = str(metadata.get_payload())
    if relative := re.findall(r"\]\((?![a-z]+:|#)[^)]*\)", readme):
        sys.exit(f"The readme has links that are dead on a package index: {relative}")
    if project["urls"]["Repository"] not in readme:
        sys.exit("The readme does not link to the repository of [project.urls]")
    expect("extras", metadata.get_all("Provides-Extra", []), project["optional-dependencies"])


def check_installed(with_local: bool) -> None:
    """Check the installed wheel: entry points, provider metadata, and that each module can be imported.

    :param with_local: also import what needs the extra ``local`` or the provider of OpenLineage.
    """
    import airflow

    package = importlib.import_module(PACKAGE)
    installed_in = Path(str(package.__file__))
    if "site-packages" not in installed_in.parts:
        sys.exit(f"Not the wheel is tested, but {installed_in}")
    installed = distribution("airflow-provider-dataflow")
    if package.__version__ != installed.version:
        sys.exit(f"__version__ is {package.__version__}, but the metadata have another version")

    modules = [found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")]
    # A module __main__ would run its program.
    modules = [name for name in modules if not name.endswith(".__main__")]
    chosen = [
        name for name in modules if with_local or not f"{name}.".startswith((f"{LOCAL}.", f"{LINEAGE}."))
    ]
    for name in chosen:
        importlib.import_module(name)

    for entry_point in installed.entry_points:
        if with_local or LOCAL not in entry_point.value:
            entry_point.load()
    from airflow.providers_manager import ProvidersManager

    info = ProvidersManager().providers["airflow-provider-dataflow"]
    print(
        f"{len(chosen)} modules imported beside Airflow {airflow.__version__}; provider {info.version} found."
    )
    if with_local:
        jsonschema = importlib.import_module("jsonschema")  # Airflow needs it, too
        schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
        jsonschema.validate(info.data, schema)


if __name__ == "__main__":
    if sys.argv[1] == "archives":
        check_archives(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as home:
            os.environ["AIRFLOW_HOME"] = home
            os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
            check_installed(with_local=sys.argv[2:] == ["local"])
