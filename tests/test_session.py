"""Sessions: the cookie, what is believed of it, and which responses depend on it."""
import asyncio

from forgery import BASE64URL, KEY, forge, key, mutations
from helpers import ON_MICROPYTHON, changed, logged_errors, raises
from microdot import Microdot, Response, abort, redirect, signing
from microdot.session import Session, SessionDict, with_session
from microdot.sse import with_sse
from microdot.test_client import TestClient
from microdot.websocket import with_websocket

NOW = 1_750_000_000


def make_app(secret_key=KEY, cookie_options=None):
    """An application that says what is in the session, and has a route for each thing that can be done to it."""
    app = Microdot()
    app.sessions = Session(app, secret_key, cookie_options)

    @app.get('/')
    @with_session
    async def show(request, session):
        return dict(session.items())

    @app.post('/')
    @with_session
    async def save(request, session):
        session.update(request.json)
        session.save()
        return 'saved'

    @app.get('/change')
    @with_session
    async def change(request, session):
        session['changed'] = True
        return 'not saved'

    @app.get('/delete')
    @with_session
    async def delete(request, session):
        session.delete()
        return 'deleted'

    @app.get('/none')
    async def none(request):
        return 'no session'

    return app


def cookies_of(response):
    return response.headers.get('Set-Cookie', [])


def attributes_of(response, name='session'):
    """Return the one ``Set-Cookie`` of a name as its value and a sorted list of attributes."""
    cookies = [cookie for cookie in cookies_of(response) if cookie.startswith(name + '=')]
    assert len(cookies) == 1, cookies_of(response)
    value, _, attributes = cookies[0][len(name) + 1:].partition('; ')
    return value, sorted(attributes.split('; '))


async def read(app, token):
    response = await TestClient(app, {'session': token}).get('/')
    assert response.status_code == 200
    return response.json


# ---------------------------------------------------------------------------------------------------------------
# What an application sees
# ---------------------------------------------------------------------------------------------------------------

async def test_a_session_lives_in_its_cookie():
    client = TestClient(make_app())
    assert (await client.get('/')).json == {}
    response = await client.post('/', body={'name': 'Susan', 'n': [1, {'x': None}]})
    assert response.status_code == 200
    assert (await client.get('/')).json == {'name': 'Susan', 'n': [1, {'x': None}]}
    await client.post('/', body={'more': '\xfc'})
    assert (await client.get('/')).json == {'name': 'Susan', 'n': [1, {'x': None}], 'more': '\xfc'}
    await client.get('/delete')
    assert client.cookies == {}
    assert (await client.get('/')).json == {}


async def test_only_what_is_saved_is_sent():
    client = TestClient(make_app())
    assert cookies_of(await client.get('/change')) == []
    assert cookies_of(await client.get('/')) == []
    assert (await client.get('/')).json == {}


async def test_one_session_for_a_request():
    app = make_app()

    @app.get('/same')
    @with_session
    @with_session
    async def same(request, outer, inner):
        assert outer is inner is app.sessions.get(request) is app.sessions.get(request)
        assert isinstance(outer, SessionDict) and isinstance(outer, dict)
        outer['a'] = 1
        inner.save()
        inner['b'] = 2
        outer.save()
        outer['c'] = 3  # too late
        return 'ok'

    client = TestClient(app)
    response = await client.get('/same')
    assert len(cookies_of(response)) == 1
    assert (await client.get('/')).json == {'a': 1, 'b': 2}


async def test_the_last_of_save_and_delete_counts():
    app = make_app()

    @app.get('/<what>')
    @with_session
    async def both(request, session, what):
        session['a'] = 1
        for name in what.split('-'):
            getattr(session, name)()
        return 'ok'

    for what, is_set in ('save-delete', False), ('delete-save', True), ('delete-delete', False), ('save-save', True):
        client = TestClient(app)
        response = await client.get('/' + what)
        assert len(cookies_of(response)) == 1
        assert ('session' in client.cookies) == is_set, what


