"""ASGI 3: applications under uvicorn, hypercorn, granian, daphne and others (CPython only).

The adapter translates a scope to a request and a response to messages. All that they mean is decided in the core.

"""
import asyncio
from functools import lru_cache

from microdot import microdot as core
from microdot.headers import NoCaseDict, with_charset
from microdot.hooks import close_bodies, invoke_handler
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
from microdot.microdot import (
    Disconnected,
    ProtocolError,
    Request,
    Response,
    abort,
    decode,
    log_error,
    redirect,
    send_file,
)
from microdot.routing import URLPattern, compile_routes
from microdot.websocket import (
    ABNORMAL,
    BINARY,
    CLOSE,
    EVENT_COST,
    NO_STATUS,
    TEXT,
    WebSocket,
    WebSocketError,
    parse_close,
    render_close,
    websocket_upgrade,
    with_websocket,
)

if False:  # TYPE_CHECKING
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ['ASGIApp', 'Microdot', 'Request', 'Response', 'URLPattern', 'WebSocketError', 'abort', 'redirect',
           'send_file', 'websocket_upgrade', 'with_websocket']

# RFC 9113 section 8.2.2: these are about a connection of HTTP/1, other versions do not have them
CONNECTION_FIELDS = ('connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade')
BODY_FIELDS = (b'content-length', b'transfer-encoding')


class Microdot(HostedApp):
    """An application that is an ASGI application, too.

    :param lifespan_startup: ``f(scope)``, called when the host starts, with the scope of the lifespan protocol;
                             ``scope['state']`` is what requests find in ``request.asgi_scope['state']``.
    :param lifespan_shutdown: ``f(scope)``, called when it has stopped.

    An exception in one of them is logged and reported to the host, which then does not start.

    """

    def __init__(self, lifespan_startup: 'Callable[[Any], Any] | None' = None,
                 lifespan_shutdown: 'Callable[[Any], Any] | None' = None):
        super().__init__()
        self.lifespan_startup = lifespan_startup
        self.lifespan_shutdown = lifespan_shutdown

    async def __call__(self, scope: 'dict[str, Any]', receive: 'Receive', send: 'Send') -> None:
        """Answer one request, hold one conversation, or live through one lifespan; ``ValueError`` for other types."""
        kind = scope['type']
        if kind == 'http':
            await HTTPConnection(self, scope, receive, send).serve()
        elif kind == 'websocket':
            await WebSocketConnection(self, scope, receive, send).serve()
        elif kind == 'lifespan':
            await self.live(scope, receive, send)
        else:
            raise ValueError('unknown type of scope: %s' % kind)
        if self.is_stopping:
            self.stop_host()

    async def live(self, scope: 'dict[str, Any]', receive: 'Receive', send: 'Send') -> None:
        """Follow the lifespan protocol."""
        for phase, hook in ('startup', self.start_up), ('shutdown', self.lifespan_shutdown):
            await receive()
            try:
                if hook:
                    await invoke_handler(hook, scope)
            except Exception as exc:
                log_error(exc, None)
                await send({'type': 'lifespan.%s.failed' % phase, 'message': '%s: %s' % (type(exc).__name__, exc)})
                return
            await send({'type': 'lifespan.%s.complete' % phase})

    async def start_up(self, scope: 'dict[str, Any]') -> None:
        compile_routes(self)  # so that a mistake shows now and not with the first request
        if self.lifespan_startup:
            await invoke_handler(self.lifespan_startup, scope)


def parse_fields(fields: 'Any') -> NoCaseDict:
    headers = NoCaseDict()
    headers.add_fields([(decode(name), decode(value).strip(' \t')) for name, value in fields])
    return headers


MEMO_SIZE = 1024  # bytes of a header that are remembered at the most, so that strangers cannot fill the memory
recall_fields = lru_cache(128)(parse_fields)  # PERF: bench, hosts: clients repeat themselves


