"""The adapter to WSGI: what it makes of an environ, and what it gives back; checked_wsgi.py watches over all of it.

Sections are those of PEP 3333 where nothing else is said. test_hosts.py runs the adapter under real hosts.

"""
import asyncio
import contextvars
import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from wsgiref.util import FileWrapper

import pytest
from checked_wsgi import Host, Input, call, environ

from helpers import changed, logged_errors
from microdot import Request, Response, abort, send_file
from microdot.microdot import invoke_handler
from microdot.sse import with_sse
from microdot.test_client import TestClient
from microdot.websocket import WebSocketError
from microdot.wsgi import Microdot, with_websocket
from microdot.wsgi import Request as WSGIRequest

TEXT = ('content-type', 'text/plain; charset=UTF-8')
JSON = ('content-type', 'application/json; charset=UTF-8')
PATIENCE = 20  # seconds


def app_of(f, *patterns, methods=('GET', 'POST')):
    """Return an application whose only handler is this."""
    app = Microdot()
    for pattern in patterns or ['/']:
        app.route(pattern, methods=list(methods))(f)
    return app


async def describe(request, **args):
    return {'path': request.path, 'url': request.url, 'root_path': request.root_path, 'args': args,
            'query': request.query_string, 'client': request.client_addr, 'scheme': request.scheme,
            'version': request.http_version, 'method': request.method, 'headers': request.headers,
            'cookies': request.cookies}


describing = app_of(describe, '/', '/<path:rest>')


def described(*args, **kwargs):
    return json.loads(call(describing, *args, **kwargs).body)


