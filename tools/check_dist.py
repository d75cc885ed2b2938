"""Check the wheel and the source archive in a folder: what is in them, and whether each works once it is installed."""
import http.client
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'src' / 'microdot'
#: What cannot be imported without an engine that is no dependency of the package, and what the error has to name.
ENGINES = {'jinja': 'pip install', 'utemplate_loader': 'needs utemplate'}
#: A sample of the tests, for the source archive: that all of them are in it is known from the list of its files.
SAMPLE = ['tests/test_containers.py', 'tests/test_request.py']
SERVE = """
import sys
from microdot import Microdot
app = Microdot()
app.get('/')(lambda request: 'Hello, world!')
app.run(host='127.0.0.1', port=int(sys.argv[1]))
"""


def expect(condition: object, message: str) -> None:
    if not condition:
        sys.exit(message)


def only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    expect(len(found) == 1, f'there should be one {pattern} in {folder}, there are {len(found)}')
    return found[0]


def git_files(*patterns: str) -> set[str]:
    """Return the files that git knows, and those that it does not ignore."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split('\0')
    return {name for name in names if name and (ROOT / name).exists()}


def compare(what: str, found: set[str], expected: set[str]) -> None:
    expect(found == expected, f'{what}: missing {sorted(expected - found)}, too many {sorted(found - expected)}')


def check_wheel_files(wheel: Path) -> None:
    """Nothing but the package: no tests, no examples, no tools."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if '.dist-info/' not in name}
    compare('wheel', names, {name.removeprefix('src/') for name in git_files('src/microdot')})
    expect('microdot/py.typed' in names, 'the wheel has no py.typed')


def check_sdist_files(sdist: Path) -> None:
    """Everything that git has, so that "make test" is the same in the archive as in the repository."""
    with tarfile.open(sdist) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    compare('sdist', names - {'PKG-INFO'}, git_files())


def run(folder: Path, *command: 'str | Path') -> str:
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect(result.returncode == 0, f'{" ".join(map(str, command))}\n{result.stdout}')
    return result.stdout


def install(folder: Path, requirement: str) -> Path:
    """Install into a new virtual environment, return its interpreter."""
    run(folder, sys.executable, '-m', 'venv', '--without-pip', folder / 'venv')
    python = folder / 'venv' / 'bin' / 'python'
    # the environment that this runs in lends its pip
    run(folder, sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--disable-pip-version-check',
        requirement)
    return python


def check_imports(python: Path, folder: Path, engines: dict[str, str]) -> None:
    """Import each module in an interpreter of its own, as it would be the first one."""
    for source in sorted(PACKAGE.glob('*.py')):
        owner = source.stem.removeprefix('cpython_')  # of cpython_websocket, which nobody else imports
        code = f'import microdot.{owner}, microdot.{source.stem}'
        command: 'list[str | Path]' = [python, '-I', '-W', 'error', '-c', code]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if source.stem in engines:
            expect(result.returncode and engines[source.stem] in result.stderr, f'{source.stem}: {result.stderr}')
        else:
            expect(result.returncode == 0, f'{source.stem}: {result.stderr}')


def check_place(python: Path, folder: Path) -> None:
    """What is imported is what was installed, and its types are declared."""
    place = run(folder, python, '-I', '-c', 'import microdot; print(microdot.__file__)').strip()
    expect(Path(place).is_relative_to(folder), f'not the package that was installed: {place}')
    expect(Path(place).with_name('py.typed').exists(), 'py.typed was not installed')


def check_answer(python: Path, folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([python, '-I', '-c', SERVE, str(port)], cwd=folder) as server:
        try:
            expect(fetch(server, port) == b'Hello, world!', 'hello does not answer')
        finally:
            server.terminate()


def fetch(server: 'subprocess.Popen[bytes]', port: int) -> bytes:
    for _ in range(1000):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        try:
            connection.request('GET', '/')
            return connection.getresponse().read()
        except ConnectionRefusedError:
            expect(server.poll() is None, 'the server of the hello example ended')
            time.sleep(0.01)
        finally:
            connection.close()
    return b''


def check_installed(archive: Path, extra: str, engines: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        python = install(folder, str(archive) + extra)
        check_place(python, folder)
        check_imports(python, folder, engines)
        check_answer(python, folder)


def check_tests(sdist: Path) -> None:
    """Some of the tests of the archive pass, with the package of the archive."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder)
        home = next(Path(folder).iterdir())
        code = 'import sys, pytest; sys.path.insert(0, "src"); sys.exit(pytest.main(sys.argv[1:]))'
        run(home, sys.executable, '-c', code, '-q', '-p', 'no:cacheprovider', *SAMPLE)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    wheel, sdist = only(folder, '*.whl'), only(folder, '*.tar.gz')
    check_wheel_files(wheel)
    check_sdist_files(sdist)
    check_installed(wheel, '[jinja]', {'utemplate_loader': ENGINES['utemplate_loader']})
    check_installed(sdist, '', ENGINES)
    check_tests(sdist)
    print(f'{wheel.name} and {sdist.name} can be installed and work.')


if __name__ == '__main__':
    main()
