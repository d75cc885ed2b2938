"""What the core needs on CPython alone: threads for plain functions, logging, dates, asyncio's streams."""
import asyncio
import time
from contextlib import suppress
from functools import lru_cache, wraps
from inspect import iscoroutine as iscoroutine
from inspect import iscoroutinefunction
from logging import getLogger

if False:  # TYPE_CHECKING
    from collections.abc import Awaitable, Callable
    from typing import Any

    from microdot.microdot import Microdot, Request, Response, Server

MEMO_SIZE = 256  # bytes of a line that is remembered at the most, so that strangers cannot fill the memory
date_cache: 'list[Any]' = [0, '']


# --- handlers

async def run_sync(f: 'Callable[..., Any]', *args: 'Any', **kwargs: 'Any') -> 'Any':
    """Call a plain function in a thread."""
    def call() -> 'Any':
        try:
            return f(*args, **kwargs)
        except StopIteration as exc:  # a future cannot hold it, and would never be done
            raise RuntimeError('StopIteration') from exc

    call_in_host = getattr(args[0], 'call_in_host', None) if args else None  # see microdot.wsgi
    return await (call_in_host or asyncio.to_thread)(call)


def is_async(f: 'Callable[..., Any]') -> bool:
    return iscoroutinefunction(f) or iscoroutinefunction(f.__call__)  # type: ignore[operator]


def prepare(f: 'Callable[..., Any]') -> 'Callable[..., Awaitable[Any]]':
    """Return ``f`` as something to await. ``def`` functions run in a thread on CPython, inline on MicroPython.

    This is decided when a handler is registered, not when it is called.

    """
    code = getattr(f, '__code__', None)
    if code and not code.co_argcount and not code.co_flags & 4:
        raise TypeError('%s() must take the request as its first argument' % f.__name__)
    if is_async(f):
        return f

    async def call(*args: 'Any', **kwargs: 'Any') -> 'Any':
        result = await run_sync(f, *args, **kwargs)
        return await result if iscoroutine(result) else result

    return call


def uncancel() -> None:
    """Take back the cancellation of the current task, so that its caller's asyncio.timeout() still works."""
    task: 'Any' = asyncio.current_task()
    if hasattr(task, 'uncancel'):
        task.uncancel()


# --- parsing and rendering

def memoize(f: 'Callable[[Any], Any]') -> 'Callable[[Any], Any]':
    """Let a function of a string remember its last results."""
    recall = lru_cache(512)(f)

    def call(text: 'Any') -> 'Any':
        return recall(text) if len(text) <= MEMO_SIZE else f(text)

    return call


def http_date(t: 'Any') -> str:
    """Format a UTC time tuple as an IMF-fixdate (RFC 9110 section 5.6.7); asctime() knows no locale."""
    weekday, month, _, clock, year = time.asctime(t).split()
    return '%s, %02d %s %s %s GMT' % (weekday, t[2], month, year, clock)


def date_header() -> str:
    now = int(time.time())
    if now != date_cache[0]:
        date_cache[:] = now, 'Date: ' + http_date(time.gmtime(now)) + '\r\n'
    return date_cache[1]  # type: ignore[no-any-return]


# --- the log

def log_error(exc: BaseException, request: 'Request | None') -> None:
    what = '%s %s' % (request.method, request.url) if request else 'error outside of a handler'
    getLogger('microdot').error('%s', what, exc_info=exc)


def log_request(request: 'Request', response: 'Response') -> None:
    getLogger('microdot.access').info('%s "%s %s HTTP/%s" %d', request.client_addr[0], request.method, request.url,
                                      request.http_version, response.status_code)


# --- servers

def make_server(app: 'Microdot', **options: 'Any') -> 'Server':
    """Return the server of CPython; ``TypeError`` for options that it does not have."""
    from microdot.server import ProtocolServer

    return ProtocolServer(app, **options)


