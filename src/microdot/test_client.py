"""A client for tests: requests go through the real parser, responses through the real writer, but no socket."""
import asyncio
import json
import os
import time

from microdot.headers import NoCaseDict
from microdot.microdot import AsyncBytesIO, Connection, Microdot, Server, decode, find_head_end, parse_field
from microdot.protocol import ChunkedDecoder

try:
    from time import gmtime
except ImportError:  # CircuitPython, whose clock has no zone
    from time import localtime as gmtime

if False:  # TYPE_CHECKING
    from typing import Any


class TestResponse:
    """A response as the client sees it.

    Attributes: ``status_code``, ``reason``, ``headers`` (a ``NoCaseDict``; ``Set-Cookie`` is a list), ``body``
    (``bytes``), ``text`` (``str``, or ``None`` if the body is not UTF-8), ``json`` (parsed if the media type is JSON,
    else ``None``), ``events`` (if it is a stream of events: a list with a dictionary for each, of ``data`` in
    ``bytes``, ``data_json``, ``event``, ``event_id``, and ``retry`` in seconds; ``None`` for what is not there).

    """
    __test__ = False  # pytest: not a class of tests

    def __init__(self, status_code: int, reason: str, headers: NoCaseDict, body: bytes):
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.body = body
        self.text: 'str | None' = None
        self.json: 'Any' = None
        self.events: 'list[dict[str, Any]] | None' = None
        try:
            self.text = body.decode()
        except UnicodeError:
            return
        media_type = headers.get('Content-Type', '').split(';')[0].strip().lower()
        if body and (media_type == 'application/json' or media_type[-5:] == '+json'):
            self.json = json.loads(self.text)
        elif media_type == 'text/event-stream':
            self.events = parse_events(body)

    @classmethod
    def parse(cls, data: bytes, method: str = 'GET') -> 'TestResponse':
        """Parse what a server sent in answer to one request; ``EOFError`` if it ends early."""
        status_code = 100
        while status_code < 200 and status_code != 101:  # interim responses (RFC 9110 section 15.2)
            end = find_head_end(data)
            if not end:
                raise EOFError('the header has no end')
            lines = data[:end].split(b'\r\n')
            data = data[end:]
            _, status, reason = decode(lines[0]).split(' ', 2)
            status_code = int(status)
        headers = parse_headers(lines[1:-2])
        body = b'' if method == 'HEAD' else read_body(status_code, headers, data)
        return cls(status_code, reason, headers, body)


def parse_headers(lines: 'list[bytes]') -> NoCaseDict:
    headers = NoCaseDict()
    for line in lines:
        name, value = parse_field(line)
        if name.lower() == 'set-cookie':
            headers.setdefault(name, []).append(value)
        else:
            headers[name] = headers[name] + ', ' + value if name in headers else value
    return headers


def read_body(status_code: int, headers: NoCaseDict, data: bytes) -> bytes:
    if status_code < 200 or status_code in (204, 304):
        return b''
    if headers.get('Transfer-Encoding') == 'chunked':
        decoder = ChunkedDecoder()
        body = decoder.feed(data)
        if decoder.done:
            return body
    else:
        length = int(headers.get('Content-Length', len(data)))
        if length <= len(data):
            return data[:length]
    raise EOFError('the body has no end')


def parse_events(body: bytes) -> 'list[dict[str, Any]]':
    """Parse a stream of events (WHATWG HTML section 9.2.6); what has no end is no event."""
    events = []
    for block in body.replace(b'\r\n', b'\n').replace(b'\r', b'\n').split(b'\n\n')[:-1]:
        data: 'list[bytes]' = []
        event: 'dict[str, Any]' = {'data_json': None, 'event': None, 'event_id': None, 'retry': None}
        for line in block.split(b'\n'):
            field, _, value = line.partition(b':')
            value = value[1:] if value[:1] == b' ' else value
            if field == b'data':
                data.append(value)
            elif field == b'retry':
                event['retry'] = int(value) / 1000
            elif field in (b'event', b'id'):
                event['event' if field == b'event' else 'event_id'] = value.decode()
        if data:
            event['data'] = b'\n'.join(data)
            try:
                event['data_json'] = json.loads(event['data'])
            except ValueError:
                pass
            events.append(event)
    return events