def until(condition):
    """Wait until something becomes true, and fail if it takes long."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, 'it never became true'
        time.sleep(0.005)


def in_threads(f, arguments):
    """Call a function with each argument, each in a thread of its own and all at once, and return the results."""
    arguments = list(arguments)
    barrier = threading.Barrier(len(arguments))

    def run(argument):
        barrier.wait(PATIENCE)
        return f(argument)

    with ThreadPoolExecutor(len(arguments)) as threads:
        return [future.result(2 * PATIENCE) for future in [threads.submit(run, argument) for argument in arguments]]


class Watched:
    """An async generator of pieces that tells how far it got and whether it was closed."""

    def __init__(self, *items, waits=False):
        self.items = items
        self.waits = waits
        self.given = 0
        self.has_begun = self.is_closed = False
        self.go_on = threading.Event()

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
            await asyncio.sleep(0)
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


# ---------------------------------------------------------------------------------------------------------------
# environ Variables: what a request is
# ---------------------------------------------------------------------------------------------------------------

def test_everything_of_an_environ():
    assert described('/a%20b?c=d', HTTP_X_Y='z', HTTP_COOKIE='e=f; g=h', CONTENT_TYPE='x/y') == {
        'path': '/a b', 'url': '/a%20b?c=d', 'root_path': '', 'args': {'rest': 'a b'}, 'query': 'c=d',
        'client': ['192.0.2.1', 50000], 'scheme': 'http', 'version': '1.1', 'method': 'GET',
        'headers': {'Host': 'example.com', 'X-Y': 'z', 'Cookie': 'e=f; g=h', 'Content-Type': 'x/y'},
        'cookies': {'e': 'f', 'g': 'h'}}


OPTIONAL = {  # key that may be absent: what that means
    'REMOTE_ADDR': ('client', ['', 50000]),
    'REMOTE_PORT': ('client', ['192.0.2.1', 0]),
    'QUERY_STRING': ('query', None),
    'CONTENT_TYPE': ('path', '/a b'),
    'CONTENT_LENGTH': ('path', '/a b'),
    'HTTP_HOST': ('headers', {}),
    'REQUEST_URI': ('url', '/a%20b?q=1'),
    'SCRIPT_NAME': ('root_path', ''),
    'SERVER_PROTOCOL': ('version', '1.1'),
    'SERVER_NAME': ('path', '/a b'),
    'wsgi.multithread': ('path', '/a b'),
}


@pytest.mark.parametrize('key', OPTIONAL)
def test_optional_keys(key):
    name, value = OPTIONAL[key]
    values = environ('/a%20b?q=1')
    values.pop(key, None)
    assert json.loads(call(describing, values, is_checked=False).body)[name] == value


@pytest.mark.parametrize('values', [
    {'REMOTE_ADDR': ''}, {'REMOTE_PORT': ''}, {'REMOTE_PORT': 'x'}, {'QUERY_STRING': ''}, {'CONTENT_TYPE': ''},
    {'CONTENT_LENGTH': ''}, {'REQUEST_URI': ''}, {'RAW_URI': ''}, {'HTTP_HOST': ''}, {'SERVER_PROTOCOL': ''},
    {'SERVER_PROTOCOL': 'INCLUDED'}])
def test_keys_that_are_empty_or_odd(values):
    """CGI (RFC 3875 section 4.1.6 and others) says empty for what is not there; INCLUDED is of section 4.1.16."""
    assert call(describing, **values).status == 200


def test_path_info_may_be_empty():
    """It is, where the URL is that of the application itself; one of both has to be there."""
    for path in '', None:  # the latter is more than wsgiref.validate can take
        found = described(REQUEST_URI=None, SCRIPT_NAME='/app', PATH_INFO=path, is_checked=False)
        assert (found['root_path'], found['path'], found['args']) == ('/app', '/', {})
    assert call(describing, PATH_INFO='', REQUEST_URI=None, is_checked=False).status == 200


@pytest.mark.parametrize('protocol, version', [('HTTP/1.1', '1.1'), ('HTTP/1.0', '1.0'), ('HTTP/2.0', '2.0'),
                                               ('HTTP/2', '2')])
def test_versions(protocol, version):
    assert described(SERVER_PROTOCOL=protocol)['version'] == version


@pytest.mark.parametrize('scheme', ['http', 'https'])
def test_schemes(scheme):
    assert described(**{'wsgi_url_scheme': scheme})['scheme'] == scheme


def test_the_environ_itself():
    def handler(request):
        return request.environ['my.key']

    values = environ()
    values['my.key'] = 'value'
    assert call(app_of(handler), values).text == 'value'


def wsgi(text):
    """Return a text as WSGI has it (section "Unicode Issues"): each byte of UTF-8 a character."""
    return text.encode().decode('latin-1')


PATHS = [  # PATH_INFO, REQUEST_URI, request.path, request.url (None: not said), argument of "/<path:rest>", why
    ('/a', '/a', '/a', '/a', 'a', 'they agree'),
    ('/a', None, '/a', '/a', 'a', 'REQUEST_URI is not of the standard'),
    ('/a b', None, '/a b', '/a%20b', 'a b', 'encoded again (RFC 3986 section 2.1)'),
    (wsgi('/ä€'), None, '/ä€', '/%C3%A4%E2%82%AC', 'ä€', 'UTF-8'),
    (wsgi('/ä'), '/%C3%A4', '/ä', '/%C3%A4', 'ä', 'UTF-8, encoded'),
    (wsgi('/ä'), wsgi('/ä'), '/ä', None, 'ä', 'UTF-8, not encoded'),
    ('/\xe4', '/%E4', '/ä', None, 'ä', 'Latin-1, as under the built-in server'),
    ('/\xe4', None, '/ä', None, 'ä', 'Latin-1'),
    ('/a?b', None, '/a?b', '/a%3Fb', 'a?b', 'an encoded question mark'),
    ('/a%20', None, '/a%20', '/a%2520', 'a%20', 'not decoded twice'),
    ('/a%20', '/a%2520', '/a%20', '/a%2520', 'a%20', 'encoded twice'),
    ('/a/b', '/a%2Fb', '/a/b', '/a%2Fb', 'a/b', 'an encoded slash (RFC 3986 section 2.2)'),
    ('/a', '/a?q=1', '/a', '/a', 'a', 'the query of REQUEST_URI is in QUERY_STRING'),
    ('/a', 'http://example.com/a', '/a', '/a', 'a', 'absolute form (RFC 9112 section 3.2.2)'),
    ('/a', '/b', '/a', '/a', 'a', 'PATH_INFO decides'),
    ('/a', '*', '/a', '/a', 'a', 'PATH_INFO decides'),
    ('//a', '//a', '//a', '//a', '/a', 'not an authority'),
]


@pytest.mark.parametrize('key', ['REQUEST_URI', 'RAW_URI'])
@pytest.mark.parametrize('path, uri, expected, url, rest, why', PATHS)
def test_paths(path, uri, expected, url, rest, why, key):
    found = described(**{'PATH_INFO': path, 'REQUEST_URI': None, key: uri})
    assert found['path'] == expected, why
    assert url is None or found['url'] == url, why
    assert found['args'] == {'rest': rest}, why


@pytest.mark.parametrize('uri, expected', [('/a%2Fb', 'one: a/b'), ('/a/b', 'two: a, b'), (None, 'two: a, b'),
                                           ('/c/d', 'two: a, b'), ('http://a/a%2fb', 'one: a/b')])
def test_encoded_slash_does_not_split_a_segment(uri, expected):
    app = Microdot()
    app.get('/<x>')(lambda request, x: 'one: ' + x)
    app.get('/<x>/<y>')(lambda request, x, y: f'two: {x}, {y}')
    found = call(app, PATH_INFO='/a/b', REQUEST_URI=uri).text
    assert found == expected or uri == 'http://a/a%2fb' and found == 'two: a, b'


MOUNTS = [  # SCRIPT_NAME, PATH_INFO, REQUEST_URI, request.root_path, request.path, request.url
    ('', '/x', '/x', '', '/x', '/x'),
    ('/app', '/x', '/app/x', '/app', '/x', '/app/x'),
    ('/app', '/x', None, '/app', '/x', '/app/x'),
    ('/app', '/', '/app/', '/app', '/', '/app/'),
    ('/app', '/app/x', '/app/app/x', '/app', '/app/x', '/app/app/x'),
    ('/a b', '/x', '/a%20b/x', '/a b', '/x', '/a%20b/x'),
    (wsgi('/ä'), '/x', '/%C3%A4/x', '/ä', '/x', '/%C3%A4/x'),
    ('/app', '/a/b', '/app/a%2Fb', '/app', '/a/b', '/app/a%2Fb'),
    ('/app', '/x', '/x', '/app', '/x', None),  # a proxy has taken the prefix away
    ('/app', '/x', '/other/x', '/app', '/x', None),
]


@pytest.mark.parametrize('script_name, path, uri, root, expected, url', MOUNTS)
def test_script_names(script_name, path, uri, root, expected, url):
    found = described(SCRIPT_NAME=script_name, PATH_INFO=path, REQUEST_URI=uri)
    assert (found['root_path'], found['path']) == (root, expected)
    assert url is None or found['url'] == url


QUERIES = [  # QUERY_STRING, request.query_string, request.args
    ('a=%C3%A4&b=+', 'a=%C3%A4&b=+', {'a': 'ä', 'b': ' '}),
    (wsgi('a=ä'), 'a=ä', {'a': 'ä'}),
    ('a=\xe4', 'a=ä', {'a': 'ä'}),
    ('a=1?2', 'a=1?2', {'a': '1?2'}),
]


@pytest.mark.parametrize('query, text, args', QUERIES)
def test_query_strings(query, text, args):
    app = app_of(lambda request: [request.query_string, {key: request.args[key] for key in request.args}])
    assert json.loads(call(app, QUERY_STRING=query, REQUEST_URI=None).body) == [text, args]


HEADERS = [  # of the environ, name, value
    ({'HTTP_X_Y': 'a'}, 'X-Y', 'a'),
    ({'HTTP_X_Y': wsgi('ä€')}, 'x-y', 'ä€'),
    ({'HTTP_X_Y': '\xe4'}, 'x-y', 'ä'),
    ({'HTTP_X_Y': '\xc3\xa4\xff'}, 'x-y', '\xc3\xa4\xff'),
    ({'HTTP_X_Y': ''}, 'x-y', ''),
    ({'CONTENT_TYPE': 'a/b'}, 'Content-Type', 'a/b'),
    ({'HTTP_ETAG': '"a"'}, 'ETag', '"a"'),
]


@pytest.mark.parametrize('values, name, value', HEADERS)
def test_request_headers(values, name, value):
    app = app_of(lambda request: [request.headers[name], len(request.headers), request.headers.get('nothing')])
    assert json.loads(call(app, **values).body) == [value, 2, None]


@pytest.mark.parametrize('values', [{'HTTP_CONTENT_LENGTH': '99', 'HTTP_CONTENT_TYPE': 'text/evil'},
                                    {'HTTP_CONTENT_LENGTH': '1'}])
def test_headers_that_only_look_like_those_of_the_body(values):
    """Content-Length is in CONTENT_LENGTH; HTTP_CONTENT_LENGTH is "Content_Length", which anybody may have sent."""
    app = app_of(lambda request: [request.body.decode(), request.content_type])
    host = call(app, method='POST', body=b'abc', CONTENT_TYPE='a/b', is_checked=False, **values)
    assert host.status == 400 or json.loads(host.body) == ['abc', 'a/b']


# ---------------------------------------------------------------------------------------------------------------
# The start_response() Callable: responses
# ---------------------------------------------------------------------------------------------------------------

def respond(value):
    return app_of(lambda request: value)


RESPONSES = [  # what a handler returns, status, headers, body
    ('ä', '200 OK', [TEXT, ('content-length', '2')], 'ä'.encode()),
    (b'\xff', '200 OK', [TEXT, ('content-length', '1')], b'\xff'),
    (b'', '200 OK', [TEXT, ('content-length', '0')], b''),
    ({'a': [1]}, '200 OK', [JSON, ('content-length', '10')], b'{"a": [1]}'),
    (('a', 201), '201 Created', [TEXT, ('content-length', '1')], b'a'),
    (('a', {'X-Y': 'z'}), '200 OK', [TEXT, ('content-length', '1'), ('x-y', 'z')], b'a'),
    (('a', 202, {'Content-Type': 'a/b'}), '202 Accepted', [('content-type', 'a/b'), ('content-length', '1')], b'a'),
    (404, '404 Not Found', [TEXT, ('content-length', '0')], b''),
    (None, '204 No Content', [], b''),
    (('', 304, {'ETag': '"a"'}), '304 Not Modified', [('etag', '"a"')], b''),
    (('body', 304), '304 Not Modified', [], b''),
    (('a', {'X': ['1', '2']}), '200 OK', [TEXT, ('content-length', '1'), ('x', '1'), ('x', '2')], b'a'),
    (('a', {'X': 'ä€'}), '200 OK', [TEXT, ('content-length', '1'), ('x', 'ä€')], b'a'),
    (('a', {'X': '\xff'}), '200 OK', [TEXT, ('content-length', '1'), ('x', '\xff')], b'a'),
    (('a', {'X': 5}), '200 OK', [TEXT, ('content-length', '1'), ('x', '5')], b'a'),
    (Response('a', reason='Fine'), '200 Fine', [TEXT, ('content-length', '1')], b'a'),
    (Response('a', reason='ä'), '200 ' + wsgi('ä'), [TEXT, ('content-length', '1')], b'a'),
    (Response.redirect('/x'), '302 Found', [TEXT, ('content-length', '0'), ('location', '/x')], b''),
]


@pytest.mark.parametrize('value, status, headers, body', RESPONSES)
def test_responses(value, status, headers, body):
    host = call(respond(value))
    assert (host.starts[0][0], host.body) == (status, body)
    assert sorted(host.headers) == sorted(headers)


@pytest.mark.parametrize('value, status, headers, body', RESPONSES)
def test_head(value, status, headers, body):
    """RFC 9110 section 9.3.2."""
    host = call(respond(value), method='HEAD')
    assert (host.starts[0][0], host.body) == (status, b'')
    assert sorted(host.headers) == sorted(headers)


@pytest.mark.parametrize('response', [('a', 299), ('a', 599), Response('a', reason=''), Response('a', 299, reason='')])
def test_status_without_a_reason_has_one(response):
    """A status is a code, one space, and a phrase, "with no surrounding whitespace"."""
    assert call(respond(response)).status in (200, 299, 599)


@pytest.mark.parametrize('name', ['Connection', 'Keep-Alive', 'Proxy-Authenticate', 'Proxy-Authorization', 'TE',
                                  'Trailers', 'Trailer', 'Transfer-Encoding', 'Upgrade', 'connection'])
def test_hop_by_hop_headers_are_the_hosts(name):
    """Section "Other HTTP Features": an application is forbidden to use them; hosts fail if it does."""
    host = call(respond(('a', {name: 'x', 'Y': 'z'})))
    assert host.header('y') == 'z' and host.status == 200


def test_not_found_and_wrong_method():
    assert call(Microdot(), '/x').status == 404
    host = call(app_of(lambda request: 'a', methods=['GET']), method='DELETE')
    assert host.status == 405 and host.header('allow') == 'GET, HEAD, OPTIONS'
    assert call(app_of(lambda request: 'a'), method='OPTIONS').header('allow') == 'GET, POST, HEAD, OPTIONS'


@pytest.mark.parametrize('is_async', [True, False])
def test_error_of_a_handler(is_async):
    """It is answered by the application, logged once, and no news for the host."""
    def fail(request):
        raise KeyError('x')

    async def fail_later(request):
        await asyncio.sleep(0)
        fail(request)

    with logged_errors() as errors:
        host = call(app_of(fail_later if is_async else fail))
    assert host.status == 500 and [type(exc) for exc in errors] == [KeyError]


def test_stop_iteration_of_a_handler():
    """A future cannot hold it, and would never be done."""
    with logged_errors():
        assert call(app_of(lambda request: next(iter(())))).status == 500


def test_cookies_of_a_response():
    response = Response('a')
    response.set_cookie('a', '1')
    response.set_cookie('b', '2', path='/')
    assert [value for name, value in call(respond(response)).headers if name == 'set-cookie'] == ['a=1', 'b=2; Path=/']


def test_headers_of_a_request_and_a_response_are_their_own():
    """Hosts and middleware may change what they are given."""
    app = respond('a')
    for _ in range(3):
        host = Host(app, environ()).start()
        host.starts[0][1].append(('X-Middleware', '1'))
        host.close()
    assert call(app).header('x-middleware') is None


async def test_the_test_client_and_the_built_in_server_still_serve_it():
    response = await TestClient(app_of(lambda request: request.path)).get('/')
    assert response.status_code == 200 and response.text == '/'


# ---------------------------------------------------------------------------------------------------------------
# Input and Error Streams: bodies
# ---------------------------------------------------------------------------------------------------------------

async def echo(request):
    return request.body


async def echo_stream(request):
    return await request.stream.read()


def echo_def(request):
    return request.body


KINDS = {  # handler, max_body_length
    'body': (echo, 16384),
    'def': (echo_def, 16384),
    'stream': (echo_stream, 2),
}


@pytest.fixture(params=KINDS)
def echoing(request):
    handler, size = KINDS[request.param]
    with changed(Request, max_body_length=size):
        yield app_of(handler)


@pytest.mark.parametrize('pieces', [[b'abcd'], [b'a', b'b', b'cd'], [b'', b'abc', b'', b'd']])
def test_bodies(echoing, pieces):
    """read() may return less than it was asked for."""
    body = Input(*pieces, length=4)
    assert call(echoing, method='POST', body=body, CONTENT_LENGTH='4').body == b'abcd'


def test_body_with_more_behind_it(echoing):
    """The application must not read more than CONTENT_LENGTH says."""
    body = Input(b'abcdGET / HTTP/1.1', length=4)
    assert call(echoing, method='POST', body=body, CONTENT_LENGTH='4').body == b'abcd'


@pytest.mark.parametrize('value', [None, '', '0'])
def test_no_length_is_no_body(echoing, value):
    """CONTENT_LENGTH "may be empty or missing"; then nothing is read: a socket would wait without end."""
    body = Input(error=AssertionError('read'), length=0)
    host = call(echoing, method='POST', body=body, CONTENT_LENGTH=value)
    assert host.status == 200 and host.body == b'' and body.reads == 0


@pytest.mark.parametrize('value', ['x', '-1', '+4', '4, 5', '4_0', '0x4', '4.0', wsgi('４')])
def test_malformed_length_is_a_400(echoing, value):
    """RFC 9110 section 8.6."""
    body = Input(b'abcd', error=AssertionError('read'))
    assert call(echoing, method='POST', body=body, CONTENT_LENGTH=value, is_checked=False).status == 400
    assert body.reads == 0


@pytest.mark.parametrize('value', ['16385', '9' * 18, '9' * 5000])
def test_length_over_the_limit_is_refused_unread(echoing, value):
    body = Input(error=AssertionError('read'))
    assert call(echoing, method='POST', body=body, CONTENT_LENGTH=value, is_checked=False).status == 413
    assert body.reads == 0


@pytest.mark.parametrize('body', [Input(b'ab'), Input(), Input(b'ab', error=OSError('gone')),
                                  Input(error=ConnectionResetError()), Input(b'a', error=RuntimeError('host')),
                                  Input(b'a', error=EOFError())])
def test_input_that_ends_early_is_a_400(echoing, body):
    """RFC 9112 section 6.3: the message is incomplete. What hosts raise differs."""
    body.pieces = list(body.pieces)
    with logged_errors() as errors:
        host = call(echoing, method='POST', body=Input(*body.pieces, error=body.error), CONTENT_LENGTH='4')
    assert host.status == 400 and not errors


CHUNKED = {'HTTP_TRANSFER_ENCODING': 'chunked', 'CONTENT_LENGTH': None}


@pytest.mark.parametrize('pieces', [[b'abcd'], [b'a', b'bcd'], [b'abc', b'', b'd']])
def test_body_that_the_host_terminates(echoing, pieces):
    """ "wsgi.input_terminated": read() returns b'' at the end, whatever the framing was."""
    host = call(echoing, method='POST', body=Input(*pieces), wsgi_input_terminated=True, **CHUNKED)
    assert host.body == b'abcd'


def test_body_without_an_end_needs_a_length(echoing):
    """RFC 9110 section 15.5.12."""
    body = Input(b'abcd', error=AssertionError('read'))
    assert call(echoing, method='POST', body=body, **CHUNKED).status == 411
    assert body.reads == 0


def test_terminated_input_without_headers_of_a_body_is_not_read(echoing):
    body = Input(error=AssertionError('read'))
    assert call(echoing, method='GET', body=body, wsgi_input_terminated=True, CONTENT_LENGTH=None).body == b''


def test_length_counts_also_where_the_host_terminates(echoing):
    body = Input(b'abcd', length=4)
    assert call(echoing, method='POST', body=body, CONTENT_LENGTH='4', wsgi_input_terminated=True).body == b'abcd'


@pytest.mark.parametrize('max_body_length', [10, 100, 1000])
@pytest.mark.parametrize('size', [100, 101, 100000])
def test_body_without_length_is_counted_as_it_arrives(max_body_length, size):
    body = Input(*[b'x' * 10] * (size // 10), b'x' * (size % 10))
    with changed(Request, max_body_length=max_body_length, max_content_length=100):
        host = call(app_of(echo_stream), method='POST', body=body, wsgi_input_terminated=True, **CHUNKED)
    assert host.status == (413 if size > 100 else 200) and body.taken <= 110


FRAMINGS = [  # of the environ, status: what a proxy in front may read in another way (RFC 9112 section 6)
    ({'HTTP_TRANSFER_ENCODING': 'chunked', 'CONTENT_LENGTH': '4'}, 400),
    ({'HTTP_TRANSFER_ENCODING': 'chunked', 'SERVER_PROTOCOL': 'HTTP/1.0'}, 400),
    ({'HTTP_TRANSFER_ENCODING': 'gzip, chunked'}, 501),
    ({'HTTP_TRANSFER_ENCODING': 'chunked, chunked'}, 400),
    ({'HTTP_TRANSFER_ENCODING': ''}, 400),
    ({'CONTENT_LENGTH': '4, 5'}, 400),
    ({'CONTENT_LENGTH': '4', 'HTTP_EXPECT': '100-continue'}, 200),
    ({'CONTENT_LENGTH': '4', 'HTTP_EXPECT': 'something'}, 417),
]


@pytest.mark.parametrize('values, status', FRAMINGS)
def test_framing_as_the_built_in_server_reads_it(echoing, values, status):
    host = call(echoing, method='POST', body=Input(b'abcd'), wsgi_input_terminated=True, is_checked=False, **values)
    assert (host.status, host.body if status == 200 else b'abcd') == (status, b'abcd')


@pytest.mark.parametrize('cls', [Request, WSGIRequest])
def test_limits_are_set_where_they_are_documented(cls):
    """Whichever class an application takes for it, the limit is one."""
    with changed(cls, max_content_length=5):
        assert call(app_of(echo), method='POST', body=b'x' * 10).status == 413
        host = call(app_of(echo), method='POST', body=Input(b'x' * 10), wsgi_input_terminated=True, **CHUNKED)
        assert host.status == 413
    with changed(cls, max_content_length=30000, max_body_length=30000):
        assert len(call(app_of(echo), method='POST', body=b'x' * 20000).body) == 20000


def test_upload_that_nobody_reads_is_not_kept():
    body = Input(*[b'x' * 1000] * 1000, length=10 ** 6)
    with changed(Request, max_content_length=10 ** 7):
        assert call(app_of(lambda request: 'ok'), method='POST', body=body, CONTENT_LENGTH='1000000').text == 'ok'
    assert body.taken < 20000


def test_stream_is_read_as_the_handler_asks():
    seen = []

    async def handler(request):
        for _ in range(3):
            seen.append(body.taken)
            assert await request.stream.readexactly(10000) == b'x' * 10000
        return 'ok'

    body = Input(*[b'x' * 10000] * 100, length=10 ** 6)
    with changed(Request, max_content_length=10 ** 7):
        assert call(app_of(handler), method='POST', body=body, CONTENT_LENGTH='1000000').text == 'ok'
    assert seen == [0, 10000, 20000] and body.taken == 30000


def test_input_is_read_in_the_thread_of_the_host():
    """Section "Thread Support": hosts whose objects belong to their threads would be surprised."""
    threads = []

    class Noting(Input):
        def read(self, n=-1):
            threads.append(threading.get_ident())
            return super().read(n)

    for size in 4, 40000:
        with changed(Request, max_content_length=10 ** 7):
            host = call(app_of(echo_stream), method='POST', body=Noting(b'x' * size, length=size),
                        CONTENT_LENGTH=str(size))
        assert len(host.body) == size
    assert set(threads) == {threading.get_ident()}


def test_form_and_json():
    app = app_of(lambda request: [dict(request.form or {}) and request.form['a'], request.json])
    form = call(app, method='POST', body=b'a=%C3%A4', CONTENT_TYPE='application/x-www-form-urlencoded')
    assert json.loads(form.body) == ['ä', None]
    assert json.loads(call(app, method='POST', body=b'{"a": 1}', CONTENT_TYPE='application/json').body)[1] == {'a': 1}
    assert call(app, method='POST', body=b'{', CONTENT_TYPE='application/json').status == 400


# ---------------------------------------------------------------------------------------------------------------
# Buffering and Streaming
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


@pytest.mark.parametrize('is_async', [True, False])
@pytest.mark.parametrize('kind', STREAMS)
def test_streams(kind, is_async):
    async def handler(request):
        return STREAMS[kind]()

    host = call(app_of(handler if is_async else lambda request: STREAMS[kind]()))
    assert host.status == 200 and host.body == b'abcd' and host.header('content-length') is None
    assert len([piece for piece in host.pieces if piece]) > 1


@pytest.mark.parametrize('items', [(), ('',)])
def test_empty_stream(items):
    assert call(app_of(lambda request: generate(*items))).body == b''
    assert call(app_of(lambda request: Watched(*items)())).body == b''


def next_piece(host):
    """Return the next piece that is not empty."""
    while True:
        piece = next(host)
        if piece:
            return piece


@pytest.mark.parametrize('is_async', [True, False])
def test_pieces_arrive_as_they_are_made(is_async):
    """ "must transmit each block before it asks for the next": nothing is joined, nothing waits for the end."""
    steps = threading.Semaphore(0)

    def wait():
        for n in range(3):
            yield str(n)
            assert steps.acquire(timeout=PATIENCE)

    async def wait_async():
        for n in range(3):
            yield str(n)
            await asyncio.to_thread(steps.acquire, timeout=PATIENCE)

    host = Host(app_of(lambda request: (wait_async if is_async else wait)()), environ()).start()
    assert next_piece(host) == b'0'
    steps.release()
    assert next_piece(host) == b'1'
    steps.release()
    assert next_piece(host) == b'2'
    steps.release()
    with pytest.raises(StopIteration):
        next_piece(host)
    host.close()


@pytest.mark.parametrize('taken', [0, 1, 2])
def test_close_in_the_middle_frees_an_async_generator(taken):
    """Section "Specification Details": close() is called, however the request ended. Then nothing is left."""
    stream = Watched(*'abc', waits=True)
    host = Host(app_of(lambda request: stream()), environ()).start()
    for _ in range(taken):
        next_piece(host)
    with logged_errors() as errors:
        host.close()
    assert stream.is_closed == stream.has_begun and not errors


@pytest.mark.parametrize('taken', [0, 1])
def test_close_in_the_middle_frees_an_iterator(taken):
    stream = Closable(['a', 'b'])
    host = Host(app_of(lambda request: stream), environ()).start()
    for _ in range(taken):
        next_piece(host)
    host.close()
    assert stream.is_closed


def test_close_in_the_middle_frees_a_generator():
    ended = []

    def stream():
        try:
            yield 'a'
            yield 'b'
        finally:
            ended.append(threading.get_ident())

    host = Host(app_of(lambda request: stream()), environ()).start()
    next_piece(host)
    host.close()
    assert ended == [threading.get_ident()]


def test_stream_waits_for_the_host():
    """Back-pressure: what nobody takes is not made."""
    stream = Watched(*[b'x' * 10000] * 1000)
    host = Host(app_of(lambda request: stream()), environ()).start()
    next_piece(host)
    until(lambda: stream.given >= 2)
    time.sleep(0.2)  # time enough for all of them
    assert stream.given < 12
    while True:
        try:
            next(host)
        except StopIteration:
            break
    host.close()
    assert len(host.body) == 10 ** 7 and stream.is_closed


def test_generator_does_not_run_ahead():
    given = []

    def stream():
        for n in range(100):
            given.append(n)
            yield b'x' * 1000

    host = Host(app_of(lambda request: stream()), environ()).start()
    for n in range(5):
        next_piece(host)
        assert len(given) <= n + 2
    host.close()


async def duplex(request):
    """Send back what comes, while it comes."""
    async def stream():
        while True:
            data = await request.stream.read(1000)
            if not data:
                break
            yield data.upper()

    return stream()


@pytest.mark.parametrize('taken', [0, 1, 3, None])
def test_stream_that_reads_the_body_while_it_is_sent(taken):
    """Both are in the thread of the host, which may stop at any time."""
    with changed(Request, max_body_length=2, max_content_length=10 ** 9):
        body = Input(*[b'x' * 1000] * 1000, length=10 ** 6)
        host = Host(app_of(duplex), environ('/', 'POST', body, CONTENT_LENGTH='1000000')).start()
        if taken is None:
            with pytest.raises(StopIteration):
                while True:
                    next_piece(host)
            assert host.body == b'X' * 10 ** 6
        for _ in range(taken or 0):
            next_piece(host)
        with logged_errors() as errors:
            host.close()
    assert not errors and (taken is None or body.taken < 300000)


def test_body_that_is_read_when_the_request_is_over():
    """The input belongs to the host again."""
    found = []
    done = threading.Event()
    tasks = []

    async def later(request):
        await asyncio.sleep(0.05)
        try:
            found.append(await request.stream.read())
        except Exception as exc:
            found.append(type(exc))
        done.set()

    async def handler(request):
        tasks.append(asyncio.create_task(later(request)))
        return 'soon'

    body = Input(b'x' * 1000, length=1000)
    with changed(Request, max_body_length=2):
        call(app_of(handler), method='POST', body=body, CONTENT_LENGTH='1000')
        assert done.wait(PATIENCE)
    assert body.reads == 0 and issubclass(found[0], (ValueError, OSError))


@pytest.mark.parametrize('is_async', [True, False])
@pytest.mark.parametrize('count', [0, 1, 2])
def test_stream_that_raises(count, is_async):
    """Section "Error Handling": the host gets the exception, and breaks the connection."""
    items = ['a', 'b'][:count]

    def fail():
        yield from items
        raise ZeroDivisionError

    stream = Watched(*items, ZeroDivisionError('x'))
    host = Host(app_of(lambda request: stream() if is_async else fail()), environ()).start()
    with logged_errors(), pytest.raises(ZeroDivisionError):
        while True:
            next(host)
    assert host.body == ''.join(items).encode()
    host.close()
    assert stream.is_closed == is_async and len(host.starts) <= 1


LENGTHS = [(4, ['ab', 'cd'], True), (4, ['ab', 'cde'], False), (4, ['ab'], False), (4, [], False), (0, [], True),
           (4, ['abcd', 'e'], False)]


@pytest.mark.parametrize('is_async', [True, False])
@pytest.mark.parametrize('size, items, is_right', LENGTHS)
def test_stream_with_a_length(size, items, is_right, is_async):
    """ "Handling the Content-Length Header": never more than it says; less is an error that must show."""
    host = Host(app_of(lambda request: ((Watched(*items)() if is_async else generate(*items)),
                                        {'Content-Length': str(size)})), environ()).start()
    error = None
    with logged_errors():
        try:
            while True:
                next(host)
        except (StopIteration, ValueError) as exc:
            error = exc
        host.close()
    assert len(host.body) <= size and isinstance(error, StopIteration) == is_right


@pytest.mark.parametrize('item', [5, ['a'], object()])
@pytest.mark.parametrize('is_async', [True, False])
def test_piece_that_is_not_bytes(item, is_async):
    host = Host(app_of(lambda request: Watched('a', item)() if is_async else generate('a', item)), environ()).start()
    assert next_piece(host) == b'a'
    with pytest.raises((TypeError, AttributeError)), logged_errors():
        next_piece(host)
    host.close()


def test_file(tmp_path):
    path = tmp_path / 'a.bin'
    path.write_bytes(bytes(range(256)) * 1000)
    app = app_of(lambda request: send_file(str(path)))
    for values in {}, {'wsgi_file_wrapper': FileWrapper}:
        host = call(app, **values)
        assert host.body == path.read_bytes() and host.header('content-length') == '256000'
        host = call(app, HTTP_RANGE='bytes=1-3', **values)
        assert host.status == 206 and host.body == b'\1\2\3'
        assert call(app, HTTP_IF_NONE_MATCH=host.header('etag'), **values).status == 304


def test_head_of_a_file_does_not_open_it(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'abc')
    opened = []
    is_watching = True

    def watch(event, args):
        if is_watching and event == 'open' and str(args[0]) == str(path):
            opened.append(args)

    sys.addaudithook(watch)
    app = app_of(lambda request: send_file(str(path)))
    assert call(app, method='HEAD').header('content-length') == '3' and not opened
    call(app)
    is_watching = False
    assert opened  # the audit works


@pytest.mark.parametrize('method, status', [('HEAD', 200), ('GET', 304), ('GET', 204), ('HEAD', 304)])
def test_stream_that_is_not_sent_is_closed_unread(method, status):
    stream = Closable()
    assert call(app_of(lambda request: (stream, status)), method=method).body == b''
    until(lambda: stream.is_closed)
    assert not stream.has_begun


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
@pytest.mark.parametrize('replacement', ['bytes', 'stream', 'wrapper'])
def test_hooks_that_replace_a_stream(method, replacement):
    first, second = Closable(['a', 'b']), Closable(['c'])
    app = app_of(lambda request: first)

    @app.after_request
    async def after(request, response):
        if replacement == 'bytes':
            return Response(b'c')
        if replacement == 'stream':
            return Response(second)
        response.body = (item.upper() for item in response.body)
        return None

    host = call(app, method=method)
    assert host.body == (b'' if method == 'HEAD' else b'AB' if replacement == 'wrapper' else b'c')
    until(lambda: first.is_closed and second.is_closed == (replacement == 'stream'))


# ---------------------------------------------------------------------------------------------------------------
# Thread Support
# ---------------------------------------------------------------------------------------------------------------

def test_def_functions_run_in_the_thread_of_the_host():
    """Middleware, and what keeps a connection to a database for each thread, counts on that."""
    threads = []
    app = Microdot()

    def note(*args):
        threads.append(threading.get_ident())

    def stream():
        note()
        yield 'a'
        note()

    @app.get('/')
    def handler(request):
        note()
        return stream()

    @app.errorhandler(404)
    def not_found(request):
        note()
        return 'none', 404

    for register in app.before_request, app.after_request, app.after_error_request:
        register(note)
    assert call(app).body == b'a' and call(app, '/x').status == 404
    assert set(threads) == {threading.get_ident()} and len(threads) == 7


@pytest.mark.parametrize('is_waiting', [True, False])
def test_def_functions_after_async_ones(is_waiting):
    """The thread of the host has the loop's work only for a while; what may block does not block the loop."""
    app = Microdot()

    @app.before_request
    async def before(request):
        if is_waiting:
            await asyncio.sleep(0.001)

    @app.get('/')
    def handler(request):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return [threading.get_ident(), asyncio.run(inner())]

    async def inner():
        await asyncio.sleep(0.001)
        return 'inner'

    for _ in range(3):
        assert json.loads(call(app).body) == [threading.get_ident(), 'inner']
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_async_functions_share_one_loop():
    async def handler(request):
        await asyncio.sleep(0)
        return [id(asyncio.get_running_loop()), threading.get_ident()]

    app, other = app_of(handler), app_of(handler)
    found = set(in_threads(lambda n: call(other if n % 2 else app).text, range(10)))
    assert len(found) == 1 and json.loads(found.pop())[1] != threading.get_ident()


