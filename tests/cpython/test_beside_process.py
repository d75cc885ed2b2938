"""What boards run beside the server, in processes: they are killed, interrupted, and lose their listening socket."""
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from server_process import INTERPRETERS, free_port, read_all

pytestmark = pytest.mark.once  # boards do not see the version of CPython

HERE = Path(__file__).parent
SOURCE = str(HERE.parent.parent / 'src')
REQUEST = b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'


@contextlib.contextmanager
def running(interpreter, port):
    """Run the program; ``process.output`` is what it has written, once it has ended."""
    process = subprocess.Popen(
        [*INTERPRETERS[interpreter], str(HERE / 'beside_app.py'), str(port)],
        env={**os.environ, 'PYTHONPATH': SOURCE, 'MICROPYPATH': SOURCE + ':.frozen'},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.output = process.communicate()[0]


def connect(port):
    return socket.create_connection(('127.0.0.1', port), timeout=10)


def ask(port, request=REQUEST):
    with connect(port) as connection:
        connection.sendall(request)
        return read_all(connection)


def answers(port):
    with contextlib.suppress(OSError):
        return b'hello' in ask(port)
    return False


def wait_until(condition, *args, seconds=10):
    end = time.monotonic() + seconds
    while not condition(*args):
        assert time.monotonic() < end, 'it never became true'
        time.sleep(0.02)


@pytest.mark.parametrize('interpreter', INTERPRETERS)
def test_a_server_that_was_killed_is_back_on_its_port_at_once(interpreter):
    """As after a reset: what it has closed is in TIME_WAIT, and its clients hold connections that are no more."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            with running(interpreter, port) as process:
                wait_until(answers, port)  # the server closes these connections first
                for _ in range(3):
                    connection = stack.enter_context(connect(port))
                    connection.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
                    assert b'hello' in connection.recv(4096)
            assert process.output == ''  # no EADDRINUSE of the time before


@pytest.mark.parametrize('interpreter', INTERPRETERS)
def test_ctrl_c_leaves_nothing_that_a_second_run_in_the_same_process_could_fall_over(interpreter):
    port = free_port()
    with running(interpreter, port) as process:
        for _ in range(2):
            wait_until(answers, port)
            with connect(port) as idle:
                time.sleep(0.1)  # MicroPython interrupts what is just running; here it is to find all waiting
                process.send_signal(signal.SIGINT)
                assert read_all(idle) == b''
        process.wait(timeout=10)
    lines = process.output.splitlines()
    assert sorted(lines[:3]) == ['interrupted', 'the first run has ended', 'the job has ended'], lines
    assert sorted(lines[3:]) == ['interrupted', 'the job has ended', 'the second run has ended'], lines
    assert process.returncode == 0


def test_a_dead_listening_socket_ends_the_server():
    """With an OSError, so that whoever has started it can start it again."""
    port = free_port()
    with running('micropython', port) as process:
        wait_until(answers, port)
        for _ in range(3):
            assert b'broken' in ask(port, REQUEST.replace(b'GET /', b'GET /break'))
            wait_until(answers, port)
    assert process.output.count('failed: OSError') == 3, process.output


def test_a_board_without_memory_for_one_client_accepts_the_next():
    port = free_port()
    with running('micropython', port):
        wait_until(answers, port)
        for _ in range(3):
            assert b'starving' in ask(port, REQUEST.replace(b'GET /', b'GET /starve'))
            with connect(port) as connection:
                assert read_all(connection) == b''
            assert answers(port)
