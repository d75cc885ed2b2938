"""Microdot.run() on CPython: event loops, kinds of sockets, workers, signals. Over real processes."""
import errno
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_process import free_port, read_all

from microdot import Microdot
from microdot.sockets import close_sockets, open_sockets
from microdot.workers import choose_loop, run_app

HERE = Path(__file__).parent
LOOPS = ['asyncio', 'uvloop'] if importlib.util.find_spec('uvloop') else ['asyncio']
LAUNCHER = '''
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
'''


def get(address, path='/'):
    """Return the response, b'' if there was none. Who is neither answered nor refused fails the test."""
    try:
        with connect(address, path) as connection:
            return read_all(connection)
    except TimeoutError:
        raise
    except OSError:
        return b''


def connect(address, path='/'):
    connection = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connection.settimeout(10)
    try:
        connection.connect(address)
        connection.sendall(b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % path.encode())
    except OSError:
        connection.close()
        raise
    return connection


def body(response):
    return response.partition(b'\r\n\r\n')[2].decode()


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


class Service:
    """workers_app.py as a process group of its own."""

    def __init__(self, *, is_awaited=True, launcher=(), pass_fds=(), stdin=subprocess.DEVNULL, **settings):
        self.workers = settings.get('workers', 1)
        self.address = settings.get('host', '127.0.0.1')
        if '/' not in self.address:
            self.address = '127.0.0.1', settings.setdefault('port', free_port())
        settings.setdefault('host', '127.0.0.1')
        path = os.pathsep.join([str(HERE.parent.parent / 'src'), os.environ.get('PYTHONPATH', '')])
        self.process = subprocess.Popen(
            [sys.executable, *launcher, str(HERE / 'workers_app.py'), json.dumps(settings)],
            env={**os.environ, 'PYTHONPATH': path}, stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, pass_fds=pass_fds, start_new_session=True)
        if is_awaited:
            wait_until(lambda: get(self.address) or self.process.poll() is not None)

    def pids(self):
        """Return the process ids of the workers, found by asking until each one has answered."""
        found = set()

        def ask():
            answer = body(get(self.address))
            if answer:
                found.add(int(answer))
            return len(found) == self.workers
        wait_until(ask)
        return found

    def signal(self, signum):
        self.process.send_signal(signum)

    def signal_group(self, signum):
        os.killpg(self.process.pid, signum)

    def end(self):
        """Wait for the end. Returns the exit status and the output."""
        output, _ = self.process.communicate(timeout=15)
        return self.process.returncode, output.decode()

    def output_of_good_end(self):
        status, output = self.end()
        assert status == 0, output
        assert output.startswith('begun\n'), output
        assert output.endswith('returned\n'), output
        assert output.count('begun') == output.count('returned') == 1
        assert 'Traceback' not in output
        return output


@contextmanager
def running(**settings):
    service = Service(**settings)
    try:
        yield service
    finally:
        try:
            service.signal_group(signal.SIGKILL)
        except ProcessLookupError:
            pass
        service.process.communicate()


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


class Load:
    """Fresh connections from two threads for as long as the block lasts; notes what came back for each number."""

    def __init__(self, address):
        self.address = address
        self.answers = {}
        self.is_over = False
        self.threads = [threading.Thread(target=self.send, args=(n,)) for n in range(2)]

    def send(self, first):
        number = first
        while not self.is_over:
            self.answers[number] = get(self.address, f'/journal/{number}')
            number += 2

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.complete()) > 20)
        return self

    def __exit__(self, *exc):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def complete(self):
        return {number for number, answer in list(self.answers.items()) if answer.endswith(b'\r\n\r\n' + b'x' * 1000)}

    def wait_for_more(self):
        count = len(self.complete())
        wait_until(lambda: len(self.complete()) > count + 20)

    def check(self, output):
        """Whoever was heard has got the whole response; the others have got nothing at all."""
        heard = {int(line) for line in output.splitlines() if line.isdigit()}
        assert {number: self.answers[number] for number in heard - self.complete()} == {}
        assert {number: self.answers[number] for number in self.answers.keys() - heard if self.answers[number]} == {}


# --- arguments

def test_the_loop_is_uvloop_where_it_is_installed(monkeypatch):
    fake = types.SimpleNamespace(run=object())
    monkeypatch.setitem(sys.modules, 'uvloop', fake)
    assert choose_loop(None) is choose_loop('uvloop') is fake.run
    assert choose_loop('asyncio').__module__ == 'asyncio.runners'
    with pytest.raises(ValueError, match="not 'trio'"):
        choose_loop('trio')


