"""Operations on applications, in the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_dataflow.client.display_names import only_resource_named
from airflow_provider_dataflow.client.sdk_requests import PAGE_SIZE, SdkRequests, one_filter
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.application import GONE_STATES, Application, ApplicationDetails

#: Filters of ListApplications. The service accepts one of them besides the compartment.
APPLICATION_FILTERS = ("display_name", "display_name_starts_with", "owner_principal_id", "spark_version")


class ApplicationClient:
    """Operations on applications. Each is retried, and raises ``ServiceError`` if that does not help."""

    def __init__(self, requests: SdkRequests) -> None:
        self._requests = requests

    def create(self, details: ApplicationDetails, retry_token: str) -> Application:
        """CreateApplication.

        :param retry_token: at most 64 characters. Another create with the same token returns
            the same application.
        """
        return self._requests.read(
            "CreateApplication",
            Application.from_api,
            lambda: self._requests.sdk.create_application(details.body(), opc_retry_token=retry_token),
        )

    def get(self, application_id: str) -> Application:
        """GetApplication. A deleted application may still be returned, as DELETED."""
        return self.get_with_etag(application_id)[0]

    def get_with_etag(self, application_id: str) -> tuple[Application, str | None]:
        """GetApplication, with the etag for :meth:`update`."""
        return self._requests.read_with_etag(
            "GetApplication",
            Application.from_api,
            lambda: self._requests.sdk.get_application(application_id),
        )

    def list(self, compartment_id: str, **filters: Any) -> Iterator[Application]:
        """ListApplications. Yield summaries, which lack most attributes.

        Each page is requested when the applications before it are consumed.

        :param filters: at most one of ``APPLICATION_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one filter.
        """
        given = one_filter("ListApplications", APPLICATION_FILTERS, filters)
        return self._requests.pages(
            "ListApplications",
            Application.from_api,
            lambda page: self._requests.sdk.list_applications(
                compartment_id, limit=PAGE_SIZE, **page, **given
            ),
        )

    def named(self, compartment_id: str, display_name: str) -> Application | None:
        """Return the summary of the application with this name in the compartment, or ``None``.

        :raises AmbiguousName: several applications have the name.
        """
        return only_resource_named(
            self.list(compartment_id, display_name=display_name), display_name, compartment_id, GONE_STATES
        )

    def update(
        self, application_id: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Application:
        """UpdateApplication.

        :param changes: fields of ``UpdateApplicationDetails``, by their names in the API.
        :param if_match: etag; the service refuses with 412 if the application has another etag by now.
        """
        given = {"if_match": if_match} if if_match else {}
        return self._requests.read(
            "UpdateApplication",
            Application.from_api,
            lambda: self._requests.sdk.update_application(dict(changes), application_id, **given),
        )

    def delete(self, application_id: str, *, cascading: bool = False) -> None:
        """DeleteApplication, or with ``cascading`` CascadingDeleteApplication, which first ends the runs.

        Does not raise if the application is DELETED already.
        """
        operation = "CascadingDeleteApplication" if cascading else "DeleteApplication"
        sdk = self._requests.sdk
        delete = sdk.cascading_delete_application if cascading else sdk.delete_application
        try:
            self._requests.call(operation, lambda: delete(application_id))
        except ServiceError as error:
            if error.status not in (404, 409) or self.get(application_id).state not in GONE_STATES:
                raise

    def change_compartment(self, application_id: str, compartment_id: str) -> None:
        """ChangeApplicationCompartment."""
        self._requests.call(
            "ChangeApplicationCompartment",
            lambda: self._requests.sdk.change_application_compartment(
                application_id, {"compartmentId": compartment_id}
            ),
        )
