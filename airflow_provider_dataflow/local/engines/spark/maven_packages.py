"""Settings of Ivy, with which Spark resolves ``spark.jars.packages`` from Maven repositories.

With Spark's own settings, parallel runs would write the same files without a lock, and the mirror in the
user's Maven settings would have no effect.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from airflow_provider_dataflow.local.engines.spark.class_data_archive import cache_folder
from airflow_provider_dataflow.local.engines.spark.java_command import java_home_folder
from airflow_provider_dataflow.local.engines.spark.preparation import CannotStart

PACKAGES = "spark.jars.packages"
_IVY_FOLDER = "spark.jars.ivy"
_IVY_SETTINGS = "spark.jars.ivySettings"
_CENTRAL = "central"

# Runs share the cache; Ivy locks an artifact while it downloads it. Without a root, the resolver "central"
# uses Ivy's default, which is Maven Central. The local repository comes last: Maven stores many POMs there
# without their jars, and Ivy fails if it finds only the POM.
_TEMPLATE = """\
<ivysettings>
  <settings defaultResolver="packages"/>
  <caches default="shared">
    <cache name="shared" basedir={cache} lockStrategy="artifact-lock-nio"/>
  </caches>
  <resolvers>
    <chain name="packages">
      <ibiblio name="central" m2compatible="true"{root}/>
      <ibiblio name="local-repository" m2compatible="true" root={local_repository}/>
    </chain>
  </resolvers>
</ivysettings>
"""


@dataclass(frozen=True, slots=True)
class MavenSettings:
    """Parts of the user's ``settings.xml``.

    :param mirror: URL of the mirror of Maven Central; ``None`` if there is none.
    :param local_repository: folder of what ``mvn install`` has built.
    """

    mirror: str | None
    local_repository: Path


class MavenSettingsError(CannotStart):
    """The user's Maven settings cannot be read. The message names the file and the cause."""


def settings_file() -> Path:
    return Path(java_home_folder(os.environ), ".m2", "settings.xml")


def read_maven_settings(file: Path, variables: Mapping[str, str]) -> MavenSettings:
    """Return the settings in a file, which need not exist.

    :param variables: environment variables, for ``${env.NAME}`` in the file.
    :raises MavenSettingsError: the file cannot be read or is not XML.
    """
    default = file.parent / "repository"
    try:
        root = ElementTree.parse(file).getroot()  # noqa: S314 - the user's own file
    except FileNotFoundError:
        return MavenSettings(None, default)
    except (OSError, ElementTree.ParseError) as e:
        raise MavenSettingsError(f"The Maven settings {file} cannot be read: {e}") from None

    def text(element: ElementTree.Element, name: str) -> str:
        value = (element.findtext(f"{{*}}{name}") or "").strip()
        value = value.replace("${user.home}", str(file.parent.parent))
        return re.sub(r"\$\{env\.(\w+)}", lambda match: variables.get(match[1], match[0]), value)

    mirrors = [
        (text(mirror, "mirrorOf"), text(mirror, "url")) for mirror in root.iterfind("{*}mirrors/{*}mirror")
    ]
    # As in Maven, a mirror of exactly this repository precedes patterns.
    exact = [url for mirror_of, url in mirrors if mirror_of == _CENTRAL]
    matching = [url for mirror_of, url in mirrors if _is_mirror_of_central(mirror_of)]
    folder = text(root, "localRepository")
    return MavenSettings(next(iter([*exact, *matching]), None), Path(folder) if folder else default)


def _is_mirror_of_central(mirror_of: str) -> bool:
    patterns = {pattern.strip() for pattern in mirror_of.split(",")}
    return f"!{_CENTRAL}" not in patterns and not patterns.isdisjoint({_CENTRAL, "*", "external:*"})


def ivy_settings(cache: Path, maven: MavenSettings) -> str:
    """Return the content of a settings file of Ivy.

    :param cache: folder of downloaded files, which may be shared by runs.
    """
    mirror = maven.mirror
    return _TEMPLATE.format(
        cache=quoteattr(str(cache)),
        root=f" root={quoteattr(mirror.rstrip('/') + '/')}" if mirror else "",
        local_repository=quoteattr(maven.local_repository.absolute().as_uri()),
    )


def ivy_properties(properties: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the properties with which Spark resolves the packages that ``properties`` name, if any.

    A file in ``spark.jars.ivySettings`` takes precedence. ``spark.jars.ivy`` may name another cache.

    :param folder: existing folder of the run, for the settings and for the jars of the run.
    :raises MavenSettingsError: the user's Maven settings cannot be read.
    """
    if not properties.get(PACKAGES, "").strip() or properties.get(_IVY_SETTINGS):
        return {}
    cache = Path(properties.get(_IVY_FOLDER) or cache_folder() / "ivy") / "cache"
    file = folder / "ivysettings.xml"
    file.write_text(ivy_settings(cache.absolute(), read_maven_settings(settings_file(), os.environ)))
    return {_IVY_SETTINGS: str(file), _IVY_FOLDER: str(folder / "ivy")}
