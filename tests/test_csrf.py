"""CSRF: which requests of which pages are refused (W3C Fetch Metadata section 2.4, RFC 6454)."""
from helpers import ON_MICROPYTHON
from microdot import Microdot, abort
from microdot.cors import CORS
from microdot.csrf import CSRF
from microdot.helpers import wraps
from microdot.session import Session, with_session
from microdot.sse import with_sse
from microdot.test_client import TestClient, TestResponse
from microdot.websocket import with_websocket

CHANGING = ('POST', 'PUT', 'PATCH', 'DELETE', 'BREW', 'PROPFIND')
SAFE = ('GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY')
CROSS = {'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://evil.example'}
SHOP = 'http://shop.example'


def make_app(**options):
    app = Microdot()
    app.csrf = CSRF(app, **options)
    add_routes(app)
    return app


def add_routes(app):
    @app.route('/', methods=list(CHANGING + SAFE))
    async def index(request):
        return 'done'


async def status(app, headers=None, method='POST', path='/', host='shop.example', scheme=None):
    response = await TestClient(app, host=host, scheme=scheme).request(method, path, headers)
    return response.status_code


async def status_of_bytes(app, origin, host=b'shop.example'):
    data = b'POST / HTTP/1.1\r\nHost: ' + host + b'\r\nOrigin: ' + origin + b'\r\nConnection: close\r\n\r\n'
    return TestResponse.parse(await TestClient(app).exchange([data])).status_code


# ---------------------------------------------------------------------------------------------------------------
# Methods
# ---------------------------------------------------------------------------------------------------------------

async def test_methods():
    app = make_app()
    for headers in CROSS, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'}, {'Origin': 'https://evil.example'}:
        for method in CHANGING:
            assert await status(app, headers, method) == 403, (method, headers)
        for method in SAFE:
            assert await status(app, headers, method) == 200, (method, headers)
    for method in CHANGING + SAFE:
        assert await status(app, {'Sec-Fetch-Site': 'same-origin'}, method) == 200
        assert await status(app, {}, method) == 200  # curl, an application, a very old browser
    for method in 'get', 'Head', 'query':  # methods have case: these are others
        assert await status(app, CROSS, method) in (403, 405)


# ---------------------------------------------------------------------------------------------------------------
# Sec-Fetch-Site
# ---------------------------------------------------------------------------------------------------------------

async def test_sec_fetch_site():
    for value, expected, with_subdomains in (
            ('same-origin', 200, 200), ('none', 200, 200), ('same-site', 403, 200), ('cross-site', 403, 403),
            # what no browser sends
            ('', 403, 403), ('Same-Origin', 403, 403), ('NONE', 403, 403), ('same-origin, cross-site', 403, 403),
            ('cross-site, same-origin', 403, 403), ('same-origin;a=b', 403, 403), ('"same-origin"', 403, 403),
            ('same_origin', 403, 403), ('same-origin ' * 50, 403, 403), ('null', 403, 403), ('*', 403, 403),
            ('s', 403, 403), ('same-site, none', 403, 403)):
        for options, wanted in ({}, expected), ({'allow_subdomains': True}, with_subdomains):
            app = make_app(**options)
            for origin in None, 'https://evil.example', 'null':
                headers = {'Sec-Fetch-Site': value}
                if origin:
                    headers['Origin'] = origin
                assert await status(app, headers) == wanted, headers
            assert await status(app, {'sec-fetch-SITE': value}) == wanted


async def test_sec_fetch_site_that_is_sent_twice():
    for values in ('same-origin', 'cross-site'), ('cross-site', 'same-origin'), ('none', 'none'):
        data = 'POST / HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: %s\r\nSec-Fetch-Site: %s\r\nConnection: close\r\n\r\n'
        answer = await TestClient(make_app()).exchange([(data % values).encode()])
        assert TestResponse.parse(answer).status_code == 403, values


async def test_own_origin_beside_sec_fetch_site():
    """The own origin is enough: a proxy may have changed what the browser took for the site."""
    for site in 'same-site', 'cross-site':
        assert await status(make_app(), {'Sec-Fetch-Site': site, 'Origin': SHOP}) == 200


# ---------------------------------------------------------------------------------------------------------------
# Origin
# ---------------------------------------------------------------------------------------------------------------

