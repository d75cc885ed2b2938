"""The application of test_websocket_interop.py and test_sse_interop.py, run as a process: interop_app.py PORT KIND

KIND is an event loop for the server of CPython, or ``portable`` or ``micropython`` for the portable server.

"""
import asyncio
import sys

from microdot import Microdot
from microdot import microdot as core
from microdot.sse import with_sse
from microdot.websocket import WebSocket, WebSocketError, with_websocket

app = Microdot()
run_options = {}
port, kind = sys.argv[1:]
IS_MICROPYTHON = kind == 'micropython'
if kind == 'portable':
    core.make_server = lambda app, **options: core.Server(app)
if not IS_MICROPYTHON:
    run_options['loop'] = 'uvloop' if kind == 'uvloop' else 'asyncio'
WebSocket.max_message_length = 300000
app.linger_timeout = 1
ends = []  # how conversations ended, as their handlers saw it


@app.get('/')
async def index(request):
    return 'hello'


@app.get('/ends')
async def list_ends(request):
    found = list(ends)
    ends.clear()
    return found


@app.errorhandler(RuntimeError)
async def on_purpose(request, exc):
    return 'on purpose', 500


async def echo_all(ws):
    try:
        while True:
            await ws.send(await ws.receive())
    except WebSocketError:
        ends.append([ws.close_code, ws.close_reason])


@app.get('/echo')
@with_websocket
async def echo(request, ws):
    await echo_all(ws)


@app.get('/protocols')
@with_websocket(subprotocols=['chat.v2', 'chat.v1'])
async def protocols(request, ws):
    await ws.send(str(ws.subprotocol))
    await echo_all(ws)


@app.get('/origins')
@with_websocket(allowed_origins=['https://example.com'])
async def origins(request, ws):
    await echo_all(ws)


@app.get('/heartbeat')
@with_websocket(ping_interval=0.1, ping_timeout=0.5)
async def heartbeat(request, ws):
    await echo_all(ws)


@app.get('/ping')
@with_websocket
async def ping(request, ws):
    await ws.send(b'are you there', WebSocket.PING)
    await ws.send('pinged')
    await echo_all(ws)


@app.get('/close/<int:code>')
@with_websocket
async def close(request, ws, code):
    await ws.send('goodbye')
    await ws.close(code, 'příště')
    ends.append([ws.close_code, ws.close_reason])


@app.get('/return')
@with_websocket
async def end(request, ws):
    await ws.send('goodbye')


@app.get('/fail')
@with_websocket
async def fail(request, ws):
    await ws.receive()
    raise RuntimeError


@app.get('/busy')
@with_websocket
async def busy(request, ws):
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        ends.append('cancelled')
        raise


# Server-Sent Events

@app.get('/events')
@with_sse
async def events(request, sse):
    await sse.send('plain')
    await sse.send('first\nsecond\r\nthird\rfourth')
    await sse.send('')
    await sse.send('\n')
    await sse.send(' leading blank: and a colon')
    await sse.send('a comment\nof two lines', comment=True)
    await sse.send({'n': [1, 2.5, None, 'ž']})
    await sse.send([1, 'two'])
    await sse.send(b'bytes')
    await sse.send(42)
    await sse.send('žluťoučký 🐎', event='kůň', event_id='id 7')
    await sse.send('x' * 20000, event='long')
    await sse.send('over', event='end')
    await asyncio.sleep(100)


@app.get('/resume')
@with_sse
async def resume(request, sse):
    if sse.last_event_id is None:
        await sse.send('first', event_id='a1', retry=0.2)
        return  # the end of the response makes the client connect again
    if sse.last_event_id == 'a1':
        await sse.send('again after ' + sse.last_event_id, event_id='b2')
        return
    await sse.send('last after ' + sse.last_event_id, event='end')
    await asyncio.sleep(100)


@app.get('/kept')
@with_sse(keep_alive=0.1)
async def kept(request, sse):
    await asyncio.sleep(0.5)
    await sse.send('late', event='end')
    await asyncio.sleep(100)


@app.get('/idle')
@with_sse
async def idle(request, sse):
    await sse.send('first', event='end')
    try:
        await asyncio.sleep(100)
    except asyncio.CancelledError:
        ends.append('cancelled')
        raise


def add_compressed():
    from microdot.deflate import Compression
    for name, options in {
        'default': {},
        'always': {'threshold': 0, 'level': 9, 'memory_level': 9},
        'small': {'server_max_window_bits': 9, 'client_max_window_bits': 9, 'memory_level': 1},
        'large': {'server_max_window_bits': 15, 'client_max_window_bits': 15},
        'forgetful': {'server_no_context_takeover': True, 'client_no_context_takeover': True},
    }.items():
        app.get('/compressed/' + name)(with_websocket(compression=Compression(**options))(lambda _, ws: echo_all(ws)))


if not IS_MICROPYTHON:
    add_compressed()
app.run('127.0.0.1', int(port), **run_options)
