"""WebSocket (RFC 6455): handlers hold a conversation of messages with a client.

The first part turns bytes into messages and back. It has no I/O; the server and the client of tests share it.

"""
import asyncio
import hashlib
from binascii import a2b_base64, b2a_base64

from microdot.helpers import wraps
from microdot.microdot import (
    ON_MICROPYTHON,
    Disconnected,
    ProtocolError,
    Request,
    Response,
    date_header,
    log_request,
    render_head,
)
from microdot.push import Signal, below_guards, current_task

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.deflate import Deflate

    Event = tuple[int, Any]

CONTINUATION = 0  # opcodes (RFC 6455 section 5.2)
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

MASK_BLOCK = 2048 if not ON_MICROPYTHON else 128  # bytes that are masked at a time, a multiple of 4
MAX_PONGS = 16  # answers to pings that the client has not taken yet; the server reads no more when there are as many
MAX_BURST = 65536  # bytes that are sent without a pause
MAX_STEPS = 100  # messages or fragments that are taken without a pause
EVENT_COST = 64  # bytes that a message takes beside its content, about

NO_STATUS = 1005  # close codes that are never sent (RFC 6455 section 7.4.1)
ABNORMAL = 1006


class WebSocketError(Exception):
    """The conversation is over, or the peer has broken its rules: ``args`` are a close code and a reason."""


# ---------------------------------------------------------------------------------------------------------------
# Bytes and messages
# ---------------------------------------------------------------------------------------------------------------

