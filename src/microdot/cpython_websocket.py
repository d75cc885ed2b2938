"""What a WebSocket has on CPython alone: compression, groups of exceptions, and turns.

A server of CPython reads 256 KB at a time and writes without waiting, so that a conversation with a fast client would
stop all others. On a board each read and each write lets the others have their turn.

"""
import asyncio
from codecs import utf_8_decode

from microdot.helpers import wraps
from microdot.websocket import CLOSE, EVENT_COST, FIELD, WebSocketError, render_frame
from microdot.websocket import WebSocket as PortableWebSocket

if False:  # TYPE_CHECKING
    from collections.abc import Callable, Coroutine
    from typing import Any

    from microdot.deflate import Deflate

MAX_STEPS = 100  # messages or fragments that are taken without a pause


def check_text(data: bytes) -> int:
    """Return how many bytes of ``data`` are whole characters; ``UnicodeError`` if it cannot become UTF-8."""
    end = utf_8_decode(data, 'strict', False)[1]
    if b'\xed\xa0' <= data[end:end + 2] < b'\xee':  # a surrogate, of which the decoder waits for the third byte
        raise UnicodeError
    return end


class WebSocket(PortableWebSocket):
    __doc__ = PortableWebSocket.__doc__

    deflate: 'Deflate | None' = None
    max_burst: int = 65536  # bytes that are sent without a pause
    burst: int = 0
    steps = 0  # messages and fragments that were taken without a pause
    rest_task: 'Any' = None

    def shake_hands(self, compression: 'Any') -> 'dict[str, str]':
        headers = super().shake_hands(compression)
        if compression:
            from microdot.deflate import negotiate
            self.deflate = negotiate(self.request.headers.get(FIELD + 'Extensions', ''), compression)
            if self.deflate and self.decoder:
                headers[FIELD + 'Extensions'] = self.deflate.response
                self.decoder.deflate = self.deflate
        return headers

    def _render(self, opcode: int, payload: bytes) -> bytes:
        if self.deflate and opcode < CLOSE and self.deflate.is_worthwhile(payload):
            return render_frame(opcode, self.deflate.compress(payload), b'', 0xC0)
        return render_frame(opcode, payload)

    def _send(self, opcode: int, payload: bytes) -> 'Coroutine[Any, Any, None]':
        self.burst += len(payload) + EVENT_COST
        if self.burst > self.max_burst:
            self.burst = 0
            return self._send_later(opcode, payload)
        return PortableWebSocket._send(self, opcode, payload)  # PERF: bench, WebSocket echo: super() takes longer

    async def _send_later(self, opcode: int, payload: bytes) -> None:
        await asyncio.sleep(0)
        await super()._send(opcode, payload)

    def notice(self) -> None:
        if not self.rest_task:
            self.steps = 0
            PortableWebSocket.notice(self)

    def _take(self, opcode: int, payload: 'Any') -> None:
        PortableWebSocket._take(self, opcode, payload)
        self.steps += 1
        if self.steps >= MAX_STEPS:
            self.is_full = True
            self.rest_task = self.rest_task or asyncio.create_task(self._rest())

    async def _rest(self) -> None:
        await asyncio.sleep(0)
        self.rest_task = None
        self.notice()

    def _limit_handler(self) -> None:
        if self.error or not self.rest_task:  # else there may be more messages
            super()._limit_handler()

    async def finish(self, response: 'Any') -> None:
        try:
            await super().finish(response)
        finally:
            if self.rest_task:
                self.rest_task.cancel()


def ungroup(f: 'Callable[..., Any]') -> 'Callable[..., Any]':
    """Let a handler end with the errors of its conversation of which an ``asyncio.TaskGroup`` has made a group."""
    @wraps(f)
    async def wrapper(request: 'Any', ws: 'Any', *args: 'Any', **kwargs: 'Any') -> None:
        try:
            await f(request, ws, *args, **kwargs)
        except Exception as exc:
            if not is_end(exc) or not ws.error and not ws.closed:  # the latter is about another conversation
                raise

    return wrapper  # type: ignore[no-any-return]


def is_end(exc: BaseException) -> bool:
    """Tell whether an exception says that a conversation is over."""
    group = getattr(exc, 'exceptions', ())
    return isinstance(exc, WebSocketError) or bool(group) and all(is_end(one) for one in group)
