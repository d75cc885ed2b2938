"""What several extensions need."""
import asyncio

from microdot.microdot import ON_MICROPYTHON, tokens

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine
    from typing import Any

    from microdot.microdot import Request, Response

inner_functions: 'dict[Any, Any]' = {}  # on MicroPython: what wrappers wrap

if ON_MICROPYTHON:
    def wraps(wrapped: 'Any') -> 'Callable[[Any], Any]':
        """Return a decorator that remembers what it wraps: functions have no attributes here."""
        def decorated(wrapper: 'Any') -> 'Any':
            inner_functions[wrapper] = wrapped
            return wrapper
        return decorated

    class Signal(asyncio.Event):
        """Wakes the tasks that wait for it, and is not remembered for others."""

        def wait(self) -> 'Any':  # counts from now on, not from the first step of a task
            self.clear()
            return super().wait()
else:
    from functools import wraps as wraps
    from weakref import WeakKeyDictionary

    class Signal:  # type: ignore[no-redef] # PERF: bench, WebSocket echo: asyncio.Event takes twice as long
        """Wakes the tasks that wait for it, and is not remembered for others."""

        def __init__(self) -> None:
            self.waiters: 'list[asyncio.Future[None]]' = []

        def wait(self) -> 'Coroutine[Any, Any, None]':
            waiter = asyncio.get_running_loop().create_future()
            self.waiters.append(waiter)  # now, not with the first step of a task
            return self._wait(waiter)

        async def _wait(self, waiter: 'asyncio.Future[None]') -> None:
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


def inner_of(f: 'Any') -> 'Any':
    """Return what a wrapper wraps, ``None`` for a function that was written by hand."""
    return inner_functions.get(f) if ON_MICROPYTHON else getattr(f, '__wrapped__', None)


def unwrap(f: 'Any') -> 'list[Any]':
    """Return a function, and what it and its wrappers wrap, down to the one that was written by hand."""
    found = []
    while f:
        found.append(f)
        f = inner_of(f)
    return found


# wrapper: the decorator that made it, whether that decides if a request gets to what it wraps; a board, which has no
# weak references, keeps its handlers anyway
decorations: 'Any' = {} if ON_MICROPYTHON else WeakKeyDictionary()


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

    f = decorate(without_guards(f))
    for inner in unwrap(f):
        if inner in decorations and decorations[inner][1]:
            raise ValueError('put authentication above the decorators that we do not know')
    for make in guards:
        f = make(f)
    return f


def add_vary_later(request: 'Request', name: str) -> None:
    """Add a name to ``Vary`` of whatever response a request gets."""
    async def hook(request: 'Request', response: 'Response') -> None:
        add_vary(response, name)

    request.response_hooks += (hook,)


def current_task() -> 'Any':
    """Return the task that is running, ``None`` in a callback of the event loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def warn(text: str) -> None:
    """Tell the developer of something that is most likely a mistake."""
    try:
        from logging import getLogger
        getLogger('microdot').warning('%s', text)
    except ImportError:  # MicroPython
        print(text)


def warn_of_route(f: 'Any') -> None:
    """Warn if a function has its route already: a decorator that is above that of the route does nothing (CPython)."""
    if getattr(f, 'is_routed', False):
        warn('%s() has a route that this does not protect: should it be below the decorator of that?'
             % getattr(f, '__name__', 'a handler'))


def add_vary(response: 'Response', name: str) -> None:
    """Add a name to the response's ``Vary`` (RFC 9110 section 12.5.5), unless that has it or is ``*``."""
    value = response.headers.get('Vary', [])
    names = ', '.join(value) if isinstance(value, list) else value
    if name.lower() not in tokens(names) and '*' not in tokens(names):
        response.headers['Vary'] = names + ', ' + name if names else name