async def test_an_empty_session_needs_no_cookie():
    app = make_app()

    @app.get('/clear')
    @with_session
    async def clear(request, session):
        session.clear()
        session.save()
        return 'ok'

    client = TestClient(app)
    await client.post('/', body={'a': 1})
    assert attributes_of(await client.get('/clear'))[0] == ''
    assert client.cookies == {}


async def test_methods_of_the_extension():
    app = make_app()

    @app.get('/methods')
    async def methods(request):
        session = app.sessions.get(request)
        session['a'] = 1
        app.sessions.update(request, session)
        return 'ok'

    @app.get('/plain')
    async def plain(request):
        app.sessions.update(request, {'b': 2})
        return 'ok'

    @app.get('/forget')
    async def forget(request):
        app.sessions.delete(request)
        return 'ok'

    client = TestClient(app)
    await client.get('/methods')
    assert (await client.get('/')).json == {'a': 1}
    await client.get('/plain')
    assert (await client.get('/')).json == {'b': 2}
    await client.get('/forget')
    assert client.cookies == {}


async def test_handlers_of_all_kinds():
    app = make_app()

    @app.get('/async/<int:a>/<b>')
    @with_session
    async def of_async(request, session, a, b):
        session['n'] = session.get('n', 0) + a
        session.save()
        return b

    @app.get('/def/<int:a>/<b>')
    @with_session
    def of_def(request, session, a, b):
        session['n'] = session.get('n', 0) + a
        session.save()
        return b

    class Handlers:
        @with_session
        async def method(*args):  # self or not, the decorator passes on what it gets
            return 'method'

    client = TestClient(app)
    assert (await client.get('/async/1/x')).text == 'x'
    assert (await client.get('/def/2/y')).text == 'y'
    assert (await client.get('/')).json == {'n': 3}
    assert (await client.request('HEAD', '/def/3/y')).status_code == 200
    assert (await client.get('/')).json == {'n': 6}


async def test_encode_and_decode():
    sessions = make_app().sessions
    token = sessions.encode({'a': 1})
    assert token == forge('{"a":1}')
    assert sessions.decode(token) == {'a': 1}
    assert sessions.encode({'a': 1}, key('other')) == forge('{"a":1}', key=key('other'))
    assert sessions.decode(forge('{"a":1}', key=key('other'))) == {}
    assert sessions.decode(forge('{"a":1}', key=key('other')), key('other')) == {'a': 1}
    assert sessions.decode(forge('{"a":1}', key=key('other')), ['x', key('other')]) == {'a': 1}
    assert sessions.decode('') == sessions.decode('nonsense') == {}


def test_a_secret_key_is_needed():
    for secret_key in None, '', b'', [], ['']:
        with raises(ValueError) as error:
            Session(Microdot(), secret_key)
        assert 'secret key' in str(error.value)
        with raises(ValueError):
            Session(secret_key=secret_key).initialize(Microdot())


async def test_initialized_later():
    app = make_app()
    sessions = Session(secret_key=key('old'), cookie_options={'path': '/a'})
    sessions.initialize(app, key('new'), {'path': '/b'})

    @app.get('/b')
    @with_session
    async def b(request, session):
        session['a'] = 1
        session.save()
        return 'ok'

    client = TestClient(app)
    value, attributes = attributes_of(await client.get('/b'))
    assert value == forge('{"a":1}', key=key('new'))
    assert attributes == ['HttpOnly', 'Path=/b', 'SameSite=Lax']
    for later in Session(None, KEY, {'secure': True}), Session():
        app = Microdot()
        later.initialize(app, KEY)
        assert later.encode({}) == forge('{}')


async def test_without_an_extension():
    app = Microdot()

    @app.get('/')
    @with_session
    async def index(request, session):
        return 'ok'

    with logged_errors() as errors:
        assert (await TestClient(app).get('/')).status_code == 500
    assert isinstance(errors[0], RuntimeError)


