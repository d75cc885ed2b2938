"""The adapter to ASGI, message by message: what it makes of a scope, and what it sends.

Sections are those of the ASGI specification (HTTP & WebSocket 2.5, Lifespan 2.0) where nothing else is said.
checked_asgi.py watches over every message of every test. test_hosts.py runs the adapter under real hosts.

"""
import asyncio
import contextvars
import gc
import json
import sys
import threading
import tracemalloc
from contextlib import suppress

import pytest
from asgiref.compatibility import guarantee_single_callable, is_double_callable
from asgiref.testing import ApplicationCommunicator
from checked_asgi import DISCONNECT, HOST, Host, call, converse, http_scope, pieces, request, websocket_scope

from helpers import changed, logged_errors
from live import until
from microdot import Request, Response, abort, send_file
from microdot.asgi import Microdot, with_websocket
from microdot.asgi import Request as ASGIRequest
from microdot.auth import BasicAuth
from microdot.sse import with_sse
from microdot.test_client import TestClient
from microdot.websocket import WebSocket, WebSocketError

TEXT = ('content-type', 'text/plain; charset=UTF-8')
JSON = ('content-type', 'application/json; charset=UTF-8')


def app_of(f, *patterns, methods=('GET', 'POST')):
    """Return an application whose only handler is this."""
    app = Microdot()
    for pattern in patterns or ['/']:
        app.route(pattern, methods=list(methods))(f)
    return app


def describe(request, **args):
    return {'path': request.path, 'url': request.url, 'root_path': request.root_path, 'args': args,
            'query': request.query_string, 'client': request.client_addr, 'scheme': request.scheme,
            'version': request.http_version, 'method': request.method, 'headers': request.headers,
            'cookies': request.cookies}


describing = app_of(describe, '/', '/<path:rest>')


async def described(**scope):
    return json.loads((await call(describing, http_scope(**scope))).body)


class Watched:
    """An async generator of pieces that tells how far it got and whether it was closed."""

    def __init__(self, *items, waits=False):
        self.items = items
        self.waits = waits  # for ever, after the last one
        self.given = 0
        self.has_begun = self.is_closed = False

    async def __call__(self):
        self.has_begun = True
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                self.given += 1
                yield item
            while self.waits:
                await asyncio.sleep(60)
        finally:
            self.is_closed = True


class Closable:
    """An iterator with ``close()``, which has to be called also where nothing was read."""

    def __init__(self, items=('a',)):
        self.items = iter(items)
        self.has_begun = self.is_closed = False

    def __iter__(self):
        return self

    def __next__(self):
        self.has_begun = True
        return next(self.items)

    def close(self):
        self.is_closed = True


async def spin(times=50):
    """Give all other tasks their turn."""
    for _ in range(times):
        await asyncio.sleep(0)


# ---------------------------------------------------------------------------------------------------------------
# The tools of asgiref
# ---------------------------------------------------------------------------------------------------------------

def test_is_an_application_of_one_callable():
    app = Microdot()
    assert not is_double_callable(app)
    assert guarantee_single_callable(app) is app


async def test_request_of_the_communicator():
    app = app_of(lambda request: request.body.decode().upper())
    communicator = ApplicationCommunicator(app, http_scope(method='POST', headers=[(b'content-length', b'4')]))
    await communicator.send_input(request(b'te', True))
    assert await communicator.receive_nothing()
    await communicator.send_input(request(b'xt'))
    start = await communicator.receive_output()
    assert start['type'] == 'http.response.start' and start['status'] == 200
    assert (await communicator.receive_output())['body'] == b'TEXT'
    await communicator.wait()
    assert await communicator.receive_nothing()


async def test_websocket_of_the_communicator():
    @with_websocket
    async def echo(request, ws):
        while True:
            await ws.send(await ws.receive())

    communicator = ApplicationCommunicator(app_of(echo), websocket_scope())
    await communicator.send_input({'type': 'websocket.connect'})
    assert (await communicator.receive_output())['type'] == 'websocket.accept'
    for content in {'text': 'ä'}, {'bytes': b'\xff'}:
        await communicator.send_input({'type': 'websocket.receive', **content})
        assert await communicator.receive_output() == {'type': 'websocket.send', **content}
    await communicator.send_input({'type': 'websocket.disconnect', 'code': 1000})
    await communicator.wait()
    assert await communicator.receive_nothing()


async def test_lifespan_of_the_communicator():
    communicator = ApplicationCommunicator(Microdot(), {'type': 'lifespan', 'asgi': {'version': '3.0'}})
    for kind in 'lifespan.startup', 'lifespan.shutdown':
        await communicator.send_input({'type': kind})
        assert await communicator.receive_output() == {'type': kind + '.complete'}
    await communicator.wait()
    assert await communicator.receive_nothing()


@pytest.mark.parametrize('kind', ['http2', 'lifespam', '', 'HTTP'])
async def test_unknown_scope_is_refused(kind):
    """Section "Connection Scope" of the core specification: an application must raise for a type it does not know."""
    host = Host(Microdot(), {'type': kind, 'asgi': {'version': '3.0'}})
    host.start()
    with pytest.raises(ValueError):
        await host.end()
    assert not host.sent and not host.receives


# ---------------------------------------------------------------------------------------------------------------
# Connection scope: what a request is
# ---------------------------------------------------------------------------------------------------------------

async def test_everything_of_a_scope():
    assert await described(target='/a%20b?c=d', headers=[(b'x-y', b'z'), (b'cookie', b'e=f')]) == {
        'path': '/a b', 'url': '/a%20b?c=d', 'root_path': '', 'args': {'rest': 'a b'}, 'query': 'c=d',
        'client': ['192.0.2.1', 50000], 'scheme': 'http', 'version': '1.1', 'method': 'GET',
        'headers': {'host': 'example.com', 'x-y': 'z', 'cookie': 'e=f'}, 'cookies': {'e': 'f'}}


OPTIONAL = {  # key: what its absence means
    'scheme': ('scheme', 'http'),
    'raw_path': ('url', '/a%20b?q=1'),
    'root_path': ('root_path', ''),
    'client': ('client', ['', 0]),
    'server': ('path', '/a b'),
    'extensions': ('path', '/a b'),
    'state': ('path', '/a b'),
    'query_string': ('query', None),
}


@pytest.mark.parametrize('key', OPTIONAL)
async def test_optional_keys_of_the_scope(key):
    name, value = OPTIONAL[key]
    assert (await described(target='/a%20b?q=1', **{key: None}))[name] == value


async def test_scope_with_what_is_mandatory_only():
    scope = {'type': 'http', 'asgi': {'version': '3.0'}, 'http_version': '1.1', 'method': 'GET', 'path': '/ä',
             'query_string': b'', 'headers': []}
    found = json.loads((await call(describing, scope)).body)
    assert found['url'] == '/%C3%A4' and found['path'] == '/ä' and found['query'] is None and not found['headers']


async def test_keys_that_may_be_none():
    host = await call(describing, {**http_scope(), 'client': None, 'extensions': None, 'server': None})
    assert host.status == 200 and json.loads(host.body)['client'] == ['', 0]


@pytest.mark.parametrize('make', [list, tuple, iter])
@pytest.mark.parametrize('pair', [list, tuple])
async def test_headers_are_any_iterable(make, pair):
    headers = make([pair(field) for field in (HOST, (b'content-length', b'3'), (b'x-y', b'z'))])
    app = app_of(lambda request: request.headers['X-Y'] + request.body.decode())
    assert (await call(app, {**http_scope(method='POST'), 'headers': headers}, request(b'abc'))).text == 'zabc'


@pytest.mark.parametrize('version', ['1.0', '1.1', '2', '3', '2.0', '4', ''])
async def test_versions_are_given_as_they_are(version):
    assert (await described(http_version=version))['version'] == version


@pytest.mark.parametrize('scheme, expected', [('http', 'http'), ('https', 'https'), ('ws', 'http'), ('wss', 'https')])
async def test_schemes(scheme, expected):
    assert (await described(scheme=scheme))['scheme'] == expected


async def test_the_scope_itself():
    """ "state" of the lifespan is in the scopes of requests; what an application puts there stays there."""
    scope = http_scope(state={'database': 'db'})

    def handler(request):
        assert request.asgi_scope is scope
        return request.asgi_scope['state']['database']

    assert (await call(app_of(handler), scope)).body == b'db'


QUERIES = [  # query_string, request.query_string, request.args
    (b'', None, {}),
    (b'a', 'a', {'a': ''}),
    (b'a=%C3%A4&b=+', 'a=%C3%A4&b=+', {'a': 'ä', 'b': ' '}),
    (b'a=1?2', 'a=1?2', {'a': '1?2'}),
    ('a=ä'.encode(), 'a=ä', {'a': 'ä'}),  # not valid in a target (RFC 3986 section 3.4), but hosts pass it
    (b'a=\xff', 'a=\xff', {'a': '\xff'}),
]


@pytest.mark.parametrize('data, text, args', QUERIES)
async def test_query_strings(data, text, args):
    app = app_of(lambda request: [request.query_string, {key: request.args[key] for key in request.args}])
    assert json.loads((await call(app, {**http_scope(), 'query_string': data})).body) == [text, args]


