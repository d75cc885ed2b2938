"""The server of CPython: an ``asyncio.Protocol`` that brings bytes to the core's functions, and nothing else.

It differs from the portable server in how bytes come and go. What they mean is decided in the core, in methods and
functions that both servers share.

"""
import asyncio
import os
import socket
import sys
from asyncio.tasks import _enter_task, _leave_task  # for other schedulers: see "Extending" in the library reference
from contextlib import ExitStack, suppress
from contextvars import Context, copy_context
from io import BufferedReader, FileIO
from logging import INFO, NOTSET, Formatter, StreamHandler, getLogger
from stat import S_ISREG
from sys import getrefcount

from microdot.microdot import (
    TIMED_OUT,
    Connection,
    Disconnected,
    Microdot,
    ProtocolError,
    Request,
    Server,
    find_head_end,
    log_error,
    parse_request_line,
)
from microdot.protocol import skip_empty_lines
from microdot.sockets import BACKLOG, listening

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any


# ---------------------------------------------------------------------------------------------------------------
# Coroutines that begin at once: most handlers never wait, and then a task of their own is for nothing
# ---------------------------------------------------------------------------------------------------------------

class EagerStarter:
    """Starts coroutines at once, as tasks (CPython 3.12 and later)."""

    def __init__(self, loop: 'asyncio.AbstractEventLoop'):
        self.loop = loop

    def start(self, coroutine: 'Coroutine[Any, Any, None]', undo: 'Callable[[Any], None]') -> 'Any':
        """Run a coroutine up to its first wait. Returns the task that goes on with it, ``None`` if it is done.

        If the coroutine never runs, ``undo`` is called with its task.

        """
        task = asyncio.Task(coroutine, loop=self.loop, eager_start=True)  # type: ignore[call-arg]
        return None if task.done() else task

    def close(self) -> None:
        pass


class ParkingStarter:
    """Does the same before CPython 3.12: a task that waits lends its name to the first step of each coroutine.

    That task is what ``asyncio.current_task()`` gives in the coroutine, so that ``asyncio.timeout()`` and cancellation
    work. If the coroutine has to wait for something, the parked task goes on with it, and a new one is parked.

    """

    def __init__(self, loop: 'asyncio.AbstractEventLoop'):
        self.loop = loop
        self.parked = ParkedCoroutine(loop)

    def start(self, coroutine: 'Coroutine[Any, Any, None]', undo: 'Callable[[Any], None]') -> 'Any':
        """See :meth:`EagerStarter.start`."""
        parked = self.parked
        task = parked.task
        if not parked.has_begun or parked.gate.done():
            if parked.gate.done():  # somebody has cancelled it
                self.parked = ParkedCoroutine(self.loop)
            task = self.loop.create_task(coroutine)
            task.add_done_callback(undo)
            return task
        context = copy_context()
        parked.is_lent = True
        _enter_task(self.loop, task)
        references = getrefcount(task)
        try:
            future = context.run(coroutine.send, None)
        except (StopIteration, asyncio.CancelledError):
            if parked.gate.done() or parked.error or getrefcount(task) > references:
                # it has cancelled itself, or somebody could do so later, who must not hit the next one
                task.cancel()
                self.parked = ParkedCoroutine(self.loop)
            return None
        finally:
            parked.is_lent = False
            _leave_task(self.loop, task)
        self.parked = ParkedCoroutine(self.loop)
        parked.resume(coroutine, future, context)
        return task

    def close(self) -> None:
        self.parked.task.cancel()


class ParkedCoroutine:
    """What a parked task runs: nothing, until it is given a coroutine that has had its first step."""

    def __init__(self, loop: 'asyncio.AbstractEventLoop'):
        self.coroutine: 'Coroutine[Any, Any, None] | None' = None
        self.future: 'Any' = None
        self.context: 'Context | None' = None
        self.has_begun = False
        self.is_lent = False  # a coroutine has its first step
        self.error: 'BaseException | None' = None
        self.loop = loop
        self.gate = loop.create_future()
        self.task: 'asyncio.Task[None]' = loop.create_task(self._run())

    def resume(self, coroutine: 'Coroutine[Any, Any, None]', future: 'Any', context: Context) -> None:
        """Go on with a coroutine that waits for a future (``None``: for its turn)."""
        self.coroutine = coroutine
        self.future = future
        self.context = context
        if not self.gate.done():
            self.gate.set_result(None)

    async def _run(self) -> None:
        self.has_begun = True
        while not self.gate.done():
            try:
                await self.gate
            except asyncio.CancelledError as exc:
                self.error = exc
                if self.is_lent:  # with microdot.shared_loop the first step may take its time in another thread
                    self.gate = self.loop.create_future()
        if self.coroutine:
            await Steps(self, self.error)