@lru_cache(64)
def plain_field(kind: str) -> 'tuple[bytes, bytes]':
    """Return the header of a plain response, but for its length."""
    return b'content-type', with_charset(kind).encode()


class HTTPConnection(HostedConnection):
    """The messages of one request and its response."""

    prefix = 'http.'
    pending: 'asyncio.Future[Message] | None' = None  # the next message, while somebody waits for the client's end
    is_body_complete = False

    def __init__(self, app: Microdot, scope: 'dict[str, Any]', receive: 'Receive', send: 'Send'):
        self.app = app
        self.server = app.host or app.make_host()
        self.scope = scope
        self.fields = list(scope.get('headers') or ())  # any iterable
        self._receive = receive
        self._send = send

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        client = self.scope.get('client') if name == 'peername' else None
        return (client[0], int(client[1] or 0)) if client else default

    def get_fields(self) -> NoCaseDict:
        fields = self.fields
        if sum([len(name) + len(value) for name, value in fields]) > MEMO_SIZE:  # nor is it likely to come again
            return parse_fields(fields)
        try:
            return recall_fields(tuple(fields))
        except TypeError:  # the pairs are lists
            return parse_fields(fields)

    async def serve(self) -> None:
        request = self.make_request()
        if request.http_version[:1] != '1':
            await self.load(request, True)
        else:
            for name, _ in self.fields:
                if name in BODY_FIELDS:
                    await self.load(request, False)
                    break
        try:
            await self.answer(request)
        finally:
            if self.pending:
                self.pending.cancel()

    async def load(self, request: HostedRequest, is_unsized: bool) -> None:
        """Load a body that is small, or prepare to stream it."""
        length = self.find_length(request, is_unsized)
        if not length:
            return
        if is_small(length):  # PERF: bench, hosts, JSON echo
            self.take(await self._receive())
            if self.is_body_complete and len(self.data) == length:
                request.body = self.data
                self.data = b''
                return
            if self.is_eof:
                request.refusal = ProtocolError(400)
                return
        await request.load(HostedBody(self, length, False))  # type: ignore[arg-type]

    def make_request(self) -> HostedRequest:
        scope = self.scope
        path = scope['path']
        raw_path = scope.get('raw_path')
        query = scope.get('query_string')
        if query or not path.isascii() or '%' in path or raw_path != path.encode():
            path = find_target(decode(raw_path) if raw_path else '', path, decode(query) if query else '')
        client = scope.get('client')
        version = scope.get('http_version', '1.1')
        request = HostedRequest(self.app, (client[0], int(client[1] or 0)) if client else ('', 0),
                                scope.get('method', 'GET'), path, VERSIONS.get(version, version), None,
                                sock=(self, self))
        request.asgi_scope = scope
        if scope.get('scheme') in ('https', 'wss'):
            request.scheme = 'https'
        if scope.get('root_path'):
            request.set_root(scope['root_path'])
        return request

    # --- receiving

    async def receive_body(self, n: int) -> 'bytes | None':
        while not self.data:
            if self.is_body_complete:
                return None
            if self.pending:
                await asyncio.shield(self.pending)  # notice() has had it first
            else:
                self.take(await self._receive())
            if self.is_eof:
                raise Disconnected()
        data = self.data
        self.data = b''
        if self.watcher:
            self.expect()  # there is room
        return data

    def take(self, message: 'Message') -> None:
        if message['type'] != 'http.request':
            self.is_eof = True
        elif not self.is_body_complete:
            self.data += message.get('body', b'')
            self.is_body_complete = not message.get('more_body', False)

    def watch(self, watcher: 'Any') -> None:
        self.watcher = watcher
        self.expect()

    def expect(self) -> None:
        """Wait for the next message in the background."""
        if not self.pending:
            self.pending = asyncio.ensure_future(self._receive())
            self.pending.add_done_callback(self.notice)

    def notice(self, pending: 'asyncio.Future[Message]') -> None:
        if pending.cancelled():
            return
        self.pending = None
        self.take({'type': 'http.disconnect'} if pending.exception() else pending.result())
        if self.watcher:
            self.watcher.notice()
        if not self.is_eof and len(self.data) <= self.read_size:  # else it waits for who reads the body
            self.expect()

    # --- sending

    async def send(self, message: 'Message') -> None:
        """Give a message to the host; ``Disconnected`` if the client is gone."""
        if self.is_eof:
            raise Disconnected()
        try:
            await self._send(message)
        except OSError as exc:  # since version 2.4 of the specification
            self.is_eof = True
            raise Disconnected(*exc.args) from None

    async def awrite(self, data: bytes, is_last: bool = False) -> None:
        """Send a part of the response's body."""
        await self.send({'type': self.prefix + 'response.body', 'body': to_bytes(data), 'more_body': not is_last})

    async def respond(self, request: HostedRequest, response: Response) -> None:
        body = response.body
        if response.is_plain and self.prefix == 'http.':  # PERF: bench, hosts
            fields = [plain_field(response._kind or response.default_content_type),
                      (b'content-length', b'%d' % len(body))]
            try:
                await self._send({'type': 'http.response.start', 'status': response.status_code, 'headers': fields})
                await self._send({'type': 'http.response.body', 'body': b'' if request.method == 'HEAD' else body})
            except OSError as exc:
                raise Disconnected(*exc.args) from None
            return
        is_empty = has_no_body(request, response)
        try:
            await self.send({'type': self.prefix + 'response.start', 'status': response.status_code,
                             'headers': self.render_fields(response)})
            if not is_empty and not isinstance(body, bytes):
                await self.stream(request, response)
                body = b''
            await self.awrite(b'' if is_empty else body, True)
        finally:
            await close_bodies([response.body] + response.origins)

    def render_fields(self, response: Response) -> 'list[tuple[bytes, bytes]]':
        is_http1 = self.scope.get('http_version', '1.1')[:1] == '1'
        fields = []
        for name, value in response.headers.items():
            name = name.lower()
            if is_http1 or name not in CONNECTION_FIELDS:
                for item in value if isinstance(value, list) else (value,):
                    fields.append((name.encode(), str(item).encode()))
        return fields


