"""A client for tests: requests go through the real parser, responses through the real writer, but no socket."""
import json
import time

from microdot.microdot import (
    AsyncBytesIO,
    ChunkedDecoder,
    Connection,
    Microdot,
    NoCaseDict,
    Server,
    decode,
    find_head_end,
    parse_field,
)

if False:  # TYPE_CHECKING
    from typing import Any

MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'


class MemoryWriter(AsyncBytesIO):
    """The server's end of an in-memory connection: keeps what is written."""

    def __init__(self, client_addr: 'tuple[str, int]' = ('127.0.0.1', 1234)):
        super().__init__()
        self.client_addr = client_addr

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        return self.client_addr if name == 'peername' else default

    def getvalue(self) -> bytes:
        """Return everything that was written."""
        return self.data


class TestResponse:
    """A response as the client sees it.

    Attributes: ``status_code``, ``reason``, ``headers`` (a ``NoCaseDict``; ``Set-Cookie`` is a list), ``body``
    (``bytes``), ``text`` (``str``, or ``None`` if the body is not UTF-8), ``json`` (parsed if the media type is JSON,
    else ``None``).

    """
    __test__ = False  # pytest: not a class of tests

    def __init__(self, status_code: int, reason: str, headers: NoCaseDict, body: bytes):
        self.status_code = status_code
        self.reason = reason
        self.headers = headers
        self.body = body
        self.text: 'str | None' = None
        self.json: 'Any' = None
        try:
            self.text = body.decode()
        except UnicodeError:
            return
        media_type = headers.get('Content-Type', '').split(';')[0].strip().lower()
        if body and (media_type == 'application/json' or media_type[-5:] == '+json'):
            self.json = json.loads(self.text)

    @classmethod
    def parse(cls, data: bytes, method: str = 'GET') -> 'TestResponse':
        """Parse what a server sent in answer to one request; ``EOFError`` if it ends early."""
        status_code = 100
        while status_code < 200 and status_code != 101:  # interim responses (RFC 9110 section 15.2)
            end = find_head_end(data)
            if not end:
                raise EOFError('the connection was closed before the end of the header')
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
        is_complete = decoder.done
    else:
        length = int(headers.get('Content-Length', len(data)))
        body = data[:length]
        is_complete = len(body) == length
    if not is_complete:
        raise EOFError('the connection was closed before the end of the body')
    return body


def utc(seconds: float = 0) -> 'tuple[int, ...]':
    """Return the time in so many seconds as year, month, day, hour, minute, second."""
    return tuple(time.gmtime(int(time.time() + seconds)))[:6]


def parse_date(date: str) -> 'tuple[int, ...] | None':
    """Parse an IMF-fixdate (RFC 9110 section 5.6.7) as :func:`utc` has it; ``None`` for anything else."""
    try:
        _, day, month, year, clock, _ = date.replace('-', ' ').split(' ')
        return (int(year), MONTHS.find(month) // 3 + 1, int(day)) + tuple([int(part) for part in clock.split(':')])
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
        server = Server(self.app)
        server.scheme = self.scheme or server.scheme
        writer = MemoryWriter()
        await Connection(server, PieceReader(pieces), writer).serve()
        return writer.getvalue()

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

    def __init__(self, pieces: 'list[bytes]'):
        self._pieces = list(pieces)

    async def read(self, n: int = -1) -> bytes:
        return self._pieces.pop(0) if self._pieces else b''
