"""An event loop whose time stands still while there is something to do, and jumps when there is not.

Six hours of waiting pass in seconds, and are the same each time: nothing depends on how fast the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Waits for real only while real input is expected."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop.expecting:
            # Nothing that is only due in the future happens before the answer is there.
            return super().select(None if timeout is None or timeout > 0 else 0)
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            return super().select(None)
        self.loop.jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """:param jumped: told by how many seconds the time has jumped."""

    def __init__(self, jumped: Callable[[float], None] | None = None) -> None:
        self._virtual = 0.0
        self._jumped = jumped
        #: How many answers from outside are waited for; meanwhile the time stands still.
        self.expecting = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self.expecting += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._got)
        return future

    def _got(self, _: asyncio.Future[Any]) -> None:
        self.expecting -= 1

    def jump(self, seconds: float) -> None:
        self._virtual += seconds
        if self._jumped:
            self._jumped(seconds)


def run(main: Coroutine[Any, Any, T], jumped: Callable[[float], None] | None = None) -> T:
    """``asyncio.run``, in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(jumped)) as runner:
        return runner.run(main)