async def test_own_origin():
    app = make_app()
    for origin, host, scheme in (
            (SHOP, 'shop.example', 'http'), ('https://shop.example', 'shop.example', 'https'),
            (SHOP, 'SHOP.Example', 'http'),  # browsers write it in lower case in both
            (SHOP, 'shop.example:80', 'http'), (SHOP + ':80', 'shop.example', 'http'),
            ('https://shop.example', 'shop.example:443', 'https'), (SHOP + ':443', 'shop.example:443', 'http'),
            (SHOP + ':5000', 'shop.example:5000', 'http'), ('http://192.168.4.1', '192.168.4.1', 'http'),
            ('http://192.168.4.1:8080', '192.168.4.1:8080', 'http'), ('http://[::1]', '[::1]', 'http'),
            ('http://[::1]', '[::1]:80', 'http'), ('http://[fe80::1]:5000', '[fe80::1]:5000', 'http'),
            ('http://board', 'board', 'http'), ('http://board.local', 'board.local', 'http'),
            ('http://shop.example.', 'shop.example.', 'http'),
            ('http://xn--mnchen-3ya.example', 'xn--mnchen-3ya.example', 'http')):
        assert await status(app, {'Origin': origin}, host=host, scheme=scheme) == 200, (origin, host, scheme)
    for origin, host, scheme in (
            ('https://shop.example', 'shop.example', 'http'), (SHOP, 'shop.example', 'https'),
            (SHOP, 'shop.example:443', 'http'), (SHOP, 'shop.example:443', 'https'),
            (SHOP + ':443', 'shop.example', 'http'), ('https://shop.example:80', 'shop.example', 'https'),
            (SHOP + ':5001', 'shop.example:5000', 'http'), (SHOP, 'shop.example:5000', 'http'),
            (SHOP + ':5000', 'shop.example', 'http'), ('http://192.168.4.1', '192.168.4.11', 'http'),
            ('http://[::1]', '[::2]', 'http'), ('http://localhost', '127.0.0.1', 'http')):
        assert await status(app, {'Origin': origin}, host=host, scheme=scheme) == 403, (origin, host, scheme)


HOSTILE = (
    'null', 'Null', 'NULL', 'null, null', '', '*', '/', '//', ':', '://', 'http', 'http:', 'http:/', 'http://',
    'http:///', 'shop.example', '//shop.example', '://shop.example', 'http:shop.example', 'http:/shop.example',
    'http:\\\\shop.example', 'https://shop.example', 'ftp://shop.example', 'file://', 'file://shop.example',
    'javascript://shop.example', 'data:text/html,x', 'blob:http://shop.example', 'about:blank',
    'chrome-extension://shop.example', 'ws://shop.example', 'HTTP://shop.example', 'http://shop.example/',
    'http://shop.example/a', 'http://shop.example?', 'http://shop.example#', 'http://shop.example.evil.example',
    'http://shop.example.', 'http://.shop.example', 'http://evilshop.example', 'http://evil-shop.example',
    'http://a.shop.example', 'http://shop.exampl', 'http://shop.example.com', 'http://shop', 'http://example',
    'http://evil.example/shop.example', 'http://evil.example?shop.example', 'http://evil.example#shop.example',
    'http://evil.example/.shop.example', 'http://evil.example#.shop.example', 'http://evil.example?a=.shop.example',
    'http://evil.example\\.shop.example', 'http://evil.example;.shop.example', 'http://shop.example@evil.example',
    'http://user@shop.example', 'http://user:secret@shop.example', 'http://evil.example:80@shop.example',
    'http://@shop.example', 'http://user@a.shop.example', 'http://a@.shop.example', 'http://shop.example:',
    'http://shop.example:0', 'http://shop.example:080', 'http://shop.example:8080', 'http://shop.example:443',
    'http://shop.example:80:80', 'http://shop.example:99999', 'http://shop.example:-80', 'http://shop.example:80a',
    'http://shop.example: 80', 'http://shop.example:\xb2', 'http://a.shop.example:', 'http://a.shop.example:99999',
    'http://a.shop.example:8a', 'http://a.shop.example:65536', 'http://a.shop.example:80:80',
    'http://a..shop.example', 'http://..shop.example',
    'http://-', 'http://a b.shop.example', 'http://a,b.shop.example', 'http://a\t.shop.example', 'http://[::1]',
    'http://[::1', 'http://::1', 'http://[', 'http://]', 'http://[]', 'http://[shop.example]',
    'http://[::ffff:1.2.3.4]', 'http://[a].shop.example', 'http://0x7f.1', 'http://2130706433', 'http://127.0.0.1',
    'http://sh\xf6p.example', 'http://xn--shp-sna.example', 'http://shop\u3002example', 'http://shop\uff0eexample',
    'http://\u0430.shop.example', 'http://shop%2eexample', 'http://%73hop.example', 'http://shop.example%00',
    'http://shop.example http://evil.example', 'http://evil.example http://shop.example',
    'http://shop.example, http://evil.example', 'http://evil.example, http://shop.example', 'http://shop.example,',
    'http://shop.example;', 'http://shop.example null', '"http://shop.example"', '<http://shop.example>',
    'http://http://shop.example', 'http://evil.example://shop.example', 'x' * 500,
    'http://' + 'a.' * 200 + 'evil.example', 'http://' + ':' * 300, 'http://' + '[' * 300, '%s%s%d', '{}', "'; --",
)


