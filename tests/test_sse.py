"""Server-Sent Events: how they are written, and what happens when a client is slow or gone."""
import asyncio

from helpers import ON_MICROPYTHON, logged_errors, raises
from live import Client, serving, until
from microdot import Microdot, abort
from microdot.sse import render_event, sse_response, with_sse
from microdot.test_client import TestClient, TestResponse, parse_events

GET = b'GET /events HTTP/1.1\r\nHost: a\r\n\r\n'


def make_app(f, **options):
    app = Microdot()
    app.seen = []

    @app.route('/events')
    @with_sse(**options)
    async def events(request, sse):
        app.sse = sse
        app.seen.append('begin')
        try:
            await f(sse)
        except asyncio.CancelledError:
            app.seen.append('cancelled')
            raise
        finally:
            app.seen.append('end')

    return app


async def sleep(sse):
    await asyncio.sleep(30)


# ---------------------------------------------------------------------------------------------------------------
# Events
# ---------------------------------------------------------------------------------------------------------------

def test_events():
    # WHATWG HTML section 9.2.6
    for args, expected in (
            ({'data': 'a'}, b'data: a\n\n'),
            ({'data': b'\xc3\xbc'}, b'data: \xc3\xbc\n\n'),
            ({'data': '\xfc'}, b'data: \xc3\xbc\n\n'),
            ({'data': {'a': 1}}, b'data: {"a": 1}\n\n'),
            ({'data': [1, 'x\ny']}, b'data: [1, "x\\ny"]\n\n'),
            ({'data': 7}, b'data: 7\n\n'),
            ({'data': None}, b'data: None\n\n'),
            ({'data': ''}, b'data: \n\n'),
            ({'data': ' a'}, b'data:  a\n\n'),
            ({'data': 'a\nb\r\nc\rd\n'}, b'data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n'),
            ({'data': 'a', 'event': 'tick'}, b'event: tick\ndata: a\n\n'),
            ({'data': 'a', 'event_id': '7'}, b'id: 7\ndata: a\n\n'),
            ({'data': 'a', 'event_id': 7}, b'id: 7\ndata: a\n\n'),
            ({'data': 'a', 'event_id': ''}, b'id: \ndata: a\n\n'),
            ({'data': 'a', 'retry': 2.5}, b'retry: 2500\ndata: a\n\n'),
            ({'data': 'a', 'event': 'e', 'event_id': 'i', 'retry': 1}, b'event: e\nid: i\nretry: 1000\ndata: a\n\n'),
            ({'data': 'a\nb', 'comment': True}, b': a\n: b\n\n')):
        assert render_event(**args) == expected, args


def test_fields_with_line_breaks_are_refused():
    for args in {'event': 'a\nb'}, {'event': 'a\r'}, {'event_id': '1\n2'}, {'event_id': 'a\0b'}:
        with raises(ValueError):
            render_event('data', **args)


def test_the_client_reads_what_the_server_writes():
    events = parse_events(render_event('a\r\n\r\nb\r') + render_event('c', comment=True)
                          + render_event({'x': 1}, 'e', '1', 2) + b'data:no space\r\rdata: last\n')
    assert events == [
        {'data': b'a\n\nb\n', 'data_json': None, 'event': None, 'event_id': None, 'retry': None},
        {'data': b'{"x": 1}', 'data_json': {'x': 1}, 'event': 'e', 'event_id': '1', 'retry': 2.0},
        {'data': b'no space', 'data_json': None, 'event': None, 'event_id': None, 'retry': None}]


# ---------------------------------------------------------------------------------------------------------------
# The response
# ---------------------------------------------------------------------------------------------------------------

async def test_response():
    async def send(sse):
        for i in range(3):
            await sse.send({'n': i}, event='tick', event_id=str(i))
            await asyncio.sleep(0.01)

    app = make_app(send)
    response = await TestClient(app).get('/events')
    assert response.status_code == 200
    assert response.headers['Content-Type'] == 'text/event-stream'
    assert response.headers['Cache-Control'] == 'no-cache'
    assert response.headers['X-Accel-Buffering'] == 'no'
    assert [event['data_json'] for event in response.events] == [{'n': 0}, {'n': 1}, {'n': 2}]
    assert response.events[2]['event'] == 'tick'
    assert response.events[2]['event_id'] == '2'
    assert app.seen == ['begin', 'end']


