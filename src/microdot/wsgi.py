"""WSGI (PEP 3333): applications under Gunicorn, waitress, uWSGI, mod_wsgi and others (CPython only).

Hosts call an application in threads of theirs. One event loop, in a thread of its own, serves all of them: there
``async def`` functions run, so that they can wait for each other, and background tasks live. What would block it,
``def`` functions and the input of the host, runs in the thread of the host that waits for the response anyway.

"""
import asyncio
import os
import socket
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import lru_cache
from queue import SimpleQueue
from sys import getrefcount
from threading import Lock, get_ident

from microdot.cpython import is_async
from microdot.headers import NoCaseDict, with_charset
from microdot.hooks import close_bodies, reason_phrase
from microdot.hosts import (
    VERSIONS,
    HostedApp,
    HostedBody,
    HostedConnection,
    HostedRequest,
    find_target,
    has_no_body,
    is_small,
    to_bytes,
)
from microdot.microdot import Disconnected, ProtocolError, Request, Response, abort, decode, redirect, send_file
from microdot.routing import URLPattern
from microdot.server import ProtocolConnection, ProtocolServer, wake
from microdot.shared_loop import LoopThread
from microdot.websocket import WebSocketError, websocket_upgrade, with_websocket

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine
    from typing import Any

__all__ = ['Microdot', 'Request', 'Response', 'URLPattern', 'WebSocketError', 'abort', 'redirect', 'send_file',
           'websocket_upgrade', 'with_websocket']

MAX_BUFFERED = 65536  # bytes of a stream that the host has not taken yet; its body waits when there are more
# The host's own (PEP 3333, "Other HTTP Features")
HOP_BY_HOP = ('connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te',
              'trailers', 'transfer-encoding', 'upgrade')
NO_REASON = 'Unknown'  # a status ends in no space (PEP 3333, "The start_response() Callable")


def check_host() -> None:
    """``RuntimeError`` under a uWSGI that lets no other threads run, where all would hang."""
    try:
        import uwsgi  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return
    if not uwsgi.opt.get('enable-threads') and not uwsgi.opt.get('threads'):
        raise RuntimeError('microdot.wsgi needs the option --enable-threads of uWSGI')


class Job(Future):  # type: ignore[type-arg]
    """A call that the thread of the host is to make, and its result."""

    def __init__(self, f: 'Callable[..., Any]', *args: 'Any'):
        super().__init__()
        self.f = f
        self.args = args

    def run(self) -> None:
        if self.set_running_or_notify_cancel():
            try:
                self.set_result(self.f(*self.args))
            except StopIteration as exc:  # a future cannot hold it, and would never be done
                self.set_exception(RuntimeError(repr(exc)))
            except BaseException as exc:
                self.set_exception(exc)


# ---------------------------------------------------------------------------------------------------------------
# Requests and responses
# ---------------------------------------------------------------------------------------------------------------

class Microdot(HostedApp):
    """An application that is a WSGI application, too."""

    socket_server: 'ProtocolServer | None' = None  # watches over the sockets that the host has handed over

    def __init__(self) -> None:
        check_host()
        super().__init__()

    def __call__(self, environ: 'dict[str, Any]', start_response: 'Callable[..., Any]') -> 'Any':
        """Answer one request; called in a thread of the host."""
        return Exchange(self, environ).run(start_response)

    def get_socket_server(self, loop: 'asyncio.AbstractEventLoop') -> 'ProtocolServer':
        """Return what keeps the time limits of sockets."""
        if not self.socket_server or self.socket_server.loop is not loop:
            self.socket_server = ProtocolServer(self)
            self.socket_server.loop = loop
            asyncio.run_coroutine_threadsafe(self.socket_server._sweep(), loop)
        return self.socket_server


class WSGIRequest(HostedRequest):
    """A request whose ``def`` functions run in the thread of the host."""

    exchange: 'Exchange'

    async def call_in_host(self, f: 'Callable[[], Any]') -> 'Any':
        """Call a function in the thread of the host, in another one if that is busy."""
        exchange = self.exchange
        if exchange.is_done or exchange.is_streaming or exchange.task is not asyncio.current_task():
            return await asyncio.to_thread(f)
        return await exchange.call(copy_context().run, f)


