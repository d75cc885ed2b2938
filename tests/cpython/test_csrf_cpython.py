"""CORS and CSRF where CPython differs: behind proxies, with other people's decorators, in the log."""
import functools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import Client, serving
from microdot import Microdot
from microdot.cors import CORS
from microdot.csrf import CSRF
from microdot.test_client import TestClient


def make_app(**options):
    app = Microdot()
    app.csrf = CSRF(app, **options)
    app.post('/')(lambda request: request.scheme)
    return app


# Behind proxies

async def post(server, **headers):
    lines = ['POST / HTTP/1.1', 'Host: shop.example', 'Content-Length: 0']
    lines += ['%s: %s' % (name.replace('_', '-'), value) for name, value in headers.items()]
    client = await Client.connect(server, '\r\n'.join([*lines, '', '']).encode())
    status, _ = await client.read_response()
    await client.close()
    return status


@pytest.mark.parametrize('header, https', [('X_Forwarded_Proto', 'https'), ('Forwarded', 'for=1.2.3.4;proto=https')])
async def test_scheme_of_a_trusted_proxy(header, https):
    async with serving(make_app(), trusted_proxies=['127.0.0.1']) as server:
        assert await post(server, Origin='https://shop.example', **{header: https}) == 200
        assert await post(server, Origin='https://shop.example:443', **{header: https}) == 200
        assert await post(server, Origin='http://shop.example', **{header: https}) == 403
        assert await post(server, Origin='https://evil.example', **{header: https}) == 403
        assert await post(server, Origin='null', **{header: https}) == 403
        assert await post(server, Origin='https://shop.example') == 403
        assert await post(server, Origin='http://shop.example') == 200


async def test_subdomains_behind_a_trusted_proxy():
    async with serving(make_app(allow_subdomains=True), trusted_proxies=['127.0.0.1']) as server:
        assert await post(server, Origin='https://a.shop.example', X_Forwarded_Proto='https') == 200
        assert await post(server, Origin='http://a.shop.example', X_Forwarded_Proto='https') == 403


async def test_scheme_of_who_is_not_trusted():
    for options in {}, {'trusted_proxies': ['10.0.0.1']}:
        async with serving(make_app(), **options) as server:
            assert await post(server, Origin='https://shop.example', X_Forwarded_Proto='https') == 403
            assert await post(server, Origin='http://shop.example', X_Forwarded_Proto='https') == 200


async def test_forwarded_host_is_not_believed():
    """A proxy has to pass on the Host, or the name of the application would be anybody's."""
    async with serving(make_app(), trusted_proxies=['127.0.0.1']) as server:
        assert await post(server, Origin='http://evil.example', X_Forwarded_Host='evil.example') == 403
        assert await post(server, Origin='http://evil.example', Forwarded='for=1.2.3.4;host=evil.example') == 403


# Whatever is sent

ALPHABET = st.sampled_from(['http', 'https', '://', ':', '/', '.', 'shop', 'example', 'a', '80', '443', '@', '[', ']',
                            '-', '%', '#', '?', ' ', ',', 'null', '\\', 'A', '\u0430', '\xb2', '::1', '127.0.0.1', '*'])
TEXT = st.text(st.characters(min_codepoint=32, exclude_characters='\x7f', codec='utf-8'), max_size=60)
ORIGINS = st.lists(ALPHABET, max_size=12).map(''.join) | TEXT


@given(origin=ORIGINS, site=st.none() | TEXT, host=st.sampled_from(['shop.example', 'a', '[::1]', '1.2.3.4:80', '']),
       allow_subdomains=st.booleans())
async def test_nothing_is_an_error(origin, site, host, allow_subdomains):
    headers = {'Host': host, 'Origin': origin}
    if site is not None:
        headers['Sec-Fetch-Site'] = site
    app = make_app(allow_subdomains=allow_subdomains)
    response = await TestClient(app).post('/', headers)
    assert response.status_code in (200, 400, 403)
    if response.status_code == 200 and (site or '').strip() not in ('same-origin', 'none', 'same-site'):
        assert origin.strip().startswith('http://') and host.removesuffix(':80') in origin


@given(origin=ORIGINS, method=ORIGINS, names=ORIGINS)
async def test_no_preflight_is_an_error(origin, method, names):
    for origins in ['http://shop.example'], '*':
        app = Microdot()
        CORS(app, origins)
        headers = {'Origin': origin, 'Access-Control-Request-Method': method, 'Access-Control-Request-Headers': names}
        response = await TestClient(app).request('OPTIONS', '*', headers)
        assert response.status_code in (200, 404)
        allowed = response.headers.get('Access-Control-Allow-Origin')
        assert allowed in (None, 'http://shop.example') or origins == '*'


# Decorators

def noted(f):
    @functools.wraps(f)
    def wrapper(request, *args, **kwargs):
        return f(request, *args, **kwargs)
    return wrapper


def careless(f):
    return lambda request: f(request)


async def test_decorators_of_others():
    """``functools.wraps`` is enough for ``exempt`` to be found. What is hidden stays protected."""
    app = make_app()

    @app.post('/noted')
    @noted
    @app.csrf.exempt
    def first(request):
        return 'done'

    @app.post('/careless')
    @careless
    @app.csrf.exempt
    def second(request):
        return 'done'

    @app.post('/below')
    @app.csrf.exempt
    @careless
    def third(request):
        return 'done'

    for path, expected in ('/noted', 200), ('/careless', 403), ('/below', 200):
        response = await TestClient(app).post(path, {'Sec-Fetch-Site': 'cross-site'})
        assert response.status_code == expected, path


async def test_methods_of_objects():
    csrf = CSRF()

    class Beds:
        @csrf.protect
        def water(request):  # noqa: N805
            return 'done'

        def plant(self, request):
            return 'done'

        async def harvest(self, request):
            return 'done'

    app = Microdot()
    csrf.initialize(app)
    beds = Beds()
    app.post('/plant')(csrf.exempt(beds.plant))
    app.post('/harvest')(csrf.protect(beds.harvest))
    app.post('/water')(Beds.water)
    for path, expected in ('/plant', 200), ('/harvest', 403), ('/water', 403):
        response = await TestClient(app).post(path, {'Sec-Fetch-Site': 'cross-site'})
        assert response.status_code == expected, path


def test_what_protect_returns_looks_like_the_handler():
    async def handler(request):
        """What it does."""

    protected = CSRF().protect(handler)
    assert (protected.__name__, protected.__doc__) == ('handler', 'What it does.')
    with pytest.raises(TypeError):
        CSRF().protect(lambda: 'a handler takes the request')


# The log

async def test_the_warning_is_logged(caplog):
    app = Microdot()
    CORS(app, '*', allow_credentials=True)
    for _ in range(3):
        await TestClient(app).get('/', {'Origin': 'http://shop.example'})
    assert [(record.name, record.levelno) for record in caplog.records] == [('microdot', logging.WARNING)]