class Steps:
    """Awaits the rest of a coroutine that was started elsewhere."""

    def __init__(self, parked: ParkedCoroutine, error: 'BaseException | None'):
        self.parked = parked
        self.error = error

    def __await__(self) -> 'Generator[Any, Any, None]':
        coroutine: 'Any' = self.parked.coroutine
        context: 'Any' = self.parked.context
        future = self.parked.future
        error = self.error
        if error and future is not None and future.cancel():
            error = None  # it reaches the coroutine through what that waits for, as asyncio.Task.cancel() does it
        value = None
        while True:
            if not error:
                try:
                    value = yield future
                except BaseException as exc:
                    error = exc
            try:
                future = context.run(coroutine.throw, error) if error else context.run(coroutine.send, value)
            except StopIteration:
                return
            error = None


Starter = EagerStarter if sys.version_info >= (3, 12) else ParkingStarter


# ---------------------------------------------------------------------------------------------------------------
# A connection
# ---------------------------------------------------------------------------------------------------------------

class ProtocolConnection(Connection, asyncio.Protocol):
    """A connection to a client, driven by the callbacks of the event loop.

    It is in one of three states: waiting for a header block, serving (a coroutine owns it, and bytes that arrive are
    kept for that), closing (bytes that arrive are dropped).

    """

    server: 'ProtocolServer'
    transport: 'Any' = None
    is_tls = False
    has_begun = False  # the client has sent a part of a header block
    is_serving = False
    is_closing = False
    is_eof = False  # the client sends no more
    is_lost = False
    is_reading_paused = False
    is_writing_paused = False
    read_waiter: 'asyncio.Future[None] | None' = None
    write_waiters: 'tuple[asyncio.Future[None], ...]' = ()
    write_deadline: 'int | None' = None
    last: 'tuple[bytes, str, dict[str, str]]' = (b'', '', {})  # header lines, version, and what they say

    def __init__(self, server: 'ProtocolServer'):
        self.data = b''
        self.app = server.app
        self.server = server

    # --- what the event loop calls

    def connection_made(self, transport: 'Any') -> None:
        self.transport = transport
        self.is_tls = transport.get_extra_info('sslcontext') is not None
        peer = transport.get_extra_info('peername')  # of TCP there is none, if the client has gone already
        is_unix = transport.get_extra_info('socket').family == getattr(socket, 'AF_UNIX', None)
        self.client_addr = ('unix:', 0) if is_unix else peer or ('', 0)
        self.deadline = self.server.keep_alive_deadline
        if self.server.is_closing:  # it came at the last moment
            self.set_limit(0)
        if not self.server.add(self):
            if len(self.server.connections) < self.app.max_connections + REFUSALS:
                self.serve(self.refuse, ProtocolError(503))
            else:
                self.abort()

    def data_received(self, data: bytes) -> None:
        if self.is_closing:
            return
        self.data = self.data + data if self.data else data
        if not self.is_serving:
            self.serve_next()
        elif self.read_waiter:
            if not self.read_waiter.done():  # uvloop calls us many times in a row, while nobody can read
                wake(self.read_waiter)
                return
        elif self.watcher:
            self.watcher.notice()
        if len(self.data) > self.read_size and not self.is_reading_paused and not self.is_closing:
            self.is_reading_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.is_eof = True
        if self.read_waiter:
            wake(self.read_waiter)
        elif self.watcher:
            self.watcher.notice()
        elif not self.is_serving:
            self.serve_next()
        return not (self.is_tls or self.is_closing)  # the client may still read

    def connection_lost(self, exc: 'Exception | None') -> None:
        self.is_lost = self.is_eof = True
        if self.read_waiter:
            wake(self.read_waiter)
        elif self.watcher:
            self.watcher.notice()
        self.resume_writing()
        if not self.is_serving:
            self.server.remove(self)

    def pause_writing(self) -> None:
        self.is_writing_paused = True

    def resume_writing(self) -> None:
        self.is_writing_paused = False
        for waiter in self.write_waiters:
            wake(waiter)

    def expire(self, sweeps: int) -> None:
        """End what has passed its deadline."""
        if self.write_deadline and self.write_deadline <= sweeps:
            self.write_deadline = None
            for waiter in self.write_waiters:
                fail(waiter)
        if not self.deadline or self.deadline > sweeps:
            return
        self.deadline = None
        if self.read_waiter:
            fail(self.read_waiter)
        elif self.is_closing:
            self.abort()
        else:
            self.server.loop.call_soon(self.expire_wait)  # a task cannot start another at once, and the sweep is one

    def expire_wait(self) -> None:
        """End the wait for a request."""
        if self.is_serving or self.is_closing:
            return
        if self.data:
            self.serve(self.refuse, ProtocolError(408))
        else:
            self.close_idle()

    # --- one request after the other

    def serve_next(self) -> None:
        """Answer the next request, if its header block is complete."""
        if self.is_serving or self.is_closing or self.is_lost:
            return
        data = self.data
        if data[:1] == b'\r':
            data = self.data = skip_empty_lines(data)
        try:
            end = find_head_end(data)
        except ProtocolError as exc:
            self.serve(self.refuse, exc)
            return
        if end:
            self.is_busy = True
            head = data[:end]  # no copy, if it is all
            self.data = data[end:]
            self.serve(self.answer, head)
        elif self.is_eof:
            if data:
                self.serve(self.refuse, ProtocolError(400))
            else:
                self.close()
        elif data and not self.has_begun:
            self.has_begun = True
            self.set_limit(self.app.header_timeout)

    def serve(self, method: 'Callable[[Any], Coroutine[Any, Any, bool]]',  # type: ignore[override]
              argument: 'Any') -> None:
        """Let a method serve the connection; its result tells whether there can be another request."""
        self.is_serving = True
        self.deadline = None
        self.task = self.server.starter.start(self._serve(method, argument), self._end_unstarted)

    async def _serve(self, method: 'Callable[[Any], Coroutine[Any, Any, bool]]', argument: 'Any') -> None:
        is_kept = False
        try:
            is_kept = await method(argument)
        except ProtocolError:  # what was left of a body is malformed
            pass
        except Disconnected:
            self.abort()
        except asyncio.CancelledError:
            if not self.is_ended:  # by us, while it lingered
                self.abort()
                raise
        except Exception as exc:  # the body of a response failed; the client can tell because its end is missing
            log_error(exc, None)
            self.abort()
        finally:
            self.is_serving = self.is_busy = self.has_begun = False
            self.task = self.body = None
            if is_kept:
                self.go_on()
            else:
                self.close()

    def _end_unstarted(self, task: 'asyncio.Task[None]') -> None:
        """Clean up where a task was cancelled before it began."""
        if self.task is task:
            self.is_serving = False
            self.task = None
            self.abort()

    def go_on(self) -> None:
        """Wait for the next request, which may be here already."""
        self.deadline = self.server.keep_alive_deadline
        if self.is_reading_paused and len(self.data) <= self.read_size:
            self.resume_reading()
        if self.data or self.is_eof:
            self.server.loop.call_soon(self.serve_next)  # PERF: not at once, so that the other clients have their turn
        if self.server.is_closing:
            self.close_idle()

    def parse(self, head: bytes) -> Request:
        line, _, block = head.partition(b'\n')
        if block == self.last[0]:  # PERF: bench, plain text: the same as those of the request before
            method, target, version, authority = parse_request_line(line)
            if version == self.last[1] and not authority:
                return self.make_request(method, target, version, self.last[2], block)
        request = super().parse(head)
        if len(block) <= MEMO_SIZE and b'://' not in line:  # else Host is what the target says (RFC 9112 section 3.2.2)
            self.last = block, request.http_version, request.fields
        return request

    def make_request(self, method: str, target: str, version: str, fields: 'dict[str, str]', block: bytes) -> Request:
        request = super().make_request(method, target, version, fields, block)
        proxies = self.server.proxies
        if proxies:
            request.client_addr, request.scheme = proxies.resolve(request.client_addr, request.scheme, fields)
        return request

    # --- the end

    def close(self) -> None:
        """Close the connection when all that was written has been sent."""
        if self.is_lost:
            self.server.remove(self)
        elif not self.is_closing:
            self.is_closing = True
            self.transport.close()
            self.set_limit(self.app.write_timeout)

    def close_idle(self) -> None:
        """Close the connection as one between requests (RFC 9112 section 9.6).

        The client may be sending a request just now. It is to see the end of the connection, not a reset.

        """
        if self.is_tls or self.is_eof:
            self.close()
        elif not self.is_closing:
            self.is_closing = True
            self.end_output()
            # it is not idle if it has not read the last response
            self.set_limit(self.app.write_timeout if self.transport.get_write_buffer_size() else 0)

    def abort(self) -> None:
        self.is_closing = True
        self.transport.abort()

    def end(self) -> None:
        """Close the connection unless it is busy."""
        if self.watcher:
            self.watcher.end()
        elif not self.is_busy:
            self.is_busy = True
            if self.task:  # it lingers
                self.is_ended = True
                self.task.cancel()
            elif self.server.is_closing:
                self.close_idle()
            else:  # it has to make room at once
                self.abort()

    def cancel(self) -> None:
        """End the connection and the handler that serves it at once."""
        if self.task:
            self.task.cancel()
        else:
            self.abort()

    def end_output(self) -> None:
        if self.transport.can_write_eof():
            with suppress(OSError):  # the client is gone
                self.transport.write_eof()

    # --- what handlers see as request.sock

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        return self.client_addr if name == 'peername' else self.transport.get_extra_info(name, default)

    async def _fill(self, n: int) -> bool:
        had = len(self.data)
        if self.read_waiter:
            raise RuntimeError('another task is reading from this connection')
        if not self.is_eof:
            self.resume_reading()
            self.read_waiter = self.server.loop.create_future()
            try:
                await self.read_waiter
            finally:
                self.read_waiter = None
        if self.is_lost and len(self.data) == had:
            raise Disconnected()
        return len(self.data) > had

    def watch(self, watcher: 'Any') -> None:
        self.watcher = watcher

    async def unwatch(self) -> None:
        self.watcher = None

    def resume_reading(self) -> None:
        if self.is_reading_paused and not self.transport.is_closing():
            self.is_reading_paused = False
            self.transport.resume_reading()

    async def awrite(self, data: 'bytes | memoryview') -> None:
        """Send all of ``data``; ``Disconnected`` if the client is gone or does not read."""
        self._check_open()
        if len(data) > WRITE_SIZE + MAX_REST:
            view = memoryview(data)
            for start in range(0, len(data), WRITE_SIZE):
                self.is_torn = start + WRITE_SIZE < len(data)
                await self.awrite(view[start:start + WRITE_SIZE])
        else:
            self.transport.write(data)
            if self.is_writing_paused:
                await self._drain()

    def _check_open(self) -> None:
        if self.is_lost or self.transport.is_closing():  # the latter after a failed write, before we are told
            raise Disconnected()

    async def _drain(self) -> None:
        """Wait until the client has read most of what was written."""
        waiter = self.server.loop.create_future()
        self.write_waiters += (waiter,)
        self.write_deadline = self.server.get_deadline(self.app.write_timeout)
        try:
            await waiter
        finally:
            self.write_waiters = tuple([other for other in self.write_waiters if other is not waiter])
            if not self.write_waiters:
                self.write_deadline = None
        if self.is_lost:
            raise Disconnected()

    async def send_file(self, head: bytes, file: 'Any', count: int) -> bool:
        """Send a header block and ``count`` bytes of a file without copying them; ``False`` if that is not possible.

        ``loop.sendfile()`` would not do: uvloop has none, and asyncio's cannot be given a time limit.

        """
        if self.is_tls or count < SENDFILE_MIN or not hasattr(os, 'sendfile'):
            return False
        if hasattr(file, 'open'):  # microdot.files.File
            file = file.open()
        if not is_regular(file):
            return False
        self._check_open()
        offset = file.tell()
        self.transport.set_write_buffer_limits(0)
        if self.transport.get_write_buffer_size():  # of earlier responses
            await self._drain()
        self.transport.set_write_buffer_limits()
        self._check_open()
        with socket.socket(fileno=os.dup(self.get_extra_info('socket').fileno())) as sock:
            while head:
                head = head[await self._attempt(sock, sock.send, head, getattr(socket, 'MSG_MORE', 0)):]
            while count:
                sent = await self._attempt(sock, os.sendfile, sock.fileno(), file.fileno(), offset,
                                           min(count, SENDFILE_SIZE))
                if not sent:
                    raise ValueError('the file has become shorter')
                offset += sent
                count -= sent
                await asyncio.sleep(0)  # a client that is fast must not stop all others
        return True

    async def _attempt(self, sock: 'Any', f: 'Callable[..., int]', *args: 'Any') -> int:
        """Call what may find a socket's buffer full, until it is not."""
        while True:
            if self.is_lost:
                raise Disconnected()
            try:
                return f(*args)
            except BlockingIOError:
                self.server.loop.add_writer(sock.fileno(), self.resume_writing)
                try:
                    await self._drain()
                finally:
                    self.server.loop.remove_writer(sock.fileno())
            except OSError as exc:
                raise Disconnected(*exc.args) from None

    async def aclose(self) -> None:
        self.close()