async def test_hostile_origins():
    assert len(HOSTILE) > 100
    cors = [CORS(allowed_origins=origins) for origins in (['https://partner.example', 'null'], '*', ['*'])]
    for options in [{}, {'allow_subdomains': True}] + [{'cors': some} for some in cors]:
        app = make_app(**options)
        for origin in HOSTILE:
            if 'allow_subdomains' in options and origin == 'http://a.shop.example':
                continue
            for site in None, 'cross-site':
                headers = {'Origin': origin}
                if site:
                    headers['Sec-Fetch-Site'] = site
                assert await status(app, headers) == 403, (origin, options)


async def test_origins_that_are_no_text():
    app = make_app(allow_subdomains=True)
    for origin in (b'http://\xff\xfe.shop.example', b'\xc3\x28', b'http://a\xa0.shop.example', b'\xed\xa0\x80', b'\xf0',
                   b'http://\xe2\x80\xae.shop.example', b'http://a\x7f.shop.example', b'http://\x01.shop.example',
                   b'http://a\0.shop.example'):
        assert await status_of_bytes(app, origin) in (400, 403), origin


async def test_huge_origins():
    app = make_app(allow_subdomains=True)
    for size in 1000, 3000, 10_000 if ON_MICROPYTHON else 100_000:
        assert await status_of_bytes(app, b'http://' + b'a' * size + b'.evil.example') in (403, 431)
        assert await status_of_bytes(app, b'http://' + b'.' * size) in (403, 431)


async def test_origin_that_is_sent_twice():
    for origins in (SHOP, SHOP), (SHOP, 'https://evil.example'), ('https://evil.example', SHOP):
        data = 'POST / HTTP/1.1\r\nHost: shop.example\r\nOrigin: %s\r\nOrigin: %s\r\nConnection: close\r\n\r\n'
        answer = await TestClient(make_app()).exchange([(data % origins).encode()])
        assert TestResponse.parse(answer).status_code == 403, origins


async def test_hosts_that_no_browser_sends():
    """A ``Host`` that is strange makes no origin an own one by mistake."""
    app = make_app(allow_subdomains=True)
    for host in b'', b':80', b'.', b'[::1]', b'%41', b'a.', b'example':
        for origin in b'http://', b'http://.', b'null', b'', b'http://evil.example', b'://', b'http://:80':
            if (host, origin) != (b'.', b'http://.') and (host, origin) != (b'example', b'http://evil.example'):
                assert await status_of_bytes(app, origin, host) in (400, 403), (host, origin)
    data = b'POST / HTTP/1.0\r\nOrigin: http://\r\n\r\n'  # the Host is missing
    for request in data, data.replace(b'http://', b'http://shop.example'), data.replace(b'http://', b'null'):
        assert TestResponse.parse(await TestClient(app).exchange([request])).status_code == 403
    data = b'POST / HTTP/1.0\r\n\r\n'
    assert TestResponse.parse(await TestClient(app).exchange([data])).status_code == 200


async def test_subdomains():
    app = make_app(allow_subdomains=True)
    for origin in 'http://a.shop.example', 'http://a.b.shop.example', 'http://a-1.shop.example', \
            'http://a.shop.example:8080', 'http://_a.shop.example', 'http://xn--shp-sna.shop.example', SHOP, \
            SHOP + ':8080':
        if not origin.startswith(SHOP + ':'):  # another port of the same name is for Sec-Fetch-Site to tell
            assert await status(app, {'Origin': origin}) == 200, origin
            assert await status(app, {'Origin': origin}, host='shop.example:5000') == (
                403 if origin == SHOP else 200), origin
        if origin != SHOP:
            assert await status(make_app(), {'Origin': origin}) == 403, origin
    for origin in 'https://a.shop.example', 'http://ashop.example', 'http://a.shop.example.evil.example', \
            'http://a.evil.example', 'http://example', 'http://a.shop.example.':
        assert await status(app, {'Origin': origin}) == 403, origin
    for origin, host in ('http://a.localhost', 'localhost'), ('http://a.localhost:5001', 'localhost:5000'), \
            ('http://a.shop.example', 'SHOP.example'):
        assert await status(app, {'Origin': origin}, host=host) == 200
    assert await status(app, {'Origin': 'http://1.1.2.3.4'}, host='1.2.3.4') in (200, 403)  # no browser takes it
    for site in 'cross-site', '':  # the browser knows better what a site is: evil.github.io is not github.io's
        assert await status(app, {'Origin': 'http://a.shop.example', 'Sec-Fetch-Site': site}) == 403


