"""Server-Sent Events (WHATWG HTML, section 9.2): a response that goes on, an event at a time."""
import asyncio
import json

from microdot.helpers import wraps
from microdot.microdot import Disconnected, Request, Response
from microdot.push import Signal, below_guards, current_task

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

MAX_BURST = 65536


def render_event(data: 'Any', event: 'str | None' = None, event_id: 'str | None' = None, retry: 'float | None' = None,
                 comment: bool = False) -> bytes:
    """Return an event as :meth:`SSE.send` sends it."""
    text = ''
    for name, value in ('event: ', event), ('id: ', event_id):
        if value is not None:
            value = str(value)
            if '\n' in value or '\r' in value or '\0' in value:  # it would be more than one line, or be ignored
                raise ValueError('an event name or id has no line breaks and no NUL')
            text += name + value + '\n'
    if retry is not None:
        text += 'retry: %d\n' % int(float(retry) * 1000)
    if isinstance(data, (dict, list)):
        data = json.dumps(data)
    if not isinstance(data, (bytes, bytearray)):
        data = str(data).encode()
    start = b': ' if comment else b'data: '
    data = start + data.replace(b'\r\n', b'\n').replace(b'\r', b'\n').replace(b'\n', b'\n' + start)
    return text.encode() + data + b'\n\n'  # type: ignore[no-any-return]


class SSE:
    """A stream of events to a client, and the body of the response.

    Attributes: ``last_event_id``, the id of the last event that a client has seen that connects again, or ``None``.

    """

    #: Seconds without an event after which a comment is sent, for proxies that end what is idle; ``None`` for none.
    keep_alive: 'float | None' = None

    error: 'Exception | None' = None
    is_done = is_broken = False
    burst = 0  # bytes that were sent without a pause
    write: 'Any' = None  # sends bytes to the client, from the beginning of the response on

    def __init__(self, request: 'Request', event_function: 'Callable[..., Any]', args: 'Any', kwargs: 'Any'):
        self.request = request
        self.sock: 'Any' = request.sock[0]
        self.last_event_id = request.headers.get('Last-Event-ID')
        self.change = Signal()  # of write or is_done
        self.lock = asyncio.Lock()
        self.task = asyncio.create_task(self._run(event_function, args, kwargs))
        self.sock.watch(self)

    async def _run(self, event_function: 'Callable[..., Any]', args: 'Any', kwargs: 'Any') -> None:
        try:
            await event_function(self.request, self, *args, **kwargs)
        except asyncio.CancelledError:  # by end(): nobody is to hear of it
            pass
        except Exception as exc:
            self.error = exc
            if self.is_done:  # too late for send_to()
                await self.request.app.handle_error(self.request, exc)
        self.is_done = True
        self.change.set()

    async def send(self, data: 'Any', event: 'str | None' = None, event_id: 'str | None' = None,
                   retry: 'float | None' = None, comment: bool = False) -> None:
        """Send an event, and wait if the client does not read.

        :param data: ``dict`` and ``list`` are sent as JSON, ``str`` and ``bytes`` as they are, others as ``str(data)``.
                     Line breaks arrive as ``\\n``, whatever they are here.
        :param event: name of the event, by default none, which browsers take for ``message``.
        :param event_id: what the client sends as ``Last-Event-ID`` when it has to connect again.
        :param retry: seconds that the client is to wait before it does so.
        :param comment: send ``data`` as a comment, which clients ignore.

        ``ValueError`` for a name or an id with a line break or NUL. If the client is gone, the handler is cancelled;
        others who send get an ``OSError``.

        """
        await self._send(render_event(data, event, event_id, retry, comment))

    async def _send(self, message: bytes) -> None:
        while not self.write and not self.is_done:  # the response has not begun
            await self.change.wait()
        await self.lock.acquire()  # an event may be written in several steps
        try:
            if self.is_done:
                raise self._gone()
            await self.write(message)
        except Disconnected:
            self.end()
            raise self._gone() from None
        except asyncio.CancelledError:
            if self.sock.is_torn:
                self.is_broken = True
                self.end()
            raise
        finally:
            self.lock.release()
        self.burst += len(message)
        if self.burst > MAX_BURST:  # a handler that only sends, to a client that is fast, must not stop all others
            self.burst = 0
            await asyncio.sleep(0)

    def _gone(self) -> BaseException:
        """Return what tells the caller that the client is gone: to the handler itself, its cancellation."""
        if self.task is current_task():
            return asyncio.CancelledError()
        return OSError(104, 'the client is gone')  # ECONNRESET

    # --- what the connection calls

    async def send_to(self, write: 'Callable[[bytes], Any]') -> None:
        """Send the events with a coroutine function until there will be no more."""
        self.write = write
        self.change.set()
        self.notice()
        while not self.is_done:
            if self.keep_alive:
                try:
                    await asyncio.wait_for(self.change.wait(), self.keep_alive)
                except asyncio.TimeoutError:
                    try:
                        await self._send(b':\n\n')
                    except OSError:  # the end of the stream, which we see by ourselves
                        pass
            else:
                await self.change.wait()
        if self.error:
            await self.request.app.handle_error(self.request, self.error)
        if self.error or self.is_broken:
            raise Disconnected()  # the end of the response is missing, so that the client knows

    def notice(self) -> None:
        """End the stream if the client is gone, or sends so much that we could not see it go, or the server stops."""
        if self.sock.is_eof or self.sock.server.is_closing or len(self.sock.data) > self.sock.read_size:
            self.end()

    def end(self) -> None:
        """End the stream: cancel the handler."""
        self.is_done = True
        if self.task is not current_task():
            self.task.cancel()
        self.change.set()

    async def finish(self, response: 'Response | None') -> None:
        """Leave nothing behind."""
        if not self.is_done:
            self.end()
        await self.sock.unwatch()


def sse_response(request: 'Request', event_function: 'Callable[..., Any]', *args: 'Any', **kwargs: 'Any') -> 'Response':
    """Return a response with the events that ``event_function(request, sse, *args, **kwargs)`` sends."""
    headers = {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no'}
    return Response(SSE(request, event_function, args, kwargs), 200, headers)


def with_sse(f: 'Callable[..., Any] | None' = None, keep_alive: 'float | None' = None) -> 'Any':
    """Make an ``async def`` function a source of events, which is called as ``f(request, sse, **args)``.

    Use it below the decorator of the route, as ``@with_sse`` or ``@with_sse(keep_alive=15)``.

    The response has begun as soon as the function waits for something. Until then :func:`abort` and other exceptions
    become an ordinary response; later they are given to the application's error handlers, too, but all that the client
    can see is that the stream breaks off. It is cancelled (``asyncio.CancelledError``) when the client is gone.

    :param keep_alive: see :attr:`SSE.keep_alive`.

    """
    def decorate(f: 'Callable[..., Any]') -> 'Any':
        return below_guards(f, stream)

    def stream(f: 'Callable[..., Any]') -> 'Any':
        @wraps(f)
        async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Response':
            response = sse_response(request, f, *args, **kwargs)
            sse: 'Any' = response.body
            sse.keep_alive = keep_alive or sse.keep_alive
            await asyncio.sleep(0)  # the task's first step
            if sse.error:
                raise sse.error
            return response

        return wrapper

    return decorate(f) if f else decorate
