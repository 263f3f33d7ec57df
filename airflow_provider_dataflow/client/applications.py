"""Calls of the synchronous client about applications."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_dataflow.client.display_names import only_one
from airflow_provider_dataflow.client.sdk_calls import PAGE_SIZE, Caller, one_filter
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.application import GONE_STATES, Application, ApplicationDetails

#: What ListApplications can be filtered by; the service takes one of them beside the compartment.
APPLICATION_FILTERS = ("display_name", "display_name_starts_with", "owner_principal_id", "spark_version")


class Applications:
    """Applications. Every call is repeated as long as that may help, and raises ``ServiceError`` then."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create(self, details: ApplicationDetails, retry_token: str) -> Application:
        """CreateApplication.

        :param retry_token: at most 64 characters; a repeated create with it is answered with the same one.
        """
        return self._caller.read(
            "CreateApplication",
            Application.from_api,
            lambda: self._caller.sdk.create_application(details.body(), opc_retry_token=retry_token),
        )

    def get(self, application_id: str) -> Application:
        """GetApplication. One that was deleted may still be shown, as DELETED."""
        return self.get_with_etag(application_id)[0]

    def get_with_etag(self, application_id: str) -> tuple[Application, str | None]:
        """GetApplication, with the etag that :meth:`update` takes."""
        return self._caller.read_with_etag(
            "GetApplication",
            Application.from_api,
            lambda: self._caller.sdk.get_application(application_id),
        )

    def list(self, compartment_id: str, **filters: Any) -> Iterator[Application]:
        """ListApplications, page by page as they are consumed. Summaries: few of the attributes are there.

        :param filters: at most one of ``APPLICATION_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one.
        """
        given = one_filter("ListApplications", APPLICATION_FILTERS, filters)
        return self._caller.pages(
            "ListApplications",
            Application.from_api,
            lambda page: self._caller.sdk.list_applications(compartment_id, limit=PAGE_SIZE, **page, **given),
        )

    def named(self, compartment_id: str, display_name: str) -> Application | None:
        """The application of this name in the compartment, as a summary, if it is there.

        :raises AmbiguousName: there are several.
        """
        return only_one(
            self.list(compartment_id, display_name=display_name), display_name, compartment_id, GONE_STATES
        )

    def update(
        self, application_id: str, changes: Mapping[str, Any], *, if_match: str | None = None
    ) -> Application:
        """UpdateApplication.

        :param changes: fields of ``UpdateApplicationDetails`` by the API's names.
        :param if_match: etag of the state that the changes were made from; 412 if there is another by now.
        """
        given = {"if_match": if_match} if if_match else {}
        return self._caller.read(
            "UpdateApplication",
            Application.from_api,
            lambda: self._caller.sdk.update_application(dict(changes), application_id, **given),
        )

    def delete(self, application_id: str, *, cascading: bool = False) -> None:
        """DeleteApplication, or with ``cascading`` CascadingDeleteApplication, which ends its runs first.

        One that is deleted already is left as it is, as far as the service still knows it.
        """
        operation = "CascadingDeleteApplication" if cascading else "DeleteApplication"
        sdk = self._caller.sdk
        delete = sdk.cascading_delete_application if cascading else sdk.delete_application
        try:
            self._caller.call(operation, lambda: delete(application_id))
        except ServiceError as error:
            if error.status not in (404, 409) or self.get(application_id).state not in GONE_STATES:
                raise

    def change_compartment(self, application_id: str, compartment_id: str) -> None:
        """ChangeApplicationCompartment."""
        self._caller.call(
            "ChangeApplicationCompartment",
            lambda: self._caller.sdk.change_application_compartment(
                application_id, {"compartmentId": compartment_id}
            ),
        )