async def test_the_function_form():
    app = Microdot()

    async def events(request, sse, *args, last):
        for arg in args + (last,):
            await sse.send(request.path + arg)

    @app.get('/f')
    async def handler(request):
        return sse_response(request, events, '1', '2', last='3')

    response = await TestClient(app).get('/f')
    assert [event['data'] for event in response.events] == [b'/f1', b'/f2', b'/f3']


async def test_arguments_and_last_event_id():
    app = Microdot()

    @app.get('/<int:a>')
    @with_sse
    async def handler(request, sse, a):
        await sse.send([a, sse.last_event_id])

    assert (await TestClient(app).get('/1')).events[0]['data_json'] == [1, None]
    assert (await TestClient(app).get('/2', {'Last-Event-ID': '41'})).events[0]['data_json'] == [2, '41']


async def test_no_events():
    async def nothing(sse):
        pass

    response = await TestClient(make_app(nothing)).get('/events')
    assert (response.status_code, response.events) == (200, [])


async def test_head_leaves_nothing_behind():
    app = make_app(sleep)
    async with serving(app) as server:
        client = await Client.connect(server, GET.replace(b'GET', b'HEAD'))
        assert (await client.read(4096)).startswith(b'HTTP/1.1 200 OK')
        await until(lambda: app.seen == ['begin', 'cancelled', 'end'])
        await client.close()


async def test_a_hook_that_fails_leaves_nothing_behind():
    app = make_app(sleep)

    @app.after_request
    async def fail(request, response):
        raise ValueError('of the hook')

    with logged_errors():
        response = await TestClient(app).get('/events')
    assert response.status_code == 500
    await until(lambda: app.seen == ['begin', 'cancelled', 'end'])


async def test_the_head_comes_before_the_first_event():
    app = make_app(sleep)
    async with serving(app) as server:
        client = await Client.connect(server, GET)
        assert (await client.read(4096)).startswith(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream')
        await client.close()


async def test_requests_behind_a_stream():
    async def send(sse):
        await asyncio.sleep(0.05)
        await sse.send('a')

    app = make_app(send)
    app.get('/next')(lambda request: 'next')
    async with serving(app) as server:
        client = await Client.connect(server, GET + GET.replace(b'events', b'next'))
        data = b''
        while not data.endswith(b'\r\n\r\nnext'):
            part = await client.read(4096)
            assert part, data
            data += part
        assert b'9\r\ndata: a\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK' in data
        await client.send(GET)
        assert (await client.read(100)).startswith(b'HTTP/1.1 200 OK')
        await client.close()


async def test_keep_alive_comments():
    async with serving(make_app(sleep, keep_alive=0.05)) as server:
        client = await Client.connect(server, GET)
        data = b''
        while data.count(b'3\r\n:\n\n\r\n') < 3:
            part = await client.read(4096)
            assert part, data
            data += part
        await client.close()


# ---------------------------------------------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------------------------------------------

async def test_an_error_before_the_first_wait_is_a_response():
    async def refuse(sse):
        abort(403, 'not for you')

    response = await TestClient(make_app(refuse)).get('/events')
    assert (response.status_code, response.text) == (403, 'not for you')


async def test_an_error_in_the_stream():
    async def fail(sse):
        await sse.send('a')
        await asyncio.sleep(0.01)
        await sse.send('b')
        raise ValueError('of the handler')

    handled = []

    async def handle(request, exc):
        handled.append((request.path, str(exc)))
        return 'not for the client', 500

    for is_handled in False, True:
        app = make_app(fail)
        if is_handled:
            app.errorhandler(ValueError)(handle)

        with logged_errors() as errors:
            async with serving(app) as server:
                client = await Client.connect(server, GET)
                data = b''
                part = b'-'
                while part:
                    part = await client.read(4096)
                    data += part
                await client.close()
            assert len(errors) == (not is_handled)
        assert not data.endswith(b'0\r\n\r\n')
        assert b'data: a\n\n' in data
        assert b'not for the client' not in data
        assert handled == ([('/events', 'of the handler')] if is_handled else [])


async def test_a_wrong_field_is_an_error_of_the_handler():
    async def fail(sse):
        await sse.send('a', event='two\nlines')

    with logged_errors() as errors:
        assert (await TestClient(make_app(fail)).get('/events')).status_code == 500
        assert len(errors) == 1


# ---------------------------------------------------------------------------------------------------------------
# Clients that leave, or do not read
# ---------------------------------------------------------------------------------------------------------------

async def test_an_idle_handler_is_cancelled_when_the_client_is_gone():
    app = make_app(sleep)
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, GET)
            await client.read(4096)
            await client.close()
            await until(lambda: not server.connections)
        assert not errors
    assert app.seen == ['begin', 'cancelled', 'end']
    with raises(OSError):
        await app.sse.send('too late')


