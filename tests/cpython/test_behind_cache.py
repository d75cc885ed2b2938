"""A cache in front, nginx with proxy_cache, that keeps every answer that it may: no user gets what is another's.

nginx does not know that answers to requests with Authorization are private (RFC 9111 section 3.5), so it is Vary that
keeps them apart.

"""
import asyncio
import base64
import http.client
import os
import threading

import pytest
from browser import poll
from server_process import free_port
from test_behind_proxy import Process, accepts, find_program

from microdot import Microdot, abort, redirect
from microdot.auth import BasicAuth, TokenAuth
from microdot.cors import CORS
from microdot.csrf import CSRF
from microdot.login import Login
from microdot.microdot import Server
from microdot.session import Session, with_session

SECRET = 'a secret of the tests, long enough'
CONFIG = '''
daemon off;
%(user)s
pid %(folder)s/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    proxy_cache_path cache keys_zone=all:1m;
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://127.0.0.1:%(app_port)d;
            proxy_set_header Host $http_host;
            proxy_cache all;
            proxy_cache_key $request_uri;
            proxy_cache_valid 200 301 302 307 401 403 404 405 418 500 1h;
            add_header X-Cache $upstream_cache_status always;
        }
    }
}
'''


class User:
    def __init__(self, id):
        self.id = id


