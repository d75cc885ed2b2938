"""What WebSocket and Server-Sent Events share: a handler that goes on after the head of its response was sent."""
import asyncio

from microdot.helpers import decorations, inner_of
from microdot.microdot import ON_MICROPYTHON

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

if ON_MICROPYTHON:
    class Signal(asyncio.Event):
        """Wakes the tasks that wait for it, and is not remembered for others."""

        def wait(self) -> 'Any':  # counts from now on, not from the first step of a task
            self.clear()
            return super().wait()
else:
    from microdot.cpython_helpers import Signal as Signal  # type: ignore[assignment]


def below_guards(f: 'Any', decorate: 'Callable[[Any], Any]') -> 'Any':
    """Decorate a handler below the guards in its stack of decorators: they come before a connection is upgraded."""
    guards: 'list[Any]' = []

    def without_guards(f: 'Any') -> 'Any':
        if f not in decorations:
            return f
        make, is_guard = decorations[f]
        inner = without_guards(inner_of(f))
        if is_guard:
            guards.append(make)  # the innermost first
            return inner
        return make(inner)

    inner = f = decorate(without_guards(f))
    while inner:
        if inner in decorations and decorations[inner][1]:
            raise ValueError('put authentication above the decorators that we do not know')
        inner = inner_of(inner)
    for make in guards:
        f = make(f)
    return f


def current_task() -> 'Any':
    """Return the task that is running, ``None`` in a callback of the event loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
