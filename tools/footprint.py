"""Measure what Microdot costs on MicroPython, and keep the ledger of it, FOOTPRINT.md.

``footprint.py`` rewrites the ledger (its notes are kept), ``footprint.py --check`` fails where the code and the ledger
have parted. ``--peer`` measures upstream's package too, which is installed from the package index for that.

"""
import argparse
import contextlib
import http.client
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from board_modules import BIN, CPYTHON_ONLY, PACKAGE, ROOT, compile_mpy, portable_sources

LEDGER = ROOT / 'FOOTPRINT.md'
PEER = 'microdot==2.7.0'

CLIENTS = 4
REQUESTS_PER_CLIENT = 5
CONNECTIONS = 4  # kept open to measure one; fewer than a board's cap on connections
HEAP_TOLERANCE = 0.02  # a heap moves a little with the length of paths and the build of the interpreter
SPEED_ROUNDS = 5

CORE_SIZE = '`microdot.mpy`, bytes'
IMPORT_HEAP = 'heap held after importing `microdot.mpy`, bytes'
MPY_HEAP = 'smallest heap that serves, from `.mpy`, KB'
SOURCE_HEAP = 'smallest heap that serves, from source, KB'
IDLE_HEAP = 'heap of the idle server, bytes'
CONNECTION_HEAP = 'heap of an idle connection, bytes'

#: Upstream's figures for the same, which are the goal.
BUDGETS = {
    CORE_SIZE: 11_404,
    IMPORT_HEAP: 26_112,
    MPY_HEAP: 64,
    SOURCE_HEAP: 160,
    IDLE_HEAP: 39_648,
    CONNECTION_HEAP: 1_228,
}

HOW = f"""\
- Sizes are those of `mpy-cross -O3`, which strips asserts and line numbers.
- The heap held after the import does not count the standard modules that the core imports.
- A heap serves when the hello example imports the core in it, and answers {CLIENTS * REQUESTS_PER_CLIENT} requests from
  {CLIENTS} clients at a time and a POST of 4 KB, three times out of three. A board with objects of 32 bits needs
  about half.
- The idle connection is kept alive after a request, or waiting for its first one where the server keeps none alive."""


class ServerFailed(Exception):
    pass


# Compiling and importing

def module_sizes() -> dict[str, int]:
    """Return the sizes of the modules that boards can use, by file name."""
    with tempfile.TemporaryDirectory() as folder:
        return {source.name: compile_mpy(source, Path(folder, 'module.mpy')) for source in portable_sources()}


def make_folder(core: Path, folder: Path, suffix: str) -> Path:
    """Fill a folder as one would a board: the core and the hello example, compiled or not."""
    folder.mkdir()
    for source in [core, ROOT / 'examples' / 'hello' / 'hello.py']:
        target = (folder / source.name).with_suffix(suffix)
        if suffix == '.mpy':
            compile_mpy(source, target)
        else:
            shutil.copy(source, target)
    shutil.copy(ROOT / 'tools' / 'footprint_server.py', folder)
    return folder


def micropython(folder: Path, code: str) -> str:
    result = subprocess.run([BIN / 'micropython', '-c', code], cwd=folder, env=environment(), check=True,
                            stdout=subprocess.PIPE, text=True)
    return result.stdout


def environment() -> dict[str, str]:
    return {**os.environ, 'MICROPYPATH': '.:.frozen'}


def import_heap(folder: Path) -> int:
    modules = micropython(folder, 'import sys, microdot\nfor name in sys.modules: print(name)').split()
    imports = '\n'.join(f'import {name}' for name in sorted(modules) if name not in ('microdot', '__main__'))
    return int(micropython(folder, f"""
import gc
{imports}
gc.collect()
before = gc.mem_alloc()
import microdot
gc.collect()
print(gc.mem_alloc() - before)
"""))


# Serving

