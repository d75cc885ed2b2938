"""What Chromium makes of CORS, CSRF and cookies: two origins on the loopback interface, seen from their pages.

Browsers trust 127.0.0.1, localhost and its subdomains as if they were encrypted, so they send Sec-Fetch-Site there. The
names below .test lead to the same interface, but are as untrusted as a board in a local network.

"""
import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import poll, start_chromium
from selenium.webdriver.common.by import By
from server_process import INTERPRETERS, free_port

from microdot import Microdot, Response, redirect
from microdot.auth import BasicAuth
from microdot.cors import CORS
from microdot.csrf import CSRF
from microdot.login import Login
from microdot.microdot import Server
from microdot.session import Session, with_session
from microdot.websocket import with_websocket

SECRET = 'a secret of the tests, long enough'
PAGE = '<!DOCTYPE html><title>page</title><link rel="icon" href="data:,"><p id="page">A page</p>'


def html(text, status=200, **headers):
    headers = {name.replace('_', '-'): value for name, value in headers.items()}
    return Response(PAGE + text, status, {'Content-Type': 'text/html; charset=UTF-8', **headers})


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


class Site:
    """An application in a thread. ``seen`` has method, path and headers of the requests that its handlers got."""

    def __init__(self, app):
        self.app = app
        self.port = free_port()
        self.seen = []
        self.thread = threading.Thread(target=asyncio.run, args=[app.start_server('127.0.0.1', self.port)])

    def url(self, host='127.0.0.1', path='/'):
        return 'http://%s:%d%s' % (host, self.port, path)

    def origin(self, host='127.0.0.1'):
        return self.url(host, '')

    def start(self):
        @self.app.get('/')
        async def index(request):
            return html('')

        self.thread.start()
        poll(lambda: is_listening(self.port))

    def stop(self):
        self.app.shutdown()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def note(self, request):
        self.seen.append((request.method, request.path, request.headers))

    def last(self):
        method, _, headers = self.seen[-1]
        return method, headers.get('Sec-Fetch-Site'), headers.get('Origin')


@pytest.fixture
def start(monkeypatch):
    """A function that starts sites, which are stopped at the end of the test."""
    monkeypatch.setattr(Server, 'sweep_period', 0.05)  # so that they stop soon
    sites = []

    def start(site):
        sites.append(site)
        site.start()
        return site

    yield start
    for site in sites:
        site.stop()


RULES = '--host-resolver-rules=MAP *.test 127.0.0.1'


@pytest.fixture(scope='module')
def driver(tmp_path_factory):
    driver = start_chromium(tmp_path_factory.mktemp('profile'), RULES)
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture(autouse=True)
def forget(driver):
    """Forget all cookies, and what preflight requests have allowed."""
    driver.get('about:blank')
    driver.execute_cdp_cmd('Network.clearBrowserCookies', {})
    driver.execute_cdp_cmd('Network.clearBrowserCache', {})


FETCH = '''
const [url, options, done] = arguments;
fetch(url, options).then(async response => done({
    status: response.status, type: response.type, text: await response.text(),
    headers: Object.fromEntries(response.headers)
})).catch(error => done({error: error.name}))'''
REFUSED = {'error': 'TypeError'}  # which is all that a page is told


def fetch(driver, url, **options):
    """Return what ``fetch()`` gives to the page that is open."""
    return driver.execute_async_script(FETCH, url, options)


# CORS

def make_api(*args, **options):
    app = Microdot()
    CORS(app, *args, **options)
    site = Site(app)

    @app.route('/beds', methods=['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'])
    async def beds(request):
        site.note(request)
        return {'cookie': request.cookies.get('name')}, 200, {'X-Count': '12', 'X-Other': '1'}

    @app.get('/cookie')
    async def cookie(request):
        response = html('')
        response.set_cookie('name', 'value', path='/')
        return response

    @app.route('/own', methods=['PUT', 'OPTIONS'])
    async def own(request):
        site.note(request)
        return '', 204

    @app.get('/fails')
    async def fails(request):
        raise ZeroDivisionError('as the test wants')

    auth = BasicAuth(scheme='XBasic')  # Chromium asks nobody then

    @auth.authenticate
    async def check(request, username, password):
        return username if password == 'right' else None

    @app.get('/secret')
    @auth
    async def secret(request):
        return request.g.current_user

    @app.before_request
    async def count(request):
        site.counts[request.method] = site.counts.get(request.method, 0) + 1

    site.counts = {}
    answer_options = app.options_handler

    def options_handler(request):
        site.counts['OPTIONS'] = site.counts.get('OPTIONS', 0) + 1
        return answer_options(request)

    app.options_handler = options_handler
    return site


