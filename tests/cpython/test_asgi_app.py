"""Other ASGI applications under a prefix of ours: ASGIApp is their host, and has to be a good one."""
import asyncio
import json

import pytest
from checked_asgi import Host, call, http_scope, request, websocket_scope

from helpers import changed, logged_errors
from live import until
from microdot import Microdot as PlainMicrodot
from microdot import Request
from microdot.asgi import ASGIApp, Microdot
from microdot.test_client import TestClient

TEXT = [(b'content-type', b'text/plain')]


def start(status=200, headers=TEXT):
    return {'type': 'http.response.start', 'status': status, 'headers': headers}


def body(data, more_body=False):
    return {'type': 'http.response.body', 'body': data, 'more_body': more_body}


def client_of(asgi_app, prefix='/other', kind=PlainMicrodot):
    """A client of an application of ours that has another one under a prefix."""
    return TestClient(mounted(asgi_app, prefix, kind))


def mounted(asgi_app, prefix='/other', kind=Microdot):
    app = kind()

    @app.get('/')
    async def index(request):
        return 'ours'

    app.mount(ASGIApp(asgi_app), url_prefix=prefix)
    return app


async def describe(scope, receive, send):
    """Answers with its scope."""
    scope = {**scope, 'headers': [[name.decode(), value.decode()] for name, value in scope['headers']]}
    for key in 'raw_path', 'query_string':
        scope[key] = scope[key].decode()
    await send(start())
    await send(body(json.dumps(scope).encode()))


async def described(target, method='GET', **kwargs):
    response = await client_of(describe, **kwargs).request(method, target, {'X-Test': 'a'})
    return json.loads(response.text)


@pytest.mark.parametrize('target, path, query', [
    ('/other', '/other', ''), ('/other/', '/other/', ''), ('/other/a/b', '/other/a/b', ''),
    ('/other/a/', '/other/a/', ''), ('/other//a', '/other//a', ''), ('/other/caf%C3%A9?x=%20', '/other/café', 'x=%20'),
    ('/other/a%2Fb', '/other/a/b', '')])
async def test_scope(target, path, query):
    """Path with, raw path as it came (section "HTTP Connection Scope")."""
    scope = await described(target)
    assert (scope['path'], scope['raw_path'], scope['query_string']) == (path, target.partition('?')[0], query)
    assert (scope['type'], scope['method'], scope['root_path'], scope['scheme']) == ('http', 'GET', '/other', 'http')
    assert scope['http_version'] == '1.1' and scope['asgi']['version'] == '3.0'
    assert scope['client'] == ['127.0.0.1', 1234]
    assert ['x-test', 'a'] in scope['headers']


@pytest.mark.parametrize('method', ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])
async def test_methods(method):
    assert (await described('/other/a', method))['method'] == method


async def test_prefix_of_a_prefix():
    middle = PlainMicrodot()
    middle.mount(ASGIApp(describe), url_prefix='/b')
    app = PlainMicrodot()
    app.mount(middle, url_prefix='/a')
    assert json.loads((await TestClient(app).get('/a/b/c')).text)['root_path'] == '/a/b'
    outer = Microdot()
    outer.mount(app)
    host = await call(outer, http_scope('/x/a/b/c', root_path='/x'))
    scope = json.loads(host.text)
    assert (scope['path'], scope['root_path']) == ('/x/a/b/c', '/x/a/b')


async def test_other_paths_are_ours():
    client = client_of(describe)
    assert (await client.get('/')).text == 'ours'
    assert (await client.get('/otherwise')).status_code == 404


async def test_an_application_at_the_root_gets_what_is_left():
    client = client_of(describe, '')
    assert (await client.get('/')).text == 'ours'
    assert json.loads((await client.get('/a')).text)['root_path'] == ''


async def test_headers_of_the_response():
    async def app(scope, receive, send):
        await send(start(201, [(b'set-cookie', b'a=1'), (b'set-cookie', b'b=2'), (b'x-test', 'é'.encode()),
                               (b'connection', b'keep-alive'), (b'transfer-encoding', b'chunked')]))
        await send(body(b'made'))

    response = await client_of(app).get('/other/')
    assert (response.status_code, response.text) == (201, 'made')
    assert response.headers['Set-Cookie'] == ['a=1', 'b=2']
    assert response.headers['x-test'] == 'é'
    assert response.headers['Content-Length'] == '4'
    assert 'Transfer-Encoding' not in response.headers


@pytest.mark.parametrize('status', [204, 304])
async def test_response_without_a_body(status):
    async def app(scope, receive, send):
        await send(start(status, []))
        await send(body(b''))

    response = await client_of(app).get('/other/')
    assert (response.status_code, response.body) == (status, b'')


async def test_head():
    async def app(scope, receive, send):
        await send(start(200, [(b'content-length', b'5')]))
        await send(body(b'' if scope['method'] == 'HEAD' else b'hello'))

    client = client_of(app, kind=Microdot)
    response = await client.request('HEAD', '/other/')
    assert response.headers['Content-Length'] in ('5', '0') and response.body == b''
    assert (await client.get('/other/')).text == 'hello'


