"""What the tests of the core share: works on CPython and on MicroPython, without pytest."""
import os
import sys
import time

try:
    import logging
except ImportError:  # MicroPython
    pass

from microdot import AsyncBytesIO, Microdot, Request

ON_MICROPYTHON = sys.implementation.name == 'micropython'


class raises:
    """``with raises(ValueError) as error:`` the block must raise that; it is ``error.value`` afterwards."""

    def __init__(self, exc_class):
        self.exc_class = exc_class
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc, traceback):
        assert exc_type is not None, '%s was not raised' % self.exc_class.__name__
        self.value = exc
        return issubclass(exc_type, self.exc_class)


class changed:
    """``with changed(Request, max_body_length=8):`` sets attributes of a class and puts them back."""

    def __init__(self, owner, **values):
        self.owner = owner
        self.values = values

    def _swap(self):
        for name, value in list(self.values.items()):
            self.values[name] = getattr(self.owner, name)
            setattr(self.owner, name, value)

    def __enter__(self):
        self._swap()

    def __exit__(self, exc_type, exc, traceback):
        self._swap()


class temporary_file:
    """``with temporary_file('a.css', b'...') as path:`` a file with a name that ends like this."""

    def __init__(self, name, content=b''):
        self.path = '%s/microdot-%d-%d-%s' % (os.getenv('TMPDIR') or '/tmp', time.time_ns(), id(self), name)
        self.content = content

    def __enter__(self):
        with open(self.path, 'wb') as f:
            f.write(self.content)
        return self.path

    def __exit__(self, exc_type, exc, traceback):
        os.remove(self.path)


class FakeWriter(AsyncBytesIO):
    """The server's end of a connection: keeps what is written, and whether it was closed."""

    def __init__(self):
        super().__init__()
        self.written = b''
        self.is_closed = False

    def get_extra_info(self, name, default=None):
        return ('1.2.3.4', 5678) if name == 'peername' else default

    async def awrite(self, data):
        assert not self.is_closed
        self.written += bytes(data)

    async def aclose(self):
        self.is_closed = True


async def exchange(app, data):
    """Send raw bytes to an application, return all that it sends until it closes the connection."""
    writer = FakeWriter()
    await app.handle_request(AsyncBytesIO(data), writer)
    assert writer.is_closed
    return writer.written


async def create_request(lines, body=b'', app=None):
    """Return the ``Request`` for the lines of a header block (``Host`` is added) and a body."""
    head = lines[0] + '\r\nHost: example.com\r\n' + ''.join([line + '\r\n' for line in lines[1:]])
    return await Request.create(app or Microdot(), AsyncBytesIO(head.encode() + b'\r\n' + body), FakeWriter(),
                                ('1.2.3.4', 5678))


async def get_text(app, path):
    """Return the body of a GET request that must succeed. The import is here for boards without the client."""
    from microdot.test_client import TestClient
    response = await TestClient(app).get(path)
    assert response.status_code == 200, (path, response.status_code)
    return response.text


class logged_errors:
    """``with logged_errors() as errors:`` the exceptions that the server logs are in this list, and nowhere else."""

    def __enter__(self):
        self.errors = []
        if ON_MICROPYTHON:
            self.module = sys.modules['microdot.microdot']
            self.original = self.module.print_exception
            self.module.print_exception = self.errors.append
        else:
            self.logger = logging.getLogger('microdot')
            self.handler = logging.Handler()
            self.handler.emit = self.emit
            self.logger.addHandler(self.handler)
            self.logger.propagate = False
        return self.errors

    def emit(self, record):
        if record.exc_info:
            self.errors.append(record.exc_info[1])

    def __exit__(self, exc_type, exc, traceback):
        if ON_MICROPYTHON:
            self.module.print_exception = self.original
        else:
            self.logger.removeHandler(self.handler)
            self.logger.propagate = True
