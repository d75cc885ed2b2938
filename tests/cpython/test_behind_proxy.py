"""The server behind nginx and Caddy, with the configurations and the applications of docs/deployment.md.

Both proxies run as ordinary processes on the loopback interface. The client has an address of its own there, 127.0.0.2,
because the proxy's is 127.0.0.1. Addresses, ports and paths of the page are replaced; what is not found there fails.

"""
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from proxied_app import PIECE, PIECES
from server_process import free_port
from test_docs import DOCS, find_snippets

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / 'src'
PAGE = DOCS / 'deployment.md'
CLIENT = '127.0.0.2'
INSTALL = 'apt-get install --no-install-recommends nginx caddy'


# The page

def find_tested(name: str) -> str:
    """Return the block of the page below the comment ``% tested: name``."""
    found = [snippet.code for snippet in find_snippets(PAGE.read_text()) if snippet.comment == 'tested: ' + name]
    assert len(found) == 1, name
    return found[0]


def replace(text: str, replacements: 'dict[str, str]') -> str:
    for old, new in replacements.items():
        assert old in text, '%r is not in docs/deployment.md any more' % old
        text = text.replace(old, new)
    return text


def run_line(code: str) -> str:
    lines = [line for line in code.splitlines() if line.startswith('app.run(')]
    assert len(lines) == 1, code
    return lines[0]


# Processes

def find_program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path='/usr/sbin:/usr/local/sbin')
    if not path:
        pytest.fail('%s is missing. Install it, as root: %s' % (name, INSTALL), pytrace=False)
    return path


class Process:
    """A process with its output in a file, and a condition for when it is ready."""

    def __init__(self, command: 'list[str]', log: Path, is_ready: 'Any', **env: str):
        self.log = log
        with log.open('ab') as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, **env})
        end = time.monotonic() + 20
        while not is_ready():
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        finally:
            self.process.kill()


def accepts(address: 'Any') -> bool:
    with socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX) as probe:
        return probe.connect_ex(address) == 0


class Paths(NamedTuple):
    """What takes the place of the addresses on the page."""

    folder: Path
    app_port: int
    http_port: int
    https_port: int

    @property
    def socket(self) -> str:
        return str(self.folder / 'app.sock')


def start_app(paths: Paths, is_unix: bool) -> Process:
    """Run the application of the page, with the routes of proxied_app.py."""
    code = find_tested('application')
    line = run_line(code)
    if is_unix:
        actual = replace(run_line(find_tested('application over a UNIX socket')),
                         {'/run/greenhouse/app.sock': paths.socket})
    else:
        actual = replace(line, {'5000': str(paths.app_port)})
    program = paths.folder / 'main.py'
    program.write_text(replace(code, {line: 'from proxied_app import add_routes\nadd_routes(app)\n' + actual}))
    address = paths.socket if is_unix else ('127.0.0.1', paths.app_port)
    return Process([sys.executable, str(program)], paths.folder / 'app.log', lambda: accepts(address),
                   PYTHONPATH='%s:%s' % (SOURCE, HERE))


NGINX_MAIN = '''
daemon off;
%s
pid %s/nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server_names_hash_bucket_size 128;
    include site.conf;
}
'''


def start_nginx(paths: Paths, is_unix: bool) -> Process:
    nginx = find_program('nginx')
    site = find_tested('nginx')
    if is_unix:
        upstream = find_tested('nginx over a UNIX socket')
        first, brace, rest = site.partition('\n}\n')
        assert first.startswith('upstream greenhouse {') and brace and upstream.startswith('upstream greenhouse {')
        site = replace(upstream, {'/run/greenhouse/app.sock': paths.socket}) + rest
    else:
        site = replace(site, {'127.0.0.1:5000': '127.0.0.1:%d' % paths.app_port})
    site = replace(site, {
        'listen 80;': 'listen 127.0.0.1:%d;' % paths.http_port,
        'listen 443 ssl;': 'listen 127.0.0.1:%d ssl;' % paths.https_port,
        'greenhouse.example': 'localhost',
        '/etc/ssl/greenhouse/fullchain.pem': str(paths.folder / 'cert.pem'),
        '/etc/ssl/greenhouse/privkey.pem': str(paths.folder / 'key.pem'),
    })
    (paths.folder / 'site.conf').write_text(site)
    # as root, nginx would hand its work to a user who may not enter the folder
    main = NGINX_MAIN % ('user root;' if os.getuid() == 0 else '', paths.folder)
    (paths.folder / 'nginx.conf').write_text(main)
    command = [nginx, '-p', str(paths.folder), '-c', 'nginx.conf', '-e', 'stderr']
    return Process(command, paths.folder / 'proxy.log', lambda: accepts(('127.0.0.1', paths.https_port)))