PATHS = [  # path, raw_path, request.path, request.url, the argument of "/<path:rest>", why
    ('/a', b'/a', '/a', '/a', 'a', 'they agree'),
    ('/a', None, '/a', '/a', 'a', 'raw_path is optional'),
    ('/a b', None, '/a b', '/a%20b', 'a b', 'encoded again (RFC 3986 section 2.1)'),
    ('/ä', None, '/ä', '/%C3%A4', 'ä', 'as UTF-8'),
    ('/a?b', None, '/a?b', '/a%3Fb', 'a?b', 'a question mark that was encoded does not begin the query'),
    ('/a%20', None, '/a%20', '/a%2520', 'a%20', 'not decoded twice'),
    ('/a#b', None, '/a#b', '/a%23b', 'a#b', 'nor is it a fragment'),
    ('/a/b', b'/a%2Fb', '/a/b', '/a%2Fb', 'a/b', 'an encoded slash (RFC 3986 section 2.2)'),
    ('/a~b', b'/%61%7Eb', '/a~b', '/%61%7Eb', 'a~b', 'encoded without need'),
    ('/a%20', b'/a%2520', '/a%20', '/a%2520', 'a%20', 'encoded twice'),
    ('/ä', '/ä'.encode(), '/ä', None, 'ä', 'not encoded at all'),
    ('/a\ufffd', b'/a%FF', None, None, None, 'not UTF-8: hosts differ in what they make of it'),
    ('/a', b'/a?b=c', '/a', '/a', 'a', 'some hosts take the query into raw_path'),
    ('/a', b'http://example.com/a', '/a', '/a', 'a', 'absolute form (RFC 9112 section 3.2.2)'),
    ('/a', b'/b', '/a', '/a', 'a', 'path decides'),
    ('/a', b'', '/a', '/a', 'a', 'empty'),
    ('/a', b'/a/', '/a', '/a', 'a', 'another path'),
    ('/a', b'/A', '/a', '/a', 'a', 'another path'),
    ('/b', b'/a/../b', '/b', '/b', 'b', 'made normal by a host'),
    ('//a', b'//a', '//a', '//a', '/a', 'not an authority'),
]


@pytest.mark.parametrize('path, raw_path, expected, url, rest, why', PATHS)
async def test_paths(path, raw_path, expected, url, rest, why):
    found = await described(path=path, raw_path=raw_path)
    assert expected is None or found['path'] == expected, why
    assert url is None or found['url'] == url, why
    assert rest is None or found['args'] == {'rest': rest}, why


@pytest.mark.parametrize('raw_path, expected', [(b'/a%2Fb', 'one: a/b'), (b'/a/b', 'two: a, b'), (None, 'two: a, b'),
                                               (b'/c/d', 'two: a, b'), (b'/a%2fb', 'one: a/b')])
async def test_encoded_slash_does_not_split_a_segment(raw_path, expected):
    app = Microdot()
    app.get('/<x>')(lambda request, x: 'one: ' + x)
    app.get('/<x>/<y>')(lambda request, x, y: f'two: {x}, {y}')
    assert (await call(app, http_scope(path='/a/b', raw_path=raw_path))).text == expected


MOUNTS = [  # root_path, path, raw_path, request.root_path, request.path, request.url
    ('', '/x', b'/x', '', '/x', '/x'),
    ('/api', '/api/x', b'/api/x', '/api', '/x', '/api/x'),
    ('/api', '/api/x', None, '/api', '/x', '/api/x'),
    ('/api', '/api/', b'/api/', '/api', '/', '/api/'),
    ('/api', '/x', b'/x', '/api', '/x', None),  # a host that does not put it before the path
    ('/api', '/apiary', b'/apiary', '/api', '/apiary', None),  # not at a slash
    ('/api', '/api/api/x', b'/api/api/x', '/api', '/api/x', '/api/api/x'),  # once
    ('/api/', '/api/x', b'/api/x', '/api', '/x', '/api/x'),
    ('/a/b', '/a/b/x', b'/a/b/x', '/a/b', '/x', '/a/b/x'),
    ('/a b', '/a b/x', b'/a%20b/x', '/a b', '/x', '/a%20b/x'),
    ('/ä', '/ä/x', b'/%C3%A4/x', '/ä', '/x', '/%C3%A4/x'),
    ('/api', '/api/y/x', b'/api/y%2Fx', '/api', '/y/x', '/api/y%2Fx'),
    ('/api', '/api/x', b'/other/x', '/api', '/x', '/api/x'),  # path decides
]


@pytest.mark.parametrize('root_path, path, raw_path, root, expected, url', MOUNTS)
async def test_root_paths(root_path, path, raw_path, root, expected, url):
    found = await described(root_path=root_path, path=path, raw_path=raw_path)
    assert (found['root_path'], found['path']) == (root, expected)
    assert url is None or found['url'] == url
    assert found['args'] == ({'rest': expected[1:]} if expected != '/' else {})


async def test_root_path_itself():
    """The prefix without a slash behind it is the application's root, as PATH_INFO that is empty (PEP 3333)."""
    host = await call(describing, http_scope('/api', root_path='/api'))
    assert host.status == 200 and json.loads(host.body)['args'] == {}


# ---------------------------------------------------------------------------------------------------------------
# Headers
# ---------------------------------------------------------------------------------------------------------------

HEADERS = [  # the request's, name, request.headers[name], why
    ([(b'x', b'a')], 'X', 'a', 'names compare without case (RFC 9110 section 5.1)'),
    ([(b'x', b'a'), (b'x', b'b')], 'x', 'a, b', 'RFC 9110 section 5.3'),
    ([(b'x', b'a'), (b'y', b''), (b'x', b'b')], 'x', 'a, b', 'not in a row'),
    ([(b'cookie', b'a=1'), (b'cookie', b'b=2')], 'Cookie', 'a=1; b=2', 'RFC 9113 section 8.2.3'),
    ([(b'x', 'ä€'.encode())], 'x', 'ä€', 'UTF-8'),
    ([(b'x', b'\xe4')], 'x', 'ä', 'Latin-1'),
    ([(b'x', b'\xc3\xa4\xff')], 'x', '\xc3\xa4\xff', 'not UTF-8 as a whole'),
    ([(b'x', b'')], 'x', '', 'empty'),
]


@pytest.mark.parametrize('headers, name, value, why', HEADERS)
async def test_request_headers(headers, name, value, why):
    app = app_of(lambda request: [request.headers[name], len(request.headers), request.headers.get('nothing')])
    count = len({key for key, _ in headers}) + 1
    assert json.loads((await call(app, http_scope(headers=headers))).body) == [value, count, None], why


async def test_split_cookies():
    found = await described(http_version='2', headers=[(b'cookie', b'a=1'), (b'cookie', b'b=2; c=3')])
    assert found['cookies'] == {'a': '1', 'b': '2', 'c': '3'}


@pytest.mark.parametrize('pair', [list, tuple])
async def test_headers_of_a_request_are_its_own(pair):
    """What a handler changes is neither in the host's scope nor in the next request."""
    def handler(request):
        request.headers['X-User'] = 'admin' if 'X-User' not in request.headers else 'again'
        return request.headers['X-User']

    app = app_of(handler)
    scope = {**http_scope(), 'headers': [pair(HOST)]}
    for _ in range(3):
        assert (await call(app, scope)).text == 'admin'
    assert scope['headers'] == [pair(HOST)]


def respond(value):
    return app_of(lambda request: value, methods=('GET', 'POST', 'HEAD'))


RESPONSES = [  # what a handler returns, status, headers, body
    ('ä', 200, [TEXT, ('content-length', '2')], 'ä'.encode()),
    (b'\xff', 200, [TEXT, ('content-length', '1')], b'\xff'),
    (b'', 200, [TEXT, ('content-length', '0')], b''),
    ({'a': [1]}, 200, [JSON, ('content-length', '10')], b'{"a": [1]}'),
    (('a', 201), 201, [TEXT, ('content-length', '1')], b'a'),
    (('a', {'X-Y': 'z'}), 200, [TEXT, ('content-length', '1'), ('x-y', 'z')], b'a'),
    (('a', 202, {'Content-Type': 'a/b'}), 202, [('content-type', 'a/b'), ('content-length', '1')], b'a'),
    (404, 404, [TEXT, ('content-length', '0')], b''),
    (None, 204, [], b''),  # RFC 9110 section 8.6: no Content-Length
    (('', 304, {'ETag': '"a"'}), 304, [('etag', '"a"')], b''),
    (('body', 304), 304, [], b''),
    (('a', {'X': ['1', '2']}), 200, [TEXT, ('content-length', '1'), ('x', '1'), ('x', '2')], b'a'),
    (('a', {'X': 'ä€'}), 200, [TEXT, ('content-length', '1'), ('x', 'ä€')], b'a'),  # UTF-8, as the built-in server
    (('a', {'X': 5}), 200, [TEXT, ('content-length', '1'), ('x', '5')], b'a'),
    (('a', 299), 299, [TEXT, ('content-length', '1')], b'a'),
    (Response.redirect('/x'), 302, [TEXT, ('content-length', '0'), ('location', '/x')], b''),
]


@pytest.mark.parametrize('value, status, headers, body', RESPONSES)
async def test_responses(value, status, headers, body):
    host = await call(respond(value), http_scope())
    assert (host.status, host.body) == (status, body)
    assert sorted(host.headers) == sorted(headers)
    assert host.kinds() == ['response.start', 'response.body']  # one message where the body is at hand


@pytest.mark.parametrize('value, status, headers, body', RESPONSES)
async def test_head(value, status, headers, body):
    """RFC 9110 section 9.3.2: the header fields of GET, and no content."""
    host = await call(respond(value), http_scope(method='HEAD'))
    assert (host.status, host.body) == (status, b'')
    assert sorted(host.headers) == sorted(headers)


@pytest.mark.parametrize('method, status', [('GET', 404), ('PUT', 404), ('HEAD', 404), ('OPTIONS', 404)])
async def test_not_found(method, status):
    assert (await call(Microdot(), http_scope('/x', method))).status == status


async def test_wrong_method_and_options():
    app = app_of(lambda request: 'a', methods=['GET'])
    host = await call(app, http_scope(method='DELETE'))
    assert host.status == 405 and host.header('allow') == 'GET, HEAD, OPTIONS'  # RFC 9110 section 15.5.6
    host = await call(app, http_scope(method='OPTIONS'))
    assert host.status == 200 and host.header('allow') == 'GET, HEAD, OPTIONS'


async def test_error_of_a_handler():
    """It is answered by the application, logged once, and no news for the host."""
    def handler(request):
        raise KeyError('x')

    with logged_errors() as errors:
        host = await call(app_of(handler), http_scope())
    assert host.status == 500 and host.body == b'Internal server error'
    assert [type(exc) for exc in errors] == [KeyError]