async def test_rotation_of_keys():
    old = TestClient(make_app(key('old')))
    await old.post('/', body={'a': 1})
    app = make_app([key('new'), key('old')])
    client = TestClient(app, old.cookies)
    assert (await client.get('/')).json == {'a': 1}
    await client.post('/', body={'b': 2})
    assert await read(make_app(key('new')), client.cookies['session']) == {'a': 1, 'b': 2}
    assert await read(make_app(key('old')), client.cookies['session']) == {}
    assert await read(make_app([key('newer'), key('new')]), client.cookies['session']) == {'a': 1, 'b': 2}
    assert await read(make_app([key('newer'), key('newest')]), client.cookies['session']) == {}


# ---------------------------------------------------------------------------------------------------------------
# Mounted applications
# ---------------------------------------------------------------------------------------------------------------

def make_subapp():
    subapp = Microdot()

    @subapp.get('/add')
    @with_session
    async def add(request, session):
        session['n'] = session.get('n', 0) + 1
        session.save()
        return str(session['n'])

    @subapp.get('/fail')
    @with_session
    async def fail(request, session):
        session['n'] = 100
        session.save()
        abort(418)

    return subapp


async def test_sub_applications_use_the_session_of_the_application():
    for local in False, True:
        app = make_app()
        outer = Microdot()
        outer.mount(make_subapp(), '/inner', local)
        app.mount(make_subapp(), '/sub', local)
        app.mount(outer, '/outer', local)
        client = TestClient(app)
        assert (await client.get('/sub/add')).text == '1'
        response = await client.get('/outer/inner/add')
        assert response.text == '2'
        assert response.headers['Vary'] == 'Cookie'
        assert (await client.get('/sub/fail')).status_code == 418
        assert (await client.get('/')).json == {'n': 100}


async def test_a_sub_application_has_one_of_its_own():
    for local in False, True:
        app = Microdot()
        subapp = make_subapp()
        Session(subapp, KEY, {'path': '/sub'})
        app.mount(subapp, '/sub', local)
        client = TestClient(app)
        assert attributes_of(await client.get('/sub/add')) == (
            forge('{"n":1}'), ['HttpOnly', 'Path=/sub', 'SameSite=Lax'])
        response = await client.get('/sub/fail')
        assert (response.status_code, response.headers['Vary']) == (418, 'Cookie')
        assert attributes_of(response)[0] == forge('{"n":100}')


async def test_the_session_of_the_application_wins():
    for local in False, True:
        app = make_app(key('outer'))
        subapp = make_subapp()
        Session(subapp, key('inner'), {'path': '/sub'})
        app.mount(subapp, '/sub', local)
        client = TestClient(app)
        response = await client.get('/sub/add')
        assert attributes_of(response) == (forge('{"n":1}', key=key('outer')), ['HttpOnly', 'Path=/', 'SameSite=Lax'])
        assert response.headers['Vary'] == 'Cookie'
        assert (await client.get('/')).json == {'n': 1}


# ---------------------------------------------------------------------------------------------------------------
# The cookie
# ---------------------------------------------------------------------------------------------------------------

async def test_attributes():
    for options, expected in (
            (None, ['HttpOnly', 'Path=/', 'SameSite=Lax']),
            ({}, ['HttpOnly', 'Path=/', 'SameSite=Lax']),
            ({'path': '/', 'secure': True}, ['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure']),
            ({'same_site': 'Strict'}, ['HttpOnly', 'Path=/', 'SameSite=Strict']),
            ({'same_site': 'None', 'secure': True, 'partitioned': True},
             ['HttpOnly', 'Partitioned', 'Path=/', 'SameSite=None', 'Secure']),
            ({'http_only': False, 'same_site': None}, ['Path=/']),
            ({'domain': 'example.com'}, ['Domain=example.com', 'HttpOnly', 'Path=/', 'SameSite=Lax']),
            ({'max_age': 60}, ['HttpOnly', 'Max-Age=60', 'Path=/', 'SameSite=Lax']),
            ({'max_age': None}, ['HttpOnly', 'Path=/', 'SameSite=Lax']),
            ({'expires': 'Wed, 01 Jan 2031 00:00:00 GMT'},
             ['Expires=Wed, 01 Jan 2031 00:00:00 GMT', 'HttpOnly', 'Path=/', 'SameSite=Lax'])):
        given = dict(options or {})
        client = TestClient(make_app(KEY, options))
        assert attributes_of(await client.post('/', body={'a': 1}))[1] == expected, options
        assert (options or {}) == given  # not changed
        # RFC 6265 section 5.3: only the same path and domain make a browser forget it
        value, attributes = attributes_of(await client.get('/delete'))
        assert value == ''
        kept = [name for name in expected if name[:4] not in ('Max-', 'Expi')]
        assert sorted(kept + ['Max-Age=0', 'Expires=Thu, 01 Jan 1970 00:00:01 GMT']) == attributes, options