def utc(seconds: float = 0) -> 'tuple[int, ...]':
    """Return the time in so many seconds as year, month, day, hour, minute, second."""
    return tuple(gmtime(int(time.time() + seconds)))[:6]


def parse_date(date: str) -> 'tuple[int, ...] | None':
    """Parse an IMF-fixdate (RFC 9110 section 5.6.7) as :func:`utc` has it; ``None`` for anything else."""
    try:
        _, day, month, year, clock, _ = date.replace('-', ' ').split(' ')
        number = 'JanFebMarAprMayJunJulAugSepOctNovDec'.find(month) // 3 + 1
        return (int(year), number, int(day)) + tuple(map(int, clock.split(':')))
    except ValueError:
        return None


class TestClient:
    """A client for an application under test, with a cookie jar.

    :param app: the application.
    :param cookies: cookies to send, a dictionary of ``str``. What the application sets is added to it; a cookie with
                    a path other than ``/`` as a tuple of value and path.
    :param scheme: ``request.scheme``.
    :param host: the ``Host`` header.

    The coroutines ``get``, ``post``, ``put``, ``patch``, ``delete`` and ``query`` return a :class:`TestResponse`.
    ``body`` may be ``bytes``, ``str``, or a ``dict`` or ``list``, which are sent as JSON.

    """
    __test__ = False

    def __init__(self, app: Microdot, cookies: 'dict[str, Any] | None' = None, scheme: 'str | None' = None,
                 host: 'str | None' = None):
        self.app = app
        self.cookies: 'dict[str, Any]' = {} if cookies is None else cookies
        self.scheme = scheme
        self.host = host or 'example.com:1234'
        self._expiry: 'dict[str, tuple[int, ...]]' = {}

    async def request(self, method: str, path: str, headers: 'dict[str, Any] | None' = None,
                      body: 'Any' = None) -> TestResponse:
        """Send a request. ``EOFError`` if the response ends early, as it does when a streamed body fails."""
        data = await self.exchange([self._render(method, path, headers or {}, body)])
        response = TestResponse.parse(data, method)
        for cookie in response.headers.get('Set-Cookie', []):
            self._store_cookie(cookie)
        return response

    async def exchange(self, pieces: 'list[bytes]') -> bytes:
        """Send raw bytes, piece by piece, and return all that the server sends until it closes the connection."""
        writer = Pipe()
        reader = PieceReader(pieces)
        reader.connection = self._connect(reader, writer)
        await reader.connection.serve()
        return writer.data

    def _connect(self, reader: 'Any', writer: 'Pipe') -> Connection:
        server = Server(self.app)
        server.scheme = self.scheme or server.scheme
        return Connection(server, reader, writer)

    async def websocket(self, path: str, client: 'Any', headers: 'dict[str, Any] | None' = None) -> TestResponse:
        """Hold a conversation over a WebSocket. Returns the response to the handshake.

        :param client: generator function or async generator function: it yields the messages to send, ``str`` or
                       ``bytes``, and receives the next message of the server for each; after ``None`` it only receives.

        When the server ends the conversation, ``WebSocketError`` is raised in the generator. If the handshake is
        refused, the generator is not called.

        """
        session = self.websocket_session(path, headers)
        try:
            async with session:
                await session.run(client())
        except HandshakeError:
            pass
        return session.response  # type: ignore[no-any-return]

    def websocket_session(self, path: str, headers: 'dict[str, Any] | None' = None) -> 'WebSocketSession':
        """Return a conversation over a WebSocket: ``async with client.websocket_session('/path') as ws: ...``."""
        all_headers = NoCaseDict({'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Version': '13',
                                  'Sec-WebSocket-Key': 'AAECAwQFBgcICQoLDA0ODw=='})
        all_headers.update(headers or {})
        return WebSocketSession(self, self._render('GET', path, all_headers, None))

    async def get(self, path: str, headers: 'dict[str, Any] | None' = None) -> TestResponse:
        return await self.request('GET', path, headers)

    async def delete(self, path: str, headers: 'dict[str, Any] | None' = None) -> TestResponse:
        return await self.request('DELETE', path, headers)

    async def post(self, path: str, headers: 'dict[str, Any] | None' = None, body: 'Any' = None) -> TestResponse:
        return await self.request('POST', path, headers, body)

    async def put(self, path: str, headers: 'dict[str, Any] | None' = None, body: 'Any' = None) -> TestResponse:
        return await self.request('PUT', path, headers, body)

    async def patch(self, path: str, headers: 'dict[str, Any] | None' = None, body: 'Any' = None) -> TestResponse:
        return await self.request('PATCH', path, headers, body)

    async def query(self, path: str, headers: 'dict[str, Any] | None' = None, body: 'Any' = None) -> TestResponse:
        return await self.request('QUERY', path, headers, body)

    def _render(self, method: str, path: str, headers: 'dict[str, Any]', body: 'Any') -> bytes:
        all_headers = NoCaseDict({'Host': self.host})
        all_headers.update(headers)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            all_headers.setdefault('Content-Type', 'application/json')
        if isinstance(body, str):
            body = body.encode()
        if body is not None:
            all_headers.setdefault('Content-Length', str(len(body)))
        cookies = self._cookie_header(path)
        if cookies:
            all_headers['Cookie'] = all_headers['Cookie'] + '; ' + cookies if 'Cookie' in all_headers else cookies
        lines = ['%s %s HTTP/1.1' % (method, path)]
        for name, value in all_headers.items():
            lines.append('%s: %s' % (name, value))
        return '\r\n'.join(lines + ['', '']).encode() + (body or b'')

    def _cookie_header(self, path: str) -> str:
        now = utc()
        path = path.partition('?')[0]
        pairs = []
        for name, value in list(self.cookies.items()):
            if name in self._expiry and self._expiry[name] <= now:
                del self.cookies[name]
                continue
            cookie_path = '/'
            if isinstance(value, tuple):
                value, cookie_path = value
            # RFC 6265 section 5.1.4
            if path == cookie_path or path.startswith(cookie_path.rstrip('/') + '/'):
                pairs.append('%s=%s' % (name, value))
        return '; '.join(pairs)

    def _store_cookie(self, cookie: str) -> None:
        """Update the jar with a ``Set-Cookie`` header (RFC 6265 section 5.2)."""
        pair, _, rest = cookie.partition(';')
        name, _, value = pair.strip().partition('=')
        attributes = {}
        for attribute in rest.split(';'):
            key, _, text = attribute.strip().partition('=')
            attributes[key.lower()] = text
        self._expiry.pop(name, None)
        if 'max-age' in attributes:
            expiry: 'tuple[int, ...] | None' = utc(int(attributes['max-age']))
        else:
            expiry = parse_date(attributes.get('expires', ''))
        if expiry and expiry <= utc():
            self.cookies.pop(name, None)
            return
        if expiry:
            self._expiry[name] = expiry
        path = attributes.get('path') or '/'
        self.cookies[name] = value if path == '/' else (value, path)


