"""The examples as their readers start them, but on a port that is free."""
import base64
import gzip
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest
from hosts import find_program
from server_process import INTERPRETERS, free_port
from websockets.sync.client import connect

EXAMPLES = Path(__file__).parent.parent.parent / 'examples'


class Example:
    def __init__(self, path, folder, *arguments, interpreter='cpython'):
        self.port = free_port()
        source = (EXAMPLES / path).read_text()
        assert '__main__' in source
        if '5000' in source:
            source = source.replace('5000', str(self.port))
        else:
            source = source.replace('app.run(', f'app.run(port={self.port}, ')
        copy = folder / 'example.py'
        copy.write_text(source)
        folders = [str(EXAMPLES.parent / 'src'), str(EXAMPLES.parent / 'tests' / 'engines')]
        self.process = subprocess.Popen([*INTERPRETERS[interpreter], str(copy), *arguments], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, 'PYTHONUNBUFFERED': '1',
                                             'PYTHONPATH': os.pathsep.join(folders),
                                             'MICROPYPATH': ':'.join([*folders, '.frozen'])})

    def get(self, path, headers=None):
        request = urllib.request.Request(f'http://127.0.0.1:{self.port}{path}', headers=headers or {})
        end = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    return response.read().decode()
            except (ConnectionError, urllib.error.URLError) as exc:
                assert isinstance(getattr(exc, 'reason', exc), ConnectionError), exc
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < end, 'it does not listen'
                time.sleep(0.05)

    def is_listening(self):
        assert self.process.poll() is None, self.process.communicate()
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def exchange(self, method, path, body=None, headers=None):
        """One request; the path is sent as it is. Returns status, headers and body."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def read_secret(self):
        """What the first start prints, such as a password. That it listens is waited for, too."""
        for line in self.process.stdout:
            if line.endswith(' (shown only now).\n'):
                wait_until(self.is_listening)
                return line.removesuffix(' (shown only now).\n').removesuffix('.').split()[-1]
        raise AssertionError('there is none')

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=45)  # Gunicorn waits 30 for a worker that was starting
        return self.process.returncode, output


class HostedExample(Example):
    """An application in a folder, under a server that others wrote."""

    def __init__(self, command, folder):
        self.port = free_port()
        folders = [str(EXAMPLES.parent / 'src'), str(EXAMPLES.parent / 'tests' / 'engines')]
        self.process = subprocess.Popen(self.complete(*shlex.split(command)), cwd=folder, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                        env={**os.environ, 'PYTHONUNBUFFERED': '1', 'HOME': str(folder),
                                             'PYTHONPATH': os.pathsep.join(folders)})
        wait_until(self.is_listening)

    def complete(self, program, *arguments):
        """Return a command with the program's path, and another port than 8000."""
        if not any('8000' in argument for argument in arguments):  # the default of most
            option, value = ('--bind', '127.0.0.1:8000') if program in ('gunicorn', 'hypercorn') else ('--port', '8000')
            arguments = (option, value, *arguments)
        if program == 'granian' and '--workers-kill-timeout' not in arguments:
            # else it waits for ever for a worker that is told to end while it starts
            arguments = ('--workers-kill-timeout', '5', *arguments)
        return [find_program('uwsgi_python3' if program == 'uwsgi' else program),
                *(argument.replace('8000', str(self.port)) for argument in arguments)]

    def kill(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with its workers


def command_of(path, host):
    """Return the command for a host in the docstring of an example."""
    return re.search(r'(?:^|  )(%s .*)' % host, (EXAMPLES / path).read_text(), re.M)[1]


@pytest.fixture
def start(tmp_path):
    examples = []

    def start_example(*args, host=None, **kwargs):
        if host:
            shutil.copytree((EXAMPLES / args[0]).parent, tmp_path, dirs_exist_ok=True)
            examples.append(HostedExample(command_of(args[0], host), tmp_path))
        else:
            examples.append(Example(args[0], tmp_path, *args[1:], **kwargs))
        return examples[-1]

    yield start_example
    for example in examples:
        example.kill()
        example.process.communicate()


def test_hello(start):
    example = start('hello/hello.py')
    assert 'ello' in example.get('/')
    assert example.stop()[0] == 0


@pytest.mark.parametrize('workers', ['1', '2'])
def test_server(start, workers):
    example = start('server/server.py', workers)
    answer = json.loads(example.get('/', {'X-Forwarded-For': '203.0.113.7'}))
    assert (answer['client'], answer['scheme']) == ('203.0.113.7', 'http')
    assert (answer['process'] == example.process.pid) == (workers == '1')
    status, output = example.stop()
    assert status == 0
    assert '203.0.113.7 "GET / HTTP/1.1" 200' in output and output.count('stopped') == 1


each_interpreter = pytest.mark.parametrize('interpreter', ['cpython', 'micropython'])


@each_interpreter
def test_simple_upload(start, tmp_path, interpreter):
    example = start('uploads/simple.py', interpreter=interpreter)
    assert example.get('/files/') == '[]'
    content = os.urandom(300_000)
    for expected in 201, 200:
        status, headers, _ = example.exchange('PUT', '/files/photo.jpg', content)
        assert (status, headers['Location']) == (expected, '/files/photo.jpg')
    status, headers, body = example.exchange('GET', '/files/photo.jpg')
    assert (status, body) == (200, content)
    assert headers['Content-Disposition'] == 'attachment' and headers['X-Content-Type-Options'] == 'nosniff'
    assert example.exchange('PUT', '/files/empty')[0] == 201
    assert json.loads(example.get('/files/')) == ['empty', 'photo.jpg']
    assert {path.name for path in (tmp_path / 'files').iterdir()} == {'empty', 'photo.jpg'}


@each_interpreter
def test_simple_upload_refuses(start, tmp_path, interpreter):
    example = start('uploads/simple.py', interpreter=interpreter)
    example.get('/files/')
    for name in '..', '..%2Fa', '%2E%2E%5Ca', '.hidden', 'a%00', 'a%20b', 'a:b', 'a' * 61, 'caf%C3%A9', 'a.':
        for method, body in ('PUT', b'x'), ('GET', None):
            assert example.exchange(method, '/files/' + name, body)[0] in (400, 404), name
    assert example.exchange('PUT', '/files/large', b'x' * (10 * 1024 * 1024 + 1))[0] == 413
    assert {path.name for path in tmp_path.rglob('*')} == {'example.py', 'files'}
    for number in range(20):
        assert example.exchange('PUT', '/files/%d' % number, b'x')[0] == 201
    assert example.exchange('PUT', '/files/20', b'x')[0] == 507
    assert example.exchange('PUT', '/files/19', b'y')[0] == 200


@each_interpreter
def test_simple_upload_that_breaks_off(start, tmp_path, interpreter):
    """The old file stays, and nothing of the new one does."""
    example = start('uploads/simple.py', interpreter=interpreter)
    example.get('/files/')
    assert example.exchange('PUT', '/files/data', b'old')[0] == 201
    folder = tmp_path / 'files'
    with socket.create_connection(('127.0.0.1', example.port), timeout=10) as connection:
        connection.sendall(b'PUT /files/data HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n' + bytes(100_000))
        wait_until(lambda: len(list(folder.iterdir())) == 2)
    wait_until(lambda: len(list(folder.iterdir())) == 1)
    assert (folder / 'data').read_bytes() == b'old'


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def multipart(*parts, end=b'--b--\r\n'):
    """Return a body, and its headers, from pairs of the parameters of a part and its content."""
    body = b''.join(b'--b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n' % part for part in parts) + end
    return body, {'Content-Type': 'multipart/form-data; boundary=b'}


@each_interpreter
def test_form_upload(start, tmp_path, interpreter):
    example = start('uploads/formdata.py', interpreter=interpreter)
    example.get('/uploads')
    content = os.urandom(200_000)
    status, _, body = example.exchange('POST', '/uploads', *multipart(
        (b'name="note"', b'<b>two</b>'), (b'name="files"; filename="../../evil.html"', b'<script>'),
        (b'name="files"; filename="a.bin"', content), (b'name="files"; filename=""', b''),
        (b'name="files"; filename="A.bin"', b'')))
    assert (status, json.loads(body)) == (201, {'saved': ['evil.html', 'a.bin', 'A-2.bin']})
    assert json.loads(example.get('/uploads'))['files'] == [
        {'name': 'A-2.bin', 'size': 0, 'note': '<b>two</b>'}, {'name': 'a.bin', 'size': 200_000, 'note': '<b>two</b>'},
        {'name': 'evil.html', 'size': 8, 'note': '<b>two</b>'}]
    status, headers, body = example.exchange('GET', '/uploads/a.bin')
    assert (status, body) == (200, content)
    assert headers['Content-Disposition'] == 'attachment' and headers['X-Content-Type-Options'] == 'nosniff'
    for name in '..', '..%2Fexample.py', '%2E%2E%2Fexample.py', '.1', 'nothing':
        assert example.exchange('GET', '/uploads/' + name)[0] == 404
    assert {path.name for path in tmp_path.iterdir()} == {'example.py', 'uploads'}


@each_interpreter
def test_form_upload_refuses(start, tmp_path, interpreter):
    example = start('uploads/formdata.py', interpreter=interpreter)
    example.get('/uploads')
    file = (b'name="files"; filename="%b"' % (b'..' + b'x' * 300), b'x' * 5000)
    assert example.exchange('POST', '/uploads', *multipart((b'name="note"', b'x' * 5000)))[0] == 413
    assert example.exchange('POST', '/uploads', *multipart(file, end=b''))[0] == 400
    assert json.loads(example.get('/uploads'))['files'] == []
    assert not list((tmp_path / 'uploads').iterdir())
    status, _, body = example.exchange('POST', '/uploads', *multipart(file))
    assert (status, json.loads(body)) == (201, {'saved': ['x' * 50]})
    for _ in range(49):
        assert example.exchange('POST', '/uploads', *multipart(file))[0] == 201
    assert example.exchange('POST', '/uploads', *multipart(file))[0] == 507
    assert len(json.loads(example.get('/uploads'))['files']) == 50


@each_interpreter
def test_video(start, interpreter):
    """The images differ, and each is there as soon as it is drawn."""
    example = start('streaming/video.py', interpreter=interpreter)
    wait_until(example.is_listening)
    connection = http.client.HTTPConnection('127.0.0.1', example.port, timeout=20)
    connection.request('GET', '/video')
    response = connection.getresponse()
    assert response.headers['Content-Type'] == 'multipart/x-mixed-replace; boundary=frame'
    images = set()
    assert response.readline() == b'--frame\r\n'
    for _ in range(5):
        assert response.readline() == b'Content-Type: image/bmp\r\n'
        size = int(response.readline().removeprefix(b'Content-Length: '))
        assert response.readline() == b'\r\n'
        image = response.read(size)
        assert image[:2] == b'BM' and int.from_bytes(image[2:6], 'little') == size
        assert response.readline() + response.readline() == b'\r\n--frame\r\n'
        images.add(image)
    connection.close()
    assert len(images) == 5
    for line in example.process.stdout:
        if 'a page has left' in line:
            break


@pytest.mark.parametrize(('engine', 'interpreter'), [
    ('jinja', 'cpython'), ('utemplate', 'cpython'), ('utemplate', 'micropython')])
def test_templates(start, tmp_path, engine, interpreter):
    shutil.copytree(EXAMPLES / 'templates' / engine / 'templates', tmp_path / 'templates')
    before = sorted(os.listdir(tmp_path / 'templates'))
    check_templates(start(f'templates/{engine}/hello.py', interpreter=interpreter))
    assert sorted(os.listdir(tmp_path / 'templates')) == before


def check_templates(example):
    page = example.get('/')
    assert page.startswith('<!DOCTYPE html>') and '</html>' in page and 'Hello,' not in page
    form = {'Content-Type': 'application/x-www-form-urlencoded'}
    status, headers, body = example.exchange('POST', '/', 'name=%3Cb%3E+%22J%C3%BCrgen%22', form)
    assert (status, headers['Content-Type']) == (200, 'text/html; charset=UTF-8')
    for quote in '&quot;', '&#34;':
        body = body.replace(quote.encode(), b'"')
    assert '<p id="greeting">Hello, &lt;b&gt; "Jürgen"!</p>'.encode() in body
    assert 'value="&lt;b&gt; "Jürgen""'.encode() in body and b'<b>' not in body
    status, headers, body = example.exchange('GET', '/temperatures?hours=5000')
    assert headers['Transfer-Encoding'] == 'chunked'
    assert body.count(b'<tr') == 5001 and b'<tr class="warm"><td>12</td><td>26.4</td></tr>' in body
    assert b'<td>4999</td>' in body and body.rstrip().endswith(b'</html>')
    assert example.exchange('GET', '/temperatures?hours=x')[0] == 400
    assert example.exchange('GET', '/temperatures?hours=-1')[0] == 200


@each_interpreter
def test_static(start, tmp_path, interpreter):
    site = EXAMPLES / 'static' / 'site'
    shutil.copytree(site, tmp_path / 'site')
    example = start('static/static.py', interpreter=interpreter)
    assert '<title>Greenhouse</title>' in example.get('/')
    assert 'tomatoes' in example.get('/beds')  # by way of a redirect
    assert json.loads(example.get('/api/temperature')) == {'celsius': 21.5}
    for coding, name in ('identity', 'style.css'), ('gzip, deflate, br, zstd', 'style.css.gz'):
        status, headers, body = example.exchange('GET', '/style.css', headers={'Accept-Encoding': coding})
        assert (status, headers['Content-Type'], body) == (200, 'text/css', (site / name).read_bytes())
        assert headers['Content-Encoding'] == ('gzip' if name.endswith('.gz') else None)
        status, _, body = example.exchange('GET', '/style.css', headers={
            'Accept-Encoding': coding, 'If-None-Match': headers['ETag']})
        assert (status, body) == (304, b'')
    assert example.exchange('GET', '/leaf.svg')[1]['Content-Type'] == 'image/svg+xml'
    for path in '/missing', '/beds/missing', '/../example.py', '/%2e%2e/example.py', '/..%2fexample.py':
        status, headers, body = example.exchange('GET', path)
        assert (status, headers['Content-Type'], body) == (404, 'text/html', (site / '404.html').read_bytes()), path
    example.stop()


def test_static_is_compressed():
    """Both versions of the style sheet are the same."""
    site = EXAMPLES / 'static' / 'site'
    assert gzip.decompress((site / 'style.css.gz').read_bytes()) == (site / 'style.css').read_bytes()


# Sessions, logins and authentication

FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
ATTACK = {**FORM, 'Sec-Fetch-Site': 'cross-site', 'Origin': 'https://evil.example'}


class Browser:
    """A client with cookies, which does not follow redirects."""

    def __init__(self, example, cookies=None):
        self.example = example
        self.cookies = cookies or {}

    def request(self, method, path, body=None, headers=FORM):
        cookies = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
        status, headers, body = self.example.exchange(method, path, body, {**headers, 'Cookie': cookies})
        for line in headers.get_all('Set-Cookie', []):
            assert line.endswith('; HttpOnly; SameSite=Lax') and '; Path=/; ' in line
            name, _, value = line.partition(';')[0].partition('=')
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return status, headers['Location'] or body.decode()

    def log_in(self, password, more='', path='/login'):
        return self.request('POST', path, f'name=gardener&password={password}{more}')


def are_private(folder, *names):
    for name in names:
        assert (folder / name).stat().st_mode & 0o077 == 0


@each_interpreter
def test_basic_auth(start, tmp_path, interpreter):
    example = start('auth/basic_auth.py', interpreter=interpreter)
    password = example.read_secret()
    assert len(password) == 16 and password not in (tmp_path / 'users.json').read_text()
    for name, given, expected in ('gardener', password, 200), ('gardener', password[:-1], 401), ('x', password, 401):
        credentials = base64.b64encode(f'{name}:{given}'.encode()).decode()
        status, headers, body = example.exchange('GET', '/', headers={'Authorization': f'basic {credentials}'})
        assert status == expected and headers['Vary'] == 'Authorization'
        assert (b'Hello, gardener!' in body) == (expected == 200)
        assert (headers['WWW-Authenticate'] == 'Basic realm="Greenhouse", charset="UTF-8"') == (expected == 401)
        body = example.exchange('GET', '/temperature', headers={'Authorization': f'basic {credentials}'})[2]
        assert (b'valves' in body) == (expected == 200)
    if interpreter == 'cpython':
        are_private(tmp_path, 'users.json')
    example.stop()
    again = start('auth/basic_auth.py', interpreter=interpreter)
    credentials = base64.b64encode(f'gardener:{password}'.encode()).decode()
    assert 'gardener' in again.get('/', {'Authorization': f'Basic {credentials}'})
    assert 'shown only now' not in again.stop()[1]


@each_interpreter
def test_token_auth(start, tmp_path, interpreter):
    example = start('auth/token_auth.py', interpreter=interpreter)
    token = example.read_secret()
    assert len(token) == 32 and token not in (tmp_path / 'tokens.json').read_text()
    for value in '', 'Bearer', 'Bearer ', f'Basic {token}', token, f'Bearer {token}0':
        status, headers, body = example.exchange('PUT', '/litres/7', headers={'Authorization': value})
        assert (status, headers['WWW-Authenticate']) == (401, 'Bearer'), value
        assert json.loads(body) == {'error': 'A valid token is needed.'}
    assert json.loads(example.get('/litres')) == {}
    status, _, body = example.exchange('PUT', '/litres/7', headers={'Authorization': f'Bearer {token}'})
    assert (status, json.loads(body)) == (200, {'pump': 7})
    if interpreter == 'cpython':
        are_private(tmp_path, 'tokens.json')


@each_interpreter
def test_sessions(start, tmp_path, interpreter):
    example = start('sessions/sessions.py', interpreter=interpreter)
    wait_until(example.is_listening)
    ines, other = Browser(example), Browser(example)
    for crop in 'leek', '%3Cscript%3E', '', '+':
        assert ines.request('POST', '/plant', f'crop={crop}') == (303, '/')
    page = ines.request('GET', '/')[1]
    assert '2 of 8 beds' in page and '<li>leek</li><li>&lt;script></li>' in page and '<script' not in page
    assert '0 of 8 beds' in other.request('GET', '/')[1]
    assert ines.request('POST', '/harvest', '', ATTACK)[0] == 403
    assert '2 of 8 beds' in ines.request('GET', '/')[1]
    old = dict(ines.cookies)
    assert ines.request('POST', '/harvest') == (303, '/') and not ines.cookies
    for _ in range(10):  # the longest that a session can be
        assert other.request('POST', '/plant', 'crop=a' + '%F0%9F%8D%85' * 50)[0] == 303
    page = other.request('GET', '/')[1]
    assert '8 of 8 beds' in page and page.count('\U0001f345' * 19 + '</li>') == 8
    for _ in range(10):
        assert ines.request('POST', '/plant', 'crop=a' + '%01' * 60 + 'b')[0] == 303
    assert '8 of 8 beds' in ines.request('GET', '/')[1]
    if interpreter == 'cpython':
        are_private(tmp_path, 'secret.key')
    example.stop()
    again = start('sessions/sessions.py', interpreter=interpreter)
    wait_until(again.is_listening)
    assert '2 of 8 beds' in Browser(again, old).request('GET', '/')[1]  # the key is the same
    again.stop()
    (tmp_path / 'secret.key').write_bytes(b'')  # the power was cut
    another = start('sessions/sessions.py', interpreter=interpreter)
    wait_until(another.is_listening)
    assert '0 of 8 beds' in Browser(another, old).request('GET', '/')[1]
    assert len((tmp_path / 'secret.key').read_bytes()) == 32


@each_interpreter
def test_login(start, tmp_path, interpreter):
    example = start('login/login.py', interpreter=interpreter)
    password = example.read_secret()
    assert password not in (tmp_path / 'users.json').read_text()
    browser = Browser(example)
    assert browser.request('GET', '/') == (302, '/login?next=/')
    assert 'type="password"' in browser.request('GET', '/login?next=/')[1]
    assert browser.log_in('wrong')[0] == 403 and not browser.cookies
    for name in '', 'nobody', 'gardener%00', 'Gardener':
        for given in '', password:
            assert browser.request('POST', '/login', f'name={name}&password={given}')[0] == 403
    assert browser.request('POST', '/login', '')[0] == 403
    assert browser.request('POST', '/login', f'name=gardener&password={password}', ATTACK)[0] == 403
    assert browser.log_in(password, path='/login?next=//evil.example/') == (302, '/')
    assert 'Hello, gardener!' in browser.request('GET', '/')[1] and '_remember' not in browser.cookies
    assert browser.request('GET', '/password')[0] == 200
    assert browser.request('POST', '/logout', '', ATTACK)[0] == 403
    assert browser.request('POST', '/logout') == (303, '/login')
    assert browser.request('GET', '/') == (302, '/login?next=/')


@each_interpreter
def test_login_remembers(start, tmp_path, interpreter):
    example = start('login/login.py', interpreter=interpreter)
    password = example.read_secret()
    browser, elsewhere = Browser(example), Browser(example)
    assert browser.log_in(password, '&remember=on') == (302, '/')
    assert elsewhere.log_in(password, '&remember=on') == (302, '/')
    del browser.cookies['session']
    assert 'Hello, gardener!' in browser.request('GET', '/')[1] and 'session' in browser.cookies
    assert browser.request('GET', '/password') == (302, '/login?next=/password')  # remembered is not fresh
    assert browser.request('POST', '/password', 'password=carrots+and+leek&again=carrots+and+leek')[0] == 302
    assert browser.log_in(password, path='/login?next=/password') == (302, '/password')
    assert browser.request('POST', '/password', 'password=short&again=short')[0] == 400
    assert browser.request('POST', '/password', 'password=carrots+and+leek&again=x')[0] == 400
    assert browser.request('POST', '/password', 'password=carrots+and+leek&again=carrots+and+leek') == (302, '/')
    assert 'Hello, gardener!' in browser.request('GET', '/')[1]
    assert elsewhere.request('GET', '/') == (302, '/login?next=/')  # all others are logged out
    if interpreter == 'cpython':
        are_private(tmp_path, 'secret.key', 'users.json')
    example.stop()
    again = start('login/login.py', interpreter=interpreter)
    wait_until(again.is_listening)
    assert 'Hello, gardener!' in Browser(again, browser.cookies).request('GET', '/')[1]
    assert Browser(again).log_in(password)[0] == 403
    assert Browser(again).log_in('carrots+and+leek') == (302, '/')
    assert {path.name for path in tmp_path.iterdir()} == {'example.py', 'secret.key', 'users.json'}


def test_login_with_a_hash_for_a_board(start, tmp_path):
    """One that was made with fewer rounds is replaced when the password is known."""
    weak = '$pbkdf2-sha256$2000$2kqUHB9gyizeQZgbtM9Y/g$uxE2Z8gBhWLa.fqk6gfmkWPv6GNkB/2eItNZ.3tivds'
    (tmp_path / 'users.json').write_text(json.dumps({'gardener': [weak, 1]}))
    example = start('login/login.py')
    wait_until(example.is_listening)
    assert Browser(example).log_in('y')[0] == 403 and weak in (tmp_path / 'users.json').read_text()
    assert Browser(example).log_in('x') == (302, '/')
    assert json.loads((tmp_path / 'users.json').read_text())['gardener'][0].startswith('$scrypt$')
    assert Browser(example).log_in('x') == (302, '/')


def cors_headers(headers):
    """Return what a response says about CORS, by the end of the names."""
    start = 'access-control-'
    return {name.lower()[len(start):]: value for name, value in headers.items() if name.lower().startswith(start)}


@each_interpreter
def test_cors(start, interpreter):
    example = start('cors/api.py', interpreter=interpreter)
    assert json.loads(example.get('/temperature')) == {'celsius': 21.5, 'wanted': 20}
    page = {'Origin': 'http://localhost:5001', 'Sec-Fetch-Site': 'same-site'}
    status, headers, body = example.exchange('PUT', '/temperature', '{"wanted": 22}',
                                             {'Content-Type': 'application/json', **page})
    assert (status, json.loads(body)['wanted']) == (200, 22)
    assert cors_headers(headers) == {'allow-origin': page['Origin']}
    for wanted in '{"wanted": 100}', '{"wanted": "x"}', '{"wanted": null}', '{}', '[]', '7', '"', '', '{"wanted": [1]}':
        status, headers, body = example.exchange('PUT', '/temperature', wanted,
                                                 {'Content-Type': 'application/json', **page})
        assert status == 400 and cors_headers(headers) == {'allow-origin': page['Origin']}, wanted
    ask = {'Access-Control-Request-Method': 'PUT', 'Access-Control-Request-Headers': 'content-type,x-evil'}
    status, headers, _ = example.exchange('OPTIONS', '/temperature', headers={**page, **ask})
    assert status == 200 and cors_headers(headers) == {
        'allow-origin': page['Origin'], 'allow-methods': 'PUT', 'allow-headers': 'content-type', 'max-age': '600'}
    evil = {'Origin': 'http://127.0.0.1:5001', 'Sec-Fetch-Site': 'cross-site'}
    assert example.exchange('PUT', '/temperature', '{"wanted": 30}', evil)[0] == 403
    status, headers, _ = example.exchange('OPTIONS', '/temperature', headers={**evil, **ask})
    assert (status, cors_headers(headers), headers['Vary']) == (200, {}, 'Origin')


@each_interpreter
def test_csrf(start, interpreter):
    example = start('csrf/greenhouse.py', interpreter=interpreter)
    assert '<strong id="valve">closed</strong>' in example.get('/')
    form = {'Content-Type': 'application/x-www-form-urlencoded'}
    own = f'http://127.0.0.1:{example.port}'
    for headers in {'Origin': own}, {'Origin': own, 'Sec-Fetch-Site': 'same-origin'}, {}:
        for to in 'open', 'closed':
            status, answer, _ = example.exchange('POST', '/valve', 'to=' + to, {**form, **headers})
            assert (status, answer['Location']) == (303, '/')
            assert f'<strong id="valve">{to}</strong>' in example.get('/')
    for headers in ({'Origin': 'http://127.0.0.1:5001'}, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'},
                    {'Origin': 'http://localhost:5001', 'Sec-Fetch-Site': 'same-site'}):
        status, _, body = example.exchange('POST', '/valve', 'to=open', {**form, **headers})
        assert status == 403 and b'It was refused' in body and b'<strong id="valve">closed</strong>' in body
    assert example.exchange('POST', '/lamp', 'to=on', {**form, 'Origin': 'null'})[0] == 303
    assert '<strong id="lamp">on</strong>' in example.get('/')
    for body in 'to=<script>', 'to=', '', 'x=y':
        assert example.exchange('POST', '/valve', body, form)[0] == 400
    assert example.exchange('POST', '/valve', '{}', {'Content-Type': 'application/json'})[0] == 400


# Under servers that others wrote

ASGI_HOSTS = ['uvicorn', 'hypercorn', 'granian', 'daphne']
WSGI_HOSTS = ['gunicorn', 'waitress-serve', 'granian', 'uwsgi']
each_asgi_host = pytest.mark.parametrize('host', ASGI_HOSTS)
each_host = pytest.mark.parametrize(('interface', 'host'), [
    *(('asgi', host) for host in ASGI_HOSTS), *(('wsgi', host) for host in WSGI_HOSTS)])


@each_host
def test_hosted_hello(start, interface, host):
    example = start(f'hello/hello_{interface}.py', host=host)
    assert example.get('/') == 'Hello, world!'
    status, headers, body = example.exchange('HEAD', '/')
    assert (status, headers['Content-Length'], body) == (200, '13', b'')
    assert example.exchange('GET', '/nothing')[::2] == (404, b'Not found')
    assert example.exchange('POST', '/')[0] == 405
    assert 'Traceback' not in example.stop()[1]


@pytest.mark.parametrize('interface', ['asgi', 'wsgi'])
def test_hello_without_a_host(start, interface):
    example = start(f'hello/hello_{interface}.py')
    assert example.get('/') == 'Hello, world!'
    assert example.stop()[0] == 0


@pytest.mark.parametrize('engine', ['jinja', 'utemplate'])
@pytest.mark.parametrize(('interface', 'host'), [('asgi', 'uvicorn'), ('wsgi', 'gunicorn')])
def test_hosted_templates(start, engine, interface, host):
    check_templates(start(f'templates/{engine}/hello_{interface}.py', host=host))


@pytest.mark.parametrize(('interface', 'host'), [*(('asgi', host) for host in ASGI_HOSTS), ('wsgi', 'gunicorn')])
def test_hosted_echo(start, interface, host):
    example = start(f'websocket/echo_{interface}.py', host=host)
    assert '<title>Echo</title>' in example.get('/')
    url = f'ws://127.0.0.1:{example.port}/echo'
    with connect(url, proxy=None) as first, connect(url, proxy=None) as second:
        for message in 'Jürgen', b'\x00\xff', 'x' * 10_000:
            first.send(message)
            second.send('second')
            assert first.recv(20) == message and second.recv(20) == 'second'
    for _ in range(2):
        read_until(example, 'a page has left')
    assert 'Traceback' not in example.stop()[1]


def read_until(example, text):
    """Read what an example prints until there is a text in it."""
    for line in example.process.stdout:
        if text in line:
            return
    raise AssertionError('it has ended')


def read_events(example, count, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', example.port, timeout=20)
    connection.request('GET', '/count', headers=headers or {})
    response = connection.getresponse()
    assert response.headers['Content-Type'].startswith('text/event-stream')
    numbers = []
    while len(numbers) < count:
        line = response.readline()
        if line.startswith(b'data: '):
            numbers.append(json.loads(line[6:])['number'])
    return connection, numbers


@each_asgi_host
def test_hosted_counter(start, host):
    example = start('sse/counter_asgi.py', host=host)
    assert '<title>Counter</title>' in example.get('/')
    connection, numbers = read_events(example, 2)
    assert numbers == [1, 2]
    connection.close()
    read_until(example, 'a page has left')
    connection, numbers = read_events(example, 1, {'Last-Event-ID': '41'})
    assert numbers == [42]
    if host == 'hypercorn' and sys.version_info >= (3, 12):
        # asyncio's Server.wait_closed() waits for connections there, and hypercorn 0.18 for that, with any application
        connection.close()
        read_until(example, 'a page has left')
    example.stop()  # while the stream is open
    connection.close()


def check_valves(example):
    """A site whose part /valves is an application of another framework."""
    assert '<a href="/valves/">' in example.get('/')
    assert 'action="/valves/drip"><button>drip is closed' in example.get('/valves/')
    status, headers, _ = example.exchange('POST', '/valves/drip')
    assert (status, headers['Location']) == (303, '/valves/')
    assert 'drip is open' in example.get('/valves/') and 'mist is closed' in example.get('/valves/')
    for path in '/valves/other', '/valvesdrip', '/drip':
        assert example.exchange('POST', path)[0] in (404, 405)
    assert example.exchange('GET', '/valves')[0] in (200, 301, 307, 308)
    assert 'Traceback' not in example.stop()[1]


@each_interpreter
def test_valves_alone(start, interpreter):
    example = start('mounting/valves.py', interpreter=interpreter)
    assert 'action="/drip"><button>drip is closed' in example.get('/')
    assert example.exchange('POST', '/drip')[1]['Location'] == '/'
    assert 'drip is open' in example.get('/')


@pytest.mark.parametrize(('name', 'host'), [
    ('in_starlette', 'uvicorn'), ('in_flask', 'gunicorn'), ('starlette_inside', 'uvicorn'), ('starlette_inside', None),
    ('flask_inside', 'uvicorn'), ('flask_inside', None)])
def test_mounting(start, name, host):
    check_valves(start(f'mounting/{name}.py', host=host))
