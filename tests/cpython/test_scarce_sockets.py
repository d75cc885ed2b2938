"""A board with five sockets in all (ESP8266, W5500): one listens, four are connections. A sixth cannot be opened.

Contract: spec/wire.md, "Connections": while the cap is reached no connection is kept alive, a new client waits in the
backlog, and the oldest idle connection, or one that has not sent its header yet, is closed to make room.

"""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from browser import poll, start_chromium
from selenium.webdriver.common.by import By
from server_process import free_port, read_all

from run_small import make_package

pytestmark = pytest.mark.once  # boards do not see the version of CPython

HERE = Path(__file__).parent
MICROPYTHON = Path(sys.executable).parent / 'micropython'
HEAP = 256  # KB, with objects of 64 bits
CONNECTIONS = 4
#: What a page shows that has all of its resources. Scripts that are deferred run in this order.
COMPLETE = '5 images, a,b,c,data, rgb(1, 2, 3)'
#: Seconds in which anybody is answered, whatever others do: less than the 10 that a header may take.
PATIENCE = 6
HELLO = b'GET /hello HTTP/1.1\r\nHost: a\r\n'
UPGRADE = (b'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
           b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
WARM_UP = ['/', '/live', '/style.css', '/script/a', '/image/1', '/stream/5', '/data', '/hello', '/heap', '/events',
           '/missing']


class Board:
    """The application in a process that can open no more than four sockets beside the one that listens."""

    def __init__(self, package, folder):
        self.port = free_port()
        self.url = 'http://127.0.0.1:%d' % self.port
        self.log = folder / 'log'
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(
                [MICROPYTHON, '-X', f'heapsize={HEAP}K', HERE / 'scarce_app.py', package, str(self.port)],
                env={**os.environ, 'MICROPYPATH': '.frozen'}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        poll(self.is_listening)
        self.warm_up()
        self.at_rest = self.descriptors_at_rest()
        most = self.at_rest + CONNECTIONS
        assert sorted(self.descriptors()) == list(range(self.at_rest))  # else the limit would be another one
        resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (most, most))

    def is_listening(self):
        assert self.process.poll() is None, self.output()
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    def warm_up(self):
        """Ask for everything once: what is imported at its first use needs a descriptor, which no board does."""
        for data in [*[b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' % path.encode() for path in WARM_UP], UPGRADE,
                     b'GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n',
                     b'POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n']:
            with self.connect(data) as connection:
                assert connection.recv(4096)

    def descriptors(self):
        return [int(name) for name in os.listdir(f'/proc/{self.process.pid}/fd')]

    def descriptors_at_rest(self):
        """Count the descriptors when nothing comes and goes any more."""
        counts = []
        while len(counts) < 20 or len(set(counts[-20:])) > 1:
            counts.append(len(self.descriptors()))
            time.sleep(0.05)
        return counts[-1]

    def output(self):
        return self.log.read_text()

    def connect(self, data=b''):
        connection = socket.create_connection(('127.0.0.1', self.port), timeout=20)
        connection.sendall(data)
        return connection

    def ask(self, path='/hello'):
        """Ask as a client that comes new. Returns the body and the seconds that it took."""
        begin = time.monotonic()
        with urllib.request.urlopen(self.url + path, timeout=20) as response:
            return response.read(), time.monotonic() - begin

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp('package')
    make_package(folder / 'microdot', '.mpy')
    return folder


@pytest.fixture(scope='module')
def browsers(tmp_path_factory):
    """Two browsers that know nothing of each other."""
    with ExitStack() as stack:
        drivers = []
        for _ in range(2):
            drivers.append(start_chromium(tmp_path_factory.mktemp('profile')))
            stack.callback(drivers[-1].quit)
        yield drivers


@pytest.fixture
def board(package, tmp_path, browsers):
    board = Board(package, tmp_path)
    yield board
    for driver in browsers:
        driver.get('about:blank')
    try:
        assert board.process.poll() is None, board.output()
        poll(lambda: len(board.descriptors()) == board.at_rest)  # nothing is left behind
        assert board.ask()[0] == b'hello'
    finally:
        board.stop()
    assert 'Traceback' not in re.sub(r'Traceback.*\n.*\nKeyboardInterrupt', '', board.output()), board.output()


def check_page(driver):
    """Wait until a page is complete, and check what it has got."""
    def state():
        return driver.find_element(By.ID, 'state').text

    poll(lambda: state() != 'loading', 60)
    assert state() == COMPLETE
    statuses = driver.execute_script(
        'return performance.getEntriesByType("resource").map(entry => [entry.name, entry.responseStatus])')
    assert len(statuses) >= 10
    assert all([status == 200 for name, status in statuses if '/events' not in name]), statuses


def check_answered(board, count=5):
    """Check that a client that comes new is answered soon, again and again."""
    for _ in range(count):
        body, seconds = board.ask()
        assert body == b'hello' and seconds < PATIENCE, seconds


# A browser

def test_a_page_and_all_of_its_resources(board, browsers):
    driver = browsers[0]
    driver.get(board.url)
    check_page(driver)
    for _ in range(3):
        driver.refresh()
        check_page(driver)


def test_two_browsers_and_somebody_else(board, browsers):
    def visit(driver):
        for _ in range(3):
            driver.get(board.url)
            check_page(driver)

    with ThreadPoolExecutor(2) as pool:
        visits = [pool.submit(visit, driver) for driver in browsers]
        while not all([visit.done() for visit in visits]):
            check_answered(board, 1)
        for visit in visits:
            visit.result()


def test_what_a_browser_holds_locks_nobody_out(board, browsers):
    """Chromium opens six connections, and keeps those that are idle."""
    for driver in browsers:
        driver.get(board.url)
        check_page(driver)
        check_answered(board)
    check_page(browsers[0])


def test_streams_stay_open_beside_all_else(board, browsers):
    """Of four connections a page keeps two: a WebSocket and a stream of events."""
    driver = browsers[0]
    driver.get(board.url + '/live')
    check_page(driver)
    poll(lambda: driver.execute_script('return messages') == ['hello'])
    before = int(poll(lambda: driver.find_element(By.ID, 'live').text))
    browsers[1].get(board.url)
    check_page(browsers[1])
    check_answered(board)
    poll(lambda: int(driver.find_element(By.ID, 'live').text) > before + 5)
    driver.execute_script('ws.send("again")')
    poll(lambda: driver.execute_script('return messages') == ['hello', 'again'])
    assert driver.execute_script('return failed') == []
    driver.refresh()
    check_page(driver)
    poll(lambda: driver.execute_script('return messages') == ['hello'])


# Without a browser

def test_silent_connections_lock_nobody_out(board):
    """As a browser opens them in advance; they are more than there are sockets."""
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(board.connect())) for _ in range(6)]
        check_answered(board)
        # those that were not closed to make room are answered when they ask at last
        answered = 0
        for connection in silent:
            try:
                connection.sendall(HELLO + b'Connection: close\r\n\r\n')
                answered += read_all(connection).endswith(b'hello')
            except OSError:
                pass
        check_answered(board)