@pytest.mark.parametrize('module', [None, types.SimpleNamespace()], ids=['absent', 'too old'])
def test_the_loop_is_asyncio_where_uvloop_is_not_installed(monkeypatch, module):
    monkeypatch.setitem(sys.modules, 'uvloop', module)
    assert choose_loop(None).__module__ == choose_loop('asyncio').__module__ == 'asyncio.runners'
    with pytest.raises(RuntimeError, match='pip install uvloop'):
        choose_loop('uvloop')


@pytest.mark.parametrize('workers', [0, -1, 1.5, '2', None])
def test_workers_must_be_a_number(workers):
    with pytest.raises(ValueError, match='workers'):
        run_app(Microdot(), '127.0.0.1', 0, False, None, workers=workers)


def test_workers_need_fork(monkeypatch):
    monkeypatch.delattr(os, 'fork')
    with pytest.raises(RuntimeError, match=r'fork\(\)'):
        run_app(Microdot(), '127.0.0.1', 0, False, None, workers=2)


def test_workers_need_the_main_thread():
    errors = []

    def run():
        try:
            run_app(Microdot(), '127.0.0.1', 0, False, None, workers=2)
        except RuntimeError as exc:
            errors.append(str(exc))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert 'main thread' in errors[0]


# --- sockets

@contextmanager
def sockets(host, port=0, count=1):
    slots = open_sockets(host, port, count)
    try:
        yield slots
    finally:
        close_sockets(slots)


def test_workers_get_sockets_of_their_own_for_one_port():
    with sockets('127.0.0.1', count=3) as slots:
        assert len({sock.fileno() for [sock] in slots}) == 3
        assert len({sock.getsockname() for [sock] in slots}) == 1
        clients = [socket.create_connection(slots[0][0].getsockname()) for _ in range(200)]
        for [sock] in slots:
            sock.accept()[0].close()  # the kernel balances
        for client in clients:
            client.close()


@pytest.mark.parametrize('host', ['', None, ['127.0.0.1', '127.0.0.2', '127.0.0.1']])
def test_several_addresses_have_the_same_port(host):
    with sockets(host, count=2) as slots:
        names = [[sock.getsockname()[:2] for sock in slot] for slot in slots]
        assert names[0] == names[1]
        assert len({name for name, _ in names[0]}) == len(names[0])
        assert len({port for _, port in names[0]}) == 1
        if isinstance(host, list):
            assert [name for name, _ in names[0]] == host[:2]


