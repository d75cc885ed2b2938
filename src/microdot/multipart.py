"""Forms with files: ``multipart/form-data`` (RFC 7578, RFC 2046 section 5.1)."""
import os

from microdot.forms import media_type
from microdot.hooks import HTTPException
from microdot.microdot import ON_MICROPYTHON, decode, iscoroutine

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any, NoReturn

    from microdot.headers import NoCaseDict
    from microdot.microdot import Request


# ---------------------------------------------------------------------------------------------------------------
# Bytes, without I/O
# ---------------------------------------------------------------------------------------------------------------

def refuse(reason: str, status_code: int = 400) -> 'NoReturn':
    raise HTTPException(status_code, reason)


def parse_options(value: str) -> 'tuple[str, dict[str, str]]':
    """Parse a header value with parameters, such as ``form-data; name="a"``.

    Returns what comes before the parameters in lower case, and the parameters, with names in lower case.
    ``HTTPException`` 400 for a quoted string without an end and for a repeated parameter.

    """
    from microdot.part_headers import parse_options as parse  # which browsers give no reason for

    return parse(value)


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a form; ``HTTPException`` 400 if the value of ``Content-Type`` has no valid one."""
    kind, _, boundary = content_type.partition('; boundary=')
    if kind != 'multipart/form-data' or ';' in boundary or '"' in boundary or boundary.strip(' \t') != boundary:
        boundary = parse_options(content_type)[1].get('boundary', '')
    if not 0 < len(boundary) < 71 or boundary[-1] == ' ':  # RFC 2046 section 5.1.1
        refuse('The form has no valid boundary')
    return boundary.encode()


if ON_MICROPYTHON:
    def read_plain(part: 'Part', block: bytes) -> bool:
        """Fill in the attributes of a part if its headers are as browsers write them, with nothing to decode."""
        line, has_type, kind = block.partition(b'\r\nContent-Type: ')
        text = line + kind + b' '
        if min(text) < 32 or max(text) > 126 or b'%' in line or b'\\' in line or b'/' in line:
            return False
        pieces = line.decode().split('"')
        if len(pieces) == 5 and pieces.pop(2) == '; filename=':
            name = part.raw_filename = part.filename = pieces.pop(2)
            if ':' in name or name.strip('. ') != name:
                return False
        if len(pieces) != 3 or pieces[0] != 'Content-Disposition: form-data; name=' or pieces[2]:
            return False
        part.name = pieces[1]
        if has_type:
            part.content_type = kind.decode().strip(' ')
        return True
else:
    from microdot.plain_part import read_plain


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
        if not read_plain(self, block):
            from microdot.part_headers import read_headers

            read_headers(self, block)

    @property
    def headers(self) -> 'NoCaseDict':
        from microdot.part_headers import headers

        return headers(self._block)


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
        self.left = max_header_size  # bytes that may come before the first delimiter
        self.is_open = False  # a part has begun
        self.is_head = False  # what comes next are the headers of a part, else it is content
        self.skip = 0  # bytes in front of the content: a delimiter may begin with the line break of the headers
        self.is_done = False
        self.events: 'list[Any]' = []

    def feed(self, data: bytes) -> 'list[Any]':
        """Take the next bytes of the form, return what they bring.

        That is a list: a :class:`Part` begins a part, ``bytes`` (never empty) are pieces of its content, and ``None``
        ends it. ``HTTPException`` 400 or 413 if it is malformed or beyond a limit.

        """
        self.events = []
        data = self.data + data
        pos = ~len(data) if self.is_done else 0  # RFC 2046 section 5.1.1: what is behind the last part is dropped
        while pos >= 0:  # each returns where it goes on; if it needs more, the complement of where that begins
            pos = self._parse_head(data, pos) if self.is_head else self._parse_content(data, pos)
        self.data = data[~pos:]
        return self.events

    def finish(self) -> None:
        """Check that the form is complete; else ``HTTPException`` 400."""
        if not self.is_done:
            refuse('The form ends too early')

    def _parse_content(self, data: bytes, pos: int) -> int:
        """Find the next delimiter, behind content or what comes before the first part (RFC 2046 section 5.1.1)."""
        end = data.find(self.delimiter, pos)
        next_pos = end + len(self.delimiter)
        if end < 0:
            end = data.rfind(b'\r', max(pos, len(data) - len(self.delimiter) + 1))
            if end < 0 or not self.delimiter.startswith(data[end:]):  # nor does one begin at the end
                end = len(data)
            next_pos = ~end
        if not self.is_open:
            self.left -= end - pos
            if self.left < 0:
                refuse('The form has no valid boundary')
        elif end > pos:
            pos += self.skip
            self.skip = 0
            if end > pos:
                self.events.append(data[pos:end] if end - pos < len(data) else data)  # no copy, if it is all
        self.is_head = next_pos >= 0
        return next_pos

    def _parse_head(self, data: bytes, pos: int) -> int:
        """Parse what follows a delimiter: two hyphens end the form, else come spaces, a line break, and headers."""
        if data.startswith(b'--', pos):
            self.is_done = True
            if self.is_open:
                self.events.append(None)
            return ~len(data)
        start = data.find(b'\r\n', pos, pos + 72)  # more spaces than that are not padding
        if start != pos:  # PERF: bench, uploads, small parts
            if start < 0 and len(data) - pos < 72:
                return ~pos
            if start < 0 or data[pos:start].strip(b' \t'):
                refuse('Malformed boundary in the form')
        if self.max_parts <= 0:
            refuse('Too many parts in the form', 413)
        end = data.find(b'\r\n\r\n', start)
        if (end if end >= 0 else len(data) - 3) - start - 2 > self.max_header_size:
            refuse('Headers in the form are too long', 413)
        if end < 0:
            return ~pos
        self.max_parts -= 1
        if self.is_open:
            self.events.append(None)
        self.is_open = True
        self.events.append(Part(data[start + 2:end]))
        self.is_head = False
        self.skip = 2
        return end + 2


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
        self.piece: 'bytes | None' = None  # of the upload, None at its end
        self.pos = 0  # of what was not read yet of it
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
            refuse('Too many files in the form', 413)
        self.piece = b''
        self.pos = 0
        self.upload = FileUpload(part, self._read)
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
        size = 0
        self.size += len(part.name)
        while self.size <= self.max_form_size and not 0 <= self.max_field_size < size:
            piece = await self._next()
            if piece is None:
                data = b''.join(pieces)
                kind = part.content_type
                if kind and 'iso' in kind.lower():  # RFC 7578 section 5.1
                    if parse_options(kind)[1].get('charset', '').lower() == 'iso-8859-1':
                        return ''.join(map(chr, data))
                return decode(data)
            pieces.append(piece)
            size += len(piece)
            self.size += len(piece)
        refuse('A field of the form is too long', 413)

    async def _read(self, n: int) -> bytes:
        """Return up to ``n`` bytes of the upload, those that there are; ``b''`` at the end."""
        if self.piece is not None and n and self.pos == len(self.piece):
            self.piece = await self._next()
            self.pos = 0
        piece = self.piece or b''
        if self.pos or n < len(piece):
            piece = piece[self.pos:self.pos + n]
        self.pos += len(piece)
        return piece


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

    file: 'Any' = None
    size = 0
    _path: 'str | None' = None  # of a temporary file with a name

    def __init__(self, part: Part, read: 'Callable[[int], Any] | None'):
        self.filename = part.filename
        self.raw_filename = part.raw_filename
        self.content_type = part.content_type
        self._read = read

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes as soon as there are some, all up to the end if negative, ``b''`` at the end.

        ``ValueError`` if the file was not copied and is over; else errors as in :class:`FormDataIter`.

        """
        if self.file:
            return self.file.read(n)  # type: ignore[no-any-return]
        if not self._read:
            raise ValueError('the upload is over, and was not copied')
        if n >= 0:
            return await self._read(n)  # type: ignore[no-any-return]
        pieces: 'list[bytes]' = []
        while not pieces or pieces[-1]:
            pieces.append(await self._read(FormDataIter.buffer_size))
        return b''.join(pieces)

    async def skip(self) -> None:
        """Drop what was not read. From then on only a copy can be read."""
        while self._read and await self._read(FormDataIter.buffer_size):
            pass
        self._read = None

    async def save(self, path_or_file: 'Any') -> None:
        """Write the file to another one.

        :param path_or_file: name of a file, which is replaced if it exists, and removed if the upload is cut off; or
                             an object with ``write(data)`` (sync or async).

        """
        await self.read(0)  # raises ValueError before a file is opened
        is_path = not hasattr(path_or_file, 'write')
        file = open(path_or_file, 'wb') if is_path else path_or_file
        try:
            try:
                if self.file:
                    self.file.seek(0)
                while True:
                    data = await self.read(FormDataIter.buffer_size)
                    if not data:
                        break
                    result: 'Any' = file.write(data)
                    if hasattr(result, '__await__') or iscoroutine(result):
                        await result
                if self.file:
                    self.file.seek(0)
            finally:
                if is_path:
                    file.close()  # which may write the last bytes, and fail
        except BaseException:
            if is_path:
                remove_file(path_or_file)
            raise

    async def copy(self, max_memory_size: 'int | None' = None) -> 'FileUpload':
        """Read the file into memory or, if it is larger, into a temporary file. Returns the same object.

        :param max_memory_size: by default the class attribute of this name.

        """
        if not self.file:
            from microdot.form_data import copy

            await copy(self, self.max_memory_size if max_memory_size is None else max_memory_size)
        return self

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


def with_form_data(f: 'Callable[..., Any]') -> 'Any':
    """Fill ``request.form`` and ``request.files`` before the handler is called.

    Use it below the decorator of the route. ``form`` is a :class:`MultiDict` of ``str``, ``files`` one of
    :class:`FileUpload`, copied into memory or temporary files, which are closed at the end of the request. If the
    ``Content-Type`` is not ``multipart/form-data``, both are what they are without this decorator. Errors as with
    :class:`FormDataIter`.

    """
    from microdot.form_data import with_form_data as decorate  # which a board can do without

    return decorate(f)
