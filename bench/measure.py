"""The instruments: a server process with its CPU time and memory, and the load that it gets."""
import http.client
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import NoReturn

import psutil
from environment import BENCH, find_tool
from peers import Peer

CORES = tuple(sorted(os.sched_getaffinity(0)))
SERVER_CORES, LOAD_CORES = CORES[:1], CORES[1:2]
PORTS = itertools.cycle(range(18000, 30000))  # below the ephemeral ports, which the clients use


class Failed(Exception):
    """A server or a client did not do what it should. The run ends."""


@dataclass(frozen=True)
class Workload:
    """One kind of request, and the answer that a server has to give before it is measured."""

    path: str
    expected: object
    script: str = 'result'
    body: 'bytes | None' = None

    def check(self, server: 'Server') -> None:
        status, headers, body = server.fetch(self.path, self.body)
        is_json = not isinstance(self.expected, str)
        kind = headers.get('Content-Type', '')
        answer = json.loads(body) if is_json and 'json' in kind else body.decode()
        if status != 200 or answer != self.expected:
            server.fail(f'answers {self.path} with {status}, {kind}, {body[:200]!r}')


class Server:
    """The process of a peer and its children. A context manager: starts it, waits for an answer, and stops it."""

    def __init__(self, peer: Peer, *options: str, cores: 'tuple[int, ...]' = SERVER_CORES, **environ: str):
        self.peer = peer
        self.port = free_port()
        self.output = tempfile.TemporaryFile()
        self.command = [*pinned_to(cores), *peer.command(self.port), *options]
        self.environ = {**os.environ, **environ}

    def __enter__(self) -> 'Server':
        self.process = subprocess.Popen(self.command, cwd=BENCH, env=self.environ, stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while not self.is_listening():
            time.sleep(0.05)
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.fail('does not start')

    def is_listening(self) -> bool:
        """Whether it is this server that has the port, and no other program."""
        try:
            sockets = [sock for process in self.processes() for sock in process.net_connections('tcp4')]
        except psutil.NoSuchProcess:
            return False
        return any(sock.status == psutil.CONN_LISTEN and sock.laddr.port == self.port for sock in sockets)

    def __exit__(self, *exc_info: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self.output.close()

    def fail(self, what: str) -> 'NoReturn':
        self.output.seek(0)
        raise Failed(f'{self.peer.name} {what}. Its output:\n{self.output.read().decode(errors="replace")[-8000:]}')

    def fetch(self, path: str, body: 'bytes | None' = None) -> 'tuple[int, http.client.HTTPMessage, bytes]':
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            headers = {'Content-Type': 'application/json', 'Connection': 'close'}
            connection.request('POST' if body else 'GET', path, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            self.fail(f'does not answer {path}: {error!r}')
        finally:
            connection.close()

    def processes(self) -> 'list[psutil.Process]':
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time so far, from /proc/PID/stat, those of children that have ended included."""
        return sum(sum(process.cpu_times()[:4]) for process in self.processes())

    def rss(self) -> int:
        """Resident memory in bytes."""
        return sum(process.memory_info().rss for process in self.processes())

    def peak_rss(self) -> int:
        """The highest resident memory so far in bytes, of each process."""
        statuses = (pathlib.Path(f'/proc/{process.pid}/status').read_text() for process in self.processes())
        return sum(int(status.partition('VmHWM:')[2].split()[0]) * 1024 for status in statuses)

    def load(self, workload: Workload, connections: int, seconds: int,
             cores: 'tuple[int, ...]' = LOAD_CORES) -> 'dict[str, float]':
        """Run wrk. ``cpu_us`` is the time of the server per request, ``wrk_cores`` the share of a core for wrk."""
        before = self.cpu_seconds()
        options = [f'-c{connections}', f'-d{seconds}s', '-s', f'load/{workload.script}.lua']
        result = run_wrk(cores, *options, f'http://127.0.0.1:{self.port}{workload.path}')
        cpu = self.cpu_seconds() - before
        if result['errors'] or not result['requests']:
            self.fail(f'under load on {workload.path}: {result}')
        return {
            'rps': result['requests'] / result['seconds'],
            'cpu_us': cpu / result['requests'] * 1e6,
            'p50_ms': result['p50_us'] / 1000,
            'p99_ms': result['p99_us'] / 1000,
            'wrk_cores': result['wrk_cpu'] / result['seconds'],
        }


def free_port() -> int:
    for port in PORTS:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue
    raise AssertionError('unreachable')


def pinned_to(cores: 'tuple[int, ...]') -> 'list[str]':
    return ['taskset', '--cpu-list', ','.join(map(str, cores))]


def run_wrk(cores: 'tuple[int, ...]', *options: str) -> 'dict[str, float]':
    command = [*pinned_to(cores), find_tool('wrk'), '-t1', *options]
    before = children_cpu()
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f'wrk: {done.stdout}{done.stderr}')
    return {**json.loads(done.stdout.splitlines()[-1]), 'wrk_cpu': children_cpu() - before}


def children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


class Client:
    """One of our load programs, which prints a line of JSON when it is ready, and another at its end."""

    def __init__(self, script: str, *arguments: object):
        command = [*pinned_to(LOAD_CORES), sys.executable, f'load/{script}.py', *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> 'Client':
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f'{" ".join(self.process.args[1:])} ended without a result')
        return json.loads(line)

    def ask(self, line: object) -> dict:
        self.process.stdin.write(f'{line}\n')
        self.process.stdin.flush()
        return self.read()

    def finish(self) -> dict:
        self.process.stdin.close()
        return self.read()
