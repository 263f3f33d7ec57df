"""Mixin of tasks with templated arguments, mapped or not: upstream links, early checks, masking."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_dataflow.arguments.masking import mask_secrets
from airflow_provider_dataflow.arguments.run_arguments import RENAMED_ATTRIBUTES
from airflow_provider_dataflow.compat import RenderingHook, unmapped_for_checks
from airflow_provider_dataflow.exceptions import InvalidArgument

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

#: Argument of each template field that has another name.
ARGUMENTS = {field: name for name, field in RENAMED_ATTRIBUTES.items()}

#: Placeholder for a mapped value, unknown at parse time: a template, which every templated argument accepts.
MAPPED_VALUE = "{{ mapped }}"


class TemplatedTask(RenderingHook):
    """Mixin of operators and sensors with template fields. List it before Airflow's base class."""

    if TYPE_CHECKING:
        template_fields: Collection[str]

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Return Airflow's ``partial``, wrapped in :class:`CheckedPartial`."""
        return cast("OperatorPartial", CheckedPartial(super().partial(**kwargs), cls, kwargs))  # type: ignore[misc]

    def templated_arguments(self) -> dict[str, Any]:
        """Return the values of the template fields, by the names of their arguments."""
        return {ARGUMENTS.get(field, field): getattr(self, field) for field in self.template_fields}

    def around_rendering(self) -> None:
        # Mask literal secrets before rendering, too: if it fails, Airflow logs the template.
        mask_secrets(self.templated_arguments())


class CheckedPartial:
    """Wrapper of Airflow's ``OperatorPartial`` that adds upstream links and checks arguments at parse time.

    Airflow links an XComArg in ``partial`` to its upstream task only if the argument has the name of a
    template field. It also creates no operator before the task runs, so no constructor checks the arguments
    at parse time.

    :param partial: Airflow's partial.
    :param operator_class: the operator or sensor.
    :param given: arguments of ``partial``.
    """

    def __init__(self, partial: Any, operator_class: type[TemplatedTask], given: Mapping[str, Any]) -> None:
        self._partial = partial
        self._operator_class = operator_class
        self._given = given

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        task = self._link_upstream(self._partial.expand(**mapped_kwargs))
        self._check(task, [frozenset(mapped_kwargs)])
        return task

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        task = self._link_upstream(self._partial.expand_kwargs(kwargs, strict=strict))
        if isinstance(kwargs, Sequence):
            self._check(task, {frozenset(item) for item in kwargs if isinstance(item, Mapping)})
        return task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)

    def __repr__(self) -> str:
        return repr(self._partial)

    def _link_upstream(self, task: MappedOperator) -> MappedOperator:
        from airflow.sdk import XComArg

        for name, value in self._given.items():
            if RENAMED_ATTRIBUTES.get(name, name) not in task.template_fields:
                continue
            for upstream, _ in XComArg.iter_xcom_references(value):
                # Airflow warns if a link exists already.
                if upstream.task_id not in task.upstream_task_ids:
                    task.set_upstream(upstream)
        return task

    def _check(self, task: MappedOperator, names_of_items: Iterable[frozenset[str]]) -> None:
        """Call the operator's constructor for its checks, with a template for each mapped argument.

        :param names_of_items: names of the mapped arguments; with ``expand_kwargs``, those of each item.
        :raises InvalidArgument: an argument of ``partial`` is refused.
        """
        # A subclass's own constructor may need the mapped values, which are unknown at parse time.
        if not self._operator_class.__init__.__module__.startswith(__package__.partition(".")[0]):
            return
        fields = set(task.template_fields)
        for names in names_of_items:
            mapped = {name: MAPPED_VALUE for name in names if RENAMED_ATTRIBUTES.get(name, name) in fields}
            try:
                unmapped_for_checks(task, mapped)
            except InvalidArgument:
                raise
            except Exception:  # noqa: BLE001, S112 - Airflow reports other errors when the task runs
                continue
