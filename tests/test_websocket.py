"""WebSocket: frames, the handshake, conversations, and what is left when they end."""
import asyncio

from helpers import ON_MICROPYTHON, changed, logged_errors, raises
from live import Client, serving, until
from microdot import Microdot, Request, Response, abort
from microdot.test_client import HandshakeError, TestClient
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
    accept_key,
    apply_mask,
    parse_close,
    render_close,
    render_frame,
    websocket_upgrade,
    with_websocket,
)

KEY = b'\x01\x80\xff\x10'
HANDSHAKE = ['GET /ws HTTP/1.1', 'Host: a', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
             'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']


def head(*lines):
    return '\r\n'.join(list(lines) + ['', '']).encode()


def masked(opcode, payload, flags=0x80):
    return render_frame(opcode, payload, KEY, flags)


def decode(data, is_masked=True, max_length=0):
    """Return all events in some bytes, and those of the same bytes one by one, which must be the same."""
    results = []
    for step in len(data) or 1, 1:
        decoder = MessageDecoder(is_masked, max_length)
        events = []
        for i in range(0, len(data), step):
            decoder.feed(data[i:i + step])
            event = decoder.next()
            while event:
                if event[0] != CONTINUATION:
                    events.append(event)
                event = decoder.next()
        results.append(events)
    assert results[0] == results[1]
    return results[0]


def close_code_of(data, max_length=0):
    """Return the code with which some bytes end a conversation, whole and one by one."""
    codes = []
    for step in len(data), 1:
        decoder = MessageDecoder(True, max_length)
        try:
            for i in range(0, len(data), step):
                decoder.feed(data[i:i + step])
                while decoder.next():
                    pass
            codes.append(None)
        except WebSocketError as exc:
            codes.append(exc.args[0])
    assert codes[0] == codes[1], codes
    return codes[0]


# ---------------------------------------------------------------------------------------------------------------
# Frames
# ---------------------------------------------------------------------------------------------------------------

def test_the_frames_of_the_standard():
    # RFC 6455 section 5.7
    assert render_frame(TEXT, b'Hello') == b'\x81\x05Hello'
    assert render_frame(TEXT, b'Hello', b'\x37\xfa\x21\x3d') == b'\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58'
    assert decode(b'\x01\x03Hel\x80\x02lo', False) == [(TEXT, 'Hello')]
    assert render_frame(PING, b'Hello') == b'\x89\x05Hello'
    assert decode(b'\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58') == [(PONG, b'Hello')]
    assert render_frame(BINARY, bytes(256))[:4] == b'\x82\x7e\x01\x00'
    assert render_frame(BINARY, bytes(65536))[:10] == b'\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00'


def test_masks():
    for size in 0, 1, 3, 4, 5, 127, 128, 129, 255, 4095, 4096, 4097, 9000:
        data = bytes(i * 7 & 255 for i in range(size))
        masked_data = apply_mask(data, KEY)
        assert masked_data == bytes(byte ^ KEY[i & 3] for i, byte in enumerate(data)), size
        assert apply_mask(masked_data, KEY) == data


def test_lengths():
    for size in 0, 1, 125, 126, 127, 128, 1000, 3000:
        payload = bytes([i & 255 for i in range(size)])
        assert decode(masked(BINARY, payload)) == [(BINARY, payload)]
        assert decode(render_frame(BINARY, payload), False) == [(BINARY, payload)]
    payload = b'x' * (20000 if ON_MICROPYTHON else 70000)  # with a length of 64 bits, but for a small heap
    frame = masked(BINARY, payload)
    decoder = MessageDecoder(True)
    decoder.feed(frame)
    assert decoder.next() == (BINARY, payload)


def test_fragments_and_control_frames_between_them():
    data = (masked(TEXT, b'a', 0) + masked(PING, b'p') + masked(CONTINUATION, b'', 0) + masked(PONG, b'')
            + masked(CONTINUATION, b'bc', 0x80) + masked(BINARY, b'', 0) + masked(CONTINUATION, b''))
    assert decode(data) == [(PING, b'p'), (PONG, b''), (TEXT, 'abc'), (BINARY, b'')]


