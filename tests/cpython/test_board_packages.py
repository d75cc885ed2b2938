"""What mip installs: each package of the repository and of the compiled release, from a server, and then at work."""
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from server_process import free_port

import board_packages
from board_modules import BIN, CPYTHON_ONLY, EXTENSIONS, PACKAGE, ROOT, direct_needs, needs, portable_modules

pytestmark = pytest.mark.once  # boards do not see the version of CPython

HERE = Path(__file__).parent
HELLO = ROOT / 'examples' / 'hello'
ENGINES = ROOT / 'tests' / 'engines'  # the engine of microdot.utemplate, which is none of ours
PACKAGES = ['package', 'core', *EXTENSIONS]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@contextmanager
def serving(folder):
    """Serve a folder on the loopback address; gives its URL."""
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope='module')
def repository():
    with serving(ROOT) as url:
        yield url


@pytest.fixture(scope='module')
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp('release')
    board_packages.build_mpy(folder)
    with serving(folder) as url:
        yield url


@pytest.fixture(params=['.py', '.mpy'])
def suffix(request):
    return request.param


@pytest.fixture
def address(suffix, repository, release):
    """Give a function that returns the URL of a package."""
    def find(name):
        if suffix == '.mpy':
            return f'{release}/{board_packages.mpy_version()}/{name}.json'
        return f'{repository}/{name}.json' if name == 'package' else f'{repository}/src/{name}.json'
    return find