async def test_a_busy_handler_is_cancelled_when_the_client_is_gone():
    async def send(sse):
        while True:
            await sse.send('x' * 100)
            await asyncio.sleep(0.001)

    app = make_app(send)
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, GET)
            await client.read(4096)
            await client.close()
            await until(lambda: not server.connections)
        assert not errors
    assert app.seen == ['begin', 'cancelled', 'end']


async def test_a_client_that_does_not_read_is_freed():
    async def send(sse):
        while True:
            await sse.send('x' * 1000)

    app = make_app(send)
    app.write_timeout = 0.2
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, GET)
            await until(lambda: server.connections)
            await until(lambda: not server.connections)
            await client.close()
        assert not errors
    assert app.seen == ['begin', 'cancelled', 'end']


async def test_events_that_are_sent_in_one_go():
    count = 100 if ON_MICROPYTHON else 300

    async def send(sse):
        for i in range(count):
            await sse.send('x' * i)

    response = await TestClient(make_app(send)).get('/events')
    assert [len(event['data']) for event in response.events] == list(range(count))


async def test_a_handler_that_only_sends_does_not_stop_others():
    async def send(sse):
        while True:
            await sse.send('x' * 1000)

    app = make_app(send)

    @app.get('/other')
    async def other(request):
        return 'other'

    async def read_all(client):
        while await client.read(4096):
            pass

    async with serving(app) as server:
        client = await Client.connect(server, GET)
        task = asyncio.create_task(read_all(client))
        for _ in range(3):
            other_client = await Client.connect(server)
            assert await other_client.get('/other') == (200, b'other')
            await other_client.close()
        task.cancel()
        await client.close()


async def test_two_who_send_do_not_mix_events():
    size = 5000 if ON_MICROPYTHON else 70000  # more than one write, but for a small heap

    async def send(sse):
        async def send_some(text):
            for _ in range(2):
                await sse.send(text)

        await asyncio.gather(send_some('a' * size), send_some('b' * size))

    response = await TestClient(make_app(send)).get('/events')
    assert sorted([event['data'] for event in response.events]) == [b'a' * size] * 2 + [b'b' * size] * 2


async def test_a_handler_that_ends_at_once_does_not_wait_for_the_keep_alive():
    async def send(sse):
        await sse.send('text')

    response = await asyncio.wait_for(TestClient(make_app(send, keep_alive=60)).get('/events'), 10)
    assert [event['data'] for event in response.events] == [b'text']


async def test_the_server_stops():
    app = make_app(sleep)
    async with serving(app) as server:
        client = await Client.connect(server, GET)
        await client.read(4096)
        app.shutdown()
        assert await client.read() == b'0\r\n\r\n'
        await client.close()
    assert app.seen == ['begin', 'cancelled', 'end']


async def test_clean_up_may_take_time():
    async def send(sse):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            app.seen.append('cleaned')
            raise

    app = make_app(send)
    async with serving(app) as server:
        client = await Client.connect(server, GET)
        await client.read(4096)
        await client.close()
        await until(lambda: app.seen == ['begin', 'cleaned', 'cancelled', 'end'])


async def test_an_error_while_cleaning_up_is_not_lost():
    async def send(sse):
        try:
            await asyncio.sleep(30)
        finally:
            raise ValueError('while cleaning up')

    app = make_app(send)
    with logged_errors() as errors:
        async with serving(app) as server:
            client = await Client.connect(server, GET)
            await client.read(4096)
            await client.close()
            await until(lambda: errors)
        assert isinstance(errors[0], ValueError)


async def test_one_source_for_many_clients():
    app = Microdot()
    streams = []

    @app.get('/events')
    @with_sse
    async def events(request, sse):
        streams.append(sse)
        try:
            await asyncio.sleep(30)
        finally:
            streams.remove(sse)

    async with serving(app) as server:
        clients = []
        for _ in range(5):
            clients.append(await Client.connect(server, GET))
        await until(lambda: len(streams) == 5)
        for i in range(3):
            for sse in streams:
                await sse.send(i)
        for client in clients:
            data = b''
            while b'data: 2\n\n' not in data:
                part = await client.read(4096)
                assert part, data
                data += part
            assert b'data: 0\n\n' in data
            await client.close()
        await until(lambda: not streams)


def test_other_responses_have_no_events():
    assert TestResponse.parse(b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx').events is None