def test_idle_connections_lock_nobody_out(board):
    with ExitStack() as stack:
        for _ in range(6):
            connection = stack.enter_context(closing(board.connect(HELLO + b'\r\n')))
            assert connection.recv(4096).endswith(b'hello')
        check_answered(board)


def test_half_headers_lock_nobody_out(board):
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(closing(board.connect(HELLO)))
        check_answered(board)
        for _ in range(8):
            stack.enter_context(closing(board.connect(b'G')))
        check_answered(board)


def test_half_headers_again_and_again(board, browsers):
    """An attacker that opens a new connection for each that is closed; a page loads all the same."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        is_over = False

        def attack():
            while not is_over:
                stack.enter_context(closing(board.connect(HELLO)))
                time.sleep(0.2)

        attacker = pool.submit(attack)
        try:
            check_answered(board)
            browsers[0].get(board.url)
            check_page(browsers[0])
        finally:
            is_over = True
        attacker.result()


def test_nothing_is_kept_alive_while_somebody_waits(board):
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(board.connect(b'GET /events HTTP/1.1\r\nHost: a\r\n\r\n')))
                   for _ in range(CONNECTIONS - 1)]
        for stream in streams:
            assert stream.recv(15) == b'HTTP/1.1 200 OK'
        with board.connect(b'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n') as last, board.connect(HELLO + b'\r\n') as waiting:
            data = read_all(last)  # up to its end, which the server makes
            assert data.startswith(b'HTTP/1.1 200 OK\r\n') and b'\r\nConnection: close\r\n' in data, data
            assert waiting.recv(4096).endswith(b'hello')


def test_who_waits_is_served_when_a_stream_has_ended(board):
    """All four connections are busy: nobody can make room, and a new client waits in the backlog."""
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(board.connect(b'GET /events HTTP/1.1\r\nHost: a\r\n\r\n')))
                   for _ in range(CONNECTIONS)]
        for stream in streams:
            assert stream.recv(15) == b'HTTP/1.1 200 OK'
        with board.connect(HELLO + b'Connection: close\r\n\r\n') as waiting:
            waiting.settimeout(0.5)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            waiting.settimeout(20)
            streams[0].close()
            assert read_all(waiting).endswith(b'hello')
        for stream in streams[1:]:
            assert stream.recv(1)  # they go on


def test_a_crowd_is_served_in_turn(board):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: board.ask('/image/%d' % i), range(60)))
    assert all([body.endswith(b'</svg>') for body, _ in answers])


def test_the_heap_is_what_it_was(board):
    def used():
        return int(board.ask('/heap')[0].split(b'"used": ')[1].split(b',')[0].rstrip(b'}'))

    def disturb():
        test_half_headers_lock_nobody_out(board)
        test_idle_connections_lock_nobody_out(board)
        test_a_crowd_is_served_in_turn(board)
        poll(lambda: len(board.descriptors()) == board.at_rest)

    disturb()  # what grows with the number of connections has grown
    before = used()
    for _ in range(2):
        disturb()
    assert used() < before + 2048
