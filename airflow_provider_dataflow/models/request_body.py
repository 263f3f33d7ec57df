"""Base of request bodies: coercion, checks at parse time, JSON, and the differences for an update.

Each field of a body declares its coercion and whether an update may change it. The same definition serves
the create, the update and the comparison with the existing resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from json import dumps as json_text
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_given, is_literal
from airflow_provider_dataflow.models.coercion import Coercion, json_value, raw_fields
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.redaction import HIDDEN, SENSITIVE_NAMES, redacted_body


def argument(
    coerce: Coercion,
    *,
    required: bool = False,
    immutable: bool = False,
    service_adds_members: bool = False,
    verbatim: bool = False,
    header: str | None = None,
) -> Any:
    """Declare a field of a request body.

    :param coerce: coercion to the type of the API.
    :param required: a create without it is refused.
    :param immutable: no update changes it.
    :param service_adds_members: members that the service adds to the value do not count as differences.
    :param verbatim: keep the text ``None``. In other fields it counts as not given, since a template renders
        None to it.
    :param header: name of the HTTP header that carries it instead of the body.
    """
    metadata = {
        "coerce": coerce,
        "required": required,
        "immutable": immutable,
        "service_adds_members": service_adds_members,
        "verbatim": verbatim,
        "header": header,
    }
    return field(default=None, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RequestBody:
    """Base of frozen dataclasses with fields made by :func:`argument`.

    :ivar unknown_fields: fields of a raw body that this version does not know, by their API names.
    """

    #: Checks of several fields together, by the names of these fields.
    combination_checks: ClassVar[Mapping[tuple[str, ...], Callable[[Any], None]]] = {}

    unknown_fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def argument_fields(cls) -> Iterator[Field[Any]]:
        """Yield the dataclass fields that are arguments."""
        return (f for f in fields(cls) if "coerce" in f.metadata)

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of the arguments, which are also the operator's."""
        return tuple(f.name for f in cls.argument_fields())

    @classmethod
    def argument_names_of(cls, body: Mapping[str, Any]) -> list[str]:
        """Return the names of the arguments in a body."""
        return [f.name for f in cls.argument_fields() if api_name(f) in body]

    @classmethod
    def coerce(cls, name: str, value: Any, path: str | None = None) -> Any:
        """Return the value of one argument in the type of the API; None stays None.

        :param path: name of the value in errors. Default: ``name``.
        :raises InvalidArgument: the value has the wrong type or form.
        """
        f = cls.__dataclass_fields__[name]
        return f.metadata["coerce"](value, path or name) if _is_given(f, value) else None

    @classmethod
    def given(cls, arguments: Mapping[str, Any], json: Mapping[str, Any] | str | None = None) -> list[str]:
        """Return the names of the given arguments, and ``json`` if the raw body has fields.

        :raises InvalidArgument: ``json`` is not a JSON object.
        """
        given = [f.name for f in cls.argument_fields() if _is_given(f, arguments.get(f.name))]
        return [*given, "json"] if raw_fields(json, "json") else given

    @classmethod
    def build(cls, arguments: Mapping[str, Any], json: Mapping[str, Any] | str | None = None) -> Self:
        """Return the request of these arguments, and of the fields of a raw body that no argument overrides.

        None counts as not given, and so does the text ``None``, to which a template renders it.

        :param arguments: values by argument name.
        :param json: fields by API name, as a dict or its JSON text.
        :raises InvalidArgument: a value has the wrong type or form.
        """
        unknown_fields = raw_fields(json, "json")
        values: dict[str, Any] = {}
        for f in cls.argument_fields():
            path, value = f.name, arguments.get(f.name)
            from_json = None if f.metadata["header"] else unknown_fields.pop(api_name(f), None)
            if not _is_given(f, value) and from_json is not None:
                path, value = f"json.{api_name(f)}", from_json
            if _is_given(f, value):
                values[f.name] = f.metadata["coerce"](value, path)
        return cls(**values, unknown_fields=json_value(unknown_fields, "json"))

    @classmethod
    def check_at_parse(cls, arguments: Mapping[str, Any], json: Any = None) -> None:
        """Refuse, when a DAG is parsed, arguments that would be refused when the task runs.

        Values with a template or from another task are skipped, and so are checks that depend on them.

        :param arguments: values by argument name; other names are ignored.
        :param json: raw body: a dict, its text, or a value that is known only at run time.
        :raises InvalidArgument: see :meth:`build` and ``combination_checks``.
        """
        names = {api_name(f): f.name for f in cls.argument_fields()}
        given = {name: arguments[name] for name in names.values() if name in arguments}
        # Arguments whose value is known only at run time.
        unknown = {name for name, value in given.items() if not is_literal(value)}
        given = {name: value for name, value in given.items() if name not in unknown}
        unset = {name for name in names.values() if not is_given(given.get(name))}
        from_json: dict[Any, Any] = {}
        if isinstance(json, Mapping) or is_literal(json):
            for key, value in (json if isinstance(json, Mapping) else raw_fields(json, "json")).items():
                if not is_literal(key):
                    # A templated key may be rendered to the name of any field.
                    unknown |= unset
                elif is_literal(value) and names.get(key) not in unknown:
                    from_json[key] = value
                elif names.get(key) in unset:
                    unknown.add(names[key])
        else:
            # A templated body may set every argument that is not given.
            unknown |= unset
        request = cls.build(given, from_json)
        for involved, check in cls.combination_checks.items():
            if unknown.isdisjoint(involved):
                check(request)

    def check(self) -> None:
        """Refuse a create that the service would refuse, as far as the request alone tells.

        :raises InvalidArgument: an argument is missing, or arguments contradict each other.
        """
        for f in self.argument_fields():
            if f.metadata["required"] and getattr(self, f.name) is None:
                raise InvalidArgument(f.name, "missing")
        for check in self.combination_checks.values():
            check(self)

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the create."""
        named = {
            api_name(f): getattr(self, f.name)
            for f in self.argument_fields()
            if not f.metadata["header"] and getattr(self, f.name) is not None
        }
        return {**self.unknown_fields, **named}

    def redacted(self, sensitive_names: Iterable[str] = SENSITIVE_NAMES) -> dict[str, Any]:
        """Return the request for logs and ``dry_run``: ``body``, and ``headers`` if there are any.

        Values that look like secrets, by their name or form, are hidden. The result is plain JSON.

        :param sensitive_names: parts of names whose values are hidden.
        """
        headers = {
            f.metadata["header"]: HIDDEN
            for f in self.argument_fields()
            if f.metadata["header"] and getattr(self, f.name) is not None
        }
        shown: dict[str, Any] = {"body": redacted_body(self.body(), sensitive_names)}
        return {"headers": headers, **shown} if headers else shown

    def redacted_text(self, sensitive_names: Iterable[str] = SENSITIVE_NAMES) -> str:
        """Return :meth:`redacted` as indented JSON, for the log."""
        return json_text(self.redacted(sensitive_names), indent=2, sort_keys=True, ensure_ascii=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.redacted()})"

    def differences(self, existing: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON body of an update: the given fields that differ. Empty if none does.

        Namespaces of ``defined_tags`` that are not given are kept, because OCI adds tags of its own.

        :param existing: JSON of the resource.
        """
        changes: dict[str, Any] = {}
        for f in self.argument_fields():
            wanted, found = getattr(self, f.name), existing.get(api_name(f))
            if wanted is None or f.metadata["immutable"]:
                continue
            if f.name == "defined_tags":
                wanted = {**(found or {}), **wanted}
            is_same = _includes if f.metadata["service_adds_members"] else _equals
            if not is_same(found, wanted):
                changes[api_name(f)] = wanted
        return changes


def _is_given(f: Field[Any], value: Any) -> bool:
    return value is not None if f.metadata["verbatim"] else is_given(value)


def _equals(found: Any, wanted: Any) -> bool:
    # The service may return an empty value as null.
    return _sorted_by_name(found or None) == _sorted_by_name(wanted or None)


def _sorted_by_name(value: Any) -> Any:
    """Sort parameters, whose order has no meaning; return other values unchanged."""
    if isinstance(value, list) and all(isinstance(item, Mapping) and "name" in item for item in value):
        return sorted(value, key=lambda item: str(item["name"]))
    return value


def _includes(found: Any, wanted: Any) -> bool:
    """Return whether all wanted members are found; other members are ignored."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_includes(found.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        found = found or []
        return len(found) == len(wanted) and all(map(_includes, found, wanted))
    return bool(found == wanted)
