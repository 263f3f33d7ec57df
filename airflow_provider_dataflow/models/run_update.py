"""What of a run can be changed after its submit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.fields import defined_tags, freeform_tags
from airflow_provider_dataflow.models.request_body import Details, argument
from airflow_provider_dataflow.models.run_request import idle_minutes, minutes_of_run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdate(Details):
    """``UpdateRunDetails``."""

    defined_tags: Mapping[str, Mapping[str, Any]] | None = argument(defined_tags)
    freeform_tags: Mapping[str, str] | None = argument(freeform_tags)
    idle_timeout_in_minutes: int | None = argument(idle_minutes)
    max_duration_in_minutes: int | None = argument(minutes_of_run)

    def differences(self, found: Mapping[str, Any]) -> dict[str, Any]:
        if self.idle_timeout_in_minutes is not None and found.get("type") not in (None, "SESSION"):
            raise InvalidArgument("idle_timeout_in_minutes", "allowed only for runs of type SESSION")
        return super(RunUpdate, self).differences(found)