def test_characters_across_fragments():
    text = 'aä€\U0001f600'
    for size in 1, 2, 3:
        pieces = [text.encode()[i:i + size] for i in range(0, len(text.encode()), size)]
        data = masked(TEXT, b'', 0) + b''.join([masked(CONTINUATION, piece, 0) for piece in pieces])
        assert decode(data + masked(CONTINUATION, b'')) == [(TEXT, text)]


def test_text_that_is_not_utf8():
    for data in (b'\x80', b'a\xff', b'\xc0\x80', b'\xc1\xbf', b'\xe0\x80\x80', b'\xed\xa0\x80', b'\xf0\x80\x80\x80',
                 b'\xf4\x90\x80\x80', b'\xf5\x80\x80\x80', b'\xe2\x82', b'\xce\xba\xe1', b'\xe2(\xa1',
                 b'\xf8\x88\x80\x80\x80'):
        assert close_code_of(masked(TEXT, data)) == 1007, data
        pieces = masked(TEXT, b'', 0) + b''.join([masked(CONTINUATION, data[i:i + 1], 0) for i in range(len(data))])
        assert close_code_of(pieces + masked(CONTINUATION, b'')) == 1007, data
        assert close_code_of(masked(CLOSE, b'\x03\xe8' + data)) in (None, 1007), data  # the payload is for parse_close
        with raises(WebSocketError) as error:
            parse_close(b'\x03\xe8' + data)
        assert error.value.args[0] == 1007


def test_wrong_text_is_refused_before_its_end():
    for data in b'\xf4\x90', b'\xed\xa0', b'\xe0\x80', b'\xff', b'\xc0', b'abc\xf0\x80':
        decoder = MessageDecoder(True)
        decoder.feed(masked(TEXT, data, 0) + masked(CONTINUATION, b'x' * 100)[:5])
        with raises(WebSocketError):
            while decoder.next():
                pass
        decoder = MessageDecoder(True)
        decoder.feed(masked(TEXT, data + b'x' * 1000)[:len(data) + 9])  # the frame has only begun
        with raises(WebSocketError):
            decoder.next()


def test_frames_that_break_the_rules():
    for data in (
            b'\x81\x05Hello',  # not masked
            masked(3, b''), masked(7, b''), masked(11, b''), masked(15, b''),  # reserved opcodes
            masked(TEXT, b'', 0x90), masked(TEXT, b'', 0xA0), masked(TEXT, b'', 0xC0), masked(PING, b'', 0xC0),
            masked(CONTINUATION, b''), masked(CONTINUATION, b'', 0),  # nothing to continue
            masked(TEXT, b'a', 0) + masked(TEXT, b'b'), masked(TEXT, b'a', 0) + masked(BINARY, b'b', 0),
            masked(PING, b'', 0), masked(CLOSE, b'', 0), masked(PING, b'x' * 126),
            b'\x82\xfe\x00\x7d' + KEY, b'\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff' + KEY,  # lengths could be shorter
            b'\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00' + KEY,  # the highest bit
    ):
        assert close_code_of(data) == 1002, data
    assert close_code_of(masked(TEXT, b'a', 0) + masked(PING, b'') + masked(CONTINUATION, b'')) is None
    decoder = MessageDecoder(False)
    decoder.feed(masked(TEXT, b'a'))  # of a server
    with raises(WebSocketError):
        decoder.next()


def test_message_lengths_are_limited():
    assert close_code_of(masked(BINARY, b'x' * 10), 10) is None
    assert close_code_of(masked(BINARY, b'x' * 11), 10) == 1009
    assert close_code_of(masked(BINARY, b'x' * 11)[:8], 10) == 1009  # before it is here
    fragments = masked(TEXT, b'x' * 6, 0) + masked(CONTINUATION, b'y' * 4, 0)
    assert close_code_of(fragments + masked(CONTINUATION, b''), 10) is None
    assert close_code_of(fragments + masked(CONTINUATION, b'z', 0), 10) == 1009
    assert close_code_of(masked(PING, b'x' * 11), 10) is None
    assert close_code_of(b'\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff' + KEY, 10) == 1009


