"""WebSocket (RFC 6455): handlers hold a conversation of messages with a client.

The first part turns bytes into messages and back. It has no I/O; the server and the client of tests share it. Modules
beside this one are loaded when they are needed: ``fragments`` for messages that come in several pieces, ``utf8`` for
texts in which MicroPython would not see what is wrong, ``cpython_websocket`` on CPython alone.

"""
import asyncio
from binascii import a2b_base64, b2a_base64

from microdot.headers import render_head, tokens
from microdot.helpers import wraps
from microdot.microdot import ON_MICROPYTHON, Disconnected, ProtocolError, Response, date_header, log_request
from microdot.push import Signal, below_guards, current_task

try:
    from hashlib import sha1
except ImportError:  # CircuitPython
    from hashlib import new  # portable: missing-name: CircuitPython has it

    def sha1(data: bytes = b'') -> 'Any':  # type: ignore[misc]
        return new('sha1', data)

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.deflate import Deflate
    from microdot.microdot import Request

    Event = tuple[int, Any]

CONTINUATION = 0  # opcodes (RFC 6455 section 5.2)
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

EVENT_COST = 64  # bytes that a message takes beside its content, about

NO_STATUS = 1005  # close codes that are never sent (RFC 6455 section 7.4.1)
ABNORMAL = 1006

FIELD = 'Sec-WebSocket-'  # begins the names of the fields of a handshake; written once, this saves 100 bytes of .mpy


class WebSocketError(Exception):
    """The conversation is over, or the peer has broken its rules: ``args`` are a close code and a reason."""


# ---------------------------------------------------------------------------------------------------------------
# Bytes and messages
# ---------------------------------------------------------------------------------------------------------------

if ON_MICROPYTHON:
    def apply_mask(data: bytes, key: bytes) -> bytes:
        """Mask or unmask ``data`` with a key of 4 bytes (RFC 6455 section 5.3)."""
        # Long integers are the only loop over bytes that is in C; in blocks, since one takes five times its size
        size = len(data)
        if size > 128:
            return b''.join([apply_mask(data[i:i + 128], key) for i in range(0, size, 128)])
        keys = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(data, 'little') ^ int.from_bytes(keys, 'little')).to_bytes(size, 'little')
else:
    from microdot.mask import apply_mask as apply_mask


def render_frame(opcode: int, payload: bytes, key: bytes = b'', flags: int = 0x80) -> bytes:
    """Return a frame (RFC 6455 section 5.2), by default a final one; clients give a ``key`` to mask it."""
    size = len(payload)
    mask_bit = 0
    if key:
        mask_bit = 0x80
        payload = key + apply_mask(payload, key)
    if size < 126:
        return bytes((flags | opcode, mask_bit | size)) + payload
    if size < 65536:
        return bytes((flags | opcode, mask_bit | 126)) + size.to_bytes(2, 'big') + payload
    return bytes((flags | opcode, mask_bit | 127)) + size.to_bytes(8, 'big') + payload


def render_close(code: int, reason: str = '') -> bytes:
    """Return the payload of a close frame, whose limit of 125 bytes may cut the reason (RFC 6455 section 5.5.1)."""
    if code == NO_STATUS:
        return b''
    if not is_close_code(code):
        raise ValueError('invalid close code')
    reason = reason[:123]
    while len(reason.encode()) > 123:
        reason = reason[:-1]
    return code.to_bytes(2, 'big') + reason.encode()


def is_close_code(code: int) -> bool:
    """Tell whether a code may be sent (RFC 6455 section 7.4)."""
    return 3000 <= code < 5000 or 1000 <= code <= 1014 and code not in (1004, NO_STATUS, ABNORMAL)


def parse_close(payload: bytes) -> 'tuple[int, str]':
    """Return code and reason of a close frame; ``WebSocketError`` where it is malformed (RFC 6455 section 7.4)."""
    if not payload:
        return NO_STATUS, ''
    code = int.from_bytes(payload[:2], 'big')
    if len(payload) < 2 or not is_close_code(code):
        raise WebSocketError(1002, 'invalid close code')
    return code, decode_text(payload[2:])


def decode_text(data: bytes) -> str:
    """Decode a complete text; ``WebSocketError`` if it is not UTF-8."""
    try:
        if ON_MICROPYTHON and data and max(data) > 127:
            from microdot.utf8 import check_text
            if check_text(data) < len(data):
                raise UnicodeError
        return data.decode()
    except UnicodeError:
        raise WebSocketError(1007, 'invalid UTF-8') from None


