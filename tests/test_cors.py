"""CORS: which headers which request gets (WHATWG Fetch, sections 3.3 and 4.9)."""
import sys

from helpers import ON_MICROPYTHON, logged_errors
from microdot import Microdot, Response, abort
from microdot.auth import BasicAuth
from microdot.cors import CORS
from microdot.sse import with_sse
from microdot.test_client import TestClient, TestResponse

SHOP = 'https://shop.example'
OTHER = 'http://other.example:8080'
NAMES = ('Access-Control-Allow-Origin', 'Access-Control-Allow-Credentials', 'Access-Control-Expose-Headers',
         'Access-Control-Allow-Methods', 'Access-Control-Allow-Headers', 'Access-Control-Max-Age', 'Vary')


def make_app(*args, **options):
    app = Microdot()
    app.cors = CORS(app, *args, **options)
    add_routes(app)
    return app


def add_routes(app):
    @app.get('/')
    async def index(request):
        return 'hello'

    @app.put('/beds/<int:number>')
    def put_bed(request, number):
        return {'bed': number}

    @app.route('/own', methods=['OPTIONS', 'GET'])
    async def own_options(request):
        return '', 204, {'Allow': 'GET', 'X-Own': '1'}

    @app.get('/fails')
    async def fails(request):
        raise ValueError('as the test wants')

    @app.get('/aborts/<int:status>')
    def aborts(request, status):
        abort(status, 'stop')

    @app.get('/redirects')
    async def redirects(request):
        return Response.redirect('/')

    @app.get('/streams')
    async def streams(request):
        async def body():
            yield 'part'
        return body()


def cors_headers(response):
    """Return the headers of a response that are about CORS, without their long beginning."""
    found = {}
    for name in NAMES:
        if name in response.headers:
            found[name.replace('Access-Control-', '')] = response.headers[name]
    return found


async def ask(app, headers=None, method='GET', path='/'):
    return cors_headers(await TestClient(app).request(method, path, headers))


async def preflight(app, headers=None, path='/beds/1', origin=SHOP, method='PUT'):
    all_headers = {'Origin': origin, 'Access-Control-Request-Method': method}
    all_headers.update(headers or {})
    return await ask(app, all_headers, 'OPTIONS', path)


class warnings:
    """``with warnings() as texts:`` what the extension warns of is in this list, and nowhere else."""

    def __enter__(self):
        self.texts = []
        if ON_MICROPYTHON:
            self.module = sys.modules['microdot.cors']
            self.warn = self.module.warn
            self.module.warn = self.texts.append
        else:
            import logging
            self.handler = logging.Handler()
            self.handler.emit = lambda record: self.texts.append(record.getMessage())
            self.logger = logging.getLogger('microdot')
            self.logger.addHandler(self.handler)
            self.logger.propagate = False
        return self.texts

    def __exit__(self, exc_type, exc, traceback):
        if ON_MICROPYTHON:
            self.module.warn = self.warn
        else:
            self.logger.removeHandler(self.handler)
            self.logger.propagate = True


# ---------------------------------------------------------------------------------------------------------------
# Origins
# ---------------------------------------------------------------------------------------------------------------

ALLOWED = {'Allow-Origin': SHOP, 'Vary': 'Origin'}
REFUSED = {'Vary': 'Origin'}


async def test_origins_by_name():
    app = make_app([SHOP, OTHER])
    assert await ask(app, {'Origin': SHOP}) == ALLOWED
    assert await ask(app, {'Origin': OTHER}) == {'Allow-Origin': OTHER, 'Vary': 'Origin'}
    assert await ask(app, {'oRIGIN': SHOP}) == ALLOWED
    for origin in (
            'null', '', '*', 'https://', 'shop.example', '//shop.example', 'http://shop.example', 'HTTPS://shop.example',
            'https://SHOP.example', SHOP + '/', SHOP + ':443', SHOP + ':8080', SHOP + '.', SHOP + '.evil.example',
            'https://evil-shop.example', 'https://a.shop.example', 'https://shop.exampl', 'https://shop', 'https:',
            'https://shop.example@evil.example', 'https://evil.example#' + SHOP, SHOP + ', ' + OTHER,
            SHOP + ' ' + OTHER, OTHER + ' ', 'http://other.example', 'x' * 500, '[', 'https://shop%2eexample', 'https://sh\xf6p.example'):
        if origin.strip() != OTHER:
            assert await ask(app, {'Origin': origin}) == REFUSED, origin
    assert await ask(app) == REFUSED  # another request for it may have an Origin


