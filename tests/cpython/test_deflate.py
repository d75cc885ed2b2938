"""permessage-deflate (RFC 7692): negotiation, and messages that were compressed by zlib itself."""
import random
import zlib

import pytest

from live import serving
from microdot import Microdot
from microdot.deflate import Compression, Deflate, negotiate, parse_offer
from microdot.test_client import TestClient
from microdot.websocket import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    MessageDecoder,
    WebSocketError,
    render_frame,
    with_websocket,
)

KEY = b'\x01\x80\xff\x10'


def compressed(payload, bits=15):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frame(opcode, payload, flags=0xC0):
    return render_frame(opcode, payload, KEY, flags)


def decoder(max_length=0, header='permessage-deflate', compression=True):
    return MessageDecoder(True, max_length, negotiate(header, compression))


def decode(decoder, data):
    decoder.feed(data)
    events = []
    while event := decoder.next():
        if event[0] != CONTINUATION:
            events.append(event)
    return events


# ---------------------------------------------------------------------------------------------------------------
# Negotiation
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(('offer', 'expected'), [
    ('permessage-deflate', {}),
    ('Permessage-Deflate', {}),
    ('permessage-deflate; client_max_window_bits', {'client_max_window_bits': 15}),
    ('permessage-deflate;server_max_window_bits=10 ; client_max_window_bits="9"',
     {'server_max_window_bits': 10, 'client_max_window_bits': 9}),
    ('permessage-deflate; server_no_context_takeover; client_no_context_takeover',
     {'server_no_context_takeover': None, 'client_no_context_takeover': None}),
])
def test_offers(offer, expected):
    assert parse_offer(offer) == expected


@pytest.mark.parametrize('offer', [
    'x-webkit-deflate-frame', '', 'permessage-deflate; unknown', 'permessage-deflate; server_max_window_bits',
    'permessage-deflate; server_max_window_bits=7', 'permessage-deflate; server_max_window_bits=16',
    'permessage-deflate; server_max_window_bits=010', 'permessage-deflate; server_max_window_bits="',
    'permessage-deflate; client_max_window_bits=', 'permessage-deflate; client_max_window_bits=x',
    'permessage-deflate; server_no_context_takeover=1', 'permessage-deflate; server_no_context_takeover=',
    'permessage-deflate; client_max_window_bits; client_max_window_bits=10', 'permessage-deflate; ',
    'permessage-deflate; server_max_window_bits=\u0661\u0660',
])
def test_offers_that_are_declined(offer):
    # RFC 7692 section 7.1
    assert parse_offer(offer) is None
    assert negotiate(offer, True) is None


@pytest.mark.parametrize(('header', 'compression', 'expected'), [
    ('permessage-deflate', True, 'permessage-deflate'),
    ('permessage-deflate; client_max_window_bits', True, 'permessage-deflate; client_max_window_bits=12'),
    ('permessage-deflate; client_max_window_bits=10', True, 'permessage-deflate; client_max_window_bits=10'),
    ('permessage-deflate; client_max_window_bits=8', True, 'permessage-deflate; client_max_window_bits=8'),
    ('permessage-deflate; server_max_window_bits=10', True, 'permessage-deflate; server_max_window_bits=10'),
    ('permessage-deflate; server_max_window_bits=15', True, 'permessage-deflate; server_max_window_bits=12'),
    ('permessage-deflate; server_max_window_bits=8', True, None),
    ('permessage-deflate; server_max_window_bits=8, permessage-deflate', True, 'permessage-deflate'),
    ('unknown, permessage-deflate; server_no_context_takeover', True, 'permessage-deflate; server_no_context_takeover'),
    ('permessage-deflate', Compression(server_no_context_takeover=True, client_no_context_takeover=True),
     'permessage-deflate; server_no_context_takeover; client_no_context_takeover'),
    ('permessage-deflate; client_max_window_bits', Compression(client_max_window_bits=15),
     'permessage-deflate; client_max_window_bits=15'),
    ('', True, None),
])
def test_answers(header, compression, expected):
    deflate = negotiate(header, compression)
    assert (deflate and deflate.response) == expected


@pytest.mark.parametrize('settings', [{'level': 0}, {'level': 10}, {'memory_level': 0}, {'server_max_window_bits': 8},
                                      {'server_max_window_bits': 16}, {'client_max_window_bits': 8}])
def test_wrong_settings(settings):
    with pytest.raises(ValueError, match='must be'):
        Compression(**settings)


# ---------------------------------------------------------------------------------------------------------------
# Messages
# ---------------------------------------------------------------------------------------------------------------

def test_the_examples_of_the_standard():
    # RFC 7692 section 7.2.3
    ours = decoder()
    hello = bytes.fromhex('f248cdc9c90700')
    assert decode(ours, frame(TEXT, hello)) == [(TEXT, 'Hello')]
    assert decode(ours, frame(TEXT, bytes.fromhex('f200110000'))) == [(TEXT, 'Hello')]  # with the context of the first
    assert decode(decoder(), frame(TEXT, hello[:3], 0x40) + frame(CONTINUATION, hello[3:], 0x80)) == [(TEXT, 'Hello')]
    assert decode(decoder(), frame(TEXT, bytes.fromhex('000500faff48656c6c6f00'))) == [(TEXT, 'Hello')]
    assert decode(decoder(), frame(TEXT, bytes.fromhex('f348cdc9c9070000'))) == [(TEXT, 'Hello')]  # a final block
    assert decode(decoder(), frame(TEXT, bytes.fromhex('f24805000000ffffcac9c90700'))) == [(TEXT, 'Hello')]