CADDY_MAIN = '''
{
    admin off
    http_port %d
    https_port %d
    storage file_system %s/caddy
}
'''


def start_caddy(paths: Paths, is_unix: bool) -> Process:
    caddy = find_program('caddy')
    address = 'unix//run/greenhouse/app.sock'
    assert address in PAGE.read_text()
    if is_unix:
        address = address.replace('/run/greenhouse/app.sock', paths.socket)
    else:
        address = '127.0.0.1:%d' % paths.app_port
    # The certificate takes the place of the one that Caddy gets for a name, which no test can
    tls = '    bind 127.0.0.1\n    tls %s/cert.pem %s/key.pem\n' % (paths.folder, paths.folder)
    site = replace(find_tested('Caddy'), {'127.0.0.1:5000': address, 'greenhouse.example {\n': 'localhost {\n' + tls})
    config = paths.folder / 'Caddyfile'
    config.write_text(CADDY_MAIN % (paths.http_port, paths.https_port, paths.folder) + site)
    command = [caddy, 'run', '--adapter', 'caddyfile', '--config', str(config)]
    return Process(command, paths.folder / 'proxy.log', lambda: accepts(('127.0.0.1', paths.https_port)),
                   HOME=str(paths.folder), XDG_CONFIG_HOME=str(paths.folder), XDG_DATA_HOME=str(paths.folder))


class Site:
    """An application and the proxy in front of it."""

    def __init__(self, folder: Path, start_proxy: 'Any', is_unix: bool):
        self.paths = Paths(folder, free_port(), free_port(), free_port())
        self.is_unix = is_unix
        authority = trustme.CA()
        certificate = authority.issue_cert('localhost')
        certificate.cert_chain_pems[0].write_to_path(folder / 'cert.pem')
        certificate.private_key_pem.write_to_path(folder / 'key.pem')
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)
        self.app = start_app(self.paths, is_unix)
        try:
            self.proxy = start_proxy(self.paths, is_unix)
        except BaseException:
            self.app.stop()
            raise

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection('localhost', self.paths.https_port, timeout=20, context=self.tls,
                                           source_address=(CLIENT, 0))

    def ask(self, method: str, path: str, body: 'Any' = None, headers: 'Any' = {}) -> 'tuple[int, bytes]':  # noqa: B006
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def who(self, **headers: str) -> 'dict[str, Any]':
        status, body = self.ask('GET', '/who', headers={name.replace('_', '-'): headers[name] for name in headers})
        assert status == 200, body
        found: 'dict[str, Any]' = json.loads(body)
        return found

    def close(self) -> None:
        self.proxy.stop()
        assert self.app.stop() == 0
        log = self.app.log.read_text()
        assert 'Traceback' not in log, log


STARTS = {
    'nginx': (start_nginx, False),
    'nginx over a UNIX socket': (start_nginx, True),
    'Caddy': (start_caddy, False),
    'Caddy over a UNIX socket': (start_caddy, True),
}


@pytest.fixture(scope='module', params=STARTS)
def site(request, tmp_path_factory):
    site = Site(tmp_path_factory.mktemp('proxy'), *STARTS[request.param])
    yield site
    site.close()


# Tests

def test_client_and_scheme_arrive(site):
    found = site.who()
    assert found['client'] == CLIENT
    assert found['scheme'] == 'https'
    assert found['host'].partition(':')[0] == 'localhost'


@pytest.mark.parametrize('headers', [
    {'X-Forwarded-For': '6.6.6.6'},
    {'X-Forwarded-For': '127.0.0.1'},
    {'X-Forwarded-For': 'nonsense"'},
    {'X-Forwarded-Proto': 'http'},
    {'X-Forwarded-For': '6.6.6.6', 'X-Forwarded-Proto': 'http, http'},
    {'Forwarded': 'for=6.6.6.6;proto=http'},
    {'Forwarded': 'for="'},
    {'X-Forwarded-For': '6.6.6.6', 'Forwarded': 'for=6.6.6.6', 'X-Forwarded-Host': 'evil', 'X-Real-IP': '6.6.6.6'},
])
def test_forged_headers_do_not_arrive(site, headers):
    found = site.who(**headers)
    assert (found['client'], found['scheme']) == (CLIENT, 'https')
    assert 'Forwarded' not in found['names']


