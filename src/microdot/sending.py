"""A part of the core: files as responses. What caches and media players ask for is in :mod:`microdot.files`."""
import os

from microdot.microdot import ProtocolError

if False:  # TYPE_CHECKING
    from typing import Any

    from microdot.microdot import Response

TYPES = {
    'css': 'text/css',
    'gif': 'image/gif',
    'html': 'text/html',
    'jpg': 'image/jpeg',
    'js': 'text/javascript',
    'json': 'application/json',
    'png': 'image/png',
    'svg': 'image/svg+xml',
    'txt': 'text/plain',
}


def send_file(cls: 'type[Response]', filename: str, status_code: int = 200, content_type: 'str | None' = None,
              stream: 'Any' = None, max_age: 'int | None' = None, compressed: 'bool | str' = False,
              file_extension: str = '') -> 'Response':
    """Return a response with a file as its body.

    :param filename: the path of the file. It is not checked: never pass what a client sent without a check.
    :param content_type: media type, by default by the extension of ``filename``.
    :param stream: an object with ``read(n)`` to send instead of the file.
    :param max_age: seconds that a cache may keep the response.
    :param compressed: ``True`` for a file compressed with gzip, or the name of the content coding.
    :param file_extension: added to ``filename`` when the file is opened, such as ``'.gz'``.

    A missing file or a directory is a 404.

    """
    open_body: 'Any' = None
    try:
        from microdot.file_body import File as open_body  # conditions and ranges, and more types
    except ImportError:
        pass
    if not content_type:
        name = filename[:-3] if compressed and not file_extension and filename[-3:] == '.gz' else filename
        extension = name.split('.')[-1].lower()
        content_type = (cls.types_map.get(extension) or TYPES.get(extension)
                        or open_body and open_body.find_type(extension))
    headers = {'Content-Type': content_type or 'application/octet-stream'}
    max_age = cls.default_send_file_max_age if max_age is None else max_age
    if max_age is not None:
        headers['Cache-Control'] = 'max-age=%d' % max_age
    if compressed:
        headers['Content-Encoding'] = compressed if isinstance(compressed, str) else 'gzip'
    if not stream:
        path = filename + file_extension
        try:
            stat = os.stat(path)
            if stat[0] & 0xF000 != 0x8000:  # not a regular file; opening a FIFO would block
                raise OSError
            stream = open_body(path, stat, headers, status_code == 200) if open_body else open(path, 'rb')
        except (OSError, ValueError):
            raise ProtocolError(404) from None
        headers['Content-Length'] = str(stat[6])
    return cls(stream, status_code, headers)