# ---------------------------------------------------------------------------------------------------------------
# Origins that CORS allows
# ---------------------------------------------------------------------------------------------------------------

async def test_trusted_origins():
    partner = 'https://partner.example'
    cors = CORS(allowed_origins=[partner, 'http://other.example:8080'])
    for app in make_app(cors=cors), Microdot():
        if not hasattr(app, 'csrf'):
            CSRF().initialize(app, cors)
            add_routes(app)
        for origin, expected in (
                (partner, 200), ('http://other.example:8080', 200), ('http://other.example', 403), (partner + '/', 403),
                ('http://partner.example', 403), ('https://a.partner.example', 403), (partner + ':443', 403),
                ('https://PARTNER.example', 403), ('https://evil.example', 403), (SHOP, 200)):
            assert await status(app, {'Origin': origin, 'Sec-Fetch-Site': 'cross-site'}) == expected, origin
            assert await status(app, {'Origin': origin}) == expected, origin
        assert await status(app, {'Sec-Fetch-Site': 'cross-site'}) == 403


async def test_trusted_origin_together_with_cors():
    app = Microdot()
    cors = CORS(app, ['https://partner.example'], allow_credentials=True)
    CSRF(app, cors)
    add_routes(app)
    response = await TestClient(app).post('/', {'Origin': 'https://partner.example', 'Sec-Fetch-Site': 'cross-site'})
    assert response.status_code == 200
    assert response.headers['Access-Control-Allow-Origin'] == 'https://partner.example'
    assert sorted(response.headers['Vary'].split(', ')) == ['Origin', 'Sec-Fetch-Site']
    response = await TestClient(app).post('/', CROSS)
    assert (response.status_code, sorted(response.headers['Vary'].split(', '))) == (403, ['Origin', 'Sec-Fetch-Site'])
    response = await TestClient(app).request('OPTIONS', '/', {'Origin': 'https://partner.example',
                                                              'Access-Control-Request-Method': 'POST'})
    assert response.headers['Access-Control-Allow-Origin'] == 'https://partner.example'


# ---------------------------------------------------------------------------------------------------------------
# The response
# ---------------------------------------------------------------------------------------------------------------

async def test_refusal():
    app = make_app()
    response = await TestClient(app).post('/', CROSS)
    assert (response.status_code, response.text) == (403, 'Forbidden')
    assert response.headers['Vary'] == 'Sec-Fetch-Site, Origin'

    @app.errorhandler(403)
    async def forbidden(request):
        return {'error': 'come from our own page'}, 403

    response = await TestClient(app).post('/', CROSS)
    assert response.json == {'error': 'come from our own page'}
    assert response.headers['Vary'] == 'Sec-Fetch-Site, Origin'

    @app.errorhandler(403)
    def forbidden_in_a_language(request):
        return 'Verboten', 403, {'Vary': 'Accept-Language, origin'}

    response = await TestClient(app).post('/', CROSS)
    assert (response.text, response.headers['Vary']) == ('Verboten', 'Accept-Language, origin, Sec-Fetch-Site')


async def test_vary():
    app = make_app()

    @app.post('/varies')
    async def varies(request):
        return 'done', 200, {'Vary': request.args['vary']}

    for given, expected in (
            ('Accept', 'Accept, Sec-Fetch-Site, Origin'), ('origin', 'origin, Sec-Fetch-Site'), ('*', '*'),
            ('Sec-Fetch-Site,ORIGIN', 'Sec-Fetch-Site,ORIGIN')):
        response = await TestClient(app, host='shop.example').post('/varies?vary=' + given, {'Origin': SHOP})
        assert response.headers['Vary'] == expected
    assert 'Vary' not in (await TestClient(app).get('/')).headers  # where nothing is decided


