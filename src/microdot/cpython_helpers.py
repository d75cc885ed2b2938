"""What extensions need on CPython only; boards need not have this file."""
import asyncio
import hmac
from functools import wraps as wraps
from logging import getLogger
from weakref import WeakKeyDictionary, ref

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine
    from typing import Any

    from microdot.microdot import Request

# wrapper: the decorator that made it, whether that decides if a request gets to what it wraps
decorations: 'Any' = WeakKeyDictionary()


def inner_of(f: 'Any') -> 'Any':
    """Return what a wrapper wraps, ``None`` for a function that was written by hand."""
    return getattr(f, '__wrapped__', None)


def warn(text: str) -> None:
    """Tell the developer of something that is most likely a mistake."""
    getLogger('microdot').warning('%s', text)


def warn_of_route(f: 'Any') -> None:
    """Warn if a function has its route already: a decorator that is above that of the route does nothing."""
    if getattr(f, 'is_routed', False):
        warn('%s() has a route that this does not protect: should it be below the decorator of that?'
             % getattr(f, '__name__', 'a handler'))


def keyed_hmac(key: bytes) -> 'Callable[[bytes], bytes]':
    """Return the function that makes message authentication codes with a key (RFC 2104)."""
    return lambda message: hmac.digest(key, message, 'sha256')


def is_equal(a: bytes, b: bytes) -> bool:
    """Compare in a time that does not depend on where the two differ; it may on their lengths."""
    return hmac.compare_digest(a, b)


class RequestDict(dict):  # type: ignore[type-arg]
    """A dictionary of a request that holds it: does not keep it alive, else both would wait for the collector."""

    @property
    def request(self) -> 'Request':
        request: 'Request | None' = self._request()
        if request is None:
            raise RuntimeError('the request of this session has ended')
        return request

    @request.setter
    def request(self, request: 'Request') -> None:
        self._request = ref(request)


class Signal:  # PERF: bench, WebSocket echo: asyncio.Event takes twice as long
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