def run_app(self: 'Microdot', host: 'Any' = '0.0.0.0', port: int = 5000, debug: bool = False, ssl: 'Any' = None,
            **options: 'Any') -> None:
    """Serve in an event loop of its own until :meth:`shutdown` is called, or Ctrl-C (twice: at once).

    The parameters are those of :meth:`start_server`. On CPython also ``host='systemd'`` for the sockets of a
    socket unit, ``workers`` (number of processes, by default 1), and ``loop`` (``'asyncio'`` or ``'uvloop'``, by
    default uvloop if it is installed).

    """
    from microdot import workers

    workers.run_app(self, host, port, debug, ssl, **options)


def close_soon(server: 'Server') -> None:
    """Close a server from any thread."""
    server.loop.call_soon_threadsafe(server.close)


class Writer:
    """Gives asyncio's ``StreamWriter`` the methods that a stream of MicroPython has."""

    def __init__(self, writer: 'Any'):
        self.writer = writer

    def get_extra_info(self, name: str) -> 'Any':
        return self.writer.get_extra_info(name)

    async def awrite(self, data: 'bytes | memoryview') -> None:
        if self.writer.is_closing():  # uvloop raises a RuntimeError then
            raise BrokenPipeError
        self.writer.write(data)
        await self.writer.drain()

    def end(self) -> None:
        try:
            self.writer.write_eof()
        except (NotImplementedError, OSError):  # TLS; the client is gone
            pass

    async def aclose(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        finally:
            self.writer.transport.abort()


class Listener:
    """The port of the portable server."""

    def __init__(self, server: 'asyncio.AbstractServer'):
        self.server = server

    def cancel(self) -> None:
        self.server.close()


async def listen(server: 'Server', host: str, port: int, ssl: 'Any') -> Listener:
    """Let the portable server accept connections from asyncio's."""
    from microdot.microdot import Connection

    async def accept(reader: 'Any', writer: 'Any') -> None:
        try:
            await server.make_room()
            await Connection(server, reader, Writer(writer)).serve()
        except asyncio.CancelledError:  # when the loop ends; asyncio's streams before 3.13 would log it as an error
            pass

    server.loop = asyncio.get_running_loop()
    return Listener(await asyncio.start_server(accept, host, port, ssl=ssl))


def marking(add_route: 'Callable[..., None]') -> 'Callable[..., None]':
    """Let ``add_route()`` mark the handlers, so that a login above a route can warn. On boards functions hold none."""
    @wraps(add_route)
    def call(self: 'Microdot', url_pattern: str, methods: 'list[str]', handler: 'Any', *args: 'Any',
             **kwargs: 'Any') -> None:
        add_route(self, url_pattern, methods, handler, *args, **kwargs)
        with suppress(AttributeError):  # a method
            handler.is_routed = True

    return call


def complete_core(core: 'dict[str, Any]') -> None:
    """Give the core at once what it imports on boards when it is needed first; ``core`` are its global names."""
    from microdot import protocol, sending
    from microdot.parts import METHODS, PARTS, load

    for part, names in PARTS.items():
        for name in names.split():
            core[name] = getattr(load(part), name)
    for part, methods in METHODS.items():
        for text in methods.split(', '):
            class_name, *names_of_class = text.split()
            for name in names_of_class:
                setattr(core[class_name], name, getattr(load(part), name))
    for class_name in 'AsyncBytesIO', 'Response', 'Microdot':
        del core[class_name].__getattr__
    # PERF: what clients send repeats itself, line by line (bench: a browser's headers, one of them new)
    for name in ('parse_request_line', 'parse_field', 'is_host'):
        core[name] = memoize(core[name])
    core['Request'].create = staticmethod(protocol.create_request)
    response = core['Response']
    response.send_file = classmethod(sending.send_file)
    response.types_map.update(sending.TYPES)
    core['send_file'] = response.send_file
    core['Server'].close_soon = close_soon
    core['Microdot'].add_route = marking(core['Microdot'].add_route)
