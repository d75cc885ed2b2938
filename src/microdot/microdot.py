"""The core of Microdot: what every request needs, and a portable HTTP/1.1 server.

It reads top to bottom in the order of a request: what differs between Pythons, streams, the wire (pure functions, no
I/O), request, response, application, server. What only some requests need is in other modules, the parts of the core,
which are imported when the first such request comes: ``protocol`` (the less usual of HTTP), ``headers``, ``cookies``,
``forms``, ``routing``, ``hooks`` (and errors), ``streaming``, ``sending`` (of files).

"""
import asyncio
import json
import re

__version__ = '3.0.0.dev0'

if False:  # TYPE_CHECKING: MicroPython has no typing module, and drops this block when it compiles
    from collections.abc import Awaitable, Callable
    from typing import Any, NoReturn

    from microdot.forms import MultiDict as MultiDict
    from microdot.forms import percent_decode as percent_decode
    from microdot.forms import urldecode as urldecode
    from microdot.forms import urlencode as urlencode
    from microdot.headers import NoCaseDict as NoCaseDict
    from microdot.hooks import MUTED_SOCKET_ERRORS as MUTED_SOCKET_ERRORS
    from microdot.hooks import HTTPException as HTTPException
    from microdot.hooks import mro as mro
    from microdot.routing import URLPattern as URLPattern
    from microdot.signatures import (
        Create,
        Decorator,
        DeleteCookie,
        ErrorHandler,
        HandleError,
        Mount,
        ReadUntil,
        Run,
        SendFile,
        SetCookie,
    )
    from microdot.streaming import BodyIterator as BodyIterator

    Hook = Callable[..., Any]
    Route = tuple[str, list[str], Hook, Any, str, 'Microdot | None', tuple['Microdot', ...]]

# ---------------------------------------------------------------------------------------------------------------
# What differs between Pythons: feature detection, one name each
# ---------------------------------------------------------------------------------------------------------------

try:
    from sys import print_exception  # type: ignore[attr-defined]
except ImportError:  # CPython, CircuitPython
    from traceback import print_exception

ON_MICROPYTHON = not hasattr(asyncio, 'Protocol')

if ON_MICROPYTHON:
    date_header: 'Any' = None  # a board's clock is rarely set (RFC 9110 section 6.6.1: no Date without a clock)

    def iscoroutine(f: 'Any') -> bool:
        return hasattr(f, 'send') and hasattr(f, 'throw')

    def prepare(f: 'Hook') -> 'Callable[..., Awaitable[Any]]':
        if type(f) is type(listen):  # bytecode of "async def", unless it is wrapped in a closure
            return f
        # a coroutine cannot be told from a generator, and what a plain function returns is a body
        is_plain = type(f) is type(prepare)

        async def call(*args: 'Any', **kwargs: 'Any') -> 'Any':
            result = f(*args, **kwargs)
            return await result if not is_plain and iscoroutine(result) else result

        return call

    def uncancel() -> None:
        pass

    def log_error(exc: BaseException, request: 'Request | None') -> None:
        print_exception(exc)

    def log_request(request: 'Request', response: 'Response') -> None:
        print(request.method, request.url, response.status_code)

    def run_app(self: 'Microdot', *args: 'Any', **options: 'Any') -> None:
        try:
            asyncio.run(self.start_server(*args, **options))
        except KeyboardInterrupt:
            for server in list(self.servers):  # the event loop can go on
                asyncio.run(server.stop())

    async def listen(server: 'Server', host: str, port: int, ssl: 'Any') -> 'Any':
        # Open the port. Returns a task that accepts connections, and closes the port when it is cancelled.
        import gc
        import socket  # portable: missing-module: CircuitPython has socketpool, for which there is no server here

        # Unless somebody has chosen: collecting late scatters what stays over all of the heap
        threshold: 'Any' = gc.threshold  # type: ignore[attr-defined] # portable: missing-name: as socket
        if threshold() < 0:
            threshold(gc.mem_free() // 4)  # type: ignore[attr-defined]
        address = socket.getaddrinfo(host, port)[0]
        sock = socket.socket(address[0])
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address[-1])
        sock.listen(5)
        if server.app.debug:
            print('Listening on %s://%s:%d' % (server.scheme, host, port))
        task = asyncio.create_task(accept(server, sock, ssl))
        await asyncio.sleep(0)  # until it can clean up
        return task

    async def accept(server: 'Server', sock: 'Any', ssl: 'Any') -> 'Any':  # portable: async-generator: as asyncio's
        try:
            while True:
                yield asyncio.core._io_queue.queue_read(sock)  # type: ignore # portable: missing-name: as asyncio's
                raw = None
                try:
                    await server.make_room()
                    raw, address = sock.accept()
                    try:
                        raw.setsockopt(6, 1, 1)  # TCP_NODELAY: else small writes wait for the client, 40 ms on Linux
                    except OSError:  # not every network has it
                        pass
                    client = ssl.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) if ssl else raw
                    client.setblocking(False)
                    stream = asyncio.StreamReader(client)
                    connection = Connection(server, stream, stream)
                    connection.client_addr = address
                    connection.raw_socket = raw
                    asyncio.create_task(connection.serve())
                except (OSError, MemoryError) as exc:  # a board goes on with the clients that it has
                    if raw:
                        raw.close()
                    elif isinstance(exc, OSError) and exc.args[0] in (9, 19, 22, 88, 107, 108, 128):
                        raise  # EBADF, ENODEV, EINVAL, ENOTSOCK, ENOTCONN, on Linux and lwIP; others come and go
                    await asyncio.sleep(0.1)
        except OSError as exc:  # the network is gone, and the port with it
            server.failure = exc
            server.close()
        finally:
            sock.close()