async def test_origin_that_is_sent_twice():
    data = 'GET / HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\nOrigin: %s\r\nConnection: close\r\n\r\n'
    for origins in (SHOP, SHOP), (SHOP, OTHER), ('https://evil.example', SHOP):
        response = TestResponse.parse(await TestClient(make_app([SHOP])).exchange([(data % origins).encode()]))
        assert cors_headers(response) == REFUSED, origins


async def test_origin_that_is_no_text():
    app = make_app('*')
    for origin in b'https://\xff\xfe', b'\xc3\x28', b'"\x27<>', b'\t\t':
        data = b'GET / HTTP/1.1\r\nHost: a\r\nOrigin: ' + origin + b'\r\nConnection: close\r\n\r\n'
        response = TestResponse.parse(await TestClient(app).exchange([data]))
        assert response.status_code in (200, 400), origin


async def test_one_origin_as_a_text():
    """It does not stand for every part of it."""
    app = make_app(SHOP)
    assert await ask(app, {'Origin': SHOP}) == ALLOWED
    for origin in 'https://shop.exampl', 'https', '', '/', 'shop':
        assert await ask(app, {'Origin': origin}) == REFUSED, origin
    assert not app.cors.allows('https://shop.exampl') and not app.cors.allows('')


async def test_other_lists_as_a_text():
    app = make_app([SHOP], allowed_methods='PUT', allowed_headers='X-A', expose_headers='X-B')
    expected = {'Allow-Origin': SHOP, 'Vary': 'Origin', 'Allow-Methods': 'PUT', 'Allow-Headers': 'x-a'}
    assert await preflight(app, {'Access-Control-Request-Headers': 'x-a, x, a, -'}) == expected
    assert 'Allow-Methods' not in await preflight(app, method='P')
    assert await ask(app, {'Origin': SHOP}) == {'Allow-Origin': SHOP, 'Vary': 'Origin', 'Expose-Headers': 'X-B'}


async def test_null_is_an_origin_like_any_other():
    assert await ask(make_app(['null']), {'Origin': 'null'}) == {'Allow-Origin': 'null', 'Vary': 'Origin'}
    assert await ask(make_app([SHOP]), {'Origin': 'null'}) == REFUSED


async def test_no_origins():
    for origins in None, [], ():
        app = make_app(origins)
        assert await ask(app, {'Origin': SHOP}) == {}
        assert await preflight(app) == {}
        assert not app.cors.allows(SHOP)


async def test_credentials():
    app = make_app([SHOP], True)
    assert await ask(app, {'Origin': SHOP}) == {'Allow-Origin': SHOP, 'Allow-Credentials': 'true', 'Vary': 'Origin'}
    assert await preflight(app) == {'Allow-Origin': SHOP, 'Allow-Credentials': 'true', 'Allow-Methods': 'PUT',
                                    'Vary': 'Origin'}
    assert await ask(app, {'Origin': OTHER}) == REFUSED
    assert await ask(app) == REFUSED


async def test_all_origins():
    for origins in '*', ['*'], ('*',), [SHOP, '*']:
        with warnings() as texts:
            app = make_app(origins)
            for origin in SHOP, 'null', 'anything':
                assert await ask(app, {'Origin': origin}) == {'Allow-Origin': origin, 'Vary': 'Origin'}
            assert await ask(app) == {'Allow-Origin': '*', 'Vary': 'Origin'}
            assert (await preflight(app))['Allow-Origin'] == SHOP
        assert not texts
        assert not app.cors.allows(OTHER)  # by name


async def test_all_origins_with_credentials():
    """Browsers refuse what this answers (Fetch section 4.10, step 3), so it is said, but once."""
    for origins in '*', ['*']:
        with warnings() as texts:
            app = make_app(origins, allow_credentials=True)
            for _ in range(3):
                assert (await ask(app, {'Origin': SHOP}))['Allow-Origin'] == '*'
                found = await preflight(app)
                assert found['Allow-Origin'] == '*' and 'Allow-Credentials' not in found
                assert 'Allow-Credentials' not in await ask(app)
        assert len(texts) == 1 and '*' in texts[0] and 'credentials' in texts[0]


# ---------------------------------------------------------------------------------------------------------------
# Preflight requests
# ---------------------------------------------------------------------------------------------------------------