def on_board(path, *command, **options):
    """Start MicroPython, which finds modules in these places and nowhere else."""
    environment = {**os.environ, 'MICROPYPATH': ':'.join(['.frozen', *map(str, path)])}
    return subprocess.Popen([BIN / 'micropython', *map(str, command)], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def micropython(path, *command):
    process = on_board(path, *command)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def install(url, target):
    assert micropython([], '-m', 'mip', 'install', '--target', target, url).endswith('Done\n')


@contextmanager
def running(path, program, *arguments):
    """Run a program that serves; gives a connection to it and a list that holds what it printed, once it has ended."""
    port = free_port()
    process = on_board(path, program, port, *arguments)
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    printed = []
    try:
        connect(connection, process)
        yield connection, printed
    finally:
        connection.close()
        process.terminate()
        printed += process.communicate(timeout=10)[0].splitlines()


def connect(connection, process):
    for _ in range(1000):
        try:
            return connection.connect()
        except ConnectionRefusedError:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
    raise AssertionError('it does not listen')


def ask(connection, method, target, body=None, headers=None, encode_chunked=False):
    connection.request(method, target, body, headers or {}, encode_chunked=encode_chunked)
    response = connection.getresponse()
    return response.status, response.read(), response


def installed_files(target):
    return sorted(str(path.relative_to(target)) for path in target.rglob('*') if path.is_file())


def modules_of(name):
    if name == 'package':
        return portable_modules()
    return needs() if name == 'core' else needs(name)


@pytest.mark.parametrize('name', PACKAGES)
def test_mip_installs_what_is_enough(name, suffix, address, tmp_path):
    target = tmp_path / 'lib'
    install(address(name), target)
    assert installed_files(target) == sorted(f'microdot/{module}{suffix}' for module in modules_of(name))

    imported = [name] if name in EXTENSIONS else EXTENSIONS if name == 'package' else []
    engines = [ENGINES] if 'utemplate' in imported else []
    with running([target, HELLO, *engines], HERE / 'board_installed.py', *imported) as (connection, printed):
        assert ask(connection, 'GET', '/')[:2] == (200, b'Hello, world!')
    assert printed[0] == str(target / 'microdot' / f'microdot{suffix}')


def test_a_folder_is_enough_of_an_address(repository, release, tmp_path):
    install(repository, tmp_path / 'source')
    install(f'{release}/{board_packages.mpy_version()}/', tmp_path / 'compiled')
    assert len(installed_files(tmp_path / 'source')) == len(installed_files(tmp_path / 'compiled'))
    assert len(installed_files(tmp_path / 'source')) == len(portable_modules())


@pytest.mark.parametrize('name, path', [('github:owner/microdot', 'package.json'),
                                        ('github:owner/microdot/src/core.json', 'src/core.json')])
def test_mip_installs_from_a_repository(name, path, repository, tmp_path):
    # The hosts of repositories are out of reach here. So what mip makes of the short form is redirected, and printed.
    program = tmp_path / 'install.py'
    program.write_text(f"""
import mip
rewrite = mip._rewrite_url
def redirect(url, branch=None):
    url = rewrite(url, branch)
    print('asked for', url)
    host = 'https://raw.githubusercontent.com/owner/microdot/v3/'
    assert url.startswith(host) and '..' not in url, url
    return {repository!r} + '/' + url[len(host):]
mip._rewrite_url = redirect
mip.install({name!r}, target={str(tmp_path / 'lib')!r}, version='v3')
""")
    output = micropython([], program)
    assert re.findall('asked for (.*)', output)[0].endswith('/v3/' + path)
    expected = portable_modules() if path == 'package.json' else needs()
    assert installed_files(tmp_path / 'lib') == sorted(f'microdot/{module}.py' for module in expected)


def test_the_core_alone_does_all_that_it_promises(address, tmp_path):
    target = tmp_path / 'lib'
    install(address('core'), target)
    (tmp_path / 'page.txt').write_text('a page')
    with running([target], HERE / 'board_core_app.py', tmp_path / 'page.txt') as (connection, printed):
        form = {'Content-Type': 'application/x-www-form-urlencoded'}
        assert ask(connection, 'POST', '/form?b=%C3%A9', b'a=x+y', form)[1] == 'x yé'.encode()
        assert ask(connection, 'POST', '/json', b'{"a": [1]}', {'Content-Type': 'application/json'})[1] == b'{"a": [1]}'
        assert ask(connection, 'POST', '/body', iter([b'abc', b'de']), encode_chunked=True)[:2] == (200, b'5')
        assert ask(connection, 'POST', '/body', b'x' * 5000)[1] == b'5000'
        assert json.loads(ask(connection, 'GET', '/users/7')[1]) == {'number': 7}
        assert ask(connection, 'GET', '/users/x')[:2] == (404, b'nothing')
        assert ask(connection, 'GET', '/file')[1] == b'a page'
        assert ask(connection, 'GET', '/stream')[1] == b'ab'
        assert ask(connection, 'GET', '/abort')[:2] == (418, b'teapot')
        assert ask(connection, 'OPTIONS', '/form')[2].headers['Allow']
        assert ask(connection, 'HEAD', '/file')[:2] == (200, b'')
        status, _, response = ask(connection, 'GET', '/redirect')
        assert (status, response.headers['Location'], response.headers['X-Marked']) == (302, '/form', 'yes')
        _, body, response = ask(connection, 'GET', '/cookie', headers={'Cookie': 'a=b; seen=no'})
        assert body == b'no'
        assert response.headers.get_all('Set-Cookie')[0].startswith('seen=yes;')
    assert printed == []


def test_descriptions_in_the_repository_are_up_to_date():
    assert board_packages.stale() == []


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A repository whose descriptions may be spoiled."""
    monkeypatch.setattr(board_packages, 'ROOT', tmp_path)
    (tmp_path / 'src').mkdir()
    board_packages.write()
    assert board_packages.check() == 0
    return tmp_path


def test_check_finds_what_has_changed_is_missing_or_left_over(copy, capsys):
    (copy / 'package.json').write_text('{}')
    (copy / 'src' / 'core.json').unlink()
    (copy / 'src' / 'gone.json').write_text('{}')
    assert board_packages.check() == 1
    assert 'Not up to date: package.json src/core.json src/gone.json' in capsys.readouterr().out
    board_packages.write()
    assert board_packages.check() == 0


def test_check_finds_a_module_that_no_package_has(copy, monkeypatch, capsys):
    monkeypatch.setattr(board_packages, 'portable_modules', lambda: [*portable_modules(), 'forgotten'])
    assert board_packages.check() == 1
    assert capsys.readouterr().out.startswith('In no package, since nothing imports it: forgotten\n')


def test_a_description_has_the_format_of_mip():
    description = json.loads((ROOT / 'package.json').read_text())
    assert description['version'] == board_packages.read_version()
    assert (description['v'], description['deps']) == (1, [])
    assert ['microdot/microdot.py', 'src/microdot/microdot.py'] in description['urls']
    assert all((ROOT / url).is_file() for _, url in description['urls'])


def test_no_package_has_what_is_for_cpython_alone():
    assert all((PACKAGE / name).is_file() for name in CPYTHON_ONLY)  # the list has nothing that is gone
    cpython_only = {Path(name).stem for name in CPYTHON_ONLY}
    assert all(cpython_only.isdisjoint(modules_of(name)) for name in PACKAGES)


@pytest.mark.parametrize('code, expected', [
    ('import microdot.sse', {'sse'}),
    ('from microdot import sse, Request', {'sse'}),
    ('from . import sse', {'sse'}),
    ('from .sse import with_sse', {'sse'}),
    ('from microdot.sse import with_sse', {'sse'}),
    ('def f():\n    from microdot.sse import with_sse', {'sse'}),
    ("def f():\n    return load('sse').with_sse", {'sse'}),
    ("load('mask'), load(name), self.load('sse'), load('no_such_module')", set()),
    ("PARTS = {'sse': ('a',), 'b': 'auth'}\nfor part in PARTS:\n    __import__('microdot.' + part)", {'auth', 'sse'}),
    ("PARTS = {'sse': ('a',)}\nfor part in PARTS:\n    __import__(part)", set()),
    ('if False:\n    import microdot.sse\nelse:\n    import microdot.auth', {'auth'}),
    ('try:\n    import microdot.sse\nexcept ImportError:\n    import microdot.auth', {'auth'}),
    ('try:\n    import microdot.sse\nexcept (OSError, ImportError):\n    pass', set()),
    ('try:\n    import microdot.sse\nexcept OSError:\n    pass', {'sse'}),
])
def test_needs_are_read_from_the_code(code, expected, tmp_path):
    source = tmp_path / 'module.py'
    source.write_text(code)
    assert direct_needs(source) == expected


def test_commands(tmp_path):
    def run(*arguments):
        return subprocess.run([sys.executable, ROOT / 'tools' / 'board_packages.py', *arguments], check=True,
                              capture_output=True, text=True).stdout
    assert run('--check') == 'The packages for mip are up to date.\n'
    release = tmp_path / board_packages.mpy_version()
    assert run('--mpy', tmp_path) == f'built {release}\n'
    assert (release / 'LICENSE').is_file()
    # the first byte of the file tells the format, the second its version
    assert (release / 'microdot' / 'microdot.mpy').read_bytes()[:2] == b'M' + bytes([int(release.name)])