async def test_cookies_of_a_response():
    response = Response('a')
    response.set_cookie('a', '1')
    response.set_cookie('b', '2', path='/')
    host = await call(respond(response), http_scope())
    assert [value for name, value in host.headers if name == 'set-cookie'] == ['a=1', 'b=2; Path=/']


@pytest.mark.parametrize('name', ['Connection', 'Keep-Alive', 'Proxy-Connection', 'Transfer-Encoding', 'Upgrade'])
@pytest.mark.parametrize('version', ['2', '3'])
async def test_headers_of_a_connection_are_not_in_http_2(name, version):
    """RFC 9113 section 8.2.2: a message with them is malformed."""
    host = await call(respond(('a', {name: 'x', 'Y': 'z'})), http_scope(http_version=version))
    assert host.header(name.lower()) is None and host.header('y') == 'z' and host.body == b'a'


async def test_connection_close_reaches_the_host_in_http_1():
    host = await call(respond(('a', {'Connection': 'close'})), http_scope())
    assert host.header('connection') == 'close'


# ---------------------------------------------------------------------------------------------------------------
# Request: bodies
# ---------------------------------------------------------------------------------------------------------------

def length(n):
    return (b'content-length', b'%d' % n)


CHUNKED = (b'transfer-encoding', b'chunked')


async def echo_stream(request):
    return await request.stream.read()


BODIES = [  # headers, version, messages, body
    ([length(4)], '1.1', pieces(b'abcd'), b'abcd'),
    ([length(4)], '1.1', pieces(b'a', b'b', b'cd'), b'abcd'),
    ([length(4)], '1.1', pieces(b'', b'a', b'', b'', b'bcd', b''), b'abcd'),
    ([length(4)], '1.0', pieces(b'abcd'), b'abcd'),
    ([length(0)], '1.1', pieces(b''), b''),
    ([CHUNKED], '1.1', pieces(b'ab', b'', b'cd', b''), b'abcd'),
    ([CHUNKED], '1.1', pieces(b''), b''),
    ([], '2', pieces(b'ab', b'cd'), b'abcd'),  # neither header is needed (RFC 9113 section 8.1)
    ([], '3', pieces(b'', b''), b''),
    ([length(4)], '2', pieces(b'', b'abcd', b''), b'abcd'),
    (None, '2', pieces(b'abcd'), b'abcd'),  # no header at all
    ([length(4)], '1.1', [{'type': 'http.request', 'body': b'abcd'}], b'abcd'),  # more_body is optional
    ([CHUNKED], '1.1', [{'type': 'http.request', 'more_body': True}, request(b'abcd')], b'abcd'),  # so is body
    ([CHUNKED], '1.1', [{'type': 'http.request'}], b''),
]


@pytest.mark.parametrize('is_small', [True, False])
@pytest.mark.parametrize('headers, version, messages, body', BODIES)
async def test_bodies(headers, version, messages, body, is_small):
    app = app_of((lambda request: request.body) if is_small else echo_stream)
    scope = http_scope(method='POST', headers=headers or [], http_version=version)
    scope['headers'] = scope['headers'] if headers is not None else []
    with changed(Request, max_body_length=16384 if is_small else 2):
        assert (await call(app, scope, *messages)).body == body


@pytest.mark.parametrize('method', ['GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS'])
async def test_request_without_a_body_never_receives(method):
    """RFC 9112 section 6.3: no Content-Length and no Transfer-Encoding is no body."""
    host = Host(app_of(lambda request: request.body, methods=['GET', 'POST', 'DELETE']), http_scope(method=method))
    await host.run()
    assert host.receives == 0 and host.status == 200


@pytest.mark.parametrize('kind, value', [
    ('form', {'a': 'b c'}), ('json', {'a': 'b'})])
async def test_forms_and_json_in_pieces(kind, value):
    data = b'a=b+c' if kind == 'form' else json.dumps(value).encode()
    media_type = b'application/x-www-form-urlencoded' if kind == 'form' else b'application/json'
    app = app_of(lambda request: dict({key: request.form[key] for key in request.form} if kind == 'form'
                                      else request.json))
    scope = http_scope(method='POST', headers=[(b'content-type', media_type), CHUNKED])
    assert json.loads((await call(app, scope, *pieces(*[data[i:i + 1] for i in range(len(data))]))).body) == value


async def test_stream_is_received_as_it_is_read():
    """Back-pressure: hosts stop reading from a client whose messages nobody takes."""
    seen = []

    async def handler(request):
        for _ in range(3):
            await spin()
            seen.append(host.receives)
            assert await request.stream.readexactly(10) == b'x' * 10
        seen.append(host.receives)
        return 'ok'

    with changed(Request, max_body_length=5, max_content_length=1000):
        host = Host(app_of(handler), http_scope(method='POST', headers=[length(100)]), pieces(*[b'x' * 10] * 10))
        await host.run()
    assert seen == [0, 1, 2, 3] and host.receives == 3


async def test_upload_that_nobody_reads_is_not_kept():
    host = Host(app_of(lambda request: 'ok'), http_scope(method='POST', headers=[CHUNKED]))
    host.inbox = [request(b'x' * 1000, True)] * 1000
    with changed(Request, max_body_length=5000, max_content_length=10 ** 7):
        await host.run()
    assert host.status == 200 and host.receives <= 6


@pytest.mark.parametrize('is_read', [True, False])
async def test_declared_length_over_the_limit_is_refused_unread(is_read):
    host = Host(app_of(echo_stream), http_scope(method='POST', headers=[length(20000)]), pieces(*[b'x' * 1000] * 20))
    await host.run()
    assert host.status == 413 and host.body == b'Payload too large' and host.receives == 0


@pytest.mark.parametrize('max_body_length', [10, 100, 1000])
@pytest.mark.parametrize('size', [10, 100, 101, 1000])
@pytest.mark.parametrize('version', ['1.1', '2'])
async def test_body_without_length_is_counted_as_it_arrives(max_body_length, size, version):
    app = app_of(echo_stream)
    headers = [CHUNKED] if version == '1.1' else []
    with changed(Request, max_body_length=max_body_length, max_content_length=100):
        host = Host(app, http_scope(method='POST', headers=headers, http_version=version),
                    pieces(*[b'x'] * size))
        await host.run()
    if size > 100:
        assert host.status == 413 and host.receives == 101
    else:
        assert host.status == 200 and len(host.body) == size


async def test_limit_also_for_one_huge_message():
    host = await call(app_of(lambda request: str(len(request.body))), http_scope(method='POST', headers=[CHUNKED]),
                      request(b'x' * 100000))
    assert host.status == 413


@pytest.mark.parametrize('value', [b'x', b'-1', b'+4', b'4, 5', b'4_0', b'', '４'.encode(), b'0x4', b'4 4'])
async def test_malformed_length_is_a_400(value):
    """RFC 9110 section 8.6. Hosts refuse most of it; what they let pass must not be an error of the server's."""
    host = await call(app_of(echo_stream), http_scope(method='POST', headers=[(b'content-length', value)]),
                      request(b'abcd'))
    assert host.status == 400


async def test_length_that_is_no_number_for_this_world():
    host = await call(app_of(echo_stream), http_scope(method='POST', headers=[(b'content-length', b'9' * 5000)]))
    assert host.status == 413


@pytest.mark.parametrize('max_body_length', [2, 100])
async def test_body_shorter_than_its_length_is_incomplete(max_body_length):
    """RFC 9112 section 6.3, RFC 9113 section 8.1.1."""
    with changed(Request, max_body_length=max_body_length):
        host = await call(app_of(echo_stream), http_scope(method='POST', headers=[length(10)]), *pieces(b'abc', b'd'))
    assert host.status == 400


@pytest.mark.parametrize('max_body_length', [2, 100])
@pytest.mark.parametrize('messages', [pieces(b'abcdef'), pieces(b'ab', b'cdef'), pieces(b'abcd', b'ef')])
async def test_body_longer_than_its_length_is_cut_or_refused(messages, max_body_length):
    """What follows the body does not belong to the request (RFC 9112 section 6.3)."""
    with changed(Request, max_body_length=max_body_length):
        host = await call(app_of(echo_stream), http_scope(method='POST', headers=[length(4)]), *messages)
    assert (host.status, host.body) == (200, b'abcd') or host.status == 400


@pytest.mark.parametrize('max_body_length', [2, 100])
@pytest.mark.parametrize('headers', [[length(10)], [CHUNKED]])
async def test_client_that_leaves_in_its_body(headers, max_body_length):
    seen = []

    async def handler(request):
        try:
            seen.append(await request.stream.read())
        except ValueError as exc:
            seen.append(exc.args[0])
            raise

    with changed(Request, max_body_length=max_body_length), logged_errors() as errors:
        host = Host(app_of(handler), http_scope(method='POST', headers=headers), [request(b'abc', True)])
        host.start()
        await spin()
        host.leave()
        await host.end()
    assert not host.sent and not errors
    assert seen == ([] if max_body_length == 100 else [400])  # a body that is to be loaded never reaches the handler


async def test_disconnect_before_the_first_piece():
    calls = []
    host = Host(app_of(calls.append), http_scope(method='POST', headers=[CHUNKED]), [DISCONNECT])
    host.start()
    await host.end()
    assert not calls and host.receives == 1


async def test_end_of_a_body_is_asked_for_once():
    """After the last message receive() would wait for the client to leave."""
    async def handler(request):
        return [len(await request.stream.read()) for _ in range(3)]

    with changed(Request, max_body_length=2):
        host = Host(app_of(handler), http_scope(method='POST', headers=[CHUNKED]), pieces(b'abc', b'd'))
        await host.run()
    assert host.body == b'[4, 0, 0]' and host.receives == 2


async def test_stream_that_waits_for_the_client():
    async def handler(request):
        return await request.stream.readline()

    with changed(Request, max_body_length=2):
        host = Host(app_of(handler), http_scope(method='POST', headers=[CHUNKED]), [request(b'a', True)])
        host.start()
        await spin()
        assert not host.sent
        host.put(request(b'b\nc', True))
        await host.end()
    assert host.body == b'ab\n'