def apply_mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with a key of 4 bytes (RFC 6455 section 5.3)."""
    # PERF: bench, WebSocket echo: long integers are the only loop over bytes that both interpreters have in C
    size = len(data)
    if size <= MASK_BLOCK:
        keys = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(data, 'little') ^ int.from_bytes(keys, 'little')).to_bytes(size, 'little')
    block = int.from_bytes(key * (MASK_BLOCK // 4), 'little')
    end = size - size % MASK_BLOCK
    parts = [(int.from_bytes(data[i:i + MASK_BLOCK], 'little') ^ block).to_bytes(MASK_BLOCK, 'little')
             for i in range(0, end, MASK_BLOCK)]
    parts.append(apply_mask(data[end:], key))
    return b''.join(parts)


try:
    from microdot.mask import apply_mask as c_apply_mask
except ImportError:
    c_apply_mask = None
if c_apply_mask:
    apply_mask = c_apply_mask


def render_frame(opcode: int, payload: bytes, key: bytes = b'', flags: int = 0x80) -> bytes:
    """Return a frame (RFC 6455 section 5.2), by default a final one; clients give a ``key`` to mask it."""
    size = len(payload)
    mask_bit = 0x80 if key else 0
    if size < 126:
        head = bytes((flags | opcode, mask_bit | size))
    elif size < 65536:
        head = bytes((flags | opcode, mask_bit | 126)) + size.to_bytes(2, 'big')
    else:
        head = bytes((flags | opcode, mask_bit | 127)) + size.to_bytes(8, 'big')
    return head + key + apply_mask(payload, key) if key else head + payload


def render_close(code: int, reason: str = '') -> bytes:
    """Return the payload of a close frame, whose limit of 125 bytes may cut the reason (RFC 6455 section 5.5.1)."""
    if code == NO_STATUS:
        return b''
    if not is_close_code(code):
        raise ValueError('invalid close code')
    text = reason.encode()
    end = min(len(text), 123)
    while end < len(text) and text[end] & 0xC0 == 0x80:  # not within a character
        end -= 1
    return code.to_bytes(2, 'big') + text[:end]


def is_close_code(code: int) -> bool:
    """Tell whether a code may be sent (RFC 6455 section 7.4)."""
    return 3000 <= code < 5000 or 1000 <= code <= 1014 and code not in (1004, NO_STATUS, ABNORMAL)


def decode_size(data: 'bytes | bytearray') -> int:
    """Decode a length of 2 or 8 bytes (RFC 6455 section 5.2): as few as possible, and the first bit is not set."""
    size = int.from_bytes(data, 'big')
    if size < (126 if len(data) == 2 else 65536) or size >> 63:
        raise WebSocketError(1002, 'invalid length')
    return size


def parse_close(payload: bytes) -> 'tuple[int, str]':
    """Return code and reason of a close frame; ``WebSocketError`` where it is malformed (RFC 6455 section 7.4)."""
    if not payload:
        return NO_STATUS, ''
    code = int.from_bytes(payload[:2], 'big')
    if len(payload) < 2 or not is_close_code(code):
        raise WebSocketError(1002, 'invalid close code')
    return code, decode_text(payload[2:])


def check_text(data: bytes) -> int:
    """Return how many bytes of ``data`` are whole characters (Unicode section 3.9, table 3-7).

    ``WebSocketError`` as soon as the bytes cannot become UTF-8, which a decoder of MicroPython would not see.

    """
    i = 0
    end = len(data)
    while i < end:
        lead = data[i]
        low, high = 0x80, 0xBF
        if lead < 0x80:
            size = 1
        elif 0xC2 <= lead < 0xE0:
            size = 2
        elif 0xE0 <= lead < 0xF0:
            size = 3
            low = 0xA0 if lead == 0xE0 else low
            high = 0x9F if lead == 0xED else high
        else:
            size = 4 if 0xF0 <= lead < 0xF5 else 0
            low = 0x90 if lead == 0xF0 else low
            high = 0x8F if lead == 0xF4 else high
        for byte in data[i + 1:i + size]:
            if not low <= byte <= high:
                size = 0
            low, high = 0x80, 0xBF
        if not size:
            raise WebSocketError(1007, 'invalid UTF-8')
        if i + size > end:
            break
        i += size
    return i


def decode_text(data: bytes, is_checked: bool = not ON_MICROPYTHON) -> str:
    """Decode a complete text; ``WebSocketError`` if it is not UTF-8."""
    try:
        if not is_checked and data and max(data) > 127 and check_text(data) < len(data):
            raise UnicodeError
        return data.decode()
    except UnicodeError:
        raise WebSocketError(1007, 'invalid UTF-8') from None


class TextChecker:
    """Checks a text that comes in pieces, and refuses it at the first byte that is wrong."""

    def __init__(self) -> None:
        self.rest = b''

    def check(self, data: bytes) -> None:
        data = self.rest + data
        start = 0 if ON_MICROPYTHON and data and max(data) > 127 else last_character(data)
        end = start + check_text(data[start:])
        self.rest = data[end:]
        decode_text(data[:end], True)

    def finish(self) -> None:
        if self.rest:
            raise WebSocketError(1007, 'invalid UTF-8')


def last_character(data: bytes) -> int:
    """Return where the last character begins, if it may be incomplete."""
    for i in range(1, min(len(data), 3) + 1):
        if data[-i] & 0xC0 != 0x80:
            return len(data) - i
    return len(data)


class MessageDecoder:
    """Finds the messages in the bytes of one direction of a connection.

    :param is_masked: whether frames have to be masked, as those of clients, or must not be.
    :param max_length: bytes of a message, reassembled and inflated; 0 for no limit.
    :param deflate: inflates compressed messages (RFC 7692), if that was negotiated.

    """

    def __init__(self, is_masked: bool, max_length: int = 0, deflate: 'Deflate | None' = None):
        self.is_masked = is_masked
        self.max_length = max_length
        self.deflate = deflate
        self.data = b''
        self.start = 0  # of what has not been decoded
        self.opcode = 0  # of the message that has begun
        self.buffer = bytearray()  # of it
        self.is_compressed = False
        self.text: 'TextChecker | None' = None
        self.is_final = False  # the frame that has begun
        self.left = -1  # bytes of its payload that have not come; negative between frames
        self.key = b''

    def feed(self, data: bytes) -> None:
        """Append bytes from the peer."""
        self.data = self.data[self.start:] + data if self.start < len(self.data) else data
        self.start = 0

    def is_drained(self) -> bool:
        """Tell whether all that was fed has been decoded."""
        return self.start == len(self.data)

    def next(self) -> 'Event | None':
        """Return opcode and payload of the next message or control frame, ``None`` where bytes are missing.

        The payload is a ``str`` for ``TEXT``, ``bytes`` for others; fragments that a message does not end with come as
        ``CONTINUATION``, without a payload. ``WebSocketError`` with the close code to send if
        the peer does not keep to the rules.

        """
        if self.left < 0:
            event = self._begin_frame()
            if self.left < 0:
                return event
        if not self._take_payload():
            return None
        return self._end_message() if self.is_final else (CONTINUATION, b'')

    def _begin_frame(self) -> 'Event | None':
        """Decode the head of a frame, and the whole frame where that is short or a message of its own."""
        data = self.data
        start = self.start
        available = len(data) - start
        if available < 2:
            return None
        first = data[start]
        size = data[start + 1]
        is_masked = size > 127
        size &= 127
        self._check_head(first, size, is_masked)
        head = 2
        if size > 125:
            head = 4 if size == 126 else 10
            if available < head:
                return None
            size = decode_size(data[start + 2:start + head])
        if is_masked:
            head += 4
        if available < head:
            return None
        opcode = first & 15
        key = data[start + head - 4:start + head] if is_masked else b''
        is_message = 0 < opcode < 8
        if opcode < 8:
            is_compressed = first & 0x40 or self.is_compressed
            if self.max_length and not is_compressed and len(self.buffer) + size > self.max_length:
                raise WebSocketError(1009, 'message too long')
            if first != 0x81 and first != 0x82 or available < head + size:
                self._begin_payload(first, size, key)
                self.start = start + head
                return None
        elif available < head + size:
            return None
        # PERF: bench, WebSocket echo: a frame that is a message, and here
        self.start = start + head + size
        payload = data[start + head:self.start]
        if key:
            payload = apply_mask(payload, key)
        return opcode, decode_text(payload) if is_message and opcode == TEXT else payload

    def _check_head(self, first: int, size: int, is_masked: bool) -> None:
        """Check the first two bytes of a frame (RFC 6455 section 5.2)."""
        opcode = first & 15
        is_continued = bool(self.opcode)
        if opcode > 7:
            is_valid = opcode < 11 and first & 0xF0 == 0x80 and size < 126
        else:
            is_valid = opcode < 3 and (opcode == CONTINUATION) == is_continued and not first & 0x30
            if first & 0x40 and (is_continued or not self.deflate):
                is_valid = False
        if not is_valid or is_masked != self.is_masked:
            raise WebSocketError(1002, 'invalid frame')

    def _begin_payload(self, first: int, size: int, key: bytes) -> None:
        if first & 15:
            self.opcode = first & 15
            self.is_compressed = bool(first & 0x40)
            self.text = TextChecker() if self.opcode == TEXT else None
        self.is_final = first > 127
        self.left = size
        self.key = key

    def _take_payload(self) -> bool:
        """Take what there is of the payload; ``False`` if bytes are missing."""
        end = min(self.start + self.left, len(self.data))
        part = self.data[self.start:end]
        self.start = end
        self.left -= len(part)
        if self.key and part:
            part = apply_mask(part, self.key)
            turn = len(part) & 3
            self.key = self.key[turn:] + self.key[:turn]
        if self.is_compressed and self.deflate:
            part = self.deflate.decompress(part, self._room())
        self._add(part)
        if self.left:
            return False
        if self.is_compressed and self.is_final and self.deflate:
            self._add(self.deflate.finish_message(self._room()))
        self.left = -1
        return True

    def _room(self) -> int:
        """Return how many bytes may come out of a compressed message, one too many included; 0 for no limit."""
        return self.max_length and self.max_length - len(self.buffer) + 1

    def _add(self, part: bytes) -> None:
        self.buffer += part
        if self.max_length and len(self.buffer) > self.max_length:
            raise WebSocketError(1009, 'message too long')
        if self.text:
            self.text.check(part)

    def _end_message(self) -> 'Event':
        if self.text:
            self.text.finish()
        event = self.opcode, self.buffer.decode() if self.text else bytes(self.buffer)
        self.opcode = 0
        self.buffer = bytearray()
        self.is_compressed = False
        return event


# ---------------------------------------------------------------------------------------------------------------
# The handshake
# ---------------------------------------------------------------------------------------------------------------

def accept_key(key: str) -> str:
    """Return the answer to a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()
    return b2a_base64(digest).decode().strip()