@pytest.fixture
def shop(start):
    """A site with pages only."""
    app = Microdot()
    app.get('/other')(lambda request: html('other'))
    return start(Site(app))


def test_cors_allowed(driver, start, shop):
    api = start(make_api([shop.origin()], expose_headers=['X-Count']))
    driver.get(shop.url())
    found = fetch(driver, api.url(path='/beds'))
    assert (found['status'], found['type'], found['text']) == (200, 'cors', '{"cookie": null}')
    assert found['headers']['x-count'] == '12' and 'x-other' not in found['headers']
    assert api.last() == ('GET', 'same-site', shop.origin())
    assert api.counts == {'GET': 1}  # without a preflight request


def test_cors_refused(driver, start, shop):
    api = start(make_api([shop.origin()]))
    for host in 'localhost', 'shop.test':
        driver.get(shop.url(host))
        assert fetch(driver, api.url(path='/beds')) == REFUSED
        assert api.last() == ('GET', 'cross-site', shop.origin(host))  # CORS keeps the answer, not the request
        assert fetch(driver, api.url(path='/beds'), mode='no-cors')['type'] == 'opaque'
    driver.get(api.url())
    assert fetch(driver, api.url(path='/beds'))['status'] == 200  # its own pages need no permission


def test_cors_all_origins(driver, start, shop):
    api = start(make_api('*'))
    for host in '127.0.0.1', 'localhost', 'shop.test':
        driver.get(shop.url(host))
        found = fetch(driver, api.url(path='/beds'), method='PUT', headers={'X-Any': 'thing'})
        assert (found['status'], found['type']) == (200, 'cors')


def test_cors_answers_are_not_mixed_up(driver, start, shop):
    """What the browser has in its cache for one origin is not for another: Vary."""
    api = start(make_api([shop.origin('a.shop.localhost'), shop.origin('b.shop.localhost')]))

    @api.app.get('/cached')
    async def cached(request):
        return 'hello', 200, {'Cache-Control': 'max-age=1000'}

    for host in 'a.shop.localhost', 'b.shop.localhost', 'a.shop.localhost':
        driver.get(shop.url(host))
        assert fetch(driver, api.url('api.shop.localhost', '/cached'))['text'] == 'hello'


def test_preflight(driver, start, shop):
    api = start(make_api([shop.origin()], allowed_methods=['PUT', 'QUERY'], allowed_headers=['X-Bed']))
    driver.get(shop.url())
    url = api.url(path='/beds')
    for method in 'PUT', 'QUERY':
        assert fetch(driver, url, method=method, headers={'x-bed': '1'})['status'] == 200
        assert api.last()[0] == method
    assert api.counts['OPTIONS'] == 2
    seen = len(api.seen)
    assert fetch(driver, url, method='DELETE') == REFUSED
    assert fetch(driver, url, method='PUT', headers={'X-Bed': '1', 'X-Evil': '1'}) == REFUSED
    assert fetch(driver, url, method='POST', headers={'Content-Type': 'application/json'}, body='{}') == REFUSED
    assert fetch(driver, url, method='patch') == REFUSED  # which is no PATCH
    driver.get(shop.url('localhost'))
    assert fetch(driver, url, method='PUT') == REFUSED
    assert len(api.seen) == seen  # no handler was called
    assert api.counts['OPTIONS'] == 7


def test_preflight_with_an_own_route(driver, start, shop):
    api = start(make_api([shop.origin()]))
    driver.get(shop.url())
    assert fetch(driver, api.url(path='/own'), method='PUT')['status'] == 204
    assert [method for method, _, _ in api.seen] == ['OPTIONS', 'PUT']