@pytest.mark.parametrize('is_waiting', [True, False])
def test_async_functions_are_interrupted_only_where_they_wait(is_waiting):
    """What is between two awaits is not shared with other requests, although their hosts have threads."""
    counts = {'before': 0, 'after': 0}

    def add(key):
        value = counts[key]
        time.sleep(0.0001)  # other threads have their turn
        counts[key] = value + 1

    async def handler(request):
        add('before')
        if is_waiting:
            await asyncio.sleep(0)
        add('after')
        return 'ok'

    app = app_of(handler)
    in_threads(lambda n: [call(app) for _ in range(20)], range(10))
    assert counts == {'before': 200, 'after': 200}


def test_what_the_first_step_of_a_handler_begins():
    """Timers, tasks, sockets, and threads that call back: the loop has to hear of each of them."""
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    async def handler(request):
        what = request.args['what']
        if what == 'timer':
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.01, future.set_result, None)
            await future
        elif what == 'timeout':
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        elif what == 'tasks':
            await asyncio.gather(*[asyncio.create_task(asyncio.sleep(0.001)) for _ in range(3)])
        elif what == 'thread':
            await asyncio.to_thread(time.sleep, 0.001)
        elif what == 'process':
            process = await asyncio.create_subprocess_exec(sys.executable, '-c', '')
            assert await process.wait() == 0
        else:
            server = await asyncio.start_server(serve, '127.0.0.1', 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b'line\n')
            assert await reader.readline() == b'line\n'
            writer.close()
            server.close()
        return what

    app = app_of(handler)
    for what in ['timer', 'timeout', 'tasks', 'thread', 'socket'] * 3 + ['process'] * (sys.version_info >= (3, 12)):
        assert call(app, '/?what=' + what).text == what