def parse_list(value: 'str | None') -> 'list[str]':
    """Return the elements of a header that is a list (RFC 9110 section 5.6.1)."""
    return [element.strip() for element in (value or '').split(',') if element.strip()]


def is_key(key: str) -> bool:
    """Tell whether a ``Sec-WebSocket-Key`` is 16 bytes in Base64."""
    try:
        return len(key) == 24 and b2a_base64(a2b_base64(key)).decode().strip() == key and key[-2:] == '=='
    except ValueError:
        return False


def check_handshake(request: Request) -> None:
    """``ProtocolError`` if a request does not open a WebSocket (RFC 6455 section 4.2.1)."""
    headers = request.headers
    if (request.method != 'GET' or request.http_version != '1.1' or request.content_length
            or 'Transfer-Encoding' in headers
            or 'websocket' not in parse_list(headers.get('Upgrade', '').lower())
            or 'upgrade' not in parse_list(headers.get('Connection', '').lower())
            or 'Sec-WebSocket-Version' not in headers or not is_key(headers.get('Sec-WebSocket-Key', ''))):
        raise ProtocolError(400)
    if headers['Sec-WebSocket-Version'] != '13':
        raise ProtocolError(426, {'Sec-WebSocket-Version': '13', 'Upgrade': 'websocket',
                                  'Connection': 'Upgrade, close'})
    if not getattr(request.sock[0], 'can_upgrade', True):
        raise ProtocolError(501)  # the host has no way to do this