@pytest.mark.parametrize('max_age, preflights', [(600, 1), (0, 3)])
def test_preflight_is_remembered(driver, start, shop, max_age, preflights):
    api = start(make_api([shop.origin()], max_age=max_age))
    driver.get(shop.url())
    for _ in range(3):
        assert fetch(driver, api.url(path='/beds'), method='PUT')['status'] == 200
    assert api.counts == {'OPTIONS': preflights, 'PUT': 3}


def test_cors_errors_can_be_read(driver, start, shop):
    api = start(make_api([shop.origin()], allowed_headers=['Authorization']))
    driver.get(shop.url())
    for path, status in ('/missing', 404), ('/own', 405), ('/fails', 500), ('/secret', 401):
        assert fetch(driver, api.url(path=path))['status'] == status
    found = fetch(driver, api.url(path='/secret'), headers={'Authorization': 'XBasic YTpyaWdodA=='})
    assert (found['status'], found['text']) == (200, 'a')


def test_credentials(driver, start, shop):
    api = start(make_api([shop.origin()], allow_credentials=True))
    driver.get(api.url(path='/cookie'))
    driver.get(shop.url())
    url = api.url(path='/beds')
    assert fetch(driver, url, credentials='include')['text'] == '{"cookie": "value"}'
    assert fetch(driver, url, credentials='include', method='PUT')['text'] == '{"cookie": "value"}'
    assert fetch(driver, url, credentials='omit')['text'] == '{"cookie": null}'
    assert fetch(driver, url)['text'] == '{"cookie": null}'
    driver.get(shop.url('localhost'))
    assert fetch(driver, url, credentials='include') == REFUSED


@pytest.mark.parametrize('is_all', [False, True])
def test_credentials_that_are_not_allowed(driver, start, shop, is_all):
    api = start(make_api('*' if is_all else [shop.origin()]))
    driver.get(api.url(path='/cookie'))
    driver.get(shop.url())
    assert fetch(driver, api.url(path='/beds'), credentials='include') == REFUSED
    assert fetch(driver, api.url(path='/beds'), credentials='include', method='PUT') == REFUSED
    assert fetch(driver, api.url(path='/beds'))['status'] == 200


def test_credentials_for_all_origins(driver, start, shop):
    """The combination that would give everybody everything is refused by the browser."""
    api = start(make_api('*', allow_credentials=True))
    driver.get(api.url(path='/cookie'))
    driver.get(shop.url())
    assert fetch(driver, api.url(path='/beds'), credentials='include') == REFUSED
    assert fetch(driver, api.url(path='/beds'), credentials='include', method='DELETE') == REFUSED
    assert 'DELETE' not in api.counts
    assert fetch(driver, api.url(path='/beds'))['status'] == 200


SANDBOX = '''
const [url, options, done] = arguments;
const frame = document.createElement('iframe');
frame.sandbox = 'allow-scripts allow-forms';
onmessage = event => done(event.data);
frame.srcdoc = `<script>
    fetch(${JSON.stringify(url)}, ${JSON.stringify(options)})
        .then(response => parent.postMessage({status: response.status, type: response.type}, '*'))
        .catch(error => parent.postMessage({error: error.name}, '*'))
</scr` + 'ipt>';
document.body.append(frame)'''


def fetch_in_sandbox(driver, url, **options):
    """Return what ``fetch()`` gives in a frame whose origin is null."""
    return driver.execute_async_script(SANDBOX, url, options)


def test_cors_origin_null(driver, start, shop):
    api = start(make_api([shop.origin()]))
    driver.get(shop.url())
    assert fetch_in_sandbox(driver, api.url(path='/beds')) == REFUSED
    assert api.last() == ('GET', 'cross-site', 'null')
    assert fetch_in_sandbox(driver, api.url(path='/beds'), method='PUT') == REFUSED
    api = start(make_api(['null']))
    assert fetch_in_sandbox(driver, api.url(path='/beds'), method='PUT')['status'] == 200


# CSRF

def make_bank(**options):
    """A site whose user could be made to do what the user does not want."""
    app = Microdot()
    CSRF(app, **options)
    site = Site(app)

    @app.get('/form')
    async def form(request):
        policy = request.args.get('policy', 'strict-origin-when-cross-origin')
        return html('<form id="form" method="post" action="/transfer"><input name="to" value="friend"></form>',
                    Referrer_Policy=policy)

    @app.route('/transfer', methods=['GET', 'POST', 'PUT'])
    async def transfer(request):
        site.note(request)
        return html('<p id="done">Transferred</p>')

    @app.errorhandler(403)
    async def forbidden(request):
        site.note(request)
        return html('<p id="refused">Refused</p>', 403)

    return site


