"""Files on CPython: disks that are slow, what is no regular file, links, and what changes meanwhile."""
import os
import time

from microdot.cpython import run_sync
from microdot.media_types import TYPES
from microdot.microdot import Response

if False:  # TYPE_CHECKING
    from collections.abc import Callable
    from typing import Any

    from microdot.file_body import File
    from microdot.microdot import Request

kind = ''
for word in TYPES.split():  # for those who look there
    if word[-1] == '/':
        kind = word
    else:
        extension, _, subtype = word.partition('=')
        Response.types_map.setdefault(extension, kind + (subtype or extension))


#: Seconds from which on a call has taken long.
slow = 0.002
slow_calls: 'set[str]' = set()  # names of functions


async def call(f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
    """Call what waits for a file system: looking for a file, and opening it.

    A thread costs more than that on a disk that is fast. So only what took long the last time, such as on a network
    file system, is called in a thread, and meanwhile the other clients have their turn.

    """
    return await run_sync(measure, f, *args) if f.__name__ in slow_calls else measure(f, *args)


def measure(f: 'Callable[..., Any]', *args: 'Any') -> 'Any':
    start = time.monotonic()
    try:
        return f(*args)
    finally:
        is_slow = time.monotonic() - start > slow
        (slow_calls.add if is_slow else slow_calls.discard)(f.__name__)


async def open_body(body: 'File', request: 'Request', response: Response, is_conditional: bool) -> None:
    await call(body.open)
    if is_conditional and has_changed(body, response):
        body.decide(request, response)
        body.file.seek(body.start)


def open_file(path: str) -> 'Any':
    """Open a regular file. It may have become another one since we looked, and opening a FIFO would wait for ever."""
    file = open(path, 'rb', 0, opener=lambda path, flags: os.open(path, flags | getattr(os, 'O_NONBLOCK', 0)))
    if os.fstat(file.fileno()).st_mode & 0xF000 == 0x8000:
        return file
    file.close()
    raise OSError(path)


def has_changed(body: 'File', response: Response) -> bool:
    """Tell whether another file has got the name since we looked, and describe that one."""
    stat = os.fstat(body.file.fileno())
    if (stat.st_size, stat.st_mtime_ns) == (body.size, body.time):
        return False
    body.start = 0
    response.status_code = 200
    response.headers.pop('Content-Range', None)
    body.describe(stat, response.headers)
    return True


real_path = os.path.realpath


def is_inside(directory: str, path: str) -> bool:
    """Tell whether a path below a directory is still in it when symbolic links are followed."""
    end = len(directory)
    while end >= 0:
        end = path.find('/', end + 1)
        if os.path.islink(path if end < 0 else path[:end]):
            return os.path.realpath(path).startswith(os.path.join(directory, ''))
    return True


def is_plain(segment: str) -> bool:
    """Tell whether a file name is what it seems: on Windows there are drives, streams, other spellings."""
    return os.sep == '/' or not (':' in segment or segment[-1] in '. ')