def test_messages_that_are_not_compressed():
    ours = decoder()
    assert decode(ours, frame(TEXT, b'plain', 0x80) + frame(TEXT, compressed(b'x' * 100)) + frame(PING, b'p', 0x80)
                  + frame(BINARY, b'', 0x80)) == [(TEXT, 'plain'), (TEXT, 'x' * 100), (PING, b'p'), (BINARY, b'')]


@pytest.mark.parametrize('data', [
    frame(PING, b'', 0xC0), frame(CONTINUATION, b'', 0xC0),
    frame(TEXT, compressed(b'x'), 0x40) + frame(CONTINUATION, b'', 0xC0), frame(TEXT, b'', 0xE0),
])
def test_the_bit_where_it_must_not_be(data):
    # RFC 7692 section 6
    with pytest.raises(WebSocketError) as error:
        decode(decoder(), data)
    assert error.value.args[0] == 1002


@pytest.mark.parametrize(('payload', 'code'), [(b'\xff' * 10, 1007), (compressed(b'\xff'), 1007)])
def test_malformed_messages(payload, code):
    with pytest.raises(WebSocketError) as error:
        decode(decoder(), frame(TEXT, payload))
    assert error.value.args[0] == code


def test_a_bomb_is_inflated_no_further_than_the_limit():
    bomb = compressed(bytes(100_000_000))
    assert len(bomb) < 100_000
    for step in len(bomb), 1000:
        ours = decoder(max_length=10_000)
        sizes = []
        inflate = ours.deflate.decompress
        ours.deflate.decompress = lambda *args, inflate=inflate, sizes=sizes: note(sizes, inflate(*args))
        with pytest.raises(WebSocketError) as error:
            for i in range(0, len(bomb), step):
                decode(ours, frame(CONTINUATION if i else BINARY, bomb[i:i + step], 0x80 * (i + step >= len(bomb))
                                   | 0x40 * (not i)))
        assert error.value.args[0] == 1009
        assert sum(sizes) == 10_001


def note(sizes, data):
    sizes.append(len(data))
    return data


def test_a_message_as_long_as_the_limit():
    for size in 0, 1, 9_999, 10_000:
        assert decode(decoder(max_length=10_000), frame(BINARY, compressed(bytes(size)))) == [(BINARY, bytes(size))]
    blocks = b''.join([compressed(bytes(1000)) + b'\x00\x00\xff\xff'] * 10)  # empty blocks between
    assert decode(decoder(max_length=10_000), frame(BINARY, blocks)) == [(BINARY, bytes(10_000))]
    final = zlib.compressobj(9, zlib.DEFLATED, -15)
    payload = final.compress(bytes(6_000)) + final.flush()
    with pytest.raises(WebSocketError):
        decode(decoder(max_length=10_000), frame(BINARY, payload * 2 + b'\0'))
    assert decode(decoder(max_length=12_000), frame(BINARY, payload * 2 + b'\0')) == [(BINARY, bytes(12_000))]


@pytest.mark.parametrize('compression', [
    Compression(), Compression(server_no_context_takeover=True, client_no_context_takeover=True),
    Compression(server_max_window_bits=9, client_max_window_bits=9, level=1, memory_level=1),
    Compression(server_max_window_bits=15, client_max_window_bits=15, level=9, memory_level=9),
])
def test_round_trip(compression):
    rng = random.Random(1)
    server = negotiate('permessage-deflate; client_max_window_bits', compression)
    client = Deflate(compression, {'server_max_window_bits': 15})
    for size in (0, 1, 100, 100, 70_000, 3):
        message = rng.randbytes(size) + b'the same again ' * (size // 10)
        assert client.decompress(server.compress(message), 0) + client.finish_message(0) == message
        assert server.decompress(client.compress(message), 0) + server.finish_message(0) == message


def test_small_messages_are_not_compressed():
    deflate = negotiate('permessage-deflate', Compression(threshold=10))
    assert [deflate.is_worthwhile(bytes(size)) for size in (9, 10)] == [False, True]


async def test_conversation():
    app = Microdot()

    @app.route('/ws')
    @with_websocket(compression=True)
    async def echo(request, ws):
        while True:
            await ws.send(await ws.receive())

    offer = {'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits'}
    async with serving(app), TestClient(app).websocket_session('/ws', offer) as ws:
        ws.decoder.deflate = Deflate(Compression(), {})
        assert ws.response.headers['Sec-WebSocket-Extensions'] == 'permessage-deflate; client_max_window_bits=12'
        for message in 'x' * 1000, b'y' * 16_000, '', 'x' * 1000:
            await ws.send(message)
            assert await ws.receive() == message
    async with TestClient(app).websocket_session('/ws') as ws:
        assert 'Sec-WebSocket-Extensions' not in ws.response.headers
        await ws.send('x' * 1000)
        assert await ws.receive() == 'x' * 1000