# What the first byte of a frame may be: its opcode, FIN (0x80), and no reserved bits (RFC 6455 section 5.2)
WHOLE = b'\x81\x82\x88\x89\x8a'
FIRST = WHOLE + b'\x01\x02'
CONTINUED = b'\x00\x80\x88\x89\x8a'  # within a message


class MessageDecoder:
    """Finds the messages in the bytes of one direction of a connection.

    :param is_masked: whether frames have to be masked, as those of clients, or must not be.
    :param max_length: bytes of a message, reassembled and inflated; 0 for no limit.
    :param deflate: inflates compressed messages (RFC 7692), if that was negotiated.

    """

    data = b''
    start = 0  # of what has not been decoded
    # While frames come in pieces, see microdot.fragments
    opcode = 0  # of the message that has begun
    is_compressed = 0
    buffer: 'Any' = b''  # of it
    checked = 0  # bytes of it, if it is a text
    flags = 0  # the first byte of the frame that has begun
    left = -1  # bytes of its payload that have not come; negative between frames
    key = b''

    def __init__(self, is_masked: bool, max_length: int = 0, deflate: 'Deflate | None' = None):
        self.is_masked = is_masked
        self.max_length = max_length
        self.deflate = deflate

    def feed(self, data: bytes) -> None:
        """Append bytes from the peer."""
        self.data = self.data[self.start:] + data
        self.start = 0

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
        from microdot.fragments import take_payload
        return take_payload(self)

    def _begin_frame(self) -> 'Event | None':
        """Decode the head of a frame, and the whole frame where that is all there and a message of its own."""
        data = self.data
        head = self.start + 2
        if head > len(data):
            return None
        first = data[head - 2]
        size = data[head - 1]
        firsts = CONTINUED if self.opcode else self.deflate.firsts if self.deflate else FIRST
        is_control = first & 8
        if first not in firsts or (size > 127) != self.is_masked or is_control and size & 127 > 125:
            raise WebSocketError(1002, 'invalid frame')
        size &= 127
        if size > 125:
            width, least = (2, 126) if size == 126 else (8, 65536)  # no more bytes than the length needs
            head += width
            if head > len(data):
                return None
            size = int.from_bytes(data[head - width:head], 'big')
            if size < least or size >> 63:
                raise WebSocketError(1002, 'invalid length')
        key = b''
        if self.is_masked:
            key = data[head:head + 4]
            head += 4
        end = head + size
        if end > len(data) or first not in WHOLE or not is_control and 0 < self.max_length < size:
            if not is_control and head <= len(data):
                self.start, self.flags, self.left, self.key = head, first, size, key
            return None
        # PERF: bench, WebSocket echo: a frame that is a message, and here
        self.start = end
        payload = data[head:end]
        if key:
            payload = apply_mask(payload, key)
        return first & 15, decode_text(payload) if first == 0x81 else payload


# ---------------------------------------------------------------------------------------------------------------
# The handshake
# ---------------------------------------------------------------------------------------------------------------

def accept_key(key: str) -> str:
    """Return the answer to a ``Sec-WebSocket-Key`` (RFC 6455 section 4.2.2)."""
    return encode_base64(sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest())


def encode_base64(data: bytes) -> str:
    return b2a_base64(data).decode().strip()


def is_key(key: str) -> bool:
    """Tell whether a ``Sec-WebSocket-Key`` is 16 bytes in Base64."""
    try:
        return len(key) == 24 and key[-2:] == '==' and encode_base64(a2b_base64(key)) == key
    except ValueError:
        return False


def check_handshake(request: 'Request') -> None:
    """``ProtocolError`` if a request does not open a WebSocket (RFC 6455 section 4.2.1)."""
    headers = request.headers
    version = headers.get(FIELD + 'Version')
    if (request.method != 'GET' or request.http_version != '1.1' or request.content_length
            or 'Transfer-Encoding' in headers
            or 'websocket' not in tokens(headers.get('Upgrade', ''))
            or 'upgrade' not in tokens(headers.get('Connection', ''))
            or version is None or not is_key(headers.get(FIELD + 'Key', ''))):
        raise ProtocolError(400)
    if version != '13':
        raise ProtocolError(426, {FIELD + 'Version': '13', 'Upgrade': 'websocket', 'Connection': 'Upgrade, close'})


