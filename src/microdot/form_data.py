"""Forms that are read before the handler is called, and copies of files: what ``microdot.multipart`` need not load."""
import io
import os
from binascii import hexlify

from microdot.forms import MultiDict
from microdot.helpers import decorations, wraps
from microdot.hooks import close_bodies
from microdot.microdot import ON_MICROPYTHON, Request, Response, make_response, prepare
from microdot.multipart import FileUpload, FormDataIter, has_form
from microdot.streaming import BodyIterator

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any


# ---------------------------------------------------------------------------------------------------------------
# Copies
# ---------------------------------------------------------------------------------------------------------------

async def copy(upload: FileUpload, limit: int) -> None:
    """Read an upload into memory or, if it has more bytes than ``limit``, into a temporary file."""
    file: 'Any' = io.BytesIO()
    try:
        while True:
            data = await upload.read(FormDataIter.buffer_size)
            if not data:
                break
            if upload.size <= limit < upload.size + len(data):
                memory = file
                file = open_temporary_file(upload)
                file.write(memory.getvalue())
            upload.size += len(data)
            file.write(data)
        file.seek(0)
    except BaseException:
        upload.file = file
        await upload.close()
        raise
    upload.file = file
    upload._read = None


def open_temporary_file(upload: FileUpload) -> 'Any':
    directory = upload.temporary_directory
    if not ON_MICROPYTHON:
        from tempfile import TemporaryFile  # which takes its time, and most forms need none

        return TemporaryFile(dir=directory)  # which is private, and has no name
    if directory is None:
        try:
            os.stat('/tmp')
            directory = '/tmp'
        except OSError:
            directory = '.'
    upload._path = '%s/upload-%s.tmp' % (directory, hexlify(os.urandom(8)).decode())
    return open(upload._path, 'w+b')


# ---------------------------------------------------------------------------------------------------------------
# The decorator
# ---------------------------------------------------------------------------------------------------------------

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
            await close_bodies(self.files)


def with_form_data(f: 'Callable[..., Any]') -> 'Any':
    """See the function of the same name in ``microdot.multipart``."""
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
                await close_bodies(files)

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
