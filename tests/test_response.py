"""The response: what handlers return, headers, cookies, files, streams, and how it is written."""
import io
import os

from helpers import changed, exchange, get_text, raises, temporary_file
from microdot import AsyncBytesIO, Microdot, Response, abort, redirect, send_file
from microdot.microdot import NoCaseDict
from microdot.test_client import TestClient

GET = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
GET_1_0 = b'GET / HTTP/1.0\r\n\r\n'
HEAD = b'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'


def app_that_returns(value):
    """Return an application that answers with a value, or with what a function of no arguments returns."""
    app = Microdot()

    async def index(request):
        return value() if callable(value) else value

    app.get('/')(index)
    return app


async def response_to(value, method='GET'):
    return await TestClient(app_that_returns(value)).request(method, '/')


async def written(response):
    """Return what a response alone writes, as lines of the header block and the body."""
    stream = AsyncBytesIO(b'')
    await response.write(stream)
    head, _, body = (await stream.read()).partition(b'\r\n\r\n')
    return head.decode().split('\r\n'), body


async def collect(response):
    """Return the pieces of a response's body."""
    pieces = []
    async for piece in response.body_iter():
        pieces.append(piece)
    return pieces


# ---------------------------------------------------------------------------------------------------------------
# What handlers return
# ---------------------------------------------------------------------------------------------------------------

async def test_return_str():
    response = await response_to('grüße')
    assert response.status_code == 200
    assert response.body == 'grüße'.encode()
    assert response.headers['Content-Type'] == 'text/plain; charset=UTF-8'
    assert response.headers['Content-Length'] == '7'


async def test_return_bytes():
    response = await response_to(b'\x00\xff')
    assert response.body == b'\x00\xff'
    assert response.headers['Content-Length'] == '2'


async def test_return_bytearray():
    assert (await response_to(bytearray(b'abc'))).body == b'abc'


async def test_return_dict():
    response = await response_to({'a': [1, None, 'ü']})
    assert response.json == {'a': [1, None, 'ü']}
    assert response.headers['Content-Type'].startswith('application/json')


async def test_return_list():
    response = await response_to([1, {'a': 2}])
    assert response.json == [1, {'a': 2}]
    assert response.headers['Content-Type'].startswith('application/json')


async def test_return_json_of_a_type_of_ones_own():
    for name in ('Content-Type', 'content-type'):
        response = await response_to(({'a': 1}, {name: 'application/problem+json'}))
        assert response.headers['Content-Type'] == 'application/problem+json'
        assert response.json == {'a': 1}


async def test_return_body_and_status():
    response = await response_to(('text', 202))
    assert (response.status_code, response.text) == (202, 'text')


async def test_return_body_and_headers():
    response = await response_to(('text', {'X-Test': 'value'}))
    assert (response.status_code, response.text) == (200, 'text')
    assert response.headers['X-Test'] == 'value'


async def test_return_body_status_and_headers():
    response = await response_to(('text', 202, {'X-Test': 'value', 'Content-Type': 'text/html'}))
    assert (response.status_code, response.text) == (202, 'text')
    assert response.headers['X-Test'] == 'value'
    assert response.headers['Content-Type'] == 'text/html'


async def test_return_dict_status_and_headers():
    response = await response_to(({'a': 1}, 201, {'X-Test': 'value'}))
    assert (response.status_code, response.json) == (201, {'a': 1})
    assert response.headers['X-Test'] == 'value'


async def test_return_status():
    response = await response_to(202)
    assert (response.status_code, response.body) == (202, b'')
    assert response.headers['Content-Length'] == '0'
    assert (await response_to(404)).status_code == 404


async def test_return_none():
    response = await response_to(None)
    assert (response.status_code, response.reason, response.body) == (204, 'No Content', b'')
    assert 'Content-Length' not in response.headers
    assert 'Transfer-Encoding' not in response.headers


async def test_framing_is_not_the_applications():
    """A handler that hands on another server's response; RFC 9112 section 6.2: never both, and each once."""
    for body in 'text', AsyncBytesIO(b'text'):
        response = await response_to((body, {'transfer-encoding': 'chunked', 'X-Test': 'a'}))
        assert response.text == 'text'
        assert response.headers.get('Transfer-Encoding') == (None if body == 'text' else 'chunked')


async def test_return_none_with_headers():
    response = await response_to((None, {'X-Test': 'value'}))
    assert response.status_code == 204
    assert response.headers['X-Test'] == 'value'