class PieceReader:
    """The client's end of an in-memory connection: each ``read`` gives one piece, however large."""

    connection: 'Any' = None

    def __init__(self, pieces: 'list[bytes]'):
        self._pieces = list(pieces)

    async def read(self, n: int = -1) -> bytes:
        if not self._pieces and self.connection and self.connection.watcher:
            await asyncio.Event().wait()  # the client stays until the stream ends
        return self._pieces.pop(0) if self._pieces else b''


class HandshakeError(Exception):
    """The server has not accepted a WebSocket; ``response`` is what it answered instead."""

    def __init__(self, response: TestResponse):
        super().__init__(response.status_code)
        self.response = response


class Pipe(AsyncBytesIO):
    """One direction of an in-memory connection: who reads waits until the other end has written or closed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_ended = False
        self.arrival = asyncio.Event()

    async def _fill(self, n: int) -> bool:
        had = len(self.data)
        while len(self.data) == had and not self.is_ended:
            self.arrival.clear()
            await self.arrival.wait()
        return len(self.data) > had

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        return ('127.0.0.1', 1234) if name == 'peername' else default

    async def awrite(self, data: bytes) -> None:
        self.data += data
        self.arrival.set()

    async def aclose(self) -> None:
        self.is_ended = True
        self.arrival.set()


class WebSocketSession:
    """The client's side of a conversation over a WebSocket. Use it with ``async with``.

    ``HandshakeError`` if the server does not accept it. Attributes: ``response`` to the handshake, ``close_code`` and
    ``close_reason`` of the server, ``None`` before its end.

    """

    def __init__(self, client: TestClient, request: bytes):
        from microdot.websocket import MessageDecoder

        self.decoder = MessageDecoder(False)
        self.request = request
        self.input = Pipe()  # from the server
        self.output = Pipe()
        self.connection = client._connect(self.output, self.input)
        self.task: 'Any' = None
        self.response: 'Any' = None
        self.close_code: 'int | None' = None
        self.close_reason = ''

    async def __aenter__(self) -> 'WebSocketSession':
        self.task = asyncio.create_task(self.connection.serve())
        await self.output.awrite(self.request)
        head = await self.input.readuntil(b'\r\n\r\n')
        if head[9:12] != b'101':
            await self.output.aclose()
            self.response = TestResponse.parse(head + await self.input.read())
            raise HandshakeError(self.response)
        self.response = TestResponse.parse(head)
        return self

    async def __aexit__(self, *args: 'Any') -> None:
        await self.close()
        await self.output.aclose()
        await self.task

    async def send(self, data: 'str | bytes', opcode: 'int | None' = None) -> None:
        """Send a message: ``str`` as a text, ``bytes`` as a binary message; ``opcode`` to send something else."""
        from microdot.websocket import BINARY, TEXT, render_frame

        if opcode is None:
            opcode = TEXT if isinstance(data, str) else BINARY
        await self.output.awrite(render_frame(opcode, data.encode() if isinstance(data, str) else data, os.urandom(4)))

    async def receive(self) -> 'str | bytes':
        """Wait for the next message and return it; ``WebSocketError`` if the server has ended the conversation."""
        from microdot.websocket import CLOSE, CONTINUATION, PING, PONG, WebSocketError, parse_close

        while self.close_code is None:
            event = self.decoder.next()
            if not event:
                data = await self.input.read(65536)
                if not data:
                    raise WebSocketError(1006, 'the connection was closed')
                self.decoder.feed(data)
            elif CONTINUATION < event[0] < CLOSE:
                return event[1]  # type: ignore[no-any-return]
            elif event[0] == PING:
                await self.send(event[1], PONG)
            elif event[0] == CLOSE:
                await self.send(event[1], CLOSE)
                self.close_code, self.close_reason = parse_close(event[1])
        raise WebSocketError(self.close_code, self.close_reason)

    async def close(self, code: int = 1000, reason: str = '') -> None:
        """End the conversation and drop what the server sends until it does so, too."""
        from microdot.websocket import CLOSE, WebSocketError, render_close

        if self.close_code is None:
            await self.send(render_close(code, reason), CLOSE)
        try:
            while True:
                await self.receive()
        except WebSocketError:
            pass

    async def run(self, generator: 'Any') -> None:
        """Send what a generator yields, and give it what the server answers."""
        from microdot.websocket import WebSocketError

        reply: 'Any' = None
        error: 'Any' = None
        while True:
            try:
                if hasattr(generator, 'send'):
                    message = generator.throw(error) if error else generator.send(reply)
                else:
                    message = await (generator.athrow(error) if error else generator.asend(reply))
            except (StopIteration, StopAsyncIteration):
                return
            try:
                if message is not None:
                    await self.send(message)
                reply = await self.receive()
            except WebSocketError as exc:
                error = exc