def test_loop_has_its_turn_among_many_requests():
    ticks = []
    tasks = []

    async def tick():
        while len(ticks) < 20:
            await asyncio.sleep(0.001)
            ticks.append(time.monotonic())

    async def begin(request):
        tasks.append(asyncio.create_task(tick()))
        return 'begun'

    async def quick(request):
        return 'ok'

    app = app_of(quick)
    end = time.monotonic() + PATIENCE

    def hammer(n):
        while len(ticks) < 20 and time.monotonic() < end:
            assert call(app).text == 'ok'

    call(app_of(begin))
    in_threads(hammer, range(8))
    assert len(ticks) == 20


USERS = [f'user{n}' for n in range(60)]


@pytest.mark.parametrize('kind', ['def', 'async def'])
def test_sixty_threads_at_once(kind):
    """Each with data of its own, and all in their handlers at the same time."""
    user = contextvars.ContextVar('user', default='nobody')
    local = threading.local()
    app = Microdot()
    barrier = threading.Barrier(len(USERS))
    arrived = []

    @app.before_request
    async def before(request):
        assert user.get() == 'nobody' and not hasattr(request.g, 'user')
        user.set(request.args['user'])
        request.g.user = request.args['user']

    def answer(request):
        return ' '.join([user.get(), request.g.user, request.args['user'], request.body.decode(),
                         request.headers['X-User'], request.environ['my.user']])

    @app.post('/def')
    def handler(request):
        local.user = user.get()
        barrier.wait(PATIENCE)
        assert local.user == user.get()
        return answer(request)

    @app.post('/async')
    async def async_handler(request):
        arrived.append(request)
        while len(arrived) < len(USERS):
            await asyncio.sleep(0.001)
        assert await asyncio.to_thread(user.get) == user.get()
        return answer(request)

    @app.after_request
    def after(request, response):
        response.headers['X-Seen'] = user.get()

    def ask(name):
        values = environ(('/def' if kind == 'def' else '/async') + '?user=' + name, 'POST', name.encode(),
                         HTTP_X_USER=name)
        values['my.user'] = name
        host = call(app, values)
        return host.text, host.header('x-seen'), user.get()

    assert in_threads(ask, USERS) == [(' '.join([name] * 6), name, 'nobody') for name in USERS]


