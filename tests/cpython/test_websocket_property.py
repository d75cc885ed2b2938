"""Frames that were damaged at random: an independent parser must see the same messages and the same mistakes."""
import asyncio
import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory_transport import exchange
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from helpers import changed
from microdot import Microdot
from microdot.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    MessageDecoder,
    WebSocket,
    WebSocketError,
    parse_close,
    render_frame,
    with_websocket,
)

HANDSHAKE = (b'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
             b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
TEXTS = ['', 'a', 'hello', 'gr\xfc\xdfe', '\u20ac' * 50, '\U0001f600', 'x' * 125, 'y' * 126, 'z' * 300]
seeds = st.integers(0, 2**48)


def examples(n):
    return settings(max_examples=n, suppress_health_check=[HealthCheck.too_slow])


def make_stream(rng):
    """Return frames of a client, some of them damaged."""
    data = bytearray()
    for _ in range(rng.randint(1, 5)):
        data += make_message(rng)
    if rng.random() < 0.3:
        code = rng.choice([1000, 1001, 1005, 1015, 3000, 4999])
        data += frame(rng, CLOSE, code.to_bytes(2, 'big') + rng.choice([b'', b'bye']))
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        damage(rng, data)
    return bytes(data)


def make_message(rng):
    opcode = rng.choice([TEXT, TEXT, BINARY, PING, PONG])
    payload = rng.choice(TEXTS).encode()
    if opcode > CLOSE:
        return frame(rng, opcode, payload[:125])
    cuts = sorted(rng.randint(0, len(payload)) for _ in range(rng.choice([0, 0, 1, 3])))
    data = b''
    for start, end in zip([0, *cuts], [*cuts, len(payload)], strict=True):
        data += frame(rng, CONTINUATION if data else opcode, payload[start:end], 0)
        if rng.random() < 0.2:
            data += frame(rng, PING, b'between')
    return data + frame(rng, CONTINUATION, b'') if rng.random() < 0.9 else data


def frame(rng, opcode, payload, flags=0x80):
    return render_frame(opcode, payload, rng.randbytes(4), flags)


def damage(rng, data):
    i = rng.randrange(len(data) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        data[i:i + 1] = bytes([rng.randrange(256)])
    elif kind == 1 and i < len(data):
        data[i] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[i:i + rng.randint(1, 3)]
    else:
        data[i:i] = rng.randbytes(rng.randint(1, 3))


def cut(rng, data):
    """Return the bytes in some pieces."""
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice([0, 1, 5])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


# ---------------------------------------------------------------------------------------------------------------
# Two parsers
# ---------------------------------------------------------------------------------------------------------------

def our_events(pieces):
    """Return what our decoder finds, and the code of the mistake that ends it."""
    decoder = MessageDecoder(True)
    events = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            while event := decoder.next():
                if event[0] == CLOSE:
                    return [*events, (CLOSE, parse_close(event[1]))], None
                if event[0] != CONTINUATION:
                    events.append(event)
    except WebSocketError as exc:
        return events, exc.args[0]
    return events, None


def their_events(pieces):
    """Return the same of wsproto's parser."""
    protocol = FrameProtocol(client=False, extensions=[])
    events = []
    parts = []
    opcode = None
    try:
        for piece in pieces:
            protocol.receive_bytes(piece)
            for received in protocol.received_frames():
                if received.opcode == Opcode.CLOSE:
                    code, reason = received.payload
                    return [*events, (CLOSE, (int(code), reason or ''))], None
                if received.opcode in (Opcode.PING, Opcode.PONG):
                    events.append((int(received.opcode), bytes(received.payload)))
                    continue
                opcode = opcode or received.opcode
                parts.append(received.payload)
                if received.frame_finished and received.message_finished:
                    events.append((int(opcode), parts[0][:0].join(parts)))
                    parts, opcode = [], None
    except ParseFailed as exc:
        return events, int(exc.code)
    return events, None


def normalised(events):
    return [(opcode, bytes(value) if isinstance(value, bytearray) else value) for opcode, value in events]


def test_an_independent_parser_agrees():
    counts = Counter()

    @examples(10_000)
    @given(seeds)
    def run(seed):
        rng = random.Random(seed)
        data = make_stream(rng)
        pieces = cut(rng, data)
        ours, our_code = our_events(pieces)
        theirs, their_code = their_events(pieces)
        counts[our_code] += 1
        counts['messages'] += len(ours)
        assert our_events([data]) == (ours, our_code)
        assert our_events([data[i:i + 1] for i in range(len(data))]) == (ours, our_code)
        assert ours == normalised(theirs), pieces
        if our_code != their_code:  # they look at the masking bit and at text later, and may find another mistake first
            assert our_code and their_code in (None, 1002), pieces
            counts['earlier'] += 1

    run()
    assert counts['earlier'] < 100, counts
    assert counts[None] > 1000, counts
    assert counts[1002] > 1000, counts
    assert counts[1007] > 100, counts
    assert counts['messages'] > 10_000, counts


# ---------------------------------------------------------------------------------------------------------------
# The server
# ---------------------------------------------------------------------------------------------------------------

def frames_of(data):
    """Return the frames that the server has sent, as a strict client sees them."""
    head, _, data = data.partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 101 '), head
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    return list(protocol.received_frames())


def make_echo(seen):
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def echo(request, ws):
        try:
            while True:
                message = await ws.receive()
                seen.append(message)
                await ws.send(message)
        finally:
            seen.append(None)

    return app


async def converse(pieces, before):
    seen = []
    with changed(WebSocket, max_message_length=0):
        data = await asyncio.wait_for(exchange(make_echo(seen), [HANDSHAKE, *pieces], leaves=True), 20)
    assert seen.pop() is None
    assert None not in seen
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    return seen, frames_of(data)


def test_the_server_survives():
    codes = Counter()
    loop = asyncio.new_event_loop()

    @examples(1500)
    @given(seeds)
    def run(seed):
        rng = random.Random(seed)
        pieces = cut(rng, make_stream(rng))
        events, code = our_events(pieces)
        seen, frames = loop.run_until_complete(run_one(pieces))
        messages = [value for opcode, value in events if opcode < CLOSE]
        assert seen == messages
        closes = [int(sent.payload[0]) for sent in frames if sent.opcode == Opcode.CLOSE]
        codes[code] += 1
        if code:
            assert closes == [code]
        elif events and events[-1][0] == CLOSE:
            assert closes == [events[-1][1][0]]
        else:
            assert not closes  # the client has gone without a word
        assert not closes or frames[-1].opcode == Opcode.CLOSE
        echoes = [sent for sent in frames if sent.opcode in (Opcode.TEXT, Opcode.BINARY)]
        assert len(echoes) <= len(messages)

    async def run_one(pieces):
        return await converse(pieces, asyncio.all_tasks())

    try:
        run()
    finally:
        loop.close()
    assert codes[1002] > 100, codes
    assert codes[None] > 100, codes