def from_latin1(text: str) -> str:
    """Decode text of which WSGI has each byte as a character (PEP 3333, "Unicode Issues")."""
    return text if text.isascii() else decode(text.encode('latin-1'))


def to_latin1(text: str) -> str:
    """Return text as WSGI wants it."""
    return text if text.isascii() else text.encode().decode('latin-1')


def field_name(key: str) -> str:
    return key.replace('_', '-').title()


recall_field_name = lru_cache(512)(field_name)


@lru_cache(64)
def status_line(status_code: int) -> str:
    return '%d %s' % (status_code, reason_phrase(status_code) or NO_REASON)


@lru_cache(64)
def plain_fields(kind: str) -> 'list[tuple[str, str]]':
    """Return the header of a plain response, but for its length."""
    return [('Content-Type', with_charset(kind))]


def render_fields(response: Response) -> 'list[tuple[str, str]]':
    fields = []
    for name, value in response.headers.items():
        if name.lower() not in HOP_BY_HOP:
            for item in value if isinstance(value, list) else (value,):
                fields.append((to_latin1(name), to_latin1(str(item))))
    return fields


def is_blocking(body: 'Any') -> bool:
    """Tell whether a body can be iterated in the thread of the host."""
    if hasattr(body, '__aiter__') or hasattr(body, '__anext__') or hasattr(body, 'send_to'):
        return False
    return not hasattr(body, 'read') or not is_async(body.read)


# ---------------------------------------------------------------------------------------------------------------
# Between a thread of the host and the event loop
# ---------------------------------------------------------------------------------------------------------------