def test_threads_that_are_used_again_are_clean():
    """What a request sets in its context is gone with it; what the host set is there."""
    user = contextvars.ContextVar('user', default='nobody')
    host_var = contextvars.ContextVar('host_var')
    app = Microdot()
    app.before_request(lambda request: None)

    @app.get('/')
    def handler(request):
        found = user.get(), host_var.get()
        user.set('somebody')
        return ' '.join(found)

    token = host_var.set('host')
    assert [call(app).text for _ in range(3)] == ['nobody host'] * 3
    host_var.reset(token)
    assert user.get() == 'nobody'


@pytest.mark.parametrize('where', ['handler', 'generator', 'input', 'hook'])
def test_what_blocks_blocks_only_its_own_request(where):
    blocked, release = threading.Event(), threading.Event()

    def wait():
        blocked.set()
        assert release.wait(PATIENCE)

    class Slow(Input):
        def read(self, n=-1):
            wait()
            return super().read(n)

    app = Microdot()

    @app.before_request
    def hook(request):
        if where == 'hook' and request.path == '/slow':
            wait()

    @app.post('/slow')
    def slow(request):
        if where == 'handler':
            wait()
        return stream() if where == 'generator' else request.body

    def stream():
        wait()
        yield 'abcd'

    app.get('/')(describe)
    app.get('/def')(lambda request: 'def')
    app.get('/stream')(lambda request: generate('a', 'b'))

    body = (Slow if where == 'input' else Input)(b'abcd', length=4)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(partial(call, app, '/slow', 'POST', body, CONTENT_LENGTH='4'))
        try:
            assert blocked.wait(PATIENCE)
            for target in '/', '/def', '/stream':
                assert call(app, target).status == 200
        finally:
            release.set()
        assert future.result(PATIENCE).body == b'abcd'