async def read(scope, receive, send):
    """Answers with the sizes of the messages of the body."""
    sizes = []
    message = {'more_body': True}
    while message['more_body']:
        message = await receive()
        assert message['type'] == 'http.request'
        sizes.append(len(message['body']))
    await send(start())
    await send(body(json.dumps(sizes).encode()))


@pytest.mark.parametrize('size', [0, 1, 5000, 300000])
async def test_body_of_the_request(size):
    with changed(Request, max_content_length=10 ** 6):
        sizes = json.loads((await client_of(read).post('/other/', body=b'x' * size)).text)
    assert sum(sizes) == size and max(sizes) <= 65536


async def test_body_over_the_limit():
    assert (await client_of(read).post('/other/', body=b'x' * 20000)).status_code == 413


async def test_receive_after_the_body_waits_for_the_end():
    ended = []

    async def app(scope, receive, send):
        assert await receive() == {'type': 'http.request', 'body': b'abc', 'more_body': True}
        assert await receive() == {'type': 'http.request', 'body': b'', 'more_body': False}
        waiting = asyncio.create_task(receive())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await send(start())
        await send(body(b'a', True))
        await send(body(b'b'))
        ended.append(await waiting)

    response = await client_of(app).post('/other/', body=b'abc')
    assert response.text == 'ab'
    await until(lambda: ended == [{'type': 'http.disconnect'}])


async def test_stream_is_sent_piece_by_piece():
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await send(start())
        await send(body(b'first', True))
        await gate.wait()
        await send(body(b'', True))
        await send(body(b'second'))

    host = Host(mounted(app), http_scope('/other/'), [request()])
    host.start()
    await until(lambda: host.body == b'first')
    gate.set()
    await host.end()
    assert host.body == b'firstsecond'


async def test_reader_that_is_slow_slows_the_application():
    sent = []

    async def app(scope, receive, send):
        await send(start())
        while True:
            await send(body(b'x', True))
            sent.append(True)

    host = Host(mounted(app), http_scope('/other/'), [request()])
    host.start()
    await until(lambda: host.body)
    host.gate.clear()
    await until(lambda: host.blocked)
    had = len(sent)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(sent) <= had + 2
    host.gate.set()
    await until(lambda: len(sent) > had + 2)
    host.leave()
    await host.end()


async def test_client_that_leaves_a_stream():
    """The application is told, and ended."""
    ends = []

    async def app(scope, receive, send):
        try:
            await send(start())
            while True:
                await send(body(b'x', True))
                await asyncio.sleep(0.001)
        finally:
            ends.append(True)

    host = Host(mounted(app), http_scope('/other/'), [request()])
    host.start()
    await until(lambda: host.body)
    host.leave()
    await host.end()
    assert ends == [True]


@pytest.mark.parametrize('is_begun', [False, True])
async def test_application_that_fails(is_begun):
    async def app(scope, receive, send):
        if is_begun:
            await send(start())
        raise ZeroDivisionError

    app = mounted(app)

    @app.errorhandler(ZeroDivisionError)
    async def explain(request, exc):
        return 'explained', 500

    response = await TestClient(app).get('/other/')
    assert (response.status_code, response.text) == (500, 'explained')


async def test_application_that_fails_in_its_stream():
    async def app(scope, receive, send):
        await send(start())
        await send(body(b'x', True))
        raise ZeroDivisionError

    with logged_errors() as errors, pytest.raises(EOFError):
        await client_of(app).get('/other/')
    assert errors


@pytest.mark.parametrize('messages', [[], [start()], [start(), body(b'x', True)]])
async def test_application_that_does_not_complete_its_response(messages):
    async def app(scope, receive, send):
        for message in messages:
            await send(message)

    with logged_errors() as errors:
        if len(messages) == 2:
            with pytest.raises(EOFError):
                await client_of(app).get('/other/')
        else:
            assert (await client_of(app).get('/other/')).status_code == 500
    assert 'has not completed its response' in str(errors)


async def test_background_work_of_the_application():
    """It goes on behind the response; what goes wrong there is in the log."""
    gate = asyncio.Event()
    ends = []

    async def app(scope, receive, send):
        await send(start())
        await send(body(b'done'))
        await gate.wait()
        ends.append(True)
        raise ZeroDivisionError

    with logged_errors() as errors:
        assert (await client_of(app).get('/other/')).text == 'done'
        gate.set()
        await until(lambda: errors)
    assert ends


async def test_websocket():
    """Under an ASGI host the other application has the conversation."""
    async def app(scope, receive, send):
        assert (scope['type'], scope['root_path'], scope['path']) == ('websocket', '/other', '/other/ws')
        assert await receive() == {'type': 'websocket.connect'}
        await send({'type': 'websocket.accept'})
        message = await receive()
        await send({'type': 'websocket.send', 'text': message['text'].upper()})
        await send({'type': 'websocket.close', 'code': 1000})

    host = Host(mounted(app), websocket_scope('/other/ws'), [
        {'type': 'websocket.connect'}, {'type': 'websocket.receive', 'text': 'a'}])
    await host.run()
    assert [message['type'].partition('.')[2] for message in host.sent] == ['accept', 'send', 'close']
    assert host.sent[1]['text'] == 'A'
