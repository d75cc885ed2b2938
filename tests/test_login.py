"""Logins: who is logged in for how long, and where a login leads to."""
import asyncio
import time

from forgery import HOSTILE_URLS, KEY, LOCAL_URLS, forge, key, mutations
from helpers import ON_MICROPYTHON, changed, logged_errors
from microdot import Microdot, abort, signing
from microdot.login import Login
from microdot.session import Session, with_session
from microdot.sse import with_sse
from microdot.test_client import TestClient
from microdot.websocket import with_websocket

NOW = 1_750_000_000
DAY = 86400
REMEMBER = '{"alg":"HS256","typ":"remember+jwt"}'


class User:
    def __init__(self, id, name):
        self.id = id
        self.name = name


def make_app(users=None, login_url='/login', secret_key=KEY, cookie_options=None):
    """An application with users whose password is ``right``. ``app.users`` are by id."""
    app = Microdot()
    app.users = {1: User(1, 'susan'), 2: User(2, 'david')} if users is None else users
    app.loaded = []
    app.sessions = Session(app, secret_key, cookie_options)
    app.login = login = Login(login_url)

    @login.user_loader
    async def load(user_id):
        app.loaded.append(user_id)
        return app.users.get(user_id)

    @app.route('/login', ['GET', 'POST'])
    async def log_in(request):
        if request.method == 'GET':
            return 'form'
        for user in app.users.values():
            if request.json['name'] == user.name and request.json['password'] == 'right':
                return await login.login_user(request, user, request.json.get('remember', False), '/home')
        return 'wrong', 401

    @app.post('/logout')
    async def log_out(request):
        await login.logout_user(request)
        assert request.g.current_user is None
        return 'bye'

    add_pages(app, login)
    return app


def add_pages(app, login):
    @app.get('/')
    @login
    async def index(request):
        return request.g.current_user.name

    @app.get('/fresh')
    @login.fresh
    async def fresh(request):
        return request.g.current_user.name

    @app.get('/who')
    async def who(request):
        user = await login.get_current_user(request)
        return user.name if user else 'nobody'

    @app.get('/def/<int:a>/<b>')
    @login
    def of_def(request, a, b):
        return [request.g.current_user.name, a, b]

    @app.get('/async/<int:a>/<b>')
    @login
    async def of_async(request, a, b):
        return [request.g.current_user.name, a, b]

    @app.route('/session', ['GET', 'POST'])
    @with_session
    async def session(request, session):
        if request.method == 'POST':
            session.update(request.json)
            session.save()
        return dict(session.items())


async def log_in(client, name='susan', remember=False, path='/login', password='right'):
    return await client.post(path, body={'name': name, 'password': password, 'remember': remember})


def cookie_of(response, name):
    """Return the one ``Set-Cookie`` of a name, as value and sorted attributes; ``None`` if there is none."""
    cookies = [cookie for cookie in response.headers.get('Set-Cookie', []) if cookie.startswith(name + '=')]
    assert len(cookies) < 2
    if not cookies:
        return None
    value, _, attributes = cookies[0][len(name) + 1:].partition('; ')
    return value, sorted(attributes.split('; '))


def clock(at):
    return changed(signing, now=lambda: at)


# ---------------------------------------------------------------------------------------------------------------
# In and out
# ---------------------------------------------------------------------------------------------------------------

async def test_login_and_logout():
    client = TestClient(make_app())
    response = await client.get('/')
    assert (response.status_code, response.headers['Location']) == (302, '/login?next=/')
    assert response.headers['Vary'] == 'Cookie'
    response = await log_in(client, password='wrong')
    assert response.status_code == 401
    assert (await client.get('/who')).text == 'nobody'
    response = await log_in(client)
    assert (response.status_code, response.headers['Location']) == (302, '/home')
    assert response.headers['Cache-Control'] == 'private'
    assert response.headers['Vary'] == 'Cookie'
    assert (await client.get('/session')).json == {'_user_id': 1, '_fresh': True}
    for path in '/', '/fresh', '/who':
        response = await client.get(path)
        assert (response.text, response.headers['Vary']) == ('susan', 'Cookie')
    assert (await client.post('/logout')).text == 'bye'
    assert (await client.get('/who')).text == 'nobody'
    assert (await client.get('/')).status_code == (await client.get('/fresh')).status_code == 302
    assert (await client.post('/logout')).text == 'bye'