def submit(driver, action=None):
    """Send a form of the page, by default its own one, and return the id of what is on the page that answers."""
    driver.execute_script('''
        const form = document.getElementById('form') || document.createElement('form');
        if (arguments[0]) {
            form.method = 'post';
            form.action = arguments[0];
            document.body.append(form);
        }
        form.submit()''', action)
    return poll(lambda: [element.get_attribute('id') for element in
                         driver.find_elements(By.CSS_SELECTOR, '#done, #refused')])[0]


@pytest.mark.parametrize('host, site_header', [
    ('127.0.0.1', 'same-origin'), ('localhost', 'same-origin'), ('a.shop.localhost', 'same-origin'),
    ('shop.test', None), ('board.shop.test', None)])
def test_csrf_same_origin(driver, start, host, site_header):
    bank = start(make_bank())
    driver.get(bank.url(host, '/form'))
    assert submit(driver) == 'done'
    assert bank.last() == ('POST', site_header, bank.origin(host))
    for method in 'POST', 'PUT':
        assert fetch(driver, '/transfer', method=method)['status'] == 200
        assert bank.last() == (method, site_header, bank.origin(host))


@pytest.mark.parametrize('host, other, site_header', [
    ('127.0.0.1', 'localhost', 'cross-site'), ('localhost', '127.0.0.1', 'cross-site'),
    ('shop.localhost', 'evil.localhost', 'cross-site'), ('127.0.0.1', 'evil.test', 'cross-site'),
    ('127.0.0.1', '127.0.0.1', 'same-site'), ('a.shop.localhost', 'shop.localhost', 'same-site'),
    ('shop.test', 'evil.test', None), ('shop.test', '127.0.0.1', None), ('shop.test', 'shop.test', None),
    ('a.shop.test', 'shop.test', None)])
def test_csrf_other_origin(driver, start, shop, host, other, site_header):
    """A page of another origin, be it another port of the same host only."""
    bank = start(make_bank())
    url = bank.url(host, '/transfer')
    driver.get(shop.url(other))
    assert submit(driver, url) == 'refused'
    assert bank.last() == ('POST', site_header, shop.origin(other))
    driver.get(shop.url(other))
    assert fetch(driver, url, method='POST', mode='no-cors', credentials='include', body='to=evil')['type'] == 'opaque'
    assert bank.last() == ('POST', site_header, shop.origin(other))
    assert fetch(driver, url, method='PUT') == REFUSED  # at the preflight request
    driver.execute_script('navigator.sendBeacon(arguments[0], "to=evil")', url)
    poll(lambda: len(bank.seen) == 3)
    assert bank.last() == ('POST', site_header, shop.origin(other))
    driver.get(url)  # a GET is not refused; it must not change anything
    assert bank.last()[0] == 'GET' and driver.find_elements(By.ID, 'done')


@pytest.mark.parametrize('host, other, site_header, is_allowed', [
    ('shop.localhost', 'a.shop.localhost', 'same-site', True),
    ('shop.localhost', 'a.b.shop.localhost', 'same-site', True),
    ('a.shop.localhost', 'shop.localhost', 'same-site', True),
    ('shop.localhost', 'evil.localhost', 'cross-site', False),
    ('shop.test', 'a.shop.test', None, True), ('shop.test', 'a.b.shop.test', None, True),
    ('shop.test', 'evilshop.test', None, False), ('shop.test', 'shop.test.evil.test', None, False),
    ('a.shop.test', 'shop.test', None, False), ('a.shop.test', 'b.shop.test', None, False)])
def test_csrf_subdomains(driver, start, shop, host, other, site_header, is_allowed):
    """Where browsers do not say what a site is, only what is below the host is one with it."""
    bank = start(make_bank(allow_subdomains=True))
    driver.get(shop.url(other))
    assert submit(driver, bank.url(host, '/transfer')) == ('done' if is_allowed else 'refused')
    assert bank.last() == ('POST', site_header, shop.origin(other))


