"""The application of test_hosts.py: what an application does, in small routes that show what arrived.

The environment says under which kind of host it runs, HOST_INTERFACE (``microdot``: the built-in server, ``asgi`` or
``wsgi``), and where it can leave notes for the tests and wait for them, HOST_FOLDER. It needs nothing but the standard
library, because uWSGI runs the Python that it was built for. As a program, ``host_app.py PORT``, it runs the built-in
server.

"""
import asyncio
import hashlib
import importlib
import os
import sys
import threading
import time

from microdot import Request, Response, abort, redirect, send_file
from microdot.multipart import with_form_data
from microdot.sse import with_sse
from microdot.websocket import WebSocket, WebSocketError, with_websocket

INTERFACE = os.environ['HOST_INTERFACE']
FOLDER = os.environ['HOST_FOLDER']
METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY']
Request.max_content_length = 1 << 20
WebSocket.max_message_length = 20000
adapter = importlib.import_module('microdot' if INTERFACE == 'microdot' else 'microdot.' + INTERFACE)


def note(text):
    """Append a line to the journal, at once and in one piece."""
    journal = os.open(os.path.join(FOLDER, 'journal'), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(journal, text.encode() + b'\n')
    finally:
        os.close(journal)


def is_open(gate):
    return os.path.exists(os.path.join(FOLDER, gate))


async def wait_for(gate):
    while not is_open(gate):
        await asyncio.sleep(0.005)


def report_startup(scope):
    if 'HOST_FAILS' in os.environ:
        raise RuntimeError('no database at startup')
    note('startup')
    if 'state' in scope:
        scope['state']['greeting'] = 'hello from the startup'


async def report_shutdown(scope):
    await asyncio.sleep(0)
    note('shutdown')


if INTERFACE == 'asgi':
    app = adapter.Microdot(lifespan_startup=report_startup, lifespan_shutdown=report_shutdown)
else:
    app = adapter.Microdot()


@app.get('/')
async def index(request):
    return 'hello'


# What arrives

@app.route('/echo/<path:rest>', METHODS)
async def echo(request, rest):
    return {'method': request.method, 'path': request.path, 'rest': rest, 'url': request.url,
            'query': request.query_string, 'version': request.http_version, 'root': root_path(request)}


def root_path(request):
    return '' if INTERFACE == 'microdot' else request.root_path


@app.get('/item/<name>')
async def item(request, name):
    return [name]


@app.get('/number/<int:number>')
async def number(request, number):
    return [number]


@app.get('/args')
async def args(request):
    return {name: request.args.getlist(name) for name in request.args}


@app.get('/headers')
async def headers(request):
    return {name.lower(): value for name, value in request.headers.items()}


@app.get('/cookies')
async def cookies(request):
    return request.cookies


@app.get('/client')
async def client(request):
    return {'address': request.client_addr[0], 'port': request.client_addr[1], 'scheme': request.scheme,
            'version': request.http_version}


@app.get('/interface')
async def interface(request):
    """Show that what the host has given is there."""
    if INTERFACE == 'asgi':
        return {'kind': request.asgi_scope['type'], 'state': request.asgi_scope.get('state')}
    return {'kind': INTERFACE, 'state': None}


# Bodies

@app.route('/body', METHODS)
async def body(request):
    return request.body, {'Content-Type': request.content_type or 'application/octet-stream'}


@app.post('/length')
async def length(request):
    return {'length': request.content_length, 'size': len(request.body)}


@app.post('/form')
async def form(request):
    return request.form and {name: request.form.getlist(name) for name in request.form} or {}


@app.post('/json')
async def json(request):
    return {'json': request.json}


@app.post('/upload')
@with_form_data
async def upload(request):
    file = request.files['file']
    content = await file.read()
    return {'title': request.form['title'], 'name': file.filename, 'type': file.content_type,
            'sha256': hashlib.sha256(content).hexdigest()}


@app.post('/digest')
async def digest(request):
    digest = hashlib.sha256()
    while data := await request.stream.read(10000):
        digest.update(data)
    return {'sha256': digest.hexdigest(), 'size': request.content_length, 'body': len(request.body)}


@app.post('/lines')
async def lines(request):
    found = []
    while line := await request.stream.readline():
        found.append(line.decode().strip())
    return found


@app.post('/unread')
async def unread(request):
    return 'not read', 403


@app.post('/pieces')
async def pieces(request):
    """Note the first bytes of a body when they are there, although others are not."""
    first = await request.stream.read(5)
    note('first ' + first.decode())
    return first + await request.stream.read()


@app.post('/cut')
async def cut(request):
    size = 0
    try:
        while data := await request.stream.read(100):
            size += len(data)
        note('complete %d' % size)
    except ValueError as exc:
        note('cut %s' % exc.args[0])
        raise
    return str(size)


# Responses

@app.get('/response')
async def response(request):
    response = Response('přesně', 201, {'X-One': 'a', 'X-Two': ['b', 'c'], 'X-Text': 'žluť',
                                        'Content-Type': 'text/x-own'})
    response.set_cookie('a', '1', path='/', http_only=True)
    response.set_cookie('b', '2', max_age=60, same_site='Lax')
    response.delete_cookie('c')
    return response


@app.get('/nothing')
async def nothing(request):
    return None


@app.get('/unchanged')
async def unchanged(request):
    return '', 304, {'ETag': '"7"'}


@app.get('/empty')
async def empty(request):
    return ''


@app.get('/redirect')
async def to_elsewhere(request):
    return redirect('/item/caf%C3%A9?a=b', 303)


@app.get('/file')
async def file(request):
    return send_file(os.path.join(FOLDER, 'file.txt'), max_age=60)


@app.get('/sync/<name>')
def sync(request, name):
    time.sleep(0.001)
    return 'sync ' + name


@app.get('/bytes/<int:size>')
async def many_bytes(request, size):
    return b'x' * size


@app.get('/background')
async def background(request):
    async def later():
        await asyncio.sleep(0.01)
        note('background')
    request.app.task = asyncio.create_task(later())
    return 'begun'


# Errors

@app.get('/abort')
async def teapot(request):
    abort(418, 'short and stout')


@app.get('/raise')
async def fail(request):
    raise RuntimeError('a secret')


@app.get('/sync-raise')
def fail_in_thread(request):
    raise RuntimeError('a secret')


@app.get('/raise/known')
async def fail_as_known(request):
    raise LookupError('which one')


@app.errorhandler(LookupError)
async def handle_lookup(request, exc):
    return {'error': str(exc)}, 409


@app.errorhandler(410)
def handle_gone(request):
    return 'gone for good', 410


@app.get('/gone')
def gone(request):
    abort(410)


hooked = adapter.Microdot()


@hooked.before_request
async def refuse(request):
    if 'X-Refuse' in request.headers:
        return 'refused', 403
    request.g.user = 'eva'


@hooked.after_request
def add_header(request, response):
    response.headers['X-After'] = request.method


@hooked.get('/user')
async def user(request):
    @request.after_request
    async def add_another(request, response):
        response.headers['X-Later'] = request.g.user
    return [request.g.user, request.url_prefix, request.path]



# Streams

class Reader:
    """A body with ``read``: two pieces and the end."""

    def __init__(self):
        self.pieces = [b'one ', b'two']

    def read(self, n):
        return self.pieces.pop(0) if self.pieces else b''

    def close(self):
        note('closed')


@app.get('/stream/async')
async def stream_async(request):
    async def body():
        for text in 'jedna ', b'', 'dvě ', b'three':
            yield text
            await asyncio.sleep(0)
    return body()


@app.get('/stream/sync')
def stream_sync(request):
    return iter(['jedna ', b'', 'dvě ', b'three'])


@app.get('/stream/read')
async def stream_read(request):
    return Reader()


@app.get('/stream/length')
async def stream_with_length(request):
    return Reader(), {'Content-Length': '7'}


@app.get('/stream/large')
async def stream_large(request):
    return (bytes([number]) * 10000 for number in range(200))


@app.get('/stream/none')
async def stream_nothing(request):
    return iter([])


@app.get('/stream/no-content')
async def stream_no_content(request):
    return Reader(), 204


@app.get('/stream/fails')
async def stream_fails(request):
    def body():
        yield 'half'
        raise RuntimeError('on purpose')
    return body()


@app.get('/stream/short')
async def stream_short(request):
    return iter(['half']), {'Content-Length': '8'}


@app.get('/gated/async/<gate>')
async def gated_async(request, gate):
    async def body():
        yield 'first'
        await wait_for(gate)
        yield 'second'
    return body()


@app.get('/gated/sync/<gate>')
def gated_sync(request, gate):
    def body():
        yield 'first'
        end = time.monotonic() + 2
        while not is_open(gate) and time.monotonic() < end:  # under ASGI it stops all others meanwhile
            time.sleep(0.005)
        yield 'second'
    return body()


@app.get('/gated/head/<gate>')
async def gated_head(request, gate):
    async def body():
        await wait_for(gate)
        yield 'only'
    return body()


@app.get('/endless/async')
async def endless_async(request):
    async def body():
        try:
            while True:
                yield 'x' * 100
                await asyncio.sleep(0.005)
        finally:
            note('async ended')
    return body()


@app.get('/endless/sync')
def endless_sync(request):
    def body():
        try:
            while True:
                yield 'x' * 100
                time.sleep(0.005)
        finally:
            note('sync ended')
    return body()


@app.get('/idle/<gate>')
async def idle(request, gate):
    """Say one thing, and more when the gate is open."""
    async def body():
        try:
            yield 'first'
            await wait_for(gate)
            while True:
                yield 'more'
                await asyncio.sleep(0.005)
        finally:
            note('idle ended')
    return body()


@app.get('/slow/<gate>')
async def slow(request, gate):
    note('slow begun')
    await wait_for(gate)
    note('slow complete')
    return 'slow'


# Server-Sent Events

@app.get('/events')
@with_sse
async def events(request, sse):
    await sse.send('first\nsecond', event='kůň', event_id='7')
    await sse.send({'after': sse.last_event_id})


@app.get('/events/gated/<gate>')
@with_sse
async def gated_events(request, sse, gate):
    await sse.send('first')
    await wait_for(gate)
    await sse.send('second')


@app.get('/events/refused')
@with_sse
async def refused_events(request, sse):
    abort(403, 'no events')


@app.get('/events/endless')
@with_sse
async def endless_events(request, sse):
    try:
        while True:
            await sse.send('tick')
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        note('events cancelled')
        raise


@app.get('/events/idle/<gate>')
@with_sse
async def idle_events(request, sse, gate):
    await sse.send('first')
    try:
        await wait_for(gate)
        while True:
            await sse.send('more')
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        note('idle events ended')
        raise


# WebSocket

async def echo_all(ws):
    try:
        while True:
            await ws.send(await ws.receive())
    except WebSocketError:
        note('websocket %s %s' % (ws.close_code, ws.close_reason))


@app.get('/ws/echo')
@with_websocket
async def ws_echo(request, ws):
    await echo_all(ws)


@app.get('/ws/info/<name>')
@with_websocket
async def ws_info(request, ws, name):
    await ws.send(repr([name, request.method, request.path, request.query_string, request.headers.get('X-Test'),
                        request.cookies, request.scheme]))


@app.get('/ws/protocols')
@with_websocket(subprotocols=['chat.v2', 'chat.v1'])
async def ws_protocols(request, ws):
    await ws.send(str(ws.subprotocol))


@app.get('/ws/origins')
@with_websocket(allowed_origins=['https://example.com'])
async def ws_origins(request, ws):
    await ws.send('welcome')


@app.get('/ws/close/<int:code>')
@with_websocket
async def ws_close(request, ws, code):
    await ws.send('goodbye')
    await ws.close(code, 'příště')


@app.get('/ws/fail')
@with_websocket
async def ws_fail(request, ws):
    await ws.receive()
    raise RuntimeError('on purpose')


@app.get('/ws/abort')
@with_websocket
async def ws_abort(request, ws):
    await ws.receive()
    abort(403)


@app.get('/ws/parallel')
@with_websocket
async def ws_parallel(request, ws):
    """Send while another task receives."""
    async def count():
        for number in range(3):
            await ws.send(str(number))
    counting = asyncio.create_task(count())
    message = await ws.receive()
    await counting
    await ws.send(message)


@app.get('/ws/idle')
@with_websocket
async def ws_idle(request, ws):
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        note('websocket cancelled')
        raise


@hooked.get('/ws')
@with_websocket
async def ws_hooked(request, ws):
    await ws.send(request.g.user)


app.mount(hooked, '/hooked', local=True)


# Many at a time

arrived = set()
threads = set()
lock = threading.Lock()


@app.post('/crowd/<kind>/<int:size>/<name>')
async def crowd(request, kind, size, name):
    """Wait until so many are here."""
    arrived.add((kind, name))
    end = time.monotonic() + 5
    while len([one for one in arrived if one[0] == kind]) < size and time.monotonic() < end:
        await asyncio.sleep(0.005)
    return who(request, name)


@app.post('/threads/<kind>/<int:size>/<name>')
def thread(request, kind, size, name):
    end = time.monotonic() + 5
    with lock:
        threads.add((kind, name))
    while len([one for one in list(threads) if one[0] == kind]) < size and time.monotonic() < end:
        time.sleep(0.005)
    return who(request, name)


def who(request, name):
    """Return all that says who asks, and how many are here."""
    return {'path': name, 'arg': request.args['name'], 'header': request.headers['X-Name'],
            'cookie': request.cookies['name'], 'body': request.body.decode()}


# The end

@app.get('/shutdown')
async def shutdown(request):
    request.app.shutdown()
    await asyncio.sleep(0.1)
    return 'complete'


if __name__ == '__main__':
    app.run('127.0.0.1', int(sys.argv[1]))
