"""A host of WSGI without sockets: it calls an application as PEP 3333 says, and refuses what that forbids.

Around the application is ``wsgiref.validate``; this adds what that does not look at.

"""
import io
import re
from urllib.parse import unquote_to_bytes
from wsgiref.util import is_hop_by_hop, setup_testing_defaults
from wsgiref.validate import validator

STATUS = re.compile(r'[2-9][0-9][0-9] [\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff]')  # "The start_response() Callable"


class Input(io.RawIOBase):
    """The input of a request. It fails where more is asked for than CONTENT_LENGTH says (section "Input and Error
    Streams"): behind that there is another request, or a wait without end."""

    def __init__(self, *pieces, length=None, error=None):
        super().__init__()
        self.pieces = list(pieces)
        self.left = length
        self.error = error  # what comes after the last piece
        self.taken = 0
        self.reads = 0

    def read(self, n=-1):
        assert n >= 0, 'a read without a bound'
        self.reads += 1
        if self.left is not None:
            assert n <= self.left, f'{n} bytes asked for, where there are {self.left}'
        while self.pieces and not self.pieces[0]:
            self.pieces.pop(0)
        if not self.pieces:
            if self.error:
                raise self.error
            return b''
        data = self.pieces[0][:n]
        self.pieces[0] = self.pieces[0][n:]
        self.taken += len(data)
        if self.left is not None:
            self.left -= len(data)
        return data


def environ(target='/', method='GET', body=None, **others):
    """Return an environ; ``None`` for one of ``others`` leaves it out, ``_`` stands for the dot in its name.

    ``body`` is bytes, which come with their CONTENT_LENGTH, or an :class:`Input`.

    """
    path, _, query = target.partition('?')
    values = {'REQUEST_METHOD': method, 'PATH_INFO': unquote_to_bytes(path).decode('latin-1'), 'SCRIPT_NAME': '',
              'QUERY_STRING': query, 'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '192.0.2.1', 'REMOTE_PORT': '50000',
              'REQUEST_URI': target, 'HTTP_HOST': 'example.com'}
    if isinstance(body, bytes):
        values['CONTENT_LENGTH'] = str(len(body))
        body = Input(body, length=len(body))
    values['wsgi.input'] = body or Input(length=0)
    setup_testing_defaults(values)
    values['wsgi.multithread'] = True
    values.update({key.replace('wsgi_', 'wsgi.'): value for key, value in others.items()})
    return {key: value for key, value in values.items() if value is not None}


class Host:
    """Calls an application once. ``next()`` takes a piece of the body.

    :param is_checked: by wsgiref.validate; it refuses requests, too.

    """

    def __init__(self, app, environ, is_checked=True):
        self.app = validator(app) if is_checked else app
        self.environ = environ
        self.starts = []
        self.pieces = []
        self.is_closed = False

    def start_response(self, status, headers, exc_info=None):
        assert not self.starts or exc_info  # "exc_info" excuses the second call, as long as nothing was sent
        assert type(status) is str and STATUS.fullmatch(status), status
        assert type(headers) is list
        for name, value in headers:
            assert type(name) is str and re.fullmatch(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+", name), name
            assert type(value) is str and not re.search('[\0-\x08\x0a-\x1f\x7f]', value) and value == value.strip()
            value.encode('latin-1')  # "Unicode Issues"
            assert not is_hop_by_hop(name), name
        assert [name.lower() for name, _ in headers].count('content-length') < 2
        self.starts.append((status, headers))
        return self.write

    def write(self, data):
        raise AssertionError('only for frameworks that cannot do without it')

    def start(self):
        self.result = self.app(self.environ, self.start_response)
        self.iterator = iter(self.result)
        return self

    def __next__(self):
        data = next(self.iterator)
        assert type(data) is bytes and len(self.starts) == 1
        assert not (data and self.is_bodyless)
        self.pieces.append(data)
        return data

    def close(self):
        assert not self.is_closed
        self.is_closed = True
        if hasattr(self.result, 'close'):
            self.result.close()

    def run(self):
        self.start()
        try:
            while True:
                next(self)
        except StopIteration:
            pass
        finally:
            self.close()
        assert len(self.starts) == 1
        size = self.header('content-length')
        if size is not None and not self.is_bodyless:
            assert len(self.body) == int(size)
        return self

    # --- the response

    @property
    def status(self):
        return int(self.starts[0][0][:3])

    @property
    def is_bodyless(self):
        return self.environ['REQUEST_METHOD'] == 'HEAD' or self.status in (204, 304)

    @property
    def headers(self):
        """All headers with their names in lower case, values as they go over the wire."""
        return [(name.lower(), value.encode('latin-1').decode()) for name, value in self.starts[0][1]]

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2
        return values[0] if values else None

    @property
    def body(self):
        return b''.join(self.pieces)

    @property
    def text(self):
        return self.body.decode()


def call(app, *args, is_checked=True, **kwargs):
    """Make a request of what :func:`environ` takes, and return the host with the response."""
    return Host(app, args[0] if args and isinstance(args[0], dict) else environ(*args, **kwargs), is_checked).run()
