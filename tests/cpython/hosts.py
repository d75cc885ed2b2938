"""Starts host_app.py under each host, as a process on the loopback interface, and speaks HTTP with it."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from app_process import find_command
from server_process import free_port, read_all

HERE = Path(__file__).parent
SOURCE = HERE.parent.parent / 'src'
TIME_LIMIT = 30  # seconds, for every answer; some hosts take long to start on a busy machine


class Host(NamedTuple):
    """How a host is started; PORT stands for the port."""

    interface: str  # of host_app.py
    command: 'list[str]'
    #: what to add to the command, or to the environment, so that the application is at /prefix
    mounted: 'list[str] | dict[str, str]' = []
    #: whether the client then asks for /prefix/...; else a proxy in front has taken the prefix off
    is_prefix_sent: bool = True


GUNICORN = ['gunicorn', 'host_app:app', '--bind', '127.0.0.1:PORT', '--no-control-socket', '--worker-class']
SCRIPT_NAME = {'SCRIPT_NAME': '/prefix'}
HOSTS = {
    'builtin': Host('microdot', ['python', 'host_app.py', 'PORT']),
    'uvicorn-httptools': Host('asgi', ['uvicorn', 'host_app:app', '--port', 'PORT', '--http', 'httptools'],
                              ['--root-path', '/prefix'], False),
    'uvicorn-h11': Host('asgi', ['uvicorn', 'host_app:app', '--port', 'PORT', '--http', 'h11', '--loop', 'asyncio'],
                        ['--root-path', '/prefix'], False),
    'hypercorn': Host('asgi', ['hypercorn', 'host_app:app', '--bind', '127.0.0.1:PORT'], ['--root-path', '/prefix']),
    'granian-asgi': Host('asgi', ['granian', 'host_app:app', '--port', 'PORT', '--interface', 'asgi'],
                         ['--url-path-prefix', '/prefix']),
    'granian-wsgi': Host('wsgi', ['granian', 'host_app:app', '--port', 'PORT', '--interface', 'wsgi',
                                  '--blocking-threads', '64'], ['--url-path-prefix', '/prefix']),
    'daphne': Host('asgi', ['daphne', 'host_app:app', '--port', 'PORT'], ['--root-path', '/prefix']),
    'gunicorn-sync': Host('wsgi', [*GUNICORN, 'sync'], SCRIPT_NAME),
    'gunicorn-gthread': Host('wsgi', [*GUNICORN, 'gthread', '--threads', '64'], SCRIPT_NAME),
    'gunicorn-uvicorn': Host('asgi', [*GUNICORN, 'uvicorn_worker.UvicornWorker'],
                             ['--worker-class', 'mounted_worker.MountedWorker'], False),
    'waitress': Host('wsgi', ['waitress-serve', '--listen', '127.0.0.1:PORT', '--threads', '64', 'host_app:app'],
                     ['--url-prefix', '/prefix']),
    'wsgiref': Host('wsgi', ['python', 'wsgiref_host.py', 'PORT'], ['/prefix']),
    'uwsgi': Host('wsgi', ['uwsgi_python3', '--http-socket', '127.0.0.1:PORT', '--master', '--die-on-term',
                           '--need-app', '--threads', '64', '--listen', '100', '--buffer-size', '32768',
                           '--module', 'host_app:app'],
                  ['--mount', '/prefix=host_app:app', '--manage-script-name']),
}


def find_program(name: str) -> str:
    """Return the path of a command: those of Debian are outside of the virtual environment."""
    if name == 'python':
        return sys.executable
    if name != 'uwsgi_python3':
        return find_command(name)
    path = shutil.which(name)
    if not path:
        pytest.fail('%s is missing. Install it, as root: apt-get install --no-install-recommends uwsgi-plugin-python3'
                    % name, pytrace=False)
    return path


class HostProcess:
    """A host with the application, in a process group of its own. All that it prints goes to a file."""

    def __init__(self, name: str, folder: Path, is_mounted: bool = False, is_awaited: bool = True, **env: str):
        self.name = name
        self.folder = folder
        self.interface, command, mounted, is_prefix_sent = HOSTS[name]
        self.prefix = '/prefix' if is_mounted and is_prefix_sent else ''
        self.port = free_port()
        if is_mounted and isinstance(mounted, dict):
            env.update(mounted)
        elif is_mounted:
            end = len(command) - (name == 'waitress')  # which wants the application last
            command = command[:end] + mounted + command[end:]
        self.command = [find_program(command[0])] + [part.replace('PORT', str(self.port)) for part in command[1:]]
        self.log = folder / 'log'
        self.journal = folder / 'journal'
        self.journal.touch()
        (folder / 'file.txt').write_text('The content of a file.\n')
        self.start(env)
        if is_awaited:
            self.wait_until(self.answers)

    def start(self, env: 'dict[str, str]') -> None:
        with self.log.open('ab') as output:
            self.process = subprocess.Popen(
                self.command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, 'PYTHONPATH': '%s:%s' % (SOURCE, HERE), 'PYTHONUNBUFFERED': '1',
                     'HOST_INTERFACE': self.interface, 'HOST_FOLDER': str(self.folder), **env})

    def answers(self) -> bool:
        if self.process.poll() is not None:
            self.fail('ended with status %s' % self.process.returncode)
        try:
            return b'hello' in self.send(ask('GET', self.prefix + '/'))
        except OSError:
            return False

    def wait_until(self, condition: 'Any', seconds: float = TIME_LIMIT) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail('it never became true')
            time.sleep(0.01)

    def fail(self, what: str) -> None:
        pytest.fail('%s\n%s' % (what, self.tail()))

    def tail(self) -> str:
        """Return the command, and the end of what it printed."""
        return '%s\n%s' % (' '.join(self.command), self.log.read_text(errors='replace')[-3000:])

    def wait_for_note(self, text: str) -> None:
        """Wait for a line in the journal."""
        self.wait_until(lambda: text in self.notes())

    def notes(self) -> 'list[str]':
        return self.journal.read_text().splitlines()

    def forget_notes(self) -> None:
        self.journal.write_text('')

    def open_gate(self, gate: str) -> None:
        (self.folder / gate).touch()

    def connect(self, data: bytes = b'') -> socket.socket:
        connection = socket.create_connection(('127.0.0.1', self.port), timeout=TIME_LIMIT)
        with suppress(OSError):  # it may have refused and closed while we still send: what it said is to be read
            connection.sendall(data)
        return connection

    def send(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own, return all that comes back."""
        with self.connect(data) as connection:
            return read_all(connection)

    def exchange(self, request: bytes) -> 'Answer':
        with self.connect(request) as connection:
            return read_answer(connection, request.partition(b' ')[0].decode())

    def get(self, target: str, *headers: str) -> 'Answer':
        return self.exchange(ask('GET', target, *headers))

    def stop(self) -> int:
        """Let it end as a service manager does, return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            self.fail('did not end')
            raise
        finally:
            self.kill()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Answer(NamedTuple):
    """A response; ``is_complete`` tells whether its end has come."""

    status: int
    reason: str
    headers: 'Any'
    body: bytes
    is_complete: bool

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> 'Any':
        return json.loads(self.body)


def ask(method: str, target: str, *headers: str, body: bytes = b'', is_kept: bool = False) -> bytes:
    """Return the bytes of a request. Headers are ``'Name: value'``, in UTF-8."""
    lines = ['%s %s HTTP/1.1' % (method, target), 'Host: localhost:5000', *headers]
    if not is_kept:
        lines.append('Connection: close')
    names = [line.partition(':')[0].lower() for line in lines]
    if body and 'content-length' not in names and 'transfer-encoding' not in names:
        lines.append('Content-Length: %d' % len(body))
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + body


def chunked(*pieces: bytes) -> bytes:
    return b''.join([b'%x\r\n%s\r\n' % (len(piece), piece) for piece in (*pieces, b'')])


def read_answer(connection: socket.socket, method: str = 'GET') -> Answer:
    """Read a response with the parser of the standard library."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
        is_complete = True
    except http.client.IncompleteRead as exc:
        body = exc.partial
        is_complete = False
    except ConnectionResetError:
        body = b''
        is_complete = False
    answer = Answer(response.status, response.reason, response.headers, body, is_complete)
    response.close()
    return answer
