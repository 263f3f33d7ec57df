"""Event loop with virtual time: it jumps to the next timer as soon as no callback is ready.

Six hours of waiting pass in seconds, with the same result each time, however fast the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Blocks only while an external result is pending; otherwise advances the virtual time."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop.pending_external:
            # No timer may fire before the pending result has arrived.
            return super().select(None if timeout is None or timeout > 0 else 0)
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            return super().select(None)
        self.loop.jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """:param on_jump: called with the number of seconds by which the time jumps."""

    def __init__(self, on_jump: Callable[[float], None] | None = None) -> None:
        self._virtual = 0.0
        self._on_jump = on_jump
        #: Pending results from outside the loop. While there are any, the time stands still.
        self.pending_external = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        self.pending_external += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._executor_finished)
        return future

    def _executor_finished(self, _: asyncio.Future[Any]) -> None:
        self.pending_external -= 1

    def jump(self, seconds: float) -> None:
        self._virtual += seconds
        if self._on_jump:
            self._on_jump(seconds)


def run(main: Coroutine[Any, Any, T], on_jump: Callable[[float], None] | None = None) -> T:
    """Run a coroutine as ``asyncio.run`` does, in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(on_jump)) as runner:
        return runner.run(main)