def check_origin(request: Request, allowed_origins: 'list[str] | None') -> None:
    if allowed_origins is not None and request.headers.get('Origin', '').lower() not in [''] + [
            origin.lower() for origin in allowed_origins]:
        raise ProtocolError(403)


async def websocket_upgrade(request: Request, subprotocols: 'list[str] | None' = None,
                            allowed_origins: 'list[str] | None' = None, ping_interval: 'float | None' = None,
                            ping_timeout: 'float | None' = None, compression: 'Any' = False) -> 'WebSocket':
    """Accept a WebSocket in a handler, which has to return ``Response.already_handled``.

    See :func:`with_websocket`, which does both.

    """
    request.keeps_alive = False  # a proxy may take what follows for frames, and let it pass
    headers: 'dict[str, str]' = {}
    make = getattr(request.sock[0], 'make_websocket', None)  # a host has done the handshake and speaks in messages
    if make:
        check_origin(request, allowed_origins)
        ws = make(request)
    else:
        check_handshake(request)
        check_origin(request, allowed_origins)
        ws = WebSocket(request, answer_handshake(request, headers, compression))
    offered = ws.offered if make else parse_list(request.headers.get('Sec-WebSocket-Protocol'))
    for name in subprotocols or []:  # in the order of the server's preference
        if name in offered and not ws.subprotocol:
            ws.subprotocol = headers['Sec-WebSocket-Protocol'] = name
    await ws.open(headers)
    if ping_interval:
        ws.heartbeat = asyncio.create_task(ws.beat(ping_interval, ping_timeout or ping_interval))
    return ws  # type: ignore[no-any-return]


def answer_handshake(request: Request, headers: 'dict[str, str]', compression: 'Any') -> 'Deflate | None':
    """Fill in the headers that accept a handshake (RFC 6455 section 4.2.2); returns what compresses messages."""
    headers.update({'Upgrade': 'websocket', 'Connection': 'Upgrade',
                    'Sec-WebSocket-Accept': accept_key(request.headers['Sec-WebSocket-Key'])})
    deflate = None
    if compression:
        from microdot.deflate import negotiate

        deflate = negotiate(request.headers.get('Sec-WebSocket-Extensions', ''), compression)
        if deflate:
            headers['Sec-WebSocket-Extensions'] = deflate.response
    return deflate


def with_websocket(f: 'Callable[..., Any] | None' = None, **options: 'Any') -> 'Any':
    """Make a WebSocket handler of an ``async def`` function, which is called as ``f(request, ws, **args)``.

    Use it below the decorator of the route, as ``@with_websocket`` or ``@with_websocket(...)`` with options:

    :param subprotocols: names that the handler knows, the preferred one first; ``ws.subprotocol`` is the one that the
                         client knows, too, or ``None`` (RFC 6455 section 1.9).
    :param allowed_origins: the only origins whose pages may connect, such as ``['https://example.com']``; by default
                            all. Clients that are no browsers send none, and may. Others get a 403.
    :param ping_interval: seconds between two pings, by default ``None``: no pings.
    :param ping_timeout: seconds after which a client that does not answer is gone, by default ``ping_interval``.
    :param compression: ``True`` or a :class:`microdot.deflate.Compression` to compress messages if the client can
                        (RFC 7692; CPython only).

    A request that is not a proper handshake is answered with a 400, a version other than 13 with a 426.

    """
    if f is None:
        return lambda f: with_websocket(f, **options)
    if ON_MICROPYTHON and options.get('compression'):
        raise ValueError('compression needs CPython')
    return below_guards(f, lambda f: converse(f, options))