# ---------------------------------------------------------------------------------------------------------------
# WebSocket
# ---------------------------------------------------------------------------------------------------------------

class WebSocketConnection(HTTPConnection):
    """The messages of one conversation, or of the response that denies it."""

    prefix = 'websocket.http.'
    is_connected = False

    async def serve(self) -> None:
        message = await self._receive()
        if message['type'] != 'websocket.connect':
            return
        try:
            await self.answer(self.make_request())
        finally:
            if self.pending:
                self.pending.cancel()

    async def respond(self, request: HostedRequest, response: Response) -> None:
        if 'websocket.http.response' in (self.scope.get('extensions') or ()):
            await super().respond(request, response)
            return
        await close_bodies([response.body] + response.origins)
        await self.send({'type': 'websocket.close'})  # which becomes a 403

    def render_fields(self, response: Response) -> 'list[tuple[bytes, bytes]]':
        # a proxy may take what follows for frames, and let it pass
        return super().render_fields(response) + [(b'connection', b'close')]

    async def receive_again(self) -> 'Message':
        """Return the messages from the first one on, to an application that this one gives the conversation to."""
        if not self.is_connected:
            self.is_connected = True
            return {'type': 'websocket.connect'}
        return await self._receive()

    def make_websocket(self, request: HostedRequest) -> 'ASGIWebSocket':
        return ASGIWebSocket(request)