async def test_handlers_of_all_kinds():
    client = TestClient(make_app())
    for kind in 'def', 'async':
        path = '/%s/1/x' % kind
        for method in 'GET', 'HEAD':
            response = await client.request(method, path)
            assert (response.status_code, response.headers['Location']) == (302, '/login?next=' + path)
            assert response.headers['Vary'] == 'Cookie'
    await log_in(client)
    for kind in 'def', 'async':
        assert (await client.get('/%s/1/x' % kind)).json == ['susan', 1, 'x']
        assert (await client.request('HEAD', '/%s/1/x' % kind)).status_code == 200


async def test_loaders_of_all_kinds():
    for is_async in True, False:
        app = make_app()

        async def of_async(user_id, app=app):
            return app.users.get(user_id)

        def of_def(user_id, app=app):
            return app.users.get(user_id)

        decorated = of_async if is_async else of_def
        assert app.login.user_loader(decorated) is decorated
        client = TestClient(app)
        await log_in(client)
        assert (await client.get('/')).text == 'susan'


async def test_login_and_logout_take_effect_with_any_response():
    app = make_app()

    @app.get('/in')
    async def enter(request):
        await app.login.login_user(request, app.users[1], remember=True)
        assert request.g.current_user is app.users[1]
        return 'own page'

    @app.get('/in-abort')
    async def enter_abort(request):
        await app.login.login_user(request, app.users[1])
        abort(418)

    @app.get('/out-error')
    async def leave(request):
        await app.login.logout_user(request)
        raise ZeroDivisionError

    client = TestClient(app)
    assert (await client.get('/in')).text == 'own page'
    assert (await client.get('/who')).text == 'susan'
    assert '_remember' in client.cookies
    with logged_errors():
        assert (await client.get('/out-error')).status_code == 500
    assert (await client.get('/who')).text == 'nobody'
    assert '_remember' not in client.cookies
    assert (await client.get('/in-abort')).status_code == 418
    assert (await client.get('/who')).text == 'susan'


async def test_users_that_are_gone():
    app = make_app()
    client = TestClient(app)
    await log_in(client, remember=True)
    del app.users[1]
    assert (await client.get('/')).status_code == 302
    assert (await client.get('/who')).text == 'nobody'
    del client.cookies['session']
    assert (await client.get('/')).status_code == 302  # not even who is remembered
    assert (await client.get('/fresh')).status_code == 302


async def test_a_loader_that_says_false():
    app = make_app()
    client = TestClient(app)
    await log_in(client, remember=True)

    @app.login.user_loader
    async def load(user_id):
        return False

    assert (await client.get('/')).status_code == 302
    del client.cookies['session']
    assert (await client.get('/')).status_code == 302


async def test_a_loader_that_fails_lets_nobody_in():
    app = make_app()
    client = TestClient(app)
    await log_in(client)

    @app.login.user_loader
    async def load(user_id):
        raise ZeroDivisionError

    with logged_errors() as errors:
        assert (await client.get('/')).status_code == 500
    assert isinstance(errors[0], ZeroDivisionError)


async def test_what_is_missing():
    app = Microdot()
    login = Login()

    @app.get('/')
    @login
    async def index(request):
        return 'secret'

    with logged_errors() as errors:
        assert (await TestClient(app).get('/')).status_code == 500  # no session
        Session(app, KEY)
        cookies = {'session': forge({'_user_id': 1, '_fresh': True})}
        for some in cookies, {}:
            assert (await TestClient(app, some).get('/')).status_code == 500  # no loader
    assert [type(error) for error in errors] == [RuntimeError] * 3


async def test_ids():
    users = {key: User(key, str(key)) for key in (0, -1, 1 << 70, '', 'x', 'susan@example.com', '\xfc\u20ac')}
    app = make_app(users)
    for user in users.values():
        client = TestClient(app)
        await log_in(client, user.name, True)
        assert app.sessions.decode(client.cookies['session'])['_user_id'] == user.id
        assert (await client.get('/who')).text == user.name
        del client.cookies['session']
        assert (await client.get('/who')).text == user.name  # remembered


# ---------------------------------------------------------------------------------------------------------------
# What is in the session
# ---------------------------------------------------------------------------------------------------------------

