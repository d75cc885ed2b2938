"""Forms with files: ``multipart/form-data`` (RFC 7578, RFC 2046 section 5.1)."""
import io
import os
import re
from binascii import hexlify

from microdot.helpers import decorations, wraps
from microdot.microdot import (
    ON_MICROPYTHON,
    BodyIterator,
    HTTPException,
    MultiDict,
    NoCaseDict,
    ProtocolError,
    Request,
    Response,
    close_bodies,
    decode,
    iscoroutine,
    make_response,
    media_type,
    parse_field,
    percent_decode,
    prepare,
)

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any


# ---------------------------------------------------------------------------------------------------------------
# Bytes, without I/O
# ---------------------------------------------------------------------------------------------------------------

def parse_options(value: str) -> 'tuple[str, dict[str, str]]':
    """Parse a header value with parameters, such as ``form-data; name="a"``.

    Returns what comes before the parameters in lower case, and the parameters, with names in lower case.
    ``HTTPException`` 400 for a quoted string without an end and for a repeated parameter.

    """
    main, _, rest = value.partition(';')
    options: 'dict[str, str]' = {}
    while '=' in rest:
        name, _, rest = rest.partition('=')
        name = name[name.rfind(';') + 1:].strip(' \t').lower()
        rest = rest.lstrip(' \t')
        if rest[:1] == '"':
            end = find_quote(rest)
            value = unescape(rest[1:end])
            junk, _, rest = rest[end + 1:].partition(';')
            if junk.strip(' \t'):
                raise HTTPException(400, 'Malformed parameter in a header of the form')
        else:
            value, _, rest = rest.partition(';')
            value = value.rstrip(' \t')
        if name in options:
            raise HTTPException(400, 'Repeated parameter in a header of the form')
        options[name] = value
    return main.strip(' \t').lower(), options


def find_quote(text: str) -> int:
    """Return where a quoted string (RFC 9110 section 5.6.4) ends that begins with ``text``."""
    end = text.find('"', 1)
    while end > 0:
        start = end
        while text[start - 1] == '\\':
            start -= 1
        if (end - start) % 2 == 0:
            return end
        end = text.find('"', end + 1)
    raise HTTPException(400, 'Quoted string without an end in a header of the form')


def unescape(text: str) -> str:
    """Decode what is in a quoted string. Other backslashes stay: browsers do not escape those of file names."""
    if '\\' not in text:
        return text
    text = text.replace('\\\\', '\0').replace('\\"', '"').replace('\\ ', ' ')  # the last one is for aiohttp
    return text.replace('\0', '\\')  # no header has a NUL


def find_name(options: 'dict[str, str]', key: str) -> 'str | None':
    """Return a parameter in the way that browsers encode it, or in that of RFC 8187, ``None`` if there is neither."""
    if key + '*' in options:  # RFC 8187 section 3.2: charset, language, text
        return percent_decode(options[key + '*'].rpartition("'")[2])
    text = options.get(key)
    if text and '%' in text:  # WHATWG HTML, section 4.10.21.8
        text = text.replace('%22', '"').replace('%0D', '\r').replace('%0A', '\n')
    return text


ON_WINDOWS = getattr(os, 'sep', '/') == '\\'
UNSAFE = re.compile('[^-_.()+ 0-9A-Za-z]|^[. ]|[. ]$')  # or worth a look
DEVICE = re.compile('^(CON|CONIN\\$|CONOUT\\$|PRN|AUX|NUL|COM.|LPT.)$')  # of Windows, in every directory


