"""Files: conditional requests and ranges (RFC 9110 sections 13 and 14), and directories of them.

The core's ``send_file()`` uses this module when it is there.

"""
import os
import re
import time

from microdot.helpers import add_vary
from microdot.microdot import ON_MICROPYTHON, ProtocolError, Response

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.microdot import Microdot, NoCaseDict, Request

    Date = tuple[int, ...]

#: Media types by file name extension, those that the core does not have itself. One string: as a dictionary they would
#: take 8 KB of a board's heap.
TYPES = '''
aac audio/aac
apng image/apng
avif image/avif
bmp image/bmp
bz2 application/x-bzip2
csv text/csv
flac audio/flac
gz application/gzip
htm text/html
ico image/x-icon
ics text/calendar
jpeg image/jpeg
jsonld application/ld+json
m4a audio/mp4
map application/json
md text/markdown
mid audio/midi
mjs text/javascript
mov video/quicktime
mp3 audio/mpeg
mp4 video/mp4
mpeg video/mpeg
oga audio/ogg
ogg audio/ogg
ogv video/ogg
opus audio/ogg
otf font/otf
pdf application/pdf
rtf application/rtf
tar application/x-tar
tif image/tiff
tiff image/tiff
ttf font/ttf
vtt text/vtt
wasm application/wasm
wav audio/wav
weba audio/webm
webm video/webm
webmanifest application/manifest+json
webp image/webp
woff font/woff
woff2 font/woff2
xhtml application/xhtml+xml
xml application/xml
yaml application/yaml
yml application/yaml
zip application/zip
'''

if not ON_MICROPYTHON:  # for those who look there
    for line in TYPES.split('\n'):
        if line:
            Response.types_map.setdefault(*line.split(' '))


# ---------------------------------------------------------------------------------------------------------------
# The rules, without I/O
# ---------------------------------------------------------------------------------------------------------------

MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'
# RFC 9110 section 5.6.7: IMF-fixdate and the date of RFC 850, then that of asctime(); MicroPython's engine has no {2}
DATE = re.compile('^[A-Z][a-z]+, ([0-9][0-9])[- ]([A-Z][a-z][a-z])[- ]([0-9][0-9][0-9]?[0-9]?) '
                  '([0-9][0-9]):([0-9][0-9]):([0-9][0-9]) GMT$')
ASCTIME = re.compile('^[A-Z][a-z][a-z] ([A-Z][a-z][a-z]) ([ 0-9][0-9]) '
                     '([0-9][0-9]):([0-9][0-9]):([0-9][0-9]) ([0-9][0-9][0-9][0-9])$')

if ON_MICROPYTHON:
    def http_date(t: 'Any') -> str:
        day = 'MonTueWedThuFriSatSun'[t[6] * 3:][:3]
        month = MONTHS[t[1] * 3 - 3:][:3]
        return '%s, %02d %s %04d %02d:%02d:%02d GMT' % (day, t[2], month, t[0], t[3], t[4], t[5])
else:
    from microdot.cpython import http_date, run_sync