async def test_what_was_collected_before_a_login_stays():
    client = TestClient(make_app())
    await client.post('/session', body={'cart': [1]})
    await log_in(client)
    assert (await client.get('/session')).json == {'cart': [1], '_user_id': 1, '_fresh': True}
    await log_in(client)  # again
    assert (await client.get('/session')).json == {'cart': [1], '_user_id': 1, '_fresh': True}


async def test_what_another_user_has_left_goes():
    client = TestClient(make_app())
    await log_in(client)
    await client.post('/session', body={'cart': [1]})
    await log_in(client, 'david')
    assert (await client.get('/session')).json == {'_user_id': 2, '_fresh': True}


async def test_also_after_a_logout():
    client = TestClient(make_app())
    await log_in(client)
    await client.post('/session', body={'cart': [1]})
    await client.post('/logout')
    session = (await client.get('/session')).json
    assert session['cart'] == [1]
    assert '_user_id' not in session and '_fresh' not in session
    david = TestClient(make_app(), dict(client.cookies))
    await log_in(david, 'david')
    assert (await david.get('/session')).json == {'_user_id': 2, '_fresh': True}
    await log_in(client, 'susan')
    assert (await client.get('/session')).json == {'cart': [1], '_user_id': 1, '_fresh': True}


async def test_also_when_the_other_one_is_remembered():
    app = make_app()
    client = TestClient(app)
    await log_in(client, 'david', remember=True)
    remembered = client.cookies['_remember']
    cookies = {'_remember': remembered, 'session': forge({'cart': [1], '_last_user_id': 1})}
    client = TestClient(app, cookies)
    assert (await client.get('/who')).text == 'david'
    assert (await client.get('/session')).json == {'_user_id': 2, '_fresh': False}


async def test_a_user_is_the_same_by_value_and_type():
    app = make_app({1: User(1, 'susan'), 2: User(True, 'david'), 3: User(1.0, 'john'), 4: User('1', 'mary')})
    for name in 'david', 'john', 'mary':
        client = TestClient(app)
        await log_in(client)
        await client.post('/session', body={'cart': [1]})
        await client.post('/logout')
        await log_in(client, name)
        assert 'cart' not in (await client.get('/session')).json


async def test_after_two_logouts_it_is_still_nobody_elses():
    client = TestClient(make_app())
    await log_in(client)
    await client.post('/session', body={'cart': [1]})
    await client.post('/logout')
    await client.post('/logout')
    await log_in(client, 'david')
    assert (await client.get('/session')).json == {'_user_id': 2, '_fresh': True}


# ---------------------------------------------------------------------------------------------------------------
# Remembered
# ---------------------------------------------------------------------------------------------------------------

async def test_the_remember_cookie():
    for remember, days in (True, 30), (1, 1), (7, 7), (400, 400):
        app = make_app()
        with clock(NOW):
            value, attributes = cookie_of(await log_in(TestClient(app), remember=remember), '_remember')
        claims = '{"days":%d,"exp":%d,"since":%d,"user_id":1}' % (days, NOW + days * DAY, NOW)
        assert value == forge(claims, REMEMBER), remember
        assert attributes == ['HttpOnly', 'Max-Age=%d' % (days * DAY), 'Path=/', 'SameSite=Lax']
    for remember in False, 0:
        client = TestClient(make_app())
        value, attributes = cookie_of(await log_in(client, remember=remember), '_remember')
        assert value == ''
        assert attributes == ['Expires=Thu, 01 Jan 1970 00:00:01 GMT', 'HttpOnly', 'Max-Age=0', 'Path=/',
                              'SameSite=Lax']
        assert list(client.cookies) == ['session']


async def test_options_of_the_session_are_those_of_the_remember_cookie():
    app = make_app(cookie_options={'secure': True, 'same_site': 'Strict', 'max_age': 60, 'domain': 'example.com'})
    client = TestClient(app)
    response = await log_in(client, remember=2)
    expected = ['Domain=example.com', 'HttpOnly', 'Max-Age=%d' % (2 * DAY), 'Path=/', 'SameSite=Strict', 'Secure']
    assert cookie_of(response, '_remember')[1] == expected
    assert 'Max-Age=60' in cookie_of(response, 'session')[1]
    response = await client.post('/logout')
    assert cookie_of(response, '_remember')[1] == sorted(
        ['Max-Age=0', 'Expires=Thu, 01 Jan 1970 00:00:01 GMT'] + [name for name in expected if name[:4] != 'Max-'])