async def websocket_upgrade(request: 'Request', subprotocols: 'list[str] | None' = None,
                            allowed_origins: 'list[str] | None' = None, ping_interval: 'float | None' = None,
                            ping_timeout: 'float | None' = None, compression: 'Any' = False) -> 'WebSocket':
    """Accept a WebSocket in a handler, which has to return ``Response.already_handled``.

    See :func:`with_websocket`, which does both.

    """
    request.keeps_alive = False  # a proxy may take what follows for frames, and let it pass
    # a host may have a way of its own to hold conversations
    ws: 'WebSocket' = getattr(request.sock[0], 'make_websocket', WebSocket)(request)
    headers = ws.shake_hands(compression)
    origin = request.headers.get('Origin')
    if origin and allowed_origins is not None and origin.lower() not in [name.lower() for name in allowed_origins]:
        raise ProtocolError(403)
    for name in subprotocols or ():  # in the order of the server's preference
        if not ws.subprotocol and name in ws.get_offers():
            ws.subprotocol = headers[FIELD + 'Protocol'] = name
    await ws.open(headers)
    if ping_interval:
        ws.heartbeat = asyncio.create_task(ws.beat(ping_interval, ping_timeout or ping_interval))
    return ws


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
    if ON_MICROPYTHON and options.get('compression'):
        raise ValueError('compression needs CPython')

    def converse(f: 'Callable[..., Any]') -> 'Any':
        hold = f if ON_MICROPYTHON else ungroup(f)

        @wraps(f)
        async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Any':
            ws = await websocket_upgrade(request, **options)
            try:
                await hold(request, ws, *args, **kwargs)
            except WebSocketError:
                if not ws.error and not ws.closed:  # this is about another conversation
                    raise
            return Response.already_handled

        return wrapper

    def decorate(f: 'Callable[..., Any]') -> 'Any':
        return below_guards(f, converse)

    return decorate(f) if f else decorate


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
    max_queue_size = 512 if ON_MICROPYTHON else 65536

    closed = False
    close_code: 'int | None' = None
    close_reason = ''
    subprotocol: 'str | None' = None
    error: 'tuple[int, str] | None' = None  # why receive() has no more messages
    received = 0  # messages
    queue_size = 0
    pongs: 'list[bytes]' = []  # answers to pings, of which the first is being sent; replaced, never changed
    waiting = 0  # calls of receive() and close(), which hear of the end without being cancelled
    is_lost = False
    is_hungry = True  # the decoder has seen all that it was fed
    is_full = False  # there is no room for what the client has sent
    is_alive = True  # the client has sent something since the last ping
    render: 'Any' = staticmethod(render_frame)  # or what compresses messages
    heartbeat: 'Any' = None  # tasks in the background
    pong_task: 'Any' = None
    patience: 'Any' = None

    def __init__(self, request: 'Request'):
        self.request = request
        self.sock: 'Any' = request.sock[0]
        limit = self.max_message_length
        # until nothing that the client sends counts any more
        self.decoder: 'MessageDecoder | None' = MessageDecoder(True, request.max_body_length if limit < 0 else limit)
        self.messages: 'list[Any]' = []
        self.arrival = Signal()
        self.lock = asyncio.Lock()
        self.task = self.sock.task or current_task()

    # --- the beginning

    def shake_hands(self, compression: 'Any') -> 'dict[str, str]':
        """Check a handshake and return the headers that accept it (RFC 6455 section 4.2.2)."""
        check_handshake(self.request)
        return {'Upgrade': 'websocket', 'Connection': 'Upgrade',
                FIELD + 'Accept': accept_key(self.request.headers[FIELD + 'Key'])}

    def get_offers(self) -> 'list[str]':
        """Return the subprotocols that the client knows."""
        return [name.strip() for name in self.request.headers.get(FIELD + 'Protocol', '').split(',')]

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
        if self.received % 100 == 99:  # from a client that is fast: this must not stop all others
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
        if self.is_full:
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
        await self.lock.acquire()  # a frame may be written in several steps
        try:
            if self.closed:
                raise self._end_error()
            if opcode == CLOSE:
                self.closed = True
            await self.sock.awrite(self.render(opcode, payload))
        except Disconnected:
            self._lose('the client cannot be reached')
            raise self._end_error() from None
        except asyncio.CancelledError:
            if self.sock.is_torn:
                self.waiting += 1  # who cancels this does not want to be cancelled
                self._lose('a message was broken off')
                self.waiting -= 1
            raise
        finally:
            self.lock.release()

    async def _send_pongs(self) -> None:
        try:
            while self.pongs:
                await self._send(PONG, self.pongs[0])
                self.pongs = self.pongs[1:]
                self.notice()
        except WebSocketError:
            pass
        finally:
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
            self._stop(*exc.args)
        except MemoryError:
            self.decoder = None
            self._stop(1009, 'out of memory')
        if not self.is_full:
            self.sock.resume_reading()
        if self.sock.is_eof and self.decoder and self.close_code is None:
            if self.is_full:
                self._limit_handler()
            else:
                self._lose('the client is gone')

    def _decode(self) -> None:
        """Take messages until there are no more, or there is no room for them."""
        sock = self.sock
        self.is_full = False
        while self.decoder and not self.is_full:
            if self.queue_size >= self.max_queue_size or len(self.pongs) > 15:
                self.is_full = True
                break
            if self.is_hungry:
                if not sock.data:
                    break
                self.is_alive = True
                self.decoder.feed(sock.data)
                sock.data = b''
            event = self.decoder.next()
            self.is_hungry = not event or self.decoder.start == len(self.decoder.data)
            if event:
                self._take(event[0], event[1])

    def _take(self, opcode: int, payload: 'Any') -> None:
        if CONTINUATION < opcode < CLOSE:
            if not self.error and not self.closed:
                self.messages.append(payload)
                self.queue_size += len(payload) + EVENT_COST
                self.arrival.set()
        elif opcode == PING and not self.closed:
            self.pongs = self.pongs + [payload]
            if not self.pong_task:
                self.pong_task = asyncio.create_task(self._send_pongs())
        elif opcode == CLOSE:
            self.close_code, self.close_reason = error = parse_close(payload)
            self.decoder = None
            self._stop(*error)

    def _lose(self, reason: str) -> None:
        """Note that the connection is broken."""
        self.is_lost = self.closed = True
        if self.close_code is None:
            self.close_code = ABNORMAL
        self._stop(ABNORMAL, reason)

    def end(self) -> None:
        """End the conversation because the server stops (RFC 6455 section 7.4.1)."""
        self._stop(1001, 'the server stops')

    def _stop(self, code: int, reason: str) -> None:
        """Let ``receive()`` raise an error after the last message, and cancel a handler that does something else."""
        if not self.error:
            self.error = code, reason
            if self.messages or self.task is current_task():
                self._limit_handler()
            else:
                self._cancel()
        self.arrival.set()

    def _limit_handler(self) -> None:
        if not self.patience:
            app = self.sock.app
            seconds = app.linger_timeout if self.sock.server.is_closing else app.body_timeout
            self.patience = asyncio.create_task(self._wait_for_handler(seconds if self.messages else 0))

    async def _wait_for_handler(self, seconds: float) -> None:
        """Cancel the handler when it has received nothing of what came before the end for so many seconds."""
        had = -1
        while self.received != had:
            had = self.received
            await asyncio.sleep(seconds)
        self.patience = None
        self._cancel()

    def _cancel(self) -> None:
        if self.task and not self.waiting:
            self.sock.is_ended = True
            self.task.cancel()

    async def finish(self, response: 'Response | None') -> None:
        """Say goodbye when the handler has ended."""
        self.task = None
        sock = self.sock
        code = 1001  # the server has broken off the handler
        reason = ''
        if self.error:
            code, reason = self.error
        elif response is Response.already_handled:
            code = 1000
        elif response:
            code = 1011 if response.status_code >= 500 else 1008 if response.status_code >= 400 else 1000
        try:
            if code != ABNORMAL:
                await self.close(code, reason if self.close_code is None else '')
        finally:
            await sock.unwatch()
            for task in self.heartbeat, self.patience, self.pong_task:
                if task:
                    task.cancel()
            self._forget()
        if self.is_lost or sock.server.is_closing and self.close_code == ABNORMAL:
            raise Disconnected()  # nothing of what is still to be sent can be of use
        if self.close_code is None:  # it may be in the middle of a message; a reset would hide why we close
            await sock.linger()

    def _end_error(self) -> WebSocketError:
        """Return a new exception that tells why the conversation is over: one that is raised again would grow."""
        return WebSocketError(*(self.error or (ABNORMAL, 'closed')))

    def _forget(self) -> None:
        """Let other tasks of the handler, which may still receive or send, know of the end."""
        self.closed = True
        self.decoder = None
        self.error = self.error or (ABNORMAL, 'closed')
        self.arrival.set()


if not ON_MICROPYTHON:
    from microdot.cpython_websocket import WebSocket, ungroup
