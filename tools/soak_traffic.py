"""What tools/soak.py needs to visit a board: connections that are listened to, requests that are counted, a pace.

A visit is one client with a few requests; tools/soak_clients.py has the kinds.

"""
import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import httpx
import websockets

TIMEOUT = 60  # seconds for a visit's step: longer than any time limit of the board, and than the queue before it
CROWD_GRACE = 3  # seconds for which a board may still have a connection that its client has closed
HEARD = 500  # bytes of an answer to keep, of its begin and of its end, for the report of a wrong one

#: What a broken or refused connection looks like to the libraries. None of these counts where a byte had arrived.
CONNECTION_ERRORS = (OSError, EOFError, httpx.NetworkError, httpx.RemoteProtocolError, aiohttp.ClientConnectionError,
                     aiohttp.ClientPayloadError, websockets.InvalidHandshake, websockets.ConnectionClosed)
TIMEOUTS = (asyncio.TimeoutError, TimeoutError, httpx.TimeoutException, aiohttp.ServerTimeoutError)


class Wrong(Exception):
    """An answer that is not what it should be."""


class Refused(Exception):
    """A complete 503."""


class Over(Exception):
    """The end of a visit, after a request that was not answered."""


@dataclass
class Tally:
    """What became of the requests of one kind."""

    answered: int = 0
    refused: int = 0  # cleanly, while the board had as many connections as it takes
    uncalled: int = 0  # cleanly, but there was no crowd
    wrong: int = 0
    messages: int = 0  # of WebSockets and streams of events
    left: int = 0  # clients that wanted no answer


# What every connection says

VISIT: 'ContextVar[Visit | None]' = ContextVar('VISIT', default=None)


class Tap(asyncio.Protocol):
    """Stands between a connection and the library that has opened it, and keeps what arrives."""

    def __init__(self, protocol: Any, visit: 'Visit') -> None:
        self.protocol = protocol
        self.visit = visit
        for name in 'eof_received', 'pause_writing', 'resume_writing':
            setattr(self, name, getattr(protocol, name))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.visit.traffic.count_connections(1)
        self.protocol.connection_made(transport)

    def connection_lost(self, exc: 'Exception | None') -> None:
        self.visit.traffic.count_connections(-1)
        self.protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.visit.hear(data)
        self.protocol.data_received(data)


class TappedLoop(asyncio.SelectorEventLoop):
    """An event loop that taps the connections of visits, whoever opens them."""

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        visit = VISIT.get()
        assert visit, 'only visits open connections'
        transport, tap = await super().create_connection(lambda: Tap(protocol_factory(), visit), *args, **kwargs)
        return transport, tap.protocol


# Visits

class Visit:
    def __init__(self, traffic: 'Traffic', kind: str) -> None:
        self.traffic = traffic
        self.kind = kind
        self.tally = traffic.tallies[kind]
        self.number = traffic.next_number()
        self.random = random.Random(f'{traffic.seed} {self.number}')
        self.heard = bytearray()  # since the last request began

    @contextlib.asynccontextmanager
    async def asking(self) -> 'AsyncIterator[None]':
        """Around one request and its answer, which is counted."""
        self.heard.clear()
        try:
            yield
        except Refused:
            self.refuse('503')
        except (Wrong, *TIMEOUTS) as exc:
            self.fail(exc)
        except CONNECTION_ERRORS as exc:
            if self.heard:
                self.fail(exc)
            self.refuse(repr(exc))
        self.tally.answered += 1

    @contextlib.asynccontextmanager
    async def leaving(self) -> 'AsyncIterator[None]':
        """Around a client that is not worth an answer; if it gets one, that has to be one of HTTP."""
        self.heard.clear()
        try:
            yield
        except TIMEOUTS as exc:
            self.fail(exc)
        except CONNECTION_ERRORS:
            pass
        if self.heard and not self.heard.startswith(b'HTTP/1.1 '):
            self.fail(Wrong('no response of HTTP'))
        self.tally.left += 1

    def hear(self, data: bytes) -> None:
        self.heard += data
        if len(self.heard) > 2 * HEARD:
            self.heard[HEARD:-HEARD] = b' [...] '

    def refuse(self, how: str) -> 'NoReturn':
        if self.traffic.is_crowded():
            self.tally.refused += 1
        else:
            self.tally.uncalled += 1
            self.traffic.note(f'{self.kind}: refused without a crowd, {how}')
        raise Over

    def fail(self, exc: BaseException) -> 'NoReturn':
        self.tally.wrong += 1
        self.traffic.note(f'{self.kind}: {exc!r}, after {bytes(self.heard)!r}')
        raise Over from exc

    def httpx(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.traffic.url, timeout=TIMEOUT, trust_env=False)

    def aiohttp(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.traffic.url, timeout=aiohttp.ClientTimeout(TIMEOUT))

    async def connect(self, receive_buffer: int = 0) -> 'tuple[asyncio.StreamReader, asyncio.StreamWriter]':
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ('127.0.0.1', self.traffic.port))
            return await asyncio.open_connection(sock=sock, limit=receive_buffer or 65536)
        except BaseException:
            sock.close()
            raise

    def random_bytes(self, least: int, most: int) -> bytes:
        return self.random.randbytes(self.random.randint(least, most))


