"""What the adapters for ASGI and WSGI share: requests that another server, the host, has received (CPython only)."""
import asyncio
import os
import signal
import sys
from multiprocessing import parent_process
from threading import Timer
from urllib.parse import quote, unquote

from microdot.headers import NoCaseDict, is_bodyless
from microdot.microdot import (
    AsyncBytesIO,
    Disconnected,
    Microdot,
    ProtocolError,
    Request,
    Response,
    Server,
    body_framing,
    uncancel,
)
from microdot.protocol import UnusualBody
from microdot.streaming import send_stream

if False:  # TYPE_CHECKING
    from typing import Any

VERSIONS = {'1': '1.0'}  # as granian spells it, and as we do
SAFE = "/:@!$&'()*+,;=-._~"  # characters of a path that need not be encoded (RFC 3986 section 3.3)


# ---------------------------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------------------------

class LazyFields:
    """Makes ``fields`` when they are first used; from then on they are an ordinary attribute."""

    def __get__(self, request: 'Any', owner: 'Any' = None) -> 'Any':
        fields = request.fields = request.sock[0].get_fields()
        return fields


class LazyHeaders:
    """The same for ``headers``, which the application may change."""

    def __get__(self, request: 'Any', owner: 'Any' = None) -> 'Any':
        headers = request.headers = request.fields.copy()
        return headers


class HostedRequest(Request):
    """A request that the host has received. ``asgi_scope`` or ``environ`` is what it says of that."""

    asgi_scope: 'dict[str, Any]'
    environ: 'dict[str, Any]'
    fields: 'Any' = LazyFields()
    headers: 'Any' = LazyHeaders()

    def set_root(self, root_path: str) -> None:
        """Separate what belongs to the host's configuration, or another framework, from the path."""
        root_path = self.root_path = root_path.rstrip('/')
        path = self.path
        if not root_path or path != root_path and not path.startswith(root_path + '/'):
            return
        self.query_string = self.query_string  # computed before raw_path is another one
        encoded = quote(root_path, SAFE)
        raw_path = self.raw_path
        self.raw_path = (raw_path if raw_path.startswith(encoded) else quote(path, SAFE))[len(encoded):] or '/'
        del self.path


def find_target(raw_path: str, path: str, query: str) -> str:
    """Return the target of a request as the client sent it, as far as the host tells.

    :param raw_path: the encoded path, perhaps with the query, ``''`` if the host has none. Who passes a request on
                     may have changed only ``path``. So it has to agree with that, which is what others have seen.

    """
    raw_path = raw_path.partition('?')[0]
    if raw_path != path and (not raw_path or unquote(raw_path) != path):
        raw_path = quote(path, SAFE)
    return raw_path + '?' + query if query else raw_path


class HostedBody(UnusualBody):
    """The body of a request, whose framing the host has taken off.

    :param length: bytes, -1 if only the host knows where it ends.

    """
    connection: 'Any'

    def count_in(self, data: 'bytes | None') -> None:
        """Note that so many bytes have come; ``None`` for the end."""
        if data is None:
            self.status = 400 if self.left > 0 else 0  # it is not complete
            self.left = 0
            return
        self.count += len(data)
        if self.left > 0:
            self.left -= len(data)
            if self.left < 0:
                self.status = 400
        elif self.count > Request.max_content_length:
            self.status = 413

    async def _fill(self, n: int) -> bool:
        data: 'bytes | None' = b''
        while self.left and not data and not self.status:
            n = min(max(n, self.small_read_size), self.left) if self.left > 0 else self.read_size
            try:
                data = await self.connection.receive_body(n)
                self.count_in(data)
            except Disconnected:
                self.status = 400
        if self.status:
            raise ProtocolError(self.status)
        return self._feed(data or b'')


# ---------------------------------------------------------------------------------------------------------------
# What stands for the connection, and for the server
# ---------------------------------------------------------------------------------------------------------------