class Server:
    """The hello example, served by MicroPython in a process of its own."""

    def __init__(self, folder: Path, heap: int, *options: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [BIN / 'micropython', '-X', f'heapsize={heap}K', 'footprint_server.py', str(self.port), *options],
            cwd=folder, env=environment(), bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self) -> 'Server':
        for _ in range(500):
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(('127.0.0.1', self.port)).close()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.__exit__()
        raise ServerFailed('it did not start')

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()

    def heap_in_use(self) -> int:
        """Ask a server that was started with the option "memory"."""
        time.sleep(0.2)  # for connections to be noticed
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(b'\n')
        return int(self.process.stdout.readline())

    def cpu_seconds(self) -> float:
        """CPU time so far, or not a number where there is no /proc."""
        try:
            stat = Path(f'/proc/{self.process.pid}/stat').read_text()
        except OSError:
            return float('nan')
        fields = stat.rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return int(sock.getsockname()[1])


def connect(server: Server, count: int) -> list[http.client.HTTPConnection]:
    connections = [http.client.HTTPConnection('127.0.0.1', server.port, timeout=3) for _ in range(count)]
    for connection in connections:
        connection.connect()
    return connections


def fetch(connection: http.client.HTTPConnection, method: str = 'GET', body: bytes = b'') -> bytes:
    connection.request(method, '/', body or None)
    response = connection.getresponse()
    if response.status != 200:
        raise ServerFailed(response.status)
    return response.read()


def fetch_in_turn(connection: http.client.HTTPConnection) -> list[bytes]:
    # a connection that the server has closed is opened again
    return [fetch(connection) for _ in range(REQUESTS_PER_CLIENT)]


def serves(folder: Path, heap: int) -> bool:
    try:
        with Server(folder, heap) as server, ThreadPoolExecutor(CLIENTS) as pool:
            connections = connect(server, CLIENTS)
            list(pool.map(fetch_in_turn, connections))
            return fetch(connections[0], 'POST', bytes(4096)) == b'4096'
    except (OSError, ServerFailed, http.client.HTTPException):
        return False


def smallest_heap(folder: Path) -> int:
    """The smallest heap in KB that serves, found by halving."""
    too_small, enough = 16, 512
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        if all(serves(folder, middle) for _ in range(3)):
            enough = middle
        else:
            too_small = middle
    return enough


def idle_heaps(folder: Path) -> tuple[int, int]:
    """The heap of a server without connections, and what one connection adds to it."""
    with Server(folder, 1024, 'memory') as server:
        idle = server.heap_in_use()
        for connection in idle_connections(server):  # so that what is made once is there
            connection.close()
        before = server.heap_in_use()
        connections = idle_connections(server)
        each = (server.heap_in_use() - before) // len(connections)
        for connection in connections:
            connection.close()
    return idle, each


def idle_connections(server: Server) -> list[http.client.HTTPConnection]:
    connections = connect(server, CONNECTIONS)
    for connection in connections:
        fetch(connection)
        if connection.sock is None:  # the server keeps no connection alive
            connection.connect()
    return connections


# Speed

class Load:
    """Clients that ask again as soon as they are answered, in one thread."""

    def __init__(self, port: int, keep_alive: bool) -> None:
        self.port = port
        self.keep_alive = keep_alive
        close = b'' if keep_alive else b'Connection: close\r\n'
        self.request = b'GET / HTTP/1.1\r\nHost: localhost\r\n' + close + b'\r\n'
        self.selector = selectors.DefaultSelector()
        self.answered = 0

    def run(self, seconds: float) -> float:
        """Return the answers per second."""
        for _ in range(CLIENTS):
            self.open()
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for key, _ in self.selector.select(1):
                self.on_readable(key)
        elapsed = time.perf_counter() - start
        for key in list(self.selector.get_map().values()):
            self.close(key)
        self.selector.close()
        return self.answered / elapsed

    def open(self) -> None:
        sock = socket.create_connection(('127.0.0.1', self.port))
        sock.send(self.request)
        self.selector.register(sock, selectors.EVENT_READ, bytearray())

    def close(self, key: selectors.SelectorKey) -> None:
        self.selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()

    def on_readable(self, key: selectors.SelectorKey) -> None:
        sock, received = key.fileobj, key.data
        assert isinstance(sock, socket.socket)
        data = sock.recv(65536)
        received += data
        # who answers in HTTP/1.0 keeps nothing alive
        goes_on = self.keep_alive and received.startswith(b'HTTP/1.1')
        if received.endswith(b'Hello, world!') and (goes_on or not data):
            self.answered += 1
            received.clear()
            if goes_on and data:
                sock.send(self.request)
        if not data:
            self.close(key)
            self.open()