@pytest.mark.parametrize('host', ['127.0.0.1', 'shop.test'])
@pytest.mark.parametrize('options', [{}, {'allow_subdomains': True}, {'cors': CORS(allowed_origins='*')}])
def test_csrf_origin_null(driver, start, shop, host, options):
    bank = start(make_bank(**options))
    site_header = 'cross-site' if host == '127.0.0.1' else None
    driver.get(bank.url(host))  # even in the site's own page
    assert fetch_in_sandbox(driver, bank.url(host, '/transfer'), method='POST', mode='no-cors')['type'] == 'opaque'
    assert bank.last() == ('POST', site_header, 'null')
    driver.execute_script('''
        const frame = document.createElement('iframe');
        frame.sandbox = 'allow-scripts allow-forms';
        frame.srcdoc = `<form method="post" action="${arguments[0]}"></form>
            <script>document.forms[0].submit()</scr` + 'ipt>';
        document.body.append(frame)''', bank.url(host, '/transfer'))
    poll(lambda: len(bank.seen) == 2)
    assert bank.last() == ('POST', site_header, 'null')
    driver.switch_to.frame(driver.find_elements(By.TAG_NAME, 'iframe')[1])
    poll(lambda: driver.find_elements(By.ID, 'refused'))
    driver.switch_to.default_content()
    driver.get('data:text/html,<title>data</title>')
    assert submit(driver, bank.url(host, '/transfer')) == 'refused'
    assert bank.last() == ('POST', site_header, 'null')


def test_csrf_by_way_of_a_redirect(driver, start):
    """A form that another site sends on (307) does not become the site's own one."""
    bank = start(make_bank())
    evil = Microdot()
    target = []
    evil.post('/on')(lambda request: redirect(target[0], 307))
    other = start(Site(evil))
    for host, site_header in ('127.0.0.1', 'cross-site'), ('shop.test', None):
        target[:] = [bank.url(host, '/transfer')]
        driver.get(bank.url(host, '/form'))
        assert submit(driver, other.url('localhost', '/on')) == 'refused'
        assert bank.last() == ('POST', site_header, 'null')


def test_csrf_without_referrer(driver, start):
    """With this policy, a site hides its origin from itself; Sec-Fetch-Site helps where it is sent."""
    bank = start(make_bank())
    driver.get(bank.url(path='/form?policy=no-referrer'))
    assert submit(driver) == 'done'
    assert bank.last() == ('POST', 'same-origin', 'null')
    driver.get(bank.url('shop.test', '/form?policy=no-referrer'))
    assert submit(driver) == 'refused'
    assert bank.last() == ('POST', None, 'null')
    driver.get(bank.url('shop.test', '/form?policy=same-origin'))
    assert submit(driver) == 'done'


@pytest.mark.parametrize('host', ['127.0.0.1', 'shop.test'])
def test_csrf_of_a_trusted_origin(driver, start, shop, host):
    origins = [shop.origin('partner.test')]
    bank = start(make_bank(cors=CORS(allowed_origins=origins)))
    CORS(bank.app, origins)
    url = bank.url(host, '/transfer')
    driver.get(shop.url('partner.test'))
    assert fetch(driver, url, method='POST')['status'] == 200
    assert fetch(driver, url, method='PUT')['status'] == 200
    assert submit(driver, url) == 'done'
    driver.get(shop.url('evil.test'))
    assert fetch(driver, url, method='POST') == REFUSED
    assert bank.last()[2] == shop.origin('evil.test') and len(bank.seen) == 4


def test_websocket_of_another_origin(driver, start, shop):
    """A handshake is a GET without a preflight request: ``allowed_origins`` is what protects it."""
    bank = start(make_bank())
    origins = []

    @bank.app.get('/open')
    @with_websocket
    async def open_to_all(request, ws):
        await ws.send('hello')

    @bank.app.get('/own')
    @with_websocket(allowed_origins=origins)
    async def own(request, ws):
        await ws.send('hello')

    origins.append(bank.origin())
    script = '''
        const [url, done] = arguments;
        const socket = new WebSocket(url);
        socket.onmessage = event => done(event.data);
        socket.onerror = () => done('refused')'''
    for page, path, expected in ((bank.url(), '/open', 'hello'), (bank.url(), '/own', 'hello'),
                                 (shop.url('localhost'), '/open', 'hello'), (shop.url('localhost'), '/own', 'refused'),
                                 (shop.url(), '/own', 'refused')):
        driver.get(page)
        url = bank.url(path=path).replace('http', 'ws')
        assert driver.execute_async_script(script, url) == expected, (page, path)


