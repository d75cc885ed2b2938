"""Directories of files. What is sent of one file, and when, is in ``microdot.file_body``."""
import os

from microdot.file_body import File as File
from microdot.file_body import disk
from microdot.helpers import add_vary
from microdot.microdot import ProtocolError, Response

if False:  # TYPE_CHECKING
    from microdot.microdot import Microdot, Request

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
        self.directory = disk.real_path(directory) if disk else directory or '.'
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
        coding, extension = (await disk.call(self.find, name, accepted) if disk
                             else self.find(name, accepted))
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
        if self.index and self.has(name, 0x4000):
            return None, ''
        for coding, extension in accepted + [('', '')]:  # rather than nothing (RFC 9110 section 12.5.3)
            if self.has(name + extension):
                return coding, extension
        for _, extension in SIBLINGS:
            if self.has(name + extension):
                raise ProtocolError(406, {'Vary': 'Accept-Encoding'})
        raise ProtocolError(404)

    def has(self, name: str, kind: int = 0x8000) -> bool:
        """Tell whether there is something of a kind in the directory: a regular file, or with 0x4000 a directory."""
        path = self.directory + '/' + name
        try:
            return os.stat(path)[0] & 0xF000 == kind and (not disk or disk.is_inside(self.directory, path))
        except (OSError, ValueError):  # ValueError for NUL on CPython
            return False


def is_safe(path: str) -> bool:
    """Tell whether a path, of segments with slashes between them, may be added to the name of a directory.

    It does not lead out of that, and to no file whose name begins with a dot, such as those of git.

    """
    for segment in path.split('/'):
        if not segment or segment[0] == '.' and segment != '.well-known':  # RFC 8615
            return False
        if disk and not disk.is_plain(segment):
            return False
    return '\\' not in path and '\0' not in path
