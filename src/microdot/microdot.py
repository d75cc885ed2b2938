"""The core of Microdot: routing, requests, responses and a portable HTTP/1.1 server.

This one file is all that a board needs. It reads top to bottom in the order of a request: what differs between
Pythons, containers, the wire (pure functions, no I/O), request, response, routes, application, server.

"""
import asyncio
import gc
import json
import os
import re
import sys
import time
from binascii import unhexlify

__version__ = '3.0.0.dev0'

if False:  # TYPE_CHECKING: MicroPython has no typing module, and drops this block when it compiles
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any, NoReturn

    Head = tuple[str, str, str, 'NoCaseDict', int, bool, bool, bytes]

# ---------------------------------------------------------------------------------------------------------------
# What differs between Pythons: feature detection, one name each
# ---------------------------------------------------------------------------------------------------------------

if hasattr(sys, 'print_exception'):
    print_exception = sys.print_exception
else:  # CPython, CircuitPython
    from traceback import print_exception

try:
    from functools import lru_cache
    from importlib import import_module
    from inspect import iscoroutine as iscoroutine
    from inspect import iscoroutinefunction
    from logging import getLogger

    ON_MICROPYTHON = False
    mro = type.mro
    memoize = lru_cache(512)
    MEMO_SIZE = 1024  # bytes of a header that are remembered at the most, so that strangers cannot fill the memory
    date_cache: 'list[Any]' = [0, '']

    def load(name: str) -> 'Any':
        """Import a module that is for CPython alone; ``None`` where there is only this file."""
        try:
            return import_module('microdot.' + name)
        except ModuleNotFoundError:
            return None

    async def run_sync(f: 'Callable[..., Any]', *args: 'Any', **kwargs: 'Any') -> 'Any':
        def call() -> 'Any':
            try:
                return f(*args, **kwargs)
            except StopIteration as exc:  # a future cannot hold it, and would never be done
                raise RuntimeError('StopIteration') from exc

        call_in_host = getattr(args[0], 'call_in_host', None) if args else None  # see microdot.wsgi
        return await (call_in_host or asyncio.to_thread)(call)

    def is_async(f: 'Callable[..., Any]') -> bool:
        return iscoroutinefunction(f) or iscoroutinefunction(f.__call__)  # type: ignore[operator]

    def uncancel() -> None:
        """Take back the cancellation of the current task, so that its caller's asyncio.timeout() still works."""
        task: 'Any' = asyncio.current_task()
        if hasattr(task, 'uncancel'):
            task.uncancel()

    def http_date(t: 'Any') -> str:
        """Format a UTC time tuple as an IMF-fixdate (RFC 9110 section 5.6.7); asctime() knows no locale."""
        weekday, month, _, clock, year = time.asctime(t).split()
        return '%s, %02d %s %s %s GMT' % (weekday, t[2], month, year, clock)

    def log_error(exc: BaseException, request: 'Request | None') -> None:
        what = '%s %s' % (request.method, request.url) if request else 'error outside of a handler'
        getLogger('microdot').error('%s', what, exc_info=exc)

    def own(headers: 'NoCaseDict') -> 'NoCaseDict':
        return headers.copy()

    def log_request(request: 'Request', response: 'Response') -> None:
        getLogger('microdot.access').info('%s "%s %s HTTP/%s" %d', request.client_addr[0], request.method, request.url,
                                          request.http_version, response.status_code)

    def date_header() -> str:
        now = int(time.time())
        if now != date_cache[0]:
            date_cache[:] = now, 'Date: ' + http_date(time.gmtime(now)) + '\r\n'
        return date_cache[1]  # type: ignore[no-any-return]

    class Writer:
        """Gives asyncio's ``StreamWriter`` the methods that a stream of MicroPython has."""

        def __init__(self, writer: 'Any'):
            self.writer = writer

        def get_extra_info(self, name: str) -> 'Any':
            return self.writer.get_extra_info(name)

        async def awrite(self, data: 'bytes | memoryview') -> None:
            if self.writer.is_closing():  # uvloop raises a RuntimeError then
                raise OSError(MUTED_SOCKET_ERRORS[0], 'closed')
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

    async def listen(f: 'Any', host: str, port: int, ssl: 'Any' = None) -> 'Any':
        async def accept(reader: 'Any', writer: 'Any') -> None:
            try:
                await f(reader, writer)
            except asyncio.CancelledError:  # when the loop ends; asyncio's streams before 3.13 would log it as an error
                pass

        return await asyncio.start_server(accept, host, port, ssl=ssl, start_serving=False)

except ImportError:  # MicroPython
    ON_MICROPYTHON = True
    listen = asyncio.start_server  # type: ignore[assignment]

    def iscoroutine(f: 'Any') -> bool:  # type: ignore[misc]
        return hasattr(f, 'send') and hasattr(f, 'throw')

    async def run_sync(f: 'Callable[..., Any]', *args: 'Any', **kwargs: 'Any') -> 'Any':
        return f(*args, **kwargs)

    def is_async(f: 'Callable[..., Any]') -> bool:
        return type(f) is type(run_sync)  # both are bytecode of "async def", unless wrapped in a closure

    def mro(cls: type) -> 'list[type]':  # type: ignore[misc]
        classes = [cls]
        for base in cls.__bases__:
            classes += mro(base)
        return classes

    MEMO_SIZE = 0

    def memoize(f: 'Any') -> 'Any':  # a board has no memory for it
        return f

    own = memoize  # type: ignore[assignment]

    def load(name: str) -> 'Any':
        return None

    def log_error(exc: BaseException, request: 'Request | None') -> None:
        print_exception(exc)

    def log_request(request: 'Request', response: 'Response') -> None:
        print(request.method, request.url, response.status_code)

    def uncancel() -> str:  # type: ignore[misc]
        return ''

    date_header = uncancel  # type: ignore[assignment] # a board's clock is rarely set (RFC 9110 section 6.6.1: no Date without a clock)

#: Errors of broken connections on Linux, BSD and lwIP. The server never logs them, whatever their number.
MUTED_SOCKET_ERRORS = [32, 54, 103, 104, 107, 110, 113, 128]
TIMED_OUT = 110  # ETIMEDOUT


def prepare(f: 'Callable[..., Any]') -> 'Callable[..., Awaitable[Any]]':
    """Return ``f`` as something to await. ``def`` functions run in a thread on CPython, inline on MicroPython.

    This is decided when a handler is registered, not when it is called.

    """
    code = getattr(f, '__code__', None)
    if code and not getattr(code, 'co_argcount', 1) and not code.co_flags & 4:
        raise TypeError('%s() must take the request as its first argument' % f.__name__)
    if is_async(f):
        return f
    # MicroPython cannot tell a coroutine from a generator: what a plain function returns there is a body
    is_plain = ON_MICROPYTHON and type(f) is type(prepare)

    async def call(*args: 'Any', **kwargs: 'Any') -> 'Any':
        result = await run_sync(f, *args, **kwargs)
        return await result if not is_plain and iscoroutine(result) else result

    return call


async def invoke_handler(handler: 'Callable[..., Any]', *args: 'Any', **kwargs: 'Any') -> 'Any':
    """Call a handler of any kind and return its result."""
    return await prepare(handler)(*args, **kwargs)


# ---------------------------------------------------------------------------------------------------------------
# Containers
# ---------------------------------------------------------------------------------------------------------------

class NoCaseDict(dict):  # type: ignore[type-arg]
    """A dictionary whose keys compare without case; the first spelling of a key is kept."""

    def __init__(self, initial_dict: 'dict[str, Any] | None' = None):
        super().__init__()
        self._spelling: 'dict[str, str]' = {}  # of the key in lower case
        if initial_dict:
            self.update(initial_dict)

    def _spell(self, key: str) -> str:
        return self._spelling.get(key.lower(), key)

    def __setitem__(self, key: str, value: 'Any') -> None:
        super().__setitem__(self._spelling.setdefault(key.lower(), key), value)

    def __getitem__(self, key: str) -> 'Any':
        return super().__getitem__(self._spell(key))

    def __delitem__(self, key: str) -> None:
        super().__delitem__(self._spell(key))

    def __contains__(self, key: 'Any') -> bool:
        return super().get(self._spell(key), self) is not self

    def __eq__(self, other_dict: 'Any') -> bool:
        if not isinstance(other_dict, dict) or len(self) != len(other_dict):
            return False
        for key in other_dict:
            if key not in self or self[key] != other_dict[key]:
                return False
        return True

    def __ne__(self, other_dict: 'Any') -> bool:
        return not self == other_dict

    def get(self, key: str, default: 'Any' = None) -> 'Any':
        return super().get(self._spelling.get(key.lower(), key), default)

    def setdefault(self, key: str, default: 'Any' = None) -> 'Any':
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, *default: 'Any') -> 'Any':
        return super().pop(self._spell(key), *default)

    def copy(self) -> 'NoCaseDict':
        new = NoCaseDict()
        new.add_fields(self.items())
        return new

    def add_fields(self, fields: 'Any') -> None:
        """Add pairs of name and value; those of a repeated name are joined (RFC 9110 section 5.3)."""
        spelling = self._spelling
        put = super().__setitem__
        for name, value in fields:
            key = name.lower()
            if key in spelling:  # RFC 9113 section 8.2.3; two of Host make one that is not valid
                name = spelling[key]
                value = self[name] + ('; ' if key == 'cookie' else ', ') + value
            else:
                spelling[key] = name
            put(name, value)

    def __ior__(self, other_dict: 'Any') -> 'NoCaseDict':
        self.update(other_dict)
        return self

    def __or__(self, other_dict: 'Any') -> 'NoCaseDict':
        new = self.copy()
        new |= other_dict
        return new

    def update(self, other_dict: 'Any' = (), **kwargs: 'Any') -> None:  # type: ignore[override]
        pairs: 'Any'
        for pairs in (other_dict, kwargs):
            for key, value in pairs.items() if hasattr(pairs, 'items') else pairs:
                self[key] = value