MEMO_SIZE = 1024  # bytes of a header that are remembered at the most, so that strangers cannot fill the memory
WRITE_SIZE = 65536  # bytes for the event loop at a time: a client that does not read gets two of these at the most
MAX_REST = 4096  # bytes that go with the last of these, such as a header
SENDFILE_MIN = 65536  # bytes of a file from which on it is worth while
SENDFILE_SIZE = 1 << 20  # bytes that the kernel may copy before it is the turn of other clients
ACCEPTS = 32  # connections at a time; without free descriptors asyncio writes as many lines into the log each second
REFUSALS = 100  # connections over the cap that are told so; the others are cut off


def is_regular(file: 'Any') -> bool:
    return isinstance(file, (BufferedReader, FileIO)) and S_ISREG(os.fstat(file.fileno()).st_mode)


def wake(waiter: 'asyncio.Future[None]') -> None:
    if not waiter.done():
        waiter.set_result(None)


def fail(waiter: 'asyncio.Future[None]') -> None:
    if not waiter.done():
        waiter.set_exception(Disconnected(TIMED_OUT))
        waiter.exception()  # it is known, also where the waiting task is cancelled in the same moment


# ---------------------------------------------------------------------------------------------------------------
# The server
# ---------------------------------------------------------------------------------------------------------------

