"""Messages of a WebSocket that come in several frames, or frames that come in several pieces, or compressed."""
from microdot.microdot import ON_MICROPYTHON
from microdot.websocket import CONTINUATION, TEXT, WebSocketError, apply_mask

if False:  # TYPE_CHECKING
    from microdot.websocket import Event, MessageDecoder

if ON_MICROPYTHON:
    from microdot.utf8 import check_text
else:
    from microdot.cpython_websocket import check_text


def take_payload(decoder: 'MessageDecoder') -> 'Event | None':
    """Take what there is of the payload of a frame; return the message if that is its end.

    ``None`` if bytes are missing, ``CONTINUATION`` if other frames have to come. What is wrong is refused at once.

    """
    if decoder.flags & 15:  # the message begins
        decoder.opcode = decoder.flags & 15
        decoder.is_compressed = decoder.flags & 0x40
        decoder.buffer = bytearray()
        decoder.checked = 0
        decoder.flags &= 0x80
    start = decoder.start
    decoder.start = min(start + decoder.left, len(decoder.data))
    part = decoder.data[start:decoder.start]
    decoder.left -= len(part)
    is_end = decoder.flags > 0 and not decoder.left
    if decoder.key and part:
        part = apply_mask(part, decoder.key)
        turn = len(part) & 3
        decoder.key = decoder.key[turn:] + decoder.key[:turn]
    if decoder.is_compressed and decoder.deflate:
        part = decoder.deflate.inflate(decoder, part, is_end)
    buffer = decoder.buffer
    buffer += part
    if 0 < decoder.max_length < len(buffer) + (0 if decoder.is_compressed else decoder.left):
        raise WebSocketError(1009, 'message too long')
    if decoder.opcode == TEXT:
        try:
            decoder.checked += check_text(bytes(buffer[decoder.checked:]))
            if is_end and decoder.checked < len(buffer):
                raise UnicodeError
        except UnicodeError:
            raise WebSocketError(1007, 'invalid UTF-8') from None
    if decoder.left:
        return None
    decoder.left = -1
    if not is_end:
        return CONTINUATION, b''
    opcode = decoder.opcode
    decoder.opcode = 0
    decoder.buffer = b''
    return opcode, buffer.decode() if opcode == TEXT else bytes(buffer)
