"""The servers over real sockets: time limits, caps, refusals, shutdown, and that nothing is left behind."""
import asyncio

from helpers import ON_MICROPYTHON, changed, logged_errors
from live import Client, serving, start, until
from microdot import Microdot, Request, Response
from microdot.microdot import Server


def make_app(**settings):
    app = Microdot()
    for name, value in settings.items():
        setattr(app, name, value)
    app.log = []

    @app.get('/')
    async def index(request):
        return 'hello'

    @app.post('/')
    async def post(request):
        app.log.append(len(request.body))
        return str(len(request.body))

    return app


async def test_a_connection_serves_many_requests():
    app = make_app()
    async with serving(app) as server:
        client = await Client.connect(server)
        for _ in range(20):
            assert await client.get() == (200, b'hello')
        assert len(server.connections) == 1
        await client.close()
        await until(lambda: not server.connections)


async def test_peername_and_socket_reach_the_handler():
    app = make_app()

    @app.get('/raw')
    async def raw(request):
        reader, writer = request.sock
        assert request.client_addr == writer.get_extra_info('peername')
        await writer.awrite(b'raw ' + await reader.readexactly(4))
        return Response.already_handled

    async with serving(app) as server:
        client = await Client.connect(server, b'GET /raw HTTP/1.1\r\nHost: a\r\n\r\nping')
        assert await client.read() == b'raw ping'
        await client.close()


async def test_half_a_header_gets_a_408_after_the_time_limit():
    with logged_errors() as errors:
        async with serving(make_app(header_timeout=0.3)) as server:
            client = await Client.connect(server, b'GET / HTTP/1.1\r\nHo')
            data = await client.read()
            assert data.startswith(b'HTTP/1.1 408 Request Timeout\r\n'), data
            assert b'Connection: close' in data
            await client.close()
    assert not errors


async def test_the_header_limit_counts_from_the_first_byte():
    async with serving(make_app(header_timeout=0.4, linger_timeout=0.2)) as server:
        client = await Client.connect(server, b'GET / HTTP/1.1\r\n')
        for _ in range(30):  # never idle for long, yet never done
            try:
                await client.send(b'A: b\r\n')
            except OSError:
                break
            if not server.connections:
                break
            await asyncio.sleep(0.05)
        await until(lambda: not server.connections)
        await client.close()


async def test_silence_is_ended_in_silence():
    async with serving(make_app(keep_alive_timeout=0.2)) as server:
        fresh = await Client.connect(server)
        kept = await Client.connect(server)
        assert await kept.get() == (200, b'hello')
        assert await fresh.read() == b''
        assert await kept.read() == b''
        await until(lambda: not server.connections)
        await fresh.close()
        await kept.close()


async def test_a_body_that_stops_gets_a_408_and_no_handler():
    app = make_app(body_timeout=0.2)
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
            status, body = await client.read_response()
            assert (status, body) == (408, b'Request timeout')
            await client.close()
    assert not app.log and not errors


async def test_a_streamed_body_that_stops_gets_a_408():
    app = make_app(body_timeout=0.2)

    @app.post('/stream')
    async def stream(request):
        while await request.stream.read(100):
            pass
        return 'never'

    with changed(Request, max_body_length=4), logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(
                server, b'POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
            assert (await client.read_response())[0] == 408
            await client.close()
    assert not errors


async def test_a_client_that_does_not_read_is_dropped():
    app = make_app(write_timeout=0.3)
    ended = []

    @app.get('/big')
    async def big(request):
        def body():
            try:
                while True:
                    yield b'x' * 4096
            finally:
                ended.append(True)
        return body()

    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, b'GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
            await until(lambda: ended)
            await until(lambda: not server.connections)
            other = await Client.connect(server)
            assert await other.get() == (200, b'hello')
            await other.close()
            await client.close()
    assert not errors


async def test_a_client_that_leaves_ends_the_body():
    app = make_app()
    ended = []

    @app.get('/endless')
    async def endless(request):
        def body():
            try:
                while True:
                    yield 'tick'
            finally:
                ended.append(True)
        return body()

    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, b'GET /endless HTTP/1.1\r\nHost: a\r\n\r\n')
            assert await client.read(10)
            await client.close()
            await until(lambda: ended and not server.connections)
    assert not errors