async def test_return_response():
    response = await response_to(Response('text', 202, {'X-Test': 'value'}))
    assert (response.status_code, response.text) == (202, 'text')
    assert response.headers['X-Test'] == 'value'


async def test_return_empty_str():
    response = await response_to('')
    assert (response.status_code, response.body) == (200, b'')
    assert response.headers['Content-Length'] == '0'


async def test_return_empty_dict():
    assert (await response_to(dict)).json == {}


async def test_returned_headers_are_not_changed():
    headers = {'X-Test': 'value'}
    await response_to(({'a': 1}, headers))
    assert headers == {'X-Test': 'value'}


# ---------------------------------------------------------------------------------------------------------------
# Streams
# ---------------------------------------------------------------------------------------------------------------

ITEMS = (b'one', 'zwei', b'', '', 'drei-ü')
STREAMED = 'onezweidrei-ü'.encode()


def generator():
    yield from ITEMS


class Iterator:
    """An iterator that is a class."""

    def __init__(self):
        self.items = list(ITEMS)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.items:
            raise StopIteration
        return self.items.pop(0)


class AsyncIterator:
    """An asynchronous iterator that is a class, the only kind that MicroPython has."""

    def __init__(self):
        self.items = list(ITEMS)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.items:
            raise StopAsyncIteration
        return self.items.pop(0)


class AsyncIterable:
    """An object that gives an asynchronous iterator."""

    def __aiter__(self):
        return AsyncIterator()


class File:
    """A file that gives at most three bytes at a time, and remembers what happens to it."""

    def __init__(self, content=STREAMED):
        self.content = content
        self.reads = 0
        self.closed = 0

    def read(self, n):
        assert n > 0
        self.reads += 1
        data = self.content[:min(n, 3)]
        self.content = self.content[len(data):]
        return data

    def close(self):
        self.closed += 1


class AsyncFile(File):
    async def read(self, n):
        return File.read(self, n)


class FailingFile(File):
    def read(self, n):
        data = File.read(self, n)
        if not data:
            raise OSError('disk on fire')
        return data


class Minimal:
    """An object with nothing but ``read``."""

    def __init__(self):
        self.items = [STREAMED]

    def read(self, n):
        return self.items.pop() if self.items else b''


BODIES = (generator, Iterator, AsyncIterator, AsyncIterable, File, AsyncFile, Minimal)


async def test_streams():
    for body in BODIES:
        response = await response_to(lambda: body())  # noqa: B023
        assert response.status_code == 200, body
        assert response.body == STREAMED, body
        assert response.headers['Content-Type'] == 'text/plain; charset=UTF-8'


async def test_streams_are_chunked():
    for body in BODIES:
        data = await exchange(app_that_returns(lambda: body()), GET)  # noqa: B023
        assert b'\r\nTransfer-Encoding: chunked\r\n' in data, body
        assert b'Content-Length' not in data, body
        assert data.endswith(b'\r\n0\r\n\r\n'), body
        # an item of no bytes must not end the body
        assert data.count(b'\r\n0\r\n') == 1, body


async def test_streams_to_http_1_0_end_with_the_connection():
    for body in BODIES:
        data = await exchange(app_that_returns(lambda: body()), GET_1_0)  # noqa: B023
        assert data.startswith(b'HTTP/1.0 200 OK\r\n'), body
        assert b'Transfer-Encoding' not in data, body
        assert b'Content-Length' not in data, body
        assert data.endswith(b'\r\n\r\n' + STREAMED), body


async def test_streams_with_status_and_headers():
    for body in BODIES:
        value = (body(), 206, {'Content-Type': 'text/html', 'X-Test': 'value'})
        response = await response_to(value)
        assert (response.status_code, response.body) == (206, STREAMED), body
        assert response.headers['Content-Type'] == 'text/html'
        assert response.headers['X-Test'] == 'value'


async def test_streams_of_response_objects():
    for body in BODIES:
        assert (await response_to(Response(body(), 202))).body == STREAMED, body


async def test_streams_with_a_content_length_of_their_own():
    for body in BODIES:
        value = (body(), {'Content-Length': str(len(STREAMED))})
        data = await exchange(app_that_returns(value), GET)
        assert b'Transfer-Encoding' not in data, body
        assert data.endswith(b'\r\n\r\n' + STREAMED), body


async def test_stream_of_no_items():
    assert (await response_to(lambda: iter([]))).body == b''
    assert (await response_to(File(b''))).body == b''


async def test_stream_of_items_of_no_bytes():
    assert (await response_to(lambda: iter(['', b'']))).body == b''