async def test_sessions_end():
    app = make_app(KEY, {'max_age': 60})
    with changed(signing, now=lambda: NOW):
        response = await TestClient(app).post('/', body={'a': 1})
        token = attributes_of(response)[0]
        assert token == forge('{"a":1,"exp":%d}' % (NOW + 60))
        assert await read(app, token) == {'a': 1}  # what is ours is not the application's
    for seconds, expected in ((0, {'a': 1}), (59, {'a': 1}), (59.9, {'a': 1}), (60, {}), (61, {}), (1e9, {}),
                              (-59, {'a': 1}), (-61, {})):  # the clock has fallen back
        with changed(signing, now=lambda seconds=seconds: NOW + seconds):
            assert await read(app, token) == expected, seconds
    with changed(signing, now=lambda: NOW + 30):  # saving it again prolongs it
        response = await TestClient(app, {'session': token}).post('/', body={'b': 1})
        assert attributes_of(response)[0] == forge('{"a":1,"b":1,"exp":%d}' % (NOW + 90))


async def test_sessions_without_an_end_are_none_where_they_have_to_end():
    assert await read(make_app(KEY, {'max_age': 60}), forge('{"a":1}')) == {}
    assert await read(make_app(KEY, {'max_age': None}), forge('{"a":1}')) == {'a': 1}


async def test_sessions_of_a_longer_limit_end_with_the_shorter_one():
    app = make_app(KEY, {'max_age': 60})
    with changed(signing, now=lambda: NOW):
        for seconds, expected in (1, {'a': 1}), (60, {'a': 1}), (120, {'a': 1}), (121, {}), (3600, {}), (1 << 60, {}):
            assert await read(app, forge({'a': 1, 'exp': NOW + seconds})) == expected, seconds


async def test_another_name_of_the_cookie():
    app = make_app()
    app.sessions.cookie_name = '__Host-session'
    client = TestClient(app)
    assert attributes_of(await client.post('/', body={'a': 1}), '__Host-session')[0] == forge('{"a":1}')
    assert list(client.cookies) == ['__Host-session']
    assert (await client.get('/')).json == {'a': 1}
    assert await read(app, forge({'a': 1})) == {}  # the other name is none
    await client.get('/delete')
    assert client.cookies == {}


async def test_an_end_of_the_applications_own():
    app = make_app()
    client = TestClient(app)
    with changed(signing, now=lambda: NOW):
        await client.post('/', body={'exp': NOW + 5})
        assert (await client.get('/')).json == {'exp': NOW + 5}
    with changed(signing, now=lambda: NOW + 5):
        assert (await client.get('/')).json == {}


async def test_sizes():
    app = make_app()
    client = TestClient(app)
    size = 900 if ON_MICROPYTHON else 2800  # what a board saves, it has to be able to receive
    await client.post('/', body={'a': 'x' * size})
    assert len((await client.get('/')).json['a']) == size
    with logged_errors() as errors:
        response = await client.post('/', body={'a': 'x' * (1500 if ON_MICROPYTHON else 3000)})
    assert response.status_code == 500
    assert isinstance(errors[0], ValueError)
    assert cookies_of(response) == []
    assert len((await client.get('/')).json['a']) == size


async def test_what_json_cannot_express():
    app = make_app()

    @app.get('/bytes')
    @with_session
    async def save(request, session):
        session['a'] = b'bytes'
        session.save()

    with logged_errors() as errors:
        response = await TestClient(app).get('/bytes')
    assert response.status_code == 500
    assert isinstance(errors[0], TypeError)
    assert cookies_of(response) == []


