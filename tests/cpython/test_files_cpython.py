"""Files as they are on CPython's file systems, and as curl and Chromium ask for them."""
import asyncio
import gzip
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import av
import pytest
import test_browser
from app_process import KINDS, SOURCE, AppProcess
from server_process import read_all

from board_modules import BIN, needs
from live import serving
from microdot import Microdot, disk, send_file
from microdot.files import Static
from microdot.test_client import TestClient

SECRET = b'this must stay here'
#: More than the buffers of two sockets hold, so that it is on the way for a while.
LARGE = os.urandom(1 << 20) * 16
#: The time of files that are not new.
LONG_AGO = 1_000_000_000
driver = test_browser.driver
open_tab = test_browser.open_tab
poll = test_browser.poll


# ---------------------------------------------------------------------------------------------------------------
# curl
# ---------------------------------------------------------------------------------------------------------------

@pytest.fixture(params=KINDS)
def server(request, tmp_path, monkeypatch):
    monkeypatch.setenv('FILES_FOLDER', str(tmp_path))
    server = AppProcess('files_app.py', request.param, tmp_path / 'app.log')
    yield server
    server.stop()


def url(server, path):
    return 'http://127.0.0.1:%d%s' % (server.port, path)


def curl(*args):
    """Run curl, and return its exit status and what it wrote."""
    path = shutil.which('curl')
    if not path:
        pytest.fail('curl is missing. Install it, as root: apt-get install curl', pytrace=False)
    result = subprocess.run([path, '--silent', '--noproxy', '*', '--max-time', '60', *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return result.returncode, result.stdout


def cut_download(server, path, count):
    """Return the first bytes of a body; the connection is cut then."""
    with server.connect(b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' % path.encode()) as connection:
        data = b''
        while len(data.partition(b'\r\n\r\n')[2]) < count:
            data += connection.recv(65536)
        return data.partition(b'\r\n\r\n')[2][:count]


def test_curl_resumes(server, tmp_path):
    (tmp_path / 'large.bin').write_bytes(LARGE)
    copy = tmp_path / 'copy'
    for count in 1, 300_000, 5_000_000, len(LARGE) - 1:
        copy.write_bytes(cut_download(server, '/file/large.bin', count))
        assert copy.stat().st_size == count
        server.get('/answers')
        assert curl('-C', '-', '-o', str(copy), url(server, '/file/large.bin'))[0] == 0
        assert copy.read_bytes() == LARGE
        assert b'["/file/large.bin", "bytes=%d-", null, 206]' % count in server.get('/answers')
    assert curl('-C', '-', '-o', str(copy), url(server, '/file/large.bin'))[0] == 0  # there is nothing left
    assert copy.read_bytes() == LARGE
    assert b', 416]' in server.get('/answers')


def test_curl_does_not_resume_another_file(server, tmp_path):
    """With ``If-Range`` there is no mix of the old and the new file."""
    (tmp_path / 'a.bin').write_bytes(LARGE[:200_000])
    tag = next(line for line in server.get('/file/a.bin').split(b'\r\n') if line.startswith(b'ETag'))[6:].decode()
    args = ['-H', 'If-Range: ' + tag, '-r', '100000-', url(server, '/file/a.bin')]
    assert curl(*args)[1] == LARGE[100_000:200_000]
    (tmp_path / 'a.bin').write_bytes(LARGE[200_000:500_000])
    assert curl(*args)[1] == LARGE[200_000:500_000]


def test_curl_ranges(server, tmp_path):
    (tmp_path / 'large.bin').write_bytes(LARGE)
    for value, expected, status in (
            ('0-0', LARGE[:1], b'206'), ('0-99', LARGE[:100], b'206'), ('-100', LARGE[-100:], b'206'),
            ('70000-', LARGE[70000:], b'206'), ('1000-999999999', LARGE[1000:], b'206'),
            ('5000000-9999999', LARGE[5000000:10000000], b'206'), ('0-1,4-5', LARGE, b'200')):
        body = tmp_path / 'body'
        returncode, output = curl('-r', value, '-o', str(body), '-w', '%{http_code}', url(server, '/file/large.bin'))
        assert (returncode, output) == (0, status), value
        assert body.read_bytes() == expected, value


def test_curl_conditions(server, tmp_path):
    """``-z`` sends the time of a file, ``--etag-compare`` an entity tag that was kept."""
    (tmp_path / 'a.txt').write_bytes(b'text')
    os.utime(tmp_path / 'a.txt', (LONG_AGO, LONG_AGO))
    copy, tag = tmp_path / 'copy', tmp_path / 'tag'
    status = ['-w', '%{http_code}', url(server, '/file/a.txt')]
    assert curl('--remote-time', '--etag-save', str(tag), '-o', str(copy), *status) == (0, b'200')
    assert copy.stat().st_mtime == LONG_AGO
    assert curl('-z', str(copy), '-o', str(copy), *status) == (0, b'304')
    assert curl('--etag-compare', str(tag), '-o', str(copy), *status) == (0, b'304')
    assert copy.read_bytes() == b'text'
    (tmp_path / 'a.txt').write_bytes(b'changed')
    for args in ['-z', str(copy)], ['--etag-compare', str(tag)]:
        assert curl(*args, '-o', str(tmp_path / 'new'), *status) == (0, b'200')
        assert (tmp_path / 'new').read_bytes() == b'changed'


def test_curl_decompresses(server, tmp_path):
    (tmp_path / 'a.css').write_bytes(b'body {}')
    (tmp_path / 'a.css.gz').write_bytes(gzip.compress(b'body {} /* compressed */'))
    assert curl('--compressed', url(server, '/static/a.css')) == (0, b'body {} /* compressed */')
    assert curl(url(server, '/static/a.css')) == (0, b'body {}')


def test_curl_does_not_climb(server, tmp_path):
    (tmp_path.parent / 'secret.txt').write_bytes(SECRET)
    for path in '/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '//../secret.txt', '/..%5csecret.txt':
        output = curl('--path-as-is', '-i', url(server, '/static' + path))[1]
        assert b' 404 ' in output and SECRET not in output


# ---------------------------------------------------------------------------------------------------------------
# Files that change while they are sent
# ---------------------------------------------------------------------------------------------------------------

class Download:
    """A response whose head has arrived; the client does not read on until it is asked for the rest."""

    def __init__(self, server, path):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(20)
        self.socket.connect(('127.0.0.1', server.port))
        self.connection = http.client.HTTPConnection('127.0.0.1', server.port)
        self.connection.sock = self.socket
        self.connection.request('GET', path)
        self.response = self.connection.getresponse()
        self.first = self.response.read(1000)

    def rest(self):
        """Return all that was sent, and whether it is what was promised."""
        try:
            return self.first + self.response.read(), True
        except http.client.IncompleteRead as exc:
            return self.first + exc.partial, False
        except ConnectionResetError:
            return self.first, False


@contextmanager
def downloading(server, path):
    download = Download(server, path)
    try:
        yield download
    finally:
        download.connection.close()
        download.socket.close()


def test_a_file_that_grows(server, tmp_path):
    path = tmp_path / 'large.bin'
    path.write_bytes(LARGE)
    with downloading(server, '/file/large.bin') as download:
        with path.open('ab') as f:
            f.write(b'more' * 100_000)
        assert download.rest() == (LARGE, True)
        download.connection.request('GET', '/')  # the connection is still in step
        assert download.connection.getresponse().read() == b'hello'


def test_a_file_that_is_replaced(server, tmp_path):
    path = tmp_path / 'large.bin'
    path.write_bytes(LARGE)
    (tmp_path / 'new.bin').write_bytes(b'new' * 100_000)
    with downloading(server, '/file/large.bin') as download:
        os.replace(tmp_path / 'new.bin', path)
        assert download.rest() == (LARGE, True)
    assert server.get('/file/large.bin').endswith(b'\r\n\r\n' + b'new' * 100_000)


def test_a_file_that_is_removed(server, tmp_path):
    path = tmp_path / 'large.bin'
    path.write_bytes(LARGE)
    with downloading(server, '/file/large.bin') as download:
        path.unlink()
        assert download.rest() == (LARGE, True)
    assert b' 404 ' in server.get('/file/large.bin')


def test_a_file_that_is_cut_off(server, tmp_path):
    """The client can tell, because the connection is closed too early, and the others are served on."""
    path = tmp_path / 'large.bin'
    path.write_bytes(LARGE)
    with downloading(server, '/file/large.bin') as download:
        os.truncate(path, 1000)
        body, is_complete = download.rest()
    assert not is_complete and len(body) < len(LARGE)  # what the system has not sent yet may have become zeros
    assert b'hello' in server.get('/')
    poll(lambda: 'ValueError' in server.log.read_text())
    server.log.write_text('')


REPLACED = (
    # headers of the request, with "old" and "new" for the entity tags; the answer
    ({}, 200, b'the new one'),
    ({'Range': 'bytes=4-6'}, 206, b'new'),
    ({'Range': 'bytes=-3'}, 206, b'one'),
    ({'If-Range': 'old', 'Range': 'bytes=1-2'}, 200, b'the new one'),
    ({'If-Range': 'new', 'Range': 'bytes=4-6'}, 206, b'new'),
    ({'If-None-Match': 'new'}, 304, b''),
    ({'If-None-Match': 'new', 'Range': 'bytes=4-6'}, 304, b''),
    ({'If-Match': 'old'}, 412, b'Precondition failed'),
)


@pytest.mark.parametrize('asked, status_code, body', REPLACED)
@pytest.mark.parametrize('size', [1, 30_000])
async def test_a_file_that_is_replaced_before_it_is_opened(tmp_path, asked, status_code, body, size):
    """All of the response belongs to one of the two."""
    path = tmp_path / 'a.txt'
    contents = {'old': b'the old' * size, 'new': b'the new one' * size}
    if size > 1 and (status_code == 200 or asked == {'Range': 'bytes=-3'}):
        body = contents['new'][-len(body):] if status_code == 206 else contents['new']
    client = client_of_file(path)
    headers = {}
    for name in 'new', 'old':
        path.write_bytes(contents[name])
        headers[name] = (await client.get('/')).headers
        os.replace(path, tmp_path / name)
    os.replace(tmp_path / 'old', path)

    @client.app.after_request
    async def replace(request, response):
        if (tmp_path / 'new').exists():
            os.replace(tmp_path / 'new', path)

    asked = {name: headers[value]['ETag'] if value in headers else value for name, value in asked.items()}
    before = len(os.listdir('/proc/self/fd'))
    async with serving(client.app) as server:
        connection = http.client.HTTPConnection('127.0.0.1', server.port)
        response = await asyncio.to_thread(fetch, connection, asked)
    assert (response.status, response.content) == (status_code, body), response.content
    if status_code in (200, 206):
        assert response.headers['Content-Length'] == str(len(body))
    if status_code != 412:
        for name in 'ETag', 'Last-Modified':
            assert response.headers[name] == headers['new'][name]
    if status_code == 304:
        assert 'Content-Length' not in response.headers and 'Content-Type' not in response.headers
    if status_code == 206:
        assert response.headers['Content-Range'].endswith('/%d' % len(contents['new']))
    assert len(os.listdir('/proc/self/fd')) == before


def fetch(connection, headers):
    """Request ``/``, then once more, so that a body in the wrong place is found."""
    connection.request('GET', '/', headers=headers)
    response = connection.getresponse()
    response.content = response.read()
    connection.request('HEAD', '/')
    assert connection.getresponse().status == 200
    connection.close()
    return response


# ---------------------------------------------------------------------------------------------------------------
# Links and other things that are no regular files
# ---------------------------------------------------------------------------------------------------------------

@pytest.fixture
def site(tmp_path):
    """A directory beside a secret."""
    (tmp_path / 'secret.txt').write_bytes(SECRET)
    (tmp_path / 'outside').mkdir()
    (tmp_path / 'outside' / 'secret.txt').write_bytes(SECRET)
    (tmp_path / 'outside' / 'index.html').write_bytes(SECRET)
    site = tmp_path / 'site'
    (site / 'sub').mkdir(parents=True)
    (site / 'page.html').write_bytes(b'page')
    (site / 'sub' / 'page.html').write_bytes(b'page below')
    (site / 'sub' / 'index.html').write_bytes(b'index below')
    return site


def client_of(site, **options):
    app = Microdot()
    Static(app, directory=str(site), **options)
    return TestClient(app)


async def test_links_that_lead_out(site, tmp_path):
    for name, target in (
            ('file.txt', '../secret.txt'), ('absolute.txt', tmp_path / 'secret.txt'), ('folder', '../outside'),
            ('absolute', tmp_path / 'outside'), ('parent', '..'), ('root', '/'), ('chain1', 'chain2'),
            ('chain2', 'chain3'), ('chain3', '../outside'), ('sub/up', '../..'), ('sub/file', '../file.txt'),
            ('out-and-in', '../site/../outside'), ('sibling', str(site) + '-backup'), ('dangling', '../nothing'),
            ('loop1', 'loop2'), ('loop2', 'loop1'), ('self', 'self'), ('device', '/dev/null'),
            ('descriptor', '/proc/self/fd/0'), ('page.html.gz', '../secret.txt'), ('only.txt.gz', '../secret.txt')):
        (site / name).symlink_to(target)
    shutil.copytree(tmp_path / 'outside', str(site) + '-backup')
    for index in None, 'index.html', 'secret.txt':
        client = client_of(site, index=index)
        for path in ('file.txt', 'absolute.txt', 'folder/secret.txt', 'absolute/secret.txt', 'parent/secret.txt',
                     'root' + str(tmp_path / 'secret.txt'), 'root/etc/passwd', 'chain1/secret.txt', 'chain3/secret.txt',
                     'sub/up/secret.txt', 'sub/file', 'out-and-in/secret.txt', 'sibling/secret.txt', 'dangling',
                     'loop1', 'self', 'self/page.html', 'device', 'descriptor', 'folder/', 'absolute/', 'parent/',
                     'folder', 'chain1', 'parent/outside/', 'only.txt', 'page.html.gz', 'folder/missing.txt',
                     'parent/site-backup/secret.txt'):
            response = await client.get('/static/' + path, {'Accept-Encoding': 'gzip'})
            assert (response.status_code, SECRET in response.body) == (404, False), (index, path)
        response = await client.get('/static/page.html', {'Accept-Encoding': 'gzip'})
        assert (response.status_code, response.body) == (200, b'page')


async def test_links_that_stay_inside(site, tmp_path):
    for name, target in (
            ('link.html', 'page.html'), ('absolute.html', site / 'page.html'), ('folder', 'sub'), ('sub/up', '..'),
            ('sub/link.html', '../page.html'), ('chain1', 'chain2'), ('chain2', 'sub/up'), ('in', '../site/sub'),
            ('through', '../elsewhere/page.html'), ('here', '.')):
        (site / name).symlink_to(target)
    (tmp_path / 'elsewhere').symlink_to(site)
    client = client_of(site, index='index.html')
    for path, body in (
            ('link.html', b'page'), ('absolute.html', b'page'), ('folder/page.html', b'page below'),
            ('sub/up/page.html', b'page'), ('sub/link.html', b'page'), ('chain1/page.html', b'page'),
            ('in/page.html', b'page below'), ('through', b'page'), ('folder/', b'index below'),
            ('here/page.html', b'page'), ('sub/up/sub/up/sub/page.html', b'page below')):
        response = await client.get('/static/' + path)
        assert (response.status_code, response.body) == (200, body), path
    assert (await client.get('/static/folder')).headers['Location'] == './folder/'


async def test_the_directory_may_be_a_link(site, tmp_path, monkeypatch):
    (tmp_path / 'current').symlink_to('site')
    monkeypatch.chdir(tmp_path)
    above = '../%s/site' % tmp_path.name
    for directory in tmp_path / 'current', 'current', './current', 'site/', 'site', 'site/sub/..', above:
        client = client_of(directory)
        assert (await client.get('/static/page.html')).body == b'page', directory
        assert (await client.get('/static/..%2fsecret.txt')).status_code == 404


async def test_a_relative_directory_stays_where_it_was(site, tmp_path, monkeypatch):
    """What the current directory becomes later has no influence."""
    monkeypatch.chdir(tmp_path)
    client = client_of('site')
    monkeypatch.chdir('/')
    assert (await client.get('/static/page.html')).body == b'page'


async def test_the_root_directory(site):
    client = client_of('/')
    assert (await client.get('/static' + str(site / 'page.html'))).body == b'page'


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_no_file(kind, tmp_path, monkeypatch):
    """Each is a 404 at once: to open a FIFO would wait for somebody who writes."""
    os.mkfifo(tmp_path / 'fifo')
    os.mkfifo(tmp_path / 'page.html.gz')
    (tmp_path / 'page.html').write_bytes(b'page')
    (tmp_path / 'folder').mkdir()
    listener = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    listener.bind('socket')
    monkeypatch.setenv('FILES_FOLDER', str(tmp_path))
    server = AppProcess('files_app.py', kind, tmp_path / 'app.log')
    for prefix in '/file/', '/static/':
        for name in 'fifo', 'socket', 'folder/x', 'fifo/', 'fifo/x', 'page.html/':
            assert b'HTTP/1.1 404 ' in server.get(prefix + name), (prefix, name)
    assert b' 404 ' in server.get('/file/folder')
    request = b'GET /static/page.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n'
    with server.connect(request) as connection:
        assert read_all(connection).endswith(b'\r\n\r\npage')
    listener.close()
    server.stop()


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir])
async def test_what_is_no_file_any_more(tmp_path, make):
    """A FIFO that takes the place of a file after we looked does not stop the server either."""
    path = tmp_path / 'a.txt'
    path.write_bytes(b'text')
    client = client_of_file(path)

    @client.app.after_request
    async def replace(request, response):
        path.unlink()
        make(path)

    assert (await asyncio.wait_for(client.get('/'), 20)).status_code == 404


@contextmanager
def as_nobody():
    """Be a user who may not read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_files_that_may_not_be_read():
    with tempfile.TemporaryDirectory() as folder:  # pytest's are closed to other users
        os.chmod(folder, 0o755)
        for name in 'a.txt', 'b.txt', 'closed/c.txt':
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(SECRET if name != 'b.txt' else b'b')
            path.chmod(0o644)
        Path(folder, 'a.txt').chmod(0)
        Path(folder, 'closed').chmod(0)
        Path(folder, 'b.txt.gz').write_bytes(SECRET)
        app = Microdot()
        Static(app, directory=folder)

        @app.get('/<path:name>')
        async def file(request, name):
            return send_file(folder + '/' + name)

        with as_nobody():
            client = TestClient(app)
            for prefix in '/static/', '/':
                for name in 'a.txt', 'closed/c.txt':
                    response = await client.get(prefix + name)
                    assert (response.status_code, SECRET in response.body) == (404, False), prefix + name
                assert (await client.get(prefix + 'b.txt')).body == b'b'
        Path(folder, 'closed').chmod(0o755)


# ---------------------------------------------------------------------------------------------------------------
# Validators
# ---------------------------------------------------------------------------------------------------------------

def client_of_file(path):
    app = Microdot()
    app.get('/')(lambda request: send_file(str(path)))
    return TestClient(app)


async def test_times(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'text')
    client = client_of_file(path)
    now = int(time.time())
    for seconds in 0, 1, LONG_AGO, now - 100, 2 ** 31 - 1, -1, -86400 * 365 * 30:
        os.utime(path, (seconds, seconds))
        date = formatdate(seconds, usegmt=True)
        response = await client.get('/')
        if seconds > time.time():
            continue
        assert response.headers['Last-Modified'] == date
        assert (await client.get('/', {'If-Modified-Since': date})).status_code == 304
        assert (await client.get('/', {'If-Unmodified-Since': date})).status_code == 200
        response = await client.get('/', {'If-Range': date, 'Range': 'bytes=0-1'})
        assert (response.status_code, response.body) == (206, b'te')


async def test_a_time_in_the_future(tmp_path):
    # RFC 9110 section 8.8.2.1
    path = tmp_path / 'a.txt'
    path.write_bytes(b'text')
    client = client_of_file(path)
    for days in 1, 365, 365 * 200:
        seconds = time.time() + days * 86400
        os.utime(path, (seconds, seconds))
        response = await client.get('/')
        assert 'Last-Modified' not in response.headers and response.status_code == 200
        date = formatdate(seconds, usegmt=True)
        assert (await client.get('/', {'If-Modified-Since': date})).status_code == 200
        assert (await client.get('/', {'If-Range': date, 'Range': 'bytes=0-1'})).status_code == 200
        assert (await client.get('/', {'If-None-Match': response.headers['ETag']})).status_code == 304


async def test_tags_tell_times_apart(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'text')
    client = client_of_file(path)
    tags = set()
    for seconds, nanoseconds in (LONG_AGO, 0), (LONG_AGO, 1000), (LONG_AGO, 500_000_000), (LONG_AGO + 1, 0), (-1, 0):
        os.utime(path, ns=(0, seconds * 10 ** 9 + nanoseconds))
        tags.add((await client.get('/')).headers['ETag'])
    assert len(tags) == 5
    path.write_bytes(b'TEXT!')
    os.utime(path, ns=(0, LONG_AGO * 10 ** 9))
    assert (await client.get('/')).headers['ETag'] not in tags


opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == 'open' else None)


async def test_what_is_opened(tmp_path):
    """The interpreter tells of each file that it opens."""
    (tmp_path / 'a.txt').write_bytes(b'text')
    (tmp_path / 'large.bin').write_bytes(bytes(200_000))
    client = client_of(tmp_path)
    for name in 'a.txt', 'large.bin':
        path = str(tmp_path / name)
        date = (await client.get('/static/' + name, {'Range': 'bytes=0-1'})).headers['Last-Modified']
        for method, headers, is_opened in (
                ('HEAD', {}, False), ('HEAD', {'Range': 'bytes=0-1'}, False), ('GET', {'Range': 'bytes=0-1'}, True),
                ('GET', {'If-None-Match': '*'}, False), ('GET', {'If-Modified-Since': date}, False)):
            opened.clear()
            await client.request(method, '/static/' + name, headers)
            assert (path in opened) == is_opened, (method, headers)


async def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / 'a.txt').write_bytes(b'text')
    (tmp_path / 'large.bin').write_bytes(bytes(50_000))
    client = client_of(tmp_path)
    before = len(os.listdir('/proc/self/fd'))
    for method, headers in ('GET', {}), ('HEAD', {}), ('GET', {'If-None-Match': '*'}), ('GET', {'Range': 'bytes=1-'}), \
            ('GET', {'Range': 'bytes=99999-'}), ('GET', {'If-Match': '"x"'}):
        for name in 'a.txt', 'large.bin':
            await client.request(method, '/static/' + name, headers)
    assert len(os.listdir('/proc/self/fd')) == before


def run_program(folder, source):
    result = subprocess.run([sys.executable, '-W', 'error', '-c', source], cwd=folder, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, timeout=30, env={**os.environ, 'PYTHONPATH': SOURCE})
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_types_of_the_application_win(tmp_path):
    (tmp_path / 'a.md').write_bytes(b'text')
    assert run_program(tmp_path, '''
from microdot import Response, send_file
Response.types_map['md'] = 'text/x-mine'
print(send_file('a.md').headers['Content-Type'])
import microdot.files
print(send_file('a.md').headers['Content-Type'], Response.types_map['webp'])
Response.types_map['webp'] = 'image/x-mine'
print(send_file('a.webp', stream=b'x').headers['Content-Type'])
''') == 'text/x-mine\ntext/x-mine image/webp\nimage/x-mine\n'


def test_the_core_alone(tmp_path):
    """A board without microdot.file_body sends files too, without validators and ranges."""
    (tmp_path / 'microdot').mkdir()
    for name in needs():
        shutil.copy(Path(SOURCE, 'microdot', name + '.py'), tmp_path / 'microdot')
    (tmp_path / 'a.txt').write_bytes(b'text')
    result = subprocess.run([BIN / 'micropython', '-c', '''
import microdot
response = microdot.send_file('a.txt')
print(sorted(response.headers), response.body.read(9))
response.body.close()
'''], cwd=tmp_path, env={**os.environ, 'MICROPYPATH': '.:.frozen'}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=30)
    assert not (tmp_path / 'microdot' / 'file_body.py').exists()
    assert result.stdout == "['Content-Length', 'Content-Type'] b'text'\n"


async def test_a_slow_disk_does_not_stop_the_others(tmp_path, monkeypatch):
    """After a call that took long, the next one is made in a thread."""
    threads = []

    def find(self, name, accepted):
        threads.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.02)
        return original(self, name, accepted)

    original = Static.find
    monkeypatch.setattr(Static, 'find', find)
    monkeypatch.setattr(disk, 'slow', 0.01)
    monkeypatch.setattr(disk, 'slow_calls', set())
    client = client_of(tmp_path)
    for _ in range(2):
        assert (await client.get('/static/missing')).status_code == 404
    assert threads == [True, False]


# ---------------------------------------------------------------------------------------------------------------
# Chromium
# ---------------------------------------------------------------------------------------------------------------

@pytest.fixture(params=['asyncio', 'micropython'])
def site_server(request, tmp_path, monkeypatch):
    """Serves an empty directory, ``folder``."""
    folder = tmp_path / 'site'
    folder.mkdir()
    monkeypatch.setenv('FILES_FOLDER', str(folder))
    server = AppProcess('files_app.py', request.param, tmp_path / 'app.log')
    server.folder = folder
    yield server
    server.stop()


def answers(server):
    """Return path, ``Range``, ``If-None-Match`` and status of the requests since the last call."""
    found = json.loads(server.get('/answers').partition(b'\r\n\r\n')[2])
    return [answer for answer in found if answer[0] != '/answers']


PAGE = '''<!DOCTYPE html><meta charset="utf-8"><title>Cache</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css"><link rel="stylesheet" href="/kept/kept.css"><p id="text">text</p>'''


def test_the_cache_of_a_browser(site_server, driver, open_tab):
    """What has not changed is not sent again, what may be kept is not asked for, and what has changed is seen."""
    (site_server.folder / 'page.html').write_text(PAGE)
    (site_server.folder / 'style.css').write_text('p { color: rgb(1, 2, 3) }')
    (site_server.folder / 'kept.css').write_text('p { background-color: rgb(4, 5, 6) }')
    page = url(site_server, '/static/page.html')
    answers(site_server)
    tab = open_tab(page)
    found = []

    def style(name):
        return tab.find('text').value_of_css_property(name)

    def has_loaded(*expected):
        """Load the page again, and tell whether these requests have been made since the list was empty."""
        driver.refresh()
        found.extend([(path, status) for path, _, _, status in answers(site_server)])
        return set(expected) <= set(found)

    assert '1, 2, 3' in style('color') and '4, 5, 6' in style('background-color')
    first = [(path, status) for path, _, _, status in answers(site_server)]
    assert sorted(first) == [('/kept/kept.css', 200), ('/static/page.html', 200), ('/static/style.css', 200)]
    driver.get('about:blank')
    driver.get(page)
    # Without max_age a browser takes a tenth of a file's age as the time for which it is good, hence the loop.
    second = ('/static/page.html', 304), ('/static/style.css', 304)
    poll(lambda: has_loaded(*second))
    assert set(found) == set(second)
    assert '1, 2, 3' in style('color') and '4, 5, 6' in style('background-color')
    (site_server.folder / 'style.css').write_text('p { color: rgb(70, 80, 90) }')
    found.clear()
    poll(lambda: has_loaded(('/static/style.css', 200)))
    assert '70, 80, 90' in style('color')
    assert ('/static/page.html', 200) not in found and '/kept/kept.css' not in [path for path, _ in found]


def write_video(path, seconds=60, rate=3):
    """A video of 160x120 that is red in the first half and blue in the second one, and too noisy to be small."""
    noise = random.Random(1)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libvpx', rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 120, 'yuv420p'
        stream.bit_rate = 2_000_000
        stream.options = {'deadline': 'realtime', 'cpu-used': '8', 'g': str(rate), 'crf': '4', 'qmax': '10'}
        for number in range(seconds * rate):
            frame = av.VideoFrame(160, 120, 'yuv420p')
            luma, *chroma = frame.planes
            luma.update(noise.randbytes(luma.buffer_size))
            for plane, value in zip(chroma, (90, 240) if number < seconds * rate / 2 else (240, 110)):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts = number
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


VIDEO_PAGE = '''<!DOCTYPE html><meta charset="utf-8"><title>Video</title><link rel="icon" href="data:,">
<video id="video" src="video.webm" preload="metadata" muted></video>'''

RED, BLUE = 0, 2
#: The sums of red, green and blue in the picture that is shown.
COLOR = '''
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [16, 12];
const context = canvas.getContext('2d');
context.drawImage(document.getElementById('video'), 0, 0, 16, 12);
const total = [0, 0, 0];
context.getImageData(0, 0, 16, 12).data.forEach((value, i) => { if (i % 4 < 3) total[i % 4] += value; });
return total'''


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp('video') / 'video.webm'
    write_video(path)
    assert path.stat().st_size > 2_000_000
    return path


@pytest.fixture
def slow_network(driver):
    """Let Chromium receive half a megabyte per second, so that it does not have the whole video at once."""
    driver.set_network_conditions(latency=0, download_throughput=500_000, upload_throughput=-1)
    yield
    driver.delete_network_conditions()


def test_seeking_in_a_video(site_server, driver, open_tab, video, slow_network):
    """Chromium asks for the part that is needed, gets it, and shows the picture of that time."""
    shutil.copy(video, site_server.folder)
    (site_server.folder / 'index.html').write_text(VIDEO_PAGE)
    tab = open_tab(url(site_server, '/static/'))

    def state(name):
        return driver.execute_script('return document.getElementById("video").' + name)

    tab.find('video')
    poll(lambda: state('readyState') >= 1)
    assert abs(state('duration') - 60) < 1
    for seconds, color in (50, BLUE), (5, RED), (58, BLUE), (1, RED):
        driver.execute_script('document.getElementById("video").currentTime = arguments[0]', seconds)
        poll(lambda: not state('seeking') and state('readyState') >= 2)
        assert abs(state('currentTime') - seconds) < 0.5
        total = driver.execute_script(COLOR)
        assert max(total) == total[color] > 2 * total[BLUE - color], (seconds, total)
    assert state('error') is None
    found = [answer for answer in answers(site_server) if answer[0] == '/static/video.webm']
    assert {answer[3] for answer in found} <= {206, 304}  # 304: for parts that it has already
    starts = [int(asked[6:].split('-')[0]) for _, asked, _, status in found if status == 206]
    assert max(starts) > video.stat().st_size // 2, found
    test_browser.check_console(driver)