else:
    from microdot.cpython import (  # type: ignore[assignment]
        date_header,
        iscoroutine,
        listen,
        log_error,
        log_request,
        make_server,
        prepare,
        run_app,
        uncancel,
    )

TIMED_OUT = 110  # ETIMEDOUT


def __getattr__(name: str) -> 'Any':
    # Find the public names of the parts (MicroPython; on CPython they are all here).
    from microdot.parts import find

    return find(name)


def find_method(self: 'Any', name: str) -> 'Any':
    # Add a method that a part has to the class of an object (MicroPython; on CPython they are all there).
    from microdot.parts import find_method

    return find_method(self, name)


# ---------------------------------------------------------------------------------------------------------------
# Streams
# ---------------------------------------------------------------------------------------------------------------

class AsyncBytesIO:
    """Bytes in memory with the methods of an asyncio stream; subclasses fetch more bytes from elsewhere."""

    #: Bytes to fetch at a time; a board's heap is fragmented, and needs them in one piece.
    read_size = 256 if ON_MICROPYTHON else 65536
    #: The same for those who want a byte or a line, because each of these moves what is left.
    small_read_size = 256 if ON_MICROPYTHON else 4096

    def __init__(self, data: bytes = b''):
        self.data = data

    async def _fill(self, n: int) -> bool:
        # Append some bytes to ``data``, about ``n`` if that is up to this; ``False`` at the end.
        return False

    def _feed(self, data: bytes) -> bool:
        self.data = self.data + data if self.data else data  # no copy of what a board could hold only once
        return bool(data)

    def _take(self, n: int) -> bytes:
        data = self.data
        self.data = data[n:]
        return data[:n] if self.data else data

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes as soon as there are some, all up to the end if negative, ``b''`` at the end."""
        if n >= 0:
            if n and not self.data:
                await self._fill(n)
            return self._take(n)
        parts = []  # joined at the end: a string that grows asks a board for ever larger holes in its heap
        while self.data or await self._fill(self.read_size):
            parts.append(self.data)
            self.data = b''
        return b''.join(parts)

    # microdot.streaming has them
    readexactly: 'Callable[[int], Awaitable[bytes]]'
    readuntil: 'ReadUntil'
    readline: 'Callable[[], Awaitable[bytes]]'
    awrite: 'Callable[[Any], Awaitable[None]]'
    aclose: 'Callable[[], Awaitable[None]]'


# ---------------------------------------------------------------------------------------------------------------
# The wire: the meaning of HTTP/1.1 as plain functions over complete data. No "await", no I/O below this line
# ---------------------------------------------------------------------------------------------------------------

# Searches for what must not be there: MicroPython's engine recurses for every repeated match, but not for these
NOT_TOKEN = re.compile("[^-!#$%&'*+.^_`|~0-9A-Za-z]")  # RFC 9110 section 5.6.2
NOT_TEXT = re.compile(b'[^\t -~\x80-\xff]')  # RFC 9110 section 5.5: a field value has no control characters
NOT_TARGET = re.compile('[^!"$-~]')  # RFC 9112 section 3.2: printable ASCII, and never a fragment
NOT_HOST = re.compile("[^-.~!$&'()*+,;=_0-9A-Za-z]")  # RFC 3986 section 3.2.2, names without encoded characters
NOT_DIGIT = re.compile('[^0-9]')


class ProtocolError(ValueError):
    """What the core answers with an error: ``args`` are a status code and, optionally, headers."""


def decode(data: bytes) -> str:
    # Decode as UTF-8, or as Latin-1 what is not UTF-8, so that no byte of a client raises.
    try:
        return data.decode()
    except UnicodeError:
        from microdot.protocol import decode_latin1

        return decode_latin1(data)


def find_head_end(data: bytes) -> int:
    # Return where the header block with its empty line ends, 0 if it is not complete.
    end = data.find(b'\n\r\n') + 3
    if end < 3:
        end = 0
    size = end or len(data)
    if size > Request.max_readline + 1:
        line = data.find(b'\n')
        if (line if line >= 0 else size) > Request.max_readline + 1:
            raise ProtocolError(414)
    bare_end = data.find(b'\n\n', 0, size) + 2  # no further: there may be a long pipeline behind
    if bare_end > 1:
        size = end = bare_end
    if size > Request.max_header_size:
        raise ProtocolError(431)
    return end


def parse_request_line(line: bytes) -> 'tuple[str, str, str, str]':
    # Parse ``METHOD target HTTP/1.x`` (RFC 9112 section 3), without its line feed.
    #
    # Returns method, target in origin form or ``*``, version (``'1.0'`` or ``'1.1'``), and the authority of a target
    # in absolute form.
    parts = decode(line).split(' ')
    if (len(parts) != 3 or parts[2] != 'HTTP/1.1\r' or parts[1][:1] != '/' or NOT_TARGET.search(parts[1])
            or not parts[0] or NOT_TOKEN.search(parts[0])):
        from microdot.protocol import parse_unusual_line

        return parse_unusual_line(line)
    return parts[0], parts[1], '1.1', ''


def parse_field(line: bytes) -> 'tuple[str, str]':
    # Parse one field line (RFC 9112 section 5); folded lines fail, because their name is not a token.
    name, colon, value = decode(line).partition(':')
    if not colon or not name or NOT_TOKEN.search(name) or NOT_TEXT.search(line):
        raise ProtocolError(400)
    return name, value.strip(' \t')


def is_host(text: str) -> bool:
    # Tell whether this is a valid host with an optional port (RFC 9110 section 7.2).
    name, _, port = text.partition(':')
    if not NOT_HOST.search(name):
        return not NOT_DIGIT.search(port)
    from microdot.protocol import is_unusual_host

    return is_unusual_host(text)


def parse_fields(block: bytes, version: str) -> 'dict[str, str]':
    # Parse the field lines of a request with the empty line behind them; the names are in lower case.
    lines = block.split(b'\r\n')
    if lines.pop() or lines.pop():  # the head ended in a bare LF
        raise ProtocolError(400)
    if len(lines) > Request.max_headers:
        raise ProtocolError(431)
    fields: 'dict[str, str]' = {}
    for line in lines:
        if len(line) > Request.max_readline:
            raise ProtocolError(431)
        name, value = parse_field(line)
        name = name.lower()
        if name in fields:  # RFC 9110 section 5.3, RFC 9113 section 8.2.3; two of Host make one that is not valid
            value = fields[name] + ('; ' if name == 'cookie' else ', ') + value
        fields[name] = value
    if not is_host(fields.get('host', '' if version == '1.0' else ' ')):
        raise ProtocolError(400)
    return fields


def body_framing(version: str, fields: 'dict[str, str]') -> 'tuple[int, bool]':
    # Return the length of the body, -1 if it is chunked (RFC 9112 section 6.3), and whether to send 100 (Continue).
    length = fields.get('content-length', '0')
    if ('transfer-encoding' in fields or 'expect' in fields or NOT_DIGIT.search(length)
            or not 0 < len(length) < 19):  # no body is longer, and int() of thousands of digits is slow
        from microdot.protocol import unusual_framing

        return unusual_framing(version, fields)
    return int(length), False


def keep_alive(version: str, value: 'str | None') -> bool:
    # Tell whether a ``Connection`` header lets the connection serve another request (RFC 9112 section 9.3).
    if value is None:
        return version == '1.1'
    value = value.lower()
    if value == 'close' or value == 'keep-alive':
        return value != 'close'
    from microdot.headers import tokens

    options = tokens(value)
    return 'close' not in options and (version == '1.1' or 'keep-alive' in options)


# ---------------------------------------------------------------------------------------------------------------
# Request
# ---------------------------------------------------------------------------------------------------------------

class BodyStream(AsyncBytesIO):
    """The body of a request, read from its connection as the handler asks for it."""

    status = 0  # of the refusal, once the body is known to be malformed or cut off
    expects = False  # the client waits for 100 (Continue)
    is_drainable: 'Callable[[], bool]'  # microdot.protocol has it

    def __init__(self, connection: 'Any', length: int):
        self.data = b''
        self.connection = connection
        self.left = length  # bytes to come; negative while a body of unknown length has not ended

    async def _fill(self, n: int) -> bool:
        data = b''
        while self.left and not data and not self.status:
            try:
                data = await self._receive(max(n, self.small_read_size))
            except Disconnected as exc:
                self.status = 408 if exc.args[:1] == (TIMED_OUT,) else 400
            except ProtocolError as exc:
                self.status = exc.args[0]
        if self.status:
            raise ProtocolError(self.status)
        return self._feed(data)

    async def _receive(self, n: int) -> bytes:
        # Return some bytes of the body, ``b''`` if none have come or it has ended.
        connection = self.connection
        connection.set_limit(connection.app.body_timeout)
        data: bytes = await connection.read(min(n, self.left))
        connection.deadline = None
        if not data:
            raise ProtocolError(400)
        self.left -= len(data)
        return data

    async def load(self) -> 'bytes | None':
        # Return all of the body, ``None`` if it is too large to be held in memory.
        return await self.read() if self.left <= Request.max_body_length else None


class Request:
    """An HTTP request, passed to every handler.

    Attributes: ``app``, ``client_addr`` (host, port), ``method``, ``scheme`` (``'http'`` or ``'https'``), ``url`` (the
    target as sent, with the query), ``path`` (percent-decoded), ``query_string`` (``str`` or ``None``), ``args``
    (:class:`MultiDict` of the query), ``headers`` (:class:`NoCaseDict`), ``cookies`` (``dict``), ``content_length``
    (bytes, 0 if unknown), ``content_type`` (``str`` or ``None``), ``http_version`` (``'1.1'``), ``body`` (``bytes``),
    ``stream`` (reader of the body), ``json`` (parsed, or ``None``), ``form`` (:class:`MultiDict` or ``None``),
    ``files``, ``g`` (an object for the application's own attributes), ``root_path`` (in front of ``path``, where an
    ASGI or WSGI host serves the application under a prefix), ``url_prefix`` and ``subapp`` (of the mounted
    sub-application), ``route`` (the handler), ``sock`` (reader and writer of the connection).

    """
    #: Largest body that is accepted, in bytes. Larger ones are answered with a 413.
    max_content_length = 16 * 1024
    #: Largest body that is loaded into ``body``, in bytes. Larger ones are only in ``stream``.
    max_body_length = 16 * 1024
    #: Longest request line (else 414) and header line (else 431), in bytes.
    max_readline = 2048 if ON_MICROPYTHON else 8192
    #: Largest header block, in bytes (else 431): the memory that a client can claim before it is known.
    max_header_size = 4096 if ON_MICROPYTHON else 16384
    #: Largest number of header lines (else 431).
    max_headers = 32 if ON_MICROPYTHON else 100

    # Defaults are here and not in __init__(), because each attribute of an object costs a board memory
    body = b''
    files: 'Any' = None
    root_path = url_prefix = ''
    subapp: 'Microdot | None' = None
    scheme = 'http'
    refusal: 'Exception | None' = None
    local_apps: 'tuple[Microdot, ...]' = ()
    after_request_handlers: 'tuple[Hook, ...]' = ()
    response_hooks: 'tuple[Hook, ...]' = ()  # of extensions: for errors, too
    keeps_alive = False  # the client lets the connection stay open
    fields: 'dict[str, str]'  # the headers with names in lower case, or without case; not to be changed
    block: 'bytes | None' = None  # the header lines as they came
    route: 'Hook | None' = None
    # Computed when they are first used
    headers: 'NoCaseDict'
    path: str
    query_string: 'str | None'
    content_type: 'str | None'
    args: 'MultiDict'
    cookies: 'dict[str, str]'
    json: 'Any'
    form: 'MultiDict | None'
    g: 'Any'
    stream: 'AsyncBytesIO'
    content_length: int
    # microdot.protocol and forms have them
    create: 'Create'
    after_request: 'Decorator'

    def __init__(self, app: 'Microdot', client_addr: 'tuple[str, int]', method: str, url: str, http_version: str,
                 headers: 'Any', body: 'bytes | None' = None, stream: 'Any' = None, sock: 'Any' = None,
                 **attributes: 'Any'):
        self.app = app
        self.client_addr = client_addr
        self.method = method
        self.url = url
        self.raw_path = url.partition('?')[0]
        self.http_version = http_version
        self.sock = sock
        if headers is not None:
            self.fields = headers
        if body:
            self.body = body
        if stream:
            self.stream = stream
        for name in attributes:  # such as url_prefix, subapp, scheme, route
            setattr(self, name, attributes[name])

    def __getattr__(self, name: str) -> 'Any':
        # Compute what is derived when it is first used; from then on it is an ordinary attribute.
        if name == 'path' and '%' not in self.raw_path:
            value: 'Any' = self.raw_path
        else:
            from microdot.forms import derive

            value = derive(self, name)
        setattr(self, name, value)
        return value

    async def load(self, body: BodyStream) -> None:
        # Move the body to ``body`` if it is small enough to be held in memory, else leave it to ``stream``.
        self.stream = body
        if body.left > Request.max_content_length:
            self.refusal = ProtocolError(413)
            return
        try:
            data = await body.load()
            if data is not None:
                self.body = data
                del self.stream
        except ProtocolError as exc:
            self.refusal = exc


# ---------------------------------------------------------------------------------------------------------------
# Response
# ---------------------------------------------------------------------------------------------------------------

class Response:
    """An HTTP response.

    :param body: ``str``, ``bytes``, ``dict`` or ``list`` (JSON), a generator or iterator (sync or async) of ``str`` or
                 ``bytes``, or an object with ``read(n)`` (sync or async).
    :param status_code: the status code.
    :param headers: a dictionary of headers; a list as value sends the header once for each item.
    :param reason: the reason phrase, if not the standard one.

    ``ValueError`` if a header's name or value has a line break or NUL in it.

    """
    #: File name extension to media type, beside those that ``microdot.sending`` knows.
    types_map: 'dict[str, str]' = {}
    #: Bytes of a file that are read and sent at a time.
    send_file_buffer_size = 1024 if ON_MICROPYTHON else 65536
    #: Media type of responses without one; ``; charset=UTF-8`` is added if it has no charset.
    default_content_type = 'text/plain'
    #: ``max_age`` of :meth:`send_file` where none is given, in seconds.
    default_send_file_max_age: 'int | None' = None
    #: Returned by handlers that answered on the socket themselves.
    already_handled: 'Any' = object()

    _headers: 'NoCaseDict | None' = None
    _kind = ''  # the Content-Type of a body that was made into JSON
    is_complete = False  # and checked
    is_plain = False  # complete, and nobody has looked at the headers, so that they follow from the body
    # microdot.cookies, headers and streaming have them
    set_cookie: 'SetCookie'
    delete_cookie: 'DeleteCookie'
    is_keepable: 'Callable[[str], bool]'
    write: 'Callable[[Any], Awaitable[None]]'
    body_iter: 'Callable[[], BodyIterator]'
    send_file: 'SendFile'
    origins: 'list[Any]' = []  # the bodies that hooks have replaced by other streams

    def __init__(self, body: 'Any' = b'', status_code: int = 200, headers: 'dict[str, Any] | None' = None,
                 reason: 'str | None' = None):
        if isinstance(body, str):
            body = body.encode()
        elif isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            self._kind = 'application/json; charset=UTF-8'
        elif body is None:
            body = b''
            status_code = 204 if status_code == 200 else status_code
        elif isinstance(body, (bytearray, memoryview)):
            body = bytes(body)
        self.body: 'Any' = body
        self.status_code = status_code
        self.reason = reason
        if headers:
            from microdot.headers import set_headers

            set_headers(self, headers)

    @property
    def headers(self) -> 'NoCaseDict':
        """The headers, a :class:`NoCaseDict`; a list as value is sent as one line for each item."""
        if self._headers is None:  # PERF: made when somebody asks for them, most often nobody does (bench: plain text)
            from microdot.headers import set_headers

            set_headers(self, None)
        return self._headers  # type: ignore[return-value]

    @headers.setter
    def headers(self, headers: 'Any') -> None:
        self._headers = headers

    def complete(self) -> None:
        # Fill in the headers that follow from the body and the defaults.
        self.is_complete = True
        self.is_plain = (self._headers is None and self.status_code == 200 and type(self.body) is bytes
                         and self.reason is None)
        if not self.is_plain:
            from microdot.headers import complete

            complete(self)

    async def send(self, stream: 'Any', version: str, extra: str, is_head: bool) -> None:
        # Write the response; ``extra`` are header lines of the connection. Closes the body in any case.
        if self.is_plain:  # PERF: bench, plain text
            kind = self._kind or self.default_content_type
            head = 'HTTP/%s 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n' % (
                version, kind if 'charset=' in kind else kind + '; charset=UTF-8', extra, len(self.body))
            await stream.awrite(head.encode() if is_head else head.encode() + self.body)
        else:
            from microdot.headers import send

            await send(self, stream, version, extra, is_head)

    @classmethod
    def redirect(cls, location: str, status_code: int = 302) -> 'Response':
        """Return a redirection to ``location``."""
        return cls(b'', status_code, {'Location': location})



async def create(*args: 'Any', **kwargs: 'Any') -> 'Any':
    from microdot.protocol import create_request

    return await create_request(*args, **kwargs)


def send_file(cls: 'type[Response]', *args: 'Any', **kwargs: 'Any') -> 'Any':
    from microdot.sending import send_file

    return send_file(cls, *args, **kwargs)


def make_response(value: 'Any') -> Response:
    # Make a response of what a handler returned.
    if isinstance(value, Response):
        return value
    if isinstance(value, int):
        return Response(b'', value)
    if not isinstance(value, tuple):
        return Response(value)
    body, status_code = value[:2]
    headers = value[2] if len(value) > 2 else None
    if not isinstance(status_code, int):
        headers = status_code
        status_code = 200
    return body if isinstance(body, Response) else Response(body, status_code, headers)


# ---------------------------------------------------------------------------------------------------------------
# Application
# ---------------------------------------------------------------------------------------------------------------

def shortcut(method: str) -> 'Callable[[Microdot, str], Hook]':
    def decorate(app: 'Microdot', url_pattern: str) -> 'Hook':
        return app.route(url_pattern, [method])
    return decorate


class Microdot:
    """An application: routes, hooks and error handlers, and the servers that run them."""

    #: Seconds for a whole header block, from its first byte.
    header_timeout = 10
    #: Seconds between two pieces of a body.
    body_timeout = 30
    #: Seconds that a connection is kept open for another request.
    keep_alive_timeout = 5
    #: Seconds for a client to read what was sent.
    write_timeout = 30
    #: Seconds, and bytes, to read and drop after a refusal, so that the client gets to read it (RFC 9112 section 9.6).
    linger_timeout = 1 if ON_MICROPYTHON else 5  # a board cannot half-close, so its clients wait for this
    #: Seconds for requests in flight to complete after :meth:`shutdown`; then their handlers are cancelled.
    graceful_timeout = 30
    #: See ``linger_timeout``.
    linger_bytes = 16 * 1024 * 1024
    #: Connections at a time. The oldest idle one makes room for a new one; if there is none, the new one waits (on
    #: a board) or gets a 503.
    max_connections = 8 if ON_MICROPYTHON else 1000

    def __init__(self) -> None:
        self.routes: 'list[Route]' = []  # the arguments of add_route()
        self._static: 'dict[str, Route]' = {}  # by method and path, where no other route can be meant
        self._has_patterns = False
        self._index: 'Any' = None  # of all routes, see microdot.routing
        self.before_request_handlers: 'list[Any]' = []
        self.after_request_handlers: 'list[Any]' = []
        self.after_error_request_handlers: 'list[Any]' = []
        self.error_handlers: 'dict[Any, Any]' = {}
        self.subapps: 'list[Microdot]' = []  # those whose hooks were copied
        self.debug = False
        self.servers: 'list[Server]' = []

    def route(self, url_pattern: str, methods: 'list[str] | None' = None) -> 'Callable[..., Any]':
        """Decorate a function to handle the requests for a path.

        :param url_pattern: see :class:`URLPattern`.
        :param methods: the HTTP methods, by default ``['GET']``.

        """
        names = list(map(str.upper, methods or ['GET']))
        if 'GET' in names and 'HEAD' not in names:
            names.append('HEAD')  # RFC 9110 section 9.3.2

        def decorated(f: 'Hook') -> 'Hook':
            self.add_route(url_pattern, names, f, prepare(f))
            return f
        return decorated

    #: ``route(url_pattern, [method])``; ``QUERY`` is the safe method with a body.
    get = shortcut('GET')
    post = shortcut('POST')
    put = shortcut('PUT')
    patch = shortcut('PATCH')
    delete = shortcut('DELETE')
    query = shortcut('QUERY')

    # microdot.hooks, routing and protocol have them
    before_request: 'Decorator'
    after_request: 'Decorator'
    after_error_request: 'Decorator'
    errorhandler: 'ErrorHandler'
    handle_error: 'HandleError'
    mount: 'Mount'
    options_handler: 'Callable[[Request], dict[str, str]]'
    default_options_handler: 'Callable[[Request], dict[str, str]]'
    handle_request: 'Callable[[Any, Any], Awaitable[None]]'
    run: 'Run' = run_app  # type: ignore[assignment]

    def add_route(self, url_pattern: str, methods: 'list[str]', handler: 'Hook', call: 'Any', url_prefix: str = '',
                  subapp: 'Microdot | None' = None, local_apps: 'tuple[Microdot, ...]' = ()) -> None:
        # Add a route.
        #
        # :param handler: the function as it was registered.
        # :param call: what :func:`prepare` returned for it.
        # :param url_prefix: the prefix under which ``subapp`` was mounted.
        # :param local_apps: sub-applications whose hooks are for their own routes only, innermost first.
        route = (url_pattern, methods, handler, call, url_prefix, subapp, local_apps)
        self.routes.append(route)
        if '<' in url_pattern or '%' in url_pattern:
            self._has_patterns = True  # the routes after this one are not found by their paths alone
        for method in () if self._has_patterns else methods:
            self._static.setdefault(method + '/' + url_pattern.lstrip('/'), route)

    @staticmethod
    def abort(status_code: int, reason: 'str | None' = None) -> 'NoReturn':
        """End the request with a status code; ``reason`` is the body of the response."""
        from microdot.hooks import HTTPException

        raise HTTPException(status_code, reason)

    async def dispatch_request(self, request: Request) -> Response:
        # Call the handlers for a request and return the response.
        try:
            if request.refusal:
                raise request.refusal
            route = self._static.get(request.method + request.raw_path)
            if route:  # PERF: bench, plain text and routing
                return await self.handle(request, route, {})
            from microdot.routing import dispatch

            return await dispatch(self, request)
        except Disconnected:
            raise
        except Exception as exc:
            return await self.handle_error(request, exc)

    async def handle(self, request: Request, route: 'Route', args: 'dict[str, Any]') -> Response:
        # Run the handler of a route, and the hooks around it.
        _, _, request.route, call, url_prefix, subapp, local_apps = route
        if subapp:
            request.url_prefix = url_prefix
            request.subapp = subapp
            request.local_apps = local_apps
        apps: 'tuple[Microdot, ...]' = local_apps + (self,)
        value = None
        for app in reversed(apps):
            for hook in app.before_request_handlers:
                if value is None:
                    value = await hook(request)
        if value is None:
            value = await call(request, **args)
        if value is Response.already_handled:
            response = Response()
        else:
            response = make_response(value)
        if (type(response.body) is bytes and not local_apps and not self.after_request_handlers
                and not request.after_request_handlers and not request.response_hooks):
            response.complete()  # PERF: bench, plain text
        else:
            from microdot.hooks import finish_request

            response = await finish_request(apps, request, response)
        return Response.already_handled if value is Response.already_handled else response

    async def start_server(self, host: 'Any' = '0.0.0.0', port: int = 5000, debug: bool = False, ssl: 'Any' = None,
                           start_serving: bool = True, **options: 'Any') -> 'Server | None':
        """Serve until :meth:`shutdown` is called or the task is cancelled.

        :param host: address to listen on, by default all of IPv4; on CPython also the path of a UNIX socket, a
                     listening socket or a list of them.
        :param port: TCP port.
        :param debug: log a line when the server starts and one for each request.
        :param ssl: an ``ssl.SSLContext`` for TLS.
        :param start_serving: ``False`` to get an object with ``serve_forever()``, ``close()`` and ``wait_closed()``
                              instead (CPython only, else ``ValueError``).
        :param options: on CPython ``access_log`` (``True`` to log a line for each request) and ``trusted_proxies``
                        (list of addresses and networks whose ``Forwarded`` headers are believed).

        """
        if not start_serving and ON_MICROPYTHON:
            raise ValueError('CPython only')
        self.debug = debug
        if self._has_patterns:
            from microdot.routing import compile_routes

            compile_routes(self)  # so that a mistake shows now and not with the first request
        server = make_server(self, **options)
        await server.start(host, port, ssl)
        if not start_serving:
            return server
        await server.serve_forever()
        return None

    def shutdown(self) -> None:
        """Stop the server: requests in flight are completed, idle connections closed. Any thread may call this."""
        for server in list(self.servers):
            server.close_soon()


abort = Microdot.abort
redirect = Response.redirect
Request.create = staticmethod(create)
Response.send_file = classmethod(send_file)  # type: ignore[assignment]
send_file = Response.send_file  # type: ignore[assignment]
AsyncBytesIO.__getattr__ = Response.__getattr__ = Microdot.__getattr__ = find_method  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------------------
# The portable server: asyncio streams
# ---------------------------------------------------------------------------------------------------------------

class Disconnected(OSError):
    """The client is gone, or did not keep a time limit (then the first argument is ``TIMED_OUT``)."""


class Connection(AsyncBytesIO):
    """A connection to a client. Handlers see it as ``request.sock``, both as reader and as writer."""

    is_busy = False  # from a complete header block to the end of the response
    idle_since = 0  # the sweep since which it is not busy
    is_ended = False
    is_torn = False  # a task was cancelled after it had written a part of its data, which nothing can follow
    is_eof = False  # the client sends no more; only watchers look at this
    is_upgraded = False  # it does not speak HTTP any more (RFC 9110 section 7.8)
    watcher: 'Any' = None
    # microdot.protocol and streaming have them
    linger: 'Callable[[], Awaitable[None]]'
    watch: 'Callable[[Any], None]'
    unwatch: 'Callable[[], Awaitable[None]]'
    resume_reading: 'Callable[[], None]'
    get_extra_info: 'Callable[..., Any]'
    body: 'BodyStream | None' = None
    task: 'Any' = None
    client_addr: 'Any' = None  # where that is known from the beginning
    raw_socket: 'Any' = None  # beneath TLS, which leaves it open when its handshake has failed
    deadline: 'int | None' = None
    write_size = 65536  # bytes at a time, for each of which there is write_timeout

    def __init__(self, server: 'Server', reader: 'Any', writer: 'Any'):
        self.data = b''
        self.app = server.app
        self.server = server
        self.reader = reader
        self.writer = writer

    def set_limit(self, seconds: float) -> None:
        # Let what the connection waits for from now on fail with ``Disconnected`` after this time.
        self.deadline = self.server.get_deadline(seconds)

    async def _wait(self, f: 'Any') -> 'Any':
        # Await until the deadline. A sweep of the server cancels it then: cheaper than a timer for each.
        task = asyncio.current_task()
        waits = self.server.waits
        waits[task] = self.deadline
        try:
            return await f
        except asyncio.CancelledError:
            if waits[task] != 0:
                raise
            uncancel()
            raise Disconnected(TIMED_OUT) from None
        except OSError:
            raise Disconnected() from None
        finally:
            del waits[task]

    async def _fill(self, n: int) -> bool:
        return self._feed(await self._wait(self.reader.read(n)))

    async def read_head(self) -> bytes:
        # Return a header block with its empty line, ``b''`` where the connection ends before one begins.
        self.is_busy = False
        self.idle_since = self.server.sweeps
        if self.body:
            self.body = None
        waits = self.server.waits
        task = asyncio.current_task()
        had = -1
        while True:
            if self.data[:1] == b'\r':
                from microdot.protocol import skip_empty_lines

                self.data = skip_empty_lines(self.data)
            end = find_head_end(self.data)
            if end:
                self.is_busy = True
                self.deadline = None
                return self._take(end)
            if had <= 0:  # idle, and from the first byte on
                self.set_limit(self.app.header_timeout if self.data else self.app.keep_alive_timeout)
            had = len(self.data)
            waits[task] = self.deadline  # as _wait() does; a coroutine for it takes 200 bytes of an idle connection
            try:
                data = await self.reader.read(self.read_size)
            except asyncio.CancelledError:
                if waits[task] != 0:
                    raise
                uncancel()
                if had:
                    raise ProtocolError(408) from None
                data = b''
            except OSError:
                raise Disconnected() from None
            finally:
                del waits[task]
            if not data:
                if had:
                    raise ProtocolError(400)
                return b''
            self._feed(data)

    async def awrite(self, data: bytes) -> None:
        # Send all of ``data``; ``Disconnected`` if the client is gone or does not read.
        writer = self.writer
        has_buffer = hasattr(writer, 'out_buf')  # MicroPython's stream, which sends at once what the network takes
        view = memoryview(data)
        for start in range(0, len(data), self.write_size):
            piece = view[start:start + self.write_size]
            self.is_torn = ON_MICROPYTHON or start + self.write_size < len(data)  # else the rest is in asyncio's buffer
            if has_buffer:
                try:
                    sent = writer.s.write(piece)
                except OSError:
                    raise Disconnected() from None
                if sent == len(piece):
                    continue
                writer.out_buf = piece[sent or 0:]  # no copy, as write() would make one
            self.set_limit(self.app.write_timeout)
            await self._wait(writer.drain() if has_buffer else writer.awrite(piece))
        self.deadline = None
        self.is_torn = False

    async def aclose(self) -> None:
        self.set_limit(self.app.write_timeout)
        try:
            await self._wait(self.writer.aclose())
        finally:
            if self.raw_socket:
                self.raw_socket.close()

    def end(self) -> None:
        # Close the connection unless it is busy.
        if self.watcher:
            self.watcher.end()
        elif not self.is_busy:
            self.cancel()

    def cancel(self) -> None:
        # End the connection and the handler that serves it at once.
        self.is_busy = self.is_ended = True
        self.task.cancel()

    async def serve(self) -> None:
        # Serve one request after the other until either side closes the connection.
        self.task = asyncio.current_task()
        try:
            try:
                self.server.connections.append(self)
                try:
                    head = b'' if self.server.is_closing else await self.read_head()
                    while head and await self.answer(head):
                        head = await self.read_head()
                except ProtocolError as exc:
                    if not self.is_busy:  # else it is what was left of a body
                        await self.refuse(exc)
            except asyncio.CancelledError:
                if not self.is_ended:  # by us
                    raise
                uncancel()
            finally:  # also when a KeyboardInterrupt hits this task
                await self.aclose()
        except Disconnected:
            pass
        except Exception as exc:  # the body of a response failed; the client can tell because its end is missing
            log_error(exc, None)
        finally:
            self.server.remove(self)

    def parse(self, head: bytes) -> Request:
        # Make a request of a header block with its empty line; what is to come of its body is in ``body``.
        line, _, block = head.partition(b'\n')
        method, target, version, authority = parse_request_line(line)
        if version == '1.0':  # RFC 9112 section 2.2: a bare LF may end a line; here only in HTTP/1.0
            block = block.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
        fields = parse_fields(block, version)
        if authority:
            fields['host'] = authority
        return self.make_request(method, target, version, fields, block)

    def make_request(self, method: str, target: str, version: str, fields: 'dict[str, str]', block: bytes) -> Request:
        request = Request(self.app, self.client_addr or self.writer.get_extra_info('peername'), method, target, version,
                          fields, b'', None, (self, self))
        request.block = block
        request.scheme = self.server.scheme
        request.keeps_alive = keep_alive(version, fields.get('connection'))
        length, expects = body_framing(version, fields)
        if length < 0 or expects:
            from microdot.protocol import UnusualBody

            self.body = UnusualBody(self, length, expects)
        elif length and length <= len(self.data) and length <= min(Request.max_body_length, Request.max_content_length):
            request.body = self._take(length)  # PERF: bench, JSON echo
        elif length:
            self.body = BodyStream(self, length)
        return request

    async def answer(self, head: bytes) -> bool:
        # Answer the request with this header block. Returns whether there can be another one.
        try:
            request = self.parse(head)
        except ProtocolError as exc:
            return await self.refuse(exc, head[:5] == b'HEAD ')
        if self.body:
            await request.load(self.body)
        response = None
        try:
            response = await self.app.dispatch_request(request)
            if self.is_upgraded or response is Response.already_handled:
                return False
            return await self.respond(request, response, request.method == 'HEAD')
        finally:
            if self.watcher:
                await self.watcher.finish(response)

    async def refuse(self, exc: ProtocolError, is_head: bool = False) -> bool:
        # Answer what is not a request.
        return await self.respond(None, await self.app.handle_error(None, exc), is_head)

    async def respond(self, request: 'Request | None', response: Response, is_head: bool) -> bool:
        # Send a response. Returns whether there can be another request.
        server = self.server
        body = self.body
        version = request.http_version if request else '1.1'
        is_kept = (request and request.keeps_alive and not request.refusal and not server.is_closing
                   and not server.is_crowded and (not body or not body.left or body.is_drainable())
                   and (response.is_plain or response.is_keepable(version)))
        extra = date_header() if date_header else ''
        if not is_kept or version == '1.0':
            if response.is_plain or 'Connection' not in response.headers:
                extra += 'Connection: %s\r\n' % ('keep-alive' if is_kept else 'close')
        await response.send(self, version, extra, is_head)
        if server.logs_requests and request:
            log_request(request, response)
        if is_kept:
            while body and await body.read(self.read_size):
                pass
        elif not request or self.data or (body and body.left):
            await self.linger()
        return is_kept and not server.is_closing  # type: ignore[return-value]



class Server:
    """Listens on a port and watches over its connections."""

    #: Seconds between two sweeps over the deadlines; a time limit ends that much late at the most.
    sweep_period = 0.5
    scheme = 'http'
    sweeps = 0
    deadline = 0  # the sweep that ends a graceful shutdown
    is_closing = False
    is_closed = False
    failure: 'OSError | None' = None  # of the port
    is_crowded = False  # somebody waits for a connection to end
    listener: 'Any' = None
    loop: 'Any'  # on CPython
    listen: 'Any' = listen

    def __init__(self, app: Microdot):
        self.app = app
        self.logs_requests = app.debug
        self.connections: 'Any' = []  # the oldest first
        self.waits: 'dict[Any, int | None]' = {}  # task: the sweep that ends its waiting; 0 when that has come
        self.changed = asyncio.Event()  # set when a connection has ended

    async def start(self, host: 'Any', port: int, ssl: 'Any' = None) -> None:
        # Open the port. On CPython connections are accepted from :meth:`serve_forever` on.
        if ssl:
            self.scheme = 'https'
        self.listener = await self.listen(host, port, ssl)
        asyncio.create_task(self._sweep())
        self.app.servers.append(self)

    async def serve_forever(self) -> None:
        """Accept connections until :meth:`close` is called; a cancellation ends all connections at once.

        ``OSError`` if the network fails (MicroPython).

        """
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            self.cancel()
            raise
        if self.failure:
            raise self.failure

    def close(self) -> None:
        """Accept no more connections, close those that are idle, let the others complete their request."""
        if not self.is_closing:
            self.is_closing = True
            self.stop_listening()
            self.deadline = self.get_deadline(self.app.graceful_timeout)
            self.end_idle()

    close_soon = close  # from another thread, on CPython

    def stop_listening(self) -> None:
        if not self.failure:
            self.listener.cancel()

    def end_idle(self) -> None:
        for connection in list(self.connections):
            connection.end()
        self.check_closed()

    def cancel(self) -> None:
        # End all connections at once, and the handlers that serve them.
        for connection in list(self.connections):
            connection.cancel()

    async def wait_closed(self) -> None:
        """Wait until all connections are closed."""
        while not self.is_closed:
            self.changed.clear()
            await self.changed.wait()

    async def stop(self) -> None:
        # Do both. In a task of its own: MicroPython takes the task that Ctrl-C interrupted for the one that runs.
        self.close()
        await self.wait_closed()

    async def make_room(self) -> None:
        # Wait until one more connection may come in. The oldest idle one ends for it, and busy ones are not kept.
        while len(self.connections) >= self.app.max_connections:
            self.is_crowded = True
            self.end_oldest()
            self.changed.clear()
            await self.changed.wait()
        self.is_crowded = False

    def end_oldest(self) -> bool:
        # End the oldest idle connection; ``False`` if there is none.
        for connection in self.connections:
            # a new one gets the time to send what is under way: closed with unread data, it would be reset
            if not connection.is_busy and connection.idle_since < self.sweeps - 1:
                connection.end()
                return True
        return False

    def remove(self, connection: Connection) -> None:
        self.connections.remove(connection)
        self.changed.set()
        self.check_closed()

    def check_closed(self) -> None:
        if self.is_closing and not self.connections and not self.is_closed:
            self.is_closed = True
            self.app.servers.remove(self)
            self.changed.set()

    async def _sweep(self) -> None:
        while not self.is_closed:
            await asyncio.sleep(self.sweep_period)
            self.sweeps += 1
            self.changed.set()  # a connection may be idle for long enough now
            try:
                self.expire()
                if self.is_closing and self.sweeps >= self.deadline:
                    self.cancel()
            except MemoryError:  # the next sweep finds the others
                pass

    def expire(self) -> None:
        # End what has passed its deadline.
        for task, deadline in list(self.waits.items()):
            if deadline and deadline <= self.sweeps:
                self.waits[task] = 0
                task.cancel()

    def get_deadline(self, seconds: float) -> int:
        # Return the number of the first sweep after so many seconds.
        return self.sweeps + 1 + int(seconds / self.sweep_period)


if ON_MICROPYTHON:
    make_server = Server  # type: ignore[assignment]
else:
    from microdot.cpython import complete_core

    complete_core(globals())