async def test_preflight():
    for options, headers, expected in (
            ({}, {}, {'Allow-Methods': 'PUT'}),
            ({}, {'Access-Control-Request-Method': 'DELETE'}, {'Allow-Methods': 'DELETE'}),
            ({}, {'Access-Control-Request-Method': 'patch'}, {'Allow-Methods': 'patch'}),
            ({}, {'access-control-request-method': 'GET'}, {'Allow-Methods': 'GET'}),
            ({'allowed_methods': ['GET', 'PUT']}, {}, {'Allow-Methods': 'PUT'}),
            ({'allowed_methods': ['GET', 'DELETE']}, {}, {}),
            ({'allowed_methods': ['PUT']}, {'Access-Control-Request-Method': 'put'}, {}),  # methods have case
            ({'allowed_methods': ['PUT']}, {'Access-Control-Request-Method': 'PUT, DELETE'}, {}),
            ({'allowed_methods': ['PUT']}, {'Access-Control-Request-Method': ''}, {}),
            ({'allowed_methods': []}, {}, {}),
            ({}, {'Access-Control-Request-Headers': 'x-a'}, {'Allow-Methods': 'PUT', 'Allow-Headers': 'x-a'}),
            ({}, {'Access-Control-Request-Headers': 'X-A,\tx-b ,, '}, {'Allow-Methods': 'PUT',
                                                                       'Allow-Headers': 'X-A, x-b'}),
            ({}, {'Access-Control-Request-Headers': ''}, {'Allow-Methods': 'PUT'}),
            ({'allowed_headers': ['X-A', 'content-type']}, {'Access-Control-Request-Headers': 'x-a,x-b,Content-Type'},
             {'Allow-Methods': 'PUT', 'Allow-Headers': 'x-a, Content-Type'}),
            ({'allowed_headers': ['X-A']}, {'Access-Control-Request-Headers': 'x-aa, x'}, {'Allow-Methods': 'PUT'}),
            ({'allowed_headers': []}, {'Access-Control-Request-Headers': 'x-a'}, {'Allow-Methods': 'PUT'}),
            ({'max_age': 600}, {}, {'Allow-Methods': 'PUT', 'Max-Age': '600'}),
            ({'max_age': 0}, {}, {'Allow-Methods': 'PUT', 'Max-Age': '0'}),
            ({'expose_headers': ['X-A']}, {}, {'Allow-Methods': 'PUT'})):
        expected = dict(expected)
        expected.update(ALLOWED)
        assert await preflight(make_app([SHOP], **options), headers) == expected, (options, headers)


async def test_preflight_that_is_refused():
    app = make_app([SHOP], True, max_age=10, expose_headers=['X-A'])
    for origin in OTHER, 'null', '', 'https://shop.example.evil.example':
        assert await preflight(app, {'Access-Control-Request-Headers': 'x-a'}, origin=origin) == REFUSED
    response = await TestClient(app).request('OPTIONS', '/beds/1', {'Origin': OTHER,
                                                                    'Access-Control-Request-Method': 'PUT'})
    assert (response.status_code, response.headers['Allow']) == (200, 'PUT, OPTIONS')


async def test_options_that_are_no_preflight():
    app = make_app([SHOP], True, max_age=10, expose_headers=['X-A', 'X-B'])
    exposed = {'Allow-Origin': SHOP, 'Allow-Credentials': 'true', 'Expose-Headers': 'X-A, X-B', 'Vary': 'Origin'}
    assert await ask(app, {'Origin': SHOP}, 'OPTIONS') == exposed
    assert await ask(app, {'Origin': SHOP}, 'OPTIONS', '/own') == exposed
    assert await ask(app, {'Origin': SHOP, 'Access-Control-Request-Method': 'GET'}) == exposed  # a GET
    assert await ask(app, {'Access-Control-Request-Method': 'GET'}, 'OPTIONS') == REFUSED


async def test_preflight_answers_keep_what_options_say():
    app = make_app([SHOP], max_age=10)
    headers = {'Origin': SHOP, 'Access-Control-Request-Method': 'GET'}
    response = await TestClient(app).request('OPTIONS', '/', headers)
    assert (response.status_code, response.body) == (200, b'')
    assert response.headers['Allow'] == 'GET, HEAD, OPTIONS'
    response = await TestClient(app).request('OPTIONS', '/own', headers)
    assert (response.status_code, response.headers['X-Own'], response.headers['Allow']) == (204, '1', 'GET')
    assert cors_headers(response) == {'Allow-Origin': SHOP, 'Vary': 'Origin', 'Allow-Methods': 'GET', 'Max-Age': '10'}


async def test_preflight_for_all_paths():
    assert await preflight(make_app([SHOP]), path='*') == {'Allow-Origin': SHOP, 'Vary': 'Origin',
                                                           'Allow-Methods': 'PUT'}