# Sessions and logins

class User:
    def __init__(self, id):
        self.id = id


def make_greenhouse(**cookie_options):
    app = Microdot()
    Session(app, SECRET, cookie_options or None)
    CSRF(app)
    login = Login()
    site = Site(app)
    FORM = '''<form id="form" method="post"><input name="name" id="name"><input name="days" id="days">
              <button id="send">Log in</button></form>'''

    @login.user_loader
    async def load(user_id):
        return User(user_id)

    @app.get('/login')
    async def show_login(request):
        return html(FORM)

    @app.post('/login')
    async def do_login(request):
        return await login.login_user(request, User(request.form['name']), int(request.form.get('days') or 0))

    @app.post('/logout')
    async def do_logout(request):
        await login.logout_user(request)
        return redirect('/')

    @app.get('/beds')
    @login
    async def beds(request):
        return html('<p id="user">%s</p><form id="form" method="post" action="/logout"></form>'
                    % request.g.current_user.id)

    @app.get('/fresh')
    @login.fresh
    async def fresh(request):
        return html('<p id="user">%s</p>' % request.g.current_user.id)

    @app.route('/who', methods=['GET', 'POST'])
    @with_session
    async def who(request, session):
        site.note(request)
        return html('<p id="done">%s</p>' % session.get('_user_id'))

    return site


def log_in(driver, name, days=''):
    """Fill the form of the page, and wait for the next page."""
    driver.find_element(By.ID, 'name').send_keys(name)
    driver.find_element(By.ID, 'days').send_keys(days)
    before = driver.current_url
    driver.find_element(By.ID, 'send').click()
    poll(lambda: driver.current_url != before)


def path_of(driver):
    parts = urlsplit(driver.current_url)
    return parts.path + ('?' + parts.query if parts.query else '')


def user_of(driver):
    """Return who the page says is logged in, None for the login page."""
    found = driver.find_elements(By.ID, 'user')
    return found[0].text if found else None


@pytest.mark.parametrize('host', ['127.0.0.1', 'shop.test'])
def test_login_and_logout(driver, start, host):
    site = start(make_greenhouse())
    driver.get(site.url(host, '/beds?crop=kale&place=a%20b'))
    assert path_of(driver).startswith('/login?next=/beds')
    log_in(driver, 'ada')
    assert (path_of(driver), user_of(driver)) == ('/beds?crop=kale&place=a%20b', 'ada')
    driver.get(site.url(host, '/fresh'))
    assert user_of(driver) == 'ada'
    assert driver.execute_script('return document.cookie') == ''  # scripts do not see it: HttpOnly
    driver.get(site.url(host, '/beds'))
    driver.execute_script('document.getElementById("form").submit()')
    poll(lambda: path_of(driver) == '/')
    driver.get(site.url(host, '/beds'))
    assert path_of(driver) == '/login?next=/beds'
    assert '_remember' not in [cookie['name'] for cookie in driver.get_cookies()]


def test_login_does_not_lead_to_another_site(driver, start, shop):
    site = start(make_greenhouse())
    other = 'localhost:%d/other' % shop.port
    for target in 'http://' + other, '//' + other, '/\\' + other, '/%09/' + other, '/%0A/' + other, '\\\\' + other, \
            '%20//' + other, 'javascript:alert(1)', '/%2F' + other, '%2F%2F' + other, '/%5C' + other:
        driver.get(site.url(path='/login?next=' + target))
        log_in(driver, 'ada')
        assert driver.current_url.startswith(site.url()), target
        assert not driver.find_elements(By.ID, 'other')


