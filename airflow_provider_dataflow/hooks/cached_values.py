"""What a hook finds out once and keeps, where ``vars(hook)`` does not show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class kept(Generic[T]):
    """As ``cached_property``, for objects with a slot ``_kept`` that holds a dictionary.

    ``vars`` of an object may end in a log or an XCom, and into an XCom Airflow writes the fields of a
    connection, or of any dataclass, as they are.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> T | Self:
        if instance is None:
            return self
        kept = instance._kept
        if self._name not in kept:
            kept[self._name] = self._make(instance)
        found: T = kept[self._name]
        return found