async def test_own_options_handler():
    app = Microdot()
    app.options_handler = lambda request: {'Allow': 'GET', 'X-Mine': 'yes', 'Vary': 'X-Mine'}
    CORS(app, [SHOP])
    add_routes(app)
    response = await TestClient(app).request('OPTIONS', '/', {'Origin': SHOP, 'Access-Control-Request-Method': 'GET'})
    assert (response.headers['X-Mine'], response.headers['Allow']) == ('yes', 'GET')
    assert response.headers['Access-Control-Allow-Methods'] == 'GET'
    assert 'Origin' in response.headers['Vary']


# ---------------------------------------------------------------------------------------------------------------
# Which responses
# ---------------------------------------------------------------------------------------------------------------

async def test_responses_of_all_kinds():
    app = make_app([SHOP], expose_headers=['X-A'])
    expected = {'Allow-Origin': SHOP, 'Vary': 'Origin', 'Expose-Headers': 'X-A'}
    with logged_errors() as errors:
        for method, path, status in (
                ('GET', '/', 200), ('HEAD', '/', 200), ('PUT', '/beds/7', 200), ('GET', '/streams', 200),
                ('GET', '/redirects', 302), ('GET', '/missing', 404), ('PUT', '/beds/x', 404), ('POST', '/', 405),
                ('GET', '/fails', 500), ('GET', '/aborts/400', 400), ('GET', '/aborts/503', 503),
                ('BREW', '/missing', 404), ('OPTIONS', '/missing', 404)):
            response = await TestClient(app).request(method, path, {'Origin': SHOP})
            assert response.status_code == status, (method, path)
            assert cors_headers(response) == expected, (method, path)
    assert len(errors) == 1


async def test_responses_of_error_handlers():
    app = make_app([SHOP])

    @app.errorhandler(404)
    async def not_found(request):
        return {'error': 'nothing'}, 404, {'Vary': 'Accept'}

    @app.errorhandler(ValueError)
    def wrong(request, exc):
        return 'wrong', 418

    response = await TestClient(app).get('/missing', {'Origin': SHOP})
    assert cors_headers(response) == {'Allow-Origin': SHOP, 'Vary': 'Accept, Origin'}
    response = await TestClient(app).get('/fails', {'Origin': SHOP})
    assert (response.status_code, cors_headers(response)) == (418, ALLOWED)


async def test_body_that_is_too_large():
    app = make_app([SHOP])
    response = await TestClient(app).put('/beds/1', {'Origin': SHOP, 'Content-Length': '100000000'})
    assert (response.status_code, cors_headers(response)) == (413, ALLOWED)


async def test_malformed_request():
    app = make_app([SHOP])
    data = 'GET / HTTP/1.1\r\nOrigin: %s\r\n\r\n' % SHOP
    response = TestResponse.parse(await TestClient(app).exchange([data.encode()]))
    assert (response.status_code, cors_headers(response)) == (400, {})  # without Host it is no request


