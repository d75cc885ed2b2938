"""What the wire tests share: a strict parser of responses, and ways to bring bytes to a server.

Works on CPython and on MicroPython. Nothing here uses the code under test to judge it.

"""
import asyncio
import sys

from helpers import logged_errors
from ports import own_ports

ON_MICROPYTHON = sys.implementation.name == 'micropython'
READ_SIZE = 512 if ON_MICROPYTHON else 4096  # bytes; MicroPython allocates them before it reads
# RFC 9110 section 5.6.2
TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SINGLE_FIELDS = ('content-length', 'transfer-encoding', 'content-type', 'connection', 'date', 'allow')

# RFC 9110 section 15, RFC 6585: the responses of the wire cases
REASONS = {
    100: b'Continue', 200: b'OK', 202: b'Accepted', 204: b'No Content', 302: b'Found', 304: b'Not Modified',
    400: b'Bad Request', 404: b'Not Found', 405: b'Method Not Allowed', 408: b'Request Timeout',
    413: b'Content Too Large', 414: b'URI Too Long', 417: b'Expectation Failed',
    431: b'Request Header Fields Too Large', 500: b'Internal Server Error', 501: b'Not Implemented',
    503: b'Service Unavailable', 505: b'HTTP Version Not Supported',
}


class BadResponse(AssertionError):
    """A response breaks a rule of HTTP."""


class Incomplete(Exception):
    """More bytes are needed to see the end of the response."""


def check(condition: 'object', what: str, data: bytes) -> None:
    if not condition:
        raise BadResponse('%s: %r' % (what, data))


# ---------------------------------------------------------------------------------------------------------------
# A strict parser of responses (RFC 9112)
# ---------------------------------------------------------------------------------------------------------------