def parse_date(text: str) -> 'Date | None':
    """Return year, month, day, hour, minute, second of an HTTP date (RFC 9110 section 5.6.7), ``None`` if it is none.

    They are compared as they are: boards disagree on the time that timestamps count from.

    """
    found: 'Any' = DATE.match(text)
    if found:
        day, month, year, hour, minute, second = [found.group(i) for i in range(1, 7)]
    else:
        found = ASCTIME.match(text)
        if not found:
            return None
        month, day, hour, minute, second, year = [found.group(i) for i in range(1, 7)]
    number = MONTHS.find(month)
    date = (full_year(year), number // 3 + 1, int(day), int(hour), int(minute), int(second))
    if number % 3 or len(year) == 3 or not 0 < date[2] < 32 or date[3] > 23 or date[4] > 59 or date[5] > 60:
        return None
    return date


def full_year(text: str) -> int:
    """Return the year; of two digits the last one that is not more than 50 years ahead."""
    year = int(text)
    if len(text) == 2:
        now = time.gmtime()[0]
        year += now - now % 100
        if year > now + 50:
            year -= 100
    return year


def has_tag(value: str, tag: str, is_strong: bool) -> bool:
    """Tell whether a list of entity tags has this one, or is ``*`` (RFC 9110 section 8.8.3.2)."""
    if value == '*':
        return True
    parts = value.split('"')  # what is between the quotes, at odd places, has none itself
    for i in range(1, len(parts) - 1, 2):
        if '"%s"' % parts[i] == tag[tag.find('"'):]:
            if not is_strong or tag[0] == '"' and parts[i - 1][-1:] != '/':
                return True
    return False


def check_conditions(asked: 'NoCaseDict', headers: 'NoCaseDict') -> int:
    """Return the status code that the conditions of a GET or HEAD request lead to, 0 for an ordinary response.

    RFC 9110 section 13.2.2.

    :param asked: the headers of the request.
    :param headers: those of the response, with ``ETag`` and ``Last-Modified``.

    """
    tag = headers.get('ETag', '')
    if 'If-Match' in asked:
        if not has_tag(asked['If-Match'], tag, True):
            return 412
    elif is_later(headers, asked.get('If-Unmodified-Since'), False):
        return 412
    if 'If-None-Match' in asked:
        return 304 if has_tag(asked['If-None-Match'], tag, False) else 0
    return 0 if is_later(headers, asked.get('If-Modified-Since'), True) else 304


def is_later(headers: 'NoCaseDict', value: 'str | None', default: bool) -> bool:
    """Tell whether ``Last-Modified`` is later than a date; ``default`` if one of the two is not there or no date."""
    limit = parse_date(value) if value else None
    date = parse_date(headers.get('Last-Modified', '')) if limit else None
    return date > limit if date and limit else default


def is_current(value: str, headers: 'NoCaseDict') -> bool:
    """Tell whether the client has a part of what we would send: the value of ``If-Range`` (RFC 9110 section 13.1.5)."""
    if value[-1:] == '"':
        return value[0] == '"' and value == headers.get('ETag')
    date = parse_date(headers.get('Last-Modified', ''))
    # of the current second it says nothing: the file may change once more (section 8.8.2.2)
    return date is not None and date == parse_date(value) and date < tuple(time.gmtime()[:6])


def parse_range(value: str, size: int) -> 'tuple[int, int] | None':
    """Return where a range begins and ends, ``None`` for what is to be ignored (RFC 9110 section 14.2).

    ``ProtocolError`` if the range is beyond the end. Several ranges at once are ignored.

    """
    unit, _, ranges = value.partition('=')
    parts = [part for part in [part.strip(' \t') for part in ranges.split(',')] if part]
    first, dash, last = parts[0].partition('-') if len(parts) == 1 else ('', '', '')
    if unit.lower() != 'bytes' or not dash or not (first + last + '0').encode().isdigit() or first + last == '':
        return None
    start = to_int(first)
    end = to_int(last) + 1 if last else size
    if not first:  # the last so many bytes
        start = max(size - to_int(last), 0)
        if not size and to_int(last):
            return None  # all of it, which has no first and last byte that Content-Range could name
        end = size
    elif end <= start and last:
        return None
    if start >= size:
        raise ProtocolError(416, {'Content-Range': 'bytes */%d' % size})
    return start, min(end, size)


def to_int(digits: str) -> int:
    """Convert digits; CPython refuses thousands of them, and no file is that long."""
    digits = digits.lstrip('0')
    return int(digits or '0') if len(digits) < 19 else 1 << 62


#: File name extensions of precompressed files, by content coding, the preferred one first.
SIBLINGS = (('br', '.br'), ('zstd', '.zst'), ('gzip', '.gz'))


def acceptable(value: 'str | None') -> 'list[tuple[str, str]]':
    """Return the members of ``SIBLINGS``, and ``('', '')`` for the file itself, that a client takes, best first.

    :param value: the value of ``Accept-Encoding`` (RFC 9110 section 12.5.3); ``None`` is a client that takes all.

    """
    plain = [('', '')]
    if value is None:
        return plain + list(SIBLINGS)
    weights: 'dict[str, float]' = {}
    for item in value.lower().split(','):
        name, _, weight = item.partition(';')
        weights[name.strip(' \t').replace('x-gzip', 'gzip')] = parse_weight(weight)
    others = weights.get('*', 0)
    # the client may not have named identity: then it is acceptable, but nothing is less wanted
    found = [(weights.get('identity', others if '*' in weights else 1e-4), 0, '', '')]
    for coding, extension in SIBLINGS:
        found.append((weights.get(coding, others), 4 - len(found), coding, extension))
    return [item[2:] for item in sorted(found, reverse=True) if item[0]]


def parse_weight(text: str) -> float:
    """Return the value of a parameter ``q`` (RFC 9110 section 12.4.2), 1 if there is none, 0 if it is malformed."""
    name, _, value = text.replace(' ', '').replace('\t', '').partition('=')
    if not name:
        return 1
    digits = value.replace('.', '', 1)
    return float(value) if name == 'q' and digits.encode().isdigit() and len(digits) < 5 else 0


# ---------------------------------------------------------------------------------------------------------------
# A file as the body of a response
# ---------------------------------------------------------------------------------------------------------------

class Disk:
    """Calls what waits for a file system: looking for a file, and opening it.

    A thread costs more than that on a disk that is fast. So only what took long the last time, such as on a network
    file system, is called in a thread, and meanwhile the other clients have their turn.

    """

    #: Seconds from which on a call has taken long.
    slow = 0.002

    def __init__(self) -> None:
        self.slow_calls: 'set[str]' = set()  # names of functions

    async def call(self, f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
        if ON_MICROPYTHON:
            return f(*args)
        return await run_sync(self.measure, f, *args) if f.__name__ in self.slow_calls else self.measure(f, *args)

    def measure(self, f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
        start = time.monotonic()
        try:
            return f(*args)
        finally:
            is_slow = time.monotonic() - start > self.slow
            (self.slow_calls.add if is_slow else self.slow_calls.discard)(f.__name__)


disk = Disk()


def open_file(path: str) -> 'Any':
    """Open a regular file. It may have become another one since we looked, and opening a FIFO would wait for ever."""
    if ON_MICROPYTHON:
        return open(path, 'rb')
    file = open(path, 'rb', 0, opener=lambda path, flags: os.open(path, flags | getattr(os, 'O_NONBLOCK', 0)))
    if os.fstat(file.fileno()).st_mode & 0xF000 == 0x8000:
        return file
    file.close()
    raise OSError(path)


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
                headers['Last-Modified'] = http_date(time.gmtime(stat[8]))
            headers['Accept-Ranges'] = 'bytes'

    @staticmethod
    def find_type(extension: str) -> 'str | None':
        """Return a media type that the core does not have."""
        start = TYPES.find('\n%s ' % extension) + len(extension) + 2
        return TYPES[start:TYPES.find('\n', start)] if start > len(extension) + 1 else None

    async def prepare(self, request: 'Request', response: Response) -> None:
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
            await disk.call(self.open)
            if is_conditional and self.has_changed(response):
                self.decide(request, response)
                self.file.seek(self.start)
        except OSError:
            raise ProtocolError(404) from None
        if self.left <= response.send_file_buffer_size:  # it leaves together with the header block
            await disk.call(self.load, response)

    def decide(self, request: 'Request', response: Response) -> None:
        """Evaluate conditions and range."""
        headers = response.headers
        asked = request.headers
        status_code = check_conditions(asked, headers)
        if status_code == 412:
            raise ProtocolError(412)
        if status_code:
            response.status_code = status_code
            response.body = b''
            for name in 'Content-Type', 'Content-Length', 'Content-Encoding', 'Accept-Ranges':
                headers.pop(name, None)
        elif request.method == 'GET' and 'Range' in asked and is_current_or_any(asked, headers):
            found = parse_range(asked['Range'], self.size)
            if found:
                self.start = found[0]
                self.left = found[1] - found[0]
                response.status_code = 206
                headers['Content-Range'] = 'bytes %d-%d/%d' % (found[0], found[1] - 1, self.size)
                headers['Content-Length'] = str(self.left)

    def has_changed(self, response: Response) -> bool:
        """Tell whether another file has got the name since we looked, and describe that one."""
        if not hasattr(os, 'fstat'):
            return False
        stat = os.fstat(self.file.fileno())
        if (stat.st_size, stat.st_mtime_ns) == (self.size, self.time):
            return False
        self.start = 0
        response.status_code = 200
        response.headers.pop('Content-Range', None)
        self.describe(stat, response.headers)
        return True

    def open(self) -> 'Any':
        """Return the open file, at the byte that is sent first."""
        if not self.file:
            self.file = open_file(self.path)
            if self.start:
                self.file.seek(self.start)
            if self.closed:  # while a thread was opening it
                self.close()
        return self.file

    def load(self, response: Response) -> None:
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


def is_current_or_any(asked: 'NoCaseDict', headers: 'NoCaseDict') -> bool:
    return 'If-Range' not in asked or is_current(asked['If-Range'], headers)


# ---------------------------------------------------------------------------------------------------------------
# A directory
# ---------------------------------------------------------------------------------------------------------------

def is_kind(path: str, kind: int) -> bool:
    """Tell whether there is something of a kind: 0x8000 is a regular file, 0x4000 a directory."""
    try:
        return os.stat(path)[0] & 0xF000 == kind
    except (OSError, ValueError):  # ValueError for NUL on CPython
        return False


class Static:
    """Serves the files of a directory and the directories below it.

    :param app: the application; or call :meth:`initialize` with it later.
    :param url_prefix: path under which the files are found, ``''`` for all of the site (then create it last).
    :param directory: the directory, relative to the current one.
    :param max_age: seconds that a cache may keep a file without asking, by default
                    ``Response.default_send_file_max_age``.
    :param index: name of the file, such as ``'index.html'``, that is sent for a directory; by default that is a 404.

    Precompressed files beside a file, with ``.br``, ``.zst`` or ``.gz`` added to its name, are sent to the clients that
    accept them.

    """

    def __init__(self, app: 'Microdot | None' = None, url_prefix: str = '/static', directory: str = 'static',
                 max_age: 'int | None' = None, index: 'str | None' = None):
        self.url_prefix = url_prefix.rstrip('/')
        self.directory = (directory or '.') if ON_MICROPYTHON else os.path.realpath(directory)
        self.max_age = max_age
        self.index = index
        if app is not None:
            self.initialize(app)

    def initialize(self, app: 'Microdot') -> None:
        """Add the routes to an application."""
        app.get(self.url_prefix + '/<path:path>')(self.serve)
        if self.index:
            app.get(self.url_prefix + '/')(self.serve)
            if self.url_prefix:
                app.get(self.url_prefix)(self.redirect)

    async def redirect(self, request: 'Request') -> Response:
        """Return the response to the URL of a directory without its slash."""
        # relative, so that it cannot be another site
        path, mark, query = request.url.partition('?')
        return Response(b'', 301, {'Location': './' + path.rpartition('/')[2] + '/' + mark + query})

    async def serve(self, request: 'Request', path: str = '') -> Response:
        """Return the response with a file, by its percent-decoded path below the directory."""
        name = path
        if self.index and (not path or path[-1] == '/'):
            name += self.index
        if not is_safe(name) or '%2f' in request.raw_path.lower():  # slashes that no route has seen
            raise ProtocolError(404)
        accepted = acceptable(request.headers.get('Accept-Encoding'))
        coding, extension = await disk.call(self.find, name, accepted)
        if coding is None:
            return await self.redirect(request)
        response = Response.send_file(self.directory + '/' + name, max_age=self.max_age, compressed=coding,
                                      file_extension=extension)
        add_vary(response, 'Accept-Encoding')
        return response

    def find(self, name: str, accepted: 'list[tuple[str, str]]') -> 'tuple[str | None, str]':
        """Return the coding and the additional extension of the file to send; ``None`` as coding for a directory.

        ``ProtocolError`` 404 if there is none, 406 if the client takes none of those that there are.

        """
        path = self.directory + '/' + name
        if self.index and is_kind(path, 0x4000) and self.contains(path):
            return None, ''
        for coding, extension in accepted + [('', '')]:  # rather than nothing (RFC 9110 section 12.5.3)
            if is_kind(path + extension, 0x8000) and self.contains(path + extension):
                return coding, extension
        for _, extension in SIBLINGS:
            if is_kind(path + extension, 0x8000) and self.contains(path + extension):
                raise ProtocolError(406, {'Vary': 'Accept-Encoding'})
        raise ProtocolError(404)

    def contains(self, path: str) -> bool:
        """Tell whether a path is still in the directory when symbolic links are followed (CPython)."""
        end = len(self.directory)
        while end >= 0 and not ON_MICROPYTHON:
            end = path.find('/', end + 1)
            if os.path.islink(path if end < 0 else path[:end]):
                return os.path.realpath(path).startswith(os.path.join(self.directory, ''))
        return True


def is_safe(path: str) -> bool:
    """Tell whether a path, of segments with slashes between them, may be added to the name of a directory.

    It does not lead out of that, and to no file whose name begins with a dot, such as those of git.

    """
    for segment in path.split('/'):
        if not segment or segment[0] == '.' and segment != '.well-known':  # RFC 8615
            return False
        if ON_WINDOWS and (':' in segment or segment[-1] in '. '):  # drives, streams, other spellings
            return False
    return '\\' not in path and '\0' not in path


ON_WINDOWS = getattr(os, 'sep', '/') == '\\'