async def test_another_name_of_the_remember_cookie():
    app = make_app()
    app.login.cookie_name = '__Host-remember'
    client = TestClient(app)
    await log_in(client, remember=True)
    assert sorted(client.cookies) == ['__Host-remember', 'session']
    del client.cookies['session']
    assert (await client.get('/')).text == 'susan'
    assert (await TestClient(app, {'_remember': client.cookies['__Host-remember']}).get('/who')).text == 'nobody'
    await client.post('/logout')
    assert client.cookies == {}


async def test_a_remembered_user_is_not_fresh():
    app = make_app()
    client = TestClient(app)
    await log_in(client, remember=7)
    del client.cookies['session']  # the browser was closed
    response = await client.get('/fresh')
    assert (response.status_code, response.headers['Location']) == (302, '/login?next=/fresh')
    response = await client.get('/')
    assert response.text == 'susan'
    assert (await client.get('/session')).json == {'_user_id': 1, '_fresh': False}
    assert (await client.get('/fresh')).status_code == 302
    await log_in(client)
    assert (await client.get('/fresh')).text == 'susan'
    assert '_remember' not in client.cookies


async def test_only_true_is_fresh():
    app = make_app()
    for value, is_fresh in ('true', True), ('1', False), ('"true"', False), ('false', False), ('null', False), ('[1]',
                                                                                                                False):
        cookies = {'session': forge('{"_user_id":1,"_fresh":%s}' % value)}
        assert ((await TestClient(app, cookies).get('/fresh')).status_code == 200) == is_fresh, value
    assert (await TestClient(app, {'session': forge({'_user_id': 1})}).get('/fresh')).status_code == 302


async def test_renewal():
    app = make_app()
    with clock(NOW):
        client = TestClient(app)
        await log_in(client, remember=7)
        token = client.cookies['_remember']
    with clock(NOW + 5 * DAY):
        response = await TestClient(app, {'_remember': token}).get('/')
        assert response.text == 'susan'
        assert response.headers['Cache-Control'] == 'private'
        assert response.headers['Vary'] == 'Cookie'
        value, attributes = cookie_of(response, '_remember')  # for as many days again
        assert value == forge('{"days":7,"exp":%d,"since":%d,"user_id":1}' % (NOW + 12 * DAY, NOW), REMEMBER)
        assert 'Max-Age=%d' % (7 * DAY) in attributes
        # not with each request
        session = cookie_of(response, 'session')[0]
        response = await TestClient(app, {'_remember': value, 'session': session}).get('/')
        assert response.text == 'susan'
        assert 'Set-Cookie' not in response.headers
    for seconds, name in (7 * DAY - 1, 'susan'), (7 * DAY, 'nobody'), (400 * DAY, 'nobody'):
        with clock(NOW + seconds):
            response = await TestClient(app, {'_remember': token}).get('/who')
            assert response.text == name
            assert (cookie_of(response, '_remember') is None) == (name == 'nobody')


async def test_renewals_end():
    app = make_app()
    with clock(NOW):
        client = TestClient(app)
        await log_in(client, remember=30)
        token = client.cookies['_remember']
    for days in range(20, 365, 20):
        with clock(NOW + days * DAY):
            response = await TestClient(app, {'_remember': token}).get('/')
            assert response.text == 'susan'
            token = cookie_of(response, '_remember')[0]
    for seconds, name in (365 * DAY - 1, 'susan'), (365 * DAY, 'nobody'):
        with clock(NOW + seconds):
            assert (await TestClient(app, {'_remember': token}).get('/who')).text == name
    with changed(Login, max_days=7), clock(NOW + 8 * DAY):
        claims = {'user_id': 1, 'days': 30, 'exp': NOW + 30 * DAY, 'since': NOW}
        assert (await TestClient(app, {'_remember': forge(claims, REMEMBER)}).get('/who')).text == 'nobody'


async def test_days_that_are_no_number():
    app = make_app()
    for remember in '7', 1.5, None, [7]:
        with logged_errors() as errors:
            response = await log_in(TestClient(app), remember=remember)
        assert response.status_code == 500
        assert isinstance(errors[0], ValueError)
        assert 'Set-Cookie' not in response.headers