class ASGIWebSocket(WebSocket):
    """A conversation with a client; frames and pings are the host's, who gives and takes messages."""

    burst: 'int'  # of the class that CPython has
    max_burst: 'int'

    def shake_hands(self, compression: 'Any') -> 'dict[str, str]':
        return {}  # the host does it

    def get_offers(self) -> 'list[str]':
        return list(self.sock.scope.get('subprotocols') or ())

    async def open(self, headers: 'dict[str, str]') -> None:
        sock = self.sock
        await sock.send({'type': 'websocket.accept', 'subprotocol': self.subprotocol, 'headers': []})
        sock.is_upgraded = True
        sock.watcher = self
        self.reader = asyncio.create_task(self._read())

    async def send(self, data: 'str | bytes', opcode: 'int | None' = None) -> None:
        """See :meth:`WebSocket.send`; ``ValueError`` for frames that only the host can send, such as ``PING``."""
        if opcode == CLOSE:
            await self.close(*parse_close(data.encode() if isinstance(data, str) else data))
            return
        if opcode is None:
            opcode = TEXT if isinstance(data, str) else BINARY
        if opcode not in (TEXT, BINARY):
            raise ValueError('an ASGI host sends pings and fragments by itself')
        message: 'Message' = {'type': 'websocket.send'}
        if opcode == TEXT:
            message['text'] = data if isinstance(data, str) else bytes(data).decode()
        else:
            message['bytes'] = data.encode() if isinstance(data, str) else bytes(data)
        await self._send_message(message)
        self.burst += len(data) + EVENT_COST
        if self.burst > self.max_burst:  # to a client that is fast: this must not stop all others
            self.burst = 0
            await asyncio.sleep(0)

    async def _send_message(self, message: 'Message') -> None:
        if self.closed:
            raise self._end_error()
        if message['type'] == 'websocket.close':
            self.closed = True
        try:
            await self.sock.send(message)
        except Disconnected:
            self._lose('the client cannot be reached')
            raise WebSocketError(ABNORMAL, 'the client cannot be reached') from None

    async def _close(self, code: int, reason: str) -> None:
        self.reader.cancel()
        await asyncio.sleep(0)  # until it has let go: granian sends no close frame while somebody receives
        code, reason = parse_close(render_close(code, reason))  # as much of it as a frame holds
        await self._send_message({'type': 'websocket.close', 'code': 1000 if code == NO_STATUS else code,
                                  'reason': reason})
        self.messages.clear()
        self.queue_size = 0
        self.notice()

    async def beat(self, interval: float, timeout: float) -> None:
        """Do nothing: hosts have settings for pings of their own."""

    def notice(self) -> None:
        """Let the reader go on: there is room for messages."""
        self.is_full = False
        self.arrival.set()

    async def _read(self) -> None:
        """Take messages until there are no more, or there is no room for them."""
        while not self.error:
            while self.queue_size >= self.max_queue_size:
                self.is_full = True
                await self.arrival.wait()
            try:
                message = await self.sock._receive()
            except OSError:
                message = {'type': 'websocket.disconnect', 'code': ABNORMAL}
            if message['type'] == 'websocket.receive':
                self._take_message(message)
            else:
                self._hear_end(message)

    def _take_message(self, message: 'Message') -> None:
        text = message.get('text')
        data: 'Any' = message.get('bytes') if text is None else text
        limit = self.decoder.max_length if self.decoder else 0
        if limit and len(data) * 4 > limit and len(data if text is None else text.encode()) > limit:
            self._stop(1009, 'message too long')
        else:
            self._take(BINARY if text is None else TEXT, data)

    def _hear_end(self, message: 'Message') -> None:
        self.closed = True
        if self.close_code is None:
            self.close_code = message.get('code') or NO_STATUS
            self.close_reason = message.get('reason') or ''
        if self.close_code == ABNORMAL:
            self._lose('the client is gone')
        else:
            self._stop(self.close_code, self.close_reason)

    async def finish(self, response: 'Response | None') -> None:
        try:
            await super().finish(response)
        finally:
            self.reader.cancel()


# ---------------------------------------------------------------------------------------------------------------
# Other ASGI applications
# ---------------------------------------------------------------------------------------------------------------