class MultiDict(dict):  # type: ignore[type-arg]
    """A dictionary that keeps every value that is assigned to a key; reading gives the first."""

    def __init__(self, initial_dict: 'dict[str, Any] | None' = None):
        super().__init__()
        for key, value in (initial_dict or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: 'Any') -> None:
        if key not in self:
            super().__setitem__(key, [])
        super().__getitem__(key).append(value)

    def __getitem__(self, key: str) -> 'Any':
        return super().__getitem__(key)[0]

    def get(self, key: str, default: 'Any' = None, type: 'Callable[[Any], Any] | None' = None) -> 'Any':
        """Return the first value, converted by ``type`` if that is given, or ``default``."""
        if key not in self:
            return default
        return type(self[key]) if type else self[key]

    def getlist(self, key: str, type: 'Callable[[Any], Any] | None' = None) -> 'list[Any]':
        """Return all values, each converted by ``type`` if that is given."""
        values = super().get(key, [])
        return list(map(type, values)) if type else values


class AsyncBytesIO:
    """Bytes in memory with the methods of an asyncio stream; subclasses fetch more bytes from elsewhere."""

    #: Bytes to fetch at a time; a board's heap is fragmented, and needs them in one piece.
    read_size = 256 if ON_MICROPYTHON else 65536
    #: The same for those who want a byte or a line, because each of these moves what is left.
    small_read_size = 256 if ON_MICROPYTHON else 4096

    def __init__(self, data: bytes = b''):
        self.data = data

    async def _fill(self, n: int) -> bool:
        """Append some bytes to ``data``, about ``n`` if that is up to this; ``False`` at the end."""
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
        parts = []
        while self.data or await self._fill(self.read_size):
            parts.append(self.data)
            self.data = b''
        return b''.join(parts)

    async def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes; ``EOFError`` if there are fewer."""
        while len(self.data) < n:
            if not await self._fill(n - len(self.data)):
                raise EOFError
        return self._take(n)

    async def readuntil(self, separator: bytes = b'\n') -> bytes:
        """Return the bytes up to and with ``separator``, or what is left if there is none."""
        while True:
            end = self.data.find(separator)
            if end >= 0:
                return self._take(end + len(separator))
            if not await self._fill(self.small_read_size):
                return self._take(len(self.data))

    async def readline(self) -> bytes:
        """Return the bytes up to and with the next line feed, or what is left if there is none."""
        return await self.readuntil()

    async def awrite(self, data: bytes) -> None:
        self.data += data

    async def aclose(self) -> None:
        pass


# ---------------------------------------------------------------------------------------------------------------
# The wire: the meaning of HTTP/1.1 as plain functions over complete data. No "await", no I/O below this line
# ---------------------------------------------------------------------------------------------------------------

#: Reason phrases (RFC 9110 section 15, RFC 6585). One string, because a board pays for every object in a table.
REASONS = '''
101 Switching Protocols
200 OK
201 Created
202 Accepted
203 Non-Authoritative Information
204 No Content
205 Reset Content
206 Partial Content
300 Multiple Choices
301 Moved Permanently
302 Found
303 See Other
304 Not Modified
307 Temporary Redirect
308 Permanent Redirect
400 Bad Request
401 Unauthorized
402 Payment Required
403 Forbidden
404 Not Found
405 Method Not Allowed
406 Not Acceptable
408 Request Timeout
409 Conflict
410 Gone
411 Length Required
412 Precondition Failed
413 Content Too Large
414 URI Too Long
415 Unsupported Media Type
416 Range Not Satisfiable
417 Expectation Failed
421 Misdirected Request
422 Unprocessable Content
426 Upgrade Required
428 Precondition Required
429 Too Many Requests
431 Request Header Fields Too Large
451 Unavailable For Legal Reasons
500 Internal Server Error
501 Not Implemented
502 Bad Gateway
503 Service Unavailable
504 Gateway Timeout
505 HTTP Version Not Supported
'''

# Searches for what must not be there: MicroPython's engine recurses for every repeated match, but not for these
NOT_TOKEN = re.compile("[^-!#$%&'*+.^_`|~0-9A-Za-z]")  # RFC 9110 section 5.6.2
NOT_TEXT = re.compile(b'[^\t -~\x80-\xff]')  # RFC 9110 section 5.5: a field value has no control characters
NOT_TARGET = re.compile('[^!"$-~]')  # RFC 9112 section 3.2: printable ASCII, and never a fragment
HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+?\]|[-.~!$&'()*+,;=%_0-9A-Za-z]*?)(:[0-9]*?)?$")  # RFC 9110 section 7.2


class HTTPException(Exception):
    """Raised by :func:`abort`: ends the request with a status code; ``reason`` is the body of the response."""

    def __init__(self, status_code: int, reason: 'str | None' = None):
        super().__init__(status_code)
        self.status_code = status_code
        self.reason = '%d error' % status_code if reason is None else reason


class ProtocolError(ValueError):
    """What the core answers with an error: ``args`` are a status code and, optionally, headers."""


def reason_phrase(status_code: int) -> str:
    start = REASONS.find('\n%d ' % status_code)
    return REASONS[start + 5:REASONS.find('\n', start + 1)] if start >= 0 else ''


def decode(data: bytes) -> str:
    """Decode as UTF-8, or as Latin-1 what is not UTF-8, so that no byte of a client raises."""
    try:
        return data.decode()
    except UnicodeError:
        return ''.join(map(chr, data))


def percent_decode(text: str) -> str:
    """Decode ``%XX`` (RFC 3986 section 2.1) as UTF-8; what is not a valid triplet stays as it is."""
    if '%' not in text:
        return text
    parts = text.encode().split(b'%')
    for i in range(1, len(parts)):
        part = parts[i]
        try:
            parts[i] = unhexlify(part[:2] or b'-') + part[2:]
        except ValueError:
            parts[i] = b'%' + part
    return decode(b''.join(parts))


def urldecode(s: str) -> str:
    """Decode a name or value of a form or query string."""
    return percent_decode(s.replace('+', ' '))


def urlencode(s: str) -> str:
    """Encode a name or value for a form or query string; :func:`urldecode` is the inverse."""
    text = ''
    for byte in s.encode():
        char = chr(byte)
        if char in '-._~' or byte < 127 and (char.isalpha() or char.isdigit()):  # RFC 3986 section 2.3
            text += char
        else:
            text += '+' if char == ' ' else '%%%02X' % byte
    return text


def parse_pairs(text: str, separator: str, data: 'Any', convert: 'Callable[[str], str]') -> 'Any':
    """Add the ``name=value`` pairs of a query string, form (WHATWG URL, section 5.1) or cookie header to ``data``."""
    for pair in text.split(separator):
        name, _, value = pair.partition('=')
        name = convert(name)
        value = convert(value)
        if name or value:
            data[name] = value
    return data


def tokens(value: str) -> 'list[str]':
    """Split a comma separated list (RFC 9110 section 5.6.1) into its lower case members."""
    return [item.strip(' \t') for item in value.lower().split(',')]


def skip_empty_lines(data: bytes) -> bytes:
    """Return what follows the empty lines before a request (RFC 9112 section 2.2), at once, however many there are."""
    end = (len(data) - len(data.lstrip(b'\r\n'))) & ~1
    return data[end:] if data[:end] == b'\r\n' * (end // 2) else data


def find_head_end(data: bytes) -> int:
    """Return where the header block with its empty line ends, 0 if it is not complete."""
    end = data.find(b'\n\r\n') + 3
    if end < 3:
        end = 0
    if (end or len(data)) > Request.max_readline + 1:
        line = data.find(b'\n')
        if (len(data) if line < 0 else line) > Request.max_readline + 1:
            raise ProtocolError(414)
    bare_end = data.find(b'\n\n', 0, end or len(data)) + 2  # no further: there may be a long pipeline behind
    if bare_end > 1:
        end = bare_end
    if (end or len(data)) > Request.max_header_size:
        raise ProtocolError(431)
    return end


def parse_field(line: bytes) -> 'tuple[str, str]':
    """Parse one field line (RFC 9112 section 5); folded lines fail, because their name is not a token."""
    name, colon, value = decode(line).partition(':')
    if not colon or not name or NOT_TOKEN.search(name) or NOT_TEXT.search(line):
        raise ProtocolError(400)
    return name, value.strip(' \t')


def is_host(text: str) -> bool:
    """Tell whether this is a valid host with an optional port (RFC 9110 section 7.2)."""
    return bool(HOST.match(text)) and '%' not in percent_decode(text)  # what is left of a malformed triplet


def parse_fields(block: bytes, version: str) -> 'tuple[NoCaseDict, int, bool, bool]':
    """Parse the field lines of a request with the empty line behind them.

    Returns the headers, and what they say: the length of the body and whether to send 100 (Continue), as
    :func:`body_framing` has it, and whether the connection may be kept open.

    """
    if version == '1.0':  # RFC 9112 section 2.2: a bare LF may end a line; here only in HTTP/1.0
        block = block.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
    lines = block.split(b'\r\n')
    if lines.pop() or lines.pop():  # the head ended in a bare LF
        raise ProtocolError(400)
    if len(lines) > Request.max_headers:
        raise ProtocolError(431)
    for line in lines if len(block) > Request.max_readline else ():
        if len(line) > Request.max_readline:
            raise ProtocolError(431)
    headers = NoCaseDict()
    headers.add_fields(map(parse_field if len(block) > MEMO_SIZE else recall_field, lines))
    host = headers.get('Host', '' if version == '1.0' else ' ')
    if not (is_host if len(block) > MEMO_SIZE else recall_host)(host):
        raise ProtocolError(400)
    length, expects = body_framing(version, headers)
    return headers, length, expects, keep_alive(version, headers)


def parse_request_line(line: bytes) -> 'tuple[str, str, str, str]':
    """Parse ``METHOD target HTTP/1.x`` (RFC 9112 section 3), without its line feed.

    Returns method, target in origin form or ``*``, version (``'1.0'`` or ``'1.1'``), and the authority of a target
    in absolute form.

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
    end = text[-2:]  # "1\r"; RFC 9112 section 2.2
    if end != '1\r' and end != '0\r' and end != '.0':
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


