"""Templated arguments of operators and sensors, mapped or not: upstream links, early checks, masking."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_dataflow.arguments.masking import mask_secrets
from airflow_provider_dataflow.arguments.run_arguments import RENAMED_ATTRIBUTES
from airflow_provider_dataflow.compat import unmapped_for_checks
from airflow_provider_dataflow.exceptions import InvalidArgument

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

#: Arguments whose template field has another name.
FIELDS = RENAMED_ATTRIBUTES
ARGUMENTS = {field: name for name, field in FIELDS.items()}

#: Stands for a value that only the run of the task knows. Every templated argument accepts a template.
LATER = "{{ mapped }}"


class TemplatedTask:
    """Mixin of operators and sensors with template fields. It comes before Airflow's base class."""

    if TYPE_CHECKING:
        template_fields: Collection[str]

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """As Airflow's ``partial``; see :class:`LinkedPartial`."""
        return cast("OperatorPartial", LinkedPartial(super().partial(**kwargs), cls, kwargs))  # type: ignore[misc]

    def templated_arguments(self) -> dict[str, Any]:
        """The values of the template fields by the names of their arguments."""
        return {ARGUMENTS.get(field, field): getattr(self, field) for field in self.template_fields}

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        # Of a mapped task, Airflow calls nothing else of the operator before it stores the rendered fields.
        # Literal secrets are masked first: if rendering fails, Airflow logs the template.
        if parent is self:
            mask_secrets(self.templated_arguments())
        super()._do_render_template_fields(parent, *args, **kwargs)  # type: ignore[misc]
        if parent is self:
            mask_secrets(self.templated_arguments())


class LinkedPartial:
    """Wraps what Airflow's ``partial`` returns. Links upstream what Airflow misses, and checks arguments.

    Airflow links an XComArg among the arguments of ``partial`` only if the argument has the name of a
    template field, and creates no operator before the task runs, so that no constructor checks anything.

    :param partial: what Airflow's ``partial`` has returned.
    :param operator_class: the operator or sensor.
    :param given: arguments of ``partial``.
    """

    def __init__(self, partial: Any, operator_class: type[TemplatedTask], given: Mapping[str, Any]) -> None:
        self._partial = partial
        self._operator_class = operator_class
        self._given = given

    def expand(self, **mapped_kwargs: Any) -> MappedOperator:
        task = self._linked(self._partial.expand(**mapped_kwargs))
        self._check(task, [frozenset(mapped_kwargs)])
        return task

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedOperator:
        task = self._linked(self._partial.expand_kwargs(kwargs, strict=strict))
        if isinstance(kwargs, Sequence):
            self._check(task, {frozenset(item) for item in kwargs if isinstance(item, Mapping)})
        return task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._partial, name)

    def __repr__(self) -> str:
        return repr(self._partial)

    def _linked(self, task: MappedOperator) -> MappedOperator:
        from airflow.sdk import XComArg

        for name, value in self._given.items():
            if FIELDS.get(name, name) not in task.template_fields:
                continue
            for upstream, _ in XComArg.iter_xcom_references(value):
                # Airflow warns of a link that is there already.
                if upstream.task_id not in task.upstream_task_ids:
                    task.set_upstream(upstream)
        return task

    def _check(self, task: MappedOperator, names_of_items: Iterable[frozenset[str]]) -> None:
        """Run the checks that the operator's constructor makes, with a template for each mapped argument.

        :param names_of_items: the mapped arguments; with ``expand_kwargs``, those of each item.
        :raises InvalidArgument: an argument of ``partial`` is refused.
        """
        # A constructor of a subclass may compute arguments from mapped values, which are not known here.
        if not self._operator_class.__init__.__module__.startswith(__package__.partition(".")[0]):
            return
        fields = set(task.template_fields)
        for names in names_of_items:
            later = {name: LATER for name in names if FIELDS.get(name, name) in fields}
            try:
                unmapped_for_checks(task, later)
            except InvalidArgument:
                raise
            except Exception:  # noqa: BLE001, S112 - Airflow reports what else is wrong when the task runs
                continue