async def test_stream_of_an_io_object():
    assert (await response_to(io.BytesIO(b'some bytes'))).body == b'some bytes'
    assert (await response_to(io.StringIO('some text ü'))).text == 'some text ü'


async def test_streams_leave_the_connection_usable():
    data = await exchange(app_that_returns(lambda: generator()), b'GET / HTTP/1.1\r\nHost: a\r\n\r\n' + GET)
    assert data.count(b'HTTP/1.1 200 OK\r\n') == 2


async def test_files_are_closed():
    for body in (File(), AsyncFile()):
        await response_to(body)
        assert body.closed == 1


async def test_async_close_is_awaited():
    class AsyncClosing(File):
        async def aclose(self):
            self.closed += 1

        close = None

    body = AsyncClosing()
    await response_to(body)
    assert body.closed == 1


async def test_head_does_not_read_the_body():
    for body in (File(), AsyncFile()):
        data = await exchange(app_that_returns(body), HEAD)
        assert data.startswith(b'HTTP/1.1 200 OK\r\n')
        assert data.endswith(b'\r\n\r\n')
        assert STREAMED not in data
        assert (body.reads, body.closed) == (0, 1)


async def test_head_of_a_generator_does_not_start_it():
    started = []

    def items():
        started.append(True)
        yield 'item'

    data = await exchange(app_that_returns(lambda: items()), HEAD)
    assert data.endswith(b'\r\n\r\n')
    assert started == []


async def test_status_without_a_body_closes_the_file():
    for status_code in (204, 304):
        body = File()
        data = await exchange(app_that_returns((body, status_code)), GET)
        assert data.endswith(b'\r\n\r\n')
        assert b'Transfer-Encoding' not in data
        assert (body.reads, body.closed) == (0, 1)