async def test_authentication():
    app = make_app([SHOP], True)
    auth = BasicAuth()

    @auth.authenticate
    async def check(request, username, password):
        return username if password == 'b' else None

    @app.get('/secret')
    @auth
    async def secret(request):
        return 'secret of ' + request.g.current_user

    response = await TestClient(app).get('/secret', {'Origin': SHOP})
    assert response.status_code == 401 and 'WWW-Authenticate' in response.headers
    expected = {'Allow-Origin': SHOP, 'Allow-Credentials': 'true', 'Vary': 'Origin, Authorization'}
    assert cors_headers(response) == expected
    response = await TestClient(app).get('/secret', {'Origin': SHOP, 'Authorization': 'Basic YTpi'})
    assert response.text == 'secret of a'
    assert sorted(cors_headers(response)['Vary'].split(', ')) == ['Authorization', 'Origin']
    response = await TestClient(app).get('/aborts/404', {'Origin': SHOP})
    assert cors_headers(response) == {'Allow-Origin': SHOP, 'Allow-Credentials': 'true', 'Vary': 'Origin'}
    # a preflight request has no credentials (Fetch section 4.8), so it must not need them
    response = await TestClient(app).request('OPTIONS', '/secret', {
        'Origin': SHOP, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization'})
    assert response.status_code == 200
    assert response.headers['Access-Control-Allow-Headers'] == 'authorization'


async def test_events():
    app = make_app([SHOP])

    @app.get('/events')
    @with_sse
    async def events(request, sse):
        await sse.send('news')

    response = await TestClient(app).get('/events', {'Origin': SHOP})
    assert response.events[0]['data'] == b'news'
    assert cors_headers(response) == ALLOWED


async def test_vary_is_merged():
    for given, expected in (
            ('Accept', 'Accept, Origin'), ('Accept,Cookie', 'Accept,Cookie, Origin'), ('Origin', 'Origin'),
            ('origin', 'origin'), ('Accept, ORIGIN', 'Accept, ORIGIN'), ('*', '*'), ('', 'Origin'),
            ('X-Origin', 'X-Origin, Origin'), ('Origin-Trial', 'Origin-Trial, Origin'),
            (['Accept'], 'Accept, Origin'), (['Accept', 'Origin'], 'Accept, Origin'), (['Accept', '*'], 'Accept, *'),
            ([], 'Origin')):
        for origins in [SHOP], '*':
            app = Microdot()
            CORS(app, origins)

            @app.get('/')
            async def index(request):
                return 'hello', 200, {'Vary': given}  # noqa: B023

            @app.get('/error')
            async def error(request):
                return 'hello', 404, {'Vary': given}  # noqa: B023

            for path in '/', '/error':
                for headers in {}, {'Origin': SHOP}:
                    found = (await ask(app, headers, path=path))['Vary']
                    found = found if isinstance(found, str) else ', '.join(found)
                    assert found == expected, (given, path, found)


async def test_headers_of_the_application_are_kept_apart():
    """A dictionary that handlers share does not grow."""
    shared = {'Vary': 'Accept'}
    app = Microdot()
    CORS(app, [SHOP])

    @app.get('/')
    async def index(request):
        return 'hello', 200, shared

    for _ in range(3):
        assert await ask(app, {'Origin': SHOP}) == {'Allow-Origin': SHOP, 'Vary': 'Accept, Origin'}
        assert await ask(app, {'Origin': OTHER}) == {'Vary': 'Accept, Origin'}
    assert shared == {'Vary': 'Accept'}


# ---------------------------------------------------------------------------------------------------------------
# Attaching
# ---------------------------------------------------------------------------------------------------------------

async def test_initialize_later():
    cors = CORS(allowed_origins=[SHOP])
    apps = Microdot(), Microdot()
    for app in apps:
        add_routes(app)
        assert await ask(app, {'Origin': SHOP}) == {}
        cors.initialize(app)
    for app in apps:
        assert await ask(app, {'Origin': SHOP}) == ALLOWED
        response = await TestClient(app).request('OPTIONS', '/beds/1', {'Origin': SHOP,
                                                                        'Access-Control-Request-Method': 'PUT'})
        assert response.headers['Allow'] == 'PUT, OPTIONS'
        assert response.headers['Access-Control-Allow-Methods'] == 'PUT'


async def test_without_handling():
    later = Microdot()
    cors = CORS(allowed_origins=[SHOP])
    cors.initialize(later, handle_cors=False)
    add_routes(later)
    for app, extension in (make_app([SHOP], handle_cors=False), None), (later, cors):
        extension = extension or app.cors
        assert await ask(app, {'Origin': SHOP}) == {}
        assert await preflight(app) == {}

        @app.get('/partly')
        async def partly(request):
            return 'hello', 200, extension.get_cors_headers(request)  # noqa: B023

        assert await ask(app, {'Origin': SHOP}, path='/partly') == ALLOWED
        assert await ask(app, {'Origin': OTHER}, path='/partly') == REFUSED


async def test_sub_applications():
    for of_sub in False, True:
        sub = Microdot()
        add_routes(sub)
        app = Microdot()
        CORS(sub if of_sub else app, [SHOP])
        app.mount(sub, '/sub')
        for path in '/sub/', '/sub/missing':
            assert await ask(app, {'Origin': SHOP}, path=path) == ALLOWED
        assert await ask(app, {'Origin': SHOP}, 'PUT', '/sub/') == ALLOWED  # 405
        expected = {'Allow-Methods': 'PUT'}
        expected.update(ALLOWED)
        assert await preflight(app, path='/sub/beds/1') == expected


async def test_sub_applications_that_stay_apart():
    local = Microdot()
    add_routes(local)
    CORS(local, [SHOP])
    app = Microdot()
    add_routes(app)
    app.mount(local, '/local', local=True)
    assert await ask(app, {'Origin': SHOP}, path='/local/') == ALLOWED
    assert await ask(app, {'Origin': SHOP}) == {}
    outer = make_app([OTHER])
    outer.mount(local, '/local', local=True)
    assert await ask(outer, {'Origin': SHOP}, path='/local/') == ALLOWED
    assert await ask(outer, {'Origin': SHOP}) == REFUSED
