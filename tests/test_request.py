"""The request: its attributes, its body and its limits."""
from helpers import ON_MICROPYTHON, FakeWriter, changed, create_request, exchange, get_text, raises
from microdot import AsyncBytesIO, Microdot, Request
from microdot.microdot import MultiDict, NoCaseDict
from microdot.test_client import TestClient


def app_that_calls(handler):
    """Return an application that answers every POST with what a coroutine function makes of the request."""
    app = Microdot()
    app.post('/')(handler)
    return app


async def create_post(content_type, body):
    return await create_request(['POST / HTTP/1.1', 'Content-Type: ' + content_type,
                                 'Content-Length: %d' % len(body)], body)


async def create_get(target):
    return await create_request(['GET %s HTTP/1.1' % target])


def chunked(*chunks):
    return b''.join([b'%x\r\n' % len(chunk) + chunk + b'\r\n' for chunk in chunks]) + b'0\r\n\r\n'


ADDRESS = ('1.2.3.4', 5678)
POST = b'POST / HTTP/1.1\r\nHost: a\r\n'
POST_CHUNKED = POST + b'Transfer-Encoding: chunked\r\n\r\n'
POST_CHUNKED_AND_CLOSE = POST + b'Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n'

# ---------------------------------------------------------------------------------------------------------------
# Attributes
# ---------------------------------------------------------------------------------------------------------------


async def test_attributes_of_a_request():
    app = Microdot()
    reader = AsyncBytesIO(b'POST /a%20b?c=d HTTP/1.1\r\nHost: example.com\r\nX-Test: value\r\n'
                          b'Content-Type: text/css\r\nContent-Length: 4\r\nCookie: e=f\r\n\r\nbody')
    request = await Request.create(app, reader, FakeWriter(), ('1.2.3.4', 5678))
    assert request.app is app
    assert request.client_addr == ('1.2.3.4', 5678)
    assert request.method == 'POST'
    assert request.scheme == 'http'
    assert request.url == '/a%20b?c=d'
    assert request.path == '/a b'
    assert request.query_string == 'c=d'
    assert request.args['c'] == 'd'
    assert request.headers['x-test'] == 'value'
    assert request.cookies == {'e': 'f'}
    assert request.content_length == 4
    assert request.content_type == 'text/css'
    assert request.http_version == '1.1'
    assert request.body == b'body'
    assert await request.stream.read() == b'body'
    assert request.json is None
    assert request.form is None
    assert not request.files
    assert request.url_prefix == ''
    assert request.subapp is None
    assert request.route is None
    assert len(request.sock) == 2


async def test_attributes_of_a_request_without_anything():
    request = await create_get('/')
    assert request.method == 'GET'
    assert request.url == request.path == '/'
    assert request.query_string is None
    assert request.cookies == {}
    assert request.content_length == 0
    assert request.content_type is None
    assert request.body == b''
    assert await request.stream.read() == b''


async def test_constructor():
    app = Microdot()
    headers = NoCaseDict({'Content-Type': 'text/css', 'Content-Length': '4', 'Cookie': 'a=b'})
    request = Request(app, ('1.2.3.4', 5), 'PUT', '/a%20b?c=d', '1.0', headers)
    assert request.app is app
    assert request.client_addr == ('1.2.3.4', 5)
    assert request.method == 'PUT'
    assert request.url == '/a%20b?c=d'
    assert request.path == '/a b'
    assert request.query_string == 'c=d'
    assert request.http_version == '1.0'
    assert request.headers is headers
    assert request.content_type == 'text/css'
    assert request.content_length == 4
    assert request.cookies == {'a': 'b'}
    assert request.body == b''
    assert request.scheme == 'http'
    assert request.url_prefix == ''
    assert request.subapp is None
    assert request.route is None


async def test_constructor_with_a_body():
    request = Request(Microdot(), ('1.2.3.4', 5), 'POST', '/', '1.1', NoCaseDict(), body=b'text')
    assert request.body == b'text'
    assert await request.stream.read() == b'text'


async def test_constructor_with_a_stream():
    stream = AsyncBytesIO(b'text')
    request = Request(Microdot(), ('1.2.3.4', 5), 'POST', '/', '1.1', NoCaseDict(), stream=stream)
    assert request.stream is stream
    assert request.body == b''


