"""Authentication with each request: which credentials get to the application, and what others are answered."""
from binascii import b2a_base64

from helpers import logged_errors, raises
from live import Client, serving
from microdot import Microdot, abort, redirect
from microdot.auth import BasicAuth, TokenAuth
from microdot.session import Session, with_session
from microdot.sse import with_sse
from microdot.test_client import TestClient, TestResponse
from microdot.websocket import with_websocket

CHALLENGE = 'Basic realm="Please login", charset="UTF-8"'


def basic(text, scheme='Basic'):
    data = text if isinstance(text, bytes) else text.encode()
    return '%s %s' % (scheme, b2a_base64(data).decode().strip())


def make_app(auth):
    """An application whose routes say who the user is; ``app.seen`` are the arguments of the callback."""
    app = Microdot()
    app.seen = []

    @auth.authenticate
    async def authenticate(request, *credentials):
        app.seen.append(credentials)
        return None if 'wrong' in credentials else {'credentials': list(credentials)}

    @app.get('/')
    @auth
    async def index(request):
        return request.g.current_user['credentials']

    @app.get('/optional')
    @auth.optional
    async def optional(request):
        return {'user': request.g.current_user}

    @app.get('/def/<int:a>/<b>')
    @auth
    def of_def(request, a, b):
        return [request.g.current_user['credentials'], a, b]

    @app.get('/async/<int:a>/<b>')
    @auth
    async def of_async(request, a, b):
        return [request.g.current_user['credentials'], a, b]

    return app


async def get(app, header, path='/', name='Authorization', method='GET'):
    return await TestClient(app).request(method, path, None if header is None else {name: header})


def check_refused(response, challenge=CHALLENGE, vary='Authorization', status_code=401):
    assert response.status_code == status_code
    assert response.headers['WWW-Authenticate'] == challenge
    assert response.headers['Vary'] == vary


# ---------------------------------------------------------------------------------------------------------------
# Basic
# ---------------------------------------------------------------------------------------------------------------

async def test_names_and_passwords():
    app = make_app(BasicAuth())
    for text, expected in (
            ('susan:secret', ('susan', 'secret')), ('a:b:c', ('a', 'b:c')), ('a::', ('a', ':')), ('a:', ('a', '')),
            (':b', ('', 'b')), (':', ('', '')), ('::', ('', ':')), ('a b: c d ', ('a b', ' c d ')),
            ('Aladdin:open sesame', ('Aladdin', 'open sesame')), ('test:123\xa3', ('test', '123\xa3')),
            ('\u20ac:\U0001f600', ('\u20ac', '\U0001f600')), (b'\xfc:\xdf', ('\xfc', '\xdf')),
            (b'\xfc:\xe2\x82\xac', ('\xfc', '\xe2\x82\xac')), ('a:%3A', ('a', '%3A')),
            ('a:' + 'b' * 500, ('a', 'b' * 500)),
            ('a:"\'\\<>', ('a', '"\'\\<>')), ('a:\x80\x9f', ('a', '\x80\x9f'))):
        response = await get(app, basic(text))
        assert response.status_code == 200, text
        assert tuple(response.json) == app.seen.pop() == expected, text
        assert response.headers['Vary'] == 'Authorization'
    assert app.seen == []


