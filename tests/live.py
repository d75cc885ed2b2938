"""A server in the test's own event loop, and a raw client for it. Works on CPython and on MicroPython."""
import asyncio

from helpers import changed
from microdot import microdot as core
from microdot.microdot import Server
from ports import own_ports


def ports():
    while True:
        yield from own_ports()


PORTS = ports()


class serving:
    """``async with serving(app) as server:`` the application listens on ``server.port``."""

    def __init__(self, app, period=0.05, **options):
        self.app = app
        self.options = options
        self.period = changed(Server, sweep_period=period)

    async def __aenter__(self):
        self.period.__enter__()
        server = await start(self.app, **self.options)
        self.task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        return server

    async def __aexit__(self, exc_type, exc, traceback):
        self.app.shutdown()
        await asyncio.wait_for(self.task, 10)
        self.period.__exit__(None, None, None)


async def start(app, ssl=None, **options):
    for port in PORTS:
        server = core.make_server(app, **options)
        try:
            await server.start('127.0.0.1', port, ssl)
        except OSError:  # in use by somebody else
            continue
        server.port = port
        return server


class Client:
    """A raw connection. Reading fails after some seconds instead of hanging."""

    @classmethod
    async def connect(cls, server, data=b''):
        client = cls()
        client.reader, client.writer = await asyncio.open_connection('127.0.0.1', server.port)
        if data:
            await client.send(data)
        return client

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, n=-1):
        """Read up to n bytes, or all up to the end of the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(n), 10)
        except OSError:
            return b''  # reset by the server

    async def read_response(self):
        head = b''
        while not head.endswith(b'\r\n\r\n'):
            byte = await self.read(1)
            assert byte, head
            head += byte
        length = int(head.split(b'Content-Length: ')[1].split(b'\r\n')[0])
        body = b''
        while len(body) < length:
            body += await self.read(length - len(body))
        return int(head[9:12]), body

    async def get(self, path='/'):
        await self.send(b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' % path.encode())
        return await self.read_response()

    async def close(self):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


async def until(condition):
    """Wait until something becomes true, and fail if it takes long."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError('it never became true')