class ProtocolServer(Server):
    """Listens on a port and watches over its connections.

    :param access_log: log a line for each request.
    :param trusted_proxies: addresses and networks whose ``Forwarded`` or ``X-Forwarded-For`` header is believed.

    """

    proxies: 'Any' = None  # that are trusted
    keep_alive_deadline = 0
    starter: 'Any' = None

    def __init__(self, app: Microdot, access_log: bool = False, trusted_proxies: 'list[str] | None' = None):
        super().__init__(app)
        self.connections = {}  # the oldest first; a dict, because leaving it takes no time
        self.sockets: 'list[socket.socket]' = []
        self.listeners: 'list[Any]' = []
        self.resources = ExitStack()
        self.arriving = 0  # connections that were accepted at the last moment
        self.ssl_options: 'dict[str, Any]' = {}
        self.logs_requests = access_log or app.debug
        if trusted_proxies is not None:
            from microdot.forwarded import TrustedProxies

            self.proxies = TrustedProxies(trusted_proxies)
        if self.logs_requests:
            show_log()

    async def listen(self, host: 'Any', port: int, ssl: 'Any') -> None:
        if not isinstance(host, list) or not isinstance(host[0], socket.socket):
            host = self.resources.enter_context(listening(host, port, 1))[0]
        self.sockets = host
        self.loop = asyncio.get_running_loop()
        self.starter = Starter(self.loop)
        self.expire()
        self.ssl_options = {'ssl': ssl, 'ssl_handshake_timeout': self.app.header_timeout} if ssl else {}
        for sock in host:
            if sock.family != getattr(socket, 'AF_UNIX', None):  # connections inherit it; asyncio rarely sets it
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            create: 'Any' = self.loop.create_server
            options = dict(self.ssl_options)
            if sock.family == socket.AF_UNIX:
                create = self.loop.create_unix_server
                if sys.version_info >= (3, 13):
                    options['cleanup_socket'] = False  # the file belongs to who made it, which may be another process
            self.listeners.append(
                await create(self.connect, sock=sock, backlog=ACCEPTS, start_serving=False, **options))

    async def start(self, host: 'Any', port: int, ssl: 'Any' = None) -> None:
        await super().start(host, port, ssl)
        if self.app.debug:
            self.announce()

    def announce(self) -> None:
        for sock in self.sockets:
            name = sock.getsockname()
            where = '%s:%d' % name[:2] if isinstance(name, tuple) else 'unix:%s' % name
            getLogger('microdot').info('Listening on %s://%s', self.scheme, where)

    def connect(self) -> ProtocolConnection:
        return ProtocolConnection(self)

    async def serve_forever(self) -> None:
        try:
            await self.start_serving()
        except asyncio.CancelledError:
            self.close()
            self.cancel()
            raise
        await super().serve_forever()

    async def start_serving(self) -> None:
        for listener in self.listeners:
            await listener.start_serving()
        for sock in self.sockets:
            sock.listen(BACKLOG)

    def stop_listening(self) -> None:
        # asyncio loses the connections that it has just accepted, if it is told to close the port before they are made
        for sock in self.sockets:
            self.loop.remove_reader(sock)
        self.arriving += 1
        self.loop.call_soon(self._stop_listening)

    def _stop_listening(self) -> None:
        for sock in self.sockets:
            with suppress(OSError):  # until nobody waits any more, whom the end of the socket would reset
                for _ in range(BACKLOG):
                    self.loop.create_task(self.accept(sock.accept()[0]))
                    self.arriving += 1
        for listener in self.listeners:
            listener.close()
        self.loop.call_soon(self.loop.call_soon, self._arrived)  # asyncio tells us of them a step later

    async def accept(self, sock: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(self.connect, sock, **self.ssl_options)
        except OSError:
            sock.close()
        finally:
            self._arrived()

    def _arrived(self) -> None:
        self.arriving -= 1
        self.check_closed()

    def end_idle(self) -> None:
        # after what has arrived has been read; those that came at the last moment have a time limit of their own
        self.loop.call_soon(self.loop.call_soon, self._end, list(self.connections))

    def _end(self, connections: 'list[ProtocolConnection]') -> None:
        for connection in connections:
            connection.end()
        self.check_closed()

    def add(self, connection: Connection) -> bool:
        """Take in a connection; ``False`` if there is no room for it."""
        has_room = len(self.connections) < self.app.max_connections or self.end_oldest()
        self.connections[connection] = True
        return has_room

    def remove(self, connection: Connection) -> None:
        if self.connections.pop(connection, False):
            self.check_closed()

    def end_oldest(self) -> bool:
        for connection in self.connections:
            if not connection.is_busy:
                connection.end()
                return True
        return False

    def check_closed(self) -> None:
        if not self.arriving:
            super().check_closed()
        if self.is_closed:
            self.starter.close()
            self.resources.close()

    def expire(self) -> None:
        sweeps = self.sweeps
        self.keep_alive_deadline = self.get_deadline(self.app.keep_alive_timeout)
        for connection in list(self.connections):
            if connection.deadline or connection.write_deadline:
                connection.expire(sweeps)


def show_log() -> None:
    """Let the lines of the access log appear on ``sys.stderr``, unless the application has set up logging itself."""
    logger = getLogger('microdot')
    if not logger.hasHandlers():
        handler = StreamHandler()
        handler.setFormatter(Formatter('%(asctime)s %(message)s'))
        logger.addHandler(handler)
    if logger.level == NOTSET:
        logger.setLevel(INFO)