def test_session_belongs_to_its_site(driver, start, shop):
    """Other sites' pages can neither send the cookie with a form nor with fetch(): SameSite=Lax."""
    site = start(make_greenhouse())
    site.app.post('/open')(lambda request: site.note(request))
    driver.get(site.url('shop.localhost', '/login'))
    log_in(driver, 'ada')
    driver.get(site.url('shop.localhost', '/who'))
    assert driver.find_element(By.ID, 'done').text == 'ada'
    url = site.url('shop.localhost', '/who')
    for host, is_sent in ('evil.localhost', False), ('a.shop.localhost', True):  # the same site is not kept out
        driver.get(shop.url(host))
        fetch(driver, url, mode='no-cors', credentials='include')
        assert ('Cookie' in site.seen[-1][2]) == is_sent
        driver.execute_script('location = arguments[0]', url)  # a link is followed with the cookie
        assert poll(lambda: driver.find_elements(By.ID, 'done'))[0].text == 'ada'


def test_session_that_ends(driver, start):
    """``max_age`` is kept by the browser, and by the server, too."""
    site = start(make_greenhouse(max_age=6))
    driver.get(site.url(path='/login?next=/beds'))
    log_in(driver, 'ada')
    assert user_of(driver) == 'ada'
    cookie = driver.get_cookie('session')
    assert cookie['httpOnly'] and cookie['path'] == '/' and cookie['sameSite'] == 'Lax'
    assert 0 < cookie['expiry'] - time.time() < 10
    poll(lambda: not driver.get_cookies())
    driver.get(site.url(path='/beds'))
    assert path_of(driver) == '/login?next=/beds'
    driver.add_cookie({'name': 'session', 'value': cookie['value'], 'path': '/'})  # a browser that keeps it
    driver.get(site.url(path='/beds'))
    assert path_of(driver) == '/login?next=/beds'


@pytest.fixture
def restart(tmp_path):
    """Return a function that ends the browser, if there is one, and starts it with the same profile."""
    drivers = []

    def restart():
        if drivers:
            drivers.pop().quit()
        drivers.append(start_chromium(tmp_path, RULES))
        return drivers[0]

    yield restart
    drivers[0].quit()


def test_cookies_after_a_restart_of_the_browser(start, restart):
    """The session ends with the browser. Who is remembered is logged in again, but has to prove it where it matters."""
    site = start(make_greenhouse())
    driver = restart()
    for host, days in ('shop.test', ''), ('127.0.0.1', '7'):
        driver.get(site.url(host, '/login?next=/fresh'))
        log_in(driver, 'ada', days)
        assert user_of(driver) == 'ada'
        assert 'expiry' not in driver.get_cookie('session')
    remembered = driver.get_cookie('_remember')
    assert remembered['httpOnly'] and remembered['path'] == '/' and remembered['sameSite'] == 'Lax'
    assert 6 * 86400 < remembered['expiry'] - time.time() < 8 * 86400

    driver = restart()
    driver.get(site.url('shop.test', '/beds'))
    assert path_of(driver) == '/login?next=/beds'
    driver.get(site.url(path='/'))
    assert [cookie['name'] for cookie in driver.get_cookies()] == ['_remember']
    driver.get(site.url(path='/fresh'))
    assert path_of(driver) == '/login?next=/fresh'
    driver.get(site.url(path='/beds'))
    assert user_of(driver) == 'ada'
    assert {cookie['name'] for cookie in driver.get_cookies()} == {'_remember', 'session'}
    driver.get(site.url(path='/fresh'))
    assert path_of(driver) == '/login?next=/fresh'
    log_in(driver, 'ada', '7')
    assert user_of(driver) == 'ada'

    driver = restart()
    driver.get(site.url(path='/beds'))
    driver.execute_script('document.getElementById("form").submit()')  # log out
    poll(lambda: path_of(driver) == '/')
    assert '_remember' not in [cookie['name'] for cookie in driver.get_cookies()]

    driver = restart()
    driver.get(site.url(path='/beds'))
    assert path_of(driver) == '/login?next=/beds'


def test_session_with_max_age_after_a_restart_of_the_browser(start, restart):
    site = start(make_greenhouse(max_age=1000))
    driver = restart()
    driver.get(site.url(path='/login?next=/fresh'))
    log_in(driver, 'ada')
    driver = restart()
    driver.get(site.url(path='/fresh'))
    assert user_of(driver) == 'ada'


# The examples

EXAMPLES = Path(__file__).parent.parent.parent / 'examples'