FRAMINGS = [  # headers, version, status: what a proxy in front may read in another way (RFC 9112 section 6)
    ([length(4), CHUNKED], '1.1', 400),
    ([CHUNKED], '1.0', 400),
    ([length(4), length(5)], '1.1', 400),
    ([length(4), length(4)], '1.1', 200),
    ([(b'transfer-encoding', b'gzip, chunked')], '1.1', 501),
    ([(b'transfer-encoding', b'chunked, chunked')], '1.1', 400),
    ([(b'transfer-encoding', b'x y')], '1.1', 400),
    ([(b'expect', b'100-continue'), length(4)], '1.1', 200),
    ([(b'expect', b'something'), length(4)], '1.1', 417),
]


@pytest.mark.parametrize('headers, version, status', FRAMINGS)
async def test_framing_as_the_built_in_server_reads_it(headers, version, status):
    host = await call(app_of(echo_stream), http_scope(method='POST', headers=headers, http_version=version),
                      *pieces(b'ab', b'cd'))
    assert (host.status, host.body if status == 200 else b'abcd') == (status, b'abcd')


@pytest.mark.parametrize('cls', [Request, ASGIRequest])
async def test_limits_are_set_where_they_are_documented(cls):
    """Whichever class an application takes for it, the limit is one."""
    with changed(cls, max_content_length=5):
        for headers in [length(10)], [CHUNKED]:
            host = await call(app_of(echo_stream), http_scope(method='POST', headers=headers), request(b'x' * 10))
            assert host.status == 413
    with changed(cls, max_content_length=30000, max_body_length=30000):
        host = await call(app_of(lambda request: str(len(request.body))),
                          http_scope(method='POST', headers=[length(20000)]), request(b'x' * 20000))
        assert host.body == b'20000'


async def test_the_test_client_and_the_built_in_server_still_serve_it():
    response = await TestClient(app_of(lambda request: request.path)).get('/')
    assert response.status_code == 200 and response.text == '/'


# ---------------------------------------------------------------------------------------------------------------
# Response Body: streams
# ---------------------------------------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data = data

    def read(self, n):
        data = self.data[:2]
        self.data = self.data[2:]
        return data


class AsyncReader(Reader):
    async def read(self, n):
        return super().read(n)


def generate(*items):
    yield from items


STREAMS = {
    'generator': lambda: generate('ab', b'c', '', b'', 'd'),
    'async generator': lambda: Watched('ab', b'c', '', b'', 'd')(),
    'iterator': lambda: iter(['ab', b'', 'cd']),
    'object with read()': lambda: Reader(b'abcd'),
    'object with async read()': lambda: AsyncReader(b'abcd'),
}


@pytest.mark.parametrize('kind', STREAMS)
async def test_streams(kind):
    host = await call(app_of(lambda request: STREAMS[kind]()), http_scope())
    assert host.status == 200 and host.body == b'abcd' and host.header('content-length') is None
    pieces = [message['body'] for message in host.sent[1:] if message.get('body')]
    assert len(pieces) > 1  # each as it comes
    assert [message.get('more_body', False) for message in host.sent[1:]] == [True] * (len(host.sent) - 2) + [False]


@pytest.mark.parametrize('items', [(), ('',), ('', b'')])
async def test_empty_stream(items):
    host = await call(app_of(lambda request: generate(*items)), http_scope())
    assert host.status == 200 and host.body == b''


async def test_head_of_a_stream_leaves_before_its_first_piece():
    """Section "Response Start": hosts send nothing before the first message of the body."""
    stream = Watched(waits=True)
    host = Host(app_of(lambda request: stream()), http_scope())
    host.start()
    await until(lambda: len(host.sent) == 2)
    assert host.sent[1].get('body', b'') == b'' and host.sent[1]['more_body']
    host.leave()
    await host.end()
    assert stream.is_closed


async def test_stream_waits_for_the_client():
    """Back-pressure: the generator does not run ahead of send()."""
    stream = Watched(*[b'x'] * 100)
    host = Host(app_of(lambda request: stream()), http_scope())
    host.gate.clear()
    host.start()
    for _ in range(3):
        await until(lambda: host.blocked)
        await spin()
        had = stream.given
        assert had <= len(host.sent) and host.blocked == 1
        host.gate.set()
        await asyncio.sleep(0)
        host.gate.clear()
        await spin()
        assert stream.given <= had + 3
    host.gate.set()
    await host.end()
    assert host.body == b'x' * 100 and stream.is_closed


LENGTHS = [  # Content-Length, pieces, the body that leaves; None where the host has to break the connection
    (4, ['ab', 'cd'], b'abcd'),
    (4, ['ab', 'cde'], None),
    (4, ['abcd', 'e'], None),
    (4, ['ab'], None),
    (4, [], None),
    (0, [], b''),
]


@pytest.mark.parametrize('size, items, body', LENGTHS)
async def test_stream_with_a_length(size, items, body):
    """RFC 9110 section 8.6: a message that is not as long as it says is malformed. More than that is never sent."""
    stream = Watched(*items)
    host = Host(app_of(lambda request: (stream(), {'Content-Length': str(size)})), http_scope())
    host.start()
    with logged_errors():
        if body is None:
            with pytest.raises(ValueError):
                await host.end()
            assert not host.grammar.is_over
        else:
            await host.end()
            assert host.body == body and host.grammar.is_over
    assert len(host.body) <= size and stream.is_closed and not host.complaint


@pytest.mark.parametrize('items', [(), ('a',), ('a', 'b')])
async def test_stream_that_raises(items):
    """The exception leaves the application, so that the host breaks the connection and the client can tell."""
    stream = Watched(*items, ZeroDivisionError('x'))
    host = Host(app_of(lambda request: stream()), http_scope())
    host.start()
    with pytest.raises(ZeroDivisionError), logged_errors():
        await host.end()
    assert host.body == b'a' * bool(items) + b'b' * (len(items) > 1)
    assert not host.grammar.is_over and stream.is_closed


@pytest.mark.parametrize('item', [5, None, ['a'], object()])
async def test_piece_that_is_not_bytes(item):
    stream = Watched('a', item)
    host = Host(app_of(lambda request: stream()), http_scope())
    host.start()
    with suppress(Exception), logged_errors():
        await host.end()
    assert host.complaint is None and stream.is_closed and host.body == b'a'