def test_several_hundred_streams_at_once():
    """They take nothing but the threads of the host."""
    app = app_of(lambda request: Watched('a', waits=True)())
    threads = threading.active_count()
    hosts = [Host(app, environ()).start() for _ in range(300)]
    assert {next_piece(host) for host in hosts} == {b'a'}
    assert threading.active_count() < threads + 50
    for host in hosts:
        host.close()


def test_tasks_in_the_background_go_on():
    done = threading.Event()
    tasks = []

    async def later():
        await asyncio.sleep(0.05)
        done.set()

    async def handler(request):
        tasks.append(asyncio.create_task(later()))
        return 'soon'

    assert call(app_of(handler)).text == 'soon' and not done.is_set()
    assert done.wait(PATIENCE)


def test_def_function_in_the_background_when_its_request_is_over():
    """asyncio.to_thread() of a task that lives longer than its request runs in another thread."""
    found = []
    done = threading.Event()
    tasks = []

    def note():
        found.append(threading.get_ident())
        done.set()

    async def later():
        await asyncio.sleep(0.05)
        await asyncio.to_thread(note)

    async def handler(request):
        tasks.append(asyncio.create_task(later()))
        return 'soon'

    call(app_of(handler))
    assert done.wait(PATIENCE) and found != [threading.get_ident()]


def test_several_def_functions_of_one_request_at_once():
    """One of them has the thread of the host; the others must not wait for that."""
    barrier = threading.Barrier(3)

    async def handler(request):
        await asyncio.gather(*[asyncio.to_thread(barrier.wait, PATIENCE) for _ in range(3)])
        return 'ok'

    assert call(app_of(handler)).text == 'ok'


@pytest.mark.skipif(sys.version_info < (3, 11), reason='asyncio.timeout() is new in 3.11')
@pytest.mark.parametrize('is_first', [True, False])
def test_time_limit_around_a_def_function(is_first):
    """The function cannot be stopped, but the limit holds, and what comes after it is not disturbed."""
    async def handler(request):
        if not is_first:
            await asyncio.sleep(0)
        found = ''
        try:
            async with asyncio.timeout(0.05):
                found += await invoke_handler(slow, request)
        except TimeoutError:
            found += 'timeout'
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        return found + ' end'

    def slow(request):
        time.sleep(0.2)
        return 'slow'

    app = app_of(handler)
    for _ in range(3):
        assert call(app).text == 'timeout end'


@pytest.mark.skipif(sys.version_info < (3, 11), reason='asyncio.TaskGroup is new in 3.11')
@pytest.mark.parametrize('is_first', [True, False])
def test_group_of_tasks_around_a_def_function(is_first):
    async def fail():
        raise ZeroDivisionError

    async def handler(request):
        if not is_first:
            await asyncio.sleep(0)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await invoke_handler(lambda request: time.sleep(0.1), request)
        except Exception as exc:
            await asyncio.sleep(0.001)
            return type(exc.exceptions[0]).__name__

    assert call(app_of(handler)).text == 'ZeroDivisionError'


def test_cancellation_of_all_tasks():
    """Whoever does that: no thread of the host hangs, and the loop lives on."""
    started = threading.Event()
    app = Microdot()

    @app.get('/')
    def handler(request):
        started.set()
        time.sleep(0.2)
        return 'a'

    @app.after_request
    async def after(request, response):
        await asyncio.sleep(0.001)

    @app.get('/cancel')
    async def cancel(request):
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return 'cancelled'

    assert call(app).text == 'a'
    started.clear()
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(call, app)
        assert started.wait(PATIENCE)
        assert call(app, '/cancel').status == 200
        assert future.exception(PATIENCE) or future.result().status == 200
    assert call(app).text == 'a'


ENDING = '''
import asyncio
from wsgiref.util import setup_testing_defaults
from microdot.wsgi import Microdot

app = Microdot()

@app.get('/')
async def index(request):
    await asyncio.sleep(0.001)
    return 'a'

@app.get('/def')
def plain(request):
    return 'b'

@app.get('/stream')
async def stream(request):
    async def pieces():
        for piece in 'cd':
            await asyncio.sleep(0)
            yield piece
    return pieces()

for path, body in ('/', b'a'), ('/def', b'b'), ('/stream', b'cd'):
    environ = {'PATH_INFO': path}
    setup_testing_defaults(environ)
    result = app(environ, lambda status, headers, exc_info=None: None)
    assert b''.join(result) == body
'''


