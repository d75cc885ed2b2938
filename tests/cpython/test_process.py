"""The server as its users start it, in a process of its own: signals, shutdown, leaks. On both interpreters."""
import signal
import time

import pytest
from server_process import INTERPRETERS, ServerProcess, read_all


@pytest.fixture(params=INTERPRETERS)
def server(request):
    server = ServerProcess(request.param)
    yield server
    server.process.kill()
    server.process.communicate()


def stop_by_signal(server):
    server.process.send_signal(signal.SIGINT)


def stop_by_request(server):
    assert b'bye' in server.get('/shutdown')


@pytest.mark.parametrize('stop', [stop_by_signal, stop_by_request])
def test_stopping_closes_idle_connections_at_once_and_completes_a_stream(server, stop):
    count = 6  # with the stream and /shutdown that is all that MicroPython takes
    idle = [server.connect() for _ in range(count // 2)]
    for _ in range(count - count // 2):
        connection = server.connect(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        assert b'hello' in connection.recv(4096)
        idle.append(connection)
    stream = server.connect(b'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n')
    assert b'200' in stream.recv(4096)
    time.sleep(0.1)  # on MicroPython Ctrl-C interrupts what is just running; here it is to find all waiting
    begin = time.monotonic()
    stop(server)
    for connection in idle:
        assert read_all(connection) == b''
        connection.close()
    assert time.monotonic() - begin < 0.4  # the stream has more than a second to go
    with pytest.raises(OSError):
        server.connect().recv(1)  # nobody new gets in
    assert read_all(stream).endswith(b'0\r\n\r\n')
    stream.close()
    status, output = server.wait()
    assert (status, output) == (0, 'returned\n')


def test_ten_idle_connections_and_a_stream():
    """The same with ten, as a browser and its tabs would have it; MicroPython's default cap is eight."""
    server = ServerProcess('cpython')
    idle = [server.connect() for _ in range(10)]
    stream = server.connect(b'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n')
    assert b'200' in stream.recv(4096)
    stop_by_signal(server)
    for connection in idle:
        assert read_all(connection) == b''
        connection.close()
    assert read_all(stream).endswith(b'0\r\n\r\n')
    stream.close()
    assert server.wait() == (0, 'returned\n')


def test_a_second_interrupt_does_not_wait_for_the_stream():
    server = ServerProcess('cpython')
    stream = server.connect(b'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n')
    assert b'200' in stream.recv(4096)
    stop_by_signal(server)
    time.sleep(0.1)
    stop_by_signal(server)
    begin = time.monotonic()
    status, output = server.wait()
    assert time.monotonic() - begin < 0.8
    assert 'Traceback' not in output
    stream.close()


def test_no_descriptor_is_left_behind(server):
    """Handlers and bodies that fail, and clients that vanish at any moment."""
    before = server.descriptors_at_rest()
    for _ in range(5):
        server.get('/')
        server.get('/raise')
        server.get('/half')
        assert len(server.get('/large')) > 10_000_000
        for data in b'', b'GET', b'GET / HTTP/1.1\r\n', b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx':
            server.connect(data).close()
        for path in b'/', b'/stream', b'/large':
            server.connect(b'GET ' + path + b' HTTP/1.1\r\nHost: a\r\n\r\n').close()
    server.wait_until(lambda: server.descriptors() == before)
    assert server.answers()


def test_half_headers_keep_nobody_out_and_are_dropped(server):
    before = server.descriptors_at_rest()
    crowd = [server.connect(b'GET / HTTP/1.1\r\nHost: exam') for _ in range(server.crowd)]
    begin = time.monotonic()
    assert server.answers()
    assert time.monotonic() - begin < 3  # far less than the time limit of the others
    server.wait_until(lambda: server.descriptors() == before, 20)
    for connection in crowd:
        connection.close()
