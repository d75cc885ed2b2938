"""The server of CPython without sockets: bytes in, bytes out."""
import asyncio
import socket
from types import SimpleNamespace

from microdot.server import ProtocolConnection, ProtocolServer, Starter


class MemoryTransport(asyncio.Transport):
    """A transport whose other end reads everything at once and sends what the test says."""

    def __init__(self, protocol, client_addr):
        super().__init__({'peername': client_addr, 'socket': SimpleNamespace(family=socket.AF_INET)})
        self.protocol = protocol
        self.loop = asyncio.get_running_loop()
        self.data = b''
        self.lost = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.has_ended = self.has_closed = False

    def write(self, data):
        assert not self.has_ended, 'written after write_eof()'
        if not self.has_closed:
            self.data += data

    def get_write_buffer_size(self):
        return 0

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.has_ended = True

    def pause_reading(self):
        assert self.reading.is_set()
        self.reading.clear()

    def resume_reading(self):
        assert not self.reading.is_set()
        self.reading.set()

    def is_closing(self):
        return self.has_closed

    def close(self):
        if not self.has_closed:
            self.has_closed = True
            self.loop.call_soon(self._lose)

    abort = close

    def _lose(self):
        self.protocol.connection_lost(None)
        self.lost.set()
        self.reading.set()


async def exchange(app, pieces, scheme=None, client_addr=('127.0.0.1', 1234), leaves=False):
    """Send pieces of bytes over one connection, return all that the server sends until it closes that.

    The client stays until a stream ends, unless it ``leaves`` when all is sent.

    """
    server = ProtocolServer(app)
    server.loop = asyncio.get_running_loop()
    server.scheme = scheme or server.scheme
    server.starter = Starter(server.loop)
    connection = ProtocolConnection(server)
    transport = MemoryTransport(connection, client_addr)
    try:
        await called_back(connection.connection_made, transport)
        for piece in pieces:
            await transport.reading.wait()
            if not transport.has_closed:
                await called_back(connection.data_received, piece)
        while connection.watcher and not leaves:
            await asyncio.sleep(0.001)
        if not transport.has_closed and not await called_back(connection.eof_received):
            transport.close()
        await transport.lost.wait()
    finally:
        if not transport.has_closed:  # the test has no more patience
            connection.cancel()
        while connection.is_serving:  # what it does after the client has gone
            await asyncio.sleep(0)
        server.starter.close()
        await asyncio.sleep(0)
    assert not server.connections
    return transport.data


async def called_back(f, *args):
    """Call a function from the event loop, in no task, and let the event loop do what there is to do then."""
    result = asyncio.get_running_loop().create_future()

    def call():
        try:
            result.set_result(f(*args))
        except Exception as exc:
            result.set_exception(exc)

    asyncio.get_running_loop().call_soon(call)
    return await result