def test_process_ends_in_silence():
    """The loop has a thread; hosts that end a process know nothing of it."""
    done = subprocess.run([sys.executable, '-c', ENDING], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ('', '', 0)


def test_application_that_calls_itself():
    """As middleware does, and those that gather several answers to one: a def function holds nothing up."""
    app = Microdot()

    @app.get('/outer')
    def outer(request):
        return call(app, '/inner').text + call(app, '/async').text

    @app.get('/inner')
    def inner(request):
        return request.path

    @app.get('/async')
    async def handler(request):
        await asyncio.sleep(0.001)
        return request.path

    assert in_threads(lambda n: call(app, '/outer').text, range(5)) == ['/inner/async'] * 5


FORKING = '''
import asyncio, os, sys
from wsgiref.util import setup_testing_defaults
from microdot.wsgi import Microdot

app = Microdot()
tasks = []

@app.get('/')
async def index(request):
    await asyncio.sleep(0.001)
    return str(os.getpid())

@app.get('/def')
def plain(request):
    return str(os.getpid())

def ask(path):
    environ = {'PATH_INFO': path}
    setup_testing_defaults(environ)
    result = app(environ, lambda status, headers, exc_info=None: None)
    return b''.join(result).decode()

assert ask('/') == ask('/def') == str(os.getpid())
for generation in range(2):  # a child, and its child
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        break
    assert ask('/') == ask('/def') == str(os.getpid()), 'child'
assert ask('/') == str(os.getpid())
sys.stdout.write('done ')
sys.stdout.flush()
os._exit(0)
'''


def test_fork_after_the_first_request():
    """Hosts that load an application before they fork, and call it to see whether it works."""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', FORKING], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ('done ' * 3, 0), done.stderr


@pytest.mark.parametrize('error', [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize('where', ['handler', 'stream', 'first step', 'def', 'generator'])
def test_host_that_ends_its_thread(error, where):
    """Gunicorn does so in the handler of a signal. The request is cancelled, the loop lives on."""
    started, ended = threading.Event(), threading.Event()
    handler = make_waiting(where, started, ended)

    def interrupt(*args):
        raise error

    previous = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.main_thread().ident

    def kill():
        assert started.wait(PATIENCE)
        time.sleep(0.05)  # until it waits
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        host = Host(app_of(handler), environ(), is_checked=False)
        with pytest.raises(error), logged_errors():
            host.start()
            while True:
                next(host)
        if where in ('stream', 'generator'):
            host.close()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert ended.wait(PATIENCE)
    assert call(describing).status == 200


def make_waiting(where, started, ended):
    """Return a handler that waits for ever at some place."""
    async def wait():
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async def stream():
        yield 'a'
        await wait()

    def block():
        started.set()
        try:
            time.sleep(60)
        finally:
            ended.set()

    def generator():
        yield 'a'
        block()

    async def handler(request):
        if where == 'stream':
            return stream()
        if where == 'generator':
            return generator()
        if where == 'first step':
            block()
        await wait()

    return (lambda request: block()) if where == 'def' else handler


@pytest.mark.parametrize('error', [KeyboardInterrupt, SystemExit])
def test_handler_that_ends_the_process(error):
    """In the thread of the host it is the host's to see."""
    def handler(request):
        raise error

    with pytest.raises(error), logged_errors():
        call(app_of(handler), is_checked=False)
    assert call(describing).status == 200


def test_nothing_is_left_of_a_request():
    """Neither memory nor tasks."""
    async def count(request):
        return str(len(asyncio.all_tasks()))

    app = app_of(lambda request: Watched('a', 'b')())
    counting = app_of(count)
    gc.collect()
    tasks = call(counting).text
    for _ in range(50):
        call(app)
        host = Host(app, environ()).start()
        next_piece(host)
        host.close()
    del host
    until(lambda: call(counting).text == tasks)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Watched)]


# ---------------------------------------------------------------------------------------------------------------
# WebSocket and Server-Sent Events
# ---------------------------------------------------------------------------------------------------------------

HANDSHAKE = {'HTTP_CONNECTION': 'Upgrade', 'HTTP_UPGRADE': 'websocket', 'HTTP_SEC_WEBSOCKET_VERSION': '13',
             'HTTP_SEC_WEBSOCKET_KEY': 'dGhlIHNhbXBsZSBub25jZQ=='}


@pytest.mark.parametrize('values, status', [
    (HANDSHAKE, 501), ({}, 400), ({**HANDSHAKE, 'HTTP_SEC_WEBSOCKET_KEY': 'x'}, 400),
    ({**HANDSHAKE, 'HTTP_SEC_WEBSOCKET_VERSION': '12'}, 426)])
def test_websocket_without_a_way_to_upgrade(values, status):
    async def handler(request, ws):
        raise AssertionError('it was never accepted')

    assert call(app_of(with_websocket(handler)), **values).status == status


def test_websocket_over_the_socket_of_gunicorn():
    """RFC 6455 section 1.3: the answer to the key of the example; then frames."""
    seen = []

    async def handler(request, ws):
        try:
            while True:
                await ws.send(await ws.receive())
        except WebSocketError as exc:
            seen.append(exc.args[0])
            raise

    ours, theirs = socket.socketpair()
    values = environ(**HANDSHAKE)
    values['gunicorn.socket'] = ours
    theirs.settimeout(PATIENCE)

    def serve():
        try:
            for _ in app_of(with_websocket(handler))(values, None):
                pass
        except StopIteration:
            return 'stop'

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(serve)
        file = theirs.makefile('rwb')
        assert file.readline() == b'HTTP/1.1 101 Switching Protocols\r\n'
        lines = list(iter(file.readline, b'\r\n'))
        assert b'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n' in lines
        file.write(b'\x81\x85\0\0\0\0hello')
        file.flush()
        assert file.read(7) == b'\x81\x05hello'
        file.write(b'\x88\x82\0\0\0\0\x03\xe8')
        file.flush()
        assert file.read(4) == b'\x88\x02\x03\xe8'
        future.result(PATIENCE)
        file.close()
    assert seen == [1000]
    theirs.close()
    ours.close()


def sse_app(f, **options):
    return app_of(with_sse(f, **options))


def test_events_arrive_as_they_are_sent():
    step = threading.Event()

    async def events(request, sse):
        await sse.send('a', event_id='1')
        while not step.is_set():
            await asyncio.sleep(0.001)
        await sse.send({'b': 2})

    host = Host(sse_app(events), environ(HTTP_LAST_EVENT_ID='0')).start()
    assert next_piece(host) == b'id: 1\ndata: a\n\n'
    assert host.header('content-type').startswith('text/event-stream')
    step.set()
    assert next_piece(host) == b'data: {"b": 2}\n\n'
    with pytest.raises(StopIteration):
        next_piece(host)
    host.close()


def test_head_of_events():
    ended = threading.Event()

    async def events(request, sse):
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    host = call(sse_app(events), method='HEAD')
    assert host.header('content-type').startswith('text/event-stream') and ended.wait(PATIENCE)


def test_close_ends_the_handler_of_events():
    ended = threading.Event()

    async def events(request, sse):
        try:
            await sse.send('a')
            await asyncio.sleep(60)
        finally:
            ended.set()

    host = Host(sse_app(events), environ()).start()
    next_piece(host)
    with logged_errors() as errors:
        host.close()
    assert ended.wait(PATIENCE) and not errors


def test_events_wait_for_the_host():
    sent = []

    async def events(request, sse):
        for n in range(1000):
            await sse.send('x' * 10000)
            sent.append(n)

    host = Host(sse_app(events), environ()).start()
    next_piece(host)
    time.sleep(0.2)
    assert len(sent) < 12
    host.close()


def test_error_before_the_first_event_is_a_response():
    async def events(request, sse):
        abort(409, 'conflict')

    assert call(sse_app(events)).status == 409


def test_error_among_events_breaks_the_stream_off():
    async def events(request, sse):
        await sse.send('a')
        await asyncio.sleep(0.01)
        raise ZeroDivisionError

    host = Host(sse_app(events), environ()).start()
    assert next_piece(host) == b'data: a\n\n'
    with logged_errors() as errors, pytest.raises(Exception) as broken:
        next_piece(host)
    host.close()
    assert broken.type is not StopIteration  # the host breaks the connection, so that the client can tell
    assert ZeroDivisionError in [type(exc) for exc in errors]


# ---------------------------------------------------------------------------------------------------------------
# What an attacker tries
# ---------------------------------------------------------------------------------------------------------------

EVIL = ['a\r\nX-Evil: 1', 'a\nX-Evil: 1', 'a\rX-Evil: 1', 'a\0', '\r\n\r\nHTTP/1.1 200 OK', 'ä\r\nX-Evil: 1',
        '\u010d\u010aX-Evil: 1']  # the last one ends a line where only the low bytes of characters are kept


def inject(kind, text):
    """Put text of a client into a response."""
    response = Response('a')
    if kind == 'header':
        return 'a', {'X': text}
    if kind == 'list':
        return 'a', {'X': ['good', text]}
    if kind == 'redirect':
        return Response.redirect(text)
    if kind == 'cookie':
        response.set_cookie('a', text)
    elif kind == 'later':
        response.headers['X'] = text
    elif kind == 'type':
        return 'a', {'Content-Type': text}
    elif kind == 'stream':
        return generate('a'), {'X': text}
    elif kind == 'reason':
        response = Response('a', reason=text)
    elif kind == 'reason later':
        response.reason = text
    elif kind == 'bodyless':
        response = Response(b'', 204)
        response.headers['X'] = text
    return response


@pytest.mark.parametrize('text', EVIL)
@pytest.mark.parametrize('kind', ['header', 'list', 'redirect', 'cookie', 'later', 'type', 'stream', 'reason',
                                  'reason later', 'bodyless'])
def test_no_value_ends_a_header(kind, text):
    """RFC 9110 section 5.5, RFC 9112 section 11.1."""
    with logged_errors():
        host = call(app_of(lambda request: inject(kind, text)))
    assert host.status == 500 or '\u010d' in text
    assert 'x-evil' not in dict(host.headers) and '\n' not in str(host.starts[0])


def test_two_headers_that_differ_only_in_underscores():
    """Both are the same key of an environ; hosts drop one or join them. The adapter must not raise for odd names."""
    assert call(app_of(lambda request: request.headers['X-User']), HTTP_X_USER='a').text == 'a'
    for key in 'HTTP_', 'HTTP__', 'HTTP_X__Y', 'HTTP_ÄÖ':
        assert call(describing, is_checked=False, **{key: 'x'}).status == 200


def test_headers_of_strangers_are_not_remembered():
    """Neither do they fill the memory, nor are their secrets kept."""
    app = app_of(lambda request: str(len(request.headers)))
    call(app)
    tracemalloc.start()
    try:
        for n in range(300):
            call(app, HTTP_X='%d' % n * 20000, **{f'HTTP_{n}' + 'X' * 20000: 'x'})
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2 * 10 ** 6
    finally:
        tracemalloc.stop()


TARGETS = [  # PATH_INFO, REQUEST_URI: they disagree on who is asked
    ('/admin/x', '/public/x'), ('/public/x', '/admin/x'), ('/admin/x', '/admin%2Fx'), ('/admin/x', '/%61dmin/x'),
    ('/admin/x', 'http://a/public/x'), ('/public/x', 'http://a/admin/x'), ('/admin/x', '*'),
    ('/public/../admin/x', '/admin/x'), ('/admin/x', '/public/../admin/x'), ('/public/x', '/public/x?/admin/x'),
    ('//admin/x', '/admin/x'), ('/admin/x', '//admin/x'), ('/admin/x', '/public/x#/admin/x'), ('/ADMIN/x', '/admin/x'),
    ('/admin/x', '/admin/x%00'), ('/admin/x\0', '/admin/x'), ('/admin%2Fx', '/admin/x'), ('/admin/x', '/admin\xff/x'),
    ('/admin/x', '/admin/x\r\nX: y'), ('/admin/x\r\nX: y', '/admin/x'), ('/public%2F..%2Fadmin/x', None),
    ('/admin?/x', '/admin/x'), ('/admin/x', 'https://a'), ('/admin/x', '://'),
]


@pytest.mark.parametrize('script_name', ['', '/admin', '/public'])
@pytest.mark.parametrize('path, uri', TARGETS)
def test_guard_and_router_see_the_same_path(path, uri, script_name):
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
    host = call(app, PATH_INFO=path, REQUEST_URI=uri, SCRIPT_NAME=script_name)
    assert host.text != 'admin' and seen in ([], [path])
    if host.text == 'public':
        assert path.startswith('/public/')


def test_script_name_is_not_a_part_of_what_is_guarded():
    """Only the host says where an application is mounted; PATH_INFO that begins like SCRIPT_NAME is a path."""
    found = described(SCRIPT_NAME='/app', PATH_INFO='/app/x', REQUEST_URI='/app/x')
    assert (found['root_path'], found['path']) == ('/app', '/app/x')


# Nothing may let a thread of the host wait for ever: what an attacker's reading has found

@pytest.mark.parametrize('end_loop', [lambda: sys.exit(3), lambda: asyncio.get_running_loop().stop()])
def test_loop_goes_on_for_others_when_a_task_ends_it(end_loop):
    app = Microdot()

    async def fail():
        end_loop()

    @app.get('/fail')
    async def start(request):
        request.app.task = asyncio.create_task(fail())
        return 'started'

    @app.get('/wait')
    async def wait(request):
        await asyncio.sleep(0.01)
        return 'waited'

    with logged_errors():
        assert call(app, '/fail').body == b'started'
        assert [call(app, '/wait').body for _ in range(3)] == [b'waited'] * 3


def test_application_that_is_called_in_the_event_loop_of_another():
    """It would wait for what only the loop that waits could do."""
    inner = app_of(lambda request: 'inner')

    async def outer(request):
        return call(inner).text

    with logged_errors() as errors:
        assert call(app_of(outer)).status == 500
    assert 'to_thread' in str(errors)

    async def in_thread(request):
        return (await asyncio.to_thread(call, inner)).text

    assert call(app_of(in_thread)).text == 'inner'


def test_task_that_sends_to_a_client_that_has_left():
    """It waits for room that nobody makes any more, and other clients wait for it."""
    streams = []
    outcomes = []

    @with_sse
    async def events(request, sse):
        streams.append(sse)
        request.app.task = asyncio.create_task(broadcast())
        await asyncio.sleep(1000)

    async def broadcast():
        try:
            while True:
                await streams[0].send('x' * 30000)
        except OSError as exc:
            outcomes.append(exc)

    host = Host(app_of(events), environ()).start()
    next(host)
    until(lambda: sum(map(len, host.pieces)) > 0 or next(host))
    time.sleep(0.1)  # until there is no room
    assert not outcomes
    host.close()
    until(lambda: outcomes)


async def three_events(request, sse):
    for n in range(3):
        await sse.send(n)


def test_events_of_a_handler_that_does_not_wait():
    app = app_of(with_sse(three_events))
    for body in in_threads(lambda n: call(app).text, range(8)) + [call(app).text for n in range(200)]:
        assert body == 'data: 0\n\ndata: 1\n\ndata: 2\n\n'


def test_host_that_asks_again_after_the_end():
    async def pieces():
        yield 'a'

    async def broken_pieces():
        yield 'a'
        raise ValueError

    for body, error in (pieces, StopIteration), (broken_pieces, ValueError):
        async def stream(request, body=body):
            return body()

        with logged_errors():
            iterator = app_of(stream)(environ(), lambda *args: None)
            with pytest.raises(error):
                while True:
                    next(iterator)
            for _ in range(2):
                with pytest.raises(StopIteration):
                    next(iterator)
            iterator.close()


@pytest.mark.parametrize('error', [StopIteration(), EOFError()])
def test_input_that_raises_what_a_future_cannot_hold(error):
    async def read(request):
        return str(len(await request.stream.read()))

    with changed(Request, max_content_length=10 ** 6), logged_errors():
        host = call(app_of(read), method='POST', CONTENT_LENGTH='100000', wsgi_input=Input(b'x' * 1000, error=error),
                    is_checked=False)
    assert host.status in (400, 500)
