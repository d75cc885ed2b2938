"""A file as the body of a response. The core's ``send_file()`` uses it when it is there."""
import time

from microdot.microdot import ON_MICROPYTHON, ProtocolError

try:
    from time import gmtime
except ImportError:  # CircuitPython, whose clock has no zone
    from time import localtime as gmtime

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.microdot import Request, Response

disk: 'Any' = None
if not ON_MICROPYTHON:
    from microdot import disk  # threads, what takes long, what is no regular file, and what changes meanwhile

MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'

if ON_MICROPYTHON:
    def http_date(t: 'Any') -> str:
        day = 'MonTueWedThuFriSatSun'[t[6] * 3:][:3]
        month = MONTHS[t[1] * 3 - 3:][:3]
        return '%s, %02d %s %04d %02d:%02d:%02d GMT' % (day, t[2], month, t[0], t[3], t[4], t[5])
else:
    from microdot.cpython import http_date as http_date


class File:
    """A file as the body of a response. It is opened when it is needed: not for HEAD, and not if nothing has changed.

    :param path: its name, with the directory.
    :param stat: what ``os.stat()`` says of it.
    :param headers: of the response, which get ``Content-Length``; and the validators, if ``has_validators``.

    """

    file: 'Any' = None
    closed = False
    tag: 'str | None' = None
    start = 0
    buffer: 'Any' = None

    def __init__(self, path: str, stat: 'Any', headers: 'Any', has_validators: bool):
        self.path = path
        self.has_validators = has_validators
        self.describe(stat, headers)

    def describe(self, stat: 'Any', headers: 'Any') -> None:
        """Fill in the headers that follow from size and time."""
        self.size = self.left = stat[6]
        self.time = getattr(stat, 'st_mtime_ns', stat[8])
        headers['Content-Length'] = str(self.size)
        if self.has_validators and headers.get('ETag') == self.tag:  # else a hook knows better
            self.tag = headers['ETag'] = '"%x-%x%s"' % (self.time, self.size, headers.get('Content-Encoding', ''))
            headers.pop('Last-Modified', None)
            if stat[8] <= time.time():  # RFC 9110 section 8.8.2.1: never in the future
                headers['Last-Modified'] = http_date(gmtime(stat[8]))
            headers['Accept-Ranges'] = 'bytes'

    @staticmethod
    def find_type(extension: str) -> 'str | None':
        """Return a media type that the core does not have."""
        from microdot.media_types import find_type

        return find_type(extension)

    async def prepare(self, request: 'Request', response: 'Response') -> None:
        """Make the response what the conditions and the range of the request ask for.

        ``ProtocolError`` with 404 if the file cannot be opened, 412 or 416 as the request has it.

        """
        if self.file:  # the application has moved in it
            if response.headers.get('Content-Length') == str(self.size):
                response.headers['Content-Length'] = str(self.left)
            return
        is_head = request.method == 'HEAD'
        is_conditional = response.status_code == 200 and (is_head or request.method == 'GET')
        if is_conditional:
            self.decide(request, response)
        if is_head or response.status_code == 304:
            return
        try:
            if disk:
                await disk.open_body(self, request, response, is_conditional)
            else:
                self.open()
        except OSError:
            raise ProtocolError(404) from None
        if self.left <= response.send_file_buffer_size:  # it leaves together with the header block
            if disk:
                await disk.call(self.load, response)
            else:
                self.load(response)

    def decide(self, request: 'Request', response: 'Response') -> None:
        """Evaluate conditions and range."""
        for name in request.headers:
            if name[:3].lower() in ('if-', 'ran'):
                from microdot.conditions import decide  # which not every request asks for

                decide(self, request, response)
                return

    def open(self) -> 'Any':
        """Return the open file, at the byte that is sent first."""
        if not self.file:
            self.file = disk.open_file(self.path) if disk else open(self.path, 'rb')
            if self.start:
                self.file.seek(self.start)
            if self.closed:  # while a thread was opening it
                self.close()
        return self.file

    def load(self, response: 'Response') -> None:
        data = self.open().read(self.left)
        self.close()
        if len(data) != self.left:
            raise ValueError('the file has become shorter')
        response.body = data

    def read(self, n: int = -1) -> 'Any':
        """Return up to ``n`` bytes; all that are left if it is negative.

        On MicroPython a part is a view of one buffer that the next call uses again: a board's heap would be scattered
        with such parts.

        """
        file = self.open()
        if 0 <= n and ON_MICROPYTHON:
            if not self.buffer or len(self.buffer) < n:
                self.buffer = memoryview(bytearray(n))
            data = self.buffer[:file.readinto(self.buffer, min(n, self.left))]
        else:
            data = file.read(self.left if n < 0 else min(n, self.left))
        self.left -= len(data)
        return data

    def seek(self, *args: int) -> int:
        position = self.open().seek(*args)
        self.left = self.size - position
        return position  # type: ignore[no-any-return]

    def tell(self) -> int:
        return self.open().tell()  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed = True
        if self.file:
            self.file.close()
            self.file = None
