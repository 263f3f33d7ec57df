"""Argument ``requirements``: Python packages for the Python and the platform of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.local_service import is_local_service, local_python_version
from airflow_provider_dataflow.staging.python_target import PythonTarget, target_of_run
from airflow_provider_dataflow.staging.requirements import Requirements

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run_request import RunRequest
    from airflow_provider_dataflow.staging.dependencies import DependencyArchive
    from airflow_provider_dataflow.staging.files import LocalFiles


@dataclass(frozen=True)
class RequiredPackages:
    """Packages that a run needs besides Spark.

    :param given: a list of requirements, or the path of a requirements file.
    :param hook: of the task's connection.
    :param request: of the run, whose Spark version and shapes say what is needed.
    """

    given: str | Sequence[str]
    hook: DataFlowHook
    request: RunRequest

    def archive(self, files: LocalFiles) -> DependencyArchive:
        """Resolve the packages, and return their archive, which is not built yet.

        :param files: of the DAG's bundle, in which a requirements file must be.
        :raises InvalidArgument: they cannot be resolved, or a package has no wheel for the run.
        """
        from airflow_provider_dataflow.staging.dependencies import DependencyArchive

        if isinstance(self.given, str):
            requirements = Requirements.of_file(files.find(self.given, "requirements"), root=files.bundle)
        else:
            requirements = Requirements.of_list(self.given, folder=files.dag_folder, root=files.bundle)
        return DependencyArchive.resolve(requirements, self._target())

    def _target(self) -> PythonTarget:
        """Return the Python and the platform of the run."""
        if is_local_service(self.hook.access.endpoint):
            return PythonTarget(local_python_version(self.hook.access.endpoint))
        spark_version = self.request.spark_version
        shapes = [self.request.driver_shape, self.request.executor_shape]
        if self.request.effective_application_id is not None:
            application = self.hook.applications.get(self.request.effective_application_id)
            spark_version = application.spark_version
            defaults = (application.driver_shape, application.executor_shape)
            shapes = [own or default for own, default in zip(shapes, defaults, strict=True)]
        return target_of_run(spark_version, *shapes)
