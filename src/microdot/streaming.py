"""A part of the core: bodies that are sent or read in pieces, and connections that are watched meanwhile."""
import asyncio

from microdot.microdot import ON_MICROPYTHON, iscoroutine

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.microdot import AsyncBytesIO, Connection, Response

WRONG_LENGTH = 'the body is not as long as Content-Length says'


def render_chunk(data: bytes) -> bytes:
    """Return a chunk (RFC 9112 section 7.1); an empty one is the last."""
    return b'%x\r\n' % len(data) + data + b'\r\n'


class BodyIterator:
    """Async iterator over any kind of body. A class, because MicroPython has no async generators."""

    def __init__(self, body: 'Any', read_size: int, length: 'str | None' = None):
        if hasattr(body, '__aiter__'):
            body = body.__aiter__()
        elif isinstance(body, bytes):
            body = iter((body,))
        elif not (hasattr(body, 'read') or hasattr(body, '__anext__') or hasattr(body, 'send_to')):
            body = iter(body)
        self.body = body
        self.read_size = read_size
        self.left = None if length is None else int(length)

    def __aiter__(self) -> 'BodyIterator':
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._next()
        except StopAsyncIteration:
            if self.left:
                raise ValueError(WRONG_LENGTH) from None
            raise
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                raise ValueError(WRONG_LENGTH)
        return data

    async def _next(self) -> bytes:
        data: 'Any' = b''
        while not data:  # an empty chunk would end a chunked body
            if hasattr(self.body, '__anext__'):
                data = await self.body.__anext__()
            elif hasattr(self.body, 'read'):
                data = self.body.read(self.read_size)
                if iscoroutine(data):
                    data = await data
                if not data:
                    raise StopAsyncIteration
            else:
                try:
                    data = next(self.body)
                except StopIteration:
                    raise StopAsyncIteration from None
        return data.encode() if isinstance(data, str) else data


def body_iter(self: 'Response') -> BodyIterator:
    """Return an async iterator over the body, in non-empty pieces of ``bytes``.

    It raises ``ValueError`` if they are not as long as ``Content-Length`` says.

    """
    return BodyIterator(self.body, self.send_file_buffer_size, self.headers.get('Content-Length'))


async def send_stream(response: 'Response', stream: 'Any', head: bytes, is_chunked: bool) -> None:
    """Send a header block and a body that is not ``bytes``."""
    left = response.headers.get('Content-Length')
    send_file = getattr(stream, 'send_file', None)
    if send_file and left and await send_file(head, response.body, int(left)):
        return
    if not hasattr(response.body, 'read'):  # the first item may be a long time coming
        await stream.awrite(head)
        head = b''
    if hasattr(response.body, 'send_to'):
        await response.body.send_to(lambda data: stream.awrite(render_chunk(data) if is_chunked else data))
        response.body = ()
    async for data in response.body_iter():
        if is_chunked:
            data = render_chunk(data)
        if head and (not ON_MICROPYTHON or len(data) < 256):  # one packet; a board has no room for larger copies
            data = head + data
            head = b''
        if head:
            await stream.awrite(head)
            head = b''
        await stream.awrite(data)
        await asyncio.sleep(0)  # a body that never waits, to a client that is fast, must not stop all others
    if is_chunked:
        head += render_chunk(b'')
    if head:
        await stream.awrite(head)


class Watch:
    """Reads what the client sends while a handler runs."""

    def __init__(self, connection: 'Connection'):
        self.connection = connection
        self.reading = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self.connection.watcher = None
        self.task.cancel()
        await asyncio.sleep(0)  # until it has let go of the stream

    async def _run(self) -> None:
        connection = self.connection
        try:
            while connection._feed(await connection.reader.read(connection.read_size)):
                connection.watcher.notice()
                self.reading.clear()
                if len(connection.data) > connection.read_size:
                    await self.reading.wait()
        except (OSError, MemoryError):
            pass
        connection.is_eof = True
        if connection.watcher:
            connection.watcher.notice()


def watch(self: 'Connection', watcher: 'Any') -> None:
    """Call ``watcher.notice()`` whenever the client has sent something into ``data``, and at its end (``is_eof``).

    The server calls ``watcher.end()`` when it stops, ``await watcher.finish(response)`` at the end of the request.
    Then there are ``resume_reading()``, to be called when there is less in ``data``, and ``await unwatch()``.

    """
    self.watcher = watcher
    watch = Watch(self)
    self.unwatch = watch.stop
    self.resume_reading = watch.reading.set


# ---------------------------------------------------------------------------------------------------------------
# The methods of streams
# ---------------------------------------------------------------------------------------------------------------

async def readexactly(self: 'AsyncBytesIO', n: int) -> bytes:
    """Return ``n`` bytes; ``EOFError`` if there are fewer."""
    while len(self.data) < n:
        if not await self._fill(n - len(self.data)):
            raise EOFError
    return self._take(n)


async def readuntil(self: 'AsyncBytesIO', separator: bytes = b'\n') -> bytes:
    """Return the bytes up to and with ``separator``, or what is left if there is none."""
    while True:
        end = self.data.find(separator)
        if end >= 0:
            return self._take(end + len(separator))
        if not await self._fill(self.small_read_size):
            return self._take(len(self.data))


async def readline(self: 'AsyncBytesIO') -> bytes:
    """Return the bytes up to and with the next line feed, or what is left if there is none."""
    return await self.readuntil()


async def awrite(self: 'AsyncBytesIO', data: bytes) -> None:
    self.data += data


async def aclose(self: 'AsyncBytesIO') -> None:
    pass