def test_ipv6_leaves_ipv4_to_others():
    if not socket.has_ipv6:
        pytest.skip('this Python has no IPv6')
    with sockets('::1') as slots:
        assert slots[0][0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_an_address_that_the_machine_does_not_have():
    with pytest.raises(OSError, match='192.0.2.1') as caught:
        open_sockets('192.0.2.1', 0, 2)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with sockets(['192.0.2.1', '127.0.0.1']) as slots:
        assert [sock.getsockname()[0] for sock in slots[0]] == ['127.0.0.1']


def test_the_second_address_is_in_use():
    with socket.create_server(('127.0.0.2', 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match='127.0.0.2') as caught:
            open_sockets(['127.0.0.1', '127.0.0.2'], port, 2)
        assert caught.value.errno == errno.EADDRINUSE
        with sockets('127.0.0.1', port):  # is free again
            pass


def test_a_port_can_be_opened_again_at_once():
    with sockets('127.0.0.1', count=2) as slots:
        port = slots[0][0].getsockname()[1]
        client = socket.create_connection(('127.0.0.1', port))
        for [sock] in slots:
            try:
                sock.accept()[0].close()  # first, so that the address is in TIME_WAIT
            except BlockingIOError:
                pass
        client.close()
    with sockets('127.0.0.1', port, 2):
        pass


@pytest.mark.parametrize('counts', [(1, 2), (2, 1), (3, 3)])
def test_a_port_belongs_to_one_service(counts):
    with sockets('127.0.0.1', count=counts[0]) as slots:
        with pytest.raises(OSError, match='cannot listen on') as caught:
            open_sockets('127.0.0.1', slots[0][0].getsockname()[1], counts[1])
        assert caught.value.errno == errno.EADDRINUSE


def test_a_port_belongs_to_one_of_those_who_start_at_the_same_time():
    port = free_port()
    barrier = threading.Barrier(3)
    rounds = 200
    winners = []

    def start():
        for _ in range(rounds):
            barrier.wait()
            mine = []
            try:
                mine = open_sockets('127.0.0.1', port, 2)
                winners.append(mine)
            except OSError as exc:
                assert exc.errno == errno.EADDRINUSE
            barrier.wait()
            close_sockets(mine)
    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < len(winners) <= rounds


def test_workers_share_a_socket_where_the_kernel_does_not_balance(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    with sockets('127.0.0.1', count=3) as slots:
        assert slots[0][0] is slots[1][0] is slots[2][0]


def test_workers_share_a_socket_where_the_option_comes_too_late(monkeypatch):
    """SO_REUSEPORT set on a bound socket has no effect in gVisor; here another option stands for it."""
    monkeypatch.setattr(socket, 'SO_REUSEPORT', socket.SO_KEEPALIVE)
    with sockets('127.0.0.1', count=3) as slots:
        assert slots[0][0] is slots[1][0] is slots[2][0]


def test_a_socket_of_ones_own():
    with socket.create_server(('127.0.0.1', 0)) as sock:
        assert open_sockets(sock, 0, 2) == [[sock], [sock]]


def test_a_path_that_is_too_long():
    with pytest.raises(OSError, match='cannot listen on.*too long'):
        open_sockets('/tmp/' + 'x' * 200, 0, 1)


# --- one process

def test_one_process_answers_and_stops(loop):
    for signum in signal.SIGINT, signal.SIGTERM:
        with running(loop=loop) as service:
            assert body(get(service.address)) == str(service.process.pid)
            assert loop in body(get(service.address, '/loop'))
            slow = connect(service.address, '/slow')
            assert b'200' in slow.recv(4096)
            service.signal(signum)
            assert b'end' in read_all(slow)
            service.output_of_good_end()
            slow.close()


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_the_same_signal_again_does_not_wait(loop, signum):
    with running(loop=loop) as service:
        with connect(service.address, '/never') as connection:
            assert b'200' in connection.recv(4096)
            service.signal(signum)
            wait_until(lambda: not get(service.address))
            service.signal(signum)
            if signum == signal.SIGINT:
                service.output_of_good_end()
            else:
                assert service.end()[0] == -signum


def test_a_signal_before_it_serves_is_not_lost(loop):
    for workers in 1, 2:
        for delay in range(5):
            with running(loop=loop, workers=workers, is_awaited=False) as service:
                time.sleep(0.02 * delay)  # a different moment each time
                service.signal(signal.SIGTERM)
                assert service.end()[0] in (0, -signal.SIGTERM)


def test_run_in_a_thread_leaves_signals_alone(loop):
    app = Microdot()
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    port = free_port()
    thread = threading.Thread(target=run_app, args=(app, '127.0.0.1', port, False, None, 1, loop))
    thread.start()
    wait_until(lambda: b'404' in get(('127.0.0.1', port)))
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == handlers
    app.shutdown()
    thread.join()


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('prefix', ['', 'unix:'])
def test_a_unix_socket(loop, tmp_path, workers, prefix):
    path = tmp_path / 'socket'
    with running(host=str(path), loop=loop) as first:
        first.signal(signal.SIGKILL)
        first.end()
    assert path.exists()  # stale
    with running(host=prefix + str(path), workers=workers, loop=loop, is_awaited=False) as service:
        service.address = str(path)
        wait_until(lambda: get(service.address))
        pid = int(body(get(service.address)))
        assert (pid == service.process.pid) == (workers == 1)
        with running(host=str(path), workers=workers) as second:
            status, output = second.end()
            assert status == 1 and 'another process listens there' in output
        if workers > 1:  # neither a worker that dies removes the file nor one that retires
            os.kill(pid, signal.SIGKILL)
            other = pid_of_another(service, pid)
            os.kill(other, signal.SIGTERM)
            wait_until(lambda: not is_running(other))
        wait_until(lambda: get(service.address))
        service.signal(signal.SIGTERM)
        service.output_of_good_end()
    assert not path.exists()


def pid_of_another(service, pid):
    wait_until(lambda: body(get(service.address)) not in ('', str(pid)))
    return int(body(get(service.address)))


def test_a_unix_socket_in_place_of_a_file(tmp_path):
    path = tmp_path / 'data'
    path.write_text('precious')
    with pytest.raises(FileExistsError, match='not a socket'):
        run_app(Microdot(), str(path), 0, False, None)
    assert path.read_text() == 'precious'


def test_a_unix_socket_that_a_successor_has_replaced(loop, tmp_path):
    path = tmp_path / 'socket'
    with running(host=str(path), loop=loop) as service, connect(service.address, '/slow') as slow:
        assert b'200' in slow.recv(4096)
        service.signal(signal.SIGTERM)
        wait_until(lambda: not get(service.address))
        with running(host=str(path), loop=loop) as successor:
            assert read_all(slow)
            service.output_of_good_end()
            assert get(successor.address)


@pytest.mark.parametrize('workers', [1, 2])
def test_socket_activation(loop, workers):
    with socket.create_server(('127.0.0.1', 0)) as sock:
        for _ in range(2):  # the socket outlives the service, and may have clients before that has started
            with connect(sock.getsockname()) as early:
                with running(host='systemd', port=sock.getsockname()[1], loop=loop, workers=workers,
                             launcher=['-c', LAUNCHER, str(sock.fileno())], pass_fds=[sock.fileno()]) as service:
                    assert b'200 OK' in read_all(early)
                    assert len(service.pids()) == workers
                    assert body(get(service.address, '/environment')) == '[[], false]'
                    service.signal(signal.SIGTERM)
                    service.output_of_good_end()


def test_socket_activation_without_a_socket(monkeypatch):
    for name, value in ('PID', os.getpid() + 1), ('FDS', 1), ('FDNAMES', 'x'):
        monkeypatch.setenv(f'LISTEN_{name}', str(value))
    with pytest.raises(RuntimeError, match='systemd'):  # it was meant for another process
        run_app(Microdot(), 'systemd', 0, False, None)
    assert not [name for name in os.environ if name.startswith('LISTEN_')]
    with pytest.raises(RuntimeError, match='systemd'):
        run_app(Microdot(), 'systemd', 0, False, None)


# --- workers

def test_every_worker_answers(loop):
    with running(workers=3, loop=loop) as service:
        pids = service.pids()
        assert service.process.pid not in pids
        numbers = dict(body(get(service.address, '/random')).split() for _ in range(60))
        assert len(set(numbers.values())) == len(numbers) == 3  # they do not repeat each other's random numbers
        assert loop in body(get(service.address, '/loop'))
        service.signal(signal.SIGTERM)
        service.output_of_good_end()
        assert not any(map(is_running, pids))


@pytest.mark.parametrize('counts', [(1, 2), (2, 1), (2, 2)])
def test_a_second_start_fails(counts):
    with running(workers=counts[0]) as service:
        with running(workers=counts[1], port=service.address[1]) as second:
            status, output = second.end()
            assert status == 1 and 'in use' in output
        assert len(service.pids()) == counts[0]


def test_a_killed_worker_is_replaced_under_load(loop):
    with running(workers=2, loop=loop) as service:
        pids = service.pids()
        time.sleep(1)  # from when on they count as settled
        with Load(service.address) as load:
            victim = min(pids)
            os.kill(victim, signal.SIGKILL)
            begin = time.monotonic()
            new = service.pids()
            assert time.monotonic() - begin < 2
            assert new & pids == pids - {victim}
            load.wait_for_more()
        service.signal(signal.SIGTERM)
        output = service.output_of_good_end()
        assert re.search(rf'worker {victim} ended with status -9, it is started again in 0.0 seconds', output)
        assert len(load.answers) - len(load.complete()) <= 2  # at most what the victim had just read


def test_connections_in_the_queue_of_a_killed_worker_are_served(loop):
    with running(workers=2, loop=loop) as service:
        pids = service.pids()
        victim = min(pids)
        os.kill(victim, signal.SIGSTOP)
        connections = [connect(service.address) for _ in range(40)]
        os.kill(victim, signal.SIGKILL)
        answers = [int(body(read_all(connection))) for connection in connections]
        assert victim not in answers
        assert set(answers) - pids  # those who had waited in its queue
        for connection in connections:
            connection.close()


def test_sigterm_under_load_loses_nothing(loop):
    for workers in 1, 2:
        with running(workers=workers, loop=loop) as service:
            service.pids()
            with Load(service.address) as load:
                service.signal(signal.SIGTERM)
                output = service.output_of_good_end()
            load.check(output)


def test_a_worker_that_is_told_to_stop_is_replaced(loop):
    with running(workers=2, loop=loop) as service:
        pids = service.pids()
        os.kill(min(pids), signal.SIGTERM)
        wait_until(lambda: not is_running(min(pids)))
        assert service.pids() & pids == {max(pids)}
        service.signal(signal.SIGTERM)
        assert 'ended with status 0' in service.output_of_good_end()


def test_sighup_replaces_the_workers_under_load(loop):
    with running(workers=2, loop=loop) as service:
        pids = service.pids()
        with Load(service.address) as load:
            service.signal(signal.SIGHUP)
            wait_until(lambda: not any(map(is_running, pids)))
            load.wait_for_more()
            assert not service.pids() & pids
        service.signal(signal.SIGTERM)
        assert 'ended' not in service.output_of_good_end()


def test_sighup_of_a_terminal_is_left_to_the_application():
    terminal, stdin = os.openpty()
    with running(workers=2, stdin=stdin) as service:
        pids = service.pids()
        service.signal_group(signal.SIGHUP)
        status, output = service.end()
        assert status == 1 and 'run() has not taken this signal' in output
        wait_until(lambda: not any(map(is_running, pids)))
    os.close(terminal)
    os.close(stdin)


def test_workers_stop_when_the_parent_is_killed(loop):
    with running(workers=2, loop=loop) as service:
        pids = service.pids()
        with connect(service.address, '/slow') as slow:
            assert b'200' in slow.recv(4096)
            service.signal(signal.SIGKILL)
            assert b'end' in read_all(slow)
        wait_until(lambda: not any(map(is_running, pids)))
        assert not get(service.address)


def test_shutdown_in_a_handler_stops_all_workers(loop):
    with running(workers=3, loop=loop) as service:
        pids = service.pids()
        with connect(service.address, '/slow') as slow:
            assert b'200' in slow.recv(4096)
            assert body(get(service.address, '/shutdown')) == 'bye'
            wait_until(lambda: not get(service.address))
            assert b'end' in read_all(slow)
        service.output_of_good_end()
        assert not any(map(is_running, pids))


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_stops_gracefully(loop, signum):
    """Ctrl-C in a terminal, or how systemd stops a service."""
    with running(workers=2, loop=loop) as service:
        service.pids()
        with connect(service.address, '/slow') as slow:
            assert b'200' in slow.recv(4096)
            service.signal_group(signum)
            assert b'end' in read_all(slow)
        service.output_of_good_end()


@pytest.mark.parametrize('signum', [signal.SIGINT, signal.SIGTERM])
def test_the_same_signal_again_kills_the_workers(loop, signum):
    with running(workers=2, loop=loop) as service:
        with connect(service.address, '/never') as connection:
            assert b'200' in connection.recv(4096)
            service.signal_group(signum)
            wait_until(lambda: not get(service.address))
            assert service.process.poll() is None
            service.signal_group(signum)
            service.output_of_good_end()
            assert b'0\r\n\r\n' not in read_all(connection)


def test_a_worker_that_does_not_stop_is_killed(loop):
    with running(workers=2, loop=loop, graceful_timeout=-4) as service:  # with the parent's five seconds it is one
        pids = service.pids()
        os.kill(min(pids), signal.SIGSTOP)
        service.signal(signal.SIGTERM)
        service.output_of_good_end()
        assert not any(map(is_running, pids))


def test_a_system_that_has_no_room_for_a_process(monkeypatch, caplog):
    def fork():
        raise BlockingIOError(errno.EAGAIN, 'no more processes')
    monkeypatch.setattr(os, 'fork', fork)
    with pytest.raises(RuntimeError, match='3 times in a row'):
        run_app(Microdot(), '127.0.0.1', 0, False, None, workers=2)
    assert 'no more processes' in caplog.text


def test_workers_that_never_serve_are_given_up(loop):
    with running(workers=2, loop=loop, is_broken=True, is_awaited=False) as service:
        status, output = service.end()
        assert status == 1
        assert 'ValueError: on purpose' in output
        assert output.splitlines()[-1] == 'RuntimeError: the workers failed 3 times in a row before they served'
        assert 3 <= output.count('ValueError: on purpose') <= 6