def test_close_payloads():
    assert parse_close(b'') == (1005, '')
    assert parse_close(b'\x03\xe8') == (1000, '')
    assert parse_close(render_close(4999, 'gr\xfc\xdfe')) == (4999, 'gr\xfc\xdfe')
    assert render_close(1005) == b''
    for code in 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999:
        assert parse_close(render_close(code)) == (code, '')
    for code in 3, 0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535:
        payload = b'\x03' if code == 3 else code.to_bytes(2, 'big')
        with raises(WebSocketError) as error:
            parse_close(payload)
        assert error.value.args[0] == 1002
        if code != 1005 and code != 3:
            with raises(ValueError):
                render_close(code)
    for reason in 'x' * 200, 'x' * 122 + '\xfc', '\xfc' * 100, '\U0001f600' * 40:
        payload = render_close(1000, reason)
        assert len(payload) <= 125
        assert reason.startswith(parse_close(payload)[1])
        assert len(payload) > 120
    assert parse_close(render_close(1000, '\xfc' * 61 + 'x'))[1] == '\xfc' * 61 + 'x'  # it fits


# ---------------------------------------------------------------------------------------------------------------
# The handshake
# ---------------------------------------------------------------------------------------------------------------

def make_app(**options):
    app = Microdot()
    app.seen = []

    @app.route('/ws')
    @with_websocket(**options)
    async def echo(request, ws):
        app.ws = ws
        try:
            while True:
                await ws.send(await ws.receive())
        except WebSocketError as exc:
            app.seen.append(exc.args)
            raise

    return app


def test_the_key_of_the_standard():
    assert accept_key('dGhlIHNhbXBsZSBub25jZQ==') == 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='  # RFC 6455 section 1.3