def test_who_passes_by_the_proxy_is_not_believed(site):
    if site.is_unix:
        assert not accepts(('127.0.0.1', site.paths.app_port))  # there is no way by
        return
    connection = http.client.HTTPConnection('127.0.0.1', site.paths.app_port, timeout=10, source_address=(CLIENT, 0))
    connection.request('GET', '/who', headers={'X-Forwarded-For': '6.6.6.6', 'X-Forwarded-Proto': 'https'})
    found = json.loads(connection.getresponse().read())
    connection.close()
    assert (found['client'], found['scheme']) == (CLIENT, 'http')


def test_what_is_not_encrypted_is_redirected(site):
    connection = http.client.HTTPConnection('127.0.0.1', site.paths.http_port, timeout=10)
    connection.request('GET', '/who?a=b', headers={'Host': 'localhost'})
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.status in (301, 308)
    location = response.getheader('Location')
    assert location.startswith('https://localhost') and location.endswith('/who?a=b')


def test_the_proxy_keeps_its_connections(site):
    connections = {site.who()['connection'] for _ in range(20)}
    assert len(connections) < 4  # each client's is new


def test_the_application_is_the_more_patient_one(site):
    seconds = int(re.search(r'app\.keep_alive_timeout = (\d+)', find_tested('application'))[1])
    for name in 'nginx', 'nginx over a UNIX socket', 'Caddy':
        assert int(re.search(r'keepalive(?:_timeout)? (\d+)s', find_tested(name))[1]) < seconds


@pytest.mark.parametrize('is_chunked', [False, True])
def test_a_large_upload(site, is_chunked):
    data = os.urandom(1 << 20) * 9
    body = (data[i:i + 100_000] for i in range(0, len(data), 100_000)) if is_chunked else data
    status, answer = site.ask('POST', '/upload', body)
    assert status == 200, answer
    assert json.loads(answer) == {'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}


def test_an_upload_over_the_limit(site):
    """A client that listens while it sends is told early."""
    left = (10 << 20) + 1
    answer = b''
    with socket.create_connection(('127.0.0.1', site.paths.https_port)) as raw, \
            site.tls.wrap_socket(raw, server_hostname='localhost') as connection:
        connection.sendall(b'POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % left)
        while not answer and left > 100_000:
            connection.settimeout(0.05)
            with suppress(TimeoutError):
                answer = connection.recv(1000)
                break
            connection.settimeout(20)
            connection.sendall(bytes(50_000))  # Caddy is not able to answer while it waits for more
            left -= 50_000
    assert b' 413 ' in answer
    assert site.who()['client'] == CLIENT


@pytest.mark.parametrize('query', ['', '?chunked'])
def test_a_large_response(site, query):
    status, body = site.ask('GET', '/download' + query)
    assert status == 200
    assert len(body) == len(PIECE) * PIECES
    assert hashlib.sha256(body).digest() == hashlib.sha256(PIECE * PIECES).digest()


def test_a_client_that_leaves_a_large_response(site):
    for _ in range(5):
        connection = site.connect()
        connection.request('GET', '/download')
        assert len(connection.getresponse().read(100_000)) == 100_000
        connection.close()
    assert site.who()['client'] == CLIENT


def test_a_stream_arrives_part_by_part(site):
    connection = site.connect()
    connection.request('GET', '/stream')
    response = connection.getresponse()
    assert response.readline() == b'first\n'
    assert site.ask('POST', '/go')[0] == 204  # and only then the application goes on
    assert response.read() == b'second\n'
    connection.close()


def test_several_requests_on_a_connection(site):
    connection = site.connect()
    for _ in range(10):
        connection.request('POST', '/upload', b'x' * 1000)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())['size']) == (200, 1000)
        connection.request('HEAD', '/download')
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, b'')
        assert response.getheader('Content-Length') == str(len(PIECE) * PIECES)
    connection.close()


def test_restart_of_the_application(site):
    """What had begun is completed, and the proxy finds its way to the new process."""
    site.who()
    connection = site.connect()
    connection.request('GET', '/slow')
    assert site.ask('GET', '/started')[0] == 204
    assert site.app.stop() == 0
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b'done')
    connection.close()
    assert site.ask('GET', '/who')[0] == 502  # of the proxy
    site.app = start_app(site.paths, site.is_unix)
    assert site.who()['client'] == CLIENT