class Greenhouse:
    """The application in a thread, and the cache in front of it. ``calls`` counts the calls of the handlers."""

    def __init__(self, folder):
        self.calls = 0
        self.app = self.make_app()
        self.app_port, self.port = free_port(), free_port()
        self.thread = threading.Thread(target=asyncio.run, args=[self.app.start_server('127.0.0.1', self.app_port)])
        self.thread.start()
        poll(lambda: accepts(('127.0.0.1', self.app_port)))
        # as root, nginx would hand its work to a user who may not enter the folder
        user = 'user root;' if os.getuid() == 0 else ''
        (folder / 'nginx.conf').write_text(CONFIG % {'user': user, 'folder': folder, 'port': self.port,
                                                     'app_port': self.app_port})
        self.proxy = Process([find_program('nginx'), '-p', str(folder), '-c', 'nginx.conf', '-e', 'stderr'],
                             folder / 'proxy.log', lambda: accepts(('127.0.0.1', self.port)))

    def close(self):
        self.proxy.stop()
        self.app.shutdown()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def make_app(self):
        app = Microdot()
        Session(app, SECRET)
        add_public_routes(app)
        add_session_routes(app)
        add_login_routes(app)
        add_auth_routes(app, '/basic', BasicAuth())
        add_auth_routes(app, '/token', TokenAuth())
        add_auth_routes(app, '/header', TokenAuth(header='X-Token'))

        @app.before_request
        async def count(request):
            self.calls += 1

        return app

    def ask(self, path, headers=None, method='GET'):
        """Return the response; ``is_cached`` tells whether it comes from the cache."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            response.text = response.read().decode()
        finally:
            connection.close()
        response.is_cached = response.headers['X-Cache'] == 'HIT'
        return response


class Browser:
    """Keeps cookies."""

    def __init__(self, site):
        self.site = site
        self.cookies = {}

    def ask(self, path, headers=None, method='GET'):
        headers = dict(headers or {})
        if self.cookies:
            headers['Cookie'] = '; '.join('%s=%s' % pair for pair in self.cookies.items())
        response = self.site.ask(path, headers, method)
        for cookie in response.headers.get_all('Set-Cookie', []):
            name, _, value = cookie.partition(';')[0].partition('=')
            self.cookies[name] = value
            if not value:
                del self.cookies[name]
        return response

    def log_in(self, name, **args):
        response = self.ask('/login/%s?%s' % (name, '&'.join('%s=%s' % pair for pair in args.items())), method='POST')
        assert response.status == 302 and 'session' in self.cookies


def add_public_routes(app):
    @app.get('/public')
    async def public(request):
        return 'for everybody'

    @app.get('/public/redirect')
    async def public_redirect(request):
        return redirect('/public')

    @app.get('/public/<name>')
    async def public_missing(request, name):
        abort(404)


def answer(request, name, user):
    """Return an answer of one of several kinds, all of which say who the user is."""
    if name == 'page':
        return 'page of %s' % user
    if name == 'redirect':
        return redirect('/home-of-%s' % user)
    if name == 'missing':
        return 'nothing for %s' % user, 404
    if name == 'aborts':
        abort(404, 'nothing for %s' % user)
    if name == 'fails':
        raise LookupError(user)
    if name == 'streams':
        return (piece for piece in ('page of ', user))
    return 'teapot of %s' % user, 418


KINDS = ('page', 'redirect', 'missing', 'aborts', 'fails', 'streams', 'teapot')


def add_session_routes(app):
    @app.errorhandler(LookupError)
    async def failed(request, exc):
        return 'failed for %s' % exc, 500

    @app.get('/session/<name>')
    @with_session
    async def of_session(request, session, name):
        return answer(request, name, session.get('_user_id', 'nobody'))

    @app.get('/counter')
    @with_session
    async def counter(request, session):
        session['count'] = session.get('count', 0) + 1
        session.save()
        return str(session['count'])


def add_login_routes(app):
    login = Login()

    @login.user_loader
    async def load(user_id):
        return User(user_id)

    @app.post('/login/<name>')
    async def log_in(request, name):
        return await login.login_user(request, User(name), int(request.args.get('days', 0)))

    @app.get('/login')
    async def show_login(request):
        return 'log in'

    @app.get('/login-by-link/<name>')  # as links in mails do
    async def log_in_by_link(request, name):
        return await login.login_user(request, User(name), 30)

    @app.get('/logout')
    async def log_out(request):
        await login.logout_user(request)
        return redirect('/public')

    @app.get('/logout-that-fails')
    async def log_out_and_fail(request):
        await login.logout_user(request)
        abort(404)

    @app.get('/user/<name>')
    @login
    async def of_user(request, name):
        return answer(request, name, request.g.current_user.id)

    @app.get('/fresh/<name>')
    @login.fresh
    async def of_fresh_user(request, name):
        return answer(request, name, request.g.current_user.id)


def add_auth_routes(app, prefix, auth):
    @auth.authenticate
    async def check(request, *credentials):
        return {'ada:a': 'ada', 'bob:b': 'bob', 'ada-token': 'ada', 'bob-token': 'bob'}.get(':'.join(credentials))

    @app.get(prefix + '/<name>')
    @auth
    async def required(request, name):
        return answer(request, name, request.g.current_user)

    @app.get(prefix + '-optional/<name>')
    @auth.optional
    async def optional(request, name):
        return answer(request, name, request.g.current_user or 'nobody')


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(Server, 'sweep_period', 0.05)  # so that it stops soon
    site = Greenhouse(tmp_path)
    yield site
    site.close()


def text_of(response):
    return '%s %s' % (response.text, response.headers.get('Location', ''))


def check_users(answers):
    """Fail if a user has got what names another one."""
    for user, response in answers:
        for other in {'ada', 'bob', 'nobody'} - {user}:
            assert other not in text_of(response), (user, text_of(response))


# What may be cached

def test_public_pages_are_cached(site):
    for path, status in ('/public', 200), ('/public/redirect', 302), ('/public/a', 404), ('/nowhere', 404):
        assert site.ask(path).status == status
        before = site.calls
        response = site.ask(path)
        assert (response.status, response.is_cached) == (status, True)
        response = site.ask(path, {'Cookie': 'session=a.b.c', 'Authorization': 'Basic YTpi'})  # which nobody reads
        assert response.is_cached and site.calls == before


def test_a_session_is_cached_for_its_user_at_most(site):
    ada = Browser(site)
    ada.log_in('ada')
    assert ada.ask('/session/page').text == 'page of ada'
    assert ada.ask('/session/page').is_cached  # for the same cookie
    assert not Browser(site).ask('/session/page').is_cached


# Sessions and logins

@pytest.mark.parametrize('name', KINDS)
def test_sessions(site, name):
    ada, bob, nobody = Browser(site), Browser(site), Browser(site)
    ada.log_in('ada')
    bob.log_in('bob')
    path = '/session/' + name
    answers = []
    for _ in range(2):
        for user, browser in ('nobody', nobody), ('ada', ada), ('bob', bob), ('ada', ada), ('nobody', nobody):
            response = browser.ask(path)
            assert user in text_of(response)
            assert response.headers['Vary'] == 'Cookie'
            answers.append((user, response))
    check_users(answers)


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('kind', ['user', 'fresh'])
def test_logins(site, kind, name):
    """Nor is who is logged in sent to the login page, because another one was; nor the other way round."""
    path = '/%s/%s' % (kind, name)
    ada, bob, nobody = Browser(site), Browser(site), Browser(site)
    ada.log_in('ada')
    bob.log_in('bob', days=7)
    answers = []
    for _ in range(2):
        for user, browser in ('nobody', nobody), ('ada', ada), ('bob', bob), ('ada', ada), ('nobody', nobody):
            response = browser.ask(path)
            if user == 'nobody':
                assert response.headers['Location'] == '/login?next=' + path
            else:
                assert user in text_of(response)
            answers.append((user, response))
    check_users(answers)
    ada.ask('/logout')
    assert ada.ask(path).headers['Location'] == '/login?next=' + path


def test_cookies_are_not_handed_out(site):
    for path in '/counter', '/login-by-link/ada', '/logout', '/logout-that-fails':
        found = []
        for _ in range(3):
            response = site.ask(path)
            assert not response.is_cached and response.headers.get_all('Set-Cookie')
            assert response.headers['Cache-Control'] == 'private'
            found.append(response.headers['Set-Cookie'])
        assert len(found) == 3
    first, second = Browser(site), Browser(site)
    assert [first.ask('/counter').text, first.ask('/counter').text, second.ask('/counter').text] == ['1', '2', '1']


def test_who_is_remembered_gets_cookies_of_their_own(site):
    """The request that turns a remember cookie into a session is no one else's."""
    ada = Browser(site)
    ada.log_in('ada', days=7)
    del ada.cookies['session']
    remembered = dict(ada.cookies)
    assert ada.ask('/user/page').text == 'page of ada'
    assert 'session' in ada.cookies
    again = Browser(site)
    again.cookies = remembered
    response = again.ask('/user/page')
    assert response.text == 'page of ada' and not response.is_cached
    assert Browser(site).ask('/user/page').status == 302