# PERF: what clients send repeats itself, line by line (bench: plain text with a browser's headers, one of them new)
recall_field = memoize(parse_field)
recall_host = memoize(is_host)
recall_request_line = memoize(parse_request_line)


def parse_head(head: bytes, last: 'Head | None' = None) -> 'Head':
    """Parse a complete header block with its empty line (RFC 9112 sections 2 to 5).

    :param last: what this function returned for the request before on the same connection, so that headers that are
                 the same again are not parsed again.

    Returns method, target, version, then headers, length of the body, whether to send 100 (Continue), and whether the
    connection may be kept open (see :func:`parse_fields`), at last the bytes of the header lines.

    """
    line, _, block = head.partition(b'\n')
    method, target, version, authority = (recall_request_line if len(line) <= MEMO_SIZE else parse_request_line)(line)
    if last and last[7] == block and last[2] == version and not authority:
        return (method, target) + last[2:]
    headers, length, expects, is_persistent = parse_fields(block, version)
    if authority:
        headers['Host'] = authority
        block = b''  # it does not say what the headers are
    return method, target, version, headers, length, expects, is_persistent, block


def body_framing(version: str, headers: NoCaseDict) -> 'tuple[int, bool]':
    """Return the length of the body, -1 if it is chunked (RFC 9112 section 6.3), and whether to send 100 (Continue)."""
    given = headers._spelling
    if 'content-length' not in given and 'transfer-encoding' not in given and 'expect' not in given:
        return 0, False  # PERF: bench, headers that are new each time
    coding = headers.get('Transfer-Encoding')
    length = headers.get('Content-Length')
    expect = headers.get('Expect') if version == '1.1' else None
    if expect is not None and expect.lower() != '100-continue':  # RFC 9110 section 10.1.1
        raise ProtocolError(417)
    if coding is not None:
        codings = tokens(coding)
        if length is not None or version == '1.0' or 'chunked' in codings[:-1]:
            raise ProtocolError(400)
        if codings != ['chunked']:
            for coding in codings:
                if not coding or NOT_TOKEN.search(coding):
                    raise ProtocolError(400)
            raise ProtocolError(501)
        return -1, expect is not None
    if length is None:
        return 0, False
    lengths = tokens(length) if ',' in length else [length]
    length = lengths[0]
    if lengths.count(length) != len(lengths) or not length.encode().isdigit():  # of bytes: ASCII digits only
        raise ProtocolError(400)
    if len(length) > 18:  # no body is that long, and int() of thousands of digits is slow
        raise ProtocolError(413)
    return int(length), expect is not None


def keep_alive(version: str, headers: NoCaseDict) -> bool:
    """Tell whether the connection may serve another request (RFC 9112 section 9.3)."""
    value = headers.get('Connection')
    if value is None or value == 'keep-alive':  # PERF: bench, headers that are new each time
        return version == '1.1' or value is not None
    options = tokens(value)
    return 'close' not in options and (version == '1.1' or 'keep-alive' in options)


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


def check_headers(headers: 'dict[str, Any]') -> None:
    """Raise ``ValueError`` for CR, LF or NUL (RFC 9110 section 5.5), which would end a header early."""
    for name, value in headers.items():
        for text in [name] + value if isinstance(value, list) else (name, str(value)):
            if '\r' in text or '\n' in text or '\0' in text:
                raise ValueError('line break or NUL in the header %r' % name)


def render_head(version: str, status_code: int, reason: 'str | None', headers: 'dict[str, Any]', extra: str) -> bytes:
    """Render a response's header block; ``extra`` are complete lines that belong to the connection."""
    phrase = reason_phrase(status_code) if reason is None else reason
    lines = ['HTTP/%s %d %s' % (version, status_code, phrase)]
    for name, value in headers.items():
        for item in value if isinstance(value, list) else (value,):
            lines.append('%s: %s' % (name, item))
    lines.append(extra + '\r\n')
    return '\r\n'.join(lines).encode()


def render_chunk(data: bytes) -> bytes:
    """Return a chunk (RFC 9112 section 7.1); an empty one is the last."""
    return b'%x\r\n' % len(data) + data + b'\r\n'


# ---------------------------------------------------------------------------------------------------------------
# Request
# ---------------------------------------------------------------------------------------------------------------