async def test_a_user_is_loaded_once():
    app = make_app()

    @app.get('/often')
    @app.login
    @app.login.fresh
    async def often(request):
        for _ in range(3):
            assert await app.login.get_current_user(request) is request.g.current_user
        return 'ok'

    client = TestClient(app)
    await log_in(client)
    assert app.loaded == []
    assert (await client.get('/often')).text == 'ok'
    assert app.loaded == [1]


async def test_in_and_out_within_a_request():
    app = make_app()

    @app.get('/swap/<order>')
    async def swap(request, order):
        names = []
        for step in order.split('-'):
            if step == 'out':
                await app.login.logout_user(request)
            elif step != 'who':
                await app.login.login_user(request, app.users[int(step)], remember=True)
            user = await app.login.get_current_user(request)
            names.append(user.name if user else 'nobody')
        return names

    for order, names in (('out', ['nobody']), ('1-out', ['susan', 'nobody']), ('out-2', ['nobody', 'david']),
                         ('who-out-who', ['susan', 'nobody', 'nobody']), ('2-out-1', ['david', 'nobody', 'susan'])):
        client = TestClient(app)
        await log_in(client, remember=True)
        assert (await client.get('/swap/' + order)).json == names, order
        assert (await client.get('/who')).text == names[-1]
        client.cookies.pop('session', None)
        assert (await client.get('/who')).text == names[-1]


async def test_remember_survives_a_session_that_ended():
    app = make_app(cookie_options={'max_age': 60})
    with clock(NOW):
        client = TestClient(app)
        await log_in(client, remember=1)
        cookies = dict(client.cookies)
    with clock(NOW + 59):
        assert (await TestClient(app, dict(cookies)).get('/fresh')).text == 'susan'
    with clock(NOW + 60):
        assert (await TestClient(app, dict(cookies)).get('/fresh')).status_code == 302
        assert (await TestClient(app, dict(cookies)).get('/')).text == 'susan'
        assert (await TestClient(app, {'session': cookies['session']}).get('/')).status_code == 302
    with clock(NOW + DAY):
        assert (await TestClient(app, dict(cookies)).get('/')).status_code == 302


async def test_logout_forgets():
    client = TestClient(make_app())
    await log_in(client, remember=True)
    response = await client.post('/logout')
    assert cookie_of(response, '_remember')[0] == ''
    assert '_remember' not in client.cookies
    assert (await client.get('/who')).text == 'nobody'


async def test_logout_of_who_is_only_remembered():
    client = TestClient(make_app())
    await log_in(client, remember=True)
    del client.cookies['session']
    await client.post('/logout')
    assert (await client.get('/who')).text == 'nobody'


async def test_tokens_do_not_stand_in_for_one_another():
    app = make_app()
    client = TestClient(app)
    await log_in(client, remember=True)
    session, remember = client.cookies['session'], client.cookies['_remember']
    assert (await TestClient(app, {'session': remember, '_remember': session}).get('/who')).text == 'nobody'
    assert (await TestClient(app, {'session': remember}).get('/')).status_code == 302
    assert (await TestClient(app, {'_remember': session}).get('/')).status_code == 302
    far = int(time.time()) + DAY
    claims = {'_user_id': 1, '_fresh': True, 'user_id': 1, 'days': 1, 'exp': far, 'since': far - DAY}
    assert (await TestClient(app, {'_remember': forge(claims)}).get('/who')).text == 'nobody'
    assert (await TestClient(app, {'session': forge(claims, REMEMBER)}).get('/who')).text == 'nobody'
    assert (await TestClient(app, {'_remember': forge(claims, REMEMBER)}).get('/who')).text == 'susan'
    assert (await TestClient(app, {'session': forge(claims)}).get('/who')).text == 'susan'