def converse(f: 'Callable[..., Any]', options: 'dict[str, Any]') -> 'Any':
    @wraps(f)
    async def wrapper(request: Request, *args: 'Any', **kwargs: 'Any') -> 'Any':
        ws = await websocket_upgrade(request, **options)
        try:
            await f(request, ws, *args, **kwargs)
        except Exception as exc:
            if not is_end(exc) or not ws.error and not ws.closed:  # the latter is about another conversation
                raise
        return Response.already_handled

    return wrapper


def is_end(exc: Exception) -> bool:
    """Tell whether an exception says that a conversation is over; an ``asyncio.TaskGroup`` makes a group of it."""
    group = getattr(exc, 'exceptions', ())
    return isinstance(exc, WebSocketError) or bool(group) and all([is_end(one) for one in group])


# ---------------------------------------------------------------------------------------------------------------
# The conversation
# ---------------------------------------------------------------------------------------------------------------

class WebSocket:
    """A conversation with a client.

    Attributes: ``closed`` (no more can be sent), ``close_code`` and ``close_reason`` (what the client gave; 1005 for no
    code, 1006 if the connection broke, ``None`` before), ``subprotocol``.

    """

    CONT = CONTINUATION
    TEXT = TEXT
    BINARY = BINARY
    CLOSE = CLOSE
    PING = PING
    PONG = PONG

    #: Bytes of a message, reassembled and inflated; 0 for no limit, -1 for ``Request.max_body_length``. A longer one
    #: ends the conversation with code 1009.
    max_message_length = -1
    #: Bytes of messages that wait for ``receive()``. The server reads no more when there are as many.
    max_queue_size = 65536 if not ON_MICROPYTHON else 512

    closed = False
    close_code: 'int | None' = None
    close_reason = ''
    subprotocol: 'str | None' = None
    error: 'WebSocketError | None' = None  # why receive() has no more messages
    decoder: 'MessageDecoder | None' = None  # until nothing that the client sends counts any more
    received = 0  # messages
    is_lost = False
    waiting = 0  # calls of receive() and close(), which hear of the end without being cancelled
    is_hungry = True  # the decoder has seen all that it was fed
    burst = 0  # bytes that were sent without a pause
    is_full = False  # there is no room for what the client has sent
    is_alive = True  # the client has sent something since the last ping
    heartbeat: 'Any' = None  # tasks in the background
    pong_task: 'Any' = None
    patience: 'Any' = None
    rest_task: 'Any' = None

    def __init__(self, request: Request, deflate: 'Deflate | None' = None):
        self.request = request
        self.sock: 'Any' = request.sock[0]
        self.deflate = deflate
        limit = self.max_message_length
        self.decoder = MessageDecoder(True, Request.max_body_length if limit < 0 else limit, deflate)
        self.messages: 'list[Any]' = []
        self.queue_size = 0
        self.pongs: 'list[bytes]' = []
        self.arrival = Signal()
        self.lock = asyncio.Lock()
        self.task = self.sock.task or current_task()

    async def open(self, headers: 'dict[str, str]') -> None:
        """Answer the handshake. From now on the connection belongs to this object."""
        sock = self.sock
        sock.is_upgraded = True
        await sock.awrite(render_head('1.1', 101, None, headers, date_header() if date_header else ''))
        if sock.server.logs_requests:
            log_request(self.request, Response(b'', 101))
        sock.watch(self)
        self.notice()
        if sock.server.is_closing:
            self.end()

    # --- what handlers call

    async def receive(self) -> 'str | bytes':
        """Wait for the next message and return it: ``str`` for a text, ``bytes`` for a binary message.

        ``WebSocketError`` if the client has closed the conversation or is gone.

        """
        if self.received % MAX_STEPS == MAX_STEPS - 1:  # from a client that is fast: this must not stop all others
            await asyncio.sleep(0)
        while not self.messages:
            self.waiting += 1
            try:
                if self.closed or self.error:
                    await asyncio.sleep(0)  # who asks again and again must not stop all others
                    raise self._end_error()
                await self.arrival.wait()
            finally:
                self.waiting -= 1
        message = self.messages.pop(0)
        self.queue_size -= len(message) + EVENT_COST
        self.received += 1
        if self.is_full and not self.rest_task:
            self.notice()
        return message  # type: ignore[no-any-return]

    async def send(self, data: 'str | bytes', opcode: 'int | None' = None) -> None:
        """Send a message, and wait if the client does not read.

        :param data: ``str`` is sent as a text, ``bytes`` as a binary message.
        :param opcode: to send something else, such as ``WebSocket.PING``.

        ``WebSocketError`` if the conversation is over; also when the client takes nothing for ``app.write_timeout``.
        ``ValueError`` for a ping or pong of more than 125 bytes.

        """
        if opcode is None:
            opcode = TEXT if isinstance(data, str) else BINARY
        payload = data.encode() if isinstance(data, str) else data
        if opcode == CLOSE:
            await self.close(*parse_close(payload))
        elif opcode > CLOSE and len(payload) > 125:
            raise ValueError('a control frame has at most 125 bytes')
        else:
            await self._send(opcode, payload)

    async def close(self, code: int = 1000, reason: str = '') -> None:
        """End the conversation: send the close frame, and wait up to ``app.linger_timeout`` for that of the client.

        :param code: RFC 6455 section 7.4.1, by default 1000, a normal end.
        :param reason: up to 123 bytes for people who look for a mistake.

        ``ValueError`` for a code that must not be sent.

        """
        render_close(code, reason)
        self.waiting += 1
        try:
            await asyncio.wait_for(self._close(code, reason), self.sock.app.linger_timeout)
        except asyncio.TimeoutError:
            self.close_code = self.close_code or ABNORMAL
            self._forget()
        except WebSocketError:
            pass
        finally:
            self.waiting -= 1

    async def _close(self, code: int, reason: str) -> None:
        if not self.closed:
            await self._send(CLOSE, render_close(code, reason))
        # what nobody will receive makes room for the close frame behind it
        self.messages.clear()
        self.queue_size = 0
        self.notice()
        while self.decoder and self.close_code is None:
            await self.arrival.wait()

    # --- sending

    async def _send(self, opcode: int, payload: bytes) -> None:
        async with self.lock:  # a frame may be written in several steps
            if self.closed:
                raise self._end_error()
            flags = 0x80
            if opcode == CLOSE:
                self.closed = True
            elif self.deflate and opcode < CLOSE and self.deflate.is_worthwhile(payload):
                payload = self.deflate.compress(payload)
                flags = 0xC0
            frame = render_frame(opcode, payload, b'', flags)
            try:
                await self.sock.awrite(frame)
            except Disconnected:
                self._lose('the client cannot be reached')
                raise WebSocketError(ABNORMAL, 'the client cannot be reached') from None
            except asyncio.CancelledError:
                if self.sock.is_torn:
                    self.waiting += 1  # who cancels this does not want to be cancelled
                    self._lose('a message was broken off')
                    self.waiting -= 1
                raise
        self.burst += len(payload) + EVENT_COST
        if self.burst > MAX_BURST:  # to a client that is fast: this must not stop all others
            self.burst = 0
            await asyncio.sleep(0)

    async def _send_pongs(self) -> None:
        try:
            while self.pongs:
                await self._send(PONG, self.pongs[0])
                self.pongs.pop(0)
                self.notice()
        except WebSocketError:
            self.pongs.clear()
        self.pong_task = None

    async def beat(self, interval: float, timeout: float) -> None:
        """Find out whether a client that says nothing is still there (RFC 6455 section 5.5.2)."""
        try:
            while not self.error:
                await asyncio.sleep(interval)
                self.is_alive = False
                await self._send(PING, b'')
                await asyncio.sleep(timeout)
                if not self.is_alive and not self.sock.data:  # what waits to be read may be its answer
                    self._lose('no answer to a ping')
        except WebSocketError:
            pass

    # --- what the connection calls

    def notice(self) -> None:
        """Take what the client has sent."""
        try:
            self._decode()
        except WebSocketError as exc:
            self.decoder = None
            self._stop(exc)
        except MemoryError:
            self.decoder = None
            self._stop(WebSocketError(1009, 'out of memory'))
        if not self.is_full:
            self.sock.resume_reading()
        if self.sock.is_eof and self.decoder and self.close_code is None:
            if not self.is_full:
                self._lose('the client is gone')
            elif not self.rest_task:
                self._limit_handler()

    def _decode(self) -> None:
        """Take messages until there are no more, or there is no room for them, or it is the turn of others."""
        sock = self.sock
        steps = 0
        self.is_full = False
        while self.decoder and not self.is_full:
            steps += 1
            if self.queue_size >= self.max_queue_size or len(self.pongs) >= MAX_PONGS:
                self.is_full = True
            elif steps > MAX_STEPS:
                self.is_full = True
                self.rest_task = self.rest_task or asyncio.create_task(self._notice_later())
            elif self.is_hungry and not sock.data:
                break
            else:
                if self.is_hungry:
                    self.is_alive = True
                    data = sock.data
                    sock.data = b''
                    self.decoder.feed(data)
                event = self.decoder.next()
                self.is_hungry = not event or self.decoder.is_drained()
                if event:
                    self._take(event[0], event[1])

    async def _notice_later(self) -> None:
        await asyncio.sleep(0)
        self.rest_task = None
        self.notice()

    def _take(self, opcode: int, payload: 'Any') -> None:
        if CONTINUATION < opcode < CLOSE:
            if not self.error and not self.closed:
                self.messages.append(payload)
                self.queue_size += len(payload) + EVENT_COST
                self.arrival.set()
        elif opcode == PING and not self.closed:
            self.pongs.append(payload)
            if not self.pong_task or self.pong_task.done():
                self.pong_task = asyncio.create_task(self._send_pongs())
        elif opcode == CLOSE:
            self.close_code, self.close_reason = parse_close(payload)
            self.decoder = None
            self._stop(WebSocketError(self.close_code, self.close_reason))

    def _lose(self, reason: str) -> None:
        """Note that the connection is broken."""
        self.is_lost = self.closed = True
        if self.close_code is None:
            self.close_code = ABNORMAL
        self._stop(WebSocketError(ABNORMAL, reason))

    def end(self) -> None:
        """End the conversation because the server stops (RFC 6455 section 7.4.1)."""
        self._stop(WebSocketError(1001, 'the server stops'))

    def _stop(self, error: WebSocketError) -> None:
        """Let ``receive()`` raise an error after the last message, and cancel a handler that does something else."""
        if not self.error:
            self.error = error
            if self.messages or self.task is current_task():
                self._limit_handler()
            else:
                self._cancel()
        self.arrival.set()

    def _limit_handler(self) -> None:
        if not self.patience or self.patience.done():
            app = self.sock.app
            seconds = app.linger_timeout if self.sock.server.is_closing else app.body_timeout
            self.patience = asyncio.create_task(self._wait_for_handler(seconds if self.messages else 0))

    async def _wait_for_handler(self, seconds: float) -> None:
        """Cancel the handler when it has received nothing of what came before the end for so many seconds."""
        had = -1
        while self.received != had:
            had = self.received
            await asyncio.sleep(seconds)
        self._cancel()

    def _cancel(self) -> None:
        if self.task and not self.waiting:
            self.sock.is_ended = True
            self.task.cancel()

    async def finish(self, response: 'Response | None') -> None:
        """Say goodbye when the handler has ended."""
        self.task = None
        status_code = response.status_code if isinstance(response, Response) else 101
        code = 1011 if status_code >= 500 else 1008 if status_code >= 400 else 1000
        if response is None:  # the server has broken off the handler
            code = 1001
        reason = ''
        if self.error:
            code, reason = self.error.args
        for task in self.heartbeat, self.patience:
            if task:
                task.cancel()
        try:
            if code != ABNORMAL:
                await self.close(code, reason if self.close_code is None else '')
        finally:
            await self.sock.unwatch()
            for task in self.pong_task, self.rest_task:
                if task:
                    task.cancel()
            self._forget()
        if self.is_lost or self.sock.server.is_closing and self.close_code == ABNORMAL:
            raise Disconnected()  # nothing of what is still to be sent can be of use
        if self.close_code is None:  # it may be in the middle of a message; a reset would hide why we close
            await self.sock.linger()

    def _end_error(self) -> WebSocketError:
        """Return a new exception that tells why the conversation is over: one that is raised again would grow."""
        return WebSocketError(*(self.error.args if self.error else (ABNORMAL, 'closed')))

    def _forget(self) -> None:
        """Let other tasks of the handler, which may still receive or send, know of the end."""
        self.closed = True
        self.decoder = None
        self.error = self.error or WebSocketError(ABNORMAL, 'closed')
        self.arrival.set()