async def test_what_is_refused_does_not_run():
    seen = []
    app = make_app()

    @app.post('/transfer')
    async def transfer(request):
        seen.append(request.form)

    body = {'Content-Type': 'application/x-www-form-urlencoded', 'Sec-Fetch-Site': 'cross-site'}
    response = await TestClient(app).post('/transfer', body, 'to=evil')
    assert response.status_code == 403 and not seen


async def test_paths_without_a_route():
    app = make_app()
    for headers in CROSS, {}:
        assert await status(app, headers, path='/missing') == 404
    only_get = Microdot()
    CSRF(only_get)
    only_get.get('/')(lambda request: 'hello')
    assert await status(only_get, CROSS) == 405


async def test_errors_of_handlers():
    app = make_app()

    @app.post('/aborts')
    async def aborts(request):
        abort(418)

    response = await TestClient(app, host='shop.example').post('/aborts', {'Origin': SHOP})
    assert (response.status_code, response.headers['Vary']) == (418, 'Sec-Fetch-Site, Origin')
    assert await status(app, CROSS, path='/aborts') == 403


# ---------------------------------------------------------------------------------------------------------------
# Decorators
# ---------------------------------------------------------------------------------------------------------------

def noted(f):
    """A decorator as extensions have them."""
    @wraps(f)
    async def wrapper(request, *args, **kwargs):
        result = f(request, *args, **kwargs)
        return await result if hasattr(result, 'send') else result

    return wrapper


async def with_path_arguments(request, number, word):
    return '%d %s' % (number, word)


def plain(request, number, word):
    return '%d %s' % (number, word)


async def test_exempt_in_any_order():
    number = 0
    for is_async in True, False:
        for order in ('ER', 'RE', 'REN', 'RNE', 'RNNE', 'RNEN', 'ERN', 'RENN', 'EREN'):
            app = make_app()
            if is_async:
                async def handler(request, number, word):
                    return '%d %s' % (number, word)
            else:
                def handler(request, number, word):
                    return '%d %s' % (number, word)
            decorators = {'E': app.csrf.exempt, 'N': noted, 'R': app.post('/beds/<int:number>/<word>')}
            if not is_async and 'N' in order:
                continue
            f = handler
            for letter in reversed(order):
                f = decorators[letter](f)
            app.post('/other/<int:number>/<word>')(with_path_arguments)
            response = await TestClient(app).post('/beds/7/kale', CROSS)
            assert (response.status_code, response.text) == (200, '7 kale'), order
            assert 'Vary' not in response.headers
            assert await status(app, CROSS, path='/other/7/kale') == 403
            number += 1
    assert number > 10


async def test_protect_in_any_order():
    for handler in with_path_arguments, plain:
        for order in 'RP', 'RPN', 'RNP', 'RNPN', 'RPP':
            app = make_app(protect_all=False)
            decorators = {'P': app.csrf.protect, 'N': noted, 'R': app.post('/beds/<int:number>/<word>')}
            if handler is plain and order.endswith('N'):
                continue
            f = handler
            for letter in reversed(order):
                f = decorators[letter](f)
            response = await TestClient(app, host='shop.example').post('/beds/7/kale', {'Origin': SHOP})
            assert (response.status_code, response.text) == (200, '7 kale'), order
            assert response.headers['Vary'] == 'Sec-Fetch-Site, Origin'
            response = await TestClient(app).post('/beds/7/kale', CROSS)
            assert (response.status_code, response.headers['Vary']) == (403, 'Sec-Fetch-Site, Origin'), order
            assert await status(app, CROSS) == 200  # the others are not protected


async def test_protect_says_more_than_exempt():
    app = make_app()

    @app.post('/both')
    @app.csrf.exempt
    @app.csrf.protect
    async def both(request):
        return 'done'

    assert await status(app, CROSS, path='/both') == 403
    assert await status(app, {}, path='/both') == 200


async def test_protect_where_all_are_protected():
    app = make_app()

    @app.post('/twice')
    @app.csrf.protect
    async def twice(request):
        return 'done'

    response = await TestClient(app).post('/twice', {'Sec-Fetch-Site': 'none'})
    assert response.headers['Vary'] == 'Sec-Fetch-Site, Origin'
    assert await status(app, CROSS, path='/twice') == 403


async def test_protected_route_of_several_methods():
    app = make_app(protect_all=False)

    @app.route('/form', methods=['GET', 'POST', 'QUERY'])
    @app.csrf.protect
    def form(request):
        return request.method

    for method, expected in ('GET', 200), ('QUERY', 200), ('HEAD', 200), ('POST', 403):
        assert await status(app, CROSS, method, '/form') == expected
    assert await status(app, CROSS, 'OPTIONS', '/form') == 200