def speed(folder: Path, keep_alive: bool) -> tuple[float, float]:
    """Requests per second and microseconds of CPU time per request."""
    with Server(folder, 1024) as server:
        before = server.cpu_seconds()
        load = Load(server.port, keep_alive)
        rate = load.run(seconds=1)
        return rate, (server.cpu_seconds() - before) / max(load.answered, 1) * 1e6


def speeds(folders: dict[str, Path]) -> list[list[str]]:
    """Rows of a table: the median of several rounds for each kind, interleaved."""
    kinds = [(who, how) for who in folders for how in ('keep-alive', 'close')]
    rounds = [[speed(folders[who], how == 'keep-alive') for who, how in kinds] for _ in range(SPEED_ROUNDS)]
    return [[who, how, *(f'{statistics.median(figures):,.0f}' for figures in zip(*results, strict=True))]
            for (who, how), results in zip(kinds, zip(*rounds, strict=True), strict=True)]


# Examples

#: The portable examples, and what is asked for: the first page, and what is typical.
EXAMPLES = {
    'hello/hello': ['/'],
    'auth/basic_auth': ['/temperature'],
    'auth/token_auth': ['/litres'],
    'cors/api': ['/temperature'],
    'cors/dashboard': ['/'],
    'csrf/attacker': ['/'],
    'csrf/greenhouse': ['/'],
    'gpio/main': ['/', '/api/pins'],
    'login/login': ['/login'],
    'mounting/valves': ['/'],
    'sessions/sessions': ['/'],
    'sse/counter': ['/', '/count'],
    'static/static': ['/', '/style.css'],
    'streaming/video': ['/', '/video'],
    'templates/utemplate/hello': ['/', '/temperatures'],
    'uploads/formdata': ['/', '/uploads'],
    'uploads/simple': ['/files/'],
    'weather/main': ['/', '/api/current', '/api/history'],
    'websocket/chat': ['/', '/chat'],
    'websocket/echo': ['/', '/echo'],
}
WEBSOCKETS = ('/chat', '/echo')
EXAMPLE_STEP = 2  # KB
EXAMPLE_LIMIT = 1040  # KB
HANDSHAKE = {'Upgrade': 'websocket', 'Connection': 'Upgrade', 'Sec-WebSocket-Version': '13',
             'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ=='}


def make_example(example: Path, folder: Path, port: int) -> None:
    """Fill a folder as one would a board: the package and the example compiled, its other files as they are."""
    (folder / 'microdot').mkdir(parents=True)
    for source in PACKAGE.glob('*.py'):
        if source.name not in CPYTHON_ONLY:
            compile_mpy(source, folder / 'microdot' / f'{source.stem}.mpy')
    shutil.copytree(example.parent, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns('*.py', '__pycache__'))
    if 'utemplate' in example.parts:
        shutil.copytree(ROOT / 'tests' / 'engines' / 'utemplate', folder / 'utemplate')
    for source in example.parent.glob('*.py'):
        copy = folder / source.name
        text = source.read_text().replace('run(debug', 'run(port=5000, debug')
        copy.write_text(re.sub('port=500[01]', f'port={port}', text))
        compile_mpy(copy, copy.with_suffix('.mpy'))
        copy.unlink()


