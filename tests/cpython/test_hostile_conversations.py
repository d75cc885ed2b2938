"""WebSocket and Server-Sent Events with clients and tasks that behave badly."""
import asyncio
import logging

import pytest

from helpers import changed, logged_errors
from live import Client, serving, until
from microdot import Microdot
from microdot.sse import with_sse
from microdot.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    MessageDecoder,
    WebSocket,
    WebSocketError,
    render_frame,
    websocket_upgrade,
    with_websocket,
)

KEY = b'\x01\x80\xff\x10'
HANDSHAKE = (b'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
             b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
GET = b'GET /events HTTP/1.1\r\nHost: a\r\n\r\n'


def masked(opcode, payload=b'', flags=0x80):
    return render_frame(opcode, payload, KEY, flags)


async def connect(server, data=b''):
    client = await Client.connect(server, HANDSHAKE + data)
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        head += await client.read(1)
    assert head.startswith(b'HTTP/1.1 101'), head
    return client


def websocket_app(f, **options):
    app = Microdot()

    @app.route('/ws')
    @with_websocket(**options)
    async def handler(request, ws):
        app.ws = ws
        await f(ws)

    @app.get('/other')
    async def other(request):
        return 'other'

    return app


def sse_app(f):
    app = Microdot()
    app.ended = 0

    @app.route('/events')
    @with_sse
    async def handler(request, sse):
        app.sse = sse
        try:
            await f(sse)
        finally:
            app.ended += 1

    return app


async def echo(ws):
    while True:
        await ws.send(await ws.receive())


# ---------------------------------------------------------------------------------------------------------------
# Cancellation
# ---------------------------------------------------------------------------------------------------------------

async def test_waits_that_are_given_up_leave_nothing():
    seen = []

    async def poll(ws):
        for _ in range(20):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.receive(), 0.001)
        seen.append(len(ws.arrival.waiters))
        await ws.send(await ws.receive())

    async with serving(websocket_app(poll)) as server:
        client = await connect(server)
        await until(lambda: seen)
        await client.send(masked(TEXT, b'a'))
        assert await client.read(3) == render_frame(TEXT, b'a')
        await client.close()
    assert seen == [0]


async def test_nothing_follows_a_message_that_was_broken_off():
    seen = []

    async def send(ws):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.send(bytes(20_000_000)), 0.1)
        with pytest.raises(WebSocketError):
            await ws.send('hello')
        seen.append(ws.close_code)

    async with serving(websocket_app(send)) as server:
        client = await connect(server)
        await until(lambda: seen)
        data = await read_all(client)
        assert data[:10] == b'\x82\x7f' + (20_000_000).to_bytes(8, 'big')
        assert data[10:] == bytes(len(data) - 10)
        await client.close()
    assert seen == [1006]


async def read_all(client):
    data = b''
    while part := await client.read(1 << 20):
        data += part
    return data


async def test_nothing_follows_an_event_that_was_broken_off():
    async def send(sse):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sse.send('x' * 20_000_000), 0.1)
        await sse.send('hello')

    app = sse_app(send)
    async with serving(app) as server:
        client = await Client.connect(server, GET)
        await until(lambda: app.ended)
        data = await read_all(client)
        assert b'hello' not in data
        assert not data.endswith(b'0\r\n\r\n')
        await client.close()


async def test_small_messages_may_be_cancelled():
    async def send(ws):
        ws.sock.app.linger_timeout = 0.5
        ws.sock.app.sent = 0
        while True:
            try:
                await asyncio.wait_for(ws.send(b'x' * 1000), 0.05)
                ws.sock.app.sent += 1
            except asyncio.TimeoutError:
                return

    async with serving(websocket_app(send)) as server:
        client = await connect(server)
        await until(lambda: server.app.ws.closed)
        decoder = MessageDecoder(False)
        decoder.feed(await read_all(client))
        events = []
        while event := decoder.next():
            events.append(event)
        assert events.pop() == (CLOSE, b'\x03\xe8')
        assert len(events) >= server.app.sent
        assert set(events) == {(BINARY, b'x' * 1000)}
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Clients that have left, servers that stop
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('tail', [b'', b'GET / HTTP/1.1\r\n' * 20_000])
async def test_a_stream_whose_client_has_left_before_it_began(tail):
    app = sse_app(lambda sse: asyncio.sleep(60))

    @app.before_request
    async def wait(request):
        await asyncio.sleep(0.1)

    async with serving(app) as server:
        client = await Client.connect(server)
        client.writer.write(GET + tail)
        client.writer.write_eof()
        await until(lambda: app.ended)
        await client.close()
        await until(lambda: not server.connections)


