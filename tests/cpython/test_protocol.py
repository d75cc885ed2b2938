"""What only the server of CPython does: how handlers are started, back-pressure, files, logs, and its last moments."""
import asyncio
import contextlib
import contextvars
import hashlib
import io
import logging
import os
import socket
import ssl
import struct
import sys
from types import SimpleNamespace

import pytest
import trustme
from memory_transport import MemoryTransport, called_back

from helpers import changed, logged_errors
from live import Client, serving, start, until
from microdot import Microdot, Request, Response, send_file
from microdot.server import ParkingStarter, ProtocolConnection, ProtocolServer, Starter

SMALL = 8192  # bytes of a socket's buffer


def get(path='/', headers=''):
    return f'GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n'.encode()


async def get_body(server, path, headers=''):
    client = await Client.connect(server, get(path, headers))
    status, body = await client.read_response()
    await client.close()
    assert status == 200, body
    return body.decode()


async def slow_client(server, data):
    """Connect with a small buffer, so that little of a response is under way."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ('127.0.0.1', server.port))
    client = Client()
    client.reader, client.writer = await asyncio.open_connection(sock=sock, limit=1024)
    await client.send(data)
    return client


# ---------------------------------------------------------------------------------------------------------------
# Handlers, which begin without a task of their own if the interpreter allows it
# ---------------------------------------------------------------------------------------------------------------

async def pause():
    await asyncio.sleep(0.001)


async def no_pause():
    pass


@pytest.mark.parametrize('first', [no_pause, pause])
@pytest.mark.parametrize('second', [no_pause, pause])
async def test_a_handler_has_one_task_from_begin_to_end(first, second):
    app = Microdot()

    @app.get('/')
    async def index(request):
        tasks = [asyncio.current_task()]
        await first()
        tasks.append(asyncio.current_task())
        await second()
        tasks.append(asyncio.current_task())
        assert tasks[0] in asyncio.all_tasks()
        assert isinstance(tasks[0], asyncio.Task) and tasks == tasks[:1] * 3
        return 'ok'

    async with serving(app) as server:
        client = await Client.connect(server)
        for _ in range(5):
            assert await client.get() == (200, b'ok')
        await client.close()


@pytest.mark.skipif(sys.version_info < (3, 11), reason='asyncio.timeout() is new in 3.11')
@pytest.mark.parametrize('first', [no_pause, pause])
async def test_asyncio_timeout_in_a_handler(first):
    app = Microdot()

    @app.get('/')
    async def index(request):
        await first()
        try:
            async with asyncio.timeout(0.02):
                await asyncio.sleep(10)
        except TimeoutError:
            assert asyncio.current_task().cancelling() == 0
            await asyncio.sleep(0.001)
            return 'timeout'

    async with serving(app) as server:
        client = await Client.connect(server)
        for _ in range(3):
            assert await client.get() == (200, b'timeout')
        await client.close()


async def test_waiting_for_other_tasks():
    app = Microdot()

    async def double(n):
        await asyncio.sleep(0.001 * n)
        return 2 * n

    @app.get('/')
    async def index(request):
        numbers = await asyncio.gather(*[double(n) for n in range(4)])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return f'{sum(numbers) + await asyncio.wait_for(double(1), 5)}'

    async with serving(app) as server:
        assert await asyncio.gather(*[get_body(server, '/') for _ in range(20)]) == ['14'] * 20


@pytest.mark.parametrize('wait', [no_pause, pause])
async def test_context_variables_of_a_request_stay_in_it(wait):
    app = Microdot()
    user = contextvars.ContextVar('user', default='nobody')

    @app.before_request
    async def before(request):
        assert user.get() == 'nobody'
        user.set(request.args['user'])

    @app.get('/')
    async def index(request):
        await wait()
        seen = user.get(), await asyncio.to_thread(user.get), await asyncio.create_task(read())
        await wait()
        return ' '.join([*seen, user.get()])

    async def read():
        return user.get()

    async with serving(app) as server:
        names = [f'user{n}' for n in range(10)]
        bodies = await asyncio.gather(*[get_body(server, '/?user=' + name) for name in names])
        assert bodies == [' '.join([name] * 4) for name in names]
    assert user.get() == 'nobody'


@pytest.mark.parametrize('first', [no_pause, pause])
@pytest.mark.parametrize('goes_on', [False, True])
async def test_a_handler_that_cancels_itself_ends_its_connection_and_no_other(first, goes_on):
    app = Microdot()
    app.get('/')(lambda request: 'fine')

    @app.get('/cancel')
    async def cancel(request):
        await first()
        asyncio.current_task().cancel()
        if goes_on:
            await asyncio.sleep(1)
        return 'not awaited'

    async with serving(app) as server:
        for _ in range(3):
            client = await Client.connect(server, get('/cancel'))
            data = await client.read(1000)
            assert data == b'' or data.endswith(b'not awaited') and not goes_on
            await client.close()
            assert await get_body(server, '/') == 'fine'
        await until(lambda: not server.connections)


@pytest.mark.parametrize('first', [no_pause, pause])
async def test_a_handler_that_raises_cancelled_error_ends_its_connection(first, caplog):
    app = Microdot()

    @app.get('/')
    async def index(request):
        await first()
        raise asyncio.CancelledError

    async with serving(app) as server:
        for _ in range(3):
            client = await Client.connect(server, get())
            assert await client.read() == b''
            await client.close()
        await until(lambda: not server.connections)
    assert not caplog.records


@pytest.mark.parametrize('first', [no_pause, pause])
async def test_cancelling_reaches_what_the_handler_waits_for(first):
    app = Microdot()
    log = []

    async def inner():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log.append('inner')
            raise

    @app.get('/')
    async def index(request):
        await first()
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        try:
            await asyncio.ensure_future(inner())
        except asyncio.CancelledError:
            log.append('handler')
            if hasattr(task, 'uncancel'):
                task.uncancel()
            return 'ok'

    async with serving(app) as server:
        assert await get_body(server, '/') == 'ok'
        assert await get_body(server, '/') == 'ok'
    assert log == ['inner', 'handler'] * 2


async def test_sleep_zero_gives_others_their_turn():
    app = Microdot()

    @app.get('/')
    async def index(request):
        order = []
        asyncio.get_running_loop().call_soon(order.append, 'other')
        for _ in range(3):
            await asyncio.sleep(0)
        order.append('handler')
        return ' '.join(order)

    async with serving(app) as server:
        assert await get_body(server, '/') == 'other handler'


async def test_no_task_is_left_behind():
    before = asyncio.all_tasks()
    app = Microdot()

    @app.get('/')
    async def index(request):
        await pause()
        return 'ok'

    async with serving(app) as server:
        for _ in range(3):
            assert await get_body(server, '/') == 'ok'
    await until(lambda: asyncio.all_tasks() == before)


async def test_a_task_that_was_kept_cannot_cancel_a_later_request():
    app = Microdot()
    tasks = []

    @app.get('/')
    async def index(request):
        tasks.append(asyncio.current_task())
        return 'ok'

    @app.get('/slow')
    async def slow(request):
        await asyncio.sleep(0.05)
        return 'slow'

    async with serving(app) as server:
        for _ in range(3):
            assert await get_body(server, '/') == 'ok'
            answer = asyncio.create_task(get_body(server, '/slow'))
            await until(lambda: any(connection.task for connection in server.connections))
            tasks[-1].cancel()
            assert await answer == 'slow'


async def test_a_request_that_never_waits_needs_no_task():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return 'ok'

    @app.get('/limited')
    async def limited(request):
        async with asyncio.timeout(1) if hasattr(asyncio, 'timeout') else contextlib.AsyncExitStack():
            return 'ok'

    async with serving(app) as server:
        server.starter = ParkingStarter(server.loop)  # other versions of CPython have it, too
        await asyncio.sleep(0)
        task = server.starter.parked.task
        for path in '/', '/limited', '/':
            assert await get_body(server, path) == 'ok'
            assert server.starter.parked.task is task


async def test_tasks_that_are_cancelled_before_they_begin_leave_nothing():
    app = Microdot()

    @app.get('/')
    async def index(request):
        await asyncio.sleep(10)

    async with serving(app) as server:
        clients = [await Client.connect(server) for _ in range(10)]
        for client in clients:
            await client.send(get())
        for _ in range(200):  # at whatever moment
            await asyncio.sleep(0)
            if any(connection.task for connection in server.connections):
                break
        server.cancel()
        for client in clients:
            await client.close()
        await until(lambda: not server.connections)


# ---------------------------------------------------------------------------------------------------------------
# Back-pressure
# ---------------------------------------------------------------------------------------------------------------

async def test_a_pipeline_is_answered_in_order_and_read_only_as_it_is_answered():
    app = Microdot()
    gate = asyncio.Event()
    sizes = []

    @app.get('/<int:n>')
    async def index(request, n):
        await gate.wait()
        sizes.append(len(request.sock[0].data))
        return str(n)

    async with serving(app) as server:
        client = await Client.connect(server)
        count = 20000  # several megabytes
        padding = 'X: %s\r\n' % ('x' * 300)
        data = b''.join([get(f'/{n}', padding) for n in range(count - 1)])
        data += get(f'/{count - 1}', 'Connection: close\r\n')
        sending = asyncio.create_task(client.send(data))
        await until(lambda: server.connections)
        await asyncio.sleep(0.1)
        connection = next(iter(server.connections))
        assert connection.is_reading_paused
        assert len(connection.data) < 400_000
        gate.set()
        answers = await client.read()
        await sending
        bodies = [part.split(b'\r\n\r\n')[1] for part in answers.split(b'HTTP/1.1 ')[1:]]
        assert bodies == [b'%d' % n for n in range(count)]
        assert max(sizes) < 400_000
        await client.close()


async def test_many_empty_lines_stop_nobody():
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    async with serving(app) as server:
        client = await Client.connect(server)
        await asyncio.wait_for(client.send(b'\r\n' * 5_000_000), 5)
        assert await client.get() == (200, b'ok')
        await client.close()


async def test_a_pipeline_does_not_stop_the_others():
    app = Microdot()
    count = 0

    @app.get('/')
    async def index(request):
        nonlocal count
        count += 1
        return str(count)

    async with serving(app) as server:
        flood = await Client.connect(server)
        await flood.send(get() * 2000)
        assert int(await get_body(server, '/')) < 1900
        await flood.close()


@pytest.mark.parametrize('make_body', [
    lambda: b'x' * 50_000_000,
    lambda: (b'x' * 100_000 for _ in range(500)),
    lambda: io.BytesIO(b'x' * 50_000_000),
], ids=['bytes', 'generator', 'file'])
async def test_a_slow_reader_slows_the_producer(make_body):
    app = Microdot()
    app.get('/')(lambda request: make_body())

    async with serving(app) as server:
        client = await slow_client(server, get('/', 'Connection: close\r\n'))
        await until(lambda: any(connection.is_writing_paused for connection in server.connections))
        connection = next(iter(server.connections))
        assert connection.transport.get_write_buffer_size() < 300_000
        total = 0
        while data := await client.read(1 << 20):
            total += len(data)
            assert connection.transport.get_write_buffer_size() < 300_000
        assert total > 50_000_000
        await client.close()


async def test_an_upload_is_read_as_the_handler_reads_it():
    app = Microdot()
    gate = asyncio.Event()

    @app.post('/')
    async def upload(request):
        await gate.wait()
        digest = hashlib.sha256()
        while data := await request.stream.read(30_000):
            digest.update(data)
        return digest.hexdigest()

    body = os.urandom(20_000_000)
    with changed(Request, max_content_length=1 << 30):
        async with serving(app) as server:
            client = await Client.connect(server)
            sending = asyncio.create_task(client.send(
                b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n' % len(body) + body))
            await until(lambda: any(connection.is_reading_paused for connection in server.connections))
            assert len(next(iter(server.connections)).data) < 1_000_000
            gate.set()
            assert await client.read_response() == (200, hashlib.sha256(body).hexdigest().encode())
            await sending
            await client.close()


async def test_two_tasks_may_write_and_one_may_read():
    app = Microdot()

    @app.get('/')
    async def index(request):
        reader, writer = request.sock
        reading = asyncio.create_task(reader.read(10))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await reader.read(1)
        await asyncio.gather(*[writer.awrite(b'x' * 1_000_000) for _ in range(3)])
        assert await reading == b'ping'
        return Response.already_handled

    async with serving(app) as server:
        client = await slow_client(server, get())
        data = b''
        while len(data) < 3_000_000:
            data += await client.read(1 << 20)
        await client.send(b'ping')
        assert data + await client.read() == b'x' * 3_000_000
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------

@pytest.fixture
def large_file(tmp_path):
    path = tmp_path / 'large.bin'
    path.write_bytes(os.urandom(5_000_000))
    return path


def make_file_app(path, opened):
    app = Microdot()

    @app.get('/')
    async def index(request):
        response = send_file(str(path))
        opened.append(response.body)
        return response

    return app


@pytest.mark.parametrize('connect', [Client.connect, slow_client])
async def test_a_file_arrives_whole_in_a_pipeline(large_file, connect):
    opened = []
    data = large_file.read_bytes()
    async with serving(make_file_app(large_file, opened)) as server:
        client = await connect(server, get() + get('/missing') + get('/', 'Connection: close\r\n'))
        assert await client.read_response() == (200, data)
        assert (await client.read_response())[0] == 404
        assert await client.read_response() == (200, data)
        assert await client.read() == b''
        await client.close()
    assert len(opened) == 2 and all(file.closed for file in opened)


async def test_files_are_sent_by_the_kernel(large_file, monkeypatch):
    sizes = []
    sendfile = os.sendfile

    def spy(*args):
        sizes.append(sendfile(*args))
        return sizes[-1]

    monkeypatch.setattr(os, 'sendfile', spy)
    async with serving(make_file_app(large_file, [])) as server:
        client = await Client.connect(server, get())
        assert (await client.read_response())[1] == large_file.read_bytes()
        await client.close()
    assert sum(sizes) == 5_000_000


async def test_a_client_that_leaves_during_a_file(large_file):
    opened = []
    with logged_errors() as errors:
        async with serving(make_file_app(large_file, opened)) as server:
            client = await slow_client(server, get())
            assert await client.read(1000)
            client.writer.transport.abort()
            await until(lambda: not server.connections)
    assert opened[0].closed and not errors


async def test_a_client_that_does_not_read_a_file_is_dropped(large_file):
    opened = []
    app = make_file_app(large_file, opened)
    app.write_timeout = 0.2
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await slow_client(server, get())
            await until(lambda: opened and opened[0].closed)
            await until(lambda: not server.connections)
            await client.close()
    assert not errors


async def test_a_file_that_shrinks_before_it_is_sent(large_file):
    app = Microdot()

    @app.get('/')
    async def index(request):
        response = send_file(str(large_file))
        os.truncate(large_file, 1_000_000)
        return response

    async with serving(app) as server:
        client = await Client.connect(server, get())
        status, body = await client.read_response()
        assert (status, len(body)) == (200, 1_000_000)
        await client.close()


async def test_a_file_that_shrinks_cuts_the_response_off(large_file):
    with logged_errors() as errors:
        async with serving(make_file_app(large_file, [])) as server:
            client = await slow_client(server, get())
            assert await client.read(1000)
            os.truncate(large_file, 1000)
            assert len(await client.read()) < 5_000_000
            await client.close()
            await until(lambda: not server.connections)
    assert [type(error) for error in errors] == [ValueError]


async def test_a_file_that_was_read_in_part(large_file):
    app = Microdot()

    @app.get('/')
    async def index(request):
        response = send_file(str(large_file))
        response.body.seek(4_000_000)
        response.headers['Content-Length'] = '1000000'
        return response

    async with serving(app) as server:
        client = await Client.connect(server, get())
        assert await client.read_response() == (200, large_file.read_bytes()[4_000_000:])
        await client.close()


async def test_files_over_tls(large_file):
    authority = trustme.CA()
    server_context, client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert('localhost').configure_cert(server_context)
    authority.configure_trust(client_context)
    async with serving(make_file_app(large_file, []), ssl=server_context) as server:
        client = Client()
        client.reader, client.writer = await asyncio.open_connection(
            '127.0.0.1', server.port, ssl=client_context, server_hostname='localhost')
        await client.send(get('/', 'Connection: close\r\n'))
        assert await client.read_response() == (200, large_file.read_bytes())
        assert await client.read() == b''
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# The end
# ---------------------------------------------------------------------------------------------------------------

async def test_handlers_are_cancelled_after_the_time_for_a_graceful_end():
    app = Microdot()
    app.graceful_timeout = 0.2
    log = []

    @app.get('/')
    async def index(request):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append('cancelled')
            raise

    @app.get('/stream')
    async def stream(request):
        async def body():
            try:
                while True:
                    yield 'tick'
                    await asyncio.sleep(0.01)
            finally:
                log.append('ended')
        return body()

    with logged_errors() as errors:
        async with serving(app) as server:
            clients = [await Client.connect(server, get(path)) for path in ('/', '/stream')]
            await until(lambda: all(connection.is_busy for connection in server.connections))
            app.shutdown()
            assert await clients[0].read() == b''
            assert not (await clients[1].read()).endswith(b'0\r\n\r\n')
            for client in clients:
                await client.close()
    assert sorted(log) == ['cancelled', 'ended'] and not errors


async def test_requests_that_have_arrived_before_the_end_are_answered():
    app = Microdot()

    @app.get('/')
    async def index(request):
        return 'ok'

    for _ in range(5):
        server = await start(app)
        task = asyncio.create_task(server.serve_forever())
        kept = [socket.create_connection(('127.0.0.1', server.port), timeout=5) for _ in range(3)]
        while len(server.connections) < 3:
            await asyncio.sleep(0.01)
        queued = [socket.create_connection(('127.0.0.1', server.port), timeout=5) for _ in range(20)]
        for sock in kept + queued:  # now, before the event loop gets to see it
            sock.sendall(get())
        app.shutdown()
        for sock in kept + queued:
            data = b''.join([part async for part in parts_of(sock)])
            assert data.startswith(b'HTTP/1.1 200') and data.endswith(b'\r\n\r\nok'), data
        await asyncio.wait_for(task, 5)


async def parts_of(sock):
    """Yield what comes up to the end of a connection, and close it."""
    with sock:
        while part := await asyncio.to_thread(sock.recv, 4096):
            yield part


@pytest.mark.parametrize('size', [100_000, 3_000_000, 6_000_000])
async def test_a_client_that_pauses_for_longer_than_an_idle_one_may_still_gets_all(size):
    app = Microdot()
    app.keep_alive_timeout = 0
    app.get('/')(lambda request: b'x' * size)
    async with serving(app) as server:
        client = await slow_client(server, get())
        total = len(await client.read(1000))
        for _ in range(2):
            await asyncio.sleep(0.3)  # six sweeps
            total += len(await client.read(1000))
        while data := await client.read(1 << 20):
            total += len(data)
        assert total > size
        await client.close()


async def test_clients_that_do_not_read_cannot_take_more_than_their_number():
    app = Microdot()
    app.max_connections = 5
    app.get('/')(lambda request: b'x' * 50_000)
    async with serving(app) as server:
        clients = []
        for _ in range(30):
            client = await slow_client(server, get() * 2)
            await asyncio.sleep(0.01)
            clients.append(client)
        await until(lambda: len(server.connections) <= 6)
        for client in clients:
            await client.close()


@pytest.mark.parametrize(('family', 'expected'), [(socket.AF_UNIX, 'unix:'), (socket.AF_INET, '')])
async def test_clients_without_an_address(family, expected):
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    server = ProtocolServer(app)
    connection = ProtocolConnection(server)
    transport = MemoryTransport(connection, None)
    transport._extra['socket'] = SimpleNamespace(family=family)
    connection.connection_made(transport)
    assert connection.client_addr == (expected, 0)


async def test_small_writes_do_not_wait_for_each_other():
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    async with serving(app) as server:
        client = await Client.connect(server, get())
        await client.read(10)
        sock = next(iter(server.connections)).get_extra_info('socket')
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await client.close()


async def test_an_idle_connection_ends_without_a_reset():
    app = Microdot()
    app.keep_alive_timeout = 0
    async with serving(app) as server:
        sock = socket.create_connection(('127.0.0.1', server.port))
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.sock_recv(sock, 1), 5) == b''
        await loop.sock_sendall(sock, get())  # too late
        await asyncio.sleep(0.02)
        assert await asyncio.wait_for(loop.sock_recv(sock, 1), 5) == b''
        sock.close()
        await until(lambda: not server.connections)


async def test_unix_sockets(tmp_path):
    app = Microdot()
    app.get('/')(lambda request: f'{request.client_addr[0]} {request.headers["Host"]}')
    path = str(tmp_path / 'socket')
    task = asyncio.create_task(app.start_server(path))
    await until(lambda: os.path.exists(path) and app.servers)
    client = Client()
    client.reader, client.writer = await asyncio.open_unix_connection(path)
    assert await client.get() == (200, b'unix: a')
    await client.close()
    app.shutdown()
    await asyncio.wait_for(task, 5)
    assert not os.path.exists(path)


# ---------------------------------------------------------------------------------------------------------------
# Options and logs
# ---------------------------------------------------------------------------------------------------------------

async def test_the_server_of_cpython_is_the_default():
    app = Microdot()
    server = await app.start_server('127.0.0.1', 0, start_serving=False)
    assert isinstance(server, ProtocolServer)
    server.close()
    await server.wait_closed()


async def test_unknown_options_are_refused():
    with pytest.raises(TypeError):
        await Microdot().start_server('127.0.0.1', 0, acces_log=True)


@pytest.mark.parametrize(('options', 'debug'), [({'access_log': True}, False), ({}, True)])
async def test_the_access_log(options, debug, caplog):
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    app.debug = debug
    async with serving(app, **options) as server:
        with caplog.at_level(logging.INFO, 'microdot'):
            await get_body(server, '/?a=%0Ab')
            client = await Client.connect(server, get('/missing') + b'nonsense\r\n\r\n')
            await client.read()
            await client.close()
    lines = [record.getMessage() for record in caplog.records if record.name == 'microdot.access']
    assert lines == ['127.0.0.1 "GET /?a=%0Ab HTTP/1.1" 200', '127.0.0.1 "GET /missing HTTP/1.1" 404']


async def test_there_is_no_access_log_unless_asked_for(caplog):
    app = Microdot()
    app.get('/')(lambda request: 'ok')
    async with serving(app) as server:
        with caplog.at_level(logging.DEBUG):
            await get_body(server, '/')
    assert not [record for record in caplog.records if record.name.startswith('microdot')]


async def test_errors_are_logged_with_request_and_traceback(caplog):
    app = Microdot()

    @app.get('/<name>')
    async def index(request, name):
        raise ValueError('the reason')

    async with serving(app) as server:
        client = await Client.connect(server)
        assert (await client.get('/%25s?q'))[0] == 500
        await client.close()
    record, = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (record.name, record.levelname, record.getMessage()) == ('microdot', 'ERROR', 'GET /%25s?q')
    assert 'the reason' in caplog.text and 'in index' in caplog.text


async def test_broken_connections_make_no_noise(caplog):
    app = Microdot()
    app.get('/')(lambda request: (b'x' * 100_000 for _ in range(100)))
    async with serving(app) as server:
        with caplog.at_level(logging.INFO):
            post = b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx'
            for data in b'', b'GET', get(), post, b'\x16\x03\x01':
                client = await Client.connect(server, data)
                client.writer.transport.abort()
                client = await Client.connect(server, data)
                await asyncio.sleep(0.01)
                client.writer.transport.abort()
            await until(lambda: not server.connections)
    assert not caplog.records


async def test_trusted_proxies():
    app = Microdot()
    app.get('/')(lambda request: f'{request.client_addr[0]} {request.scheme}')
    headers = 'X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n'
    async with serving(app) as server:
        assert await get_body(server, '/', headers) == '127.0.0.1 http'
    async with serving(app, trusted_proxies=['127.0.0.1']) as server:
        assert await get_body(server, '/', headers) == '203.0.113.7 https'
        client = await Client.connect(server, get('/', 'X-Forwarded-For: nonsense, \r\n'))
        assert (await client.read_response())[0] == 400
        await client.close()


async def test_the_host_of_a_target_is_not_that_of_the_next_request():
    """The header lines are the same, what they mean is not (RFC 9112 section 3.2.2)."""
    app = Microdot()

    @app.get('/')
    async def host(request):
        return request.headers['Host'] + ' ' + request.fields['host']

    async with serving(app) as server:
        client = await Client.connect(server)
        for target, answer in (('/', b'a a'), ('http://h/', b'h h'), ('/', b'a a'), ('http://i/', b'i i')):
            await client.send(b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' % target.encode())
            assert await client.read_response() == (200, answer)
        await client.close()


def test_connections_have_no_room_for_surprises():
    """What a connection overrides is what the core calls."""
    for name in ('_fill', 'awrite', 'aclose', 'end', 'cancel', 'get_extra_info'):
        assert name in vars(ProtocolConnection) and hasattr(ProtocolConnection.__mro__[1], name)


async def test_a_burst_that_arrives_before_the_reader_has_its_turn_is_bounded():
    """uvloop calls data_received() many times in a row."""
    app = Microdot()
    sizes = []

    @app.post('/')
    async def count(request):
        while data := await request.stream.read(65536):
            sizes.append(len(data))
        return 'ok'

    server = ProtocolServer(app)
    server.loop = asyncio.get_running_loop()
    server.starter = Starter(server.loop)
    connection = ProtocolConnection(server)
    transport = MemoryTransport(connection, ('127.0.0.1', 1))
    held = []

    def burst(data):
        connection.data_received(data)
        for _ in range(30):
            if transport.reading.is_set():
                connection.data_received(bytes(65536))
                held.append(len(connection.data))

    with changed(Request, max_content_length=1 << 24):
        await called_back(connection.connection_made, transport)
        await called_back(connection.data_received,
                          b'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n' % (1 << 24))
        await called_back(burst, b'x')
        left = (1 << 24) - 1 - 65536 * len(held)
        assert 0 < max(held) <= 4 * 65536
        while left:
            await transport.reading.wait()
            await called_back(connection.data_received, bytes(min(left, 65536)))
            left -= min(left, 65536)
        await transport.lost.wait()
    server.starter.close()
    assert sum(sizes) == 1 << 24
    assert transport.data.endswith(b'ok')


def reset(client):
    """Break a connection off, as a client does that is killed."""
    sock = client.writer.get_extra_info('socket')
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    client.writer.transport.abort()


@pytest.mark.parametrize('size', [100, 100_000], ids=['loaded', 'streamed'])
async def test_a_client_that_resets_the_connection_within_a_body_is_no_news(size):
    app = Microdot()
    ended = asyncio.Event()

    @app.post('/')
    async def index(request):
        try:
            return await request.stream.read()
        finally:
            ended.set()

    with logged_errors() as errors, changed(Request, max_content_length=1 << 20):
        async with serving(app) as server:
            client = await Client.connect(
                server, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\nhalf' % size)
            await until(lambda: any(connection.is_serving for connection in server.connections))
            reset(client)
            await until(lambda: not server.connections)
    assert ended.is_set() == (size == 100_000)
    assert not errors


async def test_a_client_that_resets_the_connection_before_a_file_is_sent_is_no_news(large_file):
    app = Microdot()

    @app.get('/')
    async def index(request):
        client, sock = clients[0], request.sock[0]
        reset(client)
        await until(lambda: sock.is_lost)
        return send_file(str(large_file))

    clients = []
    with logged_errors() as errors:
        async with serving(app) as server:
            clients.append(await Client.connect(server))
            await clients[0].send(get())
            await until(lambda: not server.connections)
    assert not errors