async def test_other_extensions():
    app = Microdot()
    Session(app, 'a secret of the tests, long enough')
    csrf = CSRF(app)

    @app.post('/first')
    @csrf.exempt
    @with_session
    async def first(request, session):
        return repr(sorted(session))

    @app.post('/last')
    @with_session
    @csrf.exempt
    def last(request, session):
        return repr(sorted(session))

    @app.post('/protected')
    @with_session
    @csrf.protect
    def protected(request, session):
        return repr(sorted(session))

    for path in '/first', '/last':
        response = await TestClient(app).post(path, CROSS)
        assert (response.status_code, response.text, response.headers['Vary']) == (200, '[]', 'Cookie')
    assert await status(app, CROSS, path='/protected') == 403
    assert await status(app, {}, path='/protected') == 200


async def test_events():
    """A stream that comes in answer to a POST is protected like any other response."""
    app = make_app()

    @app.route('/events', methods=['GET', 'POST'])
    @with_sse
    async def events(request, sse):
        await sse.send('news')

    @app.post('/open')
    @with_sse
    @app.csrf.exempt
    async def open_events(request, sse):
        await sse.send('news')

    @app.post('/below')
    @with_sse
    @app.csrf.protect
    def below(request, sse):
        seen.append('below')

    seen = []
    assert await status(app, CROSS, path='/below') == 403 and not seen
    assert (await TestClient(app).get('/events', CROSS)).events[0]['data'] == b'news'  # CORS decides who reads it
    assert await status(app, CROSS, path='/events') == 403
    response = await TestClient(app).post('/events', {'Sec-Fetch-Site': 'same-origin'})
    assert response.events[0]['data'] == b'news'
    assert response.headers['Vary'] == 'Sec-Fetch-Site, Origin'
    assert (await TestClient(app).post('/open', CROSS)).events[0]['data'] == b'news'


async def test_websocket():
    """A handshake is a GET: whose pages may connect is said by ``allowed_origins``."""
    app = make_app()
    replies = []

    async def echo(request, ws):
        await ws.send(await ws.receive())

    app.get('/plain')(with_websocket(echo))
    app.get('/protected')(app.csrf.protect(with_websocket(echo)))
    app.get('/inside')(with_websocket(app.csrf.protect(echo)))
    app.get('/exempt')(app.csrf.exempt(with_websocket(echo)))
    app.get('/own')(app.csrf.protect(with_websocket(allowed_origins=[SHOP])(echo)))

    def client():
        replies.append((yield 'hello'))

    for path in '/plain', '/protected', '/inside', '/exempt', '/own':
        response = await TestClient(app).websocket(path, client, {'Origin': SHOP, 'Sec-Fetch-Site': 'same-origin'})
        assert (response.status_code, replies.pop()) == (101, 'hello'), path
    response = await TestClient(app).websocket('/own', client, CROSS)
    assert (response.status_code, replies) == (403, [])


# ---------------------------------------------------------------------------------------------------------------
# Attaching
# ---------------------------------------------------------------------------------------------------------------

async def test_initialize_later():
    csrf = CSRF(allow_subdomains=True)
    apps = Microdot(), Microdot()
    for app in apps:
        add_routes(app)
        assert await status(app, CROSS) == 200
        csrf.initialize(app)
    for app in apps:
        assert await status(app, CROSS) == 403
        assert await status(app, {'Sec-Fetch-Site': 'same-site'}) == 200


async def test_sub_applications():
    for local in False, True:
        sub = Microdot()
        add_routes(sub)
        app = make_app()
        sub.post('/exempt')(app.csrf.exempt(lambda request: 'done'))
        app.mount(sub, '/sub', local)
        assert await status(app, CROSS, path='/sub/') == 403
        assert await status(app, CROSS, path='/sub/exempt') == 200
        assert await status(app, {}, path='/sub/') == 200


async def test_sub_application_that_protects_itself():
    sub = make_app()
    app = Microdot()
    add_routes(app)
    app.mount(sub, '/sub', local=True)
    assert await status(app, CROSS, path='/sub/') == 403
    assert await status(app, CROSS) == 200
    app = Microdot()
    add_routes(app)
    app.mount(sub, '/sub')
    assert await status(app, CROSS, path='/sub/') == 403
    assert await status(app, CROSS) == 403