async def test_file(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(bytes(range(256)) * 1000)
    host = await call(app_of(lambda request: send_file(str(path))), http_scope())
    assert host.body == path.read_bytes() and host.header('content-length') == '256000'
    host = await call(app_of(lambda request: send_file(str(path))), http_scope(headers=[(b'range', b'bytes=1-3')]))
    assert host.status == 206 and host.body == b'\1\2\3' and host.header('content-range') == 'bytes 1-3/256000'
    etag = host.header('etag').encode()
    host = await call(app_of(lambda request: send_file(str(path))), http_scope(headers=[(b'if-none-match', etag)]))
    assert host.status == 304 and host.header('etag') == etag.decode()


async def test_head_of_a_file_does_not_open_it(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'abc')
    opened = []

    def watch(event, args):
        if event == 'open' and str(args[0]) == str(path) and is_watching:
            opened.append(args)

    is_watching = True
    sys.addaudithook(watch)
    host = await call(app_of(lambda request: send_file(str(path))), http_scope(method='HEAD'))
    assert host.header('content-length') == '3' and host.body == b'' and not opened
    await call(app_of(lambda request: send_file(str(path))), http_scope())
    is_watching = False
    assert opened  # the audit works


@pytest.mark.parametrize('method, value', [('HEAD', 200), ('GET', 304), ('GET', 204), ('HEAD', 304)])
async def test_stream_that_is_not_sent_is_closed_unread(method, value):
    stream = Closable()
    host = await call(app_of(lambda request: (stream, value)), http_scope(method=method))
    assert host.status == value and host.body == b''
    assert stream.is_closed and not stream.has_begun


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize('replacement', ['bytes', 'stream', 'wrapper', 'body'])
async def test_hooks_that_replace_a_stream(method, replacement):
    """Both streams are closed, whatever becomes of them."""
    first, second = Closable(['a', 'b']), Closable(['c'])
    app = app_of(lambda request: first)

    @app.after_request
    async def after(request, response):
        if replacement == 'bytes':
            return Response(b'c')
        if replacement == 'stream':
            return Response(second)
        response.body = second if replacement == 'body' else (item.upper() for item in response.body)
        return None

    host = await call(app, http_scope(method=method))
    assert host.body == (b'' if method == 'HEAD' else b'AB' if replacement == 'wrapper' else b'c')
    assert first.is_closed
    assert second.is_closed == (replacement in ('stream', 'body'))


async def test_hook_that_fails_after_a_stream():
    stream = Closable()
    app = app_of(lambda request: stream)

    @app.after_request
    def after(request, response):
        raise ZeroDivisionError

    with logged_errors():
        host = await call(app, http_scope())
    assert host.status == 500 and stream.is_closed and not stream.has_begun


# ---------------------------------------------------------------------------------------------------------------
# Disconnect: clients that leave, hosts that stop
# ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('version', ['2.0', '2.3', '2.4', '2.5'])
@pytest.mark.parametrize('items', [(), ('a',), ('a', 'b')])
async def test_client_that_leaves_a_stream_that_waits(items, version):
    stream = Watched(*items, waits=True)
    host = Host(app_of(lambda request: stream()), http_scope(asgi={'version': '3.0', 'spec_version': version}))
    host.start()
    await until(lambda: len(host.body) == len(items) and len(host.sent) > 1)
    await spin()
    with logged_errors() as errors:
        host.leave()
        await host.end()
    assert stream.is_closed and not errors and not host.grammar.is_over


@pytest.mark.parametrize('version', ['2.3', '2.4'])
async def test_client_that_leaves_an_endless_stream(version):
    """Before version 2.4 send() does not tell; "http.disconnect" does."""
    stream = Watched(*['x'] * 100000)
    host = Host(app_of(lambda request: stream()), http_scope(asgi={'version': '3.0', 'spec_version': version}))
    host.start()
    await until(lambda: stream.given > 10)
    with logged_errors() as errors:
        host.leave()
        await host.end()
    assert stream.is_closed and stream.given < 100000 and not errors and host.sends_after_end < 100


async def test_client_that_leaves_while_send_waits():
    """A host may wait in send() for a client that is gone; the disconnect ends that, too."""
    stream = Watched(*['x'] * 100000)
    host = Host(app_of(lambda request: stream()), http_scope())
    host.start()
    await until(lambda: stream.given > 3)
    host.gate.clear()
    await until(lambda: host.blocked)
    had = stream.given
    host.leave()
    await host.end()
    assert stream.is_closed and stream.given <= had + 1


async def duplex(request):
    """Send back what comes, while it comes."""
    async def stream():
        while True:
            data = await request.stream.read(100)
            if not data:
                break
            yield data.upper()

    return stream()


async def test_stream_that_reads_the_body_while_it_is_sent():
    """The wait for the client's end must not take a message from the handler."""
    with changed(Request, max_body_length=2):
        host = Host(app_of(duplex), http_scope(method='POST', headers=[CHUNKED]))
        host.start()
        for n in range(1, 6):
            host.put(request(b'abc', True))
            if n > 1:
                await until(lambda n=n: host.body == b'ABC' * n)
        host.put(request())
        await host.end()
    assert host.body == b'ABC' * 5 and host.grammar.is_over


@pytest.mark.parametrize('steps', range(0, 30, 3))
async def test_client_that_leaves_in_the_middle_of_both(steps):
    with changed(Request, max_body_length=2), logged_errors() as errors:
        host = Host(app_of(duplex), http_scope(method='POST', headers=[CHUNKED]), [request(b'abc', True)] * 2)
        host.start()
        await spin(steps)
        host.leave()
        with suppress(ValueError):  # the stream was reading: what it made of that is its own exception
            await host.end()
    assert not errors and not host.complaint and not host.grammar.is_over


@pytest.mark.parametrize('kind', ['stream', 'events'])
@pytest.mark.parametrize('version', ['2.3', '2.4'])
async def test_client_that_leaves_behind_a_body_that_nobody_reads(kind, version):
    """Else handlers that only wait could be piled up, at the price of an incomplete upload each."""
    ended = []

    async def events(request, sse):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def stream():
        try:
            yield 'a'
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def handler(request):
        return stream()

    app = app_of(with_sse(events) if kind == 'events' else handler)
    scope = http_scope(method='POST', headers=[CHUNKED], asgi={'version': '3.0', 'spec_version': version})
    with changed(Request, max_body_length=2, max_content_length=10 ** 9):
        host = Host(app, scope, [request(b'abcd', True)] * 3)
        host.start()
        await until(lambda: len(host.sent) > 1)
        await spin()
        host.leave()
        await host.end()
        assert ended == [True]


async def test_body_that_nobody_reads_while_a_stream_waits_is_bounded():
    stream = Watched('a', waits=True)
    with changed(Request, max_body_length=2, max_content_length=10 ** 9):
        host = Host(app_of(lambda request: stream()), http_scope(method='POST', headers=[CHUNKED]),
                    [request(b'x' * 10000, True)] * 1000)
        host.start()
        await until(lambda: stream.is_closed or len(host.sent) > 1)
        await spin(5000)
        assert host.receives * 10000 < 200000
        host.task.cancel()
        with suppress(asyncio.CancelledError):
            await host.end()
    assert stream.is_closed


@pytest.mark.parametrize('error', [OSError, RuntimeError])
async def test_receive_that_raises_while_a_stream_waits(error):
    """It is the end of the client, and not lost in a task of its own."""
    stream = Watched('a', waits=True)
    host = Host(app_of(lambda request: stream()), http_scope())

    async def receive():
        await spin(20)
        raise error('host')

    host.receive = receive
    host.start()
    with suppress(error):
        await host.end()
    assert stream.is_closed and not host.complaint


@pytest.mark.parametrize('version', ['2.3', '2.4'])
async def test_plain_handler_completes_although_the_client_has_left(version):
    """What it does, such as writing to a database, is to have its end. That nobody can be told is no error."""
    done = []

    async def handler(request):
        await asyncio.sleep(0.01)
        done.append(request.path)
        return 'too late'

    host = Host(app_of(handler), http_scope(asgi={'version': '3.0', 'spec_version': version}))
    host.start()
    await spin(3)
    with logged_errors() as errors:
        host.leave()
        await host.end()
    assert done == ['/'] and not errors and not host.sent


@pytest.mark.parametrize('after', range(5))
@pytest.mark.parametrize('error', [OSError, ConnectionResetError, BrokenPipeError])
async def test_send_that_raises(after, error):
    """Section "Disconnected Client": an error of that kind is the end of a stream, and quiet."""
    stream = Watched(*['x'] * 10)
    host = Host(app_of(lambda request: stream()), http_scope())
    send = host.send

    async def failing(message):
        if len(host.sent) >= after:
            raise error('gone')
        await send(message)

    host.send = failing
    with logged_errors() as errors:
        host.start()
        await host.end()
    assert not errors and stream.given <= after and stream.is_closed == stream.has_begun and len(host.sent) == after


async def test_send_that_raises_for_a_plain_response():
    host = Host(respond('a'), http_scope())
    host.leave()
    with logged_errors() as errors:
        host.start()
        await host.end()
    assert not errors


@pytest.mark.parametrize('after', range(4))
async def test_error_of_the_host_is_its_own(after):
    """What is not an OSError is a mistake, and must not be lost."""
    stream = Watched(*['x'] * 10)
    host = Host(app_of(lambda request: stream()), http_scope())
    send = host.send

    async def failing(message):
        if len(host.sent) >= after:
            raise RuntimeError('host')
        await send(message)

    host.send = failing
    host.start()
    with pytest.raises(RuntimeError, match='host'), logged_errors():
        await host.end()
    assert stream.is_closed == stream.has_begun


class Cancelled:
    """Handlers that are cancelled at each of their steps; ``open`` counts what they have to give back."""

    def __init__(self):
        self.open = 0
        self.app = app = Microdot()
        app.route('/plain', methods=['POST'])(self.plain)
        app.route('/upload', methods=['POST'])(self.upload)
        app.route('/stream', methods=['POST'])(self.stream)
        app.route('/thread', methods=['POST'])(lambda request: 'a')
        app.route('/events', methods=['POST'])(with_sse(self.events))
        app.route('/loaded', methods=['POST'])(lambda request: request.body)
        app.route('/ws')(with_websocket(self.websocket))
        app.after_request(self.after)

    async def after(self, request, response):
        await asyncio.sleep(0)

    async def plain(self, request):
        self.open += 1
        try:
            await spin(3)
            return 'a'
        finally:
            self.open -= 1

    async def upload(self, request):
        self.open += 1
        try:
            return str(len(await request.stream.read()))
        finally:
            self.open -= 1

    async def stream(self, request):
        return self.generate()

    async def generate(self):
        self.open += 1
        try:
            for _ in range(3):
                await asyncio.sleep(0)
                yield 'a'
        finally:
            self.open -= 1

    async def events(self, request, sse):
        self.open += 1
        try:
            for n in range(3):
                await asyncio.sleep(0)
                await sse.send(n)
        finally:
            self.open -= 1

    async def websocket(self, request, ws):
        self.open += 1
        try:
            while True:
                await ws.send(await ws.receive())
        finally:
            self.open -= 1


@pytest.mark.parametrize('path', ['/plain', '/upload', '/stream', '/thread', '/events', '/loaded', '/ws', '/none'])
async def test_cancellation_by_the_host_at_every_step(path):
    """Nothing is left: no task, no generator, and the cancellation is not swallowed."""
    case = Cancelled()
    ends = set()
    for steps in [*range(40), 200]:
        if path == '/ws':
            host = Host(case.app, websocket_scope(path), [{'type': 'websocket.connect'}] + [
                {'type': 'websocket.receive', 'text': 'x'}] * 3)
        else:
            host = Host(case.app, http_scope(path, 'POST', [CHUNKED]), pieces(b'a', b'', b'bc', b'd'))
        with changed(Request, max_body_length=2 if path == '/upload' else 16384):
            host.start()
            await spin(steps)
            is_late = host.task.done()
            host.task.cancel()
            try:
                await host.end()
                ends.add('complete' if is_late else 'swallowed')
            except asyncio.CancelledError:
                ends.add('cancelled')
        assert case.open == 0
    assert 'cancelled' in ends and 'swallowed' not in ends


@pytest.mark.parametrize('path', ['/plain', '/upload', '/stream', '/events', '/loaded'])
async def test_disconnect_at_every_step(path):
    case = Cancelled()
    with logged_errors() as errors:
        for steps in range(40):
            host = Host(case.app, http_scope(path, 'POST', [CHUNKED]), [request(b'abc', True)])
            with changed(Request, max_body_length=2 if path == '/upload' else 16384):
                host.start()
                await spin(steps)
                host.leave()
                await host.end()
            assert case.open == 0
    assert not errors


async def test_disconnect_of_a_websocket_at_every_step():
    case = Cancelled()
    with logged_errors() as errors:
        for steps in range(40):
            host = Host(case.app, websocket_scope('/ws'), [{'type': 'websocket.connect'}] + [
                {'type': 'websocket.receive', 'text': 'x'}] * 3)
            host.start()
            await spin(steps)
            host.put({'type': 'websocket.disconnect', 'code': 1001})
            await host.end()
            assert case.open == 0
    assert not errors


# ---------------------------------------------------------------------------------------------------------------
# Lifespan
# ---------------------------------------------------------------------------------------------------------------

LIFESPAN = {'type': 'lifespan', 'asgi': {'version': '3.0', 'spec_version': '2.0'}}
STARTUP, SHUTDOWN = {'type': 'lifespan.startup'}, {'type': 'lifespan.shutdown'}


async def live(app, *messages, **scope):
    host = Host(app, {**LIFESPAN, **scope}, messages or [STARTUP, SHUTDOWN])
    await host.run()
    return host.sent


@pytest.mark.parametrize('is_async', [True, False])
async def test_lifespan(is_async):
    calls = []

    def note(name):
        def call(scope):
            calls.append((name, scope))

        async def call_later(scope):
            await asyncio.sleep(0)
            call(scope)

        return call_later if is_async else call

    app = Microdot(lifespan_startup=note('up'), lifespan_shutdown=note('down'))
    state = {}
    assert await live(app, state=state) == [{'type': 'lifespan.startup.complete'},
                                            {'type': 'lifespan.shutdown.complete'}]
    assert [name for name, _ in calls] == ['up', 'down']
    assert all(scope['type'] == 'lifespan' and scope['state'] is state for _, scope in calls)


@pytest.mark.parametrize('options', [{}, {'lifespan_startup': None}, {'lifespan_shutdown': lambda scope: 5},
                                     {'lifespan_startup': lambda scope: 'x'}])
async def test_lifespan_with_fewer_handlers(options):
    assert [message['type'] for message in await live(Microdot(**options))] == [
        'lifespan.startup.complete', 'lifespan.shutdown.complete']


@pytest.mark.parametrize('is_async', [True, False])
@pytest.mark.parametrize('phase', ['startup', 'shutdown'])
async def test_lifespan_that_fails(phase, is_async):
    def fail(scope):
        raise ConnectionError('no database')

    async def fail_later(scope):
        fail(scope)

    app = Microdot(**{'lifespan_' + phase: fail_later if is_async else fail})
    with logged_errors() as errors:
        sent = await live(app)
    assert sent[-1]['type'] == f'lifespan.{phase}.failed' and 'no database' in sent[-1]['message']
    assert len(sent) == (1 if phase == 'startup' else 2)
    assert [str(exc) for exc in errors] == ['no database']


async def test_route_that_cannot_be_is_a_failed_startup():
    app = app_of(lambda request: 'a', '/<nothing:x>')
    with logged_errors():
        sent = await live(app)
    assert [message['type'] for message in sent] == ['lifespan.startup.failed'] and 'nothing' in sent[0]['message']


async def test_state_is_shared_with_requests():
    """Section "Lifespan State": the host copies it into the scope of each request."""
    async def startup(scope):
        scope['state']['database'] = 'db'

    app = Microdot(lifespan_startup=startup)
    app.get('/')(lambda request: request.asgi_scope['state']['database'])
    state = {}
    await live(app, state=state)
    assert (await call(app, http_scope(state=dict(state)))).body == b'db'


async def test_lifespan_that_the_host_breaks_off():
    host = Host(Microdot(), LIFESPAN, [STARTUP])
    host.start()
    await until(lambda: host.sent and host.waiting)
    host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host.end()


# ---------------------------------------------------------------------------------------------------------------
# WebSocket
# ---------------------------------------------------------------------------------------------------------------

CONNECT = {'type': 'websocket.connect'}


def text(data):
    return {'type': 'websocket.receive', 'text': data}


def binary(data):
    return {'type': 'websocket.receive', 'bytes': data}


def leave(**kwargs):
    return {'type': 'websocket.disconnect', **kwargs}


def websocket_app(f, **options):
    return app_of(with_websocket(f, **options), methods=['GET'])


def contents(sent):
    """Return what a client was sent as messages, and the code of the close frame."""
    messages = [message['text'] if message.get('text') is not None else message['bytes']
                for message in sent if message['type'] == 'websocket.send']
    codes = [message.get('code', 1000) for message in sent if message['type'] == 'websocket.close']
    return messages + codes


async def collect(request, ws):
    """Receive until the client is gone, and tell all of it."""
    seen = request.app.seen = []
    try:
        while True:
            seen.append(await ws.receive())
    except WebSocketError as exc:
        seen.append((exc.args[0], ws.close_code, ws.close_reason, ws.closed))
        raise


MESSAGES = [  # section "Receive": one of text and bytes is there, the other absent or None
    (text('ä'), 'ä'),
    (binary(b'\xff'), b'\xff'),
    ({'type': 'websocket.receive', 'text': 'a', 'bytes': None}, 'a'),
    ({'type': 'websocket.receive', 'text': None, 'bytes': b'a'}, b'a'),
    (text(''), ''),
    (binary(b''), b''),
    ({'type': 'websocket.receive', 'text': None, 'bytes': b''}, b''),
    ({'type': 'websocket.receive', 'text': '', 'bytes': None}, ''),
]


@pytest.mark.parametrize('message, content', MESSAGES)
async def test_messages_in_both_directions(message, content):
    async def echo(request, ws):
        await ws.send(await ws.receive())

    sent = await converse(websocket_app(echo), websocket_scope(), message)
    assert [message['type'] for message in sent] == ['websocket.accept', 'websocket.send', 'websocket.close']
    assert contents(sent) == [content, 1000] and type(contents(sent)[0]) is type(content)


async def test_messages_keep_their_order():
    app = websocket_app(collect)
    host = Host(app, websocket_scope(), [CONNECT] + [text(str(n)) for n in range(500)] + [leave(code=1000)])
    host.start()
    await host.end()
    assert app.seen == [str(n) for n in range(500)] + [(1000, 1000, '', True)]


CLOSES = [  # section "Disconnect": code is 1005 by default, reason (since 2.5) may be absent
    ({'code': 1000}, (1000, '')),
    ({'code': 1001, 'reason': 'away'}, (1001, 'away')),
    ({'code': 4321, 'reason': 'ä'}, (4321, 'ä')),
    ({}, (1005, '')),
    ({'code': 1005}, (1005, '')),
    ({'code': 1005, 'reason': None}, (1005, '')),
    ({'code': 1006}, (1006, '')),
    ({'code': None}, (1005, '')),
]


@pytest.mark.parametrize('message, expected', CLOSES)
async def test_close_by_the_client(message, expected):
    app = websocket_app(collect)
    host = Host(app, websocket_scope(), [CONNECT, text('a'), leave(**message)])
    with logged_errors() as errors:
        host.start()
        await host.end()
    code, reason = expected
    assert app.seen == ['a', (code, code, reason, True)] and not errors
    assert host.kinds() == ['accept']  # nothing after the end


@pytest.mark.parametrize('args, expected', [((), (1000, '')), ((1001,), (1001, '')), ((4000, 'ä'), (4000, 'ä')),
                                            ((1008, 'x' * 200), (1008, 'x' * 123))])
async def test_close_by_the_handler(args, expected):
    async def handler(request, ws):
        await ws.close(*args)
        assert ws.closed
        with pytest.raises(WebSocketError):
            await ws.send('too late')
        with pytest.raises(WebSocketError):
            await ws.receive()
        await ws.close()  # once more is no error

    sent = await converse(websocket_app(handler), websocket_scope())
    assert (sent[-1].get('code', 1000), sent[-1].get('reason') or '') == expected
    assert len(sent) == 2


@pytest.mark.parametrize('code', [0, 999, 1004, 1006, 1015, 2000, 5000])
async def test_close_codes_that_must_not_be_sent(code):
    """RFC 6455 section 7.4."""
    async def handler(request, ws):
        with pytest.raises(ValueError):
            await ws.close(code)

    sent = await converse(websocket_app(handler), websocket_scope())
    assert contents(sent) == [1000]


@pytest.mark.parametrize('close', [lambda ws: ws.close(1005), lambda ws: ws.send(b'', opcode=WebSocket.CLOSE)])
async def test_close_without_a_code(close):
    """The built-in server sends an empty close frame; a message of ASGI has a code, which 1005 cannot be."""
    async def handler(request, ws):
        await close(ws)

    assert contents(await converse(websocket_app(handler), websocket_scope())) == [1000]


@pytest.mark.parametrize('opcode', [WebSocket.PING, WebSocket.PONG])
async def test_pings_are_the_hosts(opcode):
    async def handler(request, ws):
        with pytest.raises(ValueError):
            await ws.send(b'', opcode=opcode)

    assert contents(await converse(websocket_app(handler), websocket_scope())) == [1000]


@pytest.mark.parametrize('opcode, data, content', [
    (WebSocket.TEXT, b'a', 'a'), (WebSocket.BINARY, 'a', b'a'), (WebSocket.TEXT, 'ä', 'ä'),
    (WebSocket.BINARY, b'\xff', b'\xff')])
async def test_opcodes_of_messages(opcode, data, content):
    async def handler(request, ws):
        await ws.send(data, opcode=opcode)

    assert contents(await converse(websocket_app(handler), websocket_scope())) == [content, 1000]


@pytest.mark.parametrize('data', [bytearray(b'ab'), memoryview(b'ab')])
async def test_other_kinds_of_bytes(data):
    async def handler(request, ws):
        await ws.send(data)

    assert contents(await converse(websocket_app(handler), websocket_scope())) == [b'ab', 1000]


@pytest.mark.parametrize('options', [{'ping_interval': 0.001}, {'ping_interval': 1, 'ping_timeout': 1},
                                     {'compression': True}])
async def test_options_that_are_the_hosts_business(options):
    async def handler(request, ws):
        await asyncio.sleep(0.01)
        await ws.send('a')

    assert contents(await converse(websocket_app(handler, **options), websocket_scope())) == ['a', 1000]


@pytest.mark.parametrize('offered, known, chosen', [
    (['a', 'b'], ['b'], 'b'), (['a', 'b'], ['b', 'a'], 'b'), (['a'], ['b'], None), ([], ['b'], None),
    (['a'], None, None), (['a, b'], ['b'], None)])
async def test_subprotocols(offered, known, chosen):
    """They are in the scope; the server's preference counts (RFC 6455 section 4.2.2)."""
    async def handler(request, ws):
        await ws.send(str(ws.subprotocol))

    sent = await converse(websocket_app(handler, subprotocols=known), websocket_scope(subprotocols=offered))
    assert sent[0].get('subprotocol') == chosen and contents(sent) == [str(chosen), 1000]


@pytest.mark.parametrize('key', ['subprotocols', 'extensions', 'client', 'raw_path', 'root_path', 'state', 'scheme'])
async def test_optional_keys_of_a_websocket(key):
    async def handler(request, ws):
        await ws.send(request.scheme)

    scope = websocket_scope()
    scope.pop(key)
    sent = await converse(websocket_app(handler, subprotocols=['a']), scope)
    assert contents(sent) == ['http', 1000]


async def test_scope_of_a_websocket():
    """Hosts need not keep the headers of the handshake; it is theirs."""
    async def handler(request, ws):
        await ws.send(json.dumps([request.method, request.path, request.scheme, request.args['q'],
                                  request.cookies, request.root_path, ws.request is request]))

    scope = websocket_scope(path='/api/', raw_path=b'/api/', root_path='/api', scheme='wss', query_string=b'q=1')
    scope['headers'] = [HOST, [b'cookie', b'a=b']]
    sent = await converse(websocket_app(handler), scope)
    assert json.loads(contents(sent)[0]) == ['GET', '/', 'https', '1', {'a': 'b'}, '/api', True]


EXTENSION = {'websocket.http.response': {}}


def guarded():
    app = Microdot()
    app.calls = []
    auth = BasicAuth()

    @auth.authenticate
    async def check(request, username, password):
        return None

    @app.get('/auth')
    @auth
    @with_websocket
    async def behind_auth(request, ws):
        app.calls.append('auth')

    @app.get('/origin')
    @with_websocket(allowed_origins=['https://example.com'])
    async def behind_origin(request, ws):
        app.calls.append('origin')

    @app.get('/abort')
    async def handler(request):
        abort(418, 'teapot')

    @app.get('/error')
    async def error(request):
        raise ZeroDivisionError

    @app.get('/page')
    async def page(request):
        return 'page', {'X-Y': ['1', '2']}

    @app.before_request
    async def before(request):
        return ('no', 429) if request.path == '/hook' else None

    app.get('/hook')(with_websocket(behind_origin))
    app.post('/post')(lambda request: 'a')
    return app


DENIALS = [('/auth', 401), ('/origin', 403), ('/abort', 418), ('/error', 500), ('/page', 200), ('/hook', 429),
           ('/nothing', 404), ('/post', 405)]


@pytest.mark.parametrize('path, status', DENIALS)
async def test_denial_with_the_extension(path, status):
    """ "WebSocket Denial Response": an ordinary response instead of the handshake."""
    app = guarded()
    with logged_errors():
        sent = await converse(app, websocket_scope(path, [(b'origin', b'https://evil.example')], extensions=EXTENSION))
    kinds = [message['type'] for message in sent]
    assert kinds[0] == 'websocket.http.response.start' and set(kinds[1:]) == {'websocket.http.response.body'}
    assert sent[0]['status'] == status and not app.calls
    names = [name for name, _ in sent[0]['headers']]
    assert b'content-type' in names and (b'www-authenticate' in names) == (status == 401)


@pytest.mark.parametrize('path, status', DENIALS)
async def test_denial_without_the_extension(path, status):
    """Section "Close": before the accept it is a 403 of the host's."""
    app = guarded()
    with logged_errors():
        sent = await converse(app, websocket_scope(path, [(b'origin', b'https://evil.example')]))
    assert [message['type'] for message in sent] == ['websocket.close'] and not app.calls


@pytest.mark.parametrize('extensions', [EXTENSION, {}])
async def test_denial_by_a_stream_closes_it(extensions):
    stream = Watched('a', 'b')
    sent = await converse(app_of(lambda request: stream()), websocket_scope(extensions=extensions))
    assert stream.is_closed == stream.has_begun
    assert b''.join(message.get('body', b'') for message in sent) == (b'ab' if extensions else b'')
    closable = Closable()
    await converse(app_of(lambda request: closable), websocket_scope(extensions=extensions))
    assert closable.is_closed


async def test_allowed_origin():
    async def handler(request, ws):
        await ws.send('a')

    app = websocket_app(handler, allowed_origins=['https://example.com'])
    scope = websocket_scope(headers=[(b'origin', b'https://example.com')])
    assert contents(await converse(app, scope)) == ['a', 1000]


@pytest.mark.parametrize('error, code, count', [(lambda: 1 / 0, 1011, 1), (lambda: abort(403), 1008, 0),
                                                (lambda: abort(500), 1011, 0)])
@pytest.mark.parametrize('first', [True, False])
async def test_error_after_the_accept(error, code, count, first):
    """RFC 6455 section 7.4.1."""
    async def handler(request, ws):
        if not first:
            await ws.receive()
        error()

    with logged_errors() as errors:
        sent = await converse(websocket_app(handler), websocket_scope(), text('a'))
    assert [message['type'] for message in sent] == ['websocket.accept', 'websocket.close']
    assert contents(sent) == [code] and len(errors) == count


@pytest.mark.parametrize('message', [text('x' * 101), binary(b'x' * 101), text('ä' * 51)])
async def test_message_that_is_too_long(message):
    """In bytes, as on the wire."""
    app = websocket_app(collect)
    with changed(WebSocket, max_message_length=100):
        sent = await converse(app, websocket_scope(), text('x' * 100), text('ä' * 50), message, text('never'))
    assert contents(sent) == [1009]
    assert app.seen[:2] == ['x' * 100, 'ä' * 50] and app.seen[2][0] == 1009


@pytest.mark.parametrize('limit, size', [(-1, 20), (0, 100000)])
async def test_limit_of_messages(limit, size):
    async def handler(request, ws):
        await ws.send(str(len(await ws.receive())))

    with changed(WebSocket, max_message_length=limit), changed(Request, max_body_length=20):
        sent = await converse(websocket_app(handler), websocket_scope(), text('x' * size))
    assert contents(sent) == [str(size), 1000]


async def test_client_that_leaves_while_the_handler_is_elsewhere():
    ended = []

    async def handler(request, ws):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(ws.close_code)
            raise

    host = Host(websocket_app(handler), websocket_scope(), [CONNECT])
    host.start()
    await until(lambda: host.sent)
    await spin()
    host.put(leave(code=1001))
    with logged_errors() as errors:
        await host.end()
    assert ended == [1001] and not errors and host.kinds() == ['accept']


async def test_client_that_leaves_before_the_accept():
    async def handler(request, ws):
        raise AssertionError('there is nobody')

    host = Host(websocket_app(handler), websocket_scope(), [leave(code=1006)])
    host.start()
    with logged_errors():
        await host.end()
    assert not host.sent


async def test_send_to_a_client_that_is_gone():
    """Since version 2.4 send() raises; the handler gets a WebSocketError, as under the built-in server."""
    seen = []

    async def handler(request, ws):
        await ws.receive()
        host.is_gone = True
        try:
            await ws.send('x')
        except WebSocketError as exc:
            seen.append((exc.args[0], ws.closed))
            raise

    host = Host(websocket_app(handler), websocket_scope(), [CONNECT, text('a')])
    with logged_errors() as errors:
        host.start()
        await host.end()
    assert seen == [(1006, True)] and not errors


async def test_messages_that_nobody_receives_are_bounded():
    release = asyncio.Event()
    count = 0

    async def handler(request, ws):
        nonlocal count
        await release.wait()
        while True:
            await ws.receive()
            count += 1

    host = Host(websocket_app(handler), websocket_scope(), [CONNECT] + [text('x' * 1000)] * 1000)
    host.start()
    await until(lambda: host.receives > 5)
    await spin(1000)
    assert host.receives * 1000 < WebSocket.max_queue_size + 3000
    release.set()
    host.put(leave(code=1000))
    await host.end()
    assert count == 1000


async def test_empty_messages_that_nobody_receives_are_bounded():
    """They take memory, too."""
    async def handler(request, ws):
        await asyncio.sleep(60)

    host = Host(websocket_app(handler), websocket_scope(), [CONNECT] + [text('')] * 100000)
    host.start()
    await until(lambda: host.receives > 5)
    await spin(10000)
    assert host.receives < 5000
    host.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await host.end()


async def test_websocket_send_waits_for_the_client():
    sent = []

    async def handler(request, ws):
        for n in range(100):
            await ws.send('x')
            sent.append(n)

    host = Host(websocket_app(handler), websocket_scope(), [CONNECT])
    host.gate.clear()
    host.start()
    await until(lambda: host.blocked)
    await spin(200)
    assert len(sent) <= 1 and host.blocked == 1
    host.gate.set()
    await host.end()
    assert len(sent) == 100


async def test_many_senders_of_one_websocket():
    async def handler(request, ws):
        await asyncio.gather(*[ws.send(str(n)) for n in range(50)])

    messages = contents(await converse(websocket_app(handler), websocket_scope()))
    assert sorted(messages[:-1], key=int) == [str(n) for n in range(50)] and messages[-1] == 1000


@pytest.mark.parametrize('headers, status', [
    ([(b'connection', b'Upgrade'), (b'upgrade', b'websocket'), (b'sec-websocket-version', b'13'),
      (b'sec-websocket-key', b'dGhlIHNhbXBsZSBub25jZQ==')], 501),
    ([], 400),
    ([(b'connection', b'Upgrade'), (b'upgrade', b'websocket'), (b'sec-websocket-version', b'13'),
      (b'sec-websocket-key', b'x')], 400),
    ([(b'connection', b'Upgrade'), (b'upgrade', b'websocket'), (b'sec-websocket-version', b'12'),
      (b'sec-websocket-key', b'dGhlIHNhbXBsZSBub25jZQ==')], 426),
])
async def test_handshake_in_a_scope_of_http(headers, status):
    """Hosts without WebSockets pass it as a request; there is nothing to upgrade."""
    async def handler(request, ws):
        raise AssertionError('it was never accepted')

    assert (await call(websocket_app(handler), http_scope(headers=headers))).status == status


# ---------------------------------------------------------------------------------------------------------------
# Server-Sent Events
# ---------------------------------------------------------------------------------------------------------------

def sse_app(f, **options):
    return app_of(with_sse(f, **options))


async def test_events():
    async def events(request, sse):
        await sse.send('a')
        await sse.send({'b': 1}, event='c', event_id='d')

    host = await call(sse_app(events), http_scope())
    assert host.header('content-type').startswith('text/event-stream')
    assert host.body == b'data: a\n\nevent: c\nid: d\ndata: {"b": 1}\n\n'


async def test_events_leave_as_they_are_sent():
    async def events(request, sse):
        await sse.send('a')
        await asyncio.sleep(60)

    host = Host(sse_app(events), http_scope())
    host.start()
    await until(lambda: host.body == b'data: a\n\n')
    host.leave()
    await host.end()


@pytest.mark.parametrize('version', ['2.3', '2.4'])
async def test_handler_of_events_is_cancelled_when_the_client_leaves(version):
    ended = []

    async def events(request, sse):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    host = Host(sse_app(events), http_scope(asgi={'version': '3.0', 'spec_version': version}))
    host.start()
    await until(lambda: len(host.sent) == 2)
    with logged_errors() as errors:
        host.leave()
        await host.end()
    assert ended == [True] and not errors


async def test_events_wait_for_the_client():
    sent = []

    async def events(request, sse):
        for n in range(100):
            await sse.send('x' * 100)
            sent.append(n)

    host = Host(sse_app(events), http_scope())
    host.gate.clear()
    host.start()
    await until(lambda: host.blocked)
    await spin(500)
    assert len(sent) <= 2
    host.gate.set()
    await host.end()
    assert len(sent) == 100


async def test_error_before_the_first_event_is_a_response():
    async def events(request, sse):
        abort(409, 'conflict')

    host = await call(sse_app(events), http_scope())
    assert host.status == 409 and host.body == b'conflict'


async def test_error_among_events_breaks_the_stream_off():
    async def events(request, sse):
        await sse.send('a')
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    host = Host(sse_app(events), http_scope())
    host.start()
    with logged_errors() as errors, suppress(OSError, ZeroDivisionError):
        await host.end()
    assert host.body == b'data: a\n\n' and not host.grammar.is_over
    assert [type(exc) for exc in errors][:1] == [ZeroDivisionError] and host.complaint is None


async def test_head_of_events():
    ended = []

    async def events(request, sse):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    host = await call(sse_app(events), http_scope(method='HEAD'))
    assert host.header('content-type').startswith('text/event-stream') and host.body == b'' and ended == [True]


async def test_comments_keep_the_stream_alive():
    async def events(request, sse):
        await asyncio.sleep(60)

    host = Host(sse_app(events, keep_alive=0.01), http_scope())
    host.start()
    await until(lambda: len(host.body) > 5)
    assert set(host.body.split(b'\n\n')) == {b':', b''}
    host.leave()
    await host.end()


# ---------------------------------------------------------------------------------------------------------------
# What an attacker tries
# ---------------------------------------------------------------------------------------------------------------

EVIL = ['a\r\nX-Evil: 1', 'a\nX-Evil: 1', 'a\rX-Evil: 1', 'a\0', '\r\n\r\nHTTP/1.1 200 OK']


def inject(kind, text):
    """Put text of a client into a response."""
    response = Response('a')
    if kind == 'header':
        return 'a', {'X': text}
    if kind == 'list':
        return 'a', {'X': ['good', text]}
    if kind == 'name':
        return 'a', {text: 'x'}
    if kind == 'redirect':
        return Response.redirect(text)
    if kind == 'cookie':
        response.set_cookie('a', text)
    elif kind == 'cookie path':
        response.set_cookie('a', 'b', path=text)
    elif kind == 'later':
        response.headers['X'] = text
    elif kind == 'list later':
        response.headers['X'] = ['a', text]
    elif kind == 'type':
        return 'a', {'Content-Type': text}
    elif kind == 'stream':
        return generate('a'), {'X': text}
    elif kind == 'bodyless':
        response = Response(b'', 204)
        response.headers['X'] = text
    return response


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize('text', EVIL)
@pytest.mark.parametrize('kind', ['header', 'list', 'name', 'redirect', 'cookie', 'cookie path', 'later', 'list later',
                                  'type', 'stream', 'bodyless'])
async def test_no_value_ends_a_header(kind, text, method):
    """RFC 9110 section 5.5: CR, LF and NUL in a value are dangerous, whoever writes them to the wire."""
    with logged_errors():
        host = await call(app_of(lambda request: inject(kind, text)), http_scope(method=method))
    assert host.status == 500 and 'Evil' not in str(host.headers)


@pytest.mark.parametrize('text', EVIL)
async def test_no_value_ends_a_header_that_a_hook_adds(text):
    app = Microdot()

    @app.after_request
    @app.after_error_request
    async def after(request, response):
        response.headers['X'] = text

    app.get('/')(lambda request: 'a')
    for path in '/', '/nothing':
        with logged_errors():
            host = await call(app, http_scope(path))
        assert host.status in (404, 500) and 'Evil' not in str(host.headers)


async def test_header_list_that_grows_while_the_stream_is_sent():
    """The head has left."""
    values = ['a']

    def generate_evil():
        values.append('b\r\nEvil: 1')
        yield 'a'

    host = await call(app_of(lambda request: (generate_evil(), {'X': values})), http_scope())
    assert 'Evil' not in str(host.headers)


TARGETS = [  # path, raw_path: they disagree on who is asked
    ('/admin/x', b'/public/x'), ('/public/x', b'/admin/x'), ('/admin/x', b'/admin%2Fx'), ('/admin/x', b'/%61dmin/x'),
    ('/admin/x', b'http://a/public/x'), ('/public/x', b'http://a/admin/x'), ('/admin/x', b'*'), ('/admin/x', b''),
    ('/public/../admin/x', b'/admin/x'), ('/admin/x', b'/public/../admin/x'), ('/public/x', b'/public/x?/admin/x'),
    ('//admin/x', b'/admin/x'), ('/admin/x', b'//admin/x'), ('/admin/x', b'/public/x#/admin/x'),
    ('/public/x', b'/public/x/../../admin/x'), ('/admin/x', b'/public/x;/admin/x'), ('/ADMIN/x', b'/admin/x'),
    ('/admin/x', b'/admin/x%00'), ('/admin/x\0', b'/admin/x'), ('admin/x', b'/admin/x'), ('', b'/admin/x'),
    ('/admin%2Fx', b'/admin/x'), ('/public/x', b'/admin\xff/x'), ('/admin/x', b'/admin/x\r\nX: y'),
    ('/admin/x\r\nX: y', b'/admin/x'), ('/public%2F..%2Fadmin/x', None), ('/admin?/x', b'/admin/x'),
]


@pytest.mark.parametrize('root_path', ['', '/admin', '/public'])
@pytest.mark.parametrize('path, raw_path', TARGETS)
async def test_guard_and_router_see_the_same_path(path, raw_path, root_path):
    """A guard that looks at ``request.path`` cannot be passed: what is routed is what it saw, and the host, too."""
    app = Microdot()
    seen = []

    @app.before_request
    async def guard(request):
        seen.append(request.path)
        assert '\r' not in request.url and '\n' not in request.url
        return 403 if request.path.startswith('/admin') else None

    app.get('/admin/<path:x>')(lambda request, x: 'admin')
    app.get('/public/<path:x>')(lambda request, x: 'public')
    app.get('/<x>')(lambda request, x: 'one')
    host = await call(app, http_scope(path=path, raw_path=raw_path, root_path=root_path))
    assert host.text != 'admin'
    inner = path[len(root_path):] if root_path and path.startswith(root_path + '/') else path
    assert not seen or seen == [inner]
    if host.text == 'public':
        assert inner.startswith('/public/')


@pytest.mark.parametrize('target, status', [('/a%00b', 404), ('/%00', 404), ('/a%0D%0Ab', 200), ('/%2e%2e/x', 200)])
async def test_paths_as_the_built_in_server_sees_them(target, status):
    host = await call(app_of(lambda request, x: {'x': x}, '/<path:x>'), http_scope(target))
    assert host.status == status


async def test_one_request_does_not_see_the_data_of_another():
    user = contextvars.ContextVar('user', default='nobody')
    app = Microdot()

    @app.before_request
    async def before(request):
        assert user.get() == 'nobody' and not hasattr(request.g, 'user')
        user.set(request.args['user'])
        request.g.user = request.args['user']

    @app.post('/async')
    async def handler(request):
        body = request.body.decode()
        await asyncio.sleep(0.001)
        return ' '.join([user.get(), request.g.user, request.args['user'], body, request.headers['X-User']])

    @app.post('/def')
    def blocking(request):
        return ' '.join([user.get(), request.g.user, request.args['user'], request.body.decode(),
                         request.headers['X-User']])

    async def ask(n):
        name = f'user{n}'
        scope = http_scope(f'/{"async" if n % 2 else "def"}?user={name}', 'POST', [
            (b'x-user', name.encode()), length(len(name))])
        return (await call(app, scope, *pieces(name[:3].encode(), name[3:].encode()))).text

    assert user.get() == 'nobody'
    threads = threading.active_count()
    hosts = [asyncio.create_task(ask_alone(ask, n)) for n in range(60)]
    assert await asyncio.gather(*hosts) == [' '.join([f'user{n}'] * 5) for n in range(60)]
    assert threading.active_count() - threads < 60


async def ask_alone(ask, n):
    """Hosts call applications in contexts of their own."""
    return await ask(n)


async def test_response_that_is_returned_twice_is_not_changed_by_the_first():
    """A response that many requests share, and a HEAD among them."""
    shared = Response('shared', 200, {'X-Y': 'z'})
    app = respond(shared)
    for method, body in ('HEAD', b''), ('GET', b'shared'), ('GET', b'shared'):
        host = await call(app, http_scope(method=method))
        assert host.body == body and host.header('content-length') == '6' and host.header('x-y') == 'z'


async def test_headers_of_strangers_are_not_remembered():
    """Neither do they fill the memory, nor are their secrets kept."""
    app = app_of(lambda request: str(len(request.headers)))
    await call(app, http_scope())
    tracemalloc.start()
    try:
        for n in range(200):
            await call(app, http_scope(headers=[(b'x', b'%d' % n * 20000)]))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2 * 10 ** 6
    finally:
        tracemalloc.stop()


async def test_many_headers_of_one_name_take_no_more_than_linear_time():
    headers = [(b'x', b'a')] * 10000
    host = await call(app_of(lambda request: str(len(request.headers['x']))), http_scope(headers=headers))
    assert host.status in (200, 431)