@pytest.mark.parametrize('path', ['/ws', '/events'])
async def test_what_begins_while_the_server_stops(path):
    app = sse_app(lambda sse: asyncio.sleep(60))
    app.mount(websocket_app(echo))
    waiting = []

    @app.before_request
    async def wait(request):
        waiting.append(request)
        await asyncio.sleep(0.2)

    async with serving(app) as server:
        client = await Client.connect(server, GET if path == '/events' else HANDSHAKE)
        await until(lambda: waiting)
        app.shutdown()
        data = b''
        while not data.endswith((b'0\r\n\r\n', b'the server stops')):
            part = await client.read(4096)
            assert part, data
            data += part
        if path == '/ws':
            assert render_frame(CLOSE, b'\x03\xe9the server stops') in data
            await client.send(masked(CLOSE, b'\x03\xe9'))
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Floods
# ---------------------------------------------------------------------------------------------------------------

def test_fragments_take_no_more_memory_than_their_bytes():
    decoder = MessageDecoder(True)
    decoder.feed(masked(TEXT, b'', 0) + masked(CONTINUATION, b'', 0) * 10_000 + masked(CONTINUATION, b'ab', 0) * 10_000)
    steps = 0
    while event := decoder.next():
        assert event == (CONTINUATION, b'')
        steps += 1
    assert steps == 20_001
    assert decoder.buffer == b'ab' * 10_000


FLOODS = {
    'empty messages': masked(TEXT), 'empty fragments': masked(CONTINUATION, b'', 0), 'pings': masked(PING),
    'pongs': masked(10), 'messages': masked(TEXT, b'x'),
}


@pytest.mark.parametrize('kind', FLOODS)
async def test_a_flood_does_not_stop_others(kind):
    """The event loop has to turn often: here by its turns, since time depends on the machine."""
    longest = 0

    async def receive(ws):
        while True:
            await ws.receive()

    steps = 0
    original = MessageDecoder.next

    def count(self):
        nonlocal steps
        steps += 1
        return original(self)

    async def watch_turns():
        nonlocal longest, steps
        while True:
            longest = max(longest, steps)
            steps = 0
            await asyncio.sleep(0)

    with changed(MessageDecoder, next=count):
        async with serving(websocket_app(receive)) as server:
            watcher = asyncio.create_task(watch_turns())
            client = await connect(server, masked(TEXT, b'', 0) if kind == 'empty fragments' else b'')
            flood = asyncio.create_task(client.send(FLOODS[kind] * 50_000))
            other = await Client.connect(server)
            for _ in range(3):
                assert await other.get('/other') == (200, b'other')
            await other.close()
            await read_some(client, flood)
            watcher.cancel()
            await client.close()
    assert 0 < longest < 2000, longest


async def read_some(client, flood):
    """Read the answers to pings, so that the flood comes to its end."""
    while not flood.done():
        await asyncio.wait([flood], timeout=0.01)
        try:
            await asyncio.wait_for(client.reader.read(1 << 20), 0.01)
        except asyncio.TimeoutError:
            pass


async def test_a_client_that_floods_and_vanishes_is_no_news(caplog):
    app = websocket_app(echo)
    with logged_errors() as errors, caplog.at_level(logging.DEBUG):
        async with serving(app) as server:
            for _ in range(5):
                client = await connect(server)
                client.writer.write(masked(TEXT, b'x') * 20_000)
                await asyncio.sleep(0.02)
                client.writer.transport.abort()
            await until(lambda: not server.connections)
        assert not errors
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_who_asks_again_and_again_does_not_stop_others():
    async def insist(ws):
        while True:
            try:
                await ws.receive()
            except WebSocketError:
                continue

    app = websocket_app(insist)
    async with serving(app) as server:
        client = await connect(server, masked(CLOSE))
        other = await Client.connect(server)
        assert await other.get('/other') == (200, b'other')
        await other.close()
        await client.close()
        for connection in list(server.connections):
            connection.cancel()
        await until(lambda: not server.connections)