class Example:
    """A program of an example, in a copy of its folder."""

    def __init__(self, program, interpreter, port, log):
        self.log = log
        source = str(EXAMPLES.parent / 'src')
        with log.open('wb') as output:
            self.process = subprocess.Popen(
                [*INTERPRETERS[interpreter], str(program)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, 'PYTHONUNBUFFERED': '1', 'PYTHONPATH': source, 'MICROPYPATH': source + ':.frozen'})
        self.port = port
        poll(self.is_ready)

    def url(self, host='localhost'):
        return 'http://%s:%d/' % (host, self.port)

    def is_ready(self):
        assert self.process.poll() is None, self.log.read_text()
        return is_listening(self.port)


@pytest.fixture
def start_example(tmp_path):
    """A function that starts the two programs of an example, on other ports than 5000 and 5001."""
    examples = []

    def start_example(name, interpreter, *programs):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
        ports = free_port(), free_port()
        for path in (tmp_path / name).iterdir():
            path.write_text(path.read_text().replace('5000', str(ports[0])).replace('5001', str(ports[1])))
        for program, port in zip(programs, ports, strict=True):
            examples.append(Example(tmp_path / name / program, interpreter, port, tmp_path / (program + '.log')))
        return examples

    yield start_example
    for example in examples:
        example.process.kill()
        example.process.wait()


def text_of(driver, id):
    """Return the text of an element, None while the page does not have it."""
    return driver.execute_script('return document.getElementById(arguments[0])?.textContent', id)


each_interpreter = pytest.mark.parametrize('interpreter', ['cpython', 'micropython'])


@each_interpreter
def test_example_of_cors(driver, start_example, interpreter):
    api, dashboard = start_example('cors', interpreter, 'api.py', 'dashboard.py')
    driver.get(dashboard.url())
    poll(lambda: text_of(driver, 'state') == 'The greenhouse has answered')
    assert (text_of(driver, 'celsius'), text_of(driver, 'wanted')) == ('21.5 \xb0C', '20 \xb0C')
    driver.find_element(By.ID, 'warmer').click()
    poll(lambda: text_of(driver, 'wanted') == '21 \xb0C')
    for wanted in range(20, 4, -1):
        driver.find_element(By.ID, 'colder').click()
        poll(lambda: text_of(driver, 'wanted') == '%d \xb0C' % wanted)  # noqa: B023
    driver.find_element(By.ID, 'colder').click()
    poll(lambda: text_of(driver, 'state').endswith('between 5 and 35 degrees, please'))
    driver.get(dashboard.url('127.0.0.1'))
    poll(lambda: text_of(driver, 'state') == 'No answer for http://127.0.0.1:%d: Failed to fetch' % dashboard.port)
    assert text_of(driver, 'celsius') == '?' and not driver.find_element(By.ID, 'warmer').is_enabled()


@each_interpreter
def test_example_of_csrf(driver, start_example, interpreter):
    greenhouse, attacker = start_example('csrf', interpreter, 'greenhouse.py', 'attacker.py')

    def switch(button, id, expected):
        driver.find_element(By.ID, button).click()
        poll(lambda: text_of(driver, id) == expected)

    driver.get(greenhouse.url())
    assert (text_of(driver, 'valve'), text_of(driver, 'lamp')) == ('closed', 'off')
    switch('open', 'valve', 'open')
    switch('close', 'valve', 'closed')
    switch('on', 'lamp', 'on')
    switch('off', 'lamp', 'off')
    def visit_attacker(host):
        driver.get(attacker.url(host))
        poll(lambda: text_of(driver, 'state') == 'This page has sent something already.')

    for host in 'localhost', '127.0.0.1':
        visit_attacker(host)
        driver.find_element(By.ID, 'valve').click()
        refused = 'A page of another site has tried to switch something. It was refused.'
        poll(lambda: text_of(driver, 'refused') == refused)  # noqa: B023
        assert text_of(driver, 'valve') == 'closed'
        driver.get(greenhouse.url())
        assert text_of(driver, 'valve') == 'closed'
        visit_attacker(host)
        switch('lamp', 'lamp', 'on')
        switch('off', 'lamp', 'off')
    assert greenhouse.log.read_text().count(' 403') == 6
