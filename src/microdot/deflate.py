"""Compression of WebSocket messages: the extension permessage-deflate (RFC 7692)."""
import zlib
from dataclasses import dataclass

from microdot.websocket import FIRST, WebSocketError

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.websocket import MessageDecoder

    Parameters = dict[str, int | None]

MAX_FINAL_BLOCKS = 100  # in a message; what is behind each of them is copied
TAIL = b'\x00\x00\xff\xff'  # of each compressed message; it is not sent (RFC 7692 section 7.2.1)


@dataclass(frozen=True)
class Compression:
    """How messages are compressed. The defaults take about 32 KB for each connection, and 68 KB where the client
    does not offer ``client_max_window_bits``.

    :param level: 1 (fast) to 9 (small).
    :param memory_level: 1 to 9, how much memory the compressor takes.
    :param server_max_window_bits: base-2 logarithm of the bytes that the compressor looks back, 9 to 15.
    :param client_max_window_bits: the same, asked of clients that offer it.
    :param server_no_context_takeover: compress each message for itself; this takes no memory between messages.
    :param client_no_context_takeover: ask the client to do so.
    :param threshold: bytes from which on a message is compressed.

    """

    level: int = 6
    memory_level: int = 5
    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    threshold: int = 64

    def __post_init__(self) -> None:
        for name, low, high in (('level', 1, 9), ('memory_level', 1, 9), ('server_max_window_bits', 9, 15),
                                ('client_max_window_bits', 9, 15)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} must be {low} to {high}')


def negotiate(header: str, compression: 'Compression | bool') -> 'Deflate | None':
    """Accept the first acceptable offer of a ``Sec-WebSocket-Extensions`` header (RFC 7692 section 5)."""
    settings = Compression() if compression is True else compression
    assert isinstance(settings, Compression)
    for offer in header.split(','):
        parameters = parse_offer(offer)
        if parameters is not None and parameters.get('server_max_window_bits', 15) != 8:  # zlib has no window of 256
            return Deflate(settings, parameters)
    return None


def parse_offer(offer: str) -> 'Parameters | None':
    """Return the parameters of an offer, ``None`` if it has to be declined (RFC 7692 section 7.1)."""
    name, *pairs = [part.strip() for part in offer.split(';')]
    parameters: 'Parameters' = {}
    for pair in pairs:
        key, has_value, value = [part.strip() for part in pair.partition('=')]
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if key in parameters:
            return None
        if key in ('server_no_context_takeover', 'client_no_context_takeover') and not has_value:
            parameters[key] = None
        elif key == 'client_max_window_bits' and not has_value:
            parameters[key] = 15
        elif key in ('server_max_window_bits', 'client_max_window_bits') and value in WINDOW_BITS:
            parameters[key] = int(value)
        else:
            return None
    return parameters if name.lower() == 'permessage-deflate' else None


WINDOW_BITS = [str(bits) for bits in range(8, 16)]


class Deflate:
    """Compresses the messages of one connection, and inflates those of its client."""

    firsts = FIRST + b'\x41\x42\xc1\xc2'  # of a frame; RSV1 is for the first one of a message (RFC 7692 section 6)

    def __init__(self, settings: Compression, parameters: 'Parameters'):
        self.settings = settings
        self.bits = min(settings.server_max_window_bits, parameters.get('server_max_window_bits') or 15)
        self.keeps_context = not (settings.server_no_context_takeover or 'server_no_context_takeover' in parameters)
        self.client_keeps_context = not (
            settings.client_no_context_takeover or 'client_no_context_takeover' in parameters)
        self.client_bits = 15
        response = ['permessage-deflate']
        if not self.keeps_context:
            response.append('server_no_context_takeover')
        if not self.client_keeps_context:
            response.append('client_no_context_takeover')
        if 'server_max_window_bits' in parameters:
            response.append(f'server_max_window_bits={self.bits}')
        if 'client_max_window_bits' in parameters:
            self.client_bits = max(min(settings.client_max_window_bits, parameters['client_max_window_bits'] or 15), 8)
            response.append(f'client_max_window_bits={self.client_bits}')
        #: The value of the header with which the server accepts.
        self.response = '; '.join(response)
        self._compressor: 'Any' = None
        self._decompressor: 'Any' = None
        self._final_blocks = 0  # in this message

    def is_worthwhile(self, payload: bytes) -> bool:
        return len(payload) >= self.settings.threshold

    def compress(self, payload: bytes) -> bytes:
        """Compress a message (RFC 7692 section 7.2.1)."""
        compressor = self._compressor or zlib.compressobj(
            self.settings.level, zlib.DEFLATED, -self.bits, self.settings.memory_level)
        self._compressor = compressor if self.keeps_context else None
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return data[:-len(TAIL)]

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Inflate a part of a message to at most ``limit`` bytes (0: any number); ``WebSocketError`` if that fails."""
        parts = []
        while data:
            if not self._decompressor:
                self._decompressor = zlib.decompressobj(-max(self.client_bits, 9))
            try:
                part = self._decompressor.decompress(data, limit)
            except zlib.error:
                raise WebSocketError(1007, 'invalid compressed data') from None
            parts.append(part)
            if not self._decompressor.eof:
                break
            data = self._decompressor.unused_data  # RFC 7692 section 7.2.3.4: a final block, and more behind it
            self._decompressor = None
            self._final_blocks += 1
            if self._final_blocks > MAX_FINAL_BLOCKS:
                raise WebSocketError(1007, 'too many final blocks')
            if limit:
                limit -= len(part)
                if limit <= 0:
                    break
        return b''.join(parts)

    def inflate(self, decoder: 'MessageDecoder', data: bytes, is_end: bool) -> bytes:
        """Inflate a part of a message: all of it, or one byte more than the message may have."""
        room = decoder.max_length and decoder.max_length - len(decoder.buffer) + 1
        data = self.decompress(data, room)
        if is_end and not 0 < room <= len(data):
            data += self.finish_message(room and room - len(data))
        return data

    def finish_message(self, limit: int) -> bytes:
        """Inflate what is left at the end of a message, like :meth:`decompress` (RFC 7692 section 7.2.2)."""
        data = self.decompress(TAIL, limit)
        self._final_blocks = 0
        if not self.client_keeps_context:
            self._decompressor = None
        return data