class BodyStream(AsyncBytesIO):
    """The body of a request, read from its connection as the handler asks for it."""

    def __init__(self, connection: 'Connection', length: int, expects: bool):
        super().__init__()
        self.connection = connection
        self._decoder = ChunkedDecoder() if length < 0 else None
        self.left = length  # bytes to come; negative while a chunked body has not ended
        self.expects = expects
        self.count = 0  # bytes of the body so far
        self.status = 0  # of the refusal, once the body is known to be malformed or cut off

    async def _fill(self, n: int) -> bool:
        connection = self.connection
        data = b''
        while self.left and not data and not self.status:
            if self.expects:
                self.expects = False
                await connection.awrite(b'HTTP/1.1 100 Continue\r\n\r\n')
            connection.set_limit(connection.app.body_timeout)
            try:
                n = max(n, self.small_read_size)
                data = await connection.read(min(n, self.left) if self.left > 0 else self.read_size)
                if not data:
                    raise ProtocolError(400)
                if not self._decoder:
                    self.left -= len(data)
                    continue
                data = self._decoder.feed(data)
                self.count += len(data)
                if self.count > Request.max_content_length:
                    raise ProtocolError(413)
                if self._decoder.done:
                    self.left = 0
                    connection.data = self._decoder.data + connection.data
            except Disconnected as exc:
                self.status = 408 if exc.args[:1] == (TIMED_OUT,) else 400
            except ProtocolError as exc:
                self.status = exc.args[0]
        connection.deadline = None
        if self.status:
            raise ProtocolError(self.status)
        return self._feed(data)


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
    sock: 'Any' = None
    root_path = ''
    url_prefix = ''
    subapp: 'Microdot | None' = None
    scheme = 'http'
    route: 'Callable[..., Any] | None' = None
    refusal: 'Exception | None' = None
    local_apps: 'tuple[Microdot, ...]' = ()
    after_request_handlers: 'tuple[Callable[..., Any], ...]' = ()
    response_hooks: 'tuple[Callable[..., Any], ...]' = ()  # of extensions: for errors, too
    keeps_alive = False  # the client lets the connection stay open
    headers: NoCaseDict
    fields: NoCaseDict  # headers as they came; not to be changed
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

    class G:
        pass

    def __init__(self, app: 'Microdot', client_addr: 'tuple[str, int]', method: str, url: str, http_version: str,
                 headers: 'NoCaseDict | None', body: 'bytes | None' = None, stream: 'Any' = None, sock: 'Any' = None,
                 url_prefix: str = '', subapp: 'Microdot | None' = None, scheme: 'str | None' = None,
                 route: 'Callable[..., Any] | None' = None):
        self.app = app
        self.client_addr = client_addr
        self.method = method
        self.url = url
        self.raw_path = url.partition('?')[0] if '?' in url else url
        self.http_version = http_version
        if headers is not None:
            self.headers = self.fields = headers
        if body:
            self.body = body
        if stream:
            self.stream = stream
        if url_prefix:
            self.url_prefix = url_prefix
        if subapp:
            self.subapp = subapp
        if scheme:
            self.scheme = scheme
        if route:
            self.route = route
        self.sock = sock

    def __getattr__(self, name: str) -> 'Any':
        """Compute what is derived when it is first used; from then on it is an ordinary attribute."""
        value: 'Any' = None
        if name == 'headers':
            value = own(self.fields)
        elif name == 'json' or name == 'form':
            value = self._parse_body(name)
        elif name == 'path':
            value = percent_decode(self.raw_path)
        elif name == 'query_string':
            value = self.url[len(self.raw_path) + 1:] if '?' in self.url else None
        elif name == 'args':
            value = parse_pairs(self.query_string or '', '&', MultiDict(), urldecode)
        elif name == 'cookies':
            value = parse_pairs(self.fields.get('Cookie', ''), ';', {}, str.strip)
        elif name == 'content_type':
            value = self.fields.get('Content-Type')
        elif name == 'content_length':
            value = int(tokens(self.fields.get('Content-Length', '0'))[0])
        elif name == 'stream':
            value = AsyncBytesIO(self.body)
        elif name == 'g':
            value = Request.G()
        else:
            raise AttributeError(name)
        setattr(self, name, value)
        return value

    def _parse_body(self, name: str) -> 'Any':
        kind = media_type(self.fields.get('Content-Type'))
        if name == 'form':
            if kind == 'application/x-www-form-urlencoded':
                return parse_pairs(decode(self.body), '&', MultiDict(), urldecode)
        elif kind == 'application/json' or kind[-5:] == '+json':
            try:
                return json.loads(self.body.decode())
            except (ValueError, RuntimeError):  # malformed, or nested too deeply
                raise ProtocolError(400) from None
        return None

    @staticmethod
    async def create(app: 'Microdot', client_reader: 'Any', client_writer: 'Any', client_addr: 'tuple[str, int]',
                     scheme: 'str | None' = None) -> 'Request | None':
        """Read a request from a stream; ``None`` at its end.

        The stream needs ``read``, and ``awrite`` for clients that expect ``100 Continue``. Raises ``ValueError`` for
        a header block that is malformed or over a limit.

        """
        connection = Connection(Server(app), client_reader, client_writer)
        head = await connection.read_head()
        if not head:
            return None
        request = Request.parse(connection, head, client_addr, scheme)
        if connection.body:
            await request.load(connection.body)
        return request

    @staticmethod
    def parse(connection: 'Connection', head: bytes, client_addr: 'Any' = None,
              scheme: 'str | None' = None) -> 'Request':
        """Make a request of a header block; what follows it on the connection is in ``connection.body``."""
        parsed = parse_head(head, connection.last_head)
        method, target, version, headers, length, expects, is_persistent, block = parsed
        if len(block) <= MEMO_SIZE:
            connection.last_head = parsed
        server = connection.server
        request = Request(server.app, client_addr or connection.client_addr or connection.get_extra_info('peername'),
                          method, target, version, None, sock=(connection, connection), scheme=scheme or server.scheme)
        request.fields = headers
        request.keeps_alive = is_persistent
        if server.proxies:
            request.client_addr, request.scheme = server.proxies.resolve(request.client_addr, request.scheme, headers)
        if 0 < length <= len(connection.data) and length <= Request.max_body_length and not expects \
                and length <= Request.max_content_length:
            request.body = connection._take(length)  # PERF: bench, JSON echo
        elif length:
            connection.body = BodyStream(connection, length, expects)
        return request

    async def load(self, body: BodyStream) -> None:
        """Move the body to ``body`` if it is small enough to be held in memory, else leave it to ``stream``."""
        self.stream = body
        if body.left > Request.max_content_length:
            self.refusal = ProtocolError(413)
        elif -1 <= body.left <= Request.max_body_length:
            try:
                await self._load(body)
            except ProtocolError as exc:
                self.refusal = exc

    async def _load(self, body: BodyStream) -> None:
        # Joined at the end, because a string that grows asks a board for ever larger holes in its heap
        parts: 'list[bytes]' = []
        size = 0
        while size <= Request.max_body_length:
            part = await body.read(Request.max_body_length + 1 - size)
            if not part:
                self.body = parts[0] if len(parts) == 1 else b''.join(parts)
                del self.stream
                return
            parts.append(part)
            size += len(part)
        body.data = b''.join(parts) + body.data

    def after_request(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Register ``f(request, response)`` to run after this request, when all other handlers have run."""
        self.after_request_handlers += (prepare(f),)
        return f


def media_type(value: 'str | None') -> str:
    """Return a ``Content-Type`` without its parameters (RFC 9110 section 8.3.1), ``''`` if there is none."""
    return (value or '').partition(';')[0].strip().lower()


def route_path(path: str) -> str:
    """Decode a path for matching: NUL stands for an encoded slash, and a path with NUL matches nothing."""
    if '%' not in path:
        return path
    return '' if '%00' in path else percent_decode(path.replace('%2F', '%00').replace('%2f', '%00'))


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
    #: File name extension to media type.
    types_map = {
        'css': 'text/css',
        'gif': 'image/gif',
        'html': 'text/html',
        'jpg': 'image/jpeg',
        'js': 'text/javascript',
        'json': 'application/json',
        'png': 'image/png',
        'svg': 'image/svg+xml',
        'txt': 'text/plain',
    }
    #: Bytes of a file that are read and sent at a time.
    send_file_buffer_size = 1024 if ON_MICROPYTHON else 65536
    #: Media type of responses without one; ``; charset=UTF-8`` is added if it has no charset.
    default_content_type = 'text/plain'
    #: ``max_age`` of :meth:`send_file` where none is given, in seconds.
    default_send_file_max_age: 'int | None' = None
    #: Returned by handlers that answered on the socket themselves.
    already_handled: 'Any' = object()

    reason: 'str | None' = None
    _headers: 'NoCaseDict | None' = None
    _kind = ''  # the Content-Type of a body that was made into JSON
    is_complete = False  # and checked
    origins: 'list[Any]' = []  # the bodies that hooks have replaced by other streams
    is_plain = False  # complete, and nobody has looked at the headers, so that they follow from status and body

    def __init__(self, body: 'Any' = b'', status_code: int = 200, headers: 'dict[str, Any] | None' = None,
                 reason: 'str | None' = None):
        if isinstance(body, str):
            body = body.encode()
        elif isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            self._kind = JSON
        elif body is None:
            body = b''
            status_code = 204 if status_code == 200 else status_code
        elif isinstance(body, (bytearray, memoryview)):
            body = bytes(body)
        self.body: 'Any' = body
        self.status_code = status_code
        if reason is not None:
            self.reason = reason
        if headers:
            self.headers = NoCaseDict(headers)
            check_headers(self.headers)
            if self._kind:
                self.headers.setdefault('Content-Type', JSON)

    @property
    def headers(self) -> 'NoCaseDict':
        """The headers, a :class:`NoCaseDict`; a list as value is sent as one line for each item."""
        if self._headers is None:  # PERF: made when somebody asks for them, most often nobody does (bench: plain text)
            self._headers = NoCaseDict({'Content-Type': self._kind} if self._kind else None)
            if self.is_plain:
                self.complete()  # not plain any more
        return self._headers

    @headers.setter
    def headers(self, headers: 'Any') -> None:
        self._headers = headers

    def set_cookie(self, cookie: str, value: str, path: 'str | None' = None, domain: 'str | None' = None,
                   expires: 'Any' = None, max_age: 'int | None' = None, secure: bool = False,
                   http_only: bool = False, partitioned: bool = False, same_site: 'str | None' = None) -> None:
        """Add a ``Set-Cookie`` header (RFC 6265 section 4.1).

        :param expires: a formatted date, or on CPython a ``datetime`` (UTC where it has no time zone).
        :param max_age: seconds.
        :param same_site: ``'Lax'``, ``'Strict'`` or ``'None'``.

        ``ValueError`` for a line break, NUL or semicolon in any of them.

        """
        if hasattr(expires, 'utctimetuple'):
            expires = http_date(expires.utctimetuple())
        text = '%s=%s' % (cookie, value)
        if ';' in text or not cookie or NOT_TOKEN.search(cookie):  # browsers read "=a=b" as a cookie named "a"
            raise ValueError('; in a cookie, or its name is not a token')
        for name, attribute in (('Path', path), ('Domain', domain), ('Expires', expires), ('Max-Age', max_age),
                                ('Secure', bool(secure)), ('HttpOnly', bool(http_only)),
                                ('Partitioned', bool(partitioned)),
                                ('SameSite', same_site)):
            if attribute is True:
                text += '; ' + name
            elif attribute is not None and attribute is not False:
                if ';' in str(attribute):
                    raise ValueError('; in the %s of a cookie' % name)
                text += '; %s=%s' % (name, attribute)
        check_headers({'Set-Cookie': text})
        others = self.headers.get('Set-Cookie', [])  # perhaps a list that other responses share
        self.headers['Set-Cookie'] = (others if isinstance(others, list) else [others]) + [text]

    def delete_cookie(self, cookie: str, **kwargs: 'Any') -> None:
        """Make the browser forget a cookie; ``path`` and ``domain`` as they were when it was set."""
        self.set_cookie(cookie, '', expires='Thu, 01 Jan 1970 00:00:01 GMT', max_age=0, **kwargs)

    def complete(self) -> None:
        """Fill in the headers that follow from the body and the defaults."""
        self.is_complete = True
        self.is_plain = (self._headers is None and type(self.body) is bytes and self.reason is None
                         and (self.status_code == 200 or not self.is_bodyless()))
        if self.is_plain:
            return
        headers = self.headers
        headers.pop('Transfer-Encoding', None)  # framing is the server's; perhaps it came with another's headers
        if not self.is_bodyless():
            if isinstance(self.body, bytes):
                headers['Content-Length'] = str(len(self.body))
            else:
                self.body_iter()  # TypeError for what cannot be a body
            if 'Content-Type' not in headers:
                headers['Content-Type'] = with_charset(self.default_content_type)
        check_headers(headers)
        check_headers({'reason phrase': self.reason})

    def render_plain(self, version: str, extra: str, is_head: bool) -> bytes:
        """Return the whole response, if it is plain."""
        body = self.body
        head = plain_head(version, self.status_code, self._kind or self.default_content_type, extra)
        return head + b'%d\r\n\r\n' % len(body) + (b'' if is_head else body)

    def is_bodyless(self) -> bool:
        """Tell whether a response of this status never has a body (RFC 9112 section 6.3)."""
        return self.status_code < 200 or self.status_code in (204, 304)

    async def write(self, stream: 'Any') -> None:
        """Write the whole response to an object with ``awrite``, as HTTP/1.0."""
        await self.send(stream, '1.0', '', False)

    async def send(self, stream: 'Any', version: str, extra: str, is_head: bool) -> None:
        """Write the response; ``extra`` are header lines of the connection. Closes the body in any case."""
        body = self.body
        try:
            if not self.is_complete:  # PERF: bench, files: the server has done it
                self.complete()
            is_bodyless = is_head or self.is_bodyless()
            is_chunked = version == '1.1' and not isinstance(body, bytes) and 'Content-Length' not in self.headers
            if is_chunked and not self.is_bodyless():
                extra += 'Transfer-Encoding: chunked\r\n'
            head = render_head(version, self.status_code, self.reason, self.headers, extra)
            if is_bodyless:
                await stream.awrite(head)
            elif isinstance(body, bytes):
                await stream.awrite(head + body)
            else:
                await self.send_stream(stream, head, is_chunked)
        finally:
            await close_bodies([body] + self.origins)

    async def send_stream(self, stream: 'Any', head: bytes, is_chunked: bool) -> None:
        left = self.headers.get('Content-Length')
        send_file = getattr(stream, 'send_file', None)
        if send_file and left and await send_file(head, self.body, int(left)):
            return
        if not hasattr(self.body, 'read'):  # the first item may be a long time coming
            await stream.awrite(head)
            head = b''
        if hasattr(self.body, 'send_to'):
            await self.body.send_to(lambda data: stream.awrite(render_chunk(data) if is_chunked else data))
            self.body = ()
        async for data in self.body_iter():
            if is_chunked:
                data = render_chunk(data)
            await stream.awrite(head + data if head else data)
            head = b''
            await asyncio.sleep(0)  # a body that never waits, to a client that is fast, must not stop all others
        if is_chunked:
            head += render_chunk(b'')
        if head:
            await stream.awrite(head)

    def body_iter(self) -> 'BodyIterator':
        """Return an async iterator over the body, in non-empty pieces of ``bytes``.

        It raises ``ValueError`` if they are not as long as ``Content-Length`` says.

        """
        return BodyIterator(self.body, self.send_file_buffer_size, self.headers.get('Content-Length'))

    @classmethod
    def redirect(cls, location: str, status_code: int = 302) -> 'Response':
        """Return a redirection to ``location``."""
        return cls(b'', status_code, {'Location': location})

    @classmethod
    def send_file(cls, filename: str, status_code: int = 200, content_type: 'str | None' = None,
                  stream: 'Any' = None, max_age: 'int | None' = None, compressed: 'bool | str' = False,
                  file_extension: str = '') -> 'Response':
        """Return a response with a file as its body.

        :param filename: the path of the file. It is not checked: never pass what a client sent without a check.
        :param content_type: media type, by default by the extension of ``filename``.
        :param stream: an object with ``read(n)`` to send instead of the file.
        :param max_age: seconds that a cache may keep the response.
        :param compressed: ``True`` for a file compressed with gzip, or the name of the content coding.
        :param file_extension: added to ``filename`` when the file is opened, such as ``'.gz'``.

        A missing file or a directory is a 404.

        """
        open_body: 'Any' = None
        try:
            from microdot.files import File as open_body  # conditions and ranges, and more types
        except ImportError:
            pass
        if not content_type:
            name = filename[:-3] if compressed and not file_extension and filename[-3:] == '.gz' else filename
            extension = name.split('.')[-1].lower()
            content_type = cls.types_map.get(extension) or open_body and open_body.find_type(extension)
        content_type = content_type or 'application/octet-stream'
        headers = {'Content-Type': content_type}
        max_age = cls.default_send_file_max_age if max_age is None else max_age
        if max_age is not None:
            headers['Cache-Control'] = 'max-age=%d' % max_age
        if compressed:
            headers['Content-Encoding'] = compressed if isinstance(compressed, str) else 'gzip'
        if not stream:
            path = filename + file_extension
            try:
                stat = os.stat(path)
                if stat[0] & 0xF000 != 0x8000:  # not a regular file; opening a FIFO would block
                    raise OSError
                stream = open_body(path, stat, headers, status_code == 200) if open_body else open(path, 'rb')
            except (OSError, ValueError):
                raise ProtocolError(404) from None
            headers['Content-Length'] = str(stat[6])
        return cls(stream, status_code, headers)


async def close_bodies(bodies: 'list[Any]') -> None:
    """Close what was, or was to be, sent."""
    try:
        for i in range(len(bodies)):
            close = getattr(bodies[i], 'aclose', None) or getattr(bodies[i], 'close', None)
            if close:
                result = close()
                if hasattr(result, '__await__') or iscoroutine(result):
                    await result
    except BaseException:
        await close_bodies(bodies[i + 1:])
        raise


def with_charset(kind: str) -> str:
    return kind if 'charset=' in kind else kind + '; charset=UTF-8'


def plain_head(version: str, status_code: int, kind: str, extra: str) -> bytes:
    """Render the header block of a plain response, up to the value of ``Content-Length``."""
    headers = {'Content-Type': with_charset(kind)}
    check_headers(headers)
    return render_head(version, status_code, None, headers, extra)[:-2] + b'Content-Length: '


plain_head = memoize(plain_head)
JSON = 'application/json; charset=UTF-8'


WRONG_LENGTH = 'the body is not as long as Content-Length says'


class BodyIterator:
    """Async iterator over any kind of body. A class, because MicroPython has no async generators."""

    def __init__(self, body: 'Any', read_size: int, length: 'str | None' = None):
        if hasattr(body, '__aiter__'):
            body = body.__aiter__()
        elif isinstance(body, bytes):
            body = iter((body,))
        elif not (hasattr(body, 'read') or hasattr(body, '__anext__') or hasattr(body, 'send_to')):
            body = iter(body)
        self.body = body
        self.read_size = read_size
        self.left = None if length is None else int(length)

    def __aiter__(self) -> 'BodyIterator':
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._next()
        except StopAsyncIteration:
            if self.left:
                raise ValueError(WRONG_LENGTH) from None
            raise
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                raise ValueError(WRONG_LENGTH)
        return data

    async def _next(self) -> bytes:
        data: 'Any' = b''
        while not data:  # an empty chunk would end a chunked body
            if hasattr(self.body, '__anext__'):
                data = await self.body.__anext__()
            elif hasattr(self.body, 'read'):
                data = self.body.read(self.read_size)
                if iscoroutine(data):
                    data = await data
                if not data:
                    raise StopAsyncIteration
            else:
                try:
                    data = next(self.body)
                except StopIteration:
                    raise StopAsyncIteration from None
        return data.encode() if isinstance(data, str) else data


def make_response(value: 'Any') -> Response:
    """Make a response of what a handler returned."""
    if isinstance(value, Response):
        return value
    if isinstance(value, int):
        return Response(b'', value)
    if not isinstance(value, tuple):
        return Response(value)
    if len(value) == 3:
        value, status_code, headers = value
    else:
        value, status_code = value
        headers = None
        if not isinstance(status_code, int):
            headers = status_code
            status_code = 200
    return value if isinstance(value, Response) else Response(value, status_code, headers)


# ---------------------------------------------------------------------------------------------------------------
# Routes
# ---------------------------------------------------------------------------------------------------------------

class URLPattern:
    """The pattern of a route, such as ``/users/<int:id>``.

    Types: ``string`` (the default: up to the next slash), ``int``, ``path`` (one or more segments),
    ``re:REGEX`` and those added by :meth:`register_type`.

    """
    # The lazy "+?": MicroPython's engine recurses for each character that a greedy match takes
    types: 'dict[str, tuple[str, Callable[[str], Any] | None]]' = {
        'string': ('[^/]+?', None),
        'int': ('-?[0-9]+?', int),
        'path': ('.+?', None),
    }

    @classmethod
    def register_type(cls, type_name: str, pattern: str = '[^/]+?',
                      parser: 'Callable[[str], Any] | None' = None) -> None:
        """Add a type of URL component.

        :param pattern: regular expression of the values that match, in MicroPython's dialect.
        :param parser: converts the text to the argument; ``None`` or a ``ValueError`` means no match.

        """
        cls.types[type_name] = pattern, parser

    def __init__(self, url_pattern: str):
        self.url_pattern = url_pattern
        self.is_static = '<' not in url_pattern
        text = percent_decode('/' + url_pattern.lstrip('/').partition('<')[0])
        #: the literal text that a path must begin with: all of it, or up to a slash
        self.prefix = text if self.is_static else text[:text.rfind('/') + 1]
        self.key = self.prefix if '<' in url_pattern else ' ' + text  # which no prefix begins with
        self._regex: 'Any' = None
        self._parsers: 'list[tuple[int, str, Any]]' = []

    def compile(self) -> None:
        """Prepare for matching; ``ValueError`` for an unknown type or an unclosed ``<``."""
        regex = ''
        group = 1
        self._parsers = []
        rest = '/' + self.url_pattern.lstrip('/')
        while rest:
            text, mark, rest = rest.partition('<')
            regex += ''.join(['\\' + c if c in '\\.+*?()[]{}|^$' else c for c in percent_decode(text)])
            if not mark:
                break
            component, mark, rest = rest.partition('>')
            kind, colon, name = component.partition(':')
            if not colon:
                kind, name = 'string', kind
            if kind == 're':
                pattern, _, name = name.rpartition(':')
                parser = None
            elif kind in self.types:
                pattern, parser = self.types[kind]
            else:
                raise ValueError('unknown type in URL pattern ' + self.url_pattern)
            if not mark or not name:
                raise ValueError('invalid URL pattern ' + self.url_pattern)
            regex += '(' + pattern + ')'
            self._parsers.append((group, name, parser))
            group += 1
            found: 'Any' = re.compile('(?:' + pattern + ')|').match('')  # to count the pattern's own groups
            try:
                while '(' in pattern:
                    found.group(group - self._parsers[-1][0])
                    group += 1
            except IndexError:
                pass
        # Both sides end in a slash, because "$" would also match before a line feed at the end
        self._regex = re.compile('^' + regex + '/$', getattr(re, 'S', 0))

    def match(self, path: str) -> 'dict[str, Any] | None':
        """Return the arguments in a path (still percent-encoded), ``None`` if it does not match."""
        path = route_path(path)
        if self.is_static:
            return {} if path == self.prefix else None
        if not self._regex:
            self.compile()
        try:
            found = self._regex.match(path + '/')
        except RuntimeError:  # MicroPython: too long for the recursion of a greedy match
            found = None
        if not found:
            return None
        args = {}
        for group, name, parser in self._parsers:
            value = found.group(group).replace('\0', '/')
            try:
                args[name] = parser(value) if parser else value
            except ValueError:  # among them numbers that are too long for int()
                return None
            if args[name] is None:
                return None
        return args


# ---------------------------------------------------------------------------------------------------------------
# Application
# ---------------------------------------------------------------------------------------------------------------

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
    #: Connections at a time. The oldest idle one makes room for a new one; if there is none, the new one gets a 503.
    max_connections = 8 if ON_MICROPYTHON else 1000

    def __init__(self) -> None:
        self.routes: 'list[tuple[Any, ...]]' = []  # the arguments of add_route()
        self._index: 'dict[str, list[int]]' = {}  # numbers of routes by URLPattern.key
        self._longest = 0  # of the prefixes
        self._static: 'dict[str, int]' = {}  # what find_route() found for method and path, if that was a static route
        self.before_request_handlers: 'list[Any]' = []
        self.after_request_handlers: 'list[Any]' = []
        self.after_error_request_handlers: 'list[Any]' = []
        self.error_handlers: 'dict[Any, Any]' = {}
        self.options_handler: 'Callable[[Request], dict[str, str]]' = self.default_options_handler
        self.subapps: 'list[Microdot]' = []  # those whose hooks were copied
        self.debug = False
        self.servers: 'list[Server]' = []

    def route(self, url_pattern: str, methods: 'list[str] | None' = None) -> 'Callable[..., Any]':
        """Decorate a function to handle the requests for a path.

        :param url_pattern: see :class:`URLPattern`.
        :param methods: the HTTP methods, by default ``['GET']``.

        """
        names = [method.upper() for method in methods or ['GET']]
        if 'GET' in names and 'HEAD' not in names:
            names.append('HEAD')  # RFC 9110 section 9.3.2

        def decorated(f: 'Callable[..., Any]') -> 'Callable[..., Any]':
            self.add_route(URLPattern(url_pattern), names, f, prepare(f))
            try:
                f.is_routed = True  # type: ignore[attr-defined] # so that a login above this one can warn
            except AttributeError:  # MicroPython; a method
                pass
            return f
        return decorated

    def get(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['GET'])``."""
        return self.route(url_pattern)

    def post(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['POST'])``."""
        return self.route(url_pattern, ['POST'])

    def put(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['PUT'])``."""
        return self.route(url_pattern, ['PUT'])

    def patch(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['PATCH'])``."""
        return self.route(url_pattern, ['PATCH'])

    def delete(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['DELETE'])``."""
        return self.route(url_pattern, ['DELETE'])

    def query(self, url_pattern: str) -> 'Callable[..., Any]':
        """``route(url_pattern, ['QUERY'])``: the safe method with a body."""
        return self.route(url_pattern, ['QUERY'])

    def before_request(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate ``f(request)`` to run before each request; a result other than ``None`` is the response."""
        self.before_request_handlers.append(prepare(f))
        return f

    def after_request(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate ``f(request, response)`` to run after successful requests; its result replaces the response."""
        self.after_request_handlers.append(prepare(f))
        return f

    def after_error_request(self, f: 'Callable[..., Any]') -> 'Callable[..., Any]':
        """Decorate ``f(request, response)`` to run after error responses; its result replaces the response.

        ``request`` is ``None`` where there was no well-formed request.

        """
        self.after_error_request_handlers.append(prepare(f))
        return f

    def errorhandler(self, status_code_or_exception_class: 'int | type[Exception]') -> 'Callable[..., Any]':
        """Decorate ``f(request)`` for a status code, or ``f(request, exception)`` for an exception class."""
        def decorated(f: 'Callable[..., Any]') -> 'Callable[..., Any]':
            self.error_handlers[status_code_or_exception_class] = prepare(f)
            return f
        return decorated

    def mount(self, subapp: 'Microdot', url_prefix: str = '', local: bool = False) -> None:
        """Copy the routes of a sub-application under a prefix.

        Its hooks and error handlers become those of the whole application, or with ``local`` stay with its routes.

        """
        for pattern, methods, handler, call, prefix, innermost, local_apps in subapp.routes:
            self.add_route(URLPattern(url_prefix + pattern.url_pattern), methods, handler, call, url_prefix + prefix,
                           innermost or subapp, local_apps + (subapp,) if local else local_apps)
        if not local:
            for mine, other in ((self.before_request_handlers, subapp.before_request_handlers),
                                (self.after_request_handlers, subapp.after_request_handlers),
                                (self.after_error_request_handlers, subapp.after_error_request_handlers)):
                for hook in other:
                    if hook not in mine or subapp not in self.subapps:  # hooks run once, if mounted twice
                        mine.append(hook)
            self.subapps.append(subapp)
            self.error_handlers.update(subapp.error_handlers)

    def add_route(self, pattern: URLPattern, methods: 'list[str]', handler: 'Callable[..., Any]', call: 'Any',
                  url_prefix: str = '', subapp: 'Microdot | None' = None,
                  local_apps: 'tuple[Microdot, ...]' = ()) -> None:
        """Add a route.

        :param handler: the function as it was registered.
        :param call: what :func:`prepare` returned for it.
        :param url_prefix: the prefix under which ``subapp`` was mounted.
        :param local_apps: sub-applications whose hooks are for their own routes only, innermost first.

        """
        self._static.clear()
        self._index.setdefault(pattern.key, []).append(len(self.routes))
        self._longest = max(self._longest, len(pattern.prefix))
        self.routes.append((pattern, methods, handler, call, url_prefix, subapp, local_apps))

    def candidates(self, path: str) -> 'list[int]':
        """Return the numbers of the routes that may match a path; ``*`` (RFC 9110 section 9.3.7) stands for all.

        Routes are found by their literal text, so that it does not matter how many there are.

        """
        if path == '*':
            return list(range(len(self.routes)))
        numbers: 'list[int]' = []
        numbers += self._index.get(' ' + path, ())
        end = path.find('/') + 1
        while 0 < end <= self._longest:
            numbers += self._index.get(path[:end], ())
            end = path.find('/', end) + 1
        return numbers

    def find_route(self, request: Request) -> 'tuple[int, dict[str, Any]]':
        """Return the number of the first route that matches (-1 if there is none) and the arguments in the path."""
        path = request.raw_path
        first = self._static.get(request.method + path, -1)
        if first >= 0:  # PERF: bench, plain text and routing
            return first, {}
        args: 'dict[str, Any]' = {}
        for number in self.candidates(route_path(path)):
            if request.method in self.routes[number][1] and (first < 0 or number < first):
                found = self.routes[number][0].match(path)
                if found is not None:
                    first = number
                    args = found
        pattern = self.routes[first][0] if first >= 0 else None
        if pattern and pattern.is_static and path == pattern.prefix:  # not the endless spellings of an encoded path
            self._static[request.method + path] = first
        return first, args

    def default_options_handler(self, request: Request) -> 'dict[str, str]':
        """Return the headers of an automatic response to ``OPTIONS``: the methods of all routes that match."""
        methods: 'list[str]' = []
        added: 'list[str]' = []  # what the core adds comes last
        for number in self.candidates(route_path(request.raw_path)):
            pattern = self.routes[number][0]
            if request.path == '*' or pattern.match(request.raw_path) is not None:
                for method in self.routes[number][1] + ['OPTIONS']:
                    names = added if method in ('HEAD', 'OPTIONS') else methods
                    if method not in names:
                        names.append(method)
        return {'Allow': ', '.join(methods + sorted(added))}

    @staticmethod
    def abort(status_code: int, reason: 'str | None' = None) -> 'NoReturn':
        """End the request with a status code; ``reason`` is the body of the response."""
        raise HTTPException(status_code, reason)

    async def dispatch_request(self, request: Request) -> Response:
        """Call the handlers for a request and return the response."""
        try:
            if request.refusal:
                raise request.refusal
            number, args = self.find_route(request)
            if number >= 0:
                return await self.handle(request, number, args)
            allow = self.default_options_handler(request)
            if not allow['Allow']:
                raise ProtocolError(404)
            if request.method != 'OPTIONS':
                raise ProtocolError(405, allow)
            response = Response(b'', 200, self.options_handler(request))
            return await finish([self.after_error_request_handlers], request, response)
        except Disconnected:
            raise
        except Exception as exc:
            return await self.handle_error(request, exc)

    async def handle(self, request: Request, number: int, args: 'dict[str, Any]') -> Response:
        """Run the handler of a route, and the hooks around it."""
        _, _, request.route, call, url_prefix, subapp, local_apps = self.routes[number]
        if subapp:
            request.url_prefix = url_prefix
            request.subapp = subapp
        apps: 'tuple[Microdot, ...]' = (self,)
        if local_apps:
            request.local_apps = local_apps
            apps = local_apps + apps
        value = None
        for app in reversed(apps) if local_apps else apps:
            for hook in app.before_request_handlers:
                if value is None:
                    value = await hook(request)
        if value is None:
            value = await call(request, **args)
        is_handled = value is Response.already_handled
        response = Response() if is_handled else make_response(value)
        if (type(response.body) is bytes and not local_apps and not self.after_request_handlers
                and not request.after_request_handlers and not request.response_hooks):
            response.complete()  # PERF: bench, plain text
        else:
            hooks = [app.after_request_handlers for app in apps]
            response = await finish(hooks + [request.after_request_handlers], request, response)
        return Response.already_handled if is_handled else response

    async def handle_error(self, request: 'Request | None', exc: Exception) -> Response:
        """Turn an exception into a response; ``request`` is ``None`` where it was malformed."""
        for attempt in 0, 1, 2:  # the second is without error handlers, the third without hooks of the application
            try:
                response = default_response(exc) if attempt else await self.error_response(request, exc)
                hooks = [app.after_error_request_handlers for app in (request.local_apps if request else ()) + (self,)]
                return await finish(hooks if attempt < 2 else [], request, response)
            except Exception as failure:  # a handler that cannot do without a request is no news
                if request:
                    if not isinstance(failure, (HTTPException, ProtocolError)):
                        log_error(failure, request)
                    exc = failure
        response = default_response(exc)
        response.complete()
        return response

    async def error_response(self, request: 'Request | None', exc: Exception) -> Response:
        """Call the most specific error handler: the innermost application first, then along the exception's MRO."""
        apps = (request.local_apps if request else ()) + (self,)
        is_http = isinstance(exc, (HTTPException, ProtocolError))
        args: 'tuple[Any, ...]' = (request,) if is_http else (request, exc)
        for app in apps:
            for key in exc.args[:1] if is_http else mro(type(exc)):
                if key in app.error_handlers:
                    response = make_response(await app.error_handlers[key](*args))
                    for name, value in exc.args[1].items() if len(exc.args) == 2 else ():
                        response.headers.setdefault(name, value)
                    return response
        if not is_http:
            log_error(exc, request)
            for app in apps:
                if 500 in app.error_handlers:
                    return make_response(await app.error_handlers[500](request))
        return default_response(exc)

    async def handle_request(self, reader: 'Any', writer: 'Any') -> None:
        """Serve the requests of one connection, given as a pair of asyncio streams."""
        await Connection(Server(self), reader, writer).serve()

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
            raise ValueError('start_serving=False needs CPython')
        self.debug = debug
        for route in self.routes:
            if not route[0].is_static:
                route[0].compile()  # so that a mistake shows now and not with the first request
        server = make_server(self, **options)
        await server.start(host, port, ssl)
        if not start_serving:
            return server
        if debug:
            server.announce(host, port)
        await server.serve_forever()
        return None

    def run(self, host: 'Any' = '0.0.0.0', port: int = 5000, debug: bool = False, ssl: 'Any' = None,
            **options: 'Any') -> None:
        """Serve in an event loop of its own until :meth:`shutdown` is called, or Ctrl-C (twice: at once).

        The parameters are those of :meth:`start_server`. On CPython also ``host='systemd'`` for the sockets of a
        socket unit, ``workers`` (number of processes, by default 1), and ``loop`` (``'asyncio'`` or ``'uvloop'``, by
        default uvloop if it is installed).

        """
        workers = load('workers')
        if workers:
            workers.run_app(self, host, port, debug, ssl, **options)
            return
        try:
            asyncio.run(self.start_server(host, port, debug, ssl, **options))
        except KeyboardInterrupt:
            for server in self.servers if ON_MICROPYTHON else ():  # where the event loop can go on
                asyncio.run(server.stop())

    def shutdown(self) -> None:
        """Stop the server: requests in flight are completed, idle connections closed. Any thread may call this."""
        for server in self.servers:
            if ON_MICROPYTHON:
                server.close()
            else:
                server.loop.call_soon_threadsafe(server.close)


def later_hooks(request: 'Request | None') -> 'Iterator[Any]':
    """Yield the hooks of extensions, also those that are added while others run."""
    i = 0
    while request and i < len(request.response_hooks):
        yield request.response_hooks[i]
        i += 1


async def finish(hooks: 'list[Any]', request: 'Request | None', response: Response) -> Response:
    """Run hooks, given as lists of them, then those of extensions, and complete the response.

    What a hook returns replaces it. A body that will not be sent is closed.

    """
    bodies = [response.body]
    try:
        for some in hooks + [later_hooks(request)]:
            for hook in some:
                value = await hook(request, response)
                if value is not None:
                    response = make_response(value)
                if response.body is not bodies[-1]:
                    bodies.append(response.body)
        if request and hasattr(response.body, 'prepare'):
            await response.body.prepare(request, response)
        response.complete()
    except BaseException:
        await close_bodies(bodies)
        raise
    if isinstance(response.body, bytes):
        await close_bodies(bodies)
    else:
        response.origins = bodies[:-1]  # which the last one may read from
    return response


def default_response(exc: Exception) -> Response:
    """Return the response to an exception that no error handler is for."""
    if isinstance(exc, HTTPException):
        return Response(exc.reason, exc.status_code)
    status_code, headers = (exc.args + (None,))[:2] if isinstance(exc, ProtocolError) else (500, None)
    text = 'Payload too large' if status_code == 413 else reason_phrase(status_code)
    return Response(text[:1] + text[1:].lower(), status_code, headers)


abort = Microdot.abort
redirect = Response.redirect
send_file = Response.send_file


# ---------------------------------------------------------------------------------------------------------------
# The portable server: asyncio streams
# ---------------------------------------------------------------------------------------------------------------

class Disconnected(OSError):
    """The client is gone, or did not keep a time limit (then the first argument is ``TIMED_OUT``)."""


class Connection(AsyncBytesIO):
    """A connection to a client. Handlers see it as ``request.sock``, both as reader and as writer."""

    is_busy = False  # from a complete header block to the end of the response
    is_ended = False
    is_torn = False  # a task was cancelled after it had written a part of its data, which nothing can follow
    is_eof = False  # the client sends no more; only watchers look at this
    watcher: 'Any' = None
    is_upgraded = False  # it does not speak HTTP any more (RFC 9110 section 7.8)
    body: 'BodyStream | None' = None
    last_head: 'Head | None' = None  # what the request before has said
    task: 'Any' = None
    raw_socket: 'Any' = None
    client_addr: 'Any' = None  # where that is known from the beginning
    deadline: 'int | None' = None

    def __init__(self, server: 'Server', reader: 'Any', writer: 'Any'):
        super().__init__()
        self.app = server.app
        self.server = server
        self.reader = reader
        self.writer = writer if ON_MICROPYTHON or hasattr(writer, 'awrite') else Writer(writer)
        if server.raw_socket:
            self.raw_socket = server.raw_socket

    def get_extra_info(self, name: str, default: 'Any' = None) -> 'Any':
        return self.writer.get_extra_info(name)

    def set_limit(self, seconds: float) -> None:
        """Let what the connection waits for from now on fail with ``Disconnected`` after this time."""
        self.deadline = self.server.get_deadline(seconds)

    async def _wait(self, f: 'Any') -> 'Any':
        """Await until the deadline. A sweep of the server cancels it then: cheaper than a timer for each."""
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
        except OSError as exc:
            raise Disconnected(*exc.args) from None
        finally:
            del waits[task]

    async def _fill(self, n: int) -> bool:
        return self._feed(await self._wait(self.reader.read(n)))

    async def read_head(self) -> bytes:
        """Return a header block with its empty line, ``b''`` where the connection ends before one begins."""
        self.is_busy = False
        self.body = None
        had = -1
        while True:
            self.data = skip_empty_lines(self.data)
            end = find_head_end(self.data)
            if end:
                self.is_busy = True
                self.deadline = None
                return self._take(end)
            if had <= 0:  # idle, and from the first byte on
                self.set_limit(self.app.header_timeout if self.data else self.app.keep_alive_timeout)
            had = len(self.data)
            try:
                data = await self._wait(self.reader.read(self.read_size))
            except Disconnected as exc:
                if exc.args[:1] != (TIMED_OUT,):
                    raise
                if had:
                    raise ProtocolError(408) from None
                return b''
            if not data:
                if had:
                    raise ProtocolError(400)
                return b''
            self.data += data

    async def awrite(self, data: bytes) -> None:
        """Send all of ``data``; ``Disconnected`` if the client is gone or does not read."""
        view = memoryview(data)
        for start in range(0, len(data), 65536):
            self.is_torn = ON_MICROPYTHON or start + 65536 < len(data)  # else all of it is in the buffer of asyncio
            self.set_limit(self.app.write_timeout)
            await self._wait(self.writer.awrite(view[start:start + 65536]))
        self.deadline = None
        self.is_torn = False

    async def aclose(self) -> None:
        self.set_limit(self.app.write_timeout)
        try:
            await self._wait(self.writer.aclose())
        finally:
            if self.raw_socket:
                self.raw_socket.close()

    async def linger(self) -> None:
        """Let the client read the response: a socket closed with unread input is reset (RFC 9112 section 9.6)."""
        self.is_busy = False
        self.end_output()
        self.set_limit(self.app.linger_timeout)
        left = self.app.linger_bytes
        while left > 0:
            data = await self.read(self.read_size)
            left = left - len(data) if data else 0

    def end_output(self) -> None:
        if hasattr(self.writer, 'end'):
            self.writer.end()

    def watch(self, watcher: 'Any') -> None:
        """Call ``watcher.notice()`` whenever the client has sent something into ``data``, and at its end (``is_eof``).

        The server calls ``watcher.end()`` when it stops, ``await watcher.finish(response)`` at the end of the request.

        """
        self.watcher = watcher
        self.reading = asyncio.Event()
        self.watching = asyncio.create_task(self._watch())

    async def unwatch(self) -> None:
        self.watcher = None
        self.watching.cancel()
        await asyncio.sleep(0)  # until it has let go of the stream

    async def _watch(self) -> None:
        try:
            while self._feed(await self.reader.read(self.read_size)):
                self.watcher.notice()
                self.reading.clear()
                if len(self.data) > self.read_size:
                    await self.reading.wait()
        except (OSError, MemoryError):
            pass
        self.is_eof = True
        if self.watcher:
            self.watcher.notice()

    def resume_reading(self) -> None:
        """Tell the one who watches that there is less in ``data``."""
        self.reading.set()

    def end(self) -> None:
        """Close the connection unless it is busy."""
        if self.watcher:
            self.watcher.end()
        elif not self.is_busy:
            self.cancel()

    def cancel(self) -> None:
        """End the connection and the handler that serves it at once."""
        self.is_busy = self.is_ended = True
        self.task.cancel()

    async def serve(self) -> None:
        """Serve one request after the other until either side closes the connection."""
        self.task = asyncio.current_task()
        try:
            try:
                if self.server.add(self):
                    while await self.serve_request():
                        pass
                elif len(self.server.connections) < self.app.max_connections + 3:  # not a crowd of refusals
                    await self.refuse(ProtocolError(503))
            except ProtocolError:
                pass
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

    async def serve_request(self) -> bool:
        """Serve one request. Returns whether there can be another one."""
        try:
            head = await self.read_head()
        except ProtocolError as exc:
            return await self.refuse(exc)
        return await self.answer(head) if head else False

    async def answer(self, head: bytes) -> bool:
        """Answer the request with this header block. Returns whether there can be another one."""
        try:
            request = Request.parse(self, head)
        except ProtocolError as exc:
            return await self.refuse(exc, head[:5] == b'HEAD ')
        body = self.body
        if body:
            await request.load(body)
        response = None
        try:
            response = await self.app.dispatch_request(request)
            return not self.is_upgraded and response is not Response.already_handled and await self.respond(
                request, response, request.method == 'HEAD')
        finally:
            if self.watcher:
                await self.watcher.finish(response)

    async def refuse(self, exc: ProtocolError, is_head: bool = False) -> bool:
        """Answer what is not a request."""
        return await self.respond(None, await self.app.handle_error(None, exc), is_head)

    async def respond(self, request: 'Request | None', response: Response, is_head: bool) -> bool:
        """Send a response. Returns whether there can be another request."""
        version = '1.1'
        body = self.body
        is_kept = False
        if request:
            version = request.http_version
            is_kept = (request.keeps_alive and not self.server.is_closing and not request.refusal
                       and (not body or self.is_drainable(body))
                       and response.status_code not in (413, 414)
                       and (response.is_plain or self.is_keepable(version, response)))
        extra = date_header()
        if not is_kept or version == '1.0':
            if response.is_plain or 'Connection' not in response.headers:
                extra += 'Connection: keep-alive\r\n' if is_kept else 'Connection: close\r\n'
        if response.is_plain:  # PERF: bench, plain text
            await self.awrite(response.render_plain(version, extra, is_head))
        else:
            await response.send(self, version, extra, is_head)
        if self.server.logs_requests and request:
            log_request(request, response)
        if is_kept:
            while body and await body.read(self.read_size):
                pass
        elif not request or self.data or (body and body.left):
            await self.linger()
        return is_kept and not self.server.is_closing

    def is_drainable(self, body: BodyStream) -> bool:
        """Tell whether what the handler left of a body can be read, to get at the next request."""
        return not body.left or 0 < body.left <= Request.max_body_length and not body.expects and not body.status

    def is_keepable(self, version: str, response: Response) -> bool:
        """Tell whether a response lets the connection stay open."""
        return keep_alive('1.1', response.headers) and (
            version == '1.1' or 'Content-Length' in response.headers or response.is_bodyless())


class Server:
    """Listens on a port and watches over its connections."""

    #: Seconds between two sweeps over the deadlines; a time limit ends that much late at the most.
    sweep_period = 0.5
    raw_socket: 'Any' = None
    proxies: 'Any' = None
    deadline = 0  # the sweep that ends a graceful shutdown

    def __init__(self, app: Microdot):
        self.app = app
        self.scheme = 'http'
        self.connections: 'Any' = []  # the oldest first
        self.logs_requests = app.debug
        self.waits: 'dict[Any, int | None]' = {}  # task: the sweep that ends its waiting; 0 when that has come
        self.sweeps = 0
        self.is_closing = False
        self.loop: 'Any' = None
        self.ssl: 'Any' = None
        self.server: 'Any' = None
        self._closed = asyncio.Event()

    async def start(self, host: str, port: int, ssl: 'Any' = None) -> None:
        """Open the port. On CPython connections are accepted from :meth:`serve_forever` on."""
        if ssl:
            self.scheme = 'https'
            self.ssl = ssl
            ssl = self if ON_MICROPYTHON else ssl
        if hasattr(gc, 'threshold') and gc.threshold() < 0:  # MicroPython, and nobody has chosen
            gc.threshold(gc.mem_free() // 4)  # type: ignore[attr-defined] # collecting late scatters what stays over all of the heap
        self.loop = asyncio.get_event_loop()
        await self.listen(host, port, ssl)
        asyncio.create_task(self._sweep())
        self.app.servers.append(self)

    async def listen(self, host: 'Any', port: int, ssl: 'Any') -> None:
        self.server = await listen(self._accept, host, port, ssl=ssl)

    def announce(self, host: 'Any', port: int) -> None:
        print('Listening on %s://%s:%s' % (self.scheme, host, port))

    async def start_serving(self) -> None:
        if not ON_MICROPYTHON:
            await self.server.start_serving()

    def wrap_socket(self, sock: 'Any', **kwargs: 'Any') -> 'Any':
        """Begin TLS for a new connection. MicroPython calls this just before it makes the :class:`Connection`.

        That remembers the socket beneath, because closing a TLS socket whose handshake failed leaves it open.

        """
        self.raw_socket = sock
        return self.ssl.wrap_socket(sock, **kwargs)

    async def serve_forever(self) -> None:
        """Accept connections until :meth:`close` is called; a cancellation ends all connections at once."""
        try:
            await self.start_serving()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            self.cancel()
            raise

    def close(self) -> None:
        """Accept no more connections, close those that are idle, let the others complete their request."""
        if not self.is_closing:
            self.is_closing = True
            self.stop_listening()
            self.deadline = self.get_deadline(self.app.graceful_timeout)
            self.end_idle()

    def stop_listening(self) -> None:
        self.server.close()

    def end_idle(self) -> None:
        for connection in list(self.connections):
            connection.end()
        self.check_closed()

    def cancel(self) -> None:
        """End all connections at once, and the handlers that serve them."""
        for connection in list(self.connections):
            connection.cancel()

    async def wait_closed(self) -> None:
        """Wait until all connections are closed."""
        await self._closed.wait()

    async def stop(self) -> None:
        """Do both. In a task of its own: MicroPython takes the task that Ctrl-C interrupted for the one that runs."""
        self.close()
        await self.wait_closed()

    def add(self, connection: Connection) -> bool:
        """Take in a connection; ``False`` if there is no room for it."""
        has_room = self.has_room()
        self.connections.append(connection)
        return has_room and not self.is_closing

    def has_room(self) -> bool:
        """Tell whether there is room for one more, which the oldest idle connection may have to make."""
        if len(self.connections) < self.app.max_connections:
            return True
        for other in self.connections:
            if not other.is_busy:
                other.end()
                return True
        return False

    def remove(self, connection: Connection) -> None:
        self.connections.remove(connection)
        self.check_closed()

    def check_closed(self) -> None:
        if self.is_closing and not self.connections and not self._closed.is_set():
            self.app.servers.remove(self)
            self._closed.set()

    async def _accept(self, reader: 'Any', writer: 'Any') -> None:
        try:
            await Connection(self, reader, writer).serve()
        except MemoryError:  # a board goes on with the clients that it has
            if ON_MICROPYTHON:
                writer.s.close()
            else:
                writer.close()

    async def _sweep(self) -> None:
        while not self._closed.is_set():
            await asyncio.sleep(self.sweep_period)
            self.sweeps += 1
            try:
                self.expire()
                if self.is_closing and self.sweeps >= self.deadline:
                    self.cancel()
            except MemoryError:  # the next sweep finds the others
                pass

    def expire(self) -> None:
        """End what has passed its deadline."""
        for task, deadline in list(self.waits.items()):
            if deadline and deadline <= self.sweeps:
                self.waits[task] = 0
                task.cancel()

    def get_deadline(self, seconds: float) -> int:
        """Return the number of the first sweep after so many seconds."""
        return self.sweeps + 1 + int(seconds / self.sweep_period)


def make_server(app: Microdot, **options: 'Any') -> Server:
    """Return the fastest server that there is; ``ValueError`` for options that it does not have."""
    server = load('server')
    if server:
        return server.ProtocolServer(app, **options)  # type: ignore[no-any-return]
    if options:
        raise ValueError('options that need CPython: ' + ', '.join(options))
    return Server(app)
