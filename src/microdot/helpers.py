"""What several extensions need."""
import asyncio

from microdot.microdot import ON_MICROPYTHON

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

if ON_MICROPYTHON:
    def wraps(wrapped: 'Any') -> 'Callable[[Any], Any]':
        """Return a decorator that changes nothing: functions have no attributes here."""
        return lambda wrapper: wrapper

    class Signal(asyncio.Event):
        """Wakes the tasks that wait for it, and is not remembered for others."""

        async def wait(self) -> None:  # type: ignore[override]
            self.clear()
            await super().wait()
else:
    from functools import wraps as wraps

    class Signal:  # type: ignore[no-redef] # PERF: bench, WebSocket echo: asyncio.Event takes twice as long
        """Wakes the tasks that wait for it, and is not remembered for others."""

        def __init__(self) -> None:
            self.waiters: 'list[asyncio.Future[None]]' = []

        async def wait(self) -> None:
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self.waiters:
                    self.waiters.remove(waiter)
                raise

        def set(self) -> None:
            waiters = self.waiters
            if waiters:
                self.waiters = []
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)


def current_task() -> 'Any':
    """Return the task that is running, ``None`` in a callback of the event loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