# ---------------------------------------------------------------------------------------------------------------
# What is believed
# ---------------------------------------------------------------------------------------------------------------

async def test_forged_cookies():
    app = make_app()
    assert await read(app, forge({'a': 1})) == {'a': 1}
    for token in ('', '.', '..', 'a.b.c', 'null', '{}', '"', '{"a": 1}', 'eyJhIjoxfQ', '=', '%00', 'a' * 1900,
                  forge({'a': 1}, key=b''), forge({'a': 1}, key=b'Key'), forge({'a': 1}, '{"alg":"none"}'),
                  forge({'a': 1}, '{"alg":"none","typ":"JWT"}').rpartition('.')[0] + '.',
                  forge({'a': 1}, '{"alg":"HS384","typ":"JWT"}'), forge('[1]'), forge('"a"'), forge('{'), forge('null'),
                  forge({'a': 1}, '{"alg":"HS256","typ":"remember+jwt"}'), forge({'aud': 'x'}), forge({'exp': 1}),
                  forge({'nbf': 1 << 40}), forge({'iat': 1 << 40}), forge({'sub': 1}), forge({'exp': 'x'}),
                  forge({'a': 1}, '{"alg":"HS256","crit":["x"]}'), forge({'a': 1}) + '=', forge({'a': 1}) + '.x'):
        assert await read(app, token) == {}, token


async def test_cookie_headers():
    app = make_app()
    right, wrong = forge({'a': 1}), forge({'a': 2}, key=key('x'))
    for header, expected in (
            ('session=' + right, {'a': 1}), ('a=b; session=' + right, {'a': 1}), ('session=' + right + ';', {'a': 1}),
            ('Session=' + right, {}), ('session="%s"' % right, {}), ('session =' + right, {'a': 1}),
            ('session', {}), ('session=', {}), ('=' + right, {}), (right, {}), ('session=' + wrong, {}),
            ('xsession=' + right, {}), ('session=%s, session=%s' % (right, right), {}), ('\xfc=\xfc;session=\xff', {}),
            (';;;;=;=;', {}), ('session==' + right, {})):
        response = await TestClient(app).get('/', {'Cookie': header})
        assert response.status_code == 200
        assert response.json == expected, header


async def test_mutated_cookies_are_no_error():
    """Thousands of requests, fifty over each connection."""
    app = make_app()
    seen = []

    @app.get('/sessions')
    @with_session
    async def sessions(request, session):
        seen.append(dict(session.items()))
        return 'ok'

    token = forge({'user_id': 7, 'name': 'Susan?~'})
    count = 300 if ON_MICROPYTHON else 10_000
    alphabet = BASE64URL + '.=+/ %"\\,:()<>@[]{}\x80\xff\u0391'  # what a header may contain
    last = b'Connection: close\r\nCookie: session=%s\r\n\r\n' % token.encode()
    answers = batches = 0
    with logged_errors() as errors:
        cookies = [mutated for mutated in mutations(token, count, 2, alphabet) if mutated.strip() != token]
        for start in range(0, len(cookies), 50):
            head = b'GET /sessions HTTP/1.1\r\nHost: a\r\n'
            requests = [head + b'Cookie: session=%s\r\n\r\n' % cookie.encode() for cookie in cookies[start:start + 50]]
            data = await TestClient(app).exchange(requests + [head + last])
            assert data.count(b'HTTP/1.1 ') == data.count(b'HTTP/1.1 200 ') == len(requests) + 1
            answers += len(requests)
            batches += 1
    assert errors == []
    assert answers == len(cookies) and len(seen) == answers + batches
    assert [session for session in seen if session] == [{'user_id': 7, 'name': 'Susan?~'}] * batches


# ---------------------------------------------------------------------------------------------------------------
# Responses of all kinds
# ---------------------------------------------------------------------------------------------------------------