class HostedConnection(AsyncBytesIO):
    """The host's connection, as far as one request goes. Handlers see it as ``request.sock``."""

    is_upgraded = False
    is_ended = False
    is_torn = False
    is_eof = False
    watcher: 'Any' = None
    task: 'Any' = None
    data = b''

    def __init__(self, app: 'HostedApp'):
        self.app = app
        self.server = app.host or app.make_host()

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        return default

    def get_fields(self) -> NoCaseDict:
        """Return the headers, which are not to be changed."""
        raise NotImplementedError

    async def receive_body(self, n: int) -> 'bytes | None':
        """Return about ``n`` more bytes of the body, ``None`` at its end; ``Disconnected`` if the client is gone."""
        raise NotImplementedError

    async def respond(self, request: HostedRequest, response: Response) -> None:
        """Give a response to the host."""
        raise NotImplementedError

    async def awrite(self, data: bytes) -> None:
        """Give a piece of a response's body to the host, and wait until it takes more."""
        raise NotImplementedError

    def find_length(self, request: HostedRequest, is_unsized: bool) -> int:
        """Return the length of a request's body, -1 if only the host knows it.

        :param is_unsized: there may be a body, although no header says so (RFC 9113 section 8.1).

        """
        try:
            length = body_framing(request.http_version, request.fields)[0]
        except ProtocolError as exc:
            request.refusal = exc
            return 0
        return -1 if is_unsized and not length and 'Content-Length' not in request.fields else length

    async def answer(self, request: HostedRequest) -> None:
        """Answer a request, whose body is loaded."""
        sock: 'Any' = request.sock[0]  # this object, or the host's socket
        response = None
        try:
            try:
                response = await self.app.dispatch_request(request)
                if not sock.is_upgraded and response is not Response.already_handled:
                    await self.respond(request, response)
            finally:
                if sock.watcher:
                    await sock.watcher.finish(response)
        except Disconnected:
            pass
        except asyncio.CancelledError:
            if not sock.is_ended:  # by us
                raise
            uncancel()

    async def stream(self, request: HostedRequest, response: Response) -> None:
        """Send the body of a response piece by piece."""
        sock = request.sock[0]
        if not sock.watcher:
            self.task = sock.task = asyncio.current_task()
            sock.watch(StreamWatcher(sock))
        await send_stream(response, self, b'', False)

    def make_websocket(self, request: HostedRequest) -> 'Any':
        """Refuse a handshake: the host has no way to do this."""
        from microdot.websocket import check_handshake

        check_handshake(request)
        raise ProtocolError(501)

    def watch(self, watcher: 'Any') -> None:
        """See :meth:`microdot.microdot.Connection.watch`; what the client sends is not noticed here, only its end."""
        self.watcher = watcher

    async def unwatch(self) -> None:
        self.watcher = None

    def resume_reading(self) -> None:
        pass

    async def linger(self) -> None:
        pass


class StreamWatcher:
    """Ends the stream to a client that is gone: else its body would be produced for nobody."""

    def __init__(self, sock: 'Any'):
        self.sock = sock

    def notice(self) -> None:
        if self.sock.is_eof and not self.sock.is_ended:
            self.sock.is_ended = True
            self.sock.task.cancel()

    async def finish(self, response: 'Response | None') -> None:
        await self.sock.unwatch()


def is_small(length: int) -> bool:
    """Tell whether a body of this length may be read at once; what else there is decides :meth:`Request.load`."""
    return 0 < length <= min(Request.max_body_length, Request.max_content_length)


def to_bytes(data: 'Any') -> bytes:
    """Return a piece of a body as hosts want it; ``TypeError`` for what is none, such as an ``int``."""
    return data if type(data) is bytes else bytes(memoryview(data))


def has_no_body(request: HostedRequest, response: Response) -> bool:
    return request.method == 'HEAD' or is_bodyless(response.status_code)


class HostedApp(Microdot):
    """An application that runs under a host, or by :meth:`run` under the built-in server."""

    host: 'Server | None' = None  # stands for it; from the first request on
    is_stopping = False

    def make_host(self) -> Server:
        self.host = Server(self)
        return self.host

    def shutdown(self) -> None:
        """Stop the server. Under a host: stop that, when the request that is answered is complete.

        The host gets the signal ``SIGTERM``, or ``SIGINT`` if it has no handler for that. If the command of a host
        supervises several processes, that stops; where a program of your own does, only the process that this is
        called in.

        """
        super().shutdown()
        if self.host and not self.is_stopping:
            self.is_stopping = True
            timer = Timer(1, self.stop_host)  # where no request ends soon
            timer.daemon = True
            timer.start()

    def stop_host(self) -> None:
        """Send the signal, once: a second one makes some hosts break off what they do."""
        if self.host:
            self.host = None
            send_stop()


def send_stop() -> None:
    uwsgi = sys.modules.get('uwsgi')
    if uwsgi:  # for which SIGTERM, unless it is told otherwise, is a reason to start again
        os.kill(uwsgi.masterpid() or os.getpid(), signal.SIGINT)
        return
    supervisor = find_supervisor()
    if supervisor:
        os.kill(supervisor, signal.SIGTERM)
    elif callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # the command would not end in order
        os.kill(os.getpid(), signal.SIGINT)


def find_supervisor() -> 'int | None':
    """Return the number of the process that would start this one again."""
    if os.environ.get('SERVER_SOFTWARE', '').startswith('gunicorn/'):
        return os.getppid()
    parent = parent_process()
    directory, command = os.path.split(sys.argv[0])
    if command == '__main__.py':  # python -m
        command = os.path.basename(directory)
    if parent and command.partition('.')[0] in ('uvicorn', 'hypercorn', 'granian'):
        return parent.pid
    return None