def test_a_session_that_the_application_lets_be_cached(site):
    """What the application says about the cache stands, but it still varies."""
    @site.app.get('/shared')
    @with_session
    async def shared(request, session):
        return session.get('_user_id', 'nobody'), 200, {'Cache-Control': 'public, max-age=1000', 'Vary': 'Accept'}

    ada = Browser(site)
    ada.log_in('ada')
    assert [ada.ask('/shared').text, site.ask('/shared').text, ada.ask('/shared').text] == ['ada', 'nobody', 'ada']
    assert site.ask('/shared').headers['Vary'] == 'Accept, Cookie'


# Authentication

def basic(text):
    return {'Authorization': 'Basic ' + base64.b64encode(text.encode()).decode()}


USERS = {
    'basic': {'ada': basic('ada:a'), 'bob': basic('bob:b'), 'nobody': {}, 'wrong': basic('ada:b')},
    'token': {'ada': {'Authorization': 'Bearer ada-token'}, 'bob': {'Authorization': 'Bearer bob-token'}, 'nobody': {},
              'wrong': {'Authorization': 'Bearer x'}},
    'header': {'ada': {'X-Token': 'ada-token'}, 'bob': {'X-Token': 'bob-token'}, 'nobody': {},
               'wrong': {'X-Token': 'x'}},
}


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('kind', USERS)
@pytest.mark.parametrize('order', [('ada', 'bob', 'nobody', 'wrong'), ('nobody', 'wrong', 'bob', 'ada')])
def test_authentication(site, kind, name, order):
    for _ in range(2):
        for user in order:
            response = site.ask('/%s/%s' % (kind, name), USERS[kind][user])
            if user in ('ada', 'bob'):
                assert user in text_of(response), (user, text_of(response))
                check_users([(user, response)])
            else:
                assert response.status == 401 and 'WWW-Authenticate' in response.headers
            response = site.ask('/%s-optional/%s' % (kind, name), USERS[kind][user])
            assert {'wrong': 'nobody'}.get(user, user) in text_of(response), (user, text_of(response))


# CORS and CSRF

def test_cors(site):
    CORS(site.app, ['http://a.example', 'http://b.example'])
    site.app.get('/shared')(lambda request: 'hello')
    for _ in range(2):
        for origin in 'http://a.example', None, 'http://b.example', 'http://evil.example', 'http://a.example':
            for path in '/shared', '/nowhere':
                response = site.ask(path, {'Origin': origin} if origin else {})
                allowed = origin if origin and 'evil' not in origin else None
                assert response.headers['Access-Control-Allow-Origin'] == allowed
                assert response.headers['Vary'] == 'Origin'
    assert site.ask('/shared', {'Origin': 'http://a.example'}).is_cached


def test_csrf(site):
    """No answer to a request that changes something is kept, whatever a cache is told to do."""
    CSRF(site.app)
    for _ in range(2):
        for headers, status in ({'Origin': 'http://evil.example'}, 403), ({'Sec-Fetch-Site': 'same-origin'}, 302), \
                ({'Sec-Fetch-Site': 'cross-site'}, 403), ({}, 302):
            response = site.ask('/login/ada', headers, 'POST')
            assert response.status == status and not response.is_cached


def test_many_at_a_time(site):
    """Users who ask for the same at the same time get each their own."""
    users = []
    for number in range(4):
        browser = Browser(site)
        browser.log_in('user-%d' % number)
        users.append(('user-%d' % number, browser))
    wrong = []

    def ask(name, browser):
        for _ in range(20):
            text = browser.ask('/session/page').text
            if text != 'page of ' + name:
                wrong.append((name, text))

    threads = [threading.Thread(target=ask, args=user) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not wrong
