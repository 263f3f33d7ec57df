"""Local code of a run: its upload, and the request that names the uploaded files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.models.spark_submit import command_line, has_scheme
from airflow_provider_dataflow.staging.files import LocalFiles, name_of
from airflow_provider_dataflow.staging.packages import zip_package
from airflow_provider_dataflow.staging.stager import Stager, check_file_name

if TYPE_CHECKING:
    from airflow_provider_dataflow.staging.dependencies import DependencyArchive

#: Argument, and key of the uploads, of the packages.
REQUIREMENTS = "requirements"
#: URI of a file that is not uploaded yet, in a request that is checked but not sent.
PENDING_URI = "oci://pending@upload/{name}"
#: Arguments that are lists of files.
FILE_LISTS = ("py_files", "files", "jars", "archives")


class Packages(Protocol):
    """Python packages that a run needs besides Spark."""

    def archive(self, files: LocalFiles) -> DependencyArchive:
        """Resolve them, and return their archive, which is not built yet."""


@dataclass(frozen=True, kw_only=True)
class LocalCode:
    """Application and files of a run as the author gives them: local paths or URIs.

    :param application: main file. None: the run has an application or a command line of its own.
    :param application_args: arguments of the application.
    :param java_class: main class of a jar.
    :param py_files: Python files, zips and packages (folders) for the Python path.
    :param files: files for the working folder of the driver and of each executor. ``path#name`` renames one.
    :param jars: jars for the class path.
    :param archives: archives in the layout of Data Flow (``archiveUri``).
    :param packages: Python packages, which become another archive.
    """

    application: str | None = None
    application_args: Sequence[str] = ()
    java_class: str | None = None
    py_files: Sequence[str] = ()
    files: Sequence[str] = ()
    jars: Sequence[str] = ()
    archives: Sequence[str] = ()
    packages: Packages | None = None

    def check_names(self) -> None:
        """Refuse files that would overwrite each other in the folder of the run.

        :raises InvalidArgument: two files of a list have the same name, or an alias is no file name.
        """
        # Archives of equal names do not meet: each has its own URI.
        for argument in ("py_files", "files", "jars"):
            names: dict[str, str] = {}
            for path in getattr(self, argument):
                name = _name_in_run(argument, path)
                if (other := names.setdefault(name, path)) != path:
                    raise InvalidArgument(
                        argument, f"{other} and {path} have the same name in the run, {name!r}; rename one"
                    )

    @property
    def local_paths(self) -> list[tuple[str, str]]:
        """The paths that need an upload, each with its argument."""
        given = [("application", self.application)] if self.application else []
        given += [(name, path) for name in FILE_LISTS for path in getattr(self, name)]
        return list(dict.fromkeys((name, path) for name, path in given if path and not has_scheme(path)))

    @property
    def needs_upload(self) -> bool:
        """True if something must be uploaded before the submit."""
        return bool(self.local_paths) or self.packages is not None

    def upload(
        self, files: LocalFiles, stager: Stager, known: Mapping[str, str], *, dry_run: bool = False
    ) -> dict[str, str]:
        """Upload the local files, and return their URIs by argument and path.

        All files are checked before the first one is uploaded.

        :param known: URIs of an earlier submit that is repeated. Their files are not read.
        :param dry_run: only find out the URIs.
        :raises InvalidArgument: a file is refused.
        :raises ObjectStorageError: an upload failed.
        """
        keys = {_key(name, path): (name, path) for name, path in self.local_paths}
        missing = {key: given for key, given in keys.items() if key not in known}
        found = {
            key: files.find(_without_alias(name, path), name, folders=name == "py_files")
            for key, (name, path) in missing.items()
        }
        archive = None
        if self.packages is not None and REQUIREMENTS not in known:
            archive = self.packages.archive(files)
        with tempfile.TemporaryDirectory(prefix="airflow-dataflow-") as scratch:
            ready: dict[str, tuple[Path, str]] = {}
            for number, (key, (name, path)) in enumerate(missing.items()):
                place, object_name = found[key], name_of(_without_alias(name, path))
                if place.is_dir():
                    zipped = Path(scratch, f"{number}.zip")
                    zip_package(place, zipped, files, path, name)
                    place, object_name = zipped, f"{object_name}.zip"
                ready[key] = place, object_name
            uris = {}
            for key, (place, object_name) in ready.items():
                content = Content.of_file(place)
                if dry_run:
                    uris[key] = str(stager.uri_of(content.sha256, object_name))
                else:
                    uris[key] = stager.stage(content, object_name)
        if archive is not None:
            uris[REQUIREMENTS] = str(archive.uri(stager)) if dry_run else archive.stage(stager)
        return {**uris, **{key: uri for key, uri in known.items() if key in {*keys, REQUIREMENTS}}}

    def request(self, request: RunRequest, uris: Mapping[str, str]) -> RunRequest:
        """Return the request with the command line and the archives of the run.

        :param request: of the other arguments.
        :param uris: from :meth:`upload`. Other local files get a URI that only passes the checks.
        """

        self.check_names()

        def listed(name: str) -> list[str]:
            return [_uri(name, path, uris) for path in getattr(self, name)]

        packages = [uris.get(REQUIREMENTS) or PENDING_URI.format(name="archive.zip")] if self.packages else []
        archives = ",".join(filter(None, [request.archive_uri, *listed("archives"), *packages])) or None
        if self.application is None:
            return replace(request, archive_uri=archives)
        return replace(
            request,
            archive_uri=archives,
            configuration=None,
            execute=command_line(
                _uri("application", self.application, uris),
                java_class=self.java_class,
                configuration=request.configuration,
                py_files=listed("py_files"),
                files=listed("files"),
                jars=listed("jars"),
                application_args=self.application_args,
            ),
        )


def _key(name: str, path: str) -> str:
    return f"{name}:{path}"


def _name_in_run(argument: str, path: str) -> str:
    """Return the name that a file has in the working folder of the run, or on its class path."""
    plain, has_alias, alias = path.partition("#") if argument == "files" else (path, "", "")
    if has_alias:
        check_file_name(alias, argument)
        return alias
    name = name_of(plain)
    # A package is uploaded as a zip file.
    is_folder = argument == "py_files" and not has_scheme(path) and not os.path.splitext(name)[1]
    return f"{name}.zip" if is_folder else name


def _without_alias(name: str, path: str) -> str:
    return path.partition("#")[0] if name == "files" else path


def _uri(name: str, path: str, uris: Mapping[str, str]) -> str:
    if has_scheme(path):
        return path
    plain = _without_alias(name, path)
    uri = uris.get(_key(name, path)) or PENDING_URI.format(name=os.path.basename(plain) or "folder")
    return f"{uri}{path[len(plain) :]}"