def test_constructor_with_everything_else():
    subapp = Microdot()
    sock = (AsyncBytesIO(b''), FakeWriter())
    request = Request(Microdot(), ('1.2.3.4', 5), 'POST', '/', '1.1', NoCaseDict(), sock=sock, url_prefix='/sub',
                      subapp=subapp, scheme='https', route=len)
    assert request.sock is sock
    assert request.url_prefix == '/sub'
    assert request.subapp is subapp
    assert request.scheme == 'https'
    assert request.route is len


def test_constructor_with_a_plain_dict_of_headers():
    request = Request(Microdot(), ('1.2.3.4', 5), 'GET', '/', '1.1', {'Cookie': 'a=b', 'Content-Type': 'text/css'})
    assert request.cookies == {'a': 'b'}
    assert request.content_type == 'text/css'


async def test_path_is_percent_decoded_and_url_is_not():
    request = await create_get('/%C3%BC%2Fb?x=%20')
    assert request.path == '/ü/b'
    assert request.url == '/%C3%BC%2Fb?x=%20'
    assert request.query_string == 'x=%20'


async def test_query_string_that_is_empty():
    request = await create_get('/?')
    assert not request.query_string
    assert request.path == '/'
    assert request.args == {}


async def test_query_string_with_a_question_mark():
    request = await create_get('/?a=b?c')
    assert request.query_string == 'a=b?c'
    assert request.args['a'] == 'b?c'


async def test_args():
    args = (await create_get('/?a=1&b=two+words&c=%C3%BC&d=%26%3D&a=2')).args
    assert isinstance(args, MultiDict)
    assert args['a'] == '1'
    assert args.getlist('a') == ['1', '2']
    assert args['b'] == 'two words'
    assert args['c'] == 'ü'
    assert args['d'] == '&='
    assert args.get('a', type=int) == 1


async def test_args_without_a_query_string():
    args = (await create_get('/')).args
    assert isinstance(args, MultiDict)
    assert len(args) == 0
    assert args.get('a') is None
    assert args.getlist('a') == []


async def test_args_without_a_value():
    args = (await create_get('/?a&b=&c=1')).args
    assert args['a'] == ''
    assert args['b'] == ''
    assert args['c'] == '1'


async def test_args_with_separators_too_many():
    args = (await create_get('/?&a=1&&b=2&')).args
    assert sorted(args.keys()) == ['a', 'b']


async def test_args_with_an_equals_sign_in_the_value():
    assert (await create_get('/?a=b=c')).args['a'] == 'b=c'


async def test_args_with_encoded_names():
    assert (await create_get('/?a+b%3D=c')).args['a b='] == 'c'


async def test_args_with_broken_escapes():
    args = (await create_get('/?a=100%&b=%zz&c=%ff')).args
    assert args['a'] == '100%'
    assert args['b'] == '%zz'
    assert isinstance(args['c'], str)


async def test_headers_compare_without_case():
    request = await create_request(['GET / HTTP/1.1', 'X-Test: value'])
    assert isinstance(request.headers, NoCaseDict)
    assert request.headers['X-TEST'] == 'value'
    assert 'x-test' in request.headers


async def test_headers_are_stripped():
    request = await create_request(['GET / HTTP/1.1', 'X-A: \t value  with spaces \t ', 'X-B:value', 'X-C:'])
    assert request.headers['X-A'] == 'value  with spaces'
    assert request.headers['X-B'] == 'value'
    assert request.headers['X-C'] == ''


async def test_header_value_with_colons():
    request = await create_request(['GET / HTTP/1.1', 'Referer: http://example.com:80/'])
    assert request.headers['Referer'] == 'http://example.com:80/'


async def test_repeated_headers_are_joined():
    request = await create_request(['GET / HTTP/1.1', 'X-List: one', 'x-list: two', 'X-List: three, four'])
    assert request.headers['X-List'] == 'one, two, three, four'


async def test_cookies():
    request = await create_request(['GET / HTTP/1.1', 'Cookie: a=one; b=two;c=three; d='])
    assert request.cookies == {'a': 'one', 'b': 'two', 'c': 'three', 'd': ''}


async def test_cookie_with_an_equals_sign_in_the_value():
    request = await create_request(['GET / HTTP/1.1', 'Cookie: a=b=c=='])
    assert request.cookies == {'a': 'b=c=='}


