"""Cached properties whose values ``vars()`` of the object does not show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class hidden_cached_property(Generic[T]):
    """``cached_property`` that stores its value in the dictionary in the object's slot ``_cache``.

    The ``vars()`` of a hook can end up in a log or an XCom. Airflow writes the fields of a connection, and of
    any dataclass, into an XCom unmasked.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> T | Self:
        if instance is None:
            return self
        cache = instance._cache
        if self._name not in cache:
            cache[self._name] = self._compute(instance)
        value: T = cache[self._name]
        return value