def safe_filename(name: str) -> str:
    """Return a file name that can be added to a directory's, ``''`` if nothing is left of it."""
    if not UNSAFE.search(name) and not ON_WINDOWS:  # PERF: bench, uploads, small parts
        return name
    name = name.replace('\\', '/')
    name = ''.join([c for c in name[name.rfind('/') + 1:] if c >= ' ' and not '\x7f' <= c < '\xa0'])
    start = 0
    while name[start + 1:start + 2] == ':':  # a drive of Windows
        start += 2
    name = name[start:].replace(':', '_').rstrip('. ')  # a stream of Windows, and what it would drop
    if ON_WINDOWS and DEVICE.match(name.partition('.')[0].rstrip(' ').upper()):
        name = '_' + name
    return name if name.strip('. ') else ''


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a form; ``HTTPException`` 400 if the value of ``Content-Type`` has no valid one."""
    boundary = parse_options(content_type)[1].get('boundary', '')
    if not 0 < len(boundary) < 71 or boundary[-1] == ' ':  # RFC 2046 section 5.1.1
        raise HTTPException(400, 'The form has no valid boundary')
    return boundary.encode()


# PERF: bench, uploads, small parts: headers as most clients write them, without anything to decode
PLAIN = None if ON_MICROPYTHON else re.compile(
    b'Content-Disposition: form-data; name="([ !#$&-\\[\\]-~]*)"(?:; filename="([ !#$&-\\[\\]-~]*)")?'
    b'(?:\r\nContent-Type: ([!-~]+))?')


class Part:
    """What comes before the content of a part.

    Attributes: ``headers`` (:class:`NoCaseDict`), ``name``, ``content_type`` (``str`` or ``None``), ``raw_filename``
    (the file name as it was sent, ``None`` for a field that is not a file), ``filename`` (the same, made safe).

    ``HTTPException`` 400 if the headers are malformed, or do not say the name of the field (RFC 7578 section 4.2).

    """

    name = ''
    raw_filename: 'str | None' = None
    filename = ''
    content_type: 'str | None' = None

    def __init__(self, block: bytes):
        self._block = block
        plain: 'Any' = PLAIN.fullmatch(block) if PLAIN else None
        if plain:
            texts: 'Any' = [None if text is None else text.decode() for text in plain.groups()]
            self.name, self.raw_filename, self.content_type = texts
        else:
            self._parse()
        if self.raw_filename:
            self.filename = safe_filename(self.raw_filename)

    def _parse(self) -> None:
        known: 'dict[str, str]' = {}
        for name, value in self._fields():
            name = name.lower()
            if name in ('content-type', 'content-disposition'):
                if name in known:
                    raise HTTPException(400, 'Repeated header in a part of the form')
                known[name] = value
        self.content_type = known.get('content-type')
        kind, options = parse_options(known.get('content-disposition', ''))
        found = find_name(options, 'name')
        if found is None or kind != 'form-data':
            raise HTTPException(400, 'A part of the form has no name')
        self.name = found
        self.raw_filename = find_name(options, 'filename')

    def _fields(self) -> 'list[tuple[str, str]]':
        # lines may be folded (RFC 5322 section 2.2.3)
        block = self._block.replace(b'\r\n ', b' ').replace(b'\r\n\t', b' ')
        try:
            return [parse_field(line) for line in block.split(b'\r\n')]
        except ProtocolError:
            raise HTTPException(400, 'Malformed header in the form') from None

    @property
    def headers(self) -> NoCaseDict:
        headers = NoCaseDict()
        headers.add_fields(self._fields())
        return headers


MAX_PADDING = 72  # bytes from a boundary to the end of its line


class MultipartParser:
    """Incremental parser of a form.

    :param boundary: see :func:`boundary_of`.
    :param max_parts: largest number of parts, else ``HTTPException`` 413.
    :param max_header_size: most bytes of the headers of a part, else 413; also of what comes before the first part.

    Attributes: ``is_done``, whether the end of the form was there.

    """

    def __init__(self, boundary: bytes, max_parts: int = 1000, max_header_size: int = 4096):
        self.delimiter = b'\r\n--' + boundary
        self.max_parts = max_parts
        self.max_header_size = max_header_size
        self.data = b'\r\n'  # not parsed yet; the first delimiter need not have a line before it
        self.left = max_header_size  # bytes that may come before the first part
        self.is_done = False
        self.parse: 'Callable[[bytes, int], int]' = self._parse_preamble
        self.events: 'list[Any]' = []

    def feed(self, data: bytes) -> 'list[Any]':
        """Take the next bytes of the form, return what they bring.

        That is a list: a :class:`Part` begins a part, ``bytes`` (never empty) are pieces of its content, and ``None``
        ends it. ``HTTPException`` 400 or 413 if it is malformed or beyond a limit.

        """
        self.events = []
        if self.data:
            start = self.data + data[:len(self.delimiter)]
            if (self.parse == self._parse_content and len(start) > len(self.delimiter)
                    and not start.startswith(self.delimiter)):
                self.events.append(self.data)  # PERF: bench, uploads: it was no boundary, so that nothing is copied
            else:
                data = self.data + data
            self.data = b''
        pos = 0
        while pos >= 0:  # each state returns where the next one goes on; negative if it needs more
            pos = self.parse(data, pos)
        return self.events

    def finish(self) -> None:
        """Check that the form is complete; else ``HTTPException`` 400."""
        if not self.is_done:
            raise HTTPException(400, 'The form ends too early')

    def _keep(self, data: bytes, pos: int) -> int:
        self.data = data[pos:]
        return -1

    def _find_delimiter(self, data: bytes, pos: int) -> 'tuple[int, int]':
        """Return where the delimiter, or a part of one at the end, begins (else the end), and where it ends (or -1)."""
        end = data.find(self.delimiter, pos)
        if end >= 0:
            return end, end + len(self.delimiter)
        end = data.rfind(b'\r', max(pos, len(data) - len(self.delimiter) + 1))
        return (end if end >= 0 and self.delimiter.startswith(data[end:]) else len(data)), -1

    def _parse_preamble(self, data: bytes, pos: int) -> int:
        """Skip what comes before the first part (RFC 2046 section 5.1.1)."""
        end, next_pos = self._find_delimiter(data, pos)
        self.left -= end
        if self.left < 0:
            raise HTTPException(400, 'The boundary does not appear in the form')
        if next_pos < 0:
            return self._keep(data, end)
        self.parse = self._parse_delimiter
        return next_pos

    def _parse_delimiter(self, data: bytes, pos: int) -> int:
        """Parse what follows a boundary: two hyphens end the form, spaces and a line break begin a part."""
        end = data.find(b'\r\n', pos, pos + MAX_PADDING)
        if end == pos:  # PERF: bench, uploads, small parts
            return self._begin_part(end)
        rest = data[pos:end if end >= 0 else pos + MAX_PADDING]
        if rest[:2] == b'--':
            self.is_done = True
            self.parse = self._parse_epilogue
            return pos
        if end < 0 and len(rest) < MAX_PADDING and (rest == b'-' or not rest.rstrip(b'\r').strip(b' \t')):
            return self._keep(data, pos)
        if end < 0 or rest.strip(b' \t'):
            raise HTTPException(400, 'Malformed boundary in the form')
        return self._begin_part(end)

    def _begin_part(self, end: int) -> int:
        self.max_parts -= 1
        if self.max_parts < 0:
            raise HTTPException(413, 'Too many parts in the form')
        self.parse = self._parse_headers
        return end + 2

    def _parse_headers(self, data: bytes, pos: int) -> int:
        end = data.find(b'\r\n\r\n', pos)
        if (end if end >= 0 else len(data) - 3) - pos > self.max_header_size:
            raise HTTPException(413, 'The headers of a part of the form are too long')
        if end < 0:
            return self._keep(data, pos)
        self.events.append(Part(data[pos:end]))
        self.parse = self._parse_start
        return end + 2

    def _parse_start(self, data: bytes, pos: int) -> int:
        """Look for a delimiter directly behind the headers: of a part without even an empty content."""
        start = data[pos:pos + len(self.delimiter)]
        if len(start) < len(self.delimiter) and self.delimiter.startswith(start):
            return self._keep(data, pos)
        self.parse = self._parse_content
        return pos if start == self.delimiter else pos + 2

    def _parse_content(self, data: bytes, pos: int) -> int:
        end, next_pos = self._find_delimiter(data, pos)
        if end > pos:
            self.events.append(data[pos:end])  # PERF: bench, uploads: no copy, if it is all
        if next_pos < 0:
            return self._keep(data, end)
        self.events.append(None)
        self.parse = self._parse_delimiter
        return next_pos

    def _parse_epilogue(self, data: bytes, pos: int) -> int:
        """Drop what comes behind the last part (RFC 2046 section 5.1.1)."""
        return self._keep(b'', 0)


# ---------------------------------------------------------------------------------------------------------------
# The fields of a request
# ---------------------------------------------------------------------------------------------------------------

def has_form(request: 'Request') -> bool:
    """Tell whether the body is a form that this module is for."""
    return media_type(request.content_type) == 'multipart/form-data' and request.method not in ('GET', 'HEAD')


class FormDataIter:
    """Async iterator over the fields of a form, in their order, as they arrive: ``async for name, value in ...``.

    ``value`` is a ``str``, or a :class:`FileUpload` for a file, which is to be read before the next step. There are
    none, if the request's ``Content-Type`` is not ``multipart/form-data``.

    ``HTTPException`` 400 for a form that is malformed or ends too early, 413 for one that is beyond a limit. The limit
    of the whole is ``Request.max_content_length``; it, and a client that goes away, end the request as in ``stream``.

    :param request: the request.

    """

    #: Bytes to read at a time.
    buffer_size = 256 if ON_MICROPYTHON else 262144  # which is what event loops receive at a time
    #: Most parts: each costs memory and time, and even an empty one is some 50 bytes for the client.
    max_parts = 32 if ON_MICROPYTHON else 1000
    #: Most files: :func:`with_form_data` keeps each of them open.
    max_files = 8 if ON_MICROPYTHON else 100
    #: Most bytes of the headers of a part: they are in memory at once.
    max_header_size = 1024 if ON_MICROPYTHON else 4096
    #: Most bytes of a field that is not a file; -1 is ``max_form_size``.
    max_field_size = -1
    #: Most bytes of all these fields together, with their names: :func:`with_form_data` keeps them in memory.
    max_form_size = 16 * 1024 if ON_MICROPYTHON else 512 * 1024

    def __init__(self, request: 'Request'):
        self.stream = request.stream
        self.parser: 'MultipartParser | None' = None
        self.events: 'list[Any]' = []  # the next one last
        self.upload: 'FileUpload | None' = None
        self.files = 0
        self.size = 0
        if has_form(request):
            self.parser = MultipartParser(boundary_of(request.content_type or ''), self.max_parts, self.max_header_size)

    def __aiter__(self) -> 'FormDataIter':
        return self

    async def __anext__(self) -> 'tuple[str, str | FileUpload]':
        if self.upload:
            await self.upload.skip()
            self.upload = None
        part = await self._next()
        if not part:
            raise StopAsyncIteration
        if part.raw_filename is None:
            return part.name, await self._read_field(part)
        self.files += 1
        if self.files > self.max_files:
            raise HTTPException(413, 'Too many files in the form')
        self.upload = FileUpload(part.filename, part.content_type, Content(self).read)
        self.upload.raw_filename = part.raw_filename
        return part.name, self.upload

    async def _next(self) -> 'Any':
        """Return the next event of the parser, ``None`` at the end of the form too."""
        while not self.events and self.parser and not self.parser.is_done:
            data = await self.stream.read(self.buffer_size)
            if not data:
                self.parser.finish()
            self.events = self.parser.feed(data)
            self.events.reverse()
        return self.events.pop() if self.events else None

    async def _read_field(self, part: Part) -> str:
        pieces: 'list[bytes]' = []
        limit = self.max_form_size - self.size
        left = limit if self.max_field_size < 0 else min(self.max_field_size + len(part.name), limit)
        self.size += len(part.name)
        left -= len(part.name)
        while left >= 0:
            piece = await self._next()
            if piece is None:
                return decode_field(b''.join(pieces), part.content_type)
            pieces.append(piece)
            left -= len(piece)
            self.size += len(piece)
        raise HTTPException(413, 'A field of the form is too long')


def decode_field(data: bytes, content_type: 'str | None') -> str:
    """Decode the content of a field, which is UTF-8 unless its part says another charset (RFC 7578 section 5.1)."""
    if content_type and parse_options(content_type)[1].get('charset', '').lower() == 'iso-8859-1':
        return ''.join(map(chr, data))
    return decode(data)


class Content:
    """The content of the part that a :class:`FormDataIter` is at."""

    def __init__(self, fields: FormDataIter):
        self.fields = fields
        self.piece: 'bytes | None' = b''  # None at the end
        self.pos = 0

    async def read(self, n: int) -> bytes:
        """Return up to ``n`` bytes, those that there are; ``b''`` at the end."""
        if self.piece is not None and self.pos == len(self.piece):
            self.piece = await self.fields._next()
            self.pos = 0
        if self.piece is None:
            return b''
        data = self.piece[self.pos:self.pos + n]
        self.pos += len(data)
        return data


# ---------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------

class FileUpload:
    """A file in a form.

    Attributes: ``filename``, the last component of the name that the client gave, which can be added to a directory's
    name, but may be empty and may exist there already; ``raw_filename``, the name as it was sent; ``content_type``,
    what the client says that it is (``str`` or ``None``); and once it was copied ``file``, a binary file, and ``size``,
    in bytes.

    """

    #: Most bytes of a file that :meth:`copy` holds in memory.
    max_memory_size = 1024
    #: Directory of temporary files, by default the system's; on MicroPython ``/tmp`` if there is one, else the current.
    temporary_directory: 'str | None' = None

    raw_filename = ''
    file: 'Any' = None
    size = 0
    _path: 'str | None' = None  # of a temporary file with a name

    def __init__(self, filename: str, content_type: 'str | None', read: 'Callable[[int], Any] | None'):
        self.filename = filename
        self.content_type = content_type
        self._read = read

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes as soon as there are some, all up to the end if negative, ``b''`` at the end.

        ``ValueError`` if the file was not copied and is over; else errors as in :class:`FormDataIter`.

        """
        if self.file:
            return self.file.read(n)  # type: ignore[no-any-return]
        if not self._read:
            raise ValueError(OVER)
        if n >= 0:
            return await self._read(n) if n else b''
        pieces: 'list[bytes]' = []
        while True:
            piece = await self._read(COPY_SIZE)
            if not piece:
                return b''.join(pieces)
            pieces.append(piece)

    async def skip(self) -> None:
        """Drop what was not read. From then on only a copy can be read."""
        while self._read and await self._read(COPY_SIZE):
            pass
        self._read = None

    async def save(self, path_or_file: 'Any') -> None:
        """Write the file to another one.

        :param path_or_file: name of a file, which is replaced if it exists, and removed if the upload is cut off; or
                             an object with ``write(data)`` (sync or async).

        """
        if not self.file and not self._read:
            raise ValueError(OVER)
        if hasattr(path_or_file, 'write'):
            await self._write_to(path_or_file)
            return
        file = open(path_or_file, 'wb')
        try:
            try:
                await self._write_to(file)
            finally:
                file.close()  # which may write the last bytes, and fail
        except BaseException:
            remove_file(path_or_file)
            raise

    async def _write_to(self, file: 'Any') -> None:
        if self.file:
            self.file.seek(0)
        while True:
            data = await self.read(COPY_SIZE)
            if not data:
                break
            result = file.write(data)
            if hasattr(result, '__await__') or iscoroutine(result):
                await result
        if self.file:
            self.file.seek(0)

    async def copy(self, max_memory_size: 'int | None' = None) -> 'FileUpload':
        """Read the file into memory or, if it is larger, into a temporary file. Returns the same object.

        :param max_memory_size: by default the class attribute of this name.

        """
        if self.file:
            return self
        limit = self.max_memory_size if max_memory_size is None else max_memory_size
        copy: 'Any' = io.BytesIO()
        try:
            while True:
                data = await self.read(COPY_SIZE)
                if not data:
                    break
                if self.size <= limit < self.size + len(data):
                    memory = copy
                    copy = self._open_temporary_file()
                    copy.write(memory.getvalue())
                self.size += len(data)
                copy.write(data)
            copy.seek(0)
        except BaseException:
            self.file = copy
            await self.close()
            raise
        self.file = copy
        self._read = None
        return self

    def _open_temporary_file(self) -> 'Any':
        if not ON_MICROPYTHON:
            from tempfile import TemporaryFile  # which takes its time, and most forms need none

            return TemporaryFile(dir=self.temporary_directory)  # which is private, and has no name
        directory = self.temporary_directory
        if directory is None:
            try:
                os.stat('/tmp')
                directory = '/tmp'
            except OSError:
                directory = '.'
        self._path = '%s/upload-%s.tmp' % (directory, hexlify(os.urandom(8)).decode())
        return open(self._path, 'w+b')

    async def close(self) -> None:
        """Drop what was copied."""
        if self.file:
            self.file.close()
            self.file = None
        if self._path:
            os.remove(self._path)
            self._path = None


