"""Arguments of a run's request, by the names of the operator's attributes."""

from __future__ import annotations

from airflow_provider_dataflow.models.run_request import RunRequest

#: Arguments that are kept in an attribute of another name, which is also their template field: every operator
#: has a method ``execute``.
RENAMED_ATTRIBUTES = {"execute": "execute_string"}

#: Attribute of each argument of the request.
ATTRIBUTES = {name: RENAMED_ATTRIBUTES.get(name, name) for name in RunRequest.argument_names()}