async def test_many_half_frames_hold_only_their_bytes():
    async with serving(websocket_app(echo)) as server:
        client = await connect(server, masked(BINARY, bytes(10_000))[:5000])
        await until(lambda: server.app.ws.decoder.left > 0)
        await until(lambda: len(server.app.ws.decoder.buffer) > 4900)
        assert not server.app.ws.decoder.data[server.app.ws.decoder.start:]
        await client.close()


def test_the_class_has_its_limits():
    assert WebSocket.max_message_length == -1
    assert WebSocket.max_queue_size == 65536


# ---------------------------------------------------------------------------------------------------------------
# Handshakes
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(('old', 'new'), [
    (b'Version: 13', b'Version: 12'), (b'Upgrade: websocket', b'Upgrade: h2c'),
    (b'Host: a', b'Host: a\r\nOrigin: http://b'), (b'Host: a', b'Host: a\r\nTransfer-Encoding: chunked'),
    (b'Host: a', b'Host: a\r\nContent-Length: 34'),
])
async def test_nothing_is_served_behind_a_refused_handshake(old, new):
    app = websocket_app(echo, allowed_origins=['http://a'])
    async with serving(app) as server:
        behind = b'0\r\n\r\nGET /other HTTP/1.1\r\nHost: a\r\n\r\n'
        client = await Client.connect(server, HANDSHAKE.replace(old, new) + behind)
        data = await read_all(client)
        assert data.startswith(b'HTTP/1.1 4')
        assert data.count(b'HTTP/1.1') == 1
        assert b'close' in data
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Other tasks of a handler
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not hasattr(asyncio, 'TaskGroup'), reason='asyncio.TaskGroup is new in 3.11')
async def test_the_end_in_a_task_group_is_no_error():
    async def converse(ws):
        async with asyncio.TaskGroup() as group:
            group.create_task(echo(ws))
            group.create_task(asyncio.sleep(60))

    with logged_errors() as errors:
        async with serving(websocket_app(converse)) as server:
            client = await connect(server, masked(CLOSE, b'\x03\xe8'))
            assert await client.read() == render_frame(CLOSE, b'\x03\xe8')
            await client.close()
        assert not errors


async def test_tasks_that_outlive_the_handler_hear_of_the_end():
    tasks = []

    async def leave(ws):
        tasks.append(asyncio.create_task(ws.receive()))
        await asyncio.sleep(0.01)

    app = websocket_app(leave)
    app.linger_timeout = 0.1
    async with serving(app) as server:
        client = await connect(server)
        await client.read()
        await until(lambda: tasks[0].done())
        assert isinstance(tasks[0].exception(), WebSocketError)
        await client.close()


async def test_receive_after_a_close_without_an_answer():
    seen = []

    async def close(ws):
        await ws.close()
        seen.append('closed')
        try:
            await ws.receive()
        except WebSocketError as exc:
            seen.append(exc.args[0])

    app = websocket_app(close)
    app.linger_timeout = 0.1
    async with serving(app) as server:
        client = await connect(server)
        await client.read()
        await client.close()
    assert seen == ['closed', 1006]


async def test_an_upgrade_in_another_task():
    app = Microdot()
    ended = []

    @app.route('/ws')
    async def handler(request):
        try:
            await asyncio.wait_for(websocket_upgrade(request), 5)
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async with serving(app) as server:
        client = await connect(server)
        await client.close()
        await until(lambda: ended and not server.connections)


async def test_keep_alive_to_a_client_that_is_gone_is_no_news():
    app = Microdot()

    @app.route('/events')
    @with_sse(keep_alive=0.001)
    async def handler(request, sse):
        await asyncio.sleep(60)

    with logged_errors() as errors:
        async with serving(app) as server:
            for i in range(30):
                client = await Client.connect(server, GET)
                await asyncio.sleep(i / 10_000)
                client.writer.transport.abort()
            await until(lambda: not server.connections)
        assert not errors


async def test_a_stop_does_not_wait_long_for_messages_that_nobody_receives():
    app = websocket_app(lambda ws: asyncio.sleep(60))
    app.linger_timeout = 0.1
    async with serving(app) as server:
        client = await connect(server, masked(TEXT, b'not received'))
        await until(lambda: app.ws.messages)
        app.shutdown()
        assert (await client.read())[:4] == render_frame(CLOSE, b'\x03\xe9the server stops')[:4]
        await client.close()