async def test_examples_of_rfc_7617():
    app = make_app(BasicAuth())
    assert (await get(app, 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')).json == ['Aladdin', 'open sesame']
    assert (await get(app, 'Basic dGVzdDoxMjPCow==')).json == ['test', '123\xa3']


async def test_schemes_compare_without_case():
    app = make_app(BasicAuth())
    for scheme in 'Basic', 'basic', 'BASIC', 'bAsIc':
        assert (await get(app, basic('a:b', scheme))).status_code == 200
    for value in ('Basic  YTpi', 'Basic YTpi ', ' Basic YTpi', 'Basic   YTpi  '):  # RFC 9110 sections 5.5 and 11.4
        assert (await get(app, value)).status_code == 200, value
    for scheme in ('Bearer', 'Digest', 'Negotiate', 'Basi', 'Basicc', 'Basic,', 'Basic:', 'XBasic', 'Basic\t',
                   '"Basic"',
                   'Ba sic', 'B\xe4sic', ''):
        check_refused(await get(app, basic('a:b', scheme)))
    assert app.seen == [('a', 'b')] * 8


async def test_malformed_credentials():
    app = make_app(BasicAuth())
    for value in (
            None, '', ' ', 'Basic', 'Basic ', 'Basic  ', 'Basic=', 'Basic :', 'YTpi', 'Basic:YTpi', 'BasicYTpi',
            'Basic a:b', 'Basic susan:secret', 'Basic Y', 'Basic YQ', 'Basic YTp', 'Basic YTpiY', 'Basic YTpiYg',
            'Basic YTpiYg=', 'Basic YTpiYg===', 'Basic YTpi=', 'Basic YTpi==', 'Basic YTpi====', 'Basic =YTpi',
            'Basic =', 'Basic ==', 'Basic ====', 'Basic YTpi=YQ==', 'Basic YTpiYg==YTpi', 'Basic YTpiYn==',
            'Basic YT pi', 'Basic YTpi YTpi', 'Basic YTpi,', 'Basic YTpi, Basic YTpi', 'Basic YTp-', 'Basic YTp_',
            'Basic YT%70i', 'Basic "YTpi"', 'Basic YTpi;', 'Basic \xff\xfe', 'Basic YTpi\xa0',
            'Basic \u20ac\u20ac\u20ac\u20ac',
            'Basic YTpi\\', 'Basic !!!!', 'Basic realm="x"', 'Basic ' + 'A' * 1001, 'Basic\tYTpi', 'Basic YT\tpi',
            basic(''), basic('a'), basic('susan'), basic('no colon here'), basic(b'\xff\xfe')):
        check_refused(await get(app, value))
    assert app.seen == []


async def test_control_characters_are_refused():
    # RFC 7617 section 2
    app = make_app(BasicAuth())
    for code in list(range(32)) + [127]:
        for text in '%s:b', 'a%s:b', 'a:%s', 'a:b%sc':
            check_refused(await get(app, basic(text % chr(code))))
    assert app.seen == []


async def test_two_headers_are_one_that_is_malformed():
    app = make_app(BasicAuth())
    data = await TestClient(app).exchange([b'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\n'
                                           b'Authorization: Basic YTpi\r\nConnection: close\r\n\r\n'])
    assert data.startswith(b'HTTP/1.1 401 ')
    assert app.seen == []


async def test_realm_charset_scheme_and_status():
    for options, challenge in (
            ({'realm': 'My "site" \\o/'}, 'Basic realm="My \\"site\\" \\\\o/", charset="UTF-8"'),
            ({'charset': 'latin-1'}, 'Basic realm="Please login", charset="latin-1"'),
            ({'scheme': 'XBasic'}, 'XBasic realm="Please login", charset="UTF-8"')):
        app = make_app(BasicAuth(**options))
        check_refused(await get(app, None), challenge)
        scheme = options.get('scheme', 'Basic')
        assert (await get(app, basic('a:b', scheme.lower()))).status_code == 200
        if scheme != 'Basic':
            check_refused(await get(app, basic('a:b')), challenge)
    app = make_app(BasicAuth(error_status=403))
    check_refused(await get(app, basic('a:wrong')), status_code=403)


def test_a_challenge_does_not_split_headers():
    for text in 'a\r\nX-Evil: 1', 'a\nb', 'a\0':
        for name in 'realm', 'charset', 'scheme':
            with raises(ValueError):
                BasicAuth(**{name: text})


# ---------------------------------------------------------------------------------------------------------------
# Tokens
# ---------------------------------------------------------------------------------------------------------------

async def test_tokens():
    app = make_app(TokenAuth())
    for value, expected in (('Bearer abc', 'abc'), ('bearer abc', 'abc'), ('BEARER abc', 'abc'),
                            ('Bearer  abc ', 'abc'),
                            ('Bearer a.b-c_d~e+f/g==', 'a.b-c_d~e+f/g=='), ('Bearer ' + 'x' * 1500, 'x' * 1500)):
        response = await get(app, value)
        assert response.json == [expected], value
        assert app.seen.pop() == (expected,)
        assert response.headers['Vary'] == 'Authorization'
    for value in (None, '', 'Bearer', 'Bearer ', 'Bearer   ', 'abc', 'Beare abc', 'Bearerabc', 'Basic abc',
                  'Bearer\tabc', 'Token abc'):
        check_refused(await get(app, value), 'Bearer')
    assert app.seen == []
    check_refused(await get(app, 'Bearer wrong'), 'Bearer')


async def test_another_scheme():
    app = make_app(TokenAuth(scheme='Token', error_status=403))
    assert (await get(app, 'token abc')).json == ['abc']
    check_refused(await get(app, 'Bearer abc'), 'Token', status_code=403)


async def test_tokens_in_a_header_of_their_own():
    app = make_app(TokenAuth('X-API-Key'))
    for value in 'abc', 'Bearer abc', 'a b', '\xfc', '=':
        response = await get(app, value, name='x-api-key')
        assert response.json == [value]
        assert response.headers['Vary'] == 'X-API-Key'
    for value in None, '', '  ', 'wrong':
        check_refused(await get(app, value, name='X-API-Key'), 'Bearer', 'X-API-Key')
    check_refused(await get(app, 'Bearer abc'), 'Bearer', 'X-API-Key')
    app = make_app(TokenAuth('AUTHORIZATION'))
    assert (await get(app, 'Bearer abc')).json == ['abc']
    check_refused(await get(app, 'abc'), 'Bearer', 'AUTHORIZATION')


# ---------------------------------------------------------------------------------------------------------------
# The user
# ---------------------------------------------------------------------------------------------------------------

async def test_handlers_of_all_kinds():
    app = make_app(BasicAuth())
    for kind in 'def', 'async':
        path = '/%s/1/x' % kind
        assert (await get(app, basic('a:b'), path)).json == [['a', 'b'], 1, 'x']
        check_refused(await get(app, basic('a:wrong'), path))
        check_refused(await get(app, None, path))
        head = await get(app, None, path, method='HEAD')
        check_refused(head)
        assert head.body == b''


async def test_optional():
    app = make_app(BasicAuth())
    for value, user in ((basic('a:b'), {'credentials': ['a', 'b']}), (basic('a:wrong'), None), (None, None),
                        ('Basic !', None),
                        ('Bearer x', None)):
        response = await get(app, value, '/optional')
        assert response.json == {'user': user}
        assert response.headers['Vary'] == 'Authorization'
        assert 'WWW-Authenticate' not in response.headers


async def test_what_the_callback_returns():
    for value, status_code in (('user', 200), ({}, 200), (0, 200), ('', 200), (True, 200), (None, 401), (False, 401)):
        for is_async in True, False:
            app = Microdot()
            auth = BasicAuth()

            async def of_async(request, name, password, value=value):
                return value

            def of_def(request, name, password, value=value):
                return value

            decorated = of_async if is_async else of_def
            assert auth.authenticate(decorated) is decorated

            @app.get('/')
            @auth
            async def index(request, value=value):
                assert request.g.current_user == value
                return 'ok'

            assert (await get(app, basic('a:b'))).status_code == status_code, value


async def test_a_failing_callback_lets_nobody_in():
    app = Microdot()
    auth = BasicAuth()

    @auth.authenticate
    async def authenticate(request, name, password):
        if name == 'abort':
            abort(403)
        raise ZeroDivisionError

    @app.get('/')
    @auth.optional
    async def index(request):
        return 'secret'

    with logged_errors() as errors:
        response = await get(app, basic('a:b'))
        assert (response.status_code, response.text) == (500, 'Internal server error')
        assert len(errors) == 1
        assert (await get(app, basic('abort:b'))).status_code == 403


async def test_without_a_callback():
    app = Microdot()

    @app.get('/')
    @TokenAuth()
    async def index(request):
        return 'secret'

    with logged_errors() as errors:
        for value in None, 'Bearer x':
            assert (await get(app, value)).status_code == 500
    assert [type(error) for error in errors] == [RuntimeError] * 2


async def test_several_kinds_at_a_time():
    app = Microdot()
    basic_auth, token_auth = BasicAuth(), TokenAuth('X-Token')

    @basic_auth.authenticate
    async def by_password(request, name, password):
        return name

    @token_auth.authenticate
    async def by_token(request, token):
        return token

    @app.get('/both')
    @basic_auth
    @token_auth
    async def both(request):
        return request.g.current_user

    client = TestClient(app)
    right = basic('a:b')
    response = await client.get('/both', {'Authorization': right, 'X-Token': 't'})
    assert response.text == 't'
    assert sorted(response.headers['Vary'].split(', ')) == ['Authorization', 'X-Token']
    response = await client.get('/both', {'Authorization': right})
    assert response.status_code == 401
    assert response.headers['WWW-Authenticate'] == 'Bearer'
    assert sorted(response.headers['Vary'].split(', ')) == ['Authorization', 'X-Token']
    check_refused(await client.get('/both', {'X-Token': 't'}))


# ---------------------------------------------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------------------------------------------

async def test_error_handlers_of_the_application():
    app = make_app(BasicAuth())

    @app.errorhandler(401)
    async def unauthorized(request):
        return 'who are you?', 401, {'Vary': 'Accept-Language'}

    response = await get(app, None)
    assert response.text == 'who are you?'
    check_refused(response, vary='Accept-Language, Authorization')


async def test_error_handlers_of_their_own():
    for value, status_code, has_challenge in (
            (('no', 401), 401, True), (('no', 403), 403, False), (redirect('/login'), 302, False), (401, 401, True),
            (('no', 401, {'WWW-Authenticate': 'Own'}), 401, True)):
        for is_async in True, False:
            auth = BasicAuth()
            app = make_app(auth)

            async def of_async(request, value=value):
                return value

            def of_def(request, value=value):
                return value

            decorated = of_async if is_async else of_def
            assert auth.errorhandler(decorated) is decorated
            response = await get(app, None)
            assert response.status_code == status_code
            assert ('WWW-Authenticate' in response.headers) == has_challenge
            assert response.headers['Vary'] == 'Authorization'
            if isinstance(value, tuple) and len(value) == 3:
                assert response.headers['WWW-Authenticate'] == 'Own'


async def test_vary_of_everything_behind_it():
    auth = BasicAuth()
    app = make_app(auth)

    @app.get('/<what>')
    @auth.optional
    async def answer(request, what):
        if what == 'abort':
            abort(404)
        elif what == 'error':
            raise ZeroDivisionError
        elif what == 'vary':
            return 'x', {'Vary': 'Accept, authorization'}
        return redirect('/') if what == 'redirect' else 304 if what == 'not-modified' else iter(['a'])

    with logged_errors():
        for method in 'GET', 'HEAD':
            for what in 'abort', 'error', 'redirect', 'not-modified', 'stream', 'vary':
                response = await get(app, basic('a:b'), '/' + what, method=method)
                expected = 'Accept, authorization' if what == 'vary' else 'Authorization'
                assert response.headers['Vary'] == expected, what


async def test_no_5xx_whatever_comes():
    app = make_app(BasicAuth())
    tokens = make_app(TokenAuth())
    with logged_errors() as errors:
        for code in list(range(32, 127)) + list(range(128, 256)):
            for value in 'Basic %s', 'Basic YTp%s', 'Basic%sYTpi', '%sBasic YTpi', 'Basic YTpi%s':
                for each in app, tokens:
                    response = await get(each, value % chr(code))
                    assert response.status_code == 401 or ('wrong' not in response.text and response.status_code == 200)
    assert errors == []


# ---------------------------------------------------------------------------------------------------------------
# Applications in applications, WebSocket, Server-Sent Events
# ---------------------------------------------------------------------------------------------------------------

async def test_sub_applications():
    for local in False, True:
        app = Microdot()
        app.mount(make_app(BasicAuth()), '/sub', local)
        assert (await get(app, basic('a:b'), '/sub/async/1/x')).json == [['a', 'b'], 1, 'x']
        check_refused(await get(app, None, '/sub/async/1/x'))


def make_streams(is_async):
    app = Microdot()
    auth = BasicAuth()
    app.calls = []

    async def of_async(request, name, password):
        return name if password == 'right' else None

    def of_def(request, name, password):
        return name if password == 'right' else None

    auth.authenticate(of_async if is_async else of_def)

    def add_routes(path, decorator):
        @app.get(path + '/above/<arg>')
        @auth
        @decorator
        async def above(request, stream, arg):
            app.calls.append('above')
            await stream.send(request.g.current_user + arg)

        @app.get(path + '/below/<arg>')
        @decorator
        @auth
        async def below(request, stream, arg):
            app.calls.append('below')
            await stream.send(request.g.current_user + arg)

        @app.get(path + '/optional/<arg>')
        @decorator
        @auth.optional
        async def optional(request, stream, arg):
            await stream.send(str(request.g.current_user) + arg)

    add_routes('/ws', with_websocket)
    add_routes('/ws-options', with_websocket(subprotocols=['x']))
    add_routes('/sse', with_sse)
    add_routes('/sse-options', with_sse(keep_alive=0.2))
    return app


async def test_websockets_are_not_opened_without_credentials():
    received = []

    def client():
        received.append((yield None))

    for is_async in True, False:
        app = make_streams(is_async)
        for path in '/ws/above/x', '/ws/below/x', '/ws-options/above/x', '/ws-options/below/x':
            for value in None, basic('a:wrong'), 'Basic !', 'Bearer right':
                headers = {} if value is None else {'Authorization': value}
                response = await TestClient(app).websocket(path, client, headers)
                check_refused(response)
                assert received == app.calls == []
            response = await TestClient(app).websocket(path, client, {'Authorization': basic('a:right')})
            assert response.status_code == 101
            assert received.pop() == 'ax'
            assert app.calls.pop() == path.split('/')[2]
        for value, expected in (basic('a:right'), 'ax'), (basic('a:wrong'), 'Nonex'):
            await TestClient(app).websocket('/ws/optional/x', client, {'Authorization': value})
            assert received.pop() == expected


async def get_events(server, value, path):
    """Ask over a socket: what begins in a thread is later than the end of what a client in memory sends."""
    head = 'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n' % path
    if value:
        head += 'Authorization: %s\r\n' % value
    client = await Client.connect(server, head.encode() + b'\r\n')
    data = b''
    while True:
        piece = await client.read(1024)
        if not piece:
            await client.close()
            return TestResponse.parse(data)
        data += piece


async def test_streams_are_not_opened_without_credentials():
    for is_async in True, False:
        app = make_streams(is_async)
        async with serving(app) as server:
            for path in '/sse/above/x', '/sse/below/x', '/sse-options/above/x', '/sse-options/below/x':
                for value in None, basic('a:wrong'), 'Basic !', 'Bearer right':
                    response = await get_events(server, value, path)
                    check_refused(response)
                    assert response.events is None
                    assert app.calls == []
                response = await get_events(server, basic('a:right'), path)
                assert [event['data'] for event in response.events] == [b'ax']
                assert response.headers['Vary'] == 'Authorization'
                assert app.calls.pop() == path.split('/')[2]
            response = await get_events(server, basic('a:wrong'), '/sse/optional/x')
            assert [event['data'] for event in response.events] == [b'Nonex']


def listen():
    yield None


async def test_guards_keep_their_order_around_a_stream():
    calls = []

    def guard(name):
        auth = TokenAuth(header='X-' + name)

        @auth.authenticate
        async def authenticate(request, token):
            calls.append(name)
            return token if token == 'right' else None

        return auth

    outer, inner = guard('Outer'), guard('Inner')
    for decorators in ((outer, inner, with_sse), (outer, with_sse, inner), (with_sse, outer, inner)):
        app = Microdot()

        async def handler(request, sse):
            await sse.send('secret')

        for decorator in reversed(decorators):
            handler = decorator(handler)
        app.get('/')(handler)
        for headers, expected in (({}, (401, [])), ({'X-Outer': 'wrong', 'X-Inner': 'right'}, (401, ['Outer'])),
                                  ({'X-Outer': 'right', 'X-Inner': 'wrong'}, (401, ['Outer', 'Inner'])),
                                  ({'X-Outer': 'right', 'X-Inner': 'right'}, (200, ['Outer', 'Inner']))):
            calls.clear()
            response = await TestClient(app).get('/', headers)
            assert (response.status_code, calls) == expected, headers


async def test_guards_in_a_stack_of_decorators():
    for decorator in with_websocket, with_sse:
        app = Microdot()
        Session(app, b'k' * 32)
        auth = BasicAuth()
        calls = []
        received = []

        @auth.authenticate
        async def authenticate(request, name, password):
            return name if password == 'right' else None

        @app.get('/')
        @decorator
        @with_session
        @auth
        async def handler(request, session, stream, calls=calls):
            calls.append(session)
            await stream.send(request.g.current_user)

        def listen(received=received):
            received.append((yield None))

        client = TestClient(app)
        for value, status_code in (basic('a:wrong'), 401), (basic('a:right'), 200):
            headers = {'Authorization': value}
            if decorator is with_websocket:
                response = await client.websocket('/', listen, headers)
                assert response.status_code == (101 if status_code == 200 else status_code)
            else:
                response = await client.get('/', headers)
                assert response.status_code == status_code
                received += [event['data'].decode() for event in response.events or []]
            assert (calls, received) == ([{}] if status_code == 200 else [], ['a'] if status_code == 200 else [])


def test_the_classes_can_be_called_with_nothing():
    assert BasicAuth().challenge == CHALLENGE
    assert TokenAuth().challenge == 'Bearer'