async def test_handshake():
    async with serving(make_app()) as server:
        client = await Client.connect(server, head(*HANDSHAKE))
        lines = (await read_head(client)).split(b'\r\n')
        assert lines[0] == b'HTTP/1.1 101 Switching Protocols'
        for line in (b'Upgrade: websocket', b'Connection: Upgrade',
                     b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='):
            assert line in lines
        assert not [line for line in lines if line.startswith((b'Content-Length', b'Transfer-Encoding'))]
        await client.close()


async def read_head(client):
    data = b''
    while b'\r\n\r\n' not in data:
        byte = await client.read(1)
        assert byte, data
        data += byte
    return data


async def test_spellings_of_a_handshake():
    async with serving(make_app()) as server:
        for i, line in ((2, 'upgrade: WebSocket'), (2, 'Upgrade: h2c, websocket'),
                        (3, 'Connection: keep-alive, Upgrade'),
                        (3, 'CONNECTION: UPGRADE'), (4, 'sec-websocket-version:13')):
            client = await Client.connect(server, head(*(HANDSHAKE[:i] + [line] + HANDSHAKE[i + 1:])))
            assert (await read_head(client))[9:12] == b'101', line
            await client.close()


async def test_bad_handshakes():
    app = make_app()
    async with serving(app) as server:
        for i, line, status in (
                (0, 'GET /ws HTTP/1.0', 400), (2, 'X: y', 400), (2, 'Upgrade: h2c', 400),
                (2, 'Upgrade: websockets', 400),
                (3, 'Connection: keep-alive', 400), (3, 'X: y', 400), (4, 'X: y', 400),
                (4, 'Sec-WebSocket-Version: 12', 426), (4, 'Sec-WebSocket-Version: 13, 8', 426),
                (5, 'X: y', 400), (5, 'Sec-WebSocket-Key:', 400), (5, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ', 400),
                (5, 'Sec-WebSocket-Key: !!!!!HNhbXBsZSBub25jZQ==', 400),
                (5, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWFh', 400),
                (5, HANDSHAKE[5] + '\r\n' + HANDSHAKE[5], 400)):
            client = await Client.connect(server, head(*(HANDSHAKE[:i] + [line] + HANDSHAKE[i + 1:])))
            response = await client.read(4096)
            assert int(response[9:12]) == status, (line, response)
            assert (b'Sec-WebSocket-Version: 13\r\n' in response) == (status == 426)
            await client.close()
        client = await Client.connect(server, head(*HANDSHAKE, 'Content-Length: 1') + b'x')
        assert (await client.read(4096))[9:12] == b'400'
        await client.close()
    assert not hasattr(app, 'ws')


async def test_other_methods_have_no_handshake():
    client = TestClient(make_app())
    assert (await client.post('/ws')).status_code == 405
    assert (await client.get('/ws')).status_code == 400


async def test_a_handshake_may_be_refused_by_a_hook():
    app = make_app()

    @app.before_request
    async def check(request):
        return 'no', 401

    response = await TestClient(app).websocket('/ws', None)
    assert response.status_code == 401
    with raises(HandshakeError) as error:
        async with TestClient(app).websocket_session('/ws'):
            pass
    assert error.value.response.text == 'no'


async def test_origins():
    client = TestClient(make_app(allowed_origins=['https://Example.com', 'http://localhost:5000']))
    for origin in 'https://example.com', 'HTTP://LOCALHOST:5000':
        async with client.websocket_session('/ws', {'Origin': origin}) as ws:
            await ws.send('a')
            assert await ws.receive() == 'a'
    for origin in 'http://example.com', 'https://example.com.evil.org', 'null', 'https://example.com:444':
        assert (await client.websocket('/ws', None, {'Origin': origin})).status_code == 403
    async with client.websocket_session('/ws') as ws:  # not a browser
        assert ws.response.status_code == 101


async def test_subprotocols():
    client = TestClient(make_app(subprotocols=['v2', 'v1']))
    for offered, expected in (('v1', 'v1'), ('v1, v2', 'v2'), ('v3', None), (None, None), (' v0 ,v1 ', 'v1')):
        async with client.websocket_session('/ws', {'Sec-WebSocket-Protocol': offered} if offered else {}) as ws:
            assert ws.response.headers.get('Sec-WebSocket-Protocol') == expected
            assert client.app.ws.subprotocol == expected


# ---------------------------------------------------------------------------------------------------------------
# Conversations
# ---------------------------------------------------------------------------------------------------------------

async def test_messages():
    async with TestClient(make_app()).websocket_session('/ws') as ws:
        for message in 'hello', b'hello', '', b'', 'gr\xfc\xdfe \U0001f600', bytes(range(256)), 'x' * 126, b'y' * 16384:
            await ws.send(message)
            assert await ws.receive() == message
    assert ws.close_code == 1000


async def test_a_generator_as_client():
    def client():
        nonlocal count
        assert (yield 'one') == 'one'
        assert (yield b'two') == b'two'
        count += 1

    count = 0
    response = await TestClient(make_app()).websocket('/ws', client)
    assert response.status_code == 101
    assert count == 1


async def test_the_server_speaks_first_and_last():
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        await ws.send('welcome')
        assert await ws.receive() == 'hi'
        await ws.close(4001, 'enough')
        assert ws.closed

    def client():
        assert (yield None) == 'welcome'
        try:
            yield 'hi'
        except WebSocketError as exc:
            assert exc.args == (4001, 'enough')
            return
        raise AssertionError

    await TestClient(app).websocket('/ws', client)


async def test_arguments_of_the_route():
    app = Microdot()

    @app.route('/<int:a>/<b>')
    @with_websocket
    async def handler(request, ws, a, b):
        await ws.send('%d %s %s' % (a, b, request.args['c']))

    async with TestClient(app).websocket_session('/1/x?c=3') as ws:
        assert await ws.receive() == '1 x 3'


async def test_the_function_form():
    app = Microdot()

    @app.route('/<what>')
    async def handler(request, what):
        ws = await websocket_upgrade(request, subprotocols=['p'])
        await ws.send(await ws.receive())
        if what == 'error':
            raise ValueError('of the handler')
        if what == 'refused':
            abort(403)
        return Response.already_handled if what == 'good' else 'not for the client'

    for what, code in ('good', 1000), ('bad', 1000), ('refused', 1008), ('error', 1011):
        with logged_errors() as errors:
            async with TestClient(app).websocket_session('/' + what, {'Sec-WebSocket-Protocol': 'p'}) as ws:
                await ws.send('a')
                assert await ws.receive() == 'a'
                with raises(WebSocketError) as error:
                    await ws.receive()
                assert error.value.args == (code, '')
            assert len(errors) == (what == 'error')


async def test_an_error_of_the_handler():
    app = Microdot()
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        raise ValueError('of the handler')

    with logged_errors() as errors:
        async with TestClient(app).websocket_session('/ws') as ws:
            with raises(WebSocketError) as error:
                await ws.receive()
        assert error.value.args[0] == 1011
        assert len(errors) == 1

    @app.errorhandler(ValueError)
    async def handle(request, exc):
        seen.append((request.path, exc))
        return 'handled', 500

    async with TestClient(app).websocket_session('/ws') as ws:
        with raises(WebSocketError) as error:
            await ws.receive()
    assert error.value.args[0] == 1011
    assert len(seen) == 1


async def test_pings_are_answered():
    async with serving(make_app()) as server:
        client = await connect(server, b''.join([masked(PING, b'%d' % i) for i in range(40)]))
        expected = b''.join([render_frame(PONG, b'%d' % i) for i in range(40)])
        assert await read_exactly(client, len(expected)) == expected
        await client.close()


async def connect(server, data=b''):
    client = await Client.connect(server, head(*HANDSHAKE) + data)
    response = await read_head(client)
    assert response[9:12] == b'101', response
    return client


async def read_exactly(client, n):
    data = b''
    while len(data) < n:
        part = await client.read(n - len(data))
        assert part, data
        data += part
    return data


async def test_pings_are_answered_while_the_handler_does_something_else():
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        await asyncio.sleep(10)

    async with serving(app) as server:
        client = await connect(server, masked(PING, b'x'))
        assert await read_exactly(client, 3) == render_frame(PONG, b'x')
        await client.send(masked(PONG, b'not asked for') + masked(PING, b''))
        assert await read_exactly(client, 2) == render_frame(PONG, b'')
        await client.send(masked(CLOSE, b''))
        assert await client.read() == render_frame(CLOSE, b'')
        await client.close()


async def test_heartbeat_of_a_client_that_is_there():
    async with serving(make_app(ping_interval=0.05)) as server:
        client = await connect(server)
        for _ in range(3):
            assert await read_exactly(client, 2) == render_frame(PING, b'')
            await client.send(masked(PONG, b''))
        await client.send(masked(TEXT, b'a'))
        while await read_exactly(client, 1) != b'a':
            await client.send(masked(PONG, b''))
        await client.close()


async def test_heartbeat_of_a_client_that_is_not():
    app = make_app(ping_interval=0.05, ping_timeout=0.1)
    async with serving(app) as server:
        client = await connect(server)
        await read_exactly(client, 2)
        await until(lambda: app.seen)
        assert app.seen[0][0] == 1006
        assert app.ws.close_code == 1006
        await client.read()
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# The end of a conversation
# ---------------------------------------------------------------------------------------------------------------

async def test_the_client_closes():
    for payload, code, reason in (b'', 1005, ''), (b'\x03\xe8', 1000, ''), (b'\x0f\xa0bye', 4000, 'bye'):
        app = make_app()
        async with serving(app) as server:
            client = await connect(server, masked(TEXT, b'a') + masked(CLOSE, payload))
            assert await client.read() == render_frame(TEXT, b'a') + render_frame(CLOSE, payload[:2])
            await client.close()
        assert app.seen == [(code, reason)]
        assert (app.ws.close_code, app.ws.close_reason, app.ws.closed) == (code, reason, True)


async def test_a_client_that_breaks_the_rules():
    for data, code in ((b'\x81\x01a', 1002), (masked(TEXT, b'\xff'), 1007), (masked(BINARY, b'x' * 11), 1009),
                       (masked(CLOSE, b'\x03'), 1002), (b'GET / HTTP/1.1\r\n\r\n', 1002)):
        app = make_app()
        with changed(WebSocket, max_message_length=10):
            async with serving(app) as server:
                client = await connect(server, data + b'x' * 2000)
                frame = await read_exactly(client, 4)
                assert frame[0] == 0x88
                assert int.from_bytes(frame[2:], 'big') == code, data
                await client.close()
        assert app.seen[0][0] == code


async def test_the_length_of_messages_is_that_of_bodies():
    app = make_app()
    with changed(Request, max_body_length=5):
        async with TestClient(app).websocket_session('/ws') as ws:
            await ws.send('12345')
            assert await ws.receive() == '12345'
            await ws.send('123456')
            with raises(WebSocketError) as error:
                await ws.receive()
            assert error.value.args[0] == 1009
    with changed(WebSocket, max_message_length=0):
        async with TestClient(app).websocket_session('/ws') as ws:
            await ws.send(b'x' * 20000)
            assert len(await ws.receive()) == 20000


async def test_the_client_vanishes():
    app = make_app()
    async with serving(app) as server:
        client = await connect(server, masked(TEXT, b'a'))
        await read_exactly(client, 3)
        await client.close()
        await until(lambda: app.seen and not server.connections)
    assert app.seen[0][0] == app.ws.close_code == 1006


def make_busy_app(seen):
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        app.ws = ws
        seen.append('begin')
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append('cancelled')
            raise
        finally:
            seen.append('end')

    return app


async def test_a_busy_handler_is_cancelled_when_the_client_closes():
    seen = []
    async with serving(make_busy_app(seen)) as server:
        client = await connect(server, masked(CLOSE, b'\x03\xe8'))
        assert await client.read() == render_frame(CLOSE, b'\x03\xe8')
        await client.close()
        await until(lambda: not server.connections)
    assert seen == ['begin', 'cancelled', 'end']


async def test_a_busy_handler_is_cancelled_when_the_client_vanishes():
    seen = []
    app = make_busy_app(seen)
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await connect(server)
            await client.close()
            await until(lambda: not server.connections)
        assert seen == ['begin', 'cancelled', 'end']
        assert not errors
    with raises(WebSocketError):
        await app.ws.send('too late')
    with raises(WebSocketError):
        await app.ws.receive()


async def test_a_handler_that_goes_on_after_the_end():
    app = Microdot()
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            for _ in range(3):
                try:
                    await ws.receive()
                except WebSocketError as exc:
                    seen.append(exc.args[0])

    async with serving(app) as server:
        client = await connect(server, masked(CLOSE, b'\x03\xe9'))
        assert await client.read() == render_frame(CLOSE, b'\x03\xe9')
        await client.close()
        await until(lambda: not server.connections)
    assert seen == [1001] * 3


async def test_what_has_come_before_the_end_is_received():
    app = Microdot()
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        while True:
            await asyncio.sleep(0.02)  # busy whenever something comes
            seen.append(await ws.receive())

    async with serving(app) as server:
        client = await connect(server, b''.join([masked(TEXT, b'%d' % i) for i in range(5)]) + masked(CLOSE, b''))
        assert await client.read() == render_frame(CLOSE, b'')
        await client.close()
    assert seen == ['0', '1', '2', '3', '4']


async def test_a_handler_that_never_receives_what_has_come_is_cancelled():
    seen = []
    app = make_busy_app(seen)
    app.body_timeout = 0.1
    async with serving(app) as server:
        client = await connect(server, masked(TEXT, b'not received'))
        await client.close()
        await until(lambda: not server.connections)
    assert seen == ['begin', 'cancelled', 'end']


async def test_the_server_stops():
    seen = []
    app = make_busy_app(seen)
    echo = make_app()
    app.mount(echo, url_prefix='/echo')
    async with serving(app) as server:
        clients = [await connect(server), await Client.connect(server, head('GET /echo/ws HTTP/1.1', *HANDSHAKE[1:]))]
        await read_head(clients[1])
        app.shutdown()
        for client in clients:
            assert await read_exactly(client, 4) == render_frame(CLOSE, b'\x03\xe9the server stops')[:4]
            await client.send(masked(CLOSE, b'\x03\xe9'))
            await client.read()
            await client.close()
    assert seen == ['begin', 'cancelled', 'end']
    assert echo.seen[0][0] == 1001


async def test_close_waits_for_the_client():
    app = Microdot()
    app.linger_timeout = 0.2
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        await ws.close(4000)
        seen.append((ws.close_code, ws.close_reason))
        with raises(WebSocketError):
            await ws.send('more')

    for answer, expected in ((masked(TEXT, b'dropped') + masked(CLOSE, b'\x0f\xa1why'), (4001, 'why')),
                             (b'\x88', (1006, ''))):
        async with serving(app) as server:
            client = await connect(server, answer)
            assert await read_exactly(client, 4) == render_frame(CLOSE, b'\x0f\xa0')
            await client.read()
            await client.close()
        assert seen.pop() == expected


async def test_a_handler_goes_on_after_close():
    app = Microdot()
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        task = asyncio.create_task(receive(ws))
        await asyncio.sleep(0.01)
        await ws.close(4000)
        await task
        seen.append('end')

    async def receive(ws):
        try:
            await ws.receive()
        except WebSocketError as exc:
            seen.append(exc.args)

    async with serving(app) as server:
        client = await connect(server)
        assert await read_exactly(client, 4) == render_frame(CLOSE, b'\x0f\xa0')
        await client.send(masked(CLOSE, b'\x0f\xa0'))
        assert await client.read() == b''
        await client.close()
        await until(lambda: not server.connections)
    assert seen == [(4000, ''), 'end']


async def test_a_client_that_does_not_read_is_freed():
    app = Microdot()
    app.write_timeout = 0.2
    seen = []

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        try:
            while True:
                await ws.send(b'x' * 10000)
        except WebSocketError as exc:
            seen.append(exc.args[0])
            raise

    with logged_errors() as errors:
        async with serving(app) as server:
            client = await connect(server)
            await until(lambda: seen and not server.connections)
            await client.close()
        assert seen == [1006]
        assert not errors


async def test_messages_that_nobody_receives_are_not_read():
    app = Microdot()
    count = 0

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        nonlocal count
        await asyncio.sleep(0.5)
        assert ws.queue_size < ws.max_queue_size + 1100
        assert len(ws.sock.data) <= 2 * ws.sock.read_size + 262144
        while True:
            count += len(await ws.receive())

    async def send_all(client):
        messages = masked(BINARY, b'x' * 1000) * 100
        for _ in range(20):
            await client.send(messages)

    with changed(WebSocket, max_queue_size=2000):
        async with serving(app) as server:
            client = await connect(server)
            task = asyncio.create_task(send_all(client))
            await until(lambda: count == 2000000)
            await task
            await client.close()


async def test_what_cannot_be_sent():
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        with raises(ValueError):
            await ws.send(b'x' * 126, WebSocket.PING)
        with raises(ValueError):
            await ws.close(1006)
        with raises(TypeError):
            await ws.send(None)
        await ws.send('still there')

    async with TestClient(app).websocket_session('/ws') as ws:
        assert await ws.receive() == 'still there'


async def test_two_who_send_do_not_mix_frames():
    size = 10000 if ON_MICROPYTHON else 100000  # more than one write, but for a small heap
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        async def send(text):
            for _ in range(3):
                await ws.send(text)

        await asyncio.gather(send('a' * size), send('b' * size))

    async with TestClient(app).websocket_session('/ws') as ws:
        messages = []
        for _ in range(6):
            messages.append(await ws.receive())
    assert sorted([message[0] + message[-1] for message in messages]) == ['aa'] * 3 + ['bb'] * 3
    assert {len(message) for message in messages} == {size}


async def test_a_handler_that_only_sends_does_not_stop_others():
    app = Microdot()

    @app.route('/ws')
    @with_websocket
    async def handler(request, ws):
        while True:
            await ws.send(b'x' * 1000)

    @app.get('/')
    async def other(request):
        return 'other'

    async def read_all(client):
        while await client.read(4096):
            pass

    async with serving(app) as server:
        client = await connect(server)
        task = asyncio.create_task(read_all(client))
        for _ in range(3):
            other_client = await Client.connect(server)
            assert await other_client.get('/') == (200, b'other')
            await other_client.close()
        task.cancel()
        await client.close()


async def test_a_handler_that_the_server_breaks_off():
    app = make_busy_app([])
    async with serving(app) as server:
        client = await connect(server)
        server.cancel()
        assert await client.read(4) == render_frame(CLOSE, b'\x03\xe9')
        await client.close()
        await until(lambda: not server.connections)