class Exchange(HostedConnection):
    """One request and its response.

    The event loop puts into ``inbox`` what the thread of the host is waiting for: jobs, then the response, then, if it
    is a stream, the pieces and ``None``. An exception may take the place of each.

    """

    app: Microdot
    host_thread = 0  # identifies it while it runs the first step of the coroutine that serves the request
    is_streaming = False
    is_done = False  # the thread of the host runs no more jobs
    body_length = 0
    references = 0  # to the task, before handlers may have kept some
    buffered = 0
    waiter: 'asyncio.Future[None] | None' = None  # for room in the inbox

    def __init__(self, app: Microdot, environ: 'dict[str, Any]'):
        super().__init__(app)
        self.environ = environ
        self.inbox: 'SimpleQueue[Any]' = SimpleQueue()
        self.lock = Lock()
        self.background = LoopThread.get()
        self.request = self.make_request()

    # --- the request

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        if name != 'peername':
            return default
        port = self.environ.get('REMOTE_PORT', '')
        return self.environ.get('REMOTE_ADDR') or '', int(port) if port.isdigit() else 0

    def get_fields(self) -> NoCaseDict:
        fields = NoCaseDict()
        for key, value in self.environ.items():
            if key == 'CONTENT_TYPE' or key == 'CONTENT_LENGTH':
                if value:
                    fields[recall_field_name(key)] = from_latin1(value).strip(' \t')
            elif key[:5] == 'HTTP_' and key[5:] not in ('CONTENT_TYPE', 'CONTENT_LENGTH'):  # of a "Content_Length"
                name = (recall_field_name if len(key) < 64 else field_name)(key[5:])
                fields[name] = from_latin1(value).strip(' \t')
        return fields

    def make_request(self) -> WSGIRequest:
        environ = self.environ
        root_path = from_latin1(environ.get('SCRIPT_NAME', ''))
        path = root_path + from_latin1(environ.get('PATH_INFO', '')) or '/'
        raw_path = environ.get('REQUEST_URI') or environ.get('RAW_URI') or ''
        version = environ.get('SERVER_PROTOCOL', 'HTTP/1.1')[5:]
        sock: 'Any' = self.find_socket() if environ.get('HTTP_UPGRADE', '').lower() == 'websocket' else self
        request = WSGIRequest(
            self.app, self.get_extra_info('peername'), environ['REQUEST_METHOD'],
            find_target(raw_path, path, from_latin1(environ.get('QUERY_STRING', ''))),
            VERSIONS.get(version, version), None, sock=(sock, sock))
        request.exchange = self
        request.environ = environ
        if environ.get('wsgi.url_scheme') == 'https':
            request.scheme = 'https'
        if root_path:
            request.set_root(root_path)
        return request

    def find_socket(self) -> 'Any':
        """Return the socket of the host, if it hands that over, to be used after a handshake."""
        sock = self.environ.get('gunicorn.socket')
        if not isinstance(sock, socket.socket) or hasattr(sock, 'cipher'):  # TLS is in the memory of the host
            return self
        return SocketConnection(self, sock)

    def read_body(self) -> None:
        """Load a body that is small, prepare to stream another one."""
        request = self.request
        length = self.find_length(request, False)
        if length < 0 and not self.environ.get('wsgi.input_terminated'):
            request.refusal = ProtocolError(411)  # nobody knows where it ends
        elif is_small(length):
            data = b''
            read = self.environ['wsgi.input'].read
            with suppress(Exception):  # what hosts raise differs
                data = part = read(length)
                while part and len(data) < length:  # unbuffered, as a socket
                    part = read(length - len(data))
                    data += part
            if len(data) == length:
                request.body = data
            else:
                request.refusal = ProtocolError(400)
        else:
            self.body_length = length

    async def receive_body(self, n: int) -> 'bytes | None':
        try:
            return await self.call(self.environ['wsgi.input'].read, n) or None
        except Exception:
            raise Disconnected() from None

    # --- in the thread of the host

    def run(self, start_response: 'Callable[..., Any]') -> 'Any':
        if self.environ.get('CONTENT_LENGTH') or 'HTTP_TRANSFER_ENCODING' in self.environ:
            self.read_body()
        self.host_thread = get_ident()
        self.background.start(self.serve(), lambda task: self.finish(RuntimeError('not answered')))
        self.host_thread = 0
        response = self.wait()
        if response is None:
            raise StopIteration  # for Gunicorn the end of a connection that it has nothing more to do with
        if response.is_plain:
            status = status_line(response.status_code)
            fields = plain_fields(response._kind or response.default_content_type) + [
                ('Content-Length', str(len(response.body)))]
        else:
            status = status_line(response.status_code) if response.reason is None else to_latin1(
                '%d %s' % (response.status_code, response.reason.strip() or NO_REASON))
            fields = render_fields(response)
        start_response(status, fields)
        if has_no_body(self.request, response):
            return ()
        if isinstance(response.body, bytes):
            return (response.body,)
        return Pieces(self) if self.is_streaming else BlockingPieces(self, response)

    def wait(self) -> 'Any':
        """Return what comes next, and run the jobs before it."""
        try:
            item = self.inbox.get()
            while type(item) is Job:
                item.run()
                item = self.inbox.get()
        except BaseException:  # the host ends this thread
            self.background.loop.call_soon_threadsafe(self.abandon)
            raise
        if isinstance(item, BaseException):
            raise item
        return item

    def take_piece(self) -> 'bytes | None':
        """Return the next piece of a stream, ``None`` at its end."""
        piece: 'bytes | None' = self.wait()
        if piece:
            with self.lock:
                self.buffered -= len(piece)
                waiter = self.waiter if self.buffered <= MAX_BUFFERED else None
            if waiter:
                self.background.loop.call_soon_threadsafe(wake, waiter)
        return piece

    def end_stream(self) -> None:
        """End a stream that the host does not want any more, and wait until nothing is left of it."""
        self.background.loop.call_soon_threadsafe(self.abandon)
        with suppress(Exception):
            while not self.is_done or not self.inbox.empty():
                self.wait()

    # --- in the event loop

    async def serve(self) -> None:
        last: 'Any' = None
        self.task = self.request.sock[0].task = asyncio.current_task()
        self.references = getrefcount(self.task)
        try:
            if self.body_length:
                await self.request.load(HostedBody(self, self.body_length, False))  # type: ignore[arg-type]
            await self.answer(self.request)
        except asyncio.CancelledError:
            last = RuntimeError('the handler was cancelled')
        except BaseException as exc:
            last = exc
        finally:
            sock = self.request.sock[0]
            if sock is not self:
                sock.end_use()
            self.task = sock.task = None
            self.finish(last)

    async def call(self, f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
        """Call a function in the thread of the host; ``Disconnected`` if that waits no more."""
        if self.is_done:
            raise Disconnected()
        if self.host_thread == get_ident() and getrefcount(self.task) <= self.references:
            # it has begun this request, and nobody else could cancel that meanwhile, such as asyncio.timeout()
            return self.background.call_outside(f, *args)
        job = Job(f, *args)
        self.inbox.put(job)
        return await asyncio.wrap_future(job)

    def finish(self, last: 'Any') -> None:
        """Give the thread of the host the last item: the response, an exception, or ``None``."""
        if not self.is_done:
            self.is_done = True
            self.inbox.put(last)

    async def respond(self, request: 'Any', response: Response) -> None:
        sock = request.sock[0]
        if sock is not self:  # a proxy may take what follows for frames, but PEP 3333 has no way to end a connection
            await sock.respond(request, response, False)
            return
        is_empty = has_no_body(request, response)
        if not is_empty and (isinstance(response.body, bytes) or is_blocking(response.body)):
            self.finish(response)
            return
        try:
            if not is_empty:
                self.is_streaming = True
                self.inbox.put(response)
                try:
                    await self.stream(request, response)
                except Disconnected:
                    if self.is_eof:
                        raise
                    raise RuntimeError('the stream was broken off') from None  # its end must not look complete
        finally:
            await close_bodies([response.body] + response.origins)
        if is_empty:
            self.finish(response)

    async def awrite(self, data: bytes) -> None:
        if self.is_eof:
            raise Disconnected()
        with self.lock:
            self.buffered += len(data)
            is_full = self.buffered > MAX_BUFFERED
            if is_full:
                self.waiter = self.background.loop.create_future()
        self.inbox.put(to_bytes(data))
        if is_full and self.waiter:
            await self.waiter
            self.waiter = None
            if self.is_eof:
                raise Disconnected()

    def abandon(self) -> None:
        """End what runs for a response that nobody waits for."""
        sock = self.request.sock[0]
        self.is_eof = sock.is_eof = True
        if self.waiter:  # of another task than the handler's, which nobody cancels
            wake(self.waiter)
        if sock.watcher:
            sock.watcher.notice()
        elif self.task:
            sock.is_ended = True
            self.task.cancel()


class Pieces:
    """The body of a response that the event loop produces, as the host iterates over it."""

    is_over = False

    def __init__(self, exchange: Exchange):
        self.exchange = exchange

    def __iter__(self) -> 'Pieces':
        return self

    def __next__(self) -> bytes:
        if self.is_over:
            raise StopIteration
        self.is_over = True  # if it raises, too
        piece = self.exchange.take_piece()
        if piece is None:
            raise StopIteration
        self.is_over = False
        return piece

    def close(self) -> None:
        self.exchange.end_stream()


class BlockingPieces(Pieces):
    """The body of a response that is produced in the thread of the host."""

    def __init__(self, exchange: Exchange, response: Response):
        super().__init__(exchange)
        self.bodies = [response.body] + response.origins
        self.iterator = response.body_iter()

    def __next__(self) -> bytes:
        try:
            return to_bytes(step(self.iterator.__anext__()))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        bodies = self.bodies
        self.bodies = []
        if len(bodies) == 1:
            step(close_bodies(bodies))
        elif bodies:
            asyncio.run_coroutine_threadsafe(close_bodies(bodies), self.exchange.background.loop).result()


def step(coroutine: 'Coroutine[Any, Any, Any]') -> 'Any':
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as exc:
        return exc.value
    coroutine.close()
    raise TypeError('a body that awaits has to be an asynchronous one')


class SocketConnection(ProtocolConnection):
    """The socket of a host that hands it over, such as Gunicorn: used from the answer to a handshake on."""

    is_serving = True
    is_busy = True

    def __init__(self, exchange: Exchange, sock: 'socket.socket'):
        super().__init__(exchange.app.get_socket_server(exchange.background.loop))
        self.exchange = exchange
        self.host_socket = sock

    def get_fields(self) -> NoCaseDict:
        return self.exchange.get_fields()

    async def awrite(self, data: 'bytes | memoryview') -> None:
        if not self.transport:
            sock = socket.socket(fileno=os.dup(self.host_socket.fileno()))
            await self.server.loop.connect_accepted_socket(lambda: self, sock)
            self.deadline = None
        await super().awrite(data)

    def end_use(self) -> None:
        """Close the connection, if it was used."""
        if self.transport:
            self.is_serving = False
            self.close()
