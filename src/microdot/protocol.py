"""A part of the core: the less usual of HTTP/1.1, plain functions over complete data but for the two bodies."""
import re
from binascii import unhexlify

from microdot.headers import tokens
from microdot.microdot import (
    NOT_DIGIT,
    NOT_HOST,
    NOT_TARGET,
    NOT_TEXT,
    NOT_TOKEN,
    ON_MICROPYTHON,
    BodyStream,
    Connection,
    ProtocolError,
    Request,
    Server,
    decode,
    is_host,
    parse_field,
)

if False:  # TYPE_CHECKING
    from typing import Any

NOT_HEX = re.compile('[^0-9A-Fa-f]')
NOT_ADDRESS = re.compile('[^0-9A-Fa-f:.]')  # of IPv6


def decode_latin1(data: bytes) -> str:
    # in slices: a list of all characters would ask a board for eight times their size in one piece
    return ''.join([''.join(map(chr, data[i:i + 32])) for i in range(0, len(data), 32)])


def skip_empty_lines(data: bytes) -> bytes:
    """Return what follows the empty lines before a request (RFC 9112 section 2.2), at once, however many there are."""
    end = (len(data) - len(data.lstrip(b'\r\n'))) & ~1
    return data[end:] if data[:end] == b'\r\n' * (end // 2) else data


def parse_unusual_line(line: bytes) -> 'tuple[str, str, str, str]':
    """Parse any request line: HTTP/1.0, absolute and asterisk form, and what has to be refused.

    Returns what :func:`microdot.microdot.parse_request_line` does.

    """
    text = decode(line)
    parts = text.rstrip('\r').split(' ')
    if len(parts) != 3 or not parts[0] or NOT_TOKEN.search(parts[0]) or NOT_TARGET.search(parts[1]):
        raise ProtocolError(400)
    method, target, version = parts
    if version not in ('HTTP/1.1', 'HTTP/1.0'):
        major, dot, minor = version[5:].partition('.')
        is_version = version[:5] == 'HTTP/' and len(version) == 8 and dot and (major + minor).encode().isdigit()
        raise ProtocolError(505 if is_version and major != '1' else 400)
    if text[-2:] not in ('1\r', '0\r', '.0'):  # RFC 9112 section 2.2
        raise ProtocolError(400)
    authority = ''
    if target[:1] != '/' and not (target == '*' and method == 'OPTIONS'):
        scheme, _, rest = target.partition('://')  # absolute form (RFC 9112 section 3.2.2)
        authority = rest.partition('/')[0].partition('?')[0]
        target = rest[len(authority):]
        if target[:1] != '/':
            target = '/' + target
        if scheme.lower() not in ('http', 'https') or not authority or not is_host(authority):
            raise ProtocolError(400)
    return method, target, version[5:], authority


def is_unusual_host(text: str) -> bool:
    """Tell whether this is a valid host with a literal address or encoded characters (RFC 3986 section 3.2.2)."""
    if text[:1] == '[':
        name, bracket, port = text[1:].partition(']')
        is_address = bracket and name and not NOT_ADDRESS.search(name) and port[:1] in ('', ':')
        return bool(is_address) and not NOT_DIGIT.search(port[1:])
    name, _, port = text.partition(':')
    for triplet in name.split('%')[1:]:
        if len(triplet) < 2 or NOT_HEX.search(triplet[:2]):
            return False
    return not NOT_HOST.search(name.replace('%', '')) and not NOT_DIGIT.search(port)


def unusual_framing(version: str, fields: 'dict[str, str]') -> 'tuple[int, bool]':
    """Return what :func:`microdot.microdot.body_framing` does, for any headers (RFC 9112 section 6)."""
    coding = fields.get('transfer-encoding')
    length = fields.get('content-length')
    expect = fields.get('expect') if version == '1.1' else None
    if expect is not None and expect.lower() != '100-continue':  # RFC 9110 section 10.1.1
        raise ProtocolError(417)
    if coding is not None:
        check_coding(tokens(coding), length is not None or version == '1.0')
        return -1, expect is not None
    return parse_length('0' if length is None else length), expect is not None


def check_coding(codings: 'list[str]', is_forbidden: bool) -> None:
    """Refuse all that is not ``chunked`` alone: 501 for codings that there are, 400 for what cannot be."""
    if is_forbidden or 'chunked' in codings[:-1]:
        raise ProtocolError(400)
    if codings != ['chunked']:
        for coding in codings:
            if not coding or NOT_TOKEN.search(coding):
                raise ProtocolError(400)
        raise ProtocolError(501)


def parse_length(text: str) -> int:
    """Parse a ``Content-Length``, which may be repeated (RFC 9110 section 8.6)."""
    lengths = tokens(text) if ',' in text else [text]
    length = lengths[0]
    if lengths.count(length) != len(lengths) or not length or NOT_DIGIT.search(length):
        raise ProtocolError(400)
    if len(length) > 18:  # no body is that long, and int() of thousands of digits is slow
        raise ProtocolError(413)
    return int(length)


class ChunkedDecoder:
    """Incremental decoder of the chunked transfer coding (RFC 9112 section 7.1)."""

    def __init__(self) -> None:
        self.data = b''  #: bytes not decoded yet; when the body is ``done``, what follows it
        self.done = False
        self.left = 0  # bytes of the current chunk that are still to come
        self.state = 0  # of the next line: 0 is a chunk size, 1 the end of a chunk, 2 a trailer
        self.count = 0  # bytes of extensions and trailers, bounded by Request.max_header_size

    def feed(self, data: bytes) -> bytes:
        """Take more bytes from the wire, return what they add to the body; ``ProtocolError`` if malformed."""
        data = self.data + data
        body = []
        pos = 0
        while not self.done:
            if self.left:
                part = data[pos:pos + self.left]
                if not part:
                    break
                body.append(part)
                pos += len(part)
                self.left -= len(part)
                continue
            end = data.find(b'\n', pos)
            if (end if end >= 0 else len(data)) - pos > Request.max_readline:
                raise ProtocolError(400)
            if end < 0:
                break
            if data[end - 1:end] != b'\r' or end == pos or NOT_TEXT.search(data[pos:end - 1]):
                raise ProtocolError(400)
            self._parse_line(data[pos:end - 1])
            pos = end + 1
        self.data = data[pos:]
        return b''.join(body)

    def _parse_line(self, line: bytes) -> None:
        if self.state == 0:
            size, _, line = line.partition(b';')  # leaves the extensions
            try:
                if len(size) > 15:
                    raise ValueError
                unhexlify(size if len(size) % 2 == 0 else b'0' + size)  # stricter than int()
                self.left = int(size, 16)
            except ValueError:
                raise ProtocolError(400) from None
            self.state = 1 if self.left else 2
        elif self.state == 1:
            if line:
                raise ProtocolError(400)
            self.state = 0
        elif line:
            parse_field(line)
        else:
            self.done = True
        self.count += len(line)
        if self.count > Request.max_header_size:
            raise ProtocolError(431)


class UnusualBody(BodyStream):
    """A body that is chunked (``length`` is -1), or that the client sends when it was told to continue."""

    def __init__(self, connection: Connection, length: int, expects: bool):
        super().__init__(connection, length)
        self.expects = expects
        self.decoder = ChunkedDecoder() if length < 0 else None
        self.count = 0  # bytes of the body so far

    async def _receive(self, n: int) -> bytes:
        connection = self.connection
        if self.expects:
            self.expects = False
            await connection.awrite(b'HTTP/1.1 100 Continue\r\n\r\n')
        if not self.decoder:
            return await BodyStream._receive(self, n)
        connection.set_limit(connection.app.body_timeout)
        data = await connection.read(self.read_size)
        connection.deadline = None
        if not data:
            raise ProtocolError(400)
        data = self.decoder.feed(data)
        self.count += len(data)
        if self.count > Request.max_content_length:
            raise ProtocolError(413)
        if self.decoder.done:
            self.left = 0
            connection.data = self.decoder.data + connection.data
        return data

    async def load(self) -> 'bytes | None':
        if self.left >= 0:
            return await BodyStream.load(self)
        parts: 'list[bytes]' = []
        size = 0
        while size <= Request.max_body_length:
            part = await self.read(Request.max_body_length + 1 - size)
            if not part:
                return b''.join(parts)
            parts.append(part)
            size += len(part)
        self.data = b''.join(parts) + self.data
        return None


def wrap(writer: 'Any') -> 'Any':
    """Return a stream that has the methods of MicroPython's."""
    if ON_MICROPYTHON or hasattr(writer, 'awrite'):
        return writer
    from microdot.cpython import Writer  # portable: missing-module: CPython alone

    return Writer(writer)


async def create_request(app: 'Any', reader: 'Any', writer: 'Any', client_addr: 'tuple[str, int]',
                         scheme: 'str | None' = None) -> 'Request | None':
    """Read a request from a stream; ``None`` at its end.

    The stream needs ``read``, and ``awrite`` for clients that expect ``100 Continue``. Raises ``ValueError`` for
    a header block that is malformed or over a limit.

    """
    connection = Connection(Server(app), reader, wrap(writer))
    connection.client_addr = client_addr
    head = await connection.read_head()
    if not head:
        return None
    request = connection.parse(head)
    if scheme:
        request.scheme = scheme
    if connection.body:
        await request.load(connection.body)
    return request


async def handle_request(self: 'Any', reader: 'Any', writer: 'Any') -> None:
    """Serve the requests of one connection, given as a pair of asyncio streams."""
    await Connection(Server(self), reader, wrap(writer)).serve()


def get_extra_info(self: Connection, name: str, default: 'Any' = None) -> 'Any':
    """Return what the transport knows, as ``asyncio.BaseTransport.get_extra_info()`` does."""
    return self.client_addr if name == 'peername' and self.client_addr else self.writer.get_extra_info(name)


def is_drainable(self: BodyStream) -> bool:
    """Tell whether what the handler left of the body can be read, to get at the next request."""
    return not self.left or 0 < self.left <= Request.max_body_length and not self.expects and not self.status


async def linger(connection: Connection) -> None:
    """Let the client read the response: a socket closed with unread input is reset (RFC 9112 section 9.6)."""
    connection.is_busy = False
    connection.idle_since = connection.server.sweeps
    end_output = getattr(connection, 'end_output', None) or getattr(connection.writer, 'end', None)
    if end_output:  # a board cannot half-close
        end_output()
    connection.set_limit(connection.app.linger_timeout)
    left = connection.app.linger_bytes
    while left > 0:
        data = await connection.read(connection.read_size)
        left = left - len(data) if data else 0