class ASGIApp(core.Microdot):
    """Another ASGI application as a sub-application: ``app.mount(ASGIApp(other), url_prefix='/other')``.

    It works under every server, and gets what :class:`Request` lets pass. WebSockets it gets under an ASGI host only.
    Its lifespan is its own matter: nobody calls it with such a scope.

    :param asgi_app: an ASGI 3 application.

    """

    methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']

    def __init__(self, asgi_app: 'Callable[[Any, Any, Any], Awaitable[None]]'):
        super().__init__()
        self.asgi_app = asgi_app
        for pattern in '', '/', '/<re:.+:rest>':
            self.route(pattern, self.methods)(self.forward)

    async def forward(self, request: Request, rest: str = '') -> 'Any':
        """Let the other application answer."""
        sock = request.sock[0]
        scope = make_scope(request)
        if isinstance(sock, WebSocketConnection):
            sock.is_upgraded = True
            await self.asgi_app(dict(sock.scope, root_path=scope['root_path']), sock.receive_again, sock._send)
            return Response.already_handled
        return await Forwarding(request).run(self.asgi_app, scope)


def make_scope(request: Request) -> 'dict[str, Any]':
    """Return the scope of a request to a mounted application."""
    root_path = request.root_path
    target, _, query = request.url.partition('?')
    return {
        'type': 'http', 'asgi': {'version': '3.0', 'spec_version': '2.3'}, 'http_version': request.http_version,
        'method': request.method, 'scheme': request.scheme, 'path': root_path + request.path,
        'raw_path': target.encode(), 'query_string': query.encode(), 'root_path': root_path + request.url_prefix,
        'headers': [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()],
        'client': request.client_addr, 'server': None}


class Forwarding:
    """The messages between a request and a mounted application."""

    tasks: 'set[Any]' = set()  # which the event loop alone would forget

    def __init__(self, request: Request):
        self.stream = request.stream
        self.messages: 'asyncio.Queue[Message]' = asyncio.Queue(1)
        self.is_received = False
        self.is_complete = False
        self.is_over = asyncio.Event()

    async def run(self, asgi_app: 'Callable[[Any, Any, Any], Awaitable[None]]', scope: 'dict[str, Any]') -> Response:
        self.task = asyncio.ensure_future(asgi_app(scope, self.receive, self.messages.put))
        self.tasks.add(self.task)
        self.task.add_done_callback(self.forget)
        start = await self.next()
        headers = NoCaseDict()
        for name, value in start.get('headers', ()):
            if decode(name).lower() not in CONNECTION_FIELDS:
                headers.setdefault(decode(name), []).append(decode(value))
        for name, values in headers.items():
            if len(values) == 1:
                headers[name] = values[0]
        first = await self.next()
        self.is_complete = not first.get('more_body')
        body = first.get('body', b'') if self.is_complete else self.pieces(first)
        return Response(body, start['status'], headers)

    async def receive(self) -> 'Message':
        if self.is_received:
            await self.is_over.wait()
            return {'type': 'http.disconnect'}
        data = await self.stream.read(65536)
        self.is_received = not data
        return {'type': 'http.request', 'body': data, 'more_body': bool(data)}

    async def next(self) -> 'Message':
        """Return the next message of the application; what it raises, if it ends before."""
        getter = asyncio.ensure_future(self.messages.get())
        try:
            await asyncio.wait((getter, self.task), return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                self.task.result()
                raise RuntimeError('the mounted application has not completed its response')
            return getter.result()
        except BaseException:
            self.end()
            raise
        finally:
            getter.cancel()

    async def pieces(self, message: 'Message') -> 'AsyncIterator[bytes]':
        try:
            while message.get('more_body'):
                yield message.get('body', b'')
                message = await self.next()
            yield message.get('body', b'')
        except GeneratorExit:
            self.end()
            raise
        self.is_complete = True
        self.is_over.set()

    def forget(self, task: 'asyncio.Future[None]') -> None:
        self.tasks.discard(task)
        if self.is_complete and not task.cancelled():
            exc = task.exception()
            if exc:
                log_error(exc, None)

    def end(self) -> None:
        """The client is gone: tell the application, which has no time for more."""
        self.is_over.set()
        self.task.cancel()