async def test_forged_remember_cookies():
    app = make_app()
    far = int(time.time()) + DAY
    claims = {'user_id': 1, 'days': 1, 'exp': far, 'since': far - DAY}
    for token in ('', 'x', 'a.b.c', '1', '{}', forge(claims, REMEMBER, b'Key'),
                  forge(claims, '{"alg":"none","typ":"remember+jwt"}'),
                  forge(claims, '{"alg":"HS256"}'), forge(claims, '{"alg":"HS512","typ":"remember+jwt"}'),
                  forge(claims, '{"alg":"HS256","typ":"remember"}'),
                  forge({'user_id': 1, 'days': 1, 'exp': 1}, REMEMBER),
                  forge({'days': 1, 'exp': far}, REMEMBER), forge([], REMEMBER), forge('1', REMEMBER),
                  forge({}, REMEMBER)):
        response = await TestClient(app, {'_remember': token}).get('/who')
        assert response.text == 'nobody', token
        assert 'Set-Cookie' not in response.headers
    assert app.loaded == []
    # whoever has the key may say anything, but nothing of it is an error
    for days in 'null', '-1', '0', '"7"', 'true', '[]', '{}', '0.5':
        token = forge('{"user_id":1,"days":%s,"exp":%d,"since":%d}' % (days, far, far - DAY), REMEMBER)
        response = await TestClient(app, {'_remember': token}).get('/who')
        assert (response.status_code, response.text) == (200, 'susan')
        assert cookie_of(response, '_remember') is None, days
    count = 200 if ON_MICROPYTHON else 2000
    app.loaded.clear()
    client = TestClient(app)
    alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/%"'
    for token in mutations(forge(claims, REMEMBER), count, 3, alphabet):
        client.cookies['_remember'] = token
        response = await client.get('/who')
        assert (response.status_code, response.text) == (200, 'nobody'), token
    assert app.loaded == []


async def test_rotation_of_keys():
    client = TestClient(make_app(secret_key=key('old')))
    await log_in(client, remember=True)
    app = make_app(secret_key=[key('new'), key('old')])
    assert (await TestClient(app, dict(client.cookies)).get('/')).text == 'susan'
    remembered = TestClient(app, {'_remember': client.cookies['_remember']})
    assert (await remembered.get('/')).text == 'susan'
    assert (await TestClient(make_app(secret_key=key('new')), dict(remembered.cookies)).get('/')).text == 'susan'
    assert (await TestClient(make_app(secret_key=key('new')), dict(client.cookies)).get('/who')).text == 'nobody'


# ---------------------------------------------------------------------------------------------------------------
# Where a login leads to
# ---------------------------------------------------------------------------------------------------------------

def quote(url):
    return ''.join(['%%%02X' % byte for byte in url.encode()])


async def location(app, target):
    response = await log_in(TestClient(app), path=target)
    assert response.status_code == 302
    for name in 'X-Evil', 'Refresh':
        assert name not in response.headers
    return response.headers['Location']


async def test_it_never_leads_to_another_site():
    app = make_app()
    for url in HOSTILE_URLS:
        assert await location(app, '/login?next=' + quote(url)) == '/home', url
        for char in url:  # as it is, where a request line can have that
            if not '!' <= char <= '~' or char in '#+&%':
                break
        else:
            assert await location(app, '/login?next=' + url) == '/home', url


async def test_it_leads_back():
    app = make_app()
    for url in LOCAL_URLS:
        assert await location(app, '/login?next=' + quote(url)) == url


async def test_next_in_unusual_places():
    app = make_app()
    for target, expected in (
            ('/login', '/home'), ('/login?', '/home'), ('/login?next', '/home'), ('/login?next=', '/home'),
            ('/login?NEXT=/a', '/home'), ('/login?a=b&next=/a', '/a'), ('/login?next=/a&next=//evil.example', '/a'),
            ('/login?next=//evil.example&next=/a', '/home'), ('/login?next[]=/a', '/home'),
            ('/login?next=%252F%252Fevil.example', '/home'),
            ('/login?next=/%252Fevil.example', '/%2Fevil.example'), ('/login?next=%2F%09%2Fevil.example', '/home'),
            ('/login?next=%2F%2Fevil.example', '/home'), ('/login?next=%5C%5Cevil.example', '/home'),
            ('/login?next=+//evil.example', '/home'), ('/login?n%65xt=//evil.example', '/home'),
            ('/login?next=%2F%0D%0AX-Evil:%201', '/home'), ('/login?next=%ff%2F', '/home'),
            ('/login?next=/%c0%af/evil.example', '/home'),
            ('/login?next=%E3%80%82', '/home'), ('/login?next=/' + 'a' * 1500, '/' + 'a' * 1500)):
        assert await location(app, target) == expected, target