async def test_stream_that_fails_leaves_out_the_end():
    def items():
        yield 'first'
        yield str(1 // 0)

    with raises(EOFError):
        await response_to(lambda: items())
    data = await exchange(app_that_returns(lambda: items()), GET)
    assert b'first' in data
    assert not data.endswith(b'0\r\n\r\n')


async def test_stream_that_fails_at_once_leaves_out_the_end():
    def items():
        yield str(1 // 0)

    data = await exchange(app_that_returns(lambda: items()), GET)
    assert not data.endswith(b'0\r\n\r\n')


async def test_stream_that_fails_ends_the_connection():
    data = await exchange(app_that_returns(lambda: FailingFile()), b'GET / HTTP/1.1\r\nHost: a\r\n\r\n' + GET)
    assert data.count(b'HTTP/1.1 ') == 1


async def test_stream_that_fails_is_closed():
    body = FailingFile()
    with raises(EOFError):
        await response_to(body)
    assert body.reads > 1
    assert body.closed == 1


async def test_async_iterator_that_fails_leaves_out_the_end():
    class Failing(AsyncIterator):
        async def __anext__(self):
            if len(self.items) == 1:
                raise ValueError('the last item is missing')
            return self.items.pop(0)

    with raises(EOFError):
        await response_to(Failing())


class FullStream(AsyncBytesIO):
    """A stream that takes a header block, but no body."""

    async def awrite(self, data):
        if data != b'' and not data.endswith(b'\r\n\r\n'):
            raise OSError('client is gone')


async def test_generator_that_cannot_be_sent_is_closed():
    closed = []

    def items():
        try:
            while True:
                yield 'x'
        finally:
            closed.append(True)

    with raises(OSError):
        await Response(items()).write(FullStream())
    assert closed == [True]


async def test_file_that_cannot_be_sent_is_closed():
    for body in (File(), AsyncFile()):
        with raises(OSError):
            await Response(body).write(FullStream())
        assert body.closed == 1


async def test_stream_that_is_shorter_than_its_content_length():
    with raises(EOFError):
        await response_to((File(b'short'), {'Content-Length': '10'}))


async def test_stream_that_is_longer_than_its_content_length():
    body = File(b'0123456789')
    data = await exchange(app_that_returns((body, {'Content-Length': '5'})), b'GET / HTTP/1.1\r\nHost: a\r\n\r\n' + GET)
    # what is too much must not look like the next response
    assert data.count(b'HTTP/1.1 ') == 1
    assert not data.endswith(b'0123456789')


async def test_body_iter_of_everything():
    for body in BODIES + (lambda: 'onezweidrei-ü', lambda: STREAMED):
        assert b''.join(await collect(Response(body()))) == STREAMED, body


async def test_body_iter_gives_bytes():
    for body in BODIES + (lambda: 'text', lambda: {'a': 1}):
        for piece in await collect(Response(body())):
            assert isinstance(piece, bytes), body


async def test_body_iter_keeps_the_items():
    assert await collect(Response(iter(['one', b'two']))) == [b'one', b'two']


async def test_body_iter_of_json():
    assert b''.join(await collect(Response([1]))) == b'[1]'


async def test_file_is_read_in_pieces_of_the_buffer_size():
    with changed(Response, send_file_buffer_size=4):
        assert await collect(Response(io.BytesIO(b'0123456789'))) == [b'0123', b'4567', b'89']


# ---------------------------------------------------------------------------------------------------------------
# Response objects
# ---------------------------------------------------------------------------------------------------------------

def test_defaults():
    response = Response()
    assert response.status_code == 200
    assert response.body == b''
    assert response.headers == {}


def test_positional_arguments():
    response = Response('text', 201, {'X-Test': 'value'}, 'Made')
    assert response.status_code == 201
    assert response.body == b'text'
    assert response.headers['X-Test'] == 'value'
    assert response.reason == 'Made'


def test_keyword_arguments():
    response = Response(body='text', status_code=201, headers={'X-Test': 'value'}, reason='Made')
    assert (response.status_code, response.body, response.reason) == (201, b'text', 'Made')


def test_headers_are_without_case():
    response = Response(headers={'X-Test': 'value'})
    assert isinstance(response.headers, NoCaseDict)
    assert response.headers['x-test'] == 'value'


def test_headers_that_are_given_are_not_changed():
    headers = {'X-Test': 'value'}
    response = Response({'a': 1}, headers=headers)
    response.headers['X-Other'] = 'value'
    response.set_cookie('a', 'b')
    assert headers == {'X-Test': 'value'}


def test_body_of_json():
    response = Response({'a': 1})
    assert response.body == b'{"a": 1}'
    assert response.headers['Content-Type'].startswith('application/json')


def test_body_none():
    assert Response(None).status_code == 204


async def test_complete_fills_in_the_defaults():
    response = Response('grün')
    response.complete()
    assert response.headers['Content-Length'] == '5'
    assert response.headers['Content-Type'] == 'text/plain; charset=UTF-8'


async def test_complete_keeps_the_type():
    response = Response('text', headers={'content-type': 'text/html'})
    response.complete()
    assert response.headers['Content-Type'] == 'text/html'


async def test_complete_twice():
    response = Response('text')
    response.complete()
    response.body = b'longer text'
    response.complete()
    assert response.headers['Content-Length'] == '11'


async def test_default_content_type():
    with changed(Response, default_content_type='text/html'):
        assert (await response_to('x')).headers['Content-Type'] == 'text/html; charset=UTF-8'


async def test_default_content_type_with_a_charset():
    with changed(Response, default_content_type='text/html; charset=latin-1'):
        assert (await response_to('x')).headers['Content-Type'] == 'text/html; charset=latin-1'


async def test_default_content_type_is_not_for_json():
    with changed(Response, default_content_type='text/html'):
        assert (await response_to({})).headers['Content-Type'].startswith('application/json')


async def test_write_speaks_http_1_0():
    lines, body = await written(Response('text', 201, {'X-Test': 'value'}))
    assert lines[0] == 'HTTP/1.0 201 Created'
    assert sorted(lines[1:]) == ['Content-Length: 4', 'Content-Type: text/plain; charset=UTF-8', 'X-Test: value']
    assert body == b'text'


async def test_write_streams():
    for make_body in BODIES:
        lines, body = await written(Response(make_body()))
        assert lines[0] == 'HTTP/1.0 200 OK'
        assert body == STREAMED, make_body
        assert 'Transfer-Encoding: chunked' not in lines


async def test_write_needs_nothing_but_awrite():
    class Stream:
        data = b''

        async def awrite(self, data):
            self.data += data

    stream = Stream()
    await Response('text').write(stream)
    assert stream.data.startswith(b'HTTP/1.0 200 OK\r\n')
    assert stream.data.endswith(b'\r\n\r\ntext')


async def test_write_of_a_small_response_is_one_write():
    class Stream:
        writes = 0

        async def awrite(self, data):
            self.writes += 1

    stream = Stream()
    await Response('text').write(stream)
    assert stream.writes == 1


async def test_reason_phrases():
    for status_code, reason in ((200, 'OK'), (201, 'Created'), (204, 'No Content'), (302, 'Found'),
                                (304, 'Not Modified'), (400, 'Bad Request'), (404, 'Not Found'),
                                (405, 'Method Not Allowed'), (413, 'Content Too Large'),
                                (500, 'Internal Server Error'), (503, 'Service Unavailable')):
        lines, _ = await written(Response('', status_code))
        assert lines[0] == 'HTTP/1.0 %d %s' % (status_code, reason)


async def test_reason_phrase_of_ones_own():
    assert (await response_to(Response('', 200, reason='Fine'))).reason == 'Fine'
    assert (await response_to(Response('', 299, reason='Fine Too'))).reason == 'Fine Too'


async def test_status_that_nobody_knows():
    response = await response_to(Response('text', 299))
    assert (response.status_code, response.text) == (299, 'text')


async def test_status_without_a_body():
    for status_code in (204, 304):
        data = await exchange(app_that_returns(('text', status_code)), GET)
        assert data.startswith(b'HTTP/1.1 %d ' % status_code)
        assert data.endswith(b'\r\n\r\n')
    assert b'Content-Length' not in await exchange(app_that_returns(('text', 204)), GET)


async def test_version_of_the_request():
    assert (await exchange(app_that_returns('x'), GET)).startswith(b'HTTP/1.1 200 OK\r\n')
    assert (await exchange(app_that_returns('x'), GET_1_0)).startswith(b'HTTP/1.0 200 OK\r\n')


async def test_header_value_that_is_a_number():
    assert (await response_to(('x', {'X-Test': 5}))).headers['X-Test'] == '5'


async def test_header_value_that_is_a_list():
    lines, _ = await written(Response('x', 200, {'X-Test': ['one', 'two']}))
    assert [line for line in lines if line.startswith('X-Test')] == ['X-Test: one', 'X-Test: two']


async def test_already_handled():
    app = Microdot()

    @app.get('/')
    async def index(request):
        reader, writer = request.sock
        await writer.awrite(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine')
        return Response.already_handled

    assert await exchange(app, GET) == b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine'


async def test_already_handled_runs_the_hooks():
    app = app_that_returns(Response.already_handled)
    calls = []
    app.after_request(lambda request, response: calls.append(response.status_code))
    assert await exchange(app, GET) == b''
    assert calls == [200]


async def test_already_handled_gives_hooks_a_new_response_each_time():
    app = app_that_returns(Response.already_handled)
    seen = []

    @app.after_request
    async def after(request, response):
        seen.append('X-Test' in response.headers)
        response.headers['X-Test'] = 'value'

    await exchange(app, GET)
    await exchange(app, GET)
    assert seen == [False, False]


# ---------------------------------------------------------------------------------------------------------------
# Unsafe values
# ---------------------------------------------------------------------------------------------------------------

UNSAFE = ('a\r\nb', 'a\nb', 'a\rb', 'a\0b', '\r', '\n', '\0', 'a\n')


def test_unsafe_header_values():
    for text in UNSAFE:
        with raises(ValueError):
            Response('x', headers={'X-Test': text})


def test_unsafe_header_names():
    for text in UNSAFE:
        with raises(ValueError):
            Response('x', headers={text: 'value'})


def test_unsafe_header_values_in_a_list():
    with raises(ValueError):
        Response('x', headers={'X-Test': ['fine', 'a\r\nb']}).complete()


async def test_unsafe_reason():
    for text in UNSAFE:
        with raises(ValueError):
            await Response('x', reason=text).write(AsyncBytesIO())


def test_unsafe_headers_that_are_set_later():
    for text in UNSAFE:
        for headers in ({'X-Test': text}, {text: 'value'}):
            response = Response('x')
            response.headers.update(headers)
            with raises(ValueError):
                response.complete()


async def test_unsafe_header_is_not_written():
    response = Response('x')
    response.headers['X-Test'] = 'a\r\nb'
    stream = AsyncBytesIO(b'')
    with raises(ValueError):
        await response.write(stream)
    assert await stream.read() == b''


async def test_unsafe_header_of_a_handler_is_a_server_error():
    response = await response_to(lambda: ('x', {'X-Test': 'a\r\nX-Evil: b'}))
    assert response.status_code == 500
    assert 'X-Evil' not in response.headers


async def test_unsafe_header_of_a_hook_is_a_server_error():
    app = app_that_returns('x')

    @app.after_request
    async def after(request, response):
        response.headers['X-Test'] = 'a\r\nX-Evil: b'

    response = await TestClient(app).get('/')
    assert response.status_code == 500
    assert 'X-Evil' not in response.headers


def test_unsafe_cookie_values():
    for text in UNSAFE + ('a;b', ';', 'a; Path=/'):
        with raises(ValueError):
            Response().set_cookie('name', text)


def test_unsafe_cookie_names():
    for text in UNSAFE:
        with raises(ValueError):
            Response().set_cookie(text, 'value')


def test_unsafe_cookie_attributes():
    for name in ('path', 'domain', 'expires', 'same_site'):
        for text in UNSAFE:
            with raises(ValueError):
                Response().set_cookie('name', 'value', **{name: text})


def test_semicolons_in_cookie_attributes():
    for name in ('path', 'domain', 'expires', 'same_site'):
        with raises(ValueError):
            Response().set_cookie('name', 'value', **{name: 'a; Domain=b'})


def test_unsafe_cookie_is_not_kept():
    response = Response()
    with raises(ValueError):
        response.set_cookie('name', 'a\r\nb')
    assert 'Set-Cookie' not in response.headers


def test_unsafe_cookie_that_is_deleted():
    with raises(ValueError):
        Response().delete_cookie('a\r\nb')


def test_unsafe_redirects():
    for text in UNSAFE:
        with raises(ValueError):
            redirect('/' + text)


def test_unsafe_content_types_of_files():
    with raises(ValueError):
        send_file('x', content_type='text/html\r\nX-Evil: a', stream=io.BytesIO(b''))


# ---------------------------------------------------------------------------------------------------------------
# Cookies
# ---------------------------------------------------------------------------------------------------------------

def cookies_of(*args, **kwargs):
    response = Response('x')
    response.set_cookie(*args, **kwargs)
    return response.headers['Set-Cookie']


def test_set_cookie():
    assert cookies_of('name', 'value') == ['name=value']


def test_set_cookie_attributes_one_by_one():
    assert cookies_of('a', 'b', path='/x') == ['a=b; Path=/x']
    assert cookies_of('a', 'b', domain='example.com') == ['a=b; Domain=example.com']
    assert cookies_of('a', 'b', max_age=60) == ['a=b; Max-Age=60']
    assert cookies_of('a', 'b', secure=True) == ['a=b; Secure']
    assert cookies_of('a', 'b', http_only=True) == ['a=b; HttpOnly']
    assert cookies_of('a', 'b', partitioned=True) == ['a=b; Partitioned']
    assert cookies_of('a', 'b', same_site='Strict') == ['a=b; SameSite=Strict']


def test_set_cookie_expires_as_text():
    assert cookies_of('a', 'b', expires='Tue, 05 Nov 2019 02:23:54 GMT') == [
        'a=b; Expires=Tue, 05 Nov 2019 02:23:54 GMT']


def test_set_cookie_with_all_attributes_in_order():
    assert cookies_of('a', 'b', '/', 'example.com', 'Tue, 05 Nov 2019 02:23:54 GMT', 123, True, True, True, 'None') == [
        'a=b; Path=/; Domain=example.com; Expires=Tue, 05 Nov 2019 02:23:54 GMT; Max-Age=123; Secure; HttpOnly; '
        'Partitioned; SameSite=None']


def test_set_cookie_with_all_attributes_by_name():
    assert cookies_of(cookie='a', value='b', same_site='Lax', partitioned=True, http_only=True, secure=True, max_age=1,
                      expires='x', domain='d', path='/') == [
        'a=b; Path=/; Domain=d; Expires=x; Max-Age=1; Secure; HttpOnly; Partitioned; SameSite=Lax']


def test_set_cookie_max_age_of_zero():
    assert cookies_of('a', 'b', max_age=0) == ['a=b; Max-Age=0']


def test_set_cookie_with_attributes_that_are_off():
    assert cookies_of('a', 'b', path=None, secure=False, http_only=False, partitioned=False) == ['a=b']


def test_set_cookie_with_a_value_that_is_empty():
    assert cookies_of('a', '') == ['a=']


def test_set_cookie_repeatedly():
    response = Response('x')
    response.set_cookie('a', '1')
    response.set_cookie('b', '2', path='/')
    response.set_cookie('a', '3')
    assert response.headers['Set-Cookie'] == ['a=1', 'b=2; Path=/', 'a=3']


async def test_cookies_are_sent_in_lines_of_their_own():
    response = Response('x')
    response.set_cookie('a', '1')
    response.set_cookie('b', '2')
    lines, _ = await written(response)
    assert [line for line in lines if line.startswith('Set-Cookie')] == ['Set-Cookie: a=1', 'Set-Cookie: b=2']


async def test_cookies_of_an_error():
    app = Microdot()

    @app.after_error_request
    async def after(request, response):
        response.set_cookie('a', '1')

    assert (await TestClient(app).get('/')).headers['Set-Cookie'] == ['a=1']


def test_delete_cookie():
    response = Response('x')
    response.delete_cookie('name')
    text, = response.headers['Set-Cookie']
    parts = text.split('; ')
    assert parts[0] == 'name='
    assert 'Max-Age=0' in parts
    assert 'Expires=Thu, 01 Jan 1970 ' in text


def test_delete_cookie_with_attributes():
    response = Response('x')
    response.delete_cookie('name', path='/x', domain='example.com', secure=True, http_only=True)
    text, = response.headers['Set-Cookie']
    for attribute in ('Path=/x', 'Domain=example.com', 'Secure', 'HttpOnly', 'Max-Age=0'):
        assert attribute in text.split('; ')


# ---------------------------------------------------------------------------------------------------------------
# Redirects
# ---------------------------------------------------------------------------------------------------------------

async def test_redirect():
    response = await response_to(lambda: redirect('/elsewhere'))
    assert (response.status_code, response.reason, response.body) == (302, 'Found', b'')
    assert response.headers['Location'] == '/elsewhere'


async def test_redirect_with_a_status():
    assert redirect('/', 301).status_code == 301
    assert redirect('/', status_code=307).status_code == 307
    assert Response.redirect('/x?y=z').headers['Location'] == '/x?y=z'


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------

async def test_send_file():
    with temporary_file('page.html', b'<h1>Hello</h1>') as path:
        response = await response_to(lambda: send_file(path))
    assert (response.status_code, response.body) == (200, b'<h1>Hello</h1>')
    assert response.headers['Content-Type'] == 'text/html'
    assert response.headers['Content-Length'] == '14'
    assert 'Transfer-Encoding' not in response.headers
    assert 'Cache-Control' not in response.headers
    assert 'Content-Encoding' not in response.headers


async def test_send_file_types():
    for name, content_type in (('a.css', 'text/css'), ('a.gif', 'image/gif'), ('a.html', 'text/html'),
                               ('a.jpg', 'image/jpeg'), ('a.json', 'application/json'), ('a.png', 'image/png'),
                               ('a.svg', 'image/svg+xml'), ('a.txt', 'text/plain'), ('a.b.css', 'text/css'),
                               ('a.unknown', 'application/octet-stream'), ('a', 'application/octet-stream'),
                               ('dir.css/a', 'application/octet-stream')):
        response = send_file(name, stream=io.BytesIO(b''))
        assert response.headers['Content-Type'].split(';')[0] == content_type, name
    assert send_file('a.js', stream=io.BytesIO(b'')).headers['Content-Type'].endswith('javascript')


async def test_send_file_types_can_be_added():
    with changed(Response, types_map=dict(Response.types_map, mine='application/x-mine')):
        assert send_file('a.mine', stream=io.BytesIO(b'')).headers['Content-Type'] == 'application/x-mine'


async def test_send_file_with_a_type():
    with temporary_file('page.html', b'text') as path:
        response = await response_to(lambda: send_file(path, content_type='text/x-mine'))
    assert response.headers['Content-Type'] == 'text/x-mine'


async def test_send_file_with_a_status():
    with temporary_file('page.html', b'text') as path:
        response = await response_to(lambda: send_file(path, 404))
        assert (response.status_code, response.text) == (404, 'text')
        assert (await response_to(lambda: send_file(path, status_code=203))).status_code == 203


async def test_send_file_of_no_bytes():
    with temporary_file('empty.txt') as path:
        response = await response_to(lambda: send_file(path))
    assert (response.status_code, response.body) == (200, b'')
    assert response.headers['Content-Length'] == '0'


async def test_send_file_that_is_larger_than_the_buffer():
    content = bytes(range(256)) * 8
    with temporary_file('large.bin', content) as path, changed(Response, send_file_buffer_size=500):
        assert (await response_to(lambda: send_file(path))).body == content


async def test_send_file_that_is_missing():
    response = await response_to(lambda: send_file('/nowhere/missing.html'))
    assert (response.status_code, response.text) == (404, 'Not found')
    assert response.headers['Content-Type'] == 'text/plain; charset=UTF-8'


async def test_send_file_of_a_directory():
    response = await response_to(lambda: send_file(os.getcwd()))
    assert (response.status_code, response.text) == (404, 'Not found')


async def test_send_file_with_a_name_that_no_file_has():
    for name in ('', 'a\0b', 'x' * 1000, '/dev/null'):
        assert (await response_to(lambda: send_file(name))).status_code == 404, name  # noqa: B023


async def test_send_file_that_is_missing_reaches_the_error_handler():
    app = app_that_returns(lambda: send_file('/nowhere/missing.html'))
    app.errorhandler(404)(lambda request: ('mine', 404))
    assert (await TestClient(app).get('/')).text == 'mine'


async def test_send_file_that_is_missing_with_a_stream():
    response = await response_to(lambda: send_file('missing.html', stream=io.BytesIO(b'text')))
    assert (response.status_code, response.text) == (200, 'text')
    assert response.headers['Content-Type'] == 'text/html'


async def test_send_file_with_a_stream_has_none_of_the_files_metadata():
    with temporary_file('page.html', b'text of the file') as path:
        response = await response_to(lambda: send_file(path, stream=io.BytesIO(b'stream')))
    assert response.text == 'stream'
    for name in ('Content-Length', 'Last-Modified', 'ETag'):
        assert name not in response.headers, name


async def test_send_file_with_streams_of_every_kind():
    for make_stream in (File, AsyncFile, Minimal):
        stream = make_stream()
        assert (await response_to(send_file('a.txt', stream=stream))).body == STREAMED


async def test_send_file_with_max_age():
    with temporary_file('page.html') as path:
        for max_age in (3600, 0):
            response = await response_to(lambda: send_file(path, max_age=max_age))  # noqa: B023
            assert response.headers['Cache-Control'] == 'max-age=%d' % max_age


async def test_send_file_with_the_default_max_age():
    with temporary_file('page.html') as path, changed(Response, default_send_file_max_age=60):
        assert (await response_to(lambda: send_file(path))).headers['Cache-Control'] == 'max-age=60'
        assert (await response_to(lambda: send_file(path, max_age=5))).headers['Cache-Control'] == 'max-age=5'
        assert (await response_to(lambda: send_file(path, max_age=0))).headers['Cache-Control'] == 'max-age=0'


async def test_send_file_that_is_compressed():
    with temporary_file('page.html', b'compressed') as path:
        response = await response_to(lambda: send_file(path, compressed=True))
        assert response.headers['Content-Encoding'] == 'gzip'
        assert response.headers['Content-Type'] == 'text/html'
        response = await response_to(lambda: send_file(path, compressed='br'))
        assert response.headers['Content-Encoding'] == 'br'


async def test_send_file_that_is_compressed_and_named_gz():
    with temporary_file('page.html.gz', b'compressed') as path:
        response = await response_to(lambda: send_file(path, compressed=True))
        assert response.headers['Content-Type'] == 'text/html'
        assert response.headers['Content-Encoding'] == 'gzip'
        assert response.headers['Content-Length'] == '10'
        response = await response_to(lambda: send_file(path))
        assert 'Content-Encoding' not in response.headers
        assert response.headers['Content-Type'] != 'text/html'


async def test_send_file_with_a_file_extension():
    with temporary_file('page.html.gz', b'compressed') as path:
        response = await response_to(lambda: send_file(path[:-3], compressed=True, file_extension='.gz'))
    assert response.body == b'compressed'
    assert response.headers['Content-Type'] == 'text/html'
    assert response.headers['Content-Encoding'] == 'gzip'


async def test_send_file_head():
    with temporary_file('page.html', b'<h1>Hello</h1>') as path:
        response = await response_to(lambda: send_file(path), 'HEAD')
    assert (response.status_code, response.body) == (200, b'')
    assert response.headers['Content-Length'] == '14'
    assert response.headers['Content-Type'] == 'text/html'


async def test_send_file_is_a_static_method_of_response():
    with temporary_file('page.html', b'text') as path:
        response = await response_to(lambda: Response.send_file(path))
    assert response.text == 'text'


async def test_send_file_with_positional_arguments():
    with temporary_file('page.html', b'text') as path:
        response = send_file(path, 203, 'text/x-mine', io.BytesIO(b'stream'), 60, 'br', '.br')
    assert response.status_code == 203
    assert response.headers['Content-Type'] == 'text/x-mine'
    assert response.headers['Cache-Control'] == 'max-age=60'
    assert response.headers['Content-Encoding'] == 'br'
    assert b''.join(await collect(response)) == b'stream'


async def test_static_route_of_the_guide():
    app = Microdot()
    with temporary_file('page.css', b'style') as path:
        directory, _, name = path.rpartition('/')

        @app.route('/static/<path:path>')
        async def static(request, path):
            if '..' in path:
                abort(404)
            return send_file(directory + '/' + path, max_age=86400)

        assert await get_text(app, '/static/' + name) == 'style'
        assert (await TestClient(app).get('/static/../' + name)).status_code == 404
