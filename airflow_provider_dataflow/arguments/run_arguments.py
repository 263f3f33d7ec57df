"""Attributes in which the operators keep the arguments of a run's request."""

from __future__ import annotations

from airflow_provider_dataflow.models.run_request import RunRequest

#: Arguments whose attribute and template field have another name. ``execute`` is a method of every operator.
RENAMED_ATTRIBUTES = {"execute": "execute_string"}

#: Attribute of each argument of the request.
ATTRIBUTES = {name: RENAMED_ATTRIBUTES.get(name, name) for name in RunRequest.argument_names()}