async def test_an_endless_body_does_not_stop_the_others():
    app = make_app()

    @app.get('/endless')
    async def endless(request):
        def body():
            while True:
                yield b'x'
        return body()

    async with serving(app) as server:
        greedy = await Client.connect(server, b'GET /endless HTTP/1.1\r\nHost: a\r\n\r\n')

        async def devour():
            while await greedy.read(4096):
                pass

        task = asyncio.create_task(devour())
        client = await Client.connect(server)
        assert await asyncio.wait_for(client.get(), 5) == (200, b'hello')
        await client.close()
        task.cancel()
        await greedy.close()
        await until(lambda: not server.connections)


async def test_a_body_that_fails_ends_the_connection_without_its_last_chunk():
    app = make_app()

    @app.get('/fails')
    async def fails(request):
        def body():
            yield 'one'
            raise ValueError('half-way')
        return body()

    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, b'GET /fails HTTP/1.1\r\nHost: a\r\n\r\n')
            data = await client.read()
            assert data.endswith(b'\r\n3\r\none\r\n'), data
            await client.close()
            await until(lambda: not server.connections)
    assert [str(error) for error in errors] == ['half-way']


async def test_a_refused_upload_can_read_why():
    async with serving(make_app()) as server:
        client = await Client.connect(server, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n')
        for _ in range(100):  # goes on sending, as most clients do
            await client.send(b'x' * 10000)
        assert await client.read_response() == (413, b'Payload too large')
        await client.close()
        await until(lambda: not server.connections)


async def test_lingering_is_bounded_in_bytes_and_time():
    for settings in ({'linger_timeout': 0.2}, {'linger_bytes': 100000}):
        async with serving(make_app(**settings)) as server:
            client = await Client.connect(server, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n')
            try:
                for _ in range(100 if 'linger_bytes' in settings else 1):
                    await client.send(b'x' * 10000)
            except OSError:
                pass
            await until(lambda: not server.connections)
            await client.close()


async def test_an_idle_connection_makes_room():
    async with serving(make_app(max_connections=2)) as server:
        first = await Client.connect(server)
        assert await first.get() == (200, b'hello')
        second = await Client.connect(server)
        assert await second.get() == (200, b'hello')
        third = await Client.connect(server)
        assert await third.get() == (200, b'hello')
        assert await first.read() == b''  # the oldest idle one had to go
        assert await second.get() == (200, b'hello')
        for client in first, second, third:
            await client.close()


async def test_without_room_a_client_waits_or_gets_a_503():
    app = make_app(max_connections=1)
    gate = asyncio.Event()

    @app.get('/slow')
    async def slow(request):
        await gate.wait()
        return 'done'

    async with serving(app) as server:
        busy = await Client.connect(server, b'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
        await until(lambda: server.connections and list(server.connections)[0].is_busy)
        extra = await Client.connect(server, b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        if type(server) is Server:  # the portable one: it is not accepted before there is room
            await until(lambda: server.is_crowded)
        else:
            assert (await extra.read_response())[0] == 503
        gate.set()
        assert await busy.read_response() == (200, b'done')
        if type(server) is Server:
            assert await busy.read() == b''  # not kept alive, while others wait
            assert await extra.read_response() == (200, b'hello')
        await extra.close()
        await busy.close()


async def test_a_crowd_of_half_headers_does_not_keep_others_out():
    count = 8 if ON_MICROPYTHON else 200
    with changed(Microdot, max_connections=count):
        async with serving(make_app()) as server:
            crowd = []
            for _ in range(count):
                crowd.append(await Client.connect(server, b'GET / HTTP/1.1\r\nHost: '))
            for _ in range(5):
                client = await Client.connect(server)
                assert await asyncio.wait_for(client.get(), 1) == (200, b'hello')
                await client.close()
            for client in crowd:
                await client.close()
            await until(lambda: not server.connections)


async def test_shutdown_completes_requests_and_closes_idle_connections():
    app = make_app()

    @app.get('/stream')
    async def stream(request):
        class Body:
            n = 0

            def __aiter__(self):
                return self

            async def __anext__(self):
                if self.n == 5:
                    raise StopAsyncIteration
                self.n += 1
                await asyncio.sleep(0.05)
                return 'part'
        return Body()

    @app.get('/shutdown')
    async def shutdown(request):
        request.app.shutdown()
        return 'bye'

    server = await start(app)
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    idle = []
    for n in range(4):
        client = await Client.connect(server)
        idle.append(client)
        if n < 2:
            assert await client.get() == (200, b'hello')
    streaming = await Client.connect(server, b'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(lambda: list(server.connections)[-1].is_busy)
    last = await Client.connect(server)
    assert await last.get('/shutdown') == (200, b'bye')
    for client in idle:
        assert await asyncio.wait_for(client.read(), 0.2) == b''  # long before the stream ends
    assert (await streaming.read()).endswith(b'4\r\npart\r\n0\r\n\r\n')
    await asyncio.wait_for(task, 5)
    assert not server.connections and not app.servers
    for client in idle + [streaming, last]:
        await client.close()


async def test_a_server_can_be_started_again_on_the_same_port():
    app = make_app()
    port = None
    for _ in range(2):
        if port is None:
            server = await start(app)
            port = server.port
            task = asyncio.create_task(server.serve_forever())
        else:
            task = asyncio.create_task(app.start_server('127.0.0.1', port))
            await until(lambda: app.servers)
        await asyncio.sleep(0.05)
        client = await Client.connect(server)
        assert await client.get() == (200, b'hello')
        await client.close()
        app.shutdown()
        await asyncio.wait_for(task, 5)


async def test_cancelling_the_server_ends_its_connections():
    app = make_app()

    @app.get('/hang')
    async def hang(request):
        try:
            await asyncio.sleep(60)
        finally:
            app.log.append('ended')

    server = await start(app)
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    client = await Client.connect(server, b'GET /hang HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(lambda: server.connections and list(server.connections)[0].is_busy)
    task.cancel()
    try:
        await task
        raise AssertionError('the cancellation was lost')
    except asyncio.CancelledError:
        pass
    assert await client.read() == b''
    await until(lambda: not server.connections)
    assert app.log == ['ended']
    await client.close()


async def test_100_continue_comes_before_the_body_is_sent():
    app = make_app()
    async with serving(app) as server:
        client = await Client.connect(
            server, b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n')
        assert await client.read(25) == b'HTTP/1.1 100 Continue\r\n\r\n'
        await client.send(b'abc')
        assert await client.read_response() == (200, b'3')
        await client.close()


async def test_a_small_unread_body_is_dropped_and_the_connection_kept():
    app = make_app()

    @app.post('/ignore')
    async def ignore(request):
        return 'ignored'

    with changed(Request, max_body_length=8):
        async with serving(app) as server:
            client = await Client.connect(server)
            # over max_body_length, so it is not loaded, and too large to be read for nothing
            await client.send(b'POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n' + b'x' * 500)
            assert await client.read_response() == (200, b'ignored')
            assert await client.read() == b''
            await client.close()

            @app.post('/part')
            async def part(request):
                return await request.stream.read(15)

            client = await Client.connect(server)
            await client.send(b'POST /part HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n')
            await client.send(b'0123456789')
            status, body = await client.read_response()
            assert status == 200 and b'0123456789'.startswith(body)
            await client.close()


async def test_a_handler_that_gives_up_on_the_body_can_read_on():
    """A cancelled read must not lose its place: the rest of the body is no new request."""
    app = make_app()

    @app.post('/patient')
    async def patient(request):
        try:
            await asyncio.wait_for(request.stream.readexactly(20), 0.1)
        except asyncio.TimeoutError:
            app.log.append('waited')
        return await request.stream.readexactly(20)

    with changed(Request, max_body_length=8):
        async with serving(app) as server:
            client = await Client.connect(
                server, b'POST /patient HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789')
            await until(lambda: app.log)
            await client.send(b'GET / HTTP')
            assert await client.read_response() == (200, b'0123456789GET / HTTP')
            assert await client.get() == (200, b'hello')
            await client.close()


async def test_debug_prints_requests():
    app = make_app()
    async with serving(app) as server:
        app.debug = True
        client = await Client.connect(server)
        assert await client.get() == (200, b'hello')
        await client.close()
