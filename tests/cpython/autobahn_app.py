"""The echo server of test_autobahn.py, run as a process on CPython and on MicroPython: autobahn_app.py PORT KIND

KIND is an event loop for the server of CPython, or ``portable`` or ``micropython`` for the portable server.

"""
import sys

from microdot import Microdot
from microdot import microdot as core
from microdot.websocket import WebSocket, WebSocketError, with_websocket

app = Microdot()
options = {}
run_options = {}
port, kind = sys.argv[1:]
if kind == 'portable':
    core.make_server = lambda app, **options: core.Server(app)
if kind != 'micropython':
    from microdot.deflate import Compression
    # kosoku 0.1.0 fails with a text that is not compressed, though a server may decide so (RFC 7692 section 6)
    options['compression'] = Compression(level=1, threshold=0)
    run_options['loop'] = 'uvloop' if kind == 'uvloop' else 'asyncio'
WebSocket.max_message_length = 0  # some cases send 16 MB


@app.get('/')
async def index(request):
    return 'hello'


@app.get('/echo')
@with_websocket(**options)
async def echo(request, ws):
    try:
        while True:
            await ws.send(await ws.receive())
    except WebSocketError:
        pass


app.run('127.0.0.1', int(port), **run_options)