class Parsed:
    """A response as it came: ``headers`` are pairs of lower case name and value."""

    def __init__(self, version: str, status: int, headers: 'list[tuple[str, str]]'):
        self.version = version
        self.status = status
        self.headers = headers
        self.body = b''
        self.is_cut = False  # the connection ended before the body did

    def get(self, name: str) -> 'str | None':
        """Return a header; repeated ones are joined."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ', '.join(values) if values else None

    def options(self) -> 'list[str]':
        return [option.strip().lower() for option in (self.get('Connection') or '').split(',')]


def take_response(data: bytes, method: str = 'GET', is_eof: bool = True) -> 'tuple[Parsed, bytes]':
    """Parse the response at the beginning of ``data`` and return it with what follows.

    :param method: of the request that is answered.
    :param is_eof: the server has closed the connection after ``data``.

    Raises ``BadResponse``; ``Incomplete`` if the header block, or without ``is_eof`` the body, has not ended.

    """
    end = data.find(b'\r\n\r\n')
    if end < 0:
        raise Incomplete
    lines = data[:end].split(b'\r\n')
    version, status = take_status_line(lines[0])
    response = Parsed(version, status, [take_field(line) for line in lines[1:]])
    check_headers(response, data)
    try:
        response.body, rest = take_body(response, method, data[end + 4:], is_eof)
    except Incomplete:
        if not is_eof:
            raise
        response.is_cut = True
        return response, b''
    return response, rest


def take_status_line(line: bytes) -> 'tuple[str, int]':
    """Parse a status line (RFC 9112 section 4)."""
    check(line[:7] == b'HTTP/1.' and line[7:8] in (b'0', b'1') and line[8:9] == b' ' and line[12:13] == b' ',
          'status line', line)
    check(line[9:12].isdigit() and line[9:10] in b'12345', 'status code', line)
    check_text(line[13:])
    status = int(line[9:12])
    check(line[13:] == REASONS.get(status, line[13:]), 'reason phrase', line)
    return '1.' + chr(line[7]), status


def take_field(line: bytes) -> 'tuple[str, str]':
    """Parse a field line (RFC 9112 section 5)."""
    name, colon, value = line.partition(b':')
    check(colon and name, 'field line', line)
    for byte in name:
        check(byte in TOKEN, 'field name', line)
    check_text(value)
    return name.decode().lower(), value.decode().strip(' \t')


def check_text(text: bytes) -> None:
    """Refuse control characters (RFC 9110 section 5.5), the CR and LF of a wrong line end among them."""
    for byte in text:
        check(byte > 31 and byte != 127 or byte == 9, 'control character', text)


def check_headers(response: Parsed, data: bytes) -> None:
    """Check what the header of a response must say about its framing (RFC 9112 section 6)."""
    names = [name for name, _ in response.headers]
    for name in SINGLE_FIELDS:
        check(names.count(name) < 2, 'repeated ' + name, data)
    coding = response.get('Transfer-Encoding')
    length = response.get('Content-Length')
    check(coding in (None, 'chunked'), 'Transfer-Encoding', data)
    check(coding is None or length is None, 'Transfer-Encoding and Content-Length', data)
    check(coding is None or response.version == '1.1', 'Transfer-Encoding in HTTP/1.0', data)
    check(length is None or length.encode().isdigit(), 'Content-Length', data)
    if response.status < 200 or response.status == 204:  # RFC 9110 section 8.6, RFC 9112 section 6.1
        check(coding is None and length is None, 'framing of a response that has no body', data)
    if response.status >= 200 and not ON_MICROPYTHON:
        check(is_date(response.get('Date') or ''), 'Date', data)


def is_date(text: str) -> bool:
    """Tell whether this has the form of an IMF-fixdate (RFC 9110 section 5.6.7)."""
    shape = ''.join(['0' if char.isdigit() else 'a' if char.isalpha() else char for char in text])
    return shape == 'aaa, 00 aaa 0000 00:00:00 aaa' and text[-4:] == ' GMT'


def take_body(response: Parsed, method: str, data: bytes, is_eof: bool) -> 'tuple[bytes, bytes]':
    """Return the body and what follows it (RFC 9112 section 6.3)."""
    if method == 'HEAD' or response.status < 200 or response.status in (204, 304):
        return b'', data
    if response.get('Transfer-Encoding'):
        return take_chunks(data)
    length = response.get('Content-Length')
    if length is None:
        check(response.version == '1.0', 'neither Content-Length nor chunked in HTTP/1.1', data)
        if not is_eof:
            raise Incomplete
        return data, b''
    if len(data) < int(length):
        raise Incomplete
    return data[:int(length)], data[int(length):]


def take_chunks(data: bytes) -> 'tuple[bytes, bytes]':
    """Decode a chunked body (RFC 9112 section 7.1); this project sends no extensions and no trailers."""
    body = b''
    while True:
        size, crlf, data = data.partition(b'\r\n')
        if not crlf:
            raise Incomplete
        check(size and b'0x' not in size, 'chunk size', size)
        for byte in size:
            check(byte in b'0123456789abcdefABCDEF', 'chunk size', size)
        n = int(size, 16)
        if len(data) < n + 2:
            raise Incomplete
        check(data[n:n + 2] == b'\r\n', 'end of a chunk', data[:n + 2])
        body += data[:n]
        data = data[n + 2:]
        if not n:
            return body, data


# ---------------------------------------------------------------------------------------------------------------
# What is expected, and how it is compared
# ---------------------------------------------------------------------------------------------------------------

class Reply:
    """An expected response.

    :param status: the status code, or a tuple of those that are allowed.
    :param body: the body, ``None`` for any.
    :param headers: headers with their values; a tuple stands for a comma separated list in any order.
    :param absent: names of headers that must not be there.
    :param method: of the request.
    :param version: of the response; ``None`` for any, since a request that is refused may have no version.
    :param is_cut: the connection must end before the body does.

    """

    def __init__(self, status: 'int | tuple[int, ...]', body: 'bytes | None' = None,
                 headers: 'dict[str, object] | None' = None, absent: 'tuple[str, ...]' = (),
                 method: str = 'GET', version: 'str | None' = '1.1', is_cut: bool = False):
        self.statuses = status if isinstance(status, tuple) else (status,)
        self.body = body
        self.headers = headers or {}
        self.absent = absent
        self.method = method
        self.version = version
        self.is_cut = is_cut

    def compare(self, response: Parsed) -> None:
        """Raise ``AssertionError`` where a response is not the expected one."""
        expect('status', response.status in self.statuses, self.statuses, response.status)
        expect('version', self.version in (None, response.version), self.version, response.version)
        expect('cut off', response.is_cut == self.is_cut, self.is_cut, response.is_cut)
        expect('body', self.body in (None, response.body), self.body, response.body)
        for name, value in self.headers.items():
            found = response.get(name)
            if isinstance(value, tuple):
                value = sorted(value)
                found = sorted((found or '').replace(' ', '').split(','))
            expect(name, value == found, value, found)
        for name in self.absent:
            expect(name, response.get(name) is None, None, response.get(name))


def expect(what: str, condition: bool, wanted: object, found: object) -> None:
    assert condition, '%s: wanted %r, got %r' % (what, wanted, found)


class Outcome:
    """What must come out.

    :param replies: the responses.
    :param is_open: whether the connection then stays open; ``None`` if it may or may not.
    :param is_refusal: no handler may have seen the request.
    :param is_overrun: the client sends what nobody reads, which can reset the connection.

    """

    def __init__(self, replies: 'tuple[Reply, ...]', is_open: 'bool | None', is_refusal: bool = False,
                 is_overrun: bool = False):
        self.replies = replies
        self.is_open = is_open
        self.is_refusal = is_refusal
        self.is_overrun = is_overrun

    def take(self, data: bytes, is_eof: bool) -> bytes:
        """Compare the responses in ``data`` with the expected ones, return what follows them."""
        for i, reply in enumerate(self.replies):
            if not data and is_eof:
                raise AssertionError('the connection was closed after %d responses' % i)
            response, data = take_response(data, reply.method, is_eof)
            reply.compare(response)
            is_last = i == len(self.replies) - 1
            if response.status >= 200 and self.is_open is not None and not reply.is_cut:
                check_persistence(response, self.is_open or not is_last)
        return data

    def check_all(self, data: bytes) -> None:
        """Compare all that came until the connection was closed, after a ``PROBE`` had been sent."""
        try:
            rest = self.take(data, True)
            if self.is_open or self.is_open is None and rest:
                assert rest, 'the connection was closed after the last response'
                rest = PROBED.take(rest, True)
        except Incomplete:
            raise AssertionError('the connection was closed within a header block: %r' % data) from None
        expect('after the last response', not rest, b'', rest)


def check_persistence(response: Parsed, is_open: bool) -> None:
    """Check that a response says whether the connection stays open (RFC 9112 sections 9.3 and 9.6)."""
    options = response.options()
    announces = 'close' not in options and (response.version == '1.1' or 'keep-alive' in options)
    expect('persistence that Connection announces', announces == is_open, is_open, response.get('Connection'))


PROBE = b'GET / HTTP/1.1\r\nHost: probe\r\n\r\n'
LAST_PROBE = b'GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n'
PROBE_REPLY = Reply(200, b'hello')
PROBED = Outcome((PROBE_REPLY,), True)
LAST_PROBED = Outcome((PROBE_REPLY,), False)


def keeps(*replies: Reply) -> Outcome:
    """Expect these responses; the connection stays open."""
    return Outcome(replies, True)


def closes(*replies: Reply) -> Outcome:
    """Expect these responses; the connection is closed."""
    return Outcome(replies, False)


def overruns(*replies: Reply) -> Outcome:
    """Expect these responses and a closed connection; the client sends more although it knows that."""
    return Outcome(replies, False, is_overrun=True)


def either(*replies: Reply) -> Outcome:
    """Expect these responses; the connection stays open or is closed."""
    return Outcome(replies, None)


def refuses(*statuses: int) -> Outcome:
    """Expect a response with one of these codes, no call of a handler, and the end of the connection."""
    return Outcome((Reply(statuses, version=None),), False, is_refusal=True)


def behind_probe(outcome: Outcome) -> Outcome:
    """Return the outcome of the same bytes when ``PROBE`` came before them."""
    return Outcome((PROBE_REPLY,) + outcome.replies, outcome.is_open, outcome.is_refusal, outcome.is_overrun)


# ---------------------------------------------------------------------------------------------------------------
# Bytes to a server, and back
# ---------------------------------------------------------------------------------------------------------------

class Failures:
    """Collects what went wrong in many small runs, to raise it as one ``AssertionError``."""

    def __init__(self) -> None:
        self.messages: 'list[str]' = []

    def add(self, name: str, mode: str, pieces: 'list[bytes]', exc: BaseException) -> None:
        what = exc if isinstance(exc, AssertionError) else repr(exc)
        self.messages.append('%s (%s)\n    %s\n    sent %r' % (name, mode, what, b''.join(pieces)[:300]))

    def raise_any(self, log: 'list[str]') -> None:
        """Raise an ``AssertionError`` with the first failures, if there are any, and with what was logged."""
        if self.messages:
            shown = self.messages[:20] + log[:5]
            raise AssertionError('\n\n'.join(['%d failures' % len(self.messages)] + shown))


class Log:
    """``with Log() as log:`` what is printed to ``sys.stderr`` or reported to the event loop is in ``log.lines``."""

    def __init__(self) -> None:
        self.lines: 'list[str]' = []

    def write(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None:
        pass

    def record_loop(self, loop: object, context: 'dict[str, object]') -> None:
        self.lines.append('%s %r' % (context.get('message'), context.get('exception')))

    def __enter__(self) -> 'Log':
        self.errors = logged_errors()
        self.exceptions = self.errors.__enter__()
        self.loop = asyncio.get_event_loop()
        self.loop.set_exception_handler(self.record_loop)
        if not ON_MICROPYTHON:  # where sys.stderr cannot be replaced
            self.stderr = sys.stderr
            sys.stderr = self
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.errors.__exit__(*exc_info)
        self.lines += [repr(exc) for exc in self.exceptions]
        self.loop.set_exception_handler(None)
        if not ON_MICROPYTHON:
            sys.stderr = self.stderr


class serving:
    """``async with serving(serve, app) as port:`` the application listens on 127.0.0.1.

    :param serve: the way to serve: ``await serve(app, port)`` returns after ``app.shutdown()``, and raises
                  ``OSError`` if the port is in use.

    """
    ports = iter(own_ports())

    def __init__(self, serve: 'object', app: 'object'):
        self.serve = serve
        self.app = app

    async def __aenter__(self) -> int:
        for port in self.ports:
            self.error = None
            self.task = asyncio.create_task(self.run(port))
            if await self.is_ready(port):
                return port
        raise OSError('no free port')

    async def run(self, port: int) -> None:
        try:
            await self.serve(self.app, port)
        except OSError as exc:  # kept, because MicroPython prints what a task raises
            self.error = exc

    async def is_ready(self, port: int) -> bool:
        """Wait until the server accepts connections; ``False`` if the port belongs to somebody else."""
        for _ in range(200):
            await asyncio.sleep(0.01)
            if self.task.done():
                return False
            try:
                _, writer = await asyncio.open_connection('127.0.0.1', port)
            except OSError:
                continue
            await close(writer)
            return True
        raise AssertionError('the server does not start')

    async def __aexit__(self, *exc_info: object) -> None:
        self.app.shutdown()
        await asyncio.wait_for(self.task, 10)
        assert not self.error, self.error


async def close(writer: 'object') -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


class Talk:
    """Brings rows to a server over sockets: sends all, each piece on its own, and only then reads and compares."""

    def __init__(self, port: int):
        self.port = port
        self.lock = asyncio.Lock()  # one connects at a time, because a board's backlog is short

    async def run(self, pieces: 'list[bytes]', outcome: Outcome) -> None:
        async with self.lock:
            reader, writer = await asyncio.open_connection('127.0.0.1', self.port)
        try:
            await send(writer, pieces)
            if outcome.is_open is False:
                rest = outcome.take(await read_all(reader), True)
            else:
                await read_replies(reader, outcome)
                rest = await probe(reader, writer, bool(outcome.is_open))
            expect('after the last response', not rest, b'', rest)
        except OSError:
            if not outcome.is_overrun:
                raise
        finally:
            await close(writer)


async def read_replies(reader: 'object', outcome: Outcome) -> None:
    """Read the expected responses from a connection that need not end after them, and no more."""
    data = b''
    while True:
        try:
            rest = outcome.take(data, False)
            break
        except Incomplete:
            more = await reader.read(READ_SIZE)
            assert more, 'the connection was closed after %r' % data
            data += more
    expect('after the last response', not rest, b'', rest)


async def probe(reader: 'object', writer: 'object', must_be_open: bool) -> bytes:
    """Send one more request and check the answer. Returns what follows it."""
    try:
        await send(writer, [LAST_PROBE])
        data = await read_all(reader)
    except OSError:
        if must_be_open:
            raise
        return b''
    return LAST_PROBED.take(data, True) if data or must_be_open else b''


async def read_all(reader: 'object') -> bytes:
    """Read up to the end of the connection."""
    data = b''
    while True:
        more = await reader.read(READ_SIZE)
        if not more:
            return data
        data += more


async def send(writer: 'object', pieces: 'list[bytes]') -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        if len(pieces) > 1:
            await asyncio.sleep(0)  # let the server read this much


async def at_a_time(n: int, jobs: 'list[object]', run: 'object') -> None:
    """Await ``run(job)`` for all jobs, ``n`` of them concurrently."""
    queue = list(reversed(jobs))

    async def work() -> None:
        while queue:
            await run(queue.pop())

    await asyncio.gather(*[work() for _ in range(n)])