def make_app_of_responses():
    app = make_app()

    @app.get('/redirect')
    @with_session
    async def to(request, session):
        session['a'] = 1
        session.save()
        return redirect('/')

    @app.get('/abort')
    @with_session
    async def aborted(request, session):
        session['a'] = 1
        session.save()
        abort(404)

    @app.get('/error')
    @with_session
    async def error(request, session):
        session['a'] = 1
        session.save()
        raise ZeroDivisionError

    @app.get('/no-content')
    @with_session
    async def no_content(request, session):
        session['a'] = 1
        session.save()

    @app.get('/not-modified')
    @with_session
    async def not_modified(request, session):
        session['a'] = 1
        session.save()
        return 304

    @app.get('/stream')
    @with_session
    async def stream(request, session):
        session['a'] = 1
        session.save()
        return iter(['a', 'b'])

    @app.get('/own')
    @with_session
    async def own(request, session):
        session['a'] = 1
        session.save()
        return 'x', {'Cache-Control': 'no-store', 'Vary': 'Accept'}

    @app.get('/vary/<value>')
    @with_session
    async def vary(request, session, value):
        return Response('x', headers={'Vary': {'star': '*', 'cookie': 'COOKIE', 'both': 'Accept, cookie',
                                               'list': ['Accept', 'Origin']}[value]})

    return app


PATHS = (('/redirect', 302), ('/abort', 404), ('/error', 500), ('/no-content', 204), ('/not-modified', 304),
         ('/stream', 200), ('/own', 200))


async def test_every_response_has_the_cookie_and_says_so():
    app = make_app_of_responses()
    with logged_errors():
        for method in 'GET', 'HEAD':
            for path, status_code in PATHS:
                response = await TestClient(app).request(method, path)
                assert response.status_code == status_code
                assert attributes_of(response)[0] == forge('{"a":1}'), path
                assert response.headers['Vary'] == ('Accept, Cookie' if path == '/own' else 'Cookie'), path
                # RFC 9111 section 7.3: a shared cache must not give the cookie to another client
                assert response.headers['Cache-Control'] == ('no-store' if path == '/own' else 'private'), path


async def test_a_session_that_was_read():
    app = make_app_of_responses()
    for method in 'GET', 'HEAD':
        for cookies in {}, {'session': 'x'}, {'session': forge({'a': 1})}:
            response = await TestClient(app, dict(cookies)).request(method, '/')
            assert response.headers['Vary'] == 'Cookie'
            assert 'Cache-Control' not in response.headers
            assert cookies_of(response) == []


async def test_no_session_no_headers():
    app = make_app_of_responses()
    for path, status_code in ('/none', 200), ('/missing', 404):
        response = await TestClient(app, {'session': forge({'a': 1})}).get(path)
        assert response.status_code == status_code
        for name in 'Vary', 'Cache-Control', 'Set-Cookie':
            assert name not in response.headers
    data = await TestClient(app).exchange([b'nonsense\r\n\r\n'])
    assert data.startswith(b'HTTP/1.1 400 ')
    assert b'Vary' not in data and b'Set-Cookie' not in data


async def test_vary_is_merged():
    app = make_app_of_responses()
    for value, expected in ('star', '*'), ('cookie', 'COOKIE'), ('both', 'Accept, cookie'), ('list',
                                                                                             'Accept, Origin, Cookie'):
        response = await TestClient(app).get('/vary/' + value)
        assert response.headers['Vary'] == expected


async def test_caches_are_told():
    app = make_app()

    @app.get('/<control>')
    @with_session
    async def page(request, session, control):
        session['a'] = 1
        session.save()
        return 'x', {'Cache-Control': control.replace('_', ', ')}

    for control, expected in (
            ('max-age=60', 'max-age=60, private'), ('no-store', 'no-store'), ('private', 'private'),
            ('Private_max-age=5', 'Private, max-age=5'), ('no-cache', 'no-cache'), ('public', 'public')):
        response = await TestClient(app).get('/' + control)
        assert response.headers['Cache-Control'] == expected


async def test_a_response_for_everybody_has_nobodys_cookie():
    app = make_app()
    shared = Response('for all', headers={'X-Shared': 'yes'})

    @app.get('/shared')
    @with_session
    async def show_shared(request, session):
        if 'name' in request.args:
            session['name'] = request.args['name']
            session.save()
        return shared

    for name in 'susan', 'david':
        response = await TestClient(app).get('/shared?name=' + name)
        assert attributes_of(response)[0] == forge('{"name":"%s"}' % name)
        assert (response.text, response.headers['X-Shared']) == ('for all', 'yes')
    response = await TestClient(app).get('/shared')
    assert cookies_of(response) == []
    assert 'Cache-Control' not in response.headers


