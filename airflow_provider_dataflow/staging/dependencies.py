"""From requirements to the URI of a dependency archive: resolve, build and upload, each only if needed."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dataflow.staging.archive_cache import ArchiveCache, archive_key
from airflow_provider_dataflow.staging.dependency_archive import ARCHIVE_NAME, FORMAT, write_archive
from airflow_provider_dataflow.staging.python_target import PythonTarget
from airflow_provider_dataflow.staging.requirements import Requirements
from airflow_provider_dataflow.staging.uv import Uv, locked_packages

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
    from airflow_provider_dataflow.staging.stager import Stager

log = logging.getLogger(__name__)

#: Folder of archives below the staging prefix.
KIND = "dependencies"


@dataclass(frozen=True)
class DependencyArchive:
    """Archive with the packages that requirements need on a target. Built when it is asked for.

    :param requirements: of the application.
    :param target: Python and platform of the run.
    :param lock: exact versions, with hashes, of the packages.
    :param cache: of this machine.
    """

    requirements: Requirements
    target: PythonTarget
    lock: str
    cache: ArchiveCache

    @classmethod
    def resolve(
        cls, requirements: Requirements, target: PythonTarget, cache: ArchiveCache | None = None
    ) -> DependencyArchive:
        """Resolve the requirements, unless this was done today.

        :raises InvalidArgument: they cannot be fulfilled, a package has no wheel, or uv is missing.
        :raises DataFlowError: uv failed, or the cache cannot be used.
        """
        cache = cache or ArchiveCache()
        fingerprint = requirements.fingerprint
        key = archive_key(FORMAT, target.key, fingerprint) if fingerprint else None
        lock = cache.lock(key, lambda: Uv(target).lock(requirements))
        return cls(requirements, target, lock, cache)

    @property
    def key(self) -> str:
        """Hash of the lock and the target, and name of the archive in the cache and in the bucket."""
        return archive_key(FORMAT, self.target.key, self.lock)

    @property
    def packages(self) -> list[str]:
        """Names and versions of the packages."""
        return list(locked_packages(self.lock))

    def build(self) -> Path:
        """Return the archive's file in the cache. It may be deleted after an hour."""
        return self.cache.archive(self.key, self._write)

    def write(self, file: Path) -> None:
        """Write the archive to a file."""
        shutil.copyfile(self.build(), file)

    def uri(self, stager: Stager) -> ObjectUri:
        """Return the URI that the archive has, or will have, in the staging bucket."""
        return stager.uri_of(self.key, ARCHIVE_NAME, kind=KIND)

    def stage(self, stager: Stager) -> str:
        """Return the URI of the archive in the staging bucket, where it is built only if it is missing."""
        from airflow_provider_dataflow.client.object_storage.content import Content

        uri = self.uri(stager)
        if stager.exists(uri):
            log.info("%s is already uploaded (%s)", uri, ", ".join(self.packages))
        else:
            stager.stage_at(uri, Content.of_file(self.build()))
        return str(uri)

    def _write(self, file: Path, folder: Path) -> None:
        log.info("Building an archive of %s for %s", ", ".join(self.packages), self.target)
        Uv(self.target).install(self.lock, self.requirements, folder)
        write_archive(folder, file, python=self.target.python)
