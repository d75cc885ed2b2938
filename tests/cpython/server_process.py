"""Runs server_app.py in a process of its own, on CPython or on MicroPython."""
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path

from ports import own_ports

HERE = Path(__file__).parent
PORTS = cycle(random.Random(os.getpid()).sample(own_ports(), 2000))
INTERPRETERS = {
    'cpython': [sys.executable],
    'micropython': [str(Path(sys.executable).parent / 'micropython'), '-X', 'heapsize=1M'],
}


class ServerProcess:
    def __init__(self, interpreter, tls=None, *files):
        self.tls = tls
        self.crowd = 200 if interpreter == 'cpython' else 8  # which is all that MicroPython takes at a time
        self.port = free_port()
        source = str(HERE.parent.parent / 'src')
        self.process = subprocess.Popen(
            [*INTERPRETERS[interpreter], str(HERE / 'server_app.py'), str(self.port), *files],
            env={**os.environ, 'PYTHONPATH': source, 'MICROPYPATH': source + ':.frozen'},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.wait_until(self.answers)

    def answers(self):
        try:
            return b'hello' in self.get('/')
        except OSError:
            return False

    def wait_until(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.process.poll()
            time.sleep(0.02)

    def connect(self, data=b''):
        connection = socket.create_connection(('127.0.0.1', self.port), timeout=10)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_hostname='localhost')
        connection.sendall(data)
        return connection

    def get(self, path):
        with self.connect(b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % path.encode()) as connection:
            return read_all(connection)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def descriptors_at_rest(self):
        """Count the descriptors when the connections that just ended are closed on the server's side, too."""
        counts = [self.descriptors()]
        while len(counts) < 20 or len(set(counts[-20:])) > 1:
            time.sleep(0.025)
            counts.append(self.descriptors())
        return counts[-1]

    def wait(self, seconds=10):
        """Wait for the end of the process, return its exit status and what it printed."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output.decode()


def read_all(connection):
    data = b''
    while True:
        try:
            part = connection.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return data
        if not part:
            return data
        data += part


def free_port() -> int:
    """Return a TCP port that nobody uses."""
    for port in PORTS:
        with suppress(OSError), socket.create_server(('', port)):
            return port
    raise AssertionError('no port is free')
