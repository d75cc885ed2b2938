"""The application behind tests/wire_cases.py: small routes that show what arrived, or answer in one form."""
from microdot import Microdot, Response

METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY']


class Pieces:
    """A body with ``read``: short reads, then an empty one at the end."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.was_read = False
        self.was_closed = False

    def read(self, n):
        self.was_read = True
        return self.pieces.pop(0) if self.pieces else b''

    def close(self):
        self.was_closed = True


def generate(*pieces):
    yield from pieces


def fail_half_way():
    yield 'half'
    raise RuntimeError('this body fails half-way')


def add_request_routes(app):
    """Add routes that answer with a part of the request."""

    @app.get('/')
    async def index(request):
        return 'hello'

    @app.route('/echo/<path:rest>', METHODS)
    async def echo(request, rest):
        return '%s %s %s' % (request.method, request.path, request.query_string)

    @app.get('/where')
    async def where(request):
        return '%s %s %s' % (request.headers.get('Host'), request.path, request.query_string)

    @app.get('/x')
    async def x(request):
        return '[%s]' % request.headers.get('X', 'none')

    @app.get('/cookies')
    async def cookies(request):
        return '%s %s' % (request.cookies.get('a'), request.cookies.get('b'))

    @app.route('/body', METHODS)
    async def body(request):
        return request.body


def add_stream_routes(app):
    """Add routes that read all, a part or nothing of the body; it is in the stream alone if it is large."""

    @app.post('/stream')
    async def stream(request):
        return await request.stream.read(-1)

    @app.post('/some')
    async def some(request):
        return await request.stream.readexactly(4)

    @app.post('/ignore')
    async def ignore(request):
        return 'ignored'


def add_response_routes(app):
    """Add routes that answer with every kind of body."""

    def answer(path, make):
        @app.get(path)
        async def handler(request):
            return make()

    answer('/text', lambda: 'caf\u00e9')
    answer('/bytes', lambda: b'\x00\xff')
    answer('/dict', lambda: {'a': 1})
    answer('/list', lambda: [1, 2])
    answer('/none', lambda: None)
    answer('/number', lambda: 202)
    answer('/headers', lambda: ('ok', {'X': 'y'}))
    answer('/cookie', lambda: ('ok', {'Set-Cookie': ['a=1', 'b=2']}))
    answer('/generator', lambda: generate('one', b'', 'two'))
    answer('/nothing', lambda: generate())
    answer('/reader', lambda: Pieces(b'one', b'two'))
    answer('/sized', lambda: (generate('one', 'two'), {'Content-Length': '6'}))
    answer('/stream204', lambda: (generate('one'), 204))
    answer('/stream304', lambda: (generate('one'), 304))
    answer('/close', lambda: ('bye', {'Connection': 'close'}))
    answer('/redirect', lambda: Response.redirect('/x'))
    answer('/half', fail_half_way)
    answer('/half-sized', lambda: (fail_half_way(), {'Content-Length': '8'}))

    @app.get('/status/<int:code>')
    async def status(request, code):
        return 'status', code

    @app.get('/abort/<int:code>')
    async def refuse(request, code):
        app.abort(code)

    @app.get('/raise')
    async def fail(request):
        raise RuntimeError('this handler fails')


def make_app():
    """Return the application. Its list ``calls`` gets an entry for each hook that sees a request."""
    app = Microdot()
    app.calls = []

    @app.before_request
    async def before(request):
        app.calls.append(('before', request.method, request.url))

    @app.after_request
    async def after(request, response):
        app.calls.append(('after', request.method, request.url))

    add_request_routes(app)
    add_stream_routes(app)
    add_response_routes(app)
    return app