async def test_error_handlers_get_the_cookie_too():
    app = make_app_of_responses()

    @app.errorhandler(404)
    async def not_found(request):
        return 'nothing', 404, {'Vary': 'Accept-Language'}

    @app.errorhandler(ZeroDivisionError)
    async def division(request, exception):
        session = app.sessions.get(request)
        session['failed'] = True
        session.save()
        return 'divided', 500

    client = TestClient(app)
    response = await client.get('/abort')
    assert response.text == 'nothing'
    assert response.headers['Vary'] == 'Accept-Language, Cookie'
    assert attributes_of(response)[0] == forge('{"a":1}')
    response = await client.get('/error')
    assert attributes_of(response)[0] == forge('{"a":1,"failed":true}')
    assert (await client.get('/')).json == {'a': 1, 'failed': True}


async def test_hooks_use_sessions():
    app = make_app()

    @app.before_request
    async def before(request):
        if 'early' in request.args:
            session = app.sessions.get(request)
            session['early'] = True
            session.save()
            return 'early'

    @app.after_request
    async def after(request, response):
        response.headers['X-After'] = 'yes'

    client = TestClient(app)
    response = await client.get('/none?early')
    assert response.text == 'early'
    assert response.headers['X-After'] == 'yes'
    assert response.headers['Vary'] == 'Cookie'
    assert (await client.get('/')).json == {'early': True}


async def test_other_cookies_stay():
    app = make_app()

    @app.get('/cookies')
    @with_session
    async def cookies(request, session):
        session['a'] = 1
        session.save()
        response = Response('ok')
        response.set_cookie('other', 'x')
        return response

    client = TestClient(app)
    assert len(cookies_of(await client.get('/cookies'))) == 2
    assert client.cookies['other'] == 'x'


async def test_sessions_do_not_mix():
    app = make_app()

    @app.get('/slow/<name>')
    @with_session
    async def slow(request, session, name):
        session['name'] = name
        await asyncio.sleep(0.01)
        session.save()
        return name

    clients = [TestClient(app) for _ in range(4)]
    await asyncio.gather(*[client.get('/slow/%d' % i) for i, client in enumerate(clients)])
    for i, client in enumerate(clients):
        assert (await client.get('/')).json == {'name': str(i)}


# ---------------------------------------------------------------------------------------------------------------
# WebSocket and Server-Sent Events
# ---------------------------------------------------------------------------------------------------------------

async def test_websocket():
    app = make_app()

    @app.get('/outer/<arg>')
    @with_session
    @with_websocket
    async def outer(request, ws, session, arg):
        await ws.send(arg + str(session.get('a')))

    @app.get('/inner/<arg>')
    @with_websocket
    @with_session
    async def inner(request, session, ws, arg):
        await ws.send(arg + str(session.get('a')))

    received = []

    def client():
        received.append((yield None))

    for path in '/outer/x', '/inner/x':
        await TestClient(app, {'session': forge({'a': 1})}).websocket(path, client)
        await TestClient(app, {'session': forge({'a': 1}, key=key('x'))}).websocket(path, client)
    assert received == ['x1', 'xNone'] * 2


async def test_events():
    app = make_app()

    @app.get('/outer/<arg>')
    @with_session
    @with_sse
    async def outer(request, sse, session, arg):
        await sse.send(arg + str(session.get('a')))

    @app.get('/saved/<arg>')
    @with_session
    @with_sse
    async def saved(request, sse, session, arg):
        session['a'] = arg
        session.save()  # before the response begins
        await sse.send(arg)

    client = TestClient(app, {'session': forge({'a': 1})})
    response = await client.get('/outer/x')
    assert response.events[0]['data'] == b'x1'
    assert response.headers['Vary'] == 'Cookie'
    response = await client.get('/saved/y')
    assert response.headers['Cache-Control'] == 'no-cache'
    assert (await client.get('/')).json == {'a': 'y'}