async def test_the_url_is_encoded_once():
    app = make_app()

    @app.get('/<path:rest>')
    @app.login
    async def everything(request, rest):
        return 'secret'

    for target, encoded in (
            ('/', '/'), ('/def/1/x?a=b', '/def/1/x%3Fa%3Db'), ('/a?b=c&d=e', '/a%3Fb%3Dc%26d%3De'),
            ('/a%20b', '/a%2520b'),
            ('/%C3%BC?x=%26', '/%25C3%25BC%3Fx%3D%2526'), ('/a+b', '/a%2Bb'), ('/a?next=/b', '/a%3Fnext%3D/b'),
            ('/a//b', '/a//b'), ("/~a'(b)*!", '/~a%27%28b%29%2A%21')):
        client = TestClient(app)
        response = await client.get(target)
        assert (response.status_code, response.headers['Location']) == (302, '/login?next=' + encoded)
        response = await log_in(client, path=response.headers['Location'])
        assert response.headers['Location'] == target
    response = await TestClient(app).get('//evil.example/a')
    assert await location(app, response.headers['Location']) == '/home'


async def test_a_long_url_is_no_dead_end():
    app = make_app()
    for size in 500, 1000, 1900:
        client = TestClient(app)
        response = await client.get('/?' + '%41' * (size // 3))
        assert response.status_code == 302
        assert (await log_in(client, path=response.headers['Location'])).status_code == 302


async def test_another_login_url():
    for login_url, expected in (('/login?lang=de', '/login?lang=de&next=/'), ('/login?', '/login?&next=/'),
                                ('https://sso.example/', 'https://sso.example/?next=/')):
        response = await TestClient(make_app(login_url=login_url)).get('/')
        assert response.headers['Location'] == expected


# ---------------------------------------------------------------------------------------------------------------
# Applications in applications, WebSocket, Server-Sent Events
# ---------------------------------------------------------------------------------------------------------------

async def test_sub_applications():
    for local in False, True:
        app = make_app()
        subapp = Microdot()

        @subapp.get('/page')
        @app.login
        async def page(request, login=app.login):
            assert (await login.get_current_user(request)) is request.g.current_user
            return request.g.current_user.name

        app.mount(subapp, '/sub', local)
        client = TestClient(app)
        response = await client.get('/sub/page?x=1')
        assert (response.status_code, response.headers['Location']) == (302, '/login?next=/sub/page%3Fx%3D1')
        await log_in(client)
        assert (await client.get('/sub/page')).text == 'susan'


async def test_streams_are_not_opened_for_strangers():
    app = make_app()
    calls = []
    received = []

    def client():
        received.append((yield None))

    def add_routes(path, guard, decorator):
        @app.get(path + '/above/<arg>')
        @guard
        @decorator
        async def above(request, stream, arg):
            calls.append('above')
            await stream.send(request.g.current_user.name + arg)

        @app.get(path + '/below/<arg>')
        @decorator
        @guard
        async def below(request, stream, arg):
            calls.append('below')
            await stream.send(request.g.current_user.name + arg)

    add_routes('/ws', app.login, with_websocket)
    add_routes('/ws-fresh', app.login.fresh, with_websocket(ping_interval=None))
    add_routes('/sse', app.login, with_sse)
    add_routes('/sse-fresh', app.login.fresh, with_sse(keep_alive=None))
    susan = {'session': forge({'_user_id': 1, '_fresh': True})}
    for path in '/ws', '/ws-fresh', '/sse', '/sse-fresh':
        for place in '/above/x', '/below/x':
            for cookies in {}, {'session': 'x'}, {'session': forge({'_user_id': 3})}, susan:
                browser = TestClient(app, dict(cookies))
                if path[:3] == '/ws':
                    response = await browser.websocket(path + place, client)
                else:
                    response = await browser.get(path + place)
                if cookies is not susan:
                    assert (response.status_code, response.headers['Location']) == (302, '/login?next=' + path + place)
                    assert received == calls == []
                    continue
                if path[:3] == '/ws':
                    assert response.status_code == 101
                    assert received.pop() == 'susanx'
                else:
                    assert [event['data'] for event in response.events] == [b'susanx']
                assert calls.pop() == place.split('/')[1]


async def test_users_do_not_mix():
    app = make_app()

    @app.get('/slow')
    @app.login
    async def slow(request):
        user = request.g.current_user
        await asyncio.sleep(0.01)
        assert request.g.current_user is user
        return user.name

    clients = [TestClient(app) for _ in range(4)]
    for i, client in enumerate(clients):
        await log_in(client, ('susan', 'david')[i % 2])
    responses = await asyncio.gather(*[client.get('/slow') for client in clients])
    assert [response.text for response in responses] == ['susan', 'david'] * 2