async def test_cookies_in_several_headers():
    # RFC 9113 section 8.2.3 joins these with a semicolon, not a comma
    request = await create_request(['GET / HTTP/1.1', 'Cookie: a=one', 'Cookie: b=two'])
    assert request.cookies == {'a': 'one', 'b': 'two'}


async def test_cookies_that_are_malformed():
    request = await create_request(['GET / HTTP/1.1', 'Cookie: ; a=one;; novalue; b=two;'])
    assert request.cookies['a'] == 'one'
    assert request.cookies['b'] == 'two'


async def test_http_version():
    assert (await create_request(['GET / HTTP/1.0'])).http_version == '1.0'
    assert (await create_request(['GET / HTTP/1.1'])).http_version == '1.1'


async def test_g_takes_any_attribute():
    request = await create_get('/')
    request.g.user = 'susan'
    request.g.anything = [1]
    assert request.g.user == 'susan'
    assert request.g.anything == [1]
    with raises(AttributeError):
        getattr(request.g, 'nothing')  # noqa: B009


async def test_g_belongs_to_one_request():
    one = await create_get('/')
    two = await create_get('/')
    one.g.user = 'susan'
    assert not hasattr(two.g, 'user')


async def test_g_is_shared_by_hooks_and_handler():
    app = Microdot()
    seen = []

    @app.before_request
    async def before(request):
        request.g.user = 'susan'

    @app.after_request
    async def after(request, response):
        seen.append(request.g.user)

    app.get('/')(lambda request: request.g.user)
    assert await get_text(app, '/') == 'susan'
    assert seen == ['susan']


async def test_attribute_that_is_not_there():
    with raises(AttributeError):
        getattr(await create_get('/'), 'nothing')  # noqa: B009


async def test_attributes_of_ones_own():
    request = await create_get('/')
    request.mine = 5
    assert request.mine == 5


async def test_derived_attributes_are_computed_once():
    request = await create_request(['POST /?a=b HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 8'],
                                   b'{"a": 1}')
    assert request.args is request.args
    assert request.cookies is request.cookies
    assert request.json is request.json
    assert request.g is request.g
    assert request.stream is request.stream
    request.json['a'] = 2
    assert request.json == {'a': 2}