def remove_file(path: 'Any') -> None:
    try:
        if os.stat(path)[0] & 0xF000 == 0x8000:  # and not a device
            os.remove(path)
    except OSError:  # somebody else was faster
        pass


OVER = 'the upload is over: it was closed, or not copied before the next field was read'
COPY_SIZE = 262144  # bytes to ask for at a time; there are no more than the piece that has arrived


class Closing:
    """A body that may read uploads, and closes them at its end."""

    def __init__(self, response: Response, files: 'list[FileUpload]'):
        self.body = response.body
        self.files = files
        self.read_size = response.send_file_buffer_size
        if hasattr(self.body, 'send_to'):
            self.send_to = self.body.send_to

    def __aiter__(self) -> BodyIterator:
        return BodyIterator(self.body, self.read_size)

    async def aclose(self) -> None:
        try:
            await close_bodies([self.body])
        finally:
            await close_all(self.files)


async def close_all(files: 'list[FileUpload]') -> None:
    for file in files:
        await file.close()


def with_form_data(f: 'Callable[..., Any]') -> 'Any':
    """Fill ``request.form`` and ``request.files`` before the handler is called.

    Use it below the decorator of the route. ``form`` is a :class:`MultiDict` of ``str``, ``files`` one of
    :class:`FileUpload`, copied into memory or temporary files, which are closed at the end of the request. If the
    ``Content-Type`` is not ``multipart/form-data``, both are what they are without this decorator. Errors as with
    :class:`FormDataIter`.

    """
    call = prepare(f)

    @wraps(f)
    async def wrapper(request: 'Request', *args: 'Any', **kwargs: 'Any') -> 'Any':
        if not has_form(request):
            return await call(request, *args, **kwargs)
        files: 'list[FileUpload]' = []
        is_streaming = False
        try:
            await load_form(request, files)
            value = await call(request, *args, **kwargs)
            if files and value is not Response.already_handled:
                value = make_response(value)
                if not isinstance(value.body, bytes) and not hasattr(value.body, 'prepare'):  # a file of its own
                    value.body = Closing(value, files)
                    is_streaming = True
            return value
        finally:
            if not is_streaming:
                await close_all(files)

    decorations[wrapper] = with_form_data, False
    return wrapper


async def load_form(request: 'Request', files: 'list[FileUpload]') -> None:
    """Read the form of a request into its attributes, and all files into a list too, also if it raises."""
    request.form = MultiDict()
    request.files = MultiDict()
    # as much as any body may take in memory; a client should not get a descriptor for each 1,025 bytes that it sends
    left = 0 if ON_MICROPYTHON else Request.max_body_length
    async for name, value in FormDataIter(request):
        if isinstance(value, str):
            request.form[name] = value
        else:
            files.append(value)
            request.files[name] = await value.copy(max(left, value.max_memory_size))
            left -= value.size