# ---------------------------------------------------------------------------------------------------------------
# Cookies in general: nothing gets out of its place
# ---------------------------------------------------------------------------------------------------------------

INJECTIONS = ('\r\nX-Evil: 1', '\nX-Evil: 1', '\r', '\n', '\0', 'a\r\n b', '\r\n\r\n<script>', 'a\nb',
              '; Domain=evil.example',
              ';', 'a;b', 'x; Path=/; HttpOnly', '\x00;')


def test_cookie_injection():
    for text in INJECTIONS:
        for options in ({'cookie': text, 'value': 'v'}, {'cookie': 'n' + text, 'value': 'v'},
                        {'cookie': 'n', 'value': text}, {'cookie': 'n', 'value': 'v' + text},
                        {'cookie': 'n', 'value': 'v', 'path': '/' + text},
                        {'cookie': 'n', 'value': 'v', 'domain': 'example.com' + text},
                        {'cookie': 'n', 'value': 'v', 'expires': 'Thu, 01 Jan 2026 00:00:00 GMT' + text},
                        {'cookie': 'n', 'value': 'v', 'same_site': 'Lax' + text},
                        {'cookie': 'n', 'value': 'v', 'max_age': '1' + text}):
            response = Response('body')
            with raises(ValueError):
                response.set_cookie(**options)
            assert 'Set-Cookie' not in response.headers, options
            if options['value'] == 'v' and 'expires' not in options and 'max_age' not in options:
                with raises(ValueError):
                    response.delete_cookie(**{name: options[name] for name in options if name != 'value'})
                assert 'Set-Cookie' not in response.headers, options


def test_names_of_cookies():
    # RFC 6265 section 4.1.1: a token. Browsers take "=session=x" and " session=x" for the cookie "session"
    for name in ('', ' ', ' session', 'session ', '=', 'a=b', '=session', 'a b', 'a,b', '\t', 'a\tb', 'a"', 'a\x01',
                 '\x7f', '\xfc'):
        response = Response('body')
        with raises(ValueError):
            response.set_cookie(name, 'session=evil')
        assert 'Set-Cookie' not in response.headers, name


def test_values_of_cookies_stay_in_their_line():
    for value in 'a=b', 'a,b', 'a b', '"a"', '', '=', ',', 'a, session=x':
        response = Response('body')
        response.set_cookie('n', value, path='/a,b=c')
        response.set_cookie('m', 'x')
        assert response.headers['Set-Cookie'] == ['n=%s; Path=/a,b=c' % value, 'm=x']


async def test_injection_never_reaches_the_wire():
    app = Microdot()

    @app.get('/')
    async def index(request):
        response = Response('body')
        if 'name' in request.args:
            response.set_cookie(request.args['name'], 'v')
        response.set_cookie('n', request.args.get('value', ''), path=request.args.get('path'),
                            domain=request.args.get('domain'), expires=request.args.get('expires'))
        return response

    with logged_errors():
        for text in '%0d%0aX-Evil:1', '%0aX-Evil:1', '%0dX-Evil:1', '%00', '%3b+Domain=evil', '%0d%0a%0d%0aHTTP/1.1':
            for name in 'name', 'value', 'path', 'domain', 'expires':
                data = await TestClient(app).exchange([b'GET /?%s=a%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
                                                       % (name.encode(), text.encode())])
                assert data.startswith(b'HTTP/1.1 500 '), data
                assert b'evil' not in data.lower() and b'Set-Cookie' not in data and data.count(b'HTTP/1.1') == 1


async def test_options_that_are_not_valid_do_not_split_headers():
    for name in 'path', 'domain', 'expires', 'same_site':
        for text in '\r\nX-Evil: 1', ';x', '\0':
            try:
                app = make_app(KEY, {name: 'x' + text})
            except ValueError:
                continue
            with logged_errors():
                response = await TestClient(app).post('/', body={'a': 1})
            assert response.status_code == 500
            assert 'X-Evil' not in response.headers and 'Set-Cookie' not in response.headers