async def test_sock_gives_reader_and_writer():
    app = Microdot()
    seen = []

    @app.get('/')
    async def index(request):
        reader, writer = request.sock
        seen.append([hasattr(reader, name) for name in ('read', 'readline', 'readexactly')])
        seen.append([hasattr(writer, name) for name in ('awrite', 'aclose', 'get_extra_info')])
        seen.append(writer.get_extra_info('peername'))

    await exchange(app, b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert seen == [[True] * 3, [True] * 3, ('1.2.3.4', 5678)]


# ---------------------------------------------------------------------------------------------------------------
# JSON
# ---------------------------------------------------------------------------------------------------------------

async def test_json():
    request = await create_post('application/json', b'{"a": [1, "\xc3\xbc", null]}')
    assert request.json == {'a': [1, 'ü', None]}


async def test_json_types():
    for content_type in ('application/json', 'application/json; charset=UTF-8', 'application/json;charset=utf-8',
                         'Application/JSON', 'application/problem+json', 'application/vnd.api+json; ext="x"',
                         'application/LD+Json'):
        assert (await create_post(content_type, b'[1]')).json == [1], content_type


async def test_other_types_are_not_json():
    for content_type in ('text/plain', 'application/jsonp', 'application/x-www-form-urlencoded', 'json',
                         'text/plain; x=application/json', 'application/json-seq'):
        assert (await create_post(content_type, b'[1]')).json is None, content_type


async def test_json_without_a_type():
    request = await create_request(['POST / HTTP/1.1', 'Content-Length: 3'], b'[1]')
    assert request.json is None


async def test_json_values_that_are_false():
    for body, value in ((b'0', 0), (b'false', False), (b'""', ''), (b'[]', []), (b'{}', {}), (b'null', None)):
        assert (await create_post('application/json', body)).json == value


async def test_malformed_json_is_a_bad_request():
    app = app_that_calls(lambda request: request.json)
    # MicroPython's parser takes a comma too many and the like
    for body in (b'{"a": 1', b'{', b'nonsense', b'[1] 2', b'"', b'[\xff]', b'["\xff"]'):
        response = await TestClient(app).post('/', {'Content-Type': 'application/json'}, body)
        assert (response.status_code, response.text) == (400, 'Bad request'), body


async def test_deeply_nested_json_is_a_bad_request():
    app = app_that_calls(lambda request: request.json)
    body = b'[' * (250 if ON_MICROPYTHON else 10000)
    response = await TestClient(app).post('/', {'Content-Type': 'application/json'}, body)
    assert response.status_code == 400


async def test_malformed_json_reaches_the_error_handler():
    app = app_that_calls(lambda request: request.json)
    app.errorhandler(400)(lambda request: ('mine', 400))
    response = await TestClient(app).post('/', {'Content-Type': 'application/json'}, b'{')
    assert (response.status_code, response.text) == (400, 'mine')


async def test_malformed_json_that_nobody_looks_at():
    app = app_that_calls(lambda request: 'ok')
    response = await TestClient(app).post('/', {'Content-Type': 'application/json'}, b'{')
    assert response.text == 'ok'


# ---------------------------------------------------------------------------------------------------------------
# Forms
# ---------------------------------------------------------------------------------------------------------------

FORM = 'application/x-www-form-urlencoded'


async def test_form():
    form = (await create_post(FORM, b'a=1&b=two+words&c=%C3%BC&d=%26&a=2')).form
    assert isinstance(form, MultiDict)
    assert form['a'] == '1'
    assert form.getlist('a') == ['1', '2']
    assert form['b'] == 'two words'
    assert form['c'] == 'ü'
    assert form['d'] == '&'


async def test_form_names_without_a_value():
    form = (await create_post(FORM, b'a&b=&c=1')).form
    assert form['a'] == ''
    assert form['b'] == ''
    assert form['c'] == '1'


async def test_form_with_utf8_that_is_not_encoded():
    assert (await create_post(FORM, 'a=ü'.encode())).form['a'] == 'ü'


async def test_form_type_with_parameters():
    assert (await create_post(FORM + '; charset=UTF-8', b'a=1')).form['a'] == '1'
    assert (await create_post('Application/X-WWW-Form-URLencoded', b'a=1')).form['a'] == '1'


async def test_form_that_is_empty():
    form = (await create_request(['POST / HTTP/1.1', 'Content-Type: ' + FORM, 'Content-Length: 0'])).form
    assert form == {}


async def test_form_of_another_type():
    assert (await create_post('text/plain', b'a=1')).form is None


async def test_form_with_bytes_that_are_not_utf8():
    app = app_that_calls(lambda request: ','.join(sorted(request.form.keys())))
    response = await TestClient(app).post('/', {'Content-Type': FORM}, b'a=\xff&b=%ff')
    assert response.text == 'a,b'


# ---------------------------------------------------------------------------------------------------------------
# Body and stream
# ---------------------------------------------------------------------------------------------------------------

async def test_body():
    app = app_that_calls(lambda request: request.body)
    body = bytes(range(256))
    assert (await TestClient(app).post('/', body=body)).body == body


async def test_body_of_no_bytes():
    app = app_that_calls(lambda request: repr(len(request.body)))
    assert (await TestClient(app).post('/', body=b'')).text == '0'
    assert (await TestClient(app).post('/')).text == '0'


async def test_small_body_is_in_the_stream_too():
    async def handler(request):
        return request.body + b' ' + await request.stream.read()

    assert (await TestClient(app_that_calls(handler)).post('/', body='text')).text == 'text text'


async def test_body_of_the_largest_size():
    app = app_that_calls(lambda request: repr((len(request.body), request.content_length)))
    with changed(Request, max_content_length=100, max_body_length=100):
        assert (await TestClient(app).post('/', body=b'x' * 100)).text == '(100, 100)'


async def test_body_over_max_body_length_is_only_in_the_stream():
    async def handler(request):
        return b'%d %d ' % (len(request.body), request.content_length) + await request.stream.read()

    with changed(Request, max_body_length=8, max_content_length=16):
        client = TestClient(app_that_calls(handler))
        assert (await client.post('/', body='12345678')).text == '8 8 12345678'
        assert (await client.post('/', body='123456789')).text == '0 9 123456789'
        assert (await client.post('/', body='1234567890123456')).text == '0 16 1234567890123456'
        assert (await client.post('/', body='12345678901234567')).status_code == 413


async def test_body_over_max_content_length():
    calls = []
    app = app_that_calls(lambda request: calls.append('handler'))
    app.before_request(lambda request: calls.append('hook'))
    with changed(Request, max_content_length=100):
        response = await TestClient(app).post('/', body=b'x' * 101)
    assert (response.status_code, response.text) == (413, 'Payload too large')
    assert calls == []


async def test_body_over_max_content_length_ends_the_connection():
    app = app_that_calls(lambda request: 'ok')
    with changed(Request, max_content_length=8):
        data = await exchange(app, POST + b'Content-Length: 9\r\n\r\n123456789' + POST + b'\r\n')
    assert data.startswith(b'HTTP/1.1 413 ')
    assert data.count(b'HTTP/1.1') == 1


async def test_default_limits():
    assert Request.max_content_length == 16 * 1024
    assert Request.max_body_length == 16 * 1024
    assert Request.max_readline == (2 if ON_MICROPYTHON else 8) * 1024


async def test_chunked_body():
    app = app_that_calls(lambda request: request.body)
    data = await exchange(app, POST_CHUNKED_AND_CLOSE + chunked(b'one', b' two', b' three'))
    assert data.endswith(b'\r\n\r\none two three')


async def test_chunked_body_of_no_bytes():
    app = app_that_calls(lambda request: repr(request.body))
    data = await exchange(app, POST_CHUNKED_AND_CLOSE + chunked())
    assert data.endswith(b"\r\n\r\nb''")


async def test_chunked_body_with_extensions_and_trailers():
    app = app_that_calls(lambda request: request.body + b' %d' % ('X-Trailer' in request.headers))
    data = await exchange(app, POST_CHUNKED_AND_CLOSE + b'3;a=b\r\none\r\n0\r\nX-Trailer: x\r\n\r\n')
    assert data.endswith(b'\r\n\r\none 0')


async def test_chunked_body_is_followed_by_the_next_request():
    app = app_that_calls(lambda request: request.body)
    data = await exchange(app, POST_CHUNKED + chunked(b'first') + POST_CHUNKED_AND_CLOSE + chunked(b'second'))
    assert data.count(b'HTTP/1.1 200 OK') == 2
    assert b'\r\n\r\nfirstHTTP/1.1' in data
    assert data.endswith(b'\r\n\r\nsecond')


async def test_chunked_body_over_max_body_length_is_only_in_the_stream():
    async def handler(request):
        return b'%d ' % len(request.body) + await request.stream.read()

    with changed(Request, max_body_length=8, max_content_length=16):
        data = await exchange(app_that_calls(handler), POST_CHUNKED_AND_CLOSE + chunked(b'123456', b'789'))
        assert data.endswith(b'\r\n\r\n0 123456789')
        data = await exchange(app_that_calls(handler), POST_CHUNKED_AND_CLOSE + chunked(b'123456', b'78'))
        assert data.endswith(b'\r\n\r\n8 12345678')


async def test_chunked_body_over_max_content_length():
    async def handler(request):
        return await request.stream.read()

    with changed(Request, max_body_length=8, max_content_length=16):
        data = await exchange(app_that_calls(handler), POST_CHUNKED_AND_CLOSE + chunked(b'123456789', b'12345678'))
    assert data.startswith(b'HTTP/1.1 413 ')


async def test_chunked_body_over_both_limits():
    app = app_that_calls(lambda request: 'ok')
    with changed(Request, max_body_length=8, max_content_length=8):
        data = await exchange(app, POST_CHUNKED_AND_CLOSE + chunked(b'123456789'))
    assert data.startswith(b'HTTP/1.1 413 ')
    assert data.endswith(b'\r\n\r\nPayload too large')


async def test_chunked_body_that_is_malformed():
    async def handler(request):
        return await request.stream.read()

    for limit in (8, 0):  # body that is loaded, body that is streamed
        with changed(Request, max_body_length=limit):
            data = await exchange(app_that_calls(handler), POST_CHUNKED_AND_CLOSE + b'nonsense\r\n')
        assert data.startswith(b'HTTP/1.1 400 '), limit


async def test_body_that_ends_early():
    app = app_that_calls(lambda request: 'ok')
    data = await exchange(app, POST + b'Content-Length: 10\r\n\r\n12345')
    assert b' 200 ' not in data


async def test_body_that_ends_early_while_it_is_streamed():
    async def handler(request):
        return await request.stream.read()

    for data in (b'Content-Length: 10\r\n\r\n12345', b'Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n'):
        with changed(Request, max_body_length=4):
            data = await exchange(app_that_calls(handler), POST + data)
        assert b' 200 ' not in data


async def stream_of(body):
    """Return the stream of a body that is not loaded."""
    with changed(Request, max_body_length=0):
        request = await create_request(['POST / HTTP/1.1', 'Content-Length: %d' % len(body)], body + b'rest')
    assert request.body == b''
    return request.stream


async def stream_of_chunked(body):
    """Return the stream of a body in chunks of four bytes."""
    chunks = [body[i:i + 4] for i in range(0, len(body), 4)]
    with changed(Request, max_body_length=0):
        request = await create_request(['POST / HTTP/1.1', 'Transfer-Encoding: chunked'], chunked(*chunks) + b'rest')
    assert request.body == b''
    return request.stream


async def stream_in_memory(body):
    """Return the stream of a body that is loaded."""
    return (await create_post('text/plain', body)).stream


STREAMS = (stream_of, stream_of_chunked, stream_in_memory)


async def read_all(stream, n):
    """Read pieces of at most n bytes up to the end."""
    pieces = []
    while True:
        piece = await stream.read(n)
        assert len(piece) <= n
        if not piece:
            return b''.join(pieces)
        pieces.append(piece)


async def test_stream_read_everything():
    for make_stream in STREAMS:
        stream = await make_stream(b'0123456789')
        assert await stream.read() == b'0123456789'
        assert await stream.read() == b''
        assert await stream.read(5) == b''


async def test_stream_read_minus_one_is_everything():
    for make_stream in STREAMS:
        assert await (await make_stream(b'0123456789')).read(-1) == b'0123456789'


async def test_stream_read_some():
    for make_stream in STREAMS:
        for n in (1, 3, 4, 10, 100):
            assert await read_all(await make_stream(b'0123456789'), n) == b'0123456789'


async def test_stream_read_nothing():
    for make_stream in STREAMS:
        stream = await make_stream(b'0123456789')
        assert await stream.read(0) == b''
        assert await stream.read() == b'0123456789'


async def test_stream_readexactly():
    for make_stream in STREAMS:
        stream = await make_stream(b'0123456789')
        assert await stream.readexactly(3) == b'012'
        assert await stream.readexactly(6) == b'345678'
        assert await stream.readexactly(0) == b''
        with raises(EOFError):
            await stream.readexactly(2)


async def test_stream_readexactly_to_the_end():
    for make_stream in STREAMS:
        stream = await make_stream(b'0123456789')
        assert await stream.readexactly(10) == b'0123456789'
        assert await stream.read() == b''


async def test_stream_readline():
    for make_stream in STREAMS:
        stream = await make_stream(b'one\r\ntwo\n\nthree')
        assert await stream.readline() == b'one\r\n'
        assert await stream.readline() == b'two\n'
        assert await stream.readline() == b'\n'
        assert await stream.readline() == b'three'
        assert await stream.readline() == b''


async def test_stream_readuntil():
    for make_stream in STREAMS:
        stream = await make_stream(b'one--two-three--four')
        assert await stream.readuntil(b'--') == b'one--'
        assert await stream.readuntil(b'--') == b'two-three--'
        assert await stream.read() == b'four'


async def test_stream_methods_mixed():
    for make_stream in STREAMS:
        stream = await make_stream(b'line\nabcdef;rest')
        assert await stream.readline() == b'line\n'
        assert await stream.readexactly(2) == b'ab'
        assert await stream.readuntil(b';') == b'cdef;'
        assert await stream.read() == b'rest'


async def test_stream_that_is_not_read_leaves_the_connection_usable():
    app = app_that_calls(lambda request: 'ok')
    with changed(Request, max_body_length=8):
        data = await exchange(app, POST + b'Content-Length: 10\r\n\r\n0123456789'
                              + POST + b'Content-Length: 2\r\nConnection: close\r\n\r\n01')
    # the server may drain the body or close the connection, but not take the body for a request
    assert data.startswith(b'HTTP/1.1 200 ')
    assert b' 400 ' not in data


async def test_stream_that_is_read_leaves_the_connection_usable():
    async def handler(request):
        return await request.stream.read()

    with changed(Request, max_body_length=8):
        data = await exchange(app_that_calls(handler), POST + b'Content-Length: 10\r\n\r\n0123456789'
                              + POST + b'Content-Length: 9\r\nConnection: close\r\n\r\nabcdefghi')
    assert data.count(b'HTTP/1.1 200 ') == 2
    assert data.endswith(b'\r\n\r\nabcdefghi')


async def test_json_of_a_chunked_body():
    app = app_that_calls(lambda request: request.json)
    data = await exchange(app, POST + b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n'
                                      b'Connection: close\r\n\r\n' + chunked(b'[1,', b' 2]'))
    assert data.endswith(b'\r\n\r\n[1, 2]')


# ---------------------------------------------------------------------------------------------------------------
# Request.create
# ---------------------------------------------------------------------------------------------------------------

async def test_create_with_a_plain_stream():
    request = await Request.create(Microdot(), AsyncBytesIO(b'GET /a HTTP/1.1\r\nHost: b\r\n\r\n'), None, ADDRESS)
    assert request.method == 'GET'
    assert request.path == '/a'
    assert request.headers['Host'] == 'b'
    assert request.client_addr == ADDRESS


async def test_create_with_a_body():
    request = await Request.create(
        Microdot(), AsyncBytesIO(b'POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nbodyrest'), None, ADDRESS)
    assert request.body == b'body'


async def test_create_with_a_scheme():
    data = b'GET / HTTP/1.1\r\nHost: b\r\n\r\n'
    app = Microdot()
    assert (await Request.create(app, AsyncBytesIO(data), None, ADDRESS)).scheme == 'http'
    assert (await Request.create(app, AsyncBytesIO(data), None, ADDRESS, scheme='https')).scheme == 'https'
    assert (await Request.create(app, AsyncBytesIO(data), None, ADDRESS, 'https')).scheme == 'https'


class SlowStream:
    """A stream that gives one byte for each ``read``, and has nothing but the three methods."""

    def __init__(self, data):
        self.stream = AsyncBytesIO(data)

    async def read(self, n=-1):
        return await self.stream.read(1 if n else 0)

    async def readline(self):
        return await self.stream.readline()

    async def readexactly(self, n):
        return await self.stream.readexactly(n)


async def test_create_with_a_stream_that_gives_a_byte_at_a_time():
    data = b'POST /a?b=c HTTP/1.1\r\nHost: d\r\nX-Test: e\r\nContent-Length: 4\r\n\r\nbody'
    request = await Request.create(Microdot(), SlowStream(data), None, ADDRESS)
    assert request.url == '/a?b=c'
    assert request.headers['X-Test'] == 'e'
    assert request.body == b'body'


async def test_create_at_the_end_of_the_stream():
    assert await Request.create(Microdot(), AsyncBytesIO(b''), None, ADDRESS) is None


async def test_create_refuses_a_long_request_line():
    target = '/' + 'x' * Request.max_readline
    with raises(ValueError):
        await create_get(target)


async def test_create_refuses_a_long_request_line_without_an_end():
    data = b'GET /' + b'x' * (10000 if ON_MICROPYTHON else 100000)
    with raises(ValueError):
        await Request.create(Microdot(), AsyncBytesIO(data), None, ADDRESS)


async def test_create_refuses_a_long_header_line():
    with raises(ValueError):
        await create_request(['GET / HTTP/1.1', 'X-Test: ' + 'x' * Request.max_readline])


async def test_create_takes_a_request_line_of_the_limit():
    with changed(Request, max_readline=100):
        target = '/' + 'x' * (100 - len('GET / HTTP/1.1\r\n'))
        assert (await create_get(target)).url == target
        with raises(ValueError):
            await create_get(target + 'xxx')


async def test_create_takes_a_header_line_of_the_limit():
    with changed(Request, max_readline=100):
        value = 'x' * (100 - len('X-Test: \r\n'))
        assert (await create_request(['GET / HTTP/1.1', 'X-Test: ' + value])).headers['X-Test'] == value
        with raises(ValueError):
            await create_request(['GET / HTTP/1.1', 'X-Test: xxx' + value])


async def test_create_refuses_what_is_malformed():
    for data in (b'nonsense\r\n\r\n', b'GET /\r\n\r\n', b'GET / HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nHost\r\n\r\n',
                 b'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n'):
        with raises(ValueError):
            await Request.create(Microdot(), AsyncBytesIO(data), None, ADDRESS)