@dataclass(frozen=True)
class Kind:
    """``weight`` is how often it comes, ``requests`` how many it has, which sets the pace."""

    visit: 'Callable[[Visit], Awaitable[None]]'
    weight: float
    requests: int


class Traffic:
    """Lets visitors come at a pace.

    :param rate: requests per second.
    :param clients: visits at a time, at most; but a crowd comes on top.
    :param connections: how many the board takes.
    :param folder: that of the board, with the directories ``files`` and ``uploads``.

    """

    def __init__(self, port: int, rate: float, clients: int, connections: int, folder: Path, seed: int,
                 kinds: 'dict[str, Kind]') -> None:
        self.port = port
        self.url = f'http://127.0.0.1:{port}'
        self.ws_url = f'ws://127.0.0.1:{port}'
        self.rate = rate
        self.clients = clients
        self.connections = connections
        self.folder = folder
        self.files = {path.name: path.read_bytes() for path in (folder / 'files').iterdir()}
        self.seed = seed
        self.random = random.Random(seed)
        self.kinds = kinds
        self.tallies = {kind: Tally() for kind in kinds}
        self.notes: 'list[str]' = []
        self.visits = 0
        self.open = 0  # connections
        self.crowded_at = float('-inf')

    def next_number(self) -> int:
        self.visits += 1
        return self.visits

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(text, flush=True)

    def upload_path(self, number: int) -> Path:
        return self.folder / 'uploads' / f'{number}.bin'

    def count_connections(self, change: int) -> None:
        self.is_crowded()
        self.open += change
        self.is_crowded()

    def is_crowded(self) -> bool:
        """Tell whether the board has, or had just now, as many connections as it takes."""
        if self.open >= self.connections:
            self.crowded_at = time.monotonic()
        return time.monotonic() < self.crowded_at + CROWD_GRACE

    async def run_visit(self, name: str, function: 'Callable[[Visit], Awaitable[None]]') -> None:
        visit = Visit(self, name)
        VISIT.set(visit)
        with contextlib.suppress(Over):
            await function(visit)

    async def run_all(self) -> None:
        """Let each kind of visitor come once."""
        await self.run_visits(self.kinds)

    async def run(self, seconds: float) -> None:
        """Let visitors come for some seconds, and wait until the last one has gone."""
        await self.run_visits(self.choose_kinds(time.monotonic() + seconds))

    def choose_kinds(self, end: float) -> 'Iterator[str]':
        names = list(self.kinds)
        weights = [kind.weight for kind in self.kinds.values()]
        while time.monotonic() < end:
            yield self.random.choices(names, weights)[0]

    async def run_visits(self, names: 'Iterable[str]') -> None:
        tasks: 'set[asyncio.Task[None]]' = set()
        when = time.monotonic()
        for name in names:
            tasks.add(asyncio.create_task(self.run_visit(name, self.kinds[name].visit)))
            when = max(when + self.kinds[name].requests / self.rate, time.monotonic())
            await asyncio.sleep(when - time.monotonic())
            while len(tasks) >= self.clients:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        await asyncio.gather(*tasks)


def render_tallies(tallies: 'dict[str, Tally]') -> 'list[list[str]]':
    """Return the rows of a table."""
    rows = [[name, *(f'{value:,}' if value else '' for value in vars(tally).values())]
            for name, tally in tallies.items()]
    sums = [sum(values) for values in zip(*(vars(tally).values() for tally in tallies.values()), strict=True)]
    return [*rows, ['all', *(f'{value:,}' for value in sums)]]