def example_answers(example: Path, folder: Path, port: int, heap: int, paths: list[str]) -> bool:
    """Tell whether an example starts in this heap and answers, whatever it has saved before."""
    process = subprocess.Popen([BIN / 'micropython', '-X', f'heapsize={heap}K', '-m', example.name], cwd=folder,
                               env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        return wait_for_port(process, port) and all(is_answered(port, path) for path in paths)
    finally:
        process.kill()
        process.wait()


def wait_for_port(process: 'subprocess.Popen[bytes]', port: int) -> bool:
    for _ in range(500):
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', port)).close()
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return False


def is_answered(port: int, path: str) -> bool:
    """Tell whether a path is answered, with all of the body, or of a stream with the beginning."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=3)
    try:
        connection.request('GET', path, headers=HANDSHAKE if path in WEBSOCKETS else {})
        response = connection.getresponse()
        if response.status == 101:
            return True
        read = response.read1 if response.getheader('Content-Length') is None else response.read
        return response.status in (200, 401) and bool(read())
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def example_heap(name: str, paths: list[str]) -> int:
    """The smallest heap in KB in which an example answers, three times out of three, found by halving."""
    example = ROOT / 'examples' / name
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory, 'board')
        make_example(example, folder, port)
        too_small, enough = 16, EXAMPLE_LIMIT
        if not example_answers(example, folder, port, enough, paths):
            raise ServerFailed(name)
        while enough - too_small > EXAMPLE_STEP:
            middle = (too_small + enough) // 2
            if all(example_answers(example, folder, port, middle, paths) for _ in range(3)):
                enough = middle
            else:
                too_small = middle
    return enough


def example_rows() -> list[list[str]]:
    """Rows of a table: each example and its heap."""
    names = [name for name in EXAMPLES if (ROOT / 'examples' / f'{name}.py').exists()]
    return [[f'`{name}.py`', ', '.join(EXAMPLES[name]), str(example_heap(name, EXAMPLES[name]))] for name in names]


# The ledger

def measure(core: Path, mpy: Path, source: Path) -> dict[str, int]:
    """All figures of the first table, by their names."""
    figures = {CORE_SIZE: (mpy / 'microdot.mpy').stat().st_size, IMPORT_HEAP: import_heap(mpy)}
    figures[MPY_HEAP] = smallest_heap(mpy)
    figures[SOURCE_HEAP] = smallest_heap(source)
    figures[IDLE_HEAP], figures[CONNECTION_HEAP] = idle_heaps(mpy)
    return figures


def table(*rows: list[str]) -> str:
    """A table whose first row is its header; figures are aligned right."""
    rule = ['--:' if re.fullmatch('[0-9,]+', cell) else '---' for cell in rows[-1]]
    return ''.join('| ' + ' | '.join(row) + ' |\n' for row in [rows[0], rule, *rows[1:]])


def verdict(measured: int, budget: int) -> str:
    return 'within' if measured <= budget else f'over by {measured - budget:,} ({measured / budget:.2f} times)'


def read_figures(ledger: str) -> dict[str, int]:
    """The name (first cell) and measured figure (second cell) of each row of the ledger's tables."""
    rows = re.findall(r'^\| ([^|]+) \| ([0-9,]+) \|', ledger, re.MULTILINE)
    return {name: int(figure.replace(',', '')) for name, figure in rows}


def read_notes() -> str:
    ledger = LEDGER.read_text() if LEDGER.exists() else ''
    return ledger.partition('\n## Notes\n')[2] or '\nNone.\n'


def render_budgets(all_figures: list[dict[str, int]]) -> str:
    """The table of budgets: our figures, and perhaps upstream's."""
    figures = all_figures[0]
    header = ['what', 'measured', 'budget', 'verdict', 'upstream now'][:3 + len(all_figures)]
    return table(header, *([name, f'{figures[name]:,}', f'{budget:,}', verdict(figures[name], budget),
                            *(f'{other[name]:,}' for other in all_figures[1:])]
                           for name, budget in BUDGETS.items()))


def render(all_figures: list[dict[str, int]], speed_rows: list[list[str]]) -> str:
    version = micropython(ROOT, 'import sys; print(*sys.implementation[1])').strip().replace(' ', '.', 2)
    sizes = [[name, f'{size:,}'] for name, size in module_sizes().items()]
    return f"""\
# Footprint

What Microdot costs on MicroPython, measured with MicroPython {version}, the unix port with objects of 64 bits.
`make footprint` writes this file and keeps the notes at its end; `make check` fails when sizes or heaps have moved.
A change that moves them says in its commit why.

{render_budgets(all_figures)}
{HOW}

## Modules

{table(['module', 'bytes of `.mpy`'], *sizes)}
## Examples

The smallest heap in which each portable example starts and answers, from `.mpy` (its modules and the package), in steps
of {EXAMPLE_STEP} KB, one client at a time. Boards with objects of 32 bits need about half.

{table(['example', 'asked for', 'KB of heap'], *example_rows())}
## Speed

The hello example on MicroPython, {CLIENTS} connections, medians of {SPEED_ROUNDS} rounds.
It depends on the machine and is not checked.

{table(['server', 'connections', 'requests per second', 'CPU microseconds per request'], *speed_rows)}
## Notes
{read_notes()}"""


@contextlib.contextmanager
def folders_for(core: Path) -> 'Iterator[tuple[Path, Path]]':
    with tempfile.TemporaryDirectory() as folder:
        yield make_folder(core, Path(folder, 'mpy'), '.mpy'), make_folder(core, Path(folder, 'source'), '.py')


def install_peer(folder: str) -> Path:
    pip_install = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    subprocess.run([*pip_install, '--target', folder, PEER], check=True)
    return Path(folder, 'microdot', 'microdot.py')


def write_ledger(with_peer: bool) -> None:
    with contextlib.ExitStack() as stack:
        cores = {'Microdot': PACKAGE / 'microdot.py'}
        if with_peer:
            cores['upstream'] = install_peer(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = {who: stack.enter_context(folders_for(core)) for who, core in cores.items()}
        figures = [measure(cores[who], *folders[who]) for who in cores]
        speed_rows = speeds({who: mpy for who, (mpy, _) in folders.items()})
    LEDGER.write_text(render(figures, speed_rows))
    print(LEDGER.read_text())


def find_differences() -> 'Iterator[str]':
    """Yield a line for each figure of the ledger that is not true any more."""
    ledger = read_figures(LEDGER.read_text())
    sizes = module_sizes()
    recorded = {name: figure for name, figure in ledger.items() if name.endswith('.py')}
    for name in sorted(sizes.keys() | recorded.keys()):
        if sizes.get(name) != recorded.get(name):
            yield f'{name}: {sizes.get(name)} bytes, the ledger says {recorded.get(name)}'
    with folders_for(PACKAGE / 'microdot.py') as (mpy, source):
        heap = import_heap(mpy)
        if abs(heap - ledger[IMPORT_HEAP]) > HEAP_TOLERANCE * ledger[IMPORT_HEAP]:
            yield f'{IMPORT_HEAP}: {heap}, the ledger says {ledger[IMPORT_HEAP]}'
        for name, folder in [(MPY_HEAP, mpy), (SOURCE_HEAP, source)]:
            # a heap at the very edge may fail by the order of events; one that is too small always fails
            if not any(serves(folder, ledger[name]) for _ in range(5)):
                yield f'{name}: {ledger[name]} as in the ledger is not enough'


def check_ledger() -> int:
    if not LEDGER.exists():
        print('FOOTPRINT.md is missing: run "make footprint"')
        return 1
    differences = list(find_differences())
    for difference in differences:
        print(difference)
    if differences:
        print('The footprint has changed: run "make footprint", and say in the commit why.')
        return 1
    print('FOOTPRINT.md is up to date.')
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description='Measure what Microdot costs on MicroPython.')
    parser.add_argument('--check', action='store_true', help='compare with FOOTPRINT.md instead of writing it')
    parser.add_argument('--peer', action='store_true', help=f'measure {PEER} too')
    arguments = parser.parse_args()
    if arguments.check:
        return check_ledger()
    write_ledger(arguments.peer)
    return 0


if __name__ == '__main__':
    sys.exit(main())
